//! A made-up account: folders and files in four styles of names, and what happens to them between two scans.

use tramontane_activity::feed::remembered::{SIZED, plain_size};
use tramontane_activity::snapshot::{KeyOrder, Record, flag};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Folders in a top folder.
pub(crate) const FOLDERS: u64 = 100;
/// Files in a folder.
pub(crate) const FILES: u64 = 99;
/// Entries below and with a top folder.
pub(crate) const TOP_ENTRIES: u64 = 1 + FOLDERS * (1 + FILES);

const WORDS: &[&str] = &[
    "quarterly",
    "report",
    "invoice",
    "budget",
    "holiday",
    "contract",
    "draft",
    "final",
    "client",
    "meeting",
    "notes",
    "design",
    "review",
    "archive",
    "backup",
    "export",
    "parser",
    "handler",
    "config",
    "stream",
    "session",
    "billing",
    "customer",
    "marketing",
    "campaign",
    "logistics",
];

/// What happens to a file or a folder between the scans.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Changes,
    Goes,
    Moves,
    IsRenamed,
    GetsNeighbour,
}

/// What a scan must tell of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Added,
    Changed,
    Removed,
    Moved,
    Carried,
    CarriedChanged,
}

/// Hears what must be told: kind, key before, key after.
pub(crate) type Truth<'t> = &'t mut dyn FnMut(Kind, &str, &str);

pub(crate) struct Tree {
    pub(crate) tops: u64,
}

fn number(what: u64, top: u64, folder: u64, file: u64) -> u64 {
    let mut bytes = [0; 24];
    for (place, value) in bytes.chunks_exact_mut(8).zip([top, folder, file]) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    xxh3_64_with_seed(&bytes, what)
}

fn word(number: u64) -> &'static str {
    let place = usize::try_from(number % WORDS.len() as u64).unwrap_or_default();
    WORDS.get(place).copied().unwrap_or_default()
}

fn top_name(top: u64) -> String {
    format!("{top:04} {}", word(number(1, top, 0, 0)))
}

fn folder_name(top: u64, folder: u64) -> String {
    let mixed = number(2, top, folder, 0);
    let year = 2012 + mixed % 13;
    match mixed >> 62 {
        0 => format!("{year}-{:02} {} {folder:02}", 1 + mixed % 12, word(mixed >> 8)),
        1 => format!("{} {} {folder:02}", word(mixed >> 8), word(mixed >> 16)),
        2 => format!("{}-service-{folder:02}", word(mixed >> 8)),
        _ => format!("data-{folder:02}"),
    }
}

fn file_name(top: u64, folder: u64, file: u64) -> String {
    let style = number(2, top, folder, 0);
    let mixed = number(3, top, folder, file);
    let (one, other) = (word(mixed >> 8), word(mixed >> 16));
    match style >> 62 {
        0 => {
            let (month, day) = (1 + style % 12, 1 + mixed % 28);
            format!("IMG_{}{month:02}{day:02}_{folder:02}{file:04}.jpg", 2012 + style % 13)
        }
        1 => format!("{one} {other} {} {folder}{file:02} v{}.docx", 2012 + mixed % 13, mixed % 7),
        2 => format!("{one}_{other}_{folder}{file:02}.rs"),
        _ => format!("{mixed:016x}{:016x}.bin", number(4, top, folder, file)),
    }
}

fn folder_fate(top: u64, folder: u64) -> Fate {
    match number(5, top, folder, 0) % 500 {
        0 => Fate::Moves,
        1 => Fate::IsRenamed,
        _ => Fate::Stays,
    }
}

fn file_fate(top: u64, folder: u64, file: u64) -> Fate {
    match number(6, top, folder, file) % 10_000 {
        0..30 => Fate::Changes,
        30..45 => Fate::Goes,
        45..60 => Fate::GetsNeighbour,
        60..70 => Fate::Moves,
        70..80 => Fate::IsRenamed,
        _ => Fate::Stays,
    }
}

/// A file with a size, as the feed remembers it.
fn file(key: String, fingerprint: u64) -> Record {
    let extra = plain_size(size(&key, fingerprint));
    Record { key: key.into_bytes(), fingerprint, extra, flags: SIZED }
}

/// Sizes as they are met: photos of a few megabytes, documents of some ten to some hundred kilobytes, code of
/// a few kilobytes, and anything up to a gigabyte among the rest, each size of a kind as likely on a scale of
/// powers.
fn size(key: &str, fingerprint: u64) -> u64 {
    let mixed = xxh3_64_with_seed(key.as_bytes(), fingerprint);
    let (least, most) = match key.rsplit_once('.').map(|(_, end)| end) {
        Some("jpg") => (1_000_000, 8_000_000),
        Some("docx") => (12_000, 900_000),
        Some("rs") => (300, 40_000),
        _ => (1_000, 1_000_000_000),
    };
    let (least, most): (f64, f64) = (f64::from(least).ln(), f64::from(most).ln());
    // Of the number, the 52 bits that a fraction holds.
    let share = (mixed >> 12) as f64 / (1_u64 << 52) as f64;
    (least + (most - least) * share).exp() as u64
}

