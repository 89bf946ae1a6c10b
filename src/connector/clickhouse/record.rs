//! What sinks remember of tracks: a table in the target's own database. Rows are added to it, one for a sequence number; older ones are taken away by
//! maintenance. A row may be there twice, when two finished the same unit; it is the same row then.

use super::{
    client::Server,
    name::{literal, qualified},
};
use crate::{
    connector::{
        error::Result,
        records::{RECORDS, parse, parse_all, progress},
    },
    model::unit::Record,
};

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
        parse(track, &row).map(Some)
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
        parse_all(self.server.rows(self.shown, &sql).await?)
    }

    /// Adds the record of a track.
    pub(super) async fn add(&self, track: &str, record: &Record) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (target, track, seq, progress, attempt, at, rows) VALUES ({}, {}, {}, {}, {}, {}, {})",
            self.table(),
            literal(self.target),
            literal(track),
            record.seq,
            literal(&progress(track, record)?),
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
