//! What must hold of a mart's rows before anyone sees them.

use serde_json::{Value as Json, json};

use super::{CLICKHOUSE, POSTGRES, PROJECT, QUERY, add, daily, day, found, project, told};
use crate::support::{clickhouse, postgres, project::Sandbox};

const PEOPLE: &str = "CREATE TABLE people (id INTEGER, name TEXT, kind TEXT, boss INTEGER, born TIMESTAMPTZ);
    INSERT INTO people VALUES (1, 'Анна', 'lead', NULL, '2026-01-01T00:00:00.000000Z'), (2, 'Борис', 'agent', 1, '2026-01-02T00:00:00.000000Z'),
                              (3, NULL, 'agent', 1, NULL)";

/// A mart of people into a place, with these checks.
fn people(connection: &str, checks: &str) -> Sandbox {
    let mart = format!("sql = 'SELECT * FROM bot.people'\n[sink]\nconnection = \"{connection}\"\n{checks}");
    let project = Sandbox::new(&[("vitrina.toml", PROJECT), ("marts/people.toml", &mart)]);
    project.sqlite("bot.db", PEOPLE);
    project
}

/// A rule of each kind that the people break, and what makes it hold. A NULL is left where the rule lets it pass.
const RULES: [(&str, &str); 9] = [
    ("unique = [\"kind\"]", "UPDATE people SET kind = name || id"),
    ("not_null = [\"id\", \"name\"]", "UPDATE people SET name = 'Вера' WHERE id = 3"),
    ("accepted.kind = [\"lead\"]", "UPDATE people SET kind = CASE id WHEN 1 THEN 'lead' END"),
    ("range.id = { min = 1, max = 2 }", "UPDATE people SET id = NULL WHERE id = 3"),
    ("relationship.id = \"bot.people.boss\"", "UPDATE people SET id = NULL WHERE id > 1"),
    // A table of the same place.
    ("relationship.id = \"mart.bosses.boss\"", "UPDATE people SET id = NULL WHERE id > 1"),
    ("row_count = { min = 4 }", "INSERT INTO people (id) VALUES (NULL)"),
    ("sql = \"SELECT name FROM this WHERE id = 2\"", "UPDATE people SET id = NULL WHERE id = 2"),
    (
        "freshness.born = \"1h\"",
        "UPDATE people SET born = strftime('%Y-%m-%dT%H:%M:%S.000000Z', 'now') WHERE id = 1",
    ),
];

/// A mart that breaks the rule leaves no row; mended, it is taken.
fn breaks_and_holds(project: &Sandbox, (rule, mending): (&str, &str)) {
    project.must(&["run", "bosses"]);
    let refused = project.vitrina(&["run", "people"]);
    refused.says(1, &["check \"правило\" does not hold", "vitrina checks people --sample"]);
    let there = project.vitrina(&["query", "SELECT * FROM mart.people", "--format", "ndjson"]);
    assert_eq!(there.stdout, "", "{rule}: nothing is there");
    project.sqlite("bot.db", mending);
    project.must(&["run", "people"]);
    let runs = told(project, &["runs", "people"]);
    assert_eq!(runs[0]["checks"], json!({ "held": 1, "broken": [] }), "{rule}");
    assert_eq!(runs[1]["checks"]["broken"][0]["name"], "правило", "{rule}");
    assert!(project.number("SELECT count(*) FROM mart.people") >= 3, "{rule}: all of them are taken");
}

/// A project that judges people by this rule; `connections` stand besides the usual ones.
fn judged(connection: &str, connections: &str, rule: &str) -> Sandbox {
    let project = people(connection, &format!("[[check]]\nname = \"правило\"\n{rule}\n"));
    project.write("vitrina.toml", &format!("{PROJECT}{connections}"));
    let bosses = format!("sql = 'SELECT boss FROM bot.people'\n[sink]\nconnection = \"{connection}\"\n");
    project.write("marts/bosses.toml", &bosses);
    project
}

#[test]
fn every_rule_holds_and_breaks() {
    for rule in RULES {
        for connection in ["copies", "lake"] {
            breaks_and_holds(&judged(connection, "", rule.0), rule);
        }
    }
}

