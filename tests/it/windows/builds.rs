//! Which windows a run builds, and what becomes of the others.

use serde_json::json;

use super::{PROJECT, QUERY, add, built, daily, day, found, project, told};
use crate::support::project::Sandbox;

#[test]
fn missing_windows_are_built_and_the_current_one_again() {
    let project = project("lake", 4, "");
    assert_eq!(built(&project, &["run", "daily"]), 5);
    assert_eq!(found(&project, "mart.daily"), [(4, 1), (3, 1), (2, 1), (1, 1), (0, 1)]);
    add(&project, 0, 10);
    add(&project, 3, 10);
    assert_eq!(built(&project, &["run", "daily"]), 1, "the day that has not ended");
    assert_eq!(found(&project, "mart.daily"), [(4, 1), (3, 1), (2, 1), (1, 1), (0, 11)]);
    // A Delta table lies in a folder for each day.
    let folders = std::fs::read_dir(project.path("lake/daily")).unwrap().flatten();
    let days = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with("dt=")).count();
    assert_eq!(days, 5);
}

#[test]
fn lookback_meets_late_rows() {
    let project = project("copies", 5, "lookback = \"2d\"");
    assert_eq!(built(&project, &["run", "daily"]), 6);
    for ago in 0..=5 {
        add(&project, ago, 10);
    }
    // The last two days, counted from now, touch the day before yesterday.
    assert_eq!(built(&project, &["run", "daily"]), 3);
    assert_eq!(found(&project, "mart.daily"), [(5, 1), (4, 1), (3, 1), (2, 11), (1, 11), (0, 11)]);
}

#[test]
fn the_current_window_may_be_left_out() {
    let project = project("lake", 2, "current = false");
    assert_eq!(built(&project, &["run", "daily"]), 2);
    assert_eq!(found(&project, "mart.daily"), [(2, 1), (1, 1)]);
    assert_eq!(built(&project, &["run", "daily"]), 0);
}

#[test]
fn a_backfill_builds_what_it_is_asked_for() {
    let project = project("lake", 6, "");
    project.must(&["run", "daily"]);
    for ago in 0..=6 {
        add(&project, ago, 10);
    }
    let (from, last) = (day(4).to_string(), day(3).to_string());
    assert_eq!(built(&project, &["backfill", "daily", "--from", &from, "--last", &last]), 2);
    let expected = [(6, 1), (5, 1), (4, 11), (3, 11), (2, 1), (1, 1), (0, 1)];
    assert_eq!(found(&project, "mart.daily"), expected);
    assert_eq!(
        built(&project, &["backfill", "daily", "--from", &from, "--last", &last]),
        2,
        "it is over: a new one"
    );
    assert_eq!(
        built(&project, &["backfill", "daily", "--from", &from, "--stale"]),
        1,
        "the day that has not ended"
    );
    assert_eq!(built(&project, &["run", "daily", "--full-refresh"]), 7);
    assert!(found(&project, "mart.daily").iter().all(|(_, amount)| *amount == 11));
}

#[test]
fn a_backfill_that_was_stopped_goes_on() {
    let project = project("lake", 6, "");
    project.must(&["run", "daily"]);
    let from = day(6).to_string();
    let killed = project
        .command(&["backfill", "daily", "--from", &from])
        .env("VITRINA_FAILPOINT", "run.mart.committed:3")
        .output()
        .unwrap();
    assert!(!killed.status.success());
    let rest = told(&project, &["backfill", "daily", "--from", &from]);
    let notes = rest[0]["notes"].to_string();
    assert!(notes.contains("goes on with the backfill of ") && notes.contains("`--anew`"), "{notes}");
    let rest = rest[0]["units"].as_u64().unwrap();
    assert!((3..=5).contains(&rest), "{rest} windows of 7 were left after the third commit");
    assert_eq!(found(&project, "mart.daily").len(), 7);
}

/// A project of seven days whose backfill died after its third commit, as the command that asks for it.
fn stopped() -> (Sandbox, [String; 4]) {
    let project = project("lake", 6, "");
    project.must(&["run", "daily"]);
    let backfill = ["backfill", "daily", "--from", &day(6).to_string()].map(str::to_owned);
    let killed =
        project.command(&each(&backfill)).env("VITRINA_FAILPOINT", "run.mart.committed:3").output().unwrap();
    assert!(!killed.status.success());
    (project, backfill)
}

fn each(arguments: &[String; 4]) -> [&str; 4] {
    arguments.each_ref().map(String::as_str)
}

