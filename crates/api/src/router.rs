//! Every route on one screen, with what the OpenAPI document says of it.

use http::StatusCode;

use crate::objects::{File, Folder, Object};
use crate::openapi;
use crate::route::{Content, Endpoint, Routes, delete, get, patch, post, put};
use crate::schema;
use crate::v1::{
    accounts, capabilities, download, files, folders, later, permissions, properties, raw, recent,
    search, services, team, thumbnail, trash, upload, versions,
};

const OK: StatusCode = StatusCode::OK;
const CREATED: StatusCode = StatusCode::CREATED;
/// Headers that any request about an account may carry.
const ASK: &[&str] = &["X-Kloudless-Raw-Data", "Tramontane-Deadline"];
/// What any object's answer may be asked for.
const SHOW: &[&str] = &["fields", "expand"];
/// Lists.
const PAGES: &[&str] = &["page", "page_size", "paging", "cursor"];
/// Lists of files and folders.
const OBJECTS: &[&str] = &["page", "page_size", "paging", "cursor", "fields"];
/// What conflicts are answered by.
const TAKEN: &[&str] = &["overwrite", "conflict"];
/// What writes may carry.
const WRITE: &[&str] = &["Idempotency-Key", "X-Kloudless-Async"];

/// All routes of the API.
#[must_use]
pub fn routes() -> Routes {
    Routes::default()
        .at("/v1/openapi.json", [document()])
        .with(core())
        .with(files())
        .with(folders())
        .with(rest())
        .with(team())
        .with(later())
        .with(crate::manage::routes())
        .with(crate::table::routes())
        .with(crate::events::routes())
        .with(crate::remembered::routes())
}

fn document() -> Endpoint {
    get("getOpenApi", openapi::serve)
        .says("This document.")
        .answers(OK, Content::Bytes(&["application/json"]))
        .public()
}

fn core() -> Routes {
    Routes::default()
        .at(
            "/v1/public/services",
            [get("listServices", services::list)
                .says("The services that there are.")
                .takes(&["apis", "app_id", "category", "retrieve_properties"])
                .takes(PAGES)
                .lists::<services::One>()
                .public()],
        )
        .at(
            "/v1/public/services/{name}",
            [get("getService", services::retrieve)
                .says("One service.")
                .takes(&["retrieve_properties"])
                .gives::<services::One>(OK)
                .public()],
        )
        .at(
            "/static/services/{picture}",
            [get("getServiceLogo", services::logo)
                .says("A service's picture.")
                .answers(OK, Content::Bytes(&["image/svg+xml"]))
                .public()],
        )
        .at(
            "/v1/accounts",
            [
                get("listAccounts", accounts::list)
                    .says("The caller's accounts, by id.")
                    .takes(&["active", "enabled", "admin", "service", "account_name"])
                    .takes(PAGES)
                    .lists::<accounts::One>(),
                post("importAccount", accounts::import)
                    .says("Connects an account from a credential that the application has.")
                    .takes(&["verify", "Idempotency-Key"])
                    .json::<schema::NewAccount>()
                    .gives::<accounts::One>(CREATED)
                    .gives::<accounts::One>(OK),
            ],
        )
        .at(
            "/v1/accounts/{account}",
            [
                get("getAccount", accounts::retrieve)
                    .says("One account.")
                    .takes(&["retrieve_full", "active", "enabled"])
                    .gives::<accounts::One>(OK),
                patch("updateAccount", accounts::update)
                    .says("Changes an account, or hurries up the detection of changes.")
                    .takes(&["Idempotency-Key"])
                    .json::<schema::AccountUpdate>()
                    .gives::<accounts::One>(OK),
                delete("deleteAccount", accounts::delete)
                    .says("Disconnects an account and ends everything of it.")
                    .takes(&["revoke", "Idempotency-Key"])
                    .empties(),
            ],
        )
        .at(
            "/v1/accounts/{account}/check",
            [post("checkAccount", accounts::check)
                .says("Tries the account's credential now.")
                .gives::<accounts::One>(OK)],
        )
        .at(
            "/v1/accounts/{account}/capabilities",
            [get("getCapabilities", capabilities::retrieve)
                .says("What the account can do, and why not.")
                .gives::<schema::Capabilities>(OK)],
        )
        .at(
            "/v1/accounts/{account}/encode_raw_id",
            [post("encodeRawId", accounts::encode)
                .says("Makes an id of the service's own id.")
                .json::<schema::RawId>()
                .gives::<accounts::EncodedId>(OK)],
        )
        .at(
            "/v1/accounts/{account}/storage/convert_id",
            [post("convertId", accounts::encode)
                .says("Older name of encode_raw_id.")
                .json::<schema::RawId>()
                .gives::<accounts::EncodedId>(OK)],
        )
        .with(Routes::default().unlisted(
            "/v1/accounts/{account}/raw",
            [post("passThrough", raw::pass).says("Passes a request through to the service.")],
        ))
}

