//! A table as a sink, on a server that has no transactions. Why every row is there once, after recovery:
//!
//! Rows are staged in a table of our own that is made as the target is, and says in its comment what it is for. `commit` writes the record that is to be into that
//! comment, and renames the stage to the name of the track's next unit. **The rename decides**: it is atomic, and a name is taken once, so of two that claimed the
//! same record one gets it, and the other one is in conflict. (Between the looking at the record and the rename somebody may have come, finished and freed the name: so the
//! record is looked at once more behind the rename, and whoever finds a record of its own number drops its unit. A record is written before the name is free.)
//!
//! What was decided is finished by the committer, or, where that died, by the next run: `recover` and `claim` do it once no statement of the dead one is at work any more. Looking finishes
//! nothing. Every step is one that may be done again after it:
//!
//! 1. *clear* (merge, a member's part): rows of the target go by a condition that its own new rows are not yet there to meet; then the comment says that it
//!    is done, so that it is not done again over rows that were moved. A merge by ReplacingMergeTree (`replacing.rs`) clears nothing: its rows are moved in as any others, and which
//!    one of a key stays is the engine's, the same whenever and however often it merges parts.
//! 2. *move*: `MOVE PARTITION` takes parts out of the unit and puts them into the target in one step of the server. Done again, it moves what is left. Only a server that
//!    dies inside the step may have a part in both tables when it is started again; parts are numbered (`assign_part_uuids`), and those that the target has are dropped from the
//!    unit first. (A server keeps merged parts for eight minutes: who finishes later than that after such a death of the server, and only then, could move a merged part twice.)
//! 3. Or *replace a partition* (a window, where the table is partitioned by what windows are): the unit's one partition takes the place of the target's, in one step of the server.
//!    Done again, it does the same. Where a partition holds other rows too, one is made first of those and of the unit's (`window.rs`), and takes its place.
//! 4. Or *exchange* (replace): the unit takes the target's place in one step; the comment, which goes along, tells whether it has.
//! 5. *record*: a row is added; a row that is there twice is the same row.
//! 6. *drop*: a unit whose number is recorded is dropped, and nothing else is ever done with it.
//!
//! Where somebody has dropped the target meanwhile, a unit of 3 or 4 is given up and dropped without a record: its rows are computed again whole. One of 2 is not, since some of its parts may have
//! been moved into a table that was only renamed: it waits until the target is there again, or is dropped by hand.
//!
//! Readers see a unit's partitions one after another, shortly before its record; a replaced table or partition at once; what a merge, or a member's part, clears is missing until it is moved in.
//!
//! Deduplication tokens of inserts are not what this rests on: a server writes its log of tokens before the part that it is about, so that one which dies between the two drops the
//! repeated insert as known, and the rows are lost in silence. They are also forgotten after as many inserts as the table's window is long.
//!
//! It rests on one daemon writing for a project, as the project's lock and the assumption in `delivery` have it: a second one that finishes the unit of a first one which is alive could clear
//! what that has moved, or put an exchanged table back. Only a Keeper could shut it out.

use std::{sync::Arc, time::Duration};

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use tokio::sync::OnceCell;

use super::{
    client::Server,
    finish::{Finisher, set_comment},
    name::{literal, qualified},
    note::{Clear, KEYS, Note, STAGE, Way, fresh},
    record::Records,
    replicated::Replication,
    scan::LiveTable,
    stage::{Stage, failure},
    table::{Table, text},
    target::{Target, by_grain, has_records},
};
use crate::{
    connector::{
        error::{ErrorKind, Result},
        records::conflict,
        scan::Scanned,
        sink::{Claim, Committed, Rows, Sink, SinkSpec, Staged, Staging},
    },
    failpoint,
    model::{
        delivery::Mode,
        name::Track,
        unit::{Record, Scope, Unit},
        window::Grain,
    },
};

/// A table that is written.
pub(super) struct TableSink {
    inner: Arc<Inner>,
}

struct Inner {
    server: Arc<Server>,
    spec: SinkSpec,
    database: String,
    shown: String,
    replication: OnceCell<Replication>,
}

