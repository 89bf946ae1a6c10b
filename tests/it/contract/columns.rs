//! Types, names, and schemas that change.

use std::{ops::RangeInclusive, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, BinaryArray, Int32Array, StringArray},
    compute::{CastOptions, cast_with_options},
    datatypes::DataType,
    record_batch::RecordBatch,
};
use vitrina::{
    connector::{
        error::ErrorKind,
        sink::{OnSchemaChange, SinkColumn, SinkSpec},
    },
    model::{column::ColumnType, delivery::Mode},
};

use super::{
    Abilities, Harness,
    reading::kind,
    writing::{modes_of, open, target, try_write, usual_mode, write},
};
use crate::support::{
    rows::{batch, ids, ints, people, sorted_text, texts},
    specs::{self, track},
    sql,
};

/// Every type that contracts can spell, with decimals and timestamps of several sizes.
fn all_types() -> Vec<String> {
    let mut names: Vec<String> = ColumnType::NAMES.iter().map(|(name, _)| (*name).to_owned()).collect();
    names.sort();
    names.dedup();
    for tick in ["s", "ms", "us", "ns"] {
        names.push(format!("timestamp({tick})"));
        names.push(format!("timestamp({tick}, UTC)"));
    }
    names.extend(
        ["decimal(1,0)", "decimal(12,2)", "decimal(38,0)", "decimal(38,38)", "decimal(76,20)"]
            .map(Into::into),
    );
    names
}

/// Four values and a NULL: the ends of what the type holds between these years, and what lies close together.
fn cells(name: &str, years: &RangeInclusive<i32>) -> ArrayRef {
    if name == "bytes" {
        let values: [Option<&[u8]>; 5] =
            [Some(&[]), Some(&[0, 255, 1]), Some("текст".as_bytes()), None, Some(&[0])];
        return Arc::new(BinaryArray::from(values.to_vec()));
    }
    let values = match name {
        "bool" => ["true", "false", "true", "false"],
        "int8" => ["-128", "-1", "0", "127"],
        "int16" => ["-32768", "-1", "0", "32767"],
        "int32" => ["-2147483648", "-1", "0", "2147483647"],
        "int64" => ["-9223372036854775808", "9007199254740993", "0", "9223372036854775807"],
        "uint8" => ["0", "1", "128", "255"],
        "uint16" => ["0", "1", "32768", "65535"],
        "uint32" => ["0", "1", "2147483648", "4294967295"],
        "uint64" => ["0", "9007199254740993", "9223372036854775808", "18446744073709551615"],
        "float32" => ["-3.4028235e38", "1e-45", "0.1", "16777217"],
        "float64" => ["-1.7976931348623157e308", "5e-324", "0.30000000000000004", "1e300"],
        "text" => ["", "Ёж 🦔 o'Neil \"x\"; -- \\", "до\0после\r\n\t", "NULL"],
        "date" => ["0001-01-01", "9999-12-31", "1969-12-31", "2024-02-29"],
        "time" => ["00:00:00", "23:59:59.999999", "12:30:00", "00:00:00.000001"],
        "decimal(1,0)" => ["9", "-9", "0", "1"],
        "decimal(12,2)" => ["9999999999.99", "-9999999999.99", "0.01", "-0.01"],
        "decimal(38,0)" => [
            "99999999999999999999999999999999999999",
            "-99999999999999999999999999999999999999",
            "9007199254740993",
            "0",
        ],
        "decimal(38,38)" => [
            "0.99999999999999999999999999999999999999",
            "-0.99999999999999999999999999999999999999",
            "0.00000000000000000000000000000000000001",
            "0",
        ],
        "decimal(76,20)" => {
            ["12345678901234567890123456789012345678901234567890.00000000000000000001", "-1", "0", "0.5"]
        }
        ns if ns.contains("(ns") => [
            "1700-01-01T00:00:00.000000001",
            "2262-01-01T23:59:59.999999999",
            "1969-12-31T23:59:59.999999999",
            "2026-01-31T10:00:00.123456789",
        ],
        _ => [
            "0001-01-01T00:00:00",
            "9999-12-31T23:59:59.999",
            "1969-12-31T23:59:59.999",
            "2026-01-31T10:00:00.123456",
        ],
    };
    let [a, b, c, d] = values.map(|value| Some(within(value, years)));
    let values = StringArray::from(vec![a, b, c, None, d]);
    strict(&(Arc::new(values) as ArrayRef), name.parse::<ColumnType>().unwrap().arrow())
}

