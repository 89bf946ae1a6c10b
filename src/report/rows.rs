//! What is kept of a report's rows: the first of them, bounded, and over all of them a count and sums. Rows come as a stream and go by.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
        RecordBatch,
    },
    compute::cast,
    datatypes::{DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, SchemaRef},
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;

use super::cell::{Cell, Sum};
use crate::{
    config::{
        bot::{Format, Report},
        project::Language,
    },
    model::{time::date_from_days, value::Tick},
};

/// Rows that are kept for charts, tables and texts.
pub const KEPT_ROWS: usize = 20_000;
/// Bytes that they may have.
pub const KEPT_BYTES: usize = 16 << 20;
/// Letters of a column's first and last text that are kept.
const TALLY_LETTERS: usize = 1_000;

/// A column of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnInfo {
    /// In the query.
    pub name: String,
    /// As people read it.
    pub title: String,
    /// How its values are written; as their type is, unless told.
    pub format: Option<Format>,
    /// Whether its type is a number's.
    pub number: bool,
}

/// The rows of one execution.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The columns, as the query gives them.
    pub schema: SchemaRef,
    /// The first rows.
    pub batches: Vec<RecordBatch>,
    /// Whether these are all.
    pub complete: bool,
    /// All rows.
    pub count: u64,
    /// Over all rows, column by column.
    pub tallies: Vec<Tally>,
    kept: usize,
    bytes: usize,
    zone: Tz,
}

/// What is known of a column over all rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// Values that are not NULL.
    pub count: u64,
    pub(super) sum: Sum,
    /// The least; empty where there is none.
    pub least: Cell,
    /// The most; empty where there is none.
    pub most: Cell,
    /// Of the first row that has one.
    pub first: Cell,
    /// Of the last row that has one.
    pub last: Cell,
}

impl Default for Tally {
    fn default() -> Self {
        let [least, most, first, last] = [const { Cell::Empty }; 4];
        Self { count: 0, sum: Sum::Nothing, least, most, first, last }
    }
}

impl Tally {
    /// The sum; empty where there was no number.
    pub fn sum(&self) -> Cell {
        self.sum.cell()
    }

    /// The mean of what is not NULL.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| Some(self.sum().number()? / self.count as f64)).flatten()
    }

    fn add(&mut self, values: &Values) {
        let array = values.array();
        self.count += (array.len() - array.null_count()) as u64;
        let known = |row: &usize| array.is_valid(*row);
        if self.first == Cell::Empty
            && let Some(row) = (0..array.len()).find(known)
        {
            self.first = bounded(values.cell(row));
        }
        if let Some(row) = (0..array.len()).rev().find(known) {
            self.last = bounded(values.cell(row));
        }
        // Texts have neither a sum nor an end.
        if matches!(values, Values::Bool(_) | Values::Text(_)) {
            return;
        }
        for row in (0..array.len()).filter(known) {
            let cell = values.cell(row);
            self.sum = self.sum.add(&cell);
            if self.least == Cell::Empty || cell.order(&self.least).is_lt() {
                self.least = cell.clone();
            }
            if self.most == Cell::Empty || cell.order(&self.most).is_gt() {
                self.most = cell;
            }
        }
    }
}

/// A cell of which no more is kept than a text can show.
fn bounded(cell: Cell) -> Cell {
    match cell {
        Cell::Text(text) if text.len() > TALLY_LETTERS => Cell::Text(super::table::cut(&text, TALLY_LETTERS)),
        other => other,
    }
}

impl Rows {
    /// None yet; instants are shown in `zone`.
    pub fn new(schema: SchemaRef, zone: Tz) -> Self {
        let tallies = vec![Tally::default(); schema.fields().len()];
        Self { schema, batches: vec![], complete: true, count: 0, tallies, kept: 0, bytes: 0, zone }
    }

    /// Takes rows.
    pub fn take(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.count += batch.num_rows() as u64;
        for (tally, column) in self.tallies.iter_mut().zip(batch.columns()) {
            tally.add(&Values::of(column, self.zone)?);
        }
        if !self.complete {
            return Ok(());
        }
        let room = batch.num_rows().min(KEPT_ROWS - self.kept);
        let kept = self.fitting(batch, room);
        self.complete = kept == batch.num_rows();
        if kept > 0 {
            let part = batch.slice(0, kept);
            self.bytes += bytes(&part);
            self.kept += kept;
            self.batches.push(part);
        }
        Ok(())
    }

    /// Rows of a batch, at most `room`, that still fit into the bytes.
    fn fitting(&self, batch: &RecordBatch, room: usize) -> usize {
        let mut rows = room;
        while rows > 0 && self.bytes + bytes(&batch.slice(0, rows)) > KEPT_BYTES {
            rows /= 2;
        }
        rows
    }

