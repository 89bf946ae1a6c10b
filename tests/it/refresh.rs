//! Targets that are taken anew: `replace` from every kind of source, `--full-refresh`, and a rename that keeps what is known.

use serde_json::json;

use crate::support::project::Sandbox;

const PROJECT: &str = r#"
[project]
name = "anew"

[connections.bot]
kind = "sqlite"
path = "bot.db"

[connections.copies]
kind = "sqlite"
path = "copies.db"

[connections.lake]
kind = "delta"
path = "lake"

[defaults.pipeline]
retry = { attempts = 1, wait = "1s", timeout = "5m" }
"#;

/// A pipeline between two tables.
fn pipeline(source: &str, sink: &str) -> String {
    format!("[source]\nconnection = {source}\n[sink]\nconnection = {sink}\n")
}

/// Names of a table, by id.
fn names(project: &Sandbox, table: &str) -> Vec<String> {
    let rows = project.query(&format!("SELECT name FROM {table} ORDER BY id"));
    rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_delta_table_replaces_another() {
    let project = Sandbox::new(&[
        ("vitrina.toml", PROJECT),
        (
            "pipelines/move.toml",
            &pipeline(
                "\"bot\"\ntable = \"t\"\ncursor = { column = \"id\" }",
                "\"lake\"\ntable = \"t\"\nmode = \"merge\"\nkey = [\"id\"]",
            ),
        ),
        (
            "pipelines/copy.toml",
            &pipeline("\"lake\"\ntable = \"t\"", "\"copies\"\ntable = \"t\"\nmode = \"replace\""),
        ),
    ]);
    project.sqlite("bot.db", "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT); INSERT INTO t (name) VALUES ('а'), ('б');");
    project.must(&["run", "move"]);
    project.must(&["run", "copy"]);
    assert_eq!(names(&project, "copies.t"), ["а", "б"]);
    // A merge takes rows out of the Delta table: read by version that is refused, whole it is the next generation.
    project.sqlite("bot.db", "UPDATE t SET name = 'в' WHERE id = 2; INSERT INTO t (name) VALUES ('г');");
    project.must(&["position", "reset", "move"]);
    project.must(&["run", "move"]);
    let run = project.must(&["run", "copy", "--format", "json"]);
    let run: serde_json::Value = serde_json::from_str(&run).unwrap();
    assert_eq!((&run[0]["read"], &run[0]["units"]), (&json!(3), &json!(1)), "all of it, in one unit");
    assert_eq!(names(&project, "copies.t"), ["а", "в", "г"]);
    let again = project.must(&["run", "copy", "--format", "json"]);
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again[0]["units"], 0, "the same version is not copied twice");
    let told = project.must(&["explain", "copy"]);
    assert!(
        told.contains("the whole table, one generation at a time") && told.contains("data file"),
        "{told}"
    );
}

#[test]
fn a_merge_is_refreshed_whole() {
    let source = "\"bot\"\ntable = \"t\"\ncursor = { column = \"id\" }";
    let merge = |connection: &str| {
        pipeline(
            source,
            &format!(
                "\"{connection}\"\ntable = \"t\"\nmode = \"merge\"\nkey = [\"name\"]\ndelete = {{ when = \"gone = 1\", how = \"hard\" }}"
            ),
        )
    };
    let project = Sandbox::new(&[
        ("vitrina.toml", PROJECT),
        ("pipelines/to_copies.toml", &merge("copies")),
        ("pipelines/to_lake.toml", &merge("lake")),
    ]);
    project.sqlite("bot.db", "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, gone INTEGER); INSERT INTO t (name, gone) VALUES ('а', 0), ('б', 0), ('а', 0), ('в', 0);");
    project.must(&["run", "to_*"]);
    // Rows of the source are gone without a word, which only reading everything again can show.
    project.sqlite(
        "bot.db",
        "DELETE FROM t WHERE name = 'б'; INSERT INTO t (name, gone) VALUES ('в', 1), ('г', 0);",
    );
    project.must(&["run", "to_*"]);
    for table in ["copies.t", "lake.t"] {
        assert_eq!(names(&project, table), ["б", "а", "г"], "{table}: what is gone from the source stays");
    }
    project.must(&["run", "to_*", "--full-refresh"]);
    for table in ["copies.t", "lake.t"] {
        assert_eq!(names(&project, table), ["а", "г"], "{table}");
    }
    project.sqlite("bot.db", "INSERT INTO t (name, gone) VALUES ('г', 0), ('д', 0);");
    project.must(&["run", "to_*"]);
    for table in ["copies.t", "lake.t"] {
        assert_eq!(
            names(&project, table),
            ["а", "г", "д"],
            "{table}: it goes on from the refresh, and merges"
        );
    }
}

#[test]
fn a_rename_takes_dead_letters_along() {
    let orders = pipeline(
        "\"bot\"\ntable = \"t\"\ncursor = { column = \"id\" }\nbad_rows = \"dead_letter\"\ncolumns = { id = \"int64\", amount = \"int64\" }",
        "\"lake\"\ntable = \"t\"\nmode = \"append\"",
    );
    let project = Sandbox::new(&[("vitrina.toml", PROJECT), ("pipelines/old.toml", &orders)]);
    project.sqlite("bot.db", "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, amount); INSERT INTO t (amount) VALUES (1), ('много'), (3);");
    project.must(&["run", "old"]);
    assert_eq!(project.dead_letters("old").len(), 1);

    std::fs::remove_file(project.path("pipelines/old.toml")).unwrap();
    let mended = orders.replace("amount = \"int64\"", "amount = { type = \"int64\", nullable = true }");
    let mended = mended.replace("columns =", "null_values = [\"много\"]\ncolumns =");
    project.write("pipelines/new.toml", &format!("was = \"old\"\n{mended}"));
    project.must(&["run", "new"]);
    assert_eq!(project.number("SELECT count(*) FROM lake.t"), 2, "nothing is read again");
    assert_eq!(project.dead_letters("new")[0]["name"], "new");
    project.must(&["dead-letters", "replay", "new"]);
    assert_eq!(project.number("SELECT count(*) FROM lake.t"), 3);
    assert_eq!(project.dead_letters("new").len(), 0);
}

#[test]
fn made_up_rows_are_made_anew() {
    let made = |seed: u8| {
        format!(
            "[source.generate]\nseed = {seed}\nstart = 2026-01-01\nper_day = 5\n[source.generate.columns]\nid = {{ sequence = 1 }}\n\
             at = {{ event_time = true }}\n[sink]\nconnection = \"copies\"\ntable = \"made\"\nmode = \"append\"\n"
        )
    };
    let project = Sandbox::new(&[("vitrina.toml", PROJECT), ("pipelines/made.toml", &made(1))]);
    let rows = || project.query("SELECT id, at FROM copies.made ORDER BY id");
    project.must(&["run", "made"]);
    let first = rows();
    assert!(first.len() > 100, "{}", first.len());
    project.must(&["run", "made", "--full-refresh"]);
    assert_eq!(rows()[..first.len()], first[..], "the same seed");
    project.write("pipelines/made.toml", &made(2));
    project.vitrina(&["run", "made"]).says(1, &["made", "--full-refresh"]);
    project.must(&["run", "made", "--full-refresh"]);
    let second = rows();
    assert_ne!(second[..100], first[..100], "another one");
    project.must(&["run", "made"]);
    assert_eq!(rows()[..second.len()], second[..], "it goes on from there");
}
