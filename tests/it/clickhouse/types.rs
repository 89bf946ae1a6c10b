//! Types cell by cell, in tables of others.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, Time64MicrosecondArray, TimestampMicrosecondArray};
use vitrina::{
    connector::{
        error::{Error, ErrorKind},
        executor::Statement,
        sink::{Claim, Rows, SinkSpec, Staging},
        source::SourceSpec,
    },
    model::{column::ColumnType, delivery::Mode},
};

use super::{read_all, whole};
use crate::{
    contract::{
        reading::kind,
        writing::{stage, stage_claimed},
    },
    support::{
        clickhouse::Place,
        rows::{batch, cast_to, ints, text, texts},
        specs::{self, attempt, track, unit},
    },
};

/// Declared type, value, the type that it is read as, what is read.
const CELLS: &[(&str, &str, &str, &str)] = &[
    ("Bool", "true", "bool", "true"),
    ("Int8", "-128", "int8", "-128"),
    ("Int16", "-32768", "int16", "-32768"),
    ("Int32", "-2147483648", "int32", "-2147483648"),
    ("Int64", "-9223372036854775808", "int64", "-9223372036854775808"),
    ("UInt8", "255", "uint8", "255"),
    ("UInt16", "65535", "uint16", "65535"),
    ("UInt32", "4294967295", "uint32", "4294967295"),
    ("UInt64", "18446744073709551615", "uint64", "18446744073709551615"),
    (
        "Int128",
        "'-170141183460469231731687303715884105728'",
        "text",
        "-170141183460469231731687303715884105728",
    ),
    (
        "UInt128",
        "'340282366920938463463374607431768211455'",
        "text",
        "340282366920938463463374607431768211455",
    ),
    (
        "Int256",
        "'-57896044618658097711785492504343953926634992332820282019728792003956564819968'",
        "text",
        "-57896044618658097711785492504343953926634992332820282019728792003956564819968",
    ),
    (
        "UInt256",
        "'115792089237316195423570985008687907853269984665640564039457584007913129639935'",
        "text",
        "115792089237316195423570985008687907853269984665640564039457584007913129639935",
    ),
    ("Float32", "0.1", "float32", "0.1"),
    ("Float64", "0.30000000000000004", "float64", "0.30000000000000004"),
    ("BFloat16", "1.5", "float32", "1.5"),
    ("Decimal(5, 2)", "-1.05", "decimal(5,2)", "-1.05"),
    ("Decimal(18, 4)", "'-12345678901234.5678'", "decimal(18,4)", "-12345678901234.5678"),
    ("Decimal(38, 4)", "'0.0001'", "decimal(38,4)", "0.0001"),
    (
        "Decimal(76, 20)",
        "'12345678901234567890123456789012345678901234.5'",
        "decimal(76,20)",
        "12345678901234567890123456789012345678901234.50000000000000000000",
    ),
    ("String", "'Ёж 🦔'", "text", "Ёж 🦔"),
    ("LowCardinality(String)", "'город'", "text", "город"),
    ("LowCardinality(Nullable(String))", "'город'", "text", "город"),
    ("FixedString(3)", "'ab'", "bytes", "616200"),
    ("Date", "'2026-01-31'", "date", "2026-01-31"),
    ("Date32", "'1900-01-01'", "date", "1900-01-01"),
    ("DateTime('Europe/Moscow')", "'2026-01-31 13:00:00'", "timestamp(s, UTC)", "2026-01-31T10:00:00Z"),
    ("DateTime", "toDateTime(1769853600)", "timestamp(s, UTC)", "2026-01-31T10:00:00Z"),
    ("DateTime64(0, 'UTC')", "'2026-01-31 10:00:00'", "timestamp(s, UTC)", "2026-01-31T10:00:00Z"),
    (
        "DateTime64(3, 'Asia/Omsk')",
        "'2026-01-31 16:00:00.001'",
        "timestamp(ms, UTC)",
        "2026-01-31T10:00:00.001Z",
    ),
    (
        "DateTime64(4, 'UTC')",
        "'2026-01-31 10:00:00.0001'",
        "timestamp(us, UTC)",
        "2026-01-31T10:00:00.000100Z",
    ),
    (
        "DateTime64(9, 'UTC')",
        "'2026-01-31 10:00:00.123456789'",
        "timestamp(ns, UTC)",
        "2026-01-31T10:00:00.123456789Z",
    ),
    ("Time64(6)", "'23:59:59.999999'", "time", "23:59:59.999999"),
    ("Time64(3)", "'00:00:00.001'", "time", "00:00:00.001"),
    ("Time", "'23:59:59'", "time", "23:59:59"),
    ("Time64(9)", "'-25:00:00.123456789'", "text", "-25:00:00.123456789"),
    ("Enum16('да' = 1000, 'нет' = -1000)", "'да'", "text", "да"),
    ("Enum8('да' = 1, 'нет' = 2)", "'нет'", "text", "нет"),
    ("UUID", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "text", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("IPv4", "'10.0.0.1'", "text", "10.0.0.1"),
    ("IPv6", "'::1'", "text", "::1"),
    ("Array(Nullable(Int32))", "[1, NULL, 3]", "text", "[1,null,3]"),
    ("Map(String, UInt64)", "{'a': 18446744073709551615}", "text", "{\"a\":18446744073709551615}"),
    ("Tuple(x Int8, y String)", "(1, 'б')", "text", "{\"x\":1,\"y\":\"б\"}"),
    ("JSON", "'{\"a\": [1, 2]}'", "text", "{\"a\":[1,2]}"),
    ("Variant(Int64, String)", "5", "text", "5"),
    ("Dynamic", "'x'", "text", "x"),
    ("Point", "(1, 2.5)", "text", "[1,2.5]"),
    ("Ring", "[(1, 2.5), (3, 4)]", "text", "[[1,2.5],[3,4]]"),
    ("LineString", "[(1, 2.5)]", "text", "[[1,2.5]]"),
    ("Polygon", "[[(1, 2.5)]]", "text", "[[[1,2.5]]]"),
    ("LowCardinality(Nullable(String))", "NULL", "text", "∅"),
    ("SimpleAggregateFunction(max, Int64)", "7", "int64", "7"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_is_read_cell_by_cell() {
    let place = Place::new();
    for (at, (declared, value, type_, expected)) in CELLS.iter().enumerate() {
        let table = format!("t{at}");
        let name = place.table(&table);
        place.run(&format!("CREATE TABLE {name} (id Int64, c {declared}) ENGINE = MergeTree ORDER BY id"));
        place.run(&format!("INSERT INTO {name} VALUES (1, {value})"));
        let held = read_all(place.open().as_ref(), &whole(&table))
            .await
            .unwrap_or_else(|error| panic!("{declared}: {error}"));
        let schema = held[0].batch.schema();
        let kind = ColumnType::of(schema.field(1).data_type()).to_string();
        assert_eq!(
            (kind.as_str(), text(&held[0].batch)[0].as_str()),
            (*type_, format!("1|{expected}").as_str()),
            "{declared}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_is_null_in_every_type() {
    let place = Place::new();
    let can = |declared: &&str| {
        const CANNOT: [&str; 12] = [
            "Array",
            "Map",
            "Tuple",
            "Point",
            "Ring",
            "LineString",
            "Polygon",
            "JSON",
            "Variant",
            "Dynamic",
            "LowCardinality",
            "Simple",
        ];
        !CANNOT.iter().any(|kind| declared.starts_with(kind))
    };
    let columns: Vec<String> = CELLS
        .iter()
        .map(|cell| cell.0)
        .filter(can)
        .enumerate()
        .map(|(at, kind)| format!("c{at} Nullable({kind})"))
        .collect();
    let name = place.table("nulls");
    place.run(&format!(
        "CREATE TABLE {name} (id Int64, {}) ENGINE = MergeTree ORDER BY id",
        columns.join(", ")
    ));
    place.run(&format!("INSERT INTO {name} (id) VALUES (1)"));
    let held = read_all(place.open().as_ref(), &whole("nulls")).await.unwrap();
    let nulls = held[0].batch.columns()[1..].iter().all(|column| column.null_count() == 1);
    assert!(nulls, "{:?}", text(&held[0].batch));
}

/// A state of an aggregate is no value: its column is left out, and named it is not found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_of_aggregates_are_no_columns() {
    let place = Place::new();
    let name = place.table("states");
    place.run(&format!("CREATE TABLE {name} (id Int64, u AggregateFunction(uniq, Int64)) ENGINE = AggregatingMergeTree ORDER BY id"));
    place.run(&format!("INSERT INTO {name} SELECT 1, uniqState(toInt64(5))"));
    let held = read_all(place.open().as_ref(), &whole("states")).await.unwrap();
    assert_eq!(text(&held[0].batch), ["1"]);
}

/// Rows that are replaced when parts are merged are read as if all were merged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_tables_are_read_merged() {
    let place = Place::new();
    let name = place.table("last");
    place.run(&format!("CREATE TABLE {name} (id Int64, v Int64) ENGINE = ReplacingMergeTree(v) ORDER BY id"));
    place.run(&format!("SYSTEM STOP MERGES {name}"));
    for version in 1..=3 {
        place.run(&format!("INSERT INTO {name} VALUES (1, {version}), (2, {version})"));
    }
    let held = read_all(place.open().as_ref(), &whole("last")).await.unwrap();
    let mut rows = text(&held[0].batch);
    rows.sort();
    assert_eq!(rows, ["1|3", "2|3"]);
}

/// A text that is not UTF-8 makes its row a bad one; a contract of bytes reads it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_is_none_is_a_bad_row() {
    let place = Place::new();
    let name = place.table("broken");
    place.run(&format!("CREATE TABLE {name} (id Int64, name String) ENGINE = MergeTree ORDER BY id"));
    place.run(&format!(
        "INSERT INTO {name} SELECT number, if(number = 2, unhex('D0FF'), 'я') FROM numbers(1, 3)"
    ));
    let held = read_all(place.open().as_ref(), &whole("broken")).await.unwrap();
    assert_eq!(text(&held[0].batch), ["1|я", "3|я"]);
    let bad = &held[0].bad[0];
    assert_eq!((bad.ordinal, bad.column.as_deref(), bad.row["id"].as_i64()), (1, Some("name"), Some(2)));
    assert_eq!(bad.reason, "a text that is not UTF-8");
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![b"".as_slice()]));
    let like = batch(vec![("id", ints([1])), ("name", bytes)]);
    let spec = SourceSpec { whole: true, ..specs::source("broken", &like) };
    let held = read_all(place.open().as_ref(), &spec).await.unwrap();
    assert_eq!(
        (text(&held[0].batch), held[0].bad.len()),
        (["1|d18f", "2|d0ff", "3|d18f"].map(str::to_owned).to_vec(), 0)
    );
    let schema = place.open().catalog().schema(&place.config.database).unwrap();
    let provider = schema.table("broken").await.unwrap().unwrap();
    let engine = datafusion::execution::context::SessionContext::new();
    engine.register_table("t", provider).unwrap();
    let failed = engine.sql("SELECT name FROM t").await.unwrap().collect().await.unwrap_err();
    assert!(failed.to_string().contains("not UTF-8 in column \"name\""), "{failed}");
}

