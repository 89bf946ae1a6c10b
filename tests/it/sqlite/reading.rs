//! Tables of others as sources: dynamic typing, cursors of every sort, pages, snapshots.

use vitrina::{
    connector::{
        error::ErrorKind,
        source::{CursorSpec, Overlap, Source, SourceSpec},
    },
    model::{
        column::{Contract, ContractColumn, Unlisted},
        value::Value,
    },
};

use super::{Place, WIDE, chunks};
use crate::support::{
    rows::{ids, int_column, joined, text},
    specs::{cursor, undeclared},
};

fn contract(columns: &[(&str, &str)]) -> Contract {
    let column = |(name, kind): &(&str, &str)| {
        ((*name).to_owned(), ContractColumn { kind: kind.parse().unwrap(), nullable: true })
    };
    Contract { columns: columns.iter().map(column).collect(), unlisted: Unlisted::Drop, null_values: vec![] }
}

fn by(column: &str) -> SourceSpec {
    SourceSpec { cursor: Some(cursor(column)), ..undeclared("t") }
}

/// All rows of one unit, and why the others are bad.
async fn everything(source: &dyn Source) -> (Vec<String>, Vec<String>) {
    let head = source.head().await.unwrap();
    let unit = source.plan(None, &head, WIDE).await.unwrap().unwrap();
    let chunks = chunks(source, &unit).await.unwrap();
    let bad = chunks.iter().flat_map(|chunk| &chunk.bad);
    let bad =
        bad.map(|bad| format!("{}: {}", bad.column.as_deref().unwrap_or_default(), bad.reason)).collect();
    (chunks.iter().flat_map(|chunk| text(&chunk.batch)).collect(), bad)
}

#[tokio::test]
async fn cells_of_another_type_are_bad_rows() {
    let place = Place::made(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, price REAL, day DATE, name TEXT);
         INSERT INTO t VALUES (1, 5, 1.5, '2026-01-31', 'Ёж'), (2, 'много', 1, NULL, NULL),
            (3, 1, 'дорого', NULL, NULL), (4, 1, 1e999, '31.01.2026', NULL),
            (5, 2.5, 1, NULL, NULL), (6, 1, 1, NULL, CAST(x'ff' AS TEXT)), (7, 1, -1e999, NULL, x'00');",
    );
    let (rows, bad) = everything(place.open().source(&by("id")).await.unwrap().as_ref()).await;
    assert_eq!(rows, ["1|5|1.5|2026-01-31|Ёж"]);
    assert_eq!(
        bad,
        [
            "n: text in an int64 column",
            "price: text in a float64 column",
            "day: text that is no date in a date column",
            "n: a real number in an int64 column",
            "name: text that is not UTF-8",
            "name: bytes in a text column",
        ]
    );
}

#[tokio::test]
async fn integers_are_times_only_where_a_contract_says_so() {
    let place = Place::made(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at TIMESTAMP); INSERT INTO t VALUES (1, 1769853600)",
    );
    let connection = place.open();
    let (_, bad) = everything(connection.source(&by("id")).await.unwrap().as_ref()).await;
    assert_eq!(bad, ["at: an integer in a timestamp column"]);
    let contract = contract(&[("id", "int64"), ("at", "timestamp(s, UTC)")]);
    let spec = SourceSpec { contract: Some(contract), ..by("at") };
    let source = connection.source(&spec).await.unwrap();
    assert_eq!(everything(source.as_ref()).await.0, ["1|2026-01-31T10:00:00Z"]);
    let head = source.head().await.unwrap();
    assert!(matches!(head.bound().unwrap().at[0], Value::Timestamp { ticks: 1_769_853_600, utc: true, .. }));
}

