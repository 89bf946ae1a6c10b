//! Types cell by cell, in tables of others.

use vitrina::{
    connector::{
        error::ErrorKind,
        postgres::config::{Config, SinkOptions as PostgresOptions},
        sink::{DeleteHow, SinkOptions, SinkSpec},
    },
    model::{column::ColumnType, delivery::Mode, unit::DELETED},
};

use super::{read_all, whole};
use crate::{
    contract::reading::kind,
    support::{
        postgres::{Place, config, open, quote, session, setting},
        rows::{batch, flags, ints, text, texts},
        specs::{self, track},
    },
};

/// Declared type, value, the type that it is read as, what is read.
const CELLS: &[(&str, &str, &str, &str)] = &[
    ("boolean", "true", "bool", "true"),
    ("smallint", "'-32768'", "int16", "-32768"),
    ("integer", "2147483647", "int32", "2147483647"),
    ("bigint", "9007199254740993", "int64", "9007199254740993"),
    ("oid", "4294967295", "uint32", "4294967295"),
    ("real", "0.1", "float32", "0.1"),
    ("double precision", "0.30000000000000004", "float64", "0.30000000000000004"),
    ("numeric(12,2)", "'-0.05'", "decimal(12,2)", "-0.05"),
    (
        "numeric(76,20)",
        "'12345678901234567890123456789012345678901234.5'",
        "decimal(76,20)",
        "12345678901234567890123456789012345678901234.50000000000000000000",
    ),
    ("numeric", "'1.50'", "text", "1.50"),
    (
        "numeric",
        "'123456789012345678901234567890123456789012.000001'",
        "text",
        "123456789012345678901234567890123456789012.000001",
    ),
    ("text", "'Ёж 🦔'", "text", "Ёж 🦔"),
    ("varchar(5)", "'abc'", "text", "abc"),
    ("char(5)", "'abc'", "text", "abc  "),
    ("name", "'имя'", "text", "имя"),
    ("bytea", "'\\x00ff'", "bytes", "00ff"),
    ("date", "'0001-01-01'", "date", "0001-01-01"),
    ("time", "'23:59:59.999999'", "time", "23:59:59.999999"),
    ("timestamp", "'1969-12-31 23:59:59.999999'", "timestamp", "1969-12-31T23:59:59.999999"),
    ("timestamp(0)", "'2026-01-31 10:00'", "timestamp(s)", "2026-01-31T10:00:00"),
    ("timestamptz", "'2026-01-31 10:00:00.000001+03'", "timestamp(us, UTC)", "2026-01-31T07:00:00.000001Z"),
    ("timestamptz(3)", "'2026-01-31 10:00+00'", "timestamp(ms, UTC)", "2026-01-31T10:00:00Z"),
    ("interval", "'1 day 2 hours'", "text", "P1DT2H"),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "text", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("json", "'{\"a\": [1, null]}'", "text", "{\"a\": [1, null]}"),
    ("jsonb", "'{\"a\":[1,null]}'", "text", "{\"a\": [1, null]}"),
    ("mood", "'весело'", "text", "весело"),
    ("int4range", "'[1,5)'", "text", "[1,5)"),
    ("integer[]", "'{1,NULL,3}'", "text", "{1,NULL,3}"),
    ("positive", "7", "int32", "7"),
    ("inet", "'::1'", "text", "::1/128"),
];

/// Every type is read as documented, to the last digit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_is_read_as_documented() {
    let place = Place::new();
    let columns = CELLS.iter().enumerate();
    let declared: Vec<String> = columns.clone().map(|(i, cell)| format!("c{i} {}", cell.0)).collect();
    let values: Vec<&str> = CELLS.iter().map(|cell| cell.1).collect();
    let nulls = vec!["NULL"; CELLS.len()].join(", ");
    place.run("CREATE TYPE mood AS ENUM ('весело', 'грустно'); CREATE DOMAIN positive AS integer CHECK (VALUE > 0)").await;
    place
        .run(&format!(
            "CREATE TABLE t ({}); INSERT INTO t VALUES ({}), ({nulls})",
            declared.join(", "),
            values.join(", ")
        ))
        .await;
    let chunks = read_all(&place, &whole("t")).await.unwrap();
    assert_eq!((chunks.len(), chunks[0].bad.len()), (1, 0));
    let rows = &chunks[0].batch;
    for (i, (declared, _, kind, expected)) in columns {
        let field = rows.schema_ref().field(i).clone();
        assert_eq!(ColumnType::of(field.data_type()).to_string(), *kind, "{declared}");
        let got = text(&rows.project(&[i]).unwrap());
        assert_eq!(got, [expected.to_string(), "∅".to_owned()], "{declared}");
    }
}

