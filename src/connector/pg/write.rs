//! A table as a sink. Why every unit is there once, wholly:
//!
//! A unit is one transaction of a session of its own, open from `stage` to `commit`. Appended rows are put by COPY into the target itself, where no other
//! transaction sees them before this one commits: they are written once, and all that is locked is what any INSERT locks, so that others write beside. Rows that take the place of others (merge, replace,
//! window), that are looked at before the commit, or whose columns have no binary form of ours wait in a temporary table, which no other session sees, which writes no log, and which is
//! emptied by the end of the transaction.
//!
//! `commit` moves the track's record from the sequence number that was claimed to the next one, and leaves when the record is not that one; it moves what was
//! staged into the target; it commits with `synchronous_commit` on. Who moves the record first holds it until the end of the transaction, so of two that claimed the
//! same one the second finds it moved. The record is moved last, so that nobody waits for a track while its rows come.
//!
//! Whatever fails or is dropped before COMMIT was sent closes the session, and the transaction with it: neither rows nor record are there, and what COPY
//! put into the target is as dead as rows that were deleted. A crash behind COMMIT leaves both. Where the answer to COMMIT is lost, the outcome is unknown: that is an error which is
//! tried again, and the next claim's record names the attempt that committed. A session whose line was cut is ended by its server, which then lets go of
//! its locks (`network_timeout`); rows that a unique index refuses because that session committed them after all are a conflict, and not bad.
//!
//! A track takes two sessions: one that commits, and one that the next unit is put into meanwhile; and another one for moments while it is claimed. The unit ahead is put into a transaction of its own,
//! upon the record that the one before it will leave: where that one fails, the record is not moved, and the unit ahead is a conflict.

use std::sync::{Arc, Mutex};

use arrow::datatypes::{DataType, Field, SchemaRef};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    client::{Lease, Server},
    commit::{BEGIN_COMMIT, Move},
    config::Grant,
    dialect::{STAGE, begin_making},
    error::failed,
    executor,
    load::Load,
    name::{quote, quote_all},
    record::Records,
    stage::{Kept, Open, Place},
    table::{Table, qualified},
    target::Target,
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        records::conflict,
        sink::{Attempt, Claim, Committed, Rows, Sink, SinkSpec, Staged, Staging},
    },
    failpoint,
    model::{
        name::Track,
        unit::{Record, Scope, Unit},
    },
};

/// What a sink does besides moving rows.
pub(crate) struct Extras {
    /// How rows get into the stage.
    pub(crate) load: Arc<dyn Load>,
    /// Statements of the user, run in the commit's transaction.
    pub(crate) after_sql: Vec<String>,
    /// Who may use the target.
    pub(crate) grant: Grant,
    /// Columns of the target that an index is to begin with.
    pub(crate) index: Vec<String>,
    /// How many sinks write at once; `None` = any number.
    pub(crate) slots: Option<Arc<Semaphore>>,
}

/// A table that is written.
pub(crate) struct TableSink {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) server: Arc<Server>,
    pub(crate) spec: SinkSpec,
    pub(crate) schema: String,
    pub(crate) extras: Extras,
    /// What units that were committed left for the next ones.
    pub(crate) kept: Mutex<Vec<Kept>>,
}

impl TableSink {
    pub(crate) fn new(server: Arc<Server>, spec: SinkSpec, extras: Extras) -> Self {
        let schema = spec.schema.clone().unwrap_or_else(|| server.config.schema.clone());
        Self { inner: Arc::new(Inner { server, spec, schema, extras, kept: Mutex::default() }) }
    }
}

impl Inner {
    pub(crate) fn shown(&self) -> String {
        self.server.table_shown(&self.schema, &self.spec.table)
    }

    pub(crate) fn failed(&self, error: tokio_postgres::Error) -> Error {
        failed(&self.shown(), error)
    }

    /// The target's name in SQL.
    pub(crate) fn sql(&self) -> String {
        qualified(&self.schema, &self.spec.table)
    }

    pub(crate) async fn table(&self, lease: &Lease) -> Result<Option<Table>> {
        Table::find(lease, &self.schema, &self.spec.table).await.map_err(|error| self.failed(error))
    }

