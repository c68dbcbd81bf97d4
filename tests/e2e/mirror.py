#!/usr/bin/env python3
"""A customer's mirror of accounts, kept by a listing and the events after it, and compared by digests: this is the
rule of docs/activity.md written a second time. Also that search, recent files and sizes of folders are what the mirror
says.

    tests/e2e/mirror.py            every service; TRAMONTANE_E2E_SERVICES=local,webdav some
"""

import base64
import hashlib
import json
import os
import sys
import tempfile
import threading
import time
import traceback
from datetime import UTC, datetime
from urllib.parse import quote

from activity import RUN, accounts
from house import House, check, free_port

# Seconds that a change may take to come, the first listing too.
PATIENCE = 120
WHOLE = 2**128


def native(shown):
    """The service's id within one of the API's."""
    text = shown.partition("_")[2]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()


def shown(kind, raw):
    return f"{kind}_{base64.urlsafe_b64encode(raw.encode()).decode().rstrip('=')}"


def key(item):
    """The key of an object: what ranges are prefixes of."""
    return hashlib.sha256(item["id"].encode()).hexdigest()


def own_hash(item):
    """The hash of one object."""
    size = "" if item["type"] == "folder" or item["size"] is None else str(item["size"])
    line = "\0".join((item["id"], item["parent"] or "", size, item["name"]))
    return int(hashlib.sha256(line.encode()).hexdigest()[:32], 16)


class Mirror:
    """What a customer keeps: id, type, name, folder and size of each object, by id."""

    def __init__(self, ids_are_paths):
        self.items = {}
        self.ids_are_paths = ids_are_paths

    def put(self, item):
        self.items[item["id"]] = {"id": item["id"], "type": item["type"], "name": item["name"],
                                  "size": item.get("size"), "parent": (item.get("parent") or {}).get("id")}

    def inside(self, folder):
        """Everything below a folder."""
        below, found = {}, []
        for item in self.items.values():
            below.setdefault(item["parent"], []).append(item)
        queue = [folder]
        while queue:
            inside = below.get(queue.pop(), [])
            found += inside
            queue += [item["id"] for item in inside if item["type"] == "folder"]
        return found

    def remove(self, item):
        for one in [*(self.inside(item["id"]) if item["type"] == "folder" else []), item]:
            self.items.pop(one["id"], None)

    def follow(self, old, new):
        """Where ids are paths, what is in a folder gets other ids with it."""
        for item in self.inside(old):
            del self.items[item["id"]]
            for member in ("id", "parent"):
                raw = native(item[member])
                if raw == native(old) or raw.startswith(native(old) + "/"):
                    kind = item["type"] if member == "id" else "folder"
                    item[member] = shown(kind, native(new) + raw[len(native(old)):])
            self.items[item["id"]] = item

    def apply(self, event):
        if event["event_category"] != "storage":
            return
        item, before = event["metadata"], (event["previous"] or {}).get("id")
        if event["type"] == "delete":
            self.remove(item)
            return
        if before is not None and before != item["id"]:
            if item["type"] == "folder":
                self.follow(before, item["id"])
            self.items.pop(before, None)
        self.put(item)

    def counted(self, roots):
        """What digests count: everything below one of the roots."""
        found = {}
        for root in roots:
            found |= {item["id"]: item for item in self.inside(root) if item["id"] not in roots}
        return list(found.values())

    def differing(self, ask, cursor):
        """The ids of the objects that differ from the digest, and how many requests it took to find them; no ids when
        the digest is of another place."""
        wanted, wrong, requests = [""], set(), 0
        while wanted:
            part, wanted = wanted[:16], wanted[16:]
            digest = ask(f"/events/digest?ranges={','.join(part)}")
            requests += 1
            if not digest["complete"] or digest["cursor"] != cursor:
                return None, requests
            items = {key(item): item for item in self.counted(digest["roots"])}
            total = {prefix: [own_hash(item) for place, item in items.items() if place.startswith(prefix)]
                     for prefix in part}
            for one in digest["ranges"]:
                own = total[one["range"]]
                if (one["count"], int(one["hash"], 16)) == (len(own), sum(own) % WHOLE):
                    continue
                if "objects" in one:
                    theirs = {(each["id"], int(each["hash"], 16)) for each in one["objects"]}
                    ours = {(item["id"], own_hash(item)) for place, item in items.items()
                            if place.startswith(one["range"])}
                    wrong |= {each for each, _ in theirs ^ ours}
                    continue
                told = {each["range"]: (each["count"], int(each["hash"], 16)) for each in one["ranges"]}
                for number in range(256):
                    prefix = f"{one['range']}{number:02x}"
                    own = [own_hash(item) for place, item in items.items() if place.startswith(prefix)]
                    if told.get(prefix, (0, 0)) != (len(own), sum(own) % WHOLE):
                        wanted.append(prefix)
        return wrong, requests


