//! How the feed of an account is: where its changes come from, when it was read, what is known of it.

use tramontane_activity::feed::machine::Suspicion;
use tramontane_activity::feed::{Machine, Phase};
use tramontane_activity::schedule;
use tramontane_connector::Connector;
use tramontane_model::AccountId;
use tramontane_store::Db;
use tramontane_store::feeds::{self, FeedState};

use crate::error::Result;
use crate::feeds::Feeds;
use crate::shard;
use crate::trail::Trail;

/// The most collections that are told of.
const MAX_COLLECTIONS: usize = 100;

/// Where the changes of an account come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A cursor of the service, read after its pushes and now and then.
    Push,
    /// A cursor of the service, read after a long poll and now and then.
    LongPoll,
    /// A cursor of the service, read now and then.
    Delta,
    /// Folders, looked at when this machine says that something changed, and now and then.
    Watch,
    /// Folders, looked at now and then.
    Scan,
}

impl Origin {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::LongPoll => "long_poll",
            Self::Delta => "delta",
            Self::Watch => "watch",
            Self::Scan => "scan",
        }
    }
}

/// A part of an account with a cursor of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionHealth {
    /// Its id; empty for the main one.
    pub id: String,
    /// The service's id of the folder that it lies below.
    pub root: String,
    /// Where it stands: `fresh`, `listing`, `following`, `sweeping`, `streaming`, `closing`, `resting`.
    pub phase: &'static str,
    /// Whether everything in it was listed once: events come from then on.
    pub listed: bool,
    /// How many files and folders are known.
    pub items: u64,
    /// So much seemed to be gone at the last look, and was there, that the look did not count.
    pub doubted: bool,
    /// When something of it was written last, in microseconds.
    pub modified: i64,
}

/// The feed of an account.
#[derive(Clone, Debug)]
pub struct FeedHealth {
    /// Whether the account is followed.
    pub following: bool,
    /// Why it is not, or what is wrong with it, for people.
    pub reason: Option<String>,
    /// Where its changes come from; `None` where the service has no files.
    pub origin: Option<Origin>,
    /// When something of it was read and written last, in microseconds.
    pub synced: Option<i64>,
    /// How the schedule has it; `None` in a process that does not poll it.
    pub schedule: Option<schedule::Health>,
    /// When the first of its channels runs out, in microseconds.
    pub channels_until: Option<i64>,
    /// Channels that the service granted.
    pub channels: usize,
    /// What is known of its parts.
    pub collections: Vec<CollectionHealth>,
    /// What was done for it lately; empty in a process that does not poll it.
    pub trail: Trail,
}

/// How the feed of an account is; `None` when it has none. `feeds` is the running feed of this process, where there
/// is one.
///
/// # Errors
/// Those of the database.
pub async fn of(
    db: &Db,
    connector: Option<&dyn Connector>,
    feeds: Option<&Feeds>,
    account: AccountId,
) -> Result<Option<FeedHealth>> {
    let number = account.number();
    let Some(row) = feeds::find(db, number).await? else { return Ok(None) };
    let polls = feeds.filter(|feeds| feeds.owned().borrow().contains_key(&shard::of(number)));
    let schedule = polls.and_then(|feeds| feeds.scheduled(number));
    let channels = feeds::channels(db, number).await?;
    let live: Vec<_> = channels.iter().filter(|channel| channel.state == "live").collect();
    let mut collections = Vec::new();
    for row in feeds::collections(db, number).await?.into_iter().take(MAX_COLLECTIONS) {
        // What a newer version wrote is passed over.
        let Ok(machine) = serde_json::from_slice::<Machine>(&row.progress) else { continue };
        collections.push(CollectionHealth {
            id: row.id,
            root: row.root,
            phase: phase(machine.phase()),
            listed: machine.has_listed(),
            items: machine.items(),
            doubted: machine.suspicion() == Some(Suspicion::MassDelete),
            modified: row.modified,
        });
    }
    Ok(Some(FeedHealth {
        following: row.state == FeedState::Following,
        reason: row.reason,
        origin: connector.and_then(|one| origin(one, schedule.as_ref(), !live.is_empty())),
        synced: row.synced,
        schedule,
        channels_until: live.iter().filter_map(|channel| channel.expires).min(),
        channels: live.len(),
        collections,
        trail: polls.map(|feeds| feeds.trails().of(number)).unwrap_or_default(),
    }))
}

fn origin(
    connector: &dyn Connector,
    schedule: Option<&schedule::Health>,
    has_channels: bool,
) -> Option<Origin> {
    connector.storage()?;
    let pushed = has_channels || schedule.is_some_and(|one| one.push == schedule::Push::Healthy);
    Some(match (connector.changes().is_some(), pushed) {
        (true, _) if schedule.is_some_and(|one| one.held) => Origin::LongPoll,
        (true, true) => Origin::Push,
        (true, false) => Origin::Delta,
        (false, true) => Origin::Watch,
        (false, false) => Origin::Scan,
    })
}

fn phase(phase: &Phase) -> &'static str {
    match phase {
        Phase::Fresh => "fresh",
        Phase::Listing { .. } => "listing",
        Phase::Following { .. } => "following",
        Phase::Sweeping { .. } => "sweeping",
        Phase::Streaming { .. } => "streaming",
        Phase::Closing { .. } => "closing",
        Phase::Resting => "resting",
    }
}