fn folder(key: &str) -> Record {
    Record { key: key.into(), flags: flag::FOLDER, ..Record::default() }
}

impl Tree {
    /// What the first scan finds in and below a top folder, in the order of components.
    pub(crate) fn before(&self, top: u64) -> Vec<Record> {
        let home = top_name(top);
        let mut found = vec![folder(&home)];
        for number_ in 0..FOLDERS {
            let path = format!("{home}/{}", folder_name(top, number_));
            for one in 0..FILES {
                let key = format!("{path}/{}", file_name(top, number_, one));
                found.push(file(key, number(7, top, number_, one)));
            }
            found.push(folder(&path));
        }
        sorted(found)
    }

    /// What the second scan finds in and below a top folder, and what happened to get there.
    pub(crate) fn after(&self, top: u64, truth: Truth<'_>) -> Vec<Record> {
        let home = top_name(top);
        let mut found = vec![folder(&home)];
        for one in 0..FOLDERS {
            let was = format!("{home}/{}", folder_name(top, one));
            match folder_fate(top, one) {
                Fate::Moves => {}
                Fate::IsRenamed => {
                    let is = format!("{home}/renamed {one:02}");
                    self.carried(top, one, &was, &is, &mut found, truth);
                }
                _ => self.stayed(top, one, &was, &mut found, truth),
            }
        }
        // What came from the top folder before.
        let other = (top + self.tops - 1) % self.tops;
        for one in 0..FOLDERS {
            let was = format!("{}/{}", top_name(other), folder_name(other, one));
            match folder_fate(other, one) {
                Fate::Moves => {
                    let is = format!("{home}/from {other:04} {one:02}");
                    self.carried(other, one, &was, &is, &mut found, truth);
                }
                Fate::IsRenamed => {}
                _ => {
                    for name in (0..FILES).filter(|it| file_fate(other, one, *it) == Fate::Moves) {
                        let fingerprint = number(7, other, one, name);
                        let name = file_name(other, one, name);
                        let (from, to) = (format!("{was}/{name}"), format!("{home}/{name}"));
                        truth(Kind::Moved, &from, &to);
                        found.push(file(to, fingerprint));
                    }
                }
            }
        }
        sorted(found)
    }

    /// A folder that is elsewhere now, and what went along: the same files, some changed.
    fn carried(
        &self,
        top: u64,
        one: u64,
        was: &str,
        is: &str,
        found: &mut Vec<Record>,
        truth: Truth<'_>,
    ) {
        truth(Kind::Moved, was, is);
        found.push(folder(is));
        for place in 0..FILES {
            let name = file_name(top, one, place);
            let changed = file_fate(top, one, place) == Fate::Changes;
            let kind = if changed { Kind::CarriedChanged } else { Kind::Carried };
            let (from, to) = (format!("{was}/{name}"), format!("{is}/{name}"));
            truth(kind, &from, &to);
            found.push(file(to, number(7, top, one, place) ^ u64::from(changed)));
        }
    }

    /// A folder that is where it was, and what happened in it.
    fn stayed(&self, top: u64, one: u64, path: &str, found: &mut Vec<Record>, truth: Truth<'_>) {
        found.push(folder(path));
        for place in 0..FILES {
            let key = format!("{path}/{}", file_name(top, one, place));
            let fingerprint = number(7, top, one, place);
            match file_fate(top, one, place) {
                Fate::Stays => found.push(file(key, fingerprint)),
                Fate::Changes => {
                    truth(Kind::Changed, &key, &key);
                    found.push(file(key, !fingerprint));
                }
                Fate::Goes => truth(Kind::Removed, &key, ""),
                Fate::Moves => {}
                Fate::IsRenamed => {
                    let to = format!("{path}/renamed {place:02}");
                    truth(Kind::Moved, &key, &to);
                    found.push(file(to, fingerprint));
                }
                Fate::GetsNeighbour => {
                    found.push(file(key, fingerprint));
                    let to = format!("{path}/new {place:02}");
                    truth(Kind::Added, "", &to);
                    found.push(file(to, number(8, top, one, place)));
                }
            }
        }
    }
}

fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by(|one, other| KeyOrder::Components.compare(&one.key, &other.key));
    records
}
