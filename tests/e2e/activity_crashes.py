#!/usr/bin/env python3
"""Kills the server with -9 again and again while files change, and looks at what the feed has told in the end: each
event once, numbers without gaps, the same for a reader that followed across the crashes, and a replay that gives what
is there.

    tests/e2e/activity_crashes.py [--cycles 5] [--engine sqlite] [--seed 1]

--engine is sqlite or postgres, and may be given twice; without it both, PostgreSQL where one answers: at
TRAMONTANE_TEST_POSTGRES, else at 127.0.0.1:5432. The local folder and the simulated services (a process of their own,
which is not killed) are changed past Tramontane.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from activity import Tree, short
from house import BINARY, CALLBACK, House, Stay, authorize, check, free_port

SERVICES = {"dropbox": "/dropbox/oauth2", "onedrive": "/onedrive/common/oauth2/v2.0"}
CLIENT = {"client_id": "tramontane-sandbox", "client_secret": "sandbox-secret", "redirect_uri": CALLBACK}
# Objects that a writer keeps at most.
CROWD = 60


def post(url, body, token=None, method="POST", **headers):
    """Sends one request to a simulated service, and again while it says that it is busy."""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    for _ in range(20):
        request = urllib.request.Request(url, data=body, method=method, headers=headers)
        try:
            with urllib.request.build_opener(Stay).open(request, timeout=30) as answer:
                return answer.read(), answer.headers
        except urllib.error.HTTPError as refused:
            if refused.code in (429, 503):
                time.sleep(0.2)
            elif 300 <= refused.code < 400:
                return b"", refused.headers
            else:
                raise RuntimeError(f"{method} {url}: {refused.code} {refused.read()[:300]}") from None
    raise RuntimeError(f"{method} {url}: busy")


class LocalFolder:
    """Changes of a folder of this machine."""

    def __init__(self, place):
        self.place = Path(place)

    def at(self, path):
        return self.place / path.lstrip("/")

    def write(self, path, content):
        self.at(path).write_bytes(content)

    def mkdir(self, path):
        self.at(path).mkdir()

    def move(self, path, to):
        self.at(path).rename(self.at(to))

    def delete(self, path):
        shutil.rmtree(self.at(path)) if self.at(path).is_dir() else self.at(path).unlink()


class Signed:
    """A person's tokens of a simulated service."""

    def __init__(self, base, service):
        self.base = f"{base}/{service}"
        asked = CLIENT | {"response_type": "code", "person": "ana", "decision": "allow", "state": "x", "scope":
                          "files.content.write files.content.read files.metadata.read Files.ReadWrite.All"}
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        _, headers = post(f"{base}{SERVICES[service]}/authorize", urlencode(asked).encode(), **form)
        code = parse_qs(urlsplit(headers["Location"]).query)["code"][0]
        spent = CLIENT | {"grant_type": "authorization_code", "code": code}
        body, _ = post(f"{base}{SERVICES[service]}/token", urlencode(spent).encode(), **form)
        self.token = json.loads(body)["access_token"]


class Dropbox(Signed):
    """Changes of a simulated Dropbox."""

    def rpc(self, route, **body):
        post(f"{self.base}/2/files/{route}", json.dumps(body).encode(), self.token,
             **{"Content-Type": "application/json"})

    def write(self, path, content):
        post(f"{self.base}/2/files/upload", content, self.token, **{
            "Content-Type": "application/octet-stream",
            "Dropbox-API-Arg": json.dumps({"path": path, "mode": "overwrite"})})

    def mkdir(self, path):
        self.rpc("create_folder_v2", path=path)

    def move(self, path, to):
        self.rpc("move_v2", from_path=path, to_path=to)

    def delete(self, path):
        self.rpc("delete_v2", path=path)


class OneDrive(Signed):
    """Changes of a simulated OneDrive."""

    def of(self, path, tail=""):
        at = f":{quote(path)}:" if path not in ("", "/") else ""
        return f"{self.base}/v1.0/me/drive/root{at}{tail}"

    def send(self, method, url, body):
        return post(url, json.dumps(body).encode(), self.token, method, **{"Content-Type": "application/json"})

    def write(self, path, content):
        post(self.of(path, "/content"), content, self.token, "PUT", **{"Content-Type": "text/plain"})

    def mkdir(self, path):
        folder, _, name = path.rpartition("/")
        self.send("POST", self.of(folder, "/children"), {"name": name, "folder": {}})

    def move(self, path, to):
        folder, _, name = to.rpartition("/")
        self.send("PATCH", self.of(path), {"name": name, "parentReference": {"path": f"/drive/root:{quote(folder)}"}})

    def delete(self, path):
        post(self.of(path), None, self.token, "DELETE")


