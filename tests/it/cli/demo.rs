//! `demo`: from nothing to dashboards, and on.

use serde_json::json;

use crate::support::project::Sandbox;

#[test]
fn the_demo_runs_whole_and_doubles_nothing() {
    let here = Sandbox::new(&[]);
    let first = here.vitrina(&["demo", "--days", "3", "--dir", "показ"]).done();
    assert!(
        first.stdout.contains("Try next:") && first.stdout.contains("actions_to_warehouse/mrf3"),
        "{first:#?}"
    );
    assert!(here.path("показ/data/dashboards").read_dir().unwrap().count() >= 3);

    let count = |sql: &str| {
        let rows = here.vitrina(&["--project", "показ", "query", sql, "--format", "json"]).done().json();
        rows[0].clone()
    };
    let sql = "SELECT count(*) AS n, count(DISTINCT region || '/' || CAST(id AS VARCHAR)) AS ids \
               FROM pipeline.actions_to_warehouse";
    let rows = count(sql);
    assert!(rows["n"].as_u64().unwrap() > 1_000, "{rows}");
    assert_eq!(rows["n"], rows["ids"], "each row once");

    let second = here.vitrina(&["demo", "--dir", "показ"]).done();
    assert!(second.stderr.contains("it goes on"), "{second:#?}");
    let rows = count(sql);
    assert_eq!(rows["n"], rows["ids"], "each row once, the second time too");
    let runs =
        here.vitrina(&["--project", "показ", "runs", "--limit", "500", "--format", "json"]).done().json();
    let states: Vec<_> = runs.as_array().unwrap().iter().map(|run| run["state"].clone()).collect();
    assert!(states.iter().all(|state| *state == json!("done")), "{states:?}");
    here.vitrina(&["demo", "--dir", "показ", "--days", "3"]).ended(2);
}

#[test]
fn a_folder_with_other_things_is_left_alone() {
    let here = Sandbox::new(&[("занято/файл.txt", "mine")]);
    let called = here.vitrina(&["demo", "--dir", "занято"]).ended(2);
    assert!(called.stderr.contains("holds other things already"), "{called:#?}");
    assert_eq!(here.path("занято").read_dir().unwrap().count(), 1);
    here.write("чужой/vitrina.toml", "[project]\nname = \"other\"\n");
    let called = here.vitrina(&["demo", "--dir", "чужой"]).ended(2);
    assert!(called.stderr.contains("is another project"), "{called:#?}");
    assert_eq!(here.path("чужой").read_dir().unwrap().count(), 1);
}
