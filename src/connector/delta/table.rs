//! One snapshot of a Delta table.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt, mem,
    sync::{Arc, OnceLock},
};

use arrow::datatypes::{Schema, SchemaRef};
use chrono::{DateTime, Utc};
use deltalake::{
    DeltaTable,
    kernel::{Action, Add, LogicalFileView, Remove},
    protocol::DeltaOperation,
    table::state::DeltaTableState,
};
use object_store::{Error as StoreError, ObjectStoreExt as _};
use tokio::sync::OnceCell;

use super::{
    super::error::{ErrorKind, Result},
    ledger::Marks,
    listing::{Listing, News},
    location::{Location, entry},
    transactions::{self, Numbers},
    types,
};

/// One snapshot of a table.
#[derive(Clone)]
pub(super) struct Table {
    /// Where it lies.
    pub(super) location: Location,
    /// The library's handle, loaded.
    pub(super) delta: DeltaTable,
    /// Every application transaction of it, once they are asked for.
    transactions: Arc<OnceCell<Numbers>>,
    /// Its data files, once they are asked for.
    listing: Arc<OnceLock<Arc<Listing>>>,
}

/// A data file of a snapshot.
#[derive(Debug, Clone)]
pub(super) struct DataFile {
    /// Relative to the table's folder.
    pub(super) path: String,
    /// Bytes.
    pub(super) size: u64,
    /// Rows, where the log knows.
    pub(super) rows: Option<u64>,
    /// Values of the partition columns, as the log has them.
    pub(super) partition: HashMap<String, Option<String>>,
    /// Minima, maxima and NULL counts, as the log has them.
    pub(super) stats: Stats,
    /// When it was written, in milliseconds: also what orders files.
    pub(super) modified: i64,
    /// Whether rows of it are deleted by a vector, which only the library's own reader knows.
    pub(super) vector: bool,
}

/// What the log says of a file's values. Of a file that a snapshot lists it is spelled only when it is asked for: a table may have thousands.
#[derive(Clone)]
pub(super) enum Stats {
    /// As an entry says.
    Said(Option<String>),
    /// As a snapshot keeps it.
    Listed(LogicalFileView),
}

impl Stats {
    /// As JSON; `None` = nothing is said.
    pub(super) fn json(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Said(stats) => stats.as_deref().map(Cow::Borrowed),
            Self::Listed(file) => file.stats().map(Cow::Owned),
        }
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.json().fmt(f)
    }
}

impl DataFile {
    /// A file as a snapshot lists it.
    fn listed(file: LogicalFileView) -> Self {
        Self {
            path: file.path().into_owned(),
            size: file.size().unsigned_abs(),
            rows: file.num_records().map(|rows| rows as u64),
            partition: file.partition_values_map(),
            modified: file.modification_time(),
            vector: file.deletion_vector_descriptor().is_some(),
            stats: Stats::Listed(file),
        }
    }

    /// A file as a log entry adds it.
    pub(super) fn added(add: &Add) -> Self {
        Self {
            path: add.path.clone(),
            size: add.size.unsigned_abs(),
            rows: add.get_stats().ok().flatten().and_then(|stats| u64::try_from(stats.num_records).ok()),
            partition: add.partition_values.clone(),
            stats: Stats::Said(add.stats.clone()),
            modified: add.modification_time,
            vector: add.deletion_vector.is_some(),
        }
    }

    /// The action that takes it out of the table.
    pub(super) fn removal(&self, data_change: bool, now: i64) -> Action {
        Action::Remove(Remove {
            path: self.path.clone(),
            data_change,
            deletion_timestamp: Some(now),
            extended_file_metadata: Some(true),
            partition_values: Some(self.partition.clone()),
            size: Some(i64::try_from(self.size).unwrap_or(i64::MAX)),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
        })
    }
}

impl Table {
    /// What the library has loaded.
    pub(super) fn loaded(location: &Location, delta: DeltaTable) -> Self {
        Self { location: location.clone(), delta, transactions: Arc::default(), listing: Arc::default() }
    }

    /// The last number of every application transaction. The log is replayed once; a snapshot that is [refreshed](Self::refresh) reads what came since.
    pub(super) async fn transactions(&self) -> Result<&Numbers> {
        self.transactions.get_or_try_init(|| transactions::all(self)).await
    }

    /// The library's snapshot.
    pub(super) fn state(&self) -> Result<&DeltaTableState> {
        self.delta.snapshot().map_err(|error| self.location.failed("is not loaded", error))
    }

    /// The version of this snapshot.
    pub(super) fn version(&self) -> u64 {
        self.delta.version().unwrap_or_default()
    }

    /// The id that the table was given when it was made.
    pub(super) fn id(&self) -> Result<String> {
        Ok(self.state()?.metadata().id().to_owned())
    }

