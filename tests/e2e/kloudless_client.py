#!/usr/bin/env python3
"""The published client of the API that ours is compatible with, unchanged, pointed at our server."""

import os
import subprocess
import sys
import time

from house import ROOT, House, check

REQUIREMENTS = ["kloudless==2.0.1", "requests==2.34.2", "python-dateutil==2.9.0.post0", "six==1.17.0"]

if "kloudless-venv" not in os.environ:
    made = subprocess.run([str(ROOT / "scripts/venv"), "kloudless", *REQUIREMENTS], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()
    os.environ["kloudless-venv"] = made
    os.execv(f"{made}/bin/python", [f"{made}/bin/python", *sys.argv])

import json  # noqa: E402

import kloudless  # noqa: E402
from kloudless import exceptions  # noqa: E402


def upload(account, name, content, parent="root", **options):
    return account.post("storage/files", data=content, headers={
        "X-Kloudless-Metadata": json.dumps({"parent_id": parent, "name": name}),
        "Content-Type": "application/octet-stream"}, **options)


def raises(kind, action):
    try:
        action()
    except kind:
        return True
    return False


def paging(account):
    folder = account.post("storage/folders", json={"name": "many", "parent_id": "root"})
    check(folder.data["type"] == "folder" and folder.status_code == 201, "a folder is created")
    wanted = {f"file {number:02}.txt" for number in range(25)}
    for name in sorted(wanted):
        upload(account, name, name.encode(), folder.data["id"])
    first = folder.get("contents", params={"page_size": 4})
    check(len(first.objects) == 4 and first.next_page, "a page holds what was asked for and names the next")
    seen = [item.data["name"] for item in first.get_paging_iterator()]
    check(len(seen) == 25 and set(seen) == wanted, "the paging iterator gives each file once")
    some = [item for item in first.get_paging_iterator(max_resources=9)]
    check(len(some) == 9, "the paging iterator stops when it has enough")
    last = folder.get("contents")
    check(len(last.objects) == 25 and raises(exceptions.NoNextPage, last.get_next_page), "the last page has no next")
    check({item.get().data["name"] for item in last.objects[:3]} <= wanted, "each object's href retrieves it")
    return folder


def files(account, folder):
    content = os.urandom(3 * 1024 * 1024 + 17)
    file = upload(account, "übung 1.bin", content)
    check(file.data["size"] == len(content) and file.data["name"] == "übung 1.bin", "a file is uploaded")
    downloaded = file.get("contents")
    check(downloaded.content == content, "the download is the same bytes")
    streamed = account.get(f"storage/files/{file.data['id']}/contents", get_raw_response=True)
    check(b"".join(streamed.iter_content(65536)) == content, "a streamed download is the same bytes")
    file.refresh()
    check(file.data["name"] == "übung 1.bin", "an object refreshes itself")

    replaced = file.put(data=b"second content", headers={"Content-Type": "application/x-www-form-urlencoded"})
    check(replaced.data["size"] == 14, "content is replaced, whatever type it is declared as")

    renamed = replaced.patch(json={"name": "renamed.bin"})
    check(renamed.data["name"] == "renamed.bin", "a file is renamed")
    moved = renamed.patch(json={"parent_id": folder.data["id"]})
    check(moved.data["parent"]["id"] == folder.data["id"], "a file is moved")
    copied = moved.post("copy", json={"parent_id": "root", "name": "copy.bin"})
    check(copied.status_code == 201 and copied.get("contents").content == b"second content", "a file is copied")
    beside = upload(account, "copy.bin", b"third")
    check(beside.data["name"] == "copy (1).bin", "an upload onto a taken name is kept beside")
    over = upload(account, "copy.bin", b"fourth", params={"overwrite": True})
    check(over.data["name"] == "copy.bin" and over.status_code == 200, "an upload replaces when asked to")
    check(raises(exceptions.APIException, lambda: moved.patch(json={"name": "file 01.txt"})),
          "a rename onto a taken name is refused")
    raw = copied.get(get_raw_data=True)
    check("raw" in raw.data, "raw data is added on request")

    found = account.get("storage/search", params={"q": "copy"})
    check({"copy.bin", "copy (1).bin"} <= {item.data["name"] for item in found}, "search finds by name")
    recent = account.get("storage/recent", params={"page_size": 5})
    check(len(list(recent.get_paging_iterator(max_resources=12))) == 12, "recent files are paged by number")
    over.delete()
    check(raises(exceptions.NotFoundException, lambda: over.get()), "a deleted file is gone")
    check(raises(exceptions.ForbiddenException, lambda: folder.delete()), "a folder with content is not deleted")
    gone = folder.delete(params={"recursive": True})
    check(gone.status_code == 204, "a folder is deleted with its content")
    check([item.data["name"] for item in account.get("storage/folders/root/contents")] == ["copy (1).bin"],
          "what is left is what should be")


def multipart(account):
    size = 6 * 1024 * 1024
    session = account.post("storage/multipart", json={"parent_id": "root", "name": "parts.bin", "size": size})
    content, part = os.urandom(size), session.data["part_size"]
    for number in range(session.data["part_count"]):
        sent = session.put(data=content[number * part:(number + 1) * part], params={"part_number": number + 1})
        check(sent.status_code == 200, f"part {number + 1} is taken")
    file = session.post("complete")
    check(file.get("contents").content == content, "the parts make the file")


def events(account, shared, word):
    """What happens in a folder arrives as events, by the cursor and by the iterator of the client. `word` tells
    these files from others."""
    latest = account.get("events/latest")
    check(latest.data["type"] == "cursor", "the newest cursor is told")
    cursor, seen, deadline = latest.data["cursor"], [], time.monotonic() + 180

    def read(wait):
        page = account.get("events", params={"cursor": read.cursor, "page_size": 5, "wait": wait})
        seen.extend(page.get_paging_iterator())
        read.cursor = page.latest_cursor
        return page

    def named(word, kind):
        return [event for event in seen if event.data["metadata"]["name"].startswith(word)
                and event.data["type"] == kind]

    read.cursor = cursor
    tries = 0
    while not named(f"begin {word}", "add"):
        # What was there before the account was first looked at is no event.
        check(time.monotonic() < deadline, f"events begin to arrive (try {tries})")
        (shared / f"begin {word} {tries}.txt").write_bytes(f"begin {word} {tries}".encode())
        tries += 1
        read(2)
    wanted = {f"event {word} {number:02}.txt" for number in range(12)}
    for name in sorted(wanted):
        (shared / name).write_bytes(name.encode())
    while {event.data["metadata"]["name"] for event in named(f"event {word}", "add")} != wanted:
        check(time.monotonic() < deadline, f"events of new files arrive; so far {len(seen)}")
        page = read(20)
    numbers = [event.data["sequence"] for event in seen]
    check(numbers == list(range(int(cursor) + 1, int(cursor) + 1 + len(numbers))), "sequence numbers have no gaps")
    check(str(numbers[-1]) == read.cursor, "the cursor is the number of the last event")
    added = named(f"event {word}", "add")
    check(all(event.data["action"] == "+" for event in added), "they are additions")
    check(len(list(page.get_paging_iterator(max_resources=3))) <= 3, "the iterator stops when it has enough")
    one = account.get(f"events/{added[0].data['id']}")
    check(one.data == added[0].data, "one event is read by its id")
    metadata = added[0].data["metadata"]
    check(account.get(f"storage/files/{metadata['id']}").data["name"] == metadata["name"],
          "an event's metadata names the object")
    (shared / f"event {word} 00.txt").unlink()
    while not named(f"event {word}", "delete"):
        check(time.monotonic() < deadline, "the event of a deletion arrives")
        read(20)
    gone = named(f"event {word}", "delete")[0].data["metadata"]
    check(gone["id"] and gone["name"] == f"event {word} 00.txt", "a deletion says what is gone")
    check(len({event.data["id"] for event in seen}) == len(seen), "each event comes once")
    check(raises(exceptions.APIException, lambda: account.get("events", params={"cursor": "99999999"})),
          "a cursor beyond the newest event is refused")
    for file in shared.glob("*.txt"):
        file.unlink()


def raw(house):
    """The pass-through API, against a WebDAV server."""
    from urllib.parse import urlsplit

    from house import upstream
    place = urlsplit(upstream("TRAMONTANE_TEST_WEBDAV"))
    _, token = house.connect("webdav", url=f"http://{place.hostname}:{place.port}/", username=place.username,
                             password=place.password)
    account = kloudless.Account(token=token)
    answer = account.raw("PROPFIND", "/", raw_headers={"Depth": "0"}, headers={"Content-Type": "text/xml"})
    check(answer.status_code == 207 and b"multistatus" in answer.content.lower(), "raw reaches the service")
    name = f"raw-{os.getpid()}.txt"
    put = account.raw("PUT", f"/{name}", data=b"written raw", headers={"Content-Type": "text/plain"})
    got = account.raw("GET", f"/{name}")
    check(put.status_code in (201, 204) and got.content == b"written raw", "raw carries a body there and back")
    check(account.raw("DELETE", f"/{name}", json={}).status_code == 204, "raw deletes")


def main():
    from urllib.parse import urlsplit

    from house import upstream
    place = urlsplit(upstream("TRAMONTANE_TEST_WEBDAV"))
    with House(allow_addresses=f"{place.hostname}:{place.port}") as house:
        kloudless.configuration["base_url"] = house.base
        shared = house.folder / "files"
        shared.mkdir()
        number, token = house.connect("local", root=shared)

        verified = kloudless.get_verified_account(house.application, token)
        check(verified.get().data["id"] == number, "the token is verified and the account is retrieved")
        keyed = kloudless.Account(api_key=house.key, account_id=number)
        check(keyed.get(params={"retrieve_full": False}).data["service"] == "local", "an API key reaches the account")
        client = kloudless.Client(api_key=house.key)
        check(number in [item.data["id"] for item in client.get("accounts").get_paging_iterator()],
              "accounts are listed")
        check(raises(exceptions.ForbiddenException, lambda: kloudless.Account(token="nonsense").get()),
              "a wrong token is refused as the client expects")
        for word, account in (("token", verified), ("key", keyed)):
            files(account, paging(account))
            multipart(account)
            for item in account.get("storage/folders/root/contents").get_paging_iterator():
                item.delete()
            events(account, shared, word)
        raw(house)


main()
