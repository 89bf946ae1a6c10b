//! `[[test]]`: what is wrong with one is told at its place, also inside the rows.

use super::{BASE, ORDERS, good, lines};
use crate::{
    config::{
        self, TestsOf,
        unit_test::{Expect, GivenPlace},
    },
    model::name::JobKind,
};

/// A test that is right: what the tests break.
const TEST: &str = r#"
[[test]]
name = "one order"
given.source = """
id, happened_at,          client, amount
1,  2026-01-01T10:00:00Z, NULL,   9.50
"""
expect = """
id, amount
1,  9.50
"""
"#;

/// Problems of the base pipeline with these tests.
fn pipeline(tests: &str) -> Vec<String> {
    lines(&[("vitrina.toml", BASE), ("pipelines/p.toml", &format!("{ORDERS}{tests}"))])
}

/// Problems of a mart of orders with these tests.
fn mart(head: &str, tests: &str) -> Vec<String> {
    let mart = format!("{head}\n{tests}");
    lines(&[("vitrina.toml", BASE), ("pipelines/orders.toml", ORDERS), ("marts/m.toml", &mart)])
}

const TABLE: &str = "sql = 'SELECT client, sum(amount) AS total FROM pipeline.orders GROUP BY client'\n[sink]\nconnection = \"warehouse\"\n";
const BOOK: &str = "excel = \"m.xlsx\"\n[with]\nperiod = \"last_month\"\n[[sheet]]\nname = \"Итог\"\nsql = 'SELECT client, amount FROM pipeline.orders'\n";

#[track_caller]
fn told(problems: &[String], expected: &[&str]) {
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.contains(expected), "{problem}\ndoes not say\n{expected}");
    }
}

#[test]
fn a_right_one_is_taken() {
    told(&pipeline(TEST), &[]);
    told(&mart(TABLE, "[[test]]\nname = \"none\"\nexpect = \"client,total\"\n"), &[]);
    let sheet = "[[test]]\nname = \"x\"\nwith = { period = \"2026-01\" }\nexpect.\"Итог\" = \"client\"\n";
    told(&mart(BOOK, sheet), &[]);
}

#[test]
fn it_is_resolved_whole() {
    let text = format!("{ORDERS}{TEST}now = 2026-01-31T10:00:00\n");
    let folder = super::folder(&[("vitrina.toml", BASE), ("pipelines/p.toml", &text)]);
    let project =
        config::load_offline(folder.path(), "default", TestsOf::EveryJob, &|_| None).project.unwrap();
    let [test] = project.tests.as_slice() else { panic!("{:?}", project.tests) };
    assert_eq!((test.job.as_str(), test.kind), ("p", JobKind::Pipeline));
    assert_eq!(test.line, text[..text.find("[[test]]").unwrap()].matches('\n').count() + 1);
    assert_eq!(test.now.to_rfc3339(), "2026-01-31T07:00:00+00:00", "without zone it is in the project's");
    assert_eq!(test.given[0].place, GivenPlace::Source);
    assert!(
        matches!(&test.expect, Expect::Done { dead_letters: 0, ordered: false, rows } if rows.len() == 1)
    );
    let run = good(&[("vitrina.toml", BASE), ("pipelines/p.toml", &text)]);
    assert_eq!(run.tests.len(), 0, "a run does without");
}

#[test]
fn nothing_expected_is_no_test() {
    let rest = TEST.split("expect =").next().unwrap();
    told(&pipeline(rest), &["p.toml:17:8: error[no-expectation]: this test expects nothing"]);
    told(&pipeline(&format!("{rest}expect_error = \" \"")), &["error[no-expectation]"]);
    told(&pipeline(&format!("{TEST}expect_error = \"x\"")), &["error[conflicting-keys]"]);
    told(&pipeline(&format!("{TEST}expect_dead_letters = 1")), &["a bad row stops this pipeline"]);
}

#[test]
fn cells_are_told_where_they_stand() {
    let broken = TEST.replace("1,  9.50", "1,  много");
    told(
        &pipeline(&broken),
        &["p.toml:24:5: error[bad-cell]: column `amount`: text in a decimal(12,2) column"],
    );
    let broken = TEST.replace("id, amount\n", "id, amont\n");
    told(
        &pipeline(&broken),
        &["p.toml:23:5: error[unknown-column]: the rows have no column `amont` (did you mean `amount`?)"],
    );
    let broken = TEST.replace("1,  9.50\n", "1\n");
    told(&pipeline(&broken), &["p.toml:24:1: error[bad-rows]: 1 cells under a header of 2"]);
    let broken =
        TEST.replace("id, happened_at,          client, amount", "id, happened_at,          clint, amount");
    told(&pipeline(&broken), &["p.toml:19:27: error[unknown-column]: there is no column `clint`"]);
}

#[test]
fn the_contract_decodes_what_is_given() {
    let bad = TEST.replace("1,  2026", "x,  2026");
    told(&pipeline(&bad), &[]);
    let missing = TEST
        .replace("id, happened_at,          client, amount", "id, happened_at, client")
        .replace(", NULL,   9.50", ", NULL");
    told(&pipeline(&missing), &["error[missing-column]: column `amount` allows no NULL, and is not given"]);
    let typed =
        TEST.replace("given.source = \"\"\"", "given.source = { types = { id = \"int64\" }, rows = \"\"\"");
    let typed = typed.replacen("9.50\n\"\"\"", "9.50\n\"\"\" }", 1);
    told(&pipeline(&typed), &["error[conflicting-keys]: the contract has the type of `id`"]);
}

