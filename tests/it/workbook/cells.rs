//! Values, types, totals, formula injection.

use arrow::{
    array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, DictionaryArray,
        Float32Array, Float64Array, Int16Array, Int64Array, LargeStringArray, StringArray,
        Time64MicrosecondArray, TimestampMicrosecondArray, UInt64Array,
    },
    datatypes::{Int32Type, i256},
};
use vitrina::workbook::{
    Error,
    spec::{SheetColumn, Total},
};

use super::*;

fn float(data: &Data) -> f64 {
    match data {
        Data::Float(value) => *value,
        Data::Int(value) => *value as f64,
        other => panic!("no number: {other:?}"),
    }
}

fn moment(data: &Data) -> String {
    match data {
        Data::DateTime(value) => {
            let (year, month, day, hour, minute, second, _) = value.to_ymd_hms_milli();
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
        }
        other => panic!("no date: {other:?}"),
    }
}

fn text(value: &str) -> Data {
    Data::String(value.into())
}

#[test]
fn values_of_every_type_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let micros = 1_767_225_600_000_000_i64; // 2026-01-01T00:00:00Z
    let decimal = Decimal128Array::from(vec![Some(-123_456), None]).with_precision_and_scale(12, 2).unwrap();
    let wide =
        Decimal256Array::from(vec![Some(i256::from_i128(15)), None]).with_precision_and_scale(50, 1).unwrap();
    let dictionary: DictionaryArray<Int32Type> = vec![Some("Волга"), None].into_iter().collect();
    let rows = batch(vec![
        ("flag", array(BooleanArray::from(vec![Some(true), None]))),
        ("small", array(Int16Array::from(vec![Some(-7), None]))),
        ("unsigned", array(UInt64Array::from(vec![Some(42), None]))),
        ("f32", array(Float32Array::from(vec![Some(0.1), None]))),
        ("f64", array(Float64Array::from(vec![Some(0.1), None]))),
        ("decimal", array(decimal)),
        ("wide", array(wide)),
        ("Текст.\"имя\"", array(StringArray::from(vec![Some("привет"), None]))),
        ("large", array(LargeStringArray::from(vec![Some("привет"), None]))),
        ("dictionary", array(dictionary)),
        ("day", array(Date32Array::from(vec![Some(20_454), None]))),
        ("utc", array(TimestampMicrosecondArray::from(vec![Some(micros), None]).with_timezone("UTC"))),
        ("wall", array(TimestampMicrosecondArray::from(vec![Some(micros), None]))),
        ("time", array(Time64MicrosecondArray::from(vec![Some(43_200_000_000), None]))),
        ("bytes", array(BinaryArray::from(vec![Some(&b"\x01\xff"[..]), None]))),
    ]);
    let (notes, mut opened) = written(folder.path(), &rows, &plain());
    assert_eq!(notes, Vec::<String>::new());
    let cells: Vec<Data> = (0..15).map(|column| opened.cell("Лист", 0, column)).collect();
    assert_eq!(cells[0], Data::Bool(true));
    for (place, number) in [(1, -7.0), (2, 42.0), (3, 0.1), (4, 0.1), (5, -1234.56), (6, 1.5)] {
        assert_eq!(float(&cells[place]).to_bits(), f64::to_bits(number), "column {place}");
    }
    assert_eq!(cells[7..10], [text("привет"), text("привет"), text("Волга")]);
    assert_eq!(moment(&cells[10]), "2026-01-01T00:00:00");
    assert_eq!(moment(&cells[11]), "2026-01-01T03:00:00", "by the clocks of Moscow");
    assert_eq!(moment(&cells[12]), "2026-01-01T00:00:00");
    assert!(
        matches!(&cells[13], Data::DateTime(half) if half.as_f64().to_bits() == f64::to_bits(0.5)),
        "{:?}",
        cells[13]
    );
    assert_eq!(cells[14], text("01ff"));
    for column in 0..15 {
        assert_eq!(opened.cell("Лист", 1, column), Data::Empty, "NULL in column {column}");
    }
}

