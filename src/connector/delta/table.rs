//! A Delta table on the local file system: where it lies, and one snapshot of it.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::datatypes::{Schema, SchemaRef};
use deltalake::{
    DeltaTable, DeltaTableBuilder,
    kernel::transaction::CommitProperties,
    kernel::{Action, Add, Remove, transaction::CommitBuilder},
    protocol::DeltaOperation,
    table::builder::parse_table_uri,
    table::state::DeltaTableState,
};

use super::{
    super::error::{Error, ErrorKind, Result},
    durable::{DurableStore, make_folders},
    failure::{failed, io_failed, lost_the_race},
    types,
};

/// The folder of a table's log.
const LOG: &str = "_delta_log";

/// Where a table lies.
#[derive(Debug, Clone)]
pub(super) struct Location {
    /// Its connection's name, for messages.
    pub(super) connection: Arc<str>,
    /// Its name.
    pub(super) table: Arc<str>,
    /// Its folder.
    pub(super) folder: Arc<Path>,
}

impl Location {
    /// The folder of a table; its name is used as it is, so it must be the name of a folder.
    pub(super) fn new(connection: &str, root: &Path, table: &str) -> Result<Self> {
        let refused = table.is_empty()
            || table == "."
            || table == ".."
            || table.starts_with("_vitrina")
            || table == LOG
            || table.contains(['/', '\\', '\0']);
        if refused {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "`{table}` cannot be a table of connection `{connection}`: a Delta table is a folder"
                ),
            )
            .hint("choose a name without slashes that does not begin with `_vitrina`"));
        }
        Ok(Self { connection: connection.into(), table: table.into(), folder: root.join(table).into() })
    }

    /// For messages.
    pub(super) fn describe(&self) -> String {
        format!("table `{}` of connection `{}`", self.table, self.connection)
    }

    /// An error about this table.
    pub(super) fn error(&self, kind: ErrorKind, what: impl std::fmt::Display) -> Error {
        Error::new(kind, format!("{}: {what}", self.describe()))
    }

    /// What the Delta library said about this table.
    pub(super) fn failed(&self, what: &str, error: impl Into<deltalake::DeltaTableError>) -> Error {
        failed(format!("{}: {what}", self.describe()), error)
    }

    /// An I/O error about this table.
    pub(super) fn io_failed(&self, what: &str, error: std::io::Error) -> Error {
        io_failed(format!("{}: {what}", self.describe()), error)
    }

    /// Whether a table is there: a log with at least one entry.
    pub(super) fn exists(&self) -> Result<bool> {
        let entries = match fs::read_dir(self.folder.join(LOG)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(false),
            Err(error) => return Err(self.io_failed("its log cannot be listed", error)),
        };
        let named = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(named.into_iter().any(|name| name.ends_with(".json") || name.ends_with(".parquet")))
    }

    /// The newest snapshot; `None` = there is no table.
    pub(super) async fn open(&self) -> Result<Option<Table>> {
        if !self.exists()? {
            return Ok(None);
        }
        let mut delta = self.handle()?;
        delta.load().await.map_err(|error| self.failed("its log cannot be read", error))?;
        Ok(Some(Table { location: self.clone(), delta }))
    }

    /// The newest snapshot of a table that must be there.
    pub(super) async fn open_existing(&self) -> Result<Table> {
        self.open().await?.ok_or_else(|| {
            self.error(ErrorKind::NotFound, "does not exist")
                .hint(format!("check the name; the folder would be {}", self.folder.display()))
        })
    }

    /// The snapshot of a version.
    pub(super) async fn open_at(&self, version: u64) -> Result<Table> {
        let mut delta = self.handle()?;
        delta
            .load_version(version)
            .await
            .map_err(|error| self.failed(&format!("version {version} cannot be read"), error))?;
        Ok(Table { location: self.clone(), delta })
    }

    /// The table, nothing loaded. Its folder must be there.
    fn handle(&self) -> Result<DeltaTable> {
        let describe = |error| self.failed("its folder cannot be opened", error);
        let path = self
            .folder
            .to_str()
            .ok_or_else(|| self.error(ErrorKind::Unsupported, "its path is not Unicode text"))?;
        let url = parse_table_uri(path).map_err(describe)?;
        DeltaTableBuilder::from_url(url.clone())
            .map_err(describe)?
            .with_storage_backend(Arc::new(DurableStore::new()), url)
            .build()
            .map_err(describe)
    }

    /// Commits version 0. `false` = somebody else was faster.
    pub(super) async fn create(&self, actions: Vec<Action>) -> Result<bool> {
        make_folders(&self.folder).map_err(|error| self.io_failed("its folder cannot be made", error))?;
        let delta = self.handle()?;
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
            mode: deltalake::protocol::SaveMode::ErrorIfExists,
            location: delta.table_url().clone(),
            protocol,
            metadata,
        };
        self.commit(&delta, None, actions, operation, vec![]).await.map(|version| version.is_some())
    }

    /// Commits the version after `state`'s (0 after `None`); `None` = somebody else took it. Once this returns a
    /// version, the log entry is synced: no hook of the library runs behind it that could still fail.
    async fn commit(
        &self,
        delta: &DeltaTable,
        state: Option<&DeltaTableState>,
        actions: Vec<Action>,
        operation: DeltaOperation,
        transactions: Vec<deltalake::kernel::Transaction>,
    ) -> Result<Option<u64>> {
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false))
            .with_application_transactions(transactions);
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

/// One snapshot of a table.
#[derive(Clone)]
pub(super) struct Table {
    /// Where it lies.
    pub(super) location: Location,
    /// The library's handle, loaded.
    pub(super) delta: DeltaTable,
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
    pub(super) stats: Option<String>,
    /// When it was written, in milliseconds: also what orders files.
    pub(super) modified: i64,
    /// Whether rows of it are deleted by a vector, which only the library's own reader knows.
    pub(super) vector: bool,
}

impl DataFile {
    /// A file as a log entry adds it.
    pub(super) fn added(add: &Add) -> Self {
        Self {
            path: add.path.clone(),
            size: add.size.unsigned_abs(),
            rows: add.get_stats().ok().flatten().and_then(|stats| u64::try_from(stats.num_records).ok()),
            partition: add.partition_values.clone(),
            stats: add.stats.clone(),
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
        let log = self.state()?.snapshot();
        let log = log.try_log_data().map_err(|error| self.location.failed("cannot be listed", error))?;
        let mut files: Vec<DataFile> = log
            .iter()
            .map(|file| DataFile {
                path: file.path().into_owned(),
                size: file.size().unsigned_abs(),
                rows: file.num_records().map(|rows| rows as u64),
                partition: file.partition_values_map(),
                stats: file.stats(),
                modified: file.modification_time(),
                vector: file.deletion_vector_descriptor().is_some(),
            })
            .collect();
        files.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
        Ok(files)
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
        if !self.location.exists()? {
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
        Ok(self.version() != before)
    }

    /// Commits the version after this snapshot's; `None` = somebody else took it.
    pub(super) async fn commit(
        &self,
        actions: Vec<Action>,
        operation: DeltaOperation,
        transactions: Vec<deltalake::kernel::Transaction>,
    ) -> Result<Option<u64>> {
        self.location.commit(&self.delta, Some(self.state()?), actions, operation, transactions).await
    }

    /// Where a data file lies.
    pub(super) fn path_of(&self, file: &str) -> PathBuf {
        self.location.folder.join(file)
    }
}