/// A time of a day is one; hours beyond it make a row bad, which is kept as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_that_is_none_of_a_day_is_a_bad_row() {
    let place = Place::new();
    for declared in ["Time", "Time64(6)"] {
        place.inside(&format!(
            "CREATE OR REPLACE TABLE times (id Int64, t {declared}) ENGINE = MergeTree ORDER BY id"
        ));
        place.inside(
            "INSERT INTO times VALUES (1, '23:59:59'), (2, '24:00:00'), (3, '-00:00:01'), (4, '999:59:59')",
        );
        let held = read_all(place.open().as_ref(), &whole("times")).await.unwrap();
        assert_eq!(text(&held[0].batch), ["1|23:59:59"], "{declared}");
        let bad: Vec<_> =
            held[0].bad.iter().map(|bad| (bad.row["t"].as_str(), bad.reason.as_str())).collect();
        let told = |text| (Some(text), "a time that is none of a day");
        assert_eq!(
            bad,
            [told("24:00:00.000000"), told("-00:00:01.000000"), told("999:59:59.000000")],
            "{declared}"
        );
    }
}

/// Texts go into columns of others that the server reads them as; one that it does not read stops the slice, and the message has no cell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_go_into_types_of_others() {
    let place = Place::new();
    let columns = [
        ("e", "Enum8('да' = 1, 'нет' = 2)", "нет"),
        ("u", "UUID", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("v4", "IPv4", "10.0.0.1"),
        ("v6", "IPv6", "2001:db8::1"),
        ("low", "LowCardinality(String)", "город"),
    ];
    for (name, declared, value) in columns {
        place.inside(&format!(
            "CREATE TABLE t_{name} (id Int64, c {declared}) ENGINE = MergeTree ORDER BY id"
        ));
        let table = format!("t_{name}");
        let rows = |cell: &str| batch(vec![("id", ints([1])), ("c", texts([Some(cell)]))]);
        let sink = place.open().sink(&specs::sink(&table, Mode::Append)).await.unwrap();
        let claim = sink.claim(&track("mrf1"), &rows(value).schema()).await.unwrap();
        let unit = |cell: &str| unit(Mode::Append, 1, &rows(cell));
        let good = cast_to(&rows(value), &claim.schema);
        let staged = stage(sink.as_ref(), &track("mrf1"), &unit(value), &attempt(), &good).await.unwrap();
        staged.commit().await.unwrap();
        let held = read_all(place.open().as_ref(), &whole(&table)).await.unwrap();
        assert_eq!(text(&held[0].batch), [format!("1|{value}")], "{declared}");
        if name == "low" {
            continue;
        }
        let wrong = cast_to(&rows("a-secret"), &claim.schema);
        let error = stage(sink.as_ref(), &track("mrf1"), &unit("a-secret"), &attempt(), &wrong).await;
        let error = error.map(|_| ()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadData, "{declared}: {error}");
        assert!(!error.to_string().contains("a-secret"), "{declared}: {error}");
    }
}

