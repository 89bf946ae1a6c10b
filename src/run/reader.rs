//! Reads a source unit by unit on a task of its own, so that the next slice is read while one is committed.
//!
//! Plans go on from the last planned unit, committed or not. When the record turns out to be elsewhere, or a unit must be
//! tried again, the reader is dropped and another one started from the record.

use std::sync::Arc;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
};
use tracing::Instrument;

use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        source::{Chunk, Source},
    },
    model::{
        position::Position,
        unit::{SliceLimit, Unit},
    },
};

/// Chunks that are read ahead of what is staged, at most: so many small ones bridge the time in which a sink ends one unit and begins the next.
const CHUNKS_AHEAD: usize = 64;
/// KiB of their rows, at most; a larger chunk waits until it is alone.
const KIB_AHEAD: usize = 16 << 10;

enum Message {
    Unit(Unit),
    /// Its room is free again once it is taken.
    Chunk(Chunk, OwnedSemaphorePermit),
    End,
}

/// The rows of one unit on their way.
pub(super) type Chunks = BoxStream<'static, Result<Chunk>>;

type Inbox = Arc<Mutex<mpsc::Receiver<Result<Message>>>>;

/// A source being read from one position up to the run's head.
pub(super) struct Reader {
    inbox: Inbox,
    task: JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reader {
    /// Begins to read behind `from`, up to `head`.
    pub(super) fn start(
        source: Arc<dyn Source>,
        from: Option<Position>,
        head: Position,
        limit: SliceLimit,
    ) -> Self {
        let (outbox, inbox) = mpsc::channel(CHUNKS_AHEAD);
        let work = async move {
            if let Err(error) = read_all(&*source, from, &head, limit, &outbox).await {
                // Nobody listens any more: the run has ended, with an error of its own.
                let _ = outbox.send(Err(error)).await;
            }
        };
        let task = tokio::spawn(work.in_current_span());
        Self { inbox: Arc::new(Mutex::new(inbox)), task }
    }

    /// The next unit and its rows; `None` at the head. The one before must have been read to its end.
    pub(super) async fn next(&mut self) -> Result<Option<(Unit, Chunks)>> {
        match self.inbox.lock().await.recv().await.transpose()? {
            None => Ok(None),
            Some(Message::Unit(unit)) => Ok(Some((unit, chunks(Arc::clone(&self.inbox))))),
            Some(Message::Chunk(..) | Message::End) => {
                Err(Error::new(ErrorKind::Internal, "a unit was left before its end"))
            }
        }
    }
}

async fn read_all(
    source: &dyn Source,
    mut from: Option<Position>,
    head: &Position,
    limit: SliceLimit,
    outbox: &mpsc::Sender<Result<Message>>,
) -> Result<()> {
    let room = Arc::new(Semaphore::new(KIB_AHEAD));
    while let Some(unit) = source.plan(from.as_ref(), head, limit).await? {
        from = unit.after.position().cloned();
        if !send_unit(source, unit, &room, outbox).await? {
            break;
        }
    }
    Ok(())
}

/// `false` = nobody listens any more.
async fn send_unit(
    source: &dyn Source,
    unit: Unit,
    room: &Arc<Semaphore>,
    outbox: &mpsc::Sender<Result<Message>>,
) -> Result<bool> {
    if outbox.send(Ok(Message::Unit(unit.clone()))).await.is_err() {
        return Ok(false);
    }
    let mut chunks = source.read(&unit).await?;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        let kib = (bytes(&chunk) >> 10).clamp(1, KIB_AHEAD) as u32;
        let Ok(place) = Arc::clone(room).acquire_many_owned(kib).await else { return Ok(false) };
        if outbox.send(Ok(Message::Chunk(chunk, place))).await.is_err() {
            return Ok(false);
        }
    }
    Ok(outbox.send(Ok(Message::End)).await.is_ok())
}

/// What a chunk's rows take, without what they share with others.
fn bytes(chunk: &Chunk) -> usize {
    let columns = chunk.batch.columns().iter();
    columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or_default()).sum()
}