#[test]
fn what_a_double_cannot_hold_is_text_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let money = Decimal128Array::from(vec![123_456_789_012_345_678, 1, 1, 1]).with_precision_and_scale(38, 2);
    let ratio =
        Decimal128Array::from(vec![333_333_333_333_333_333, 1, 1, 1]).with_precision_and_scale(38, 18);
    let rows = batch(vec![
        ("id", array(Int64Array::from(vec![i64::MAX, i64::MIN, 999_999_999_999_999, 1_000_000_000_000_000]))),
        ("big", array(UInt64Array::from(vec![u64::MAX, 0, 1, 2]))),
        ("float", array(Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5]))),
        ("money", array(money.unwrap())),
        ("ratio", array(ratio.unwrap())),
        ("day", array(Date32Array::from(vec![-25_509, 2_932_897, -25_508, 2_932_896]))),
    ]);
    let columns = IndexMap::from([total("id", Total::Sum), total("float", Total::Sum)]);
    let (notes, mut opened) = written(folder.path(), &rows, &columns);
    let mut column = |place: usize| (0..4).map(|row| opened.cell("Лист", row, place)).collect::<Vec<_>>();
    let ids = column(0);
    assert_eq!(ids[..2], [text("9223372036854775807"), text("-9223372036854775808")]);
    assert_eq!(float(&ids[2]).to_bits(), f64::to_bits(999_999_999_999_999.0));
    assert_eq!(ids[3], text("1000000000000000"));
    assert_eq!(column(1)[0], text("18446744073709551615"));
    assert_eq!(column(2)[..3], [text("NaN"), text("∞"), text("-∞")]);
    assert_eq!(column(3)[0], text("1234567890123456.78"));
    assert!((float(&column(4)[0]) - 1.0 / 3.0).abs() < 1e-15, "places from a division may round");
    let days = column(5);
    assert_eq!(days[..2], [text("1900-02-28"), text("+10000-01-01")]);
    assert_eq!(
        (moment(&days[2]), moment(&days[3])),
        ("1900-03-01T00:00:00".into(), "9999-12-31T00:00:00".into())
    );
    // Excel would not add up texts: the total is a value. NaN and infinities are left out by both.
    assert_eq!(
        (opened.cell("Лист", 4, 0), opened.formula("Лист", 4, 0)),
        (text("1999999999999998"), String::new())
    );
    assert_eq!(opened.cell("Лист", 4, 2), Data::Float(1.5));
    assert_eq!(opened.formula("Лист", 4, 2), "SUBTOTAL(109,C5:C8)");
    assert_eq!(notes.len(), 5, "{notes:?}");
    assert!(notes[0].contains("\"id\": 3 values with more than 15 digits"), "{}", notes[0]);
    assert!(notes[2].contains("\"float\": 3 values that are not finite"), "{}", notes[2]);
}

#[test]
fn totals_are_formulas_with_exact_results() {
    let folder = tempfile::tempdir().unwrap();
    let amounts = || Decimal128Array::from(vec![Some(10), Some(20), None, Some(-1)]);
    let decimals = || array(amounts().with_precision_and_scale(12, 2).unwrap());
    let rows = batch(vec![
        ("name", array(StringArray::from(vec!["а", "б", "в", "г"]))),
        ("sum", decimals()),
        ("average", decimals()),
        ("count", array(StringArray::from(vec![Some("x"), Some(""), None, Some("y")]))),
        ("min", array(Date32Array::from(vec![20_455, 20_454, 20_460, 20_456]))),
        ("max", array(Float64Array::from(vec![1.0, f64::NAN, 3.5, 2.0]))),
        ("none", array(Float64Array::from(vec![None::<f64>; 4]))),
    ]);
    let columns = IndexMap::from([
        total("sum", Total::Sum),
        total("average", Total::Average),
        total("count", Total::Count),
        total("min", Total::Min),
        total("max", Total::Max),
        total("none", Total::Average),
    ]);
    let (_, mut opened) = written(folder.path(), &rows, &columns);
    assert_eq!(opened.cell("Лист", 4, 0), text("Итого"));
    assert_eq!(float(&opened.cell("Лист", 4, 1)).to_bits(), f64::to_bits(0.29));
    assert_eq!(float(&opened.cell("Лист", 4, 2)).to_bits(), f64::to_bits(0.29 / 3.0));
    assert_eq!(float(&opened.cell("Лист", 4, 3)).to_bits(), f64::to_bits(2.0));
    assert_eq!(moment(&opened.cell("Лист", 4, 4)), "2026-01-01T00:00:00");
    assert_eq!(float(&opened.cell("Лист", 4, 5)).to_bits(), f64::to_bits(3.5));
    assert_eq!(opened.cell("Лист", 4, 6), Data::Empty);
    let formulas: Vec<_> = (1..6).map(|column| opened.formula("Лист", 4, column)).collect();
    let expected = [
        "SUBTOTAL(109,B5:B8)",
        "IFERROR(SUBTOTAL(101,C5:C8),\"\")",
        "SUBTOTAL(103,D5:D8)",
        "SUBTOTAL(105,E5:E8)",
        "SUBTOTAL(104,F5:F8)",
    ];
    assert_eq!(formulas, expected);
}

