//! Dead letters of one attempt: written before the commit, counted only once the sink's record names the attempt.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{blocking, replay};
use crate::{
    connector::{error::Result, sink::Attempt, source::BadRow},
    model::{name::Track, unit::Record},
    state::records::{Letter, Records},
};

/// The dead letters of one attempt at one unit.
pub(super) struct Letters {
    records: Arc<Records>,
    track: Track,
    seq: u64,
    attempt: Attempt,
    /// Whether the unit takes the place of all that was written before: then so do its letters.
    anew: bool,
}

impl Letters {
    /// None yet.
    pub(super) fn new(records: Arc<Records>, track: Track, seq: u64, attempt: Attempt, anew: bool) -> Self {
        Self { records, track, seq, attempt, anew }
    }

    /// Writes some, so that they survive a crash; they do not count yet.
    pub(super) async fn put(&self, rows: Vec<BadRow>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let (records, track, attempt, seq) =
            (Arc::clone(&self.records), self.track.clone(), self.attempt.clone(), self.seq);
        blocking(move || {
            let letters: Vec<Letter> = rows.into_iter().map(|row| letter(row, attempt.at)).collect();
            records.add(&track, seq, &attempt.id, &letters)
        })
        .await
    }

    /// The record names this attempt: its letters count from now on.
    pub(super) async fn confirm(&self) -> Result<()> {
        let (records, track, attempt, seq) =
            (Arc::clone(&self.records), self.track.clone(), self.attempt.clone(), self.seq);
        let older = if self.anew { replay::tracks(&self.track) } else { vec![] };
        blocking(move || records.confirm(&track, seq, &attempt.id, &older)).await?;
        Ok(())
    }
}

/// What a crash left: letters of the attempt that the record names count, all other open ones of the track go.
pub(super) async fn reconcile(records: &Arc<Records>, track: &Track, record: Option<&Record>) -> Result<()> {
    let (records, track) = (Arc::clone(records), track.clone());
    let named = record.map(|record| (record.seq, record.attempt.clone()));
    blocking(move || records.reconcile(&track, named.as_ref().map(|(seq, attempt)| (*seq, attempt)))).await
}

fn letter(row: BadRow, at: DateTime<Utc>) -> Letter {
    Letter { ordinal: row.ordinal, column: row.column, reason: row.reason, row: row.row, at }
}
