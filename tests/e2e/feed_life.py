#!/usr/bin/env python3
"""The life of feeds around what services tell: accounts connected, changed, switched off and deleted, tasks that end,
shared drives that come and go, long polls; webhooks that carry what the API shows; health, and why something was not
told. With the real binary, the simulated services and a folder of this machine."""

import http.server
import json
import sys
import tempfile
import threading
import time
from pathlib import Path

from house import House, authorize, check, free_port

PATIENCE = 60


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps the JSON bodies that arrive."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Taking)
        self.bodies = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/"

    def wait_for(self, event_type, account, after=0):
        """The first message of a type and an account, from the one with number `after` on."""
        return until(lambda: next((body for body in self.bodies[after:] if body["type"] == event_type
                                   and body["data"].get("account") == account), None), f"a webhook {event_type}")


class Taking(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.bodies.append(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def until(look, what):
    """What `look` finds, as soon as it finds something."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise SystemExit(f"FAILED: {what} did not come")


class Scene:
    """The server with one application."""

    def __init__(self, house):
        self.house = house

    def get(self, account, path, status=200):
        answer = self.house.ask("GET", f"/v1/accounts/{account}{path}")
        check_status(answer, status, path)
        return answer.json

    def events(self, account):
        return self.get(account, "/events?cursor=0&page_size=1000")["objects"]

    def event(self, account, wanted):
        """The first event that `wanted` holds for."""
        return until(lambda: next((one for one in self.events(account) if wanted(one)), None), "an event")

    def raw(self, account, method, uri, body=None):
        """Asks the service itself, past the unified API."""
        answer = self.house.ask("POST", f"/v1/accounts/{account}/raw", body,
                                headers={"X-Kloudless-Raw-Method": method, "X-Kloudless-Raw-URI": uri})
        check(answer.status < 300, f"{method} {uri}: {answer.status}")
        return answer.json if answer.body else None


def check_status(answer, status, what):
    if answer.status != status:
        raise SystemExit(f"FAILED: {what}: {answer}")


def is_called(name, kind):
    return lambda event: event["type"] == kind and event["metadata"]["name"] == name


def accounts_and_tasks(scene, receiver, place):
    house = scene.house
    account, _ = house.connect("local", root=str(place))
    first = scene.event(account, lambda event: event["event_subtype"] == "connected")
    check(first["sequence"] == 1 and first["event_category"] == "account", "an account's feed begins with it")
    check(receiver.wait_for("account.connected", account)["data"]["metadata"]["service"] == "local",
          "a webhook tells that it was connected")
    until(lambda: scene.get(account, "/events/health")["collections"], "the first listing")
    until(lambda: scene.get(account, "/events/health")["collections"][0]["listed"], "the first listing")
    (place / "plan.txt").write_text("a plan")
    told = scene.event(account, is_called("plan.txt", "add"))
    body = receiver.wait_for("storage.file.added", account)
    shown = scene.get(account, f"/events/{told['id']}")
    application = body["data"].pop("application")
    check(application == house.application, "a webhook's event names the application")
    differs = {name: (body["data"].get(name), shown.get(name)) for name in body["data"].keys() | shown.keys()
               if body["data"].get(name) != shown.get(name)}
    check(not differs, f"and is otherwise the one that the API shows {differs or ''}")
    made = house.ask("POST", f"/v1/accounts/{account}/storage/folders", {"name": "later", "parent_id": "root"},
                     headers={"X-Kloudless-Async": "true"})
    check_status(made, 202, "a task")
    ended = scene.event(account, lambda event: event["event_category"] == "task")
    check(ended["event_subtype"] == "completed" and ended["metadata"]["id"] == made.json["id"],
          "a task that ended is told")
    check(receiver.wait_for("task.completed", account)["data"]["metadata"]["state"] == "SUCCESS", "also by webhook")
    change = house.ask("PATCH", f"/v1/accounts/{account}", {"custom_properties": {"customer": "c-17"}})
    check_status(change, 200, "changing the account")
    receiver.wait_for("account.updated", account)
    explained(scene, receiver, account, told)
    check_status(house.ask("PATCH", f"/v1/accounts/{account}", {"active": False}), 200, "switching off")
    receiver.wait_for("account.disabled", account)
    check_status(house.ask("DELETE", f"/v1/accounts/{account}"), 204, "deleting the account")
    gone = receiver.wait_for("account.deleted", account)
    check(gone["data"]["metadata"]["id"] == account, "that an account was switched off and deleted comes by webhook")
    types = [body["type"] for body in receiver.bodies if body["data"].get("account") == account]
    check(types.count("account.connected") == types.count("account.deleted") == 1, "each of it once")


def explained(scene, receiver, account, event):
    """Health, and why something was not told."""
    health = scene.get(account, "/events/health")
    check(health["source"] == "watch" and health["following"] and health["lag"] < 60 and health["polling"],
          "the feed's health tells where changes come from")
    answer = scene.get(account, f"/events/explain?event={event['id']}")
    check([one["status"] for one in answer["deliveries"]] == ["delivered", "unwanted"],
          "an event's deliveries are told")
    check(any(nudge["by"] == "watch" for nudge in answer["nudges"]) and any(look["events"] for look in answer["looks"]),
          "and what was heard and read")
    answer = scene.get(account, f"/events/explain?object={event['metadata']['id']}")
    check([one["id"] for one in answer["events"]] == [event["id"]], "an object's events are found")
    answer = scene.get(account, "/events/explain?object=file_bm93aGVyZQ")
    check("None of the newest" in " ".join(answer["findings"]), "and said to be missing where there are none")
    scene.get(account, "/events/explain?object=nonsense", 400)
    scene.get(account, "/events/explain?event=evt_1_1", 404)


def drives(scene):
    """A shared drive comes with what is in it, and goes."""
    account = authorize(scene.house, "gdrive")
    until(lambda: all(one["listed"] for one in scene.get(account, "/events/health")["collections"] or [{"listed": 0}]),
          "the first listing")
    drive = scene.raw(account, "POST", "/drive/v3/drives?requestId=feed-life", {"name": "Team"})["id"]
    scene.raw(account, "POST", "/drive/v3/files?supportsAllDrives=true",
              {"name": "minutes", "parents": [drive], "mimeType": "application/vnd.google-apps.folder"})
    came = scene.event(account, is_called("Team", "add"))
    check(came["metadata"]["type"] == "folder", "a shared drive that comes is told")
    inside = scene.event(account, is_called("minutes", "add"))
    check(inside["metadata"]["parent"]["id"] == came["metadata"]["id"], "and what is in it")
    files = scene.raw(account, "GET", f"/drive/v3/files?corpora=drive&driveId={drive}&includeItemsFromAllDrives=true"
                                      "&supportsAllDrives=true")["files"]
    for one in files:
        scene.raw(account, "DELETE", f"/drive/v3/files/{one['id']}?supportsAllDrives=true")
    scene.raw(account, "DELETE", f"/drive/v3/drives/{drive}")
    gone = scene.event(account, is_called("Team", "delete"))
    check(gone["metadata"]["id"] == came["metadata"]["id"], "and that it went")


def long_polls(scene):
    """Services that hold a connection until something changes."""
    for service in ("dropbox", "box"):
        account = authorize(scene.house, service)
        kept = scene.house.ask("PATCH", f"/v1/accounts/{account}/subscriptions/default", {"raw_data": service == "box"})
        check_status(kept, 200, "keeping the service's own JSON")
        until(lambda of=account: scene.get(of, "/events/health")["source"] == "long_poll", f"a long poll at {service}")
        if service == "dropbox":
            scene.raw(account, "POST", "/2/files/create_folder_v2", {"path": "/heard"})
        else:
            scene.raw(account, "POST", "/folders", {"name": "heard", "parent": {"id": "0"}})
        came = scene.event(account, is_called("heard", "add"))
        own = scene.house.ask("GET", f"/v1/accounts/{account}/events/{came['id']}",
                              headers={"X-Kloudless-Raw-Data": "true"}).json["metadata"].get("raw")
        check((own or {}).get("object", {}).get("name") == ("heard" if service == "box" else None)
              and "raw" not in came["metadata"], f"{service}: the service's own JSON is there where it was asked for")
        nudges = scene.get(account, "/events/explain")["nudges"]
        check(any(nudge["by"] == "long_poll" for nudge in nudges), f"{service}: a long poll says when to look")


def main():
    receiver = Receiver()
    with tempfile.TemporaryDirectory() as place, House(
            allow_addresses="127.0.0.0/8", insecure_webhooks="true", sandbox="true",
            sandbox_listen=f"127.0.0.1:{free_port()}", account_requests_per_minute=0,
            application_requests_per_minute=0) as house:
        scene = Scene(house)
        # The application that the first start made: simulated services are connected to it as well.
        drives_first = authorize(house, "dropbox", "ben")
        check(drives_first > 0, "an account is connected by its owner")
        hooks = f"/v1/meta/applications/{house.application}/webhooks"
        for events in (["*"], ["calendar.*"]):
            made = house.ask("POST", hooks, {"url": receiver.url, "format": "standard", "events": events},
                             token=house.meta)
            check_status(made, 201, "a webhook")
        accounts_and_tasks(scene, receiver, Path(place))
        drives(scene)
        long_polls(scene)


if __name__ == "__main__":
    sys.exit(main())
