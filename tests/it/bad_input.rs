//! What the world gets wrong: each a clear error or a counted bad row, and whole units only in the sink.

use std::{fs, process::Command};

use rusqlite::Connection;

use crate::support::project::{Ran, Sandbox};

const PROJECT: &str = r#"
[project]
name = "bad"
time_zone = "Europe/Moscow"

[connections.bot]
kind = "sqlite"
path = "bot.db"

[connections.lake]
kind = "delta"
path = "lake"

[defaults.pipeline]
retry = { attempts = 1, wait = "1s", timeout = "5m" }
"#;

const MOVE: &str = r#"
[source]
connection = "bot"
table = "actions"
cursor = { column = "id" }

[source.columns]
id = "int64"
happened_at = "timestamp(ms, UTC)"
amount = { type = "float64", nullable = true }
note = { type = "text", nullable = true }

[sink]
connection = "lake"
table = "actions"
mode = "append"
"#;

const TABLE: &str =
    "CREATE TABLE actions (id INTEGER PRIMARY KEY AUTOINCREMENT, happened_at TEXT, amount, note TEXT);";

fn project() -> Sandbox {
    Sandbox::new(&[("vitrina.toml", PROJECT), ("pipelines/move.toml", MOVE)])
}

fn rows(from: i64, last: i64) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {last})
         INSERT INTO actions SELECT i, '2026-01-01T10:00:00Z', i * 0.5, 'строка ' || i FROM n;"
    )
}

/// A project whose first ten rows have been moved.
fn moved() -> Sandbox {
    let project = project();
    project.sqlite("bot.db", &format!("{TABLE}{}", rows(1, 10)));
    project.must(&["run", "move"]);
    assert_eq!(project.number("SELECT count(*) FROM lake.actions"), 10);
    project
}

#[test]
fn a_source_that_is_not_there() {
    let project = project();
    project.vitrina(&["run", "move"]).says(1, &["bot", "bot.db"]);
    project.sqlite("bot.db", "CREATE TABLE action (id INTEGER PRIMARY KEY);");
    project.vitrina(&["run", "move"]).says(1, &["table \"actions\"", "did you mean \"action\"?"]);
}

#[test]
fn an_empty_source_is_done() {
    let project = project();
    project.sqlite("bot.db", TABLE);
    project.must(&["run", "move"]);
    assert_eq!(project.number("SELECT count(*) FROM pipeline.move"), 0);
}

#[test]
fn a_file_that_is_no_database() {
    let project = project();
    fs::write(project.path("bot.db"), "no database, whatever its name says ".repeat(100)).unwrap();
    project.vitrina(&["run", "move"]).says(3, &["bot"]);
}

#[test]
fn a_column_that_is_missing_or_renamed() {
    let project = moved();
    project
        .sqlite("bot.db", &format!("{} ALTER TABLE actions RENAME COLUMN amount TO amounts;", rows(11, 12)));
    project.vitrina(&["run", "move"]).says(1, &["amount"]);
    assert_eq!(project.number("SELECT count(*) FROM lake.actions"), 10);
}

#[test]
fn a_table_that_was_dropped_or_made_again() {
    let project = moved();
    project.sqlite("bot.db", "DROP TABLE actions;");
    project.vitrina(&["run", "move"]).says(1, &["actions"]);
    project.sqlite(
        "bot.db",
        &format!(
            "{TABLE} INSERT INTO actions VALUES (1, '2027-01-01T00:00:00Z', 1, 'another');{}",
            rows(2, 20)
        ),
    );
    project.sqlite("bot.db", "UPDATE actions SET note = 'not what was moved';");
    project.vitrina(&["run", "move"]).says(1, &["position"]);
    assert_eq!(project.number("SELECT count(*) FROM lake.actions"), 10);
}

#[test]
fn a_source_that_shrank() {
    let project = project();
    // Without AUTOINCREMENT the ids of deleted rows come again.
    project.sqlite("bot.db", &format!("{}{}", TABLE.replace(" AUTOINCREMENT", ""), rows(1, 10)));
    project.must(&["run", "move"]);
    project.sqlite("bot.db", "DELETE FROM actions WHERE id > 5;");
    project.vitrina(&["run", "move"]).says(1, &["position"]);
}

#[test]
fn a_null_in_the_cursor() {
    let project = Sandbox::new(&[
        ("vitrina.toml", PROJECT),
        (
            "pipelines/move.toml",
            &MOVE.replace("cursor = { column = \"id\" }", "cursor = { column = \"seen\" }"),
        ),
    ]);
    project.sqlite(
        "bot.db",
        "CREATE TABLE actions (id INTEGER, happened_at TEXT, amount, note TEXT, seen INTEGER);
         INSERT INTO actions VALUES (1, '2026-01-01T10:00:00Z', 1, 'a', 1), (2, '2026-01-01T10:00:00Z', 1, 'b', NULL);",
    );
    project.vitrina(&["run", "move"]).says(1, &["seen", "NULL"]);
}

