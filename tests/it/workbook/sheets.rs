//! Sheets: headers, several of them, charts, full ones, what is refused.

use arrow::array::{Date32Array, Int64Array, StringArray};
use vitrina::workbook::{
    Error,
    spec::{Chart, ChartKind, Total},
};

use super::*;

fn numbers(count: i64) -> RecordBatch {
    batch(vec![
        ("day", array(Date32Array::from_iter_values((0..count).map(|day| 20_000 + day as i32)))),
        ("Звонки", array(Int64Array::from_iter_values(0..count))),
    ])
}

fn chart(kind: ChartKind, y: &[&str]) -> Chart {
    let y = y.iter().map(|name| (*name).to_owned()).collect();
    Chart { kind, title: Some("По дням".into()), x: "day".into(), y, at: "D2".into() }
}

#[test]
fn the_header_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut columns = IndexMap::from([total("Звонки", Total::Sum)]);
    columns["Звонки"].title = Some("Звонков, шт.".into());
    let (_, mut opened) = written(folder.path(), &numbers(3), &columns);
    let range = opened.range("Лист");
    let line = |row| range.get_value((row, 0)).unwrap().to_string();
    assert_eq!(line(0), "Действия CRM: Центр");
    assert_eq!(line(1), "Период: 01.10.2026 – 31.10.2026 · Сформировано: 21.11.2026 08:00 (Europe/Moscow)");
    assert_eq!(range.get_value((3, 1)).unwrap().to_string(), "Звонков, шт.");
    let xml = part(&folder.path().join("book.xlsx"), "xl/worksheets/sheet1.xml");
    assert!(xml.contains("<autoFilter ref=\"A4:B7\"/>"), "the totals row is not filtered away");
    assert!(xml.contains("ySplit=\"4\"") && xml.contains("state=\"frozen\""));
    assert!(xml.contains("orientation=\"landscape\"") && xml.contains("fitToHeight=\"0\""));
    assert!(part(&folder.path().join("book.xlsx"), "xl/styles.xml").contains("dd.mm.yyyy"));
}

#[test]
fn sheets_stand_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut book = book(folder.path());
    for (name, rows) in [("Первый", 2), ("Пустой", 0), ("It's.\"third\"", 6_001)] {
        let rows = numbers(rows);
        book.sheet(name, rows.schema_ref(), &IndexMap::from([total("Звонки", Total::Count)]), &[]).unwrap();
        for start in (0..rows.num_rows()).step_by(1_000) {
            book.write(&rows.slice(start, 1_000.min(rows.num_rows() - start))).unwrap();
        }
    }
    let written = book.finish(RECORD).unwrap();
    let expected = [("Первый".into(), 2), ("Пустой".into(), 0), ("It's.\"third\"".into(), 6_001)];
    assert_eq!(written.sheets, expected);
    let mut opened = Opened::at(&written.path);
    assert_eq!(opened.file.sheet_names(), ["Первый", "Пустой", "It's.\"third\""]);
    assert_eq!(opened.cell("Пустой", 0, 0), Data::String("Нет данных".into()));
    assert_eq!(opened.cell("It's.\"third\"", 6_001, 1), Data::Float(6_001.0));
    assert_eq!(opened.formula("It's.\"third\"", 6_001, 1), "SUBTOTAL(103,B5:B6005)");
}

#[test]
fn a_full_sheet_goes_on_in_the_next() {
    let folder = tempfile::tempdir().unwrap();
    for (rows, parts) in [(26, vec![26]), (27, vec![26, 1]), (53, vec![26, 26, 1])] {
        let mut book = book(folder.path()).with_row_limit(31);
        let name = "Длинное имя листа в тридцать 1!";
        let columns = IndexMap::from([total("Звонки", Total::Sum)]);
        let all = numbers(rows);
        book.sheet(name, all.schema_ref(), &columns, &[chart(ChartKind::Line, &["Звонки"])]).unwrap();
        for start in (0..all.num_rows()).step_by(20) {
            book.write(&all.slice(start, 20.min(all.num_rows() - start))).unwrap();
        }
        let written = book.finish(RECORD).unwrap();
        assert_eq!(written.sheets.iter().map(|(_, rows)| *rows).collect::<Vec<_>>(), parts);
        let mut opened = Opened::at(&written.path);
        let mut read = vec![];
        for (sheet, count) in &written.sheets {
            let range = opened.range(sheet);
            assert_eq!(range.get_value((3, 1)).unwrap().to_string(), "Звонки", "the header is repeated");
            assert!(range.end().unwrap().0 < 31, "{sheet} ends within the limit");
            read.extend((0..*count).map(|row| range.get_value((row as u32 + 4, 1)).unwrap().to_string()));
        }
        assert_eq!(read, (0..rows).map(|number| number.to_string()).collect::<Vec<_>>());
        let (last, count) = written.sheets.last().unwrap().clone();
        let sum = opened.cell(&last, count as usize, 1);
        assert_eq!(sum, Data::Float((rows * (rows - 1) / 2) as f64));
        if parts.len() > 1 {
            assert_eq!(last, format!("Длинное имя листа в тридцат ({})", parts.len()));
            let formula = opened.formula(&last, count as usize, 1);
            assert!(formula.starts_with(&format!("SUBTOTAL(109,'{name}'!B5:B30,")), "{formula}");
            assert!(
                written.notes.iter().any(|note| note.contains("is full") && note.contains(&last)),
                "{:?}",
                written.notes
            );
            let below = opened.cell(name, 26, 0).to_string();
            assert_eq!(below, format!("Продолжение на листе «{}»", written.sheets[1].0));
        }
    }
}

