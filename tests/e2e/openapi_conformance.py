#!/usr/bin/env python3
"""Schemathesis drives the running server by the server's own OpenAPI document, with each kind of credential.

Every operation of the document is asked with good and with bad data, alone and in sequences, and every answer
is held against the document: status, headers, content type, schema; no fault of ours; credentials are needed
where the document says so; what is gone is gone. The seed is fixed.

SCHEMATHESIS_EXAMPLES sets how many cases each operation gets in the random part.
"""

import json
import os
import re
import subprocess

from house import ROOT, House, check

REQUIREMENT = "schemathesis==4.32.5"
SEED = "20260302"
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "6")

# These answer until someone goes away.
ENDLESS = ["streamEvents", "streamAllEvents"]
# These would take away what the test stands on; they are asked last.
ENDS = ["deleteAccount", "updateAccount", "deleteApplication", "updateApplication", "deleteApiKey", "revokeToken",
        "deleteSubscription"]
# Good data that is refused all the same: what the document cannot say.
OPAQUE = {
    "getTask": "a task that failed answers with its error",
    "uploadFile": "the URL to fetch from must answer",
    "completeMultipart": "all parts must have come",
    "putPart": "a part must have the size that the session says",
    "importAccount": "each service has its own members",
    "copyFolder": "a folder does not go into itself",
    "updateFolder": "a folder does not go into itself",
    "setFilePermissions": "addresses must be addresses",
    "changeFilePermissions": "addresses must be addresses",
    "setFolderPermissions": "addresses must be addresses",
    "changeFolderPermissions": "addresses must be addresses",
    "createWebhook": "the URL must answer",
    "createRedirectUri": "addresses must be addresses",
    "createTrustedDomain": "addresses must be addresses",
    "createServiceKey": "one for each service",
    "createUploadLocation": "the account must be one of the application",
    "updateUploadLocation": "the account must be one of the application",
    "createLink": "it is of a file or of a folder",
    "streamEvents": "places and filters have forms of their own",
    "streamAllEvents": "places and filters have forms of their own",
    "createSubscription": "folders must be named by their ids",
    "updateSubscription": "folders must be named by their ids",
    "listUsageReports": "the days must be in order and not too far apart",
    "authorize": "the application and its redirect URI must be known",
    "createOauthToken": "the client must show itself, with a code or token that it was given",
    "revokeOauthToken": "the client must show itself",
    "introspectOauthToken": "the client must show itself",
}


def venv():
    made = subprocess.run([str(ROOT / "scripts/venv"), "schemathesis", REQUIREMENT], check=True, text=True,
                          stdout=subprocess.PIPE)
    return made.stdout.strip()


def furnish(house, account):
    """Makes something of every kind, so that ids in paths name things that are there."""
    base = f"/v1/accounts/{account}/storage"

    def made(path, body, **options):
        answer = house.ask("POST", path, body, **options)
        check(answer.status in (200, 201), f"POST {path} makes something to ask for")
        return answer.json["id"]

    folder = made(f"{base}/folders", {"name": "Plans", "parent_id": "root"})
    files = [made(f"{base}/files", content, headers={
        "X-Kloudless-Metadata": json.dumps({"parent_id": folder, "name": name}),
        "Content-Type": "application/octet-stream"}) for name, content in [("a.txt", b"abc"), ("b.json", b"{}")]]
    link = made(f"{base}/links", {"file_id": files[0]})
    session = made(f"{base}/multipart", {"name": "parts.bin", "parent_id": "root"})
    return {"account": [str(account)], "file": files, "folder": ["root", folder], "parent": ["root"], "link": [link],
            "session": [str(session)], "subscription": ["default"], "name": ["local", "webdav"],
            "app": [house.application],
            "app_id": [house.application], "picture": ["local.svg"]}


