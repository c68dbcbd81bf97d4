#!/usr/bin/env python3
"""The hosted connect page in a real browser: headless Chromium against a running server with the sandbox and a real
WebDAV server. Writes screenshots to the folder that TRAMONTANE_SHOTS names, when it does."""

import json
import os
import re
import subprocess
from pathlib import Path

from browser import chromium, node_modules
from house import House, check, free_port, upstream


def main():
    packages, browser = node_modules(), chromium()
    dav = upstream("TRAMONTANE_TEST_WEBDAV")
    # The browser says for which end user's address it asks: from one, connect pages answer 120 requests a minute.
    with House(allow_addresses="127.0.0.0/8", sandbox="true", sandbox_listen=f"127.0.0.1:{free_port()}",
               trusted_proxies="127.0.0.1") as house:
        # The first start shows the meta token and makes an application; the tests use that one.
        meta = re.search(r"tmm_[A-Za-z0-9_-]+", house.log.read_text()).group(0)
        listed = house.ask("GET", "/v1/meta/applications", token=meta).json["objects"]
        application = next(one["id"] for one in listed if one["id"] != house.application)
        key = re.search(r"tmk_[A-Za-z0-9_-]+", house.log.read_text()).group(0)
        facts = {"base": house.base, "application": application, "key": key, "meta": meta, "dav": dav,
                 "browser": browser, "packages": str(packages), "shots": os.environ.get("TRAMONTANE_SHOTS")}
        script = Path(__file__).with_name("connect_page.mjs")
        done = subprocess.run(["node", str(script), json.dumps(facts)])
        check(done.returncode == 0, "the connect page does in a browser what it should")


main()
