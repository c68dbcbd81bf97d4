//! How the changes of an account are found at the service: a cursor to read on from, or a listing.
//!
//! What comes back are observations ("this is what the entry looks like now", "this is gone"), never
//! events: the activity core compares them with what it knew and says what happened. So doubles,
//! replays and coalesced changes do no harm, and a connector keeps no state. A service that has no cursor
//! leaves [`crate::Connector::changes`] at `None`; its folders are then listed and compared.

use std::time::Duration;

use async_trait::async_trait;
use tramontane_model::{NativeId, Timestamp};

use crate::account::Account;
use crate::cx::Cx;
use crate::entry::{Entry, Person};
use crate::error::{Error, Kind, Result};
use crate::push::Push;

/// A part of an account that the service follows with a cursor of its own: a user's files, a shared
/// drive, a library.
///
/// What is seen is seen of one collection: what moves to another one is "gone" in the one and "there" in the
/// other, with the same id or another, as the service has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Collection {
    /// Names it among the account's collections and stays the same. Empty for the only one or the main one.
    pub id: String,
    /// The folder that all of it lies below; the account's root for the main one. Itself it is not told of,
    /// nor is what lies above it.
    pub root: NativeId,
}

/// How the service names what is there and what is gone; the state is sorted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyedBy {
    /// By an id that survives renames and moves. What is gone is gone alone; what was in it is
    /// unreachable.
    Id,
    /// By a path. What is gone is gone with everything below its path.
    Path,
}

/// How the service's feed of changes behaves.
#[derive(Clone, Copy, Debug)]
pub struct ChangeFacts {
    /// How things are named.
    pub keyed_by: KeyedBy,
    /// Whether a renamed or moved folder is reported without what is in it, so that the paths below
    /// change silently.
    pub silent_below: bool,
    /// Whether a rename or move may come as "gone" and "there" on different pages, so that what is gone waits
    /// for the end of the run.
    pub splits_moves: bool,
    /// Never asked more often than this, but for pushes.
    pub at_least: Duration,
    /// Never left alone for longer than this: a third of the shortest life of a cursor.
    pub at_most: Duration,
    /// How often to look although pushes work.
    pub backstop: Duration,
    /// Whether [`Changes::wait`] works.
    pub waits: bool,
}

/// One observation.
#[derive(Clone, Debug)]
pub struct Change {
    /// What was seen.
    pub seen: Seen,
    /// When it happened, as the service says.
    pub at: Option<Timestamp>,
    /// Who did it, as the service says.
    pub by: Option<Person>,
    /// What the service itself calls it, where it tells.
    pub hint: Option<Hint>,
}

/// What was seen.
#[derive(Clone, Debug)]
pub enum Seen {
    /// The entry as it is now.
    There {
        /// Its metadata, its id and that of its folder as [`crate::Storage`] gives them. Where things are
        /// [`KeyedBy::Path`] the folder may be left out, since the key tells it.
        entry: Box<Entry>,
        /// The key that "gone" will name, where it is not the entry's id: a lower-case path.
        key: Option<String>,
        /// Changes with who may see it, where the service tells in its feed.
        sharing: Option<u64>,
    },
    /// It is gone, or in the trash, or out of the account's sight.
    Gone {
        /// The id or path.
        key: String,
        /// The entry as it lies in the trash, where the service tells.
        trashed: Option<Box<Entry>>,
    },
}

/// What a service calls a change that comparing cannot tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Made by copying.
    Copied,
    /// Brought back from the trash.
    Restored,
    /// Who may see it changed.
    Shared,
}

/// One page of changes.
#[derive(Clone, Debug, Default)]
pub struct ChangePage {
    /// In the service's order, at most some thousands.
    pub changes: Vec<Change>,
    /// Where to read on. Good for resuming after every page.
    pub next: String,
    /// Whether more is waiting.
    pub more: bool,
    /// Whether the account's collections may have changed (a shared drive came or went).
    pub collections: bool,
}

/// One page of the complete listing of a collection.
#[derive(Clone, Debug, Default)]
pub struct ListingPage {
    /// What is there, in any order. A service that tells of changes in between may name a thing more than
    /// once, and as [`Seen::Gone`] at last: the last one counts.
    pub entries: Vec<Change>,
    /// Where to read on; `None` at the end.
    pub next: Option<String>,
    /// The cursor that stands at the end of a listing, for services whose listing is the beginning of their
    /// feed: it goes on where this page ends. Not used, the one taken before the listing does as well.
    pub cursor: Option<String>,
}

/// How a long poll ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// Whether there is something to read.
    pub changed: bool,
    /// The service asks not to wait again before this has passed.
    pub back_off: Option<Duration>,
}

/// Changes of an account, by cursor.
#[async_trait]
pub trait Changes: Send + Sync {
    /// How the feed behaves. No call to the service.
    fn facts(&self, account: &Account) -> ChangeFacts;

    /// The collections that the account can see, at most 1,000.
    async fn collections(&self, cx: &Cx) -> Result<Vec<Collection>>;

    /// A cursor that stands now. Taken before a listing, it makes what changes meanwhile come again,
    /// which does no harm; taken after, it would lose that.
    async fn latest(&self, cx: &Cx, of: &Collection) -> Result<String>;

    /// What changed after a cursor.
    ///
    /// # Errors
    /// `CursorExpired` when the service has forgotten it, or it cannot be read: everything is listed again and
    /// compared. `NotFound` or `Forbidden` when the account no longer has the collection.
    async fn changes(&self, cx: &Cx, of: &Collection, cursor: &str) -> Result<ChangePage>;

    /// One page of everything that is in the collection. `at` is `None` at first.
    ///
    /// # Errors
    /// `CursorExpired` when `at` is forgotten: the listing starts again.
    async fn listing(&self, cx: &Cx, of: &Collection, at: Option<&str>) -> Result<ListingPage>;

    /// Waits at the service until something changes after the cursor, at most `within`. Such calls take no
    /// place among the others ([`crate::CallClass::Waiting`]): whoever makes them bounds their number.
    async fn wait(
        &self,
        _cx: &Cx,
        _of: &Collection,
        _cursor: &str,
        _within: Duration,
    ) -> Result<Waited> {
        Err(Error::new(Kind::Internal, "The service has no long poll."))
    }

    /// Pushes that say when to look; `None` where there are none.
    fn push(&self) -> Option<&dyn Push> {
        None
    }
}

/// What a watch heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Something changed in these folders: their paths below the root, without a slash at the end; empty for
    /// the root.
    Folders(Vec<String>),
    /// Something was missed: everything is looked at.
    Everything,
}

/// Hears of changes as they happen, on this machine or from a queue. Like a push it only says where to look.
#[async_trait]
pub trait Watch: Send {
    /// Waits for something, or for a while: then no folders are named. What it said before was noted when it is
    /// asked again. `None` when the watch has ended.
    async fn next(&mut self) -> Option<Heard>;

    /// Whether it hears at present, so that nobody needs to look without being told.
    fn hears(&self) -> bool {
        true
    }
}
