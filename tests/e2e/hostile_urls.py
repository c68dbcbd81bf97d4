#!/usr/bin/env python3
"""Hostile URLs, against a running server: nothing that a caller writes makes it call this machine's own network.

A listener on loopback counts who calls it. Only the address on the operator's allow list is ever called, and
what it redirects to is checked again.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from house import House, check


class Listener:
    """An HTTP server on loopback that counts calls; `/to?...` redirects there, `/dav/` is a small WebDAV folder."""

    def __init__(self, host="127.0.0.1"):
        calls = self.calls = []

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                calls.append(f"{self.command} {self.path}")
                length = int(self.headers.get("Content-Length") or 0)
                self.rfile.read(length)
                _, found, target = self.path.partition("/to?")
                if found:
                    self.send_response(302)
                    self.send_header("Location", target)
                    body = b""
                else:
                    self.send_response(200)
                    body = b"what was behind the door"
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_OPTIONS = do_PROPFIND = answer

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer((host, 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def spellings(port):
    """Ways to write loopback and other private places."""
    hosts = ["127.0.0.1", "localhost", "localhost.", "LOCALHOST", "127.1", "127.0.1", "2130706433", "0x7f000001",
             "0177.0.0.1", "0x7f.1", "0", "0.0.0.0", "127.0.0.1.", "127.255.255.254", "[::1]", "[::]",
             "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]",
             "[2002:7f00:1::]", "①②⑦.⓪.⓪.①", "127。0。0。1"]
    urls = [f"http://{host}:{port}/x" for host in hosts]
    urls += ["http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/latest/meta-data/",
             "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.0.1/", "http://100.64.0.1/", "http://198.18.0.1/",
             "http://224.0.0.1/", "http://255.255.255.255/", "http://[fe80::1]/", "http://[fc00::1]/", "http://[ff02::1]/",
             f"http://user:secret@127.0.0.1:{port}/x", f"http://example.com@127.0.0.1:{port}/x"]
    return urls


def refused(answer, *codes):
    return answer.status == 400 and answer.json["error_code"] in codes


def uploads(house, account, closed, door):
    """Upload from a URL: written addresses, and redirects to them."""
    path = f"/v1/accounts/{account}/storage/files"

    def fetch(url, name="fetched.txt"):
        return house.ask("POST", path, {"url": url, "parent_id": "root", "name": name})

    hostile = spellings(closed.port)
    for url in [*hostile, "file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "//127.0.0.1/x", "", "x"]:
        answer = fetch(url)
        check(refused(answer, "request_failed", "invalid_parameters"), f"{url!r} is not fetched: {answer}")
    for url in [*hostile, "file:///etc/passwd"]:
        answer = fetch(f"http://127.0.0.1:{door.port}/to?{url}")
        check(refused(answer, "request_failed"), f"a redirect to {url} is not followed: {answer}")
    check(house.listing(account) == [], "nothing was written")
    good = fetch(f"http://127.0.0.1:{door.port}/x", "good.txt")
    check(good.status == 201, f"what the operator allowed is fetched: {good}")


def raw(house, closed, door):
    """Pass-through: an account's own host and no other, whatever the URI looks like."""
    base = f"http://127.0.0.1:{door.port}/dav/"
    made = house.ask("POST", "/v1/accounts", {"service": "webdav", "account": "dav", "url": base, "username": "a",
                                              "password": "b"})
    check(made.status == 201, f"an account on an allowed address is made: {made}")
    path = f"/v1/accounts/{made.json['id']}/raw"
    for uri in [*spellings(closed.port), f"http://127.0.0.1:{closed.port}/x", f"//127.0.0.1:{closed.port}/x",
                "https://example.com/", "file:///etc/passwd", f"http://127.0.0.1:{door.port}@127.0.0.1:{closed.port}/"]:
        headers = {"X-Kloudless-Raw-URI": uri.encode().decode("latin-1"), "X-Kloudless-Raw-Method": "GET"}
        answer = house.ask("POST", path, b"{}", headers=headers)
        check(refused(answer, "invalid_parameters"), f"{uri!r} is not passed through to: {answer}")
    for url in spellings(closed.port):
        answer = house.ask("POST", path, b"{}", headers={
            "X-Kloudless-Raw-URI": f"/to?{url}".encode().decode("latin-1"), "X-Kloudless-Raw-Method": "GET"})
        check(answer.status >= 300 and b"behind the door" not in answer.body,
              f"a redirect of the service to {url} is not followed: {answer}")
    answer = house.ask("POST", path, b"{}", headers={"X-Kloudless-Raw-URI": "/x", "X-Kloudless-Raw-Method": "GET"})
    check(answer.body == b"what was behind the door", "its own host is")


def accounts(house, closed):
    """Accounts on private addresses."""
    for url in spellings(closed.port):
        answer = house.ask("POST", "/v1/accounts?verify=true", {
            "service": "webdav", "account": "dav", "url": url, "username": "a", "password": "b"})
        check(answer.status >= 400, f"no account is connected at {url}: {answer}")


def main():
    closed, door = Listener(), Listener()
    with House(allow_addresses=f"127.0.0.1:{door.port}") as house:
        shared = house.folder / "files"
        shared.mkdir()
        account, _ = house.connect("local", root=shared)
        uploads(house, account, closed, door)
        raw(house, closed, door)
        accounts(house, closed)
        check(closed.calls == [], f"the listener that is not allowed was never called: {json.dumps(closed.calls)}")
        check(door.calls, "the other one was")


main()
