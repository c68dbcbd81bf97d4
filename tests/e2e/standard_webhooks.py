#!/usr/bin/env python3
"""Webhooks of the running server, verified by the published libraries of Standard Webhooks: the ping of the
registration, trials, both secrets of a rotation, Ed25519, retries, the log of deliveries; and the old form. Where
accounts are followed, events of files as well. standard_webhooks.mjs does the verifying again in JavaScript."""

import os
import subprocess
import sys

from house import ROOT, House, check

if "standardwebhooks-venv" not in os.environ:
    made = subprocess.run([str(ROOT / "scripts/venv"), "standardwebhooks", "standardwebhooks==1.1.0",
                           "cryptography==46.0.3"], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    os.environ["standardwebhooks-venv"] = made
    os.execv(f"{made}/bin/python", [f"{made}/bin/python", *sys.argv])

import base64  # noqa: E402
import hashlib  # noqa: E402
import hmac  # noqa: E402
import http.server  # noqa: E402
import json  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: E402
from standardwebhooks.webhooks import Webhook, WebhookVerificationError  # noqa: E402

PACKAGE = "standardwebhooks@1.1.1"


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what arrives, and answers as told."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Taking)
        self.messages, self.status, self.text = [], 200, b""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def wait_for(self, count, what):
        until = time.monotonic() + 30
        while len(self.messages) < count:
            if time.monotonic() > until:
                raise SystemExit(f"FAILED: {what}: {len(self.messages)} of {count} messages came")
            time.sleep(0.01)
        return self.messages[-1]


class Taking(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.messages.append((self.path, headers, body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.text)))
        self.end_headers()
        self.wfile.write(self.server.text)

    def log_message(self, *_):
        pass


def verifies(secret, message):
    _, headers, body = message
    try:
        return Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return None


def in_javascript(secret, message):
    """Whether the JavaScript library takes it too."""
    folder = Path(os.environ.get("TRAMONTANE_UPSTREAMS") or ROOT / ".upstreams") / "npm-standardwebhooks"
    if not (folder / "node_modules" / "standardwebhooks").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), PACKAGE],
                       check=True)
    given = json.dumps({"secret": secret, "headers": message[1], "body": message[2].decode()})
    script = Path(__file__).with_suffix(".mjs")
    done = subprocess.run(["node", str(script)], input=given, text=True, capture_output=True,
                          env=os.environ | {"WEBHOOK_MODULES": str(folder)})
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    return done.returncode == 0


def old_form(house, receiver, hooks):
    receiver.text = house.application.encode()
    made = house.ask("POST", hooks, {"url": f"{receiver.url}/old"})
    check(made.status == 201 and "format" not in made.json, "a webhook in the old form is registered by its check")
    path, headers, body = receiver.messages[-1]
    signed = base64.b64encode(hmac.new(house.key.encode(), b"", hashlib.sha256).digest()).decode()
    check(body == b"" and headers["x-kloudless-signature"] == signed, "the check is signed with the API key")
    receiver.text = b"someone else"
    refused = house.ask("POST", hooks, {"url": f"{receiver.url}/old"})
    check(refused.status == 400 and refused.json["param"] == "url", "who does not answer with the id is refused")
    receiver.text = b""


