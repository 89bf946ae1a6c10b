//! SIGTERM, and a death without one.

use std::time::{Duration, Instant};

use super::serving::{CALLS, PATIENCE, PROJECT, Serving, arrived, project, runs};

/// A slice that takes a while: SQL that counts to a large number for each row.
const SLOW: &str = r#"
[transform]
sql = """
SELECT s.id, s.seconds, t.n FROM source s
JOIN (SELECT count(*) AS n FROM generate_series(1, 3000) a, generate_series(1, 30000) b) t ON true
"""
"#;

#[test]
fn a_slice_that_is_being_written_may_finish() {
    let sandbox = project();
    sandbox.write("pipelines/calls.toml", &CALLS.replace("[sink]", &format!("{SLOW}\n[sink]")));
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    let serving = Serving::start(&sandbox);
    serving.until("a run goes", || serving.member("calls")["state"] == "runs");
    let ran = serving.stop().done();
    assert_eq!(arrived(&sandbox), 1, "{ran:#?}");
    assert_eq!(runs(&sandbox, "calls", "running"), 0);
}

#[test]
fn what_takes_longer_than_the_grace_is_rolled_back_and_begun_again() {
    let sandbox = project();
    sandbox.write("vitrina.toml", &format!("{PROJECT}\n[daemon]\ngrace = \"100ms\"\n"));
    let slow = SLOW.replace("30000", "30000000");
    sandbox.write(
        "pipelines/calls.toml",
        &CALLS.replace("1s", "1h").replace("[sink]", &format!("{slow}\n[sink]")),
    );
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    let serving = Serving::start(&sandbox);
    let mut by_hand =
        sandbox.command(&["run", "calls"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    serving.until("the run is in the history", || runs(&sandbox, "calls", "running") == 1);
    let begun = Instant::now();
    serving.stop().done();
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    assert_ne!(by_hand.wait().unwrap().code(), Some(0));
    assert_eq!(arrived(&sandbox), 0);
    sandbox.write("pipelines/calls.toml", CALLS);
    sandbox.must(&["run", "--all"]);
    assert_eq!(arrived(&sandbox), 1);
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
    let seen = "UPDATE schedules SET rule = 'every 1h', owed = 0, seen = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-5 hours') WHERE name = 'calls'";
    sandbox.sqlite("data/state/history.db", seen);
    sandbox.write("pipelines/calls.toml", &CALLS.replace("every = \"1s\"", "every = \"1h\""));
    let before = runs(&sandbox, "calls", "done");
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (8)");
    let serving = Serving::start(&sandbox);
    serving.until("what was missed is run", || arrived(&sandbox) == 2);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(runs(&sandbox, "calls", "done") - before, 1, "five instants were missed, and are one run");
    assert_eq!(serving.member("calls")["left_out"], 4);
    serving.stop().done();
}

#[test]
fn a_run_that_a_kill_cut_short_goes_on_in_the_next_daemon() {
    let sandbox = project();
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    let serving = Serving::start_with(&sandbox, &[("VITRINA_FAILPOINT", "run.commit.after")]);
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
