//! An edited project is taken over whole, or not at all.

use rusqlite::Connection;

use super::{
    rebuild,
    serving::{CALLS, PATIENCE, PROJECT, Serving, arrived, number, project},
};

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
    serving.until("nothing is stale", || serving.status().unwrap()["stale"].is_null());
    serving.until("it is told", || serving.lines("+ again").len() == 1);

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
    serving.until("that is told", || !serving.lines("is taken over").is_empty());
    let before = serving.lines("is taken over").len();
    serving.signal("-HUP");
    serving.until("the signal reloads", || serving.lines("is taken over").len() > before);
    serving.stop().done();
}

#[test]
fn a_backfill_ends_with_the_project_that_it_began_with() {
    let sandbox = rebuild::project();
    let days = |ago: u64| {
        let sql = format!("SELECT amount FROM days WHERE dt = '{}'", rebuild::day(ago));
        number(&sandbox, "store.db", &sql)
    };
    for ago in 1..=4 {
        rebuild::add(&sandbox, ago, 10);
    }
    let serving = Serving::start(&sandbox);
    // Somebody writes to the target, so that the first windows wait.
    let held = Connection::open(sandbox.path("store.db")).unwrap();
    held.busy_timeout(PATIENCE).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let from = rebuild::day(4).to_string();
    let backfill = ["backfill", "days", "--from", &from];
    let command = sandbox.command(&backfill).spawn().unwrap();
    serving.until("the backfill goes", || serving.status().unwrap()["going"]["days"].is_object());
    sandbox.write("marts/days.toml", &rebuild::mart("days", 7, "", ""));
    serving.until("the edit is taken over", || !serving.lines("~ days").is_empty());
    assert_eq!(days(4), Some(1));
    held.execute_batch("ROLLBACK").unwrap();
    assert!(command.wait_with_output().unwrap().status.success());
    assert_eq!([4, 3, 2, 1].map(days), [Some(11); 4], "whole windows, by the query that the run began with");
    let plan = sandbox.vitrina(&["plan", "days", "--format", "json"]).done().json();
    let builds = plan[0]["builds"].as_array().unwrap();
    assert_eq!(builds.len(), 4, "{plan:#}");
    assert!(builds.iter().all(|build| build["why"] == "query_changed"), "the ledger knows: {plan:#}");
    sandbox.must(&backfill);
    assert_eq!([4, 3, 2, 1].map(days), [Some(77); 4]);
    assert_eq!(number(&sandbox, "store.db", "SELECT count(*) FROM days"), Some(4), "each window once");
    serving.stop().done();
}

const STREAM: &str = r#"
[connections.stream]
kind = "kafka"
brokers = ["localhost:1"]
"#;

const MESSAGES: &str = r#"
[source]
connection = "stream"
table = "orders"

[source.kafka]
format = "protobuf"
proto = "schemas/shop.proto"

[source.columns]
id = "int64"

[sink]
connection = "store"
table = "orders"
mode = "append"
"#;

const KIND: &str = "syntax = \"proto3\"; enum Kind { UNKNOWN = 0; }";

#[test]
fn an_edit_of_any_file_that_is_named_is_taken_over() {
    let sandbox = project();
    sandbox.write("vitrina.toml", &format!("{PROJECT}{STREAM}"));
    sandbox.write("pipelines/messages.toml", MESSAGES);
    let shop =
        "syntax = \"proto3\"; import \"kinds/all.proto\"; message Order { int64 id = 1; Kind kind = 2; }";
    sandbox.write("schemas/shop.proto", shop);
    sandbox.write("schemas/kinds/all.proto", KIND);
    let mart = "sql = { file = \"../queries/n.sql\" }\n[sink]\nconnection = \"store\"\nmode = \"replace\"\n";
    sandbox.write("marts/n.toml", mart);
    sandbox.write("queries/n.sql", "SELECT count(*) AS n FROM store.calls");
    let serving = Serving::start(&sandbox);
    // Files are watched once the daemon listens, or a moment later: an edit that comes before is found then.
    let taken = || serving.lines("is taken over").len();
    sandbox.write("queries/n.sql", "SELECT count(*) + 1 AS n FROM store.calls");
    serving.until("the query is taken over", || serving.lines("~ n").len() == 1);
    let before = taken();
    sandbox.write("schemas/kinds/all.proto", &KIND.replace("UNKNOWN", "NONE"));
    serving.until("what a message imports is taken over", || taken() > before);
    sandbox.write("schemas/shop.proto", "syntax = \"proto3\"; message Order { string name = 1; }");
    serving.until("what does not fit is told", || serving.status().unwrap()["stale"].is_object());
    let stale = serving.status().unwrap()["stale"].to_string();
    assert!(stale.contains("pipelines/messages.toml") && stale.contains("`id`"), "{stale}");
    serving.stop().done();
}
