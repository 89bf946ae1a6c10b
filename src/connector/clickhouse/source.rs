//! A table as a source: by cursor, or whole.
//!
//! Why nothing is missed or doubled: a unit is a range of keys, fixed before it is read, or one state of the table, held from the head of a run on by a
//! table of our own that shares its parts: merges, inserts and deletions in the table do not touch them. For cursors the delivery names what it rests on.
//!
//! A state is held where the table's data lies in parts on this one server and the user may make tables. Elsewhere a whole table is read as it is when reading begins:
//! a query sees one state of each table's parts, whatever is merged or inserted meanwhile.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arrow::{
    array::{AsArray, BooleanArray, RecordBatch, UInt64Array},
    compute::{filter, filter_record_batch},
    datatypes::SchemaRef,
};
use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{
    client::Server,
    ipc::{Batches, Typed, kept, typed},
    name::{literal, qualified},
    plan::{Look, check_came},
    table::Table,
};
use crate::{
    connector::{
        cells::{BatchDecoder, raw_rows},
        error::{ErrorKind, Result},
        source::{BadRow, Chunk, Source, SourceSpec, until_news},
    },
    model::{
        name::AttemptId,
        position::Position,
        unit::{Scope, SliceLimit, Unit},
    },
};

/// How often a waiting source looks for what others wrote.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long one waits where nothing tells of what others wrote.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);
/// What the tables begin with that hold a state.
const SNAPSHOT: &str = "_vitrina_snapshot_";

/// A table that is read.
pub(super) struct TableSource {
    server: Arc<Server>,
    spec: SourceSpec,
    /// What was seen when the head was last taken.
    seen: Mutex<Option<String>>,
    /// Of a cursor: where it ended while the table had these parts.
    ended: Mutex<Option<(String, String)>>,
    /// Of a whole table: what a run reads.
    held: Mutex<Option<Arc<Held>>>,
}

/// One state of a table, held by a table of our own as long as this lives.
struct Held {
    server: Arc<Server>,
    generation: Position,
    table: Table,
}

impl Drop for Held {
    fn drop(&mut self) {
        let (server, table) = (self.server.clone(), self.table.sql());
        // What is left behind all the same is taken away by a later run.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                server.run(&server.shown(), &format!("DROP TABLE IF EXISTS {table}")).await
            });
        }
    }
}

impl TableSource {
    pub(super) fn new(server: Arc<Server>, spec: SourceSpec) -> Self {
        Self { server, spec, seen: Mutex::default(), ended: Mutex::default(), held: Mutex::default() }
    }

    fn by_cursor(&self) -> bool {
        self.spec.cursor.is_some() && !self.spec.whole
    }

