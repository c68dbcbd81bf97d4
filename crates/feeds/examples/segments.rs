//! Measures how many bytes an event takes in a sealed block, by service: made-up events whose metadata has the
//! members, lengths and random parts that each connector's has. `scripts/bench append` runs it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement that cannot be made must stop"
)]

use std::time::Instant;

use tramontane_activity::segment::{self, Group};
use tramontane_activity::{Action, Before, Category, Event, Object};
use tramontane_connector::entry::Parent;
use tramontane_connector::{ETag, Entry, Hashes, Person};
use tramontane_model::{NativeId, Timestamp};

const SERVICES: [&str; 9] = [
    "box",
    "dropbox",
    "gdrive",
    "onedrive",
    "onedrivebiz",
    "s3_compatible",
    "webdav",
    "sftp",
    "local",
];
const EVENTS: usize = 4_096;
const ACCOUNTS: usize = 16;

/// SplitMix64: the same events in each run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length)
            .map(|_| char::from(alphabet[self.below(alphabet.len() as u64) as usize]))
            .collect()
    }

    fn hex(&mut self, length: usize) -> String {
        self.text(b"0123456789abcdef", length)
    }

    fn base64(&mut self, length: usize) -> String {
        self.text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", length)
    }

    fn upper(&mut self, length: usize) -> String {
        self.text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", length)
    }

    fn digits(&mut self, length: usize) -> String {
        self.text(b"0123456789", length)
    }
}

