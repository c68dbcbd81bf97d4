"""A running server for the end-to-end tests: starts, asks, connects, kills, measures. Standard library only."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TRAMONTANE_BIN") or str(ROOT / "target/release/tramontane")
PENDING = ("PENDING", "RECEIVED", "STARTED", "UNKNOWN")


def free_port(host="127.0.0.1"):
    """A port that nothing listens on now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def check(condition, what):
    """Ends the test with `what` unless the condition holds."""
    if not condition:
        raise SystemExit(f"FAILED: {what}")
    print(f"ok: {what}", flush=True)


def upstream(name):
    """The address of a test server, from `scripts/upstreams env`."""
    value = os.environ.get(name)
    if not value:
        raise SystemExit(f'{name} is not set. Run: scripts/upstreams start; eval "$(scripts/upstreams env)"')
    return value


class Answer:
    """What the server answered."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:400]!r}"


class House:
    """One server with a data directory of its own, and the commands that set it up. It listens on a free port of
    127.0.0.1 unless `listen` names an address and port."""

    def __init__(self, **settings):
        self.folder = Path(tempfile.mkdtemp(prefix="tramontane-e2e-"))
        self.listen = settings.pop("listen", None) or f"127.0.0.1:{free_port()}"
        self.base = f"http://{self.listen}"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("TRAMONTANE_", "DATABASE_"))}
        self.environment |= {"TRAMONTANE_DATA_DIR": str(self.folder / "data"), "TRAMONTANE_LISTEN": self.listen}
        self.environment |= {f"TRAMONTANE_{key.upper()}": str(value) for key, value in settings.items()}
        self.log = self.folder / "server.log"
        self.process = None
        self.application = self.key = None

    def __enter__(self):
        self.start()
        made = self.command("app", "create", "end to end")
        self.application, self.key = made["id"], made["api_key"]
        return self

    def __exit__(self, kind, error, trace):
        self.stop()
        if error is not None and self.log.exists():
            print("--- the end of the server's log", file=sys.stderr)
            print("\n".join(self.log.read_text(errors="replace").splitlines()[-40:]), file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        """Starts the server; returns the seconds until its first answer."""
        began = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([BINARY, "serve"], env=self.environment, stdout=log, stderr=log)
        while time.monotonic() - began < 30:
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")
            try:
                with urllib.request.urlopen(f"{self.base}/healthz", timeout=5) as answer:
                    if answer.status == 200:
                        return time.monotonic() - began
            except OSError:
                time.sleep(0.005)
        raise SystemExit(f"the server does not answer:\n{self.log.read_text()[-3000:]}")

    def stop(self):
        """Asks it to drain, and insists after 40 seconds."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def kill(self):
        """Ends it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def memory(self, field="VmRSS"):
        """Resident bytes of the server: now, or at most so far (`VmHWM`)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        return 0

    def command(self, *words):
        """Runs a command of the binary with --json and returns what it printed."""
        done = subprocess.run([BINARY, *words, "--json"], env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"tramontane {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def connect(self, service, **settings):
        """Connects an account; returns its id and token."""
        words = ["account", "connect", "--app", self.application, "--service", service]
        for name, value in settings.items():
            words += ["--set", f"{name}={value}"]
        made = self.command(*words)
        return made["id"], made["token"]

    def ask(self, method, path, body=None, token=None, headers=None, timeout=120):
        """Sends one request: with the API key, or an account's token. `body` is JSON unless it is bytes."""
        sent = {"Authorization": f"Bearer {token}" if token else f"APIKey {self.key}"} | (headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(self.base + path, data=body, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as refused:
            return Answer(refused.code, refused.headers, refused.read())

    def listing(self, account, folder="root"):
        """All objects of a folder, page by page."""
        found, page = [], ""
        while True:
            answer = self.ask("GET", f"/v1/accounts/{account}/storage/folders/{folder}/contents?page={page}")
            if answer.status != 200:
                raise SystemExit(f"listing {folder} of {account}: {answer}")
            found += answer.json["objects"]
            page = answer.json["next_page"]
            if page is None:
                return found

    def entry(self, account, name, folder="root"):
        """The object with this name in a folder, or None."""
        return next((item for item in self.listing(account, folder) if item["name"] == name), None)


CALLBACK = "http://127.0.0.1/callback"


class Fields(HTMLParser):
    """The hidden fields of a form."""

    def __init__(self, page):
        super().__init__()
        self.found = {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "input" and attrs.get("type") == "hidden":
            self.found[attrs["name"]] = attrs.get("value", "")


class Stay(urllib.request.HTTPRedirectHandler):
    """Hands redirects out instead of following them."""

    def redirect_request(self, *_):
        return None


def authorize(house, service, person="ana"):
    """Connects an account of a simulated service the way an end user does, with the sandbox's one-click consent;
    returns its id. The application is the one that the server's first start made: its meta token is at hand."""
    if getattr(house, "meta", None) is None:
        log = house.log.read_text()
        house.meta, house.key = (re.search(rf"{mark}_[A-Za-z0-9_-]+", log).group(0) for mark in ("tmm", "tmk"))
        listed = house.ask("GET", "/v1/meta/applications", token=house.meta).json["objects"]
        house.application = next(one["id"] for one in listed if one["id"] != house.application)
        house.ask("POST", f"/v1/meta/applications/{house.application}/redirect_uris", {"url": CALLBACK},
                  token=house.meta)
    browser = urllib.request.build_opener(Stay, urllib.request.HTTPCookieProcessor(CookieJar()))
    asked = {"client_id": house.application, "response_type": "code", "redirect_uri": CALLBACK, "state": "x",
             "scope": service}
    url, form = f"{house.base}/v1/oauth?{urlencode(asked)}", None
    for _ in range(12):
        try:
            with browser.open(url, data=form, timeout=30) as page:
                fields = Fields(page.read().decode()).found | {"person": person}
                form = urlencode(fields).encode()
        except urllib.error.HTTPError as moved:
            if not 300 <= moved.code < 400:
                raise SystemExit(f"{service}: {moved.code} at {url}: {moved.read()[:300]}") from None
            url, form = urljoin(url, moved.headers["Location"]), None
            if url.startswith(CALLBACK):
                break
    told = parse_qs(urlsplit(url).query)
    if "code" not in told:
        raise SystemExit(f"{service} was not connected: {url}")
    spent = {"grant_type": "authorization_code", "code": told["code"][0], "client_id": house.application,
             "client_secret": house.key, "redirect_uri": CALLBACK}
    answer = house.ask("POST", "/v1/oauth/token", urlencode(spent).encode(),
                       headers={"Content-Type": "application/x-www-form-urlencoded"})
    if answer.status != 200:
        raise SystemExit(f"{service}: the code was not exchanged: {answer}")
    return house.ask("GET", "/v1/accounts/me", token=answer.json["access_token"]).json["id"]


def sftp_account(house, **settings):
    """Connects the OpenSSH server, with the key that it should show."""
    place = urlsplit(upstream("TRAMONTANE_TEST_SFTP"))
    return house.connect("sftp", host=place.hostname, port=place.port, username=place.username,
                         password=place.password, host_key=upstream("TRAMONTANE_TEST_SFTP_HOST_KEY"), **settings)


def s3_account(house, **settings):
    """Connects the SeaweedFS server."""
    place = urlsplit(upstream("TRAMONTANE_TEST_S3"))
    return house.connect("s3_compatible", endpoint=f"http://{place.hostname}:{place.port}", addressing="path",
                         access_key=place.username, secret_key=place.password, **settings)


def s3(method, path, **options):
    """Asks the S3 server directly, past Tramontane, with curl's own signing. Returns curl's standard output."""
    place = urlsplit(upstream("TRAMONTANE_TEST_S3"))
    return subprocess.run(
        ["curl", "-sS", "-X", method, "--aws-sigv4", "aws:amz:us-east-1:s3", "-u",
         f"{place.username}:{place.password}", f"http://{place.hostname}:{place.port}{path}"],
        check=True, stdout=options.get("stdout", subprocess.PIPE)).stdout
