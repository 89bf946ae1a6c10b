//! Some hundred queries: every filter with every shape, and edge cases by hand.

use datafusion::scalar::ScalarValue;
use vitrina::engine::params::Params;

use super::{Pair, places};
use crate::{
    contract::Harness as _,
    greenplum::sent::{Tapped, refused},
};

/// Conditions on a deal `d`.
const FILTERS: [&str; 26] = [
    "TRUE",
    "d.id > 20",
    r#"d."Регион" = 'mrf1'"#,
    r#"d."Регион" <> :region"#,
    r#"d."note ""n""" > 'a'"#,
    r#"d."note ""n""" <= 'ё' OR d.id < 5"#,
    r#"d."note ""n""" IS NULL"#,
    r#"d."note ""n""" IN ('abc', 'Ёж', 'o''Neil', 'back\slash', '')"#,
    r#"d."note ""n""" NOT IN ('abc', '🙂')"#,
    r#"d."Сумма" BETWEEN -7 AND 100"#,
    r#"d."Сумма" NOT BETWEEN 0 AND 50"#,
    r#"d."Сумма" + d.id * 2 > 130"#,
    "d.at >= :since AND d.at < '2026-01-20T00:00:00Z'",
    "d.day >= DATE '2026-01-10'",
    "d.at > :day",
    "d.flag",
    "NOT d.flag",
    "d.flag IS NOT TRUE",
    r#"d."Price.x" > 10.5"#,
    r#"d."Price.x" + d."Price.x" <> 5"#,
    r#"d."note ""n""" LIKE 'a_c'"#,
    r#"d."note ""n""" LIKE '%ё%' OR d."note ""n""" LIKE 'A%'"#,
    "d.weight > 0.5",
    r#"coalesce(d."Регион", 'x') || '!' = 'x!'"#,
    r#"CASE WHEN d."Сумма" > 50 THEN 'big' WHEN d."Сумма" < 0 THEN d."Регион" END IS NOT NULL"#,
    r#"d."Регион" IS NOT DISTINCT FROM :nothing"#,
];

/// Queries over deals with a condition.
const SHAPES: [&str; 14] = [
    "SELECT count(*) FROM {deals} d WHERE {filter}",
    r#"SELECT d."Регион", count(*), sum(d."Сумма"), count(d.weight) FROM {deals} d WHERE {filter} GROUP BY d."Регион""#,
    r#"SELECT min(d."note ""n"""), max(d."note ""n"""), min(d.day), max(d.at), max(d."Сумма"), min(d."Price.x") FROM {deals} d WHERE {filter}"#,
    r#"SELECT DISTINCT d."Регион", d.flag FROM {deals} d WHERE {filter}"#,
    r#"SELECT d.id, d."note ""n""", d."Price.x", d.at FROM {deals} d WHERE {filter} ORDER BY d."note ""n""", d.id LIMIT 7"#,
    r#"SELECT d."note ""n""" AS x, d.weight FROM {deals} d WHERE {filter} ORDER BY d."note ""n""" DESC NULLS LAST, d.id DESC LIMIT 5 OFFSET 3"#,
    r#"SELECT r."Name", count(*), sum(d."Сумма") FROM {deals} d JOIN {regions} r ON d."Регион" = r.code WHERE {filter} GROUP BY r."Name""#,
    r#"SELECT d.id, r."Name", r.rank FROM {deals} d LEFT JOIN {regions} r ON d."Регион" = r.code AND r.rank > 1 WHERE {filter}"#,
    r#"SELECT d.id, d.weight FROM {deals} d WHERE {filter} AND d."Регион" IN (SELECT code FROM {regions} WHERE rank > 1)"#,
    r#"SELECT d.id FROM {deals} d WHERE {filter} AND NOT EXISTS (SELECT 1 FROM {regions} r WHERE r.code = d."Регион" AND r.rank > 1)"#,
    r#"SELECT count(DISTINCT d."note ""n"""), sum(DISTINCT d."Сумма"), count(*) FILTER (WHERE d.id > 40) FROM {deals} d WHERE {filter}"#,
    r#"SELECT d."Регион", sum(CASE WHEN d.flag THEN d."Сумма" ELSE 0 END) AS s FROM {deals} d WHERE {filter} GROUP BY d."Регион" HAVING count(*) > 2"#,
    r#"SELECT kind, count(*) FROM (SELECT 'a' AS kind, d.id FROM {deals} d WHERE {filter} UNION ALL SELECT 'b', e.id FROM {empty} e
       UNION ALL SELECT r."Name", r.rank FROM {regions} r) GROUP BY kind"#,
    r#"SELECT t.id, r."Name" FROM (SELECT d.id, d."Регион" FROM {deals} d WHERE {filter} ORDER BY d.id DESC LIMIT 9) t
       JOIN {regions} r ON r.code = t."Регион" /* any order */"#,
];

