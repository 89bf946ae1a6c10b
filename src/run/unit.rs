//! One unit on its way from the source into the sink: decoded rows → SQL → rows that fit → staged → committed.

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{AsArray, RecordBatch, UInt64Array},
    datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type},
};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{Stream, StreamExt, TryStreamExt, future};

use super::{
    event::{Event, Observer},
    fit::fit,
    judge::Judge,
    letters::Letters,
    reader::Chunks,
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        sink::Claim,
        source::Chunk,
    },
    engine::transform::Transform,
    model::{
        name::Track,
        unit::{DELETED, ORDINAL},
    },
};

/// Dead letters that are held before they are written.
const LETTERS_HELD: usize = 1_000;

/// How rows of one source schema become rows of the sink.
pub(super) struct Shape {
    /// The source's schema that it was made for.
    pub source: SchemaRef,
    /// SQL, compiled; `None` = rows as they are.
    pub transform: Option<Transform>,
}

impl Shape {
    /// The schema of the rows that the sink is asked to take: without hidden columns.
    pub(super) fn rows_schema(&self) -> SchemaRef {
        let schema = match &self.transform {
            Some(transform) => transform.schema(),
            None => Arc::clone(&self.source),
        };
        let fields =
            schema.fields().iter().filter(|field| field.name() != DELETED && field.name() != ORDINAL);
        Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
    }
}

/// Everything that the rows of one unit meet on their way.
pub(super) struct Way {
    /// Whose rows.
    pub track: Track,
    /// Judges them.
    pub judge: Arc<Judge>,
    /// Takes the bad ones.
    pub letters: Arc<Letters>,
    /// Is told of them.
    pub observer: Arc<dyn Observer>,
    /// What the unit takes for now.
    pub now: chrono::DateTime<chrono::Utc>,
}

impl Way {
    /// The unit's rows as the sink wants them, judged as they pass.
    pub(super) fn rows(
        self: &Arc<Self>,
        shape: &Shape,
        claim: &Claim,
        chunks: Chunks,
    ) -> Result<SendableRecordBatchStream> {
        let target = Arc::clone(&claim.schema);
        let read = self.read(chunks);
        let way = Arc::clone(self);
        let goal = Arc::clone(&target);
        let fitted = match &shape.transform {
            None => read
                .map_err(DataFusionError::from)
                .and_then(move |chunk| {
                    future::ready(
                        way.fitted(&chunk.batch, &chunk.ordinals, &goal).map_err(DataFusionError::from),
                    )
                })
                .boxed(),
            Some(transform) => {
                let schema = with_ordinal(&shape.source);
                let batches = read
                    .and_then({
                        let schema = Arc::clone(&schema);
                        move |chunk| future::ready(numbered(&chunk, &schema))
                    })
                    .map_err(DataFusionError::from);
                let source = Box::pin(RecordBatchStreamAdapter::new(schema, batches));
                let results = transform.run(source, self.now)?;
                results
                    .and_then(move |batch| {
                        let fitted = without_ordinal(&batch)
                            .and_then(|(batch, ordinals)| way.fitted(&batch, &ordinals, &goal));
                        future::ready(fitted.map_err(DataFusionError::from))
                    })
                    .boxed()
            }
        };
        let nonempty = fitted.try_filter(|batch| future::ready(batch.num_rows() > 0));
        Ok(Box::pin(RecordBatchStreamAdapter::new(target, nonempty)))
    }

    /// Counts and judges chunks as they are read; puts dead letters down before too many are held.
    fn read(self: &Arc<Self>, chunks: Chunks) -> impl Stream<Item = Result<Chunk>> + Send + use<> {
        let way = Arc::clone(self);
        chunks.and_then(move |chunk| {
            let way = Arc::clone(&way);
            async move {
                way.judge.read(&chunk)?;
                let (rows, bad) = (chunk.batch.num_rows() as u64, chunk.bad.len() as u64);
                way.observer.event(&way.track, &Event::Read { rows, bad });
                way.put_letters(LETTERS_HELD).await?;
                Ok(chunk)
            }
        })
    }

    fn fitted(&self, batch: &RecordBatch, ordinals: &UInt64Array, target: &SchemaRef) -> Result<RecordBatch> {
        let fitted = fit(batch, target)?;
        self.judge.fitted(ordinals, &fitted.misfits)?;
        if !fitted.misfits.is_empty() {
            let bad = fitted.misfits.len() as u64;
            self.observer.event(&self.track, &Event::Read { rows: 0, bad });
        }
        Ok(fitted.batch)
    }

    /// Puts dead letters down once at least `least` are held.
    pub(super) async fn put_letters(&self, least: usize) -> Result<()> {
        self.letters.put(self.judge.take_letters(least)).await
    }
}

/// The source's schema with the hidden row number behind it.
pub(super) fn with_ordinal(schema: &SchemaRef) -> SchemaRef {
    let hidden = Arc::new(Field::new(ORDINAL, DataType::UInt64, false));
    let fields = schema.fields().iter().cloned().chain([hidden]).collect::<Vec<_>>();
    Arc::new(Schema::new(fields))
}

/// A chunk's batch with its row numbers as the hidden column.
pub(super) fn numbered(chunk: &Chunk, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns = chunk.batch.columns().to_vec();
    columns.push(Arc::new(chunk.ordinals.clone()));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

fn without_ordinal(batch: &RecordBatch) -> Result<(RecordBatch, UInt64Array)> {
    let index = batch.schema_ref().index_of(ORDINAL)?;
    let ordinals = batch.column(index).as_primitive::<UInt64Type>().clone();
    let others: Vec<usize> = (0..batch.num_columns()).filter(|column| *column != index).collect();
    Ok((batch.project(&others)?, ordinals))
}

/// Waits for work that a cancelled run may still finish: for `grace` after the cancellation, then drops it.
pub(super) async fn unless_cancelled<T>(
    cancel: &tokio_util::sync::CancellationToken,
    grace: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let late = async {
        cancel.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        biased;
        done = work => done,
        () = late => Err(Error::new(ErrorKind::Cancelled, "cancelled; what was staged is dropped")),
    }
}
