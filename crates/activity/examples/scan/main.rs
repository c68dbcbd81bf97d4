//! Measures snapshots on a made-up account: `scripts/bench scan` runs it.
//!
//! ```text
//! scan [ENTRIES] [FOLDER]     10,000,000 entries; blocks and runs in a new folder of this or the temporary one
//! ```
//!
//! Prints a table of figures, each step in a process of its own, and fails when what the second scan tells is not exactly what happened. Times are of
//! one thread, on the processor; making up the listing is not counted, reading and writing blocks is.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures has a clock, a disk and a voice"
)]

mod machine;
mod tree;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::Command;

use machine::{Bar, Disk, Watch, forget_peak, peak};
use tramontane_activity::snapshot::{
    Absent, BlockId, Blocks, Diff, Error as SnapshotError, KeyOrder, Limits, Listing, Manifest,
    Matcher, Merge, MergedRuns, NewBlock, Outcome, Overlay, Record, RecordRef, RunSorter, Sink,
    State, Totals,
};
use tree::{Kind, TOP_ENTRIES, Tree};
use xxhash_rust::xxh3::xxh3_64_with_seed;

type Done<T = ()> = Result<T, Box<dyn Error>>;

/// Events counted and summed up, so that two sides can be compared without keeping them.
type Events = BTreeMap<Kind, (u64, u64)>;

fn note(events: &mut Events, kind: Kind, from: &[u8], to: &[u8]) {
    let mark = xxh3_64_with_seed(to, xxh3_64_with_seed(from, kind as u64));
    let (count, sum) = events.entry(kind).or_default();
    *count += 1;
    *sum = sum.wrapping_add(mark);
}

/// Takes what a comparison tells: blocks to the disk, candidates to the matcher.
struct Scan<'d> {
    disk: &'d mut Disk,
    events: Events,
    matcher: Option<Matcher>,
}

impl Sink for Scan<'_> {
    fn added(&mut self, new: RecordRef<'_>) -> Result<(), SnapshotError> {
        if let Some(matcher) = &mut self.matcher {
            matcher.added(new)?;
        }
        Ok(())
    }

    fn changed(&mut self, old: RecordRef<'_>, new: RecordRef<'_>) -> Result<(), SnapshotError> {
        note(&mut self.events, Kind::Changed, old.key, new.key);
        Ok(())
    }

    fn removed(&mut self, old: RecordRef<'_>) -> Result<Absent, SnapshotError> {
        if let Some(matcher) = &mut self.matcher {
            matcher.removed(old)?;
        }
        Ok(Absent::Gone)
    }

    fn block(&mut self, block: NewBlock) -> Result<(), SnapshotError> {
        Ok(self.disk.write(&block)?)
    }
}

struct Bench {
    tree: Tree,
    disk: Disk,
    place: PathBuf,
    entries: u64,
}

/// What is measured, each in a process of its own, so that none has the memory of another.
const STEPS: &[&str] = &["first", "same", "second", "overlay", "lookups", "sorting", "matching"];

fn main() -> Done {
    let mut arguments = std::env::args().skip(1);
    let entries = arguments.next().unwrap_or_else(|| "10000000".to_owned()).replace(',', "");
    let place = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    if let Some(step) = arguments.next() {
        return measure(entries.parse()?, &place, &step);
    }
    let place = place.join(format!("tramontane-scan-{}", std::process::id()));
    fs::create_dir_all(&place)?;
    println!("| what | entries/s of processor time | on the clock | resident at most | |");
    println!("| --- | --- | --- | --- | --- |");
    let failed = STEPS.iter().find(|step| {
        let mut command = Command::new(std::env::current_exe().unwrap_or_default());
        let status = command.arg(&entries).arg(&place).arg(step).status();
        !status.is_ok_and(|status| status.success())
    });
    fs::remove_dir_all(&place)?;
    failed.map_or(Ok(()), |step| Err(format!("the step `{step}` failed").into()))
}