/// Queries that are about one thing each.
const EDGES: [&str; 26] = [
    r#"SELECT count(*), sum("Сумма"), max("note ""n""") FROM {empty}"#,
    r#"SELECT "Регион", count(*) FROM {empty} GROUP BY "Регион""#,
    "SELECT count(*) FROM {empty} e JOIN {deals} d ON e.id = d.id",
    "SELECT d.id FROM {deals} d LEFT JOIN {empty} e ON e.id = d.id WHERE e.id IS NULL",
    r#"SELECT code FROM {regions} WHERE code NOT IN (SELECT "Регион" FROM {deals})"#,
    r#"SELECT code FROM {regions} WHERE code NOT IN (SELECT "Регион" FROM {deals} WHERE "Регион" IS NOT NULL)"#,
    r#"SELECT code FROM {regions} WHERE code IN (SELECT "Регион" FROM {deals})"#,
    r#"SELECT a.id, b.id FROM {deals} a JOIN {deals} b ON a."Регион" = b."Регион" AND a.id < b.id WHERE a."Сумма" = b."Сумма""#,
    "SELECT a.rank, b.rank FROM {regions} a LEFT JOIN {regions} b ON a.code = b.code AND a.rank <> b.rank",
    "SELECT a.rank, b.rank FROM {regions} a RIGHT JOIN {regions} b ON a.code = b.code AND b.rank > 2",
    r#"SELECT a.rank, b.rank FROM {regions} a FULL JOIN {regions} b ON a.code = b."Name""#,
    "SELECT a.rank, b.rank FROM {regions} a CROSS JOIN {regions} b",
    r#"SELECT "Name", rank FROM {regions} ORDER BY "Name" NULLS FIRST"#,
    r#"SELECT "Name", rank FROM {regions} ORDER BY "Name" DESC"#,
    r#"SELECT "Name" FROM {regions} ORDER BY rank DESC LIMIT 2"#,
    r#"SELECT "Регион", avg("Сумма"), avg("Price.x"), sum(weight) FROM {deals} WHERE weight IS NULL GROUP BY "Регион""#,
    r#"SELECT "Сумма" / 2, id % 7 FROM {deals} WHERE id + 1 > 5"#,
    "SELECT local_date(at), count(*) FROM {deals} GROUP BY local_date(at)",
    "SELECT count(*) FROM {deals} WHERE local_date(at) = DATE '2026-01-05'",
    r#"SELECT sum("Price.x"), sum("Price.x" * 2), max("Price.x") FROM {deals}"#,
    r#"SELECT "Регион", row_number() OVER (ORDER BY "Регион") FROM (SELECT DISTINCT "Регион" FROM {deals})"#,
    r#"WITH t AS (SELECT "Регион" AS "Р", count(*) AS n FROM {deals} GROUP BY "Регион") SELECT t."Р", t.n, r."Name" FROM t JOIN {regions} r ON r.code = t."Р""#,
    r#"SELECT count(*) FROM (SELECT DISTINCT "Регион", flag, day FROM {deals})"#,
    r#"SELECT "Name" FROM {regions} r WHERE rank > (SELECT count(*) FROM {empty}) AND rank < (SELECT max(rank) FROM {regions})"#,
    "SELECT id FROM {deals} ORDER BY flag NULLS FIRST, id LIMIT 11",
    r#"SELECT upper("Регион"), count(*) FROM {deals} GROUP BY upper("Регион")"#,
];

pub(super) fn params() -> Params {
    let mut params = super::texts(&[("region", "mrf1")]);
    params.set("since", ScalarValue::TimestampMicrosecond(Some(1_767_571_200_000_000), Some("UTC".into())));
    params.set("day", ScalarValue::Date32(Some(20_462)));
    params.set("nothing", ScalarValue::Utf8(None));
    params
}

pub(super) fn queries() -> Vec<String> {
    let combined =
        SHAPES.iter().flat_map(|shape| FILTERS.iter().map(|f| shape.replace("{filter}", &format!("({f})"))));
    let named = |sql: String| {
        sql.replace("{deals}", r#"place."Сделки.""Q1""""#)
            .replace("{regions}", r#"place."Regions""#)
            .replace("{empty}", "place.empty")
    };
    combined.chain(EDGES.iter().map(|sql| (*sql).to_owned())).map(named).collect()
}

/// Compares all answers; how many of how many were computed there.
async fn compare(pair: &Pair) -> (usize, usize) {
    let (mut sent, queries, params) = (0, queries(), params());
    for sql in &queries {
        sent += usize::from(pair.compare(sql, &params).await);
    }
    (sent, queries.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_answers_as_the_engine_does() {
    let sql = format!("{}{}", places::tables(&places::SQLITE), places::side_table());
    let (_kept, connection) = places::sqlite(&sql);
    let (sent, all) = compare(&Pair::over(&connection)).await;
    assert!(all > 300 && sent * 10 > all * 6, "only {sent} of {all} queries were computed by SQLite");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_answers_as_the_engine_does() {
    let (_kept, connection) = places::postgres(&places::tables(&places::POSTGRES)).await;
    let (sent, all) = compare(&Pair::over(&connection)).await;
    assert!(all > 300 && sent * 10 > all * 8, "only {sent} of {all} queries were computed by PostgreSQL");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clickhouse_answers_as_the_engine_does() {
    for types in [&places::CLICKHOUSE, &places::CLICKHOUSE_PLAIN] {
        let statements: Vec<String> = places::tables(types).split(';').map(str::to_owned).collect();
        let (_kept, connection) = places::clickhouse(&statements);
        let (sent, all) = compare(&Pair::over(&connection)).await;
        assert!(all > 300 && sent * 10 > all * 6, "only {sent} of {all} queries were computed by ClickHouse");
    }
}

/// What a Greenplum is given to compute, version 6 has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_6_has_all_that_is_pushed_down() {
    let tapped = Tapped::new().await;
    tapped.server.place.run(&places::tables(&places::POSTGRES)).await;
    let (sent, all) = compare(&Pair::over(&tapped.open())).await;
    assert!(sent * 10 > all * 7, "{sent} of {all} queries were computed there");
    let statements = tapped.sent();
    for words in ["GROUP BY", "LEFT JOIN", "NOT EXISTS", "ORDER BY", "UNION ALL"] {
        assert!(statements.iter().any(|sql| sql.contains(words)), "nothing was sent with {words}");
    }
    let refused = refused(&statements);
    assert!(refused.is_empty(), "{refused:#?}");
}
