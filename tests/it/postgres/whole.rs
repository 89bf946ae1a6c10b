//! Whole tables, read by several sessions at once.

use futures::TryStreamExt;
use vitrina::connector::{postgres::config::Config, source::Chunk};

use super::whole;
use crate::{
    contract::reading::WIDE,
    support::{
        postgres::{Place, open},
        rows::ids,
    },
};

/// Nothing is read to know how much there is to read: statistics tell about so much, where there are some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_guessed_before_they_are_read() {
    let place = Place::new();
    place.run("CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 20000) AS g; ANALYZE t").await;
    place.run("CREATE TABLE fresh (id int); CREATE VIEW seen AS SELECT id, 1 / (id - id) AS x FROM t").await;
    let connection = open(place.config());
    for (table, about) in [("t", Some(20_000)), ("fresh", None), ("seen", None)] {
        let source = connection.source(&whole(table)).await.unwrap();
        let head = source.head().await.unwrap();
        let unit = source.plan(None, &head, WIDE).await.unwrap().expect("a snapshot");
        assert_eq!((unit.rows, unit.about), (None, about), "{table}");
    }
}

/// Every row of one state, once, in order, however others write meanwhile; as one session reads it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_sessions_read_one_state() {
    let place = Place::new();
    place
        .run(
            "CREATE TABLE big (id bigint, day date, filler text); \
             INSERT INTO big SELECT g, CASE g % 50000 WHEN 0 THEN 'infinity' ELSE date '2026-01-01' END, repeat('x', 300) \
             FROM generate_series(1, 150000) AS g",
        )
        .await;
    let mut seen: Vec<Vec<i64>> = vec![];
    for parallel in [1, 3] {
        let connection = open(Config { parallel, ..place.config() });
        let source = connection.source(&whole("big")).await.unwrap();
        let head = source.head().await.unwrap();
        place.run("INSERT INTO big SELECT 0, NULL, repeat('y', 300) FROM generate_series(1, 5000)").await;
        let unit = source.plan(None, &head, WIDE).await.unwrap().expect("a snapshot");
        place.run("DELETE FROM big WHERE id = 0 OR id < 100").await;
        for _ in 0..2 {
            let chunks: Vec<Chunk> = source.read(&unit).await.unwrap().try_collect().await.unwrap();
            let mut numbers: Vec<u64> = vec![];
            for chunk in &chunks {
                let first = numbers.len() as u64;
                let mut own: Vec<u64> = chunk.ordinals.values().to_vec();
                own.extend(chunk.bad.iter().map(|bad| bad.ordinal));
                own.sort_unstable();
                assert_eq!(own, (first..first + own.len() as u64).collect::<Vec<_>>());
                numbers.extend(own);
            }
            let bad: usize = chunks.iter().map(|chunk| chunk.bad.len()).sum();
            assert_eq!(bad, 3, "rows whose day is infinite");
            seen.push(chunks.iter().flat_map(|chunk| ids(&chunk.batch)).collect());
        }
        place.run("INSERT INTO big SELECT g, date '2026-01-01', repeat('x', 300) FROM generate_series(1, 99) AS g").await;
    }
    assert_eq!(seen[0], seen[1], "read again alike");
    assert_eq!(seen[2], seen[3], "read again alike by three");
    assert_eq!(seen[0].len(), 150_000 - 3);
    assert_eq!(seen[2].len(), 150_000 - 3);
    assert!(seen.iter().all(|ids| !ids.contains(&0)), "rows that came after the head");
    let mut sorted = seen[2].clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), 150_000 - 3, "once");
}

/// Sessions work at the same time: while one's rows are not taken, the others have whole parts behind them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_read_ahead_of_their_turn() {
    const SESSIONS: i64 = 3;
    let place = Place::new();
    place
        .run(
            "CREATE TABLE narrow (id bigint, filler text); \
             INSERT INTO narrow SELECT g, repeat('x', 60) FROM generate_series(1, 300000) AS g",
        )
        .await;
    let connection = open(Config { parallel: SESSIONS as u8, ..place.config() });
    let source = connection.source(&whole("narrow")).await.unwrap();
    let head = source.head().await.unwrap();
    let unit = source.plan(None, &head, WIDE).await.unwrap().expect("a snapshot");
    let mut chunks = source.read(&unit).await.unwrap();
    let first = chunks.try_next().await.unwrap().expect("rows");
    // Nothing more is taken: each goes on as far as it may.
    let stranger = place.stranger().await;
    let mine = format!("%{}%", place.schema.trim_start_matches("t ").trim_matches('"'));
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE $1 AND pid <> pg_backend_pid() \
               AND substring(query FROM 'ctid >= ''\\((\\d+),')::bigint >= $2";
    let begun = std::time::Instant::now();
    loop {
        // Each is behind its first part.
        let ahead: i64 = stranger.query_one(sql, &[&mine, &(SESSIONS * 128)]).await.unwrap().get(0);
        if ahead == SESSIONS {
            break;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "only {ahead} are ahead");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let rest: Vec<Chunk> = chunks.try_collect().await.unwrap();
    let all = std::iter::once(&first).chain(&rest).flat_map(|chunk| ids(&chunk.batch));
    assert!(all.eq(1..=300_000), "in order");
}

/// A transaction that was begun before others and is committed behind them is news, though no later one follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_behind_later_ones_is_not_slept_over() {
    let place = Place::new();
    place.run("CREATE TABLE t (id bigint)").await;
    let early = place.stranger().await;
    early.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
    place.run("INSERT INTO t VALUES (2)").await;
    let source = place.open().source(&whole("t")).await.unwrap();
    source.head().await.unwrap();
    let waiting = tokio::spawn(async move { source.changed().await });
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    early.batch_execute("COMMIT").await.unwrap();
    let patience = std::time::Duration::from_secs(10);
    tokio::time::timeout(patience, waiting).await.expect("changed() sleeps on").unwrap();
}
