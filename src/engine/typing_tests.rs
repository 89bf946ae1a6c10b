//! SQL and what is said of it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::typing::*;

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let field = |(name, kind): &(&str, DataType)| Field::new(*name, kind.clone(), true);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn instants() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

fn source() -> SchemaRef {
    schema(&[
        ("id", DataType::Int64),
        ("happened_at", instants()),
        ("action", DataType::Utf8),
        ("amount", DataType::Decimal128(12, 2)),
        ("Менеджер", DataType::Int64),
    ])
}

fn tables(name: &TableName) -> Known {
    let parts: Vec<&str> = name.parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["source"] | ["stream", "crm.actions.mrf1"] | ["pipeline", "finance/revenue"] => {
            Known::Schema(source())
        }
        ["warehouse", "managers"] => Known::Schema(schema(&[
            ("id", DataType::Int64),
            ("name", DataType::Utf8),
            ("day", DataType::Date32),
        ])),
        ["outside", _] => Known::Unknown,
        _ => Known::Missing { hint: Some("did you mean `warehouse.managers`?".into()) },
    }
}

fn params() -> ParamTypes {
    ParamTypes::from([
        ("region".to_owned(), DataType::Utf8),
        ("region.title".to_owned(), DataType::Utf8),
        ("period.from".to_owned(), DataType::Date32),
    ])
}

fn zone() -> chrono_tz::Tz {
    "Europe/Moscow".parse().unwrap()
}

fn check(sql: &str) -> Typed {
    check_sql(sql, &tables, &params(), zone())
}

/// `code|text at its place|message|hint` of every finding.
fn found(typed: &Typed, sql: &str) -> Vec<String> {
    let show = |f: &Finding| {
        let hint = f.hint.as_deref().map(|hint| format!("|{hint}")).unwrap_or_default();
        format!("{}|{}|{}{hint}", f.code, &sql[f.span.clone()], f.message)
    };
    typed.findings.iter().map(show).collect()
}

fn columns(sql: &str) -> Vec<String> {
    let typed = check(sql);
    assert_eq!(found(&typed, sql), Vec::<String>::new(), "{sql}");
    let schema = typed.schema.expect("every table is known");
    schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect()
}

#[test]
fn results_have_types() {
    assert_eq!(
        columns(
            "SELECT id, :region AS region, local_date(happened_at) AS \"день\", sum(amount) AS s FROM source GROUP BY 1, happened_at"
        ),
        ["id Int64", "region Utf8", "день Date32", "s Decimal128(22, 2)"]
    );
    assert_eq!(columns("SELECT Менеджер FROM stream.\"crm.actions.mrf1\""), ["Менеджер Int64"]);
    assert_eq!(columns("SELECT r.id FROM pipeline.\"finance/revenue\" r"), ["id Int64"]);
    assert_eq!(columns("WITH a AS (SELECT id FROM source) SELECT count(*) AS n FROM a"), ["n Int64"]);
    assert_eq!(columns("SELECT CAST(id AS VARCHAR) AS t, now() AS at FROM source LIMIT 3")[0], "t Utf8");
    assert_eq!(
        columns("SELECT id FROM source WHERE happened_at >= :period.from AND :region IS NULL"),
        ["id Int64"]
    );
}

#[test]
fn tables_and_parameters_are_listed() {
    let sql = "SELECT :region.title AS t, m.name FROM source JOIN warehouse.managers m ON m.id = source.id";
    let typed = check(sql);
    let names: Vec<String> = typed.tables.iter().map(|table| table.name.to_string()).collect();
    assert_eq!(names, ["source", "warehouse.managers"]);
    assert_eq!(&sql[typed.tables[1].span.clone()], "warehouse.managers");
    assert_eq!(typed.parameters[0].0, "region.title");
}