fn files() -> Routes {
    Routes::default()
        .at(
            "/v1/accounts/{account}/storage/files",
            [post("uploadFile", upload::create)
                .says("Uploads a file: as a body, as a form, or from a URL.")
                .takes(TAKEN)
                .takes(&[
                    "X-Kloudless-Metadata",
                    "link",
                    "link_options",
                    "If-Match",
                    "If-None-Match",
                ])
                .takes(SHOW)
                .takes(WRITE)
                .takes(ASK)
                .json::<schema::NewFileFromUrl>()
                .bytes("application/octet-stream")
                .bytes("multipart/form-data")
                .gives::<File>(CREATED)
                .gives::<File>(OK)],
        )
        .at(
            "/v1/accounts/{account}/storage/files/{file}",
            [
                get("getFile", files::retrieve)
                    .says("A file's metadata.")
                    .takes(&["hashes", "If-None-Match"])
                    .takes(SHOW)
                    .takes(ASK)
                    .gives::<File>(OK)
                    .answers(StatusCode::NOT_MODIFIED, Content::Nothing),
                put("replaceFile", upload::replace)
                    .says("Replaces a file's content.")
                    .takes(&["If-Match"])
                    .takes(SHOW)
                    .takes(WRITE)
                    .takes(ASK)
                    .bytes("application/octet-stream")
                    .gives::<File>(OK),
                patch("updateFile", files::update)
                    .says("Renames or moves a file, also to another account.")
                    .takes(TAKEN)
                    .takes(&["If-Match"])
                    .takes(SHOW)
                    .takes(WRITE)
                    .takes(ASK)
                    .json::<schema::Move>()
                    .gives::<File>(OK),
                delete("deleteFile", files::delete)
                    .says("Deletes a file.")
                    .takes(&["permanent", "If-Match"])
                    .takes(WRITE)
                    .empties(),
            ],
        )
        .at(
            "/v1/accounts/{account}/storage/files/{file}/copy",
            [post("copyFile", files::copy)
                .says("Copies a file, also to another account.")
                .takes(TAKEN)
                .takes(&["return_type", "link", "link_options"])
                .takes(SHOW)
                .takes(WRITE)
                .takes(ASK)
                .json::<schema::Copy>()
                .gives::<File>(CREATED)],
        )
        .at(
            "/v1/accounts/{account}/storage/files/{file}/contents",
            [get("downloadFile", files::contents)
                .says("A file's content.")
                .takes(&["export", "redirect", "Range", "If-Range", "If-Match", "If-None-Match"])
                .takes(&["Tramontane-Deadline"])
                .answers(OK, Content::Bytes(download::ANY))
                .answers(StatusCode::PARTIAL_CONTENT, Content::Bytes(download::ANY))
                .answers(StatusCode::FOUND, Content::Nothing)
                .answers(StatusCode::NOT_MODIFIED, Content::Nothing)],
        )
        .at(
            "/v1/accounts/{account}/storage/files/{file}/thumbnail",
            [get("getThumbnail", thumbnail::thumbnail)
                .says("A preview picture.")
                .takes(&["size", "format"])
                .answers(OK, Content::Bytes(&["image/jpeg", "image/png"]))],
        )
        .at(
            "/v1/accounts/{account}/storage/files/{file}/permissions",
            [
                get("getFilePermissions", permissions::of_file)
                    .says("Who has access to a file.")
                    .gives::<permissions::Grants>(OK),
                put("setFilePermissions", permissions::put_file)
                    .says("Makes the set of permissions what the body says.")
                    .takes(&["notify"])
                    .takes(WRITE)
                    .json::<schema::PermissionChanges>()
                    .gives::<permissions::Grants>(OK),
                patch("changeFilePermissions", permissions::patch_file)
                    .says("Adds, changes and removes permissions.")
                    .takes(&["notify"])
                    .takes(WRITE)
                    .json::<schema::PermissionChanges>()
                    .gives::<permissions::Grants>(OK),
            ],
        )
        .at(
            "/v1/accounts/{account}/storage/files/{file}/properties",
            [
                get("getFileProperties", properties::of_file)
                    .says("The properties set on a file.")
                    .gives::<properties::Set>(OK),
                patch("changeFileProperties", properties::patch_file)
                    .says("Sets and deletes properties.")
                    .takes(WRITE)
                    .json::<schema::PropertyChanges>()
                    .gives::<properties::Set>(OK),
                delete("deleteFileProperties", properties::clear_file)
                    .says("Removes all properties.")
                    .takes(WRITE)
                    .empties(),
            ],
        )
        .at(
            "/v1/accounts/{account}/storage/files/{file}/restore",
            [post("restoreFile", trash::restore_file)
                .says("Brings a file back from the trash.")
                .takes(&["conflict"])
                .takes(SHOW)
                .takes(WRITE)
                .json::<schema::Restore>()
                .gives::<File>(OK)],
        )
        .at(
            "/v1/accounts/{account}/storage/files/{file}/versions",
            [get("listVersions", versions::list)
                .says("A file's contents, newest first.")
                .takes(PAGES)
                .lists::<versions::One>()],
        )
        .at(
            "/v1/accounts/{account}/storage/files/{file}/versions/{version}",
            [
                get("getVersion", versions::retrieve)
                    .says("One version.")
                    .gives::<versions::One>(OK),
                delete("deleteVersion", versions::delete)
                    .says("Deletes one version for good.")
                    .takes(WRITE)
                    .empties(),
            ],
        )
        .at(
            "/v1/accounts/{account}/storage/files/{file}/versions/{version}/contents",
            [get("downloadVersion", versions::contents)
                .says("The content of one version.")
                .takes(&["Range"])
                .answers(OK, Content::Bytes(download::ANY))
                .answers(StatusCode::PARTIAL_CONTENT, Content::Bytes(download::ANY))],
        )
        .at(
            "/v1/accounts/{account}/storage/files/{file}/versions/{version}/restore",
            [post("restoreVersion", versions::restore)
                .says("Makes a version the file's newest content.")
                .takes(SHOW)
                .takes(WRITE)
                .gives::<File>(OK)],
        )
}

