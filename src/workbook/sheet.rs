//! One sheet of a result: header, rows, totals, charts. Past Excel's last row it goes on in a further sheet.
//!
//! The first rows wait in memory. A result that ends within them (a dashboard) becomes an ordinary sheet, whose charts
//! keep copies of their values, so that viewers which compute nothing show them too. A longer one is streamed: rows go
//! to a scratch file, memory stays flat.

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, SchemaRef},
    error::ArrowError,
};
use indexmap::IndexMap;
use rust_xlsxwriter::{IgnoreError, Worksheet, XlsxError, column_number_to_name};

use super::{
    book::Frame,
    cell::Cells,
    chart,
    check::validate_sheet_name,
    column::{Column, MEASURED},
    error::{Error, Result},
    spec::{Chart, SheetColumn},
    style,
};

/// Rows of a result that wait in memory.
const WAITING_ROWS: usize = 5_000;
/// Their bytes.
const WAITING_BYTES: usize = 8 << 20;

/// The row of the columns' titles, from 0: above are title, period and an empty row.
const HEADER: u32 = 3;
/// The first row of the result.
const FIRST: u32 = HEADER + 1;
/// Rows of a sheet that cannot hold the result's: the header, and one for the totals or for "goes on in".
pub(super) const OVERHEAD: u32 = FIRST + 1;

/// Most columns of a sheet.
const COLUMNS: usize = 16_384;

/// A sheet that is being written.
pub(super) struct Sheet {
    name: String,
    types: Vec<DataType>,
    columns: Vec<Column>,
    charts: Vec<Chart>,
    waiting: Vec<(Vec<Cells>, usize)>,
    waiting_rows: usize,
    waiting_bytes: usize,
    seen: usize,
    written: u64,
    part: Option<Part>,
    done: Vec<Area>,
}

/// The Excel sheet that takes rows now.
struct Part {
    name: String,
    sheet: Worksheet,
    streamed: bool,
    /// The next free row.
    next: u32,
}

/// Rows in a sheet that is full, or finished.
struct Area {
    name: String,
    last: u32,
}

impl Sheet {
    /// Checks everything that can be checked before there are rows.
    pub(super) fn new(
        frame: &Frame,
        name: &str,
        schema: &SchemaRef,
        wishes: &IndexMap<String, SheetColumn>,
        charts: &[Chart],
    ) -> Result<Self> {
        let wrong = |what: String| Error::spec(name, what);
        validate_sheet_name(name).map_err(wrong)?;
        if frame.is_taken(name) {
            return Err(wrong("there is a sheet of this name already".into()));
        }
        if schema.fields().is_empty() || schema.fields().len() > COLUMNS {
            return Err(wrong(format!(
                "it has {} columns, a sheet has 1 to {COLUMNS}",
                schema.fields().len()
            )));
        }
        if let Some(unknown) = wishes.keys().find(|name| schema.field_with_name(name).is_err()) {
            return Err(wrong(format!("the query does not give the column \"{unknown}\"")));
        }
        let plain = SheetColumn::default();
        let column = |field: &arrow::datatypes::FieldRef| {
            Column::new(field, wishes.get(field.name()).unwrap_or(&plain), &frame.meta.labels)
        };
        let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        for chart in charts {
            chart::check(chart, &columns).map_err(wrong)?;
        }
        Ok(Self {
            name: name.to_owned(),
            types: schema.fields().iter().map(|field| field.data_type().clone()).collect(),
            columns,
            charts: charts.to_vec(),
            waiting: Vec::new(),
            waiting_rows: 0,
            waiting_bytes: 0,
            seen: 0,
            written: 0,
            part: None,
            done: Vec::new(),
        })
    }