#[test]
fn cells_that_do_not_fit_are_bad_rows() {
    let dead = MOVE
        .replace("table = \"actions\"\ncursor", "table = \"actions\"\nbad_rows = \"dead_letter\"\ncursor");
    let project = Sandbox::new(&[("vitrina.toml", PROJECT), ("pipelines/move.toml", &dead)]);
    project.sqlite(
        "bot.db",
        &format!(
            "{TABLE}{}
             INSERT INTO actions VALUES (4, 'not a time', 1, 'x'), (5, '2026-01-01T10:00:00Z', 'much', 'x'),
                                        (6, '999999-01-01T10:00:00Z', 1, 'x'), (7, NULL, 1, 'x'),
                                        (8, '2026-01-01T10:00:00Z', 'NaN', 'x');",
            rows(1, 3)
        ),
    );
    project.must(&["run", "move"]);
    let letters = project.dead_letters("move");
    let columns: Vec<&str> = letters.iter().map(|letter| letter["column"].as_str().unwrap()).collect();
    assert_eq!(columns, ["happened_at", "amount", "happened_at", "happened_at"]);
    assert_eq!(project.number("SELECT count(*) FROM lake.actions"), 4);
    assert_eq!(project.number("SELECT count(*) FROM lake.actions WHERE isnan(amount)"), 1);

    // The contract learns what "much" means: that row comes in, the others fail again.
    project.write("pipelines/move.toml", &dead.replace("bad_rows", "null_values = [\"much\"]\nbad_rows"));
    project.must(&["dead-letters", "replay", "move"]);
    assert_eq!(project.dead_letters("move").len(), 3);
    assert_eq!(project.number("SELECT count(*) FROM lake.actions"), 5);
    project.must(&["dead-letters", "replay", "move"]);
    assert_eq!(project.number("SELECT count(*) FROM lake.actions"), 5, "a letter is replayed once");
}

#[test]
fn a_bad_row_stops_the_slice_unless_told_otherwise() {
    let project = project();
    project.sqlite(
        "bot.db",
        &format!("{TABLE}{} INSERT INTO actions VALUES (4, 'СЕКРЕТ', 1, 'x');", rows(1, 3)),
    );
    let ran = project.vitrina(&["run", "move"]);
    ran.says(1, &["happened_at", "bad_rows"]);
    assert!(!ran.stderr.contains("СЕКРЕТ"), "a cell's value in a message: {}", ran.stderr);
    assert_eq!(project.number("SELECT count(*) FROM pipeline.move"), 0);
}

#[test]
fn ten_megabytes_in_one_cell() {
    let project = project();
    project.sqlite("bot.db", TABLE);
    let connection = Connection::open(project.path("bot.db")).unwrap();
    let long = "ж".repeat(5 << 20);
    let insert = "INSERT INTO actions VALUES (1, '2026-01-01T10:00:00Z', 1, ?1)";
    connection.execute(insert, [&long]).unwrap();
    project.must(&["run", "move"]);
    assert_eq!(project.number("SELECT character_length(note) FROM lake.actions"), 5 << 20);
}

#[test]
fn rows_in_a_target_without_a_record() {
    let project = Sandbox::new(&[
        (
            "vitrina.toml",
            &PROJECT.replace("kind = \"delta\"\npath = \"lake\"", "kind = \"sqlite\"\npath = \"lake.db\""),
        ),
        ("pipelines/move.toml", MOVE),
    ]);
    project.sqlite("bot.db", &format!("{TABLE}{}", rows(1, 10)));
    project.sqlite(
        "lake.db",
        "CREATE TABLE actions (id INTEGER, happened_at TEXT, amount REAL, note TEXT);
         INSERT INTO actions VALUES (1, '2026-01-01T10:00:00.000Z', 0.5, 'by hand');",
    );
    project.vitrina(&["run", "move"]).says(1, &["position adopt"]);
    project.must(&["position", "adopt", "move"]);
    project.must(&["run", "move"]);
    assert_eq!(project.number("SELECT count(*) FROM lake.actions"), 1, "adopted: nothing is new");
    project.must(&["position", "set", "move", "8"]);
    project.must(&["run", "move"]);
    assert_eq!(project.number("SELECT count(*) FROM lake.actions"), 3);
}