    async fn look(&self) -> Result<Look<'_>> {
        Look::begin(&self.server, &self.spec).await
    }

    /// The state that is held of this generation.
    fn held(&self, generation: Option<&Position>) -> Option<Arc<Held>> {
        let held = lock(&self.held).clone();
        held.filter(|held| Some(&held.generation) == generation)
    }

    /// Holds the table as it is now; `None` = it cannot be held.
    async fn hold(&self, look: &Look<'_>, generation: &Position) -> Result<Option<Held>> {
        // Another replica would not have it.
        if !look.table.has_own_parts() || self.server.has_replicas() {
            return Ok(None);
        }
        let (shown, name) = (look.shown(), format!("{SNAPSHOT}{}", AttemptId::fresh()));
        let copy = qualified(&look.table.database, &name);
        let made = self.server.run(&shown, &format!("CREATE TABLE {copy} AS {}", look.table.sql())).await;
        match made {
            Err(error) if matches!(error.kind, ErrorKind::Denied | ErrorKind::Unsupported) => {
                return Ok(None);
            }
            made => made?,
        }
        let table = Table { name, ..look.table.clone() };
        let held = Held { server: self.server.clone(), generation: generation.clone(), table };
        let attach = format!("ALTER TABLE {copy} ATTACH PARTITION ALL FROM {}", look.table.sql());
        match self.server.run(&shown, &attach).await {
            Err(error) if matches!(error.kind, ErrorKind::Denied | ErrorKind::Unsupported) => Ok(None),
            attached => attached.map(|()| Some(held)),
        }
    }

    /// Takes away what runs that died a day ago or earlier held.
    async fn sweep(&self, database: &str) -> Result<()> {
        let sql = format!(
            "SELECT name FROM system.tables WHERE database = {} AND startsWith(name, '{SNAPSHOT}') \
             AND metadata_modification_time < now() - INTERVAL 1 DAY",
            literal(database)
        );
        for row in self.server.rows(&self.server.shown(), &sql).await? {
            if let Some(name) = row.into_iter().next().flatten() {
                let sql = format!("DROP TABLE IF EXISTS {}", qualified(database, &name));
                self.server.run(&self.server.shown(), &sql).await?;
            }
        }
        Ok(())
    }

    /// What changes with whatever may concern the source: the end of a cursor, or, for whole tables, their parts; where there are none, as in views, the time.
    async fn version(&self) -> Result<String> {
        let parts = self.parts().await?;
        // None are told of what has none, as views, and of an empty table.
        let some = parts.clone().filter(|parts| !parts.is_empty());
        if self.by_cursor() {
            return self.end(some).await;
        }
        if let Some(some) = some {
            return Ok(some);
        }
        let look = self.look().await?;
        if parts.is_some() && look.table.engine.ends_with("MergeTree") {
            return Ok(String::new());
        }
        let sql = format!("SELECT toString(intDiv(toUnixTimestamp(now()), {}))", LOOK_ANYWAY.as_secs());
        Ok(self.server.cell(&look.shown(), &sql).await?.unwrap_or_default())
    }

    /// What changes with every part that comes or goes, by inserts, merges, mutations, or another table of this name: a part's path names the table and the part. `None` = the user
    /// may not see parts.
    async fn parts(&self) -> Result<Option<String>> {
        let database = self.spec.schema.as_deref().unwrap_or(&self.server.config.database);
        let sql = format!(
            "SELECT concat(toString(count()), ' ', toString(sum(rows)), ' ', toString(max(modification_time)), ' ', toString(sum(cityHash64(path)))) \
             FROM system.parts WHERE active AND database = {} AND table = {} HAVING count() > 0",
            literal(database),
            literal(&self.spec.table)
        );
        match self.server.cell(&self.server.table_shown(database, &self.spec.table), &sql).await {
            Ok(parts) => Ok(Some(parts.unwrap_or_default())),
            Err(error) if error.kind == ErrorKind::Denied => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The end of the cursor, asked for anew unless these are the parts that it was last found in: where it does not lead the table's order, the server looks through all of it.
    async fn end(&self, parts: Option<String>) -> Result<String> {
        let known = lock(&self.ended).clone();
        if let (Some(parts), Some((ended, end))) = (&parts, known)
            && ended == *parts
        {
            return Ok(end);
        }
        let look = self.look().await?;
        let end = serde_json::to_string(&look.head().await?).unwrap_or_default();
        *lock(&self.ended) = parts.filter(|_| look.rests_on_parts()).map(|parts| (parts, end.clone()));
        Ok(end)
    }

    /// Whether something has changed since this was last asked, or the head last taken.
    async fn has_news(&self) -> Result<bool> {
        let version = self.version().await?;
        let before = lock(&self.seen).replace(version.clone());
        Ok(before.is_none_or(|before| before != version))
    }

    /// The statement that reads a unit.
    fn statement(&self, look: &Look<'_>, decoder: &BatchDecoder, held: Option<&Held>, tail: &str) -> String {
        let from = held.map_or_else(|| look.table.source(), |held| held.table.source());
        format!("SELECT {} FROM {from}{tail}", look.table.selected(&decoder.source))
    }
}

#[async_trait]
impl Source for TableSource {
    async fn schema(&self) -> Result<SchemaRef> {
        Ok(self.look().await?.decoder.target)
    }

    async fn head(&self) -> Result<Position> {
        *lock(&self.held) = None;
        if self.by_cursor() {
            let head = self.look().await?.head().await?;
            *lock(&self.seen) = serde_json::to_string(&head).ok();
            return Ok(head);
        }
        // What is seen comes before the state that is held: what is written between the two is then news, and not lost.
        let seen = self.version().await?;
        let look = self.look().await?;
        let generation = look.head().await?;
        let held = self.hold(&look, &generation).await?;
        if held.is_some() {
            self.sweep(&look.table.database).await?;
        }
        *lock(&self.seen) = Some(seen);
        *lock(&self.held) = held.map(Arc::new);
        Ok(generation)
    }

    async fn plan(
        &self,
        from: Option<&Position>,
        head: &Position,
        limit: SliceLimit,
    ) -> Result<Option<Unit>> {
        let look = self.look().await?;
        let rows = match self.held(Some(head)) {
            Some(held) => {
                let sql = format!("SELECT toString(count()) FROM {}", held.table.source());
                self.server.cell(&look.shown(), &sql).await?.and_then(|rows| rows.parse().ok())
            }
            None => None,
        };
        look.plan(from, head, limit, rows).await
    }

    async fn read(&self, unit: &Unit) -> Result<BoxStream<'static, Result<Chunk>>> {
        let look = self.look().await?;
        let decoder = look.decoder_of(&unit.schema)?;
        let held = self.held(unit.after.position()).filter(|_| unit.scope == Scope::Snapshot);
        let sql = self.statement(&look, &decoder, held.as_deref(), &look.tail(unit)?);
        let answer = self.server.arrow(&look.shown(), &sql).await?;
        let (shown, must) = (look.shown(), look.must_come(unit));
        let state = (Batches::new(answer, &shown), decoder, 0_u64, held);
        let chunks = futures::stream::try_unfold(state, move |(mut batches, decoder, first, held)| {
            let shown = shown.clone();
            async move {
                let Some(batch) = batches.next().await? else {
                    return check_came(&shown, first, must).map(|()| None);
                };
                let next = first + batch.num_rows() as u64;
                let chunk = chunk(&batch, &decoder, first)?;
                Ok(Some((chunk, (batches, decoder, next, held))))
            }
        });
        Ok(Box::pin(chunks))
    }

    async fn describe(&self, unit: &Unit) -> Result<Option<String>> {
        let look = self.look().await?;
        let decoder = look.decoder_of(&unit.schema)?;
        Ok(Some(self.statement(&look, &decoder, None, &look.shape(unit))))
    }

    async fn changed(&self) {
        // Whoever waits has read what it wanted of the state that was held.
        *lock(&self.held) = None;
        until_news(LOOK_EVERY, || self.has_news()).await;
    }
}

