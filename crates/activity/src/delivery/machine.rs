//! One endpoint on one shard: its position, and per account the ranges that it has not taken yet.

use std::collections::{BTreeMap, BTreeSet};

use crate::delivery::Outcome;
use crate::delivery::checkpoint::Checkpoint;
use crate::delivery::health::Health;
use crate::delivery::retry::wait_before;

/// The most ranges that are outstanding. Beyond it nothing more is read until some are taken.
pub const MAX_RANGES: usize = 1_000;
/// The most ranges at all: messages that fail one by one leave a range each, until nothing new is sent.
pub(crate) const MOST_RANGES: usize = 2 * MAX_RANGES;

/// How an endpoint wants its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A message of an account waits for the one before it.
    pub ordered: bool,
    /// The most events of one message.
    pub batch: usize,
    /// A message says only that there is something: one stands for all that came before it.
    pub coalesce: bool,
}

/// Events of one account by their sequence numbers, up to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) to: i64,
    /// How many attempts failed.
    pub(crate) attempts: u32,
    /// It is one message, whose id is known outside: it neither grows nor shrinks.
    pub(crate) fixed: bool,
    /// When it may be sent.
    pub(crate) due: i64,
}

/// Which of two queues: retries have a share of their own, so that they cannot starve what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Never tried.
    Fresh,
    /// Tried before.
    Retry,
}

/// A message that is to be sent: the events of an account from `from` to `to` that the endpoint wants,
/// as many as a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The account.
    pub account: i64,
    /// The first sequence number to look at.
    pub from: i64,
    /// The last.
    pub to: i64,
    /// How many attempts failed.
    pub attempts: u32,
    /// It has to be exactly this range: it was sent before.
    pub fixed: bool,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// It was taken.
    Delivered,
    /// It is tried again at this moment.
    Retrying(i64),
    /// It was tried as often as it is.
    Failed,
    /// Nothing of this account was under way.
    Unknown,
}

/// What an account sends next: when, and from where.
#[derive(Clone, Copy, Debug, Default)]
struct Next {
    fresh: Option<(i64, i64)>,
    retry: Option<(i64, i64)>,
}

/// The machine. One message per account is under way at a time.
#[derive(Clone, Debug)]
pub struct Machine {
    rules: Rules,
    position: i64,
    ranges: BTreeMap<(i64, i64), Range>,
    /// What each account sends next in each lane, if it does not send now.
    next: BTreeMap<i64, Next>,
    fresh: BTreeSet<(i64, i64)>,
    retries: BTreeSet<(i64, i64)>,
    /// What is under way: from where up to where.
    flying: BTreeMap<i64, (i64, i64)>,
    changed: bool,
}

impl Machine {
    /// Starts from a checkpoint.
    #[must_use]
    pub fn new(rules: Rules, from: &Checkpoint) -> Self {
        let mut machine = Self {
            rules,
            position: from.position,
            ranges: from
                .ranges
                .iter()
                .map(|(account, at, range)| ((*account, *at), *range))
                .collect(),
            next: BTreeMap::new(),
            fresh: BTreeSet::new(),
            retries: BTreeSet::new(),
            flying: BTreeMap::new(),
            changed: false,
        };
        let accounts: BTreeSet<i64> = from.ranges.iter().map(|(account, ..)| *account).collect();
        for account in accounts {
            machine.queue(account);
        }
        machine
    }

