//! Dropbox, simulated: API v2 with content, notify and OAuth endpoints on one host.
//!
//! Facts are from the HTTP documentation (<https://www.dropbox.com/developers/documentation/http/documentation>),
//! the guides beside it and the API's published specification (<https://github.com/dropbox/dropbox-api-spec>).
//! A shared folder is in the files of those who have mounted it (`mounts.rs`); a shared file is in nobody else's, as
//! at Dropbox. What is simplified: search looks at names, and at the content of small text files. `POST /_quirks` makes searches and cursors late (`lag.rs`): off
//! unless a test asks for it.

mod auth;
mod call;
mod content;
mod drive;
mod files;
mod jobs;
mod lag;
mod links;
mod listing;
mod mounts;
mod path;
mod properties;
mod refusal;
mod render;
mod revisions;
mod routes;
mod search;
mod sessions;
mod sharing;
mod space;
mod team;
mod temporary;
mod users;
mod webhooks;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::routing::{get, post};
use tokio::sync::watch;
use tramontane_model::{Clock, Timestamp};

use crate::issuer::{Issuer, IssuerRules};
use crate::people::{PEOPLE, Person};
use crate::push::Pushes;
use crate::world::{Dice, Lent, Service};
use drive::{Drive, Moment};
use refusal::Refusal;

/// What a grant without the consent page may do.
const SCOPE: &str = "account_info.read files.metadata.read files.metadata.write files.content.read \
                     files.content.write files.permanent_delete sharing.read sharing.write";

/// All that changes.
struct State {
    drives: BTreeMap<&'static str, Drive>,
    sessions: BTreeMap<String, sessions::Session>,
    jobs: BTreeMap<String, jobs::Job>,
    tickets: BTreeMap<String, temporary::Ticket>,
    searches: BTreeMap<String, search::Search>,
    templates: BTreeMap<String, properties::Template>,
    shared: BTreeMap<String, sharing::Shared>,
    links: BTreeMap<String, links::Link>,
    webhooks: Vec<url::Url>,
    /// Whether people's homes lie in a team's space.
    team_space: bool,
}

/// The service.
#[derive(Clone)]
struct World {
    clock: Arc<dyn Clock>,
    dice: Dice,
    pushes: Pushes,
    issuer: Issuer,
    state: Arc<Mutex<State>>,
    /// Counts changes, so that long polls wake.
    changes: Arc<watch::Sender<u64>>,
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moment(&self) -> Moment<'_> {
        Moment { now: self.now(), dice: &self.dice }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Tells those who wait that something of this person changed.
    fn changed(&self, person: &Person) {
        webhooks::tell(self, person);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl State {
    fn drive(&mut self, person: &Person) -> Result<&mut Drive, Refusal> {
        let drive = self.drives.get_mut(person.id);
        drive.ok_or_else(|| Refusal::Bad("this person has no Dropbox".into()))
    }
}

/// The service, with everyone's Dropbox empty.
pub(crate) fn service(lent: &Lent) -> Service {
    let rules = IssuerRules {
        title: "Dropbox",
        access_life: Duration::from_secs(14_400),
        rotates: false,
        grace: Duration::ZERO,
        offline: Some(("token_access_type", "offline")),
        token_prefix: "sl.",
    };
    let issuer = Issuer::new(rules, Arc::clone(&lent.clock), lent.dice.clone());
    let numbered = PEOPLE.iter().zip(4_000_001_u64..);
    let drives = numbered.map(|(person, n)| (person.id, Drive::new(person, n.to_string())));
    let team = (space::TEAM.id, Drive::new(&space::TEAM, space::NAMESPACE.to_owned()));
    let state = State {
        drives: drives.chain([team]).collect(),
        sessions: BTreeMap::new(),
        jobs: BTreeMap::new(),
        tickets: BTreeMap::new(),
        searches: BTreeMap::new(),
        templates: BTreeMap::new(),
        shared: BTreeMap::new(),
        links: BTreeMap::new(),
        webhooks: Vec::new(),
        team_space: false,
    };
    let world = World {
        clock: Arc::clone(&lent.clock),
        dice: lent.dice.clone(),
        pushes: lent.pushes.clone(),
        issuer: issuer.clone(),
        state: Arc::new(Mutex::new(state)),
        changes: Arc::new(watch::Sender::new(0)),
    };
    let router = axum::Router::new()
        .route("/oauth2/authorize", get(auth::consent).post(auth::decide))
        .route("/oauth2/token", post(auth::token))
        .route("/2/files/list_folder/longpoll", post(listing::longpoll))
        .route("/2/{*route}", post(call::call).get(call::call))
        .route("/_sandbox/webhooks", post(webhooks::add).delete(webhooks::clear))
        .route("/_sandbox/team_space", post(space::set))
        .route("/_sandbox/reset_cursors", post(webhooks::reset_cursors))
        .route("/_quirks", post(lag::set))
        .route("/temporary/{ticket}", get(temporary::download))
        .route("/apitul/1/{ticket}", post(temporary::upload))
        .with_state(world);
    Service { name: "dropbox", issuer, scope: SCOPE, router }
}
