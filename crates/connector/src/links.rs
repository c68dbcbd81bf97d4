//! Share links of the service's own: addresses that open a file or folder to whoever has them.

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tramontane_model::Timestamp;
use url::Url;

use crate::cx::Cx;
use crate::entry::EntryRef;
use crate::error::Result;

/// Whom a link lets in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkAccess {
    /// Whoever has it.
    #[default]
    Anyone,
    /// Whoever has it and is of the account's organisation.
    Organization,
}

/// What a link lets them do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkRole {
    /// Look and download.
    #[default]
    Reader,
    /// Change the content as well.
    Writer,
}

/// How a link shall be.
#[derive(Clone, Debug, Default)]
pub struct LinkOptions {
    /// Whom it lets in.
    pub access: LinkAccess,
    /// What it lets them do.
    pub role: LinkRole,
    /// What has to be typed first.
    pub password: Option<SecretString>,
    /// When it ends; in the future.
    pub expires: Option<Timestamp>,
}

impl LinkOptions {
    /// The password's text.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_ref().map(SecretString::expose_secret)
    }
}

/// What shall be different about a link; `None` leaves it, `Some(None)` takes it away.
#[derive(Clone, Debug, Default)]
pub struct LinkChange {
    /// The password.
    pub password: Option<Option<SecretString>>,
    /// When it ends.
    pub expires: Option<Option<Timestamp>>,
}

impl LinkChange {
    /// The password's text, `Some(None)` when it shall go.
    #[must_use]
    pub fn password(&self) -> Option<Option<&str>> {
        self.password.as_ref().map(|new| new.as_ref().map(SecretString::expose_secret))
    }
}

/// A link that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareLink {
    /// What the service knows it by; an address where it has nothing else.
    pub id: String,
    /// The address to give away.
    pub url: Url,
    /// Whom it lets in.
    pub access: LinkAccess,
    /// What it lets them do.
    pub role: LinkRole,
    /// Whether it asks for a password.
    pub password: bool,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

impl ShareLink {
    /// Whether it is as it was asked for. Services end links on a second, some at the end of a minute:
    /// what counts is that one that shall end does, and not after the time asked for.
    #[must_use]
    pub fn honours(&self, asked: &LinkOptions) -> bool {
        let ends = match (self.expires, asked.expires) {
            (None, None) => true,
            (Some(ends), Some(asked)) => ends <= asked,
            _ => false,
        };
        ends && self.access == asked.access
            && self.role == asked.role
            && self.password == asked.password.is_some()
    }
}

/// Share links of the service's own.
///
/// A connector makes a link only when it is a new one and is all that was asked for. Otherwise it
/// declines `LinkCreate`, and the link becomes one of Tramontane's: also when the service has such a link
/// already and would give that back, since someone else may rely on it, and taking ours away later would
/// take theirs.
#[async_trait]
pub trait Links: Send + Sync {
    /// Makes a link.
    async fn create(&self, cx: &Cx, of: &EntryRef, how: &LinkOptions) -> Result<ShareLink>;
    /// The links that the account has made of an entry, with us and elsewhere; not those of folders
    /// above it.
    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<ShareLink>>;
    /// One of them, or `NotFound`.
    async fn get(&self, cx: &Cx, of: &EntryRef, id: &str) -> Result<ShareLink>;
    /// Changes one of them; its address stays. Declines what the service cannot, without doing the rest.
    async fn change(
        &self,
        cx: &Cx,
        of: &EntryRef,
        id: &str,
        change: &LinkChange,
    ) -> Result<ShareLink>;
    /// Takes one of them away: its address opens nothing any more. `NotFound` when it is not there.
    async fn delete(&self, cx: &Cx, of: &EntryRef, id: &str) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_is_wider_than_asked_is_not_what_was_asked() {
        let at = Timestamp::from_micros;
        let link = |expires, password, access| ShareLink {
            id: "1".into(),
            url: Url::from_directory_path("/x").unwrap_or_else(|()| unreachable!()),
            access,
            role: LinkRole::Reader,
            password,
            expires,
        };
        let asked = LinkOptions {
            password: Some("p".to_owned().into()),
            expires: Some(at(9)),
            ..LinkOptions::default()
        };
        assert!(link(Some(at(9)), true, LinkAccess::Anyone).honours(&asked));
        assert!(link(Some(at(8)), true, LinkAccess::Anyone).honours(&asked), "cut to the second");
        assert!(!link(Some(at(10)), true, LinkAccess::Anyone).honours(&asked));
        assert!(!link(None, true, LinkAccess::Anyone).honours(&asked));
        assert!(!link(Some(at(9)), false, LinkAccess::Anyone).honours(&asked));
        assert!(!link(Some(at(9)), true, LinkAccess::Organization).honours(&asked));
        assert!(!format!("{asked:?}").contains("\"p\""), "secrets do not print");
    }
}
