//! `vitrina test`: the run that always is, over rows that stand in the files.

use super::{BY_CITY, ORDERS, REPORT, SHOP};
use crate::support::project::{Sandbox, program};

const RIGHT: &str = r#"
[[test]]
name = "what is no number is put aside"
given.source = """
id, Город, amount
1,  Омск,  5
2,  Омск,  много
3,  NULL,  1
"""
expect = """
id, Город, amount
1,  Омск,  5
"""
expect_dead_letters = 2
"#;

fn with(orders: &str, mart: &str, report: &str) -> Sandbox {
    Sandbox::new(&[
        ("vitrina.toml", SHOP),
        ("pipelines/orders.toml", &format!("{ORDERS}{orders}")),
        ("marts/по_городам.toml", &format!("{BY_CITY}{mart}")),
        ("marts/отчёт.toml", &format!("{REPORT}{report}")),
    ])
}

#[test]
fn the_shipped_tests_pass() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = program(here).args(["test"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    assert!(stdout.lines().count() >= 7 && stdout.lines().all(|line| line.starts_with("ok  ")), "{stdout}");
}

#[test]
fn nothing_but_the_files_is_touched() {
    let mart = "[[test]]\nname = \"sums\"\ngiven.'pipeline.orders' = \"Город,amount\\nОмск,5\\nОмск,7\"\nexpect = \"Город,total\\nОмск,12\"\n";
    let report = "[[test]]\nname = \"as it is\"\ngiven.'mart.\"по_городам\"' = \"Город,total\\nЯлта,1\\nОмск,2\"\nexpect.\"По городам\" = \"Город,total\\nОмск,2\\nЯлта,1\"\nordered = true\n";
    let shop = with(RIGHT, mart, report);
    let ran = shop.vitrina(&["test"]).done();
    assert_eq!(ran.stdout.lines().filter(|line| line.starts_with("ok  ")).count(), 3, "{ran:#?}");
    assert!(ran.stderr.contains("3 tests passed"), "{ran:#?}");
    assert!(!shop.path("shop.db").exists() && !shop.path("data").exists());
    let one = shop.vitrina(&["test", "orders"]).done();
    assert_eq!(one.stdout.lines().count(), 1, "{one:#?}");
    let none = shop.vitrina(&["test", "--name", "nothing is called so"]).done();
    assert!(none.stderr.contains("there are no tests"), "{none:#?}");
}

#[test]
fn differences_are_a_table_and_the_end_is_1() {
    let wrong = RIGHT
        .replace("1,  Омск,  5\n\"\"\"\nexpect_dead", "1,  Омск,  6\n9,  Ялта,  NULL\n\"\"\"\nexpect_dead");
    let shop = with(&wrong, "", "");
    let ran = shop.vitrina(&["test"]).ended(1);
    for part in [
        "FAIL  orders  what is no number is put aside",
        "pipelines/orders.toml:18",
        "0 rows as expected, 1 missing, 1 changed",
        "~  1   Омск   6 → 5",
        "-  9   Ялта   NULL",
    ] {
        assert!(ran.stdout.contains(part), "nothing of {part:?} in\n{}", ran.stdout);
    }
    assert!(ran.stderr.contains("1 test: 0 passed, 1 failed"), "{ran:#?}");
    let json = shop.vitrina(&["test", "--format", "json"]).ended(1).json();
    assert_eq!(json[0]["passed"], false);
    assert_eq!(json[0]["failures"][0]["rows"][0]["found"], serde_json::json!(["1", "Омск", "5"]));
    let junit = shop.vitrina(&["test", "--format", "junit"]).ended(1).stdout;
    assert!(junit.contains("<testsuite name=\"orders\" tests=\"1\" failures=\"1\""), "{junit}");
    assert!(junit.contains("<failure message=\"0 rows as expected, 1 missing, 1 changed\">"), "{junit}");
    assert!(junit.contains("- 9,Ялта,NULL"), "{junit}");
}

#[test]
fn letters_and_errors_are_expected_or_not() {
    let unexpected = RIGHT.replace("expect_dead_letters = 2", "");
    let ran = with(&unexpected, "", "").vitrina(&["test"]).ended(1);
    assert!(ran.stdout.contains("2 dead letters, expected 0"), "{ran:#?}");
    assert!(ran.stdout.contains("row 2: column `amount`"), "{ran:#?}");

    let fails = "[[test]]\nname = \"x\"\ngiven.'pipeline.orders' = \"Город\"\nexpect_error = \"division\"\n";
    let ran = with("", fails, "").vitrina(&["test"]).ended(1);
    assert!(ran.stdout.contains("the run ended well, expected to fail with `division`"), "{ran:#?}");

    let sheet = REPORT.replace("SELECT \"Город\", total", "SELECT \"Город\", 10 / (total - 1) AS total");
    let test = "[[test]]\nname = \"x\"\ngiven.'mart.\"по_городам\"' = \"Город,total\\nОмск,1\"\n";
    let shop = with("", "", "");
    shop.write("marts/отчёт.toml", &format!("{sheet}{test}expect_error = \"ivide by zero\"\n"));
    shop.vitrina(&["test"]).done();
    shop.write("marts/отчёт.toml", &format!("{sheet}{test}expect_error = \"no such thing\"\n"));
    let ran = shop.vitrina(&["test"]).ended(1);
    assert!(ran.stdout.contains("the run failed, and does not say `no such thing`"), "{ran:#?}");
    assert!(ran.stdout.contains("it says: "), "{ran:#?}");
}

#[test]
fn a_merge_meets_what_the_target_held() {
    let merge = ORDERS.replace("mode = \"append\"", "mode = \"merge\"\nkey = [\"id\"]");
    let test = r#"
[[test]]
name = "the last one wins"
given."warehouse.orders" = """
id, Город, amount
1,  Омск,  5
2,  Ялта,  6
"""
given.source = """
id, Город, amount
2,  Ялта,  7
2,  Ялта,  8
"""
expect = """
id, Город, amount
1,  Омск,  5
2,  Ялта,  8
"""
"#;
    let shop = Sandbox::new(&[("vitrina.toml", SHOP), ("pipelines/orders.toml", &format!("{merge}{test}"))]);
    shop.vitrina(&["test"]).done();
}

#[test]
fn a_wrong_test_is_a_problem_of_the_project() {
    let wrong = RIGHT.replace(
        "id, Город, amount\n1,  Омск,  5\n\"\"\"\nexpect_dead",
        "id, Горд, amount\n1,  Омск,  5\n\"\"\"\nexpect_dead",
    );
    let shop = with(&wrong, "", "");
    let checked = shop.vitrina(&["check"]).ended(1);
    assert!(checked.stdout.contains("the rows have no column `Горд`"), "{checked:#?}");
    let ran = shop.vitrina(&["test"]).ended(1);
    assert!(ran.stderr.contains("the rows have no column `Горд`"), "{ran:#?}");
    let real = super::shop();
    let text = std::fs::read_to_string(real.path("pipelines/orders.toml")).unwrap();
    real.write("pipelines/orders.toml", &format!("{text}{wrong}"));
    real.vitrina(&["run", "orders"]).done();
}

#[test]
fn now_stands_still() {
    let orders = ORDERS.replace(
        "[sink]",
        "[transform]\nsql = 'SELECT id, \"Город\", amount, local_date(now()) AS day FROM source'\n[sink]",
    );
    let test = "[[test]]\nname = \"x\"\nnow = 2026-01-31T23:30:00Z\ngiven.source = \"id,Город\\n1,Омск\"\nexpect = \"id,day\\n1,2026-01-31\"\n";
    let shop = Sandbox::new(&[("vitrina.toml", SHOP), ("pipelines/orders.toml", &format!("{orders}{test}"))]);
    shop.vitrina(&["test"]).done();
}
