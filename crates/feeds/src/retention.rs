//! Retention: days of the log that are over are dropped, after the newest events of each feed were carried over;
//! applications may keep fewer days than the operator does.

use std::collections::BTreeMap;

use tramontane_activity::segment::{self, Group};
use tramontane_store::Db;
use tramontane_store::log::{self, slice_of};
use tramontane_store::retention::{self, Carried, Fading, Kept};

use crate::error::Result;
use crate::log::place;

/// The newest events of a feed that stay, however old they are.
pub const NEWEST: i64 = 10_000;
/// The fewest days that events are kept, whatever an application asks for.
pub const LEAST_DAYS: i64 = 7;

/// The most days that can be asked for; more than the operator keeps changes nothing.
pub const MOST_DAYS: i64 = 3_650;

/// The member of an application's settings that names its days.
pub const EVENT_DAYS: &str = "event_days";

/// The most events of one block that is kept: the newest is written anew until it is full.
const BLOCK: usize = 1_024;
/// Events that are read at once.
const PIECES: i64 = 1_000;
/// Feeds, and blocks, that are looked up at once.
const PAGE: i64 = 500;

/// What was tidied up to which slice, by application. Only so that it is not looked for again and again: whoever
/// starts anew looks once.
#[derive(Debug, Default)]
pub struct Tidied(BTreeMap<String, i64>);

/// Carries over and drops what is past its days.
///
/// # Errors
/// Those of the database; damage.
pub async fn tidy(db: &Db, days: i64, now: i64, tidied: &mut Tidied) -> Result<()> {
    let days = days.max(LEAST_DAYS);
    let oldest = |days: i64| slice_of(now) - days;
    let slices = log::slices(db).await?;
    let mut dropped = false;
    for slice in slices.iter().copied().filter(|slice| *slice < oldest(days)) {
        carry_over(db, slice, None).await?;
        tracing::info!(slice, "dropping a day of the activity log that is past retention");
        log::drop_slice(db, slice).await?;
        dropped = true;
    }
    for (application, own) in retention::own_days(db).await? {
        let oldest = oldest(own.clamp(LEAST_DAYS, days));
        if tidied.0.get(&application).is_some_and(|known| *known >= oldest) {
            continue;
        }
        for slice in slices.iter().copied().filter(|slice| *slice < oldest) {
            carry_over(db, slice, Some(&application)).await?;
            purge(db, slice).await?;
        }
        tidied.0.insert(application, oldest);
    }
    if dropped {
        retention::forget_orphans(db).await?;
    }
    Ok(())
}