    /// Takes rows.
    pub(super) fn write(&mut self, frame: &mut Frame, batch: &RecordBatch) -> Result<()> {
        let rows = |source| Error::Rows { sheet: self.name.clone(), source };
        let schema = batch.schema_ref();
        if !schema.fields().iter().map(|field| field.data_type()).eq(&self.types) {
            return Err(rows(ArrowError::SchemaError("other columns or types than at the beginning".into())));
        }
        let cells = batch.columns().iter().map(|array| Cells::of(array, frame.meta.zone));
        let cells = cells.collect::<Result<Vec<_>, _>>().map_err(rows)?;
        for (column, cells) in self.columns.iter_mut().zip(&cells) {
            column.measure(cells, MEASURED.saturating_sub(self.seen));
            if let Some(tally) = &mut column.tally {
                tally.add(cells);
            }
        }
        self.seen = self.seen.saturating_add(batch.num_rows());
        frame.count(batch);
        if self.part.is_some() {
            return self.write_rows(frame, &cells, batch.num_rows());
        }
        self.waiting.push((cells, batch.num_rows()));
        self.waiting_rows += batch.num_rows();
        self.waiting_bytes += batch.get_array_memory_size();
        if self.waiting_rows > WAITING_ROWS || self.waiting_bytes > WAITING_BYTES {
            self.begin(frame, true)?;
        }
        Ok(())
    }

    /// Totals, charts, widths: the sheet is complete.
    pub(super) fn finish(mut self, frame: &mut Frame) -> Result<()> {
        if self.part.is_none() {
            self.begin(frame, false)?;
        }
        let Some(mut part) = self.part.take() else { return Ok(()) };
        if self.written == 0 {
            part.sheet.write_string_with_format(FIRST, 0, &*frame.meta.labels.no_rows, &style::remark())?;
        } else {
            self.write_totals(frame, &mut part)?;
        }
        self.close(frame, part, self.written > 0)?;
        for column in &self.columns {
            frame.notes.extend(column.notes(&self.name));
        }
        if self.done.len() > 1 {
            let names: Vec<_> = self.done[1..].iter().map(|area| format!("\"{}\"", area.name)).collect();
            let (rows, names) = (self.written, names.join(", "));
            frame.notes.push(format!("sheet \"{}\" is full: its {rows} rows go on in {names}", self.name));
        }
        if !self.charts.is_empty() && (self.written == 0 || self.done.len() > 1) {
            let why =
                if self.written == 0 { "there are no rows" } else { "they show the rows of its first part" };
            frame.notes.push(format!("charts of sheet \"{}\": {why}", self.name));
        }
        Ok(())
    }

    /// Opens the first Excel sheet and writes what waited.
    fn begin(&mut self, frame: &mut Frame, streamed: bool) -> Result<()> {
        self.part = Some(self.open(frame, self.name.clone(), streamed)?);
        for (cells, rows) in std::mem::take(&mut self.waiting) {
            self.write_rows(frame, &cells, rows)?;
        }
        Ok(())
    }

    fn write_rows(&mut self, frame: &mut Frame, cells: &[Cells], rows: usize) -> Result<()> {
        let mut from = 0;
        while from < rows {
            self.make_room(frame)?;
            let Some(part) = &mut self.part else { return Ok(()) };
            let room = (frame.limit - 1 - part.next) as usize;
            let until = rows.min(from + room);
            for row in from..until {
                for (place, (column, cells)) in self.columns.iter_mut().zip(cells).enumerate() {
                    column
                        .write(&mut part.sheet, (part.next, place as u16), cells.cell(row))
                        .map_err(|error| cell_error(error, &self.name, &column.name, self.written + 1))?;
                }
                part.next += 1;
                self.written += 1;
            }
            from = until;
        }
        Ok(())
    }

    /// Where the sheet is full, closes it and goes on in a further one.
    fn make_room(&mut self, frame: &mut Frame) -> Result<()> {
        let full = |part: &mut Part| part.next >= frame.limit - 1;
        let Some(mut part) = self.part.take_if(full) else { return Ok(()) };
        let name = frame.further_name(&self.name, self.done.len() + 2);
        let words = format!("{} {}", frame.meta.labels.goes_on, frame.meta.labels.quoted(&name));
        part.sheet.write_string_with_format(part.next, 0, words, &style::remark())?;
        let streamed = part.streamed;
        self.close(frame, part, true)?;
        self.part = Some(self.open(frame, name, streamed)?);
        Ok(())
    }