#[tokio::test]
async fn cursors_that_do_not_sort_are_refused() {
    let place = Place::made(
        "CREATE TABLE t (price TEXT, cents INTEGER, name TEXT COLLATE NOCASE, x REAL, at TEXT, mixed INTEGER);
         INSERT INTO t VALUES ('10.50', 3, 'a', 1, '2026-01-01T00:00:00Z', 1),
            ('9.00', 4, 'B', 2, '2026-01-01T00:00:00.5Z', 'много')",
    );
    let kinds = [("price", "decimal(12,2)"), ("cents", "decimal(12,0)"), ("at", "timestamp(us, UTC)")];
    let connection = place.open();
    let refusal = async |column: &str| {
        let spec = SourceSpec { contract: Some(contract(&kinds)), ..by(column) };
        let source = connection.source(&spec).await.unwrap();
        match source.head().await {
            Ok(head) => source.plan(None, &head, WIDE).await.err().map(|error| error.kind),
            Err(error) => Some(error.kind),
        }
    };
    assert_eq!(refusal("price").await, Some(ErrorKind::BadData), "text does not sort as numbers");
    assert_eq!(refusal("cents").await, None, "whole numbers do");
    assert_eq!(refusal("name").await, Some(ErrorKind::Unsupported), "NOCASE");
    assert_eq!(refusal("x").await, Some(ErrorKind::Unsupported), "floating point");
    assert_eq!(refusal("at").await, Some(ErrorKind::BadData), "times of unequal length");
    assert_eq!(refusal("mixed").await, Some(ErrorKind::BadData), "text above all numbers");
    for (one, another) in [
        ("2026-01-01T10:00:00+01:00", "2026-01-01T09:30:00+00:00"),
        ("2026-01-01T10:00:00Z", "2026-01-01 10:00:05Z"),
        ("2026-01-01T10:00:00.5Z", "2026-01-01T10:00:00.75"),
    ] {
        let place =
            Place::made(&format!("CREATE TABLE t (at TEXT); INSERT INTO t VALUES ('{one}'), ('{another}')"));
        let spec = SourceSpec { contract: Some(contract(&[("at", "timestamp(us, UTC)")])), ..by("at") };
        let source = place.open().source(&spec).await.unwrap();
        let head = source.head().await.unwrap();
        let refused = source.plan(None, &head, WIDE).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::BadData, "{one} {another}");
    }
}

#[tokio::test]
async fn row_ids_are_a_cursor() {
    let place = Place::made("CREATE TABLE t (name TEXT); INSERT INTO t VALUES ('а'), ('б')");
    let connection = place.open();
    let source = connection.source(&by("rowid")).await.unwrap();
    assert_eq!(everything(source.as_ref()).await.0, ["а", "б"]);
    place.other().execute("INSERT INTO t VALUES ('в')", []).unwrap();
    assert_eq!(everything(source.as_ref()).await.0, ["а", "б", "в"]);
}

