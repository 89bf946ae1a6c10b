//! Workbooks, read back by another library.

mod cells;
mod durable;
mod sheets;

use std::{path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::SchemaRef,
};
use calamine::{Data, Range, Reader, Xlsx, open_workbook};
use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use vitrina::{
    model::time::Period,
    workbook::{
        Book, BookMeta, Labels,
        spec::{SheetColumn, Total},
    },
};

/// What a workbook remembers.
const RECORD: &str = r#"{"seq":"7","источник":"<a & b>"}"#;

/// Rows above the first one of the result.
const ABOVE: usize = 4;

fn meta(folder: &Path) -> BookMeta {
    let generated_at: DateTime<Utc> = "2026-11-21T05:00:00Z".parse().unwrap();
    BookMeta {
        title: "Действия CRM: Центр".into(),
        labels: Labels::RUSSIAN,
        generated_at,
        zone: chrono_tz::Europe::Moscow,
        period: Period::parse("2026-10", generated_at.date_naive()),
        scratch: folder.join("scratch"),
    }
}

fn book(folder: &Path) -> Book {
    Book::create(&folder.join("book.xlsx"), meta(folder)).unwrap()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

fn array(array: impl arrow::array::Array + 'static) -> ArrayRef {
    Arc::new(array)
}

fn plain() -> IndexMap<String, SheetColumn> {
    IndexMap::new()
}

fn total(name: &str, total: Total) -> (String, SheetColumn) {
    (name.to_owned(), SheetColumn { total: Some(total), ..SheetColumn::default() })
}

/// One sheet of one batch, read back.
fn written(
    folder: &Path,
    rows: &RecordBatch,
    columns: &IndexMap<String, SheetColumn>,
) -> (Vec<String>, Opened) {
    let mut book = book(folder);
    book.sheet("Лист", rows.schema_ref(), columns, &[]).unwrap();
    book.write(rows).unwrap();
    let written = book.finish(RECORD).unwrap();
    (written.notes, Opened::at(&written.path))
}

/// A workbook that calamine opened.
struct Opened {
    file: Xlsx<std::io::BufReader<std::fs::File>>,
}

impl Opened {
    fn at(path: &Path) -> Self {
        Self { file: open_workbook(path).unwrap() }
    }

    fn range(&mut self, sheet: &str) -> Range<Data> {
        self.file.worksheet_range(sheet).unwrap()
    }

    /// The cell of a row of the result.
    fn cell(&mut self, sheet: &str, row: usize, column: usize) -> Data {
        let at = ((row + ABOVE) as u32, column as u32);
        self.range(sheet).get_value(at).cloned().unwrap_or(Data::Empty)
    }

    fn formula(&mut self, sheet: &str, row: usize, column: usize) -> String {
        let formulas = self.file.worksheet_formula(sheet).unwrap();
        formulas.get_value(((row + ABOVE) as u32, column as u32)).cloned().unwrap_or_default()
    }
}

/// A part of the file, as text.
fn part(path: &Path, name: &str) -> String {
    use std::io::Read;
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut text = String::new();
    archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
    text
}

fn schema_of(rows: &RecordBatch) -> &SchemaRef {
    rows.schema_ref()
}