/// What no Arrow type holds is a bad row, and the rows around it are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn infinite_times_are_bad_rows() {
    let place = Place::new();
    place.run("CREATE TABLE t (id int, day date, at timestamptz, n numeric(5,1), clock time)").await;
    place
        .run(
            "INSERT INTO t VALUES (1, 'infinity', now(), 1, '10:00'), (2, now(), '-infinity', 1, '10:00'), \
         (3, now(), now(), 'NaN', '10:00'), (4, now(), now(), 1, '24:00'), (5, now(), now(), 1, '10:00')",
        )
        .await;
    let chunks = read_all(&place, &whole("t")).await.unwrap();
    assert_eq!(text(&chunks[0].batch.project(&[0]).unwrap()), ["5"]);
    let bad: Vec<(u64, Option<&str>)> =
        chunks[0].bad.iter().map(|bad| (bad.ordinal, bad.column.as_deref())).collect();
    assert_eq!(bad, [(0, Some("day")), (1, Some("at")), (2, Some("n")), (3, Some("clock"))]);
    assert_eq!(chunks[0].bad[0].row["day"], "infinity");
    assert_eq!(chunks[0].ordinals.values().to_vec(), [4]);
}

/// Columns whose types have no binary form of ours are written as the server reads their text; a text that it does not read is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_that_are_spelled_are_written() {
    let place = Place::new();
    place.run(
        "CREATE TYPE mood AS ENUM ('весело', 'грустно'); \
         CREATE TABLE t (id bigint PRIMARY KEY, key uuid, doc jsonb, how mood, list integer[], n numeric, short varchar(4))",
    )
    .await;
    let rows = |key: &'static str| {
        batch(vec![
            ("id", ints([1, 2])),
            ("key", texts([Some(key), None])),
            ("doc", texts([Some("{\"a\":1}"), None])),
            ("how", texts([Some("весело"), None])),
            ("list", texts([Some("{1,2}"), None])),
            ("n", texts([Some("1.50"), None])),
            ("short", texts([Some("абвг"), None])),
        ])
    };
    for (at, mode) in [Mode::Merge, Mode::Replace, Mode::Append].into_iter().enumerate() {
        let spec = SinkSpec { schema: None, ..specs::sink("t", mode) };
        let good = rows("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
        if mode == Mode::Append {
            place.run("TRUNCATE t").await;
        }
        crate::contract::writing::try_write(&Through(&place), &spec, &track("mrf1"), at as i64, &good)
            .await
            .unwrap();
        let client = place.stranger().await;
        let row = client.query_one("SELECT ROW(t.*)::text FROM t WHERE id = 1", &[]).await.unwrap();
        let told: String = row.get(0);
        assert_eq!(
            told,
            "(1,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,\"{\"\"a\"\": 1}\",весело,\"{1,2}\",1.50,абвг)"
        );
        let bad = rows("no-such-key-42");
        let refused =
            crate::contract::writing::try_write(&Through(&place), &spec, &track("mrf1"), 9, &bad).await;
        let Err(error) = refused else { panic!("{mode}: no uuid, and yet written") };
        assert_eq!(error.kind, ErrorKind::BadData);
        assert!(!error.to_string().contains("no-such-key-42"), "{error}");
    }
}

/// The place as a harness: for what the suite's helpers need of it.
struct Through<'a>(&'a Place);

