//! SQL: findings at their exact place, in all kinds of strings and in files; columns known through several jobs.

use insta::assert_snapshot;

use super::{BASE, ORDERS, drawn, mart, pipeline};

/// The base pipeline with a transform.
fn transform(sql: &str) -> String {
    pipeline(&ORDERS.replace("[sink]", &format!("[transform]\nsql = {sql}\n[sink]")))
}

#[test]
fn in_all_kinds_of_strings() {
    assert_snapshot!("basic", transform("\"SELECT \\\"id\\\", \\u0061mont FROM source\""));
    assert_snapshot!("literal", transform("'SELECT id, amont FROM source'"));
    assert_snapshot!(
        "several lines",
        transform("\"\"\"\nSELECT id, -- ключ\n  'я' AS я, \\\n  clint\nFROM source\nWHERE amont > 1\"\"\"")
    );
    assert_snapshot!("literal lines", transform("'''\r\nSELECT id\r\nFROM sorce'''"));
}

#[test]
fn mistakes() {
    assert_snapshot!("syntax", transform("\"\"\"\nSELECT id\nFORM source\n\"\"\""));
    assert_snapshot!("types", transform("\"SELECT id + client AS x FROM source WHERE amount\""));
    assert_snapshot!(
        "functions",
        transform("\"SELECT uper(client) AS x, localdate(happened_at) AS d FROM source\"")
    );
    assert_snapshot!("parameters", transform("\"SELECT *, :region AS region, :regin AS r FROM source\""));
    assert_snapshot!("row by row", transform("\"SELECT client, count(*) AS n FROM source GROUP BY client\""));
    assert_snapshot!("ours", transform("\"SELECT *, 1 AS _vitrina_row FROM source\""));
}

#[test]
fn in_a_file() {
    let files = |sql: &'static str| {
        drawn(&[
            ("vitrina.toml", BASE),
            (
                "pipelines/deep/p.toml",
                &ORDERS.replace("[sink]", "[transform]\nsql = { file = \"../sql/p.sql\" }\n[sink]"),
            ),
            ("pipelines/sql/p.sql", sql),
        ])
    };
    assert_eq!(files("SELECT id FROM source"), "");
    assert_snapshot!(files("SELECT id,\n  amont FROM source"));
}

#[test]
fn sinks() {
    let sink = |lines: &str| pipeline(&ORDERS.replace("mode = \"append\"", lines));
    assert_snapshot!(
        "columns",
        sink(
            "mode = \"merge\"\nkey = [\"id\", \"cilent\"]\ncolumns.amont = { description = \"x\" }\ndelta.partition_by = [\"dt\"]"
        )
    );
    assert_snapshot!(
        "delete",
        sink("mode = \"merge\"\nkey = [\"id\"]\ndelete = { when = \"op = 'd'\", how = \"soft\" }")
    );
}

#[test]
fn a_shared_table_is_replaced_part_by_part() {
    let shared = |sql: &str| {
        let text = ORDERS
            .replace("\"shop\"", "\"crm_{region}\"\nschema = \"actions\"")
            .replace("cursor = { column = \"id\" }\n", "")
            .replace("\"append\"", "\"replace\"")
            .replace("[sink]", &format!("[transform]\nsql = \"{sql}\"\n[sink]"));
        drawn(&[("vitrina.toml", BASE), ("pipelines/p.toml", &format!("matrix = [\"region\"]\n{text}"))])
    };
    assert_eq!(shared("SELECT *, :region AS region FROM source"), "");
    assert_snapshot!(shared("SELECT * FROM source"));
}

#[test]
fn columns_are_known_through_jobs() {
    let to_log = r#"
matrix = ["region"]
[source]
connection = "crm_{region}"
schema = "actions"
table = "a"
cursor = { column = "id" }
[source.columns]
id = "int64"
name = "text"
[sink]
connection = "stream"
table = "a.{region}"
mode = "append"
"#;
    let from_log = r#"
matrix = ["region"]
[source]
connection = "stream"
table = "a.{region}"
[transform]
sql = "SELECT id, nme FROM source"
[sink]
connection = "warehouse"
table = "a_{region}"
mode = "append"
"#;
    let mart = "sql = '''\nSELECT region, cnt FROM pipeline.to_log, stream.\"a.mrf1\" WHERE stream.\"a.mrf1\".nam = 'x' '''\n[sink]\nconnection = \"warehouse\"\n";
    assert_snapshot!(drawn(&[
        ("vitrina.toml", BASE),
        ("pipelines/to_log.toml", to_log),
        ("pipelines/from_log.toml", from_log),
        ("marts/m.toml", mart),
    ]));
}

#[test]
fn tables() {
    assert_snapshot!(mart(
        r#"
sql = """
SELECT a.*, b.*, c.*
FROM pipeline.ordrs AS a, warehose.orders AS b, orders AS c, shop.anything AS d, mart.m AS e
"""
[sink]
connection = "warehouse"
"#
    ));
}
