//! What is in a unit: order, types, bad rows, names.

use std::{ops::RangeInclusive, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, StringArray},
    compute::cast,
    datatypes::DataType,
    record_batch::RecordBatch,
};
use futures::StreamExt;
use vitrina::{
    connector::{error::ErrorKind, source::SourceSpec},
    model::column::{ColumnType, ContractColumn, Unlisted},
};

use super::{
    Harness, Reading,
    reading::{
        WIDE, cursor_of, ids_after, kind, most, open, open_spec, plan_all, ranges, read, read_all,
        try_everything,
    },
};
use crate::support::{
    rows::{batch, ids, ints, people, sorted_text, text, texts},
    specs,
};

/// Rows by rising position, whatever order they were added in; `reading::read` counts the ordinals.
pub(crate) async fn rows_come_in_order_and_counted(harness: &dyn Harness) {
    for reading in ranges(harness) {
        let table = format!("order_{reading:?}");
        let all = people(1..=3_000);
        let (early, late) = (all.slice(0, 1_500), all.slice(1_500, 1_500));
        let parts = if reading == Reading::Cursor { [late, early] } else { [early, late] };
        for part in &parts {
            harness.insert(reading, &table, part).await;
        }
        let source = open(harness, reading, &table, &people([])).await;
        let head = source.head().await.unwrap();
        let units = plan_all(source.as_ref(), None, &head, most(2_500)).await;
        let held = read_all(source.as_ref(), &units).await;
        let got: Vec<String> = held.iter().flat_map(|held| text(&held.batch)).collect();
        assert_eq!(got, text(&all), "{reading:?}");
    }
}

/// Every kind of cursor cuts and continues without losing a digit of it.
pub(crate) async fn cursors_keep_every_digit(harness: &dyn Harness) {
    for name in harness.abilities().cursors {
        let type_: ColumnType = name.parse().unwrap();
        let at = rising(type_.arrow(), &harness.abilities().years);
        let count = at.len() as i64;
        let all = batch(vec![("id", ints(0..count)), ("at", at)]);
        let table = format!("by_{}", name.replace(|c: char| !c.is_alphanumeric(), "_"));
        harness.insert(Reading::Cursor, &table, &all).await;
        let spec = SourceSpec { cursor: Some(specs::cursor("at")), ..specs::source(&table, &all) };
        let source = open_spec(harness, Reading::Cursor, spec.clone()).await;
        let head = source.head().await.unwrap();
        let units = plan_all(source.as_ref(), None, &head, most(1)).await;
        let held = read_all(source.as_ref(), &units).await;
        let got: Vec<String> = held.iter().flat_map(|held| text(&held.batch)).collect();
        assert_eq!(got, text(&all), "cursor of {name}");
        assert_eq!(units.len(), all.num_rows(), "cursor of {name}: a row a slice");
    }
}

/// Five rising values of a type, the near ones as close as the type can tell apart.
fn rising(kind: &DataType, years: &RangeInclusive<i32>) -> ArrayRef {
    let (first, last) = (format!("{:04}-01-01", years.start()), format!("{:04}-12-31", years.end()));
    let values: [&str; 5] = match kind {
        DataType::Int8 => ["-128", "-1", "0", "1", "127"],
        DataType::Utf8 => ["", "Б", "Ба", "а'\"", "яя"],
        DataType::Date32 => [&first, "1969-12-31", "1970-01-01", "2026-01-31", &last],
        DataType::Timestamp(_, _) => [
            "1900-01-01T00:00:00",
            "1969-12-31T23:59:59.999",
            "2026-01-31T10:00:00",
            "2026-01-31T10:00:00.001",
            "2026-01-31T10:00:00.002",
        ],
        DataType::Decimal128(_, _) => {
            ["-99999999999999.9999", "-0.0001", "0.0000", "0.0001", "99999999999999.9999"]
        }
        DataType::Int32 => ["-2147483648", "-1", "0", "1", "2147483647"],
        DataType::UInt64 => ["0", "1", "9007199254740993", "9007199254740994", "9223372036854775807"],
        _ => [
            "-9223372036854775808",
            "9007199254740992",
            "9007199254740993",
            "9007199254740994",
            "9223372036854775807",
        ],
    };
    cast(&StringArray::from(values.to_vec()), kind).unwrap()
}

