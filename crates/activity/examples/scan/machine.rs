//! What the machine tells: time, memory; and blocks and runs on its disk.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tramontane_activity::snapshot::{BlockId, Blocks, NewBlock};

/// Blocks one after another in a file.
pub(crate) struct Disk {
    file: File,
    end: u64,
    places: BTreeMap<BlockId, (u64, u32)>,
}

impl Disk {
    /// The blocks of a folder, those of earlier steps included.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let (path, places) = (folder.join("blocks"), folder.join("places"));
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut disk = Self { file, end: 0, places: BTreeMap::new() };
        for line in fs::read_to_string(places).unwrap_or_default().lines() {
            let mut fields = line.split(' ');
            let mut field = || fields.next().unwrap_or_default();
            let id = field().parse().map_err(io::Error::other)?;
            let place = field().parse().map_err(io::Error::other)?;
            let length = field().parse().map_err(io::Error::other)?;
            disk.places.insert(BlockId(id), (place, length));
            disk.end = disk.end.max(place + u64::from(length));
        }
        Ok(disk)
    }

    /// Notes for later steps where blocks are.
    pub(crate) fn close(self, folder: &Path) -> io::Result<()> {
        let lines =
            self.places.iter().map(|(id, (at, length))| format!("{} {at} {length}\n", id.0));
        fs::write(folder.join("places"), lines.collect::<String>())
    }

    pub(crate) fn write(&mut self, block: &NewBlock) -> io::Result<()> {
        self.file.write_all_at(&block.bytes, self.end)?;
        let length = u32::try_from(block.bytes.len()).map_err(io::Error::other)?;
        self.places.insert(block.id, (self.end, length));
        self.end += u64::from(length);
        Ok(())
    }

    /// Bytes of a block.
    pub(crate) fn length(&self, id: BlockId) -> u64 {
        self.places.get(&id).map_or(0, |(_, length)| u64::from(*length))
    }
}

impl Blocks for &Disk {
    fn read(&mut self, id: BlockId, into: &mut Vec<u8>) -> io::Result<()> {
        let (place, length) = self.places.get(&id).ok_or(io::ErrorKind::NotFound)?;
        into.resize(*length as usize, 0);
        self.file.read_exact_at(into, *place)
    }
}

/// Sums up the time between `start` and `stop`: on the clock, and on the processor, which does not count while
/// others have it.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) clock: Duration,
    pub(crate) processor: Duration,
    started: Option<(Instant, Duration)>,
}

impl Watch {
    pub(crate) fn start(&mut self) {
        self.started = Some((Instant::now(), on_processor()));
    }

    pub(crate) fn stop(&mut self) {
        if let Some((clock, processor)) = self.started.take() {
            self.clock += clock.elapsed();
            self.processor += on_processor().saturating_sub(processor);
        }
    }
}

/// What this thread had of the processor so far.
fn on_processor() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}

/// Forgets the peak so far.
pub(crate) fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// The most resident MiB since the start or the last `forget_peak`.
pub(crate) fn peak() -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}

/// A bar on the error output, when that is a terminal.
pub(crate) struct Bar {
    name: &'static str,
    whole: u64,
    shown: u64,
}

impl Bar {
    pub(crate) fn new(name: &'static str, whole: u64) -> Self {
        let mut bar = Self { name, whole, shown: u64::MAX };
        bar.at(0);
        bar
    }

    pub(crate) fn at(&mut self, done: u64) {
        let share = done * 40 / self.whole.max(1);
        if share == self.shown || !io::stderr().is_terminal() {
            return;
        }
        self.shown = share;
        let filled = usize::try_from(share).unwrap_or_default();
        let bar = format!("{}{}", "#".repeat(filled), ".".repeat(40_usize.saturating_sub(filled)));
        eprint!("\r{:<28} [{bar}] {:>3} %", self.name, done * 100 / self.whole.max(1));
        if done >= self.whole {
            eprintln!();
        }
        let _ = io::stderr().flush();
    }
}
