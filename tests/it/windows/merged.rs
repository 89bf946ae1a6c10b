//! Marts that are merged: rows take the place of those of the same key, and others stay.

use std::collections::BTreeMap;

use super::{CLICKHOUSE, POSTGRES, PROJECT, told};
use crate::support::{clickhouse, postgres, project::Sandbox};

const MART: &str = r#"
sql = 'SELECT name, sum(amount) AS amount, count(*) AS n FROM bot.sales GROUP BY name'

[sink]
connection = "CONNECTION"
mode = "merge"
key = ["name"]
MORE
[[check]]
name = "знак"
range.amount = { min = 0 }
"#;

struct Shop(Sandbox);

impl Shop {
    fn new(connections: &str, connection: &str, more: &str) -> Self {
        let mart = MART.replace("CONNECTION", connection).replace("MORE", more);
        let vitrina = format!("{PROJECT}{connections}");
        let project = Sandbox::new(&[("vitrina.toml", &vitrina), ("marts/sold.toml", &mart)]);
        project.sqlite("bot.db", "CREATE TABLE sales (name TEXT, amount INTEGER)");
        Self(project)
    }

    /// What is sold from now on.
    fn sells(&self, rows: &[(&str, i64)]) {
        let rows: Vec<String> =
            rows.iter().map(|(name, amount)| format!("('{}', {amount})", name.replace('\'', "''"))).collect();
        self.0.sqlite("bot.db", &format!("DELETE FROM sales; INSERT INTO sales VALUES {}", rows.join(", ")));
    }

    /// Runs the mart; how many rows it wrote.
    fn runs(&self, more: &[&str]) -> i64 {
        let run = told(&self.0, &[&["run", "sold"][..], more].concat());
        run[0]["written"].as_i64().unwrap()
    }

    fn holds(&self, expected: &[(&str, i64)]) {
        let rows = self.0.query("SELECT name, amount FROM mart.sold");
        let found: BTreeMap<&str, i64> =
            rows.iter().map(|row| (row["name"].as_str().unwrap(), row["amount"].as_i64().unwrap())).collect();
        assert_eq!(rows.len(), found.len(), "one row a name: {rows:?}");
        assert_eq!(found, expected.iter().copied().collect());
    }
}

/// Rows that come again, that are others, that are gone; a check that blocks; deaths around the commit; a refresh.
fn plays(connections: &str, connection: &str, more: &str) {
    let shop = Shop::new(connections, connection, more);
    shop.sells(&[("о'Нил", 1), ("Боря", 2)]);
    shop.0.must(&["check"]);
    for _ in 0..2 {
        assert_eq!(shop.runs(&[]), 2);
        shop.holds(&[("о'Нил", 1), ("Боря", 2)]);
    }
    // What the query does not give any more stays.
    shop.sells(&[("Боря", 5), ("Вера", 7), ("Вера", 1)]);
    assert_eq!(shop.runs(&[]), 2);
    shop.holds(&[("о'Нил", 1), ("Боря", 5), ("Вера", 8)]);
    shop.sells(&[("Боря", 6), ("Гена", -1)]);
    shop.0.vitrina(&["run", "sold"]).says(1, &["check \"знак\" does not hold: 1 row breaks it"]);
    shop.holds(&[("о'Нил", 1), ("Боря", 5), ("Вера", 8)]);
    for (at, point) in (10..).zip(["run.mart.staged", "run.mart.checked", "run.mart.committed"]) {
        shop.sells(&[("Боря", at), ("Гена", at)]);
        let died = shop.0.command(&["run", "sold"]).env("VITRINA_FAILPOINT", point).output().unwrap();
        assert!(!died.status.success(), "{point}");
        shop.0.must(&["run", "sold"]);
        shop.holds(&[("о'Нил", 1), ("Боря", at), ("Вера", 8), ("Гена", at)]);
    }
    // Nothing comes, and nothing goes.
    shop.0.sqlite("bot.db", "DELETE FROM sales");
    assert_eq!(shop.runs(&[]), 0);
    shop.holds(&[("о'Нил", 1), ("Боря", 12), ("Вера", 8), ("Гена", 12)]);
    shop.sells(&[("Вера", 3)]);
    assert_eq!(shop.runs(&["--full-refresh"]), 1);
    shop.holds(&[("Вера", 3)]);
}

#[test]
fn a_mart_is_merged() {
    plays("", "lake", "");
    plays("", "copies", "");
}

#[test]
fn a_mart_is_merged_in_postgres() {
    for kind in ["postgres", "greenplum"] {
        let place = postgres::Place::new();
        let told = POSTGRES.replace("\"postgres\"", &format!("\"{kind}\"")).replace("SCHEMA", &place.schema);
        plays(&told, "dwh", "");
    }
}

#[test]
fn a_mart_is_merged_in_clickhouse() {
    for merge in ["delete", "replacing"] {
        let place = clickhouse::Place::new();
        let told = CLICKHOUSE.replace("DATABASE", &place.config.database);
        plays(&told, "dwh", &format!("clickhouse.merge = \"{merge}\"\n"));
    }
}

/// A query over the very place that it is merged into: rows pass through here, and are the same.
#[test]
fn a_merged_mart_over_its_own_place() {
    let shop = Shop::new("", "copies", "");
    let mart = MART.replace("CONNECTION", "copies").replace("MORE", "").replace("bot.sales", "copies.sales");
    shop.0.write("marts/sold.toml", &mart);
    shop.0.sqlite(
        "copies.db",
        "CREATE TABLE sales (name TEXT, amount INTEGER); INSERT INTO sales VALUES ('Боря', 2)",
    );
    assert_eq!(shop.runs(&[]), 1);
    shop.0.sqlite("copies.db", "UPDATE sales SET name = 'Вера', amount = 3");
    assert_eq!(shop.runs(&[]), 1);
    shop.holds(&[("Боря", 2), ("Вера", 3)]);
    assert!(!shop.0.must(&["explain", "sold"]).contains("stay where they are"));
}
