//! SIGTERM, and a death without one.

use std::time::Duration;

use rusqlite::Connection;

use super::health::{free_port, page};
use super::serving::{CALLS, PATIENCE, PROJECT, Serving, arrived, number, project, runs};
use crate::support::project::Sandbox;

/// Somebody writes to the target, so that a commit waits.
fn hold(sandbox: &Sandbox) -> Connection {
    let held = Connection::open(sandbox.path("store.db")).unwrap();
    held.busy_timeout(PATIENCE).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    held
}

/// A daemon that has moved one row, and waits with another one for whoever holds the target.
fn waiting(sandbox: &Sandbox) -> (Serving<'_>, Connection) {
    let serving = Serving::start(sandbox);
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    serving.until("a row arrives", || arrived(sandbox) == 1);
    let held = hold(sandbox);
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (8)");
    // It has the row, and cannot commit it.
    serving.until("a run waits", || serving.status().unwrap()["going"]["calls"]["read"] == 1);
    (serving, held)
}

#[test]
fn a_slice_that_is_being_written_may_finish() {
    let sandbox = project();
    let (serving, held) = waiting(&sandbox);
    serving.signal("-TERM");
    std::thread::sleep(Duration::from_millis(300));
    held.execute_batch("ROLLBACK").unwrap();
    let ran = serving.ended().done();
    assert_eq!(arrived(&sandbox), 2, "{ran:#?}");
    assert_eq!(runs(&sandbox, "calls", "running"), 0);
}

#[test]
fn it_tells_that_it_stops_and_begins_nothing_more() {
    let sandbox = project();
    let port = free_port();
    let daemon = format!("[daemon]\nlisten = \"127.0.0.1:{port}\"\ngrace = \"60s\"\n");
    sandbox.write("vitrina.toml", &format!("{PROJECT}\n{daemon}"));
    let (serving, held) = waiting(&sandbox);
    assert_eq!(page(port, "/ready").unwrap().0, "200");
    serving.signal("-TERM");
    serving.until("it stops", || serving.status().is_some_and(|status| status["stopping"] == true));
    assert_eq!(page(port, "/health").unwrap().0, "200");
    let (status, body) = page(port, "/ready").unwrap();
    assert_eq!((status.as_str(), &body["stopping"]), ("503", &true.into()));
    assert_eq!(body["going"]["calls"]["read"], 1, "the run is waited for");
    let told = sandbox.vitrina(&["status"]).done();
    assert!(told.stderr.contains(", stopping"), "{told:#?}");
    for command in [
        ["run", "busy"].as_slice(),
        &["position", "reset", "calls"],
        &["dead-letters", "drop", "calls", "--all"],
    ] {
        sandbox.vitrina(command).says(3, &["is stopping, and begins nothing more", "hint: try again"]);
    }
    held.execute_batch("ROLLBACK").unwrap();
    let ran = serving.ended().done();
    assert_eq!(arrived(&sandbox), 2, "{ran:#?}");
    assert!(!sandbox.path("data/state/daemon.sock").exists());
    assert!(page(port, "/health").is_none());
}

/// A file whose readers wait until it is let go: not in WAL mode.
fn shut(sandbox: &Sandbox) -> Connection {
    let shut = Connection::open(sandbox.path("slow.db")).unwrap();
    shut.execute_batch("CREATE TABLE known (n INTEGER); INSERT INTO known VALUES (1)").unwrap();
    shut.execute_batch("BEGIN EXCLUSIVE").unwrap();
    shut
}

/// A daemon that is to build a mart, which waits for a file.
fn waits_for_a_file(mart: &str, is_there: impl Fn(&Sandbox) -> bool) {
    let sandbox = project();
    sandbox.write(
        "vitrina.toml",
        &format!("{PROJECT}\n[connections.slow]\nkind = \"sqlite\"\npath = \"slow.db\"\n"),
    );
    sandbox.write("marts/slow.toml", mart);
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    let held = shut(&sandbox);
    let serving = Serving::start(&sandbox);
    serving.until("it goes", || serving.status().unwrap()["going"]["slow"].is_object());
    // Time for it to come as far as the file.
    std::thread::sleep(Duration::from_secs(2));
    serving.signal("-TERM");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!is_there(&sandbox));
    held.execute_batch("ROLLBACK").unwrap();
    let ran = serving.ended().done();
    assert!(is_there(&sandbox), "{ran:#?}");
}