class Customer(threading.Thread):
    """Mirrors one account."""

    def __init__(self, house, label, account, home):
        super().__init__(name=label)
        self.house, self.label, self.account, self.home = house, label, account, home
        self.wrong, self.cursor, self.mirror = [], None, None
        self.requests = 0

    def ask(self, path, method="GET", body=None, **more):
        answer = self.house.ask(method, f"/v1/accounts/{self.account}{path}", body, **more)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer}")
        return answer.json if answer.body else None

    def all(self, path):
        found, page = [], ""
        while page is not None:
            answer = self.ask(f"{path}{'&' if '?' in path else '?'}page={page}")
            found += answer["objects"]
            page = answer["next_page"]
        return found

    def upload(self, name, parent, content):
        return self.ask("/storage/files", "POST", content, headers={
            "X-Kloudless-Metadata": json.dumps({"name": name, "parent_id": parent}),
            "Content-Type": "application/octet-stream"})

    def folder(self, name, parent):
        return self.ask("/storage/folders", "POST", {"name": name, "parent_id": parent})

    def list(self):
        """Begins a mirror: a place in the feed, then everything that is there."""
        self.cursor = self.ask("/events/latest")["cursor"]
        items = self.all("/storage/folders/root/contents?recursive=true")
        paths = bool(items) and all("path" in item["ids"] for item in items)
        self.mirror = Mirror(paths)
        for item in items:
            self.mirror.put(item)

    def read(self, wait=0):
        page = self.ask(f"/events?cursor={self.cursor}&wait={wait}&page_size=1000")
        for event in page["objects"]:
            self.mirror.apply(event)
        self.cursor = page["cursor"]
        return page["objects"]

    def compare(self, what, expected=frozenset()):
        """The mirror and the digest agree, but for what is expected; others write to some of these servers, so not at
        once."""
        began, wrong = time.monotonic(), None
        while time.monotonic() - began < PATIENCE:
            while self.read():
                pass
            wrong, self.requests = self.mirror.differing(self.ask, self.cursor)
            if wrong == set(expected):
                return
            self.read(wait=1)
        shown = [self.mirror.items.get(each, each) for each in sorted(wrong or [])][:5]
        self.wrong.append(f"{what}: {'the digest is of another place' if wrong is None else shown}")

    def until(self, name):
        """Waits until an object with this name is told."""
        began = time.monotonic()
        while all(item["name"] != name for item in self.mirror.items.values()):
            if time.monotonic() - began > PATIENCE:
                raise RuntimeError(f"{name} is not told")
            self.read(wait=2)

    def run(self):
        try:
            self.work()
        except Exception:
            self.wrong.append(traceback.format_exc())

    def work(self):
        began = time.monotonic()
        while not self.ask("/events/digest")["complete"]:
            if time.monotonic() - began > PATIENCE:
                raise RuntimeError("it is not listed")
            time.sleep(0.5)
        self.list()
        self.compare("as it was listed")
        plans, archive = (self.folder(f"{RUN}-{name}", self.home) for name in ("plans", "archive"))
        deep = self.folder("deep", plans["id"])
        files = [self.upload(f"Report {number}.txt", deep["id"] if number % 2 else plans["id"], b"x" * number)
                 for number in range(8)]
        self.until("Report 7.txt")
        self.compare("after additions")
        # Some services tell whole seconds.
        noticed = datetime.now(UTC)
        time.sleep(1.5)
        self.ask(f"/storage/files/{files[0]['id']}", "PATCH", {"name": "Rëport zero.txt"})
        self.ask(f"/storage/files/{files[2]['id']}", "PUT", b"y" * 1000,
                 headers={"Content-Type": "application/octet-stream"})
        self.ask(f"/storage/files/{files[4]['id']}", "DELETE")
        self.ask(f"/storage/files/{files[6]['id']}", "PATCH", {"parent_id": archive["id"]})
        moved = self.ask(f"/storage/folders/{plans['id']}", "PATCH", {"parent_id": archive["id"]})
        self.upload("last.txt", archive["id"], b"last")
        self.until("last.txt")
        self.compare("after changes")
        self.planted()
        self.searched(archive)
        self.measured(archive, moved)
        self.recent(noticed, files)
        self.ask(f"/storage/folders/{archive['id']}?recursive=true", "DELETE")

    def planted(self):
        """What is wrong in the mirror is found, and nothing else."""
        mine = [item for item in self.mirror.inside(self.home) if item["name"].startswith(("Report", "last"))]
        lost, renamed, grown = mine[0], mine[1], mine[2]
        kept = {item["id"]: dict(item) for item in (lost, renamed, grown)}
        del self.mirror.items[lost["id"]]
        renamed["name"] += "!"
        grown["size"] = (grown["size"] or 0) + 1
        self.mirror.put({"id": "file_bm9wZQ", "type": "file", "name": "nope", "size": 1, "parent": {"id": self.home}})
        self.compare("with planted differences", {lost["id"], renamed["id"], grown["id"], "file_bm9wZQ"})
        if len(self.mirror.items) > 1_000 and self.requests > 2:
            self.wrong.append(f"differences among {len(self.mirror.items)} objects took {self.requests} requests")
        del self.mirror.items["file_bm9wZQ"]
        self.mirror.items |= kept
        self.compare("mended")

    def searched(self, archive):
        """Where the service has no search of its own, names are found wherever they are."""
        support = self.ask("/capabilities")["capabilities"]["storage.search.name"]["support"]
        if support != "emulated":
            return
        for text in ("rePORT", "RËPORT", "last.txt", RUN):
            # What others delete is found no more at once, and told a little later.
            began, found, wanted = time.monotonic(), None, set()
            while found != wanted and time.monotonic() - began < PATIENCE:
                self.read(wait=0 if found is None else 1)
                wanted = {item["id"] for item in self.mirror.items.values() if text.lower() in item["name"].lower()}
                found = {item["id"] for item in self.all(f"/storage/search?q={quote(text)}")}
            if found != wanted:
                self.wrong.append(f"search for {text}: {len(found)} found, {len(wanted)} in the mirror")
        below = {item["id"] for item in self.mirror.inside(archive["id"]) if "report" in item["name"].lower()}
        found = {item["id"] for item in self.all(f"/storage/search?q=report&parents={archive['id']}")}
        if found != below:
            self.wrong.append(f"search below a folder: {len(found)} found, {len(below)} in the mirror")

    def measured(self, *folders):
        """Folders are as large as what is in them."""
        for folder in folders:
            inside = self.mirror.inside(folder["id"])
            files = [item for item in inside if item["type"] == "file"]
            told = self.ask(f"/storage/folders/{folder['id']}/size")
            wanted = (sum(item["size"] or 0 for item in files), len(files), len(inside) - len(files), True, True)
            if (told["size"], told["files"], told["folders"], told["complete"], told["remembered"]) != wanted:
                self.wrong.append(f"the size of a folder is {told}, and in the mirror {wanted}")

    def recent(self, noticed, files):
        """Files that changed are among the recent ones, and those that are gone are not, whether the feed tells of all
        that time or not."""
        for after in (noticed, datetime.fromtimestamp(0, UTC)):
            stamp = after.isoformat().replace("+00:00", "Z")
            found = self.ask(f"/storage/recent?page_size=1000&after={stamp}")["objects"]
            if all(item["name"] != "last.txt" for item in found) or any(item["id"] == files[4]["id"] for item in found):
                self.wrong.append(f"recent files after {stamp} are {[item['name'] for item in found][:20]}")


