//! A whole table read by several sessions at once: ranges of its pages under one exported snapshot.
//!
//! Rows come in the order of the pages, whoever reads them, so that a row has the same number each time. Sessions take turns part by part: a part is so small that one
//! is read whole before its turn comes, so that they work at the same time. Each session is at most a few chunks ahead of who takes them.

use arrow::array::UInt64Array;
use futures::{StreamExt, stream::BoxStream};
use tokio::sync::mpsc;

use super::{
    client::{Lease, Session},
    read::{self, Query},
    source::stopped,
    table::Table,
};
use crate::connector::{error::Result, source::Chunk};

/// Tables of fewer pages than this are read by one session.
const SMALL: u64 = 2_048;

/// Pages of a part: 1 MiB, of rows that are not compressed.
const PART: u64 = 128;

/// Chunks that wait in each session: as many as the narrowest rows of a part are.
const WAITING: usize = 4;

/// Since when the server finds rows by ranges of `ctid` without reading the others.
const RANGES_SINCE: u32 = 140_000;

/// A table that is cut into ranges of its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    count: u64,
}

impl Parts {
    /// How a table is cut; `None` = it is read in one.
    pub(crate) async fn of(
        session: &Session,
        table: &Table,
        parallel: u8,
    ) -> Result<Option<Self>, tokio_postgres::Error> {
        if parallel < 2 || table.row_place.is_none() || session.product.number < RANGES_SINCE {
            return Ok(None);
        }
        let sql = format!("SELECT pg_relation_size({}) / current_setting('block_size')::bigint", table.oid);
        let pages: u64 = session.cell(&sql).await?.and_then(|pages| pages.parse().ok()).unwrap_or_default();
        Ok((pages >= SMALL).then(|| Self::cut(pages)))
    }

    fn cut(pages: u64) -> Self {
        Self { count: pages.div_ceil(PART) }
    }

    /// How many sessions have something to read, at most `parallel`.
    pub(crate) fn sessions(self, parallel: u8) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX).min(usize::from(parallel))
    }

    /// The condition of a part's rows. The last part has no end: the table may have grown since its pages were counted, and a snapshot's rows all count.
    fn condition(self, part: u64) -> String {
        let from = format!("ctid >= '({},0)'::tid", part * PART);
        if part + 1 == self.count {
            return from;
        }
        format!("{from} AND ctid < '({},0)'::tid", (part + 1) * PART)
    }
}

/// The rows of the parts, one after another; `query` makes a part's of its condition. Part `i` is read by session `i % leases`; `held` is kept until the end.
pub(crate) fn read<H: Send + Sync + 'static>(
    leases: Vec<Lease>,
    parts: Parts,
    query: impl Fn(&str) -> Query + Clone + Send + Sync + 'static,
    held: H,
) -> BoxStream<'static, Result<Chunk>> {
    let step = leases.len();
    let mut lanes = vec![];
    for (first, lease) in leases.into_iter().enumerate() {
        let (sender, receiver) = mpsc::channel(WAITING);
        lanes.push(receiver);
        let query = query.clone();
        let mine = (first as u64..parts.count).step_by(step);
        let queries = mine.map(move |part| query(&parts.condition(part)));
        tokio::spawn(lane(lease, queries, sender));
    }
    let turns = Turns { lanes, at: 0, left: parts.count, rows: 0, _held: held };
    let chunks = futures::stream::try_unfold(turns, |mut turns| async move {
        Ok(turns.chunk().await?.map(|chunk| (chunk, turns)))
    });
    chunks.boxed()
}

/// The sessions' chunks, part by part.
struct Turns<H> {
    lanes: Vec<mpsc::Receiver<Result<Chunk>>>,
    /// Whose turn it is.
    at: usize,
    /// Parts that have not ended.
    left: u64,
    /// Rows that came, bad ones too.
    rows: u64,
    _held: H,
}

impl<H> Turns<H> {
    async fn chunk(&mut self) -> Result<Option<Chunk>> {
        while self.left > 0 {
            let chunk = self.lanes[self.at].recv().await.ok_or_else(stopped)??;
            if let Some(chunk) = numbered(chunk, &mut self.rows) {
                return Ok(Some(chunk));
            }
            self.left -= 1;
            self.at = (self.at + 1) % self.lanes.len();
        }
        Ok(None)
    }
}

/// One session's parts, one after another; each ends with a chunk without rows, so that one that broke off is told from one that ended.
async fn lane(
    mut lease: Lease,
    queries: impl Iterator<Item = Query> + Send,
    sender: mpsc::Sender<Result<Chunk>>,
) {
    for query in queries {
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
        let parts = Parts::cut(2 * PART + 1);
        let conditions: Vec<String> = (0..parts.count).map(|part| parts.condition(part)).collect();
        assert_eq!(
            conditions,
            [
                "ctid >= '(0,0)'::tid AND ctid < '(128,0)'::tid",
                "ctid >= '(128,0)'::tid AND ctid < '(256,0)'::tid",
                "ctid >= '(256,0)'::tid"
            ]
        );
        assert_eq!(Parts::cut(PART), Parts { count: 1 });
    }
}
