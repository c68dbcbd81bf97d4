#!/usr/bin/env python3
"""Events of the six simulated services and of four real kinds of server: the same changes at each of them through the
API, and what the feed tells of them, held against what happened.

    tests/e2e/activity.py            checks, also that the table in docs/activity.md is what came
    tests/e2e/activity.py --write    writes the table into docs/activity.md
"""

import json
import os
import sys
import tempfile
import threading
import time
import traceback
from urllib.parse import urlsplit

from house import ROOT, House, authorize, check, free_port, s3, s3_account, sftp_account, upstream

SANDBOX = ("box", "dropbox", "gdrive", "onedrive", "onedrivebiz", "sharepoint")
RUN = f"activity-{os.getpid()}"
DOCS = ROOT / "docs/activity.md"
BEGIN, END = "<!-- what services tell: tests/e2e/activity.py --write -->", "<!-- end -->"
# The rows of the table: what is done, and the events that it should come as.
STEPS = {
    "file created": ["add file"], "file renamed": ["rename file"], "file moved": ["move file"],
    "content changed": ["update file"], "folder created": ["add folder"], "folder renamed": ["rename folder"],
    "folder moved": ["move folder"], "folder deleted": ["delete folder"],
    # What is in a folder that comes back is told by events of its own.
    "folder restored": ["restore folder", "add file", "add file"],
}
# A folder is deleted file by file here, and a look in between sees that.
BOTTOM_UP = ("local", "webdav", "s3_compatible", "sftp")
# Seconds that a change may take to come, the first listing too.
PATIENCE = 90
# Seconds of quiet in which nothing else may come.
QUIET = 3


class Node:
    """An object of a tree that events are replayed over."""

    def __init__(self, kind, name, parent):
        self.kind, self.name, self.parent = kind, name, parent

    def path(self):
        return f"{self.parent.path()}/{self.name}" if self.parent else ""

    def is_in(self, folder):
        node = self
        while node is not None and node is not folder:
            node = node.parent
        return node is folder


class Tree:
    """What a reader of the feed knows: objects by id. Where names are ids, `previous` has the old id, and what is in a
    folder has another id as well when the folder gets another name: there the reader goes by names."""

    def __init__(self, root, home=""):
        self.root = Node("folder", "", None)
        self.nodes = {root: self.root}
        self.home = home

    def at(self, path):
        """The object with this path, by names."""
        node = self.root
        for name in path.removeprefix(self.home).split("/"):
            if name:
                node = next((one for one in self.nodes.values() if one.parent is node and one.name == name), None)
                if node is None:
                    return None
        return node

    def folder(self, item):
        """The folder that an object is in now."""
        known = self.nodes.get((item.get("parent") or {}).get("id"))
        return known or (self.at(item["path"].rpartition("/")[0]) if item.get("path") else None)

    def add(self, item):
        self.forget_id(item["id"])
        self.nodes[item["id"]] = Node(item["type"], item["name"], self.folder(item))

    def forget_id(self, key):
        """What has this id by an old name keeps its place without it."""
        if key in self.nodes:
            node = self.nodes.pop(key)
            self.nodes[f"{key} {id(node)}"] = node

    def find(self, event):
        """The object of an event, as it was before."""
        item, before = event["metadata"], event["previous"] or {}
        path = before.get("path") or item.get("path")
        if path and ("id" in before or item["id"] not in self.nodes):
            return self.at(path)
        return self.nodes.get(before.get("id") or item["id"])

    def apply(self, event):
        item, kind = event["metadata"], event["type"]
        if kind in ("add", "copy", "restore"):
            folder = self.folder(item)
            if folder is None:
                raise ValueError("it is in a folder that is not there")
            if any(node.parent is folder and node.name == item["name"] for node in self.nodes.values()):
                raise ValueError("it is there")
            self.add(item)
            return
        node = self.find(event)
        if node is None or node is self.root:
            raise ValueError("it is not there")
        if kind == "delete":
            self.nodes = {key: one for key, one in self.nodes.items() if not one.is_in(node)}
            return
        key = next(key for key, one in self.nodes.items() if one is node)
        if key != item["id"]:
            del self.nodes[key]
            self.forget_id(item["id"])
            self.nodes[item["id"]] = node
        node.name = item["name"]
        if kind == "move":
            node.parent = self.folder(item)
            if node.parent is None:
                raise ValueError("it goes into a folder that is not there")

    def paths(self):
        return sorted((node.path(), node.kind) for node in self.nodes.values() if node is not self.root)