const INJECTIONS: [&str; 14] = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    "=HYPERLINK(\"http://example.com\",\"x\")",
    "+1",
    "-1+2",
    "-",
    "@SUM(1,2)",
    "\t=1",
    "\r=1",
    "\n=1",
    "{=1}",
    "_x003D_1",
    "</t></is></c><c r=\"Z1\"><f>1+1</f></c>",
    "]]>&amp;<f>1</f>",
];

#[test]
fn a_formula_is_never_made_of_a_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.xlsx");
    let names = INJECTIONS;
    let columns: Vec<(&str, ArrayRef)> =
        names.iter().map(|name| (*name, array(StringArray::from(INJECTIONS.to_vec())))).collect();
    let rows = batch(columns);
    let wishes =
        IndexMap::from([("+1".to_owned(), SheetColumn { title: Some("=2+2".into()), ..Default::default() })]);
    let mut meta = meta(folder.path());
    meta.title = "=1+1".into();
    let mut book = Book::create(&path, meta).unwrap();
    book.sheet("=1+1", rows.schema_ref(), &wishes, &[]).unwrap();
    book.write(&rows).unwrap();
    book.finish(RECORD).unwrap();
    let mut opened = Opened::at(&path);
    assert!(
        opened.file.worksheet_formula("=1+1").unwrap().used_cells().all(|(_, _, formula)| formula.is_empty())
    );
    for (row, value) in INJECTIONS.iter().enumerate() {
        let read = opened.cell("=1+1", row, 0).to_string();
        assert_eq!(read.replace("_x000D_", "\r"), *value);
    }
    assert!(!part(&path, "xl/worksheets/sheet1.xml").contains("<f>"));
    assert!(part(&path, "xl/styles.xml").contains("quotePrefix=\"1\""));
}

#[test]
fn streamed_rows_are_no_formulas_either() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.xlsx");
    let texts: Vec<&str> = INJECTIONS.iter().copied().cycle().take(6_000).collect();
    let rows = batch(vec![("t", array(StringArray::from(texts.clone())))]);
    let (_, mut opened) = written(folder.path(), &rows, &plain());
    let range = opened.range("Лист");
    for (row, value) in texts.iter().enumerate() {
        let read = range.get_value(((row + ABOVE) as u32, 0)).unwrap().to_string();
        assert_eq!(read.replace("_x000D_", "\r"), *value);
    }
    assert!(!part(&path, "xl/worksheets/sheet1.xml").contains("<f>"));
}

#[test]
fn a_cell_that_is_too_long_is_named_and_its_value_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let fits = "я".repeat(32_767);
    // An emoji takes two UTF-16 units.
    let too_long = format!("{}💳", "я".repeat(32_766));
    let rows = |value: &str| {
        batch(vec![
            ("n", array(Int64Array::from(vec![1, 2]))),
            ("Текст", array(StringArray::from(vec!["a", value]))),
        ])
    };
    let (_, mut opened) = written(folder.path(), &rows(&fits), &plain());
    assert_eq!(opened.cell("Лист", 1, 1), text(&fits));
    let mut book = book(folder.path());
    book.sheet("Лист", schema_of(&rows("")), &plain(), &[]).unwrap();
    book.write(&rows(&too_long)).unwrap();
    let error = book.finish_sheet().unwrap_err();
    assert!(book.finish(RECORD).is_err(), "a book that lost rows is not published");
    assert!(matches!(&error, Error::CellTooLong { row: 2, .. }), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("\"Лист\"") && message.contains("\"Текст\"") && !message.contains('я'),
        "{message}"
    );
    assert_eq!(
        Opened::at(&folder.path().join("book.xlsx")).cell("Лист", 1, 1),
        text(&fits),
        "the old file stays"
    );
}
