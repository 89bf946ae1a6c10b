//! Values and names that try to become SQL, and plans that show none of them.

use std::{fmt::Write as _, sync::Arc};

use vitrina::connector::connection::Connection;

use super::{
    Pair, is_sent,
    places::{self, Kept},
    texts,
};
use crate::support::{clickhouse, specs::now};

const VALUES: [&str; 16] = [
    "' OR 1=1 --",
    "'; DROP TABLE victims; --",
    r"\' OR 1=1 --",
    r"\'; DROP TABLE victims; --",
    "\" OR \"\" = \"",
    "$1",
    "?1",
    ":v",
    "$$; DROP TABLE victims; $$",
    "/* */ --",
    "%' OR '%' = '",
    "\u{2019} OR 1=1",
    "Ё'; ROLLBACK; --",
    "a\nb\r\n;",
    "a\0b",
    "{}[]()",
];

const NAMES: [&str; 6] =
    [r#"x"; DROP TABLE victims; --"#, "a.b'c", "$1", "Имя ?1", "t1", "c1 AS c2, (SELECT 1)"];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn statements() -> String {
    let mut sql = "CREATE TABLE victims (v TEXT, n BIGINT);".to_owned();
    for (at, value) in VALUES.iter().enumerate().filter(|(_, value)| !value.contains('\0')) {
        let _ = write!(sql, "INSERT INTO victims VALUES ('{}', {at});", value.replace('\'', "''"));
    }
    for name in NAMES {
        let (table, column) = (quoted(&format!("{name} table")), quoted(name));
        let _ = write!(sql, "CREATE TABLE {table} ({column} TEXT, \"n\" BIGINT);");
        let _ = write!(sql, "INSERT INTO {table} VALUES ('a', 1), ('a', 2), (NULL, 3);");
    }
    sql
}

async fn nothing_becomes_sql(kept: &Kept, connection: &Arc<dyn Connection>) {
    let pair = Pair::over(connection);
    for value in VALUES {
        let params = texts(&[("v", value)]);
        let literal = format!("'{}'", value.replace('\'', "''"));
        for given in [":v", &literal].into_iter().filter(|given| !given.contains('\0')) {
            for sql in [
                format!("SELECT count(*), min(v) FROM place.victims WHERE v = {given}"),
                format!(
                    "SELECT v, count(*) FROM place.victims WHERE v <> {given} OR v IN ({given}) GROUP BY v"
                ),
                format!("SELECT max(v || {given}), count(*) FILTER (WHERE v > {given}) FROM place.victims"),
                format!(
                    "SELECT coalesce(v, {given}), sum(n) FROM place.victims GROUP BY coalesce(v, {given})"
                ),
            ] {
                let sent = pair.compare(&sql, &params).await;
                assert!(sent || value.contains('\0'), "{sql} was not sent");
                let plan = pair.sending.explain(&sql, &params, now()).await.unwrap();
                let shown =
                    plan.lines().filter(|line| line.contains("SentScan")).any(|line| line.contains(value));
                assert!(!shown || ["$1", "?1"].contains(&value), "a value is shown: {plan}");
            }
        }
    }
    for name in NAMES {
        let (table, column) = (quoted(&format!("{name} table")), quoted(name));
        let sql = format!(
            "SELECT a.{column} AS {column}, sum(b.n) AS \"sum\" FROM place.{table} a JOIN place.{table} b \
             ON a.{column} = b.{column} WHERE a.n > 0 GROUP BY a.{column}"
        );
        assert!(pair.compare(&sql, &texts(&[])).await, "{sql} was not sent");
    }
    assert_eq!(kept.count("victims").await, VALUES.len() as i64 - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_becomes_sql_in_sqlite() {
    let (kept, connection) = places::sqlite(&statements());
    nothing_becomes_sql(&kept, &connection).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_becomes_sql_in_postgres() {
    let (kept, connection) = places::postgres(&statements()).await;
    nothing_becomes_sql(&kept, &connection).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_becomes_sql_in_clickhouse() {
    const END: &str = "ENGINE = MergeTree ORDER BY tuple()";
    let mut statements = vec![format!("CREATE TABLE victims (v Nullable(String), n Int64) {END}")];
    for (at, value) in VALUES.iter().enumerate().filter(|(_, value)| !value.contains('\0')) {
        let row = serde_json::json!({ "v": value, "n": at });
        statements.push(format!("INSERT INTO victims FORMAT JSONEachRow {row}"));
    }
    for name in NAMES {
        let (table, column) = (clickhouse::quote(&format!("{name} table")), clickhouse::quote(name));
        statements.push(format!("CREATE TABLE {table} ({column} Nullable(String), n Int64) {END}"));
        statements.push(format!("INSERT INTO {table} VALUES ('a', 1), ('a', 2), (NULL, 3)"));
    }
    let (kept, connection) = places::clickhouse(&statements);
    nothing_becomes_sql(&kept, &connection).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_show_what_is_sent() {
    let (_kept, connection) = places::sqlite(&statements());
    let pair = Pair::over(&connection);
    let sql = "SELECT v, sum(n) AS s FROM place.victims WHERE v > :v GROUP BY v ORDER BY s DESC LIMIT 3";
    let plan = pair.sending.explain(sql, &texts(&[("v", "secret")]), now()).await.unwrap();
    assert!(
        is_sent(&plan) && plan.contains("?1") && plan.contains("GROUP BY") && plan.contains("LIMIT 3"),
        "{plan}"
    );
    assert!(!plan.contains("secret"), "{plan}");
    // Bare scans stay what they are.
    let plan =
        pair.sending.explain("SELECT v FROM place.victims WHERE n > 3 LIMIT 2", &texts(&[]), now()).await;
    assert!(!is_sent(plan.as_deref().unwrap()), "{plan:?}");
    // An order that rows come in is not made again.
    let sql = "SELECT v, n FROM place.victims ORDER BY n";
    let plan = pair.sending.explain(sql, &texts(&[]), now()).await.unwrap();
    assert!(is_sent(&plan) && !plan.contains("SortExec"), "{plan}");
}