class Watch(threading.Thread):
    """One account: does the changes, and reads what is told of them."""

    def __init__(self, house, label, account, home="root"):
        super().__init__(name=label)
        self.house, self.label, self.account, self.home = house, label, account, home
        # The path of the folder to work in, where ids are paths.
        self.above = "" if label in (*SANDBOX, "local") else f"/{RUN}"
        self.told, self.events, self.wrong = {}, [], []
        self.cursor = "0"
        self.waited = []

    def ask(self, method, path, body=None, **more):
        answer = self.house.ask(method, f"/v1/accounts/{self.account}{path}", body, **more)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer}")
        return answer.json if answer.body else None

    def upload(self, name, parent, content):
        return self.ask("POST", "/storage/files", content, headers={
            "X-Kloudless-Metadata": json.dumps({"name": name, "parent_id": parent}),
            "Content-Type": "application/octet-stream"})

    def folder(self, name, parent):
        return self.ask("POST", "/storage/folders", {"name": name, "parent_id": parent})

    def read(self, wait):
        page = self.ask("GET", f"/events?cursor={self.cursor}&wait={wait}")
        self.cursor = page["cursor"]
        self.events += page["objects"]
        # That the account was connected is told as well.
        return [event for event in page["objects"] if event["event_category"] == "storage"]

    def listing(self):
        """Everything below the home folder: one request where the API walks, page by page."""
        found, page = [], ""
        while page is not None:
            answer = self.ask("GET", f"/storage/folders/{self.home}/contents?recursive=true&page={page}")
            found += answer["objects"]
            page = answer["next_page"]
        return found

    def begin(self):
        """Waits for the first listing: until a change is told."""
        for number in range(PATIENCE):
            last = f"probe-{number}.txt"
            self.upload(last, self.home, b"probe %d" % number)
            if self.read(1):
                break
        else:
            raise RuntimeError("nothing was told")
        # Something was told, so what was made since will be as well.
        began = time.monotonic()
        while all(event["metadata"]["name"] != last for event in self.events) and time.monotonic() - began < PATIENCE:
            self.read(5)
        self.settle()
        self.first = len(self.events)

    def settle(self):
        """Reads until nothing comes any more."""
        while self.read(QUIET):
            pass

    def expect(self, *steps):
        """Reads what is told of these steps, each of them with the object that it was done to."""
        began, got = time.monotonic(), []
        wanted = sum(len(STEPS[name]) for name, _ in steps)
        while len(got) < wanted and time.monotonic() - began < PATIENCE:
            got += self.read(2)
        self.waited.append(time.monotonic() - began)
        got += self.read(QUIET)
        for name, names in steps:
            of = [event for event in got if event["metadata"]["name"] in names]
            got = [event for event in got if event not in of]
            if name == "folder deleted" and self.label in BOTTOM_UP:
                of = [event for event in of if event["metadata"]["type"] == "folder"]
            came = [f"{event['type']} {event['metadata']['type']}" for event in of]
            self.told[name] = came
            if sorted(came) != sorted(STEPS[name]):
                self.wrong.append(f"{name}: {[short(event) for event in of]}")
        if got:
            self.wrong.append(f"{[name for name, _ in steps]}: also {[short(event) for event in got]}")

    def before(self, kind, called, **members):
        """Checks `previous` and the present parent of an event that was told."""
        event = next((event for event in reversed(self.events)
                      if event["type"] == kind and event["metadata"]["name"] == called), None)
        if event is None:
            return
        previous = event["previous"] or {}
        for member, value in members.items():
            if member == "into":
                told = (event["metadata"].get("parent") or {}).get("id")
            elif member == "parent":
                told = (previous.get("parent") or {}).get("id")
            else:
                told = previous.get(member)
            if told != value:
                self.wrong.append(f"{kind} of {called}: {member} is {told}, not {value}")

    def run(self):
        try:
            self.work()
        except Exception:
            self.wrong.append(traceback.format_exc())

    def work(self):
        self.begin()
        tree = Tree(self.home, self.above)
        listed = self.listing()
        for item in sorted(listed, key=lambda item: item["type"] != "folder"):
            tree.add(item)
        one, three = (self.upload(f"{name}.txt", self.home, name.encode()) for name in ("one", "three"))
        plans, drafts, archive = (self.folder(name, self.home) for name in ("plans", "drafts", "archive"))
        two, _ = (self.upload(f"{name}.txt", plans["id"], name.encode()) for name in ("two", "four"))
        self.upload("five.txt", drafts["id"], b"five")
        self.expect(*(("file created", [f"{name}.txt"]) for name in ("one", "two", "three", "four", "five")),
                    *(("folder created", [name]) for name in ("plans", "drafts", "archive")))
        self.before("add", "two.txt", into=plans["id"])
        # Objects of their own for each step: services that are looked at now and then join changes of one.
        self.ask("PATCH", f"/storage/files/{one['id']}", {"name": "first.txt"})
        self.ask("PUT", f"/storage/files/{two['id']}", b"two, changed",
                 headers={"Content-Type": "application/octet-stream"})
        self.ask("PATCH", f"/storage/files/{three['id']}", {"parent_id": archive["id"]})
        self.expect(("file renamed", ["first.txt", "one.txt"]), ("content changed", ["two.txt"]),
                    ("file moved", ["three.txt"]))
        self.before("rename", "first.txt", name="one.txt", into=self.home)
        self.before("move", "three.txt", parent=self.home, into=archive["id"])
        plans = self.ask("PATCH", f"/storage/folders/{plans['id']}", {"name": "old plans"})
        drafts = self.ask("PATCH", f"/storage/folders/{drafts['id']}", {"parent_id": archive["id"]})
        self.expect(("folder renamed", ["old plans", "plans", "two.txt", "four.txt"]),
                    ("folder moved", ["drafts", "five.txt"]))
        self.before("rename", "old plans", name="plans")
        self.before("move", "drafts", parent=self.home, into=archive["id"])
        folder = plans
        self.ask("DELETE", f"/storage/folders/{folder['id']}?recursive=true")
        self.expect(("folder deleted", ["old plans", "two.txt", "four.txt"]))
        answer = self.house.ask("POST", f"/v1/accounts/{self.account}/storage/folders/{folder['id']}/restore", {})
        if answer.status < 300:
            self.expect(("folder restored", ["old plans", "two.txt", "four.txt"]))
        elif answer.status not in (403, 404, 405, 501):
            raise RuntimeError(f"restoring: {answer}")
        self.finish(tree)

    def finish(self, tree):
        """The log is dense, each event is there once, and replaying it gives what is there."""
        log, cursor = [], "0"
        while True:
            page = self.ask("GET", f"/events?cursor={cursor}&page_size=7")
            if not page["objects"]:
                break
            log, cursor = log + page["objects"], page["cursor"]
        if [event["sequence"] for event in log] != list(range(1, len(log) + 1)):
            self.wrong.append(f"the numbers are {[event['sequence'] for event in log]}")
        if log != self.events:
            self.wrong.append("another reader got other events")
        if len({event["id"] for event in log}) != len(log):
            self.wrong.append("an id is there twice")
        for event in log[self.first:]:
            if event["event_category"] != "storage":
                continue
            try:
                tree.apply(event)
            except (ValueError, KeyError) as error:
                self.wrong.append(f"replaying {short(event)}: {error!r}")
        again = Tree(self.home, self.above)
        for item in sorted(self.listing(), key=lambda item: (item["type"] != "folder", len(item["path"] or ""))):
            again.add(item)
        if tree.paths() != again.paths():
            self.wrong.append(f"replayed {tree.paths()}, listed {again.paths()}")

    def cell(self, step):
        if step not in self.told:
            return "–"
        return "yes" if sorted(self.told[step]) == sorted(STEPS[step]) else (" + ".join(self.told[step]) or "nothing")


