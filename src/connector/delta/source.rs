//! The source: a Delta table, read by its versions, by a cursor column over one snapshot per run, or whole.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arrow::{
    array::{RecordBatch, UInt64Array},
    datatypes::SchemaRef,
};
use async_trait::async_trait;
use futures::{Stream, StreamExt as _, stream::BoxStream};

use super::{
    super::{
        cells::BatchDecoder,
        error::{Error, ErrorKind, Result},
        source::{Chunk, Source, SourceSpec, until_news},
    },
    cursor::Cursor,
    location::Location,
    read::row_bytes,
    table::Table,
    versions,
};
use crate::model::{
    position::{Bound, Position, SourceIdentity},
    unit::{Progress, Scope, SliceLimit, Unit},
};

/// Opens a source. The table must be there.
pub(super) async fn open(location: Location, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
    let table = location.open_existing().await?;
    // A column that is missing, or of a type that the contract cannot read, is told at once.
    BatchDecoder::new(&location.describe(), &table.schema()?, spec.contract.as_ref(), spec.zone)?;
    if let Some(cursor) = &spec.cursor {
        Cursor::new(&table, cursor, spec.zone)?;
    } else if table.maps_columns()? {
        return Err(location
            .error(
                ErrorKind::Unsupported,
                "maps its columns to other names, and cannot be read without a cursor",
            )
            .hint("read it by a cursor: `cursor = { column = \"…\" }`"));
    }
    Ok(Arc::new(DeltaSource {
        location,
        spec: spec.clone(),
        seen: AtomicU64::new(table.version()),
        pinned: pinned(table),
        measured: tokio::sync::Mutex::new(None),
    }))
}

/// The snapshot that a run reads.
type Pinned = tokio::sync::Mutex<Arc<Table>>;

fn pinned(table: Table) -> Pinned {
    tokio::sync::Mutex::new(Arc::new(table))
}

struct DeltaSource {
    location: Location,
    spec: SourceSpec,
    /// The version at the last head.
    seen: AtomicU64,
    pinned: Pinned,
    /// The version that rows were last measured at, and their size.
    measured: tokio::sync::Mutex<Option<(u64, u64)>>,
}

impl DeltaSource {
    /// Pins the newest snapshot, read from the log anew: the table may have been made again.
    async fn newest(&self) -> Result<Arc<Table>> {
        let table = Arc::new(self.location.open_existing().await?);
        *self.pinned.lock().await = table.clone();
        Ok(table)
    }

    /// Bytes of a row, about; measured once a snapshot.
    async fn row_bytes(&self, table: &Table) -> Result<u64> {
        let mut measured = self.measured.lock().await;
        if let Some((_, bytes)) = measured.filter(|(version, _)| *version == table.version()) {
            return Ok(bytes);
        }
        // Files of mapped columns are not ours to read: a row of theirs is taken for a small one.
        let files = if table.maps_columns()? { vec![] } else { table.files()? };
        let bytes = row_bytes(&self.location, files, &table.schema()?).await?;
        *measured = Some((table.version(), bytes));
        Ok(bytes)
    }

    fn decoder(&self, table: &Table) -> Result<BatchDecoder> {
        let shown = self.location.describe();
        BatchDecoder::new(&shown, &table.schema()?, self.spec.contract.as_ref(), self.spec.zone)
    }

    fn cursor(&self, table: &Table) -> Result<Option<Cursor>> {
        self.spec.cursor.as_ref().map(|spec| Cursor::new(table, spec, self.spec.zone)).transpose()
    }

    fn identity(&self, table: &Table, cursor: Option<&Cursor>) -> Result<SourceIdentity> {
        Ok(SourceIdentity {
            kind: "delta".to_owned(),
            place: format!("{} ({})", self.location.table, table.id()?),
            order: match cursor {
                Some(cursor) => cursor.order(),
                None if self.spec.whole => "whole".to_owned(),
                None => "version".to_owned(),
            },
        })
    }

    /// Whether the table has another version than was seen, or is gone.
    async fn has_news(&self) -> Result<bool> {
        let moved = self.location.goes_on(self.seen.load(Ordering::SeqCst)).await?;
        Ok(moved || matches!(self.location.exists().await, Ok(false)))
    }

    fn other_source(&self, position: &Position, identity: &SourceIdentity) -> Error {
        let what = if position.source.kind == identity.kind && position.source.order == identity.order {
            "was made again since its position was written"
        } else {
            "is read another way than when its position was written"
        };
        self.location.error(ErrorKind::SourceChanged, what)
    }

    /// The whole table, as it is at the head's version.
    async fn snapshot(&self, table: &Table, head: &Position) -> Result<Unit> {
        let table = versions::table_at(table, head.bound()).await?;
        let rows = table.files()?.iter().map(|file| file.rows).sum();
        Ok(Unit {
            scope: Scope::Snapshot,
            after: Progress::Position(head.clone()),
            schema: self.decoder(&table)?.target,
            rows,
            about: None,
        })
    }

