//! What sinks remember of tracks: a table in the target's own database. Rows are added to it, one for a sequence number; older ones are taken away by
//! maintenance. A row may be there twice, when two finished the same unit; it is the same row then.

use super::{
    client::Server,
    name::{literal, qualified},
    replicated::Replication,
    table::text,
};
use crate::{
    connector::{
        error::Result,
        records::{RECORDS, parse, parse_all, progress},
    },
    model::unit::Record,
};

/// Older records that one maintenance takes away, at most: they are named one by one in its statement.
const PRUNED: usize = 500;

/// The records of one target.
pub(super) struct Records<'a> {
    pub(super) server: &'a Server,
    pub(super) database: &'a str,
    pub(super) target: &'a str,
    pub(super) shown: &'a str,
    pub(super) replication: &'a Replication,
}

impl Records<'_> {
    fn table(&self) -> String {
        qualified(self.database, RECORDS)
    }

    /// How the table is made. What is written is on the disk when it is answered.
    pub(super) fn create(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (target String, track String, seq UInt64, progress String, attempt String, at String, rows UInt64) \
             ENGINE = {} ORDER BY (target, track, seq) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
            self.table(),
            self.replication.engine("MergeTree")
        )
    }

    /// Whether any track has a record for the target. The table must be there.
    pub(super) async fn any(&self) -> Result<bool> {
        let (table, target, asked) = (self.table(), literal(self.target), self.replication.recorded());
        let sql = format!("SELECT 1 FROM {table} WHERE target = {target} LIMIT 1{asked}");
        Ok(self.server.row(self.shown, &sql).await?.is_some())
    }

    /// The last record of a track, by its key. The table must be there.
    pub(super) async fn of(&self, track: &str) -> Result<Option<Record>> {
        let sql = format!(
            "SELECT seq, progress, attempt, at, rows FROM {} WHERE target = {} AND track = {} ORDER BY seq DESC LIMIT 1{}",
            self.table(),
            literal(self.target),
            literal(track),
            self.replication.recorded()
        );
        let Some(row) = self.server.row(self.shown, &sql).await? else { return Ok(None) };
        parse(track, &row).map(Some)
    }

    /// The last records of all tracks whose keys begin with `prefix`. The table must be there.
    pub(super) async fn with_prefix(&self, prefix: &str) -> Result<Vec<(String, Record)>> {
        let sql = format!(
            "SELECT track, seq, progress, attempt, at, rows FROM {} WHERE target = {} AND startsWith(track, {}) \
             ORDER BY track, seq DESC LIMIT 1 BY track{}",
            self.table(),
            literal(self.target),
            literal(prefix),
            self.replication.recorded()
        );
        parse_all(self.server.rows(self.shown, &sql).await?)
    }

    /// Adds the record of a track.
    pub(super) async fn add(&self, track: &str, record: &Record) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (target, track, seq, progress, attempt, at, rows){} VALUES ({}, {}, {}, {}, {}, {}, {})",
            self.table(),
            self.replication.recording(),
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

    /// Takes older records away, one by one: a deletion that asks for them by a query is none that replicas could carry out by themselves.
    pub(super) async fn prune(&self) -> Result<()> {
        let (table, target) = (self.table(), literal(self.target));
        let last = format!("SELECT track, max(seq) FROM {table} WHERE target = {target} GROUP BY track");
        let sql = format!(
            "SELECT DISTINCT track, seq FROM {table} WHERE target = {target} AND (track, seq) NOT IN ({last}) LIMIT {PRUNED}{}",
            self.replication.recorded()
        );
        let old = self.server.rows(self.shown, &sql).await?;
        let old: Vec<String> =
            old.iter().map(|row| format!("({}, {})", literal(text(row, 0)), text(row, 1))).collect();
        if old.is_empty() {
            return Ok(());
        }
        let sql =
            format!("DELETE FROM {table} WHERE target = {target} AND (track, seq) IN ({})", old.join(", "));
        self.server.run(self.shown, &sql).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::clickhouse::config::Config;

    #[test]
    fn records_are_replicated_where_tables_are() {
        let server = Server::new("ch", &Config::new("http://localhost:8123"), std::path::Path::new("."));
        let made = |replication: &Replication| {
            let records = Records { server: &server, database: "d`b", target: "t", shown: "t", replication };
            records.create()
        };
        let alone = made(&Replication::None);
        assert!(
            alone.starts_with("CREATE TABLE IF NOT EXISTS `d\\`b`.`_vitrina_records` (target String, "),
            "{alone}"
        );
        assert!(
            alone.contains(
                " ENGINE = MergeTree ORDER BY (target, track, seq) SETTINGS fsync_after_insert = 1"
            ),
            "{alone}"
        );
        let replicated = made(&Replication::Through("0f".to_owned()));
        assert_eq!(replicated, alone.replace("= MergeTree", "= ReplicatedMergeTree"));
    }
}
