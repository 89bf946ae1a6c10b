//! What only one kind of place does with types: SQLite keeps anything in any column, PostgreSQL has types and collations of its own.

use super::{Pair, places, rows, texts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cells_of_another_type_are_not_computed_with() {
    let misfits = ["'abc'", "1.5", "x'00'"];
    for (at, misfit) in misfits.iter().enumerate() {
        let sql = format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, \"n'\" INTEGER, t TEXT);
             INSERT INTO t (\"n'\", t) VALUES (1, 'a'), ({misfit}, 'b'), (3, 'c');"
        );
        let (_kept, connection) = places::sqlite(&sql);
        let pair = Pair::over(&connection);
        for query in [
            "SELECT sum(\"n'\") FROM place.t",
            "SELECT \"n'\", count(*) FROM place.t GROUP BY \"n'\"",
            "SELECT count(*) FROM place.t WHERE \"n'\" + 1 > 0",
            "SELECT max(\"n'\") FROM place.t",
            "SELECT a.id FROM place.t a JOIN place.t b ON a.\"n'\" = b.\"n'\" WHERE a.id + 0 < 10",
        ] {
            let error = rows(&pair, query, &texts(&[])).await.expect_err(query);
            let told = error.message.contains("does not fit") && error.message.contains("n'");
            assert!(told, "{at}: {query}: {error}");
            assert!(!format!("{error}").contains("abc"), "{error}");
        }
        // What is not looked at does not matter.
        let counted = rows(&pair, "SELECT t, count(*) FROM place.t GROUP BY t", &texts(&[])).await.unwrap();
        assert_eq!(counted.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_of_sqlite_that_sort_or_match_otherwise_stay_here() {
    let sql = "CREATE TABLE t (a TEXT COLLATE NOCASE, b VARCHAR(20), c, n NUMERIC, d DATE);
               INSERT INTO t VALUES ('x', 'x', 1, 1, '2026-01-01'), ('X', 'X', '1', 2.5, '2026-01-02'), ('y', 'Y', NULL, NULL, NULL);";
    let (_kept, connection) = places::sqlite(sql);
    let pair = Pair::over(&connection);
    for sql in [
        "SELECT a, count(*) FROM place.t GROUP BY a",
        "SELECT b, count(*) FROM place.t GROUP BY b",
        "SELECT c, count(*) FROM place.t GROUP BY c",
        "SELECT max(a), max(b), max(c), sum(n), min(d) FROM place.t",
        "SELECT x.a, y.b FROM place.t x JOIN place.t y ON x.a = y.b",
        "SELECT count(*) FROM place.t WHERE a > b",
        "SELECT a, b FROM place.t ORDER BY a, b LIMIT 2",
    ] {
        pair.compare(sql, &texts(&[])).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_of_postgres_keep_their_meaning() {
    let sql = r"CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TYPE mood AS ENUM ('sad', 'happy');
        CREATE TABLE t (id int, small smallint, padded char(5), loose text COLLATE loose, key uuid, mood mood, free numeric,
          exact numeric(30,4), wide numeric(60,10), stamp timestamp(3), at timestamptz, words text[], half real, bytes bytea);
        INSERT INTO t SELECT i, i % 3, CASE WHEN i % 2 = 0 THEN 'ab' ELSE 'AB' END, CASE WHEN i % 2 = 0 THEN 'ab' ELSE 'AB' END,
          ('00000000-0000-0000-0000-00000000000' || i % 4)::uuid, (ARRAY['sad', 'happy']::mood[])[i % 2 + 1], i / 3.0, i * 1.0001, i,
          timestamp '2026-01-01' + i * interval '1.001 s', timestamptz '2026-01-01Z' + i * interval '1 h', ARRAY['a', i::text],
          i / 4.0, '\x00'::bytea FROM generate_series(1, 9) i;
        INSERT INTO t (id) VALUES (10);";
    let (_kept, connection) = places::postgres(sql).await;
    let pair = Pair::over(&connection);
    let mut sent = 0;
    for column in [
        "small", "padded", "loose", "key", "mood", "free", "exact", "wide", "stamp", "at", "words", "half",
        "bytes",
    ] {
        for sql in [
            format!("SELECT {column}, count(*) FROM place.t GROUP BY {column}"),
            format!("SELECT min({column}), max({column}), count({column}) FROM place.t"),
            format!("SELECT a.id, b.{column} FROM place.t a LEFT JOIN place.t b ON a.id = b.id AND b.id > 3"),
            format!("SELECT a.id, b.id FROM place.t a JOIN place.t b ON a.{column} = b.{column}"),
            format!("SELECT id, {column} FROM place.t ORDER BY {column}, id LIMIT 6"),
            format!("SELECT count(*) FROM place.t WHERE {column} IS NULL"),
        ] {
            sent += usize::from(pair.compare(&sql, &texts(&[])).await);
        }
    }
    for sql in [
        "SELECT sum(exact), sum(small), sum(id), sum(exact * 2), sum(exact + 1.5) FROM place.t",
        "SELECT sum(wide), avg(exact), avg(id) FROM place.t",
        "SELECT id * 1000000 FROM place.t WHERE id + small > 3",
        "SELECT count(*) FROM place.t WHERE stamp > TIMESTAMP '2026-01-01 00:00:03'",
        "SELECT count(*) FROM place.t WHERE loose = 'ab' AND padded = 'ab   '",
        "SELECT count(*) FROM place.t WHERE loose < 'a'",
        "SELECT id::bigint + 1, id::text FROM place.t WHERE id::text || 'x' <> '1x'",
    ] {
        sent += usize::from(pair.compare(sql, &texts(&[])).await);
    }
    assert!(sent > 50, "only {sent} queries were computed by PostgreSQL");
}
