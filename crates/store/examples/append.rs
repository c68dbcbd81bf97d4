//! Measures durable appends: events through the log's own commit (fence, numbers, rows, cursors, state and polling
//! of as many accounts along) beside a bare `COPY` of the same bytes into a table without an index, with as many
//! commits. `scripts/bench append` runs it.
//!
//!     append POSTGRES_URL EVENTS EVENTS_PER_COMMIT EVENTS_PER_ACCOUNT ROUNDS
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a measurement that cannot be made must stop"
)]

use std::collections::BTreeMap;
use std::time::Instant;

use sqlx::{Connection as _, Executor as _};
use tramontane_activity::segment::{Group, encode};
use tramontane_activity::{Action, Category, Event, Object};
use tramontane_store::feeds::{self, Collection, Feed, Subscription};
use tramontane_store::log::{self, Append, CollectionWrite, Commit, Committed, FeedWrite};
use tramontane_store::{Db, scratch, shards};

const ACCOUNTS: i64 = 1_000;
const NOW: i64 = 1_772_442_900_000_000;

fn event(number: usize) -> Event {
    Event {
        action: Action::Update,
        category: Category::Storage,
        subtype: None,
        object: Object {
            kind: "file".into(),
            id: format!("id:a4ayc_80_OEAAAAAAAAA{number:08}"),
            name: format!("Quarterly report {number:06}.pdf"),
            parent: Some("id:a4ayc_80_OEAAAAAAAAAXw".into()),
            path: Some(format!("/Reports/Quarterly report {number:06}.pdf")),
        },
        before: None,
        happened: Some(NOW),
        detected: NOW + number as i64,
        actor: None,
        entry: serde_json::Value::Null.into(),
        recovered: false,
        above: Vec::new(),
    }
}

/// What is known of the accounts that write.
struct Writers {
    epochs: BTreeMap<i64, i64>,
    heads: BTreeMap<i64, i64>,
    generations: BTreeMap<i64, i64>,
}

impl Writers {
    /// What one account brings: its events, its collection with cursor and a change of its state, its polling.
    fn add(&mut self, account: i64, events: &[Event], commits: &mut BTreeMap<i64, Commit>) {
        let shard = shards::of(account);
        let commit = commits.entry(shard).or_insert_with(|| Commit {
            shard,
            epoch: self.epochs[&shard],
            slice: log::slice_of(NOW),
            now: NOW,
            ..Commit::default()
        });
        let head = self.heads.entry(account).or_insert(0);
        let body = encode(&[Group::of(account, *head + 1, events).unwrap()]);
        let (count, opens) = (events.len() as i64, *head == 0);
        commit.appends.push(Append { feed: account, head: *head, events: count, body, opens });
        *head += count;
        let generation = self.generations.entry(account).or_insert(0);
        *generation += 1;
        commit.collections.push(CollectionWrite {
            row: Collection {
                account,
                id: String::new(),
                root: "root".into(),
                generation: *generation,
                cursor: Some(format!("AAGXy5dQ0eX9mJ2W3hZVb7c1rT4uK8nP{generation:012}")),
                manifest: Vec::new(),
                progress: vec![7; 200],
                modified: NOW,
                name: None,
            },
            expected: (*generation > 1).then_some(*generation - 1),
            change: Some((*generation, vec![7; 43 * events.len()])),
            forget_changes: false,
            put: Vec::new(),
            drop: Vec::new(),
        });
        commit.feeds.push(FeedWrite { account, schedule: Some(vec![7; 41]), synced: NOW });
    }
}

