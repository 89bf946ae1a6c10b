//! Every statement as it is sent, and held against what version 6 has.

use indexmap::IndexMap;

use super::{super::version6::objections, *};
use crate::connector::sink::{OnSchemaChange, SinkOptions as Options};

fn product(greenplum: bool) -> Product {
    Product { number: 90_426, greenplum: greenplum.then(|| "6.25.3".to_owned()) }
}

fn spec(mode: Mode, options: &str) -> SinkSpec {
    let options = toml::from_str(options).unwrap();
    SinkSpec {
        connection: "warehouse".to_owned(),
        schema: None,
        table: "crm_bot_actions_mrf1".to_owned(),
        mode,
        key: if mode == Mode::Merge { vec!["id".to_owned()] } else { vec![] },
        anew: false,
        delete: None,
        on_schema_change: OnSchemaChange::Evolve,
        columns: IndexMap::new(),
        partition: vec![],
        window: None,
        checked: false,
        options: Options { greenplum: Some(options), ..Options::default() },
    }
}

fn columns(columns: &[(&str, &str)]) -> Vec<(String, String)> {
    columns.iter().map(|(name, kind)| (quote(name), (*kind).to_owned())).collect()
}

fn judged(sql: &str) -> &str {
    assert_eq!(objections(sql), Vec::<String>::new(), "{sql}");
    sql
}

/// A table of the kind that the shipped project makes.
#[test]
fn a_table_by_columns_is_made_like_this() {
    let spec =
        spec(Mode::Append, "distributed = \"randomly\"\nappend_optimized = true\norientation = \"column\"");
    let columns = columns(&[
        ("id", "bigint"),
        ("happened_at", "timestamptz(3)"),
        ("manager_id", "bigint"),
        ("manager", "text"),
        ("client_id", "bigint"),
        ("channel", "text"),
        ("action", "text"),
        ("lead_id", "bigint"),
        ("amount", "numeric(12,2)"),
        ("region", "text"),
    ]);
    let made = |greenplum| {
        Greenplum
            .create_table(&product(greenplum), &spec, "\"public\".\"crm_bot_actions_mrf1\"", &columns)
            .unwrap()
    };
    let columns = "(\"id\" bigint, \"happened_at\" timestamptz(3), \"manager_id\" bigint, \"manager\" text, \"client_id\" bigint, \
                   \"channel\" text, \"action\" text, \"lead_id\" bigint, \"amount\" numeric(12,2), \"region\" text)";
    let table = "CREATE TABLE \"public\".\"crm_bot_actions_mrf1\"";
    assert_eq!(
        judged(&made(true)),
        format!("{table} {columns} WITH (appendoptimized=true, orientation=column) DISTRIBUTED RANDOMLY")
    );
    assert_eq!(made(false), format!("{table} {columns}"), "a plain PostgreSQL");
}

#[test]
fn tables_are_spread_and_kept_as_told() {
    for (mode, options, expected) in [
        (Mode::Append, "", " DISTRIBUTED RANDOMLY"),
        (Mode::Merge, "", " DISTRIBUTED BY (\"id\")"),
        (Mode::Merge, "distributed = \"randomly\"", " DISTRIBUTED RANDOMLY"),
        (Mode::Append, "distributed = [\"id\", \"a\\\"b\"]", " DISTRIBUTED BY (\"id\", \"a\"\"b\")"),
        (
            Mode::Append,
            "append_optimized = true\norientation = \"row\"\ncompress = \"zstd:3\"",
            " WITH (appendoptimized=true, orientation=row, compresstype=zstd, compresslevel=3) DISTRIBUTED RANDOMLY",
        ),
        (
            Mode::Append,
            "append_optimized = true\ncompress = \"quicklz\"",
            " WITH (appendoptimized=true, compresstype=quicklz) DISTRIBUTED RANDOMLY",
        ),
    ] {
        let columns = columns(&[("id", "bigint")]);
        let made = Greenplum.create_table(&product(true), &spec(mode, options), "t", &columns).unwrap();
        assert_eq!(judged(&made), format!("CREATE TABLE t (\"id\" bigint){expected}"));
    }
    let column = spec(Mode::Append, "orientation = \"column\"");
    let error = Greenplum.create_table(&product(true), &column, "t", &[]).unwrap_err();
    assert!(error.to_string().contains("`orientation` needs `append_optimized"), "{error}");
}

fn merge(spec: &SinkSpec, others: &[&str]) -> Vec<String> {
    let plain = |name: &str| StagedColumn { name: quote(name), cast: None };
    let key = StagedColumn { name: quote("id"), cast: Some("uuid".to_owned()) };
    let merge = Merge {
        spec,
        table: "\"s\".\"t\"".to_owned(),
        key: vec![key.clone()],
        columns: vec![key, plain("имя")],
        others: others.iter().map(|other| quote(other)).collect(),
    };
    Greenplum.merge(&product(true), &merge)
}

