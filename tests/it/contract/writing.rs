//! Writing as a run does: claim, cast, stage, commit.

use std::sync::Arc;

use arrow::{
    datatypes::{Schema, SchemaRef},
    record_batch::RecordBatch,
};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::stream;
use vitrina::{
    connector::{
        connection::Connection,
        error::{Error, ErrorKind, Result},
        sink::{Attempt, Claim, Committed, Rows, Sink, SinkSpec, Staged, Staging},
    },
    model::{
        delivery::Mode,
        name::Track,
        unit::{DELETED, Unit},
    },
};

use super::Harness;
use crate::support::{
    rows::{cast_to, sorted_text},
    specs, sql,
};

/// A sink of this specification, over a new connection.
pub(crate) async fn open(harness: &dyn Harness, spec: &SinkSpec) -> Arc<dyn Sink> {
    harness.open().sink(spec).await.unwrap()
}

/// Rows as a stream of small batches.
pub(crate) fn stream_of(rows: &RecordBatch) -> SendableRecordBatchStream {
    let parts: Vec<_> =
        (0..rows.num_rows()).step_by(3).map(|at| Ok(rows.slice(at, 3.min(rows.num_rows() - at)))).collect();
    Box::pin(RecordBatchStreamAdapter::new(rows.schema(), stream::iter(parts)))
}

/// Rows of which the last never come: the stream ends with an error of this kind.
pub(crate) fn failing_stream(rows: &RecordBatch, kind: ErrorKind) -> SendableRecordBatchStream {
    let error = DataFusionError::from(Error::new(kind, "the source went away"));
    let parts = vec![Ok(rows.clone()), Err(error)];
    Box::pin(RecordBatchStreamAdapter::new(rows.schema(), stream::iter(parts)))
}

/// The schema that a run claims with: the rows' columns, without the mark of deletions.
pub(crate) fn claimed_schema(rows: &RecordBatch) -> SchemaRef {
    let fields = rows.schema_ref().fields().iter().filter(|field| field.name() != DELETED);
    Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
}

/// Claims and stages; the rows are cast to what was claimed.
pub(crate) async fn stage(
    sink: &dyn Sink,
    track: &Track,
    unit: &Unit,
    attempt: &Attempt,
    rows: &RecordBatch,
) -> Result<Box<dyn Staged>> {
    let claim = sink.claim(track, &claimed_schema(rows)).await?;
    stage_claimed(sink, track, &claim, unit, attempt, rows).await
}

/// Stages under a claim that was made before.
pub(crate) async fn stage_claimed(
    sink: &dyn Sink,
    track: &Track,
    claim: &Claim,
    unit: &Unit,
    attempt: &Attempt,
    rows: &RecordBatch,
) -> Result<Box<dyn Staged>> {
    let rows = cast_to(rows, &claim.schema);
    sink.stage(Staging { track, claim, unit, attempt }, Rows::Stream(stream_of(&rows))).await
}

/// Writes one unit; the connection is a new one.
pub(crate) async fn try_write(
    harness: &dyn Harness,
    spec: &SinkSpec,
    track: &Track,
    at: i64,
    rows: &RecordBatch,
) -> Result<Committed> {
    let sink = harness.open().sink(spec).await?;
    let unit = specs::unit(spec.mode, at, rows);
    stage(sink.as_ref(), track, &unit, &specs::attempt(), rows).await?.commit().await
}

/// Writes one unit, which must do.
pub(crate) async fn write(
    harness: &dyn Harness,
    spec: &SinkSpec,
    track: &Track,
    at: i64,
    rows: &RecordBatch,
) {
    match try_write(harness, spec, track, at, rows).await.unwrap() {
        Committed::Now(record) => assert_eq!(record.rows, rows.num_rows() as u64),
        Committed::Already(record) => panic!("a new attempt was committed before: {record:?}"),
    }
}

/// The target's rows as text, sorted, as a new connection sees them; `None` = no table.
pub(crate) async fn target(harness: &dyn Harness, table: &str) -> Option<Vec<String>> {
    target_through(harness.open().as_ref(), table).await
}

/// The target's rows as text, sorted, through this connection.
pub(crate) async fn target_through(connection: &dyn Connection, table: &str) -> Option<Vec<String>> {
    sql::rows_of(connection, table).await.map(|rows| sorted_text(&rows))
}

/// The modes of this list that the connector has.
pub(crate) fn modes_of(harness: &dyn Harness, wanted: &[Mode]) -> Vec<Mode> {
    wanted.iter().copied().filter(|mode| harness.abilities().modes.contains(mode)).collect()
}

/// Whether the connector has this mode.
pub(crate) fn has(harness: &dyn Harness, mode: Mode) -> bool {
    harness.abilities().modes.contains(&mode)
}

/// A mode that any unit of a pipeline goes with.
pub(crate) fn usual_mode(harness: &dyn Harness) -> Mode {
    modes_of(harness, &[Mode::Append, Mode::Merge, Mode::Replace])[0]
}
