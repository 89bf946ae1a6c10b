//! What becomes of cells, column type by column type.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Field, Int64Type, Schema},
    util::display::array_value_to_string,
};

use super::*;
use crate::model::column::ColumnType;

/// The cell as the column prints it, or why it is bad.
fn read_with(kind: &str, cell: Cell<'_>, rules: Rules) -> String {
    let kind: ColumnType = kind.parse().unwrap();
    let schema = Arc::new(Schema::new(vec![Field::new("Колонка", kind.arrow().clone(), true)]));
    let mut decoder = RowDecoder::new(schema, rules).unwrap();
    decoder.push(0, |_| cell);
    let chunk = decoder.finish().unwrap();
    match chunk.bad.first() {
        Some(bad) => {
            assert_eq!(chunk.batch.num_rows(), 0);
            assert_eq!(bad.column.as_deref(), Some("Колонка"));
            format!("bad: {}", bad.reason)
        }
        None if chunk.batch.column(0).is_null(0) => "NULL".to_owned(),
        None => array_value_to_string(chunk.batch.column(0), 0).unwrap(),
    }
}

fn read(kind: &str, cell: Cell<'_>) -> String {
    read_with(kind, cell, Rules::default())
}

#[test]
fn integers() {
    use Cell::{Bytes, Int, NotUtf8, Real, Text};
    assert_eq!(read("int64", Int(i64::MIN)), "-9223372036854775808");
    assert_eq!(read("int8", Int(-128)), "-128");
    assert_eq!(read("int8", Int(128)), "bad: a value outside the range of int8");
    assert_eq!(read("uint8", Int(-1)), "bad: a value outside the range of uint8");
    assert_eq!(read("int64", Real(517.0)), "517");
    assert_eq!(read("int64", Real(0.5)), "bad: a real number in an int64 column");
    assert_eq!(read("int64", Real(1e18)), "bad: a real number in an int64 column");
    assert_eq!(read("int64", Text("много")), "bad: text in an int64 column");
    assert_eq!(read("int64", Text("-17")), "-17");
    for text in ["+1", "007", " 1", "1.0", "-0", "", "-", "1x"] {
        assert!(read("int64", Text(text)).starts_with("bad: text"), "{text}");
    }
    assert_eq!(read("uint64", Text("18446744073709551615")), "18446744073709551615");
    assert_eq!(read("int64", Text("9223372036854775808")), "bad: a value outside the range of int64");
    assert_eq!(read("int64", Bytes(b"1")), "bad: bytes in an int64 column");
    assert_eq!(read("int64", NotUtf8(b"\xff")), "bad: text that is not UTF-8");
}

#[test]
fn reals_and_flags() {
    use Cell::{Bool, Int, Real, Text};
    assert_eq!(read("float64", Real(0.1)), "0.1");
    assert_eq!(read("float64", Real(f64::INFINITY)), "inf");
    assert_eq!(read("float64", Text("NaN")), "NaN");
    assert_eq!(read("float64", Text("1e3")), "1000.0");
    assert_eq!(read("float64", Text("nan")), "bad: text in a float64 column");
    assert_eq!(read("float64", Text("1e999")), "bad: a value outside the range of float64");
    assert_eq!(read("float64", Int(1 << 53)), "9007199254740992.0");
    assert_eq!(read("float64", Int((1 << 53) + 1)), "bad: more digits than float64 holds");
    assert_eq!(read("float32", Real(1e300)), "bad: a value outside the range of float32");
    assert_eq!(read("bool", Int(1)), "true");
    assert_eq!(read("bool", Int(2)), "bad: a value outside the range of bool");
    assert_eq!(read("bool", Bool(false)), "false");
    assert_eq!(read("bool", Text("true")), "true");
    assert_eq!(read("bool", Real(1.0)), "bad: a real number in a bool column");
}