fn folders() -> Routes {
    Routes::default()
        .at(
            "/v1/accounts/{account}/storage/folders",
            [post("createFolder", folders::create)
                .says("Makes a folder.")
                .takes(&["conflict_if_exists", "conflict_for_folder"])
                .takes(SHOW)
                .takes(WRITE)
                .takes(ASK)
                .json::<schema::NewFolder>()
                .gives::<Folder>(CREATED)
                .gives::<Folder>(OK)],
        )
        .at(
            "/v1/accounts/{account}/storage/folders/{folder}",
            [
                get("getFolder", folders::retrieve)
                    .says("A folder's metadata.")
                    .takes(SHOW)
                    .takes(ASK)
                    .gives::<Folder>(OK)
                    .answers(StatusCode::NOT_MODIFIED, Content::Nothing),
                patch("updateFolder", folders::update)
                    .says("Renames or moves a folder, also to another account.")
                    .takes(TAKEN)
                    .takes(SHOW)
                    .takes(WRITE)
                    .takes(ASK)
                    .json::<schema::Move>()
                    .gives::<Folder>(OK),
                delete("deleteFolder", folders::delete)
                    .says("Deletes a folder.")
                    .takes(&["recursive", "permanent"])
                    .takes(WRITE)
                    .empties(),
            ],
        )
        .at(
            "/v1/accounts/{account}/storage/folders/{folder}/contents",
            [get("listFolder", folders::contents)
                .says("What is in a folder, or below it.")
                .takes(&["recursive", "max_depth", "types", "expand"])
                .takes(OBJECTS)
                .takes(ASK)
                .lists::<Object>()],
        )
        .at(
            "/v1/accounts/{account}/storage/folders/{folder}/copy",
            [post("copyFolder", folders::copy)
                .says("Copies a folder with all below it, also to another account.")
                .takes(TAKEN)
                .takes(&["return_type"])
                .takes(SHOW)
                .takes(WRITE)
                .takes(ASK)
                .json::<schema::Copy>()
                .gives::<Folder>(CREATED)],
        )
        .at(
            "/v1/accounts/{account}/storage/folders/{folder}/permissions",
            [
                get("getFolderPermissions", permissions::of_folder)
                    .says("Who has access to a folder.")
                    .gives::<permissions::Grants>(OK),
                put("setFolderPermissions", permissions::put_folder)
                    .says("Makes the set of permissions what the body says.")
                    .takes(&["notify"])
                    .takes(WRITE)
                    .json::<schema::PermissionChanges>()
                    .gives::<permissions::Grants>(OK),
                patch("changeFolderPermissions", permissions::patch_folder)
                    .says("Adds, changes and removes permissions.")
                    .takes(&["notify"])
                    .takes(WRITE)
                    .json::<schema::PermissionChanges>()
                    .gives::<permissions::Grants>(OK),
            ],
        )
        .at(
            "/v1/accounts/{account}/storage/folders/{folder}/properties",
            [
                get("getFolderProperties", properties::of_folder)
                    .says("The properties set on a folder.")
                    .gives::<properties::Set>(OK),
                patch("changeFolderProperties", properties::patch_folder)
                    .says("Sets and deletes properties.")
                    .takes(WRITE)
                    .json::<schema::PropertyChanges>()
                    .gives::<properties::Set>(OK),
                delete("deleteFolderProperties", properties::clear_folder)
                    .says("Removes all properties.")
                    .takes(WRITE)
                    .empties(),
            ],
        )
        .at(
            "/v1/accounts/{account}/storage/folders/{folder}/restore",
            [post("restoreFolder", trash::restore_folder)
                .says("Brings a folder back from the trash.")
                .takes(&["conflict"])
                .takes(SHOW)
                .takes(WRITE)
                .json::<schema::Restore>()
                .gives::<Folder>(OK)],
        )
}

