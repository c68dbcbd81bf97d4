//! What a machine carries from step to step without copying it each time.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::feed::observation::Observation;

/// Observations that wait, in chunks that the machines of successive steps share.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Held {
    chunks: Vec<Arc<Vec<Observation>>>,
    length: usize,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn push(&mut self, more: Vec<Observation>) {
        if !more.is_empty() {
            self.length += more.len();
            self.chunks.push(Arc::new(more));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Observation> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// What was pushed first, in one piece, which waits no longer.
    pub(super) fn first(&mut self) -> Option<Arc<Vec<Observation>>> {
        let first = (!self.chunks.is_empty()).then(|| self.chunks.remove(0))?;
        self.length -= first.len();
        Some(first)
    }

    /// Everything that waits, which waits no longer.
    pub(super) fn take(&mut self) -> Vec<Observation> {
        let taken = self.iter().cloned().collect();
        *self = Self::default();
        taken
    }
}

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Held {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut held = Self::default();
        held.push(Vec::deserialize(deserializer)?);
        Ok(held)
    }
}

/// A growing set of hashes: sorted runs, of which each is larger than all after it together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    runs: Vec<Arc<Vec<u64>>>,
}

impl Shown {
    pub(super) fn extend(&mut self, hashes: impl Iterator<Item = u64>) {
        let mut run: Vec<u64> = hashes.collect();
        while let Some(last) = self.runs.last()
            && last.len() <= run.len() * 2
        {
            run.extend(last.iter());
            self.runs.pop();
        }
        run.sort_unstable();
        run.dedup();
        if !run.is_empty() {
            self.runs.push(Arc::new(run));
        }
    }

    pub(super) fn contains(&self, hash: u64) -> bool {
        self.runs.iter().any(|run| run.binary_search(&hash).is_ok())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.runs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_found_and_runs_stay_few() {
        let mut shown = Shown::default();
        for page in 0..1_000_u64 {
            shown.extend((0..10).map(|number| (page * 10 + number) * 7_919));
        }
        assert!(shown.runs.len() < 16);
        assert!((0..10_000).all(|number| shown.contains(number * 7_919)));
        assert!(!shown.contains(1));
    }
}
