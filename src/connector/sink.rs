//! A place that rows go to.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use datafusion::{catalog::TableProvider, execution::SendableRecordBatchStream};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    clickhouse, delta,
    error::{Error, ErrorKind, Result},
    executor::Statement,
    files, greenplum, kafka, postgres, sqlite,
};
use crate::model::{
    column::ColumnType,
    delivery::Mode,
    name::{AttemptId, Track},
    unit::{Record, Unit},
    window::Grain,
};

/// Where rows go, as a pipeline or mart says it, with every name resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkSpec {
    /// The connection's name, for messages.
    pub connection: String,
    /// The schema (database file) of the table; `None` = the connection's default.
    pub schema: Option<String>,
    /// The table, topic, sheet or file set.
    pub table: String,
    /// How rows are taken.
    pub mode: Mode,
    /// Columns that tell rows apart, for merge.
    pub key: Vec<String>,
    /// Whether a merge's rows take the place of all that the table holds (`--full-refresh`), in one commit: merged among themselves, as into an empty table.
    pub anew: bool,
    /// What a deleted row leaves behind, for merges whose rows carry [`DELETED`](crate::model::unit::DELETED).
    pub delete: Option<DeleteHow>,
    /// What happens when the rows' columns are not the target's.
    pub on_schema_change: OnSchemaChange,
    /// Types and descriptions of target columns; the others come from the rows.
    pub columns: IndexMap<String, SinkColumn>,
    /// `column = value` that all rows of this writer share, where several members write one table: what `replace` is limited to.
    pub partition: Vec<(String, String)>,
    /// By what column, how and by whose clock the table is cut, for mode window: places that lay rows out by partition do so by it.
    pub window: Option<(String, Grain, Tz)>,
    /// Whether staged rows are looked at before the commit, by [`Staged::table`]: a place that would do without a stage then makes one.
    pub checked: bool,
    /// What only one kind of place understands.
    pub options: SinkOptions,
}

/// What a merge does with a deleted key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeleteHow {
    /// The row goes.
    Hard,
    /// The row stays, with `_deleted` = true.
    Soft,
}

/// What happens when the rows' columns are not the target's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnSchemaChange {
    /// The run fails before anything is written.
    #[default]
    Fail,
    /// New columns are added, types widened; a column that is gone stays, filled with NULL.
    Evolve,
    /// New columns are left out, and counted.
    Ignore,
}

/// One column of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkColumn {
    /// Its type; `None` = as the rows have it.
    pub kind: Option<ColumnType>,
    /// What it means, for people.
    pub description: Option<String>,
}

/// Sub-tables of a sink, each acting only where the connection is of its kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SinkOptions {
    /// `[sink.sqlite]`
    pub sqlite: Option<sqlite::config::SinkOptions>,
    /// `[sink.delta]`
    pub delta: Option<delta::config::SinkOptions>,
    /// `[sink.files]`
    pub files: Option<files::config::SinkOptions>,
    /// `[sink.kafka]`
    pub kafka: Option<kafka::config::SinkOptions>,
    /// `[sink.postgres]`
    pub postgres: Option<postgres::config::SinkOptions>,
    /// `[sink.greenplum]`
    pub greenplum: Option<greenplum::config::SinkOptions>,
    /// `[sink.clickhouse]`
    pub clickhouse: Option<clickhouse::config::SinkOptions>,
}

impl SinkOptions {
    /// The target's columns that they name, key by key, with the key's place under `[sink]`: a list, a single one, or a table by columns.
    pub fn columns(&self) -> Vec<([&'static str; 2], Vec<&str>)> {
        fn list(names: &[String]) -> Vec<&str> {
            names.iter().map(String::as_str).collect()
        }
        let mut found: Vec<([&'static str; 2], Vec<&str>)> = vec![];
        found.extend(self.sqlite.iter().map(|told| (["sqlite", "index"], list(&told.index))));
        found.extend(self.delta.iter().map(|told| (["delta", "partition_by"], list(&told.partition_by))));
        found.extend(self.postgres.iter().map(|told| (["postgres", "index"], list(&told.index))));
        found.extend(
            self.greenplum.iter().map(|told| (["greenplum", "distributed"], list(told.distributed_by()))),
        );
        if let Some(told) = &self.clickhouse {
            found.push((["clickhouse", "order_by"], list(&told.order_by)));
            found.push((["clickhouse", "version"], list(told.version.as_slice())));
            found.push((["clickhouse", "codec"], told.codec.keys().map(String::as_str).collect()));
        }
        found
    }
}

/// What a sink says when it is asked to be written to.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The track's record: the truth.
    pub record: Option<Record>,
    /// A unit whose writing was begun and must be finished before any other.
    pub pending: Option<Unit>,
    /// What staged rows must look like: the target's columns that this track fills, in order, with its types. A merge with deletes adds [`DELETED`](crate::model::unit::DELETED) as the last column.
    pub schema: SchemaRef,
    /// Columns of the rows that the target does not take (`on_schema_change = "ignore"`).
    pub left_out: Vec<String>,
    /// Columns whose types in the place hold fewer values than those of `schema`, which the place would change without a word: rows for them come as a stream, and
    /// are looked at.
    pub narrow: Vec<String>,
}

/// The rows of a unit on their way into a sink.
pub enum Rows {
    /// Batches of exactly [`Claim::schema`]; for a merge, by rising source position.
    Stream(SendableRecordBatchStream),
    /// A query of this very place, which runs it itself: columns of exactly [`Claim::schema`], by name. The place refuses rows outside of their window; those of a
    /// stream were looked at.
    Sql(Statement),
}

/// Who writes a unit, and when.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Goes into the record.
    pub id: AttemptId,
    /// Goes into the record.
    pub at: DateTime<Utc>,
}

/// What is staged.
#[derive(Debug, Clone, Copy)]
pub struct Staging<'a> {
    /// Whose rows they are.
    pub track: &'a Track,
    /// What the track was told when it was [claimed](Sink::claim).
    pub claim: &'a Claim,
    /// Which rows.
    pub unit: &'a Unit,
    /// By whom.
    pub attempt: &'a Attempt,
}

