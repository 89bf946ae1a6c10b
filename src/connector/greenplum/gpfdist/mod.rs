//! Rows that segments fetch from us or bring to us, each its part: gpfdist's protocol, spoken by one service for all connections of a process that name the same port.
//!
//! A load is one statement, `INSERT INTO stage SELECT … FROM external`, and the rows that are handed out while it runs. Why the stage holds
//! each of them once: see [`server`]; besides, the statement must have written as many rows as were handed out.

mod external;
mod line;
mod out;
mod protocol;
mod server;
mod service;
mod text;
mod unload;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use bytes::BytesMut;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use sha2::{Digest, Sha256};

use self::{external::External, server::Feed, text::Lines};
pub(super) use self::{out::Brought, service::Service};
use super::sql;
use crate::connector::{
    error::{Error, ErrorKind, Result},
    pg::{Lease, Load, Stage, blamed, failed},
};

/// Bytes of a block, about: segments take turns by blocks.
const BLOCK: usize = 256 << 10;

/// Fills stages by letting segments fetch the rows.
pub(super) struct Fetched {
    service: Arc<Service>,
}

impl Fetched {
    pub(super) fn new(service: Arc<Service>) -> Self {
        Self { service }
    }
}

#[async_trait]
impl Load for Fetched {
    async fn load(&self, stage: Stage<'_>, rows: SendableRecordBatchStream) -> Result<u64> {
        let shown = stage.shown;
        if stage.lease.product.greenplum.is_none() {
            return Err(unserved(stage.lease, shown, "load", "load"));
        }
        let key = digest(&format!("{} {} {}", stage.schema, stage.target, stage.track.key()));
        let path = self.service.path(&key);
        let Some(feed) = self.service.desk().await?.loads.open(&path) else {
            let message = format!("{shown}: another load of {} is under way", stage.track.name());
            return Err(Error::new(ErrorKind::Busy, message));
        };
        let location = self.service.location(&path);
        let external = External::readable(stage.schema, &key, stage.columns, &location);
        let statement = sql::load(&external.made(&stage.lease.server, shown).await?, stage.columns);
        let insert = async { stage.lease.run(&statement).await.map_err(|error| failed(shown, error)) };
        exchange(feed, rows, insert, shown).await
    }
}

/// The error of a server whose segments do not speak the protocol.
fn unserved(lease: &Lease, shown: &str, what: &str, key: &str) -> Error {
    let message = format!("{shown}: the server is {}, which cannot {what} tables by gpfdist", lease.product);
    Error::new(ErrorKind::Unsupported, message).hint(format!("use `{key} = \"copy\"`"))
}

/// Hands the rows out while the statement runs; how many they were.
async fn exchange(
    mut feed: Feed,
    rows: SendableRecordBatchStream,
    insert: impl Future<Output = Result<u64>>,
    shown: &str,
) -> Result<u64> {
    let mut insert = std::pin::pin!(insert);
    let fed = tokio::select! {
        // A statement that ends before its rows has failed, or nobody asked for them.
        inserted = &mut insert => {
            feed.fail("the statement ended");
            let count = inserted?;
            return Err(other_count(shown, count, None));
        }
        fed = hand_out(&feed, rows, shown) => fed,
    };
    match fed {
        Ok(count) => {
            feed.finish();
            let inserted = insert.await?;
            if inserted == count { Ok(count) } else { Err(other_count(shown, inserted, Some(count))) }
        }
        Err(Stop::Source(error)) => {
            feed.fail("the rows broke off");
            // The statement hears of it and fails.
            let _ = insert.await;
            Err(error)
        }
        Err(Stop::Segment) => {
            feed.fail("a segment went away");
            let count = insert.await?;
            Err(other_count(shown, count, None))
        }
    }
}

/// Why rows are not handed out any more.
enum Stop {
    Source(Error),
    Segment,
}

async fn hand_out(
    feed: &Feed,
    mut rows: SendableRecordBatchStream,
    shown: &str,
) -> std::result::Result<u64, Stop> {
    let refused = |error| Stop::Source(blamed(error, shown));
    let (mut out, mut number) = (BytesMut::with_capacity(BLOCK + (64 << 10)), 0_u64);
    while let Some(batch) = rows.next().await {
        let batch: RecordBatch = batch.map_err(|error| Stop::Source(error.into()))?;
        let mut lines = Lines::new(&batch).map_err(refused)?;
        for row in 0..batch.num_rows() {
            lines.write(row, number, &mut out).map_err(refused)?;
            number += 1;
            if out.len() >= BLOCK && !feed.put(out.split().freeze()).await {
                return Err(Stop::Segment);
            }
        }
    }
    if !out.is_empty() && !feed.put(out.freeze()).await {
        return Err(Stop::Segment);
    }
    Ok(number)
}

fn other_count(shown: &str, inserted: u64, given: Option<u64>) -> Error {
    let given = given.map_or_else(|| "not all".to_owned(), |given| given.to_string());
    let message = format!("{shown}: segments took {inserted} rows, and {given} were handed out");
    Error::new(ErrorKind::Unreachable, message).hint("nothing was written; it is tried again")
}

fn digest(of: &str) -> String {
    Sha256::digest(of)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
