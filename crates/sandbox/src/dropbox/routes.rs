//! The API functions that there are: who may call them, how their arguments and answers travel.

use serde_json::Value;

use super::auth::Caller;
use super::refusal::Refusal;
use super::{
    World, files, jobs, links, listing, mounts, properties, revisions, search, sessions, sharing,
    team, temporary, users,
};

/// Whose token a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Auth {
    User,
    Team,
}

/// A function of one argument in JSON that answers JSON.
pub(super) type Rpc = fn(&World, &Caller, &Value) -> Result<Value, Refusal>;

/// How a function is called.
#[derive(Clone, Copy)]
pub(super) enum Style {
    /// Argument and answer in bodies.
    Rpc(Rpc),
    /// Argument in `Dropbox-API-Arg`, content in the body.
    Upload,
    /// Argument in `Dropbox-API-Arg`, content in the answer.
    Download,
}

/// One function.
#[derive(Clone, Copy)]
pub(super) struct Route {
    pub(super) auth: Auth,
    pub(super) scope: &'static str,
    pub(super) style: Style,
    /// Whether it may change files.
    pub(super) writes: bool,
}

const fn reads(scope: &'static str, rpc: Rpc) -> Route {
    Route { auth: Auth::User, scope, style: Style::Rpc(rpc), writes: false }
}

const fn writes(scope: &'static str, rpc: Rpc) -> Route {
    Route { auth: Auth::User, scope, style: Style::Rpc(rpc), writes: true }
}

const fn of_team(scope: &'static str, rpc: Rpc) -> Route {
    Route { auth: Auth::Team, scope, style: Style::Rpc(rpc), writes: false }
}

const fn content(scope: &'static str, style: Style) -> Route {
    let writes = matches!(style, Style::Upload);
    Route { auth: Auth::User, scope, style, writes }
}

const ME: &str = "account_info.read";
const LOOK: &str = "files.metadata.read";
const READ: &str = "files.content.read";
const WRITE: &str = "files.content.write";

/// The function with this name.
pub(super) fn find(name: &str) -> Option<Route> {
    Some(match name {
        "users/get_current_account" => reads(ME, users::current_account),
        "users/get_space_usage" => reads(ME, users::space_usage),
        "users/get_account" => reads("sharing.read", users::account),
        "users/get_account_batch" => reads("sharing.read", users::account_batch),
        "check/user" => reads(ME, users::echo),
        "auth/token/revoke" => reads("", users::revoke),
        "files/get_metadata" => reads(LOOK, files::get_metadata),
        "files/create_folder_v2" => writes(WRITE, files::create_folder),
        "files/create_folder_batch" => writes(WRITE, jobs::create_folder_batch),
        "files/create_folder_batch/check" => reads(WRITE, jobs::check),
        "files/move_v2" => writes(WRITE, files::move_),
        "files/copy_v2" => writes(WRITE, files::copy),
        "files/delete_v2" => writes(WRITE, files::delete),
        "files/permanently_delete" => writes("files.permanent_delete", files::permanently_delete),
        "files/delete_batch" => writes(WRITE, jobs::delete_batch),
        "files/delete_batch/check" => reads(WRITE, jobs::check),
        "files/move_batch_v2" => writes(WRITE, jobs::move_batch),
        "files/move_batch/check_v2" => reads(WRITE, jobs::check),
        "files/copy_batch_v2" => writes(WRITE, jobs::copy_batch),
        "files/copy_batch/check_v2" => reads(WRITE, jobs::check),
        "files/list_folder" => reads(LOOK, listing::list_folder),
        "files/list_folder/continue" => reads(LOOK, listing::go_on),
        "files/list_folder/get_latest_cursor" => reads(LOOK, listing::latest_cursor),
        "files/list_revisions" => reads(LOOK, revisions::list),
        "files/restore" => writes(WRITE, revisions::restore),
        "files/search_v2" => reads(LOOK, search::search),
        "files/search/continue_v2" => reads(LOOK, search::go_on),
        "files/get_temporary_link" => reads(READ, temporary::link),
        "files/get_temporary_upload_link" => reads(WRITE, temporary::upload_link),
        "files/upload_session/start_batch" => reads(WRITE, sessions::start_batch),
        "files/upload_session/finish_batch_v2" => writes(WRITE, sessions::finish_batch),
        "files/upload"
        | "files/upload_session/start"
        | "files/upload_session/append_v2"
        | "files/upload_session/finish"
        | "files/paper/create" => content(WRITE, Style::Upload),
        "files/download" | "files/export" | "files/get_thumbnail_v2" => {
            content(READ, Style::Download)
        }
        _ => return find_more(name),
    })
}

