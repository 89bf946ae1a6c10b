//! Writing: staged rows lie beside the store; a commit changes table and record under one lock.
//!
//! Why a unit arrives once: the record is compared and set, and the rows put in place, while one lock is
//! held; nothing is in the store before. A second commit of one attempt finds its own id in the record.

use std::{sync::Arc, time::Duration};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::{catalog::TableProvider, datasource::MemTable};
use futures::TryStreamExt;

use super::{Step, Store, TableName, columns, modes, store::State};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        records::conflict,
        sink::{Claim, Committed, Rows, Sink, SinkSpec, Staged, Staging},
    },
    model::{
        delivery::Mode,
        name::Track,
        unit::{Record, Scope},
    },
};

/// A table that is written.
pub(super) struct MemorySink {
    store: Arc<Store>,
    table: TableName,
    spec: SinkSpec,
}

impl MemorySink {
    pub(super) fn new(store: Arc<Store>, table: TableName, spec: SinkSpec) -> Self {
        Self { store, table, spec }
    }

    fn error(&self, kind: ErrorKind, what: &str) -> Error {
        let (table, connection) = (&self.spec.table, &self.spec.connection);
        Error::new(kind, format!("table \"{table}\" of connection \"{connection}\": {what}"))
    }

    fn claim_in(&self, state: &mut State, track: &Track, rows: &SchemaRef) -> Result<Claim> {
        let old = state.tables.get(&self.table).cloned();
        let holds_rows = old.as_ref().is_some_and(|table| table.rows() > 0);
        if holds_rows && !state.has_records(&self.table) {
            return Err(
                self.error(ErrorKind::NoRecord, "it holds rows and no record says where they came from")
            );
        }
        let agreed = columns::agree(&self.spec, old.as_ref().map(|table| &table.schema), rows)?;
        if old.as_ref().is_none_or(|table| table.schema != agreed.target) {
            let batches = old.iter().flat_map(|table| &table.batches);
            let batches = batches.map(|batch| columns::fit(batch, &agreed.target)).collect::<Result<_>>()?;
            state.put(&self.table, agreed.target, batches);
        }
        let record = state.record(&self.table, track).cloned();
        let (schema, left_out) = (agreed.staged, agreed.left_out);
        Ok(Claim { record, pending: None, schema, left_out, narrow: vec![] })
    }

    fn check_scope(&self, scope: &Scope) -> Result<()> {
        let fits = match self.spec.mode {
            Mode::Append | Mode::Merge => !matches!(scope, Scope::Window { .. }),
            Mode::Replace => matches!(scope, Scope::Snapshot),
            Mode::Window => matches!(scope, Scope::Window { .. }),
        };
        let refused = || {
            self.error(ErrorKind::Unsupported, &format!("mode {} does not take such a unit", self.spec.mode))
        };
        if fits { Ok(()) } else { Err(refused()) }
    }

    fn check_batch(&self, batch: &RecordBatch, claim: &Claim, scope: &Scope) -> Result<()> {
        let shape = |schema: &SchemaRef| -> Vec<_> {
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
        };
        if shape(&batch.schema()) != shape(&claim.schema) {
            return Err(self.error(ErrorKind::Internal, "staged rows are not what was claimed"));
        }
        if let Scope::Window { column, from, until } = scope
            && modes::in_window(batch, column, from, until)?.true_count() != batch.num_rows()
        {
            let what = format!("a row's \"{column}\" lies outside its window");
            return Err(self.error(ErrorKind::BadData, &what));
        }
        Ok(())
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn peek(&self, track: &Track) -> Result<Option<Record>> {
        Ok(self.store.lock().record(&self.table, track).cloned())
    }

    async fn records(&self, prefix: &str) -> Result<Vec<(String, Record)>> {
        let state = self.store.lock();
        let own =
            state.records.iter().filter(|((table, key), _)| *table == self.table && key.starts_with(prefix));
        Ok(own.map(|((_, key), record)| (key.clone(), record.clone())).collect())
    }

    async fn claim(&self, track: &Track, schema: &SchemaRef) -> Result<Claim> {
        self.store.trip(Step::Claim)?;
        self.store.change(|state| self.claim_in(state, track, schema))
    }

    async fn stage(&self, staging: Staging<'_>, rows: Rows) -> Result<Box<dyn Staged>> {
        self.store.trip(Step::Stage)?;
        let Staging { claim, unit, .. } = staging;
        self.check_scope(&unit.scope)?;
        let Rows::Stream(mut stream) = rows else {
            return Err(self.error(ErrorKind::Unsupported, "tables in memory run no SQL of their own"));
        };
        let mut batches = vec![];
        while let Some(batch) = stream.try_next().await? {
            self.check_batch(&batch, claim, &unit.scope)?;
            batches.push(batch);
        }
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let record = staging.record(rows);
        Ok(Box::new(MemoryStaged {
            store: self.store.clone(),
            table: self.table.clone(),
            spec: self.spec.clone(),
            track: staging.track.clone(),
            scope: unit.scope.clone(),
            schema: claim.schema.clone(),
            batches,
            record,
        }))
    }

    async fn set_record(&self, track: &Track, expected: Option<u64>, record: &Record) -> Result<()> {
        self.store.change(|state| {
            if state.record(&self.table, track).map(|record| record.seq) != expected {
                return Err(self.error(ErrorKind::Conflict, "somebody else moved the record"));
            }
            state.records.insert((self.table.clone(), track.key()), record.clone());
            Ok(())
        })
    }

    async fn target(&self) -> Result<Option<SchemaRef>> {
        Ok(self.store.lock().tables.get(&self.table).map(|table| table.schema.clone()))
    }

    async fn maintain(&self, _: Duration, _: DateTime<Utc>) -> Result<()> {
        Ok(()) // Nothing is left behind by an attempt that died: it lay in that attempt's own memory.
    }
}

struct MemoryStaged {
    store: Arc<Store>,
    table: TableName,
    spec: SinkSpec,
    track: Track,
    scope: Scope,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    record: Record,
}

impl MemoryStaged {
    fn commit_in(&self, state: &mut State) -> Result<Committed> {
        let found = state.record(&self.table, &self.track);
        if let Some(found) = found.filter(|found| found.attempt == self.record.attempt) {
            return Ok(Committed::Already(found.clone()));
        }
        if Record::next_seq(found) != self.record.seq {
            return Err(conflict(&self.track));
        }
        let Some(table) = state.tables.get(&self.table) else {
            let message = format!("table \"{}\" is gone since it was claimed", self.spec.table);
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        let batches = modes::apply(&self.spec, &self.scope, table, &self.batches)?;
        let schema = table.schema.clone();
        state.put(&self.table, schema, batches);
        state.records.insert((self.table.clone(), self.track.key()), self.record.clone());
        Ok(Committed::Now(self.record.clone()))
    }
}

#[async_trait]
impl Staged for MemoryStaged {
    fn rows(&self) -> u64 {
        self.record.rows
    }

    fn table(&self) -> Option<Arc<dyn TableProvider>> {
        let table = MemTable::try_new(self.schema.clone(), vec![self.batches.clone()]);
        table.ok().map(|table| Arc::new(table) as _)
    }

    async fn commit(self: Box<Self>) -> Result<Committed> {
        self.store.trip(Step::Commit)?;
        let committed = self.store.change(|state| self.commit_in(state))?;
        self.store.trip(Step::Answer)?;
        Ok(committed)
    }
}