#[test]
fn decimals_are_exact_or_bad() {
    use Cell::{Int, Real, Text};
    assert_eq!(read("decimal(12,2)", Text("900.50")), "900.50");
    assert_eq!(read("decimal(12,2)", Text("-0.05")), "-0.05");
    assert_eq!(read("decimal(12,2)", Text("1.500")), "1.50");
    assert_eq!(read("decimal(12,2)", Text("1.505")), "bad: more digits than decimal(12,2) holds");
    assert_eq!(read("decimal(12,2)", Int(7)), "7.00");
    assert_eq!(read("decimal(12,2)", Real(0.1)), "0.10");
    assert_eq!(read("decimal(12,2)", Real(0.1 + 0.2)), "bad: more digits than decimal(12,2) holds");
    assert_eq!(read("decimal(12,2)", Real(f64::NAN)), "bad: a real number in a decimal(12,2) column");
    assert_eq!(read("decimal(4,2)", Text("99.99")), "99.99");
    assert_eq!(read("decimal(4,2)", Text("100")), "bad: a value outside the range of decimal(4,2)");
    assert_eq!(read("decimal(2,2)", Text("0.99")), "0.99");
    assert_eq!(read("decimal(2,2)", Text("1.00")), "bad: a value outside the range of decimal(2,2)");
    let long = format!("{}.5", "9".repeat(74));
    assert_eq!(read("decimal(76,1)", Text(&long)), long);
    let widest = "9".repeat(38);
    assert_eq!(read("decimal(38,0)", Text(&widest)), widest);
    for text in ["", "-", ".5", "5.", "1e3", "1,5", "1 000"] {
        assert_eq!(read("decimal(12,2)", Text(text)), "bad: text in a decimal(12,2) column", "{text}");
    }
}

#[test]
fn dates_and_times() {
    use Cell::{Int, Text};
    assert_eq!(read("date", Text("2024-02-29")), "2024-02-29");
    assert_eq!(read("date", Text("1969-12-31")), "1969-12-31");
    assert_eq!(read("date", Text("0001-01-01")), "0001-01-01");
    for text in ["2023-02-29", "2026-13-01", "2026-1-1", "12026-01-01", "2026-01-01T00:00:00", "вчера"] {
        assert_eq!(read("date", Text(text)), "bad: text that is no date in a date column", "{text}");
    }
    assert_eq!(read("date", Int(20_000)), "bad: an integer in a date column");
    assert_eq!(read("time", Text("10:00:00.5")), "10:00:00.500");
    assert_eq!(read("time", Text("24:00:00")), "bad: text that is no time in a time column");
    assert_eq!(read("time", Text("10:00Z")), "bad: text that is no time in a time column");
}

#[test]
fn timestamps() {
    use Cell::{Int, Text};
    let utc = "timestamp(ms, UTC)";
    assert_eq!(read(utc, Text("2026-01-31T10:00:00.123Z")), "2026-01-31T10:00:00.123Z");
    assert_eq!(read(utc, Text("2026-01-31 10:00:00+03:00")), "2026-01-31T07:00:00Z");
    assert_eq!(
        read(utc, Text("2026-01-31T10:00:00.123456Z")),
        "bad: more digits than timestamp(ms, UTC) holds"
    );
    assert_eq!(read(utc, Text("2026-01-31T10:00:00.123000Z")), "2026-01-31T10:00:00.123Z");
    assert_eq!(read("timestamp", Text("2026-01-31 10:00")), "2026-01-31T10:00:00");
    assert_eq!(read("timestamp", Text("2026-01-31")), "2026-01-31T00:00:00");
    assert_eq!(
        read("timestamp(s)", Text("2026-01-31T10:00:00Z")),
        "bad: a time with a zone in a timestamp(s) column, which has none"
    );
    assert_eq!(
        read("timestamp(ns, UTC)", Text("2500-01-01T00:00:00Z")),
        "bad: a value outside the range of timestamp(ns, UTC)"
    );
    assert_eq!(read(utc, Int(1_000)), "bad: an integer in a timestamp(ms, UTC) column");
    let epoch = Rules { epoch: true, ..Rules::default() };
    assert_eq!(read_with(utc, Int(1_000), epoch), "1970-01-01T00:00:01Z");
    let moscow = || Rules { zone: "Europe/Moscow".parse().unwrap(), ..Rules::default() };
    assert_eq!(read_with(utc, Text("2026-01-31T10:00:00"), moscow()), "2026-01-31T07:00:00Z");
    assert_eq!(read_with(utc, Text("2026-01-31T10:00:00Z"), moscow()), "2026-01-31T10:00:00Z");
    for text in
        ["2026-01-31T", "2026-01-31T10", "2026-01-31T25:00", "2026-01-31T10:00:60", "2026-01-31x10:00"]
    {
        assert!(read(utc, Text(text)).starts_with("bad: text that is no"), "{text}");
    }
}

