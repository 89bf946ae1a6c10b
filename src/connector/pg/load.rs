//! How rows get into a stage: by binary COPY, or as a connector of its own has it.

use arrow::array::RecordBatch;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use datafusion::execution::SendableRecordBatchStream;
use futures::{SinkExt, StreamExt};

use super::{client::Lease, dialect::STAGE, encode, error::failed};
use crate::{
    connector::error::{Error, Result},
    model::name::Track,
};

/// Bytes that are sent at once.
const SENT: usize = 256 << 10;

/// An empty stage that rows are for.
pub(crate) struct Stage<'a> {
    pub(crate) lease: &'a Lease,
    pub(crate) track: &'a Track,
    /// The target's schema and name.
    pub(crate) schema: &'a str,
    pub(crate) target: &'a str,
    /// Its columns, each a name and a type in SQL; the last one is the rows' number.
    pub(crate) columns: &'a [(String, String)],
    /// How messages name the target.
    pub(crate) shown: &'a str,
}

/// A way to fill a stage.
#[async_trait]
pub(crate) trait Load: Send + Sync {
    /// Whether it is COPY, which fills a target as well.
    fn copies(&self) -> bool {
        false
    }

    /// Sends the rows, numbered from 0; how many they were. When this fails, what was sent goes with the session.
    async fn load(&self, stage: Stage<'_>, rows: SendableRecordBatchStream) -> Result<u64>;
}

/// Binary COPY.
pub(crate) struct Copy;

#[async_trait]
impl Load for Copy {
    fn copies(&self) -> bool {
        true
    }

    async fn load(&self, stage: Stage<'_>, rows: SendableRecordBatchStream) -> Result<u64> {
        copy(stage.lease, STAGE, rows, Numbered::Yes, stage.shown).await
    }
}

/// Whether a row's number follows its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbered {
    Yes,
    No,
}

/// Sends rows by binary COPY into what SQL calls `into`; how many they were.
pub(crate) async fn copy(
    lease: &Lease,
    into: &str,
    rows: SendableRecordBatchStream,
    numbered: Numbered,
    shown: &str,
) -> Result<u64> {
    lease.heard(send(lease, into, rows, numbered, shown)).await
}

async fn send(
    lease: &Lease,
    into: &str,
    mut rows: SendableRecordBatchStream,
    numbered: Numbered,
    shown: &str,
) -> Result<u64> {
    let failed = |error| failed(shown, error);
    let copy = lease.copy_in::<_, Bytes>(&format!("COPY {into} FROM STDIN (FORMAT binary)")).await;
    let mut sink = Box::pin(copy.map_err(failed)?);
    let (mut out, mut number) = (BytesMut::with_capacity(SENT + (64 << 10)), 0_i64);
    encode::begin(&mut out);
    while let Some(batch) = rows.next().await {
        let batch: RecordBatch = batch.map_err(Error::from)?;
        let mut encoder = encode::Rows::new(&batch)?;
        for row in 0..batch.num_rows() {
            let written = encoder.write(row, (numbered == Numbered::Yes).then_some(number), &mut out);
            written.map_err(|error| blamed(error, shown))?;
            number += 1;
            if out.len() >= SENT {
                sink.send(out.split().freeze()).await.map_err(failed)?;
            }
        }
    }
    encode::end(&mut out);
    sink.send(out.freeze()).await.map_err(failed)?;
    sink.as_mut().finish().await.map_err(failed)
}

/// The error of a row, with the target that it was for.
pub(crate) fn blamed(mut error: Error, shown: &str) -> Error {
    error.message = format!("{shown}: {}", error.message);
    error
}