const SLOW_CHECK: &str = r#"
schedule = { after = "inputs" }
sql = "SELECT count(*) AS n FROM store.calls"

[sink]
connection = "store"
mode = "replace"

[[check]]
relationship.n = "slow.known.n"
"#;

#[test]
fn a_mart_whose_checks_are_asked_may_finish() {
    waits_for_a_file(SLOW_CHECK, |sandbox| number(sandbox, "store.db", "SELECT n FROM slow") == Some(1));
}

const SLOW_WORKBOOK: &str = r#"
schedule = { after = "inputs" }
excel = "slow.xlsx"

[[sheet]]
name = "first"
sql = "SELECT n FROM mart.busy"

[[sheet]]
name = "second"
sql = "SELECT n FROM slow.known"
"#;

#[test]
fn a_workbook_that_is_being_written_may_finish() {
    waits_for_a_file(SLOW_WORKBOOK, |sandbox| sandbox.path("slow.xlsx").exists());
}

#[test]
fn what_takes_longer_than_the_grace_is_rolled_back_and_begun_again() {
    let sandbox = project();
    sandbox.write("vitrina.toml", &format!("{PROJECT}\n[daemon]\ngrace = \"100ms\"\n"));
    let (serving, held) = waiting(&sandbox);
    serving.stop().done();
    held.execute_batch("ROLLBACK").unwrap();
    assert_eq!(arrived(&sandbox), 1);
    let serving = Serving::start(&sandbox);
    serving.until("the row arrives", || arrived(&sandbox) == 2);
    serving.stop().done();
}

#[test]
fn what_a_kill_cut_short_or_missed_is_run_once() {
    let sandbox = project();
    sandbox.write("pipelines/calls.toml", &CALLS.replace("every = \"1s\"", "every = \"2s\""));
    let serving = Serving::start(&sandbox);
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    serving.until("a row arrives", || arrived(&sandbox) == 1);
    serving.kill();
    // From here on it is due each hour: were it not for what was missed, it would wait.
    let seen = "UPDATE schedules SET rule = 'every 1h', owed = 0, left_out = 0, seen = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-5 hours') WHERE name = 'calls'";
    sandbox.sqlite("data/state/history.db", seen);
    sandbox.write("pipelines/calls.toml", &CALLS.replace("every = \"1s\"", "every = \"1h\""));
    let before = runs(&sandbox, "calls", "done");
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (8)");
    let serving = Serving::start(&sandbox);
    serving.until("what was missed is run", || arrived(&sandbox) == 2);
    serving.until("the run is written down", || runs(&sandbox, "calls", "done") > before);
    // Time for more of them, if there were any.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(runs(&sandbox, "calls", "done") - before, 1, "five instants were missed, and are one run");
    assert_eq!(serving.member("calls")["left_out"], 4);
    serving.stop().done();
}

#[test]
fn a_run_that_a_kill_cut_short_goes_on_in_the_next_daemon() {
    let sandbox = project();
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    let serving = Serving::spawn(&sandbox, &[("VITRINA_FAILPOINT", "run.commit.after")]);
    let ran = serving.ended();
    assert_eq!(ran.code, None, "the failpoint did not kill it: {ran:#?}");
    assert_eq!(arrived(&sandbox), 1);
    // Its schedule is hours away by now; the run is owed all the same, and the mart behind it.
    sandbox.sqlite("data/state/history.db", "UPDATE schedules SET rule = 'every 100d' WHERE name = 'calls'");
    sandbox.write("pipelines/calls.toml", &CALLS.replace("every = \"1s\"", "every = \"100d\""));
    let serving = Serving::start(&sandbox);
    serving.until("the run goes on", || runs(&sandbox, "calls", "done") == 1);
    serving.until("the mart follows", || runs(&sandbox, "busy", "done") == 1);
    assert_eq!(arrived(&sandbox), 1);
    assert_eq!(runs(&sandbox, "calls", "interrupted") + runs(&sandbox, "calls", "running"), 1);
    serving.stop().done();
}
