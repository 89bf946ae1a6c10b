//! `run --follow`: rows move as they come, through two pipelines at once, until the user says stop.

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rusqlite::Connection;

use crate::support::project::{Ran, Sandbox};

const PROJECT: &str = r#"
[project]
name = "follow"
time_zone = "Europe/Moscow"

[connections.bot]
kind = "sqlite"
path = "bot.db"

[connections.stream]
kind = "sqlite"
path = "stream.db"
log = true

[connections.store]
kind = "sqlite"
path = "store.db"
"#;

const TO_STREAM: &str = r#"
[source]
connection = "bot"
table = "calls"
cursor = { column = "id" }

[sink]
connection = "stream"
table = "calls"
mode = "append"
"#;

const TO_STORE: &str = r#"
[source]
connection = "stream"
table = "calls"

[source.columns]
id = "int64"
seconds = "int64"

[sink]
connection = "store"
table = "calls"
mode = "append"
"#;

/// Long enough for a machine that builds beside the tests.
const PATIENCE: Duration = Duration::from_secs(60);

fn project() -> Sandbox {
    let sandbox = Sandbox::new(&[
        ("vitrina.toml", PROJECT),
        ("pipelines/to_stream.toml", TO_STREAM),
        ("pipelines/to_store.toml", TO_STORE),
    ]);
    let table = "CREATE TABLE calls (id INTEGER PRIMARY KEY AUTOINCREMENT, seconds ANY NOT NULL)";
    sandbox.sqlite("bot.db", table);
    sandbox
}

/// Does not outlive a test that fails.
struct Following(Option<Child>);

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

fn follow(sandbox: &Sandbox) -> Following {
    let mut command = sandbox.command(&["run", "--follow", "to_store", "to_stream", "--format", "json"]);
    Following(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
}

fn interrupt(mut following: Following) -> Ran {
    let child = following.0.take().unwrap();
    let told = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(told.success());
    child.wait_with_output().unwrap().into()
}

/// Rows of the last table, and how many of them are different.
fn arrived(sandbox: &Sandbox) -> (i64, i64) {
    let Ok(store) = Connection::open(sandbox.path("store.db")) else { return (0, 0) };
    let both = store.query_row("SELECT count(*), count(DISTINCT id) FROM calls", [], |row| {
        Ok((row.get(0)?, row.get(1)?))
    });
    both.unwrap_or_default()
}

fn wait_for(sandbox: &Sandbox, rows: i64) {
    let begun = Instant::now();
    while arrived(sandbox) != (rows, rows) {
        assert!(begun.elapsed() < PATIENCE, "{:?} of {rows} rows arrived", arrived(sandbox));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn rows_move_as_they_come_until_the_user_stops_it() {
    let sandbox = project();
    let running = follow(&sandbox);
    for round in 1..=5 {
        sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7), (8), (9)");
        wait_for(&sandbox, round * 3);
    }
    let ran = interrupt(running).done();
    let mut ended: Vec<_> = ran.json().as_array().unwrap().clone();
    ended.sort_by_key(|run| run["name"].to_string());
    for (run, name) in ended.iter().zip(["to_store", "to_stream"]) {
        assert_eq!((run["name"].as_str(), run["state"].as_str()), (Some(name), Some("done")));
        assert_eq!(run["written"], 15);
    }
    // What follows goes on from there, and a run that ends finds nothing left.
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (10)");
    sandbox.must(&["run", "--all"]);
    assert_eq!(arrived(&sandbox), (16, 16));
}

#[test]
fn a_pipeline_that_fails_ends_alone() {
    let sandbox = project();
    let running = follow(&sandbox);
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    wait_for(&sandbox, 1);
    // No integer: the second pipeline's contract refuses it, the first one takes what there is.
    sandbox.sqlite(
        "bot.db",
        "INSERT INTO calls (seconds) VALUES ('часто'); INSERT INTO calls (seconds) VALUES (8)",
    );
    let begun = Instant::now();
    let logged = || {
        let stream = Connection::open(sandbox.path("stream.db")).unwrap();
        stream.query_row("SELECT count(*) FROM calls", [], |row| row.get::<_, i64>(0)).unwrap_or_default()
    };
    while logged() < 3 {
        assert!(begun.elapsed() < PATIENCE, "the first pipeline stopped too");
        std::thread::sleep(Duration::from_millis(20));
    }
    let failed = || {
        let history = Connection::open(sandbox.path("data/state/history.db")).unwrap();
        let sql = "SELECT count(*) FROM runs WHERE name = 'to_store' AND state = 'failed'";
        history.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_or_default()
    };
    while failed() == 0 {
        assert!(begun.elapsed() < PATIENCE, "the second pipeline goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ran = interrupt(running);
    let ended = ran.json();
    let state = |name: &str| {
        let run = ended.as_array().unwrap().iter().find(|run| run["name"] == name).unwrap();
        run["state"].as_str().unwrap().to_owned()
    };
    assert_eq!((state("to_stream"), state("to_store")), ("done".to_owned(), "failed".to_owned()));
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.stderr.contains("seconds"), "{ran:#?}");
    assert_eq!(arrived(&sandbox), (1, 1));
}

#[test]
fn marts_do_not_follow() {
    let sandbox = project();
    sandbox.write("marts/busy.toml", "sql = \"SELECT count(*) AS n FROM store.calls\"\n[sink]\nconnection = \"store\"\nmode = \"replace\"\n");
    let refused = sandbox.vitrina(&["run", "--follow", "--all"]).ended(2);
    assert!(
        refused.stderr.contains("`busy` is a mart: only pipelines can follow their source"),
        "{refused:#?}"
    );
}