#[test]
fn every_unknown_name_at_once() {
    let sql = "SELECT idd,\n  'Ж', ation, lenght(action), :regon\nFROM source";
    assert_eq!(
        found(&check(sql), sql),
        [
            "sql-unknown-function|lenght|there is no function `lenght`|did you mean `length`?",
            "sql-unknown-parameter|:regon|there is no parameter `:regon`|did you mean `:region`?",
        ]
    );
    let sql = "SELECT idd,\n  'Ж' AS ж, ation, s.amount\nFROM source s WHERE менеджер > 1";
    assert_eq!(
        found(&check(sql), sql),
        [
            "sql-unknown-column|idd|there is no column `idd`|did you mean `id`?",
            "sql-unknown-column|ation|there is no column `ation`|did you mean `action`?",
            "sql-unknown-column|менеджер|there is no column `менеджер`|did you mean `Менеджер`?",
        ]
    );
}

#[test]
fn missing_and_unknown_tables() {
    let sql = "SELECT whatever, lower(x) FROM outside.t WHERE :region = region";
    let typed = check(sql);
    assert!(typed.findings.is_empty() && typed.schema.is_none());
    let sql = "SELECT x FROM outside.t JOIN nowhere.t ON true";
    assert_eq!(
        found(&check(sql), sql),
        ["sql-unknown-table|nowhere.t|there is no table nowhere.t|did you mean `warehouse.managers`?"]
    );
}

#[test]
fn functions_say_what_they_take() {
    for (sql, said) in [
        (
            "SELECT sum(action) AS x FROM source",
            "`sum` takes decimal, uint64, int64, float64, duration, interval, and is given text",
        ),
        (
            "SELECT date_trunc('day', action, 3) AS x FROM source",
            "`date_trunc` takes 2 arguments, and is given 3",
        ),
        ("SELECT substr(action) AS x FROM source", "substring without for/from is not valid"),
        (
            "SELECT 1 + action AS x FROM source",
            "cannot coerce arithmetic expression Int64 + Utf8 to valid types",
        ),
    ] {
        let finding = &check(sql).findings[0];
        assert_eq!((finding.message.as_str(), finding.hint.as_deref()), (said, None), "{sql}");
    }
}

#[test]
fn mistakes_of_types_have_a_place() {
    for (sql, place, code) in [
        ("SELECT action + amount AS x FROM source", "action + amount", "sql-type"),
        ("SELECT local_date(action) AS d FROM source", "local_date", "sql-type"),
        ("SELECT id FROM source JOIN warehouse.managers m ON true", "id", "sql-ambiguous-column"),
        ("SELECT s.idd FROM source s", "s.idd", "sql-unknown-column"),
        ("SELECT x.id FROM source s", "x.id", "sql-unknown-column"),
        ("SELECT id, action FROM source GROUP BY id", "action", "sql-invalid"),
        ("SELECT id FROM source WHERE amount", "amount", "sql-type"),
        ("SELECT id, id AS id FROM source", "id", "sql-duplicate-column"),
        (
            "SELECT s.id, m.id FROM source s JOIN warehouse.managers m ON true",
            "SELECT s.id, m.id FROM source s JOIN warehouse.managers m ON true",
            "sql-duplicate-column",
        ),
        ("INSERT INTO source VALUES (1)", "INSERT", "sql-not-a-query"),
        ("SELECT id INTO x FROM source", "x", "sql-not-a-query"),
        ("SELECT id FRM source", "source", "sql-syntax"),
    ] {
        let typed = check(sql);
        assert_eq!(typed.findings.len(), 1, "{sql}: {:?}", typed.findings);
        let finding = &typed.findings[0];
        assert_eq!((&sql[finding.span.clone()], finding.code), (place, code), "{sql}: {}", finding.message);
        let first = finding.message.chars().next().unwrap();
        assert!(!first.is_uppercase() || finding.message.starts_with("SELECT"), "{}", finding.message);
        assert!(
            !finding.message.contains('\n') && !finding.message.contains("DataFusion"),
            "{}",
            finding.message
        );
        assert!(typed.schema.is_none());
    }
}

fn refused(sql: &str) -> Vec<String> {
    let typed = check_row_wise(sql, &tables, &params(), zone());
    typed.findings.iter().map(|f| format!("{}|{}", f.code, &sql[f.span.clone()])).collect()
}