fn rest() -> Routes {
    Routes::default()
        .at(
            "/v1/accounts/{account}/storage/recent",
            [get("listRecent", recent::recent)
                .says("The files that changed last, of one account or several.")
                .takes(&["after"])
                .takes(OBJECTS)
                .takes(ASK)
                .lists::<File>()],
        )
        .at(
            "/v1/accounts/{account}/storage/search",
            [get("search", search::search)
                .says("Files and folders that match, of one account or several.")
                .takes(&["q!", "parents"])
                .takes(OBJECTS)
                .takes(ASK)
                .lists::<Object>()],
        )
        .at(
            "/v1/accounts/{account}/storage/trash",
            [
                get("listTrash", trash::list)
                    .says("What is in the trash.")
                    .takes(OBJECTS)
                    .lists::<Object>(),
                delete("emptyTrash", trash::clear)
                    .says("Deletes all that is in the trash for good.")
                    .takes(WRITE)
                    .empties(),
            ],
        )
        .at(
            "/v1/accounts/{account}/storage/trash/{object}",
            [delete("purge", trash::purge)
                .says("Deletes one object of the trash for good.")
                .takes(WRITE)
                .empties()],
        )
}

fn team() -> Routes {
    Routes::default()
        .at(
            "/v1/accounts/{account}/team/users",
            [get("listUsers", team::users)
                .says("The members of the organisation; for administrators' accounts.")
                .takes(PAGES)
                .lists::<team::One>()],
        )
        .at(
            "/v1/accounts/{account}/team/users/{user}",
            [get("getUser", team::user_retrieve).says("One member.").gives::<team::One>(OK)],
        )
        .at(
            "/v1/accounts/{account}/team/users/{user}/memberships",
            [get("listMemberships", team::memberships)
                .says("The groups that a member is in.")
                .takes(PAGES)
                .lists::<team::Group>()],
        )
        .at(
            "/v1/accounts/{account}/team/groups",
            [get("listGroups", team::groups)
                .says("The groups of the organisation; for administrators' accounts.")
                .takes(PAGES)
                .lists::<team::Group>()],
        )
        .at(
            "/v1/accounts/{account}/team/groups/{group}",
            [get("getGroup", team::group_retrieve).says("One group.").gives::<team::Group>(OK)],
        )
        .at(
            "/v1/accounts/{account}/team/groups/{group}/members",
            [get("listMembers", team::members)
                .says("The members of a group.")
                .takes(PAGES)
                .lists::<team::One>()],
        )
}

/// Categories that come later: they answer `501` with the reason, never `404`.
fn later() -> Routes {
    let mut routes = Routes::default();
    for noun in ["cal", "chat", "messaging", "crm", "email", "activity"] {
        routes = routes.any(noun, later::of_account);
    }
    routes
        .with(reserved())
        .any("meetings", later::of_account)
        .any_at("/v1/meetings", later::of_application)
        .any_at("/v1/meetings/{*rest}", later::of_application)
        .any_at("/v1/events", later::of_application)
}

/// Names of the API that nothing is behind yet (section 41) and the scheduler's pages (19.4).
fn reserved() -> Routes {
    let mut routes = Routes::default();
    for noun in ["itsm", "helpdesk", "accounting", "objects", "sharing", "mappings"] {
        routes = routes.any(noun, later::of_account);
    }
    routes.any_at("/m/{*rest}", later::of_public)
}