/// Columns of types that rows cannot be spelled in are no targets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_that_are_only_read_are_no_targets() {
    let place = Place::new();
    let only_read = [
        "Int128",
        "UInt256",
        "Array(Int64)",
        "Map(String, String)",
        "Tuple(Int64, String)",
        "Point",
        "JSON",
        "Variant(Int64, String)",
        "Dynamic",
        "BFloat16",
        "Decimal(76, 20)",
        "DateTime64(9, 'UTC')",
        "Time",
        "Time64(9)",
    ];
    for (at, declared) in only_read.iter().enumerate() {
        let table = format!("t{at}");
        place
            .inside(&format!("CREATE TABLE {table} (id Int64, c {declared}) ENGINE = MergeTree ORDER BY id"));
        let rows = batch(vec![("id", ints([1])), ("c", texts([Some("1")]))]);
        let sink = place.open().sink(&specs::sink(&table, Mode::Append)).await.unwrap();
        let error = sink.claim(&track("mrf1"), &rows.schema()).await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::SchemaChanged, "{declared}: {error}");
        assert!(error.to_string().contains("column \"c\""), "{declared}: {error}");
    }
}

/// Types that the server would change a value for without a word, by digits that it cuts off or bytes that it fills up, are no targets for what they are read as.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_that_would_change_a_value_are_no_targets() {
    let place = Place::new();
    let instants =
        || Arc::new(TimestampMicrosecondArray::from(vec![123_456]).with_timezone("UTC")) as ArrayRef;
    let times = || Arc::new(Time64MicrosecondArray::from(vec![123_456])) as ArrayRef;
    let bytes = || Arc::new(BinaryArray::from(vec![b"ab".as_slice()])) as ArrayRef;
    let cases = [
        ("DateTime64(4, 'UTC')", instants(), false),
        ("DateTime64(5)", instants(), false),
        ("DateTime64(6, 'Asia/Omsk')", instants(), true),
        ("Time64(3)", times(), false),
        ("Time64(6)", times(), true),
        ("FixedString(3)", bytes(), false),
    ];
    for (at, (declared, cells, is_taken)) in cases.into_iter().enumerate() {
        let table = format!("c{at}");
        place
            .inside(&format!("CREATE TABLE {table} (id Int64, c {declared}) ENGINE = MergeTree ORDER BY id"));
        let rows = batch(vec![("id", ints([1])), ("c", cells)]);
        let sink = place.open().sink(&specs::sink(&table, Mode::Append)).await.unwrap();
        match sink.claim(&track("mrf1"), &rows.schema()).await {
            Ok(claim) => {
                assert!(is_taken, "{declared}");
                let rows = cast_to(&rows, &claim.schema);
                let unit = unit(Mode::Append, 1, &rows);
                let staged = stage(sink.as_ref(), &track("mrf1"), &unit, &attempt(), &rows).await.unwrap();
                staged.commit().await.unwrap();
                let held = read_all(place.open().as_ref(), &whole(&table)).await.unwrap();
                assert_eq!(text(&held[0].batch), text(&rows), "{declared}");
            }
            Err(error) => {
                assert!(!is_taken && error.kind == ErrorKind::SchemaChanged, "{declared}: {error}");
            }
        }
    }
}

