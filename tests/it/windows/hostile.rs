//! Marts that meet what should not be: SQL that fails late, tables that were altered or dropped by hand.

use super::{PROJECT, add, built, daily, day, found, project, told};
use crate::support::project::Sandbox;

/// Rows before the one that breaks the query: more than fit into a batch, or a slice.
const MANY: u64 = 100_000;

/// A table of many numbers, the last of which is zero.
fn numbers(mart: &str) -> Sandbox {
    let sandbox = Sandbox::new(&[("vitrina.toml", PROJECT), ("marts/shares.toml", mart)]);
    sandbox.sqlite(
        "bot.db",
        &format!(
            "CREATE TABLE numbers (id INTEGER PRIMARY KEY, at TIMESTAMPTZ, n INTEGER);
             WITH RECURSIVE ids(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM ids WHERE id < {MANY})
             INSERT INTO numbers SELECT id, '{}T21:00:00.000000Z', {MANY} - id FROM ids",
            day(3)
        ),
    );
    sandbox
}

#[test]
fn sql_that_fails_at_the_last_of_many_rows_changes_nothing() {
    for connection in ["lake", "copies"] {
        let sink = format!("[sink]\nconnection = \"{connection}\"\n");
        let whole = format!("sql = 'SELECT id, 1000 / (n + PLUS) AS share FROM bot.numbers'\n{sink}");
        let cut = daily(
            "SELECT local_date(at) AS dt, id, 1000 / (n + PLUS) AS share FROM bot.numbers \
             WHERE at >= :window.from AND at < :window.until",
            connection,
            2,
            "",
        );
        for mart in [whole, cut] {
            let sandbox = numbers(&mart.replace("PLUS", "1"));
            sandbox.must(&["run", "shares"]);
            let rows = || sandbox.number("SELECT count(*) FROM mart.shares");
            assert_eq!(rows(), i64::try_from(MANY).unwrap());
            sandbox.write("marts/shares.toml", &mart.replace("PLUS", "0"));
            let from = day(2).to_string();
            let again: &[&str] = if mart.contains("[window]") {
                &["backfill", "shares", "--from", &from]
            } else {
                &["run", "shares"]
            };
            let ran = sandbox.vitrina(again).ended(1);
            assert!(ran.stderr.to_lowercase().contains("divide by zero"), "{ran:#?}");
            assert_eq!(rows(), i64::try_from(MANY).unwrap(), "the old rows stay");
            assert_eq!(sandbox.number("SELECT min(share) FROM mart.shares"), 0);
            sandbox.write("marts/shares.toml", &mart.replace("PLUS", "2"));
            sandbox.must(again);
            assert_eq!(
                sandbox.number("SELECT max(share) FROM mart.shares"),
                500,
                "and the next build is whole"
            );
        }
    }
}

#[test]
fn a_table_that_was_altered_by_hand() {
    let project = project("copies", 2, "");
    project.must(&["run", "daily"]);
    let from = day(2).to_string();
    let backfill = ["backfill", "daily", "--from", from.as_str()];
    // A column more is told, as the mart does not say `on_schema_change`, and nothing is written.
    project.sqlite("copies.db", "ALTER TABLE daily ADD COLUMN note TEXT");
    add(&project, 0, 10);
    let ran = project.vitrina(&["run", "daily"]).ended(1);
    assert!(ran.stderr.contains("\"note\"") && ran.stderr.contains("hint:"), "{ran:#?}");
    assert_eq!(found(&project, "mart.daily"), [(2, 1), (1, 1), (0, 1)]);
    project.sqlite("copies.db", "ALTER TABLE daily DROP COLUMN note");
    assert_eq!(built(&project, &["run", "daily"]), 1);
    assert_eq!(found(&project, "mart.daily"), [(2, 1), (1, 1), (0, 11)]);
    // Another name is no column of this mart: nothing is written into it.
    for column in ["amount", "dt"] {
        project.sqlite("copies.db", &format!("ALTER TABLE daily RENAME COLUMN {column} TO other"));
        let ran = project.vitrina(&backfill).ended(1);
        assert!(ran.stderr.contains(column) && ran.stderr.contains("hint:"), "{ran:#?}");
        project.sqlite("copies.db", &format!("ALTER TABLE daily RENAME COLUMN other TO {column}"));
    }
    assert_eq!(found(&project, "mart.daily"), [(2, 1), (1, 1), (0, 11)]);
    // Whoever drops it gets it anew.
    project.sqlite("copies.db", "DROP TABLE daily");
    project.must(&["run", "daily"]);
    assert_eq!(found(&project, "mart.daily"), [(2, 1), (1, 1), (0, 11)]);
}

#[test]
fn a_whole_table_that_was_dropped_is_made_again() {
    for connection in ["lake", "copies"] {
        let project = project(connection, 2, "");
        let mart = format!(
            "sql = 'SELECT sum(amount) AS amount FROM bot.events'\n[sink]\nconnection = \"{connection}\"\n"
        );
        project.write("marts/total.toml", &mart);
        let total = || project.number("SELECT CAST(amount AS BIGINT) FROM mart.total");
        project.must(&["run", "total"]);
        assert_eq!(total(), 3);
        if connection == "lake" {
            std::fs::remove_dir_all(project.path("lake/total")).unwrap();
        } else {
            project.sqlite("copies.db", "DROP TABLE total");
        }
        add(&project, 1, 10);
        assert_eq!(told(&project, &["run", "total"])[0]["state"], "done");
        assert_eq!(total(), 13, "{connection}");
    }
}
