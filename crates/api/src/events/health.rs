//! How the feed of an account is.

use serde::Serialize;
use tramontane_activity::schedule::{Push, Reason};
use tramontane_feeds::Error;
use tramontane_feeds::health;
use tramontane_feeds::trail::Trail;
use tramontane_model::{Kind, NativeId, ResourceId, Timestamp};
use utoipa::ToSchema;

use crate::account::Account;
use crate::answer::ok;
use crate::problem::Answer;

use super::allowed;

/// The feed of an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeedHealth {
    /// Always `feed_health`.
    r#type: &'static str,
    /// Always `events`.
    api: &'static str,
    /// The account.
    account: i64,
    /// Whether the account is followed.
    following: bool,
    /// Why it is not, or what is wrong with it.
    reason: Option<String>,
    /// Where changes come from: `push`, `long_poll` or `delta` where the service has a cursor, `watch` or `scan`
    /// where folders are looked at; `null` without files.
    source: Option<&'static str>,
    /// `ok`, `failing` or `dead`: with a dead credential nothing is read.
    credential_state: &'static str,
    /// When the service was read last with success.
    #[schema(value_type = Option<String>, format = DateTime)]
    synced: Option<Timestamp>,
    /// How many seconds ago that was.
    lag: Option<i64>,
    /// The number of the newest event.
    newest: i64,
    /// How it is polled; `null` when another process does that.
    polling: Option<Polling>,
    /// What the service pushes; `null` without pushes.
    push: Option<PushHealth>,
    /// The parts of the account that have a cursor of their own.
    collections: Vec<Collection>,
}

/// How a feed is polled.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeedPolling)]
pub(crate) struct Polling {
    /// When it is read next; `null` while it is being read.
    #[schema(value_type = Option<String>, format = DateTime)]
    next: Option<Timestamp>,
    /// Why then: `first`, `price`, `backstop`, `nudge`, `longest`, `more`, `retry`, `paused`.
    reason: &'static str,
    /// Looks that failed since the last that did not.
    failures: u8,
    /// Why the last look failed, while looks fail.
    error: Option<String>,
    /// Changes a day, as estimated.
    changes_per_day: f64,
    /// How many wait for its events or stream them.
    readers: u16,
}

/// What a service pushes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeedPush)]
pub(crate) struct PushHealth {
    /// Whether it is set up and not known to have failed.
    healthy: bool,
    /// Channels that the service granted.
    channels: usize,
    /// When the first of them runs out; it is renewed before.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
    /// The share of changes that no push announced, as estimated.
    missed: Option<f64>,
    /// The share of pushes after which nothing had changed.
    idle: Option<f64>,
}

/// A part of an account with a cursor of its own.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeedCollection)]
pub(crate) struct Collection {
    /// The folder that it lies below.
    folder: String,
    /// `fresh`, `listing`, `following`, `sweeping`, `streaming`, `closing`, `resting`.
    phase: &'static str,
    /// Whether everything in it was listed once: events come from then on.
    listed: bool,
    /// How many files and folders are known.
    items: u64,
    /// So much seemed to be gone at the last look, and was there after all, that the look did not count.
    doubted: bool,
    /// When something of it was written last.
    #[schema(value_type = String, format = DateTime)]
    modified: Timestamp,
}

/// `GET .../events/health`.
///
/// # Errors
/// `forbidden` when events are off.
pub(crate) async fn retrieve(account: Account) -> Answer {
    allowed(&account)?;
    ok(&look(&account).await?.0)
}

/// How the account's feed is, with what was done for it lately.
///
/// # Errors
/// `forbidden` when events are off. The service is not asked.
pub(super) async fn look(account: &Account) -> Answer<(FeedHealth, Trail)> {
    let app = account.app();
    let extent = app.log().extent(account.id().number()).await?.ok_or(Error::Off)?;
    let connector = account.connector().map(std::convert::AsRef::as_ref);
    let health = health::of(app.db(), connector, app.feeds(), account.id()).await?;
    let health = health.ok_or(Error::Off)?;
    Ok(view(account, extent.head, health))
}