def toml(value):
    """A value in TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    return json.dumps(value)


def settings(auth):
    """Schemathesis' settings, where they are not the usual ones."""
    checks = {
        # What a service cannot do is 501, with the reason: the answer of a server that is well.
        "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "501"]},
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "3xx", "401", "403", "404", "409", "412", "416", "501"]},
        # bad_data_is_refused in openapi_hooks.py knows what the contract takes beyond the document.
        "negative_data_rejection": {"enabled": False},
    }
    dictionaries = {"first page": ["1"], "no cursor": [""], "any tag": ["*"], "folders": ["root"],
                    "link options": ['{"direct": true}'], "deadlines": ["60000"],
                    "metadata": ['{"parent_id": "root", "name": "by header.txt"}']}
    parameters = {"query.page": "first page", "query.cursor": "no cursor", "query.parents": "folders",
                  "query.link_options": "link options", "header.If-Match": "any tag",
                  "header.Tramontane-Deadline": "deadlines", "header.X-Kloudless-Metadata": "metadata"}
    lines = ["warnings = false", "request-timeout = 60", f"checks = {toml(checks)}"]
    lines += [f"auth.openapi = {toml(auth)}"] if auth else []
    lines += [f"dictionaries.{json.dumps(name)} = {toml({'values': each})}" for name, each in dictionaries.items()]
    lines += [f"parameters.{json.dumps(name)} = {toml({'dictionary': word, 'probability': 1.0})}"
              for name, word in parameters.items()]
    for operation, why in OPAQUE.items():
        lines += [f"# {why}", "[[operations]]", f'include-operation-id = ["{operation}", "{operation}Head"]',
                  "checks.positive_data_acceptance.enabled = false"]
    # A token that is not good is 400 there: existing clients take it for exactly that (section 18.8).
    lines += ["[[operations]]", 'include-operation-id = ["verifyToken", "verifyTokenHead"]',
              "checks.ignored_auth.enabled = false"]
    return "\n".join(lines) + "\n"


def drive(program, house, name, auth, known, *options):
    """One run of schemathesis, whose output is shown when it finds something."""
    folder = house.folder / name
    folder.mkdir()
    (folder / "schemathesis.toml").write_text(settings(auth))
    done = subprocess.run(
        [f"{program}/bin/st", "--config-file", "schemathesis.toml", "run", f"{house.base}/v1/openapi.json",
         "--seed", SEED, "--max-examples", EXAMPLES, "--generation-database", "none", "--no-color",
         "--continue-on-failure", "--suppress-health-check", "all", *options],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | {
            "SCHEMATHESIS_HOOKS": "openapi_hooks", "PYTHONPATH": str(ROOT / "tests/e2e"),
            "TRAMONTANE_RUN": name, "TRAMONTANE_KNOWN": json.dumps(known)})
    lines = done.stdout.splitlines()
    if done.returncode != 0:
        print(done.stdout)
    print(f"{name}:", *(line.strip() for line in lines if line.startswith("==") or "generated" in line))
    return done.returncode == 0


def main():
    program = venv()
    with House() as house:
        shared = house.folder / "files"
        shared.mkdir()
        account, token = house.connect("local", root=shared)
        meta = re.search(r"tmm_[A-Za-z0-9_-]+", house.log.read_text()).group()
        known = furnish(house, account)
        key = {"application": {"api_key": f"APIKey {house.key}"}}
        bearer = {"account": {"bearer": token}}
        developer = {"meta": {"bearer": meta}}
        ends = [word for name in ENDS + ENDLESS for word in ("--exclude-operation-id", name)]
        last = [word for name in ENDS for word in ("--include-operation-id", name)]
        accounts = ["--include-path-regex", "^/v1/(accounts|oauth)"]
        developers = ["--include-path-regex", "^/v1/meta"]
        random = ["--phases", "fuzzing"]
        alone = ["--phases", "examples,coverage,fuzzing"]
        bodies = ["--exclude-method", "HEAD"]
        runs = [
            ("public paths", {}, ["--exclude-path-regex", "^/v1/(accounts|oauth|meta|events)", *alone]),
            ("an account's token", bearer, [*accounts, *ends, *bodies, *random]),
            ("an API key", key, [*accounts, *ends, *bodies]),
            ("an API key, HEAD", key, [*accounts, "--include-method", "HEAD", *random]),
            ("a meta token", developer, [*developers, *ends, *bodies]),
            ("an API key, the end", key, [*last, "--exclude-path-regex", "^/v1/meta", *alone]),
            ("a meta token, the end", developer, [*last, "--exclude-path-regex", "^/v1/accounts", *alone]),
        ]
        failed = [name for name, auth, options in runs if not drive(program, house, name, auth, known, *options)]
        check(not failed, f"the server does what its document says ({', '.join(failed)})")


main()
