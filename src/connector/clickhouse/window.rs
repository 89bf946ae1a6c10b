//! A window's rows put in the place of its old ones, whatever the table is partitioned by.
//!
//! The server puts one partition in another's place in one step (`REPLACE PARTITION`). So where a partition holds other rows besides the window's, the one that is to be is made first, in a table of our
//! own, a *mix*: the target's partition, whose parts are shared and not copied, without its rows of the window; then the unit's beside them. Readers see the partition as it was or as it is to be.
//! Where a partition holds nothing else, the unit's takes its place by itself; where the unit has none, the old one is dropped.
//!
//! All of it may be done again at any time: the unit keeps its rows, and the others are taken from the target each time. But a mix holds the other windows as they were when it
//! was begun, and must not be put in place after one of them was replaced. And a server that dies while it puts one in place may find the old parts beside the new ones when it is
//! started again: others would be there twice, and taken twice from then on. So
//!
//! - windows of a table take turns, each from its mix to its last partition;
//! - a mix that is whole takes another name before it is put in place, and stays until all of it is;
//! - who has the turn drops the mixes of dead writers that are not whole, waits until no statement is about one, and puts those that are whole in place once more before they are
//!   dropped: nobody had the turn since, and the unit that they were made for was decided. After that nobody else can put one in place.
//!
//! A window that lies in several partitions is seen one partition after another. What somebody else inserts into a partition while its mix is made is lost: a table of windows is its mart's alone.

use std::collections::BTreeSet;

use super::{
    finish::Finisher,
    name::literal,
    note::{fresh, mixes_of},
    replicated::Following,
    stage::window,
    table::{Table, missing, text},
};
use crate::{connector::error::Result, failpoint, model::value::Value};

/// What the partitions hold that a window touches, by their ids.
struct Touched {
    /// Those that the unit has rows in.
    new: BTreeSet<String>,
    /// Those that it has rows in, or that hold old rows of the window.
    all: BTreeSet<String>,
    /// Those of them that hold rows outside of the window.
    shared: BTreeSet<String>,
}

/// A mix of somebody.
struct Mix {
    name: String,
    comment: String,
}

/// What the names of mixes that are whole begin with.
fn whole_of(mixes: &str) -> String {
    format!("{mixes}whole_")
}

/// What a mix is, and of which table: not of another one that has its name by now.
fn comment(target: &Table) -> String {
    format!("partitions of a window on its way into {}", target.uuid)
}

impl Finisher<'_> {
    /// Replaces the rows of a window, which begins and ends (out) with these values, by those of a unit. May be done again at any time.
    pub(super) async fn replace_window(
        &self,
        column: &str,
        (from, until): (&Value, &Value),
        unit: &str,
    ) -> Result<()> {
        let _turn = self.server.turn(self.database, self.target).await;
        let mixes = mixes_of(self.target);
        let target = Table::must(self.server, self.database, self.target).await?;
        self.settle_mixes(&mixes, &target).await?;
        let found = target.column(column).ok_or_else(|| missing(self.shown, &target, column))?;
        let inside = window(found, from, until, self.shown)?;
        let touched = self.touched(&inside, unit).await?;
        let following = self.following().await?;
        let mix = fresh(&whole_of(&mixes));
        if !touched.shared.is_empty() {
            let begun = fresh(&mixes);
            self.mix(&begun, &target, &inside, unit, &touched, following).await?;
            failpoint::pass("clickhouse.mixing");
            self.run(&format!("RENAME TABLE {} TO {}", self.sql(&begun), self.sql(&mix))).await?;
            failpoint::pass("clickhouse.mixed");
        }
        for id in &touched.all {
            self.wait_for_merges().await?;
            let whole = target.sql();
            let sql = match (touched.shared.contains(id), touched.new.contains(id)) {
                (true, _) => following.replace_partition(&whole, id, &self.sql(&mix)),
                (false, true) => following.replace_partition(&whole, id, &self.sql(unit)),
                (false, false) => following.drop_partition(&whole, id),
            };
            // Whoever waits for the dead knows it by the name.
            self.run(&format!("{sql} /* {mix} */")).await?;
            failpoint::pass("clickhouse.replaced");
        }
        self.run(&format!("DROP TABLE IF EXISTS {}", self.sql(&mix))).await
    }

    /// Takes away what dead writers were mixing, and puts in place once more what they had mixed. A statement about a mix that begins later fails; one that has begun is waited for.
    async fn settle_mixes(&self, mixes: &str, target: &Table) -> Result<()> {
        let is_whole = |mix: &Mix| mix.name.starts_with(&whole_of(mixes)) && mix.comment == comment(target);
        for mix in self.mixes(mixes).await?.iter().filter(|mix| !is_whole(mix)) {
            self.run(&format!("DROP TABLE IF EXISTS {}", self.sql(&mix.name))).await?;
        }
        self.wait_for_the_dead(mixes).await?;
        let following = self.following().await?;
        for mix in self.mixes(mixes).await? {
            let from = self.sql(&mix.name);
            for id in self.partitions(&mix.name).await? {
                self.run(&following.replace_partition(&target.sql(), &id, &from)).await?;
            }
            self.run(&format!("DROP TABLE IF EXISTS {from}")).await?;
        }
        Ok(())
    }

    async fn mixes(&self, mixes: &str) -> Result<Vec<Mix>> {
        let sql = format!(
            "SELECT name, comment FROM system.tables WHERE database = {} AND startsWith(name, {})",
            literal(self.database),
            literal(mixes)
        );
        let found = self.server.rows(self.shown, &sql).await?;
        let mix = |row| Mix { name: text(row, 0).to_owned(), comment: text(row, 1).to_owned() };
        Ok(found.iter().map(mix).collect())
    }

    async fn touched(&self, inside: &str, unit: &str) -> Result<Touched> {
        let new = self.partitions(unit).await?;
        let mut all = self.partitions_where(inside).await?;
        all.extend(new.iter().cloned());
        let shared = if all.is_empty() {
            BTreeSet::new()
        } else {
            let ids: Vec<String> = all.iter().map(|id| literal(id)).collect();
            let outside = format!("_partition_id IN ({}) AND NOT coalesce({inside}, false)", ids.join(", "));
            self.partitions_where(&outside).await?
        };
        Ok(Touched { new, all, shared })
    }

    /// The target's partitions that hold such rows.
    async fn partitions_where(&self, condition: &str) -> Result<BTreeSet<String>> {
        let sql = format!("SELECT DISTINCT _partition_id FROM {} WHERE {condition}", self.sql(self.target));
        let found = self.server.rows(self.shown, &sql).await?;
        Ok(found.iter().map(|row| text(row, 0).to_owned()).collect())
    }

    /// Makes the partitions that hold other rows too as they are to be.
    async fn mix(
        &self,
        mix: &str,
        target: &Table,
        inside: &str,
        unit: &str,
        touched: &Touched,
        following: Following,
    ) -> Result<()> {
        let (name, unit) = (self.sql(mix), self.sql(unit));
        self.run(&self.replication.make_stage(&name, target, &comment(target))).await?;
        // Replaced, although there is nothing yet: of what is attached, replicated tables would take one of two equal parts. The unit's parts are numbered, and no two are equal.
        for id in &touched.shared {
            self.run(&following.replace_partition(&name, id, &target.sql())).await?;
        }
        self.run(&following.delete(&name, inside, mix)).await?;
        for id in touched.shared.intersection(&touched.new) {
            self.run(&following.attach_partition(&name, id, &unit)).await?;
        }
        Ok(())
    }
}