async fn ours(
    db: &Db,
    writers: &mut Writers,
    events: &[Event],
    commit: usize,
    each: usize,
) -> (f64, f64) {
    let mut account = 0;
    let mut bytes = 0;
    let begun = Instant::now();
    for together in events.chunks(commit) {
        let mut commits = BTreeMap::new();
        for some in together.chunks(each) {
            account = account % ACCOUNTS + 1;
            writers.add(account, some, &mut commits);
        }
        let commits: Vec<Commit> = commits.into_values().collect();
        bytes +=
            commits.iter().flat_map(|one| &one.appends).map(|one| one.body.len()).sum::<usize>();
        let done = log::commit_all(db, &commits).await.unwrap();
        assert!(done.iter().all(|one| matches!(one, Committed::At(_))), "{done:?}");
    }
    let took = begun.elapsed().as_secs_f64();
    (events.len() as f64 / took, bytes as f64 / events.len() as f64)
}

async fn bare(connection: &mut sqlx::PgConnection, events: &[Vec<u8>], commit: usize) -> f64 {
    let begun = Instant::now();
    for together in events.chunks(commit) {
        let mut copied = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        for event in together {
            copied.extend(1_i16.to_be_bytes());
            copied.extend((event.len() as i32).to_be_bytes());
            copied.extend(event);
        }
        copied.extend((-1_i16).to_be_bytes());
        let mut copy =
            connection.copy_in_raw("COPY bare (body) FROM STDIN (FORMAT binary)").await.unwrap();
        copy.send(copied).await.unwrap();
        assert_eq!(copy.finish().await.unwrap(), together.len() as u64);
    }
    events.len() as f64 / begun.elapsed().as_secs_f64()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().collect();
    let number = |index: usize| words[index].parse::<usize>().expect("a number");
    let (count, commit, each, rounds) = (number(2), number(3), number(4), number(5));
    let db = Db::connect(&words[1]).await.expect("the database answers");
    db.migrate().await.expect("an empty database");
    let ids: Vec<i64> = (1..=ACCOUNTS).collect();
    scratch::seed(&db, &[("bench", &ids)]).await;
    shards::ensure(&db, shards::SHARDS).await.unwrap();
    log::ensure_slice(&db, log::slice_of(NOW), NOW).await.unwrap();
    let mut writers =
        Writers { epochs: BTreeMap::new(), heads: BTreeMap::new(), generations: BTreeMap::new() };
    for id in 0..shards::SHARDS {
        let taken = shards::take(&db, id, "bench", 1, i64::MAX).await.unwrap();
        writers.epochs.insert(id, taken.expect("an empty database").epoch);
    }
    for account in ids {
        let row = Subscription::first(format!("sub_{account}"), account, NOW);
        assert!(feeds::subscribe(&db, &Feed::new(account, NOW), &row).await.unwrap());
    }
    // As the log's own connections to this machine are: without TLS.
    let plain =
        format!("{}{}sslmode=disable", words[1], if words[1].contains('?') { '&' } else { '?' });
    let mut connection = sqlx::PgConnection::connect(&plain).await.expect("PostgreSQL");
    connection.execute("CREATE TABLE bare (body BYTEA NOT NULL)").await.unwrap();

    // A first round that does not count: tables, statements and caches are there afterwards.
    let warm: Vec<Event> = (0..count.min(10_000)).map(event).collect();
    ours(&db, &mut writers, &warm, commit, each).await;
    for round in 0..rounds {
        let events: Vec<Event> = (round * count..(round + 1) * count).map(event).collect();
        let plain: Vec<Vec<u8>> =
            events.iter().map(|event| serde_json::to_vec(event).unwrap()).collect();
        let size = plain.iter().map(Vec::len).sum::<usize>() as f64 / count as f64;
        let ((ours, stored), bare) = if round % 2 == 0 {
            let ours = ours(&db, &mut writers, &events, commit, each).await;
            (ours, bare(&mut connection, &plain, commit).await)
        } else {
            let bare = bare(&mut connection, &plain, commit).await;
            (ours(&db, &mut writers, &events, commit, each).await, bare)
        };
        println!(
            "{{\"appended_per_second\": {ours:.0}, \"copied_per_second\": {bare:.0}, \"ratio\": {:.3}, \
             \"event_bytes\": {size:.0}, \"row_bytes\": {stored:.0}}}",
            ours / bare
        );
    }
}
