#!/usr/bin/env python3
"""A large file from SFTP to S3 and back, as tasks: same hash, bounded memory, and no trace of a copy that was killed.

TRAMONTANE_E2E_GIGABYTES is the size of the file; 0.2 when it is not set, 5 for the figures in docs/performance.md.
"""

import hashlib
import os
import pwd
import random
import struct
import subprocess
import sys
import time
import xml.etree.ElementTree
from pathlib import Path
from urllib.parse import urlsplit

from house import PENDING, House, check, s3, s3_account, sftp_account, upstream

BYTES = int(float(os.environ.get("TRAMONTANE_E2E_GIGABYTES") or 0.2) * 1e9)
# What a copy may add to the resident memory of an idle server.
ROOM = 64 << 20
BLOCK = 1 << 20
RUN = f"across-{os.getpid()}"


def login():
    """The folder of the SFTP server's user, who is one of this machine, and their numbers."""
    user = pwd.getpwnam(urlsplit(upstream("TRAMONTANE_TEST_SFTP")).username)
    return Path(user.pw_dir), user.pw_uid, user.pw_gid


def make(path):
    """Writes the source: no two blocks are alike, and none is zero. Returns its hash."""
    noise = random.Random(2).randbytes(BLOCK - 8)
    hasher = hashlib.sha256()
    with open(path, "wb") as file:
        for number in range(-(-BYTES // BLOCK)):
            block = (struct.pack("<Q", number) + noise)[:BYTES - number * BLOCK]
            hasher.update(block)
            file.write(block)
    return hasher.hexdigest()


def hash_of_object(key):
    """The hash of an object, read from the S3 server past Tramontane."""
    place = urlsplit(upstream("TRAMONTANE_TEST_S3"))
    words = ["curl", "-sSf", "--aws-sigv4", "aws:amz:us-east-1:s3", "-u", f"{place.username}:{place.password}",
             f"http://{place.hostname}:{place.port}/{RUN}/{key}"]
    hasher = hashlib.sha256()
    with subprocess.Popen(words, stdout=subprocess.PIPE) as reading:
        while piece := reading.stdout.read(BLOCK):
            hasher.update(piece)
    return hasher.hexdigest() if reading.returncode == 0 else None


def hash_of_file(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keys():
    """What the bucket shows, asked past Tramontane."""
    listed = xml.etree.ElementTree.fromstring(s3("GET", f"/{RUN}?list-type=2"))
    return {found.text for found in listed.iter() if found.tag.endswith("}Key") or found.tag == "Key"}


def begin(house, account, file, other, folder, name):
    """Asks for a copy as a task; returns the task's path."""
    answer = house.ask("POST", f"/v1/accounts/{account}/storage/files/{file}/copy",
                       {"account": other, "parent_id": folder, "name": name}, headers={"X-Kloudless-Async": "true"})
    if answer.status != 202:
        raise SystemExit(f"FAILED: the copy is no task: {answer}")
    return f"/v1/accounts/{account}/tasks/{answer.json['id']}"


def wait(house, task, until=lambda info: False, seconds=1800):
    """Asks until the task has ended or `until` holds for what it tells of itself; returns the last answer."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        answer = house.ask("GET", task)
        pending = answer.status == 200 and answer.json.get("type") == "task" and answer.json["state"] in PENDING
        if not pending or until(answer.json["info"]):
            return answer
        time.sleep(0.05)
    raise SystemExit(f"FAILED: the task did not end within {seconds} s: {answer}")


def copy(house, what, *asked):
    """One whole copy: returns what it made, after checking the memory it took."""
    Path(f"/proc/{house.process.pid}/clear_refs").write_text("5")  # the peak counts from here
    idle, began = house.memory(), time.monotonic()
    answer = wait(house, begin(house, *asked))
    took, peak = time.monotonic() - began, house.memory("VmHWM")
    check(answer.status == 200 and answer.json["size"] == BYTES, f"{what}: the task made a file of {BYTES} bytes")
    print(f"{what}: {BYTES / 1e6 / took:.0f} MB/s, {took:.1f} s; resident {idle / 2**20:.1f} MiB idle, "
          f"{peak / 2**20:.1f} MiB at most")
    check(peak - idle < ROOM, f"{what}: at most {(peak - idle) / 2**20:.1f} of 64 MiB above idle")
    return answer.json, (peak - idle) / 2**20, BYTES / 1e6 / took


def killed(house, what, visible, whole, *asked):
    """A copy whose server is killed midway, and what the next start makes of it."""
    task = begin(house, *asked)
    answer = wait(house, task, lambda info: info["bytes_done"] > BYTES // 4)
    check(answer.json.get("type") == "task", f"{what}: the server is killed while the task is under way")
    done = answer.json["info"]["bytes_done"]
    house.kill()
    check(not visible(), f"{what}: killed after {done / BYTES:.0%}, nothing partial is visible")
    house.start()
    answer = wait(house, task)
    if answer.status == 200:
        check(answer.json["size"] == BYTES and whole(), f"{what}: the task went on, and the hash is right")
        return "went on and finished"
    check(answer.status >= 400 and answer.json["error_code"], f"{what}: the task says that it failed")
    check(not visible(), f"{what}: it left nothing visible")
    return f"failed with {answer.json['error_code']}"


def main():
    place, uid, gid = login()
    place = place / RUN
    place.mkdir()
    source = place / "source.bin"
    allowed = ",".join(urlsplit(upstream(f"TRAMONTANE_TEST_{name}")).netloc.rpartition("@")[2]
                       for name in ("SFTP", "S3"))
    s3("PUT", f"/{RUN}")
    try:
        wanted = make(source)
        for path in (place, source):
            os.chown(path, uid, gid)
        with House(allow_addresses=allowed) as house:
            sftp, _ = sftp_account(house)
            bucket, _ = s3_account(house)
            folder = house.entry(sftp, RUN)["id"]
            file = house.entry(sftp, "source.bin", folder)["id"]
            target = house.entry(bucket, RUN)["id"]

            made, grown, speed = copy(house, "SFTP to S3", sftp, file, bucket, target, "copied.bin")
            check(hash_of_object("copied.bin") == wanted, "SFTP to S3: the hash is the same")
            _, back_grown, back_speed = copy(house, "S3 to SFTP", bucket, made["id"], sftp, folder, "back.bin")
            check(hash_of_file(place / "back.bin") == wanted, "S3 to SFTP: the hash is the same")
            (place / "back.bin").unlink()

            ended = killed(house, "SFTP to S3", lambda: "killed.bin" in keys(),
                           lambda: hash_of_object("killed.bin") == wanted, sftp, file, bucket, target, "killed.bin")
            back_ended = killed(house, "S3 to SFTP",
                                lambda: (place / "killed.bin").exists() or house.process.poll() is None
                                and house.entry(sftp, "killed.bin", folder) is not None,
                                lambda: hash_of_file(place / "killed.bin") == wanted,
                                bucket, made["id"], sftp, folder, "killed.bin")
            check({item["name"] for item in house.listing(bucket, target)} <= {"copied.bin", "killed.bin"}
                  and keys() <= {"copied.bin", "killed.bin"}, "the bucket holds the copies and nothing else")
            print(f"note: {BYTES / 1e9:g} GB: to S3 {speed:.0f} MB/s and {grown:.1f} MiB above idle, to SFTP "
                  f"{back_speed:.0f} MB/s and {back_grown:.1f} MiB; killed midway, the tasks {ended}; {back_ended}")
    finally:
        for key in keys():
            s3("DELETE", f"/{RUN}/{key}")
        s3("DELETE", f"/{RUN}")
        subprocess.run(["rm", "-rf", str(place)], check=False)


sys.exit(main())