#[test]
fn row_by_row() {
    for sql in [
        "SELECT *, :region AS region FROM source WHERE action <> 'test'",
        "SELECT a.id, b.name FROM source a JOIN warehouse.managers b ON a.id = b.id",
        "SELECT a.id, b.name FROM source a LEFT JOIN (SELECT id, max(name) AS name FROM warehouse.managers GROUP BY id) b ON a.id = b.id",
        "SELECT a.id FROM warehouse.managers m RIGHT JOIN source a ON a.id = m.id",
        "SELECT id FROM source s WHERE EXISTS (SELECT 1 FROM warehouse.managers m WHERE m.id = s.id)",
        "SELECT id FROM source WHERE id NOT IN (SELECT id FROM warehouse.managers ORDER BY day LIMIT 3)",
        "WITH s AS (SELECT id + 1 AS id FROM source) SELECT id, (SELECT max(day) FROM warehouse.managers) AS d FROM s",
        "SELECT id, now() AS loaded_at FROM source",
    ] {
        assert_eq!(refused(sql), Vec::<String>::new(), "{sql}");
    }
}

#[test]
fn not_row_by_row() {
    for (sql, place) in [
        ("SELECT count(*) AS n FROM source", "count"),
        ("SELECT id FROM source GROUP BY id", "GROUP"),
        ("SELECT DISTINCT id FROM source", "DISTINCT"),
        ("SELECT id FROM source ORDER BY id", "ORDER"),
        ("SELECT id FROM source LIMIT 5", "LIMIT"),
        ("SELECT id, row_number() OVER (ORDER BY id) AS n FROM source", "OVER"),
        ("SELECT id FROM source UNION ALL SELECT id FROM warehouse.managers", "UNION"),
        ("SELECT m.id FROM source s RIGHT JOIN warehouse.managers m ON m.id = s.id", "RIGHT"),
        ("SELECT m.id FROM source s FULL JOIN warehouse.managers m ON m.id = s.id", "FULL"),
        ("SELECT a.id FROM source a JOIN source b ON a.id = b.id", "source"),
        ("SELECT id FROM warehouse.managers", "SELECT id FROM warehouse.managers"),
        ("SELECT id FROM warehouse.managers WHERE id IN (SELECT id FROM source)", "source"),
        ("SELECT id, random() AS r FROM source", "random"),
        ("SELECT id, uuid() AS r FROM source", "uuid"),
    ] {
        assert_eq!(refused(sql), [format!("sql-not-row-wise|{place}")], "{sql}");
    }
    assert_eq!(refused("SELECT id AS _vitrina_row FROM source")[0].split('|').next(), Some("sql-invalid"));
}

#[test]
fn conditions() {
    let judge = |sql: &str| {
        let typed = check_condition(sql, Some(&source()), &params(), zone());
        found(&typed, sql)
    };
    let unknown = check_condition("anything = :regin", None, &params(), zone());
    assert_eq!(unknown.findings.len(), 1, "{unknown:?}");
    assert_eq!(judge("action = 'd' AND happened_at < :period.from"), Vec::<String>::new());
    assert_eq!(
        judge("acton = 'd' OR idd = 1"),
        [
            "sql-unknown-column|acton|there is no column `acton`|did you mean `action`?",
            "sql-unknown-column|idd|there is no column `idd`|did you mean `id`?"
        ]
    );
    assert_eq!(judge("id + 1"), ["sql-type|id + 1|a condition is true or false, and this is Int64"]);
    assert_eq!(judge("count(*) > 1").len(), 1);
    assert_eq!(judge("random() > 0.5").len(), 1);
    assert_eq!(judge("id IN (SELECT id FROM warehouse.managers)").len(), 1);
    assert_eq!(judge("action = ")[0].split('|').next(), Some("sql-syntax"));
}

#[test]
fn names_are_quoted_where_they_must_be() {
    assert_eq!(TableName::new(["stream", "crm.actions.mrf1"]).to_string(), "stream.\"crm.actions.mrf1\"");
    assert_eq!(TableName::new(["витрина", "Таблица"]).to_string(), "витрина.Таблица");
    assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    assert_eq!(quoted("1st"), "\"1st\"");
}
