//! How a Delta sink keeps its promise.
//!
//! - **Atomic**: one log entry names the unit's data files, takes the replaced ones out, and carries the track's
//!   sequence number and attempt. A reader sees all of it or none.
//! - **Once**: the entry is put at exactly the version after a snapshot on which the track's record was compared
//!   with the claimed one. The library's own retries are off: they do not compare it. Who commits through one sink takes turns, and takes along who waits (`group`); who loses the
//!   race for the version takes up what was committed, compares again (and judges files that appeared, see `erase`), and puts
//!   the same files at the next version.
//! - **Durable**: data files and record files are synced (all of a commit together) before the entry takes its name, and the entry when `commit` returns; a
//!   bucket keeps what it has answered for.
//! - **Nothing on drop**: files that no entry names are invisible; they are removed at once, or by vacuum.
//! - An answer that got lost: the newest snapshot is asked whether our attempt is its record. Files are taken back only where somebody else has the
//!   version, never after a failure: an entry that names them may still arrive.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use async_trait::async_trait;
use datafusion::{catalog::TableProvider, datasource::MemTable};
use deltalake::kernel::{Action, Add};

use super::{
    super::{
        error::{ErrorKind, Result},
        sink::{Committed, Staged},
    },
    erase::{Erase, Erased},
    files::Unnamed,
    group,
    ledger::{self, Mark},
    newest::Newest,
    read::files_as_table,
    table::{DataFile, Table},
};
use crate::model::{name::Track, unit::Record};

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
    /// The staged rows, where they are few: for the first who looks, since many units may wait for their commit.
    pub(super) few: Mutex<Option<Vec<RecordBatch>>>,
}

#[async_trait]
impl Staged for StagedFiles {
    fn rows(&self) -> u64 {
        self.record.rows
    }

    fn table(&self) -> Option<Arc<dyn TableProvider>> {
        if let Some(rows) = self.few.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Some(Arc::new(MemTable::try_new(Arc::clone(&self.schema), vec![rows]).ok()?));
        }
        let files = self.adds.iter().map(DataFile::added).collect();
        files_as_table(&self.table.location, files, &self.schema).ok()
    }

    async fn commit(self: Box<Self>) -> Result<Committed> {
        let newest = Arc::clone(&self.newest);
        let seat = newest.waiting.sit(*self);
        let _turn = newest.turn().await;
        group::commit(&newest, &seat).await;
        seat.answer()
    }
}

impl StagedFiles {
    /// Whether both may be in one log entry: it is as if they had been committed one after another.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        let alone = |staged: &Self| !staged.columns.is_empty();
        !alone(self) && !alone(other) && self.track != other.track && self.erase.spares_rows_of(&other.erase)
    }

    /// Holds it against the snapshot that is committed on; `Some` = this attempt is in it already.
    pub(super) async fn ready(&mut self, table: &Table) -> Result<Option<Committed>> {
        let id = self.table.id()?;
        self.table = table.clone();
        if let Some(committed) = self.compare(&id).await? {
            return Ok(Some(committed));
        }
        self.erased.catch_up(&self.erase, &self.table).await?;
        Ok(None)
    }

    /// Writes down the record that the commit leaves.
    pub(super) async fn write_record(&self) -> Result<()> {
        ledger::write(&self.table.location, &self.track, &self.record).await
    }

    /// What the log entry says of it.
    pub(super) fn actions(&self) -> Vec<Action> {
        let mut actions = self.columns.clone();
        actions.extend(self.erased.actions(self.record.at.timestamp_millis()));
        actions.extend(self.adds.iter().cloned().map(Action::Add));
        actions
    }

    /// From here on a log entry may name its files.
    pub(super) fn keep(&mut self) {
        self.unnamed.keep();
        self.erased.keep();
    }

    /// It is sure that no log entry names them.
    pub(super) fn release(&mut self) {
        self.unnamed.release();
        self.erased.release();
    }

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
}