fn measure(entries: u64, place: &Path, step: &str) -> Done {
    let tops = (entries / TOP_ENTRIES).max(2);
    let (tree, disk) = (Tree { tops }, Disk::open(place)?);
    let mut bench = Bench { tree, disk, place: place.to_owned(), entries: tops * TOP_ENTRIES };
    let load = |name| -> Done<Manifest> { Ok(Manifest::decode(&fs::read(place.join(name))?)?) };
    let save = |name, manifest: &Manifest| -> Done {
        Ok(fs::write(place.join(name), manifest.encode()?)?)
    };
    match step {
        "first" => save("manifest-1", &bench.first_scan()?)?,
        "same" => bench.same_again(&load("manifest-1")?)?,
        "second" => save("manifest-2", &bench.second_scan(&load("manifest-1")?)?)?,
        "overlay" => bench.overlay(&load("manifest-2")?)?,
        "lookups" => bench.look_up(&load("manifest-1")?)?,
        "sorting" => bench.sorted(&load("manifest-1")?)?,
        "matching" => bench.matcher()?,
        _ => return Err(format!("no step `{step}`").into()),
    }
    Ok(bench.disk.close(place)?)
}

fn row(what: &str, count: u64, watch: &Watch, note: &str) {
    let rate = |seconds: f64| match count as f64 / seconds {
        rate if rate < 1e6 => format!("{:.0} k", rate / 1e3),
        rate => format!("{:.2} M", rate / 1e6),
    };
    let (processor, clock) = (watch.processor.as_secs_f64(), watch.clock.as_secs_f64());
    println!("| {what} | {} | {} | {:.1} MiB | {note} |", rate(processor), rate(clock), peak());
}

