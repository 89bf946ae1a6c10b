//! What only SQLite has: files, dynamic typing, locks, tables of others. What every connector promises is in the contract suite.

mod files;
mod reading;
mod writing;

use std::{path::PathBuf, sync::Arc};

use futures::TryStreamExt;
use vitrina::{
    connector::{
        ConnectionConfig, OpenContext,
        connection::Connection,
        error::Result,
        source::{Chunk, Source},
        sqlite::config::Config,
    },
    model::unit::{SliceLimit, Unit},
};

/// A folder with one database, `данные.db`.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("данные.db")
    }

    fn scratch(&self) -> PathBuf {
        self.root.path().join("scratch")
    }

    /// Another program's connection, in SQLite's default journal mode.
    fn other(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file()).unwrap()
    }

    /// A database that another program made.
    fn made(sql: &str) -> Self {
        let place = Self::new();
        place.other().execute_batch(&format!("PRAGMA journal_mode = wal; {sql}")).unwrap();
        place
    }

    fn open(&self) -> Arc<dyn Connection> {
        self.open_as(Config { path: Some("данные.db".to_owned()), ..Config::default() })
    }

    fn open_as(&self, config: Config) -> Arc<dyn Connection> {
        let context = OpenContext {
            name: "crm".to_owned(),
            root: self.root.path().to_owned(),
            scratch: self.scratch(),
        };
        vitrina::connector::open(&ConnectionConfig::Sqlite(config), context).unwrap()
    }
}

/// No limit that a test would meet.
const WIDE: SliceLimit = SliceLimit { rows: 10_000_000, bytes: 1 << 40 };

/// All chunks of a unit.
async fn chunks(source: &dyn Source, unit: &Unit) -> Result<Vec<Chunk>> {
    source.read(unit).await?.try_collect().await
}
