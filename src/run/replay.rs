//! Dead letters as a source: `dead-letters replay` reads them again against today's contract. A track of its own, so that a
//! replay that was killed goes on where it stopped; a letter that fails again becomes a new letter, of that track.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{Runtime, blocking};
use crate::{
    config::project::{PipelineMember, SourceKind},
    connector::{
        cells::{OwnedCell, RowDecoder, Rules, cells_from_json},
        error::Result,
        sink::Sink,
        source::{Chunk, Source},
    },
    model::{
        name::Track,
        position::{Bound, Position, SourceIdentity},
        unit::{Progress, Record, Scope, SliceLimit, Unit},
        value::Value,
    },
    state::records::{Records, StoredLetter},
};

/// Letters decoded at a time.
const LETTERS_PER_CHUNK: usize = 1_000;

/// The track under which letters of `track` are replayed.
pub(super) fn track(track: &Track) -> Track {
    let member =
        if track.member.is_empty() { "replay".to_owned() } else { format!("{}/replay", track.member) };
    Track { member, ..track.clone() }
}

/// A pipeline was renamed: letters of its old track, replayed ones too, are the new one's. The old replay's record, which stays
/// behind, is settled first.
pub(super) async fn rename(records: &Arc<Records>, old: &Track, new: &Track, sink: &dyn Sink) -> Result<()> {
    sink.recover(&track(old)).await?;
    settle(records, old, sink.peek(&track(old)).await?.as_ref()).await?;
    for (from, to) in tracks(old).into_iter().zip(tracks(new)) {
        let records = Arc::clone(records);
        blocking(move || records.rename(&from, &to)).await?;
    }
    Ok(())
}

/// Letters up to the replay's record were read again, and what they gave is committed.
pub(super) async fn settle(records: &Arc<Records>, of: &Track, record: Option<&Record>) -> Result<()> {
    let Some(until) = record.and_then(|record| record.progress.position()).and_then(letter_id) else {
        return Ok(());
    };
    let (records, tracks) = (Arc::clone(records), tracks(of));
    blocking(move || records.mark_replayed_until(&tracks, until)).await?;
    Ok(())
}

/// The letters of a member's track, as a source of the same rows as `source`.
pub(super) async fn source(
    runtime: &Runtime,
    member: &PipelineMember,
    source: Arc<dyn Source>,
    of: &Track,
) -> Result<Arc<dyn Source>> {
    let contract = match &member.source {
        SourceKind::Table(spec) => spec.contract.as_ref(),
        SourceKind::Generate { .. } => None,
    };
    let rules = Rules {
        null_values: contract.map(|contract| contract.null_values.clone()).unwrap_or_default(),
        zone: runtime.project.zone,
        epoch: contract.is_some(),
    };
    let records = Arc::clone(&runtime.records);
    Ok(Arc::new(Letters { records, of: of.clone(), schema: source.schema().await?, rules }))
}

struct Letters {
    records: Arc<Records>,
    of: Track,
    schema: SchemaRef,
    rules: Rules,
}

#[async_trait]
impl Source for Letters {
    async fn schema(&self) -> Result<SchemaRef> {
        Ok(Arc::clone(&self.schema))
    }

    async fn head(&self) -> Result<Position> {
        let (records, tracks) = (Arc::clone(&self.records), tracks(&self.of));
        let last = blocking(move || records.last_waiting(&tracks)).await?;
        Ok(self.position(last.unwrap_or(0)))
    }

    async fn plan(
        &self,
        from: Option<&Position>,
        head: &Position,
        limit: SliceLimit,
    ) -> Result<Option<Unit>> {
        let until = letter_id(head).unwrap_or(0);
        let letters = self.letters(from.and_then(letter_id).unwrap_or(0), until, limit.rows).await?;
        let Some(last) = letters.last() else { return Ok(None) };
        Ok(Some(Unit {
            scope: Scope::Slice { from: from.cloned() },
            after: Progress::Position(self.position(last.id)),
            schema: Arc::clone(&self.schema),
            rows: Some(letters.len() as u64),
            about: None,
        }))
    }

    async fn read(&self, unit: &Unit) -> Result<BoxStream<'static, Result<Chunk>>> {
        let from = match &unit.scope {
            Scope::Slice { from } => from.as_ref().and_then(letter_id),
            Scope::Snapshot | Scope::Window { .. } => None,
        };
        let until = unit.after.position().and_then(letter_id).unwrap_or(0);
        let letters = self.letters(from.unwrap_or(0), until, u64::MAX).await?;
        let mut decoder = RowDecoder::new(Arc::clone(&unit.schema), self.rules.clone())?;
        let names: Vec<String> = unit.schema.fields().iter().map(|field| field.name().clone()).collect();
        let chunks: Vec<Result<Chunk>> = letters
            .chunks(LETTERS_PER_CHUNK)
            .enumerate()
            .map(|(index, letters)| decode(&mut decoder, &names, index * LETTERS_PER_CHUNK, letters))
            .collect();
        Ok(stream::iter(chunks).boxed())
    }

    async fn changed(&self) {
        std::future::pending::<()>().await;
    }
}

impl Letters {
    fn position(&self, id: i64) -> Position {
        let source =
            SourceIdentity { kind: "dead_letters".to_owned(), place: self.of.key(), order: "id".to_owned() };
        let bound = Bound::at(vec![Value::Int(id)]);
        Position { source, partitions: BTreeMap::from([(String::new(), bound)]) }
    }

    async fn letters(&self, after: i64, until: i64, limit: u64) -> Result<Vec<StoredLetter>> {
        let (records, tracks) = (Arc::clone(&self.records), tracks(&self.of));
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        blocking(move || records.waiting_between(&tracks, after, until, limit)).await
    }
}

fn decode(
    decoder: &mut RowDecoder,
    names: &[String],
    first: usize,
    letters: &[StoredLetter],
) -> Result<Chunk> {
    for (index, letter) in letters.iter().enumerate() {
        let cells: Vec<OwnedCell> = cells_from_json(&letter.row, names.iter().map(String::as_str));
        decoder.push((first + index) as u64, |column| cells[column].cell());
    }
    decoder.finish()
}

/// Letters of the pipeline itself, and those that failed again when they were replayed.
pub(super) fn tracks(of: &Track) -> Vec<String> {
    vec![of.key(), track(of).key()]
}

fn letter_id(position: &Position) -> Option<i64> {
    match position.bound()?.at.as_slice() {
        [Value::Int(id)] => Some(*id),
        _ => None,
    }
}
