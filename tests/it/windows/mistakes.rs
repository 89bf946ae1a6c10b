//! What `check` says of windows and checks, and what stops a build.

use super::{PROJECT, QUERY, daily, found, project};
use crate::support::project::Sandbox;

/// What `check` says of a mart.
#[track_caller]
fn refused(mart: &str, parts: &[&str]) {
    let project = Sandbox::new(&[("vitrina.toml", PROJECT), ("marts/daily.toml", mart)]);
    let ran = project.vitrina(&["check"]);
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.code, Some(1), "{all}");
    for part in parts {
        assert!(all.contains(part), "nothing of {part:?} in:\n{all}");
    }
}

/// A daily mart that reads no table: its columns are known.
fn known(query: &str, more: &str) -> String {
    daily(query, "lake", 3, more)
}

const VALUES: &str = "SELECT local_date(at) AS dt, at, 1 AS n \
                      FROM (SELECT arrow_cast('2026-01-01T00:00:00Z', 'Timestamp(Microsecond, Some(\"UTC\"))') AS at) AS t \
                      WHERE at >= :window.from AND at < :window.until";

#[test]
fn mistakes_of_windows_have_a_place() {
    refused(&known(&QUERY.replace("AND at < :window.until", ""), ""), &["does not use `:window.until`"]);
    refused(&known(QUERY, "batch_size = 0"), &["batch_size = 0", "expected 1 or more"]);
    let native = known(QUERY, "batch_size = 2").replacen("sql", "native = true\nsql", 1);
    refused(&native, &["`batch_size` does not go with `native`"]);
    refused(
        &known(VALUES, "").replace("column = \"dt\"", "column = \"day\""),
        &["the rows have no column `day`"],
    );
    refused(
        &known(VALUES, "").replace("column = \"dt\"", "column = \"n\""),
        &["column `n` is int64: rows lie in windows by a date"],
    );
    refused(
        &known(VALUES, "").replace("grain = \"day\"", "grain = \"hour\""),
        &["column `dt` is date: rows lie in hours by an instant"],
    );
    refused(
        &known(VALUES, "").replace("[sink]", "[sink]\nmode = \"merge\"\nkey = [\"dt\"]"),
        &["there is nothing to merge"],
    );
    refused(&known(VALUES, "lookbak = \"3d\""), &["lookback"]);
    refused(&known(VALUES, "").replace("start = ", "start = \"x\" #"), &["`window.start` is no day"]);
    refused(
        "excel = \"x.xlsx\"\n[window]\ncolumn = \"dt\"\ngrain = \"day\"\nstart = 2026-01-01\n[[sheet]]\nname = \"a\"\nsql = \"SELECT 1 AS a\"",
        &["[window] goes with `sql` and [sink]"],
    );
    refused(&QUERY_WITHOUT_WINDOW.replace("QUERY", QUERY), &["there is no parameter `:window.from`"]);
}

const QUERY_WITHOUT_WINDOW: &str = "sql = '''QUERY'''\n[sink]\nconnection = \"lake\"\n";

#[test]
fn mistakes_of_checks_have_a_place() {
    let with = |check: &str| format!("{}[[check]]\n{check}\n", known(VALUES, ""));
    refused(&with("name = \"a\""), &["this check asks nothing"]);
    refused(&with("unique = [\"dt\"]\nnot_null = [\"dt\"]"), &["asks several things: unique, not_null"]);
    refused(&with("unique = [\"day\"]"), &["day"]);
    refused(&with("accepted.kind = [\"a\"]"), &["kind"]);
    refused(&with("range.n = {}"), &["`range` names nothing"]);
    refused(&with("relationship.n = \"content\""), &["`relationship` names nothing"]);
    refused(&with("row_count = { min = 3, max = 2 }"), &["no number of rows is meant"]);
    refused(&with("sql = \"SELECT 1 AS a\""), &["does not look at `this`"]);
    refused(&with("sql = \"SELECT m FROM this\""), &["m"]);
    refused(&with("freshness.n = \"1h\""), &["only dates and instants have an age"]);
    refused(
        &with("unique = [\"dt\"]\n[[check]]\nunique = [\"dt\"]"),
        &["two checks of the name `unique dt`"],
    );
    refused(&with("severity = \"blok\"\nunique = [\"dt\"]"), &["block"]);
}

#[test]
fn a_row_outside_of_its_window_stops_the_build() {
    for connection in ["lake", "copies"] {
        let project = project(connection, 2, "");
        project.must(&["run", "daily"]);
        let before = found(&project, "mart.daily");
        // The bound is on one thing, the column made of another.
        let query = "SELECT DATE '2020-01-01' AS dt, count(*) AS n, sum(amount) AS amount FROM bot.events \
                     WHERE at >= :window.from AND at < :window.until";
        project.write("marts/daily.toml", &daily(query, connection, 2, ""));
        project
            .vitrina(&["run", "daily"])
            .says(1, &["a row lies outside of its window by `dt`", "window 20"]);
        assert_eq!(found(&project, "mart.daily"), before);
    }
}

#[test]
fn sql_that_fails_late_leaves_the_window_as_it_was() {
    let project = project("lake", 2, "");
    project.must(&["run", "daily"]);
    let before = found(&project, "mart.daily");
    let query = QUERY.replace("sum(amount)", "max(10 / (amount - 1))");
    project.write("marts/daily.toml", &daily(&query, "lake", 2, ""));
    project.vitrina(&["run", "daily"]).says(1, &["window "]);
    assert_eq!(found(&project, "mart.daily"), before);
}