#[test]
fn names_are_proved() {
    let given = |name: &str| {
        mart(TABLE, &format!("[[test]]\nname = \"x\"\ngiven.{name} = \"id\"\nexpect = \"client\"\n"))
    };
    told(&given("'pipeline.orders'"), &[]);
    told(&given("'warehouse.orders'"), &[]);
    told(
        &given("'pipeline.ordes'"),
        &["error[unknown-table]: there is no table `pipeline.ordes` (did you mean `pipeline.orders`?)"],
    );
    told(
        &given("'shop.orders'"),
        &["error[unread-table]: this mart has nothing to do with `shop.orders` (it reads `pipeline.orders`)"],
    );
    told(&given("orders"), &["error[bad-name]: `orders` is no table's name"]);
    let sheet = "[[test]]\nname = \"x\"\nexpect.\"Итоги\" = \"client\"\nwith = { perod = \"2026\" }\n";
    told(
        &mart(BOOK, sheet),
        &[
            "error[unknown-sheet]: there is no sheet `Итоги` (did you mean `Итог`?)",
            "error[unknown-parameter]",
        ],
    );
    told(&mart(BOOK, "[[test]]\nname = \"x\"\nexpect = \"client\"\n"), &["expected by sheet"]);
}

#[test]
fn twice_the_same_name() {
    told(
        &pipeline(&format!("{TEST}{TEST}")),
        &["error[duplicate-name]: there are two tests of the name `one order`"],
    );
}

#[test]
fn a_pipeline_is_given_its_source() {
    let without = "[[test]]\nname = \"x\"\nexpect = \"id\"\n";
    told(&pipeline(without), &["error[missing-key]: the test of a pipeline needs `given.source`"]);
    let other = TEST.replace("given.source", "given.\"shop.orders\"");
    told(
        &pipeline(&other),
        &["error[missing-key]", "the rows that the pipeline reads are given as `given.source`"],
    );
}

#[test]
fn members_are_named() {
    let matrix = ORDERS.replace("table = \"orders\"\nmode", "table = \"orders_{region}\"\nmode");
    let with = |line: &str| {
        let test = TEST.replace("name = \"one order\"", &format!("name = \"one order\"\n{line}"));
        lines(&[
            ("vitrina.toml", BASE),
            ("pipelines/p.toml", &format!("matrix = [\"region\"]\n{matrix}{test}")),
        ])
    };
    told(&with("matrix = { region = \"mrf2\" }"), &[]);
    told(&with(""), &["which member of `region` is tested? (matrix = { region = \"mrf1\" })"]);
    told(&with("matrix = { region = \"mrf9\" }"), &["there is no member `mrf9` of `region`"]);
    told(&with("matrix = { region = \"mrf1\", city = \"x\" }"), &["this pipeline has no matrix `city`"]);
}

#[test]
fn a_table_that_nobody_knows_is_given_with_types() {
    let head = "sql = 'SELECT id FROM shop.outside'\n[sink]\nconnection = \"warehouse\"\n";
    told(
        &mart(head, "[[test]]\nname = \"x\"\nexpect = \"id\"\n"),
        &["error[unknown-columns]: nothing is known of the columns of `shop.outside`"],
    );
    let untyped = "[[test]]\nname = \"x\"\ngiven.'shop.outside' = \"id\\n1\"\nexpect = \"id\"\n";
    told(&mart(head, untyped), &["error[unknown-column]: nothing tells the type of column `id`"]);
    let typed = "[[test]]\nname = \"x\"\ngiven.'shop.outside' = { types = { id = \"int64\" }, rows = \"id\\nx\" }\nexpect = \"id\"\n";
    told(&mart(head, typed), &["error[bad-cell]: column `id`: text in an int64 column"]);
}

#[test]
fn one_profile_is_enough() {
    let production =
        format!("{BASE}\n[profile.production.connections.shop]\nkind = \"sqlite\"\npath = \"other.db\"\n");
    let broken = format!("{ORDERS}{}", TEST.replace("id, amount\n", "id, amont\n"));
    let problems = lines(&[("vitrina.toml", &production), ("pipelines/p.toml", &broken)]);
    assert_eq!(problems.len(), 1, "{problems:?}");
}

/// A mistake is told once, not by every test behind it.
#[test]
fn what_is_unknown_by_a_mistake_is_not_told_by_tests() {
    let reads = |table: &str, column: &str| {
        format!(
            "sql = 'SELECT {column} AS x FROM {table}'\n[sink]\nconnection = \"warehouse\"\n[[test]]\nname = \"x\"\ngiven.'{table}' = \"x\\n1\"\n\
             expect = \"x\"\n[[test]]\nname = \"none\"\nexpect = \"x\"\n"
        )
    };
    let all = |first: &str| {
        let marts = [("b", "mart.a"), ("c", "mart.b")].map(|(name, table)| (name, reads(table, "x")));
        let mut files =
            vec![("vitrina.toml", BASE), ("pipelines/orders.toml", ORDERS), ("marts/a.toml", first)];
        let paths = marts.each_ref().map(|(name, _)| format!("marts/{name}.toml"));
        files.extend(paths.iter().zip(&marts).map(|(path, (_, text))| (path.as_str(), text.as_str())));
        lines(&files)
    };
    let right = "sql = 'SELECT id AS x FROM pipeline.orders'\n[sink]\nconnection = \"warehouse\"\n";
    told(&all(right), &[]);
    told(&all(&right.replace("id AS x", "nosuch AS x")), &["nosuch"]);
    told(&all(&right.replace("\"warehouse\"", "\"nowhere\"")), &["nowhere"]);
    told(&all(&right.replace("pipeline.orders", "mart.c")), &["these wait for each other: a → c → b → a"]);
}