/// Takes the feeds of a slice, or those of one application, out of it.
async fn carry_over(db: &Db, slice: i64, application: Option<&str>) -> Result<()> {
    let mut after = 0;
    loop {
        let page = retention::in_slice(db, slice, application, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.feed;
        for fading in page {
            carry(db, slice, &fading).await?;
        }
    }
}

/// Takes one feed out of a slice; what of it is among its newest events stays.
async fn carry(db: &Db, slice: i64, fading: &Fading) -> Result<()> {
    let Fading { feed, first, last, head } = *fading;
    // Nothing stays of what nobody can read any more.
    let floor = head.map_or(i64::MAX - 1, |head| head - NEWEST);
    let from = first.max(floor.saturating_add(1));
    let mut groups =
        if from <= last { newest(db, slice, feed, from, last).await? } else { Vec::new() };
    let mut replaces = None;
    if let (Some(begins), Some(block)) =
        (groups.first().map(|group| group.sequence), retention::newest(db, feed).await?)
        && block.sequence + block.events == begins
        && block.events < BLOCK as i64
    {
        replaces = Some(block.sequence);
        let mut before = segment::decode(&block.body)?;
        before.append(&mut groups);
        groups = before;
    }
    let blocks = blocks(feed, groups);
    let carried = Carried { feed, slice, floor, replaces, blocks };
    retention::carry(db, &carried).await?;
    Ok(())
}

/// The events of a feed in a slice from one sequence number to another, as far as they follow each other.
async fn newest(db: &Db, slice: i64, feed: i64, from: i64, last: i64) -> Result<Vec<Group>> {
    let (mut groups, mut next) = (Vec::new(), from);
    while next <= last {
        let begun = next;
        for piece in log::read_slice(db, slice, feed, next - 1, PIECES).await? {
            let decoded = place(segment::decode(&piece.body)?, &piece);
            for group in decoded.into_iter().filter(|group| group.feed == feed) {
                let Some(group) = beginning_at(group, next) else { continue };
                if group.sequence != next {
                    break;
                }
                next += group.events.len() as i64;
                groups.push(group);
            }
        }
        if next == begun {
            tracing::error!(slice, feed, from = next, "events of the activity log are missing");
            break;
        }
    }
    Ok(groups)
}

/// A group without its events before a sequence number; `None` when there are no others.
fn beginning_at(mut group: Group, sequence: i64) -> Option<Group> {
    let passed = (sequence - group.sequence).max(0);
    let count = usize::try_from(passed).ok()?;
    if count >= group.events.len() {
        return None;
    }
    group.events.drain(..count);
    group.sequence += passed;
    group.position += passed;
    Some(group)
}

/// Groups that follow each other, as blocks of at most [`BLOCK`] events.
fn blocks(feed: i64, groups: Vec<Group>) -> Vec<Kept> {
    let mut cut: Vec<Vec<Group>> = Vec::new();
    let mut held = BLOCK;
    for group in groups {
        let mut rest = Some(group);
        while let Some(mut group) = rest.take() {
            if held >= BLOCK {
                cut.push(Vec::new());
                held = 0;
            }
            let room = BLOCK - held;
            if group.events.len() > room {
                rest = beginning_at(group.clone(), group.sequence + room as i64);
                group.events.truncate(room);
            }
            held += group.events.len();
            if let Some(block) = cut.last_mut() {
                block.push(group);
            }
        }
    }
    let kept = |groups: Vec<Group>| Kept {
        feed,
        sequence: groups.first().map_or(0, |group| group.sequence),
        events: groups.iter().map(|group| group.events.len() as i64).sum(),
        at: groups.iter().map(|group| group.at).max().unwrap_or(0),
        body: segment::seal(&groups),
    };
    cut.into_iter().map(kept).collect()
}

/// Writes blocks of a slice anew without the events of feeds that left it.
async fn purge(db: &Db, slice: i64) -> Result<()> {
    loop {
        let blocks = retention::left_behind(db, slice, PAGE).await?;
        if blocks.is_empty() {
            return Ok(());
        }
        for (shard, position, feeds) in blocks {
            let without = |body: &[u8]| {
                let mut groups = segment::decode(body)?;
                groups.retain(|group| feeds.binary_search(&group.feed).is_err());
                Ok::<_, segment::Error>(segment::seal(&groups))
            };
            retention::purge(db, slice, (shard, position), &feeds, without).await??;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(sequence: i64, events: usize) -> Group {
        let events = (0..events).map(|number| Box::from(number.to_string().as_bytes()));
        Group { feed: 1, sequence, position: sequence * 2, at: sequence, events: events.collect() }
    }

    #[test]
    fn blocks_hold_everything_in_order_and_are_bounded() {
        let groups = vec![group(5, 1_000), group(1_005, 3_000), group(4_005, 2)];
        let kept = blocks(1, groups);
        let sizes: Vec<i64> = kept.iter().map(|block| block.events).collect();
        assert_eq!(sizes, [1_024, 1_024, 1_024, 930]);
        let mut next = 5;
        for block in kept {
            assert_eq!(block.sequence, next);
            for group in segment::decode(&block.body).unwrap_or_default() {
                assert_eq!(group.sequence, next);
                next += group.events.len() as i64;
            }
        }
        assert_eq!(next, 4_007);
    }

    #[test]
    fn a_group_loses_its_beginning() {
        let rest = beginning_at(group(5, 4), 7);
        assert_eq!(
            rest.map(|group| (group.sequence, group.position, group.events.len())),
            Some((7, 12, 2))
        );
        assert_eq!(beginning_at(group(5, 4), 9), None);
        assert_eq!(beginning_at(group(5, 4), 3), Some(group(5, 4)));
    }
}
