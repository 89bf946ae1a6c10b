//! Marts that meet what should not be: SQL that fails late, tables that were altered or dropped by hand.

use deltalake::kernel::{DataType, StructField};

use super::{CLICKHOUSE, POSTGRES, PROJECT, add, built, daily, day, found, project, told};
use crate::support::{clickhouse, postgres, project::Sandbox};

/// Rows before the one that breaks the query: more than fit into a batch.
const MANY: u64 = 50_000;
/// Characters of each: together more than the 64 MiB that the SQLite sink stages in memory.
const WIDE: u64 = 1_600;
const _: () = assert!(MANY * WIDE > 64 << 20);

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
        let whole = format!(
            "sql = '''SELECT id, repeat('x', {WIDE}) AS wide, 1000 / (n + PLUS) AS share FROM bot.numbers'''\n{sink}"
        );
        let cut = daily(
            &format!(
                "SELECT local_date(at) AS dt, id, repeat('x', {WIDE}) AS wide, 1000 / (n + PLUS) AS share FROM bot.numbers \
                 WHERE at >= :window.from AND at < :window.until"
            ),
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

/// The server fails at the last of many rows of a query that it runs itself: the old rows stay, and no stage is left.
#[test]
fn sql_that_fails_at_the_last_of_many_rows_inside_postgres_changes_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for native in ["", "native = true\n"] {
        let place = postgres::Place::new();
        let run = |sql: &str| runtime.block_on(place.run(sql));
        let numbers = |rows: u64, zero: u64| {
            run(&format!(
                "CREATE OR REPLACE VIEW numbers AS SELECT g AS id, 1 / (g - {zero}) AS share FROM generate_series(1, {rows}) AS g"
            ));
        };
        numbers(1_000, 0);
        let mart =
            format!("{native}sql = 'SELECT id, share FROM dwh.numbers'\n[sink]\nconnection = \"dwh\"\n");
        let project = format!("{PROJECT}{}", POSTGRES.replace("SCHEMA", &place.schema));
        let sandbox = Sandbox::new(&[("vitrina.toml", &project), ("marts/shares.toml", &mart)]);
        let rows = || sandbox.number("SELECT count(*) FROM dwh.shares");
        sandbox.must(&["run", "shares"]);
        assert!(sandbox.must(&["explain", "shares"]).contains("stay where they are"));
        assert_eq!(rows(), 1_000);
        numbers(3_000_000, 3_000_000);
        // SQLSTATE 22012 is a division by zero.
        sandbox.vitrina(&["run", "shares"]).says(1, &["shares", "22012"]);
        assert_eq!(rows(), 1_000, "the old rows stay");
        numbers(2_000, 0);
        sandbox.must(&["run", "shares"]);
        assert_eq!(rows(), 2_000, "and the next build is whole");
        let left = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) ORDER BY 1";
        let left = runtime.block_on(async { place.stranger().await.query(left, &[]).await.unwrap() });
        let left: Vec<String> = left.iter().map(|row| row.get(0)).collect();
        assert_eq!(left, ["_vitrina_records", "shares"]);
    }
}

/// What somebody does to a mart's table by hand.
#[derive(Debug, Clone, Copy)]
enum Deed<'a> {
    /// A column more.
    Add,
    /// Which goes again.
    Remove,
    Rename(&'a str, &'a str),
    Drop,
}

impl Deed<'_> {
    /// As a statement about the table `daily`.
    fn sql(self) -> String {
        match self {
            Deed::Add => "ALTER TABLE daily ADD COLUMN note TEXT".to_owned(),
            Deed::Remove => "ALTER TABLE daily DROP COLUMN note".to_owned(),
            Deed::Rename(old, new) => format!("ALTER TABLE daily RENAME COLUMN {old} TO {new}"),
            Deed::Drop => "DROP TABLE daily".to_owned(),
        }
    }
}

