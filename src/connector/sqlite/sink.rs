//! A table as a sink. Why every unit is there once, wholly:
//!
//! Rows are staged in a temporary table, which no reader of the file sees and which is gone with the process. `commit` is one
//! transaction of the target's file (`BEGIN IMMEDIATE`: it comes after every other writer, and nothing changes under it): it reads the track's record, leaves
//! when that is not the one that was claimed, moves the staged rows by one `INSERT … SELECT`, writes the new record into the same file, and commits with
//! `synchronous = FULL`. A crash before that leaves neither rows nor record, a crash behind it both; a lost answer is found out by the next claim, whose record names the
//! attempt. Only this transaction holds the write lock, so others who write the file wait for one statement's time.
//! Writers of this process stand in a queue per file, others are waited for by SQLite's busy timeout.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use rusqlite::{Connection, TransactionBehavior, params_from_iter, types::Value as Raw};

use super::{
    commit::{self, Move},
    database::{Database, Lease, blocking},
    error::failed,
    name::OFFSET,
    record::{Records, create as create_records},
    scan::StagedTable,
    stage::Stage,
    table::Table,
    target::{Settled, Target},
};
use crate::{
    connector::{
        error::{Error, Result},
        feed::feed,
        records::conflict,
        scan::Scanned,
        sink::{Attempt, Claim, Committed, Rows, Sink, SinkSpec, Staged, Staging},
    },
    failpoint,
    model::{
        delivery::Mode,
        name::Track,
        unit::{Record, Unit},
    },
};

/// A table that is written.
pub(super) struct TableSink {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) database: Arc<Database>,
    pub(super) spec: SinkSpec,
    pub(super) log: bool,
}

impl TableSink {
    pub(super) fn new(database: Arc<Database>, spec: SinkSpec, log: bool) -> Self {
        Self { inner: Arc::new(Inner { database, spec, log }) }
    }
}

impl Inner {
    pub(super) fn failed(&self, error: rusqlite::Error) -> Error {
        failed(&self.database.table_shown(&self.spec.table), error)
    }

    pub(super) fn record(&self, connection: &Connection, track: &Track) -> Result<Option<Record>> {
        let failed = |error| self.failed(error);
        Records { connection, target: &self.spec.table, failed: &failed }.of(track)
    }

    pub(super) fn put_record(&self, connection: &Connection, track: &Track, record: &Record) -> Result<()> {
        let failed = |error| self.failed(error);
        Records { connection, target: &self.spec.table, failed: &failed }.put(track, record)
    }

    fn settle(&self, connection: &Connection, track: &Track, schema: &SchemaRef) -> Result<Settled> {
        Target { database: &self.database, spec: &self.spec, log: self.log, connection }.settle(track, schema)
    }

    /// Makes what a claim needs. Somebody else may have made it since it was looked at.
    fn make(&self, lease: &mut Lease, track: &Track, schema: &SchemaRef) -> Result<Claim> {
        let transaction = lease.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(|error| self.failed(error))?;
        let settled = self.settle(&transaction, track, schema)?;
        for (sql, parameters) in &settled.make {
            let done = transaction.execute(sql, params_from_iter(parameters));
            done.map_err(|error| self.failed(error))?;
        }
        transaction.commit().map_err(|error| self.failed(error))?;
        Ok(settled.claim)
    }

    /// An empty stage whose columns are kept as the target's are.
    fn stage(&self, schema: &SchemaRef) -> Result<Stage> {
        let lease = self.database.writer()?;
        let shown = self.database.table_shown(&self.spec.table);
        let table = Table::find(&lease, &self.spec.table).map_err(|error| self.failed(error))?;
        let declared = match &table {
            Some(table) => commit::declarations(table, schema),
            None => Stage::declarations(schema),
        };
        Stage::begin(lease, schema.clone(), &declared, shown, &self.database.scratch)
    }
}

#[async_trait]
impl Sink for TableSink {
    async fn peek(&self, track: &Track) -> Result<Option<Record>> {
        let (inner, track) = (self.inner.clone(), track.clone());
        blocking(move || {
            if !inner.database.exists() {
                return Ok(None);
            }
            let lease = inner.database.reader()?;
            inner.record(&lease, &track)
        })
        .await
    }

    async fn records(&self, prefix: &str) -> Result<Vec<(String, Record)>> {
        let (inner, prefix) = (self.inner.clone(), prefix.to_owned());
        blocking(move || {
            if !inner.database.exists() {
                return Ok(vec![]);
            }
            let lease = inner.database.reader()?;
            let failed = |error| inner.failed(error);
            Records { connection: &lease, target: &inner.spec.table, failed: &failed }.with_prefix(&prefix)
        })
        .await
    }

