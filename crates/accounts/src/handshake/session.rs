//! One handshake under way, bound to one browser. Its steps are an enum whose transitions consume it;
//! each is written by compare-and-swap, so that of two that try the same one, one succeeds.

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tramontane_store::connect_sessions::{self, ConnectSession};
use tramontane_vault::{hash, random_id, same};

use super::{Fault, FaultCode, Request};
use crate::directory::Directory;
use crate::error::Result;

/// Seconds that a user has from the first page to the last.
pub const SESSION_LIFE: i64 = 30 * 60;
/// Handshakes of one application at a time.
const MAX_SESSIONS: i64 = 10_000;
/// What seals the verifier that waits for the service.
const SEAL: &str = "cv_";

/// What went wrong at a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The service.
    pub service: String,
    /// What it was.
    pub kind: TroubleKind,
    /// The service's own words, or ours, in English. Names no secret.
    pub detail: String,
}

/// What can go wrong at a service's login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// The user, or the organisation, gave no access.
    Denied,
    /// The service failed, or answered nonsense.
    Service,
    /// Somebody else signed in than the one whose account it is.
    OtherIdentity {
        /// Whose account it is.
        wanted: String,
        /// Who signed in.
        found: String,
    },
    /// There is no OAuth client for the service.
    NotSetUp,
    /// Our fault.
    Ours,
}

/// How far a handshake is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A connect link that no browser has opened.
    Unopened,
    /// The user chooses a service or fills its form.
    Choosing {
        /// Why the last choice came to nothing.
        trouble: Option<Trouble>,
    },
    /// The user is at a service's login page.
    AtService {
        /// The service that was asked; an answer is exchanged with no other.
        service: String,
        /// Organisation-wide access.
        admin: bool,
        /// The PKCE verifier, sealed; `None` where the service takes no PKCE.
        verifier: Option<String>,
        /// What was asked for, in the service's words.
        scopes: Vec<String>,
    },
    /// The service sent the user back; its answer is being used.
    Connecting {
        /// The service that answered.
        service: String,
        /// Organisation-wide access.
        admin: bool,
    },
    /// An account is connected, or the user gave up: nothing more comes of it.
    Finished,
}

/// The step does not follow from the one that the handshake is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection is at another step already")]
pub struct WrongStep;

type Next = std::result::Result<Step, WrongStep>;

impl Step {
    /// The word in the database.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unopened => "unopened",
            Self::Choosing { .. } => "choosing",
            Self::AtService { .. } => "at_service",
            Self::Connecting { .. } => "connecting",
            Self::Finished => "finished",
        }
    }

    /// A browser opens the link.
    ///
    /// # Errors
    /// [`WrongStep`] when one did before.
    pub fn open(self) -> Next {
        match self {
            Self::Unopened => Ok(Self::Choosing { trouble: None }),
            _ => Err(WrongStep),
        }
    }

    /// The user is sent to a service, also after coming back from another without an answer.
    ///
    /// # Errors
    /// [`WrongStep`] before the link is opened and after the end.
    pub fn leave_for(
        self,
        service: &str,
        admin: bool,
        verifier: Option<String>,
        scopes: Vec<String>,
    ) -> Next {
        let service = service.to_owned();
        match self {
            Self::Choosing { .. } | Self::AtService { .. } | Self::Connecting { .. } => {
                Ok(Self::AtService { service, admin, verifier, scopes })
            }
            Self::Unopened | Self::Finished => Err(WrongStep),
        }
    }

    /// The service sends the user back.
    ///
    /// # Errors
    /// [`WrongStep`] when the user was not there.
    pub fn come_back(self) -> Next {
        match self {
            Self::AtService { service, admin, .. } => Ok(Self::Connecting { service, admin }),
            _ => Err(WrongStep),
        }
    }

    /// The user is back at the choice: the service gave nothing that is of use.
    ///
    /// # Errors
    /// [`WrongStep`] before the link is opened and after the end.
    pub fn choose_again(self, trouble: Option<Trouble>) -> Next {
        match self {
            Self::Choosing { .. } | Self::AtService { .. } | Self::Connecting { .. } => {
                Ok(Self::Choosing { trouble })
            }
            Self::Unopened | Self::Finished => Err(WrongStep),
        }
    }

    /// An account is connected, or the user gave up.
    ///
    /// # Errors
    /// [`WrongStep`] before the link is opened and after the end.
    pub fn finish(self) -> Next {
        match self {
            Self::Choosing { .. } | Self::AtService { .. } | Self::Connecting { .. } => {
                Ok(Self::Finished)
            }
            Self::Unopened | Self::Finished => Err(WrongStep),
        }
    }
}

