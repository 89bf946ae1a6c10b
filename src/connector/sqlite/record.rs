//! What sinks remember of tracks: a table in the target's own file, so that rows and record become visible in one transaction.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::name::{has_table, quote};
use crate::{
    connector::{
        error::{Error, Result},
        records::{RECORDS, parse, parse_all, progress},
    },
    model::{name::Track, unit::Record},
};

/// The cells of a record, as text.
const CELLS: &str = "CAST(seq AS TEXT), progress, attempt, at, CAST(rows AS TEXT)";

/// How it is made.
pub(super) fn create() -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (target TEXT NOT NULL COLLATE NOCASE, track TEXT NOT NULL, seq INTEGER NOT NULL, \
         progress TEXT NOT NULL, attempt TEXT NOT NULL, at TEXT NOT NULL, rows INTEGER NOT NULL, \
         PRIMARY KEY (target, track)) WITHOUT ROWID",
        quote(RECORDS)
    )
}

/// The records of one target.
pub(super) struct Records<'a> {
    pub(super) connection: &'a Connection,
    pub(super) target: &'a str,
    /// Turns SQLite's errors into ours.
    pub(super) failed: &'a dyn Fn(rusqlite::Error) -> Error,
}

impl Records<'_> {
    /// Whether the record table is there.
    pub(super) fn exist(&self) -> Result<bool> {
        has_table(self.connection, RECORDS).map_err(self.failed)
    }

    /// Whether any track has a record for the target.
    pub(super) fn any(&self) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE target = ?1 LIMIT 1", quote(RECORDS));
        let any = || self.connection.prepare_cached(&sql)?.exists([self.target]);
        if self.exist()? { any().map_err(self.failed) } else { Ok(false) }
    }

    /// The record of a track.
    pub(super) fn of(&self, track: &Track) -> Result<Option<Record>> {
        if !self.exist()? {
            return Ok(None);
        }
        let sql = format!("SELECT {CELLS} FROM {} WHERE target = ?1 AND track = ?2", quote(RECORDS));
        let read = || {
            let mut statement = self.connection.prepare_cached(&sql)?;
            statement.query_row([self.target, &track.key()], cells).optional()
        };
        read().map_err(self.failed)?.map(|cells| parse(&track.key(), &cells)).transpose()
    }

    /// The records of all tracks whose keys begin with `prefix`.
    pub(super) fn with_prefix(&self, prefix: &str) -> Result<Vec<(String, Record)>> {
        if !self.exist()? {
            return Ok(vec![]);
        }
        let sql = format!(
            "SELECT track, {CELLS} FROM {} WHERE target = ?1 AND substr(track, 1, length(?2)) = ?2 ORDER BY track",
            quote(RECORDS)
        );
        let read = || {
            let mut statement = self.connection.prepare_cached(&sql)?;
            statement.query_map([self.target, prefix], cells)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        parse_all(read().map_err(self.failed)?)
    }

    /// Writes the record of a track, in the caller's transaction.
    pub(super) fn put(&self, track: &Track, record: &Record) -> Result<()> {
        let progress = progress(&track.key(), record)?;
        let sql = format!(
            "INSERT OR REPLACE INTO {} (target, track, seq, progress, attempt, at, rows) \
             VALUES (:target, :track, :seq, :progress, :attempt, :at, :rows)",
            quote(RECORDS)
        );
        let put = || {
            self.connection.prepare_cached(&sql)?.execute(named_params! {
                ":target": self.target,
                ":track": track.key(),
                ":seq": record.seq.cast_signed(),
                ":progress": progress,
                ":attempt": record.attempt.as_str(),
                ":at": record.at.to_rfc3339(),
                ":rows": record.rows.cast_signed(),
            })
        };
        put().map(|_| ()).map_err(self.failed)
    }
}

/// The cells of a row, all of them texts.
fn cells(row: &Row<'_>) -> rusqlite::Result<Vec<Option<String>>> {
    (0..row.as_ref().column_count()).map(|at| row.get(at)).collect()
}
