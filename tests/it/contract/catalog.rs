//! A connection's tables for the SQL engine.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Decimal128Array, Float64Array, Int32Array, StringArray},
    compute::cast,
    datatypes::DataType,
    record_batch::RecordBatch,
};
use datafusion::{datasource::MemTable, execution::context::SessionContext};
use proptest::{
    collection::vec,
    prelude::{Strategy, any},
    sample::{select, subsequence},
    test_runner::{Config, TestRunner},
};
use tokio::{runtime::Handle, task::block_in_place};
use vitrina::{
    connector::sink::{OnSchemaChange, SinkSpec},
    model::column::ColumnType,
};

use super::{
    Harness,
    writing::{open, stage, target_through, usual_mode, write},
};
use crate::support::{
    rows::{batch, flags, ints, people, sorted_text, text, texts},
    specs::{self, attempt, track, unit},
    sql,
};

/// A catalog that was taken before sees each commit when it is done, and nothing earlier.
pub(crate) async fn committed_rows_alone_are_seen(harness: &dyn Harness) {
    let (mode, through) = (usual_mode(harness), harness.open());
    let spec = specs::sink("seen", mode);
    let sink = open(harness, &spec).await;
    let rows = people(1..=5);
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(mode, 1, &rows), &attempt(), &rows).await.unwrap();
    assert_eq!(target_through(through.as_ref(), "seen").await, Some(vec![]));
    staged.commit().await.unwrap();
    assert_eq!(target_through(through.as_ref(), "seen").await, Some(sorted_text(&rows)));
}

/// Tables made later are found by a catalog that was taken before, with the columns that they have now.
pub(crate) async fn new_tables_are_found(harness: &dyn Harness) {
    let through = harness.open();
    let engine = sql::engine(through.catalog());
    let schema =
        through.catalog().schema(&through.default_schema()).expect("the default schema is always there");
    assert!(!schema.table_exist("later"));
    assert!(schema.table("later").await.unwrap().is_none());
    let spec =
        SinkSpec { on_schema_change: OnSchemaChange::Evolve, ..specs::sink("later", usual_mode(harness)) };
    write(harness, &spec, &track("mrf1"), 1, &people([1])).await;
    assert!(schema.table_exist("later") && schema.table_names().contains(&"later".to_owned()));
    assert!(!schema.table_exist("LATER"), "names keep their case");
    let wider = batch(vec![("id", ints([2])), ("name", texts([None])), ("more", ints([5]))]);
    write(harness, &spec, &track("mrf1"), 2, &wider).await;
    let query = format!("SELECT sum(more) AS id FROM {}", sql::quoted(through.as_ref(), "later"));
    assert_eq!(text(&sql::ask(&engine, &query).await), ["5"]);
}

/// Our own tables are in no catalog and no list.
pub(crate) async fn book_keeping_is_hidden(harness: &dyn Harness) {
    write(harness, &specs::sink("kept", usual_mode(harness)), &track("mrf1"), 1, &people([1])).await;
    let through = harness.open();
    let catalog = through.catalog();
    for name in catalog.schema_names() {
        assert!(!name.starts_with("_vitrina"), "{name}");
        for table in catalog.schema(&name).unwrap().table_names() {
            assert!(!table.starts_with('_'), "{name}.{table}");
        }
    }
    let tables = through.tables().await.unwrap();
    assert!(tables.iter().all(|table| !table.name.starts_with('_')), "{tables:?}");
}

/// Rows of many types, with NULLs and repeated values.
fn mixed() -> RecordBatch {
    let rows = 0..150_i64;
    let text_of = |row: i64| match row % 5 {
        0 => None,
        1 => Some("Ёлка"),
        2 => Some("it's 50% \"off\"_"),
        3 => Some(""),
        _ => Some("яблоко"),
    };
    let times: StringArray = rows
        .clone()
        .map(|row| {
            (row % 7 != 0).then(|| format!("2026-01-{:02}T10:00:{:02}.000123", row % 28 + 1, row % 60))
        })
        .collect();
    let times: ArrayRef = Arc::new(times);
    let at: ColumnType = "timestamp(us, UTC)".parse().unwrap();
    let amounts: Decimal128Array =
        rows.clone().map(|row| (row % 4 != 1).then_some(i128::from(row * 125 - 5_000))).collect();
    batch(vec![
        ("id", ints(rows.clone())),
        (
            "n",
            Arc::new(
                rows.clone().map(|row| (row % 6 != 2).then_some(row as i32 % 10 - 5)).collect::<Int32Array>(),
            ) as ArrayRef,
        ),
        (
            "x",
            Arc::new(
                rows.clone()
                    .map(|row| (row % 9 != 3).then_some(row as f64 / 8.0 - 5.0))
                    .collect::<Float64Array>(),
            ) as ArrayRef,
        ),
        ("Имя", texts(rows.clone().map(text_of))),
        (
            "day",
            cast(
                &cast(&times, &DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None)).unwrap(),
                &DataType::Date32,
            )
            .unwrap(),
        ),
        ("at", cast(&times, at.arrow()).unwrap()),
        ("amount", Arc::new(amounts.with_precision_and_scale(12, 2).unwrap()) as ArrayRef),
        ("flag", flags(rows.map(|row| row % 3 == 0))),
    ])
}