/// One handshake, as it was read.
#[derive(Clone, Debug)]
pub struct Handshake {
    row: ConnectSession,
    /// The id that URLs carry.
    pub id: String,
    /// For which application.
    pub application: String,
    /// What the application asked for.
    pub request: Request,
    /// How far it is.
    pub step: Step,
}

/// How a handshake begins.
#[derive(Clone, Copy, Debug)]
pub enum Opening<'a> {
    /// In the browser with this key.
    Browser(&'a str),
    /// As a link that the first browser to open it gets, within so many seconds.
    Link(i64),
}

/// Where a user is sent, and what is kept until the answer comes.
#[derive(Debug)]
pub struct Leaving<'a> {
    /// The service.
    pub service: &'a str,
    /// Organisation-wide access.
    pub admin: bool,
    /// What the service will bring back: see [`Directory::service_state`].
    pub state: &'a str,
    /// The PKCE verifier.
    pub verifier: Option<&'a SecretString>,
    /// What is asked for, in the service's words.
    pub scopes: Vec<String>,
}

impl Directory {
    /// Begins a handshake.
    ///
    /// # Errors
    /// `temporarily_unavailable` when the application has too many under way.
    pub async fn begin_handshake(
        &self,
        application: &str,
        request: Request,
        opening: Opening<'_>,
    ) -> std::result::Result<Handshake, Fault> {
        let id = random_id(self.0.entropy.as_ref(), 24);
        let now = self.now();
        let (step, browser, life) = match opening {
            Opening::Browser(key) => {
                (Step::Choosing { trouble: None }, Some(hash(key)), SESSION_LIFE)
            }
            Opening::Link(life) => (Step::Unopened, None, life),
        };
        let row = ConnectSession {
            id: hash(&id),
            application: application.to_owned(),
            request: value(&request)?,
            browser,
            step: step.word().to_owned(),
            detail: value(&step)?,
            service_state: None,
            version: 1,
            created: now,
            modified: now,
            expires: now + life * 1_000_000,
        };
        if !connect_sessions::insert(&self.0.db, &row, MAX_SESSIONS).await? {
            let text =
                "Too many people are connecting accounts just now. Try again in a few minutes.";
            return Err(Fault::new(FaultCode::TemporarilyUnavailable, text));
        }
        Ok(Handshake { row, id, application: application.to_owned(), request, step })
    }

