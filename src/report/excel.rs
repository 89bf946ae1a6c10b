//! The rows of a report as a workbook of one sheet.

use std::path::Path;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use indexmap::IndexMap;

use super::rows::ColumnInfo;
use crate::{
    bot::words::Words,
    config::{
        bot::{Format, Report, Show},
        project::Language,
    },
    model::time::Period,
    workbook::{
        Book, BookMeta, Labels, Result,
        spec::{SheetColumn, Total, total_fits},
    },
};

/// What stands around the rows.
#[derive(Debug, Clone)]
pub(super) struct ExcelMeta {
    pub(super) title: String,
    pub(super) words: Words,
    pub(super) zone: Tz,
    pub(super) period: Option<Period>,
    pub(super) now: DateTime<Utc>,
    /// Columns with a total.
    pub(super) totals: Vec<String>,
}

impl ExcelMeta {
    /// Of a report.
    pub(super) fn of(
        report: &Report,
        words: &Words,
        zone: Tz,
        period: Option<Period>,
        now: DateTime<Utc>,
    ) -> Self {
        let totals = report.show.iter().filter_map(|show| match show {
            Show::Table(table) => Some(table.total.clone()),
            _ => None,
        });
        let title: String = report.title.get(words.language()).chars().take(120).collect();
        Self { title, words: words.clone(), zone, period, now, totals: totals.flatten().collect() }
    }
}

/// Begins a workbook with one sheet of these columns.
pub(super) fn begin(
    file: &Path,
    scratch: &Path,
    meta: &ExcelMeta,
    schema: &SchemaRef,
    columns: &[ColumnInfo],
) -> Result<Book> {
    let book = BookMeta {
        title: meta.title.clone(),
        labels: labels(&meta.words),
        generated_at: meta.now,
        zone: meta.zone,
        period: meta.period,
        scratch: scratch.to_owned(),
    };
    let mut book = Book::create(file, book)?;
    let looks: IndexMap<String, SheetColumn> = columns
        .iter()
        .zip(schema.fields())
        .map(|(info, field)| {
            let summed =
                meta.totals.contains(&info.name) && total_fits(Total::Sum, field.data_type()).is_ok();
            let look = SheetColumn {
                title: Some(info.title.clone()),
                format: info.format.filter(|_| info.number).and_then(number_format).map(str::to_owned),
                total: summed.then_some(Total::Sum),
                width: None,
            };
            (info.name.clone(), look)
        })
        .collect();
    book.sheet(meta.words.excel_sheet(), schema, &looks, &[])?;
    Ok(book)
}

/// What the workbook itself says.
fn labels(words: &Words) -> Labels {
    let of_language = match words.language() {
        Language::Ru => Labels::RUSSIAN,
        Language::En => Labels::ENGLISH,
    };
    let own = |text: &str| text.to_owned().into();
    Labels {
        generated: own(words.excel_generated()),
        period: own(words.excel_period()),
        total: own(words.excel_total()),
        no_rows: own(words.excel_no_rows()),
        goes_on: own(words.excel_goes_on()),
        continues: own(words.excel_continues()),
        page: own(words.excel_page()),
        ..of_language
    }
}

/// Takes rows.
pub(super) fn write(book: &mut Book, batch: &RecordBatch) -> Result<()> {
    book.write(batch)
}

/// As Excel writes such numbers.
fn number_format(format: Format) -> Option<&'static str> {
    match format {
        Format::Rub => Some("#,##0.00\" ₽\""),
        Format::Percent => Some("0.0%"),
        Format::Whole => Some("#,##0"),
        Format::Text => Some("0"),
        Format::Number | Format::Date | Format::Month => None,
    }
}