impl Bench {
    /// Compares a generation with a listing that is made up top folder by top folder.
    fn scan(
        &mut self,
        name: &'static str,
        old: &Manifest,
        with_matcher: bool,
        listing: impl Fn(&Tree, u64) -> Vec<Record>,
    ) -> Done<(Manifest, Totals, Events, Option<Matcher>, Watch)> {
        let mut bar = Bar::new(name, self.tree.tops);
        let mut watch = Watch::default();
        forget_peak();
        let matcher = with_matcher.then(|| Matcher::new(KeyOrder::Components, Limits::default()));
        let mut sink = Scan { disk: &mut self.disk, events: Events::new(), matcher };
        let mut diff = Diff::new(old.clone())?;
        let mut stored = Vec::new();
        let mut fetch = |diff: &mut Diff, sink: &Scan<'_>, id| -> Result<(), SnapshotError> {
            stored.clear();
            (&*sink.disk).read(id, &mut stored)?;
            diff.supply(id, &stored)
        };
        for top in 0..self.tree.tops {
            let found = listing(&self.tree, top);
            watch.start();
            for record in &found {
                while let Some(id) = diff.push(record.borrowed(), &mut sink)? {
                    fetch(&mut diff, &sink, id)?;
                }
            }
            watch.stop();
            bar.at(top + 1);
        }
        watch.start();
        while let Some(id) = diff.drain(&mut sink)? {
            fetch(&mut diff, &sink, id)?;
        }
        let (manifest, totals) = diff.finish(&mut sink)?;
        watch.stop();
        Ok((manifest, totals, sink.events, sink.matcher, watch))
    }

    fn first_scan(&mut self) -> Done<Manifest> {
        let none = Manifest::empty(KeyOrder::Components);
        let (manifest, _, _, _, watch) =
            self.scan("first scan", &none, false, |tree, top| tree.before(top))?;
        let blocks: u64 = manifest.blocks().iter().map(|block| self.disk.length(block.id)).sum();
        let index = manifest.encode()?.len() as u64;
        let keys: usize =
            (0..10).flat_map(|top| self.tree.before(top)).map(|it| it.key.len()).sum();
        let count = manifest.count();
        let note = format!(
            "{:.2} B an entry on disk ({} blocks; of it {:.2} B manifest); keys of {:.1} B",
            (blocks + index) as f64 / count as f64,
            manifest.blocks().len(),
            index as f64 / count as f64,
            keys as f64 / (10 * TOP_ENTRIES) as f64,
        );
        row("first scan: compare with nothing, write all", count, &watch, &note);
        Ok(manifest)
    }

    fn same_again(&mut self, first: &Manifest) -> Done {
        let (manifest, totals, _, _, watch) =
            self.scan("nothing changed", first, false, |tree, top| tree.before(top))?;
        if manifest != *first || totals.written > 0 {
            return Err("the same listing gave another generation".into());
        }
        row("scan without changes", self.entries, &watch, "no block written");
        Ok(())
    }

    fn second_scan(&mut self, first: &Manifest) -> Done<Manifest> {
        let mut expected = Events::new();
        let mut bar = Bar::new("what happened", self.tree.tops);
        for top in 0..self.tree.tops {
            self.tree.after(top, &mut |kind, from, to| {
                note(&mut expected, kind, from.as_bytes(), to.as_bytes());
            });
            bar.at(top + 1);
        }
        let (manifest, totals, mut events, matcher, mut watch) =
            self.scan("1 % changed", first, true, |tree, top| tree.after(top, &mut |_, _, _| ()))?;
        let candidates = totals.added + totals.removed;
        let note_ = format!(
            "{} blocks written of {}; {} changed, {candidates} candidates",
            totals.written,
            manifest.blocks().len(),
            totals.changed
        );
        row("scan with 1 % of changes", self.entries, &watch, &note_);

        watch = Watch::default();
        watch.start();
        let matched = matcher.ok_or("no matcher")?.finish();
        for outcome in matched.outcomes() {
            match outcome {
                Outcome::Removed(from) => note(&mut events, Kind::Removed, from.key, b""),
                Outcome::Added(to) => note(&mut events, Kind::Added, b"", to.key),
                Outcome::Moved { from, to, .. } => note(&mut events, Kind::Moved, from.key, to.key),
                Outcome::Carried { from, to, changed } => {
                    let kind = if changed { Kind::CarriedChanged } else { Kind::Carried };
                    note(&mut events, kind, from.key, to.key);
                }
            }
        }
        watch.stop();
        let kinds: Vec<_> =
            events.iter().map(|(kind, one)| format!("{} {kind:?}", one.0)).collect();
        row("matching of candidates", candidates, &watch, &kinds.join(", "));
        if events != expected {
            return Err(format!("what happened was {expected:?}, told was {events:?}").into());
        }
        println!("| events | exactly what happened | | | |");
        Ok(manifest)
    }

    /// The listing of the first scan in another order, sorted through runs.
    fn sorted(&mut self, first: &Manifest) -> Done {
        let mut bar = Bar::new("sorting", self.entries);
        let (mut watch, mut merging) = (Watch::default(), Watch::default());
        forget_peak();
        let mut sorter = RunSorter::new(KeyOrder::Components, 24 << 20)?;
        let mut runs = Vec::new();
        let mut write = |sorter: &mut RunSorter| -> Done {
            let path = self.place.join(format!("run-{}", runs.len()));
            sorter.write(BufWriter::new(File::create(&path)?))?;
            runs.push(path);
            Ok(())
        };
        let stride = ((self.tree.tops * 2 / 3) | 1) + 1;
        let stride = (stride..).find(|stride| greatest_divisor(*stride, self.tree.tops) == 1);
        let stride = stride.unwrap_or(1);
        let mut done = 0;
        for step in 0..self.tree.tops {
            let mut found = self.tree.before(step * stride % self.tree.tops);
            found.sort_by_key(|record| record.fingerprint);
            watch.start();
            for record in &found {
                if sorter.push(record.borrowed())? {
                    write(&mut sorter)?;
                }
            }
            watch.stop();
            done += found.len() as u64;
            bar.at(done);
        }
        watch.start();
        write(&mut sorter)?;
        watch.stop();
        drop(sorter);
        let written = runs.iter().map(|path| Ok(fs::metadata(path)?.len())).sum::<Done<u64>>()?;
        let note =
            format!("{} runs, {:.1} B an entry", runs.len(), written as f64 / self.entries as f64);
        row("listing in no order: sort into runs", self.entries, &watch, &note);

        let sources = runs.iter().map(|path| Ok(BufReader::new(File::open(path)?)));
        let mut bar = Bar::new("merging", self.entries);
        done = 0;
        forget_peak();
        merging.start();
        let mut merged = MergedRuns::new(KeyOrder::Components, sources.collect::<Done<_>>()?)?;
        let mut sink = Scan { disk: &mut self.disk, events: Events::new(), matcher: None };
        let mut diff = Diff::new(first.clone())?;
        let mut stored = Vec::new();
        while let Some(record) = merged.next()? {
            while let Some(id) = diff.push(record, &mut sink)? {
                stored.clear();
                (&*sink.disk).read(id, &mut stored)?;
                diff.supply(id, &stored)?;
                done += first.count() / first.blocks().len() as u64;
                bar.at(done.min(self.entries - 1));
            }
        }
        while let Some(id) = diff.drain(&mut sink)? {
            stored.clear();
            (&*sink.disk).read(id, &mut stored)?;
            diff.supply(id, &stored)?;
        }
        let (manifest, _) = diff.finish(&mut sink)?;
        merging.stop();
        bar.at(self.entries);
        row("merge of the runs, compared", self.entries, &merging, "the same generation");
        if manifest != *first {
            return Err("the sorted listing gave another generation".into());
        }
        Ok(())
    }

    fn look_up(&mut self, first: &Manifest) -> Done {
        let overlay = Overlay::new(KeyOrder::Components);
        let mut state = State::new(first.clone(), overlay, 16 << 20)?;
        let asked = 200_000.min(self.entries / 10);
        let (mut near, mut far) = (Watch::default(), Watch::default());
        forget_peak();
        let keys = |top| self.tree.before(top).into_iter().map(|record| record.key);
        // What a delta feed asks: items close to each other. And the worst: any item at all.
        let close: Vec<_> = (0..asked.div_ceil(TOP_ENTRIES)).flat_map(keys).collect();
        near.start();
        for key in close.iter().take(usize::try_from(asked)?) {
            get(&mut state, &self.disk, key)?.ok_or("a key was not found")?;
        }
        near.stop();
        row("lookups one after another", asked, &near, "16 MiB of blocks in memory");
        forget_peak();
        let tops = 1000.min(self.tree.tops);
        let scattered: Vec<_> = (0..tops)
            .map(|step| keys(step * self.tree.tops / tops).step_by(211).collect::<Vec<_>>())
            .collect();
        let (mut count, mut column) = (0, 0);
        let mut bar = Bar::new("lookups", asked);
        while count < 20_000 && column < 47 {
            far.start();
            for row in &scattered {
                if let Some(key) = row.get(column) {
                    get(&mut state, &self.disk, key)?.ok_or("a key was not found")?;
                    count += 1;
                }
            }
            far.stop();
            column += 1;
            bar.at(count * asked / 20_000);
        }
        bar.at(asked);
        row("lookups all over", count, &far, "a block read for nearly each");
        let cuts = state.parts(b"", None, 256);
        let mut digests = Watch::default();
        digests.start();
        let mut whole = 0;
        for (from, to) in cuts.iter().zip(cuts.iter().skip(1)) {
            whole += state.range_digest(from, Some(to))?.count;
        }
        digests.stop();
        let bytes: usize = cuts.iter().map(|cut| cut.len() + 24).sum();
        let note = format!("{} digests of {whole} entries in {bytes} B, no block read", cuts.len());
        row("digests of ranges", cuts.len() as u64, &digests, &note);
        Ok(())
    }

    /// As many candidates as a matcher takes: a folder of half a million files at another place.
    fn matcher(&mut self) -> Done {
        let limits = Limits::default();
        let tops = (limits.candidates as u64 / 2 / TOP_ENTRIES).min(self.tree.tops);
        let mut watch = Watch::default();
        forget_peak();
        let mut matcher = Matcher::new(KeyOrder::Components, limits);
        for top in 0..tops {
            let found = self.tree.before(top);
            watch.start();
            for mut record in found {
                matcher.removed(record.borrowed())?;
                record.key.splice(..0, *b"elsewhere/");
                matcher.added(record.borrowed())?;
            }
            watch.stop();
        }
        watch.start();
        let tally = matcher.finish().tally();
        watch.stop();
        let note = format!("{} moved, {} carried", tally.moved, tally.carried);
        row("matching at its limit", 2 * tops * TOP_ENTRIES, &watch, &note);
        if (tally.moved, tally.carried) != (tops, tops * (TOP_ENTRIES - 1)) {
            return Err(format!("folders that moved as they were gave {tally:?}").into());
        }
        Ok(())
    }

    /// 1 % of single changes through an overlay, then merged.
    fn overlay(&mut self, base: &Manifest) -> Done {
        let mut state = State::new(base.clone(), Overlay::new(KeyOrder::Components), 16 << 20)?;
        let mut bar = Bar::new("overlay", self.tree.tops);
        let (mut watch, mut merging) = (Watch::default(), Watch::default());
        forget_peak();
        let (mut changes, mut pieces) = (0, 0);
        for top in 0..self.tree.tops {
            let found = self.tree.after(top, &mut |_, _, _| ());
            watch.start();
            // All in one stretch, as a person works: 100 files in each of the top folders.
            for record in found.iter().skip(5000).take(100) {
                let record = Record { fingerprint: !record.fingerprint, ..record.clone() };
                loop {
                    match state.upsert(record.borrowed()) {
                        Ok(_) => break,
                        Err(SnapshotError::Missing(ids)) => supply(&mut state, &self.disk, &ids)?,
                        Err(error) => return Err(error.into()),
                    }
                }
                changes += 1;
            }
            pieces += state.unsaved().encode()?.len();
            state.saved();
            watch.stop();
            bar.at(top + 1);
        }
        let (cached, digest) = (state.cached_bytes() >> 20, state.digest());
        let each = pieces as f64 / changes as f64;
        let note =
            format!("stored in pieces of 100, {each:.1} B each; {cached} MiB of blocks in memory");
        row("changes into an overlay", changes, &watch, &note);
        forget_peak();
        merging.start();
        let (base, overlay) = state.into_parts();
        let mut merge = Merge::new(base, overlay)?;
        let (mut read, mut written) = (0, 0);
        let mut stored = Vec::new();
        while let Some(id) = merge.wants() {
            stored.clear();
            (&self.disk).read(id, &mut stored)?;
            read += 1;
            merge.supply(id, &stored, &mut |block| {
                written += 1;
                Ok(self.disk.write(&block)?)
            })?;
        }
        let next = merge.finish(&mut |block| {
            written += 1;
            Ok(self.disk.write(&block)?)
        })?;
        merging.stop();
        let note = format!("{read} blocks read, {written} written of {}", next.blocks().len());
        row("merge of the overlay", changes, &merging, &note);
        if next.digest() != digest {
            return Err("the merged generation has another digest".into());
        }
        Ok(())
    }
}

fn get(state: &mut State, disk: &Disk, key: &[u8]) -> Result<Option<Record>, SnapshotError> {
    loop {
        match state.get(key) {
            Err(SnapshotError::Missing(ids)) => supply(state, disk, &ids)?,
            answer => return answer,
        }
    }
}

fn supply(state: &mut State, mut disk: &Disk, ids: &[BlockId]) -> Result<(), SnapshotError> {
    let mut stored = Vec::new();
    for id in ids {
        stored.clear();
        disk.read(*id, &mut stored)?;
        state.supply(*id, &stored)?;
    }
    Ok(())
}

fn greatest_divisor(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { greatest_divisor(other, one % other) }
}