#[test]
fn text_and_null_values() {
    use Cell::{Bytes, Int, Null, Real, Text};
    assert_eq!(read("text", Text("Просмотр")), "Просмотр");
    assert_eq!(read("text", Int(12)), "12");
    assert_eq!(read("text", Real(1.0)), "1.0");
    assert_eq!(read("text", Bytes(b"x")), "bad: bytes in a text column");
    assert_eq!(read("bytes", Text("x")), "bad: text in a bytes column");
    assert_eq!(read("int64", Null), "NULL");
    let rules = || Rules { null_values: vec!["NA".into(), String::new()], ..Rules::default() };
    assert_eq!(read_with("int64", Text("NA"), rules()), "NULL");
    assert_eq!(read_with("text", Text(""), rules()), "NULL");
    assert_eq!(read_with("text", Text("na"), rules()), "na");
}

#[test]
fn a_bad_row_leaves_no_trace_in_the_columns() {
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("имя", DataType::Utf8, false),
        Field::new("data", DataType::Binary, true),
    ]));
    let mut decoder = RowDecoder::new(schema, Rules::default()).unwrap();
    let rows: [[Cell<'_>; 3]; 4] = [
        [Cell::Int(1), Cell::Text("а"), Cell::Bytes(&[1])],
        [Cell::Int(2), Cell::Null, Cell::Bytes(&[0xca, 0xfe])],
        [Cell::Text("x"), Cell::Text("в"), Cell::Real(0.1)],
        [Cell::Int(i64::MAX), Cell::Text("г"), Cell::Null],
    ];
    for (ordinal, row) in rows.iter().enumerate() {
        decoder.push(ordinal as u64, |i| row[i]);
    }
    assert_eq!(decoder.rows(), 4);
    let chunk = decoder.finish().unwrap();
    assert_eq!(chunk.ordinals.values(), &[0, 3]);
    assert_eq!(chunk.batch.column(0).as_primitive::<Int64Type>().values(), &[1, i64::MAX]);
    assert_eq!(chunk.bad.len(), 2);
    assert_eq!(chunk.bad[0].reason, "NULL in a column that is not nullable");
    assert_eq!(
        serde_json::to_string(&chunk.bad[0].row).unwrap(),
        r#"{"id":2,"имя":null,"data":{"$bytes":"cafe"}}"#
    );
    assert_eq!(chunk.bad[1].ordinal, 2);
    assert_eq!(decoder.finish().unwrap().batch.num_rows(), 0);
}