#[test]
fn a_backfill_that_was_stopped_begins_anew_with_another_query_or_if_asked_to() {
    let (project, backfill) = stopped();
    let twice = QUERY.replace("sum(amount)", "sum(amount) * 2");
    project.write("marts/daily.toml", &daily(&twice, "lake", 6, ""));
    assert_eq!(built(&project, &each(&backfill)), 7);
    assert!(found(&project, "mart.daily").iter().all(|(_, amount)| *amount == 2));
    let (project, backfill) = stopped();
    assert_eq!(built(&project, &[&each(&backfill)[..], &["--anew"]].concat()), 7);
}

/// What another mart makes stale has to be built, though it was built since the backfill began.
#[test]
fn a_backfill_that_goes_on_builds_what_became_stale() {
    let project = project("lake", 4, "");
    let second = "SELECT dt, amount FROM mart.daily WHERE dt >= :window.from AND dt < :window.until";
    project.write("marts/second.toml", &daily(second, "copies", 4, ""));
    project.must(&["run", "--all"]);
    let from = day(4).to_string();
    let killed = project
        .command(&["backfill", "second", "--from", &from])
        .env("VITRINA_FAILPOINT", "run.backfill.built")
        .output()
        .unwrap();
    assert!(!killed.status.success());
    add(&project, 3, 10);
    let of_day = day(3).to_string();
    project.must(&["backfill", "daily", "--from", &of_day, "--last", &of_day]);
    let run = told(&project, &["backfill", "second", "--from", &from]);
    assert_eq!(run[0]["units"], 1, "the others were built by the one that died: {run:#}");
    assert_eq!(found(&project, "mart.second")[1], (3, 11));
}

#[test]
fn a_backfill_whose_windows_all_had_their_turn_is_over() {
    let project = project("copies", 6, "");
    let checked = daily(QUERY, "copies", 6, "") + "[[check]]\nrange.amount = { max = 1 }\n";
    project.write("marts/daily.toml", &checked);
    project.must(&["run", "daily"]);
    add(&project, 3, 10);
    let from = day(6).to_string();
    let backfill = ["backfill", "daily", "--from", &from];
    project.vitrina(&backfill).says(1, &["does not hold"]);
    add(&project, 5, -1);
    project.sqlite("bot.db", "DELETE FROM events WHERE amount = 10");
    assert_eq!(built(&project, &backfill), 7, "it is another one");
    assert_eq!(found(&project, "mart.daily")[1], (5, 0));
}

#[test]
fn a_range_outside_the_windows_is_refused() {
    let project = project("lake", 2, "");
    let backfill = |from: u64, last: u64| {
        let (from, last) = (day(from).to_string(), day(last).to_string());
        project.vitrina(&["backfill", "daily", "--from", &from, "--last", &last])
    };
    backfill(9, 1).says(1, &["lies before the mart's first window", &day(2).to_string()]);
    backfill(1, 2).says(1, &["the range ends on"]);
    let tomorrow = (day(0) + chrono::Days::new(1)).to_string();
    project.vitrina(&["backfill", "daily", "--from", &tomorrow]).says(1, &["has not begun yet"]);
    assert_eq!(told(&project, &["runs"]), json!([]), "a wrong question is no failed run");
}

#[test]
fn a_changed_query_marks_windows_or_builds_them_again() {
    let project = project("lake", 3, "");
    project.must(&["run", "daily"]);
    let states = |project: &Sandbox| {
        let plan = told(project, &["plan", "daily"]);
        let builds = plan[0]["builds"].as_array().unwrap();
        builds
            .iter()
            .map(|build| (build["why"].as_str().unwrap().to_owned(), build["by_run"] == true))
            .collect::<Vec<_>>()
    };
    let unfinished = || ("unfinished".to_owned(), true);
    assert_eq!(states(&project), [unfinished()]);
    let blanks = QUERY.replace("SELECT", "SELECT -- of each day\n   ");
    project.write("marts/daily.toml", &daily(&blanks, "lake", 3, ""));
    assert_eq!(states(&project), [unfinished()], "a comment changes nothing");

    let other = QUERY.replace("sum(amount)", "sum(amount) * 2");
    project.write("marts/daily.toml", &daily(&other, "lake", 3, ""));
    let changed = |by_run| ("query_changed".to_owned(), by_run);
    assert_eq!(states(&project), [changed(false), changed(false), changed(false), unfinished()]);
    assert_eq!(built(&project, &["run", "daily"]), 1);
    assert_eq!(found(&project, "mart.daily"), [(3, 1), (2, 1), (1, 1), (0, 2)]);
    assert!(project.must(&["status", "daily"]).contains("3 windows stale, see `vitrina plan`"));

    project.write("marts/daily.toml", &daily(&other, "lake", 3, "on_change = \"forward_only\""));
    assert_eq!(states(&project), [unfinished()]);
    project.write("marts/daily.toml", &daily(&other, "lake", 3, "on_change = \"rebuild\""));
    assert_eq!(states(&project), [changed(true), changed(true), changed(true), unfinished()]);
    assert_eq!(built(&project, &["run", "daily"]), 4);
    assert_eq!(found(&project, "mart.daily"), [(3, 2), (2, 2), (1, 2), (0, 2)]);
}