impl Staging<'_> {
    /// The sequence number of the record that must still be there at the commit; `None` = none may be.
    pub fn expected(&self) -> Option<u64> {
        self.claim.record.as_ref().map(|record| record.seq)
    }

    /// The record that is left once `rows` rows are committed.
    pub fn record(&self, rows: u64) -> Record {
        Record {
            seq: Record::next_seq(self.claim.record.as_ref()),
            progress: self.unit.after.clone(),
            attempt: self.attempt.id.clone(),
            at: self.attempt.at,
            rows,
        }
    }
}

/// A place rows go to. Knows its target table; one `Sink` may serve several tracks of that table.
///
/// - **Atomic**: a reader sees a unit's rows and its record both or neither, or, where the place cannot, every row is there once after recovery (see `delivery`).
/// - **Once**: a unit commits only on the record that was claimed (`expected → committed`); a second commit of the same attempt is `Already`; anything else is `Conflict`.
/// - **Ahead**: a unit may be staged while the one before it commits, under a claim whose record is the one that commit will leave.
/// - **Nothing on drop**: a dropped [`Staged`], a failed stage or a killed process leaves no row visible; left-overs are swept by `maintain` or the next claim.
/// - **Durable**: when `commit` returns, the rows and the record survive a loss of power.
/// - **Refusal**: a target that holds rows while no track has a record for it is [`NoRecord`](super::error::ErrorKind::NoRecord) in `claim`.
/// - **Several writers**: tracks that share a table neither block each other's staging nor see each other's records.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Finishes what a writer that died had decided and not done, where commits take several steps. Called by the one who may write, before it looks.
    async fn recover(&self, _: &Track) -> Result<()> {
        Ok(())
    }

    /// The track's record, for looking only: disturbs no one, makes nothing.
    async fn peek(&self, track: &Track) -> Result<Option<Record>>;

    /// The records of all tracks whose keys begin with `prefix`, by key, for looking only. A place that takes no windows need not list.
    async fn records(&self, prefix: &str) -> Result<Vec<(String, Record)>> {
        let message = format!("the records of `{prefix}…` cannot be listed");
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// Called when there is something to write: makes target and record store where they are missing (`schema` = the rows' schema; evolves the target
    /// as `on_schema_change` says), shuts older owners out where compare-and-swap alone cannot, and returns the truth.
    async fn claim(&self, track: &Track, schema: &SchemaRef) -> Result<Claim>;

    /// Puts the unit's rows where no reader sees them.
    async fn stage(&self, staging: Staging<'_>, rows: Rows) -> Result<Box<dyn Staged>>;

    /// Sets the record without writing rows, by compare-and-swap on the sequence number of the one that is there (`None` = none):
    /// for `position set|reset|adopt` and renames. Makes the record store where it is missing.
    async fn set_record(&self, track: &Track, expected: Option<u64>, record: &Record) -> Result<()>;

    /// The target's columns as they are now; `None` = there is no target yet.
    async fn target(&self) -> Result<Option<SchemaRef>>;

    /// How many staged units of different tracks it likes to be given to commit at once: it commits those together that wait. A staged unit of such a place is in files of its own,
    /// not in memory, once its rows were looked at.
    fn commits_together(&self) -> usize {
        1
    }

    /// Small files, old records, left-overs of dead attempts. Called after some commits and by `maintain`; stops when the time is used up. It may wait for what
    /// another call holds: whoever has calls underway must go on polling them meanwhile. `now` is what it writes down as its time.
    async fn maintain(&self, budget: std::time::Duration, now: DateTime<Utc>) -> Result<()>;
}

/// A unit's rows, where no reader sees them. Dropped = nothing happened.
#[async_trait]
pub trait Staged: Send {
    /// Rows that are staged.
    fn rows(&self) -> u64;

    /// The staged rows, as checks read them (`this`), where [`SinkSpec::checked`] asked for it; `None` = this place cannot be checked before the commit.
    fn table(&self) -> Option<Arc<dyn TableProvider>>;

    /// Makes rows and record visible, by compare-and-swap on the record. What others changed beside us (another member's commit to the same table) is
    /// retried inside. An unknown outcome (lost answer) is an error of a kind that is retried: claim, look, then retry.
    async fn commit(self: Box<Self>) -> Result<Committed>;
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// The record now in the sink.
    Now(Record),
    /// This very attempt was committed before; the record it left.
    Already(Record),
}

impl Committed {
    /// The record that holds.
    pub fn record(&self) -> &Record {
        match self {
            Self::Now(record) | Self::Already(record) => record,
        }
    }
}