    /// The handshake with this id, for the browser with this key. `None` when there is none, it has
    /// ended, or it is another browser's.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn handshake(&self, id: &str, browser: &str) -> Result<Option<Handshake>> {
        let row = connect_sessions::find(&self.0.db, &hash(id), self.now()).await?;
        Ok(row.filter(|row| is_of(row, browser)).and_then(|row| read(row, id.to_owned())))
    }

    /// The handshake that waits for this state to come back, for the browser with this key. The id is
    /// not known then, so the state carries it: see [`Directory::leave_for`].
    ///
    /// # Errors
    /// Those of the database.
    pub async fn returning(&self, state: &str, browser: &str) -> Result<Option<Handshake>> {
        let Some((id, _)) = state.split_once('.') else { return Ok(None) };
        let row = connect_sessions::find_by_state(&self.0.db, &hash(state), self.now()).await?;
        let own = row.filter(|row| same(&row.id, &hash(id)) && is_of(row, browser));
        Ok(own.and_then(|row| read(row, id.to_owned())))
    }

    /// Opens a connect link in the browser with this key; a browser that opened it already goes on.
    /// `None` when there is no such link, it has ended, or another browser opened it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn open_link(&self, id: &str, browser: &str) -> Result<Option<Handshake>> {
        let row = connect_sessions::find(&self.0.db, &hash(id), self.now()).await?;
        let Some(row) = row else { return Ok(None) };
        if row.browser.is_some() {
            return Ok(Some(row)
                .filter(|row| is_of(row, browser))
                .and_then(|row| read(row, id.into())));
        }
        let Some(mut handshake) = read(row, id.to_owned()) else { return Ok(None) };
        let Ok(step) = handshake.step.clone().open() else { return Ok(None) };
        handshake.row.browser = Some(hash(browser));
        handshake.row.expires = self.now() + SESSION_LIFE * 1_000_000;
        self.advance(handshake, step, None).await
    }

    /// Notes that the user is sent to a service; gives the state that the service will bring back.
    /// `None` when the handshake went on elsewhere.
    ///
    /// # Errors
    /// Those of the database and the vault.
    pub async fn leave_for(
        &self,
        handshake: Handshake,
        leaving: Leaving<'_>,
    ) -> Result<Option<Handshake>> {
        let Leaving { service, admin, state, verifier, scopes } = leaving;
        let sealed = verifier.map(|verifier| {
            let expires = self.0.clock.now().plus_seconds(SESSION_LIFE);
            let sealer = self.0.keys.sealer(SEAL);
            sealer.seal(&handshake.row.id, expires, &verifier.expose_secret())
        });
        let step = handshake.step.clone().leave_for(service, admin, sealed.transpose()?, scopes);
        let Ok(step) = step else { return Ok(None) };
        self.advance(handshake, step, Some(state)).await
    }

    /// A new state for a handshake.
    #[must_use]
    pub fn service_state(&self, handshake: &Handshake) -> String {
        format!("{}.{}", handshake.id, random_id(self.0.entropy.as_ref(), 24))
    }

    /// The verifier that was kept while the user was at the service.
    ///
    /// # Errors
    /// Those of the vault.
    pub async fn kept_verifier(&self, handshake: &Handshake) -> Result<Option<SecretString>> {
        let Step::AtService { verifier: Some(sealed), .. } = &handshake.step else {
            return Ok(None);
        };
        let sealer = self.0.keys.sealer(SEAL);
        let verifier: String = self.0.keys.open_token(&sealer, &handshake.row.id, sealed).await?;
        Ok(Some(SecretString::from(verifier)))
    }

    /// Takes a step; `None` when the handshake went on elsewhere meanwhile. `state`: what a service
    /// will bring back; without one, no answer of a service is taken any more.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn advance(
        &self,
        handshake: Handshake,
        step: Step,
        state: Option<&str>,
    ) -> Result<Option<Handshake>> {
        let Handshake { mut row, id, application, request, .. } = handshake;
        row.step = step.word().to_owned();
        row.detail = serde_json::to_value(&step).map_err(|_| tramontane_vault::Error::BadForm)?;
        row.service_state = state.map(hash);
        row.modified = self.now();
        if !connect_sessions::advance(&self.0.db, &row).await? {
            return Ok(None);
        }
        row.version += 1;
        Ok(Some(Handshake { row, id, application, request, step }))
    }
}

fn is_of(row: &ConnectSession, browser: &str) -> bool {
    row.browser.as_deref().is_some_and(|own| same(own, &hash(browser)))
}

fn read(row: ConnectSession, id: String) -> Option<Handshake> {
    // A row that an older or newer version wrote is like none: the user begins again.
    let request = serde_json::from_value(row.request.clone()).ok()?;
    let step = serde_json::from_value(row.detail.clone()).ok()?;
    Some(Handshake { id, application: row.application.clone(), request, step, row })
}

fn value<T: Serialize>(value: &T) -> Result<serde_json::Value> {
    Ok(serde_json::to_value(value).map_err(|_| tramontane_vault::Error::BadForm)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_service() -> Step {
        Step::AtService {
            service: "gdrive".into(),
            admin: false,
            verifier: None,
            scopes: Vec::new(),
        }
    }

    #[test]
    fn nothing_follows_the_end_and_nothing_precedes_the_opening() {
        let all = [
            Step::Unopened,
            Step::Choosing { trouble: None },
            at_service(),
            Step::Connecting { service: "gdrive".into(), admin: false },
            Step::Finished,
        ];
        for step in all {
            let live = !matches!(step, Step::Unopened | Step::Finished);
            assert_eq!(step.clone().open().is_ok(), step == Step::Unopened, "{step:?}");
            assert_eq!(
                step.clone().leave_for("box", false, None, vec![]).is_ok(),
                live,
                "{step:?}"
            );
            assert_eq!(step.clone().come_back().is_ok(), step == at_service(), "{step:?}");
            assert_eq!(step.clone().choose_again(None).is_ok(), live, "{step:?}");
            assert_eq!(step.clone().finish().is_ok(), live, "{step:?}");
        }
    }
}