    pub(crate) fn records<'a>(&'a self, lease: &'a Lease, shown: &'a str) -> Records<'a> {
        Records { session: lease, schema: &self.schema, target: &self.spec.table, shown }
    }

    fn target<'a>(&'a self, lease: &'a Lease) -> Target<'a> {
        let Extras { grant, index, .. } = &self.extras;
        Target { server: &self.server, session: lease, spec: &self.spec, schema: &self.schema, grant, index }
    }

    /// Makes what a claim needs. Somebody else may have made it since it was looked at.
    async fn make(&self, lease: &Lease, track: &Track, rows: &SchemaRef) -> Result<Claim> {
        self.begin_making(lease).await?;
        let settled = self.target(lease).settle(track, rows).await?;
        for sql in &settled.make {
            lease.run(sql).await.map_err(|error| self.failed(error))?;
        }
        lease.run("COMMIT").await.map_err(|error| self.failed(error))?;
        Ok(settled.claim)
    }

    async fn begin_making(&self, lease: &Lease) -> Result<()> {
        lease.run(&begin_making(&self.schema)).await.map(|_| ()).map_err(|error| self.failed(error))
    }

    /// Puts a unit's rows into a transaction; how many they are.
    async fn fill(&self, track: &Track, claim: &Claim, unit: &Unit, rows: Rows) -> Result<(Open, u64)> {
        match rows {
            Rows::Stream(rows) => {
                let open = self.begin(&claim.schema, self.extras.load.copies()).await?;
                let count = self.load(&open, track, &claim.schema, rows).await?;
                Ok((open, count))
            }
            Rows::Sql(query) => {
                let open = self.begin(&claim.schema, false).await?;
                let columns = quote_all(claim.schema.fields().iter().map(|field| field.name().as_str()));
                let insert =
                    format!("INSERT INTO {STAGE} ({columns}) SELECT {columns} FROM ({}) AS rows", query.sql);
                let count = executor::run(&open.lease, &insert, &query.values, &self.shown()).await?;
                self.refuse_endless(&open.lease, &claim.schema).await?;
                self.refuse_outside(&open.lease, &unit.scope).await?;
                Ok((open, count))
            }
        }
    }

    /// The error of rows that were not taken. A unique index refuses what another session of this track has committed meanwhile.
    async fn blame(&self, track: &Track, claim: &Claim, error: Error) -> Error {
        if error.kind != ErrorKind::BadData {
            return error;
        }
        let moved = async {
            let (lease, shown) = (self.server.lease().await?, self.shown());
            let found = self.records(&lease, &shown).of(track).await?;
            lease.give_back();
            // A unit that is staged ahead is ahead of the record, and never behind it.
            Ok::<bool, Error>(found.map(|record| record.seq) > claim.record.as_ref().map(|record| record.seq))
        };
        if moved.await.is_ok_and(|moved| moved) { conflict(track) } else { error }
    }

    /// Waits until one more may write.
    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes it.
        self.extras.slots.clone()?.acquire_owned().await.ok()
    }

    pub(crate) fn dropped(&self) -> Error {
        Error::new(ErrorKind::NotFound, format!("{} was dropped meanwhile", self.shown()))
    }

    /// A row that does not lie in its window would be there twice after the next build.
    async fn refuse_outside(&self, lease: &Lease, scope: &Scope) -> Result<()> {
        let Scope::Window { column, from, until } = scope else { return Ok(()) };
        let table = self.table(lease).await?.ok_or_else(|| self.dropped())?;
        let inside = self.inside(&table, (column, from, until))?;
        let sql = format!("SELECT 1 FROM {STAGE} WHERE ({inside}) IS NOT TRUE LIMIT 1");
        if lease.row(&sql).await.map_err(|error| self.failed(error))?.is_none() {
            return Ok(());
        }
        let message = format!("{}: a row lies outside of its window by `{column}`", self.shown());
        Err(Error::new(ErrorKind::BadData, message).hint("mend the SQL: a build replaces its own rows only"))
    }

    /// Refuses what no row that passes through us has: infinite dates, numbers that are none.
    async fn refuse_endless(&self, lease: &Lease, schema: &SchemaRef) -> Result<()> {
        let condition = |field: &Arc<Field>| {
            let name = quote(field.name());
            Some(match field.data_type() {
                DataType::Date32 | DataType::Timestamp(..) => format!("NOT isfinite({name})"),
                DataType::Decimal128(..) | DataType::Decimal256(..) => format!("{name} = 'NaN'::numeric"),
                DataType::Time64(_) => format!("{name} = '24:00'::time"),
                _ => return None,
            })
        };
        let judged: Vec<(&str, String)> = schema
            .fields()
            .iter()
            .filter_map(|field| Some((field.name().as_str(), condition(field)?)))
            .collect();
        if judged.is_empty() {
            return Ok(());
        }
        let found: Vec<String> =
            judged.iter().map(|(_, condition)| format!("coalesce(bool_or({condition}), false)")).collect();
        let row = lease.row(&format!("SELECT {} FROM {STAGE}", found.join(", "))).await;
        let row = row.map_err(|error| self.failed(error))?.unwrap_or_default();
        match row.iter().position(|cell| cell.as_deref() == Some("t")) {
            None => Ok(()),
            Some(at) => {
                let message = format!("{}: column `{}` does not fit its type", self.shown(), judged[at].0);
                Err(Error::new(ErrorKind::BadData, message))
            }
        }
    }
}

#[async_trait]
impl Sink for TableSink {
    async fn peek(&self, track: &Track) -> Result<Option<Record>> {
        let (inner, shown) = (&self.inner, self.inner.shown());
        let lease = inner.server.lease().await?;
        let record = inner.records(&lease, &shown).of(track).await?;
        lease.give_back();
        Ok(record)
    }