def fill(place):
    """More files than one range lists, some with odd names."""
    for number in range(2_500):
        folder = os.path.join(place, f"many {number % 20}", *(["deeper"] if number % 3 == 0 else []))
        os.makedirs(folder, exist_ok=True)
        name = f"{number}\nline.txt" if number % 50 == 0 else f"Datei {number} – größer.txt"
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"z" * number)


def main():
    began = time.monotonic()
    only = os.environ.get("TRAMONTANE_E2E_SERVICES")
    with tempfile.TemporaryDirectory() as place, House(
            allow_addresses="127.0.0.0/8", sandbox="true", sandbox_listen=f"127.0.0.1:{free_port()}",
            account_requests_per_minute=0, application_requests_per_minute=0) as house:
        fill(place)
        everyone = [Customer(house, *one) for one in accounts(house, place)]
        everyone = [one for one in everyone if not only or one.label in only.split(",")]
        for one in everyone:
            one.start()
        for one in everyone:
            one.join()
        for one in everyone:
            if one.home != "root" and one.label in ("webdav", "s3_compatible", "sftp"):
                house.ask("DELETE", f"/v1/accounts/{one.account}/storage/folders/{one.home}?recursive=true")
    for one in everyone:
        for wrong in one.wrong:
            print(f"{one.label}: {wrong}")
    check(not any(one.wrong for one in everyone), "mirrors and digests agree, and differences are found")
    objects = sum(len(one.mirror.items) for one in everyone if one.mirror)
    print(f"note: {len(everyone)} mirrors of {objects} objects in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
