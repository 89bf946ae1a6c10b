//! Row rules, proven by comparing: a query under rules answers as the same query over tables that hold nothing but the rows seen. Every query
//! of the corpus of push-down, and some that are about getting around a rule; whatever the place computes itself.

use std::sync::Arc;

use vitrina::{
    connector::connection::Connection,
    engine::{
        relations::{Relation, RelationMember, Relations},
        row_rules::{Guarded, RoleRows, RowRules},
        session::{Engine, Settings},
        typing::TableName,
    },
};

use super::{Answer, gathered, is_sent, places, queries};
use crate::support::{clickhouse, specs::now};

const DEALS: &str = r#"place."Сделки.""Q1""""#;

/// Ways around a rule: every table is named more than once, from inside of everything that can stand in a query.
const HOSTILE: [&str; 24] = [
    "SELECT * FROM {deals}",
    "SELECT count(*) FROM {deals}",
    r#"SELECT "Регион", count(*) FROM {deals} GROUP BY "Регион""#,
    r#"SELECT max("Регион"), min("Регион") FROM {deals}"#,
    r#"SELECT DISTINCT "Регион" FROM {deals} WHERE "Регион" = 'mrf2' OR TRUE"#,
    r#"SELECT a.id, b.id FROM {deals} a LEFT JOIN {deals} b ON a.id = b.id + 1 AND b."Регион" <> a."Регион""#,
    "SELECT a.id, b.id FROM {deals} a RIGHT JOIN {deals} b ON a.id = b.id * 2",
    "SELECT a.id, b.id FROM {deals} a FULL JOIN {deals} b ON a.id = b.id + 3",
    r#"SELECT count(*) FROM {deals} a CROSS JOIN {deals} b WHERE a."Регион" <> b."Регион""#,
    "SELECT id FROM {deals} a WHERE EXISTS (SELECT 1 FROM {deals} b WHERE b.id = a.id + 5)",
    "SELECT id FROM {deals} a WHERE NOT EXISTS (SELECT 1 FROM {deals} b WHERE b.id = a.id + 5)",
    "SELECT id FROM {deals} WHERE id NOT IN (SELECT id + 1 FROM {deals})",
    "SELECT id FROM {deals} WHERE id IN (SELECT id * 2 FROM {deals}) OR id IN (SELECT id + 2 FROM {deals})",
    r#"SELECT id, (SELECT count(*) FROM {deals} b WHERE b."Регион" = a."Регион") AS n FROM {deals} a"#,
    r#"SELECT (SELECT max(id) FROM {deals}) AS m, (SELECT min("Регион") FROM {deals}) AS r"#,
    "WITH a AS (SELECT * FROM {deals}), b AS (SELECT * FROM a WHERE id > 10) SELECT count(*), max(b.id) FROM a JOIN b ON a.id = b.id",
    "WITH RECURSIVE n AS (SELECT min(id) AS i FROM {deals} UNION ALL SELECT i + 1 FROM n WHERE i < 30) SELECT n.i, d.id FROM n LEFT JOIN {deals} d ON d.id = n.i",
    "SELECT id FROM {deals} UNION ALL SELECT -id FROM {deals}",
    "SELECT id FROM {deals} EXCEPT SELECT id + 1 FROM {deals}",
    "SELECT id FROM {deals} INTERSECT SELECT id + 7 FROM {deals}",
    r#"SELECT id, row_number() OVER (PARTITION BY "Регион" ORDER BY id) AS n, sum("Сумма") OVER () AS s FROM {deals} /* any order */"#,
    "SELECT id FROM {deals} ORDER BY id DESC LIMIT 4",
    "SELECT id FROM (SELECT id FROM {deals} ORDER BY id LIMIT 20) ORDER BY id LIMIT 5 OFFSET 2",
    "SELECT id FROM (VALUES (1), (2), (3), (4)) AS v (n) JOIN {deals} d ON d.id = v.n",
];

/// What somebody sees, as SQL says it of the tables' own rows.
struct Seen {
    rules: RowRules,
    /// The condition on the rows that are left out.
    unseen: &'static str,
}

