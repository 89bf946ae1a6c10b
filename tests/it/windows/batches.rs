//! Windows that one query computes together.

use chrono::NaiveDate;
use serde_json::Value as Json;

use super::{built, daily, day, project, told};
use crate::support::project::Sandbox;

/// How many days the query of a day's window was asked for.
const ASKED: &str = "SELECT local_date(at) AS dt, sum(amount) AS amount, count(*) OVER () AS days FROM bot.events \
                     WHERE at >= :window.from AND at < :window.until GROUP BY local_date(at)";

/// The mart: how many days ago, and how many days its query gave.
fn found(project: &Sandbox) -> Vec<(i64, i64)> {
    let rows = project.query("SELECT dt, days FROM mart.daily ORDER BY dt");
    let ago = |row: &Json| {
        let dt: NaiveDate = row["dt"].as_str().unwrap().parse().unwrap();
        (day(0) - dt).num_days()
    };
    rows.iter().map(|row| (ago(row), row["days"].as_i64().unwrap())).collect()
}

#[test]
fn one_query_computes_windows_that_follow_each_other() {
    for connection in ["lake", "copies"] {
        let project = project(connection, 6, "");
        project.write("marts/daily.toml", &daily(ASKED, connection, 6, "batch_size = 3"));
        assert_eq!(built(&project, &["run", "daily"]), 7);
        assert_eq!(found(&project), [(6, 3), (5, 3), (4, 3), (3, 3), (2, 3), (1, 3), (0, 1)], "{connection}");
        // Each is a window of its own in the ledger.
        assert_eq!(built(&project, &["run", "daily"]), 1, "the day that has not ended");
        let (from, last) = (day(5).to_string(), day(4).to_string());
        assert_eq!(built(&project, &["backfill", "daily", "--from", &from, "--last", &last]), 2);
        assert_eq!(found(&project), [(6, 3), (5, 2), (4, 2), (3, 3), (2, 3), (1, 3), (0, 1)], "{connection}");
        // Another size is the same query.
        project.write("marts/daily.toml", &daily(ASKED, connection, 6, "batch_size = 2"));
        assert_eq!(told(&project, &["plan", "daily"])[0]["builds"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn there_may_be_more_batches_than_are_built_at_once() {
    let project = project("lake", 9, "");
    project.write("marts/daily.toml", &daily(ASKED, "lake", 9, "batch_size = 2"));
    assert_eq!(built(&project, &["run", "daily"]), 10);
    assert!(found(&project).iter().all(|(_, days)| *days == 2));
}

/// A join that holds three million letters for each day, and can neither spill nor be a merge.
#[test]
fn what_is_too_much_for_a_batch_is_computed_window_by_window() {
    let project = project("lake", 9, "");
    let memory = super::PROJECT.replace("parallel = 2", "parallel = 2\nmemory = \"24 MiB\"");
    project.write("vitrina.toml", &memory);
    let sql = "WITH wide AS (SELECT at, amount, repeat('x', 3000000) AS t FROM bot.events WHERE at >= :window.from AND at < :window.until), \
                    other AS (SELECT at AS since FROM bot.events WHERE at >= :window.from AND at < :window.until) \
               SELECT local_date(at) AS dt, sum(amount) AS amount, count(*) OVER () AS days, max(length(t)) AS t \
               FROM wide CROSS JOIN other WHERE t > 'a' GROUP BY local_date(at)";
    project.write("marts/daily.toml", &daily(sql, "lake", 9, "batch_size = 10"));
    assert_eq!(built(&project, &["run", "daily"]), 10);
    assert!(found(&project).iter().all(|(_, days)| *days == 1), "{:?}", found(&project));
}

#[test]
fn a_check_blocks_one_window_of_a_batch() {
    let project = project("lake", 4, "");
    let check = "[[check]]\nname = \"мало\"\nrange.amount = { max = 5 }\n";
    project.write("marts/daily.toml", &format!("{}{check}", daily(ASKED, "lake", 4, "batch_size = 9")));
    super::add(&project, 2, 10);
    project.vitrina(&["run", "daily"]).says(1, &["check \"мало\" does not hold", &day(2).to_string()]);
    assert_eq!(found(&project), [(4, 5), (3, 5), (1, 5), (0, 5)]);
}

#[test]
fn a_row_outside_of_all_windows_fails_the_last_and_one_before_them_the_first() {
    // Days are moved: what is computed of today lies behind it, or the oldest before all windows.
    for (move_by, left) in [("+ 1", 1), ("- 1", 0)] {
        let project = project("lake", 2, "");
        let moved = ASKED.replace("local_date(at) AS", &format!("local_date(at) {move_by} AS"));
        project.write("marts/daily.toml", &daily(&moved, "lake", 2, "batch_size = 9"));
        let ran = project.vitrina(&["run", "daily"]);
        ran.says(1, &["a row lies outside of its window by `dt`"]);
        let there = project.vitrina(&["query", "SELECT * FROM mart.daily", "--format", "ndjson"]);
        assert_eq!(there.stdout.lines().count(), left, "{move_by}: {}", there.stdout);
    }
}

/// Windows of a batch may be in one log entry, which is there or not.
#[test]
fn death_while_windows_are_committed_leaves_each_there_once() {
    for point in ["delta.record.after:2", "delta.commit.before:2", "delta.commit.after:1"] {
        let project = project("lake", 39, "");
        project.write("marts/daily.toml", &daily(ASKED, "lake", 39, "batch_size = 40"));
        let killed = project.command(&["run", "daily"]).env("VITRINA_FAILPOINT", point).output().unwrap();
        assert!(!killed.status.success(), "{point}");
        project.must(&["run", "daily"]);
        let days: Vec<i64> = found(&project).into_iter().map(|(ago, _)| ago).collect();
        assert_eq!(days, (0..=39).rev().collect::<Vec<_>>(), "{point}");
    }
}

#[test]
fn a_killed_batch_goes_on_behind_its_last_window() {
    let project = project("lake", 5, "");
    project.write("marts/daily.toml", &daily(ASKED, "lake", 5, "batch_size = 9"));
    let killed =
        project.command(&["run", "daily"]).env("VITRINA_FAILPOINT", "run.mart.committed:2").output().unwrap();
    assert!(!killed.status.success());
    // Others may have been committed together with the second one.
    let left = i64::try_from(built(&project, &["run", "daily"])).unwrap();
    assert!((0..=4).contains(&left), "{left}");
    let days = |ago: i64| if ago < left { left } else { 6 };
    assert_eq!(found(&project), [5, 4, 3, 2, 1, 0].map(|ago| (ago, days(ago))));
}