    /// Its columns, in plain Arrow types. No columns = it holds nothing but records yet.
    pub(super) fn schema(&self) -> Result<SchemaRef> {
        let schema = self.state()?.snapshot().arrow_schema();
        let fields = schema.fields().iter().filter(|field| field.name() != types::PLACE_HOLDER);
        let fields = fields.map(types::plain).collect::<Vec<_>>();
        Ok(Arc::new(Schema::new(fields)))
    }

    /// Whether its files name columns otherwise than the table does: only the library's own reader knows how.
    pub(super) fn maps_columns(&self) -> Result<bool> {
        let configuration = self.state()?.metadata().configuration();
        Ok(configuration.get("delta.columnMapping.mode").is_some_and(|mode| mode != "none"))
    }

    /// The columns that part its files.
    pub(super) fn partition_columns(&self) -> Result<Vec<String>> {
        Ok(self.state()?.metadata().partition_columns().to_vec())
    }

    /// Its data files, oldest first.
    pub(super) fn files(&self) -> Result<Vec<DataFile>> {
        Ok(self.listing()?.in_order())
    }

    /// Its data files. The log is listed once; a snapshot that is [refreshed](Self::refresh) takes over what came since.
    pub(super) fn listing(&self) -> Result<Arc<Listing>> {
        if let Some(listing) = self.listing.get() {
            return Ok(Arc::clone(listing));
        }
        let log = self.state()?.snapshot();
        let log = log.try_log_data().map_err(|error| self.location.failed("cannot be listed", error))?;
        let listing = Arc::new(Listing::of(log.iter().map(DataFile::listed)));
        Ok(Arc::clone(self.listing.get_or_init(|| listing)))
    }

    /// Whether it has data files.
    pub(super) fn is_empty(&self) -> Result<bool> {
        let log = self.state()?.snapshot();
        let log = log.try_log_data().map_err(|error| self.location.failed("cannot be listed", error))?;
        Ok(log.num_files() == 0)
    }

    /// Takes up what was committed since; `true` = the version moved.
    pub(super) async fn refresh(&mut self) -> Result<bool> {
        let before = self.version();
        if !self.location.exists().await? {
            return Err(self.location.error(ErrorKind::NotFound, "its folder is gone"));
        }
        if let Err(error) = self.delta.update_state().await {
            // The log does not go on from this snapshot: it is torn, or another table lies there now.
            let anew = self.location.open().await.ok().flatten();
            return Err(match anew {
                Some(table) if table.id()? != self.id()? => {
                    self.location.error(ErrorKind::Conflict, "was made anew by others")
                }
                _ => self.location.failed("its log cannot be read", error),
            });
        }
        let moved = self.version() != before;
        if moved {
            self.take_over(before).await?;
        }
        Ok(moved)
    }

    /// Carries on what was known of the version before.
    async fn take_over(&mut self, before: u64) -> Result<()> {
        let (transactions, listing) = (mem::take(&mut self.transactions), mem::take(&mut self.listing));
        if transactions.get().is_none() && listing.get().is_none() {
            return Ok(());
        }
        // Where an entry is gone already, all of it is read again when it is asked for.
        let Some(news) = News::between(&self.location, before, self.version()).await? else { return Ok(()) };
        if let Some(listing) = listing.get() {
            self.listing = Arc::new(Arc::new(listing.after(&news)).into());
        }
        if let Some(numbers) = transactions.get() {
            let all = numbers.clone().into_iter().chain(news.transactions).collect();
            self.transactions = Arc::new(OnceCell::new_with(Some(all)));
        }
        Ok(())
    }

    /// Whether nothing was committed since.
    pub(super) async fn is_newest(&self) -> Result<bool> {
        match self.location.store.head(&entry(self.version() + 1)).await {
            Ok(_) => Ok(false),
            Err(StoreError::NotFound { .. }) => Ok(true),
            Err(error) => Err(self.location.failed("its log cannot be read", error)),
        }
    }

    /// Commits the version after this snapshot's; `None` = somebody else took it.
    pub(super) async fn commit(
        &self,
        actions: Vec<Action>,
        operation: DeltaOperation,
        marks: Marks,
    ) -> Result<Option<u64>> {
        self.location.commit(&self.delta, Some(self.state()?), actions, operation, marks).await
    }

    /// Tells this table from one of the same name that was made later: the log entry that this snapshot ends with. `None` = it is gone.
    pub(super) async fn last_entry(&self) -> Result<Option<LastEntry>> {
        match self.location.store.head(&entry(self.version())).await {
            Ok(found) => Ok(Some(LastEntry(found.e_tag, found.last_modified, found.size))),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.location.failed("its log cannot be read", error)),
        }
    }
}

/// A log entry, told from others of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LastEntry(Option<String>, DateTime<Utc>, u64);
