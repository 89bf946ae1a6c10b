//! What a mart reads is written between its query and its checks.

use std::process::{Child, Stdio};

use chrono::Utc;

use super::serving::Serving;
use crate::support::project::{Ran, Sandbox};

const PROJECT: &str = r#"
[project]
name = "moving"
time_zone = "UTC"

[connections.bot]
kind = "sqlite"
path = "bot.db"

[connections.store]
kind = "sqlite"
path = "store.db"

[connections.lake]
kind = "delta"
path = "lake"
"#;

const TOTAL: &str = "
sql = \"SELECT DATE 'TODAY' AS dt, count(*) AS n FROM bot.calls\"
[sink]
connection = \"store\"
mode = \"replace\"
";

/// A mart that shows what another one counted, and is to agree with it.
const SHOWN: &str = r#"
sql = "SELECT dt, n FROM mart.total"

[sink]
connection = "PLACE"

[[check]]
name = "agrees"
sql = "SELECT 1 AS wrong FROM (SELECT sum(n) AS n FROM this) AS a, (SELECT sum(n) AS n FROM mart.total) AS b WHERE a.n <> b.n"
"#;

/// The same, month by month.
const MONTHLY: &str = r#"
sql = "SELECT dt, n FROM mart.total WHERE dt >= :window.from AND dt < :window.until"

[window]
column = "dt"
grain = "month"
start = TODAY

[sink]
connection = "PLACE"

[[check]]
name = "agrees"
sql = """
SELECT 1 AS wrong
FROM (SELECT sum(n) AS n FROM this) AS a, (SELECT sum(n) AS n FROM mart.total WHERE dt >= :window.from AND dt < :window.until) AS b
WHERE a.n <> b.n"""
"#;

/// A project whose `total` counts one call.
fn project(shown: &str) -> Sandbox {
    let today = |text: &str| text.replace("TODAY", &Utc::now().date_naive().to_string());
    let (total, shown) = (today(TOTAL), today(shown));
    let sandbox = Sandbox::new(&[
        ("vitrina.toml", PROJECT),
        ("marts/total.toml", &total),
        ("marts/shown.toml", &shown),
    ]);
    sandbox.sqlite("bot.db", "CREATE TABLE calls (id INTEGER); INSERT INTO calls VALUES (1)");
    sandbox.must(&["run", "total"]);
    sandbox
}

fn ended(command: Child) -> Ran {
    command.wait_with_output().unwrap().into()
}

/// Runs `shown`, and `total` each time that the rows of the former are staged and not checked yet, so many times.
fn run_moving(sandbox: &Sandbox, times: usize) -> Ran {
    let point = sandbox.path("staged");
    let at = if times == 1 { "" } else { ":*" };
    let held = format!("run.mart.staged{at}@{}", point.display());
    let serving = Serving::start_with(sandbox, &[("VITRINA_FAILPOINT", &held)]);
    let mut command = sandbox.command(&["run", "shown", "--format", "json"]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for _ in 0..times {
        serving.until("the rows are staged", || point.exists());
        sandbox.sqlite("bot.db", "INSERT INTO calls (id) SELECT max(id) + 1 FROM calls");
        sandbox.must(&["run", "total"]);
        std::fs::remove_file(&point).unwrap();
    }
    let ran = ended(command);
    serving.stop().done();
    ran
}

/// The same, once.
fn run(sandbox: &Sandbox) -> Ran {
    run_moving(sandbox, 1)
}

#[test]
fn a_build_whose_inputs_move_before_its_checks_is_built_anew() {
    for place in ["store", "lake"] {
        for (shown, window) in [(SHOWN, ""), (MONTHLY, "window ")] {
            let sandbox = project(&shown.replace("PLACE", place));
            let ran = run(&sandbox).done();
            let notes = &ran.json()[0]["notes"];
            let note = notes[0].as_str().unwrap_or_default();
            assert_eq!(notes.as_array().map(Vec::len), Some(1), "{place}: {ran:#?}");
            assert!(
                note.starts_with(window)
                    && note.ends_with("what its checks read has moved meanwhile: it is built anew"),
                "{note}"
            );
            assert_eq!(sandbox.number("SELECT sum(n) AS n FROM mart.shown"), 2, "{place}");
            let runs = sandbox.vitrina(&["runs", "shown", "--format", "json"]).json();
            assert_eq!(runs[0]["checks"]["broken"], serde_json::json!([]), "{runs:#}");
        }
    }
}

#[test]
fn a_build_that_is_wrong_is_blocked_whatever_moves() {
    let wrong = SHOWN.replace("PLACE", "store").replace("SELECT dt, n FROM", "SELECT dt, n + 5 AS n FROM");
    let sandbox = project(&wrong);
    let still = sandbox.vitrina(&["run", "shown"]);
    still.says(1, &["check \"agrees\" does not hold: 1 row breaks it"]);
    assert!(!still.stderr.contains("built anew"), "{still:#?}");
    let moved = run(&sandbox);
    moved.says(1, &["check \"agrees\" does not hold: 1 row breaks it", "it is built anew"]);
    assert_eq!(moved.stderr.matches("it is built anew").count(), 1, "nothing moved once more: {moved:#?}");
    // What is wrong with the rows themselves is no matter of what moves.
    let alone = "[[check]]\nname = \"alone\"\nsql = \"SELECT * FROM this WHERE n > 0\"\n";
    let sandbox = project(&(SHOWN.replace("PLACE", "store") + alone));
    let blocked = run(&sandbox);
    blocked.says(1, &["check \"alone\" does not hold"]);
    assert!(!blocked.stderr.contains("built anew"), "{blocked:#?}");
}

const COPIED: &str = r#"
[source]
connection = "bot"
table = "calls"
cursor.column = "id"

[sink]
connection = "store"
table = "total"
mode = "append"
"#;

/// A build that never catches up with what it reads ends, and leaves the rows of before.
#[test]
fn a_build_whose_inputs_move_all_the_time_is_blocked_in_the_end() {
    let counted = SHOWN
        .replace("PLACE", "store")
        .replace("SELECT dt, n FROM mart.total", "SELECT count(*) AS n FROM pipeline.total")
        .replace("sum(n) AS n FROM mart.total", "count(*) AS n FROM pipeline.total");
    let sandbox = Sandbox::new(&[
        ("vitrina.toml", PROJECT),
        ("pipelines/total.toml", COPIED),
        ("marts/shown.toml", &counted),
    ]);
    sandbox.sqlite("bot.db", "CREATE TABLE calls (id INTEGER PRIMARY KEY); INSERT INTO calls VALUES (1)");
    sandbox.must(&["run", "total", "shown"]);
    let moved = run_moving(&sandbox, 4);
    moved.says(1, &["check \"agrees\" does not hold: 1 row breaks it"]);
    assert_eq!(moved.stderr.matches("it is built anew").count(), 3, "{moved:#?}");
    assert_eq!(sandbox.number("SELECT sum(n) AS n FROM mart.shown"), 1);
    sandbox.must(&["run", "shown"]);
    assert_eq!(sandbox.number("SELECT sum(n) AS n FROM mart.shown"), 5);
}