impl TableSink {
    pub(super) fn new(server: Arc<Server>, spec: SinkSpec) -> Self {
        let database = spec.schema.clone().unwrap_or_else(|| server.config.database.clone());
        let shown = server.table_shown(&database, &spec.table);
        let replication = OnceCell::new();
        Self { inner: Arc::new(Inner { server, spec, database, shown, replication }) }
    }
}

impl Inner {
    fn sql(&self, table: &str) -> String {
        qualified(&self.database, table)
    }

    async fn run(&self, sql: &str) -> Result<()> {
        self.server.run(&self.shown, sql).await
    }

    async fn replication(&self) -> Result<&Replication> {
        let asked = || Replication::of(&self.server, &self.database, &self.shown);
        self.replication.get_or_try_init(asked).await
    }

    async fn records(&self) -> Result<Records<'_>> {
        Ok(Records {
            server: &self.server,
            database: &self.database,
            target: &self.spec.table,
            shown: &self.shown,
            replication: self.replication().await?,
        })
    }

    /// The records, where there is a table of them.
    async fn kept_records(&self) -> Result<Option<Records<'_>>> {
        let there = has_records(&self.server, &self.database, &self.shown);
        let (there, records) = tokio::try_join!(there, self.records())?;
        Ok(there.then_some(records))
    }

    async fn finisher(&self) -> Result<Finisher<'_>> {
        Ok(Finisher {
            server: &self.server,
            database: &self.database,
            target: &self.spec.table,
            shown: &self.shown,
            replication: self.replication().await?,
        })
    }

    async fn target(&self) -> Result<Target<'_>> {
        Ok(Target {
            server: &self.server,
            spec: &self.spec,
            database: &self.database,
            shown: &self.shown,
            replication: self.replication().await?,
        })
    }

    async fn table(&self) -> Result<Table> {
        Table::must(&self.server, &self.database, &self.spec.table).await
    }

    /// Takes away what dead attempts of a track staged. A live one finds its stage gone, and that the record is not its own any more.
    async fn sweep(&self, track: &Track) -> Result<()> {
        let sql = format!(
            "SELECT name, comment FROM system.tables WHERE database = {} AND (startsWith(name, '{STAGE}') OR startsWith(name, '{KEYS}'))",
            literal(&self.database)
        );
        for row in self.server.rows(&self.shown, &sql).await? {
            let own = |note: &Note| note.target == self.spec.table && note.track == track.key();
            if Note::parse(text(&row, 1)).as_ref().is_some_and(own) {
                self.run(&format!("DROP TABLE IF EXISTS {}", self.sql(text(&row, 0)))).await?;
            }
        }
        Ok(())
    }

    /// The partition that a staged window is, where the target's partitions are its windows: then one step of the server replaces it.
    async fn partition(&self, target: &Table, stage: &Stage) -> Result<Option<String>> {
        let Some((column, grain, zone)) = &self.spec.window else { return Ok(None) };
        let kind = target.column(column).and_then(|column| column.kind.arrow());
        let exact = kind == Some(DataType::Date32) && *grain != Grain::Hour;
        let own = kind.filter(|_| exact).map(|kind| by_grain(column, *grain, *zone, &kind));
        let sql = format!(
            "SELECT partition_key FROM system.tables WHERE database = {} AND name = {}",
            literal(&self.database),
            literal(&self.spec.table)
        );
        let key = self.server.cell(&self.shown, &sql).await?.unwrap_or_default();
        if own.is_none_or(|own| own.replace('`', "") != key.replace('`', "")) {
            return Ok(None);
        }
        let found = self.finisher().await?.partitions(&stage.name).await?;
        // Without rows there is nothing that could take the old ones' place: they go by themselves.
        let is_one = found.len() == 1;
        Ok(found.into_iter().next().filter(|_| is_one))
    }

    /// How the rows of a unit get from their stage into the target.
    fn way(&self, unit: &Unit, keys: Option<&String>) -> Way {
        match (self.spec.mode, &unit.scope, keys) {
            _ if self.spec.anew => Way::Exchange,
            (Mode::Merge, _, Some(keys)) => {
                Way::ClearAndMove(Clear::Keys { of: keys.clone(), columns: self.spec.key.clone() })
            }
            (Mode::Replace, ..) if self.spec.partition.is_empty() => Way::Exchange,
            (Mode::Replace, ..) => Way::ClearAndMove(Clear::Equal(self.spec.partition.clone())),
            (_, Scope::Window { column, from, until }, _) => {
                Way::Window { column: column.clone(), from: from.clone(), until: until.clone() }
            }
            _ => Way::Move,
        }
    }
}

