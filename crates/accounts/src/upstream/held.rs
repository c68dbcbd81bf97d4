//! Access tokens in memory, and when one is good enough.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tramontane_connector::oauth::{ACCESS_TOKEN, REFRESH_TOKEN};

use super::fault::Fault;
use crate::account::Opened;

/// The credential's field with how many seconds the access token was given for.
pub(super) const LIFE: &str = "access_life";
/// A token with less life than this left is not used: it would end on the way. Less for short lives.
const NEEDED: Duration = Duration::from_secs(30);
/// A token with less life than this left is renewed while it still serves. Less for short lives.
const EARLY: Duration = Duration::from_secs(300);

/// An access token with what is known of it.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) token: Arc<SecretString>,
    /// When it ends; `None` when that is not known: then it is good until the service refuses it.
    ends: Option<i64>,
    /// How much of its life must be left to use it, and how much to leave it at that.
    needed: i64,
    early: i64,
    /// The account's revision as connectors see it: a greater one means another grant.
    pub(super) revision: i64,
}

/// A failure that is told again, without asking the service, for a while.
#[derive(Clone, Debug)]
pub(super) struct Pause {
    pub(super) until: i64,
    /// The account's revision: with a greater one it is another grant.
    pub(super) revision: i64,
    pub(super) fault: Fault,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl Held {
    /// A token that lives so many seconds.
    pub(super) fn new(token: SecretString, ends: Option<i64>, life: u64, revision: i64) -> Self {
        let life = Duration::from_secs(life);
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Self {
            token: Arc::new(token),
            ends,
            needed: micros(NEEDED.min(life / 10)),
            early: micros(EARLY.min(life / 4)),
            revision,
        }
    }

    /// The token that an account has stored; `None` when it has none. `usual`: how long the service's
    /// tokens live as a rule.
    pub(super) fn of(opened: &Opened, usual: Duration) -> Option<Self> {
        let credential = &opened.account.credential;
        let token = SecretString::from(credential.get(ACCESS_TOKEN)?.to_owned());
        let life = credential.get(LIFE).and_then(|life| life.parse().ok());
        let life = life.unwrap_or(usual.as_secs());
        // What cannot be renewed is used to its very end.
        let life = if credential.get(REFRESH_TOKEN).is_some() { life } else { 0 };
        Some(Self::new(token, opened.row.token_expiry, life, opened.account.revision))
    }

    /// Whether this is the token that the service refused.
    pub(super) fn is(&self, refused: Option<&SecretString>) -> bool {
        refused.is_some_and(|refused| {
            tramontane_vault::same(refused.expose_secret(), self.token.expose_secret())
        })
    }

    /// Whether it can be used.
    pub(super) fn serves(&self, now: i64) -> bool {
        self.ends.is_none_or(|ends| now < ends.saturating_sub(self.needed))
    }

    /// Whether it should be renewed although it serves.
    pub(super) fn ages(&self, now: i64) -> bool {
        self.ends.is_some_and(|ends| now >= ends.saturating_sub(self.early))
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self, now: i64) -> bool {
        self.ends.is_some_and(|ends| now >= ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_shrink_with_the_life_of_a_token() {
        let second = 1_000_000;
        let held = |life: i64| {
            let seconds = u64::try_from(life).unwrap_or(0);
            Held::new(SecretString::from("a"), Some(life * second), seconds, 1)
        };
        let hour = held(3_600);
        assert!(hour.serves(3_569 * second) && !hour.serves(3_570 * second));
        assert!(!hour.ages(3_299 * second) && hour.ages(3_300 * second));
        let short = held(20);
        assert!(short.serves(17 * second) && !short.serves(18 * second));
        assert!(!short.ages(14 * second) && short.ages(15 * second));
        let unknown = Held::new(SecretString::from("a"), None, 20, 1);
        assert!(unknown.serves(i64::MAX) && !unknown.ages(i64::MAX));
    }
}