/// A date or time with the nearest of these years; anything else as it is.
fn within(value: &str, years: &RangeInclusive<i32>) -> String {
    match value.split_once('-').and_then(|(year, rest)| Some((year.parse::<i32>().ok()?, rest))) {
        Some((year, rest)) if year > 0 && rest.contains('-') => {
            format!("{:04}-{rest}", year.clamp(*years.start(), *years.end()))
        }
        _ => value.to_owned(),
    }
}

fn without_nul(column: &ArrayRef) -> ArrayRef {
    let texts = column.as_any().downcast_ref::<StringArray>().unwrap();
    Arc::new(texts.iter().map(|text| text.map(|text| text.replace('\0', "␀"))).collect::<StringArray>())
}

fn strict(column: &ArrayRef, kind: &DataType) -> ArrayRef {
    cast_with_options(column, kind, &CastOptions { safe: false, ..Default::default() }).unwrap()
}

/// Every cell of every type comes back as it was given: extremes, NULLs, texts of any alphabet.
pub(crate) async fn types_come_back_cell_by_cell(harness: &dyn Harness) {
    let Abilities { refused_types: refused, years, .. } = harness.abilities();
    let kept: Vec<String> =
        all_types().into_iter().filter(|name| !refused.contains(&name.as_str())).collect();
    let mut columns = vec![("id", ints(1..=5))];
    columns.extend(kept.iter().map(|name| (name.as_str(), cells(name, &years))));
    if !harness.abilities().nul_in_text {
        let texts = columns.iter_mut().filter(|(name, _)| *name == "text");
        texts.for_each(|(_, column)| *column = without_nul(column));
    }
    // Types' names are spelled with brackets, which not every place allows in a column.
    let plain: Vec<String> =
        columns.iter().map(|(name, _)| format!("c_{}", name.replace(['(', ')', ',', ' '], "_"))).collect();
    let columns = plain.iter().zip(columns).map(|(plain, (_, column))| (plain.as_str(), column)).collect();
    let rows = batch(columns);
    for mode in modes_of(harness, &[Mode::Append, Mode::Merge, Mode::Replace]) {
        let table = format!("typed_{mode}");
        let mut spec = specs::sink(&table, mode);
        spec.key = if mode == Mode::Merge { vec!["c_id".to_owned()] } else { vec![] };
        write(harness, &spec, &track("mrf1"), 1, &rows).await;
        let through = harness.open();
        let select = format!("SELECT * FROM {} ORDER BY c_id", sql::quoted(through.as_ref(), &table));
        let back = sql::ask(&sql::engine(through.catalog()), &select).await;
        for (field, given) in rows.schema_ref().fields().iter().zip(rows.columns()) {
            let got = back.column_by_name(field.name()).unwrap_or_else(|| panic!("no {}", field.name()));
            let got = strict(got, given.data_type());
            assert_eq!(&got, given, "{} by {mode}", field.name());
        }
    }
}

/// A type that the place would bend is refused when the table is claimed.
pub(crate) async fn types_that_cannot_be_kept_are_refused(harness: &dyn Harness) {
    for (at, name) in harness.abilities().refused_types.iter().enumerate() {
        let spec = specs::sink(&format!("refused_{at}"), usual_mode(harness));
        let rows = batch(vec![("id", ints(1..=5)), ("c", cells(name, &harness.abilities().years))]);
        let sink = open(harness, &spec).await;
        let refused = sink.claim(&track("mrf1"), &rows.schema()).await;
        assert_eq!(kind(refused), ErrorKind::Unsupported, "{name}");
    }
}