    /// The snapshot to read for a position: the pinned one, as long as it is of the same table.
    async fn table_of(&self, position: &Position) -> Result<Arc<Table>> {
        let pinned = self.pinned.lock().await.clone();
        let cursor = self.cursor(&pinned)?;
        let identity = self.identity(&pinned, cursor.as_ref())?;
        if position.source == identity { Ok(pinned) } else { Err(self.other_source(position, &identity)) }
    }
}

#[async_trait]
impl Source for DeltaSource {
    async fn schema(&self) -> Result<SchemaRef> {
        Ok(self.decoder(&self.location.open_existing().await?)?.target)
    }

    async fn head(&self) -> Result<Position> {
        let table = self.newest().await?;
        self.seen.store(table.version(), Ordering::SeqCst);
        let cursor = self.cursor(&table)?;
        let bound = match &cursor {
            Some(cursor) => cursor.last(&table).await?.map(Bound::at),
            None => Some(versions::bound(table.version())),
        };
        Ok(Position::single(self.identity(&table, cursor.as_ref())?, bound))
    }

    async fn plan(
        &self,
        from: Option<&Position>,
        head: &Position,
        limit: SliceLimit,
    ) -> Result<Option<Unit>> {
        let table = self.table_of(head).await?;
        if let Some(from) = from.filter(|from| from.source != head.source) {
            return Err(self.other_source(from, &head.source));
        }
        let (after, until) = (from.and_then(Position::bound), head.bound());
        if self.spec.whole {
            return if from == Some(head) { Ok(None) } else { self.snapshot(&table, head).await.map(Some) };
        }
        let found = match self.cursor(&table)? {
            Some(cursor) => {
                let row_bytes = self.row_bytes(&table).await?;
                cursor.plan(&table, after, until, (limit, row_bytes)).await?
            }
            None => versions::plan(&table, after, until, limit).await?,
        };
        let Some((bound, rows)) = found else { return Ok(None) };
        Ok(Some(Unit {
            scope: Scope::Slice { from: from.cloned() },
            after: Progress::Position(Position::single(head.source.clone(), Some(bound))),
            schema: self.decoder(&table)?.target,
            rows,
            about: None,
        }))
    }

    async fn read(&self, unit: &Unit) -> Result<BoxStream<'static, Result<Chunk>>> {
        let (from, after) = match (&unit.scope, &unit.after) {
            (Scope::Slice { from }, Progress::Position(after)) => (from.as_ref(), after),
            (Scope::Snapshot, Progress::Position(after)) => (None, after),
            _ => return Err(self.location.error(ErrorKind::Internal, "is read in slices or whole")),
        };
        let table = self.table_of(after).await?;
        let (contract, zone) = (self.spec.contract.as_ref(), self.spec.zone);
        let shown = self.location.describe();
        let decoder = BatchDecoder::of_unit(&shown, &table.schema()?, contract, zone, &unit.schema)?;
        let after_bound = from.and_then(Position::bound);
        let Some(until) = after.bound() else { return Ok(futures::stream::empty().boxed()) };
        match self.cursor(&table)? {
            Some(cursor) => {
                let rows = cursor.read(&table, after_bound, until, &decoder.source).await?;
                Ok(decoded(decoder, rows).boxed())
            }
            None => {
                let rows = versions::read(&table, after_bound, until, &decoder.source).await?;
                Ok(decoded(decoder, rows).boxed())
            }
        }
    }

    async fn describe(&self, unit: &Unit) -> Result<Option<String>> {
        let Progress::Position(after) = &unit.after else { return Ok(None) };
        let table = self.table_of(after).await?;
        let from = match &unit.scope {
            Scope::Slice { from } => from.as_ref().and_then(Position::bound),
            Scope::Snapshot | Scope::Window { .. } => None,
        };
        let Some(until) = after.bound() else { return Ok(None) };
        Ok(Some(match self.cursor(&table)? {
            Some(cursor) => format!(
                "a scan of version {} ({} in all){}",
                table.version(),
                versions::sized(&table.files()?),
                cursor.condition(from.is_some()),
            ),
            None => versions::describe(&table, from, until).await?,
        }))
    }

    async fn changed(&self) {
        until_news(self.location.look_every, || self.has_news()).await;
    }
}

fn decoded(
    decoder: BatchDecoder,
    rows: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
) -> impl Stream<Item = Result<Chunk>> + Send + 'static {
    let mut next = 0;
    rows.map(move |batch| {
        let batch = batch?;
        let first = next;
        next += batch.num_rows() as u64;
        decoder.decode(&batch, UInt64Array::from_iter_values(first..next))
    })
}
