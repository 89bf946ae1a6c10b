//! The sink: one target table and the records of its tracks.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use deltalake::protocol::{DeltaOperation, SaveMode};

use super::{
    super::{
        error::{ErrorKind, Result},
        sink::{Claim, Rows, Sink, SinkSpec, Staged, Staging},
    },
    claim::{self, RACES, make_ready},
    commit::StagedFiles,
    erase::Erased,
    files::Unnamed,
    ledger::{self, Marks},
    location::Location,
    maintain,
    newest::Newest,
    stage::write_rows,
    table::Table,
};
use crate::{
    failpoint,
    model::{
        delivery::Mode,
        name::Track,
        unit::{DELETED, Record},
    },
};

/// Units that are committed at once by one who has many: their syncs overlap, and one log entry has them all.
const TOGETHER: usize = 64;

/// A Delta table that rows go to.
pub(super) struct DeltaSink {
    location: Location,
    spec: SinkSpec,
    scratch: PathBuf,
    newest: Arc<Newest>,
}

impl DeltaSink {
    /// A sink; touches nothing.
    pub(super) fn new(location: Location, spec: SinkSpec, scratch: PathBuf) -> Arc<Self> {
        let newest = Arc::new(Newest::new(location.clone()));
        Arc::new(Self { location, spec, scratch, newest })
    }

    /// The target's columns that staged rows are written in; with other columns than the table has now, where the
    /// claim said so.
    fn written_schema(&self, table: &Table, claim: &Claim) -> Result<(SchemaRef, bool)> {
        let target = table.schema()?;
        let fits = claim.schema.fields().iter().all(|field| {
            (field.name() == DELETED && self.spec.delete.is_some())
                || target
                    .field_with_name(field.name())
                    .is_ok_and(|found| found.data_type() == field.data_type())
        });
        if fits {
            return Ok((target, false));
        }
        let whole = self.spec.mode == Mode::Replace && self.spec.partition.is_empty();
        if !whole {
            return Err(self.location.error(ErrorKind::Conflict, "others gave it other columns"));
        }
        let fields = claim.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        Ok((Arc::new(Schema::new(fields.collect::<Vec<_>>())), true))
    }
}

#[async_trait]
impl Sink for DeltaSink {
    fn commits_together(&self) -> usize {
        TOGETHER
    }

    async fn peek(&self, track: &Track) -> Result<Option<Record>> {
        match self.newest.get().await? {
            Some(table) => ledger::record(&table, track).await,
            None => Ok(None),
        }
    }

    async fn records(&self, prefix: &str) -> Result<Vec<(String, Record)>> {
        match self.newest.get().await? {
            Some(table) => ledger::with_prefix(&table, prefix).await,
            None => Ok(vec![]),
        }
    }

    async fn claim(&self, track: &Track, schema: &SchemaRef) -> Result<Claim> {
        let known = self.newest.get().await?;
        let ready = make_ready(&self.location, &self.spec, schema, track, known).await?;
        let record = ledger::record(&ready.table, track).await?;
        let (schema, left_out) = (ready.schema, ready.left_out);
        Ok(Claim { record, pending: None, schema, left_out, narrow: vec![] })
    }

    async fn stage(&self, staging: Staging<'_>, rows: Rows) -> Result<Box<dyn Staged>> {
        let table = self.newest.get().await?;
        let table = table.ok_or_else(|| self.location.error(ErrorKind::NotFound, "its folder is gone"))?;
        let (schema, other) = self.written_schema(&table, staging.claim)?;
        let columns = if other { claim::other_columns(&table, &self.spec, &schema)? } else { vec![] };
        let written = write_rows(&table, &schema, &self.spec, staging.unit, &self.scratch, rows).await?;
        let mut unnamed = Unnamed::default();
        unnamed.add(&table, &written.adds);
        let mut erased = Erased::default();
        erased.catch_up(&written.erase, &table).await?;
        failpoint::pass("delta.stage.after");
        Ok(Box::new(StagedFiles {
            table,
            newest: self.newest.clone(),
            track: staging.track.clone(),
            expected: staging.expected(),
            record: staging.record(written.rows),
            schema,
            adds: written.adds,
            unnamed,
            erase: written.erase,
            erased,
            columns,
            few: Mutex::new(written.few),
        }))
    }

    async fn set_record(&self, track: &Track, expected: Option<u64>, record: &Record) -> Result<()> {
        for _ in 0..RACES {
            let Some(table) = self.newest.get().await? else {
                claim::create_empty(&self.location).await?;
                continue;
            };
            let found = ledger::mark(&table, track).await?;
            if found.map(|mark| mark.seq) != expected {
                let moved = format!("`{}` was moved on by others", track.name());
                return Err(self.location.error(ErrorKind::Conflict, moved));
            }
            ledger::write(&self.location, track, record).await?;
            let operation =
                DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
            if table.commit(vec![], operation, Marks::of([(track, record)])).await?.is_some() {
                return Ok(());
            }
        }
        Err(self.location.error(ErrorKind::Busy, "others commit to it all the time"))
    }

    async fn target(&self) -> Result<Option<SchemaRef>> {
        let Some(table) = self.newest.get().await? else { return Ok(None) };
        Ok(Some(table.schema()?).filter(|schema| !schema.fields().is_empty()))
    }

    async fn maintain(&self, budget: Duration, now: DateTime<Utc>) -> Result<()> {
        match self.newest.get().await? {
            Some(table) => maintain::maintain(table, budget, now).await,
            None => Ok(()),
        }
    }
}