#[test]
fn a_database_that_somebody_locks() {
    let project = Sandbox::new(&[
        (
            "vitrina.toml",
            &PROJECT.replace("kind = \"delta\"\npath = \"lake\"", "kind = \"sqlite\"\npath = \"lake.db\""),
        ),
        ("pipelines/move.toml", MOVE),
    ]);
    project.sqlite("bot.db", &format!("{TABLE}{}", rows(1, 10)));
    project.sqlite("lake.db", "CREATE TABLE other (id INTEGER);");
    let holder = Connection::open(project.path("lake.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE; INSERT INTO other VALUES (1);").unwrap();
    project.vitrina(&["run", "move"]).says(3, &["lake", "lock"]);
    holder.execute_batch("COMMIT").unwrap();
    project.must(&["run", "move"]);
    assert_eq!(project.number("SELECT count(*) FROM lake.actions"), 10);
}

/// What a connection does not find besides the table is told as what it is. No table is taken for one that nobody wrote yet, and no mart is built of nothing for that.
#[test]
fn what_else_is_not_found_makes_no_table_empty() {
    let project = moved();
    project.write(
        "marts/sums.toml",
        "sql = 'SELECT count(*) AS n FROM pipeline.move'\n[sink]\nconnection = \"lake\"\n",
    );
    project.must(&["run", "sums"]);
    assert_eq!(project.number("SELECT n FROM lake.sums"), 10);
    let store = "[connections.store]\nkind = \"postgres\"\nhost = \"localhost\"\ndatabase = \"x\"\nuser = \"x\"\npassword = { env = \"VITRINA_NOT_SET\" }\n";
    project.write("vitrina.toml", &format!("{PROJECT}{store}"));
    project.write("pipelines/move.toml", &MOVE.replace("connection = \"lake\"", "connection = \"store\""));
    let told = ["environment variable `VITRINA_NOT_SET` is not set", "set it"];
    project.vitrina(&["run", "sums"]).says(1, &told);
    assert_eq!(project.number("SELECT n FROM lake.sums"), 10);
    project.vitrina(&["query", "SELECT * FROM store.actions"]).says(1, &told);
}

#[test]
fn a_second_process_is_told_who_holds_the_project() {
    let project = moved();
    let state = project.path("data/state");
    let state = if state.exists() { state } else { project.path("state") };
    let lock = fs::OpenOptions::new().read(true).write(true).open(state.join("project.lock")).unwrap();
    lock.try_lock().unwrap();
    project.vitrina(&["run", "move"]).says(3, &["another process changes this project"]);
    lock.unlock().unwrap();
    project.must(&["run", "move"]);
}

#[test]
fn the_history_may_be_lost() {
    let project = moved();
    let status = project.must(&["status", "--format", "json"]);
    assert!(status.contains("move"), "{status}");
    for entry in fs::read_dir(project.path("data/state")).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("history.db") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    project.sqlite("bot.db", &rows(11, 15));
    project.must(&["run", "move"]);
    assert_eq!(project.number("SELECT count(*) FROM lake.actions"), 15);
}

/// Runs a shell script in the project's folder with mounts of its own, gone with it.
fn with_own_mounts(project: &Sandbox, script: &str) -> Ran {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut command = Command::new("unshare");
    command.arg(if root { "-m" } else { "-rm" }).args(["sh", "-c", script]).current_dir(project.root());
    command.env("VITRINA", env!("CARGO_BIN_EXE_vitrina")).output().unwrap().into()
}

#[test]
fn a_full_disk() {
    let project = project();
    project.sqlite("bot.db", &format!("{TABLE}{}", rows(1, 20_000)));
    project.sqlite("bot.db", "UPDATE actions SET note = hex(randomblob(40));");
    fs::create_dir(project.path("lake")).unwrap();
    let script = "mount -t tmpfs -o size=400k tmpfs lake && $VITRINA run move";
    let full = with_own_mounts(&project, script);
    full.says(3, &["lake", "No space left on device", "free some space"]);
    assert!(!full.stderr.contains("panicked"), "{}", full.stderr);
    assert_eq!(full.stderr.matches("No space left").count(), 1, "told once: {}", full.stderr);
    project.must(&["run", "move"]);
    assert_eq!(project.number("SELECT count(*) FROM lake.actions"), 20_000);
}

#[test]
fn a_folder_that_is_read_only() {
    let project = project();
    project.sqlite("bot.db", &format!("{TABLE}{}", rows(1, 10)));
    fs::create_dir(project.path("lake")).unwrap();
    let script = "mount -t tmpfs -o ro tmpfs lake && $VITRINA run move";
    with_own_mounts(&project, script).says(3, &["lake", "Read-only file system", "rights"]);
    project.must(&["run", "move"]);
    assert_eq!(project.number("SELECT count(*) FROM lake.actions"), 10);
}

#[test]
fn thousands_of_bad_rows_of_one_slice_are_kept_once_each_whatever_becomes_of_the_run() {
    let project = project();
    let kept = MOVE
        .replace("cursor = { column = \"id\" }", "cursor = { column = \"id\" }\nbad_rows = \"dead_letter\"");
    project.write("pipelines/move.toml", &kept);
    // More than are held at once, in one slice: some are put down long before the slice commits.
    project.sqlite("bot.db", &format!("{TABLE}{}", rows(1, 5_000)));
    project.sqlite("bot.db", "UPDATE actions SET amount = 'много' WHERE id % 2 = 0;");
    let killed =
        project.command(&["run", "move"]).env("VITRINA_FAILPOINT", "delta.stage.after").output().unwrap();
    assert!(!killed.status.success());
    project.must(&["run", "move"]);
    assert_eq!(project.number("SELECT count(*) FROM lake.actions"), 2_500);
    assert_eq!(project.dead_letters("move").len(), 2_500);
}
