//! An edited project is taken over whole, or not at all.

use super::serving::{CALLS, PROJECT, Serving, arrived, number, project};

#[test]
fn a_good_edit_is_taken_over_and_a_bad_one_told_until_it_is_mended() {
    let sandbox = project();
    let serving = Serving::start(&sandbox);
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    serving.until("a row arrives", || arrived(&sandbox) == 1);

    sandbox.write("pipelines/calls.toml", &CALLS.replace("cursor", "coursor"));
    serving.until("the bad edit is told", || serving.status().unwrap()["stale"].is_object());
    let told = serving.lines("pipelines/calls.toml:");
    assert!(
        told.iter()
            .any(|line| line["level"] == "ERROR" && line["message"].as_str().unwrap().contains("coursor"))
    );
    let status = sandbox.vitrina(&["status"]);
    status.says(1, &["coursor", "it serves the project as it was before"]);
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (8)");
    serving.until("the old project goes on", || arrived(&sandbox) == 2);

    sandbox.write("pipelines/calls.toml", CALLS);
    sandbox
        .write("pipelines/again.toml", &CALLS.replace("table = \"calls\"\nmode", "table = \"again\"\nmode"));
    serving.until("the new pipeline runs", || {
        number(&sandbox, "store.db", "SELECT count(*) FROM again") == Some(2)
    });
    assert!(serving.status().unwrap()["stale"].is_null());
    assert_eq!(serving.lines("+ again").len(), 1);

    std::fs::remove_file(sandbox.path("pipelines/again.toml")).unwrap();
    serving.until("it is gone", || serving.status().unwrap()["members"].as_array().unwrap().len() == 2);
    serving.stop().done();
}

#[test]
fn what_cannot_change_under_a_daemon_is_refused_and_a_signal_reloads() {
    let sandbox = project();
    let serving = Serving::start(&sandbox);
    sandbox.write("vitrina.toml", &PROJECT.replace("\"served\"", "\"another\""));
    serving.until("it is refused", || serving.status().unwrap()["stale"].is_object());
    let stale = serving.status().unwrap()["stale"].to_string();
    assert!(stale.contains("`name` in [project] cannot change while the daemon runs"), "{stale}");
    sandbox.write("vitrina.toml", PROJECT);
    serving.until("it is mended", || serving.status().unwrap()["stale"].is_null());
    let before = serving.lines("is taken over").len();
    serving.signal("-HUP");
    serving.until("the signal reloads", || serving.lines("is taken over").len() > before);
    serving.stop().done();
}