def standard_form(house, receiver, hooks):
    receiver.status = 500
    refused = house.ask("POST", hooks, {"url": f"{receiver.url}/new", "format": "standard"})
    check(refused.status == 400, "an endpoint that does not take the ping is refused")
    receiver.status = 204
    made = house.ask("POST", hooks, {"url": f"{receiver.url}/new", "format": "standard"})
    check(made.status == 201 and made.json["active"], "a webhook in the standard form is registered by its ping")
    one = f"{hooks}/{made.json['id']}"
    secret = house.ask("GET", f"{one}/secret").json["secret"]
    ping = receiver.messages[-1]
    check(verifies(secret, ping)["type"] == "webhook.ping", "the Python library verifies the ping")
    check(in_javascript(secret, ping), "the JavaScript library verifies the ping")
    altered = (ping[0], ping[1], ping[2].replace(b"ping", b"pong"))
    check(verifies(secret, altered) is None and not in_javascript(secret, altered), "neither takes an altered one")

    rotated = house.ask("POST", f"{one}/secret/rotate").json
    check(rotated["secret"] != secret and rotated["previous_until"], "the secret is replaced")
    tested = house.ask("POST", f"{one}/test").json
    check(tested["delivered"] and tested["status_code"] == 204, "the test tells its outcome")
    test = receiver.messages[-1]
    check(all(verifies(each, test) and in_javascript(each, test) for each in (secret, rotated["secret"])),
          "during the rotation both secrets verify, in both languages")
    check(len(test[1]["webhook-signature"].split(" ")) == 2, "there are two signatures")
    receiver.status, receiver.text = 503, b"busy"
    failed = house.ask("POST", f"{one}/test").json
    check(not failed["delivered"] and failed["response_excerpt"] == "busy", "a refused test tells what came back")
    receiver.status, receiver.text = 200, b""
    return one, rotated["secret"]


def asymmetric(house, receiver, hooks):
    made = house.ask("POST", hooks, {"url": f"{receiver.url}/key", "format": "standard", "signature": "ed25519"})
    one = f"{hooks}/{made.json['id']}"
    public = house.ask("GET", f"{one}/secret").json["secret"]
    check(public.startswith("whpk_"), "an Ed25519 endpoint shows its public key")
    _, headers, body = receiver.messages[-1]
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    version, _, signature = headers["webhook-signature"].partition(",")
    key.verify(base64.b64decode(signature), signed)
    verified = version == "v1a" and in_javascript(public, receiver.messages[-1])
    check(verified, "its signature verifies, in both languages")


def files(house, receiver, one, secret):
    """Events of a folder, once accounts are followed."""
    with tempfile.TemporaryDirectory() as folder:
        account, _ = house.connect("local", root=folder)
        latest = house.ask("GET", f"/v1/accounts/{account}/events/latest")
        if latest.status == 501:
            print("note: accounts are not followed by this server: events of files were not sent")
            return
        # Until the first listing is done there is nothing to differ from.
        time.sleep(5)
        count = len(receiver.messages)
        (Path(folder) / "report.txt").write_text("hello")
        until = time.monotonic() + 120
        found = None
        while found is None and time.monotonic() < until:
            for message in receiver.messages[count:]:
                if message[0] == "/new" and verifies(secret, message)["type"] == "storage.file.added":
                    found = message
            time.sleep(0.05)
        check(found, "a new file is told")
        data = json.loads(found[2])["data"]
        check(data["account"] == int(account) and data["metadata"]["name"] == "report.txt", "with what it is")
        check(in_javascript(secret, found), "the JavaScript library verifies it")
        time.sleep(2)
        listed = house.ask("GET", f"{one}/deliveries?account={account}").json["objects"]
        check(any(item["message_id"] == found[1]["webhook-id"] for item in listed), "the delivery is in the log")
        delivery = next(item for item in listed if item["message_id"] == found[1]["webhook-id"])
        before = len(receiver.messages)
        again = house.ask("POST", f"{one}/deliveries/{delivery['id']}/replay")
        check(again.status == 202, "a delivery is sent again on demand")
        repeated = receiver.wait_for(before + 1, "the replay")
        check(repeated[1]["webhook-id"] == found[1]["webhook-id"], "under the same id")


def main():
    receiver = Receiver()
    with House(insecure_webhooks="true", allow_addresses="127.0.0.0/8") as house:
        hooks = f"/v1/meta/applications/{house.application}/webhooks"
        old_form(house, receiver, hooks)
        one, secret = standard_form(house, receiver, hooks)
        asymmetric(house, receiver, hooks)
        files(house, receiver, one, secret)
    with House(insecure_webhooks="true") as guarded:
        hooks = f"/v1/meta/applications/{guarded.application}/webhooks"
        before = len(receiver.messages)
        refused = guarded.ask("POST", hooks, {"url": f"{receiver.url}/new", "format": "standard"})
        check(refused.status == 400 and len(receiver.messages) == before, "a private address is not called")


main()
