#!/usr/bin/env python3
"""The published client's authorization helpers, unchanged: authorization URL, code exchange, token verification."""

import os
import re
import subprocess
import sys

from house import ROOT, House, check, upstream

REQUIREMENTS = ["kloudless==2.0.1", "requests==2.34.2", "python-dateutil==2.9.0.post0", "six==1.17.0"]

if "kloudless-venv" not in os.environ:
    made = subprocess.run([str(ROOT / "scripts/venv"), "kloudless", *REQUIREMENTS], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()
    os.environ["kloudless-venv"] = made
    os.execv(f"{made}/bin/python", [f"{made}/bin/python", *sys.argv])

from urllib.parse import parse_qsl, urlsplit  # noqa: E402

import kloudless  # noqa: E402
import requests  # noqa: E402
from kloudless import application, exceptions  # noqa: E402

CALLBACK = "http://127.0.0.1/callback"


def browse(url, place):
    """Goes through the connect page as a browser does; gives the parameters that the application gets back."""
    browser = requests.Session()
    page = browser.get(url)
    check(page.status_code == 200 and page.url.endswith("/webdav"), "the authorization URL leads to the form")
    check('value="nobody"' in page.text, "extra_data fills it beforehand")
    proof = re.search(r'name="proof" value="([0-9a-f]+)"', page.text).group(1)
    fields = {"proof": proof, "url": f"{place.scheme}://{place.hostname}:{place.port}{place.path}",
              "username": place.username, "password": place.password}
    end = browser.post(page.url, data=fields, allow_redirects=False)
    check(end.status_code == 302 and end.headers["Location"].startswith(CALLBACK), "the form leads back")
    return dict(parse_qsl(urlsplit(end.headers["Location"]).query))


def main():
    place = urlsplit(upstream("TRAMONTANE_TEST_WEBDAV"))
    with House(allow_addresses="127.0.0.0/8") as house:
        log = house.log.read_text()
        meta, key = (re.search(rf"{mark}_[A-Za-z0-9_-]+", log).group(0) for mark in ("tmm", "tmk"))
        mine = {"Authorization": f"Bearer {meta}"}
        listed = requests.get(f"{house.base}/v1/meta/applications", headers=mine).json()["objects"]
        app = next(one["id"] for one in listed if one["id"] != house.application)
        made = requests.post(f"{house.base}/v1/meta/applications/{app}/redirect_uris", headers=mine,
                             json={"url": CALLBACK})
        check(made.status_code == 201, "the redirect URI is registered")
        kloudless.configuration["base_url"] = house.base
        url, state = application.get_authorization_url(app, CALLBACK, scope="webdav", extra_data={"username": "nobody"})
        back = browse(url, place)
        check(back["state"] == state, "the state comes back")
        token = application.get_token_from_code(app, key, state, CALLBACK, **back)
        check(token.startswith("tmb_"), "the code is exchanged")
        told = application.verify_token(app, token)
        check(told["client_id"] == app and told["type"] == "access_token", "the token is verified")
        account = kloudless.Account(token=token)
        check(account.get("storage/folders/root/contents").status_code == 200, "and opens the account")
        try:
            application.get_token_from_code(app, key, state, CALLBACK, **back)
            check(False, "a code is good once")
        except exceptions.KloudlessException:
            check(True, "a code is good once")
        try:
            application.verify_token(app, token)
            check(False, "its reuse revokes the token")
        except exceptions.KloudlessException:
            check(True, "its reuse revokes the token")


main()