const SHARE: &str = "sharing.write";
const SHARED: &str = "sharing.read";
const TAG: &str = "files.metadata.write";
const PEOPLE: &str = "members.read";
const GROUPS: &str = "groups.read";

/// Sharing, properties, teams.
fn find_more(name: &str) -> Option<Route> {
    Some(match name {
        "sharing/list_file_members" => reads(SHARED, sharing::file_members),
        "sharing/add_file_member" => reads(SHARE, sharing::add_file_member),
        "sharing/update_file_member" => reads(SHARE, sharing::update_file_member),
        "sharing/remove_file_member_2" => reads(SHARE, sharing::remove_file_member),
        "sharing/share_folder" => reads(SHARE, sharing::share_folder),
        "sharing/unshare_folder" => reads(SHARE, sharing::unshare_folder),
        "sharing/mount_folder" => writes(SHARE, mounts::mount),
        "sharing/unmount_folder" => writes(SHARE, mounts::leave),
        "sharing/list_mountable_folders" => reads(SHARED, mounts::mountable),
        "sharing/get_folder_metadata" => reads(SHARED, sharing::get_folder),
        "sharing/list_folders" => reads(SHARED, sharing::list_folders),
        "sharing/list_folder_members" => reads(SHARED, sharing::folder_members),
        "sharing/add_folder_member" => reads(SHARE, sharing::add_folder_member),
        "sharing/update_folder_member" => reads(SHARE, sharing::update_folder_member),
        "sharing/remove_folder_member" => reads(SHARE, sharing::remove_folder_member),
        "sharing/check_job_status"
        | "sharing/check_remove_member_job_status"
        | "sharing/check_share_job_status" => reads(SHARE, jobs::check),
        "sharing/create_shared_link_with_settings" => reads(SHARE, links::create),
        "sharing/list_shared_links" => reads(SHARED, links::list),
        "sharing/get_shared_link_metadata" => reads(SHARED, links::get),
        "sharing/modify_shared_link_settings" => reads(SHARE, links::modify),
        "sharing/revoke_shared_link" => reads(SHARE, links::revoke),
        "file_properties/templates/add_for_user" => reads(TAG, properties::add_template),
        "file_properties/templates/update_for_user" => reads(TAG, properties::update_template),
        "file_properties/templates/get_for_user" => reads(LOOK, properties::get_template),
        "file_properties/templates/list_for_user" => reads(LOOK, properties::list_templates),
        "file_properties/templates/remove_for_user" => reads(TAG, properties::remove_template),
        "file_properties/properties/add" => reads(TAG, properties::add),
        "file_properties/properties/overwrite" => reads(TAG, properties::overwrite),
        "file_properties/properties/update" => reads(TAG, properties::update),
        "file_properties/properties/remove" => reads(TAG, properties::remove),
        "team/get_info" => of_team("team_info.read", team::info),
        "team/token/get_authenticated_admin" => of_team("team_info.read", team::admin),
        "team/members/list_v2" => of_team(PEOPLE, team::members),
        "team/members/list/continue_v2" => of_team(PEOPLE, team::more_members),
        "team/members/get_info_v2" => of_team(PEOPLE, team::member_info),
        "team/groups/list" => of_team(GROUPS, team::groups),
        "team/groups/list/continue" => of_team(GROUPS, team::more_groups),
        "team/groups/get_info" => of_team(GROUPS, team::group_info),
        "team/groups/members/list" => of_team(GROUPS, team::members_of),
        "team/groups/members/list/continue" => of_team(GROUPS, team::more_members_of),
        "team/namespaces/list" => of_team("team_data.member", team::namespaces),
        _ => return None,
    })
}
