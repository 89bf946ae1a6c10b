//! Where one Delta table lies, as a store of its own, and what is done there without a snapshot of it.

use std::{fmt, fs, path::Path as FilePath, sync::Arc, time::Duration};

use bytes::Bytes;
use datafusion::catalog::Session;
use deltalake::{
    DeltaTable,
    kernel::{
        Action,
        transaction::{CommitBuilder, CommitProperties},
    },
    logstore::{StorageConfig, default_logstore},
    protocol::{DeltaOperation, SaveMode},
    table::state::DeltaTableState,
};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use reqwest::Url;
use tokio::runtime::Handle;

use super::{
    super::{
        durable,
        error::{Error, ErrorKind, Result},
    },
    failure::{failed, lost_the_race},
    ledger::Marks,
    table::Table,
};

/// The folder of a table's log.
pub(super) const LOG: &str = "_delta_log";

/// Where a table lies.
#[derive(Debug, Clone)]
pub(super) struct Location {
    /// Its connection's name, for messages.
    pub(super) connection: Arc<str>,
    /// Its name.
    pub(super) table: Arc<str>,
    /// Its folder, for messages.
    pub(super) shown: Arc<str>,
    /// Its folder as a store.
    pub(super) store: Arc<dyn ObjectStore>,
    /// The same, where what is written need not stay before a commit names it.
    pub(super) loose: Arc<dyn ObjectStore>,
    /// The store that `url` is of.
    pub(super) whole: Arc<dyn ObjectStore>,
    /// What the Delta library calls the folder.
    pub(super) url: Url,
    /// The folder, on the local file system.
    pub(super) folder: Option<Arc<FilePath>>,
    /// How often it is looked at for something new.
    pub(super) look_every: Duration,
}

impl Location {
    /// For messages.
    pub(super) fn describe(&self) -> String {
        format!("table `{}` of connection `{}`", self.table, self.connection)
    }

    /// An error about this table.
    pub(super) fn error(&self, kind: ErrorKind, what: impl fmt::Display) -> Error {
        Error::new(kind, format!("{}: {what}", self.describe()))
    }

    /// What the Delta library, or the store, said about this table.
    pub(super) fn failed(&self, what: &str, error: impl Into<deltalake::DeltaTableError>) -> Error {
        failed(format!("{}: {what}", self.describe()), error)
    }

    /// The path of something in its folder, as the log or a listing has it.
    pub(super) fn path(&self, inside: &str) -> Result<Path> {
        Path::parse(inside).map_err(|error| {
            self.error(ErrorKind::Corrupt, format!("`{inside}` is no path in its folder")).caused_by(error)
        })
    }

    /// The names of what is in its log, in no order.
    pub(super) async fn logged(&self) -> Result<Vec<String>> {
        let names = self.store.list(Some(&Path::from(LOG)));
        let names = names.try_filter_map(async |found| Ok(found.location.filename().map(str::to_owned)));
        names.try_collect().await.map_err(|error| self.failed("its log cannot be listed", error))
    }