    /// Rows that are kept.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// The place of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.schema.index_of(name).ok()
    }

    /// The first values of a column.
    pub fn cells(&self, column: usize, most: usize) -> Result<Vec<Cell>, ArrowError> {
        let mut cells = vec![];
        for batch in &self.batches {
            let values = Values::of(&batch.columns()[column], self.zone)?;
            let room = batch.num_rows().min(most - cells.len());
            cells.extend((0..room).map(|row| values.cell(row)));
        }
        Ok(cells)
    }

    /// The columns as a report calls them.
    pub fn infos(&self, report: &Report, language: Language) -> Vec<ColumnInfo> {
        let info = |field: &Arc<arrow::datatypes::Field>| {
            let look = report.columns.get(field.name());
            let title = look.and_then(|look| look.title.as_ref()).map(|title| title.get(language).to_owned());
            ColumnInfo {
                name: field.name().clone(),
                title: title.unwrap_or_else(|| field.name().clone()),
                format: look.and_then(|look| look.format),
                number: is_number(field.data_type()),
            }
        };
        self.schema.fields().iter().map(info).collect()
    }

    /// Bytes in memory, as a cache counts them.
    pub fn size(&self) -> usize {
        let text = |cell: &Cell| if let Cell::Text(text) = cell { text.capacity() } else { 0 };
        let tallies: usize = self.tallies.iter().map(|tally| text(&tally.first) + text(&tally.last)).sum();
        self.bytes + tallies + self.tallies.len() * size_of::<Tally>() + 4_096
    }
}

fn bytes(batch: &RecordBatch) -> usize {
    let size = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(usize::MAX / 64);
    batch.columns().iter().map(size).sum()
}

fn is_number(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, value) => is_number(value),
        kind => kind.is_numeric(),
    }
}

/// A column of a batch, in one of the shapes that cells are made of.
pub(super) enum Values {
    Bool(BooleanArray),
    Decimal(Decimal128Array, u8),
    Float(Float64Array),
    Date(Date32Array),
    Moment(Int64Array, Tick, Option<Tz>),
    /// Anything else, as Arrow displays it.
    Text(ArrayRef),
}