/// A date or an instant that the place cannot keep is bad data: neither another one nor none.
pub(crate) async fn dates_out_of_reach_are_bad_data(harness: &dyn Harness) {
    let years = harness.abilities().years;
    if years == (1..=9999) {
        return;
    }
    let (before, after) = (years.start() - 1, years.end() + 1);
    for (at, (year, name)) in
        [(before, "date"), (after, "date"), (before, "timestamp(us, UTC)"), (after, "timestamp(s)")]
            .into_iter()
            .enumerate()
    {
        let column: ArrayRef = Arc::new(StringArray::from(vec![format!("{year:04}-06-01")]));
        let column = strict(&column, name.parse::<ColumnType>().unwrap().arrow());
        let spec = specs::sink(&format!("far_{at}"), usual_mode(harness));
        let written =
            try_write(harness, &spec, &track("mrf1"), 1, &batch(vec![("id", ints([1])), ("at", column)]))
                .await;
        assert_eq!(kind(written), ErrorKind::BadData, "{name} in {year}");
        assert_eq!(target(harness, &format!("far_{at}")).await, Some(vec![]));
    }
}

/// Types that the pipeline names for columns of its target are what staged rows and target have.
pub(crate) async fn named_types_win(harness: &dyn Harness) {
    let mut spec = specs::sink("named_types", usual_mode(harness));
    let amount = SinkColumn {
        kind: Some("decimal(12,2)".parse().unwrap()),
        description: Some("сумма".to_owned()),
    };
    spec.columns.insert("amount".to_owned(), amount);
    let rows = batch(vec![("id", ints([1, 2])), ("amount", ints([5, -7]))]);
    let sink = open(harness, &spec).await;
    let claim = sink.claim(&track("mrf1"), &rows.schema()).await.unwrap();
    let kind_in = |schema: &arrow::datatypes::Schema| {
        ColumnType::of(schema.field_with_name("amount").unwrap().data_type()).to_string()
    };
    assert_eq!(kind_in(&claim.schema), "decimal(12,2)");
    assert_eq!(kind_in(&sink.target().await.unwrap().unwrap()), "decimal(12,2)");
    write(harness, &spec, &track("mrf1"), 1, &rows).await;
    assert_eq!(target(harness, "named_types").await.unwrap(), ["1|5.00", "2|-7.00"]);
}

fn spec(harness: &dyn Harness, table: &str, on_schema_change: OnSchemaChange) -> SinkSpec {
    let mode = modes_of(harness, &[Mode::Append, Mode::Merge])[0];
    SinkSpec { on_schema_change, ..specs::sink(table, mode) }
}

/// Rows `id, score`, or with other columns besides.
fn scored(ids: &[i64]) -> RecordBatch {
    batch(vec![
        ("id", ints(ids.iter().copied())),
        ("name", texts(ids.iter().map(|_| Some("Ж")))),
        ("Счёт", ints(ids.iter().copied())),
    ])
}

/// By default a schema that is another one stops the run before anything is written; the order of columns is no matter.
pub(crate) async fn a_changed_schema_fails(harness: &dyn Harness) {
    let spec = spec(harness, "fixed", OnSchemaChange::Fail);
    write(harness, &spec, &track("mrf1"), 1, &people([1])).await;
    let text_ids = batch(vec![("id", texts([Some("2")])), ("name", texts([None]))]);
    let only_ids = batch(vec![("id", ints([2]))]);
    for (what, rows) in
        [("a new column", scored(&[2])), ("another type", text_ids), ("a column gone", only_ids)]
    {
        let refused = try_write(harness, &spec, &track("mrf1"), 2, &rows).await;
        assert_eq!(kind(refused), ErrorKind::SchemaChanged, "{what}");
    }
    let turned = people([2]).project(&[1, 0]).unwrap();
    write(harness, &spec, &track("mrf1"), 2, &turned).await;
    assert_eq!(target(harness, "fixed").await, Some(sorted_text(&people([1, 2]))));
}

/// An evolving target gains columns; those that are gone stay, filled with NULL; a type that cannot widen is refused.
pub(crate) async fn a_changed_schema_evolves(harness: &dyn Harness) {
    let spec = spec(harness, "grown", OnSchemaChange::Evolve);
    write(harness, &spec, &track("mrf1"), 1, &people([1])).await;
    write(harness, &spec, &track("mrf1"), 2, &scored(&[2])).await;
    write(harness, &spec, &track("mrf1"), 3, &batch(vec![("Счёт", ints([30])), ("id", ints([3]))])).await;
    let through = harness.open();
    let select = format!("SELECT id, name, \"Счёт\" FROM {}", sql::quoted(through.as_ref(), "grown"));
    let rows = sql::ask(&sql::engine(through.catalog()), &select).await;
    assert_eq!(sorted_text(&rows), ["1|Имя «1» O'Brien|∅", "2|Ж|2", "3|∅|30"]);
    let text_ids = batch(vec![("id", texts([Some("4")]))]);
    let refused = try_write(harness, &spec, &track("mrf1"), 4, &text_ids).await;
    assert_eq!(kind(refused), ErrorKind::SchemaChanged);
    let rows = sql::ask(&sql::engine(harness.open().catalog()), &select).await;
    assert_eq!(rows.num_rows(), 3);
}

