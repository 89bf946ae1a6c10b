//! The steps from a decided unit to its record. The next writer takes them from where a dead one stopped: see `write.rs` for why that is safe.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    client::Server,
    name::{literal, qualified, quote, quote_all},
    note::{Clear, Note, Way, units_of},
    record::Records,
    replicated::{Following, Replication},
    table::{Table, missing, text},
};
use crate::{
    connector::error::{Error, ErrorKind, Result},
    failpoint,
    model::unit::Record,
};

/// Parts of a partition that the target may have when more are moved into it: the server's own limit where inserts begin to wait.
const MOST_PARTS: u64 = 1_000;
/// How long merges are waited for.
const PATIENCE: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The decided units of a target.
pub(super) struct Finisher<'a> {
    pub(super) server: &'a Server,
    pub(super) database: &'a str,
    pub(super) target: &'a str,
    pub(super) shown: &'a str,
    pub(super) replication: &'a Replication,
}

impl Finisher<'_> {
    fn records(&self) -> Records<'_> {
        Records {
            server: self.server,
            database: self.database,
            target: self.target,
            shown: self.shown,
            replication: self.replication,
        }
    }

    /// Whom steps wait for.
    pub(super) async fn following(&self) -> Result<Following> {
        self.replication.following(self.server, self.database, self.target, self.shown).await
    }

    /// Runs a statement.
    pub(super) async fn run(&self, sql: &str) -> Result<()> {
        self.server.run(self.shown, sql).await
    }

    /// A table's name in SQL.
    pub(super) fn sql(&self, table: &str) -> String {
        qualified(self.database, table)
    }

    /// Finishes what was decided for a track and not done. The record table must be there.
    pub(super) async fn finish_all(&self, track: &str) -> Result<()> {
        let sql = format!(
            "SELECT name, comment FROM system.tables WHERE database = {} AND startsWith(name, {})",
            literal(self.database),
            literal(&units_of(self.target, track))
        );
        let found = self.server.rows(self.shown, &sql).await?;
        if !found.is_empty() {
            self.wait_for_the_dead(&units_of(self.target, track)).await?;
        }
        for row in found {
            let name = text(&row, 0);
            // A stage that took the target's place has left what was there before.
            let note = match self.own_note(name, text(&row, 1)) {
                Some(note) => Some(note),
                None => self.note_of_target().await?.filter(|note| note.unit_name() == name),
            };
            match note {
                Some(note) => self.finish(&note).await.map(|_| ())?,
                None => self.run(&format!("DROP TABLE IF EXISTS {}", self.sql(name))).await?,
            }
        }
        Ok(())
    }

    /// A statement that a dead writer sent may still run: each of them names the table of ours that it is about, by what its name begins with.
    pub(super) async fn wait_for_the_dead(&self, ours: &str) -> Result<()> {
        let sql = format!(
            "SELECT 1 FROM system.processes WHERE query_id <> queryID() AND position(query, {}) > 0 LIMIT 1",
            literal(ours)
        );
        let begun = Instant::now();
        while self.server.row(self.shown, &sql).await?.is_some() {
            if begun.elapsed() > PATIENCE {
                let message = format!("{}: a statement of an earlier run is still at work", self.shown);
                return Err(Error::new(ErrorKind::Busy, message)
                    .hint("see system.processes on the server; it is tried again"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    fn own_note(&self, name: &str, comment: &str) -> Option<Note> {
        Note::parse(comment).filter(|note| note.unit_name() == name)
    }

    async fn note_of_target(&self) -> Result<Option<Note>> {
        let table = Table::find(self.server, self.database, self.target).await?;
        Ok(table.and_then(|table| Note::parse(&table.comment)))
    }

    /// Brings a decided unit to its end; `false` = another unit of this number was there before, or the target was dropped, and this one is nothing.
    pub(super) async fn finish(&self, note: &Note) -> Result<bool> {
        self.replication.check_replica(note, self.shown)?;
        let name = note.unit_name();
        let known = self.records().of(&note.track).await?;
        if known.as_ref().is_none_or(|known| known.seq < note.record.seq) {
            match self.carry_out(note, &name).await {
                // Somebody else has finished it meanwhile, dropped its tables, and may have gone on.
                Err(_) if self.is_recorded(note).await? => {}
                // Nothing is there whose place it could take.
                Err(_) if note.way.takes_a_place() && self.target_is_gone().await? => {
                    self.run(&format!("DROP TABLE IF EXISTS {}", self.sql(&name))).await?;
                    return Ok(false);
                }
                done => {
                    done?;
                    self.records().add(&note.track, &note.record).await?;
                    failpoint::pass("clickhouse.recorded");
                }
            }
        }
        if let Way::ClearAndMove(Clear::Keys { of, .. }) = &note.way {
            self.run(&format!("DROP TABLE IF EXISTS {}", self.sql(of))).await?;
        }
        self.run(&format!("DROP TABLE IF EXISTS {}", self.sql(&name))).await?;
        Ok(known.is_none_or(|known| known.seq < note.record.seq || is_of(&known, note)))
    }

    /// A unit's number is one unit's alone, so a record of that number or a later one says that it was finished.
    async fn is_recorded(&self, note: &Note) -> Result<bool> {
        let known = self.records().of(&note.track).await?;
        Ok(known.is_some_and(|known| known.seq >= note.record.seq))
    }

    async fn target_is_gone(&self) -> Result<bool> {
        Ok(Table::find(self.server, self.database, self.target).await?.is_none())
    }

    async fn carry_out(&self, note: &Note, unit: &str) -> Result<()> {
        match &note.way {
            Way::Record => Ok(()),
            Way::Move => self.move_parts(unit).await,
            Way::ClearAndMove(clear) => {
                self.clear(clear, unit).await?;
                failpoint::pass("clickhouse.cleared");
                // From now on the rows that are moved are not to be cleared again.
                let moved = Note { way: Way::Move, ..note.clone() };
                self.run(&set_comment(&self.sql(unit), &moved.text())).await?;
                failpoint::pass("clickhouse.cleared.noted");
                self.move_parts(unit).await
            }
            Way::Partition(id) => {
                let following = self.following().await?;
                self.run(&following.replace_partition(&self.sql(self.target), id, &self.sql(unit))).await?;
                failpoint::pass("clickhouse.replaced");
                Ok(())
            }
            Way::Window { column, from, until } => self.replace_window(column, (from, until), unit).await,
            Way::Exchange => self.exchange(note, unit).await,
        }
    }

    /// Puts the unit in the target's place, unless it is there already.
    async fn exchange(&self, note: &Note, unit: &str) -> Result<()> {
        let target = Table::must(self.server, self.database, self.target).await?;
        if Note::parse(&target.comment)
            .is_some_and(|there| there.record.attempt == note.record.attempt && there.track == note.track)
        {
            return Ok(());
        }
        let swap = format!("EXCHANGE TABLES {} AND {}", self.sql(unit), self.sql(self.target));
        self.run(&swap).await?;
        failpoint::pass("clickhouse.exchanged");
        Ok(())
    }

    /// Takes rows of the target away. Done again, it finds none.
    async fn clear(&self, clear: &Clear, unit: &str) -> Result<()> {
        let target = Table::must(self.server, self.database, self.target).await?;
        let of = |name: &str| target.column(name).ok_or_else(|| missing(self.shown, &target, name));
        let condition = match clear {
            Clear::Keys { of, columns } => {
                let columns = quote_all(columns.iter().map(String::as_str));
                format!("({columns}) IN (SELECT {columns} FROM {})", self.sql(of))
            }
            Clear::Equal(values) => {
                let equal = values.iter().map(|(column, value)| {
                    of(column).map(|column| format!("toString({}) = {}", quote(&column.name), literal(value)))
                });
                equal.collect::<Result<Vec<_>>>()?.join(" AND ")
            }
        };
        let following = self.following().await?;
        self.run(&following.delete(&target.sql(), &condition, unit)).await
    }

    /// Moves what is still in the unit into the target, partition by partition.
    async fn move_parts(&self, unit: &str) -> Result<()> {
        let following = self.following().await?;
        self.drop_moved(unit, following).await?;
        for id in self.partitions(unit).await? {
            self.wait_for_merges().await?;
            let sql = following.move_partition(&self.sql(unit), &id, &self.sql(self.target));
            self.run(&sql).await?;
            failpoint::pass("clickhouse.moved");
        }
        Ok(())
    }

    /// The partitions of a table of ours that have rows, by their ids, in order.
    pub(super) async fn partitions(&self, table: &str) -> Result<BTreeSet<String>> {
        let sql = format!(
            "SELECT DISTINCT partition_id FROM system.parts WHERE active AND rows > 0 AND database = {} AND table = {}",
            literal(self.database),
            literal(table)
        );
        let found = self.server.rows(self.shown, &sql).await?;
        Ok(found.iter().map(|row| text(row, 0).to_owned()).collect())
    }

    /// A server that died in a move may find the parts in both tables when it is started again: they keep their numbers. Those in the unit go.
    async fn drop_moved(&self, unit: &str, following: Following) -> Result<()> {
        let parts_of =
            |table: &str| format!("database = {} AND table = {}", literal(self.database), literal(table));
        let sql = format!(
            "SELECT name FROM system.parts WHERE active AND rows > 0 AND {} AND uuid <> toUUID('00000000-0000-0000-0000-000000000000') \
             AND uuid IN (SELECT uuid FROM system.parts WHERE {})",
            parts_of(unit),
            parts_of(self.target)
        );
        for row in self.server.rows(self.shown, &sql).await? {
            self.run(&following.drop_part(&self.sql(unit), text(&row, 0))).await?;
        }
        Ok(())
    }

    /// Waits while the target has more parts than the server merges.
    pub(super) async fn wait_for_merges(&self) -> Result<()> {
        let sql = format!(
            "SELECT toString(max(parts)) FROM (SELECT count() AS parts FROM system.parts WHERE active AND database = {} AND table = {} \
             GROUP BY partition_id)",
            literal(self.database),
            literal(self.target)
        );
        let begun = Instant::now();
        loop {
            let parts = self.server.cell(self.shown, &sql).await?.and_then(|parts| parts.parse::<u64>().ok());
            if parts.is_none_or(|parts| parts < MOST_PARTS) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                let message = format!("{} has more than {MOST_PARTS} parts in a partition", self.shown);
                return Err(Error::new(ErrorKind::Busy, message).hint(
                    "the server merges slower than rows come: make slices larger or `partition_by` coarser",
                ));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Whether a record is the one that a note leaves.
fn is_of(record: &Record, note: &Note) -> bool {
    record.seq == note.record.seq && record.attempt == note.record.attempt
}

/// The statement that writes a table's comment.
pub(super) fn set_comment(table: &str, comment: &str) -> String {
    format!("ALTER TABLE {table} MODIFY COMMENT {}", literal(comment))
}