def short(event):
    previous = event["previous"] or {}
    return (event["sequence"], event["type"], event["metadata"]["type"], event["metadata"]["name"], sorted(previous))


def table(watches):
    """What each service tells, in Markdown."""
    names = [watch.label for watch in watches]
    rows = [["", *names], ["---"] * (len(names) + 1)]
    rows += [[step, *(watch.cell(step) for watch in watches)] for step in STEPS]
    for title, member in (("when (`modified`)", "modified"), ("who (`user_id`)", "user_id")):
        row = [title]
        for watch in watches:
            of = [bool(event[member]) for event in watch.events
                  if event["type"] != "delete" and event["event_category"] == "storage"]
            row.append("yes" if all(of) else "partly" if any(of) else "no")
        rows.append(row)
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def accounts(house, place):
    """An account of each kind, and the folder to work in."""
    found = [(service, authorize(house, service), "root") for service in SANDBOX]
    found.append(("local", house.connect("local", root=place)[0], "root"))
    dav = urlsplit(upstream("TRAMONTANE_TEST_WEBDAV"))
    found.append(("webdav", house.connect("webdav", url=f"{dav.scheme}://{dav.hostname}:{dav.port}{dav.path}",
                                          username=dav.username, password=dav.password)[0], None))
    s3("PUT", f"/{RUN}")
    found.append(("s3_compatible", s3_account(house)[0], None))
    found.append(("sftp", sftp_account(house)[0], None))
    for label, account, home in found:
        if label == "sharepoint":
            sites = house.listing(account)
            home = house.listing(account, sites[0]["id"])[0]["id"]
        elif home is None:
            item = house.entry(account, RUN)
            home = item["id"] if item else house.ask(
                "POST", f"/v1/accounts/{account}/storage/folders", {"name": RUN, "parent_id": "root"}).json["id"]
        yield label, account, home