fn view(account: &Account, newest: i64, health: health::FeedHealth) -> (FeedHealth, Trail) {
    let now = account.app().now();
    let moment = Timestamp::from_micros;
    let millis = |at: i64| Timestamp::from_micros(at.saturating_mul(1_000));
    let read = health.schedule.as_ref().and_then(|one| one.last_success).map(millis);
    let synced = read.max(health.synced.map(moment));
    let last_error = || health.trail.looks.back().and_then(|look| look.error.clone());
    let polling = health.schedule.as_ref().map(|one| Polling {
        next: one.next_poll.map(millis),
        reason: word(one.reason),
        failures: one.failures,
        error: if one.failures > 0 { last_error() } else { None },
        changes_per_day: (one.changes_per_day * 100.0).round() / 100.0,
        readers: one.readers,
    });
    let pushed = health.schedule.as_ref().filter(|one| one.push == Push::Healthy || one.held);
    let push = (health.channels > 0 || pushed.is_some()).then(|| PushHealth {
        healthy: pushed.is_some(),
        channels: health.channels,
        expires: health.channels_until.map(moment),
        missed: pushed.and_then(|one| one.missed),
        idle: pushed.and_then(|one| one.idle_pushes),
    });
    let collections = health.collections.iter().map(|one| {
        let root = NativeId::new(one.root.as_str());
        Collection {
            folder: match account.is_root(&root) {
                true => "root".to_owned(),
                false => ResourceId::new(Kind::Folder, root).to_string(),
            },
            phase: one.phase,
            listed: one.listed,
            items: one.items,
            doubted: one.doubted,
            modified: moment(one.modified),
        }
    });
    let shown = FeedHealth {
        r#type: "feed_health",
        api: "events",
        account: account.id().number(),
        following: health.following,
        reason: health.reason.clone(),
        source: health.origin.map(health::Origin::as_str),
        credential_state: account.opened.row.credential_state.as_str(),
        synced,
        lag: synced.map(|at| (now.micros() - at.micros()).max(0) / 1_000_000),
        newest,
        polling,
        push,
        collections: collections.collect(),
    };
    (shown, health.trail)
}

/// The word of a reason.
pub(super) fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::First => "first",
        Reason::Price => "price",
        Reason::Backstop => "backstop",
        Reason::Nudge => "nudge",
        Reason::Longest => "longest",
        Reason::More => "more",
        Reason::Retry => "retry",
        Reason::Paused => "paused",
    }
}

impl FeedHealth {
    /// What is wrong or worth knowing, in sentences.
    pub(super) fn findings(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !self.following {
            found.push("The account is not followed: its subscriptions are off.".to_owned());
        }
        if self.source.is_none() {
            found.push("The service has no files, so nothing of it is followed.".to_owned());
        }
        if self.credential_state == "dead" {
            let text = "The service does not take the account's credential any more: nothing is read until it is \
                        connected again.";
            found.push(text.to_owned());
        }
        let polling = self.polling.as_ref();
        if let Some(polling) = polling.filter(|polling| polling.failures > 0) {
            let error = polling.error.as_deref().unwrap_or("unknown");
            let next = polling.next.map_or("now".to_owned(), |at| format!("at {at}"));
            let failures = polling.failures;
            found.push(format!(
                "The last {failures} looks failed ({error}); the next comes {next}."
            ));
        }
        if self.polling.is_none() {
            found.push(
                "Another process polls this account: what it did lately is not known here."
                    .to_owned(),
            );
        }
        for one in self.collections.iter().filter(|one| !one.listed) {
            let (folder, items) = (&one.folder, one.items);
            found.push(format!(
                "{folder} is still being listed for the first time ({items} items so far): what is there is not \
                 told, and what changes meanwhile comes afterwards."
            ));
        }
        for one in self.collections.iter().filter(|one| one.doubted) {
            let folder = &one.folder;
            found.push(format!(
                "The last look at {folder} did not count: very much seemed to be gone that was there when it was \
                 looked at one by one."
            ));
        }
        match (self.source, self.push.as_ref(), polling.and_then(|polling| polling.next)) {
            (Some("delta" | "scan"), _, Some(next)) => found.push(format!(
                "Nothing tells of changes as they happen here; the service is looked at next at {next}."
            )),
            (_, Some(push), _) if !push.healthy => {
                found.push("The service's pushes are not healthy; it is polled more often.".to_owned());
            }
            _ => {}
        }
        found
    }
}
