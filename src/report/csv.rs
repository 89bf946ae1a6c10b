//! CSV for people. In Russian as Excel in Russian opens it by a double click: a byte order mark, semicolons, decimal commas, `31.01.2026`;
//! in English with commas, points and ISO days. A text that a spreadsheet would take for a formula gets an apostrophe before it.

use std::io::{self, Write};

use arrow::{array::RecordBatch, error::ArrowError};
use chrono_tz::Tz;

use super::{
    cell::Cell,
    format,
    rows::{ColumnInfo, Values},
};
use crate::{bot::words::Words, config::project::Language};

/// So that Excel reads UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Writes rows.
pub(super) struct CsvWriter<W: Write> {
    inner: csv::Writer<W>,
    words: Words,
    zone: Tz,
}

impl<W: Write> CsvWriter<W> {
    /// Begins with a header.
    pub(super) fn new(mut target: W, columns: &[ColumnInfo], words: &Words, zone: Tz) -> io::Result<Self> {
        target.write_all(MARK)?;
        let separator = match words.language() {
            Language::Ru => b';',
            Language::En => b',',
        };
        let mut inner = csv::WriterBuilder::new()
            .delimiter(separator)
            .terminator(csv::Terminator::CRLF)
            .from_writer(target);
        inner.write_record(columns.iter().map(|column| harmless(&column.title))).map_err(io::Error::from)?;
        Ok(Self { inner, words: words.clone(), zone })
    }

    /// Takes rows.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), io::Error> {
        let values = batch.columns().iter().map(|column| Values::of(column, self.zone));
        let values = values.collect::<Result<Vec<_>, ArrowError>>().map_err(io::Error::other)?;
        for row in 0..batch.num_rows() {
            for column in &values {
                self.inner.write_field(self.spelled(&column.cell(row))).map_err(io::Error::from)?;
            }
            self.inner.write_record(None::<&[u8]>).map_err(io::Error::from)?;
        }
        Ok(())
    }

    /// What it writes to.
    pub(super) fn target(&self) -> &W {
        self.inner.get_ref()
    }

    /// All rows were taken.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.inner.flush()?;
        self.inner.into_inner().map_err(|error| io::Error::other(error.to_string()))
    }

    fn spelled(&self, cell: &Cell) -> String {
        match cell {
            Cell::Empty => String::new(),
            Cell::Decimal { scale, .. } => self.comma(format::plain(cell, *scale)),
            Cell::Float(value) if value.is_finite() => self.comma(value.to_string()),
            Cell::Float(_) => String::new(),
            Cell::Date(_) | Cell::Moment(_) | Cell::Bool(_) => format::shown(cell, None, &self.words),
            Cell::Text(text) => harmless(text),
        }
    }

    fn comma(&self, number: String) -> String {
        match self.words.language() {
            Language::Ru => number.replace('.', ","),
            Language::En => number,
        }
    }
}

/// A text that no spreadsheet computes.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Decimal128Array, Float64Array, StringArray};

    use super::{super::rows::tests::rows_of, *};

    fn written(language: Language) -> String {
        let rows = rows_of(vec![
            ("t", Arc::new(StringArray::from(vec![Some("=1+1"), Some("а;\"б\"\nв"), None]))),
            (
                "d",
                Arc::new(
                    Decimal128Array::from(vec![Some(-150), Some(7), None])
                        .with_precision_and_scale(9, 2)
                        .unwrap(),
                ),
            ),
            ("f", Arc::new(Float64Array::from(vec![0.5, f64::NAN, -1e-7]))),
            ("day", Arc::new(Date32Array::from(vec![20_454, 0, 1]))),
        ]);
        let info = |name: &str| ColumnInfo {
            name: name.into(),
            title: format!("@{name}"),
            format: None,
            number: false,
        };
        let columns = ["t", "d", "f", "day"].map(info);
        let mut writer =
            CsvWriter::new(Vec::new(), &columns, &Words::plain(language), chrono_tz::UTC).unwrap();
        rows.batches.iter().for_each(|batch| writer.write(batch).unwrap());
        String::from_utf8(writer.finish().unwrap()).unwrap()
    }

    #[test]
    fn excel_in_russian_reads_it() {
        let expected = "\u{feff}'@t;'@d;'@f;'@day\r\n'=1+1;-1,50;0,5;01.01.2026\r\n\"а;\"\"б\"\"\nв\";0,07;;01.01.1970\r\n;;-0,0000001;02.01.1970\r\n";
        assert_eq!(written(Language::Ru), expected);
    }

    #[test]
    fn others_read_the_other() {
        assert!(
            written(Language::En).starts_with("\u{feff}'@t,'@d,'@f,'@day\r\n'=1+1,-1.50,0.5,2026-01-01\r\n")
        );
    }
}