/// Rows of a batch against their contract. One with a cell that Arrow has no value for is bad whatever the contract says.
fn chunk(batch: &RecordBatch, decoder: &BatchDecoder, first: u64) -> Result<Chunk> {
    let Typed { batch, broken } = typed(batch, &decoder.source)?;
    let ordinals = UInt64Array::from_iter_values(first..first + batch.num_rows() as u64);
    if broken.is_empty() {
        return decoder.decode(&batch, ordinals);
    }
    let is_broken = |row: usize| broken.binary_search_by_key(&row, |broken| broken.row).is_ok();
    let mask = |wanted: bool| {
        (0..batch.num_rows()).map(|row| Some(is_broken(row) == wanted)).collect::<BooleanArray>()
    };
    let good = mask(false);
    let ordinals = filter(&ordinals, &good)?.as_primitive().clone();
    let mut chunk = decoder.decode(&filter_record_batch(&batch, &good)?, ordinals)?;
    let rows = raw_rows(&kept(&filter_record_batch(&batch, &mask(true))?)?)?;
    let bad = broken.into_iter().zip(rows).map(|(broken, row)| BadRow {
        ordinal: first + broken.row as u64,
        column: Some(broken.column),
        reason: broken.what.to_owned(),
        row,
    });
    chunk.bad.extend(bad);
    Ok(chunk)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