/// An evolving target widens its types where the place can; old values stay. Narrower rows fit as they are.
pub(crate) async fn types_widen(harness: &dyn Harness) {
    let spec = spec(harness, "widened", OnSchemaChange::Evolve);
    let narrow = |id: i64, n: i32| {
        batch(vec![("id", ints([id])), ("n", Arc::new(Int32Array::from(vec![n])) as ArrayRef)])
    };
    write(harness, &spec, &track("mrf1"), 1, &narrow(1, i32::MAX)).await;
    let wide = batch(vec![("id", ints([2])), ("n", ints([i64::MAX]))]);
    let written = try_write(harness, &spec, &track("mrf1"), 2, &wide).await;
    if !harness.abilities().widens {
        assert_eq!(kind(written), ErrorKind::SchemaChanged);
        return;
    }
    written.unwrap();
    write(harness, &spec, &track("mrf1"), 3, &narrow(3, -1)).await;
    let expected = ["1|2147483647", "2|9223372036854775807", "3|-1"];
    assert_eq!(target(harness, "widened").await.unwrap(), expected);
}

/// A target that ignores new columns says which it leaves out.
pub(crate) async fn a_changed_schema_is_ignored(harness: &dyn Harness) {
    let spec = spec(harness, "deaf", OnSchemaChange::Ignore);
    write(harness, &spec, &track("mrf1"), 1, &people([1])).await;
    let rows = scored(&[2]);
    let claim = open(harness, &spec).await.claim(&track("mrf1"), &rows.schema()).await.unwrap();
    assert_eq!(claim.left_out, ["Счёт"]);
    assert!(claim.schema.column_with_name("Счёт").is_none());
    write(harness, &spec, &track("mrf1"), 2, &rows).await;
    assert_eq!(target(harness, "deaf").await.unwrap(), ["1|Имя «1» O'Brien", "2|Ж"]);
}

/// Tables and columns of any name, in every mode.
pub(crate) async fn any_name_is_written(harness: &dyn Harness) {
    for mode in modes_of(harness, &[Mode::Append, Mode::Merge, Mode::Replace]) {
        let table = if harness.abilities().any_name {
            format!("Заказы \"{mode}\".v1 o'clock")
        } else {
            format!("Orders_{mode}")
        };
        let mut spec = specs::sink(&table, mode);
        spec.key = if mode == Mode::Merge {
            vec!["id".to_owned(), "Имя.полное".to_owned()]
        } else {
            vec![]
        };
        let rows = batch(vec![
            ("id", ints([1, 2])),
            ("Имя.полное", texts([Some("а"), Some("б")])),
            ("it's \"quoted\"", texts([None, Some("в")])),
            ("Select", ints([3, 4])),
        ]);
        write(harness, &spec, &track("mrf 1/о'Центр"), 1, &rows).await;
        assert_eq!(target(harness, &table).await, Some(sorted_text(&rows)), "{mode}");
        let record = open(harness, &spec).await.peek(&track("mrf 1/о'Центр")).await.unwrap();
        assert_eq!(record.unwrap().rows, 2);
        let through = harness.open();
        let select = format!(
            "SELECT id FROM {} WHERE \"Имя.полное\" = 'б' AND \"Select\" = 4",
            sql::quoted(through.as_ref(), &table)
        );
        assert_eq!(ids(&sql::ask(&sql::engine(through.catalog()), &select).await), [2]);
    }
}

/// Names of our own book-keeping are nobody's target.
pub(crate) async fn names_of_our_own_are_refused(harness: &dyn Harness) {
    let spec = specs::sink("_vitrina_records", usual_mode(harness));
    let refused = try_write(harness, &spec, &track("mrf1"), 1, &people([1])).await;
    assert_eq!(kind(refused), ErrorKind::Unsupported);
}