const WORDS: [&str; 32] = [
    "budget", "report", "draft", "invoice", "minutes", "review", "final", "plan", "photo",
    "contract", "offer", "travel", "notes", "summary", "design", "logo", "sales", "team", "annual",
    "board", "press", "index", "data", "export", "screen", "letter", "project", "client", "press",
    "scan", "agenda", "policy",
];
const TYPES: [(&str, &str); 6] = [
    ("pdf", "application/pdf"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("jpg", "image/jpeg"),
    ("png", "image/png"),
    ("txt", "text/plain"),
];

/// A folder: its id and its path.
struct Folder(String, String);

fn object_id(service: &str, chance: &mut Chance, path: &str) -> String {
    match service {
        "dropbox" => format!("id:{}", chance.base64(22)),
        "gdrive" => format!("1{}", chance.base64(32)),
        "box" => chance.digits(13),
        "onedrive" => format!("b!{}", chance.digits(3)) + &chance.hex(16).to_uppercase(),
        "onedrivebiz" => format!("01{}", chance.upper(32)),
        _ => path.to_owned(),
    }
}

fn entry(
    service: &str,
    chance: &mut Chance,
    now: i64,
    folder: &Folder,
    people: &[Person],
) -> Entry {
    let (word, other) = (WORDS[chance.below(32) as usize], WORDS[chance.below(32) as usize]);
    let (end, media_type) = TYPES[chance.below(6) as usize];
    let name = format!("{word} {other} {}.{end}", chance.below(1_000));
    let path = format!("{}/{name}", folder.1);
    let id = object_id(service, chance, &path);
    let parent = Parent { id: NativeId::new(folder.0.clone()), name: None };
    let mut entry = Entry::file(NativeId::new(id.clone()), name, Some(parent));
    let bits = 10 + chance.below(14);
    entry.size = Some(chance.below(1 << bits));
    entry.downloadable = true;
    let (precise, seconds) =
        (Timestamp::from_micros(now / 1_000 * 1_000), Timestamp::from_seconds(now / 1_000_000));
    let made = Timestamp::from_seconds(now / 1_000_000 - chance.below(30_000_000) as i64);
    let person =
        |chance: &mut Chance| Some(people[chance.below(people.len() as u64) as usize].clone());
    match service {
        "dropbox" => {
            let rev = format!("61{}{}", chance.hex(9), "000000010a3f5c2");
            (entry.path, entry.modified) = (Some(path), Some(seconds));
            (entry.etag, entry.version) = (Some(ETag::strong(rev.clone())), Some(rev));
            entry.hashes.dropbox = Some(chance.hex(64));
        }
        "gdrive" => {
            (entry.created, entry.modified) = (Some(made), Some(precise));
            entry.media_type = Some(media_type.into());
            let revision = format!("0B{}", chance.base64(49));
            entry.etag = Some(ETag::strong(revision.clone()));
            entry.version = Some(revision);
            entry.hashes = Hashes {
                md5: Some(chance.hex(32)),
                sha1: Some(chance.hex(40)),
                sha256: Some(chance.hex(64)),
                ..Hashes::default()
            };
            (entry.owner, entry.last_modifier) = (Some(people[0].clone()), person(chance));
        }
        "box" => {
            (entry.path, entry.created, entry.modified) = (Some(path), Some(made), Some(seconds));
            entry.etag = Some(ETag::strong(chance.below(5).to_string()));
            entry.version = Some(chance.digits(13));
            entry.hashes.sha1 = Some(chance.hex(40));
            (entry.owner, entry.creator) = (Some(people[0].clone()), person(chance));
            (entry.last_modifier, entry.shared_id) = (person(chance), Some(NativeId::new(id)));
        }
        "onedrive" | "onedrivebiz" => {
            let guid = |chance: &mut Chance| {
                let parts = [8, 4, 4, 4, 12].map(|length| chance.hex(length).to_uppercase());
                format!("{{{}}}", parts.join("-"))
            };
            let tag = guid(chance);
            (entry.created, entry.modified) = (Some(made), Some(seconds));
            entry.media_type = Some(media_type.into());
            entry.etag = Some(ETag::strong(format!("{tag},{}", chance.below(9))));
            entry.version = Some(format!("\"c:{tag},{}\"", chance.below(9)));
            entry.hashes.quickxor = Some(chance.hex(40));
            (entry.creator, entry.last_modifier) = (person(chance), person(chance));
        }
        "s3_compatible" => {
            (entry.path, entry.modified) = (Some(path), Some(precise));
            entry.etag = Some(ETag::strong(chance.hex(32)));
        }
        "webdav" => {
            (entry.path, entry.modified) = (Some(path), Some(seconds));
            entry.media_type = Some(media_type.into());
            entry.etag = Some(ETag::strong(chance.hex(32)));
        }
        "sftp" => (entry.path, entry.modified) = (Some(path), Some(seconds)),
        _ => {
            (entry.path, entry.modified) = (Some(path), Some(Timestamp::from_micros(now)));
            entry.etag = Some(ETag::strong(format!("{}-{}", chance.hex(14), chance.hex(12))));
        }
    }
    entry
}

/// Events of an account: half of them new files, the rest of files that were there before.
fn events(service: &str, chance: &mut Chance, count: usize, mut now: i64) -> Vec<Event> {
    let people: Vec<Person> = (0..4)
        .map(|number| Person {
            id: Some(NativeId::new(chance.digits(20))),
            name: Some(format!(
                "{} {}",
                ["Ana", "Ben", "Chi", "Dee"][number],
                WORDS[chance.below(32) as usize]
            )),
            email: Some(format!("{}@example.com", chance.text(b"abcdefghij", 8))),
        })
        .collect();
    let folders: Vec<Folder> = (0..8)
        .map(|_| {
            let path = format!(
                "/{} {}/{}",
                WORDS[chance.below(32) as usize],
                chance.below(2_030),
                WORDS[chance.below(32) as usize]
            );
            Folder(object_id(service, chance, &path), path)
        })
        .collect();
    let mut known: Vec<Entry> = Vec::new();
    let mut events = Vec::new();
    for _ in 0..count {
        now += 1_000_000 + chance.below(60_000_000) as i64;
        let folder = &folders[chance.below(8) as usize];
        let fresh = entry(service, chance, now, folder, &people);
        let draw = chance.below(100);
        let (action, before, entry) = if draw < 50 || known.is_empty() {
            (Action::Add, None, fresh)
        } else {
            let index = known.len() - 1 - chance.below(known.len().min(64) as u64) as usize;
            let old = known.swap_remove(index);
            let same = Entry {
                id: old.id.clone(),
                name: old.name.clone(),
                path: old.path.clone(),
                parent: old.parent.clone(),
                created: old.created,
                ..fresh.clone()
            };
            match draw {
                50..75 => (Action::Update, None, same),
                75..90 => {
                    let before = Before {
                        name: Some(old.name.clone()),
                        path: old.path.clone(),
                        ..Before::default()
                    };
                    (
                        Action::Rename,
                        Some(before),
                        Entry { name: fresh.name, path: fresh.path, ..old },
                    )
                }
                _ => (Action::Delete, None, old),
            }
        };
        let gone = action == Action::Delete;
        let value =
            if gone { serde_json::Value::Null } else { serde_json::to_value(&entry).unwrap() };
        events.push(Event {
            action,
            category: Category::Storage,
            subtype: None,
            object: Object {
                kind: "file".into(),
                id: entry.id.as_str().to_owned(),
                name: entry.name.clone(),
                parent: entry.parent.as_ref().map(|parent| parent.id.as_str().to_owned()),
                path: entry.path.clone(),
            },
            before,
            happened: entry.modified.map(|at| at.micros()).filter(|_| !gone),
            detected: now + 400_000 + chance.below(200_000) as i64,
            actor: None,
            entry: value.into(),
            recovered: false,
            above: Vec::new(),
        });
        if !gone {
            known.push(entry);
        }
    }
    events
}

fn main() {
    for service in SERVICES {
        let mut chance = Chance(7);
        let mut groups = Vec::new();
        let mut plain = 0;
        for account in 0..ACCOUNTS {
            let feed = 100_000_000 + chance.below(2_000_000_000) as i64;
            let all = events(service, &mut chance, EVENTS / ACCOUNTS, 1_772_442_900_000_000);
            let mut sequence = 1 + chance.below(10_000) as i64;
            // A commit brings one to four events.
            let mut rest = &all[..];
            while !rest.is_empty() {
                let (some, more) = rest.split_at(rest.len().min(1 + chance.below(4) as usize));
                rest = more;
                let position = (account * EVENTS) as i64 + sequence;
                let group = Group::of(feed, sequence, some).unwrap();
                plain += group.events.iter().map(|event| event.len()).sum::<usize>();
                sequence += some.len() as i64;
                groups.push(Group { position, at: some[0].detected + 3_000, ..group });
            }
        }
        let begun = Instant::now();
        let sealed = segment::seal(&groups);
        let took = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let back = segment::decode(&sealed).unwrap();
        let read = begun.elapsed().as_secs_f64();
        assert_eq!(back, groups, "a block does not come back as it was");
        println!(
            "{{\"service\": \"{service}\", \"plain\": {:.0}, \"sealed\": {:.1}, \"seal_per_second\": {:.0}, \
             \"read_per_second\": {:.0}}}",
            plain as f64 / EVENTS as f64,
            sealed.len() as f64 / EVENTS as f64,
            EVENTS as f64 / took,
            EVENTS as f64 / read,
        );
    }
}
