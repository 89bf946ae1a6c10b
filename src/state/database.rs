//! Opening a state file: its folder, its format, its migrations.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::{Connection, TransactionBehavior};

use super::error::{Result, StateError};

/// How long a call waits for another process that writes the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a state file looks like.
pub(super) struct Format {
    /// Its name in the state folder.
    pub(super) file: &'static str,
    /// Statements that lead from format N to N + 1, from 0 = an empty file. Only ever added to.
    pub(super) migrations: &'static [&'static str],
    /// `FULL` where a commit must survive a loss of power.
    pub(super) synchronous: &'static str,
}

/// An open state file, shared by the threads of one process.
pub(super) struct Database {
    path: PathBuf,
    connection: Mutex<Connection>,
    synchronous: &'static str,
}

impl Database {
    /// Opens the file, makes it where it is missing, brings an old one to the newest format, refuses a newer one.
    pub(super) fn open(folder: &Path, format: &Format) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(StateError::io("cannot make the state folder", folder))?;
        let path = folder.join(format.file);
        let made = !path.exists();
        let connection = prepare(&path, format)?;
        if made {
            // The file's name must survive a loss of power as its content does.
            let folder_file = std::fs::File::open(folder);
            folder_file
                .and_then(|file| file.sync_all())
                .map_err(StateError::io("cannot sync the state folder", folder))?;
        }
        Ok(Self { path, connection: Mutex::new(connection), synchronous: format.synchronous })
    }

    /// Runs `work` on the connection.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        work(&mut self.lock()).map_err(|source| StateError::Database { path: self.path.clone(), source })
    }

    /// As [`with`](Self::with), for what need not survive a loss of power by itself: it does once [`sync`](Self::sync) or the next commit of `with` returns, as
    /// commits lie in one log, one behind the other. That spares the wait for the disk, which one call can have for many commits.
    pub(super) fn with_eased<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        self.with(|connection| {
            let eased = Eased::new(connection, self.synchronous)?;
            work(eased.connection)
        })
    }

    /// Everything that was committed survives a loss of power once this returns.
    pub(super) fn sync(&self) -> Result<()> {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        // Without a log everything is in the file itself, and synced there.
        match std::fs::File::open(&log).and_then(|log| log.sync_data()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StateError::io("cannot sync", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    /// A value that no Vitrina writes was read.
    pub(super) fn corrupt(&self, what: impl Into<String>) -> StateError {
        StateError::Corrupt { path: self.path.clone(), what: what.into() }
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic while it was held rolled its transaction back: the connection is sound.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection whose commits do not wait for the disk; they do again when this ends, however it ends.
struct Eased<'a> {
    connection: &'a mut Connection,
    before: &'static str,
}

impl<'a> Eased<'a> {
    fn new(connection: &'a mut Connection, before: &'static str) -> rusqlite::Result<Self> {
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(Self { connection, before })
    }
}

impl Drop for Eased<'_> {
    fn drop(&mut self) {
        // Such a pragma changes a number in memory: it does not fail outside of a transaction, and none outlives the work.
        let _ = self.connection.pragma_update(None, "synchronous", self.before);
    }
}

fn prepare(path: &Path, format: &Format) -> Result<Connection> {
    let database = |source| StateError::Database { path: path.to_owned(), source };
    let mut connection = Connection::open(path).map_err(database)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(database)?;
    let known = format.migrations.len() as i64;
    let found = version(&connection).map_err(database)?;
    if found > known || found < 0 {
        return Err(StateError::Newer { path: path.to_owned(), found, known });
    }
    connection.pragma_update(None, "journal_mode", "WAL").map_err(database)?;
    connection.pragma_update(None, "synchronous", format.synchronous).map_err(database)?;
    if found < known {
        migrate(&mut connection, format).map_err(database)?;
    }
    Ok(connection)
}

fn migrate(connection: &mut Connection, format: &Format) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again: another process may have been faster.
    let found = version(&transaction)?;
    for (from, statements) in (0_i64..).zip(format.migrations) {
        if from >= found {
            transaction.execute_batch(statements)?;
            transaction.pragma_update(None, "user_version", from + 1)?;
        }
    }
    transaction.commit()
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// An instant as it lies in a state file: fixed width, so that it sorts as text.
pub(super) fn instant_text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// An instant read back.
pub(super) fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::error::StateErrorKind;

    const FIRST: Format =
        Format { file: "x.db", migrations: &["CREATE TABLE a (x INTEGER);"], synchronous: "FULL" };
    const SECOND: Format = Format {
        file: "x.db",
        migrations: &["CREATE TABLE a (x INTEGER);", "ALTER TABLE a ADD COLUMN y TEXT DEFAULT 'old';"],
        synchronous: "FULL",
    };

    #[test]
    fn an_old_format_is_brought_up_and_a_newer_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let insert = |connection: &mut Connection| connection.execute("INSERT INTO a (x) VALUES (1)", []);
        Database::open(folder.path(), &FIRST).unwrap().with(insert).unwrap();

        let second = Database::open(folder.path(), &SECOND).unwrap();
        let y: String = second.with(|c| c.query_row("SELECT y FROM a", [], |row| row.get(0))).unwrap();
        assert_eq!(y, "old");

        let refused = Database::open(folder.path(), &FIRST).err().unwrap();
        assert_eq!(refused.kind(), StateErrorKind::Newer);
        assert!(refused.to_string().contains("format 2 is newer than this Vitrina knows (1)"), "{refused}");
    }

    #[test]
    fn what_is_no_database_is_corrupt() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("x.db"),
            "not a database, but long enough to be looked at".repeat(9),
        )
        .unwrap();
        let error = Database::open(folder.path(), &FIRST).err().unwrap();
        assert_eq!(error.kind(), StateErrorKind::Corrupt);
    }

    #[test]
    fn instants_sort_as_text_and_come_back() {
        let early = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let late = DateTime::from_timestamp(1_700_000_000, 1_000).unwrap();
        assert!(instant_text(early) < instant_text(late));
        assert_eq!(parse_instant(&instant_text(late)), Some(late));
    }
}
