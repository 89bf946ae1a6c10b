//! When runs begin: on time, in order, again after failures.

use super::serving::{BUSY, CALLS, Serving, arrived, number, project, runs};

#[test]
fn what_follows_its_source_moves_rows_at_once_and_makes_room_for_a_command() {
    let sandbox = project();
    sandbox.write("pipelines/calls.toml", &CALLS.replace("every = \"1s\"", "continuous = true"));
    let serving = Serving::start(&sandbox);
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    serving.until("a row arrives", || arrived(&sandbox) == 1);
    serving.until("the mart follows", || number(&sandbox, "store.db", "SELECT n FROM busy") == Some(1));
    let ran = sandbox.vitrina(&["run", "calls", "--format", "json"]).done();
    assert_eq!(ran.json()[0]["state"], "done");
    serving.until("it follows again", || serving.member("calls")["state"] == "follows");
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (8)");
    serving.until("the next row arrives", || arrived(&sandbox) == 2);
    serving.stop().done();
    assert_eq!(runs(&sandbox, "calls", "running"), 0);
}

#[test]
fn a_failure_blocks_the_mart_and_passes() {
    let sandbox = project();
    // A word where a number is due: the contract refuses it, and nothing is retried.
    let contract = "[source.columns]\nid = \"int64\"\nseconds = \"int64\"\n\n[sink]";
    sandbox.write("pipelines/calls.toml", &CALLS.replace("[sink]", contract));
    sandbox.sqlite(
        "bot.db",
        "DROP TABLE calls; CREATE TABLE calls (id INTEGER PRIMARY KEY AUTOINCREMENT, seconds ANY)",
    );
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES ('часто')");
    let serving = Serving::start(&sandbox);
    serving.until("the mart is blocked", || serving.member("busy")["state"]["blocked_by"] == "calls");
    let status = sandbox.must(&["status"]);
    assert!(status.contains("blocked by `calls`"), "{status}");
    serving.until("it is written down", || runs(&sandbox, "busy", "blocked") == 1);
    assert_eq!(runs(&sandbox, "busy", "failed"), 0);
    sandbox.sqlite("bot.db", "UPDATE calls SET seconds = 7");
    serving.until("the mart follows", || runs(&sandbox, "busy", "done") > 0);
    assert_eq!(runs(&sandbox, "busy", "blocked"), 1, "told once");
    serving.stop().done();
}

#[test]
fn waits_between_two_tries_survive_a_kill() {
    let sandbox = project();
    // A table that is not there yet is no failure that is retried; a file that is no database yet, held by another process, is.
    let retry = "retry = { attempts = 3, wait = \"5m\" }\n";
    sandbox.write("pipelines/calls.toml", &format!("{retry}{CALLS}"));
    sandbox.write("marts/busy.toml", &BUSY.replace("after = \"inputs\"", "every = \"100d\""));
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    sandbox.sqlite("store.db", "CREATE TABLE other (x)");
    let held = rusqlite::Connection::open(sandbox.path("store.db")).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let serving = Serving::start(&sandbox);
    serving.until("it waits for its second try", || serving.member("calls")["state"]["retries"].is_string());
    let kept = "SELECT count(*) FROM schedules WHERE name = 'calls' AND retry_at IS NOT NULL";
    serving.until("that is written down", || number(&sandbox, "data/state/history.db", kept) == Some(1));
    let at = serving.member("calls")["state"]["retries"].clone();
    serving.kill();
    let serving = Serving::start(&sandbox);
    assert_eq!(serving.member("calls")["state"]["retries"], at, "the same instant, in another process");
    // Whoever does not want to wait runs it by hand.
    held.execute_batch("ROLLBACK").unwrap();
    sandbox.must(&["run", "calls"]);
    assert_eq!(arrived(&sandbox), 1);
    assert_ne!(serving.member("calls")["state"]["retries"], at);
    serving.stop().done();
}

#[test]
fn waits_of_windows_survive_a_kill_too() {
    let sandbox = project();
    let day = chrono::Utc::now().date_naive() - chrono::Days::new(1);
    sandbox.write(
        "marts/busy.toml",
        &format!(
            "retry = {{ attempts = 3, wait = \"5m\" }}\nschedule = {{ every = \"1s\" }}\nsql = '''SELECT date '{day}' AS dt, count(*) AS n FROM bot.calls \
             WHERE date '{day}' >= :window.from AND date '{day}' < :window.until'''\n[window]\ncolumn = \"dt\"\ngrain = \"day\"\n\
             start = {day}\ncurrent = false\n[sink]\nconnection = \"store\"\ntable = \"busy\"\n"
        ),
    );
    std::fs::remove_file(sandbox.path("pipelines/calls.toml")).unwrap();
    sandbox.sqlite("store.db", "CREATE TABLE other (x)");
    let held = rusqlite::Connection::open(sandbox.path("store.db")).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let serving = Serving::start(&sandbox);
    serving.until("it waits for its second try", || serving.member("busy")["state"]["retries"].is_string());
    let kept = "SELECT count(*) FROM schedules WHERE name = 'busy' AND retry_at IS NOT NULL AND failed = 1";
    serving.until("that is written down", || number(&sandbox, "data/state/history.db", kept) == Some(1));
    let at = serving.member("busy")["state"]["retries"].clone();
    serving.kill();
    let serving = Serving::start(&sandbox);
    assert_eq!(serving.member("busy")["state"]["retries"], at, "the same instant, in another process");
    serving.stop().done();
}
