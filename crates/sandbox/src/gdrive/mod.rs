//! Google Drive, simulated: the Drive API v3 with uploads, the Admin SDK's Directory API for the people of
//! an organisation, and Google's OAuth. Paths are as they follow `www.googleapis.com`,
//! `accounts.google.com`, `oauth2.googleapis.com`, `admin.googleapis.com` and `lh3.googleusercontent.com`.
//!
//! Facts are from the Drive API's reference and guides; where the real service is known to differ from
//! them, the real one is followed and the place says so. `POST /_quirks` makes searches and the log of changes late (`lag.rs`): off unless
//! a test asks for it.

mod access;
mod account;
mod batch;
mod call;
mod changes;
mod channels;
mod content;
mod directory;
mod documents;
mod drives;
mod fault;
mod fields;
mod files;
mod lag;
mod listing;
mod multipart;
mod oauth;
mod permissions;
mod query;
mod render;
mod resumable;
mod revisions;
mod state;
mod update;
mod upload;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use tramontane_model::Timestamp;

use crate::issuer::{Issuer, IssuerRules};
use crate::world::{Lent, Service};
use state::State;

/// What a connection asks for by default.
const SCOPE: &str = "openid https://www.googleapis.com/auth/userinfo.email \
https://www.googleapis.com/auth/userinfo.profile https://www.googleapis.com/auth/drive \
https://www.googleapis.com/auth/admin.directory.user.readonly \
https://www.googleapis.com/auth/admin.directory.group.readonly \
https://www.googleapis.com/auth/admin.directory.group.member.readonly";

/// Tokens of an hour; refresh tokens stay, and come only with `access_type=offline` ("Using OAuth 2.0 for
/// Web Server Applications").
const RULES: IssuerRules = IssuerRules {
    title: "Google",
    access_life: Duration::from_secs(3_599),
    rotates: false,
    grace: Duration::ZERO,
    offline: Some(("access_type", "offline")),
    token_prefix: "ya29.",
};

/// The simulated service. Cheap to clone: all clones are one.
#[derive(Clone)]
pub(super) struct Google(Arc<Inner>);

struct Inner {
    lent: Lent,
    issuer: Issuer,
    state: Mutex<State>,
}

impl Google {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.0.lent.clock.now()
    }

    fn new_id(&self) -> String {
        self.0.lent.dice.token("1", 32)
    }
}

/// Makes the service.
pub(crate) fn service(lent: &Lent) -> Service {
    let issuer = Issuer::new(RULES, Arc::clone(&lent.clock), lent.dice.clone());
    let state = State::fresh(&lent.dice, lent.clock.now());
    let inner = Inner { lent: lent.clone(), issuer: issuer.clone(), state: Mutex::new(state) };
    let google = Google(Arc::new(inner));
    Service { name: "gdrive", issuer, scope: SCOPE, router: router(google) }
}

fn router(google: Google) -> Router {
    let drive = Router::new()
        .route("/about", get(account::about))
        .route("/files", get(listing::list).post(files::create))
        .route("/files/generateIds", get(files::generate_ids))
        .route("/files/trash", axum::routing::delete(files::empty_trash))
        .route("/files/{id}", get(files::get).patch(update::update).delete(files::delete))
        .route("/files/{id}/copy", post(files::copy))
        .route("/files/{id}/export", get(content::export))
        .route("/files/{id}/watch", post(channels::watch_file))
        .route("/files/{id}/permissions", get(permissions::list).post(permissions::create))
        .route(
            "/files/{id}/permissions/{permission}",
            get(permissions::get).patch(permissions::update).delete(permissions::delete),
        )
        .route("/files/{id}/revisions", get(revisions::list))
        .route(
            "/files/{id}/revisions/{revision}",
            get(revisions::get).patch(revisions::update).delete(revisions::delete),
        )
        .route("/drives", get(drives::list).post(drives::create))
        .route("/drives/{id}", get(drives::get).patch(drives::update).delete(drives::delete))
        .route("/drives/{id}/hide", post(drives::hide))
        .route("/drives/{id}/unhide", post(drives::unhide))
        .route("/changes/startPageToken", get(changes::start))
        .route("/changes", get(changes::list))
        .route("/changes/watch", post(channels::watch_changes))
        .route("/channels/stop", post(channels::stop));
    let upload = Router::new()
        .route("/files", post(upload::create).put(resumable::chunk).delete(resumable::cancel))
        .route(
            "/files/{id}",
            axum::routing::patch(upload::update).put(resumable::chunk).delete(resumable::cancel),
        );
    let directory = Router::new()
        .route("/users", get(directory::users))
        .route("/users/{user}", get(directory::user))
        .route("/groups", get(directory::groups))
        .route("/groups/{group}", get(directory::group))
        .route("/groups/{group}/members", get(directory::members))
        .route("/groups/{group}/members/{member}", get(directory::member));
    let all = Router::new()
        .nest("/drive/v3", drive)
        .nest("/upload/drive/v3", upload)
        .nest("/admin/directory/v1", directory)
        .route("/drive-storage/{key}", get(content::thumbnail))
        .route("/_quirks", post(lag::set))
        .route("/o/oauth2/v2/auth", get(oauth::consent).post(oauth::decide))
        .route("/token", post(oauth::token))
        .route("/revoke", post(oauth::revoke))
        .route("/tokeninfo", get(oauth::token_info).post(oauth::token_info))
        .route("/oauth2/v2/tokeninfo", get(oauth::token_info_v2).post(oauth::token_info_v2))
        .route("/oauth2/v2/userinfo", get(account::user_info))
        .route("/userinfo/v2/me", get(account::user_info))
        .route("/oauth2/v3/userinfo", get(account::open_id_user_info))
        .route("/v1/userinfo", get(account::open_id_user_info))
        .fallback(|| async { fault::Fault::not_found("Not Found") })
        .with_state(google);
    let batches = Router::new()
        .route("/batch", post(batch::batch))
        .route("/batch/drive/v3", post(batch::batch))
        .with_state(all.clone());
    all.merge(batches)
}
