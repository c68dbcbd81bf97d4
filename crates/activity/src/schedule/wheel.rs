//! A hierarchical timer wheel over small numbers: placing, taking out and finding the next are O(1).

/// The end of a list, and "in no list".
const NONE: u32 = u32::MAX;
/// Each level has 64 slots, so that one word says which of them hold something.
const BITS: u32 = 6;
const SLOTS: u64 = 1 << BITS;
/// Eight levels of 64 slots reach 2^48 ticks, which is more than any moment of ours.
const LEVELS: u32 = 8;
/// One call moves no more numbers down a level than this, about a millisecond's work.
const MOST_MOVED: usize = 4_096;
const LAST_TICK: u64 = (1 << (BITS * LEVELS)) - 1;

/// What one slot holds: both ends of a list, so that what was placed first comes out first.
#[derive(Clone, Copy)]
struct Slot {
    head: u32,
    tail: u32,
}

/// Where one number hangs.
#[derive(Clone, Copy)]
struct Link {
    before: u32,
    after: u32,
    /// The index of the slot, `NONE` when it hangs nowhere.
    slot: u32,
    tick: u64,
}

const LOOSE: Link = Link { before: NONE, after: NONE, slot: NONE, tick: 0 };

/// Numbers, each with the tick at which it is wanted.
///
/// A number's level is that of the highest digit (of 6 bits) in which its tick differs from the
/// present one. So everything on a lower level comes before everything on a higher one, and the next
/// number is found from eight words.
pub(super) struct Wheel {
    /// The present tick: nothing before it is left.
    now: u64,
    occupied: [u64; LEVELS as usize],
    slots: Vec<Slot>,
    links: Vec<Link>,
    /// A slot whose time has begun and whose numbers are on their way down. Until it is empty nothing
    /// comes out: one of them may be next.
    emptying: Option<u32>,
}

impl Wheel {
    pub(super) fn new(now: u64) -> Self {
        let slots = vec![Slot { head: NONE, tail: NONE }; (SLOTS * u64::from(LEVELS)) as usize];
        Self {
            now: now.min(LAST_TICK),
            occupied: [0; LEVELS as usize],
            slots,
            links: Vec::new(),
            emptying: None,
        }
    }

    /// Places a number at a tick; one that hangs somewhere is moved. A tick that is past counts as the
    /// present one.
    pub(super) fn place(&mut self, number: u32, tick: u64) {
        self.take_out(number);
        if number as usize >= self.links.len() {
            self.links.resize(number as usize + 1, LOOSE);
        }
        self.hang(number, tick.clamp(self.now, LAST_TICK));
    }

    /// Takes a number out, wherever it hangs.
    pub(super) fn take_out(&mut self, number: u32) {
        let Some(link) = self.links.get_mut(number as usize) else { return };
        let Link { before, after, slot, .. } = std::mem::replace(link, LOOSE);
        if slot == NONE {
            return;
        }
        if let Some(link) = self.links.get_mut(before as usize) {
            link.after = after;
        }
        if let Some(link) = self.links.get_mut(after as usize) {
            link.before = before;
        }
        if let Some(ends) = self.slots.get_mut(slot as usize) {
            if ends.head == number {
                ends.head = after;
            }
            if ends.tail == number {
                ends.tail = before;
            }
            if ends.head == NONE
                && let Some(word) = self.occupied.get_mut(slot as usize / SLOTS as usize)
            {
                *word &= !(1 << (u64::from(slot) % SLOTS));
            }
        }
    }

    /// The next number that is wanted at or before this tick, taken out. Costs O(1), amortised: a
    /// number goes down a level at most seven times before it comes out. `None` when there is none, or
    /// after so much work that the caller should have a turn: then `next` is not after this tick.
    pub(super) fn pop(&mut self, tick: u64) -> Option<u32> {
        let tick = tick.min(LAST_TICK);
        loop {
            if let Some(slot) = self.emptying {
                if !self.empty(slot) {
                    return None;
                }
                self.emptying = None;
            }
            let Some((level, slot, start)) = self.first_slot().filter(|found| found.2 <= tick)
            else {
                self.now = self.now.max(tick);
                return None;
            };
            self.now = self.now.max(start);
            if level == 0 {
                let first = self.slots.get(slot as usize)?.head;
                self.take_out(first);
                return Some(first);
            }
            self.emptying = Some(slot);
        }
    }

    /// Moves numbers of a slot to where they belong now; `true` when none is left.
    fn empty(&mut self, slot: u32) -> bool {
        for _ in 0..MOST_MOVED {
            let first = self.slots.get(slot as usize).map_or(NONE, |ends| ends.head);
            let Some(link) = self.links.get(first as usize).copied() else { return true };
            self.take_out(first);
            self.hang(first, link.tick.max(self.now));
        }
        false
    }

    /// The tick before which nothing can come out; `None` when the wheel is empty. It may be earlier
    /// than the next number's own tick (the start of the slot that the number hangs in).
    pub(super) fn next(&self) -> Option<u64> {
        if self.emptying.is_some() {
            return Some(self.now);
        }
        self.first_slot().map(|(_, _, start)| start)
    }

    /// Level, slot and first tick of the first slot that holds something.
    fn first_slot(&self) -> Option<(u32, u32, u64)> {
        let (level, word) = (0..).zip(self.occupied).find(|(_, word)| *word != 0)?;
        let digit = word.trailing_zeros();
        let shift = BITS * level;
        let above = self.now >> shift >> BITS << BITS << shift;
        let start = above | (u64::from(digit) << shift);
        Some((level, level * SLOTS as u32 + digit, start.max(self.now)))
    }

    fn hang(&mut self, number: u32, tick: u64) {
        let differs = 63 - ((self.now ^ tick) | 1).leading_zeros();
        let level = differs / BITS;
        let digit = (tick >> (BITS * level)) % SLOTS;
        let slot = level * SLOTS as u32 + digit as u32;
        let Some(ends) = self.slots.get_mut(slot as usize) else { return };
        let before = ends.tail;
        ends.tail = number;
        if ends.head == NONE {
            ends.head = number;
        }
        if let Some(link) = self.links.get_mut(before as usize) {
            link.after = number;
        }
        if let Some(link) = self.links.get_mut(number as usize) {
            *link = Link { before, after: NONE, slot, tick };
        }
        if let Some(word) = self.occupied.get_mut(level as usize) {
            *word |= 1 << digit;
        }
    }
}
