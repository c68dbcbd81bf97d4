"""What schemathesis is told about this server: ids that are there, and what the contract allows beyond the document.

Ids are made by the server; a document can say what they look like, not which ones exist. Without them good
cases would meet nothing but 404. And the document tells how to ask properly, while the contract (sections 2.1
and 2.2 of the API) takes some things that are not proper: those, and nothing else, are let pass here.
"""

import itertools
import json
import os
import random
import re

import schemathesis

KNOWN = json.loads(os.environ["TRAMONTANE_KNOWN"])
CHOICE = random.Random(20260302)
COUNT = itertools.count()
# Members of bodies that name something.
MEMBERS = {"parent_id": "parent", "file_id": "file", "folder_id": "folder", "service": "name"}
BOOLEANS = re.compile("true|false|1|0|yes|no|on|off", re.IGNORECASE)
NUMBER = re.compile(r"\s*-?\d+\s*")


def is_mode(case, component, mode):
    """Whether this component of the case is meant to be right (positive) or wrong (negative)."""
    described = case.meta and next((info for place, info in case.meta.components.items()
                                    if place.value == component), None)
    return described is not None and described.mode.value == mode


@schemathesis.hook
def before_call(context, case, kwargs):
    if is_mode(case, "path", "positive"):
        for name, values in KNOWN.items():
            # Now and then the id that was made up stays.
            if name in case.path_parameters and CHOICE.random() < 0.85:
                case.path_parameters[name] = CHOICE.choice(values)
    if is_mode(case, "query", "positive") and case.query and case.query.get("wait"):
        # Nothing happens while they wait.
        case.query["wait"] = 1
    if is_mode(case, "header", "positive"):
        if case.headers.get("Idempotency-Key"):
            case.headers["Idempotency-Key"] = f"{os.environ['TRAMONTANE_RUN']} {next(COUNT)}"
        if case.method == "DELETE":
            # What is deleted later is not yet gone in the next step.
            case.headers.pop("X-Kloudless-Async", None)
    if is_mode(case, "body", "positive"):
        for body in case.body if isinstance(case.body, list) else [case.body]:
            if isinstance(body, dict):
                settle(body)


def settle(body):
    """Puts what is there into the members of a good body."""
    for name, kind in MEMBERS.items():
        if isinstance(body.get(name), str) and kind in KNOWN:
            body[name] = CHOICE.choice(KNOWN[kind])
    for name in ("name", "key"):
        if isinstance(body.get(name), str):
            # Disks take 255 bytes, properties 124.
            body[name] = body[name].replace("\0", "_")[:30]
    if isinstance(body.get("logo_url"), str):
        body["logo_url"] = "https://www.example.com/logo.png"
    if "service" not in body:
        # Another account is another account's test.
        body.pop("account", None)
    body.pop("source", None)


def resolve(schema, root):
    """What a reference refers to."""
    while "$ref" in schema:
        found = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    return schema


def lenient(value, schema, document):
    """Whether the contract takes a value that the document does not describe."""
    if not isinstance(schema, dict):
        return True
    schema = resolve(schema, document)
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return any(lenient(value, each, document) for each in schema[several])
    if "allOf" in schema:
        return all(lenient(value, each, document) for each in schema["allOf"])
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if value is None:
        return True  # a member that is null is a member that is not there
    if "object" in kinds:
        known = schema.get("properties", {})
        return (isinstance(value, dict) and all(value.get(name) is not None for name in schema.get("required", []))
                and all(lenient(each, known[name], document) for name, each in value.items() if name in known))
    if "array" in kinds and isinstance(value, list):
        return all(lenient(each, schema.get("items"), document) for each in value)
    if "boolean" in kinds:
        return isinstance(value, bool) or value == "" or bool(BOOLEANS.fullmatch(str(value).strip()))
    if "integer" in kinds:
        if isinstance(value, bool) or not NUMBER.fullmatch(str(value)):
            return value == ""
        return schema.get("minimum", int(value)) <= int(value) <= schema.get("maximum", int(value))
    if "string" in kinds or "enum" in schema:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            return False
        text = str(value)
        return text == "" or (text in schema.get("enum", [text]) and bool(re.search(schema.get("pattern", ""), text))
                              and schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text)))
    return True


@schemathesis.check
def bad_data_is_refused(context, response, case):
    """Bad data is refused, unless the contract says that it is taken all the same."""
    if not case.meta or case.meta.generation.mode.value != "negative" or not 200 <= response.status_code < 300:
        return
    if case.method.upper() != case.operation.method.upper():
        return
    if response.status_code == 202 or case.operation.label.endswith("/storage/batch"):
        return  # a task fails later, and each request of a batch is answered for itself
    document = case.operation.schema.raw_schema
    for component, values in (("query", case.query), ("header", case.headers)):
        if not is_mode(case, component, "negative"):
            continue
        described = {each["name"].lower(): each["schema"] for each in described_parameters(case, component)}
        for name, value in (values or {}).items():
            # The last of a name counts.
            value = value[-1] if isinstance(value, list) and value else value
            schema = described.get(name.lower())
            assert schema is None or lenient(value, schema, document), f"{component} {name}: {value!r} was taken"
    content = document["paths"][case.operation.path][case.operation.method.lower()].get("requestBody", {})
    schema = content.get("content", {}).get("application/json", {}).get("schema")
    if schema and is_mode(case, "body", "negative") and case.media_type == "application/json":
        body = {} if case.body is None else case.body
        assert lenient(body, schema, document), f"the body {body!r} was taken"


def described_parameters(case, component):
    operation = case.operation.schema.raw_schema["paths"][case.operation.path][case.operation.method.lower()]
    return [each for each in operation.get("parameters", []) if each["in"] == component]
