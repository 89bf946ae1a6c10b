//! A table as a source: by cursor, or whole.
//!
//! Why nothing is missed or doubled: a unit is a range of keys, fixed before it is read, or one state of the table, held from the head of a
//! run on by an exported snapshot. For cursors the delivery names what it rests on.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use tokio::sync::oneshot;

use super::{
    client::{Lease, Server},
    error::failed,
    name::literal,
    parts::{self, Parts},
    plan::Look,
    read::{self, Query},
    table::Table,
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        source::{Chunk, Source, SourceSpec, until_news},
    },
    model::{
        position::Position,
        unit::{Scope, SliceLimit, Unit},
    },
};

/// How long one waits where nothing tells of commits.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);

/// How everything that belongs together is asked; where rows leave by an INSERT, not as a reader only.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const BEGIN_BULK: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE";

/// A session that holds a state keeps no lock on a table between two uses: a lock that was taken behind a savepoint goes with it.
const HOLD: &str = "SAVEPOINT _vitrina";
const LET_GO: &str = "ROLLBACK TO SAVEPOINT _vitrina; RELEASE SAVEPOINT _vitrina";

/// Another way out of the server for the rows of a whole table.
#[async_trait]
pub(crate) trait Bulk: Send + Sync {
    /// The rows of a query over a table, in any order, and the session once all were read.
    async fn lend(
        &self,
        lease: Lease,
        query: Query,
        table: &Table,
    ) -> Result<(BoxStream<'static, Result<Chunk>>, oneshot::Receiver<Lease>)>;
}

/// A table that is read.
pub(crate) struct TableSource {
    server: Arc<Server>,
    spec: SourceSpec,
    /// How a whole table is read; `None` = by COPY.
    bulk: Option<Arc<dyn Bulk>>,
    /// What was seen when the head was last taken.
    seen: Mutex<Option<String>>,
    /// Of a whole table: what a run reads.
    pinned: Mutex<Option<Arc<Pinned>>>,
}

/// One state of a database, held from the head of a run on.
struct Pinned {
    generation: Position,
    held: Held,
}

/// How a state is held.
enum Held {
    /// By a name that other sessions see it by, as long as this one is in its transaction.
    Snapshot { name: String, lease: Lease },
    /// By the one session that sees it; gone while that reads, and for good when a reader was dropped.
    Session(Mutex<Option<Lease>>),
}

impl Pinned {
    fn is_lost(&self) -> bool {
        match &self.held {
            Held::Snapshot { lease, .. } => lease.is_closed(),
            Held::Session(lease) => lock(lease).as_ref().is_none_or(|lease| lease.is_closed()),
        }
    }
}

impl TableSource {
    pub(crate) fn new(server: Arc<Server>, spec: SourceSpec, bulk: Option<Arc<dyn Bulk>>) -> Self {
        Self { server, spec, bulk, seen: Mutex::default(), pinned: Mutex::default() }
    }

    fn by_cursor(&self) -> bool {
        self.spec.cursor.is_some() && !self.spec.whole
    }

    /// The state that is held of this generation.
    fn pinned(&self, generation: &Position) -> Option<Arc<Pinned>> {
        let held = lock(&self.pinned).clone();
        held.filter(|pinned| pinned.generation == *generation && !pinned.is_lost())
    }

    fn failed(&self, error: tokio_postgres::Error) -> Error {
        let schema = self.spec.schema.as_deref().unwrap_or(&self.server.config.schema);
        failed(&self.server.table_shown(schema, &self.spec.table), error)
    }

    /// A session in a transaction that sees one state: the held one, where there is one.
    async fn begin(&self, pinned: Option<&Pinned>) -> Result<Lease> {
        let own = if self.bulk.is_some() && !self.by_cursor() { BEGIN_BULK } else { BEGIN };
        let begin = match pinned.map(|pinned| &pinned.held) {
            Some(Held::Session(held)) => {
                let taken = lock(held).take();
                if let Some(lease) = taken {
                    lease.run(HOLD).await.map_err(|error| self.failed(error))?;
                    return Ok(lease);
                }
                format!("{own}; {HOLD}")
            }
            Some(Held::Snapshot { name, .. }) => {
                format!("{BEGIN}; SET TRANSACTION SNAPSHOT {}", literal(name))
            }
            None => own.to_owned(),
        };
        let lease = self.server.lease().await?;
        lease.run(&begin).await.map_err(|error| self.failed(error))?;
        Ok(lease)
    }

    /// Ends what [`begin`](Self::begin) began, with the same state held.
    async fn end(&self, lease: Lease, pinned: Option<&Pinned>) -> Result<()> {
        if let Some(Held::Session(held)) = pinned.map(|pinned| &pinned.held) {
            lease.run(LET_GO).await.map_err(|error| self.failed(error))?;
            *lock(held) = Some(lease);
            return Ok(());
        }
        lease.run("COMMIT").await.map_err(|error| self.failed(error))?;
        lease.give_back();
        Ok(())
    }

    /// What changes with every commit that may concern the source: the end of a cursor, or, for whole tables, which of the server's transactions have ended.
    async fn version(&self) -> Result<String> {
        let lease = self.begin(None).await?;
        let version = if self.by_cursor() {
            let head = Look::begin(&lease, &self.spec).await?.head().await?;
            serde_json::to_string(&head).unwrap_or_default()
        } else {
            match self.server.dialect.last_commit() {
                Some(sql) => lease.cell(sql).await.map_err(|error| self.failed(error))?.unwrap_or_default(),
                None => String::new(),
            }
        };
        self.end(lease, None).await?;
        Ok(version)
    }