fn role(values: &[&str]) -> RoleRows {
    RoleRows {
        role: "regional".to_owned(),
        columns: [("Регион".to_owned(), values.iter().map(|value| (*value).to_owned()).collect())].into(),
        free: vec![TableName::new(["place", "Regions"])],
    }
}

fn seen() -> [Seen; 4] {
    let by_id = RoleRows {
        columns: [("id".to_owned(), vec!["3".to_owned(), "41".to_owned(), "x".to_owned()])].into(),
        ..role(&[])
    };
    [
        Seen {
            rules: RowRules { roles: vec![role(&["mrf1"])] },
            unseen: r#""Регион" IS NULL OR "Регион" <> 'mrf1'"#,
        },
        Seen {
            rules: RowRules { roles: vec![role(&["MRF1", "Сибирь", "' OR 1=1 --"])] },
            unseen: r#""Регион" IS NULL OR "Регион" NOT IN ('MRF1', 'Сибирь')"#,
        },
        Seen { rules: RowRules { roles: vec![role(&[])] }, unseen: "1 = 1" },
        Seen {
            rules: RowRules { roles: vec![role(&["mrf2"]), by_id] },
            unseen: r#"NOT (coalesce("Регион", '') = 'mrf2' OR id IN (3, 41))"#,
        },
    ]
}

fn engine(connection: &Arc<dyn Connection>, folder: &tempfile::TempDir, push_down: bool) -> Engine {
    let spill = folder.path().join("spill");
    let zone = "Europe/Moscow".parse().unwrap();
    let settings = Settings { memory: 128 << 20, spill, zone, threads: 2, push_down };
    let mut engine = Engine::new(&settings).unwrap();
    engine.register_connection("place", connection.clone());
    engine.register_relations("mart", Arc::new(Copies));
    engine
}

/// A mart of two members over one table, and one over another: `mart.both` has every deal twice.
struct Copies;

impl Relations for Copies {
    fn names(&self) -> Vec<String> {
        vec!["both".to_owned()]
    }

    fn get(&self, name: &str) -> Option<Relation> {
        let member = |table: &str, planned: &str| RelationMember {
            member: vec![("part".to_owned(), planned.to_owned())],
            connection: "place".to_owned(),
            schema: None,
            table: table.to_owned(),
            planned: None,
        };
        (name == "both")
            .then(|| Relation { members: vec![member("Сделки.\"Q1\"", "one"), member("empty", "two")] })
    }
}

/// Compares every answer under rules with that over what is left; how many of how many the place computed.
async fn compare(
    whole: &Arc<dyn Connection>,
    left: &Arc<dyn Connection>,
    rules: &RowRules,
    corpus: &[String],
) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let (guarded, bare) = (engine(whole, &folder, true), engine(left, &folder, false));
    let params = queries::params();
    let mut sent = 0;
    for sql in corpus {
        let ordered = sql.contains("ORDER BY") && !sql.contains("/* any order */");
        let expected = gathered(bare.query(sql, &params, now()).await.unwrap(), ordered).await.unwrap();
        let plan = guarded.explain_under(sql, &params, now(), rules).await.unwrap();
        let stream = match guarded.query_under(sql, &params, now(), rules).await.unwrap() {
            Guarded::Rows(stream) => stream,
            Guarded::Refused(refusal) => panic!("{refusal}: {sql}"),
        };
        let got: Answer = gathered(stream, ordered)
            .await
            .unwrap_or_else(|error| panic!("{error} {:?}: {sql}\n{plan}", error.source));
        assert_eq!(got, expected, "{sql}\n{plan}");
        sent += usize::from(is_sent(&plan));
    }
    (sent, corpus.len())
}