class Writer(threading.Thread):
    """Changes one account all the time, as its seed says."""

    def __init__(self, label, service, seed, pause):
        super().__init__(name=label, daemon=True)
        self.service, self.pause = service, pause
        self.random = random.Random(f"{label} {seed}")
        self.files, self.folders = [], [""]
        self.made, self.count, self.error = 0, 0, None
        self.over = threading.Event()

    def run(self):
        try:
            while not self.over.is_set():
                self.change()
                self.count += 1
                time.sleep(self.random.uniform(0, 2 * self.pause))
        except Exception as error:
            self.error = error

    def name(self, kind):
        self.made += 1
        return f"{kind}{self.made}"

    def folder(self):
        return self.random.choice([one for one in self.folders if one.count("/") < 4])

    def moved(self, path, to):
        self.service.move(path, to)

        def now(one):
            return to + one[len(path):] if one == path or one.startswith(path + "/") else one
        self.files, self.folders = [now(one) for one in self.files], [now(one) for one in self.folders]

    def deleted(self, path):
        self.service.delete(path)
        self.files, self.folders = ([one for one in all if one != path and not one.startswith(path + "/")]
                                    for all in (self.files, self.folders))

    def change(self):
        what = self.random.random()
        crowded = len(self.files) + len(self.folders) > CROWD
        if what < 0.3 and not crowded or not self.files:
            path = f"{self.folder()}/{self.name('f')}"
            self.service.write(path, self.random.randbytes(self.random.randrange(1, 200)))
            self.files.append(path)
        elif what < 0.4 and not crowded or len(self.folders) < 3:
            path = f"{self.folder()}/{self.name('d')}"
            self.service.mkdir(path)
            self.folders.append(path)
        elif what < 0.55:
            self.service.write(self.random.choice(self.files), self.random.randbytes(self.random.randrange(1, 200)))
        elif what < 0.8:
            path = self.random.choice(self.files + self.folders[1:])
            into = self.folder() if self.random.random() < 0.6 else path.rpartition("/")[0]
            if into == path or into.startswith(path + "/"):
                return
            keep = self.random.random() < 0.4 and into != path.rpartition("/")[0]
            self.moved(path, f"{into}/{path.rpartition('/')[2] if keep else self.name('r')}")
        elif what < 0.95 or crowded:
            self.deleted(self.random.choice(self.files))
        else:
            self.deleted(self.random.choice(self.folders[1:]))


class Reader(threading.Thread):
    """Follows one account with its cursor, whatever becomes of the server."""

    def __init__(self, house, label, account):
        super().__init__(name=label, daemon=True)
        self.house, self.label, self.account = house, label, account
        self.events, self.cursor, self.broken, self.error = [], "0", 0, None
        self.over = threading.Event()

    def ask(self, method, path, body=None, **more):
        answer = self.house.ask(method, f"/v1/accounts/{self.account}{path}", body, **more)
        if answer.status >= 500:
            raise OSError(str(answer))
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer}")
        return answer.json

    def run(self):
        while not self.over.is_set():
            try:
                page = self.ask("GET", f"/events?cursor={self.cursor}&wait=2", timeout=20)
                self.events += page["objects"]
                self.cursor = page["cursor"]
            except RuntimeError as error:
                self.error = error
                return
            except Exception:
                # The server was killed while it answered; what was half read counts for nothing.
                self.broken += 1
                time.sleep(0.02)

    def upload(self, name):
        self.ask("POST", "/storage/files", b"poke", timeout=20, headers={
            "X-Kloudless-Metadata": json.dumps({"name": name, "parent_id": "root"}),
            "Content-Type": "application/octet-stream"})

    def wait_for(self, name, seconds):
        """Whether an event of this name comes."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if any(event["metadata"]["name"] == name for event in self.events):
                return True
            time.sleep(0.05)
        return False

    def listing(self):
        found, page = [], ""
        while page is not None:
            answer = self.ask("GET", f"/storage/folders/root/contents?recursive=true&page={page}")
            found, page = found + answer["objects"], answer["next_page"]
        return found

    def log(self):
        """The whole log, read anew."""
        log, cursor = [], "0"
        while True:
            page = self.ask("GET", f"/events?cursor={cursor}&page_size=500")
            if not page["objects"]:
                return log
            log, cursor = log + page["objects"], page["cursor"]

    def grown(self, listed):
        """A tree of these objects; they come in any order."""
        tree, left = Tree("root"), listed
        while left:
            ready = [item for item in left if item["parent"]["id"] in tree.nodes]
            if not ready:
                raise SystemExit(f"FAILED: {self.label}: a listing has things in folders that it does not list: {left}")
            for item in ready:
                tree.add(item)
            left = [item for item in left if item not in ready]
        return tree

    def begin(self):
        """Waits until the first listing is over, and notes what is there."""
        for number in range(90):
            self.upload(f"probe{number}")
            if self.wait_for(f"probe{number}", 1):
                break
        else:
            raise SystemExit(f"FAILED: {self.label}: nothing is told")
        time.sleep(1)
        self.tree, self.first = self.grown(self.listing()), len(self.events)

    def wrong(self):
        """What is wrong with what was told."""
        log = self.log()
        if [event["sequence"] for event in log] != list(range(1, len(log) + 1)):
            yield "the numbers have gaps"
        if len({event["id"] for event in log}) != len(log):
            yield "an id is there twice"
        if self.events != log:
            at = next((n for n, pair in enumerate(zip(self.events, log, strict=False)) if pair[0] != pair[1]), None)
            yield f"the follower read {len(self.events)} events, the log has {len(log)}; they differ first at {at}"
        for event in log[self.first:]:
            try:
                self.tree.apply(event)
            except (ValueError, KeyError) as error:
                yield f"replaying {short(event)} {event['detected']}: {error!r}"
        replayed, listed = set(self.tree.paths()), set(self.grown(self.listing()).paths())
        if replayed != listed:
            yield f"only replayed: {sorted(replayed - listed)[:10]}; only listed: {sorted(listed - replayed)[:10]}"


def database(engine, run):
    """A database's URL, and how it is dropped."""
    if engine == "sqlite":
        return "", lambda: None
    base = os.environ.get("TRAMONTANE_TEST_POSTGRES") or "postgres://postgres@127.0.0.1:5432/postgres"
    server = base.rpartition("/")[0]
    name = f"tramontane_crashes_{run}"

    def psql(text):
        subprocess.run(["psql", "-qX", f"{server}/postgres", "-c", text], check=True)
    psql(f'create database "{name}"')
    return f"{server}/{name}", lambda: psql(f'drop database "{name}" with (force)')