#[tokio::test]
async fn many_pages_come_in_order() {
    let place = Place::made(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
         INSERT INTO t SELECT i * 3, 'строка ' || i FROM n;
         UPDATE t SET name = x'00' WHERE id % 30000 = 0",
    );
    for spec in [by("id"), undeclared("t")] {
        let source = place.open().source(&spec).await.unwrap();
        let head = source.head().await.unwrap();
        let unit = source.plan(None, &head, WIDE).await.unwrap().unwrap();
        assert_eq!(unit.rows, Some(100_000));
        // Whoever writes meanwhile changes nothing.
        place.other().execute("INSERT INTO t VALUES (1, 'рано'), (1000000, 'поздно')", []).unwrap();
        let chunks = chunks(source.as_ref(), &unit).await.unwrap();
        assert!(chunks.len() >= 6);
        place.other().execute("DELETE FROM t WHERE id IN (1, 1000000)", []).unwrap();
        let ordinals: Vec<u64> = chunks.iter().flat_map(|chunk| chunk.ordinals.values().to_vec()).collect();
        let bad: Vec<u64> = chunks.iter().flat_map(|chunk| &chunk.bad).map(|bad| bad.ordinal).collect();
        assert_eq!(bad.len(), 10);
        let rows: Vec<_> = chunks.iter().map(|chunk| chunk.batch.clone()).collect();
        let rows = int_column(&joined(&rows), "id");
        let late = usize::from(spec.cursor.is_some());
        assert_eq!(rows.len(), 99_990 + late, "a slice is a range of keys, a snapshot is a state");
        assert!(rows.is_sorted());
        let mut all = [ordinals, bad].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100_000 + late as u64).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn an_overlap_meets_rows_that_come_late_though_nothing_is_newer() {
    let place = Place::made(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT);
         INSERT INTO t VALUES (1, '2026-01-01 10:00:00'), (2, '2026-01-01 10:30:00')",
    );
    let overlap = Some(Overlap::Span("10m".parse().unwrap()));
    let cursor = CursorSpec { overlap, ..cursor("at") };
    let contract = contract(&[("id", "int64"), ("at", "timestamp(us)")]);
    let spec = SourceSpec { cursor: Some(cursor), contract: Some(contract), ..undeclared("t") };
    let source = place.open().source(&spec).await.unwrap();
    let at = source.head().await.unwrap();
    assert_eq!(source.plan(Some(&at), &at, WIDE).await.unwrap().map(|unit| unit.rows), None);
    place.other().execute("INSERT INTO t VALUES (3, '2026-01-01 10:25:00')", []).unwrap();
    let head = source.head().await.unwrap();
    let unit = source.plan(Some(&at), &head, WIDE).await.unwrap().expect("the late row");
    let read = chunks(source.as_ref(), &unit).await.unwrap();
    assert_eq!(ids(&read[0].batch), [3, 2]);
    let at = unit.after.position().unwrap();
    assert!(source.plan(Some(at), &head, WIDE).await.unwrap().is_none());
}

#[tokio::test]
async fn ten_megabytes_in_a_cell() {
    let place = Place::made(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB);
         INSERT INTO t VALUES (1, randomblob(10000000)), (2, NULL), (3, randomblob(10000000))",
    );
    let source = place.open().source(&by("id")).await.unwrap();
    let head = source.head().await.unwrap();
    let unit = source.plan(None, &head, WIDE).await.unwrap().unwrap();
    let chunks = chunks(source.as_ref(), &unit).await.unwrap();
    assert!(chunks.len() > 1, "a page ends by its bytes too");
    let rows: Vec<_> = chunks.iter().map(|chunk| chunk.batch.clone()).collect();
    assert_eq!(ids(&joined(&rows)), [1, 2, 3]);
}

#[tokio::test]
async fn a_renamed_column_ends_a_slice() {
    let place =
        Place::made("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'а')");
    let source = place.open().source(&by("id")).await.unwrap();
    let head = source.head().await.unwrap();
    let unit = source.plan(None, &head, WIDE).await.unwrap().unwrap();
    place.other().execute("ALTER TABLE t RENAME COLUMN name TO title", []).unwrap();
    assert_eq!(source.read(&unit).await.err().unwrap().kind, ErrorKind::SchemaChanged);
    place.other().execute("DROP TABLE t", []).unwrap();
    assert_eq!(source.read(&unit).await.err().unwrap().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn rows_that_change_or_go_are_no_alarm() {
    let place = Place::made(
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
         INSERT INTO t SELECT i, 'нов' FROM n",
    );
    let source = place.open().source(&by("id")).await.unwrap();
    let at = source.head().await.unwrap();
    place
        .other()
        .execute_batch("UPDATE t SET state = 'готов' WHERE id > 44; DELETE FROM t WHERE id = 50")
        .unwrap();
    let head = source.head().await.unwrap();
    assert!(source.plan(Some(&at), &head, WIDE).await.unwrap().is_none());
    place.other().execute("INSERT INTO t (state) VALUES ('ещё')", []).unwrap();
    let head = source.head().await.unwrap();
    let unit = source.plan(Some(&at), &head, WIDE).await.unwrap().unwrap();
    assert_eq!(ids(&chunks(source.as_ref(), &unit).await.unwrap()[0].batch), [51]);
}