/// The chunks of the unit at hand; an error where the reader stopped before its end.
fn chunks(inbox: Inbox) -> Chunks {
    let next = |inbox: Inbox| async move {
        let message = inbox.lock().await.recv().await;
        match message {
            Some(Ok(Message::Chunk(chunk, place))) => {
                drop(place);
                Some((Ok(chunk), inbox))
            }
            Some(Ok(Message::End)) => None,
            Some(Err(error)) => Some((Err(error), inbox)),
            Some(Ok(Message::Unit(_))) | None => {
                Some((Err(Error::new(ErrorKind::Internal, "the reader stopped inside a unit")), inbox))
            }
        }
    };
    stream::unfold(inbox, next).boxed()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use arrow::{
        array::{RecordBatch, UInt64Array},
        datatypes::{DataType, Field, Schema, SchemaRef},
    };
    use async_trait::async_trait;

    use super::*;
    use crate::model::{
        position::SourceIdentity,
        unit::{Progress, Scope},
    };

    /// One unit of many chunks of so many KiB, each known by its ordinal; counts those that were read.
    struct Counted {
        read: Arc<AtomicUsize>,
        kib: usize,
    }

    const CHUNKS: usize = 100;

    fn end() -> Position {
        let identity =
            SourceIdentity { kind: "test".to_owned(), place: "p".to_owned(), order: "x".to_owned() };
        Position::single(identity, None)
    }

    #[async_trait]
    impl Source for Counted {
        async fn schema(&self) -> Result<SchemaRef> {
            Ok(Arc::new(Schema::new(vec![Field::new("n", DataType::UInt64, false)])))
        }

        async fn head(&self) -> Result<Position> {
            Ok(end())
        }

        async fn plan(&self, from: Option<&Position>, _: &Position, _: SliceLimit) -> Result<Option<Unit>> {
            let unit = Unit {
                scope: Scope::Slice { from: None },
                after: Progress::Position(end()),
                schema: self.schema().await?,
                rows: None,
                about: None,
            };
            Ok(from.is_none().then_some(unit))
        }

        async fn read(&self, unit: &Unit) -> Result<BoxStream<'static, Result<Chunk>>> {
            let column = Arc::new(UInt64Array::from(vec![0; self.kib << 7]));
            let (read, batch) =
                (Arc::clone(&self.read), RecordBatch::try_new(Arc::clone(&unit.schema), vec![column])?);
            let chunks = stream::iter(0..CHUNKS as u64).map(move |ordinal| {
                read.fetch_add(1, Ordering::SeqCst);
                let ordinals = UInt64Array::from(vec![ordinal]);
                Ok(Chunk { batch: batch.clone(), ordinals, bad: vec![] })
            });
            Ok(chunks.boxed())
        }

        async fn changed(&self) {}
    }

    /// Lets the reading task go on until it can go no further: both share one thread.
    async fn settle() {
        for _ in 0..10 * CHUNKS {
            tokio::task::yield_now().await;
        }
    }

    /// Chunks of so many KiB, of which so many may wait.
    async fn reads_ahead(kib: usize, most: usize) {
        let read = Arc::new(AtomicUsize::new(0));
        let source = Counted { read: Arc::clone(&read), kib };
        let mut reader = Reader::start(Arc::new(source), None, end(), SliceLimit::default());
        let (_, mut chunks) = reader.next().await.unwrap().expect("a unit");
        for taken in 0..CHUNKS {
            settle().await;
            // Those that wait, and the one that waits for room among them.
            assert_eq!(read.load(Ordering::SeqCst), (taken + most + 1).min(CHUNKS));
            let chunk = chunks.next().await.expect("a chunk").unwrap();
            assert_eq!(chunk.ordinals.value(0), taken as u64);
        }
        assert!(chunks.next().await.is_none());
        assert!(reader.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn no_more_is_read_ahead_than_may_wait() {
        reads_ahead(1, CHUNKS_AHEAD).await;
        reads_ahead(KIB_AHEAD / 4, 4).await;
        reads_ahead(KIB_AHEAD, 1).await;
        reads_ahead(KIB_AHEAD * 2, 1).await;
    }
}