def run(engine, cycles, seed):
    """All cycles on one engine."""
    began, dice = time.monotonic(), random.Random(seed)
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    sandbox = subprocess.Popen([BINARY, "sandbox"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=os.environ | {"TRAMONTANE_SANDBOX_LISTEN": f"127.0.0.1:{port}"})
    url, drop = database(engine, os.getpid())
    try:
        with tempfile.TemporaryDirectory() as place, House(
                allow_addresses="127.0.0.0/8", database_url=url, account_requests_per_minute=0,
                application_requests_per_minute=0,
                service_urls=",".join(f"{name}={base}/{name}" for name in SERVICES),
                oauth_clients=",".join(f"{name}=tramontane-sandbox:sandbox-secret" for name in SERVICES)) as house:
            readers = [Reader(house, name, authorize(house, name)) for name in SERVICES]
            readers.append(Reader(house, "local", house.connect("local", root=place)[0]))
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.begin()
            writers = [Writer("local", LocalFolder(place), seed, 0.03), Writer("dropbox", Dropbox(base, "dropbox"),
                       seed, 0.05), Writer("onedrive", OneDrive(base, "onedrive"), seed, 0.05)]
            for writer in writers:
                writer.start()
            starts = []
            for cycle in range(cycles):
                # The API writes as well, and what it writes is looked at right away.
                pokes = [threading.Thread(target=poke, args=(reader, f"poke{cycle}", dice.uniform(0, 0.8)), daemon=True)
                         for reader in readers]
                for one in pokes:
                    one.start()
                time.sleep(dice.uniform(0.1, 2.5))
                house.kill()
                starts.append(house.start())
                for writer in writers:
                    if writer.error:
                        raise SystemExit(f"FAILED: the writer of {writer.name}: {writer.error}")
                if cycle % 20 == 19:
                    print(f"{engine}: {cycle + 1} kills, {[len(reader.events) for reader in readers]} events",
                          flush=True)
            for writer in writers:
                writer.over.set()
            for writer in writers:
                writer.join()
            for reader in readers:
                reader.upload("the last")
                check(reader.wait_for("the last", 60), f"{engine}, {reader.label}: what is written in the end is told")
            while True:
                before = [len(reader.events) for reader in readers]
                time.sleep(8)
                if before == [len(reader.events) for reader in readers]:
                    break
            for reader in readers:
                reader.over.set()
            for reader in readers:
                reader.join()
            bad = False
            for reader in readers:
                wrong = [reader.error] if reader.error else list(reader.wrong())
                for one in wrong[:12]:
                    print(f"{engine}, {reader.label}: {one}", flush=True)
                bad |= bool(wrong)
            changes = sum(writer.count for writer in writers)
            events = sum(len(reader.events) for reader in readers)
            broken = sum(reader.broken for reader in readers)
            check(not bad, f"{engine}: after {cycles} kills each event is there once, and replaying them gives what is")
            return (f"{engine}: {cycles} kills, {changes} changes, {events} events, {broken} broken reads, "
                    f"starts {sum(starts) / max(len(starts), 1):.2f} s, {time.monotonic() - began:.0f} s")
    finally:
        sandbox.kill()
        sandbox.wait()
        drop()


def poke(reader, name, after):
    """Writes through the API; the server may be killed over it."""
    time.sleep(after)
    try:
        reader.upload(name)
    except (OSError, RuntimeError, ValueError, urllib.error.URLError):
        pass
    except Exception as error:
        print(f"a write broke off: {error!r}", flush=True)


def main():
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--cycles", type=int, default=5)
    parse.add_argument("--engine", choices=("sqlite", "postgres"), action="append")
    parse.add_argument("--seed", type=int, default=1)
    asked = parse.parse_args()
    engines = asked.engine or ["sqlite", "postgres"]
    told = [run(engine, asked.cycles, asked.seed) for engine in engines]
    print(f"note: {'; '.join(told)}")


if __name__ == "__main__":
    sys.exit(main())
