//! Queries that need more memory than there is.

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Int64Type,
};
use chrono::{DateTime, Utc};
use datafusion::execution::SendableRecordBatchStream;
use futures::{StreamExt, TryStreamExt};

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

/// A sort is given an answer that is larger than the memory as slices of a few large arrays.
#[tokio::test]
async fn what_groups_give_is_sorted() {
    for threads in [1, 2] {
        let (engine, _folder) = small(48 << 20, threads);
        let sql = "SELECT value % 400000 AS k, count(*) AS n, max(CAST(value AS VARCHAR) || '-------------------------') AS t \
                   FROM generate_series(1, 1000000) GROUP BY k ORDER BY t";
        let rows = engine.query(sql, &Params::new(), now()).await.unwrap();
        assert_eq!(count(rows).await, 400_000, "of {threads} threads");
    }
}

#[tokio::test]
async fn window_functions_hold_one_partition() {
    for threads in [1, 2] {
        let (engine, _folder) = small(48 << 20, threads);
        let sql = "SELECT value, repeat('x', 30) AS t, sum(value) OVER (PARTITION BY value / 10) AS s \
                   FROM generate_series(1, 1000000) ORDER BY s, value";
        let rows = engine.query(sql, &Params::new(), now()).await.unwrap();
        assert_eq!(count(rows).await, 1_000_000, "of {threads} threads");
    }
}

#[tokio::test]
async fn a_partition_that_is_too_large_is_told() {
    let (engine, _folder) = small(24 << 20, 2);
    let sql = "SELECT value, max(t) OVER (PARTITION BY value < 0) AS s FROM (SELECT value, repeat('x', 100) || value AS t FROM generate_series(1, 500000))";
    let mut rows = engine.query(sql, &Params::new(), now()).await.unwrap();
    let error = Error::from(rows.next().await.unwrap().unwrap_err());
    assert_eq!(error.kind, ErrorKind::Limit);
    assert!(error.to_string().contains("PartitionWindows"), "{error}");
}

/// Partitions of all sizes, of keys that are NULL, within batches and over several of them.
#[tokio::test]
async fn window_functions_are_those_of_whole_partitions() {
    let rows = "SELECT value, CASE WHEN value < 30000 THEN 1 WHEN value % 7 = 0 THEN NULL ELSE value % 20000 END AS k, \
                CASE WHEN value % 5 = 0 THEN NULL ELSE CAST(value % 3 AS DOUBLE) END AS f FROM generate_series(1, 100000)";
    let windows = format!(
        "SELECT value, k, f, sum(value) OVER (PARTITION BY k, f) AS s, count(*) OVER (PARTITION BY k, f) AS n, \
         sum(f) OVER (PARTITION BY k, f) AS sf, count(DISTINCT value % 11) OVER (PARTITION BY k, f) AS d, min(CAST(value AS VARCHAR)) OVER (PARTITION BY k, f) AS t, \
         last_value(value) OVER (PARTITION BY k, f ORDER BY value ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS last FROM ({rows})"
    );
    let groups = format!(
        "SELECT value, one.k, one.f, s, n, sf, d, t, last FROM ({rows}) AS one JOIN (SELECT k, f, sum(value) AS s, count(*) AS n, \
         sum(f) AS sf, count(DISTINCT value % 11) AS d, min(CAST(value AS VARCHAR)) AS t, max(value) AS last FROM ({rows}) GROUP BY k, f) AS g \
         ON (one.k IS NOT DISTINCT FROM g.k) AND (one.f IS NOT DISTINCT FROM g.f)"
    );
    let differ = format!(
        "SELECT count(*) AS n FROM (({windows} EXCEPT {groups}) UNION ALL ({groups} EXCEPT {windows}))"
    );
    for threads in [1, 2] {
        let (engine, _folder) = small(1 << 30, threads);
        let plan = engine.explain(&windows, &Params::new(), now()).await.unwrap();
        assert!(plan.contains("PartitionWindows"), "{plan}");
        assert_eq!(numbers(&engine, &format!("SELECT count(*) FROM ({windows})")).await, [100_000]);
        assert_eq!(numbers(&engine, &differ).await, [0], "of {threads} threads");
        let total = format!("SELECT sum(value) OVER () FROM ({rows}) LIMIT 1");
        assert_eq!(numbers(&engine, &total).await, [5_000_050_000]);
        assert_eq!(numbers(&engine, &format!("SELECT count(*) FROM ({windows}) WHERE value < 0")).await, [0]);
    }
}

