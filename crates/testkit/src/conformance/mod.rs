//! The behaviour suite: what every service must do, natively or filled in, whatever it is.
//!
//! A [`Check`] names the operations that it needs; [`run`] picks those that the account supports and
//! gives each a folder of its own. Nothing here knows any service by name.

#![expect(clippy::indexing_slicing, reason = "a panic fails the check that is to blame")]

mod changes;
mod folders;
mod hostile;
mod links;
mod listing;
mod names;
mod parts;
mod reading;
mod room;
mod writing;

use std::sync::Arc;

use futures::future::BoxFuture;
use tramontane_connector::{Cx, Storage};
use tramontane_fill::Filled;
use tramontane_model::{NativeId, Op, Ops};

pub use room::{Followed, Room};

/// One thing that must hold.
pub struct Check {
    /// What holds, in words.
    pub name: &'static str,
    /// What the account must support for it to make sense.
    pub needs: &'static [Op],
    /// Whether it takes long: left out when operations are masked.
    pub slow: bool,
    run: for<'a> fn(&'a Room) -> BoxFuture<'a, anyhow::Result<()>>,
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Makes the table of a module's checks: name of the function, what it needs.
macro_rules! suite {
    ($($function:ident [$($op:ident),*] $($slow:ident)?;)*) => {
        /// The checks of this module.
        pub(super) const CHECKS: &[super::Check] = &[$(super::Check {
            name: stringify!($function),
            needs: &[$(tramontane_model::Op::$op),*],
            slow: suite!(@slow $($slow)?),
            run: |room| Box::pin($function(room)),
        },)*];
    };
    (@slow) => { false };
    (@slow slow) => { true };
}
pub(crate) use suite;

/// Every check of files.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    let all = [
        reading::CHECKS,
        writing::CHECKS,
        folders::CHECKS,
        listing::CHECKS,
        names::CHECKS,
        parts::CHECKS,
        links::CHECKS,
        hostile::CHECKS,
    ];
    all.into_iter().flatten()
}

/// What one check gave.
#[derive(Debug)]
pub struct Outcome {
    /// The check.
    pub name: &'static str,
    /// What it needed.
    pub needs: &'static [Op],
    /// `None` when the account does not support what it needs.
    pub passed: Option<bool>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// What all checks gave.
#[derive(Debug, Default)]
pub struct Report(pub Vec<Outcome>);

impl Report {
    /// The failures, a line each; empty when all is well.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let failed = self.0.iter().filter(|outcome| outcome.passed == Some(false));
        failed
            .map(|outcome| {
                format!("{}: {}", outcome.name, outcome.failure.clone().unwrap_or_default())
            })
            .collect()
    }

    /// How many passed.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.0.iter().filter(|outcome| outcome.passed == Some(true)).count()
    }
}

/// The ground that checks stand on.
pub struct Ground {
    /// The account's files, gaps filled.
    pub storage: Arc<Filled>,
    /// The context of calls.
    pub cx: Cx,
    /// A folder that takes files and folders; every check makes its own in it.
    pub scratch: NativeId,
    /// What tells of changes in it, for services that have cursors.
    pub followed: Option<Followed>,
    /// Whether to run slow checks.
    pub slow: bool,
    /// Only checks whose name holds this.
    pub only: Option<String>,
}

impl Ground {
    /// What the account supports, natively or filled in.
    #[must_use]
    pub fn supported(&self) -> Ops {
        let support = self.storage.support(&self.cx.account);
        support
            .iter()
            .filter(|(_, how)| how.is_supported())
            .fold(Ops::NONE, |all, (op, _)| all.with(*op))
    }
}

/// Runs every check that makes sense here.
///
/// # Errors
/// When the ground itself cannot be prepared.
pub async fn run(ground: &Ground) -> anyhow::Result<Report> {
    let supported = ground.supported();
    let mut report = Report::default();
    let feeds = if ground.followed.is_some() { changes::CHECKS } else { &[] };
    for check in checks().chain(feeds) {
        let wanted = ground.only.as_ref().is_none_or(|only| check.name.contains(only.as_str()));
        if !wanted || (check.slow && !ground.slow) {
            continue;
        }
        let sensible = check.needs.iter().all(|op| supported.has(*op));
        let mut outcome =
            Outcome { name: check.name, needs: check.needs, passed: None, failure: None };
        if sensible {
            let begun = std::time::Instant::now();
            let room = Room::open(ground, check.name).await?;
            // A failing check must not take the others with it.
            let done =
                tokio::time::timeout(std::time::Duration::from_secs(240), (check.run)(&room)).await;
            let done =
                done.unwrap_or_else(|_| Err(anyhow::anyhow!("took longer than 240 seconds")));
            outcome.passed = Some(done.is_ok());
            let took = begun.elapsed();
            if took > std::time::Duration::from_secs(1) {
                eprintln!("  {} took {took:?}", check.name);
            }
            outcome.failure = done.err().map(|error| format!("{error:#}"));
            room.close().await;
        }
        report.0.push(outcome);
    }
    Ok(report)
}

/// What is declared and declines all the same, or works without being declared.
///
/// # Errors
/// When the account cannot be asked.
pub async fn declared_as_it_is(
    masked: &crate::masked::Masked,
    ground: &Ground,
) -> anyhow::Result<Vec<String>> {
    let native = masked.abilities(&ground.cx.account).native;
    let mut faults = Vec::new();
    for (op, seen) in masked.seen() {
        if native.has(op) && seen.done == 0 && seen.declined > 0 {
            faults.push(format!("{op} is declared native, and every call of it was declined"));
        }
        // Rename and move are one call, and so are create with and without a length: one of the pair
        // may be declared without the other.
        let twin = match op {
            Op::FileRename => Op::FileMove,
            Op::FileMove => Op::FileRename,
            Op::FolderRename => Op::FolderMove,
            Op::FolderMove => Op::FolderRename,
            other => other,
        };
        let unconditional =
            !matches!(op, Op::FileDeletePermanently | Op::FolderDelete | Op::FileCreateUnsized);
        if unconditional && !native.has(op) && !native.has(twin) && seen.done > 0 {
            faults.push(format!("{op} works, but is not declared native"));
        }
    }
    Ok(faults)
}