#[test]
fn a_merge_deletes_and_adds() {
    let spec = spec(Mode::Merge, "");
    let stage = "(SELECT DISTINCT ON (stage.\"id\"::uuid) * FROM pg_temp._vitrina_stage AS stage \
                 ORDER BY stage.\"id\"::uuid, stage.\"_vitrina_number\" DESC) AS stage";
    let delete = "DELETE FROM \"s\".\"t\" AS target USING (SELECT DISTINCT stage.\"id\"::uuid AS \"id\" FROM pg_temp._vitrina_stage AS stage) AS stage \
                  WHERE target.\"id\" = stage.\"id\"";
    assert_eq!(
        merge(&spec, &[]),
        [
            delete.to_owned(),
            format!(
                "INSERT INTO \"s\".\"t\" (\"id\", \"имя\") SELECT \"id\"::uuid, \"имя\" FROM {stage} WHERE true"
            ),
        ]
    );
    let kept = merge(&spec, &["note"]);
    assert_eq!(kept.len(), 4);
    assert_eq!(kept[1], delete);
    let deleting = SinkSpec { delete: Some(DeleteHow::Hard), ..spec };
    assert!(merge(&deleting, &[])[1].ends_with("WHERE stage.\"_deleted\" IS NOT TRUE"));
    for sql in [merge(&deleting, &[]), merge(&deleting, &["note", "a \"b\""])].concat() {
        judged(&sql);
    }
}

#[test]
fn version_6_has_all_of_it() {
    let (product, spec) = (product(true), spec(Mode::Merge, "load = \"gpfdist\""));
    let columns = columns(&[("id", "bigint"), ("o'Нил", "character varying(3)"), (NUMBER, "bigint")]);
    let row = RecordRow {
        target: "'t'".to_owned(),
        track: "'a:b'".to_owned(),
        seq: 7,
        progress: "'{\"update\": \"on conflict\"}'".to_owned(),
        attempt: "'x'".to_owned(),
        at: "'2026-01-31T10:00:00Z'".to_owned(),
        rows: 5,
    };
    let Swap::Lock { lock, insert } = Greenplum.swap("r", &row, Some(6)) else {
        panic!("an UPDATE shuts other writers out");
    };
    let statements = vec![
        format!("SELECT {}", Greenplum.digest("a::text")),
        Greenplum.add_column("t", "\"a\"", "bigint"),
        Greenplum.create_stage(&product, &spec, &columns),
        Greenplum.lock_target("t").unwrap(),
        Greenplum.create_records(&product, "r"),
        lock,
        insert,
        find_external("s", "_vitrina_load_"),
        create_external("e", &columns, "gpfdist://etl:8080/it's"),
        drop_external("e"),
        load("e", &columns),
        create_writable("e", 2, "gpfdist://etl:8080/out"),
        unload("e", 2, "SELECT \"a\", \"b\"::text FROM t"),
        may_move().to_owned(),
    ];
    for sql in statements.iter().chain(&Greenplum.prune("r")) {
        judged(sql);
    }
    assert_eq!(Greenplum.create_key("k", "t", "id"), None);
    assert_eq!(
        create_external("e", &columns, "gpfdist://etl:8080/it's"),
        "CREATE READABLE EXTERNAL TABLE e (\"id\" bigint, \"o'Нил\" character varying(3), \"_vitrina_number\" bigint) \
         LOCATION ('gpfdist://etl:8080/it''s') FORMAT 'TEXT' ENCODING 'UTF8'"
    );
    assert_eq!(
        load("e", &columns),
        "INSERT INTO pg_temp._vitrina_stage (\"id\", \"o'Нил\", \"_vitrina_number\") SELECT \"id\", \"o'Нил\", \"_vitrina_number\" FROM e"
    );
    assert_eq!(
        create_writable("e", 2, "gpfdist://etl:8080/out"),
        "CREATE WRITABLE EXTERNAL TABLE e (c0 text, c1 text) LOCATION ('gpfdist://etl:8080/out') FORMAT 'TEXT' ENCODING 'UTF8' \
         DISTRIBUTED RANDOMLY"
    );
    assert_eq!(
        unload("e", 2, "SELECT a, b FROM t"),
        "INSERT INTO e SELECT c0::text, c1::text FROM (SELECT a, b FROM t) AS \"rows\" (c0, c1)"
    );
}

/// Ranges of the calendar, and one more partition for everything else.
#[test]
fn partitions_are_made_like_this() {
    let spec = spec(
        Mode::Append,
        "partition = { column = \"at\", from = \"2026-01-01\", until = \"2027-01-01\", every = \"month\" }",
    );
    let columns = columns(&[("id", "bigint"), ("at", "timestamptz")]);
    let made = |product: &Product| Greenplum.create_table(product, &spec, "t", &columns).unwrap();
    assert_eq!(
        judged(&made(&product(true))),
        "CREATE TABLE t (\"id\" bigint, \"at\" timestamptz) DISTRIBUTED RANDOMLY PARTITION BY RANGE (\"at\") \
         (START ('2026-01-01'::timestamptz) INCLUSIVE END ('2027-01-01'::timestamptz) EXCLUSIVE EVERY (INTERVAL '1 month'), \
         DEFAULT PARTITION others)"
    );
    assert!(!made(&product(false)).contains("PARTITION"), "a plain PostgreSQL has no such clause");
    let other = [(quote("id"), "bigint".to_owned())];
    let error = Greenplum.create_table(&product(true), &spec, "t", &other).unwrap_err();
    assert!(error.to_string().contains("\"at\""), "{error}");
}
