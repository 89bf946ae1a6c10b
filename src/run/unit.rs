//! One unit on its way from the source into the sink: decoded rows → SQL → rows that fit → staged → committed.

use std::{sync::Arc, time::Duration};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{Stream, TryStreamExt, future};
use tokio_util::sync::CancellationToken;

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
    engine::{
        condition::Condition,
        transform::{Transform, put_ordinals, take_ordinals, with_ordinal_field},
    },
    model::{name::Track, unit::DELETED},
};

/// Dead letters that are held before they are written.
const LETTERS_HELD: usize = 1_000;

/// How rows of one source schema become rows of the sink; compiled.
pub(super) struct Shape {
    /// The source's schema that it was made for.
    pub source: SchemaRef,
    /// The pipeline's SQL.
    pub transform: Transform,
    /// Which of its rows are deletions.
    pub delete: Option<Condition>,
}

/// Everything that the rows of one unit meet on their way.
pub(super) struct Way {
    /// Whose rows.
    pub track: Track,
    /// How they change.
    pub shape: Arc<Shape>,
    /// Judges them.
    pub judge: Judge,
    /// Takes the bad ones.
    pub letters: Letters,
    /// Is told of them.
    pub observer: Arc<dyn Observer>,
    /// What the unit takes for now.
    pub now: DateTime<Utc>,
}

impl Way {
    /// The unit's rows as the sink wants them, judged as they pass.
    pub(super) async fn rows(
        self: &Arc<Self>,
        claim: &Claim,
        chunks: Chunks,
    ) -> Result<SendableRecordBatchStream> {
        let numbered = self.read(chunks).map_err(DataFusionError::from);
        let schema = with_ordinal_field(&self.shape.source);
        let source = Box::pin(RecordBatchStreamAdapter::new(schema, numbered));
        let results = self.shape.transform.run(source, self.now).await?;
        let (way, target) = (Arc::clone(self), Arc::clone(&claim.schema));
        let fitted = results
            .and_then(move |batch| future::ready(way.fitted(&batch, &target).map_err(DataFusionError::from)));
        let nonempty = fitted.try_filter(|batch| future::ready(batch.num_rows() > 0));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&claim.schema), nonempty)))
    }

    /// Counts and judges chunks as they are read; puts dead letters down before too many are held.
    fn read(self: &Arc<Self>, chunks: Chunks) -> impl Stream<Item = Result<RecordBatch>> + Send + use<> {
        let way = Arc::clone(self);
        chunks.and_then(move |chunk| {
            let way = Arc::clone(&way);
            async move { way.take(&chunk).await }
        })
    }

    async fn take(&self, chunk: &Chunk) -> Result<RecordBatch> {
        self.judge.read(chunk)?;
        let (rows, bad) = (chunk.batch.num_rows() as u64, chunk.bad.len() as u64);
        self.observer.event(&self.track, &Event::Read { rows, bad });
        self.put_letters(LETTERS_HELD).await?;
        put_ordinals(&chunk.batch, &chunk.ordinals)
    }

    fn fitted(&self, batch: &RecordBatch, target: &SchemaRef) -> Result<RecordBatch> {
        let (batch, ordinals) = take_ordinals(batch)?;
        let batch = self.with_deletions(batch)?;
        let fitted = fit(&batch, target)?;
        self.judge.fitted(&ordinals, &fitted.misfits)?;
        if !fitted.misfits.is_empty() {
            let bad = fitted.misfits.len() as u64;
            self.observer.event(&self.track, &Event::Read { rows: 0, bad });
        }
        Ok(fitted.batch)
    }

    /// With [`DELETED`] as the last column, where the merge has deletions.
    fn with_deletions(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let Some(condition) = &self.shape.delete else { return Ok(batch) };
        let deleted = condition.holds(&batch, self.now)?;
        let mut columns: Vec<(String, arrow::array::ArrayRef)> = batch
            .schema_ref()
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| (field.name().clone(), Arc::clone(column)))
            .collect();
        columns.push((DELETED.to_owned(), Arc::new(deleted)));
        Ok(RecordBatch::try_from_iter(columns)?)
    }

    /// Puts dead letters down once at least `least` are held.
    pub(super) async fn put_letters(&self, least: usize) -> Result<()> {
        self.letters.put(self.judge.take_letters(least)).await
    }
}

/// Waits for work that a cancelled run may still finish: for `grace` after the cancellation, then drops it.
pub(super) async fn unless_cancelled<T>(
    cancel: &CancellationToken,
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

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_millis(200);

    async fn takes(time: Duration, cancelled: bool) -> Result<u8> {
        let cancel = CancellationToken::new();
        if cancelled {
            cancel.cancel();
        }
        unless_cancelled(&cancel, GRACE, async {
            tokio::time::sleep(time).await;
            Ok(1)
        })
        .await
    }

    #[tokio::test]
    async fn what_ends_within_the_grace_is_kept() {
        assert_eq!(takes(GRACE / 20, true).await.unwrap(), 1);
        assert_eq!(takes(GRACE * 2, false).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn what_takes_longer_is_dropped() {
        assert_eq!(takes(Duration::from_hours(1), true).await.unwrap_err().kind, ErrorKind::Cancelled);
    }
}
