//! A daemon over a small project: rows of a SQLite table go to another one every second, and a mart counts them.

use std::{
    fs::File,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value as Json;

use crate::support::project::{Ran, Sandbox};

/// Long enough for a machine that builds beside the tests.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const PROJECT: &str = r#"
[project]
name = "served"
time_zone = "Europe/Moscow"

[connections.bot]
kind = "sqlite"
path = "bot.db"

[connections.store]
kind = "sqlite"
path = "store.db"
"#;

pub(super) const CALLS: &str = r#"
schedule = { every = "1s" }

[source]
connection = "bot"
table = "calls"
cursor = { column = "id" }

[sink]
connection = "store"
table = "calls"
mode = "append"
"#;

pub(super) const BUSY: &str = r#"
schedule = { after = "inputs" }
sql = "SELECT count(*) AS n FROM store.calls"

[sink]
connection = "store"
table = "busy"
mode = "replace"
"#;

/// The project, with its source's table.
pub(super) fn project() -> Sandbox {
    let sandbox = Sandbox::new(&[
        ("vitrina.toml", PROJECT),
        ("pipelines/calls.toml", CALLS),
        ("marts/busy.toml", BUSY),
    ]);
    sandbox.sqlite(
        "bot.db",
        "CREATE TABLE calls (id INTEGER PRIMARY KEY AUTOINCREMENT, seconds INTEGER NOT NULL)",
    );
    sandbox
}

/// A daemon that goes. Does not outlive a test that fails.
pub(super) struct Serving<'a> {
    sandbox: &'a Sandbox,
    child: Option<Child>,
}

impl<'a> Serving<'a> {
    /// Starts it, and waits until it listens.
    pub(super) fn start(sandbox: &'a Sandbox) -> Self {
        Self::start_with(sandbox, &[])
    }

    pub(super) fn start_with(sandbox: &'a Sandbox, variables: &[(&str, &str)]) -> Self {
        let serving = Self::spawn(sandbox, variables);
        serving.until("it listens", || serving.status().is_some());
        serving
    }

    /// Starts it.
    pub(super) fn spawn(sandbox: &'a Sandbox, variables: &[(&str, &str)]) -> Self {
        let mut command = sandbox.command(&["serve"]);
        command.envs(variables.iter().copied());
        let log = File::options().create(true).append(true).open(sandbox.path("serve.log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { sandbox, child: Some(child) }
    }

    /// Waits until something is so.
    #[track_caller]
    pub(super) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it has written to its log.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.sandbox.path("serve.log")).unwrap()
    }

    /// Its log's lines that hold a text.
    pub(super) fn lines(&self, part: &str) -> Vec<Json> {
        let log = self.log();
        // The last one may be half written.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        let lines = whole.lines().filter(|line| line.contains(part));
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    /// Asks its socket how it stands; none while nobody listens.
    pub(super) fn status(&self) -> Option<Json> {
        use std::io::{BufRead, BufReader, Write};
        let mut stream =
            std::os::unix::net::UnixStream::connect(self.sandbox.path("data/state/daemon.sock")).ok()?;
        stream.write_all(b"{\"version\":1,\"profile\":\"default\",\"request\":\"status\"}\n").unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).ok()?;
        serde_json::from_str::<Json>(&answer).ok().map(|answer| answer["status"].clone())
    }

    /// Where a member stands.
    pub(super) fn member(&self, name: &str) -> Json {
        let status = self.status().unwrap();
        status["members"].as_array().unwrap().iter().find(|member| member["name"] == name).unwrap().clone()
    }

    pub(super) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(std::process::Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some())
    }

    /// Waits for its end.
    pub(super) fn ended(mut self) -> Ran {
        let child = self.child.take().unwrap();
        let mut ran: Ran = child.wait_with_output().unwrap().into();
        ran.stderr = self.log();
        ran
    }

    /// Tells it to stop, and waits for its end.
    pub(super) fn stop(self) -> Ran {
        self.signal("-TERM");
        self.ended()
    }

    /// Ends it as a loss of power would.
    pub(super) fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// One number of a SQLite file; nothing where it cannot be told.
