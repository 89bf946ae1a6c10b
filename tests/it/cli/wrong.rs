//! What goes wrong, and the codes that say so.

use super::{SHOP, shop};
use crate::support::project::Sandbox;

#[test]
fn wrong_usage_is_2() {
    let here = Sandbox::new(&[]);
    for arguments in [
        &["frobnicate"][..],
        &["run"],
        &["run", "--all", "orders"],
        &["run", "x", "--with", "period"],
        &["dead-letters", "drop", "orders"],
        &["-v", "-q", "status"],
        &["demo", "--days", "0"],
    ] {
        let called = here.vitrina(arguments).ended(2);
        assert_eq!(called.stdout, "", "{arguments:?}");
        assert!(called.stderr.starts_with("error:"), "{called:#?}");
    }
}

#[test]
fn a_mistyped_command_is_guessed() {
    let here = Sandbox::new(&[]);
    let called = here.vitrina(&["stauts"]).ended(2);
    assert!(called.stderr.contains("'status'"), "{called:#?}");
}

#[test]
fn outside_a_project_the_way_in_is_told() {
    let here = Sandbox::new(&[]);
    let called = here.vitrina(&["check"]).ended(2);
    assert!(called.stderr.contains("no vitrina.toml here or in a folder above"), "{called:#?}");
    assert!(called.stderr.contains("hint: `vitrina init DIR`"), "{called:#?}");
    let called = here.vitrina(&["--project", "nowhere", "check"]).ended(2);
    assert!(called.stderr.contains("nowhere holds no vitrina.toml"), "{called:#?}");
}

#[test]
fn an_unknown_name_is_2_with_the_nearest() {
    let shop = shop();
    let called = shop.vitrina(&["run", "ordes"]).ended(2);
    assert!(called.stderr.contains("no pipeline or mart is called `ordes`"), "{called:#?}");
    assert!(called.stderr.contains("did you mean `orders`?"), "{called:#?}");
    let called = shop.vitrina(&["graph", "tag:sale"]).ended(2);
    assert!(called.stderr.contains("did you mean `sales`?"), "{called:#?}");
    let called = shop.vitrina(&["check", "--profile", "prodution"]).ended(1);
    assert!(called.stdout.contains("there is no profile `prodution`"), "{called:#?}");
    let called = shop.vitrina(&["connections", "test", "warehose"]).ended(2);
    assert!(called.stderr.contains("did you mean `warehouse`?"), "{called:#?}");
}

#[test]
fn a_project_with_problems_is_1_and_nothing_runs() {
    let broken = SHOP.replace("kind = \"delta\"", "kind = \"delta\"\npth = \"x\"");
    let here = Sandbox::new(&[("vitrina.toml", &broken)]);
    for arguments in [&["run", "--all"][..], &["status"], &["query", "SELECT 1"], &["graph"]] {
        let called = here.vitrina(arguments).ended(1);
        assert_eq!(called.stdout, "", "{arguments:?}: problems are no result of this command");
        assert!(called.stderr.contains("pth"), "{called:#?}");
    }
    assert!(!here.path("data").exists(), "state was made for a project that does not hold");
}

#[test]
fn a_place_that_is_not_there_is_3() {
    let shop = shop();
    std::fs::create_dir_all(shop.path("data")).unwrap();
    std::fs::write(shop.path("data/warehouse"), "a file where a folder should be").unwrap();
    let called = shop.vitrina(&["connections", "test", "warehouse"]).ended(3);
    assert!(called.stdout.contains("failed"), "{called:#?}");
}

#[test]
fn a_query_with_a_mistake_is_1() {
    let shop = shop();
    let called = shop.vitrina(&["query", "SELECT nothing FROM shop.orders"]).ended(1);
    assert_eq!(called.stdout, "");
    assert!(called.stderr.contains("nothing"), "{called:#?}");
    let called = shop.vitrina(&["query", "DROP TABLE shop.orders"]).ended(1);
    assert!(called.stderr.starts_with("error:"), "{called:#?}");
    shop.vitrina(&["query", "SELECT count(*) AS n FROM shop.orders"]).done();
}

#[test]
fn a_second_process_is_told_who_holds_the_project() {
    use vitrina::state::lock::ProjectLock;
    let shop = shop();
    shop.vitrina(&["runs"]).done();
    let state = shop.path("data/state");
    assert!(state.is_dir(), "the state lies elsewhere by default");
    let lock = ProjectLock::acquire(&state, "run --all", chrono::Utc::now()).unwrap();
    for arguments in [
        &["run", "--all"][..],
        &["position", "reset", "orders"],
        &["dead-letters", "drop", "orders", "--all"],
    ] {
        let called = shop.vitrina(arguments).ended(3);
        let who = format!("process {}, `run --all`", std::process::id());
        assert!(called.stderr.contains(&who), "{called:#?}");
    }
    let called = shop.vitrina(&["status"]).done();
    assert!(called.stderr.contains("changes this project now"), "looking is allowed: {called:#?}");
    drop(lock);
    shop.vitrina(&["run", "--all"]).done();
}

#[test]
fn a_reader_that_goes_away_is_nobodys_mistake() {
    let shop = shop();
    let mut child = shop
        .command(&["query", "SELECT a.value FROM generate_series(1, 2000000) AS a", "--format", "csv"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
