//! Events that an endpoint read and has not sent yet. Bounded: what does not fit is read again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::deliver::pages::Seen;

/// Events of one account, and in all.
const PER_ACCOUNT: usize = 256;
const IN_ALL: usize = 4_096;

/// Complete from one sequence number to another, as far as the endpoint's filter goes.
#[derive(Debug)]
struct Shelf {
    from: i64,
    to: i64,
    events: VecDeque<Arc<Seen>>,
}

/// The stock of one endpoint on one shard.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    shelves: BTreeMap<i64, Shelf>,
    total: usize,
}

impl Stock {
    /// Puts a wanted event of the growing log beside those that wait.
    pub(crate) fn put(&mut self, account: i64, event: Arc<Seen>) {
        let sequence = event.numbered.sequence;
        let full = self.total >= IN_ALL;
        match self.shelves.get_mut(&account) {
            // It ends before: there is a gap, and what comes now is read when its turn comes.
            Some(shelf) if shelf.to != i64::MAX => {}
            Some(shelf) if full || shelf.events.len() >= PER_ACCOUNT => {
                shelf.to = sequence - 1;
            }
            Some(shelf) => {
                shelf.events.push_back(event);
                self.total += 1;
            }
            None if full => {}
            None => {
                let events = VecDeque::from([event]);
                self.shelves.insert(account, Shelf { from: sequence, to: i64::MAX, events });
                self.total += 1;
            }
        }
    }

    /// Keeps what was read of the log for an account.
    pub(crate) fn fill(&mut self, account: i64, from: i64, to: i64, events: Vec<Arc<Seen>>) {
        self.forget(account);
        self.total += events.len();
        self.shelves.insert(account, Shelf { from, to, events: events.into() });
    }

    /// The wanted events of an account from a sequence number on, at most `limit`, and up to where that
    /// is all; `None` when the log has to be asked.
    pub(crate) fn take(&self, account: i64, from: i64, to: i64, limit: usize) -> Option<Taken> {
        let shelf = self.shelves.get(&account)?;
        if from < shelf.from || from > shelf.to {
            return None;
        }
        let to = to.min(shelf.to);
        let wanted =
            shelf.events.iter().filter(|event| (from..=to).contains(&event.numbered.sequence));
        Some(Taken::all(wanted.take(limit).cloned().collect(), to))
    }

    /// Lets go of everything up to a sequence number.
    pub(crate) fn pass(&mut self, account: i64, through: i64) {
        let Some(shelf) = self.shelves.get_mut(&account) else { return };
        while shelf.events.front().is_some_and(|event| event.numbered.sequence <= through) {
            shelf.events.pop_front();
            self.total -= 1;
        }
        shelf.from = shelf.from.max(through + 1);
        if shelf.events.is_empty() {
            self.shelves.remove(&account);
        }
    }

    /// Lets go of an account.
    pub(crate) fn forget(&mut self, account: i64) {
        if let Some(shelf) = self.shelves.remove(&account) {
            self.total -= shelf.events.len();
        }
    }
}

/// What the stock gave.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) events: Vec<Arc<Seen>>,
    /// Up to here there is nothing else.
    pub(crate) to: i64,
    /// What was there up to here is not kept any more.
    pub(crate) lost: bool,
}

impl Taken {
    /// These events, and nothing else up to `to`.
    pub(crate) fn all(events: Vec<Arc<Seen>>, to: i64) -> Self {
        Self { events, to, lost: false }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::deliver::Owner;
    use crate::log::Numbered;
    use std::sync::OnceLock;
    use tramontane_activity::Announced;

    fn event(account: i64, sequence: i64) -> Arc<Seen> {
        let event = Announced::Updated.event("1", "ana", serde_json::Value::Null, 1, 1);
        let owner = Owner { account, application: "app".into(), service: "local".into() };
        Arc::new(Seen {
            type_name: event.type_name(),
            numbered: Numbered { feed: account, sequence, position: sequence, at: 1, event },
            owner: Arc::new(owner),
            shown: OnceLock::new(),
        })
    }

    fn numbers(taken: &Taken) -> Vec<i64> {
        taken.events.iter().map(|event| event.numbered.sequence).collect()
    }

    #[test]
    fn what_is_in_stock_is_complete_and_what_is_not_is_asked_for() {
        let mut stock = Stock::default();
        for sequence in [5, 6, 9] {
            stock.put(1, event(1, sequence));
        }
        let taken = stock.take(1, 5, 9, 2).unwrap();
        assert_eq!((numbers(&taken), taken.to), (vec![5, 6], 9));
        assert!(stock.take(1, 4, 9, 2).is_none() && stock.take(2, 5, 9, 2).is_none());
        stock.pass(1, 6);
        assert!(stock.take(1, 5, 9, 2).is_none());
        assert_eq!(numbers(&stock.take(1, 7, 9, 2).unwrap()), [9]);
        stock.pass(1, 9);
        assert!(stock.take(1, 10, 10, 2).is_none());
        assert_eq!(stock.total, 0);
    }

    #[test]
    fn a_busy_account_does_not_fill_it() {
        let mut stock = Stock::default();
        for sequence in 1..=1_000 {
            stock.put(1, event(1, sequence));
        }
        stock.put(2, event(2, 1));
        assert_eq!(stock.total, PER_ACCOUNT + 1);
        let taken = stock.take(1, 256, 1_000, 10).unwrap();
        assert_eq!((numbers(&taken), taken.to), (vec![256], 256));
        assert!(stock.take(1, 257, 1_000, 10).is_none());
        stock.fill(1, 257, 300, vec![event(1, 257), event(1, 300)]);
        assert_eq!(numbers(&stock.take(1, 257, 1_000, 10).unwrap()), [257, 300]);
        assert_eq!(stock.total, 3);
    }
}