#[test]
fn a_window_of_a_mart_makes_those_stale_that_were_built_from_it() {
    let project = project("lake", 3, "");
    let second =
        "SELECT dt, amount * 100 AS amount FROM mart.daily WHERE dt >= :window.from AND dt < :window.until";
    project.write("marts/second.toml", &daily(second, "copies", 3, "on_change = \"rebuild\""));
    project.must(&["run", "--all"]);
    assert_eq!(found(&project, "mart.second"), [(3, 100), (2, 100), (1, 100), (0, 100)]);
    add(&project, 2, 5);
    let of_day = day(2).to_string();
    project.must(&["backfill", "daily", "--from", &of_day, "--last", &of_day]);
    let plan = told(&project, &["plan", "second"]);
    let changed: Vec<_> =
        plan[0]["builds"].as_array().unwrap().iter().filter(|b| b["why"] == "input_changed").collect();
    assert_eq!(changed.len(), 1, "{plan:#}");
    assert_eq!((&changed[0]["window"], &changed[0]["input"]), (&json!(of_day), &json!("daily")));
    assert_eq!(told(&project, &["plan", "daily"])[0]["read_by"], json!(["second"]));
    project.must(&["run", "second"]);
    assert_eq!(found(&project, "mart.second"), [(3, 100), (2, 600), (1, 100), (0, 100)]);
}

#[test]
fn an_edited_query_of_a_whole_mart_makes_windows_stale_that_were_built_from_it() {
    let project = project("lake", 3, "");
    let whole = |rate: u8| {
        format!("sql = \"SELECT {rate} AS rate\"\n[sink]\nconnection = \"copies\"\nmode = \"replace\"\n")
    };
    project.write("marts/rates.toml", &whole(2));
    let query = QUERY
        .replace("sum(amount)", "sum(amount) * max(r.rate)")
        .replace("bot.events", "bot.events CROSS JOIN mart.rates AS r");
    project.write("marts/daily.toml", &daily(&query, "lake", 3, "on_change = \"rebuild\""));
    project.must(&["run", "--all"]);
    project.must(&["run", "rates"]);
    assert_eq!(built(&project, &["run", "daily"]), 1, "the same query again changes nothing but today");
    project.write("marts/rates.toml", &whole(3));
    project.must(&["run", "rates"]);
    let plan = told(&project, &["plan", "daily"]);
    assert_eq!(
        (&plan[0]["builds"][0]["why"], &plan[0]["builds"][0]["input"]),
        (&json!("input_changed"), &json!("rates"))
    );
    assert_eq!(built(&project, &["run", "daily"]), 4);
    assert_eq!(found(&project, "mart.daily"), [(3, 3), (2, 3), (1, 3), (0, 3)]);
}

#[test]
fn late_rows_reach_a_mart_of_a_mart() {
    let project = project("lake", 5, "lookback = \"2d\"");
    let second = |factor: u8| {
        let query = format!(
            "SELECT dt, amount * {factor} AS amount FROM mart.daily WHERE dt >= :window.from AND dt < :window.until"
        );
        daily(&query, "copies", 5, "lookback = \"2d\"")
    };
    project.write("marts/second.toml", &second(1));
    project.must(&["run", "--all"]);
    add(&project, 2, 10);
    add(&project, 4, 10);
    project.must(&["run", "daily"]);
    let plan = told(&project, &["plan", "second"]);
    let due: Vec<_> =
        plan[0]["builds"].as_array().unwrap().iter().map(|build| build["by_run"] == true).collect();
    assert_eq!(due, [true; 3], "its lookback is due though what it reads changed: {plan:#}");
    assert_eq!(built(&project, &["run", "second"]), 3);
    assert_eq!(found(&project, "mart.second"), [(5, 1), (4, 1), (3, 1), (2, 11), (1, 1), (0, 1)]);

    // An edit leaves what is older as it is.
    project.write("marts/second.toml", &second(2));
    assert_eq!(built(&project, &["run", "second"]), 3);
    assert_eq!(found(&project, "mart.second"), [(5, 1), (4, 1), (3, 1), (2, 22), (1, 2), (0, 2)]);
    assert!(project.must(&["status", "second"]).contains("3 windows stale"));
}

