//! One database file: connections to it, and the queue of those that write it.
//!
//! Connections are kept for the next use; one whose file was replaced meanwhile is not used again.

use std::{
    collections::HashMap,
    fs,
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::error::{failed, io_failed};
use crate::connector::error::{Error, ErrorKind, Result};

/// How long a lock that another program holds is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Connections kept for the next use, of each sort.
const IDLE: usize = 4;

/// A database file, there or not yet.
pub(super) struct Database {
    /// The connection's name, for messages.
    pub(super) connection: String,
    /// The schema that it is in its connection.
    pub(super) schema: String,
    /// The file as the configuration spells it: part of a source's identity, so that a project may move.
    pub(super) spelled: String,
    /// The file.
    pub(super) path: PathBuf,
    /// Where temporary files may lie.
    pub(super) scratch: PathBuf,
    readers: Mutex<Vec<(FileId, Connection)>>,
    writers: Mutex<Vec<(FileId, Connection)>>,
}

/// What tells a file from one that took its name.
type FileId = (u64, u64);

/// Writers of one file come one after another, in the order in which they ask: across all connections of this process.
pub(super) type Queue = Arc<tokio::sync::Mutex<()>>;

impl Database {
    pub(super) fn new(
        connection: &str,
        schema: &str,
        spelled: &str,
        root: &Path,
        scratch: &Path,
    ) -> Arc<Self> {
        Arc::new(Self {
            connection: connection.to_owned(),
            schema: schema.to_owned(),
            spelled: spelled.to_owned(),
            path: root.join(spelled),
            scratch: scratch.to_owned(),
            readers: Mutex::default(),
            writers: Mutex::default(),
        })
    }

    /// How messages name it.
    pub(super) fn shown(&self) -> String {
        format!("database \"{}\" of connection \"{}\"", self.spelled, self.connection)
    }

    /// How messages name a table of it.
    pub(super) fn table_shown(&self, table: &str) -> String {
        format!("table \"{table}\" of connection \"{}\"", self.connection)
    }

    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// A connection that never writes.
    pub(super) fn reader(self: &Arc<Self>) -> Result<Lease> {
        let id = self.file_id()?;
        let kept = take(&self.readers, id);
        let connection = kept.map_or_else(|| self.open_reader(), Ok)?;
        Ok(Lease { id, connection: Some(connection), database: self.clone(), writer: false })
    }

    /// A connection that writes; makes the file and its folders where they are missing.
    pub(super) fn writer(self: &Arc<Self>) -> Result<Lease> {
        if let Ok(id) = self.file_id()
            && let Some(connection) = take(&self.writers, id)
        {
            return Ok(Lease { id, connection: Some(connection), database: self.clone(), writer: true });
        }
        let connection = self.open_writer()?;
        let id = self.file_id()?;
        Ok(Lease { id, connection: Some(connection), database: self.clone(), writer: true })
    }

    /// The queue of those that write this file.
    pub(super) fn queue(&self) -> Queue {
        static QUEUES: LazyLock<Mutex<HashMap<PathBuf, Queue>>> = LazyLock::new(Mutex::default);
        let folder = self.path.parent().and_then(|folder| fs::canonicalize(folder).ok());
        let path = fs::canonicalize(&self.path).ok().or_else(|| Some(folder?.join(self.path.file_name()?)));
        let mut queues = QUEUES.lock().unwrap_or_else(PoisonError::into_inner);
        queues.entry(path.unwrap_or_else(|| self.path.clone())).or_default().clone()
    }

    fn open_reader(&self) -> Result<Connection> {
        // Open for writing all the same: what a crashed writer left behind (a hot journal) is mended by whoever comes
        // next, and SQLite itself falls back where the file may only be read. `query_only` keeps it from writing.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(PATIENCE)?;
            exact_names(&connection)?;
            connection.pragma_update(None, "query_only", true)?;
            connection.pragma_update(None, "cache_size", -16_384)?;
            connection.set_prepared_statement_cache_capacity(64);
            Ok(connection)
        };
        open().map_err(|error| failed(&self.shown(), error))
    }

    fn open_writer(&self) -> Result<Connection> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)
                .map_err(|error| io_failed(&format!("{} cannot be made", self.shown()), error))?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let fresh = fs::metadata(&self.path).map_or(true, |metadata| metadata.len() == 0);
        let open = || {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(PATIENCE)?;
            exact_names(&connection)?;
            if fresh {
                // A file of others keeps the journal that they chose.
                connection.pragma_update(None, "journal_mode", "wal")?;
            }
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "temp_store", "memory")?;
            connection.pragma_update(None, "foreign_keys", false)?;
            connection.set_prepared_statement_cache_capacity(64);
            Ok(connection)
        };
        open().map_err(|error| failed(&self.shown(), error))
    }

    fn file_id(&self) -> Result<FileId> {
        use std::os::unix::fs::MetadataExt;
        match fs::metadata(&self.path) {
            Ok(metadata) => Ok((metadata.dev(), metadata.ino())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::new(ErrorKind::NotFound, format!("{} does not exist", self.shown())))
            }
            Err(error) => Err(io_failed(&self.shown(), error)),
        }
    }
}

/// A quoted name that is no column is an error, and never a text: SQLite's old habit is off.
fn exact_names(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    Ok(())
}

fn take(pool: &Mutex<Vec<(FileId, Connection)>>, id: FileId) -> Option<Connection> {
    let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
    pool.retain(|(kept, _)| *kept == id);
    pool.pop().map(|(_, connection)| connection)
}

/// A connection on loan.
pub(super) struct Lease {
    id: FileId,
    /// Gone only while it is given back.
    connection: Option<Connection>,
    database: Arc<Database>,
    writer: bool,
}

impl Lease {
    /// Closes the connection instead of keeping it.
    pub(super) fn discard(mut self) {
        drop(self.connection.take());
    }
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a lease holds its connection until it is dropped")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a lease holds its connection until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        // Whatever was begun and not ended is undone: no reader holds up a checkpoint, no row stays half written.
        if !connection.is_autocommit() && connection.execute_batch("ROLLBACK").is_err() {
            return;
        }
        let pool = if self.writer { &self.database.writers } else { &self.database.readers };
        let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < IDLE {
            pool.push((self.id, connection));
        }
    }
}

/// Runs what may block where it holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Internal, "a task of the sqlite connector stopped").caused_by(error))
    })
}