#[async_trait]
impl Sink for TableSink {
    async fn recover(&self, track: &Track) -> Result<()> {
        let inner = &self.inner;
        if !has_records(&inner.server, &inner.database, &inner.shown).await? {
            return Ok(());
        }
        inner.finisher().await?.finish_all(&track.key()).await
    }

    async fn peek(&self, track: &Track) -> Result<Option<Record>> {
        match self.inner.kept_records().await? {
            Some(records) => records.of(&track.key()).await,
            None => Ok(None),
        }
    }

    async fn records(&self, prefix: &str) -> Result<Vec<(String, Record)>> {
        match self.inner.kept_records().await? {
            Some(records) => records.with_prefix(prefix).await,
            None => Ok(vec![]),
        }
    }

    async fn claim(&self, track: &Track, schema: &SchemaRef) -> Result<Claim> {
        let (inner, target) = (&self.inner, self.inner.target().await?);
        target.prepare(Some(schema)).await?;
        inner.finisher().await?.finish_all(&track.key()).await?;
        inner.sweep(track).await?;
        target.settle(track, schema).await
    }

    async fn stage(&self, staging: Staging<'_>, rows: Rows) -> Result<Box<dyn Staged>> {
        let inner = &self.inner;
        let target = inner.table().await?;
        let Staging { track, claim, unit, .. } = staging;
        let replication = inner.replication().await?;
        let note =
            Note::new(&inner.spec.table, track, staging.record(0), Way::Move).by(replication.replica());
        let mut stage = Stage::make(&inner.server, &target, &inner.spec, &note, replication).await?;
        let filled = match rows {
            Rows::Stream(rows) => stage.fill(&target, &inner.spec, &claim.schema, rows).await,
            Rows::Sql(query) => stage.fill_inside(&target, &unit.scope, &claim.schema, &query).await,
        };
        let staged = Table { name: stage.name.clone(), ..target.clone() };
        let count = match filled {
            Ok(count) => count,
            Err(error) => return Err(failure(&staged, &inner.server, track, error).await),
        };
        failpoint::pass("clickhouse.stage.after");
        let way = match inner.way(unit, stage.keys.as_ref()) {
            window @ Way::Window { .. } => {
                inner.partition(&target, &stage).await?.map_or(window, Way::Partition)
            }
            way => way,
        };
        let note = Note::new(&inner.spec.table, track, staging.record(count), way).by(replication.replica());
        let expected = staging.expected();
        Ok(Box::new(StagedRows { inner: inner.clone(), track: track.clone(), expected, note, stage, staged }))
    }

    async fn set_record(&self, track: &Track, expected: Option<u64>, record: &Record) -> Result<()> {
        let inner = &self.inner;
        inner.target().await?.prepare(None).await?;
        inner.finisher().await?.finish_all(&track.key()).await?;
        if inner.records().await?.of(&track.key()).await?.map(|record| record.seq) != expected {
            return Err(conflict(track));
        }
        let replication = inner.replication().await?;
        let note = Note::new(&inner.spec.table, track, record.clone(), Way::Record).by(replication.replica());
        let name = inner.sql(&fresh(STAGE));
        let (engine, comment) = (replication.engine("MergeTree"), literal(&note.text()));
        inner
            .run(&format!(
                "CREATE TABLE {name} (nothing UInt8) ENGINE = {engine} ORDER BY () COMMENT {comment}"
            ))
            .await?;
        match inner.decide(&note, &name, expected).await? {
            Decided::Ours => inner.finisher().await?.finish(&note).await.map(|_| ()),
            Decided::Theirs(_) => {
                inner.run(&format!("DROP TABLE IF EXISTS {name}")).await?;
                Err(conflict(track))
            }
        }
    }