/// Simple conditions over [`mixed`].
fn condition() -> impl Strategy<Value = String> {
    let operators = || select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let literals: Vec<(&str, Vec<&str>)> = vec![
        ("id", vec!["0", "17", "149", "-1", "16.5"]),
        ("n", vec!["-5", "0", "4", "2147483648"]),
        ("x", vec!["-5.0", "0.125", "1e10", "3"]),
        ("\"Имя\"", vec!["'Ёлка'", "''", "'it''s 50% \"off\"_'", "'яблоко'", "'я'", "'x'' OR 1=1 --'"]),
        ("day", vec!["DATE '2026-01-15'", "DATE '1999-01-01'"]),
        ("at", vec!["TIMESTAMP '2026-01-15T10:00:14.000123Z'", "TIMESTAMP '2026-01-02T00:00:00Z'"]),
        ("amount", vec!["0", "-12.50", "137.50", "137.505"]),
        ("flag", vec!["true", "false"]),
    ];
    let comparison = (select(literals), operators(), any::<proptest::sample::Index>()).prop_map(
        |((column, values), operator, at)| format!("{column} {operator} {}", values[at.index(values.len())]),
    );
    let special = select(vec![
        "\"Имя\" LIKE 'Ё%'",
        "\"Имя\" LIKE '%50\\%%'",
        "\"Имя\" LIKE '%_o%'",
        "\"Имя\" NOT LIKE '%о'",
        "\"Имя\" ILIKE 'ёл%'",
        "\"Имя\" IN ('Ёлка', '')",
        "\"Имя\" NOT IN ('Ёлка', 'яблоко')",
        "n IN (1, 2, NULL)",
        "n NOT IN (1, NULL)",
        "n IS NULL",
        "amount IS NOT NULL",
        "x BETWEEN -1 AND 2.5",
        "flag",
        "NOT flag",
        "n + 1 > 3",
        "n % 2 = 0",
        "length(\"Имя\") = 6",
        "coalesce(n, 0) = 0",
        "n = id",
        "day = CAST(at AS DATE)",
        "n IS DISTINCT FROM 1",
        "CASE WHEN n > 0 THEN x ELSE 0 END > 1",
    ])
    .prop_map(str::to_owned);
    proptest::prop_oneof![3 => comparison, 2 => special]
}

/// The condition of a query, its columns, its limit.
fn query() -> impl Strategy<Value = (String, Vec<&'static str>, Option<usize>)> {
    let glue = select(vec!["AND", "OR", "AND NOT"]);
    let condition = vec((condition(), glue), 0..4).prop_map(|parts| {
        let start = "id IS NOT NULL".to_owned();
        parts.into_iter().fold(start, |all, (next, glue)| {
            let glue = if all == "id IS NOT NULL" { "AND" } else { glue };
            format!("({all}) {glue} ({next})")
        })
    });
    let columns = vec!["id", "n", "x", "\"Имя\"", "day", "at", "amount", "flag"];
    let limit = proptest::option::weighted(0.3, 0_usize..30);
    (condition, subsequence(columns, 1..=8), limit)
}

/// Whatever filters, columns and limits are pushed down, the answer is that of a full scan.
pub(crate) async fn answers_equal_a_full_scan(harness: &dyn Harness) {
    let rows = mixed();
    let spec = specs::sink("mixed", usual_mode(harness));
    write(harness, &spec, &track("mrf1"), 1, &rows).await;
    let through = harness.open();
    let (pushed, name) = (sql::engine(through.catalog()), sql::quoted(through.as_ref(), "mixed"));
    let scanned = sql::ask(&pushed, &format!("SELECT * FROM {name}")).await;
    assert_eq!(scanned.num_rows(), rows.num_rows());
    let plain = SessionContext::new();
    let table = MemTable::try_new(scanned.schema(), vec![vec![scanned]]).unwrap();
    plain.register_table("mixed", Arc::new(table)).unwrap();

    let config = Config { cases: 150, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let result = TestRunner::new(config).run(&query(), |(condition, columns, limit)| {
        let tail = format!("WHERE {condition}");
        let columns = columns.join(", ");
        block_in_place(|| {
            Handle::current().block_on(compare(&pushed, &plain, &name, &columns, &tail, limit));
        });
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

async fn compare(
    pushed: &SessionContext,
    plain: &SessionContext,
    name: &str,
    columns: &str,
    tail: &str,
    limit: Option<usize>,
) {
    let all = sorted_text(&sql::ask(plain, &format!("SELECT {columns} FROM mixed {tail}")).await);
    let count = sql::ask(pushed, &format!("SELECT count(*) FROM {name} {tail}")).await;
    assert_eq!(text(&count), [all.len().to_string()], "count(*) {tail}");
    let Some(limit) = limit else {
        let got = sql::ask(pushed, &format!("SELECT {columns} FROM {name} {tail}")).await;
        assert_eq!(sorted_text(&got), all, "{columns} {tail}");
        return;
    };
    let got = text(&sql::ask(pushed, &format!("SELECT {columns} FROM {name} {tail} LIMIT {limit}")).await);
    assert_eq!(got.len(), all.len().min(limit), "{columns} {tail} LIMIT {limit}");
    assert!(got.iter().all(|row| all.binary_search(row).is_ok()), "{columns} {tail} LIMIT {limit}");
}

/// A place tells what it is, and what tables it has.
pub(crate) async fn the_place_answers(harness: &dyn Harness) {
    let mode = usual_mode(harness);
    write(harness, &specs::sink("listed", mode), &track("mrf1"), 1, &people(1..=7)).await;
    let through = harness.open();
    let health = through.probe().await.unwrap();
    assert!(!health.version.is_empty() && health.rights.contains(&"read".to_owned()), "{health:?}");
    let tables = through.tables().await.unwrap();
    let listed = tables.iter().find(|table| table.name == "listed").expect("the table is in the list");
    assert_eq!(listed.schema, through.default_schema());
    assert!(listed.rows.is_none_or(|rows| rows == 7));
    let columns: Vec<(&str, &str)> =
        listed.columns.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    assert_eq!(columns, [("id", "int64"), ("name", "text")]);
}
