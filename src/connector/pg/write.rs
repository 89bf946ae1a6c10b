//! A table as a sink. Why every unit is there once, wholly:
//!
//! Rows are staged in a temporary table of one session, which no other session sees and which is gone with it. `commit` is one
//! transaction: it moves the track's record from the sequence number that was claimed to the next one, and leaves when the record is not that one; it moves the
//! staged rows into the target; it commits with `synchronous_commit` on. Who moves the record first holds it until the end of the transaction, so of two that claimed the
//! same one the second finds it moved. A crash before the commit leaves neither rows nor record, a crash behind it both. Where the answer
//! to COMMIT is lost, the outcome is unknown: that is an error which is tried again, and the next claim's record names the attempt that committed.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{Field, SchemaRef},
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use datafusion::{catalog::TableProvider, execution::SendableRecordBatchStream};
use futures::{SinkExt, StreamExt};

use super::{
    client::{Lease, Server},
    commit::Move,
    encode,
    error::failed,
    name::{literal, quote},
    record::{Records, conflict},
    scan::StagedTable,
    table::{Table, qualified},
    target::Target,
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        sink::{Attempt, Claim, Committed, Rows, Sink, SinkSpec, Staged},
    },
    failpoint,
    model::{
        name::Track,
        unit::{Record, Scope, Unit},
    },
};

/// The staged rows, in the session's own schema; no target can have this name.
pub(crate) const STAGE: &str = "pg_temp._vitrina_stage";

/// The column that keeps the order of staged rows.
pub(crate) const NUMBER: &str = "_vitrina_number";

/// Bytes that are sent at once.
const SENT: usize = 256 << 10;

/// A table that is written.
pub(crate) struct TableSink {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    server: Arc<Server>,
    pub(crate) spec: SinkSpec,
    schema: String,
}

