#!/usr/bin/env python3
"""A bucket whose events go to a queue (moto's S3 and SQS): what happens in it is told, and the queue is emptied.

    tests/e2e/bucket_events.py
"""

import json
import os
import sys
import time
import urllib.parse
import urllib.request

from house import House, check, upstream

RUN = f"events-{os.getpid()}"
OWNER = "123456789012"
# Seconds that a change may take to come.
PATIENCE = 120
NOTIFY = f"""<NotificationConfiguration><QueueConfiguration><Queue>arn:aws:sqs:us-east-1:{OWNER}:{RUN}</Queue>
<Event>s3:ObjectCreated:*</Event><Event>s3:ObjectRemoved:*</Event></QueueConfiguration></NotificationConfiguration>"""


class Cloud:
    """moto, which takes any signature but wants to see for which service it is."""

    def __init__(self, base):
        self.base = base

    def ask(self, service, method, path, body=b"", **headers):
        scope = f"Credential=test/20260101/us-east-1/{service}/aws4_request"
        sent = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.base + path, data=body or None, method=method, headers=sent)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def s3(self, method, path, body=b""):
        return self.ask("s3", method, urllib.parse.quote(path, safe="/?=&"), body, Content_Type="application/xml")

    def sqs(self, action, **asked):
        said = self.ask("sqs", "POST", "/", json.dumps(asked).encode(), X_Amz_Target=f"AmazonSQS.{action}",
                        Content_Type="application/x-amz-json-1.0")
        return json.loads(said or b"{}")


def until(what, found):
    """Waits for something; returns it."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        if it := found():
            return it
        time.sleep(0.5)
    raise SystemExit(f"FAILED: {what} did not come")


def main():
    place = urllib.parse.urlsplit(upstream("TRAMONTANE_TEST_S3_MOTO"))
    cloud = Cloud(f"http://{place.hostname}:{place.port}")
    cloud.sqs("CreateQueue", QueueName=RUN)
    queue = f"{cloud.base}/{OWNER}/{RUN}"
    cloud.s3("PUT", f"/{RUN}")
    cloud.s3("PUT", f"/{RUN}/here/before.txt", b"before")
    cloud.s3("PUT", f"/{RUN}?notification", NOTIFY.encode())
    try:
        with House(allow_addresses="127.0.0.0/8") as house:
            account, token = house.connect(
                "s3_compatible", endpoint=cloud.base, addressing="path", access_key="test", secret_key="test",
                bucket=RUN, sqs_queue_url=queue)

            def events():
                page = house.ask("GET", f"/v1/accounts/{account}/events?cursor=0", token=token).json
                # That the account was connected is told as well.
                return [event for event in page["objects"] if event["event_category"] == "storage"]

            def waiting():
                said = cloud.sqs("GetQueueAttributes", QueueUrl=queue, AttributeNames=["All"])["Attributes"]
                return sum(int(said[f"ApproximateNumberOfMessages{name}"]) for name in ("", "NotVisible"))

            def told(*wanted):
                shown = [(event["type"], event["metadata"].get("path")) for event in events()]
                return shown if set(wanted) <= set(shown) else None

            until("an empty queue", lambda: waiting() == 0)
            cloud.s3("PUT", f"/{RUN}/a new/földer/a+b c.txt", b"one")
            until("the new file", lambda: told(("add", "/a new/földer/a+b c.txt"), ("add", "/a new/földer")))
            check(True, "a file with an odd name in folders that nobody knew is told")
            cloud.s3("PUT", f"/{RUN}/here/before.txt", b"after that")
            until("the changed file", lambda: told(("update", "/here/before.txt")))
            check(True, "a changed file is told")
            cloud.s3("DELETE", f"/{RUN}/a new/földer/a+b c.txt")
            shown = until("the deleted folder", lambda: told(("delete", "/a new")))
            check(True, "what went with its last key is told as the folder that went")
            check(len(shown) == len(set(shown)) == 5, f"everything is told once: {shown}")
            until("an empty queue", lambda: waiting() == 0)
            check(True, "what was heard was taken out of the queue")
    finally:
        cloud.sqs("DeleteQueue", QueueUrl=queue)


if __name__ == "__main__":
    sys.exit(main())