impl Values {
    /// Casts a column; instants are shown in `zone`.
    pub(super) fn of(array: &ArrayRef, zone: Tz) -> Result<Self, ArrowError> {
        let to = |kind: &DataType| cast(array, kind);
        Ok(match array.data_type() {
            DataType::Dictionary(_, value) => return Self::of(&to(value)?, zone),
            DataType::Boolean => Self::Bool(array.as_boolean().clone()),
            kind if kind.is_integer() => {
                Self::Decimal(to(&DataType::Decimal128(38, 0))?.as_primitive::<Decimal128Type>().clone(), 0)
            }
            DataType::Decimal128(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal32(_, scale)
                if (0..=38).contains(scale) =>
            {
                let wide = to(&DataType::Decimal128(38, *scale))?;
                Self::Decimal(wide.as_primitive::<Decimal128Type>().clone(), scale.unsigned_abs())
            }
            // The shortest number that a float32 stands for: 0.1, not 0.10000000149.
            DataType::Float32 => {
                let text = to(&DataType::Utf8)?;
                Self::Float(cast(&text, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
            }
            kind if kind.is_numeric() => {
                Self::Float(to(&DataType::Float64)?.as_primitive::<Float64Type>().clone())
            }
            DataType::Date32 | DataType::Date64 => {
                Self::Date(to(&DataType::Date32)?.as_primitive::<Date32Type>().clone())
            }
            DataType::Timestamp(unit, with_zone) => {
                let ticks = to(&DataType::Int64)?.as_primitive::<Int64Type>().clone();
                Self::Moment(ticks, Tick::from(*unit), with_zone.as_ref().map(|_| zone))
            }
            _ => Self::Text(Arc::clone(array)),
        })
    }

    pub(super) fn array(&self) -> &dyn Array {
        match self {
            Self::Bool(array) => array,
            Self::Decimal(array, _) => array,
            Self::Float(array) => array,
            Self::Date(array) => array,
            Self::Moment(array, ..) => array,
            Self::Text(array) => array,
        }
    }

    pub(super) fn cell(&self, row: usize) -> Cell {
        if self.array().is_null(row) {
            return Cell::Empty;
        }
        match self {
            Self::Bool(array) => Cell::Bool(array.value(row)),
            Self::Decimal(array, scale) => Cell::Decimal { unscaled: array.value(row), scale: *scale },
            Self::Float(array) => Cell::Float(array.value(row)),
            Self::Date(array) => Cell::Date(date_from_days(array.value(row))),
            Self::Moment(array, unit, zone) => moment(array.value(row), *unit, *zone),
            Self::Text(array) => Cell::Text(text(array, row)),
        }
    }
}

/// As the clocks of a zone show it; a wall-clock time where there is none.
fn moment(ticks: i64, unit: Tick, zone: Option<Tz>) -> Cell {
    let seconds = ticks.div_euclid(unit.per_second());
    let Some(time) = DateTime::from_timestamp(seconds, 0) else { return Cell::Text(ticks.to_string()) };
    Cell::Moment(match zone {
        Some(zone) => zone.from_utc_datetime(&time.naive_utc()).naive_local(),
        None => time.naive_utc(),
    })
}

fn text(array: &ArrayRef, row: usize) -> String {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).to_owned(),
        DataType::Utf8View => array.as_string_view().value(row).to_owned(),
        _ => ArrayFormatter::try_new(array.as_ref(), &FormatOptions::default())
            .and_then(|formatter| formatter.value(row).try_to_string())
            .unwrap_or_default(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use arrow::{
        array::{Float32Array, StringArray, TimestampMillisecondArray, UInt64Array},
        datatypes::{Field, Schema},
    };

    use super::*;

    pub(in crate::report) fn rows_of(columns: Vec<(&str, ArrayRef)>) -> Rows {
        let fields: Vec<Field> =
            columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let batch =
            RecordBatch::try_new(schema.clone(), columns.into_iter().map(|(_, array)| array).collect())
                .unwrap();
        let mut rows = Rows::new(schema, chrono_tz::Europe::Moscow);
        rows.take(&batch).unwrap();
        rows
    }

    #[test]
    fn cells_are_what_was_there() {
        let decimals = Decimal128Array::from(vec![Some(150), None]).with_precision_and_scale(12, 2).unwrap();
        let rows = rows_of(vec![
            ("d", Arc::new(decimals)),
            ("u", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
            ("f", Arc::new(Float32Array::from(vec![Some(0.1), Some(f32::NAN)]))),
            ("t", Arc::new(StringArray::from(vec![Some("<b>"), None]))),
            ("m", Arc::new(TimestampMillisecondArray::from(vec![Some(0), None]).with_timezone("UTC"))),
        ]);
        let first = |column: usize| rows.cells(column, 1).unwrap().remove(0);
        assert_eq!(first(0), Cell::Decimal { unscaled: 150, scale: 2 });
        assert_eq!(first(1), Cell::int(u64::MAX));
        assert_eq!((first(2), first(3)), (Cell::Float(0.1), Cell::Text("<b>".into())));
        assert!(matches!(first(4), Cell::Moment(at) if at.to_string() == "1970-01-01 03:00:00"));
        assert_eq!(rows.cells(0, 9).unwrap()[1], Cell::Empty);
    }

    #[test]
    fn sums_go_over_all_rows_and_only_the_first_are_kept() {
        let numbers: Vec<i64> = (0..30_000).collect();
        let mut rows = rows_of(vec![("n", Arc::new(Int64Array::from(numbers.clone())))]);
        rows.take(
            &RecordBatch::try_new(
                rows.schema.clone(),
                vec![Arc::new(Int64Array::from(vec![None, Some(-5)]))],
            )
            .unwrap(),
        )
        .unwrap();
        assert_eq!((rows.count, rows.kept(), rows.complete), (30_002, KEPT_ROWS, false));
        let tally = &rows.tallies[0];
        assert_eq!(tally.sum(), Cell::int(30_000i64 * 29_999 / 2 - 5));
        assert_eq!((tally.count, &tally.least, &tally.most), (30_001, &Cell::int(-5), &Cell::int(29_999)));
        assert_eq!((&tally.first, &tally.last), (&Cell::int(0), &Cell::int(-5)));
    }

    #[test]
    fn a_huge_cell_is_not_kept() {
        let huge = "x".repeat(KEPT_BYTES + 1);
        let rows = rows_of(vec![("t", Arc::new(StringArray::from(vec![huge.as_str()])))]);
        assert_eq!((rows.count, rows.kept(), rows.complete), (1, 0, false));
        let Cell::Text(first) = &rows.tallies[0].first else { panic!("{:?}", rows.tallies[0].first) };
        assert!(first.chars().count() == TALLY_LETTERS && first.ends_with("x…"), "{}", first.len());
        assert!((2 * TALLY_LETTERS..16_384).contains(&rows.size()), "{}", rows.size());
    }
}
