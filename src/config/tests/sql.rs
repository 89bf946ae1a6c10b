//! SQL: findings at their exact place, in all kinds of strings and in files; columns known through several jobs.

use insta::assert_snapshot;

use super::{BASE, ORDERS, drawn, lines, mart, pipeline};

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
fn indexes_are_of_columns() {
    let told = lines(&[
        ("vitrina.toml", BASE),
        (
            "pipelines/p.toml",
            &format!("{ORDERS}sqlite.index = [\"id\", \"cilent\"]\npostgres.index = [\"amont\"]\n"),
        ),
    ]);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains("cilent") && told[1].contains("amont"), "{told:#?}");
}

/// What Greenplum alone understands is checked whatever the connection is.
#[test]
fn tables_of_greenplum() {
    let sink = |more: &str| {
        lines(&[("vitrina.toml", BASE), ("pipelines/p.toml", &format!("{ORDERS}[sink.greenplum]\n{more}"))])
    };
    let good = "distributed = [\"id\"]\nappend_optimized = true\norientation = \"column\"\ncompress = \"zstd:3\"\ngrant.select = [\"bi\"]";
    assert_eq!(sink(good), Vec::<String>::new());
    let told = |more: &str, expected: &str| {
        let told = sink(more);
        assert!(told.len() == 1 && told[0].contains(expected), "{more}: {told:?}");
    };
    told("append_optimized = true\ncompress = \"lz4\"", "no compression of Greenplum");
    told("compress = \"zstd:3\"", "`compress` is of append-optimized tables");
    told("orientation = \"column\"", "`orientation` is of append-optimized tables");
    told("distributed = [\"cilent\"]", "cilent");
    told("distributed = \"evenly\"", "distributed");
    let partition = |until: &str, every: &str| {
        format!(
            "partition = {{ column = \"created_at\", from = \"2026-01-01\", until = \"{until}\", every = \"{every}\" }}"
        )
    };
    assert_eq!(sink(&partition("2027-01-01", "month")), Vec::<String>::new());
    told(&partition("2025-01-01", "month"), "the partitions end on 2025-01-01");
    told(&partition("2027-13-01", "month"), "no date");
    told(&partition("2027-01-01", "quarter"), "quarter");
    let project =
        format!("{BASE}\n[connections.gp]\nkind = \"greenplum\"\ndatabase = \"dwh\"\nuser = \"etl\"\n");
    let pipeline =
        format!("{}[sink.greenplum]\nload = \"gpfdist\"", ORDERS.replace("\"warehouse\"", "\"gp\""));
    let check = |project: &str| lines(&[("vitrina.toml", project), ("pipelines/p.toml", &pipeline)]);
    let told = check(&project);
    assert!(told.len() == 1 && told[0].contains("connection `gp` has no `gpfdist`"), "{told:?}");
    let unload = ORDERS
        .replace("\"shop\"", "\"gp\"")
        .replace("[sink]", "[source.greenplum]\nunload = \"gpfdist\"\n\n[sink]");
    let told = lines(&[("vitrina.toml", &project), ("pipelines/p.toml", &unload)]);
    assert!(told.iter().any(|line| line.contains("connection `gp` has no `gpfdist`")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("segments bring them in none")), "{told:?}");
    let served = format!("{project}gpfdist = {{ host = \"etl\", port = 8080 }}\n");
    assert_eq!(check(&served), Vec::<String>::new());
}

