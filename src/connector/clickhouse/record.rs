//! What sinks remember of tracks: a table in the target's own database. Rows are added to it, one for a sequence number; older ones are taken away by
//! maintenance. A row may be there twice, when two finished the same unit; it is the same row then.

use chrono::{DateTime, Utc};

use super::{
    client::Server,
    name::{literal, qualified},
};
use crate::{
    connector::error::{Error, ErrorKind, Result},
    model::{name::AttemptId, unit::Record},
};

/// The record table.
pub(super) const RECORDS: &str = "_vitrina_records";

/// The records of one target.
pub(super) struct Records<'a> {
    pub(super) server: &'a Server,
    pub(super) database: &'a str,
    pub(super) target: &'a str,
    pub(super) shown: &'a str,
}

impl Records<'_> {
    fn table(&self) -> String {
        qualified(self.database, RECORDS)
    }

    /// How the table is made. What is written is on the disk when it is answered.
    pub(super) fn create(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (target String, track String, seq UInt64, progress String, attempt String, at String, rows UInt64) \
             ENGINE = MergeTree ORDER BY (target, track, seq) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
            self.table()
        )
    }

    /// Whether any track has a record for the target. The table must be there.
    pub(super) async fn any(&self) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE target = {} LIMIT 1", self.table(), literal(self.target));
        Ok(self.server.row(self.shown, &sql).await?.is_some())
    }

    /// The last record of a track, by its key. The table must be there.
    pub(super) async fn of(&self, track: &str) -> Result<Option<Record>> {
        let sql = format!(
            "SELECT seq, progress, attempt, at, rows FROM {} WHERE target = {} AND track = {} ORDER BY seq DESC LIMIT 1",
            self.table(),
            literal(self.target),
            literal(track)
        );
        let Some(row) = self.server.row(self.shown, &sql).await? else { return Ok(None) };
        parse(&row).map(Some).map_err(|cause| unreadable(track, cause))
    }

    /// The last records of all tracks whose keys begin with `prefix`. The table must be there.
    pub(super) async fn with_prefix(&self, prefix: &str) -> Result<Vec<(String, Record)>> {
        let sql = format!(
            "SELECT track, seq, progress, attempt, at, rows FROM {} WHERE target = {} AND startsWith(track, {}) \
             ORDER BY track, seq DESC LIMIT 1 BY track",
            self.table(),
            literal(self.target),
            literal(prefix)
        );
        let parsed = self.server.rows(self.shown, &sql).await?.into_iter().map(|row| {
            let track = row.first().cloned().flatten().unwrap_or_default();
            match parse(&row[1..]) {
                Ok(record) => Ok((track, record)),
                Err(cause) => Err(unreadable(&track, cause)),
            }
        });
        parsed.collect()
    }

    /// Adds the record of a track.
    pub(super) async fn add(&self, track: &str, record: &Record) -> Result<()> {
        let progress = serde_json::to_string(&record.progress).map_err(|cause| {
            Error::new(ErrorKind::Internal, format!("the record of {track} cannot be written"))
                .caused_by(cause)
        })?;
        let sql = format!(
            "INSERT INTO {} (target, track, seq, progress, attempt, at, rows) VALUES ({}, {}, {}, {}, {}, {}, {})",
            self.table(),
            literal(self.target),
            literal(track),
            record.seq,
            literal(&progress),
            literal(record.attempt.as_str()),
            literal(&record.at.to_rfc3339()),
            record.rows,
        );
        self.server.run(self.shown, &sql).await
    }

    /// Takes older records away.
    pub(super) async fn prune(&self) -> Result<()> {
        let (table, target) = (self.table(), literal(self.target));
        let last = format!("SELECT track, max(seq) FROM {table} WHERE target = {target} GROUP BY track");
        let sql = format!("DELETE FROM {table} WHERE target = {target} AND (track, seq) NOT IN ({last})");
        self.server.run(self.shown, &sql).await
    }
}

fn unreadable(track: &str, cause: Box<dyn std::error::Error + Send + Sync>) -> Error {
    let message = format!("the record of {track} in table \"{RECORDS}\" cannot be read");
    Error::new(ErrorKind::Corrupt, message).caused_by(cause)
}

fn parse(row: &[Option<String>]) -> Result<Record, Box<dyn std::error::Error + Send + Sync>> {
    let [Some(seq), Some(progress), Some(attempt), Some(at), Some(rows)] = row else {
        return Err("a cell is missing".into());
    };
    Ok(Record {
        seq: seq.parse()?,
        progress: serde_json::from_str(progress)?,
        attempt: AttemptId::parse(attempt.clone()),
        at: DateTime::parse_from_rfc3339(at)?.with_timezone(&Utc),
        rows: rows.parse()?,
    })
}