/// A column more, other names, no table: each is told, and nothing is written, until the table is as it was or made anew. `renamed` = columns that the place lets be renamed.
fn altered(connections: &str, connection: &str, renamed: &[&str], does: impl Fn(&Sandbox, Deed<'_>)) {
    let project = project(connection, 2, "");
    project.write("vitrina.toml", &format!("{PROJECT}{connections}"));
    project.must(&["run", "daily"]);
    let from = day(2).to_string();
    let backfill = ["backfill", "daily", "--from", from.as_str()];
    // A column more is told, as the mart does not say `on_schema_change`, and nothing is written.
    does(&project, Deed::Add);
    add(&project, 0, 10);
    let ran = project.vitrina(&["run", "daily"]).ended(1);
    let names_it = ["\"note\"", "`note`"].iter().any(|name| ran.stderr.contains(name));
    assert!(names_it && ran.stderr.contains("hint:"), "{ran:#?}");
    assert_eq!(found(&project, "mart.daily"), [(2, 1), (1, 1), (0, 1)]);
    does(&project, Deed::Remove);
    assert_eq!(built(&project, &["run", "daily"]), 1);
    assert_eq!(found(&project, "mart.daily"), [(2, 1), (1, 1), (0, 11)]);
    // Another name is no column of this mart: nothing is written into it.
    for column in renamed {
        does(&project, Deed::Rename(column, "other"));
        let ran = project.vitrina(&backfill).ended(1);
        assert!(ran.stderr.contains(column) && ran.stderr.contains("hint:"), "{ran:#?}");
        does(&project, Deed::Rename("other", column));
    }
    assert_eq!(found(&project, "mart.daily"), [(2, 1), (1, 1), (0, 11)]);
    // Whoever drops it gets it anew.
    does(&project, Deed::Drop);
    project.must(&["run", "daily"]);
    assert_eq!(found(&project, "mart.daily"), [(2, 1), (1, 1), (0, 11)]);
}

#[test]
fn a_table_that_was_altered_by_hand() {
    altered("", "copies", &["amount", "dt"], |project, deed| project.sqlite("copies.db", &deed.sql()));
}

#[test]
fn a_table_that_was_altered_by_hand_in_postgres() {
    let (place, runtime) = (postgres::Place::new(), tokio::runtime::Runtime::new().unwrap());
    let told = POSTGRES.replace("SCHEMA", &place.schema);
    altered(&told, "dwh", &["amount", "dt"], |_, deed| runtime.block_on(place.run(&deed.sql())));
}

/// A column that parts are told apart by keeps its name.
#[test]
fn a_table_that_was_altered_by_hand_in_clickhouse() {
    let place = clickhouse::Place::new();
    let told = CLICKHOUSE.replace("DATABASE", &place.config.database);
    altered(&told, "dwh", &["amount"], |_, deed| {
        place.inside(&deed.sql().replace("TEXT", "Nullable(String)"));
    });
}

/// A Delta table is altered by entries of its log; columns are not renamed.
#[test]
fn a_table_that_was_altered_by_hand_in_delta() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    altered("", "lake", &[], |project, deed| {
        let folder = project.path("lake/daily");
        match deed {
            Deed::Add => runtime.block_on(async {
                let url = deltalake::ensure_table_uri(folder.to_str().unwrap()).unwrap();
                let note = StructField::new("note", DataType::STRING, true);
                deltalake::open_table(url).await.unwrap().add_columns().with_fields([note]).await.unwrap();
            }),
            // The entry that added it is the last one.
            Deed::Remove => {
                let log = std::fs::read_dir(folder.join("_delta_log")).unwrap().flatten();
                let is_entry =
                    |path: &std::path::PathBuf| path.extension().is_some_and(|kind| kind == "json");
                let last = log.map(|entry| entry.path()).filter(is_entry).max();
                std::fs::remove_file(last.unwrap()).unwrap();
            }
            Deed::Rename(..) => panic!("columns are not renamed"),
            Deed::Drop => std::fs::remove_dir_all(folder).unwrap(),
        }
    });
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
