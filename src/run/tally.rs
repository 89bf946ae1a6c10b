//! What a run has done so far.

use super::judge::Seen;
use crate::model::unit::Record;

/// Counts of one run; only what was committed.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub units: u64,
    pub read: u64,
    pub bad: u64,
    pub written: u64,
    /// Whether it began to read its source again from the beginning.
    pub anew: bool,
    pub notes: Vec<String>,
}

impl Tally {
    /// A unit was committed; `seen` counts from the run's begin.
    pub(super) fn committed(&mut self, record: &Record, seen: Seen) {
        self.units += 1;
        self.written += record.rows;
        self.anew |= record.progress.anew() == Some(record.seq);
        self.read = seen.rows;
        self.bad = seen.bad;
    }

    /// Keeps a note; `false` where it was there before.
    pub(super) fn note(&mut self, text: &str) -> bool {
        let fresh = !self.notes.iter().any(|note| note == text);
        if fresh {
            self.notes.push(text.to_owned());
        }
        fresh
    }
}