/// A NULL for a column that takes none is a bad row to the pipeline, and refused where it is sent all the same: it never becomes the type's default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_for_a_column_that_takes_none_is_refused() {
    let place = Place::new();
    place.run(&format!(
        "CREATE TABLE {} (id Int64, name String) ENGINE = MergeTree ORDER BY id",
        place.table("strict")
    ));
    let rows = batch(vec![("id", ints([1])), ("name", texts([None]))]);
    let sink = place.open().sink(&specs::sink("strict", Mode::Append)).await.unwrap();
    let claim = sink.claim(&track("mrf1"), &rows.schema()).await.unwrap();
    assert!(!claim.schema.field_with_name("name").unwrap().is_nullable(), "so that such rows are bad ones");
    // As if nobody had looked.
    let blind = Claim { schema: rows.schema(), ..claim.clone() };
    let unit = unit(Mode::Append, 1, &rows);
    let told = |error: Error| {
        assert_eq!(error.kind, ErrorKind::BadData, "{error}");
        assert!(error.to_string().contains("table \"strict\""), "{error}");
        assert!(error.to_string().contains("has a column that does not take a value"), "{error}");
    };
    let staged = stage_claimed(sink.as_ref(), &track("mrf1"), &blind, &unit, &attempt(), &rows).await;
    told(staged.map(|_| ()).expect_err("as a stream"));
    let sql = "SELECT toInt64(1) AS id, CAST(NULL, 'Nullable(String)') AS name".to_owned();
    let (track, attempt) = (track("mrf1"), attempt());
    let staging = Staging { track: &track, claim: &claim, unit: &unit, attempt: &attempt };
    let staged = sink.stage(staging, Rows::Sql(Statement { sql, values: vec![] })).await;
    told(staged.map(|_| ()).expect_err("by a query"));
}