    /// The last position that was looked at.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Whether more of the log may be offered.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.ranges.len() < MAX_RANGES
    }

    /// How many messages are under way.
    #[must_use]
    pub fn flying(&self) -> usize {
        self.flying.len()
    }

    /// Whether nothing is outstanding.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether there is something that the last checkpoint does not say.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// Other rules, from now on.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
        let accounts: BTreeSet<i64> = self.ranges.keys().map(|(account, _)| *account).collect();
        for account in accounts {
            self.queue(account);
        }
    }

    /// Passes over everything up to a position: nothing there is wanted.
    pub fn pass(&mut self, position: i64) {
        self.position = self.position.max(position);
    }

    /// Takes note of a wanted event. Positions come in order; one that was offered before is ignored.
    pub fn offer(&mut self, position: i64, account: i64, sequence: i64, now: i64) {
        if position <= self.position {
            return;
        }
        self.position = position;
        self.changed = true;
        let last = self.ranges.range_mut((account, i64::MIN)..=(account, i64::MAX)).next_back();
        match last {
            // It is in a range already: the log was offered from before the checkpoint.
            Some((_, range)) if sequence <= range.to => {}
            Some((_, range)) if !range.fixed => range.to = sequence,
            other => {
                let alone = other.is_none();
                let range = Range { to: sequence, attempts: 0, fixed: false, due: now };
                self.ranges.insert((account, sequence), range);
                if alone || !self.rules.ordered {
                    self.queue(account);
                }
            }
        }
    }

    /// When the next message of a lane is due, if none is before.
    #[must_use]
    pub fn due(&self, lane: Lane) -> Option<i64> {
        self.lane(lane).first().map(|(due, _)| *due)
    }

    fn lane(&self, lane: Lane) -> &BTreeSet<(i64, i64)> {
        match lane {
            Lane::Fresh => &self.fresh,
            Lane::Retry => &self.retries,
        }
    }

    /// The next message of a lane that is due. Whoever takes it says with [`Machine::cut`] how far it
    /// goes, and then how it went with [`Machine::land`]; or [`Machine::skip`], or [`Machine::recall`].
    pub fn depart(&mut self, lane: Lane, now: i64) -> Option<Departure> {
        let (due, account) = *self.lane(lane).first()?;
        let full = self.ranges.len() + self.flying.len() >= MOST_RANGES;
        if due > now || full && lane == Lane::Fresh && !self.rules.coalesce {
            return None;
        }
        let next = self.next.get(&account)?;
        let (_, from) = match lane {
            Lane::Fresh => next.fresh,
            Lane::Retry => next.retry,
        }?;
        self.unqueue(account);
        let range = self.ranges.get(&(account, from))?;
        self.flying.insert(account, (from, range.to));
        let Range { to, attempts, fixed, .. } = *range;
        Some(Departure { account, from, to, attempts, fixed })
    }

    /// Says how far the account's message goes. The rest of its range is another message.
    pub fn cut(&mut self, account: i64, through: i64) {
        let Some((from, to)) = self.flying.get_mut(&account) else { return };
        let Some(range) = self.ranges.get_mut(&(account, *from)) else { return };
        let through = through.clamp(*from, range.to);
        *to = through;
        if self.rules.coalesce || range.fixed {
            return;
        }
        self.changed = true;
        let rest = Range { fixed: false, attempts: 0, ..*range };
        range.to = through;
        range.fixed = true;
        if rest.to > through {
            self.ranges.insert((account, through + 1), rest);
        }
    }

    /// Nothing of the account's range up to `through` is wanted, or kept, any more.
    pub fn skip(&mut self, account: i64, through: i64, now: i64) {
        if let Some((from, _)) = self.flying.remove(&account) {
            self.advance(account, from, through, now);
        }
        self.queue(account);
    }

    /// The account's message did not leave.
    pub fn recall(&mut self, account: i64) {
        self.flying.remove(&account);
        self.queue(account);
    }

    /// Says how the account's message went. `chance` spreads the retries.
    pub fn land(&mut self, account: i64, outcome: Outcome, now: i64, chance: u32) -> Landing {
        let Some((from, through)) = self.flying.remove(&account) else { return Landing::Unknown };
        let landing = match outcome {
            Outcome::Taken => {
                self.advance(account, from, through, now);
                Landing::Delivered
            }
            Outcome::Gone => {
                self.advance(account, from, through, now);
                Landing::Failed
            }
            Outcome::Refused(asked) => self.refused(account, from, through, asked, now, chance),
        };
        self.queue(account);
        landing
    }

    fn refused(
        &mut self,
        account: i64,
        from: i64,
        through: i64,
        asked: Option<u32>,
        now: i64,
        chance: u32,
    ) -> Landing {
        let Some(range) = self.ranges.get_mut(&(account, from)) else { return Landing::Unknown };
        range.attempts += 1;
        self.changed = true;
        match wait_before(range.attempts, asked, chance) {
            Some(wait) => {
                range.due = now + wait;
                Landing::Retrying(range.due)
            }
            None => {
                self.advance(account, from, through, now);
                Landing::Failed
            }
        }
    }

    /// The range that begins at `from` is done up to `through`.
    fn advance(&mut self, account: i64, from: i64, through: i64, now: i64) {
        self.changed = true;
        if let Some(range) = self.ranges.remove(&(account, from))
            && range.to > through
        {
            let rest = Range { to: range.to, attempts: 0, fixed: false, due: now };
            self.ranges.insert((account, through + 1), rest);
        }
    }

    fn unqueue(&mut self, account: i64) {
        let next = self.next.remove(&account).unwrap_or_default();
        if let Some((due, _)) = next.fresh {
            self.fresh.remove(&(due, account));
        }
        if let Some((due, _)) = next.retry {
            self.retries.remove(&(due, account));
        }
    }

    /// Finds what an account sends next: its first range, or without order the one of each lane that is
    /// due first.
    fn queue(&mut self, account: i64) {
        self.unqueue(account);
        if self.flying.contains_key(&account) {
            return;
        }
        let in_turn = self.rules.ordered || self.rules.coalesce;
        let of = self.ranges.range((account, i64::MIN)..=(account, i64::MAX));
        let mut next = Next::default();
        for ((_, from), range) in of.take(if in_turn { 1 } else { usize::MAX }) {
            let slot = if range.attempts == 0 { &mut next.fresh } else { &mut next.retry };
            *slot = Some(slot.map_or((range.due, *from), |first| first.min((range.due, *from))));
        }
        if let Some((due, _)) = next.fresh {
            self.fresh.insert((due, account));
        }
        if let Some((due, _)) = next.retry {
            self.retries.insert((due, account));
        }
        if next.fresh.is_some() || next.retry.is_some() {
            self.next.insert(account, next);
        }
    }

    /// What to keep. Everything that is outstanding is in it, under way or not.
    pub fn checkpoint(&mut self, health: &Health) -> Checkpoint {
        self.changed = false;
        let ranges = self.ranges.iter().map(|((account, from), range)| (*account, *from, *range));
        Checkpoint {
            position: self.position,
            last_success: health.last_success(),
            failing_since: health.failing_since(),
            ranges: ranges.collect(),
        }
    }

    /// Says that the checkpoint was not written after all.
    pub fn not_kept(&mut self) {
        self.changed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const ONE: Rules = Rules { ordered: false, batch: 1, coalesce: false };

    fn machine(rules: Rules) -> Machine {
        Machine::new(rules, &Checkpoint::at(0))
    }

    #[test]
    fn one_message_per_account_is_under_way() {
        let mut machine = machine(ONE);
        for (position, account, sequence) in [(1, 7, 1), (2, 7, 2), (3, 8, 1)] {
            machine.offer(position, account, sequence, 0);
        }
        let seven = machine.depart(Lane::Fresh, 0).unwrap();
        machine.cut(7, 1);
        let eight = machine.depart(Lane::Fresh, 0).unwrap();
        assert_eq!((seven.account, eight.account), (7, 8));
        assert_eq!(machine.depart(Lane::Fresh, 0), None);
        assert_eq!(machine.land(7, Outcome::Taken, 0, 0), Landing::Delivered);
        assert_eq!(machine.depart(Lane::Fresh, 0).unwrap().from, 2);
    }

    #[test]
    fn without_order_a_failed_message_waits_alone_with_order_all_wait() {
        for ordered in [false, true] {
            let mut machine = machine(Rules { ordered, ..ONE });
            machine.offer(1, 7, 1, 0);
            machine.offer(2, 7, 2, 0);
            machine.depart(Lane::Fresh, 0).unwrap();
            machine.cut(7, 1);
            let Landing::Retrying(at) = machine.land(7, Outcome::Refused(None), 0, 0) else {
                panic!()
            };
            assert_eq!(at, 4_500_000);
            let next = machine.depart(Lane::Fresh, SECOND);
            assert_eq!(next.map(|next| next.from), (!ordered).then_some(2));
            if !ordered {
                machine.cut(7, 2);
                machine.land(7, Outcome::Taken, 0, 0);
            }
            assert_eq!(machine.depart(Lane::Retry, at - 1), None);
            let again = machine.depart(Lane::Retry, at).unwrap();
            assert_eq!((again.from, again.to, again.attempts, again.fixed), (1, 1, 1, true));
            machine.land(7, Outcome::Taken, at, 0);
            assert_eq!(machine.depart(Lane::Fresh, at).is_some(), ordered);
        }
    }

    #[test]
    fn changes_during_a_notification_cause_one_more() {
        let mut machine = machine(Rules { coalesce: true, ..ONE });
        machine.offer(1, 7, 1, 0);
        let first = machine.depart(Lane::Fresh, 0).unwrap();
        machine.cut(7, first.to);
        for sequence in 2..50 {
            machine.offer(sequence, 7, sequence, 0);
        }
        assert_eq!(machine.depart(Lane::Fresh, 0), None);
        machine.land(7, Outcome::Taken, 0, 0);
        let second = machine.depart(Lane::Fresh, 0).unwrap();
        assert_eq!((second.from, second.to), (2, 49));
        machine.cut(7, second.to);
        machine.land(7, Outcome::Taken, 0, 0);
        assert!(machine.is_idle());
    }

    #[test]
    fn after_the_last_retry_a_message_has_failed() {
        let mut machine = machine(ONE);
        machine.offer(1, 7, 1, 0);
        let mut now = 0;
        for attempt in 0.. {
            let lane = if attempt == 0 { Lane::Fresh } else { Lane::Retry };
            machine.depart(lane, now).unwrap();
            machine.cut(7, 1);
            match machine.land(7, Outcome::Refused(None), now, 0) {
                Landing::Retrying(at) => now = at,
                landing => {
                    assert_eq!((landing, attempt), (Landing::Failed, 9));
                    break;
                }
            }
        }
        assert!(machine.is_idle());
    }

    #[test]
    fn messages_that_fail_one_by_one_are_bounded_too() {
        let mut machine = machine(ONE);
        for sequence in 1..=5_000 {
            machine.offer(sequence, 7, sequence, 0);
        }
        let mut sent = 0;
        while let Some(departure) = machine.depart(Lane::Fresh, 0) {
            machine.cut(7, departure.from);
            machine.land(7, Outcome::Refused(None), 0, 0);
            sent += 1;
        }
        let mut kept = machine.checkpoint(&Health::new(0, 0, None));
        assert!(sent < MOST_RANGES && kept.ranges.len() <= MOST_RANGES);
        let again = Checkpoint::decode(kept.position, &kept.encode()).unwrap();
        assert_eq!(again, kept);
        // One that is taken makes room for another.
        let at = machine.due(Lane::Retry).unwrap();
        machine.depart(Lane::Retry, at).unwrap();
        machine.land(7, Outcome::Taken, at, 0);
        assert!(machine.depart(Lane::Fresh, at).is_some());
        kept.ranges.clear();
        assert!(kept.is_clear());
    }

    #[test]
    fn a_full_machine_asks_for_no_more() {
        let mut machine = machine(ONE);
        for account in 1..=MAX_RANGES as i64 {
            assert!(machine.has_room());
            machine.offer(account, account, 1, 0);
        }
        assert!(!machine.has_room());
        // A busy account is one range, however many events it has.
        machine.offer(5_000, 1, 2, 0);
        assert_eq!(machine.checkpoint(&Health::new(0, 0, None)).ranges.len(), MAX_RANGES);
    }
}