/// An address is one text or several keys; a password is in neither.
#[test]
fn a_server_is_named_by_an_address() {
    for kind in ["postgres", "greenplum"] {
        let check = |keys: &str| {
            let project = format!("{BASE}\n[connections.gp]\nkind = \"{kind}\"\n{keys}\n");
            lines(&[("vitrina.toml", &project), ("pipelines/p.toml", ORDERS)])
        };
        assert_eq!(check("url = \"postgres://etl@pg:6432/dwh\""), Vec::<String>::new());
        assert_eq!(check("url = \"postgres://pg/dwh\"\nuser = \"etl\""), Vec::<String>::new());
        for (keys, expected) in [
            ("", "needs `database`"),
            ("url = \"postgres://pg/dwh\"", "needs `user`"),
            ("url = \"postgres://etl@pg/dwh\"\nhost = \"pg\"", "has `host`, and `url` tells it too"),
            ("url = \"postgres://etl@pg/dwh\"\ndatabase = \"dwh\"", "has `database`, and `url` tells it too"),
            ("url = \"postgres://etl:secret-42@pg/dwh\"", "take the password out"),
            ("url = \"postgres://etl@pg/dwh?sslmode=require\"", "as keys of the connection"),
        ] {
            let told = check(keys);
            let found = told.iter().any(|line| line.contains(expected));
            assert!(found && told.iter().all(|line| !line.contains("secret-42")), "{keys}: {told:?}");
        }
    }
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

/// Codes and places of what is wrong with one more file beside the base project.
fn codes(path: &str, text: &str) -> Vec<String> {
    let found = lines(&[("vitrina.toml", BASE), ("pipelines/orders.toml", ORDERS), (path, text)]);
    let short = |line: &String| {
        let (place, rest) = line.split_once(": ").unwrap();
        let code = rest.split(['[', ']']).nth(1).unwrap();
        format!("{} {code}", place.trim_start_matches(path).trim_start_matches(':'))
    };
    found.iter().map(short).collect()
}

/// The base pipeline into another table, with a transform over two lines.
fn other(sql: &str) -> String {
    ORDERS
        .replace("\"orders\"\nmode", "\"other\"\nmode")
        .replace("[sink]", &format!("[transform]\nsql = \"\"\"\nSELECT id,\n{sql}\"\"\"\n[sink]"))
}

#[test]
fn sql_is_judged_although_the_sink_is_wrong() {
    let wrong = |sql: &str| codes("pipelines/p.toml", &other(sql).replace("\"warehouse\"", "\"ware_house\""));
    assert_eq!(wrong("amont FROM source"), ["14:1 sql-unknown-column", "16:14 unknown-connection"]);
    assert_eq!(wrong("amount FORM source"), ["14:13 sql-syntax", "16:14 unknown-connection"]);
    let key = other("amount FROM source")
        .replace("\"warehouse\"", "\"x\"")
        .replace("\"append\"", "\"merge\"\nkey = [\"idd\"]");
    assert_eq!(codes("pipelines/p.toml", &key), ["16:14 unknown-connection", "19:8 unknown-column"]);
}

#[test]
fn nothing_is_claimed_of_columns_that_wrong_keys_would_tell() {
    let wrong = |from: &str, to: &str, sql: &str| codes("pipelines/p.toml", &other(sql).replace(from, to));
    // The contract tells the columns, wherever the table lies.
    assert_eq!(
        wrong("\"shop\"", "\"shpo\"", "amont FROM source"),
        ["3:14 unknown-connection", "14:1 sql-unknown-column"]
    );
    assert_eq!(wrong("\"int64\"", "\"bigint\"", "id + 1 AS a FROM source"), ["7:6 unknown-type"]);
    assert_eq!(
        wrong("\"int64\"", "\"bigint\"", "amount FORM source"),
        ["7:6 unknown-type", "14:13 sql-syntax"]
    );
    assert_eq!(
        wrong("[source.columns]", "unlisted = \"kep\"\n[source.columns]", "more FROM source"),
        ["6:12 bad-choice"]
    );
    let deleted = other("amount FROM source")
        .replace("\"append\"", "\"merge\"\nkey = [\"id\"]\ndelete = { when = \"amount >\", how = \"soft\" }");
    let places = codes("pipelines/p.toml", &deleted.replace("\"int64\"", "\"bigint\""));
    assert_eq!(places.len(), 2, "{places:?}");
    assert!(places[1].starts_with("20:") && places[1].ends_with("sql-syntax"), "{places:?}");
}

#[test]
fn sql_of_marts_is_judged_whatever_else_is_wrong() {
    let judge = |before: &str, after: &str| {
        codes("marts/m.toml", &format!("{before}\nsql = \"SELECT amont FROM pipeline.orders\"\n{after}"))
    };
    let sink = "[sink]\nconnection = \"warehouse\"";
    assert_eq!(
        judge("schedule = { cron = \"61 * * * *\" }", sink),
        ["1:21 bad-cron", "2:15 sql-unknown-column"]
    );
    assert_eq!(
        judge("", "[sink]\nconnection = \"ware_house\""),
        ["2:15 sql-unknown-column", "4:14 unknown-connection"]
    );
    assert_eq!(judge("", ""), [" missing-key", "2:15 sql-unknown-column"]);
    assert_eq!(
        judge(
            "excel = \"x.xlsx\"",
            &format!("{sink}\n[[sheet]]\nname = \"a\"\nsql = \"SELECT i FROM pipeline.orders\"")
        ),
        ["1:1 conflicting-keys", "2:15 sql-unknown-column", "7:15 sql-unknown-column"]
    );
}

#[test]
fn a_job_that_is_wrong_is_no_unknown_table() {
    let wrong = ORDERS.replace("\"warehouse\"", "\"ware_house\"");
    let mart = "schedule = { after = \"inputs\" }\nsql = \"SELECT x FROM pipeline.p\"\n[sink]\nconnection = \"warehouse\"";
    let found = lines(&[("vitrina.toml", BASE), ("pipelines/p.toml", &wrong), ("marts/m.toml", mart)]);
    assert!(matches!(found.as_slice(), [one] if one.contains("unknown-connection")), "{found:#?}");
}
