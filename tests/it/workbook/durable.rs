//! The file in its folder: whole or not at all, with its record.

use std::{
    fs,
    process::{Command, Stdio},
};

use arrow::array::Int64Array;
use vitrina::workbook::{Error, read_record};

use super::*;

/// Names the folder in which the child process writes.
const CHILD: &str = "VITRINA_TEST_WORKBOOK";

fn rows(value: i64) -> RecordBatch {
    batch(vec![("n", array(Int64Array::from(vec![value])))])
}

fn write(folder: &Path, value: i64) {
    let (_, _) = written(folder, &rows(value), &plain());
}

fn value(folder: &Path) -> Data {
    Opened::at(&folder.join("book.xlsx")).cell("Лист", 0, 0)
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Not a test of its own: what [`a_killed_writer_leaves_the_old_file_or_the_new_one`] kills.
#[test]
fn child_writes() {
    if let Some(folder) = std::env::var_os(CHILD) {
        write(Path::new(&folder), 2);
    }
}

#[test]
fn a_killed_writer_leaves_the_old_file_or_the_new_one() {
    let cases =
        [("workbook.write.after", 1.0), ("workbook.rename.before", 1.0), ("workbook.rename.after", 2.0)];
    for (point, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 1);
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["workbook::durable::child_writes", "--exact"])
            .env(CHILD, folder.path())
            .env(vitrina::failpoint::VARIABLE, point)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(!status.success(), "{point} is never passed");
        assert_eq!(value(folder.path()), Data::Float(expected), "{point}");
        let left_over = files(folder.path()).iter().any(|name| name.starts_with(".book.xlsx."));
        assert_eq!(left_over, point != "workbook.rename.after", "{point}: {:?}", files(folder.path()));
        write(folder.path(), 3);
        assert_eq!(value(folder.path()), Data::Float(3.0));
        assert_eq!(files(folder.path()), ["book.xlsx", "scratch"], "the next writer clears up");
    }
}

#[test]
fn a_dropped_book_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 1);
    let mut dropped = book(folder.path());
    dropped.sheet("Лист", rows(2).schema_ref(), &plain(), &[]).unwrap();
    dropped.write(&rows(2)).unwrap();
    assert_eq!(files(folder.path()).len(), 3);
    // A second writer does not take the first one's file for a left-over.
    drop(book(folder.path()));
    assert_eq!(files(folder.path()).len(), 3);
    drop(dropped);
    assert_eq!(files(folder.path()), ["book.xlsx", "scratch"]);
    assert_eq!(files(&folder.path().join("scratch")), Vec::<String>::new());
    assert_eq!(value(folder.path()), Data::Float(1.0));
}

#[test]
fn the_record_is_kept_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.xlsx");
    assert_eq!(read_record(&path).unwrap(), None);
    let record = format!("{{\"ключ\":\"{}\"}}", "<&>\"'💳_x0041_ ".repeat(200));
    let mut book = Book::create(&path, meta(folder.path())).unwrap();
    book.sheet("Лист", rows(1).schema_ref(), &plain(), &[]).unwrap();
    book.finish(&record).unwrap();
    assert_eq!(read_record(&path).unwrap(), Some(record));
    let foreign = folder.path().join("foreign.xlsx");
    let mut workbook = rust_xlsxwriter::Workbook::new();
    workbook.add_worksheet();
    workbook.save(&foreign).unwrap();
    assert_eq!(read_record(&foreign).unwrap(), None);
    fs::write(&path, b"PK no workbook").unwrap();
    assert!(matches!(read_record(&path), Err(Error::Corrupt { .. })));
    let cut = fs::read(&foreign).unwrap();
    fs::write(&foreign, &cut[..cut.len() / 2]).unwrap();
    assert!(matches!(read_record(&foreign), Err(Error::Corrupt { .. })));
}

#[test]
fn a_place_that_cannot_be_written_is_known_at_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), b"").unwrap();
    let below_a_file = folder.path().join("file/book.xlsx");
    let Err(error) = Book::create(&below_a_file, meta(folder.path())) else { panic!("made below a file") };
    assert!(error.io().is_some() && error.to_string().contains("file/book.xlsx"), "{error}");
    let nested = folder.path().join("a/b/book.xlsx");
    let mut made = Book::create(&nested, meta(folder.path())).unwrap();
    made.sheet("Лист", rows(1).schema_ref(), &plain(), &[]).unwrap();
    assert_eq!(made.finish(RECORD).unwrap().path, nested);
}

#[test]
#[cfg(unix)]
fn others_may_read_the_file_as_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 1);
    let plain = folder.path().join("plain");
    fs::write(&plain, b"").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&folder.path().join("book.xlsx")), mode(&plain));
}