/// A row whose cursor is NULL would never come: it is an error, not a row left out.
pub(crate) async fn null_in_a_cursor_is_bad_data(harness: &dyn Harness) {
    if !harness.abilities().readings.contains(&Reading::Cursor) {
        return;
    }
    let steps: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![Some(1), None, Some(3)]));
    let rows = batch(vec![("id", ints([1, 2, 3])), ("step", steps)]);
    harness.insert(Reading::Cursor, "holes", &rows).await;
    let spec = SourceSpec { cursor: Some(specs::cursor("step")), ..specs::source("holes", &rows) };
    assert_eq!(kind(try_everything(harness, Reading::Cursor, &spec).await), ErrorKind::BadData);
}

/// The specification of a table `id, n, note` whose texts `n` are to be whole numbers.
fn counted(reading: Reading, table: &str) -> SourceSpec {
    let mut spec = SourceSpec { cursor: cursor_of(reading), ..specs::source(table, &people([])) };
    let contract = spec.contract.as_mut().unwrap();
    contract.columns.shift_remove("name");
    let kind = "int64".parse().unwrap();
    contract.columns.insert("n".to_owned(), ContractColumn { kind, nullable: false });
    spec
}

fn counted_rows() -> RecordBatch {
    let numbers = [Some("10"), Some("двадцать"), None, Some("-40"), Some("5.5"), Some("NA"), Some("70")];
    let notes = numbers.map(|_| Some("пометка"));
    batch(vec![("id", ints(1..=7)), ("n", texts(numbers)), ("note", texts(notes))])
}

/// A cell that its contract's type cannot hold, or a NULL where none may be, makes its row a bad one, kept as it was.
pub(crate) async fn bad_rows_are_named_and_kept(harness: &dyn Harness) {
    for reading in harness.abilities().readings {
        let table = format!("bad_{reading:?}");
        harness.insert(reading, &table, &counted_rows()).await;
        let held = try_everything(harness, reading, &counted(reading, &table)).await.unwrap();
        let good: Vec<String> = held.iter().flat_map(|held| sorted_text(&held.batch)).collect();
        assert_eq!(good, ["1|10", "4|-40", "7|70"], "{reading:?}");
        let mut bad: Vec<_> = held.into_iter().flat_map(|held| held.bad).collect();
        bad.sort_by_key(|bad| bad.row["id"].as_i64());
        let ids: Vec<Option<i64>> = bad.iter().map(|bad| bad.row["id"].as_i64()).collect();
        assert_eq!(ids, [Some(2), Some(3), Some(5), Some(6)]);
        assert_eq!(bad[0].row["n"], serde_json::json!("двадцать"));
        assert_eq!(bad[1].row["n"], serde_json::Value::Null);
        for bad in &bad {
            assert_eq!(bad.column.as_deref(), Some("n"));
            assert_eq!(bad.row["note"], serde_json::json!("пометка"), "the source's row, whole");
            assert!(!bad.reason.contains("двадцать") && !bad.reason.is_empty(), "{}", bad.reason);
        }
    }
}

/// Texts that the contract names stand for NULL.
pub(crate) async fn null_values_are_null(harness: &dyn Harness) {
    for reading in harness.abilities().readings {
        let table = format!("nulls_{reading:?}");
        harness.insert(reading, &table, &counted_rows().slice(5, 2)).await;
        let mut spec = counted(reading, &table);
        let contract = spec.contract.as_mut().unwrap();
        contract.null_values = vec!["NA".to_owned()];
        contract.columns.get_mut("n").unwrap().nullable = true;
        let held = try_everything(harness, reading, &spec).await.unwrap();
        let got: Vec<String> = held.iter().flat_map(|held| sorted_text(&held.batch)).collect();
        assert_eq!(got, ["6|∅", "7|70"], "{reading:?}");
    }
}

/// Columns that the contract does not name are dropped, kept, or make every row bad.
pub(crate) async fn unlisted_columns(harness: &dyn Harness) {
    for reading in harness.abilities().readings {
        let table = format!("more_{reading:?}");
        harness.insert(reading, &table, &counted_rows().slice(0, 1)).await;
        let with = |unlisted| {
            let mut spec = counted(reading, &table);
            spec.contract.as_mut().unwrap().unlisted = unlisted;
            spec
        };
        let dropped = try_everything(harness, reading, &with(Unlisted::Drop)).await.unwrap();
        assert_eq!(text(&dropped[0].batch), ["1|10"]);
        let kept = try_everything(harness, reading, &with(Unlisted::Keep)).await.unwrap();
        let names: Vec<String> =
            kept[0].batch.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(&names[..2], ["id", "n"], "the contract's columns first");
        let at = kept[0].batch.schema().index_of("note").expect("kept");
        assert_eq!(text(&kept[0].batch.project(&[0, at]).unwrap()), ["1|пометка"]);
        let bad = try_everything(harness, reading, &with(Unlisted::Bad)).await.unwrap();
        assert_eq!((bad[0].batch.num_rows(), bad[0].bad.len()), (0, 1));
    }
}

