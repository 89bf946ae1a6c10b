//! Dynamically typed cells become Arrow columns: what SQLite rows, dead letters and JSON have in common.
//!
//! A row is taken whole or not at all. A cell that does not fit its column makes its row a [`BadRow`]; it never
//! becomes NULL in silence, and it is never rounded.
//!
//! | column | is read from |
//! |---|---|
//! | `bool` | true and false; 0 and 1, also as text; the texts `true` and `false` |
//! | `int*`, `uint*` | integers in range; reals that are whole and at most 2^53; text that spells an integer as it would be printed (`-7`, not `+7` or `007`) |
//! | `float64` | reals; integers up to 2^53; text that spells a number, `NaN`, `inf`, `-inf` |
//! | `float32` | the same, rounded to the nearest `float32`; a finite number that would become infinite is bad |
//! | `decimal(p,s)` | decimals, and text that spells one exactly; integers; reals whose shortest spelling has at most `s` digits behind the point |
//! | `text` | text; integers and reals, as they are printed |
//! | `bytes` | bytes |
//! | `date` | text `2026-01-31` |
//! | `time` | text `10:00`, `10:00:00` with up to six digits of a fraction |
//! | `timestamp(unit)` | text `2026-01-31T10:00:00.123`, with a space for the `T` too, without zone; a date is its midnight |
//! | `timestamp(unit, UTC)` | the same; with `Z` or an offset it is that instant, without one it is a time in the project's zone |
//!
//! A place that has decimals, dates and times of its own gives them as such: each fits the column of its kind, and a text column as it is spelled; decimals fit
//! number columns as their spelling does.
//!
//! Integers in a timestamp column are its ticks since 1970, where [`Rules::epoch`] says so: a contract does, a guess from a declared type does not.
//! Digits behind the point that the column's unit or scale cannot hold are bad, unless they are zeros. Text that is not UTF-8 is bad in every column.

mod batch;
mod column;
mod json;
mod spelling;
mod text;

use arrow::{
    array::{ArrayRef, BooleanArray, UInt64Array},
    compute::filter,
    datatypes::SchemaRef,
    record_batch::{RecordBatch, RecordBatchOptions},
};
use chrono_tz::Tz;
use serde_json::{Map, Value as Json};

use self::column::Misfit;
pub use self::{
    batch::{BatchDecoder, raw_rows, takes},
    column::Column,
    json::{OwnedCell, cell_as_json, cells_from_json},
    spelling::{Zoned, parse_date, parse_timestamp},
    text::{TextMisfit, from_text},
};
use super::{
    error::Result,
    source::{BadRow, Chunk},
};

/// One cell as a dynamically typed place has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// Nothing.
    Null,
    /// true or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A double.
    Real(f64),
    /// Unicode text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A number with digits behind the point: `unscaled × 10^-scale`.
    Decimal {
        /// All digits, as a whole number.
        unscaled: i128,
        /// Digits behind the point.
        scale: u8,
    },
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01T00:00, of an instant or of a wall clock.
    Timestamp {
        /// Microseconds.
        micros: i64,
        /// Whether it is an instant.
        utc: bool,
    },
    /// What calls itself text and is not UTF-8: bad in every column.
    NotUtf8(&'a [u8]),
}

/// How cells are read, beside their columns' types.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Texts that stand for NULL.
    pub null_values: Vec<String>,
    /// Where times without zone are, in columns of instants.
    pub zone: Tz,
    /// Whether integers in timestamp columns are ticks since 1970.
    pub epoch: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { null_values: vec![], zone: Tz::UTC, epoch: false }
    }
}

/// Builds chunks from rows of cells. One decoder serves many chunks: [`finish`](Self::finish) empties it.
pub struct RowDecoder {
    schema: SchemaRef,
    rules: Rules,
    columns: Vec<Column>,
    ordinals: Vec<u64>,
    discarded: Vec<usize>,
    bad: Vec<BadRow>,
    bytes: usize,
}

impl RowDecoder {
    /// A decoder of rows of `schema`. Fails for types that cells cannot be read as (lists, structs).
    pub fn new(schema: SchemaRef, rules: Rules) -> Result<Self> {
        let columns = schema.fields().iter().map(|field| Column::new(field)).collect::<Result<_>>()?;
        Ok(Self { schema, rules, columns, ordinals: vec![], discarded: vec![], bad: vec![], bytes: 0 })
    }

