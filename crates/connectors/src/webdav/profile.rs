//! What is known of an account's server: its base, its dialect, and what connecting recorded.

use tramontane_connector::{Account, Error, Result};
use tramontane_model::NativeId;
use url::Url;

use super::path;

/// Which dialect a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// RFC 4918 and nothing else.
    Plain,
    /// Nextcloud.
    Nextcloud,
    /// ownCloud 10 and Infinite Scale: Nextcloud's properties, but other places for everything else.
    Owncloud,
}

impl Dialect {
    /// The word in settings.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Nextcloud => "nextcloud",
            Self::Owncloud => "owncloud",
        }
    }

    /// Whether it is built on sabre/dav with ownCloud's properties.
    pub(super) fn has_oc_props(self) -> bool {
        !matches!(self, Self::Plain)
    }
}

/// Where the parts of a Nextcloud are that are not files.
#[derive(Clone, Debug)]
pub(super) struct Cloud {
    /// `.../remote.php/dav/`.
    pub dav: Url,
    /// What comes before `remote.php`.
    pub web: Url,
    /// The user's id, which is not always the name they sign in with.
    pub user: String,
    /// Where the base lies below the user's own root.
    pub below: Vec<String>,
}

impl Cloud {
    /// The URL of something below `remote.php/dav`.
    pub(super) fn at(&self, segments: &[&str], folder: bool) -> Result<Url> {
        path::url(&self.dav, segments, folder)
    }

    /// The id of what lies at this path below the user's root; `None` when it is outside the base.
    pub(super) fn id(&self, from_user_root: &[String]) -> Option<NativeId> {
        let rest = from_user_root.strip_prefix(self.below.as_slice())?;
        Some(NativeId::new(format!("/{}", rest.join("/"))))
    }
}

/// Servers that are known to keep to the rules of `MKCOL`.
const KNOWN: &[&str] = &["Apache", "WsgiDAV", "lighttpd", "nginx", "Microsoft-IIS"];

/// What is known of an account's server.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    /// The base collection, with a slash at its end.
    pub base: Url,
    /// The dialect that was found when connecting; plain without a record.
    pub dialect: Dialect,
    /// The parts of a Nextcloud, when it is one.
    pub cloud: Option<Cloud>,
    /// Whether the server tells used and free space.
    pub quota: bool,
    /// Whether the server keeps properties that it does not know.
    pub properties: bool,
    /// Whether the server refuses control characters in names.
    pub plain_names: bool,
    /// Whether the server is known to refuse `MKCOL` where something is already.
    pub refuses_mkcol: bool,
    /// Whether the server decodes a `Destination` before it takes it apart, so that a name with `?`,
    /// `;` or a line break arrives cut short (WsgiDAV).
    cuts_destinations: bool,
}

impl Profile {
    /// Reads what the account's settings say.
    pub(super) fn of(account: &Account) -> Result<Self> {
        let base = base(account)?;
        let dialect = match account.setting("dialect") {
            Some("nextcloud") => Dialect::Nextcloud,
            Some("owncloud") => Dialect::Owncloud,
            _ => Dialect::Plain,
        };
        let cloud = match (dialect, account.setting("dav_user")) {
            (Dialect::Nextcloud, Some(user)) => cloud(&base, user),
            _ => None,
        };
        let says = |name: &str| account.setting(name) == Some("yes");
        let server = account.setting("server").unwrap_or_default();
        Ok(Self {
            base,
            dialect,
            cloud,
            quota: says("quota"),
            properties: says("properties"),
            plain_names: server.starts_with("lighttpd"),
            refuses_mkcol: dialect.has_oc_props()
                || KNOWN.iter().any(|known| server.starts_with(known)),
            cuts_destinations: server.starts_with("WsgiDAV"),
        })
    }

    /// Whether `MOVE` and `COPY` can be trusted to reach this place.
    pub(super) fn takes_destination(&self, id: &NativeId) -> bool {
        !self.cuts_destinations || !id.as_str().contains(['?', ';', '\t', '\n', '\r'])
    }

    /// The URL of an id.
    pub(super) fn url(&self, id: &NativeId, folder: bool) -> Result<Url> {
        path::url(&self.base, &path::segments(id)?, folder)
    }
}

/// The account's base collection.
pub(super) fn base(account: &Account) -> Result<Url> {
    let text = account.required_setting("url")?;
    let url = Url::parse(text)
        .map_err(|_| Error::invalid("url must be an absolute http or https URL."))?;
    Ok(path::collection_url(url))
}

/// The parts of a Nextcloud whose files are at `base`: `.../remote.php/dav/files/USER/...` or the older
/// `.../remote.php/webdav/...`.
pub(super) fn cloud(base: &Url, user: &str) -> Option<Cloud> {
    let segments = path::url_segments(base);
    let at = segments.iter().position(|segment| segment == "remote.php")?;
    let (front, back) = segments.split_at(at);
    let below = match back {
        [_, dav, files, _, below @ ..] if dav == "dav" && files == "files" => below,
        [_, webdav, below @ ..] if webdav == "webdav" => below,
        _ => return None,
    };
    let mut root = base.clone();
    root.set_path("/");
    let front: Vec<&str> = front.iter().map(String::as_str).collect();
    let dav: Vec<&str> = front.iter().copied().chain(["remote.php", "dav"]).collect();
    Some(Cloud {
        dav: path::url(&root, &dav, true).ok()?,
        web: path::url(&root, &front, true).ok()?,
        user: user.to_owned(),
        below: below.to_vec(),
    })
}

/// The user in a base of the form `.../remote.php/dav/files/USER/...`.
pub(super) fn user_in(base: &Url) -> Option<String> {
    let segments = path::url_segments(base);
    let at = segments.windows(3).position(|window| window == ["remote.php", "dav", "files"])?;
    segments.get(at + 3).cloned()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn finds_the_parts_of_a_nextcloud_from_either_base() {
        let new = Url::parse("https://h/cloud/remote.php/dav/files/ann%20a/Team/").unwrap();
        let found = cloud(&new, "ann a").unwrap();
        assert_eq!(found.dav.as_str(), "https://h/cloud/remote.php/dav/");
        assert_eq!(found.web.as_str(), "https://h/cloud/");
        assert_eq!(found.below, ["Team"]);
        assert_eq!(user_in(&new).as_deref(), Some("ann a"));
        assert_eq!(
            found.at(&["uploads", "ann a", "x"], false).unwrap().path(),
            "/cloud/remote.php/dav/uploads/ann%20a/x"
        );
        let id = found.id(&["Team".into(), "a".into()]);
        assert_eq!(id, Some(NativeId::new("/a")));
        assert_eq!(found.id(&["Other".into(), "a".into()]), None);
        let old = Url::parse("https://h/remote.php/webdav/").unwrap();
        assert!(cloud(&old, "ann").unwrap().below.is_empty());
        assert!(cloud(&Url::parse("https://h/dav/").unwrap(), "ann").is_none());
    }
}
