#!/usr/bin/env python3
"""Dropbox's own SDK against the simulated Dropbox: every function of it is called, and every answer goes through the
SDK's validators, strictly: a member that Dropbox does not know fails, too."""

import os
import subprocess
import sys

from house import BINARY, ROOT, check, free_port

if "dropbox-venv" not in os.environ:
    made = subprocess.run([str(ROOT / "scripts/venv"), "dropbox", "dropbox==12.0.2"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()
    os.environ["dropbox-venv"] = made
    os.execv(f"{made}/bin/python", [f"{made}/bin/python", *sys.argv])

import datetime  # noqa: E402
import hashlib  # noqa: E402
import hmac  # noqa: E402
import http.server  # noqa: E402
import json  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
import urllib.parse  # noqa: E402
import urllib.request  # noqa: E402

import dropbox  # noqa: E402
import requests  # noqa: E402
from dropbox import common, dropbox_client, exceptions, file_properties, files, sharing, stone_serializers, team  # noqa: E402  # noqa: E402

CLIENT, SECRET = "tramontane-sandbox", "sandbox-secret"
TEAM_SCOPE = ("team_info.read team_data.member members.read groups.read account_info.read files.metadata.read "
              "files.content.read files.content.write")
called = set()


class Elsewhere(requests.adapters.HTTPAdapter):
    """Sends what is meant for Dropbox to the simulation."""

    def __init__(self, base):
        super().__init__(max_retries=0)
        self.base = base

    def send(self, request, **options):
        there = urllib.parse.urlsplit(request.url)
        called.add(there.path.removeprefix("/2/"))
        request.url = self.base + there.path + (f"?{there.query}" if there.query else "")
        return super().send(request, **options)


def strict(session_base):
    """A session to the simulation; and the SDK's decoder told to refuse what it does not know."""
    session = requests.Session()
    session.mount("https://", Elsewhere(session_base))
    return session


plain_decode = stone_serializers.json_compat_obj_decode


def strict_decode(data_type, obj, *words, **options):
    options["strict"] = True
    return plain_decode(data_type, obj, *words, **options)


def refused(kind, action, *words):
    """Whether a call is refused with this error, whose text holds these words."""
    try:
        action()
    except kind as error:
        told = str(getattr(error, "error", error)) + str(error)
        missing = [word for word in words if word not in told]
        if missing:
            print(f"  {missing} not in {told}")
        return not missing
    return False


def check_alive(process):
    if process.poll() is not None:
        raise SystemExit(f"the sandbox ended with {process.returncode}")


class World:
    def __init__(self):
        self.port = free_port()
        self.root = f"http://127.0.0.1:{self.port}"
        self.base = f"{self.root}/dropbox"
        serve = os.environ.get("TRAMONTANE_SANDBOX_BIN")
        if serve:
            command = [serve, "--listen", f"127.0.0.1:{self.port}", "--seed", "1"]
        else:
            command = [BINARY, "sandbox", "--seed", "1"]
        environment = os.environ | {"TRAMONTANE_SANDBOX_LISTEN": f"127.0.0.1:{self.port}"}
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        for _ in range(600):
            # Somebody else may have taken the port: what answers there then is not ours.
            check_alive(self.process)
            try:
                urllib.request.urlopen(self.root, timeout=5).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("the sandbox does not answer")

    def control(self, path, body, method="POST"):
        answer = requests.request(method, f"{self.root}/_sandbox{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.text else None

    def token(self, person, scope=""):
        return self.control("/dropbox/grants", {"person": person, "scope": scope})["access_token"]

    def client(self, person):
        return dropbox.Dropbox(self.token(person), session=strict(self.base), max_retries_on_error=0,
                               max_retries_on_rate_limit=0)


def accounts(world, dbx):
    me = dbx.users_get_current_account()
    check(me.email == "ana@example.com" and len(me.account_id) == 40, "the current account is told")
    check(isinstance(me.root_info, common.UserRootInfo), "with the root of its namespaces")
    usage = dbx.users_get_space_usage()
    check(usage.allocation.is_team() and usage.allocation.get_team().allocated == 15 << 30, "space is told")
    check(dbx.users_get_account(me.account_id).name.display_name == "Ana Alves", "an account is found by its id")
    check(dbx.users_get_account_batch([me.account_id])[0].is_teammate, "and several at once")
    missing = "dbid:" + "A" * 35
    check(refused(exceptions.ApiError, lambda: dbx.users_get_account(missing), "no_account"), "or not")
    check(dbx.check_user("echo").result == "echo", "the check echoes")
    rooted = dbx.with_path_root(common.PathRoot.root(me.root_info.root_namespace_id))
    check(rooted.files_list_folder("").entries == [], "a path root that is right is taken")
    elsewhere = dbx.with_path_root(common.PathRoot.root("1"))
    check(refused(exceptions.PathRootError, lambda: elsewhere.files_list_folder(""), "invalid_root"),
          "one that is wrong is told apart")
    wrong = dropbox.Dropbox("nonsense", session=strict(world.base))
    check(refused(exceptions.AuthError, wrong.users_get_current_account, "invalid_access_token"), "a wrong token")
    narrow = dropbox.Dropbox(world.token("ana", "account_info.read"), session=strict(world.base))
    check(refused(exceptions.AuthError, lambda: narrow.files_list_folder(""), "missing_scope", "files.metadata.read"),
          "a missing scope is named")


def tree(dbx):
    top = dbx.files_create_folder_v2("/Top").metadata
    check(top.id.startswith("id:") and top.path_lower == "/top" and top.path_display == "/Top", "a folder is made")
    check(refused(exceptions.ApiError, lambda: dbx.files_create_folder_v2("/TOP"), "conflict", "folder"), "once")
    check(dbx.files_create_folder_v2("/TOP", autorename=True).metadata.name == "TOP (1)", "or beside")
    made = dbx.files_upload(b"hello", "/top/Größe 🙂.txt", client_modified=datetime.datetime(2020, 1, 2, 3, 4, 5))
    check(made.size == 5 and made.client_modified.year == 2020, "a file is uploaded")
    check(made.path_display == "/Top/Größe 🙂.txt", "below the folder as it is written")
    check(made.content_hash == hashlib.sha256(hashlib.sha256(b"hello").digest()).hexdigest(), "its hash is right")
    again = dbx.files_upload(b"hello", "/top/größe 🙂.txt")
    check(again.rev == made.rev, "the same content again changes nothing")
    add = lambda **how: dbx.files_upload(b"other", made.path_display, **how)  # noqa: E731
    check(refused(exceptions.ApiError, add, "conflict", "file"), "other content is a conflict")
    same = lambda: dbx.files_upload(b"hello", made.path_lower, strict_conflict=True)  # noqa: E731
    check(refused(exceptions.ApiError, same, "conflict"), "the same content too, when strict")
    check(add(autorename=True).name == "Größe 🙂 (1).txt", "or it is renamed")
    stale = lambda: add(mode=files.WriteMode.update("0123456789"), strict_conflict=True)  # noqa: E731
    check(refused(exceptions.ApiError, stale, "conflict"), "an update of a stale revision is refused")
    newer = add(mode=files.WriteMode.update(made.rev))
    check(newer.id == made.id and newer.rev != made.rev, "an update keeps the id")
    over = dbx.files_upload(b"third", made.id, mode=files.WriteMode.overwrite)
    check(over.id == made.id and over.path_lower == made.path_lower, "an id names the file to write")
    check(refused(exceptions.ApiError, lambda: dbx.files_upload(b"", "/top/a\\b"), "malformed_path"), "bad names")
    own = lambda: dbx.files_upload(b"", "/top/desktop.ini")  # noqa: E731
    check(refused(exceptions.ApiError, own, "disallowed_name"), "and Dropbox's own are refused")
    wrong = lambda: dbx.files_upload(b"x", "/x", content_hash="0" * 64)  # noqa: E731
    check(refused(exceptions.ApiError, wrong, "content_hash_mismatch"), "a wrong hash is refused")
    got = dbx.files_get_metadata(made.id)
    check(isinstance(got, files.FileMetadata) and got.rev == over.rev, "metadata is found by id")
    check(dbx.files_get_metadata(f"{top.id}/größe 🙂.TXT").id == made.id, "and by a path from an id, whatever its case")
    check(dbx.files_get_metadata(f"rev:{over.rev}").id == made.id, "and by revision")
    check(refused(exceptions.ApiError, lambda: dbx.files_get_metadata("/none"), "not_found"), "or not")
    check(refused(exceptions.ApiError, lambda: dbx.files_get_metadata("/"), "malformed_path"), "the root has none")
    metadata, answer = dbx.files_download(made.id)
    check(answer.content == b"third" and metadata.rev == over.rev, "content comes back")
    check(refused(exceptions.ApiError, lambda: dbx.files_download("/top"), "not_file"), "a folder has none")
    old = [one for one in dbx.files_list_revisions(made.id, mode=files.ListRevisionsMode.id).entries]
    check([one.rev for one in old] == [over.rev, newer.rev, made.rev], "revisions are kept, newest first")
    back = dbx.files_restore(made.path_lower, made.rev)
    check(back.id == made.id and dbx.files_download(made.id)[1].content == b"hello", "and come back")
    unknown = lambda: dbx.files_restore("/top/x", "0123456789")  # noqa: E731
    check(refused(exceptions.ApiError, unknown, "invalid_revision"), "if they are known")
    return top, made


def links(dbx, made):
    link = dbx.files_get_temporary_link(made.id)
    check(requests.get(link.link, headers={"Range": "bytes=1-2"}, timeout=30).content == b"el", "a link reads a range")
    check(requests.get(link.link, timeout=30).content == b"hello", "or everything")
    info = files.CommitInfo(path="/top/by link.txt")
    url = dbx.files_get_temporary_upload_link(info, duration=60).link
    sent = requests.post(url, data=b"linked", headers={"Content-Type": "application/octet-stream"}, timeout=30)
    check(sent.status_code == 200 and len(sent.json()["content-hash"]) == 64, "a link takes content")
    check(requests.post(url, data=b"x", timeout=30).status_code == 410, "once")
    shared = dbx.sharing_create_shared_link_with_settings(made.path_lower)
    check(isinstance(shared, sharing.FileLinkMetadata) and shared.id == made.id, "a file is shared by a link")
    again = lambda: dbx.sharing_create_shared_link_with_settings(made.path_lower)  # noqa: E731
    check(refused(exceptions.ApiError, again, "shared_link_already_exists"), "once")
    check(dbx.sharing_list_shared_links(made.path_lower).links[0].url == shared.url, "links are listed")
    check(dbx.sharing_get_shared_link_metadata(shared.url).name == made.name, "and told of")
    settings = sharing.SharedLinkSettings(audience=sharing.LinkAudience.team)
    changed = dbx.sharing_modify_shared_link_settings(shared.url, settings)
    check(changed.link_permissions.effective_audience.is_team(), "and changed")
    over = sharing.SharedLinkSettings(expires=datetime.datetime(2020, 1, 1))
    late = lambda: dbx.sharing_modify_shared_link_settings(shared.url, over)  # noqa: E731
    check(refused(exceptions.ApiError, late, "settings_error"), "but not to what is over")
    day = datetime.datetime(2099, 1, 2, 3, 4, 5)
    locked = sharing.SharedLinkSettings(
        audience=sharing.LinkAudience.public, require_password=True, link_password="hush", expires=day)
    changed = dbx.sharing_modify_shared_link_settings(shared.url, locked)
    check(changed.expires == day and changed.link_permissions.require_password, "a link is locked and ends")
    bare = sharing.SharedLinkSettings(require_password=False)
    changed = dbx.sharing_modify_shared_link_settings(shared.url, bare, remove_expiration=True)
    check(changed.expires is None and changed.link_permissions.resolved_visibility.is_public(), "or no longer")
    dbx.sharing_revoke_shared_link(shared.url)
    check(dbx.sharing_list_shared_links().links == [], "and revoked")


def moving(dbx, top):
    dbx.files_upload(b"x", "/from/sub/a.txt")
    there = dbx.files_get_metadata("/from/sub").id
    moved = dbx.files_move_v2("/from/sub", f"{top.id}/Moved").metadata
    check(moved.id == there and moved.path_display == "/Top/Moved", "a folder moves with its id")
    check(dbx.files_get_metadata("/top/moved/a.txt").size == 1, "and with all below")
    check(dbx.files_move_v2("/top/moved", "/top/MOVED").metadata.name == "MOVED", "a change of case is a move")
    inside = lambda: dbx.files_move_v2("/top/moved", "/top/moved/in")  # noqa: E731
    check(refused(exceptions.ApiError, inside, "cant_move_folder_into_itself"), "not into itself")
    copied = dbx.files_copy_v2("/top/moved", "/copy").metadata
    check(copied.id != there and dbx.files_get_metadata("/copy/a.txt").size == 1, "a copy has ids of its own")
    taken = lambda: dbx.files_copy_v2("/top/moved", "/copy")  # noqa: E731
    check(refused(exceptions.ApiError, taken, "conflict", "folder"), "a taken name is a conflict")
    check(refused(exceptions.ApiError, lambda: dbx.files_move_v2("/none", "/x"), "from_lookup"), "nothing to move")
    a = dbx.files_get_metadata("/copy/a.txt")
    stale = lambda: dbx.files_delete_v2(a.id, parent_rev="0123456789")  # noqa: E731
    check(refused(exceptions.ApiError, stale, "conflict"), "a delete of a stale revision is refused")
    check(dbx.files_delete_v2(a.id, parent_rev=a.rev).metadata.id == a.id, "a file is deleted")
    gone = dbx.files_get_metadata("/copy/a.txt", include_deleted=True)
    check(isinstance(gone, files.DeletedMetadata), "and can still be told of")
    told = dbx.files_list_revisions("/copy/a.txt")
    check(told.is_deleted and told.server_deleted and told.entries[0].rev == a.rev, "with its revisions")
    check(dbx.files_restore("/copy/a.txt", a.rev).id == a.id, "by which it comes back")
    dbx.files_permanently_delete("/copy/a.txt")
    forgotten = lambda: dbx.files_list_revisions("/copy/a.txt")  # noqa: E731
    check(refused(exceptions.ApiError, forgotten, "not_found"), "unless it is deleted for good")


def wait(begun, look):
    """The end of a job."""
    while begun.is_async_job_id() if hasattr(begun, "is_async_job_id") else begun.is_in_progress():
        job = begun.get_async_job_id()
        begun = look(job)
        check(begun.is_in_progress(), "a job is in progress first")
        begun = look(job)
    return begun


def batches(dbx):
    made = dbx.files_create_folder_batch(["/b1", "/b2", "/b1"])
    kinds = [entry.is_success() for entry in made.get_complete().entries]
    check(kinds == [True, True, False], "folders are made in a batch, each for itself")
    forced = wait(dbx.files_create_folder_batch(["/b3"], force_async=True), dbx.files_create_folder_batch_check)
    check(forced.get_complete().entries[0].get_success().metadata.name == "b3", "also as a job")
    path = files.RelocationPath
    moved = wait(dbx.files_move_batch_v2([path("/b1", "/m1"), path("/none", "/m2")]), dbx.files_move_batch_check_v2)
    check([one.is_success() for one in moved.get_complete().entries] == [True, False], "moves come in batches")
    copied = wait(dbx.files_copy_batch_v2([path("/m1", "/c1")]), dbx.files_copy_batch_check_v2)
    check(copied.get_complete().entries[0].get_success().name == "c1", "and copies")
    gone = [files.DeleteArg(name) for name in ("/m1", "/c1", "/b2", "/b3", "/none")]
    deleted = wait(dbx.files_delete_batch(gone), dbx.files_delete_batch_check)
    check([one.is_success() for one in deleted.get_complete().entries] == [True] * 4 + [False], "and deletions")
    check(refused(exceptions.ApiError, lambda: dbx.files_delete_batch_check("x"), "invalid_async_job_id"), "by id")


def sessions(dbx):
    step = 4 << 20
    first, rest = os.urandom(step), os.urandom(1000)
    session = dbx.files_upload_session_start(first[:100]).session_id
    cursor = files.UploadSessionCursor(session, 0)
    try:
        dbx.files_upload_session_append_v2(b"x", cursor)
        check(False, "an offset that is wrong is refused")
    except exceptions.ApiError as error:
        check(error.error.get_incorrect_offset().correct_offset == 100, "a wrong offset is told the right one")
    cursor.offset = 100
    dbx.files_upload_session_append_v2(first[100:], cursor)
    cursor.offset = step
    made = dbx.files_upload_session_finish(rest, cursor, files.CommitInfo("/parts.bin"))
    check(dbx.files_download(made.id)[1].content == first + rest, "parts become a file")
    again = lambda: dbx.files_upload_session_finish(b"", cursor, files.CommitInfo("/x"))  # noqa: E731
    check(refused(exceptions.ApiError, again, "lookup_failed", "not_found"), "a session is good for one file")
    kind = files.UploadSessionType.concurrent
    session = dbx.files_upload_session_start_batch(1, session_type=kind).session_ids[0]
    at = lambda offset: files.UploadSessionCursor(session, offset)  # noqa: E731
    dbx.files_upload_session_append_v2(rest, at(step), close=True)
    early = lambda: dbx.files_upload_session_finish(b"", at(step + 1000), files.CommitInfo("/x"))  # noqa: E731
    check(refused(exceptions.ApiError, early, "concurrent_session_missing_data"), "nothing may be missing")
    odd = lambda: dbx.files_upload_session_append_v2(first, at(5))  # noqa: E731
    check(refused(exceptions.ApiError, odd, "concurrent_session_invalid_offset"), "offsets are multiples of 4 MiB")
    small = lambda: dbx.files_upload_session_append_v2(b"x", at(0))  # noqa: E731
    check(refused(exceptions.ApiError, small, "concurrent_session_invalid_data_size"), "and so are lengths")
    dbx.files_upload_session_append_v2(first, at(0))
    entry = files.UploadSessionFinishArg(at(step + 1000), files.CommitInfo("/concurrent.bin"))
    done = dbx.files_upload_session_finish_batch_v2([entry, entry]).entries
    check(done[0].is_success() and done[1].is_failure(), "sessions finish in batches")
    check(dbx.files_download("/concurrent.bin")[1].content == first + rest, "parts in any order become a file")


def listing(world, dbx):
    for number in range(7):
        dbx.files_upload(b"x", f"/list/{number}.txt")
    dbx.files_upload(b"x", "/list/sub/deep.txt")
    page = dbx.files_list_folder("/list", limit=3)
    names = [entry.name for entry in page.entries]
    while page.has_more:
        page = dbx.files_list_folder_continue(page.cursor)
        names += [entry.name for entry in page.entries]
    check(sorted(names) == sorted([f"{n}.txt" for n in range(7)] + ["sub"]), "pages hold everything once")
    whole = dbx.files_list_folder("/list", recursive=True)
    check([e.name for e in whole.entries][0] == "list" and len(whole.entries) == 10, "a tree begins with its folder")
    latest = dbx.files_list_folder_get_latest_cursor("/list", recursive=True).cursor
    check(dbx.files_list_folder_continue(latest).entries == [], "a cursor at now tells nothing")
    dbx.files_move_v2("/list/0.txt", "/list/moved.txt")
    dbx.files_delete_v2("/list/sub")
    delta = dbx.files_list_folder_continue(latest)
    told = {(type(entry).__name__, entry.path_lower) for entry in delta.entries}
    check(told == {("DeletedMetadata", "/list/0.txt"), ("FileMetadata", "/list/moved.txt"),
                   ("DeletedMetadata", "/list/sub")}, "a cursor tells what changed since, once")
    check(dbx.files_list_folder_continue(delta.cursor).entries == [], "and nothing twice")
    deleted = dbx.files_list_folder("/list", include_deleted=True).entries
    check({e.name for e in deleted if isinstance(e, files.DeletedMetadata)} == {"0.txt", "sub"}, "deleted is listed")
    check(dbx.files_list_folder_longpoll(latest).changes, "a long poll answers at once when something changed")
    late = []
    poll = threading.Thread(target=lambda: late.append(dbx.files_list_folder_longpoll(delta.cursor).changes))
    poll.start()
    dbx.files_upload(b"y", "/list/late.txt")
    poll.join(60)
    check(late == [True], "or when it does")
    check(refused(exceptions.ApiError, lambda: dbx.files_list_folder("/none"), "not_found"), "no such folder")
    check(refused(exceptions.ApiError, lambda: dbx.files_list_folder("/list/1.txt"), "not_folder"), "no folder")
    check(refused(exceptions.BadInputError, lambda: dbx.files_list_folder_continue("x"), "cursor"), "no cursor")
    requests.post(f"{world.base}/_sandbox/reset_cursors", timeout=30).raise_for_status()
    check(refused(exceptions.ApiError, lambda: dbx.files_list_folder_continue(latest), "reset"), "cursors are reset")
    check(refused(exceptions.ApiError, lambda: dbx.files_list_folder_longpoll(latest), "reset"), "also in long polls")


def searching(dbx):
    for name in ("Annual report.txt", "report two.txt", "nothing.txt"):
        dbx.files_upload(b"words about whales" if name == "nothing.txt" else b"x", f"/found/{name}")
    options = files.SearchOptions(path="/found", max_results=1)
    page = dbx.files_search_v2("REP", options)
    names = [match.metadata.get_metadata().name for match in page.matches]
    check(page.has_more and len(names) == 1, "a search has pages")
    page = dbx.files_search_continue_v2(page.cursor)
    names += [match.metadata.get_metadata().name for match in page.matches]
    check(sorted(names) == ["Annual report.txt", "report two.txt"] and not page.has_more, "words begin with the query")
    content = dbx.files_search_v2("whales", files.SearchOptions(path="/found"))
    check(content.matches[0].match_type.is_file_content(), "content is searched as well")
    named = dbx.files_search_v2("whales", files.SearchOptions(path="/found", filename_only=True))
    check(named.matches == [], "unless names alone are asked for")


def previews(dbx):
    png = bytes.fromhex("89504e470d0a1a0a")
    dbx.files_upload(png, "/red.png")
    result, answer = dbx.files_get_thumbnail_v2(files.PathOrLink.path("/red.png"))
    check(answer.content.startswith(b"\xff\xd8") and result.file_metadata.name == "red.png", "a picture has a preview")
    words = lambda: dbx.files_get_thumbnail_v2(files.PathOrLink.path("/parts.bin"))  # noqa: E731
    check(refused(exceptions.ApiError, words, "unsupported_extension"), "words have none")
    paper = dbx.files_paper_create(b"<p>hi</p>", "/note.paper", files.ImportFormat.html)
    check(paper.result_path == "/note.paper", "a document of Paper is made")
    check(refused(exceptions.ApiError, lambda: dbx.files_download("/note.paper"), "unsupported_file"), "to be exported")
    exported, answer = dbx.files_export("/note.paper", export_format="markdown")
    check(exported.export_metadata.name == "note.md" and answer.content == b"<p>hi</p>", "and is exported")
    other = lambda: dbx.files_export("/red.png")  # noqa: E731
    check(refused(exceptions.ApiError, other, "non_exportable"), "as other files are not")


def properties(dbx, made):
    kind = file_properties.PropertyType.string
    field = lambda name: file_properties.PropertyFieldTemplate(name, "about it", kind)  # noqa: E731
    template = dbx.file_properties_templates_add_for_user("Ours", "A template", [field("a")]).template_id
    check(dbx.file_properties_templates_list_for_user().template_ids == [template], "a template is made")
    dbx.file_properties_templates_update_for_user(template, add_fields=[field("b")])
    again = lambda: dbx.file_properties_templates_update_for_user(template, add_fields=[field("b")])  # noqa: E731
    check(refused(exceptions.ApiError, again, "conflicting_property_names"), "fields are added once")
    got = dbx.file_properties_templates_get_for_user(template)
    check([one.name for one in got.fields] == ["a", "b"], "and told")
    group = lambda **fields: file_properties.PropertyGroup(  # noqa: E731
        template, [file_properties.PropertyField(name, value) for name, value in fields.items()])
    dbx.file_properties_properties_add(made.id, [group(a="1")])
    twice = lambda: dbx.file_properties_properties_add(made.id, [group(a="1")])  # noqa: E731
    check(refused(exceptions.ApiError, twice, "property_group_already_exists"), "properties are added once")
    odd = lambda: dbx.file_properties_properties_overwrite(made.id, [group(c="1")])  # noqa: E731
    check(refused(exceptions.ApiError, odd, "does_not_fit_template"), "after their template")
    change = file_properties.PropertyGroupUpdate(template, [file_properties.PropertyField("b", "2")], ["a"])
    dbx.file_properties_properties_update(made.id, [change])
    wanted = file_properties.TemplateFilterBase.filter_some([template])
    told = dbx.files_get_metadata(made.id, include_property_groups=wanted).property_groups
    check([(one.name, one.value) for one in told[0].fields] == [("b", "2")], "and changed, and told")
    dbx.file_properties_properties_overwrite(made.id, [group(a="3")])
    dbx.file_properties_properties_remove(made.id, [template])
    check(dbx.files_get_metadata(made.id, include_property_groups=wanted).property_groups == [], "and removed")
    dbx.file_properties_templates_remove_for_user(template)
    check(dbx.file_properties_templates_list_for_user().template_ids == [], "with the template")


def members(dbx, top, made):
    ben = sharing.MemberSelector.email("ben@example.com")
    added = dbx.sharing_add_file_member(made.id, [ben, sharing.MemberSelector.email("new@example.org")])
    check(all(one.result.is_success() for one in added), "people are given a file")
    told = dbx.sharing_list_file_members(made.id)
    check([one.user.email for one in told.users] == ["ana@example.com", "ben@example.com"], "and told")
    check(told.invitees[0].invitee.get_email() == "new@example.org", "also those who have no account")
    dbx.sharing_update_file_member(made.id, ben, sharing.AccessLevel.editor)
    check(dbx.sharing_remove_file_member_2(made.id, ben).is_success(), "and taken away")
    shared = dbx.sharing_share_folder(top.path_lower).get_complete()
    folder = shared.shared_folder_id
    again = lambda: dbx.sharing_share_folder(top.path_lower)  # noqa: E731
    check(refused(exceptions.ApiError, again, "already_shared"), "a folder is shared once")
    check(dbx.files_get_metadata(top.id).shared_folder_id == folder, "and says so")
    check(dbx.sharing_get_folder_metadata(folder).name == "Top", "and is told of")
    check(len(dbx.sharing_list_folders().entries) == 1, "and listed")
    dbx.sharing_add_folder_member(folder, [sharing.AddMember(ben, sharing.AccessLevel.viewer)], quiet=True)
    dbx.sharing_update_folder_member(folder, ben, sharing.AccessLevel.editor)
    told = dbx.sharing_list_folder_members(folder)
    check([one.access_type.is_editor() for one in told.users] == [False, True], "it has members")
    job = dbx.sharing_remove_folder_member(folder, ben, leave_a_copy=False).get_async_job_id()
    check(dbx.sharing_check_remove_member_job_status(job).is_in_progress(), "who are removed by a job")
    check(dbx.sharing_check_remove_member_job_status(job).is_complete(), "that ends")
    job = dbx.sharing_unshare_folder(folder).get_async_job_id()
    dbx.sharing_check_job_status(job)
    check(dbx.sharing_check_job_status(job).is_complete(), "and the folder is unshared")
    forced = dbx.sharing_share_folder("/found", force_async=True).get_async_job_id()
    dbx.sharing_check_share_job_status(forced)
    check(dbx.sharing_check_share_job_status(forced).is_complete(), "sharing can be a job, too")


def shared_folders(world, dbx):
    ben = world.client("ben")
    dbx.files_upload(b"one", "/Shared/Sub/a.txt")
    folder = dbx.sharing_share_folder("/shared").get_complete().shared_folder_id
    inside = dbx.files_get_metadata("/shared/sub/a.txt")
    check(inside.sharing_info.parent_shared_folder_id == folder, "what is in a shared folder says so")
    nobody = lambda: ben.sharing_mount_folder(folder)  # noqa: E731
    check(refused(exceptions.ApiError, nobody, "invalid_id"), "a folder is nobody's but its members'")
    member = sharing.MemberSelector.email("ben@example.com")
    dbx.sharing_add_folder_member(folder, [sharing.AddMember(member, sharing.AccessLevel.viewer)], quiet=True)
    check([one.name for one in ben.sharing_list_mountable_folders().entries] == ["Shared"], "members may mount it")
    check(all(one.name != "Shared" for one in ben.files_list_folder("").entries), "it does not appear by itself")
    cursor = ben.files_list_folder("", recursive=True).cursor
    mounted = ben.sharing_mount_folder(folder)
    check(mounted.path_lower == "/shared" and mounted.access_type.is_viewer(), "and then it is there")
    check(refused(exceptions.ApiError, nobody, "already_mounted"), "once")
    theirs = ben.files_get_metadata("/shared/sub/a.txt")
    check(theirs.id == inside.id and theirs.rev == inside.rev and theirs.sharing_info.read_only, "with all in it")
    check(ben.files_download("/shared/sub/a.txt")[1].content == b"one", "which is read")
    news = [one.path_lower for one in ben.files_list_folder_continue(cursor).entries]
    check(news == ["/shared", "/shared/sub", "/shared/sub/a.txt"], "and told of as a change")
    for change in (lambda: ben.files_upload(b"x", "/shared/x.txt"), lambda: ben.files_delete_v2("/shared/sub/a.txt"),
                   lambda: ben.files_move_v2("/shared/sub/a.txt", "/mine.txt"),
                   lambda: ben.files_create_folder_v2("/shared/new")):
        check(refused(exceptions.ApiError, change, "no_write_permission"), "a viewer changes nothing")
    dbx.sharing_update_folder_member(folder, member, sharing.AccessLevel.editor)
    made = ben.files_upload(b"by Ben", "/shared/by ben.txt")
    check(dbx.files_get_metadata("/shared/by ben.txt").id == made.id, "an editor does, for everyone")
    dbx.files_move_v2("/shared/sub", "/shared/Moved")
    check(ben.files_get_metadata("/shared/moved/a.txt").id == inside.id, "moves are followed")
    ben.files_move_v2("/shared", "/Elsewhere")
    dbx.files_upload(b"two", "/shared/by ben.txt", mode=files.WriteMode.overwrite)
    check(ben.files_download("/elsewhere/by ben.txt")[1].content == b"two", "wherever one has put it")
    check(len(ben.files_list_revisions("/elsewhere/by ben.txt").entries) == 2, "with the revisions of before")
    ben.sharing_unmount_folder(folder)
    check(refused(exceptions.ApiError, lambda: ben.files_get_metadata("/elsewhere"), "not_found"), "it is taken out")
    check(dbx.files_get_metadata("/shared/by ben.txt").name == "by ben.txt", "of one's own files alone")
    ben.sharing_mount_folder(folder)
    job = dbx.sharing_remove_folder_member(folder, member, leave_a_copy=False).get_async_job_id()
    dbx.sharing_check_remove_member_job_status(job)
    check(refused(exceptions.ApiError, lambda: ben.files_get_metadata("/shared"), "not_found"), "or by its owner")
    check(refused(exceptions.ApiError, lambda: ben.sharing_get_folder_metadata(folder), "invalid_id"), "for good")


def team_space(world, dbx):
    ben = world.client("ben")
    dbx.files_upload(b"at home", "/mine.txt")
    requests.post(f"{world.base}/_sandbox/team_space", json={"on": True}, timeout=30).raise_for_status()
    info = dbx.users_get_current_account().root_info
    check(isinstance(info, common.TeamRootInfo) and info.root_namespace_id != info.home_namespace_id, "a space is told")
    check(info.home_path == "/Ana Alves", "with the home's place in it")
    root = common.PathRoot.root(info.root_namespace_id)
    space, theirs = dbx.with_path_root(root), ben.with_path_root(root)
    check([one.path_display for one in space.files_list_folder("").entries] == ["/Ana Alves"],
          "a home lies in the space")
    check(space.files_get_metadata("/ana alves").shared_folder_id == info.home_namespace_id, "as a folder")
    mine = space.files_get_metadata("/Ana Alves/mine.txt")
    check(mine.id == dbx.files_get_metadata("/mine.txt").id, "with all that is in it")
    check(mine.path_lower == "/ana alves/mine.txt" and space.files_get_metadata(mine.id).path_display ==
          "/Ana Alves/mine.txt", "under its path in the space")
    listed = space.files_list_folder("/Ana Alves", limit=2)
    names = [one.path_display for one in listed.entries]
    while listed.has_more:
        listed = space.files_list_folder_continue(listed.cursor)
        names += [one.path_display for one in listed.entries]
    check("/Ana Alves/mine.txt" in names and all(name.startswith("/Ana Alves/") for name in names), "page by page")
    space.files_create_folder_v2("/Company")
    made = space.files_upload(b"for all", "/Company/plan.txt")
    check([one.name for one in theirs.files_list_folder("").entries] == ["Company", "Ben Bauer"],
          "folders are the team's")
    check(theirs.files_download(made.id)[1].content == b"for all", "and their files everyone's")
    check(refused(exceptions.ApiError, lambda: dbx.files_get_metadata("/Company/plan.txt"), "not_found"),
          "which lie above every home")
    told, got = space.files_download("/Ana Alves/mine.txt")
    check(told.path_display == "/Ana Alves/mine.txt" and got.content == b"at home", "content says where it is")
    check(refused(exceptions.ApiError, lambda: theirs.files_get_metadata("/Ana Alves/mine.txt"), "not_found"),
          "a home is nobody else's")
    space.files_move_v2("/Ana Alves/mine.txt", "/Ana Alves/moved.txt")
    check(dbx.files_get_metadata("/moved.txt").id == mine.id, "what is done there is done at home")
    at_home = dbx.with_path_root(common.PathRoot.home)
    check(at_home.files_get_metadata("/moved.txt").id == mine.id, "where one can be as well")
    wrong = dbx.with_path_root(common.PathRoot.root(info.home_namespace_id))
    try:
        wrong.files_list_folder("")
        check(False, "the root is the space's")
    except exceptions.PathRootError as error:
        told = error.error.get_invalid_root()
        check(told.root_namespace_id == info.root_namespace_id, "another root is refused with the right one")
    dbx.files_delete_v2("/moved.txt")
    requests.post(f"{world.base}/_sandbox/team_space", json={"on": False}, timeout=30).raise_for_status()


def teams(world):
    admin = dropbox.DropboxTeam(world.token("ada", TEAM_SCOPE), session=strict(world.base))
    check(admin.team_get_info().name == "example.com", "a team is told")
    me = admin.team_token_get_authenticated_admin().admin_profile
    check(me.email == "ada@example.com", "with its administrator")
    page = admin.team_members_list_v2(limit=2)
    people = list(page.members)
    check(page.has_more, "members have pages")
    people += admin.team_members_list_continue_v2(page.cursor).members
    check([one.profile.email for one in people][0] == "ana@example.com" and len(people) == 3, "members are listed")
    ana = people[0].profile
    wanted = [team.UserSelectorArg.team_member_id(ana.team_member_id), team.UserSelectorArg.email("no@example.com")]
    info = admin.team_members_get_info_v2(wanted).members_info
    check(info[0].is_member_info() and info[1].is_id_not_found(), "members are found")
    groups = admin.team_groups_list(limit=1)
    more = admin.team_groups_list_continue(groups.cursor)
    names = [one.group_name for one in groups.groups + more.groups]
    check(names == ["Everyone", "Sales"] and not more.has_more, "groups are listed")
    selector = team.GroupsSelector.group_ids([groups.groups[0].group_id, "g:none"])
    told = admin.team_groups_get_info(selector)
    check(told[0].is_group_info() and told[1].is_id_not_found(), "groups are found")
    one = team.GroupSelector.group_id(groups.groups[0].group_id)
    first = admin.team_groups_members_list(one, limit=2)
    rest = admin.team_groups_members_list_continue(first.cursor)
    check(len(first.members) == 2 and len(rest.members) == 1, "and their members")
    bad = lambda: admin.team_members_list_continue_v2("x")  # noqa: E731
    check(refused(exceptions.ApiError, bad, "invalid_cursor"), "by cursors")
    check(len(admin.team_namespaces_list().namespaces) == 3, "namespaces are listed")
    as_ana = admin.as_user(ana.team_member_id)
    check(as_ana.users_get_current_account().email == "ana@example.com", "the administrator acts as a member")
    check(as_ana.files_list_folder("").entries != [], "and sees the member's files")
    check(admin.as_admin(me.team_member_id).users_get_current_account().email == "ada@example.com", "or as themselves")
    nobody = admin.as_user("dbmid:none")
    check(refused(exceptions.AuthError, nobody.users_get_current_account, "invalid_select_user"), "but as nobody else")
    alone = dropbox.Dropbox(admin._oauth2_access_token, session=strict(world.base))
    check(refused(exceptions.BadInputError, lambda: alone.files_list_folder(""), "Select-User"), "someone is needed")


def oauth(world):
    session = strict(world.base)
    flow = dropbox.DropboxOAuth2FlowNoRedirect(CLIENT, SECRET, token_access_type="offline", use_pkce=True,
                                               scope=["account_info.read"])
    flow.requests_session = session
    url = urllib.parse.urlsplit(flow.start())
    asked = dict(urllib.parse.parse_qsl(url.query)) | {"redirect_uri": "http://127.0.0.1/back"}
    page = requests.get(f"{world.base}{url.path}", params=asked, timeout=30)
    check(page.status_code == 200 and "Ana Alves" in page.text, "the consent page is there")
    decided = requests.post(f"{world.base}{url.path}", data=asked | {"person": "ana", "decision": "allow"},
                            allow_redirects=False, timeout=30)
    code = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(decided.headers["Location"]).query))["code"]
    form = {"grant_type": "authorization_code", "code": code, "client_id": CLIENT, "client_secret": SECRET,
            "code_verifier": flow.code_verifier, "redirect_uri": "http://127.0.0.1/back"}
    grant = session.post("https://api.dropboxapi.com/oauth2/token", data=form, timeout=30).json()
    check(grant["token_type"] == "bearer" and grant["account_id"].startswith("dbid:"), "a code becomes tokens")
    check(grant["expires_in"] == 14400 and grant["refresh_token"], "for four hours, and for ever after")
    dbx = dropbox.Dropbox(oauth2_refresh_token=grant["refresh_token"], app_key=CLIENT, app_secret=SECRET,
                          session=session)
    check(dbx.users_get_current_account().email == "ana@example.com", "the SDK refreshes by itself")
    world.control("/dropbox/expire", None)
    check(dbx.users_get_current_account().email == "ana@example.com", "also when the token expired early")
    dbx.auth_token_revoke()
    form = {"grant_type": "refresh_token", "refresh_token": grant["refresh_token"], "client_id": CLIENT,
            "client_secret": SECRET}
    over = session.post("https://api.dropboxapi.com/oauth2/token", data=form, timeout=30)
    check(over.status_code == 400 and over.json()["error"] == "invalid_grant", "a revoked grant is over")


def pushes(world, dbx, account):
    heard = []

    class Ear(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            challenge = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))["challenge"]
            self.answer(challenge.encode())

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((body, self.headers["X-Dropbox-Signature"]))
            self.answer(b"")

        def answer(self, body):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ear)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/hook"
    added = requests.post(f"{world.base}/_sandbox/webhooks", json={"url": url}, timeout=30)
    check(added.status_code == 204, "a webhook that echoes the challenge is added")
    added = requests.post(f"{world.base}/_sandbox/webhooks", json={"url": world.root}, timeout=30)
    check(added.status_code == 400, "one that does not is refused")
    dbx.files_upload(b"x", "/pushed.txt")
    for _ in range(200):
        if heard:
            break
        time.sleep(0.05)
    body, signature = heard[0]
    check(hmac.compare_digest(hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(), signature), "signed")
    check(json.loads(body)["list_folder"]["accounts"] == [account], "and names the account, not what changed")
    requests.delete(f"{world.base}/_sandbox/webhooks", timeout=30).raise_for_status()
    server.shutdown()