impl TableSink {
    pub(crate) fn new(server: Arc<Server>, spec: SinkSpec) -> Self {
        let schema = spec.schema.clone().unwrap_or_else(|| server.config.schema.clone());
        Self { inner: Arc::new(Inner { server, spec, schema }) }
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
        Target { server: &self.server, session: lease, spec: &self.spec, schema: &self.schema }
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

    /// One maker at a time in a schema: IF NOT EXISTS alone does not settle races.
    async fn begin_making(&self, lease: &Lease) -> Result<()> {
        let begin = format!(
            "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended({}, 0))",
            literal(&format!("vitrina {}", self.schema))
        );
        lease.run(&begin).await.map(|_| ()).map_err(|error| self.failed(error))
    }

    /// A session with an empty stage in it, whose columns are those of the target; what has no binary form of ours is text.
    async fn begin_stage(&self, schema: &SchemaRef) -> Result<Lease> {
        let lease = self.server.lease().await?;
        let Some(table) = self.table(&lease).await? else {
            return Err(self.dropped());
        };
        let column = |field: &Arc<Field>| {
            let name = quote(field.name());
            match table.column(field.name()) {
                Some(found) if !found.kind.spelled() => name,
                Some(_) => format!("NULL::text AS {name}"),
                None => format!("NULL::boolean AS {name}"),
            }
        };
        let columns: Vec<String> = schema.fields().iter().map(column).collect();
        let sql = format!(
            "CREATE TEMP TABLE _vitrina_stage AS SELECT {}, NULL::bigint AS {} FROM {} WITH NO DATA",
            columns.join(", "),
            quote(NUMBER),
            table.sql(),
        );
        lease.run(&sql).await.map_err(|error| self.failed(error))?;
        Ok(lease)
    }

    pub(crate) fn dropped(&self) -> Error {
        Error::new(ErrorKind::NotFound, format!("{} was dropped meanwhile", self.shown()))
    }

    /// Sends the rows; how many they were. When this fails, what was sent goes with the session.
    async fn send(&self, lease: &Lease, mut rows: SendableRecordBatchStream) -> Result<u64> {
        let copy = lease.copy_in::<_, Bytes>(&format!("COPY {STAGE} FROM STDIN (FORMAT binary)")).await;
        let mut sink = Box::pin(copy.map_err(|error| self.failed(error))?);
        let (mut out, mut number) = (BytesMut::with_capacity(SENT + (64 << 10)), 0_u64);
        encode::begin(&mut out);
        while let Some(batch) = rows.next().await {
            let batch: RecordBatch = batch.map_err(Error::from)?;
            let mut encoder = encode::Rows::new(&batch)?;
            for row in 0..batch.num_rows() {
                let written = encoder.write(row, number.cast_signed(), &mut out);
                written.map_err(|error| self.blamed(error))?;
                number += 1;
                if out.len() >= SENT {
                    sink.send(out.split().freeze()).await.map_err(|error| self.failed(error))?;
                }
            }
        }
        encode::end(&mut out);
        sink.send(out.freeze()).await.map_err(|error| self.failed(error))?;
        sink.as_mut().finish().await.map_err(|error| self.failed(error))
    }

    fn blamed(&self, mut error: Error) -> Error {
        error.message = format!("{}: {}", self.shown(), error.message);
        error
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

    async fn claim(&self, track: &Track, schema: &SchemaRef) -> Result<Claim> {
        let inner = &self.inner;
        let lease = inner.server.lease().await?;
        let settled = inner.target(&lease).settle(track, schema).await?;
        let claim =
            if settled.make.is_empty() { settled.claim } else { inner.make(&lease, track, schema).await? };
        lease.give_back();
        Ok(claim)
    }

    async fn stage(
        &self,
        track: &Track,
        claim: &Claim,
        unit: &Unit,
        attempt: &Attempt,
        rows: Rows,
    ) -> Result<Box<dyn Staged>> {
        let inner = &self.inner;
        let lease = inner.begin_stage(&claim.schema).await?;
        let rows = match rows {
            Rows::Stream(rows) => inner.send(&lease, rows).await?,
            Rows::Sql(sql) => {
                let columns: Vec<String> =
                    claim.schema.fields().iter().map(|field| quote(field.name())).collect();
                let columns = columns.join(", ");
                let insert = format!("INSERT INTO {STAGE} ({columns}) SELECT {columns} FROM ({sql}) AS rows");
                lease.run(&insert).await.map_err(|error| inner.failed(error))?
            }
        };
        failpoint::pass("postgres.stage.after");
        Ok(Box::new(StagedRows {
            inner: inner.clone(),
            track: track.clone(),
            expected: claim.record.as_ref().map(|record| record.seq),
            attempt: attempt.clone(),
            unit: unit.clone(),
            schema: claim.schema.clone(),
            rows,
            lease: Arc::new(lease),
        }))
    }

    async fn set_record(&self, track: &Track, expected: Option<u64>, record: &Record) -> Result<()> {
        let (inner, shown) = (&self.inner, self.inner.shown());
        let lease = inner.server.lease().await?;
        let records = inner.records(&lease, &shown);
        if !records.exist().await? {
            inner.begin_making(&lease).await?;
            let make = format!("{}; COMMIT", records.create());
            lease.run(&make).await.map_err(|error| inner.failed(error))?;
        }
        // One statement is one transaction.
        let swapped = records.swap(track, expected, record).await?;
        lease.give_back();
        if swapped { Ok(()) } else { Err(conflict(track)) }
    }

    async fn target(&self) -> Result<Option<SchemaRef>> {
        let lease = self.inner.server.lease().await?;
        let table = self.inner.table(&lease).await?;
        lease.give_back();
        Ok(table.map(|table| table.arrow()))
    }

    /// Nothing is left over from dead attempts, because stages go with their sessions; the server cleans up after deleted rows by itself.
    async fn maintain(&self, _: std::time::Duration) -> Result<()> {
        Ok(())
    }
}

struct StagedRows {
    inner: Arc<Inner>,
    track: Track,
    expected: Option<u64>,
    attempt: Attempt,
    unit: Unit,
    schema: SchemaRef,
    rows: u64,
    /// Never given back: the stage goes with it.
    lease: Arc<Lease>,
}

#[async_trait]
impl Staged for StagedRows {
    fn rows(&self) -> u64 {
        self.rows
    }

    fn table(&self) -> Option<Arc<dyn TableProvider>> {
        Some(Arc::new(StagedTable::new(self.lease.clone(), self.schema.clone(), self.inner.shown())))
    }

    async fn commit(self: Box<Self>) -> Result<Committed> {
        let window = match &self.unit.scope {
            Scope::Window { column, from, until } => Some((column.as_str(), from, until)),
            Scope::Slice { .. } | Scope::Snapshot => None,
        };
        let step = Move {
            inner: &self.inner,
            lease: &self.lease,
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
        failpoint::pass("postgres.commit.before");
        let committed = step.commit(record).await;
        failpoint::pass("postgres.commit.after");
        committed
    }
}