    /// The log entry of a version as it stands; `None` = it is gone: log clean-up takes entries that a checkpoint holds.
    pub(super) async fn logged_entry(&self, version: u64) -> Result<Option<Bytes>> {
        let read = async { self.store.get(&entry(version)).await?.bytes().await };
        match read.await {
            Ok(text) => Ok(Some(text)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&format!("log entry {version} cannot be read"), error)),
        }
    }

    /// Whether there is an entry behind a version's.
    pub(super) async fn goes_on(&self, version: u64) -> Result<bool> {
        let (log, entry) = (Path::from(LOG), entry(version));
        let mut behind = self.store.list_with_offset(Some(&log), &entry);
        while let Some(found) = behind.next().await {
            let found = found.map_err(|error| self.failed("its log cannot be listed", error))?;
            let name = found.location.filename().unwrap_or_default();
            let number = name.strip_suffix(".json").and_then(|name| name.parse::<u64>().ok());
            if number.is_some_and(|number| number > version) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a table is there: a log with at least one entry.
    pub(super) async fn exists(&self) -> Result<bool> {
        if self.folder.as_ref().is_some_and(|folder| !folder.join(LOG).is_dir()) {
            return Ok(false);
        }
        let mut log = self.store.list(Some(&Path::from(LOG)));
        while let Some(found) = log.next().await {
            let found = found.map_err(|error| self.failed("its log cannot be listed", error))?;
            if found
                .location
                .filename()
                .is_some_and(|name| name.ends_with(".json") || name.ends_with(".parquet"))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The newest snapshot; `None` = there is no table.
    pub(super) async fn open(&self) -> Result<Option<Table>> {
        if !self.exists().await? {
            return Ok(None);
        }
        let mut delta = self.handle();
        delta.load().await.map_err(|error| self.failed("its log cannot be read", error))?;
        Ok(Some(Table::loaded(self, delta)))
    }

    /// The newest snapshot of a table that must be there.
    pub(super) async fn open_existing(&self) -> Result<Table> {
        self.open().await?.ok_or_else(|| {
            self.error(ErrorKind::NotFound, "does not exist")
                .hint(format!("check the name; the folder would be {}", self.shown))
        })
    }

    /// The snapshot of a version.
    pub(super) async fn open_at(&self, version: u64) -> Result<Table> {
        let mut delta = self.handle();
        delta
            .load_version(version)
            .await
            .map_err(|error| self.failed(&format!("version {version} cannot be read"), error))?;
        Ok(Table::loaded(self, delta))
    }

    /// The table, nothing loaded.
    fn handle(&self) -> DeltaTable {
        let (store, whole) = (self.store.clone(), self.whole.clone());
        DeltaTable::new(default_logstore(store, whole, &self.url, &StorageConfig::default()))
    }

    /// Tells a session where the files of a scan are; those of the local file system it finds by itself.
    pub(super) fn introduce(&self, session: &dyn Session) {
        if self.folder.is_none() {
            session.runtime_env().register_object_store(&self.url, self.whole.clone());
        }
    }

    /// Removes files that nobody names, as far as that goes at once; what is left over goes by its age.
    pub(super) fn discard(&self, files: Vec<String>) {
        if let Some(folder) = &self.folder {
            for file in files {
                let _ = fs::remove_file(folder.join(file));
            }
        } else if let Ok(runtime) = Handle::try_current() {
            let store = self.store.clone();
            runtime.spawn(async move {
                for path in files.iter().filter_map(|file| Path::parse(file).ok()) {
                    if let Err(error) = store.delete(&path).await {
                        tracing::debug!(%error, "a file that nobody names could not be removed");
                    }
                }
            });
        }
    }

    /// Commits version 0. `false` = somebody else was faster.
    pub(super) async fn create(&self, actions: Vec<Action>) -> Result<bool> {
        let (mut metadata, mut protocol) = (None, None);
        for action in &actions {
            match action {
                Action::Metadata(found) => metadata = Some(found.clone()),
                Action::Protocol(found) => protocol = Some(found.clone()),
                _ => {}
            }
        }
        let (Some(metadata), Some(protocol)) = (metadata, protocol) else {
            return Err(self.error(ErrorKind::Internal, "was to be made without protocol or schema"));
        };
        let operation = DeltaOperation::Create {
            mode: SaveMode::ErrorIfExists,
            location: Url::parse(&self.shown).unwrap_or_else(|_| self.url.clone()),
            protocol,
            metadata,
        };
        self.commit(&self.handle(), None, actions, operation, Marks::default())
            .await
            .map(|version| version.is_some())
    }

    /// Has everything on the disk that a log entry will name. In a bucket it lies where it stays.
    async fn sync(&self, actions: &[Action], marks: &Marks) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let added = actions.iter().filter_map(|action| match action {
            Action::Add(add) => Some(add.path.as_str()),
            _ => None,
        });
        let files =
            added.chain(marks.files.iter().map(AsRef::as_ref)).map(|file| folder.join(file)).collect();
        let synced = durable::sync(folder, files).await;
        synced.map_err(|error| self.error(ErrorKind::Io, "its files cannot be synced").caused_by(error))
    }

    /// Commits the version after `state`'s (0 after `None`); `None` = somebody else took it. Once this returns a
    /// version, the log entry stays: no hook of the library runs behind it that could still fail.
    pub(super) async fn commit(
        &self,
        delta: &DeltaTable,
        state: Option<&DeltaTableState>,
        actions: Vec<Action>,
        operation: DeltaOperation,
        marks: Marks,
    ) -> Result<Option<u64>> {
        self.sync(&actions, &marks).await?;
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false))
            .with_application_transactions(marks.transactions);
        let commit = CommitBuilder::from(properties).with_actions(actions).build(
            state.map(|state| state as _),
            delta.log_store(),
            operation,
        );
        let outcome = match commit.into_prepared_commit_future().await {
            Ok(prepared) => prepared.await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(done) => Ok(Some(done.version)),
            Err(error) if lost_the_race(&error) => Ok(None),
            Err(error) => Err(self.failed("cannot be committed to", error)),
        }
    }
}

/// The log entry of a version.
pub(super) fn entry(version: u64) -> Path {
    Path::from(format!("{LOG}/{version:020}.json"))
}
