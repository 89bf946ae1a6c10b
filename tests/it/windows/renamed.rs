//! A mart of another name (`was`) goes on with the windows that are built; members of a matrix have a table each.

use serde_json::json;

use super::{PROJECT, QUERY, add, built, daily, day, found, project, told};
use crate::support::project::Sandbox;

/// A mart over another one's table, whatever that is called.
fn second(connection: &str) -> String {
    let query = format!(
        "SELECT dt, amount * 100 AS amount FROM {connection}.daily WHERE dt >= :window.from AND dt < :window.until"
    );
    daily(&query, "copies", 3, "on_change = \"rebuild\"")
}

fn rename(project: &Sandbox, connection: &str, was: &str) {
    let _ = std::fs::remove_file(project.path("marts/daily.toml"));
    let mart = format!("{was}{}table = \"daily\"\n", daily(QUERY, connection, 3, ""));
    project.write("marts/sales/days.toml", &mart);
}

#[test]
fn a_renamed_mart_keeps_its_windows() {
    for connection in ["lake", "copies"] {
        let project = project(connection, 3, "");
        project.write("marts/second.toml", &second(connection));
        project.must(&["run", "--all"]);
        add(&project, 2, 10);
        rename(&project, connection, "was = \"daily\"\n");
        let plan = told(&project, &["plan"]);
        let builds = |at: usize| plan[at]["builds"].as_array().unwrap().len();
        // What ends tonight is built by every run.
        assert_eq!((builds(0), builds(1)), (1, 1), "{plan:#}");
        let stopped = project
            .command(&["run", "--all"])
            .env("VITRINA_FAILPOINT", "run.windows.taken_over:2")
            .output()
            .unwrap();
        assert!(!stopped.status.success(), "{connection}");
        let runs = told(&project, &["run", "--all"]);
        assert_eq!((&runs[0]["units"], &runs[1]["units"]), (&json!(1), &json!(1)), "{runs:#}");
        let notes = runs[0]["notes"].to_string();
        assert!(notes.contains("goes on from where `daily` stood: 2 windows"), "{notes}");
        assert_eq!(found(&project, "mart.\"sales/days\""), [(3, 1), (2, 1), (1, 1), (0, 1)]);
        // The old name may be forgotten now; those that were built from it by that name are still told by it.
        project.must(&["backfill", "second", "--from", &day(3).to_string()]);
        rename(&project, connection, "");
        assert_eq!(built(&project, &["run", "sales/days"]), 1);
        assert_eq!(told(&project, &["plan", "second"])[0]["builds"].as_array().unwrap().len(), 1);
        // And a window that is built again is news to them.
        let of_day = day(2).to_string();
        project.must(&["backfill", "sales/days", "--from", &of_day, "--last", &of_day]);
        project.must(&["run", "second"]);
        assert_eq!(found(&project, "mart.second"), [(3, 100), (2, 1100), (1, 100), (0, 100)]);
    }
}

#[test]
fn a_table_that_would_change_its_name_is_told_of() {
    let project = project("lake", 3, "");
    std::fs::remove_file(project.path("marts/daily.toml")).unwrap();
    project.write("marts/days.toml", &format!("was = \"daily\"\n{}", daily(QUERY, "lake", 3, "")));
    let ran = project.vitrina(&["check", "--offline"]).done();
    let said = ran.stdout + &ran.stderr;
    assert!(
        said.contains("the table's name changes with the mart's")
            && said.contains("name the old table in `sink.table`"),
        "{said}"
    );
}

#[test]
fn members_do_not_share_a_table_of_windows() {
    let project = project("lake", 2, "");
    project.write("vitrina.toml", &format!("{PROJECT}\n[matrix.region]\nmrf1 = {{}}\nmrf2 = {{}}\n"));
    let query = QUERY.replace("count(*) AS n", ":region AS region");
    let mart = "matrix = [\"region\"]\n".to_owned() + &daily(&query, "lake", 2, "");
    for table in ["", "table = \"daily\"\n"] {
        project.write("marts/daily.toml", &format!("{mart}{table}"));
        let ran = project.vitrina(&["check", "--offline"]).ended(1);
        let said = ran.stdout + &ran.stderr;
        let parts = ["would replace the others' rows", "table = \"daily_{region}\""];
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
}
