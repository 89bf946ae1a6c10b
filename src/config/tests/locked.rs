//! Tables that a project reads and does not make: known by schemas.lock, or said to be unknown.

use super::{BASE, draw, drawn, lines, proved};

const LOCK: &str = r#"
version = 1

[[table]]
profile = "default"
connection = "shop"
kind = "sqlite"
table = "orders"
key = ["id"]
columns = [
    { name = "id", type = "int64" },
    { name = "Город", type = "text", nullable = true },
    { name = "amount", type = "decimal(12,2)" },
]
"#;

const MART: &str = r#"
sql = """
SELECT "Город", sum(amout) AS total
FROM shop.orders GROUP BY "Город"
"""
[sink]
connection = "warehouse"
mode = "replace"
"#;

fn notes(files: &[(&str, &str)]) -> Vec<String> {
    let loaded = proved(files);
    assert!(loaded.project.is_some(), "{:?}", loaded.problems);
    loaded.problems.iter().map(|problem| draw::line(problem, &loaded.sources)).collect()
}

#[test]
fn sql_over_a_locked_table_is_typed() {
    let files = [("vitrina.toml", BASE), ("marts/m.toml", MART), ("schemas.lock", LOCK)];
    let told = lines(&files);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("marts/m.toml:3:21: error[sql-unknown-column]"), "{told:?}");
    assert!(told[0].contains("`amount`"), "{told:?}");

    let right = MART.replace("amout", "amount");
    let files = [("vitrina.toml", BASE), ("marts/m.toml", &right), ("schemas.lock", LOCK)];
    let loaded = proved(&files);
    assert_eq!(loaded.problems, vec![]);
    let mart = &loaded.project.unwrap().marts[0];
    let crate::config::project::MartOutput::Table { output: Some(output), .. } = &mart.members[0].output
    else {
        panic!("the mart's columns are unknown")
    };
    assert_eq!(output.field(1).data_type(), &arrow::datatypes::DataType::Decimal128(22, 2));
}

#[test]
fn an_unknown_table_is_said_to_be_unknown() {
    let files = [("vitrina.toml", BASE), ("marts/m.toml", MART)];
    let told = notes(&files);
    assert_eq!(
        told,
        [
            "marts/m.toml:4:6: note[unknown-columns]: nothing is known of the columns of `shop.orders`: they are not \
             checked (`vitrina schema pull` asks for them)"
        ]
    );
    // Of another kind, or another profile's: not this table.
    for (from, to) in [("\"sqlite\"", "\"postgres\""), ("\"default\"", "\"night\"")] {
        let lock = LOCK.replace(from, to);
        assert_eq!(notes(&[files[0], files[1], ("schemas.lock", &lock)]), told);
    }
}

#[test]
fn a_source_is_held_against_the_lock() {
    let pipeline = "[source]\nconnection = \"shop\"\ntable = \"orders\"\ncursor = { column = \"idd\" }\n\
                    [source.columns]\namont = \"text\"\n[sink]\nconnection = \"warehouse\"\ntable = \"o\"\nmode = \"append\"\n";
    let files = [("vitrina.toml", BASE), ("pipelines/p.toml", pipeline), ("schemas.lock", LOCK)];
    let told = lines(&files);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("pipelines/p.toml:4:21: error[unknown-column]"), "{told:?}");
    assert!(told[1].starts_with("pipelines/p.toml:6:1: error[unknown-column]"), "{told:?}");
    // A contract says the columns itself: nothing is unknown.
    let listed = pipeline.replace("idd", "id").replace("amont", "amount");
    assert_eq!(notes(&[files[0], ("pipelines/p.toml", &listed)]), Vec::<String>::new());
}

#[test]
fn a_type_that_cannot_become_the_sinks_is_told() {
    let mart = MART.replace("amout", "amount") + "columns.total = { type = \"bool\" }\n";
    let dates = mart.replace("sum(amount)", "max(cast('2026-01-01' AS DATE))");
    let files = [("vitrina.toml", BASE), ("marts/m.toml", &dates), ("schemas.lock", LOCK)];
    let told = lines(&files);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("marts/m.toml:9:26: error[unfit-type]"), "{told:?}");
}

#[test]
fn a_lock_that_cannot_be_read_is_a_problem() {
    let lock = LOCK.replace("version = 1", "version = 7");
    let text = drawn(&[("vitrina.toml", BASE), ("marts/m.toml", MART), ("schemas.lock", &lock)]);
    insta::assert_snapshot!(text, @r##"
    lock-version

      × schemas.lock is of version 7, and this Vitrina reads version 1
       ╭─[schemas.lock:2:11]
     1 │
     2 │ version = 7
       ·           ─
     3 │
       ╰────
      help: take the Vitrina that wrote it, or delete it and `vitrina schema pull`
    "##);
}