/// A function does not tell its FILTER.
#[tokio::test]
async fn window_functions_keep_their_filters() {
    let rows = "SELECT value, value % 1000 AS k FROM generate_series(1, 20000)";
    let wrong = format!(
        "SELECT count(*) AS n FROM (SELECT k, sum(value) FILTER (WHERE value > 10000) OVER (PARTITION BY k) AS s, sum(value) OVER (PARTITION BY k) AS whole FROM ({rows})) AS one \
         JOIN (SELECT k, sum(value) FILTER (WHERE value > 10000) AS s, sum(value) AS whole FROM ({rows}) GROUP BY k) AS g ON one.k = g.k \
         WHERE one.s <> g.s OR one.whole <> g.whole OR g.s = g.whole"
    );
    let (engine, _folder) = small(1 << 30, 2);
    assert_eq!(numbers(&engine, &wrong).await, [0]);
}

/// Keys of few rows and of many batches, NULL among them.
#[tokio::test]
async fn row_numbers_begin_anew_with_each_partition() {
    let numbered = "SELECT value, k, row_number() OVER (PARTITION BY k ORDER BY value DESC) AS r, row_number() OVER (PARTITION BY k ORDER BY value DESC) AS again \
                    FROM (SELECT value, CASE WHEN value < 30000 THEN 1 WHEN value % 7 = 0 THEN NULL ELSE value % 20000 END AS k FROM generate_series(1, 100000))";
    let counted = format!(
        "SELECT count(*) AS n FROM (SELECT count(*) AS n, min(r) AS least, max(r) AS most, count(DISTINCT r) AS kinds FROM ({numbered}) GROUP BY k) \
         WHERE least <> 1 OR most <> n OR kinds <> n"
    );
    let ordered = format!(
        "SELECT count(*) AS n FROM ({numbered}) AS one JOIN ({numbered}) AS next ON (one.k IS NOT DISTINCT FROM next.k) AND next.r = one.r + 1 \
         WHERE next.value >= one.value OR one.r <> one.again"
    );
    for threads in [1, 2] {
        let (engine, _folder) = small(1 << 30, threads);
        let plan = engine.explain(numbered, &Params::new(), now()).await.unwrap();
        assert!(plan.contains("RowNumbers"), "{plan}");
        assert_eq!(numbers(&engine, &format!("SELECT count(*) FROM ({numbered})")).await, [100_000]);
        assert_eq!(numbers(&engine, &counted).await, [0], "of {threads} threads");
        assert_eq!(numbers(&engine, &ordered).await, [0], "of {threads} threads");
        assert_eq!(
            numbers(&engine, &format!("SELECT count(*) FROM ({numbered}) WHERE value < 0")).await,
            [0]
        );
    }
    let (engine, _folder) = small(1 << 30, 2);
    let beside = "SELECT row_number() OVER (PARTITION BY value % 3 ORDER BY value) AS r, lag(value) OVER (PARTITION BY value % 3 ORDER BY value) AS before \
                  FROM generate_series(1, 10)";
    assert!(!engine.explain(beside, &Params::new(), now()).await.unwrap().contains("RowNumbers"));
    assert_eq!(
        numbers(&engine, &format!("SELECT count(*) FROM ({beside}) WHERE before IS NULL AND r = 1")).await,
        [3]
    );
}

/// The only column of an answer.
async fn numbers(engine: &Engine, sql: &str) -> Vec<i64> {
    let rows = engine.query(sql, &Params::new(), now()).await.unwrap();
    let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}