pub(super) fn number(sandbox: &Sandbox, file: &str, sql: &str) -> Option<i64> {
    let store = Connection::open(sandbox.path(file)).ok()?;
    store.busy_timeout(PATIENCE).unwrap();
    store.query_row(sql, [], |row| row.get(0)).ok()
}

/// Rows that arrived.
pub(super) fn arrived(sandbox: &Sandbox) -> i64 {
    let (rows, different) = ("SELECT count(*) FROM calls", "SELECT count(DISTINCT id) FROM calls");
    let rows = number(sandbox, "store.db", rows).unwrap_or_default();
    assert!(rows <= number(sandbox, "store.db", different).unwrap_or(i64::MAX), "rows were doubled");
    rows
}

/// Runs of a member in the history, with a state.
pub(super) fn runs(sandbox: &Sandbox, name: &str, state: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM runs WHERE name = '{name}' AND state = '{state}'");
    number(sandbox, "data/state/history.db", &sql).unwrap_or_default()
}

#[test]
fn rows_move_and_marts_follow_by_themselves() {
    let sandbox = project();
    let serving = Serving::start(&sandbox);
    for round in 1..=3 {
        sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7), (8), (9)");
        serving.until("rows arrive", || arrived(&sandbox) == round * 3);
        serving.until("the mart follows", || {
            number(&sandbox, "store.db", "SELECT n FROM busy") == Some(round * 3)
        });
    }
    serving.until("the mart's run is written down", || runs(&sandbox, "busy", "running") == 0);
    // A run that finds nothing new is not followed: the mart rests.
    let built = runs(&sandbox, "busy", "done");
    let moved = runs(&sandbox, "calls", "done");
    serving.until("two more runs", || runs(&sandbox, "calls", "done") >= moved + 2);
    assert_eq!(runs(&sandbox, "busy", "done"), built);
    let status = sandbox.must(&["status"]);
    assert!(status.contains("next run") && status.contains("after others"), "{status}");
    let done = serving.lines("done: 3 read, 3 written");
    let id = done[0]["span"]["id"].as_str().unwrap().to_owned();
    assert_eq!(done[0]["span"]["track"], "calls");
    let told = sandbox.must(&["logs", &id]);
    assert!(
        told.contains("begins") && told.contains("commit 1: 3 rows") && told.contains("done: 3 read"),
        "{told}"
    );
    let told = serving.lines("done: ");
    assert!(told.len() > 4, "{told:#?}");
    for line in &told {
        let (id, track) = (line["span"]["id"].as_str().unwrap(), line["span"]["track"].as_str().unwrap());
        let run = format!("SELECT count(*) FROM runs WHERE id = '{id}' AND name = '{track}'");
        assert_eq!(number(&sandbox, "data/state/history.db", &run), Some(1), "{line:#}");
    }
    let ran = serving.stop().done();
    assert!(ran.stderr.contains("stopped"), "{ran:#?}");
    assert!(!sandbox.path("data/state/daemon.sock").exists());
    // Nothing is left behind: the project can be run by hand.
    sandbox.must(&["run", "--all"]);
}

#[test]
fn one_project_has_one_daemon() {
    let sandbox = project();
    let serving = Serving::start(&sandbox);
    sandbox.vitrina(&["serve"]).says(3, &["another process changes this project", "`serve`"]);
    serving.stop().done();
    sandbox.write("pipelines/calls.toml", &CALLS.replace("every = \"1s\"", "every = \"soon\""));
    sandbox.vitrina(&["serve"]).says(1, &["`soon` is no length of time"]);
}

#[test]
fn a_daemon_whose_state_folder_is_deleted_stops() {
    let sandbox = project();
    let serving = Serving::start(&sandbox);
    std::fs::remove_dir_all(sandbox.path("data/state")).unwrap();
    serving.ended().says(3, &["the state folder was deleted or replaced while the daemon ran"]);
    let serving = Serving::start(&sandbox);
    serving.stop().done();
}