#[test]
fn nothing_is_lost_with_the_state() {
    let project = project("lake", 3, "");
    project.must(&["run", "daily"]);
    std::fs::remove_dir_all(project.path("state")).unwrap();
    assert_eq!(built(&project, &["run", "daily"]), 1, "the records are in the table");
    let status = told(&project, &["status", "daily"]);
    assert_eq!(status[0]["windows"], json!({ "built": 4, "all": 4, "due": 1, "stale": 0 }));
    project.sqlite("state/history.db", "PRAGMA user_version = 99");
    project.vitrina(&["run", "daily"]).says(1, &["newer than this Vitrina knows"]);
}

#[test]
fn a_table_that_was_dropped_is_built_again() {
    let project = project("copies", 3, "");
    project.must(&["run", "daily"]);
    project.sqlite("copies.db", "DROP TABLE daily");
    assert!(project.must(&["status", "daily"]).contains("its table is gone"));
    let run = told(&project, &["run", "daily"]);
    assert_eq!(run[0]["units"], 4);
    assert_eq!(run[0]["notes"], json!(["the table is gone: all windows are built again"]));
    assert_eq!(found(&project, "mart.daily").len(), 4);
    // Rows that were taken away by hand come back by a backfill.
    project.sqlite("copies.db", "DELETE FROM daily");
    project.must(&["run", "daily"]);
    assert_eq!(found(&project, "mart.daily").len(), 1);
    project.must(&["backfill", "daily", "--from", &day(3).to_string()]);
    assert_eq!(found(&project, "mart.daily").len(), 4);
}

#[test]
fn windows_are_forgotten_and_adopted() {
    let project = project("lake", 3, "");
    project.must(&["run", "daily"]);
    project.must(&["position", "reset", "daily"]);
    assert_eq!(told(&project, &["status", "daily"])[0]["windows"]["built"], 0);
    project.must(&["position", "adopt", "daily"]);
    let changed =
        daily(&QUERY.replace("sum(amount)", "sum(amount) * 7"), "lake", 3, "on_change = \"rebuild\"");
    project.write("marts/daily.toml", &changed);
    assert_eq!(built(&project, &["run", "daily"]), 1, "what somebody else made is not stale");
    assert_eq!(found(&project, "mart.daily"), [(3, 1), (2, 1), (1, 1), (0, 7)]);
}

#[test]
fn freshness_is_told() {
    let project = project("lake", 3, "");
    let mart = daily(QUERY, "lake", 3, "");
    project.write("marts/daily.toml", &format!("{mart}[freshness]\nwarn_after = \"26h\"\n"));
    let fresh = |project: &Sandbox| told(project, &["status", "daily"])[0]["freshness"].clone();
    assert_eq!((&fresh(&project)["until"], &fresh(&project)["stale"]), (&json!(null), &json!(true)));
    project.must(&["run", "daily"]);
    let midnight = format!("{}T21:00:00Z", day(1));
    assert_eq!((&fresh(&project)["until"], &fresh(&project)["stale"]), (&json!(midnight), &json!(false)));
    // Today's window is not complete, yesterday's is gone: the day before is what there is.
    std::fs::remove_dir_all(project.path("state")).unwrap();
    assert_eq!(fresh(&project)["until"], json!(midnight), "told by the records");
    project.write("marts/daily.toml", &format!("{mart}[freshness]\nwarn_after = \"1ms\"\n"));
    assert!(project.must(&["status", "daily"]).contains("not fresh: "));
}

#[test]
fn members_have_windows_of_their_own() {
    let toml = format!("{PROJECT}\n[matrix.region]\nmrf1 = {{}}\nmrf2 = {{}}\n");
    let mart = "matrix = [\"region\"]\n".to_owned()
        + &daily(&QUERY.replace("count(*) AS n", ":region AS region"), "lake", 2, "")
        + "table = \"daily_{region}\"\n";
    let project = project("lake", 2, "");
    project.write("vitrina.toml", &toml);
    project.write("marts/daily.toml", &mart);
    let runs = told(&project, &["run", "daily"]);
    assert_eq!((&runs[0]["units"], &runs[1]["units"]), (&json!(3), &json!(3)));
    assert_eq!(project.number("SELECT count(*) FROM mart.daily"), 6);
    project.must(&["backfill", "daily/mrf2", "--from", &day(2).to_string()]);
    assert_eq!(project.number("SELECT count(*) FROM mart.daily"), 6);
}
