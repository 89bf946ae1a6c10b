//! Reading as a run does, checking on the way what holds for every unit.

use std::sync::Arc;

use arrow::{array::Array, datatypes::SchemaRef, record_batch::RecordBatch};
use futures::TryStreamExt;
use vitrina::{
    connector::{
        error::{ErrorKind, Result},
        source::{BadRow, CursorSpec, Source, SourceSpec},
    },
    model::{
        position::Position,
        unit::{Scope, SliceLimit, Unit},
    },
};

use super::{Harness, Reading};
use crate::support::{rows, specs};

/// No limit that a test would meet.
pub(crate) const WIDE: SliceLimit = SliceLimit { rows: 1_000_000, bytes: 1 << 30 };

/// At most so many rows a slice.
pub(crate) fn most(rows: u64) -> SliceLimit {
    SliceLimit { rows, ..WIDE }
}

/// What a unit held.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) batch: RecordBatch,
    /// Of the rows of `batch`.
    pub(crate) ordinals: Vec<u64>,
    pub(crate) bad: Vec<BadRow>,
}

/// A source of this table, read in this way (by `id`, if by cursor); rows like `like`.
pub(crate) async fn open(
    harness: &dyn Harness,
    reading: Reading,
    table: &str,
    like: &RecordBatch,
) -> Arc<dyn Source> {
    open_spec(harness, reading, SourceSpec { cursor: cursor_of(reading), ..specs::source(table, like) }).await
}

/// A source of this specification.
pub(crate) async fn open_spec(harness: &dyn Harness, reading: Reading, spec: SourceSpec) -> Arc<dyn Source> {
    harness.open_for(reading).source(&read_in(reading, &spec)).await.unwrap()
}

/// A specification that asks for the whole table where it is to be read so.
fn read_in(reading: Reading, spec: &SourceSpec) -> SourceSpec {
    SourceSpec { whole: reading == Reading::Whole, ..spec.clone() }
}

/// The cursor `id` where there is to be one.
pub(crate) fn cursor_of(reading: Reading) -> Option<CursorSpec> {
    (reading == Reading::Cursor).then(|| specs::cursor("id"))
}

/// The position after a unit.
pub(crate) fn end_of(unit: &Unit) -> Position {
    unit.after.position().expect("a unit of a source ends at a position").clone()
}

/// Units one after another from `from` to `head`.
pub(crate) async fn plan_all(
    source: &dyn Source,
    from: Option<&Position>,
    head: &Position,
    limit: SliceLimit,
) -> Vec<Unit> {
    let mut units: Vec<Unit> = vec![];
    loop {
        let at = units.last().map(end_of).or(from.cloned());
        let Some(unit) = source.plan(at.as_ref(), head, limit).await.unwrap() else {
            return units;
        };
        assert_ne!(at.as_ref(), unit.after.position(), "a unit that gets no further");
        if let Scope::Slice { from } = &unit.scope {
            assert_eq!(from, &at, "a slice begins where the last one ended");
        }
        units.push(unit);
        assert!(units.len() < 10_000, "planning does not end");
    }
}

/// Reads a unit, after it was written down and read back.
pub(crate) async fn read(source: &dyn Source, unit: &Unit) -> Held {
    try_read(source, unit).await.unwrap()
}

/// Reads a unit that may fail.
pub(crate) async fn try_read(source: &dyn Source, unit: &Unit) -> Result<Held> {
    let unit: Unit = serde_json::from_str(&serde_json::to_string(unit).unwrap()).unwrap();
    let mut stream = source.read(&unit).await?;
    let (mut batches, mut ordinals, mut bad) = (vec![rows::none_of(&unit.schema)], vec![], vec![]);
    let mut next = 0;
    while let Some(chunk) = stream.try_next().await? {
        assert_eq!(shape(&chunk.batch.schema()), shape(&unit.schema), "a chunk has its unit's schema");
        assert_eq!(chunk.batch.num_rows(), chunk.ordinals.len());
        assert_eq!(chunk.ordinals.null_count(), 0);
        assert!(chunk.ordinals.values().is_sorted(), "rows come by rising ordinal");
        let mut numbers: Vec<u64> = chunk.ordinals.values().to_vec();
        numbers.extend(chunk.bad.iter().map(|bad| bad.ordinal));
        numbers.sort_unstable();
        let until = next + numbers.len() as u64;
        assert_eq!(numbers, (next..until).collect::<Vec<_>>(), "ordinals rise by one, bad rows included");
        next = until;
        let columns = chunk.batch.columns().to_vec();
        if chunk.batch.num_columns() > 0 {
            batches.push(RecordBatch::try_new(unit.schema.clone(), columns).unwrap());
        }
        ordinals.extend(chunk.ordinals.values());
        bad.extend(chunk.bad);
    }
    assert!(
        unit.rows.is_none_or(|rows| rows == next),
        "the unit was to hold {:?} rows, not {next}",
        unit.rows
    );
    Ok(Held { batch: rows::joined(&batches), ordinals, bad })
}

/// Names and types of a schema's columns.
pub(crate) fn shape(schema: &SchemaRef) -> Vec<(String, arrow::datatypes::DataType)> {
    schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
}

/// The rows of several units, one after another.
pub(crate) async fn read_all(source: &dyn Source, units: &[Unit]) -> Vec<Held> {
    let mut held = vec![];
    for unit in units {
        held.push(read(source, unit).await);
    }
    held
}

/// Ids of everything from `from` to the head of this moment, in order of reading.
pub(crate) async fn ids_after(source: &dyn Source, from: Option<&Position>) -> (Vec<i64>, Position) {
    let head = source.head().await.unwrap();
    let units = plan_all(source, from, &head, WIDE).await;
    let held = read_all(source, &units).await;
    (held.iter().flat_map(|held| rows::ids(&held.batch)).collect(), head)
}

/// Reads everything there is; the first error, wherever it shows itself.
pub(crate) async fn try_everything(
    harness: &dyn Harness,
    reading: Reading,
    spec: &SourceSpec,
) -> Result<Vec<Held>> {
    let source = harness.open_for(reading).source(&read_in(reading, spec)).await?;
    let head = source.head().await?;
    let (mut held, mut at) = (vec![], None);
    while let Some(unit) = source.plan(at.as_ref(), &head, WIDE).await? {
        held.push(try_read(source.as_ref(), &unit).await?);
        at = unit.after.position().cloned();
    }
    Ok(held)
}

/// The kind of an error that must be there.
pub(crate) fn kind<T>(result: Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("this must be refused"),
        Err(error) => {
            assert!(!error.message.is_empty());
            error.kind
        }
    }
}

/// The ways that this connector reads in ranges.
pub(crate) fn ranges(harness: &dyn Harness) -> Vec<Reading> {
    harness.abilities().readings.into_iter().filter(|reading| *reading != Reading::Whole).collect()
}
