//! A pipeline that reads its source again makes windows stale that were built from its old rows.

use super::{add, built, daily, day, found, project, told};
use crate::support::project::Sandbox;

const PIPELINE: &str = "[source]\nconnection = \"bot\"\ntable = \"events\"\ncursor = { column = \"id\" }\n[sink]\nconnection = \"copies\"\n\
                        table = \"events\"\nmode = \"merge\"\nkey = [\"id\"]\n";

const QUERY: &str = "SELECT local_date(at) AS dt, sum(amount) AS amount FROM pipeline.events \
                     WHERE at >= :window.from AND at < :window.until GROUP BY local_date(at)";

/// Events of four days, copied, and a mart of the copies; all of it has run.
fn copied(more: &str) -> Sandbox {
    let project = project("lake", 3, "");
    project.write("pipelines/events.toml", PIPELINE);
    project.write("marts/daily.toml", &daily(QUERY, "lake", 3, more));
    project.must(&["run", "--all"]);
    assert_eq!(found(&project, "mart.daily"), [(3, 1), (2, 1), (1, 1), (0, 1)]);
    project
}

/// The source's rows are others, but for the one that was read last, without a trace that its cursor could see.
fn correct(project: &Sandbox, amount: i64) {
    project.sqlite("bot.db", &format!("UPDATE events SET amount = {amount} WHERE id <= 3"));
}

/// The windows that are stale: by what, and whether the next run builds them.
fn stale(project: &Sandbox, mart: &str) -> Vec<(String, bool)> {
    let plan = told(project, &["plan", mart]);
    let builds = plan[0]["builds"].as_array().unwrap().iter();
    let stale = builds.filter(|build| build["why"] == "input_changed");
    stale.map(|build| (build["input"].as_str().unwrap().to_owned(), build["by_run"] == true)).collect()
}

#[test]
fn a_full_refresh_of_a_pipeline_makes_windows_stale() {
    let project = copied("");
    let backfill = ["backfill", "daily", "--from", &day(3).to_string(), "--stale"].map(str::to_owned);
    let backfill: Vec<&str> = backfill.iter().map(String::as_str).collect();
    for amount in [5, 7] {
        correct(&project, amount);
        add(&project, 0, 0);
        project.must(&["run", "events"]);
        assert_eq!(stale(&project, "daily"), [], "a pipeline moves on all the time");
        project.must(&["run", "events", "--full-refresh"]);
        let expected = vec![("events".to_owned(), false); 3];
        assert_eq!(stale(&project, "daily"), expected);
        // It is not forgotten with the next rows.
        add(&project, 0, 0);
        project.must(&["run", "--all"]);
        assert_eq!(stale(&project, "daily"), expected);
        assert!(project.must(&["status", "daily"]).contains("3 windows stale, see `vitrina plan`"));
        project.must(&backfill);
        assert_eq!(stale(&project, "daily"), []);
        assert_eq!(found(&project, "mart.daily"), [(3, 1), (2, amount), (1, amount), (0, amount)]);
    }
    // What was reset is read again by the next run.
    correct(&project, 9);
    project.must(&["position", "reset", "events"]);
    assert_eq!(stale(&project, "daily"), [], "the rows are as they were");
    project.must(&["run", "events"]);
    assert_eq!(stale(&project, "daily").len(), 3);
    project.must(&backfill);
    assert_eq!(found(&project, "mart.daily"), [(3, 1), (2, 9), (1, 9), (0, 9)]);
}

#[test]
fn a_policy_builds_again_what_a_full_refresh_made_stale() {
    let project = copied("on_change = \"rebuild\"");
    correct(&project, 5);
    project.must(&["run", "events", "--full-refresh"]);
    assert_eq!(built(&project, &["run", "daily"]), 4);
    assert_eq!(found(&project, "mart.daily"), [(3, 1), (2, 5), (1, 5), (0, 5)]);
    assert_eq!(built(&project, &["run", "daily"]), 1);

    let project = copied("on_change = \"forward_only\"");
    correct(&project, 5);
    project.must(&["run", "events", "--full-refresh"]);
    assert_eq!(stale(&project, "daily"), []);
}

#[test]
fn a_full_refresh_is_seen_through_marts_that_are_built_whole() {
    let project = copied("");
    let whole = "sql = \"SELECT id, at, amount * 10 AS amount FROM pipeline.events\"\n[sink]\nconnection = \"copies\"\n\
                 mode = \"replace\"\n";
    project.write("marts/tens.toml", whole);
    let query = QUERY.replace("pipeline.events", "mart.tens");
    project.write("marts/second.toml", &daily(&query, "lake", 3, ""));
    project.must(&["run", "--all"]);
    add(&project, 0, 0);
    project.must(&["run", "--all"]);
    assert_eq!(stale(&project, "second"), []);
    correct(&project, 5);
    project.must(&["run", "events", "--full-refresh"]);
    assert_eq!(stale(&project, "second"), [], "what it reads is as it was");
    project.must(&["run", "tens"]);
    assert_eq!(stale(&project, "second"), vec![("tens".to_owned(), false); 3]);
    project.must(&["run", "--all"]);
    assert_eq!(stale(&project, "second").len(), 3, "it is not forgotten with the next rows");
    project.must(&["backfill", "second", "--from", &day(3).to_string()]);
    assert_eq!(stale(&project, "second"), []);
    assert_eq!(found(&project, "mart.second"), [(3, 10), (2, 50), (1, 50), (0, 50)]);
}