#[test]
fn json_gives_every_cell_back() {
    let cells = [
        Cell::Null,
        Cell::Bool(true),
        Cell::Int(i64::MIN),
        Cell::Real(0.1),
        Cell::Real(-0.0),
        Cell::Real(f64::INFINITY),
        Cell::Real(2.225_073_858_507_201e-308),
        Cell::Real(1.0),
        Cell::Text("{\"$bytes\": \"00\"}"),
        Cell::Bytes(&[0, 255]),
        Cell::NotUtf8(&[255]),
    ];
    for cell in cells {
        let text = cell_as_json(cell).to_string();
        let back = OwnedCell::from_json(&serde_json::from_str(&text).unwrap());
        assert_eq!(back.cell(), cell, "{text}");
    }
    assert!(
        matches!(OwnedCell::from_json(&cell_as_json(Cell::Real(f64::NAN))), OwnedCell::Real(v) if v.is_nan())
    );
    let row = serde_json::json!({ "big": 18_446_744_073_709_551_615_u64, "list": [1, 2] });
    let cells = cells_from_json(row.as_object().unwrap(), ["list", "big", "none"]);
    assert_eq!(
        cells,
        [OwnedCell::Text("[1,2]".into()), OwnedCell::Text("18446744073709551615".into()), OwnedCell::Null]
    );
}

#[test]
fn decimals_of_their_own() {
    let cell = |unscaled, scale| Cell::Decimal { unscaled, scale };
    assert_eq!(read("decimal(12,2)", cell(-5, 2)), "-0.05");
    assert_eq!(read("decimal(12,2)", cell(-5, 0)), "-5.00");
    assert_eq!(read("decimal(12,2)", cell(12_300, 4)), "1.23");
    assert_eq!(read("decimal(12,2)", cell(12_345, 4)), "bad: more digits than decimal(12,2) holds");
    assert_eq!(read("decimal(4,2)", cell(100, 0)), "bad: a value outside the range of decimal(4,2)");
    assert_eq!(read("decimal(3,1)", cell(0, 30)), "0.0");
    assert_eq!(read("decimal(76,30)", cell(i128::MAX, 0)).len(), 39 + 1 + 30);
    assert_eq!(read("int64", cell(700, 2)), "7");
    assert_eq!(read("int64", cell(705, 2)), "bad: more digits than int64 holds");
    assert_eq!(read("uint64", cell(u64::MAX.into(), 0)), u64::MAX.to_string());
    assert_eq!(read("uint64", cell(-1, 0)), "bad: a value outside the range of uint64");
    assert_eq!(read("text", cell(150, 2)), "1.50");
    assert_eq!(read("float64", cell(150, 2)), "1.5");
    assert_eq!(read("date", cell(1, 0)), "bad: a decimal in a date column");
}

#[test]
fn times_of_their_own() {
    let noon = Cell::Timestamp { micros: 43_200_000_001, utc: false };
    let instant = Cell::Timestamp { micros: 43_200_000_000, utc: true };
    assert_eq!(read("date", Cell::Date(-1)), "1969-12-31");
    assert_eq!(read("text", Cell::Date(0)), "1970-01-01");
    assert_eq!(read("timestamp(ms)", Cell::Date(1)), "1970-01-02T00:00:00");
    assert_eq!(read("time", Cell::Time(86_399_999_999)), "23:59:59.999999");
    assert_eq!(read("time", Cell::Time(86_400_000_000)), "bad: a value outside the range of time");
    assert_eq!(read("text", Cell::Time(1)), "00:00:00.000001");
    assert_eq!(read("timestamp", noon), "1970-01-01T12:00:00.000001");
    assert_eq!(read("timestamp(ms)", noon), "bad: more digits than timestamp(ms) holds");
    assert_eq!(read("timestamp(s, UTC)", instant), "1970-01-01T12:00:00Z");
    assert!(read("timestamp", instant).starts_with("bad: a time with a zone"));
    let moscow = Rules { zone: Tz::Europe__Moscow, ..Rules::default() };
    assert_eq!(read_with("timestamp(us, UTC)", noon, moscow), "1970-01-01T09:00:00.000001Z");
    assert_eq!(read("int64", noon), "bad: a timestamp in an int64 column");
    assert_eq!(cell_as_json(instant), serde_json::json!("1970-01-01T12:00:00.000000Z"));
}
