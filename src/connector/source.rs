//! A place that rows come from.

use std::time::Duration;

use arrow::{array::UInt64Array, record_batch::RecordBatch};
use async_trait::async_trait;
use chrono_tz::Tz;
use datafusion::arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;

use super::{error::Result, files, greenplum, kafka};
use crate::model::{
    column::Contract,
    name::Track,
    position::Position,
    time::Span,
    unit::{SliceLimit, Unit},
    value::Value,
};

/// What to read, as a pipeline says it, with every name resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSpec {
    /// The connection's name, for messages.
    pub connection: String,
    /// The schema (database file) of the table; `None` = the connection's default.
    pub schema: Option<String>,
    /// The table, topic, sheet or file set.
    pub table: String,
    /// What orders it; `None` for logs and for whole tables.
    pub cursor: Option<CursorSpec>,
    /// Whether each run takes the whole table at once, as `replace` needs it, where a source without cursor could give slices as well (logs, versions of a table).
    pub whole: bool,
    /// What its columns must be; `None` = what the source declares.
    pub contract: Option<Contract>,
    /// Where timestamps without zone are: the project's.
    pub zone: Tz,
    /// What only one kind of connection understands.
    pub options: SourceOptions,
}

/// Sub-tables of a source, each acting only where the connection is of its kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceOptions {
    /// `[source.files]`
    pub files: Option<files::config::SourceOptions>,
    /// `[source.kafka]`
    pub kafka: Option<kafka::config::SourceOptions>,
    /// `[source.greenplum]`
    pub greenplum: Option<greenplum::config::SourceOptions>,
}

/// A column that rises as rows are added.
#[derive(Debug, Clone, PartialEq)]
pub struct CursorSpec {
    /// The column.
    pub column: String,
    /// What tells rows of equal cursor values apart, so that a slice may end between them.
    pub tie: Option<String>,
    /// How far behind the position to read again, for rows that show up late.
    pub overlap: Option<Overlap>,
    /// Rows before this are not read; typed by the source as its cursor column is.
    pub start: Option<Value>,
}

/// A distance in the cursor's own measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// For dates and timestamps.
    Span(Span),
    /// For numbers.
    Steps(u64),
}

/// A place rows come from. Lives for the whole run.
///
/// - **Order**: `read` gives a unit's rows by rising position; ordinals rise by one from 0, bad rows included.
/// - **Bounds**: slices of one source, taken one after another, neither overlap (but for a declared overlap) nor leave gaps;
///   a plan never reaches past `head`; `read` gives exactly the rows of the unit, however others write meanwhile.
/// - **Replay**: the same unit read twice gives the same rows, where [`SourceFacts::replays`](crate::model::delivery::SourceFacts) says so.
/// - **Refusal**: a position of another identity, a witness that disagrees, or a source that shrank below the position is
///   [`SourceChanged`](super::error::ErrorKind::SourceChanged), found in `plan` before any row is read.
/// - **Cancel**: drop the stream; background reading stops soon after.
#[async_trait]
pub trait Source: Send + Sync {
    /// The schema of the rows that `read` would give now, without the ordinal.
    async fn schema(&self) -> Result<SchemaRef>;

    /// Where the place ends now. Taken once per run: a run ends there, however fast others write.
    async fn head(&self) -> Result<Position>;

    /// The next unit after `from` (`None` = the beginning) up to `head`, at most `limit` big (soft: equal cursor values are never split), decided before
    /// any row is read. `None` = nothing is left. A whole-table source (also every one that is asked to be, by [`SourceSpec::whole`]) gives one snapshot per run, of empty tables too: `None` once `from` is `head`.
    async fn plan(&self, from: Option<&Position>, head: &Position, limit: SliceLimit)
    -> Result<Option<Unit>>;

    /// Exactly the rows of this unit, decoded against the contract.
    async fn read(&self, unit: &Unit) -> Result<BoxStream<'static, Result<Chunk>>>;

    /// How this unit's rows are asked for, for people: SQL with placeholders, which files are read; never a value. `None` = nothing is sent.
    async fn describe(&self, _: &Unit) -> Result<Option<String>> {
        Ok(None)
    }

    /// A sink has committed this position for a track: for places that show how far their readers are. Nothing depends on it; the run goes on where it fails.
    async fn committed(&self, _: &Track, _: &Position) -> Result<()> {
        Ok(())
    }

    /// Resolves when there may be something new: what `continuous` waits on. Also where the place cannot be asked any more and waiting does not mend it (it was dropped, a right was taken away): the next head says so.
    async fn changed(&self);
}

/// Waits as [`Source::changed`] does, in a place that has to be asked: `news` says whether there is something new, and is asked every so often, not at once. Ends where asking fails and
/// stays so; a place that cannot be asked for now is asked again.
pub(crate) async fn until_news<F>(every: Duration, mut news: impl FnMut() -> F)
where
    F: Future<Output = Result<bool>> + Send,
{
    loop {
        tokio::time::sleep(every).await;
        match news().await {
            Ok(true) => return,
            Err(error) if error.stays() => return,
            Ok(false) | Err(_) => {}
        }
    }
}

/// A piece of a unit: rows that decoded, and rows that did not.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Rows that decoded, with the unit's schema.
    pub batch: RecordBatch,
    /// For every row of `batch`, its number in the unit, in reading order from 0; rising, with gaps where rows are bad.
    pub ordinals: UInt64Array,
    /// Rows that did not decode.
    pub bad: Vec<BadRow>,
}

/// A row that did not decode or does not fit its target.
#[derive(Debug, Clone, PartialEq)]
pub struct BadRow {
    /// Its number in the unit.
    pub ordinal: u64,
    /// The column at fault.
    pub column: Option<String>,
    /// Why, without the cell's value: `text in an int64 column`.
    pub reason: String,
    /// The source's row as it was, column by column: what `replay` reads.
    pub row: serde_json::Map<String, serde_json::Value>,
}