    fn open(&self, frame: &mut Frame, name: String, streamed: bool) -> Result<Part> {
        let mut sheet =
            if streamed { frame.workbook.new_worksheet_with_constant_memory()? } else { Worksheet::new() };
        frame.take(&name);
        sheet.set_name(&name)?;
        for (place, column) in self.columns.iter().enumerate() {
            sheet.set_column_format(place as u16, &column.format)?;
        }
        sheet.set_row_height(0, 27)?;
        sheet.write_string_with_format(0, 0, &frame.meta.title, &style::title())?;
        let mut remark = frame.remark();
        if name != self.name {
            let labels = &frame.meta.labels;
            remark = format!("{} {} · {remark}", labels.continues, labels.quoted(&self.name));
        }
        sheet.write_string_with_format(1, 0, remark, &style::remark())?;
        sheet.set_row_height(2, 8)?;
        let lines = self.columns.iter().map(|column| column.header_lines).max().unwrap_or(1);
        sheet.set_row_height(HEADER, 6 + 15 * lines)?;
        for (place, column) in self.columns.iter().enumerate() {
            let format = style::header(column.nature == super::column::Nature::Text);
            sheet.write_string_with_format(HEADER, place as u16, &column.title, &format)?;
        }
        set_up_page(&mut sheet, &frame.meta.labels.page)?;
        Ok(Part { name, sheet, streamed, next: FIRST })
    }

    fn write_totals(&mut self, frame: &Frame, part: &mut Part) -> Result<()> {
        if self.columns.iter().all(|column| column.tally.is_none()) {
            return Ok(());
        }
        let row = part.next;
        let label = self.columns.iter().position(|column| column.tally.is_none());
        for (place, column) in self.columns.iter_mut().enumerate() {
            let at = (row, place as u16);
            let ranges = ranges(&self.done, part, place as u16);
            column.write_total(&mut part.sheet, at, &ranges)?;
            if column.tally.is_none() {
                let words = if label == Some(place) { &*frame.meta.labels.total } else { "" };
                part.sheet.write_string_with_format(
                    row,
                    place as u16,
                    words,
                    &style::total(&column.format),
                )?;
            }
        }
        Ok(())
    }

    /// What can be set once the rows are known. Charts stand on the first part.
    fn close(&mut self, frame: &mut Frame, mut part: Part, filled: bool) -> Result<()> {
        let last_column = self.columns.len() as u16 - 1;
        let last = part.next - 1;
        part.sheet.set_freeze_panes(FIRST, 0)?;
        for (place, column) in self.columns.iter().enumerate() {
            let place = place as u16;
            column.set_width(&mut part.sheet, place)?;
            if column.may_hold_numbers_as_text() && filled {
                let mark = IgnoreError::NumberStoredAsText;
                part.sheet.ignore_error_range(FIRST, place, part.next, place, mark)?;
            }
        }
        if filled {
            part.sheet.autofilter(HEADER, 0, last, last_column)?;
        }
        if filled && self.done.is_empty() {
            let rows = chart::Rows { sheet: &part.name, first: FIRST, last, kept: !part.streamed };
            for chart in &self.charts {
                chart::insert(&mut part.sheet, chart, &self.columns, &rows)?;
            }
        }
        frame.written.push((part.name.clone(), u64::from(part.next - FIRST)));
        frame.workbook.push_worksheet(part.sheet);
        self.done.push(Area { name: part.name, last });
        Ok(())
    }
}

/// The cells of a column over all parts, as a formula's arguments.
fn ranges(done: &[Area], part: &Part, column: u16) -> String {
    let letters = column_number_to_name(column);
    let cells = |last: u32| format!("{letters}{}:{letters}{}", FIRST + 1, last + 1);
    let before = done.iter().map(|area| format!("'{}'!{}", area.name.replace('\'', "''"), cells(area.last)));
    before.chain([cells(part.next - 1)]).collect::<Vec<_>>().join(",")
}

/// Paper: landscape A4, all columns on a page's width, the header on every page.
fn set_up_page(sheet: &mut Worksheet, page: &str) -> Result<(), XlsxError> {
    sheet.set_landscape().set_paper_size(9).set_print_fit_to_pages(1, 0);
    sheet.set_margins(0.4, 0.4, 0.5, 0.6, 0.3, 0.3);
    sheet.set_repeat_rows(HEADER, HEADER)?;
    sheet.set_footer(format!("&L&9&A&R&9{page}"));
    Ok(())
}

fn cell_error(error: XlsxError, sheet: &str, column: &str, row: u64) -> Error {
    match error {
        XlsxError::MaxStringLengthExceeded => {
            Error::CellTooLong { sheet: sheet.to_owned(), column: column.to_owned(), row }
        }
        other => other.into(),
    }
}