    /// Takes a row, or notes it as bad and gives false. `cell(i)` gives the cell of the schema's column `i`; it is asked again when the row is bad.
    pub fn push<'c>(&mut self, ordinal: u64, cell: impl Fn(usize) -> Cell<'c>) -> bool {
        self.push_plain(ordinal, |_, _| None, cell)
    }

    /// The same for a place that has values in the form that columns keep them: `plain(i, column)` puts one there without a cell, and gives how many bytes it is; of
    /// what it does not take the cell is asked for.
    pub fn push_plain<'c>(
        &mut self,
        ordinal: u64,
        plain: impl Fn(usize, &mut Column) -> Option<usize>,
        cell: impl Fn(usize) -> Cell<'c>,
    ) -> bool {
        let mut bytes = 0;
        let plainly = self.rules.null_values.is_empty();
        for index in 0..self.columns.len() {
            if plainly && let Some(size) = plain(index, &mut self.columns[index]) {
                bytes += size;
                continue;
            }
            let given = cell(index);
            bytes += size(given);
            if let Err(misfit) = self.append(index, given) {
                self.discard(ordinal, index, misfit, cell);
                return false;
            }
        }
        self.bytes += bytes;
        self.ordinals.push(ordinal);
        true
    }

    /// Adds cells to the row that was last noted as bad: columns of the source that the schema has not.
    pub fn complete(&mut self, others: Map<String, Json>) {
        if let Some(bad) = self.bad.last_mut() {
            bad.row.extend(others);
        }
    }

    /// Notes a row as bad for a reason of the caller's own.
    pub fn refuse(&mut self, row: BadRow) {
        self.bad.push(row);
    }

    /// Rows taken since the last chunk, bad ones included.
    pub fn rows(&self) -> usize {
        self.ordinals.len() - self.discarded.len() + self.bad.len()
    }

    /// About how many bytes the rows taken since the last chunk are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows taken since the last chunk.
    pub fn finish(&mut self) -> Result<Chunk> {
        let mut arrays: Vec<ArrayRef> = self.columns.iter_mut().map(Column::finish).collect::<Result<_>>()?;
        let mut ordinals = UInt64Array::from(std::mem::take(&mut self.ordinals));
        let discarded = std::mem::take(&mut self.discarded);
        self.bytes = 0;
        if !discarded.is_empty() {
            let mut kept = vec![true; ordinals.len()];
            for row in discarded {
                kept[row] = false;
            }
            let kept = BooleanArray::from(kept);
            for array in &mut arrays {
                *array = filter(array, &kept)?;
            }
            ordinals = filter(&ordinals, &kept)?.as_any().downcast_ref().cloned().unwrap_or(ordinals);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(ordinals.len()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?;
        Ok(Chunk { batch, ordinals, bad: std::mem::take(&mut self.bad) })
    }

    #[inline]
    fn append(&mut self, index: usize, cell: Cell<'_>) -> Result<(), Misfit> {
        let column = &mut self.columns[index];
        match cell {
            Cell::Null => column.append_null(),
            Cell::Text(text)
                if !self.rules.null_values.is_empty()
                    && self.rules.null_values.iter().any(|null| null == text) =>
            {
                column.append_null()
            }
            cell => column.append(cell, &self.rules),
        }
    }

    /// Takes a half-appended row back: the columns before `index` have it already, so that the others get a filler too and
    /// `finish` filters the row out. Only bad rows cost anything this way.
    #[cold]
    fn discard<'c>(&mut self, ordinal: u64, index: usize, misfit: Misfit, cell: impl Fn(usize) -> Cell<'c>) {
        for column in &mut self.columns[index..] {
            column.append_filler();
        }
        self.discarded.push(self.ordinals.len());
        self.ordinals.push(ordinal);
        let fields = self.schema.fields();
        let row: Map<String, Json> = fields
            .iter()
            .enumerate()
            .map(|(i, field)| (field.name().clone(), cell_as_json(cell(i))))
            .collect();
        let column = Some(fields[index].name().clone());
        let reason = misfit.reason(fields[index].data_type());
        self.bad.push(BadRow { ordinal, column, reason, row });
    }
}

fn size(cell: Cell<'_>) -> usize {
    match cell {
        Cell::Text(text) => 4 + text.len(),
        Cell::Bytes(bytes) | Cell::NotUtf8(bytes) => 4 + bytes.len(),
        _ => 8,
    }
}

#[cfg(test)]
mod tests;
