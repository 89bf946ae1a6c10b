//! How a Delta sink keeps its promise.
//!
//! - **Atomic**: one log entry names the unit's data files, takes the replaced ones out, and carries the track's
//!   sequence number and attempt. A reader sees all of it or none.
//! - **Once**: the entry is put at exactly the version after a snapshot on which the track's record was compared
//!   with the claimed one. The library's own retries are off: they do not compare it. Who commits through one sink takes turns (`newest`); who loses the race for the
//!   version takes up what was committed, compares again (and judges files that appeared, see `erase`), and puts
//!   the same files at the next version.
//! - **Durable**: the store (`durable` on the local file system, `objects` in a bucket) keeps data files before the record file is written, that
//!   before the entry, and the entry when `commit` returns.
//! - **Nothing on drop**: files that no entry names are invisible; they are removed at once, or by vacuum.
//! - An answer that got lost: the newest snapshot is asked whether our attempt is its record. Files are taken back only where somebody else has the
//!   version, never after a failure: an entry that names them may still arrive.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use deltalake::{
    kernel::{Action, Add},
    protocol::{DeltaOperation, SaveMode},
};

use super::{
    super::{
        error::{ErrorKind, Result},
        sink::{Committed, Staged},
    },
    claim::RACES,
    erase::{Erase, Erased},
    files::Unnamed,
    ledger::{self, Mark},
    newest::Newest,
    read::files_as_table,
    table::{DataFile, Table},
};
use crate::{
    failpoint,
    model::{name::Track, unit::Record},
};

/// A unit in data files that no log entry names yet.
pub(super) struct StagedFiles {
    /// The newest snapshot known.
    pub(super) table: Table,
    pub(super) newest: Arc<Newest>,
    pub(super) track: Track,
    /// The sequence number that the track's record had when it was claimed.
    pub(super) expected: Option<u64>,
    /// The record that the commit leaves.
    pub(super) record: Record,
    /// The staged rows' columns.
    pub(super) schema: SchemaRef,
    pub(super) adds: Vec<Add>,
    pub(super) unnamed: Unnamed,
    pub(super) erase: Erase,
    pub(super) erased: Erased,
    /// Other columns that the table takes with this commit.
    pub(super) columns: Vec<Action>,
}

#[async_trait]
impl Staged for StagedFiles {
    fn rows(&self) -> u64 {
        self.record.rows
    }

    fn table(&self) -> Option<Arc<dyn TableProvider>> {
        let files = self.adds.iter().map(DataFile::added).collect();
        files_as_table(&self.table.location, files, &self.schema).ok()
    }

    async fn commit(mut self: Box<Self>) -> Result<Committed> {
        let id = self.table.id()?;
        let newest = Arc::clone(&self.newest);
        let _turn = newest.turn().await;
        for _ in 0..RACES {
            let gone = || self.table.location.error(ErrorKind::NotFound, "its folder is gone");
            self.table = newest.get().await?.ok_or_else(gone)?;
            if let Some(committed) = self.compare(&id).await? {
                return Ok(committed);
            }
            self.erased.catch_up(&self.erase, &self.table).await?;
            ledger::write(&self.table.location, &self.track, &self.record).await?;
            failpoint::pass("delta.record.after");
            if self.put().await?.is_some() {
                failpoint::pass("delta.commit.after");
                return Ok(Committed::Now(self.record.clone()));
            }
        }
        Err(self.table.location.error(ErrorKind::Busy, "others commit to it all the time"))
    }
}

impl StagedFiles {
    /// Whether this snapshot is one to commit on: `Some` = this attempt is in it already.
    async fn compare(&self, id: &str) -> Result<Option<Committed>> {
        let location = &self.table.location;
        let found = ledger::mark(&self.table, &self.track).await?;
        if found == Some(Mark::of(&self.record)) {
            let record = ledger::record(&self.table, &self.track).await?;
            return Ok(record.map(Committed::Already));
        }
        if found.map(|mark| mark.seq) != self.expected {
            return Err(location
                .error(ErrorKind::Conflict, format!("`{}` was moved on by others", self.track.name())));
        }
        if self.table.id()? != id || !self.columns_hold()? {
            return Err(location.error(ErrorKind::Conflict, "others gave it other columns, or made it anew"));
        }
        Ok(None)
    }

    /// Whether the staged files' columns are still the table's.
    fn columns_hold(&self) -> Result<bool> {
        if !self.columns.is_empty() {
            return Ok(true);
        }
        let now = self.table.schema()?;
        let holds = |field: &arrow::datatypes::FieldRef| {
            now.field_with_name(field.name()).is_ok_and(|found| found.data_type() == field.data_type())
        };
        Ok(self.schema.fields().iter().all(holds))
    }

    /// Puts the log entry at the version after the snapshot; `None` = somebody else took it.
    async fn put(&mut self) -> Result<Option<u64>> {
        let now = self.record.at.timestamp_millis();
        let mut actions = self.columns.clone();
        actions.extend(self.erased.actions(now));
        actions.extend(self.adds.iter().cloned().map(Action::Add));
        let mode = if self.erased.is_empty() { SaveMode::Append } else { SaveMode::Overwrite };
        let partition_by = Some(self.table.partition_columns()?).filter(|columns| !columns.is_empty());
        let operation = DeltaOperation::Write { mode, partition_by, predicate: None };
        let transactions = Mark::of(&self.record).transactions(&self.track);
        failpoint::pass("delta.commit.before");
        // From here on nobody knows whether an entry names the files, until the answer is there.
        self.unnamed.keep();
        self.erased.keep();
        match self.table.commit(actions, operation, transactions).await {
            Ok(Some(version)) => Ok(Some(version)),
            Ok(None) => {
                self.unnamed.release();
                self.erased.release();
                Ok(None)
            }
            Err(error) => self.look_after(error).await,
        }
    }

    /// After a commit that failed: whether it came through all the same.
    async fn look_after(&mut self, error: super::super::error::Error) -> Result<Option<u64>> {
        let mark = Mark::of(&self.record);
        let looked = match self.table.refresh().await {
            Ok(_) => ledger::mark(&self.table, &self.track).await,
            Err(unreadable) => Err(unreadable),
        };
        match looked {
            Ok(found) if found == Some(mark) => Ok(Some(self.table.version())),
            // What was not answered may still arrive: the files stay until their age says that it did not.
            _ => Err(error),
        }
    }
}
