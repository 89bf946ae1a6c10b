//! Queries that need more memory than there is.

use chrono::{DateTime, Utc};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::{
    params::Params,
    session::{Engine, Settings},
};
use crate::connector::error::{Error, ErrorKind};

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

/// An engine of little memory that knows no connections.
fn small(memory: u64, threads: usize) -> (Engine, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let spill = folder.path().to_owned();
    let settings = Settings { memory, spill, zone: chrono_tz::UTC, threads, push_down: true };
    (Engine::new(&settings).unwrap(), folder)
}

async fn count(mut rows: SendableRecordBatchStream) -> usize {
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        count += batch.unwrap().num_rows();
    }
    count
}

#[tokio::test]
async fn big_sorts_spill() {
    let (engine, _folder) = small(24 << 20, 1);
    let sql = "SELECT value, value * 7 % 1000003 AS x, CAST(value AS VARCHAR) || '-------------------------' AS t FROM generate_series(1, 1000000) ORDER BY x";
    let rows = engine.query(sql, &Params::new(), now()).await.unwrap();
    assert_eq!(count(rows).await, 1_000_000);
}

/// Both sides of this join are larger than the memory.
const LARGE_JOIN: &str = "WITH side AS (SELECT value, repeat('x', 100) || value AS t FROM generate_series(1, 500000)) \
     SELECT one.value, one.t, other.t AS u FROM side AS one LEFT JOIN side AS other ON one.value = other.value";

#[tokio::test]
async fn big_joins_spill() {
    for threads in [1, 2] {
        let (engine, _folder) = small(64 << 20, threads);
        let rows = engine.query(LARGE_JOIN, &Params::new(), now()).await.unwrap();
        assert_eq!(count(rows).await, 500_000);
    }
}

/// A cross join holds one side, and has no other way.
#[tokio::test]
async fn what_cannot_spill_tells_who_holds_the_memory() {
    let (engine, _folder) = small(24 << 20, 2);
    let sql = "SELECT one.t, other.value FROM (SELECT repeat('x', 100) || value AS t FROM generate_series(1, 500000)) AS one \
               CROSS JOIN (SELECT value FROM generate_series(1, 500000)) AS other";
    let mut rows = engine.query(sql, &Params::new(), now()).await.unwrap();
    let error = Error::from(rows.next().await.unwrap().unwrap_err());
    assert_eq!((error.kind, error.advice()), (ErrorKind::Limit, "raise `memory` in [daemon]"));
    let message = error.to_string();
    assert!(
        message.starts_with("the SQL engine ran out of memory: ") && !message.contains('\n'),
        "{message}"
    );
    assert!(message.contains("CrossJoin"), "{message}");
}

/// Who waits for a check holds what its own query took.
#[tokio::test]
async fn what_others_wait_for_has_memory_of_its_own() {
    let (engine, _folder) = small(128 << 20, 2);
    let mut held = engine.query(LARGE_JOIN, &Params::new(), now()).await.unwrap();
    held.next().await.unwrap().unwrap();
    let sql = "SELECT value, count(*) AS n FROM generate_series(1, 100000) GROUP BY value";
    let aside = engine.query_over(sql, &Params::new(), now(), &[]).await.unwrap();
    assert_eq!(count(aside).await, 100_000);
    assert!(count(held).await < 500_000, "a batch of them was taken before");
}