def main():
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place, House(
            allow_addresses="127.0.0.0/8", sandbox="true", sandbox_listen=f"127.0.0.1:{free_port()}",
            account_requests_per_minute=0, application_requests_per_minute=0) as house:
        watches = [Watch(house, *one) for one in accounts(house, place)]
        only = os.environ.get("TRAMONTANE_E2E_SERVICES")
        watches = [watch for watch in watches if not only or watch.label in only.split(",")]
        for watch in watches:
            watch.start()
        for watch in watches:
            watch.join()
        for watch in watches:
            if watch.home != "root" and watch.label in ("webdav", "s3_compatible", "sftp"):
                house.ask("DELETE", f"/v1/accounts/{watch.account}/storage/folders/{watch.home}?recursive=true")
    shown = table(watches)
    for watch in watches:
        for wrong in watch.wrong:
            print(f"{watch.label}: {wrong}")
    print(shown)
    print(f"waited for each step: {[(watch.label, [round(one, 1) for one in watch.waited]) for watch in watches]}")
    check(not any(watch.wrong for watch in watches), "everything is told once, as what it was, and replays")
    if len(watches) == len(SANDBOX) + 4:
        text = DOCS.read_text()
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        whole = f"{before}{BEGIN}\n\n{shown}\n\n{END}{after}"
        if "--write" in sys.argv:
            DOCS.write_text(whole)
        check(whole == text or "--write" in sys.argv, "the table in docs/activity.md is what came")
    events = sum(len(watch.events) for watch in watches)
    print(f"note: {events} events of {len(watches)} services in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
