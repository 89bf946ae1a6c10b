//! What sinks remember of tracks: a table in the target's own file, so that rows and record become visible in one transaction.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};

use super::name::{has_table, quote};
use crate::{
    connector::error::{Error, ErrorKind, Result},
    model::{
        name::{AttemptId, Track},
        unit::Record,
    },
};

/// The record table.
pub(super) const RECORDS: &str = "_vitrina_records";

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
        let sql = format!(
            "SELECT seq, progress, attempt, at, rows FROM {} WHERE target = ?1 AND track = ?2",
            quote(RECORDS)
        );
        let read = || {
            let mut statement = self.connection.prepare_cached(&sql)?;
            let fields = |row: &rusqlite::Row<'_>| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            };
            statement.query_row([self.target, &track.key()], fields).optional()
        };
        let Some(fields): Option<Fields> = read().map_err(self.failed)? else {
            return Ok(None);
        };
        parse(fields).map(Some).map_err(|cause| unreadable(&track.key(), cause))
    }

    /// The records of all tracks whose keys begin with `prefix`.
    pub(super) fn with_prefix(&self, prefix: &str) -> Result<Vec<(String, Record)>> {
        if !self.exist()? {
            return Ok(vec![]);
        }
        let sql = format!(
            "SELECT track, seq, progress, attempt, at, rows FROM {} \
             WHERE target = ?1 AND substr(track, 1, length(?2)) = ?2 ORDER BY track",
            quote(RECORDS)
        );
        let read = || {
            let mut statement = self.connection.prepare_cached(&sql)?;
            let fields = |row: &rusqlite::Row<'_>| {
                let fields: Fields = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
                Ok((row.get::<_, String>(0)?, fields))
            };
            statement.query_map([self.target, prefix], fields)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        let found = read().map_err(self.failed)?;
        let parsed = found.into_iter().map(|(track, fields)| match parse(fields) {
            Ok(record) => Ok((track, record)),
            Err(cause) => Err(unreadable(&track, cause)),
        });
        parsed.collect()
    }

    /// Writes the record of a track, in the caller's transaction.
    pub(super) fn put(&self, track: &Track, record: &Record) -> Result<()> {
        let progress = serde_json::to_string(&record.progress).map_err(|cause| {
            Error::new(ErrorKind::Internal, format!("the record of {track} cannot be written"))
                .caused_by(cause)
        })?;
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

type Fields = (i64, String, String, String, i64);

fn unreadable(track: &str, cause: Box<dyn std::error::Error + Send + Sync>) -> Error {
    let message = format!("the record of {track} in table \"{RECORDS}\" cannot be read");
    Error::new(ErrorKind::Corrupt, message).caused_by(cause)
}

fn parse(fields: Fields) -> Result<Record, Box<dyn std::error::Error + Send + Sync>> {
    let (seq, progress, attempt, at, rows) = fields;
    Ok(Record {
        seq: seq.try_into()?,
        progress: serde_json::from_str(&progress)?,
        attempt: AttemptId::parse(attempt),
        at: DateTime::parse_from_rfc3339(&at)?.with_timezone(&Utc),
        rows: rows.try_into()?,
    })
}