#[async_trait::async_trait]
impl crate::contract::Harness for Through<'_> {
    fn abilities(&self) -> crate::contract::Abilities {
        crate::contract::Abilities::all()
    }

    fn open(&self) -> std::sync::Arc<dyn vitrina::connector::connection::Connection> {
        self.0.open()
    }

    async fn insert(&self, _: crate::contract::Reading, _: &str, _: &arrow::record_batch::RecordBatch) {}

    async fn delete(&self, _: &str, _: &[i64]) {}

    async fn drop_table(&self, _: &str) {}

    async fn leftovers(&self) -> Vec<String> {
        vec![]
    }
}

/// Keys are compared as the target's type, however they are spelled: two spellings in a unit are one key, and a key that was kept and then deleted is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_the_targets_value() {
    let (small, large) = ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11");
    let write = async |place: &Place, spec: &SinkSpec, at: i64, rows: &arrow::record_batch::RecordBatch| {
        crate::contract::writing::try_write(&Through(place), spec, &track("mrf1"), at, rows).await.unwrap();
    };
    let all = async |place: &Place| -> Vec<String> {
        let rows = place.stranger().await.query("SELECT id::text || ' ' || name FROM t", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    for (kind, one, other, kept) in
        [("uuid", large, small, small), ("numeric", "1.5", "1.50", "1.50"), ("numeric", "7", "007", "7")]
    {
        let place = Place::new();
        place.run(&format!("CREATE TABLE t (id {kind} PRIMARY KEY, name text)")).await;
        let spec = specs::sink("t", Mode::Merge);
        let rows = |ids: [&'static str; 2], name: &'static str| {
            batch(vec![("id", texts(ids.map(Some))), ("name", texts([Some(name), Some("last")]))])
        };
        write(&place, &spec, 1, &rows([one, other], "first")).await;
        assert_eq!(all(&place).await, [format!("{kept} last")], "{kind}");
        write(&place, &spec, 2, &rows([other, one], "second")).await;
        assert!(matches!(all(&place).await.as_slice(), [one] if one.ends_with(" last")), "{kind}");
        let hard = SinkSpec { delete: Some(DeleteHow::Hard), ..spec };
        let marks = batch(vec![
            ("id", texts([Some(one), Some(other)])),
            ("name", texts([Some("kept"), Some("gone")])),
            (DELETED, flags([false, true])),
        ]);
        write(&place, &hard, 3, &marks).await;
        assert_eq!(all(&place).await, [""; 0], "{kind}: the last word is that it is deleted");
    }
}

/// A key that is NULL would be added again with every merge.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_null_in_a_key_is_refused() {
    let place = Place::new();
    let spec = specs::sink("t", Mode::Merge);
    let ids: arrow::array::ArrayRef =
        std::sync::Arc::new(arrow::array::Int64Array::from(vec![Some(1), None]));
    let rows = batch(vec![("id", ids), ("name", texts([None, None]))]);
    let written =
        crate::contract::writing::try_write(&Through(&place), &spec, &track("mrf1"), 1, &rows).await;
    assert_eq!(kind(written), ErrorKind::BadData);
}

/// A replacement keeps what hangs on the table: views and grants.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_keeps_views_and_grants() {
    let place = Place::new();
    let spec = specs::sink("t", Mode::Replace);
    let rows = |ids: std::ops::Range<i64>| crate::support::rows::people(ids);
    crate::contract::writing::try_write(&Through(&place), &spec, &track("mrf1"), 1, &rows(1..4))
        .await
        .unwrap();
    place.run("CREATE VIEW v AS SELECT count(*) AS n FROM t; GRANT SELECT ON t TO PUBLIC").await;
    crate::contract::writing::try_write(&Through(&place), &spec, &track("mrf1"), 2, &rows(1..8))
        .await
        .unwrap();
    let client = place.stranger().await;
    let seen: i64 = client.query_one("SELECT n FROM v", &[]).await.unwrap().get(0);
    assert_eq!(seen, 7);
    let granted = client.query_one("SELECT has_table_privilege('cert', 't', 'SELECT')", &[]).await.unwrap();
    assert!(
        granted.get::<_, bool>(0),
        "granted to PUBLIC, so to the user `cert`, beside {}",
        setting("USER")
    );
}