def faults(world, dbx):
    rule = {"service": "dropbox", "path": "get_metadata", "fault": {"kind": "status", "status": 429, "retry_after": 3,
            "body": json.dumps({"error_summary": "too_many_requests/..",
                                "error": {"reason": {".tag": "too_many_requests"}, "retry_after": 3}})}}
    world.control("/faults", rule)
    try:
        dbx.files_get_metadata("/red.png")
        check(False, "a rate limit is an error")
    except exceptions.RateLimitError as error:
        check(error.backoff == 3 and error.error.reason.is_too_many_requests(), "a rate limit is told with its wait")
    world.control("/faults", rule | {"fault": {"kind": "status", "status": 500, "body": "oops"}})
    check(refused(exceptions.InternalServerError, lambda: dbx.files_get_metadata("/red.png")), "and a failure")
    check(dbx.files_get_metadata("/red.png").name == "red.png", "and then all is well")


def main():
    for module in (dropbox_client, stone_serializers):
        if hasattr(module, "json_compat_obj_decode"):
            module.json_compat_obj_decode = strict_decode
    world = World()
    try:
        dbx = world.client("ana")
        accounts(world, dbx)
        top, made = tree(dbx)
        links(dbx, made)
        moving(dbx, top)
        batches(dbx)
        sessions(dbx)
        listing(world, dbx)
        searching(dbx)
        previews(dbx)
        properties(dbx, made)
        members(dbx, top, made)
        shared_folders(world, dbx)
        team_space(world, dbx)
        teams(world)
        pushes(world, dbx, dbx.users_get_current_account().account_id)
        faults(world, dbx)
        oauth(world)
        source = (ROOT / "crates/sandbox/src/dropbox/routes.rs").read_text()
        there = {line.split('"')[1] for line in source.splitlines() if line.strip().startswith(('"', "| \""))
                 and "/" in line.split('"')[1]}
        there |= {part for line in source.splitlines() for part in line.split('"')[1::2]
                  if part.startswith("files/") and "=>" not in part}
        left = sorted(there - called)
        check(not left, f"every function was called, but {left}")
        print(f"note: {len(called)} functions called through the SDK's validators")
    finally:
        world.process.terminate()
        world.process.wait(30)


if __name__ == "__main__":
    main()
