//! A whole table read by several sessions at once: ranges of its pages under one exported snapshot.
//!
//! Rows come in the order of the pages, whoever reads them, so that a row has the same number each time. Each session is at most a few
//! chunks ahead of who takes them.

use arrow::array::UInt64Array;
use futures::{StreamExt, stream::BoxStream};
use tokio::sync::mpsc;

use super::{
    client::{Lease, Session},
    read::{self, Query},
    source::stopped,
    table::Table,
};
use crate::connector::{
    error::{Error, Result},
    source::Chunk,
};

/// Tables of fewer pages than this are read by one session.
const SMALL: u64 = 2_048;

/// Pages of a part, at least: 16 MiB.
const PART: u64 = 2_048;

/// Chunks that wait in each part.
const WAITING: usize = 2;

/// What one session reads, and where each part's chunks go.
type Work = Vec<(Query, mpsc::Sender<Result<Chunk>>)>;

/// Since when the server finds rows by ranges of `ctid` without reading the others.
const RANGES_SINCE: u32 = 140_000;

/// Conditions that cut a table into parts; none where it is read in one.
pub(crate) async fn of(
    session: &Session,
    table: &Table,
    parallel: u8,
) -> Result<Vec<String>, tokio_postgres::Error> {
    if parallel < 2 || table.row_place.is_none() || session.product.number < RANGES_SINCE {
        return Ok(vec![]);
    }
    let sql = format!("SELECT pg_relation_size({}) / current_setting('block_size')::bigint", table.oid);
    let pages: u64 = session.cell(&sql).await?.and_then(|pages| pages.parse().ok()).unwrap_or_default();
    Ok(if pages < SMALL { vec![] } else { cut(pages) })
}

/// The last part has no end: the table may have grown since its pages were counted, and a snapshot's rows all count.
fn cut(pages: u64) -> Vec<String> {
    let parts = pages.div_ceil(PART);
    let from = |part: u64| format!("ctid >= '({},0)'::tid", part * PART);
    let until = |part: u64| format!(" AND ctid < '({},0)'::tid", (part + 1) * PART);
    (0..parts)
        .map(|part| if part + 1 == parts { from(part) } else { format!("{}{}", from(part), until(part)) })
        .collect()
}

/// The rows of the parts, one after another. Part `i` is read by session `i % leases`; `held` is kept until the end.
pub(crate) fn read<H: Send + Sync + 'static>(
    leases: Vec<Lease>,
    queries: Vec<Query>,
    held: H,
) -> BoxStream<'static, Result<Chunk>> {
    let count = leases.len();
    let mut parts = vec![];
    let mut work: Vec<Work> = (0..count).map(|_| vec![]).collect();
    for (i, query) in queries.into_iter().enumerate() {
        let (sender, receiver) = mpsc::channel(WAITING);
        work[i % count].push((query, sender));
        parts.push(receiver);
    }
    for (lease, work) in leases.into_iter().zip(work) {
        tokio::spawn(lane(lease, work));
    }
    let state = (parts.into_iter(), None::<mpsc::Receiver<Result<Chunk>>>, 0_u64, held);
    let chunks = futures::stream::try_unfold(state, |(mut parts, mut current, mut next, held)| async move {
        loop {
            let Some(receiver) = &mut current else {
                match parts.next() {
                    Some(receiver) => current = Some(receiver),
                    None => return Ok::<_, Error>(None),
                }
                continue;
            };
            match receiver.recv().await {
                Some(chunk) => {
                    let Some(chunk) = numbered(chunk?, &mut next) else {
                        current = None;
                        continue;
                    };
                    return Ok(Some((chunk, (parts, current, next, held))));
                }
                None => return Err(stopped()),
            }
        }
    });
    chunks.boxed()
}

/// One session's parts, one after another; each ends with a chunk without rows, so that one that broke off is told from one that ended.
async fn lane(mut lease: Lease, work: Work) {
    for (query, sender) in work {
        let schema = query.schema.clone();
        let (mut stream, back) = match read::lend(lease, query).await {
            Ok(lent) => lent,
            Err(error) => {
                let _ = sender.send(Err(error)).await;
                return;
            }
        };
        while let Some(chunk) = stream.next().await {
            let failed = chunk.is_err();
            if sender.send(chunk).await.is_err() || failed {
                return;
            }
        }
        drop(stream);
        let Ok(returned) = back.await else {
            return;
        };
        lease = returned;
        let end = Chunk {
            batch: arrow::array::RecordBatch::new_empty(schema),
            ordinals: UInt64Array::from(Vec::<u64>::new()),
            bad: vec![],
        };
        if sender.send(Ok(end)).await.is_err() {
            return;
        }
    }
    if lease.run("COMMIT").await.is_ok() {
        lease.give_back();
    }
}

/// A chunk whose rows are numbered on from `next`; `None` = the end of a part.
fn numbered(mut chunk: Chunk, next: &mut u64) -> Option<Chunk> {
    let rows = chunk.ordinals.len() + chunk.bad.len();
    if rows == 0 {
        return None;
    }
    let first =
        chunk.ordinals.values().first().copied().into_iter().chain(chunk.bad.first().map(|bad| bad.ordinal));
    let shift = *next - first.min().unwrap_or_default();
    chunk.ordinals = chunk.ordinals.values().iter().map(|ordinal| ordinal + shift).collect();
    for bad in &mut chunk.bad {
        bad.ordinal += shift;
    }
    *next += rows as u64;
    Some(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_table_once() {
        assert_eq!(
            cut(PART + 1),
            ["ctid >= '(0,0)'::tid AND ctid < '(2048,0)'::tid", "ctid >= '(2048,0)'::tid"]
        );
        assert_eq!(cut(PART).len(), 1);
    }
}
