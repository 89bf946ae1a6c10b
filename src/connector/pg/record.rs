//! What sinks remember of tracks: a table in the target's own schema, so that rows and record become visible in one transaction.

use super::{
    client::Lease,
    dialect::{RecordRow, Swap},
    error::failed,
    name::literal,
    table::qualified,
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        records::{RECORDS, parse, parse_all, progress},
    },
    model::{name::Track, unit::Record},
};

/// The records of one target.
pub(crate) struct Records<'a> {
    pub(crate) session: &'a Lease,
    pub(crate) schema: &'a str,
    pub(crate) target: &'a str,
    pub(crate) shown: &'a str,
}

impl Records<'_> {
    fn failed(&self, error: tokio_postgres::Error) -> Error {
        failed(self.shown, error)
    }

    fn table(&self) -> String {
        qualified(self.schema, RECORDS)
    }

    /// How the table is made.
    pub(crate) fn create(&self) -> String {
        self.session.server.dialect.create_records(&self.session.product, &self.table())
    }

    /// Whether the record table is there. One that connections of another kind keep is refused: each would miss the other's records.
    pub(crate) async fn exist(&self) -> Result<bool> {
        let sql = format!(
            "SELECT i.indnatts FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary WHERE n.nspname = {} AND c.relname = {}",
            literal(self.schema),
            literal(RECORDS)
        );
        let Some(found) = self.session.row(&sql).await.map_err(|error| self.failed(error))? else {
            return Ok(false);
        };
        let (server, keys) = (&self.session.server, found.into_iter().next().flatten());
        let own = server.dialect.record_key();
        if keys.is_none_or(|keys| keys == own.split(',').count().to_string()) {
            return Ok(true);
        }
        let table = server.table_shown(self.schema, RECORDS);
        let message = format!(
            "{table} has not the key ({own}): it was made by a connection of another kind than {}",
            server.dialect.kind()
        );
        Err(Error::new(ErrorKind::Unsupported, message)
            .hint("give connections of kind postgres and of kind greenplum different schemas to write into"))
    }

    /// Whether any track has a record for the target.
    pub(crate) async fn any(&self) -> Result<bool> {
        if !self.exist().await? {
            return Ok(false);
        }
        let sql = format!("SELECT 1 FROM {} WHERE target = {} LIMIT 1", self.table(), literal(self.target));
        Ok(self.session.row(&sql).await.map_err(|error| self.failed(error))?.is_some())
    }

    /// The record of a track.
    pub(crate) async fn of(&self, track: &Track) -> Result<Option<Record>> {
        if !self.exist().await? {
            return Ok(None);
        }
        let sql = format!(
            "SELECT seq, progress, attempt, \"at\", \"rows\" FROM {} WHERE target = {} AND track = {} ORDER BY seq DESC LIMIT 1",
            self.table(),
            literal(self.target),
            literal(&track.key()),
        );
        let Some(row) = self.session.row(&sql).await.map_err(|error| self.failed(error))? else {
            return Ok(None);
        };
        parse(&track.key(), &row).map(Some)
    }

    /// The last records of all tracks whose keys begin with `prefix`.
    pub(crate) async fn with_prefix(&self, prefix: &str) -> Result<Vec<(String, Record)>> {
        if !self.exist().await? {
            return Ok(vec![]);
        }
        let sql = format!(
            "SELECT DISTINCT ON (track) track, seq, progress, attempt, \"at\", \"rows\" FROM {} \
             WHERE target = {} AND substr(track, 1, {}) = {} ORDER BY track, seq DESC",
            self.table(),
            literal(self.target),
            prefix.chars().count(),
            literal(prefix),
        );
        parse_all(self.session.rows(&sql).await.map_err(|error| self.failed(error))?)
    }

    /// Writes the record of a track over the one that is expected, in the caller's transaction; false = another one is there. From then on no other
    /// transaction can write it before this one ends.
    pub(crate) async fn swap(&self, track: &Track, expected: Option<u64>, record: &Record) -> Result<bool> {
        let row = RecordRow {
            target: literal(self.target),
            track: literal(&track.key()),
            seq: record.seq,
            progress: literal(&progress(&track.key(), record)?),
            attempt: literal(record.attempt.as_str()),
            at: literal(&record.at.to_rfc3339()),
            rows: record.rows,
        };
        match self.session.server.dialect.swap(&self.table(), &row, expected) {
            Swap::Compare(sql) => Ok(self.run(&sql).await? == 1),
            Swap::Lock { lock, insert } => {
                self.run(&lock).await?;
                let found = self.of(track).await?.map(|record| record.seq);
                Ok(found == expected && self.run(&insert).await? == 1)
            }
        }
    }

    /// Takes away what is left of older records; not where others write the table just now.
    pub(crate) async fn prune(&self) -> Result<()> {
        if !self.exist().await? {
            return Ok(());
        }
        for sql in self.session.server.dialect.prune(&self.table()) {
            self.run(&sql).await?;
        }
        Ok(())
    }

    async fn run(&self, sql: &str) -> Result<u64> {
        self.session.run(sql).await.map_err(|error| self.failed(error))
    }
}