/// An index for each column that is told and that none of others serves: one of another order of texts does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn indexes_that_are_told_are_made_once() {
    let place = Place::new();
    place.run("CREATE TABLE t (id bigint PRIMARY KEY, name text COLLATE \"und-x-icu\"); CREATE INDEX ON t (name)").await;
    let index = vec!["id".to_owned(), "name".to_owned()];
    let postgres = Some(PostgresOptions { index, ..PostgresOptions::default() });
    let options = SinkOptions { postgres, ..SinkOptions::default() };
    for table in ["t", "Новая"] {
        let spec = SinkSpec { options: options.clone(), ..specs::sink(table, Mode::Append) };
        for at in 1..3 {
            let rows = crate::support::rows::people([at]);
            crate::contract::writing::try_write(&Through(&place), &spec, &track(table), at, &rows)
                .await
                .unwrap();
        }
    }
    let sql = "SELECT c.relname || ': ' || pg_get_indexdef(i.indexrelid, 1, true) || coalesce(' by ' || l.collname, '') \
               FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid LEFT JOIN pg_collation l ON l.oid = i.indcollation[0] \
               WHERE c.relname IN ('t', 'Новая') AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())";
    let rows = place.stranger().await.query(sql, &[]).await.unwrap();
    let mut made: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    made.sort();
    assert_eq!(made, ["t: id", "t: name by C", "t: name by und-x-icu", "Новая: id", "Новая: name by C"]);
}

/// How many rows of a table the engine finds by a condition.
async fn found(config: Config, condition: &str) -> usize {
    let schema = config.schema.clone();
    let table = open(config).catalog().schema(&schema).unwrap().table("t").await.unwrap().unwrap();
    let engine = datafusion::execution::context::SessionContext::new();
    engine.register_table("t", table).unwrap();
    let sql = format!("SELECT * FROM t WHERE {condition}");
    engine.sql(&sql).await.unwrap().count().await.unwrap()
}

/// The server finds a text that is filled up with spaces without them, behind a domain too; the engine does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_over_padded_texts_is_padded() {
    let place = Place::new();
    place.run("CREATE DOMAIN code AS char(5); CREATE TABLE t (c code, d char(5)); INSERT INTO t VALUES ('ab', 'ab')").await;
    for column in ["c", "d"] {
        assert_eq!(found(place.config(), &format!("{column} = 'ab'")).await, 0, "{column}");
        assert_eq!(found(place.config(), &format!("{column} = 'ab   '")).await, 1, "{column}");
    }
}

/// In KOI8-R the letter ц stands before д.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_of_another_encoding_are_ordered_by_the_engine() {
    let admin = session("postgres").await;
    let database = format!("koi8 {}", uuid::Uuid::new_v4().simple());
    let made = format!(
        "CREATE DATABASE {} OWNER {} ENCODING 'KOI8R' LOCALE 'C' TEMPLATE template0",
        quote(&database),
        setting("USER")
    );
    admin.batch_execute(&made).await.unwrap();
    let config = Config { database: database.clone(), ..config() };
    let counts = tokio::spawn(async move {
        let mut own = tokio_postgres::Config::new();
        own.host(setting("HOST"))
            .port(config.port)
            .user(setting("USER"))
            .password(setting("PASSWORD"))
            .dbname(&config.database);
        let (client, connection) = own.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
            .batch_execute("CREATE TABLE t (name text); INSERT INTO t VALUES ('а'), ('б'), ('д'), ('ц')")
            .await
            .unwrap();
        (
            found(config.clone(), "name < 'д'").await,
            found(config.clone(), "name BETWEEN 'б' AND 'е'").await,
            found(config, "name = 'ц'").await,
        )
    });
    let counts = counts.await;
    admin.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", quote(&database))).await.unwrap();
    assert_eq!(counts.unwrap(), (2, 2, 1));
}
