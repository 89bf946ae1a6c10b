//! `native = true`: SQL that a database runs as it stands.

use serde_json::json;
use vitrina::connector::error::ErrorKind;

use super::{Pair, as_it_stands, places, texts};
use crate::support::project::Sandbox;

const PROJECT: &str = r#"
[project]
name = "native"

[matrix.region]
mrf1 = { title = "Первый" }

[connections.bot]
kind = "sqlite"
databases = { main = "bot.db", other = "other.db" }

[connections.copies]
kind = "sqlite"
path = "copies.db"

[connections.lake]
kind = "delta"
path = "lake"
"#;

/// A mart of one line of SQL.
fn mart(sql: &str, more: &str) -> String {
    format!(
        "native = true\nmatrix = [\"region\"]\nsql = '''{sql}'''\n[sink]\nconnection = \"copies\"\ntable = \"t_{{region}}\"\n{more}"
    )
}

#[test]
fn a_mart_of_the_databases_own_sql() {
    let sql = "SELECT printf('%05d', id) AS code, \"Имя\", :region AS region, sum(id) OVER (ORDER BY id) AS so_far\nFROM bot.\"Сделки.1\" WHERE substr(\"Имя\", 1, 1) = 'А' -- as SQLite has it\n;";
    let project = Sandbox::new(&[("vitrina.toml", PROJECT), ("marts/m.toml", &mart(sql, ""))]);
    project.sqlite("bot.db", "CREATE TABLE \"Сделки.1\" (id INTEGER PRIMARY KEY, \"Имя\" TEXT); INSERT INTO \"Сделки.1\" (\"Имя\") VALUES ('Аня'), ('Боря'), ('Алла');");
    project.must(&["check"]);
    let plan = project.must(&["explain", "m/mrf1", "--plan"]);
    assert!(plan.contains("?1 AS region") && plan.contains("native SQL"), "{plan}");
    project.must(&["run", "m"]);
    let rows = project.query("SELECT * FROM copies.t_mrf1 ORDER BY code");
    assert_eq!(
        rows,
        [
            json!({"code": "00001", "Имя": "Аня", "region": "mrf1", "so_far": 1}),
            json!({"code": "00003", "Имя": "Алла", "region": "mrf1", "so_far": 4}),
        ]
    );
    let graph = project.must(&["graph"]);
    assert!(graph.contains("bot.main.Сделки.1") || graph.contains("Сделки.1"), "{graph}");
}

#[test]
fn check_says_where_native_sql_cannot_go() {
    let finds = |sql: &str, more: &str, message: &str| {
        let project = Sandbox::new(&[("vitrina.toml", PROJECT), ("marts/m.toml", &mart(sql, more))]);
        let ran = project.vitrina(&["check"]);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(ran.code == Some(1) && all.contains(message), "{sql}: {all}");
    };
    finds("SELECT :region FROM bot.a, lake.b", "", "runs no SQL of its own");
    finds("SELECT :region FROM bot.a, copies.b", "", "sent to one place");
    finds("SELECT :region FROM bot.main.a, bot.other.b", "", "sent to one place");
    finds("SELECT :region FROM mart.x", "", "name the table that it writes");
    finds("SELECT :region", "", "names no table");
    finds("SELECT :regoin FROM bot.a", "", "there is no parameter");
    finds("SELECT FROM WHERE :region", "", "expected");
    finds("SELECT :region FROM bott.a", "", "did you mean `bot`");
    // Columns are what `columns` tells.
    finds(
        "SELECT :region FROM bot.a",
        "key = [\"id\"]\nmode = \"merge\"\n[sink.columns]\nx = { type = \"int64\" }",
        "no column `id`",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_runs_its_own_sql() {
    let sql = "CREATE TABLE \"Т.1\" (id int, mood text[], price numeric(10,2)); INSERT INTO \"Т.1\" VALUES (1, '{a,b}', 1.5), (2, NULL, -2), (2, '{c}', NULL)";
    let (_kept, connection) = places::postgres(sql).await;
    let pair = Pair::over(&connection);
    let params = texts(&[("who", "o'Neil'; DROP TABLE x; --")]);
    let sql = "SELECT DISTINCT ON (id) id, mood, price, :who || $$;:x$$ AS who, to_char(date '2026-01-31', 'DD.MM') AS d, NULL::uuid AS u
        FROM place.\"Т.1\" ORDER BY id, price DESC NULLS LAST; ";
    let rows = as_it_stands(&pair, sql, &params).await.unwrap();
    let who = "o'Neil'; DROP TABLE x; --;:x";
    assert_eq!(
        rows,
        [["1", "{a,b}", "1.50", who, "31.01", "NULL"], ["2", "NULL", "-2.00", who, "31.01", "NULL"]]
    );
    let error = as_it_stands(&pair, "SELECT nope FROM place.\"Т.1\"", &params).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::SchemaChanged, "{error}");
    let error =
        as_it_stands(&pair, "WITH x AS (DELETE FROM place.\"Т.1\" RETURNING 1) SELECT * FROM x", &params)
            .await;
    assert!(error.is_err());
}
