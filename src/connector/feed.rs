//! Rows of a stream, handed to work that blocks.

use arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::error::{Error, ErrorKind, Result};

/// Batches that wait for the work, at most.
const WAITING: usize = 2;

/// What the work makes of all batches, on a thread of its own. Where the rows break off, what it made of those that came is dropped before that is told.
pub(crate) async fn feed<T: Send + 'static>(
    mut rows: SendableRecordBatchStream,
    work: impl FnOnce(&mut dyn Iterator<Item = RecordBatch>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let worker = spawn_blocking(move || work(&mut std::iter::from_fn(|| receiver.blocking_recv())));
    let mut broken = None;
    while let Some(batch) = rows.next().await {
        match batch {
            Ok(batch) => {
                // A worker that is gone has an error to tell.
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                broken = Some(error);
                break;
            }
        }
    }
    drop(sender);
    let made =
        worker.await.map_err(|error| Error::new(ErrorKind::Internal, "a worker stopped").caused_by(error))?;
    match broken {
        Some(error) => Err(error.into()),
        None => made,
    }
}