    /// Whether something was committed since this was last asked, or the head last taken.
    async fn has_news(&self) -> Result<bool> {
        let version = self.version().await?;
        let before = lock(&self.seen).replace(version.clone());
        Ok(before.is_none_or(|before| before != version))
    }
}

#[async_trait]
impl Source for TableSource {
    async fn schema(&self) -> Result<SchemaRef> {
        let lease = self.begin(None).await?;
        let schema = Look::begin(&lease, &self.spec).await?.selection.schema;
        self.end(lease, None).await?;
        Ok(schema)
    }

    async fn head(&self) -> Result<Position> {
        *lock(&self.pinned) = None;
        if self.by_cursor() {
            let lease = self.begin(None).await?;
            let head = Look::begin(&lease, &self.spec).await?.head().await?;
            self.end(lease, None).await?;
            *lock(&self.seen) = serde_json::to_string(&head).ok();
            return Ok(head);
        }
        // What is seen comes before the state that is held: what is committed between the two is then news, and not lost.
        let seen = self.version().await?;
        let lease = self.begin(None).await?;
        let generation = Look::begin(&lease, &self.spec).await?.head().await?;
        let held = if self.server.dialect.exports_snapshots() {
            let name = lease.cell("SELECT pg_export_snapshot()").await.map_err(|error| self.failed(error))?;
            Held::Snapshot { name: name.unwrap_or_default(), lease }
        } else {
            Held::Session(Mutex::new(Some(lease)))
        };
        *lock(&self.seen) = Some(seen);
        *lock(&self.pinned) = Some(Arc::new(Pinned { generation: generation.clone(), held }));
        Ok(generation)
    }

    async fn plan(
        &self,
        from: Option<&Position>,
        head: &Position,
        limit: SliceLimit,
    ) -> Result<Option<Unit>> {
        let pinned = self.pinned(head);
        let lease = self.begin(pinned.as_deref()).await?;
        let unit = Look::begin(&lease, &self.spec).await?.plan(from, head, limit).await?;
        self.end(lease, pinned.as_deref()).await?;
        Ok(unit)
    }

    async fn read(&self, unit: &Unit) -> Result<BoxStream<'static, Result<Chunk>>> {
        let pinned = unit.after.position().and_then(|generation| self.pinned(generation));
        let lease = self.begin(pinned.as_deref()).await?;
        let look = Look::begin(&lease, &self.spec).await?;
        let selection = look.selection.clone().pinned(&unit.schema)?;
        if let (Scope::Snapshot, Some(pinned)) = (&unit.scope, &pinned)
            && let Held::Snapshot { .. } = pinned.held
        {
            let parts = Parts::of(&lease, &look.table, self.server.config.parallel).await;
            if let Some(parts) = parts.map_err(|error| self.failed(error))? {
                let table = look.table;
                let mut leases = vec![lease];
                while leases.len() < parts.sessions(self.server.config.parallel) {
                    leases.push(self.begin(Some(pinned)).await?);
                }
                let query = move |range: &str| selection.query(&table, &format!(" WHERE {range}"));
                return Ok(parts::read(leases, parts, query, pinned.clone()));
            }
        }
        let query = selection.query(&look.table, &look.tail(unit)?);
        let table = look.table;
        match pinned.filter(|pinned| matches!(pinned.held, Held::Session(_))) {
            Some(pinned) => {
                let (chunks, back) = match &self.bulk {
                    Some(bulk) if unit.scope == Scope::Snapshot => bulk.lend(lease, query, &table).await?,
                    _ => read::lend(lease, query).await?,
                };
                Ok(returning(chunks, back, pinned))
            }
            None => read::copy(lease, query).await,
        }
    }

    async fn describe(&self, unit: &Unit) -> Result<Option<String>> {
        let lease = self.begin(None).await?;
        let look = Look::begin(&lease, &self.spec).await?;
        let query = look.selection.clone().pinned(&unit.schema)?.query(&look.table, &look.shape(unit));
        self.end(lease, None).await?;
        Ok(Some(query.statement()))
    }

    async fn changed(&self) {
        // Whoever waits has read what it wanted of the state that was held.
        *lock(&self.pinned) = None;
        if !self.by_cursor() && self.server.dialect.last_commit().is_none() {
            return tokio::time::sleep(LOOK_ANYWAY).await;
        }
        until_news(self.server.dialect.looks_every(), || self.has_news()).await;
    }
}

/// The chunks; when all were read, the session that they came by sees the held state again.
fn returning(
    chunks: BoxStream<'static, Result<Chunk>>,
    back: oneshot::Receiver<Lease>,
    pinned: Arc<Pinned>,
) -> BoxStream<'static, Result<Chunk>> {
    let end = futures::stream::once(async move {
        if let (Ok(lease), Held::Session(held)) = (back.await, &pinned.held)
            && lease.run(LET_GO).await.is_ok()
        {
            *lock(held) = Some(lease);
        }
        None
    });
    chunks.map(Some).chain(end).filter_map(async |chunk| chunk).boxed()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The error of a part that ended without an answer.
pub(crate) fn stopped() -> Error {
    Error::new(ErrorKind::Internal, "a reader stopped without an answer")
}