    async fn target(&self) -> Result<Option<SchemaRef>> {
        let inner = &self.inner;
        let table = Table::find(&inner.server, &inner.database, &inner.spec.table).await?;
        Ok(table.map(|table| table.arrow()))
    }

    /// Stages of dead attempts go with the next claim of their track.
    async fn maintain(&self, _: Duration, _: DateTime<Utc>) -> Result<()> {
        let inner = &self.inner;
        if has_records(&inner.server, &inner.database, &inner.shown).await? {
            inner.records().await?.prune().await?;
        }
        Ok(())
    }
}

/// Who has the name of a unit.
enum Decided {
    /// We have.
    Ours,
    /// Somebody else had it; the record that is there by now.
    Theirs(Option<Record>),
}

impl Inner {
    /// Gives a stage the name of the track's next unit, if nobody else has moved the record.
    async fn decide(&self, note: &Note, stage: &str, expected: Option<u64>) -> Result<Decided> {
        let unit = self.sql(&note.unit_name());
        match self.run(&format!("RENAME TABLE {stage} TO {unit}")).await {
            Ok(()) => {}
            // The name is taken, or a later claim took the stage away: somebody else writes this track.
            Err(error) if matches!(error.kind, ErrorKind::Unsupported | ErrorKind::NotFound) => {
                return Ok(Decided::Theirs(self.records().await?.of(&note.track).await?));
            }
            Err(error) => return Err(error),
        }
        failpoint::pass("clickhouse.decided");
        let there = self.records().await?.of(&note.track).await?;
        if there.as_ref().map(|record| record.seq) == expected {
            return Ok(Decided::Ours);
        }
        self.run(&format!("DROP TABLE IF EXISTS {unit}")).await?;
        Ok(Decided::Theirs(there))
    }
}

struct StagedRows {
    inner: Arc<Inner>,
    track: Track,
    expected: Option<u64>,
    note: Note,
    stage: Stage,
    staged: Table,
}

#[async_trait]
impl Staged for StagedRows {
    fn rows(&self) -> u64 {
        self.note.record.rows
    }

    fn table(&self) -> Option<Arc<dyn TableProvider>> {
        let (server, shown) = (self.inner.server.clone(), self.inner.shown.clone());
        let staged = LiveTable::staged(server, self.staged.clone(), self.track.clone(), shown);
        Some(Arc::new(Scanned(staged)))
    }

    async fn commit(mut self: Box<Self>) -> Result<Committed> {
        let (inner, note) = (&self.inner, &self.note);
        failpoint::pass("clickhouse.commit.before");
        // One that committed and was not told.
        let there = inner.records().await?.of(&note.track).await?;
        if there.as_ref().map(|record| record.seq) != self.expected {
            return self.theirs(there);
        }
        let name = inner.sql(&self.stage.name);
        match inner.run(&set_comment(&name, &note.text())).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Err(conflict(&self.track)),
            done => done?,
        }
        failpoint::pass("clickhouse.commit.noted");
        // From here on nobody knows whether the unit is decided, until the answer is there: who finishes it needs the keys. What nobody needs, the next claim takes away.
        self.stage.keep();
        let (inner, note) = (&self.inner, &self.note);
        match inner.decide(note, &name, self.expected).await? {
            Decided::Theirs(there) => self.theirs(there),
            Decided::Ours => {
                if !inner.finisher().await?.finish(note).await? {
                    return Err(conflict(&self.track));
                }
                if let (Way::Exchange, Some(keys)) = (&note.way, &self.stage.keys) {
                    inner.run(&format!("DROP TABLE IF EXISTS {}", inner.sql(keys))).await?;
                }
                failpoint::pass("clickhouse.commit.after");
                Ok(Committed::Now(note.record.clone()))
            }
        }
    }
}

impl StagedRows {
    /// Whether the record that is there is this very attempt's.
    fn theirs(&self, there: Option<Record>) -> Result<Committed> {
        match there {
            Some(found) if found.seq == self.note.record.seq && found.attempt == self.note.record.attempt => {
                Ok(Committed::Already(found))
            }
            _ => Err(conflict(&self.track)),
        }
    }
}
