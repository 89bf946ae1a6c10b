//! A workbook of 1,000,000 rows × 10 columns by Vitrina, and as a floor by bare `rust_xlsxwriter`, taken in turns.
//!
//!     cargo bench --bench workbook [-- ROWS ROUNDS]

use std::{path::Path, sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::DataType,
};
use rust_xlsxwriter::{Format, FormatAlign, Workbook};
use vitrina::workbook::{Book, BookMeta, Labels};

/// As the program has it: what the process takes is measured.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const BATCH: usize = 8_192;
/// Days between Excel's day 0 and 1970-01-01.
const EXCEL_EPOCH: i32 = 25_569;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let rows = numbers.next().unwrap_or(1_000_000);
    let rounds = numbers.next().unwrap_or(3);
    let batches: Vec<RecordBatch> =
        (0..rows).step_by(BATCH).map(|start| batch(start, BATCH.min(rows - start))).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut ours, mut floor) = (vec![], vec![]);
    for _ in 0..rounds {
        ours.push(timed(|| by_vitrina(&batches, folder.path())));
        floor.push(timed(|| by_hand(&batches, folder.path())));
    }
    let (ours, floor) = (median(ours), median(floor));
    println!(
        "{rows} rows x 10 columns: vitrina {ours:.2} s, bare rust_xlsxwriter {floor:.2} s, ratio {:.3}",
        ours / floor
    );
}

fn timed(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64()
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn batch(start: usize, rows: usize) -> RecordBatch {
    let range = || (start as i64)..((start + rows) as i64);
    let text = |name: &'static str| -> ArrayRef {
        Arc::new(range().map(|i| Some(format!("{name} {}", i % 1000))).collect::<StringArray>())
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(range().collect::<Vec<_>>().into_iter().map(Some).collect::<Int64Array>())),
        ("day", Arc::new(range().map(|i| Some(20_000 + (i % 365) as i32)).collect::<Date32Array>())),
        ("manager", text("Менеджер")),
        ("region", text("Регион")),
        ("calls", Arc::new(range().map(|i| Some(i % 97)).collect::<Int64Array>())),
        ("leads", Arc::new(range().map(|i| Some(i % 31)).collect::<Int64Array>())),
        ("amount", Arc::new(range().map(|i| Some(i as f64 * 0.37)).collect::<Float64Array>())),
        ("share", Arc::new(range().map(|i| Some((i % 100) as f64 / 100.0)).collect::<Float64Array>())),
        ("clients", Arc::new(range().map(|i| Some(i % 5000)).collect::<Int64Array>())),
        ("note", text("Примечание")),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn by_vitrina(batches: &[RecordBatch], folder: &Path) {
    let meta = BookMeta {
        title: "Bench".to_owned(),
        labels: Labels::ENGLISH,
        generated_at: chrono::DateTime::UNIX_EPOCH,
        zone: chrono_tz::Tz::UTC,
        period: None,
        scratch: folder.join("scratch"),
    };
    let mut book = Book::create(&folder.join("ours.xlsx"), meta).expect("a workbook");
    book.sheet("Rows", &batches[0].schema(), &indexmap::IndexMap::new(), &[]).expect("a sheet");
    for batch in batches {
        book.write(batch).expect("rows");
    }
    book.finish("{}").expect("a file");
}

/// What a script would do: the same cells and formats, the same memory mode, nothing around them.
fn by_hand(batches: &[RecordBatch], folder: &Path) {
    let mut workbook = Workbook::new();
    workbook.set_tempdir(folder).expect("a temporary folder");
    workbook.set_zip_compression_level(3);
    let sheet = workbook.add_worksheet_with_constant_memory().expect("a sheet");
    for (column, field) in batches[0].schema().fields().iter().enumerate() {
        let format = match field.data_type() {
            DataType::Int64 => Format::new().set_num_format("#,##0"),
            DataType::Float64 => Format::new().set_num_format("#,##0.00"),
            DataType::Date32 => Format::new().set_num_format("yyyy-mm-dd"),
            _ => Format::new().set_align(FormatAlign::Left).set_indent(1),
        };
        sheet.set_column_format(column as u16, &format).expect("a format");
        sheet.write_string(0, column as u16, field.name()).expect("a header");
    }
    let mut row = 1;
    for batch in batches {
        for index in 0..batch.num_rows() {
            for (column, array) in batch.columns().iter().enumerate() {
                write_cell(sheet, row, column as u16, array, index);
            }
            row += 1;
        }
    }
    workbook.save(folder.join("bare.xlsx")).expect("a file");
}

fn write_cell(sheet: &mut rust_xlsxwriter::Worksheet, row: u32, column: u16, array: &ArrayRef, index: usize) {
    use arrow::array::AsArray;
    use arrow::datatypes::{Date32Type, Float64Type, Int64Type};
    let number = match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().value(index) as f64,
        DataType::Float64 => array.as_primitive::<Float64Type>().value(index),
        DataType::Date32 => f64::from(array.as_primitive::<Date32Type>().value(index) + EXCEL_EPOCH),
        _ => {
            sheet.write_string(row, column, array.as_string::<i32>().value(index)).expect("a cell");
            return;
        }
    };
    sheet.write_number(row, column, number).expect("a cell");
}
