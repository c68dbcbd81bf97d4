#!/usr/bin/env python3
"""Google Drive connected through the connect page in headless Chromium, at the consent screen of npm's `emulate`, a
stand-in for Google that we did not write; then what it has of Drive is used through the API with the token.

It takes any unknown token for its first user's, Alice's: so Bob connects first, and only a token that it gave for his
consent shows what is his. It checks the client's secret, the redirect URI and the code's PKCE verifier."""

import base64
import http.server
import json
import os
import re
import subprocess
import threading
import urllib.parse
import uuid
from pathlib import Path

from browser import chromium, node_modules
from house import House, check, upstream

CONTENT = b"Consented to in a browser.\n" * 64


class Application:
    """The site of the application that accounts are connected for: notes what the browser brings back."""

    def __enter__(self):
        arrived = self.arrived = []

        class Site(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                place = urllib.parse.urlsplit(self.path)
                if place.path == "/callback":
                    arrived.append(dict(urllib.parse.parse_qsl(place.query)))
                body = b"<!doctype html><title>Back in the application</title>"
                self.send_response(200 if place.path == "/callback" else 404)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
        self.callback = f"http://127.0.0.1:{self.server.server_port}/callback"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Journey:
    """End users who connect their Google Drive with a browser."""

    def __init__(self, house, application, emulate):
        self.house, self.application, self.emulate = house, application, emulate
        self.packages, self.browser = node_modules(), chromium()
        # The first start shows the meta token and makes an application; that one is used.
        log = house.log.read_text()
        self.meta, self.key = (re.search(rf"{mark}_[A-Za-z0-9_-]+", log).group(0) for mark in ("tmm", "tmk"))
        listed = house.ask("GET", "/v1/meta/applications", token=self.meta).json["objects"]
        self.client = next(one["id"] for one in listed if one["id"] != house.application)
        made = self.manage("POST", "/redirect_uris", {"url": application.callback})
        check(made.status == 201, "the application's redirect URI is registered")

    def manage(self, method, path, body):
        """Asks the management API about the application."""
        return self.house.ask(method, f"/v1/meta/applications/{self.client}{path}", body, self.meta)

    def authorize(self, state, scope):
        """Where the application sends its users."""
        query = {"client_id": self.client, "response_type": "code", "redirect_uri": self.application.callback,
                 "state": state, "scope": scope}
        return f"{self.house.base}/v1/oauth?{urllib.parse.urlencode(query)}"

    def browse(self, url, email, ends, shot):
        """Opens `url`, connects Google Drive as `email` at the consent screen, and comes to an end: `returned` to the
        application, `refused` by our page, or `mismatch`, refused by the consent screen."""
        facts = {"url": url, "emulate": self.emulate, "email": email, "ends": ends,
                 "callback": self.application.callback, "browser": self.browser, "packages": str(self.packages),
                 "shots": os.environ.get("TRAMONTANE_SHOTS"), "shot": shot}
        script = Path(__file__).with_name("connect_emulate.mjs")
        done = subprocess.run(["node", str(script), json.dumps(facts)], timeout=300)
        check(done.returncode == 0, f"{email}: the browser's journey ends {ends}")

    def connect(self, email, state, scope):
        """Connects an account; returns its token, which the application got for the code."""
        before = len(self.application.arrived)
        self.browse(self.authorize(state, scope), email, "returned", state)
        check(len(self.application.arrived) == before + 1, f"{email}: the application is called back once")
        query = self.application.arrived[-1]
        check(query.get("state") == state and query.get("code"), f"{email}: with state and code: {sorted(query)}")
        form = {"grant_type": "authorization_code", "code": query["code"], "redirect_uri": self.application.callback}
        secret = base64.b64encode(f"{self.client}:{self.key}".encode()).decode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Basic {secret}"}
        answer = self.house.ask("POST", "/v1/oauth/token", urllib.parse.urlencode(form).encode(), headers=headers)
        check(answer.status == 200 and answer.json["token_type"].lower() == "bearer",
              f"{email}: the code is exchanged for a token: {answer.status}")
        return answer.json["access_token"]


class Drive:
    """One account, used with its token."""

    def __init__(self, house, token):
        self.house, self.token = house, token

    def ask(self, method, path, body=None, headers=None):
        return self.house.ask(method, f"/v1/accounts/me{path}", body, self.token, headers)

    def folder(self, id="root"):
        """The names in a folder, with what each one is; follows all pages."""
        found, page = {}, ""
        while page is not None:
            answer = self.ask("GET", f"/storage/folders/{id}/contents?page={page}")
            if answer.status != 200:
                raise SystemExit(f"FAILED: the folder {id} is listed: {answer}")
            found |= {one["name"]: one for one in answer.json["objects"]}
            page = answer.json["next_page"]
        return found


def use(drive, email):
    """What `emulate` has of Drive: listings, folders, uploads in one request, metadata, downloads, names."""
    me = drive.ask("GET", "").json
    check(me["service"] == "gdrive" and me["account"] == email, f"the account is {email}'s Google Drive")
    # What an earlier run left is still there: names are this run's own.
    name, letter = f"Invoices {uuid.uuid4()}", f"letter {uuid.uuid4()}.txt"
    before = set(drive.folder())
    check("Shared with me" in before, f"its root folder is listed: {sorted(before)}")

    made = drive.ask("POST", "/storage/folders", {"parent_id": "root", "name": name})
    check(made.status == 201 and made.json["type"] == "folder", f"a folder is created: {made.status}")
    folder = made.json["id"]
    check(set(drive.folder()) == before | {name}, "and is in the root folder")
    check(drive.folder(folder) == {}, "it is empty")

    sent = drive.ask("POST", "/storage/files", CONTENT, {
        "Content-Type": "application/octet-stream",
        "X-Kloudless-Metadata": json.dumps({"parent_id": folder, "name": "june.txt"})})
    check(sent.status == 201 and sent.json["size"] == len(CONTENT), f"a file is uploaded: {sent.status}")
    file = sent.json["id"]
    check([*drive.folder(folder)] == ["june.txt"], "and is in the folder")

    read = drive.ask("GET", f"/storage/files/{file}")
    facts = {key: read.json.get(key) for key in ("name", "size", "type")}
    check(facts == {"name": "june.txt", "size": len(CONTENT), "type": "file"}, f"its metadata is read: {facts}")
    check(read.json["parent"]["id"] == folder, "and names its folder")
    got = drive.ask("GET", f"/storage/files/{file}/contents")
    check(got.status == 200 and got.body == CONTENT, "it is downloaded, byte for byte")

    named = drive.ask("PATCH", f"/storage/files/{file}", {"name": letter})
    check(named.status == 200 and named.json["name"] == letter, f"it is renamed: {named.status}")
    moved = drive.ask("PATCH", f"/storage/files/{file}", {"parent_id": "root"})
    check(moved.status == 200, f"it is moved: {moved.status}")
    check(set(drive.folder()) == before | {name, letter} and drive.folder(folder) == {}, "to the root folder")
    got = drive.ask("GET", f"/storage/files/{file}/contents")
    check(got.status == 200 and got.body == CONTENT, "and is still the same")
    return file


def refusals(journey, client):
    """What must not connect: a callback that the service does not know, and a wrong secret of ours."""
    before = len(journey.application.arrived)
    elsewhere = journey.authorize("other", "gdrive").replace("//127.0.0.1:", "//localhost:", 1)
    journey.browse(elsewhere, "bob@example.com", "mismatch", "other")
    key = {"service": "gdrive", "client_id": client.split(":")[0], "client_secret": "wrong"}
    check(journey.manage("POST", "/service_keys", key).status == 201, "the application gets a client of its own")
    journey.browse(journey.authorize("wrong", "gdrive"), "bob@example.com", "refused", "wrong")
    check(len(journey.application.arrived) == before, "no code comes of it")


def main():
    emulate = upstream("TRAMONTANE_TEST_EMULATE").rstrip("/")
    client = upstream("TRAMONTANE_TEST_EMULATE_CLIENT")
    callback = urllib.parse.urlsplit(upstream("TRAMONTANE_TEST_EMULATE_CALLBACK"))
    # Its token endpoint is at another path than Google's: /oauth2/token.
    settings = {"allow_addresses": urllib.parse.urlsplit(emulate).netloc, "oauth_clients": f"gdrive={client}",
                "service_urls": f"gdrive={emulate}/,gdrive.token={emulate}/oauth2/"}
    with Application() as application, House(listen=callback.netloc, **settings) as house:
        journey = Journey(house, application, emulate)
        bob = Drive(house, journey.connect("bob@example.com", "bob", "any.storage"))
        file = use(bob, "bob@example.com")
        alice = Drive(house, journey.connect("alice@example.com", "alice", "gdrive"))
        check(alice.ask("GET", "").json["account"] == "alice@example.com", "another user is another account")
        check(alice.ask("GET", f"/storage/files/{file}").status == 404, "and does not see the first one's file")
        again = Drive(house, journey.connect("bob@example.com", "again", "gdrive"))
        check(again.ask("GET", "").json["id"] == bob.ask("GET", "").json["id"], "the same user is the same account")
        check(bob.ask("GET", f"/storage/files/{file}").status == 200, "and the token of before still opens it")
        refusals(journey, client)


main()