/// Without a contract, columns have the types that the place declares.
pub(crate) async fn without_a_contract_the_declared_types_hold(harness: &dyn Harness) {
    for reading in harness.abilities().readings {
        let table = format!("plain_{reading:?}");
        harness.insert(reading, &table, &people(1..=3)).await;
        let spec = SourceSpec { cursor: cursor_of(reading), ..specs::undeclared(&table) };
        let held = try_everything(harness, reading, &spec).await.unwrap();
        let schema = held[0].batch.schema();
        let columns = [schema.index_of("id").unwrap(), schema.index_of("name").unwrap()];
        let got = held[0].batch.project(&columns).unwrap();
        assert_eq!(sorted_text(&got), sorted_text(&people(1..=3)));
        let kind = |name| ColumnType::of(schema.field_with_name(name).unwrap().data_type()).to_string();
        assert_eq!((kind("id"), kind("name")), ("int64".to_owned(), "text".to_owned()));
    }
}

/// A time without zone, taken for an instant by the contract, is in the project's zone.
pub(crate) async fn wall_clock_times_are_in_the_projects_zone(harness: &dyn Harness) {
    for reading in harness.abilities().readings {
        let table = format!("clock_{reading:?}");
        let at = StringArray::from(vec![Some("2026-01-31T10:00:00"), None]);
        let at = cast(&at, &DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None)).unwrap();
        let rows = batch(vec![("id", ints([1, 2])), ("at", at)]);
        harness.insert(reading, &table, &rows).await;
        let mut spec = SourceSpec { cursor: cursor_of(reading), ..specs::source(&table, &rows) };
        spec.contract.as_mut().unwrap().columns.get_mut("at").unwrap().kind =
            "timestamp(us, UTC)".parse().unwrap();
        let held = try_everything(harness, reading, &spec).await.unwrap();
        let got: Vec<String> = held.iter().flat_map(|held| sorted_text(&held.batch)).collect();
        assert_eq!(got, ["1|2026-01-31T07:00:00Z", "2|∅"], "{reading:?}: Moscow is three hours ahead");
    }
}

/// Tables and columns of any name.
pub(crate) async fn any_name_is_read(harness: &dyn Harness) {
    let table = if harness.abilities().any_name { "Заказы \"v1.2\" o'clock" } else { "Orders_v1" };
    for reading in harness.abilities().readings {
        let table =
            format!("{table} {reading:?}").replace(' ', if harness.abilities().any_name { " " } else { "_" });
        let rows = batch(vec![
            ("id", ints([1, 2])),
            ("Имя.полное", texts([Some("а"), None])),
            ("it's \"quoted\"", texts([None, Some("б")])),
            ("select", ints([3, 4])),
        ]);
        harness.insert(reading, &table, &rows).await;
        let spec = SourceSpec { cursor: cursor_of(reading), ..specs::source(&table, &rows) };
        let held = try_everything(harness, reading, &spec).await.unwrap();
        let got: Vec<String> = held.iter().flat_map(|held| sorted_text(&held.batch)).collect();
        assert_eq!(got, sorted_text(&rows), "{reading:?}");
        if reading == Reading::Cursor {
            let spec = SourceSpec { cursor: Some(specs::cursor("select")), ..spec };
            let held = try_everything(harness, reading, &spec).await.unwrap();
            assert_eq!(ids(&held[0].batch), [1, 2]);
        }
    }
}

/// A stream dropped half-way is a cancelled read: the source and the place go on as before.
pub(crate) async fn a_dropped_stream_disturbs_nothing(harness: &dyn Harness) {
    for reading in harness.abilities().readings {
        let table = format!("cut_short_{reading:?}");
        harness.insert(reading, &table, &people(1..=20_000)).await;
        let source = open(harness, reading, &table, &people([])).await;
        let head = source.head().await.unwrap();
        let unit = source.plan(None, &head, WIDE).await.unwrap().unwrap();
        let mut stream = source.read(&unit).await.unwrap();
        assert!(stream.next().await.is_some());
        drop(stream);
        assert_eq!(read(source.as_ref(), &unit).await.batch.num_rows(), 20_000);
        harness.insert(reading, &table, &people([20_001])).await;
        if reading != Reading::Whole {
            assert_eq!(ids_after(source.as_ref(), Some(&head)).await.0, [20_001]);
        }
    }
}