fn corpus() -> Vec<String> {
    let marts = HOSTILE.iter().map(|sql| sql.replace("{deals}", "mart.both"));
    let bare = HOSTILE.iter().map(|sql| sql.replace("{deals}", DEALS));
    queries::queries().into_iter().chain(bare).chain(marts).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_shows_no_row_of_others() {
    let tables = format!("{}{}", places::tables(&places::SQLITE), places::side_table());
    for Seen { rules, unseen } in seen() {
        let (_whole, whole) = places::sqlite(&tables);
        let (_left, left) =
            places::sqlite(&format!("{tables} DELETE FROM \"Сделки.\"\"Q1\"\"\" WHERE {unseen};"));
        let (sent, all) = compare(&whole, &left, &rules, &corpus()).await;
        assert!(
            all > 400 && (unseen == "1 = 1" || sent * 2 > all),
            "only {sent} of {all} queries were computed by SQLite"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_shows_no_row_of_others() {
    let tables = places::tables(&places::POSTGRES);
    for Seen { rules, unseen } in seen() {
        let (_whole, whole) = places::postgres(&tables).await;
        let (_left, left) =
            places::postgres(&format!("{tables} DELETE FROM \"Сделки.\"\"Q1\"\"\" WHERE {unseen};")).await;
        let (sent, all) = compare(&whole, &left, &rules, &corpus()).await;
        assert!(
            all > 400 && (unseen == "1 = 1" || sent * 2 > all),
            "only {sent} of {all} queries were computed by PostgreSQL"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clickhouse_shows_no_row_of_others() {
    let place = |unseen: Option<&str>| {
        let place = clickhouse::Place::new();
        let deals = place.table("Сделки.\"Q1\"");
        place.run(&format!(
            "CREATE TABLE {deals} (id Int64, `Регион` LowCardinality(Nullable(String)), `Сумма` Nullable(Int64), day Date) \
             ENGINE = MergeTree ORDER BY id"
        ));
        place.run(&format!(
            "INSERT INTO {deals} SELECT number + 1, [NULL, 'mrf1', 'mrf2', 'MRF1', 'Сибирь', 'сибирь'][number % 6 + 1], \
             if(number % 7 = 0, NULL, number * 25), toDate('2026-01-01') + number % 28 FROM numbers(120)"
        ));
        if let Some(unseen) = unseen {
            place.run(&format!("ALTER TABLE {deals} DELETE WHERE {unseen}"));
        }
        place.run(&format!("CREATE TABLE {} AS {deals}", place.table("empty")));
        let connection = place.open();
        (place, connection)
    };
    let corpus: Vec<String> = HOSTILE
        .iter()
        .flat_map(|sql| [sql.replace("{deals}", DEALS), sql.replace("{deals}", "mart.both")])
        .collect();
    for Seen { rules, unseen } in seen() {
        let ((_whole, whole), (_left, left)) = (place(None), place(Some(unseen)));
        compare(&whole, &left, &rules, &corpus).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_without_the_column_is_refused_wherever_it_stands() {
    let (_kept, connection) =
        places::sqlite(&format!("{}{}", places::tables(&places::SQLITE), places::side_table()));
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&connection, &folder, true);
    let rules = RowRules { roles: vec![RoleRows { free: vec![], ..role(&["mrf1"]) }] };
    for sql in [
        r#"SELECT * FROM place."Regions""#,
        r#"SELECT (SELECT max("Name") FROM place."Regions") FROM {deals}"#,
        r#"WITH x AS (SELECT code FROM place."Regions") SELECT count(*) FROM {deals} WHERE "Регион" NOT IN (SELECT code FROM x)"#,
        r#"SELECT id FROM {deals} UNION ALL SELECT rank FROM place.main."Regions""#,
        r#"SELECT count(*) FROM {deals} d, LATERAL (SELECT 1 FROM place."Regions" r WHERE r.code = d."Регион") x"#,
    ] {
        let sql = sql.replace("{deals}", DEALS);
        let asked = engine.query_under(&sql, &queries::params(), now(), &rules).await.unwrap();
        assert!(matches!(asked, Guarded::Refused(_)), "{sql}");
    }
    let nobody =
        engine.query_under("SELECT 1", &queries::params(), now(), &RowRules::default()).await.unwrap();
    assert!(matches!(nobody, Guarded::Refused(_)));
}