    async fn claim(&self, track: &Track, schema: &SchemaRef) -> Result<Claim> {
        let (inner, wanted, schema) = (self.inner.clone(), track.clone(), schema.clone());
        let look = move || {
            let lease = inner.database.writer()?;
            let settled = inner.settle(&lease, &wanted, &schema)?;
            Ok((settled, lease, inner, wanted, schema))
        };
        let (settled, mut lease, inner, track, schema) = blocking(look).await?;
        if settled.make.is_empty() {
            return Ok(settled.claim);
        }
        let turn = inner.database.queue().lock_owned().await;
        blocking(move || {
            let claim = inner.make(&mut lease, &track, &schema);
            drop(turn);
            claim
        })
        .await
    }

    async fn stage(&self, staging: Staging<'_>, rows: Rows) -> Result<Box<dyn Staged>> {
        let (inner, schema) = (self.inner.clone(), staging.claim.schema.clone());
        let key = if inner.spec.mode == Mode::Merge { inner.spec.key.clone() } else { vec![] };
        let stage = match rows {
            Rows::Sql(query) => {
                blocking(move || {
                    let mut stage = inner.stage(&schema)?;
                    stage.add_query(&query)?;
                    stage.finish(&key)?;
                    Ok(stage)
                })
                .await?
            }
            Rows::Stream(rows) => {
                let staging = feed(rows, move |batches| {
                    let mut stage = inner.stage(&schema)?;
                    for batch in batches {
                        stage.add(&batch)?;
                    }
                    stage.finish(&key)?;
                    Ok(stage)
                });
                staging.await?
            }
        };
        failpoint::pass("sqlite.stage.after");
        Ok(Box::new(StagedRows {
            inner: self.inner.clone(),
            track: staging.track.clone(),
            expected: staging.expected(),
            attempt: staging.attempt.clone(),
            unit: staging.unit.clone(),
            rows: stage.rows(),
            stage: Shared(Arc::new(Mutex::new(stage))),
        }))
    }

    async fn set_record(&self, track: &Track, expected: Option<u64>, record: &Record) -> Result<()> {
        let (inner, track, record) = (self.inner.clone(), track.clone(), record.clone());
        let turn = self.inner.database.queue().lock_owned().await;
        blocking(move || {
            let _turn = turn;
            let mut lease = inner.database.writer()?;
            let transaction = lease.transaction_with_behavior(TransactionBehavior::Immediate);
            let transaction = transaction.map_err(|error| inner.failed(error))?;
            transaction.execute(&create_records(), []).map_err(|error| inner.failed(error))?;
            let found = inner.record(&transaction, &track)?.map(|record| record.seq);
            if found != expected {
                return Err(conflict(&track));
            }
            inner.put_record(&transaction, &track, &record)?;
            transaction.commit().map_err(|error| inner.failed(error))
        })
        .await
    }

    async fn target(&self) -> Result<Option<SchemaRef>> {
        let inner = self.inner.clone();
        blocking(move || {
            if !inner.database.exists() {
                return Ok(None);
            }
            let lease = inner.database.reader()?;
            let table = Table::find(&lease, &inner.spec.table).map_err(|error| inner.failed(error))?;
            Ok(table.map(|table| table.schema_without(inner.log.then_some(OFFSET))))
        })
        .await
    }

    async fn maintain(&self, _: std::time::Duration, _: DateTime<Utc>) -> Result<()> {
        let inner = self.inner.clone();
        if !inner.database.exists() {
            return Ok(());
        }
        let turn = inner.database.queue().lock_owned().await;
        blocking(move || {
            let _turn = turn;
            let lease = inner.database.writer()?;
            // Neither waits for readers; nothing is left over from dead attempts, because stages have no names.
            let sql = "PRAGMA optimize; PRAGMA wal_checkpoint(PASSIVE)";
            lease.execute_batch(sql).map_err(|error| inner.failed(error))
        })
        .await
    }
}

/// A stage that a commit and the checks before it look at.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Stage>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct StagedRows {
    inner: Arc<Inner>,
    track: Track,
    expected: Option<u64>,
    attempt: Attempt,
    unit: Unit,
    rows: u64,
    stage: Shared,
}

#[async_trait]
impl Staged for StagedRows {
    fn rows(&self) -> u64 {
        self.rows
    }

    fn table(&self) -> Option<Arc<dyn TableProvider>> {
        Some(Arc::new(Scanned(StagedTable::new(self.stage.clone()))))
    }

    async fn commit(self: Box<Self>) -> Result<Committed> {
        let turn = self.inner.database.queue().lock_owned().await;
        blocking(move || {
            let _turn = turn;
            let stage = self.stage.lock();
            let step = Move {
                inner: &self.inner,
                track: &self.track,
                expected: self.expected,
                attempt: &self.attempt,
                stage: &stage,
            };
            step.commit(&self.unit)
        })
        .await
    }
}

/// Parameters of the partition that a member replaces.
pub(super) fn partition_values(spec: &SinkSpec) -> Vec<Raw> {
    spec.partition.iter().map(|(_, value)| Raw::Text(value.clone())).collect()
}