/// There the server judges.
#[test]
fn every_rule_holds_and_breaks_in_postgres() {
    for rule in RULES {
        let place = postgres::Place::new();
        breaks_and_holds(&judged("dwh", &POSTGRES.replace("SCHEMA", &place.schema), rule.0), rule);
    }
}

#[test]
fn every_rule_holds_and_breaks_in_clickhouse() {
    for rule in RULES {
        let place = clickhouse::Place::new();
        let connection = CLICKHOUSE.replace("DATABASE", &place.config.database);
        breaks_and_holds(&judged("dwh", &connection, rule.0), rule);
    }
}

#[test]
fn the_table_keeps_its_old_rows_where_a_check_blocks() {
    let project = people("lake", "[[check]]\nname = \"не пусто\"\nnot_null = [\"id\"]\n");
    project.must(&["run", "people"]);
    project.sqlite("bot.db", "UPDATE people SET id = NULL, name = 'тайна'");
    let refused = project.vitrina(&["run", "people"]);
    refused.says(1, &["check \"не пусто\" does not hold: 3 rows break it; the table keeps its old rows"]);
    assert!(!refused.stderr.contains("тайна"), "no cell is told");
    assert_eq!(project.number("SELECT sum(id) FROM mart.people"), 6);
    let table = project.must(&["checks", "people"]);
    assert!(table.contains("blocks") && table.contains("не пусто"), "{table}");
    assert!(!table.contains("тайна"));
    let sample = project.must(&["checks", "people", "--sample", "2"]);
    assert_eq!(sample.matches("тайна").count(), 2, "{sample}");
    assert!(project.must(&["runs", "people"]).contains("1 block"));
}

#[test]
fn what_warns_is_told_and_taken() {
    let project = people("copies", "[[check]]\nseverity = \"warn\"\nnot_null = [\"name\"]\n");
    let run = told(&project, &["run", "people"]);
    assert_eq!(run[0]["notes"], json!(["check \"not_null name\" does not hold: 1 row breaks it"]));
    assert_eq!(project.number("SELECT count(*) FROM mart.people"), 3);
    assert_eq!(told(&project, &["checks", "--failed"])[0]["name"], "not_null name");
}

#[test]
fn a_window_that_is_blocked_holds_up_no_other() {
    let project = project("lake", 4, "");
    add(&project, 2, -9);
    let check = "[[check]]\nname = \"знак\"\nrange.amount = { min = 0 }\n";
    project.write("marts/daily.toml", &(daily(QUERY, "lake", 4, "") + check));
    let refused = project.vitrina(&["run", "daily"]);
    let window = format!("window {}: check \"знак\" does not hold: 1 row breaks it", day(2));
    refused.says(1, &[&window]);
    assert_eq!(found(&project, "mart.daily"), [(4, 1), (3, 1), (1, 1), (0, 1)]);
    let failed: Json = told(&project, &["checks", "daily", "--failed"]);
    assert_eq!((&failed[0]["window"], &failed[0]["broken"]), (&json!(day(2).to_string()), &json!(1)));
    let sample = project.must(&["checks", "daily", "--sample", "5"]);
    assert!(sample.contains("-8"), "{sample}");
    let failed = project.must(&["checks", "daily", "--failed", "--limit", "1"]);
    assert!(failed.contains(&day(2).to_string()), "newer windows that hold hide none: {failed}");
    let all = project.vitrina(&["checks", "daily", "--limit", "1"]).done();
    assert!(all.stderr.contains("older windows are left out"), "{all:#?}");
    project.sqlite("bot.db", "DELETE FROM events WHERE amount < 0");
    project.must(&["run", "daily"]);
    assert_eq!(found(&project, "mart.daily").len(), 5);
    assert_eq!(told(&project, &["checks", "daily", "--failed"]), json!([]));
}

#[test]
fn the_age_of_old_windows_is_not_asked() {
    let project = project("copies", 5, "");
    let query = QUERY.replace("count(*) AS n", "max(at) AS newest");
    let check = "[[check]]\nseverity = \"warn\"\nfreshness.newest = \"49h\"\n";
    project.write("marts/daily.toml", &(daily(&query, "copies", 5, "") + check));
    project.must(&["run", "daily"]);
    let asked = told(&project, &["checks", "daily"]);
    assert!((2..=4).contains(&asked.as_array().unwrap().len()), "{asked:#}");
}
