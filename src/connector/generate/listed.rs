//! Rows that are told one by one.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{ArrayRef, UInt32Array},
    compute::take,
    datatypes::SchemaRef,
    error::ArrowError,
};
use chrono_tz::Tz;

use super::{
    columns::plain_values,
    config::{ListedRow, Start},
};
use crate::model::time::instant;

/// Told rows in order of time.
#[derive(Debug)]
pub(super) struct Listed {
    /// When each row appears, in milliseconds since 1970; never falling.
    pub(super) times: Vec<i64>,
    /// All values, by column.
    columns: Vec<ArrayRef>,
}

impl Listed {
    /// `schema` begins with the rows' own columns. Rows of one instant stay in their order.
    pub(super) fn new(rows: &[ListedRow], schema: &SchemaRef, zone: Tz) -> Result<Self, ArrowError> {
        let time = |row: &ListedRow| match row.at {
            Start::Local(local) => instant(zone, local).timestamp_millis(),
            Start::Instant(instant) => instant.timestamp_millis(),
        };
        let mut sorted: Vec<&ListedRow> = rows.iter().collect();
        sorted.sort_by_key(|row| time(row));
        let times = sorted.iter().map(|row| time(row)).collect();
        let told = |name: &str| sorted.iter().any(|row| row.values.contains_key(name));
        let fields = schema.fields().iter().filter(|field| told(field.name()));
        let column = |field: &arrow::datatypes::FieldRef| {
            let given = |row: &&ListedRow| row.values.contains_key(field.name());
            let values: Vec<_> = sorted.iter().filter_map(|row| row.values.get(field.name())).collect();
            let mut places = 0_u32..;
            let places: UInt32Array =
                sorted.iter().map(|row| if given(row) { places.next() } else { None }).collect();
            take(&plain_values(&values, field.data_type()), &places, None)
        };
        Ok(Self { times, columns: fields.map(column).collect::<Result<_, _>>()? })
    }

    /// The first minute that has a row.
    pub(super) fn origin(&self) -> i64 {
        self.times.first().map_or(0, |time| time.div_euclid(60_000))
    }

    /// The minute of a row.
    pub(super) fn minute(&self, row: usize) -> i64 {
        self.times[row].div_euclid(60_000)
    }

    /// Rows of the minutes `from .. until`.
    pub(super) fn range(&self, from: i64, until: i64) -> Range<usize> {
        let before = |minute: i64| self.times.partition_point(|time| time.div_euclid(60_000) < minute);
        let start = before(from);
        start..before(until).max(start)
    }

    /// The columns of some rows.
    pub(super) fn slice(&self, rows: &Range<usize>) -> Vec<ArrayRef> {
        self.columns.iter().map(|column| Arc::clone(column).slice(rows.start, rows.len())).collect()
    }
}