    async fn records(&self, prefix: &str) -> Result<Vec<(String, Record)>> {
        let (inner, shown) = (&self.inner, self.inner.shown());
        let lease = inner.server.lease().await?;
        let records = inner.records(&lease, &shown).with_prefix(prefix).await?;
        lease.give_back();
        Ok(records)
    }

    async fn claim(&self, track: &Track, schema: &SchemaRef) -> Result<Claim> {
        let inner = &self.inner;
        let lease = inner.server.lease().await?;
        let settled = inner.target(&lease).settle(track, schema).await?;
        let claim =
            if settled.make.is_empty() { settled.claim } else { inner.make(&lease, track, schema).await? };
        lease.give_back();
        Ok(claim)
    }

    async fn stage(&self, staging: Staging<'_>, rows: Rows) -> Result<Box<dyn Staged>> {
        let inner = &self.inner;
        let Staging { track, claim, unit, attempt } = staging;
        let slot = inner.slot().await;
        let (open, rows) = match inner.fill(track, claim, unit, rows).await {
            Ok(filled) => filled,
            Err(error) => return Err(inner.blame(track, claim, error).await),
        };
        failpoint::pass("pg.stage.after");
        Ok(Box::new(StagedRows {
            inner: inner.clone(),
            track: track.clone(),
            expected: staging.expected(),
            attempt: attempt.clone(),
            unit: unit.clone(),
            schema: claim.schema.clone(),
            rows,
            lease: Arc::new(open.lease),
            place: open.place,
            _slot: slot,
        }))
    }

    async fn set_record(&self, track: &Track, expected: Option<u64>, record: &Record) -> Result<()> {
        let (inner, shown) = (&self.inner, self.inner.shown());
        let lease = inner.server.lease().await?;
        let records = inner.records(&lease, &shown);
        let run = async |sql: &str| lease.run(sql).await.map(|_| ()).map_err(|error| inner.failed(error));
        if !records.exist().await? {
            inner.begin_making(&lease).await?;
            run(&format!("{}; COMMIT", records.create())).await?;
        }
        run(BEGIN_COMMIT).await?;
        if !records.swap(track, expected, record).await? {
            return Err(conflict(track));
        }
        run("COMMIT").await?;
        lease.give_back();
        Ok(())
    }

    async fn target(&self) -> Result<Option<SchemaRef>> {
        let lease = self.inner.server.lease().await?;
        let table = self.inner.table(&lease).await?;
        lease.give_back();
        Ok(table.map(|table| table.arrow()))
    }

    /// Nothing is left over from dead attempts, because stages go with their sessions. Where others hold the records, older ones stay for now.
    async fn maintain(&self, _: std::time::Duration, _: DateTime<Utc>) -> Result<()> {
        let (inner, shown) = (&self.inner, self.inner.shown());
        let lease = inner.server.lease().await?;
        match inner.records(&lease, &shown).prune().await {
            Ok(()) => lease.give_back(),
            Err(error) if error.kind == ErrorKind::Busy => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Dropped, its session is closed, and with it the transaction.
struct StagedRows {
    inner: Arc<Inner>,
    track: Track,
    expected: Option<u64>,
    attempt: Attempt,
    unit: Unit,
    schema: SchemaRef,
    rows: u64,
    lease: Arc<Lease>,
    place: Place,
    _slot: Option<OwnedSemaphorePermit>,
}

#[async_trait]
impl Staged for StagedRows {
    fn rows(&self) -> u64 {
        self.rows
    }

    fn table(&self) -> Option<Arc<dyn TableProvider>> {
        match &self.place {
            Place::Target => None,
            Place::Stage(made) => {
                let table = executor::staged(&self.lease, &self.schema, made.utf8, self.inner.shown());
                Some(Arc::new(table))
            }
        }
    }

    async fn commit(self: Box<Self>) -> Result<Committed> {
        let window = match &self.unit.scope {
            Scope::Window { column, from, until } => Some((column.as_str(), from, until)),
            Scope::Slice { .. } | Scope::Snapshot => None,
        };
        let step = Move {
            inner: &self.inner,
            lease: &self.lease,
            place: &self.place,
            track: &self.track,
            expected: self.expected,
            schema: &self.schema,
            window,
        };
        let record = Record {
            seq: self.expected.map_or(1, |seq| seq + 1),
            progress: self.unit.after.clone(),
            attempt: self.attempt.id.clone(),
            at: self.attempt.at,
            rows: self.rows,
        };
        failpoint::pass("pg.commit.before");
        let committed = step.commit(record).await?;
        failpoint::pass("pg.commit.after");
        // Checks may still hold it: then it goes with them.
        if let (Committed::Now(_), Some(lease)) = (&committed, Arc::into_inner(self.lease)) {
            self.inner.keep(lease, self.place);
        }
        Ok(committed)
    }
}