#[test]
fn a_streamed_sheet_goes_on_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut book = book(folder.path()).with_row_limit(4_000);
    let all = numbers(10_000);
    book.sheet("Лист", all.schema_ref(), &IndexMap::from([total("Звонки", Total::Sum)]), &[]).unwrap();
    book.write(&all).unwrap();
    let written = book.finish(RECORD).unwrap();
    let expected = [("Лист".into(), 3_995), ("Лист (2)".into(), 3_995), ("Лист (3)".into(), 2_010)];
    assert_eq!(written.sheets, expected);
    let mut opened = Opened::at(&written.path);
    assert_eq!(opened.cell("Лист (3)", 2_010, 1), Data::Float(49_995_000.0));
    assert_eq!(opened.cell("Лист (2)", 0, 1), Data::Float(3_995.0));
}

#[test]
fn charts_cover_all_rows() {
    let folder = tempfile::tempdir().unwrap();
    let kinds = [
        ChartKind::Column,
        ChartKind::StackedColumn,
        ChartKind::Bar,
        ChartKind::Line,
        ChartKind::Area,
        ChartKind::Pie,
    ];
    for (rows, formula) in
        [(40, "'Ли ст'!$B$5:$B$44"), (6_000, "('Ли ст'!$B$5:$B$3004,'Ли ст'!$B$3005:$B$6004)")]
    {
        let mut book = book(folder.path());
        let all = numbers(rows);
        let charts: Vec<_> = kinds
            .iter()
            .map(|kind| chart(*kind, &["Звонки"]))
            .enumerate()
            .map(|(place, mut chart)| {
                chart.at = format!("D{}", 5 + 20 * place);
                chart
            })
            .collect();
        book.sheet("Ли ст", all.schema_ref(), &plain(), &charts).unwrap();
        book.write(&all).unwrap();
        let path = book.finish(RECORD).unwrap().path;
        let tags = [
            "<c:barChart>",
            "<c:overlap val=\"100\"/>",
            "<c:barDir val=\"bar\"/>",
            "<c:lineChart>",
            "<c:areaChart>",
            "<c:pieChart>",
        ];
        for (number, tag) in tags.iter().enumerate() {
            let xml = part(&path, &format!("xl/charts/chart{}.xml", number + 1));
            assert!(xml.contains(tag), "{tag}");
            assert!(xml.contains(&format!("<c:f>{formula}</c:f>")), "{xml}");
            assert!(xml.contains("По дням") && xml.contains("<c:v>Звонки</c:v>"), "{xml}");
            let copies = xml.matches("<c:pt ").count();
            assert!(if rows == 40 { copies >= 80 } else { copies < 3 }, "{copies} copies of {rows} rows");
        }
    }
}

#[test]
fn a_chart_never_covers_the_header() {
    let folder = tempfile::tempdir().unwrap();
    let mut book = book(folder.path());
    let rows = numbers(3);
    book.sheet("Лист", rows.schema_ref(), &plain(), &[chart(ChartKind::Column, &["Звонки"])]).unwrap();
    book.write(&rows).unwrap();
    let path = book.finish(RECORD).unwrap().path;
    let drawing = part(&path, "xl/drawings/drawing1.xml");
    assert!(
        drawing.contains("<xdr:from><xdr:col>3</xdr:col><xdr:colOff>0</xdr:colOff><xdr:row>4</xdr:row>"),
        "{drawing}"
    );
}

/// Name, columns, charts, and what the message says.
type Case = (&'static str, IndexMap<String, SheetColumn>, Vec<Chart>, &'static str);

#[test]
fn what_cannot_be_is_refused_before_rows() {
    let folder = tempfile::tempdir().unwrap();
    let rows = batch(vec![
        ("day", array(Date32Array::from(vec![1]))),
        ("name", array(StringArray::from(vec!["a"]))),
        ("Звонки", array(Int64Array::from(vec![1]))),
    ]);
    let column = |name: &str, column: SheetColumn| IndexMap::from([(name.to_owned(), column)]);
    let format = |format: &str| SheetColumn { format: Some(format.into()), ..SheetColumn::default() };
    let cases: Vec<Case> = vec![
        ("a/b", plain(), vec![], "must not contain '/'"),
        ("первый", plain(), vec![], "of this name already"),
        ("x", column("имя", SheetColumn::default()), vec![], "does not give the column \"имя\""),
        ("x", IndexMap::from([total("name", Total::Sum)]), vec![], "`sum` is for numbers"),
        ("x", column("Звонки", format("0\"")), vec![], "is not closed"),
        (
            "x",
            column("Звонки", SheetColumn { width: Some(0.0), ..SheetColumn::default() }),
            vec![],
            "a width",
        ),
        ("x", plain(), vec![chart(ChartKind::Line, &["нет"])], "the column \"нет\""),
        ("x", plain(), vec![chart(ChartKind::Line, &["name"])], "which is no number"),
        ("x", plain(), vec![chart(ChartKind::Line, &[])], "needs a column to draw"),
        (
            "x",
            plain(),
            vec![Chart { at: "2H".into(), ..chart(ChartKind::Line, &["Звонки"]) }],
            "such as \"H2\"",
        ),
    ];
    let mut book = book(folder.path());
    book.sheet("Первый", rows.schema_ref(), &plain(), &[]).unwrap();
    book.write(&rows).unwrap();
    for (name, columns, charts, expected) in cases {
        let error = book.sheet(name, rows.schema_ref(), &columns, &charts).unwrap_err();
        assert!(matches!(&error, Error::Spec { .. }) && error.to_string().contains(expected), "{error}");
    }
    let other = batch(vec![("day", array(Int64Array::from(vec![1])))]);
    book.sheet("Второй", rows.schema_ref(), &plain(), &[]).unwrap();
    assert!(matches!(book.write(&other), Err(Error::Rows { .. })));
}