/// NULL is equal to nothing: a merge could never take such a row's place. Tables that we make have keys without it; in one of others it is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_null_in_a_key_is_refused() {
    let place = Place::new();
    let name = place.table("keyed");
    place.run(&format!(
        "CREATE TABLE {name} (id Nullable(Int64), part String, name Nullable(String)) ENGINE = MergeTree ORDER BY part"
    ));
    let key = vec!["part".to_owned(), "id".to_owned()];
    let spec = SinkSpec { key, ..specs::sink("keyed", Mode::Merge) };
    let sink = place.open().sink(&spec).await.unwrap();
    let write = async |at: i64, ids: Vec<Option<i64>>| {
        let parts = texts(ids.iter().map(|_| Some("а")));
        let names = texts(ids.iter().map(|_| Some("б")));
        let ids: ArrayRef = Arc::new(Int64Array::from(ids));
        let rows = batch(vec![("id", ids), ("part", parts), ("name", names)]);
        let unit = unit(Mode::Merge, at, &rows);
        let staged = stage(sink.as_ref(), &track("mrf1"), &unit, &attempt(), &rows).await?;
        staged.commit().await.map(|_| ())
    };
    write(1, vec![Some(1), Some(2)]).await.unwrap();
    let error = write(2, vec![Some(2), None, Some(3)]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadData, "{error}");
    assert!(error.to_string().contains("NULL in its key"), "{error}");
    assert_eq!(place.run(&format!("SELECT count() FROM {name}")).trim(), "2");
    write(2, vec![Some(2), Some(3)]).await.unwrap();
    assert_eq!(place.run(&format!("SELECT count() FROM {name}")).trim(), "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursors_that_order_nothing_are_refused() {
    let place = Place::new();
    place.run(&format!(
        "CREATE TABLE {} (id Float64, u UUID) ENGINE = MergeTree ORDER BY u",
        place.table("odd")
    ));
    for column in ["id", "u"] {
        let spec = SourceSpec { cursor: Some(specs::cursor(column)), ..specs::undeclared("odd") };
        assert_eq!(kind(read_all(place.open().as_ref(), &spec).await), ErrorKind::Unsupported, "{column}");
    }
}
