//! A table read by a column that rises with every new row: slices between two values of it, over one snapshot.

use std::cmp::Ordering;

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, RecordBatch},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, SchemaRef, TimeUnit,
        TimestampMicrosecondType,
    },
};
use chrono_tz::Tz;
use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, ident, lit},
    prelude::{DataFrame, SessionConfig, SessionContext},
};
use futures::{Stream, StreamExt as _};

use super::{
    super::{
        error::{Error, ErrorKind, Result},
        source::{CursorSpec, Overlap},
    },
    bounds::literal,
    catalog::provider,
    location::Location,
    table::Table,
};
use crate::model::{
    position::Bound,
    time::{date_from_days, day_start},
    unit::SliceLimit,
    value::{Tick, Value},
};

/// Reads a table by its cursor column.
pub(super) struct Cursor {
    location: Location,
    column: String,
    data_type: DataType,
    tie: Option<(String, DataType)>,
    overlap: Option<Overlap>,
    start: Option<Value>,
}

impl Cursor {
    /// A cursor over a table; fails where its columns are missing or of a type without order.
    pub(super) fn new(table: &Table, spec: &CursorSpec, zone: Tz) -> Result<Self> {
        let location = &table.location;
        let data_type = ordered(table, &spec.column)?;
        let tie = spec.tie.as_ref().filter(|tie| **tie != spec.column);
        let tie = tie.map(|tie| Ok::<_, Error>((tie.clone(), ordered(table, tie)?))).transpose()?;
        let start = match (&spec.start, &data_type) {
            // A day begins at the project's midnight.
            (Some(Value::Date(days)), DataType::Timestamp(_, Some(_))) => {
                let ticks = day_start(zone, date_from_days(*days)).timestamp_micros();
                Some(Value::Timestamp { ticks, unit: Tick::Us, utc: true })
            }
            (start, _) => start.clone(),
        };
        if let Some(start) = &start {
            literal(start, &data_type).map_err(|error| {
                let what = format!("`start` is no {data_type}, as its cursor column `{}` is", spec.column);
                location.error(ErrorKind::SchemaChanged, what).caused_by(error)
            })?;
        }
        Ok(Self {
            location: location.clone(),
            column: spec.column.clone(),
            data_type,
            tie,
            overlap: spec.overlap,
            start,
        })
    }

    /// What orders the source, for its identity.
    pub(super) fn order(&self) -> String {
        match &self.tie {
            None => format!("{} {}", self.column, self.data_type),
            Some((tie, tie_type)) => format!("{} {}, {tie} {tie_type}", self.column, self.data_type),
        }
    }

    /// The greatest value; `None` = no rows. A row without a value is an error: it has no place in the order.
    pub(super) async fn last(&self, table: &Table) -> Result<Option<Vec<Value>>> {
        let missing = self.columns().into_iter().map(|name| ident(name).is_null()).reduce(Expr::or);
        if let Some(missing) = missing {
            let rows = self.frame(table)?.filter(missing)?.limit(0, Some(1))?;
            if !self.values(rows).await?.is_empty() {
                let what =
                    format!("a row has no value in its cursor column `{}`", self.columns().join("`, `"));
                return Err(self.location.error(ErrorKind::BadData, what));
            }
        }
        let order = self.columns().into_iter().map(|name| ident(name).sort(false, false)).collect();
        let rows = self.frame(table)?.sort(order)?.limit(0, Some(1))?;
        Ok(self.values(rows).await?.pop())
    }

    /// The next slice: where it ends, and its rows where they were counted.
    pub(super) async fn plan(
        &self,
        table: &Table,
        after: Option<&Bound>,
        until: Option<&Bound>,
        (limit, row_bytes): (SliceLimit, u64),
    ) -> Result<Option<(Bound, Option<u64>)>> {
        let until = match (after, until) {
            (None, None) => return Ok(None),
            (None, Some(until)) => until,
            (Some(after), until) => match until.map(|until| (until, compare(&after.at, &until.at))) {
                Some((until, Some(Ordering::Less))) => until,
                Some((_, Some(Ordering::Equal))) => return Ok(None),
                _ => return self.nothing_behind(after).await,
            },
        };
        let rows = limit.rows.min(limit.bytes / row_bytes).max(1);
        let skip = usize::try_from(rows - 1).unwrap_or(usize::MAX);
        let range = self.new_rows(after)?.into_iter().chain([self.up_to(until)?]).reduce(Expr::and);
        let mut frame = self.frame(table)?;
        if let Some(range) = range {
            frame = frame.filter(range)?;
        }
        let ordered = frame.sort(self.rising())?;
        if let Some(at) = self.values(ordered.clone().limit(skip, Some(1))?).await?.pop() {
            return Ok(Some((
                Bound::at(at),
                Some(rows).filter(|_| self.tie.is_some() && self.overlap.is_none()),
            )));
        }
        // Fewer rows than a slice may have: they end at the head. Before `start` there may be none at all.
        let any = self.values(ordered.limit(0, Some(1))?).await?;
        Ok((!any.is_empty()).then(|| (until.clone(), None)))
    }

    /// A position past the head: another writer of this track may have seen a later one.
    async fn nothing_behind<T>(&self, after: &Bound) -> Result<Option<T>> {
        let newest = self.location.open_existing().await?;
        match self.last(&newest).await? {
            Some(last) if compare(&last, &after.at).is_some_and(Ordering::is_ge) => Ok(None),
            _ => {
                let what = format!("holds no row any more at its position by `{}`: it shrank", self.column);
                Err(self.location.error(ErrorKind::SourceChanged, what))
            }
        }
    }

    /// The rows of a slice, in order.
    pub(super) async fn read(
        &self,
        table: &Table,
        after: Option<&Bound>,
        until: &Bound,
        schema: &SchemaRef,
    ) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + use<>> {
        let lower = self.rows_to_read(after)?;
        let range = lower.into_iter().chain([self.up_to(until)?]).reduce(Expr::and);
        let mut frame = context().read_table(provider(table)?)?;
        if let Some(range) = range {
            frame = frame.filter(range)?;
        }
        let columns = schema.fields().iter().map(|field| ident(field.name())).collect::<Vec<_>>();
        let rows = frame.sort(self.rising())?.select(columns)?.execute_stream().await?;
        let schema = schema.clone();
        Ok(rows.map(move |batch| Ok(RecordBatch::try_new(schema.clone(), batch?.columns().to_vec())?)))
    }

    /// The condition and order of a slice as SQL, placeholders for values.
    pub(super) fn condition(&self, goes_on: bool) -> String {
        let names: Vec<String> =
            self.columns().iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
        let (all, marks) = match names.as_slice() {
            [only] => (only.clone(), "?"),
            several => (format!("({})", several.join(", ")), "(?, ?)"),
        };
        let lower = match (goes_on, self.overlap, &self.start) {
            (true, Some(_), _) | (false, _, Some(_)) => format!("{} >= ? AND ", names[0]),
            (true, None, _) => format!("{all} > {marks} AND "),
            (false, _, None) => String::new(),
        };
        format!(" WHERE {lower}{all} <= {marks} ORDER BY {}", names.join(", "))
    }

    fn columns(&self) -> Vec<&str> {
        [self.column.as_str()].into_iter().chain(self.tie.as_ref().map(|(tie, _)| tie.as_str())).collect()
    }

    fn rising(&self) -> Vec<datafusion::logical_expr::SortExpr> {
        self.columns().into_iter().map(|name| ident(name).sort(true, true)).collect()
    }

    fn frame(&self, table: &Table) -> Result<DataFrame> {
        let columns = self.columns().into_iter().map(ident).collect::<Vec<_>>();
        Ok(context().read_table(provider(table)?)?.select(columns)?)
    }

    /// Rows behind a position, or from `start` on.
    fn new_rows(&self, after: Option<&Bound>) -> Result<Option<Expr>> {
        let Some(after) = after else {
            let start = self.start.as_ref().map(|start| self.scalar(start, &self.data_type)).transpose()?;
            return Ok(start.map(|start| ident(&self.column).gt_eq(lit(start))));
        };
        let (first, tie) = self.parts(after)?;
        let behind = ident(&self.column).gt(lit(first.clone()));
        Ok(Some(match (tie, &self.tie) {
            (Some(tie), Some((name, _))) => {
                behind.or(ident(&self.column).eq(lit(first)).and(ident(name).gt(lit(tie))))
            }
            _ => behind,
        }))
    }

    /// Rows that a slice reads: new ones, and those of the overlap once more.
    fn rows_to_read(&self, after: Option<&Bound>) -> Result<Option<Expr>> {
        match (after, self.overlap) {
            (Some(after), Some(overlap)) => {
                let value = after.at.first().and_then(|value| earlier(value, overlap));
                let value = value.ok_or_else(|| {
                    let what = format!("its overlap cannot be taken off column `{}`", self.column);
                    self.location.error(ErrorKind::Unsupported, what)
                })?;
                Ok(Some(ident(&self.column).gt_eq(lit(self.scalar(&value, &self.data_type)?))))
            }
            _ => self.new_rows(after),
        }
    }

    fn up_to(&self, until: &Bound) -> Result<Expr> {
        let (first, tie) = self.parts(until)?;
        Ok(match (tie, &self.tie) {
            (Some(tie), Some((name, _))) => {
                ident(&self.column)
                    .lt(lit(first.clone()))
                    .or(ident(&self.column).eq(lit(first)).and(ident(name).lt_eq(lit(tie))))
            }
            _ => ident(&self.column).lt_eq(lit(first)),
        })
    }

    fn parts(&self, bound: &Bound) -> Result<(ScalarValue, Option<ScalarValue>)> {
        let wrong =
            || self.location.error(ErrorKind::SourceChanged, "its position is no value of its cursor");
        let first = self.scalar(bound.at.first().ok_or_else(wrong)?, &self.data_type)?;
        let tie = match &self.tie {
            None => None,
            Some((_, data_type)) => Some(self.scalar(bound.at.get(1).ok_or_else(wrong)?, data_type)?),
        };
        Ok((first, tie))
    }

    fn scalar(&self, value: &Value, data_type: &DataType) -> Result<ScalarValue> {
        let wrong =
            || self.location.error(ErrorKind::SourceChanged, "its position is no value of its cursor");
        let array = literal(value, data_type).map_err(|error| wrong().caused_by(error))?.into_inner();
        Ok(ScalarValue::try_from_array(&array, 0)?)
    }

    async fn values(&self, rows: DataFrame) -> Result<Vec<Vec<Value>>> {
        let mut values = vec![];
        for batch in rows.collect().await? {
            for row in 0..batch.num_rows() {
                let at =
                    batch.columns().iter().map(|column| value_at(column, row)).collect::<Option<Vec<_>>>();
                values.push(
                    at.ok_or_else(|| self.location.error(ErrorKind::Internal, "its cursor has no order"))?,
                );
            }
        }
        Ok(values)
    }
}

/// A session that reads a snapshot's rows.
fn context() -> SessionContext {
    let mut config = SessionConfig::new();
    // As the Delta library sets it for its own reads: the list of keys would not find its columns in partitions.
    config.options_mut().optimizer.hash_join_inlist_pushdown_max_size = 0;
    SessionContext::new_with_config(config)
}

fn ordered(table: &Table, name: &str) -> Result<DataType> {
    let schema = table.schema()?;
    let Ok(field) = schema.field_with_name(name) else {
        return Err(table.location.error(ErrorKind::NotFound, format!("has no cursor column `{name}`")));
    };
    match field.data_type() {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Utf8
        | DataType::Date32
        | DataType::Decimal128(..)
        | DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(field.data_type().clone()),
        other => Err(table
            .location
            .error(ErrorKind::Unsupported, format!("column `{name}` is {other} and cannot be a cursor"))),
    }
}

fn value_at(column: &ArrayRef, row: usize) -> Option<Value> {
    if column.is_null(row) {
        return Some(Value::Null);
    }
    Some(match column.data_type() {
        DataType::Int8 => Value::Int(column.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Value::Int(column.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Value::Int(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Value::Int(column.as_primitive::<Int64Type>().value(row)),
        DataType::Utf8 => Value::Text(column.as_string::<i32>().value(row).to_owned()),
        DataType::Date32 => Value::Date(column.as_primitive::<Date32Type>().value(row)),
        DataType::Decimal128(_, scale) => {
            Value::Decimal { unscaled: column.as_primitive::<Decimal128Type>().value(row), scale: *scale }
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => Value::Timestamp {
            ticks: column.as_primitive::<TimestampMicrosecondType>().value(row),
            unit: Tick::Us,
            utc: zone.is_some(),
        },
        _ => return None,
    })
}

/// Left to right.
fn compare(one: &[Value], other: &[Value]) -> Option<Ordering> {
    for (one, other) in one.iter().zip(other) {
        match one.compare(other)? {
            Ordering::Equal => {}
            decided => return Some(decided),
        }
    }
    Some(Ordering::Equal)
}

/// A value an overlap before another.
fn earlier(value: &Value, overlap: Overlap) -> Option<Value> {
    match (value, overlap) {
        (Value::Int(value), Overlap::Steps(steps)) => Some(Value::Int(value.saturating_sub_unsigned(steps))),
        (Value::Decimal { unscaled, scale }, Overlap::Steps(steps)) => {
            let steps = i128::from(steps).checked_mul(10_i128.checked_pow(u32::try_from(*scale).ok()?)?)?;
            Some(Value::Decimal { unscaled: unscaled.checked_sub(steps)?, scale: *scale })
        }
        (Value::Date(days), Overlap::Span(span)) => {
            let back = i32::try_from(span.get().as_secs().div_ceil(24 * 3600)).ok()?;
            Some(Value::Date(days.checked_sub(back)?))
        }
        (Value::Timestamp { ticks, unit, utc }, Overlap::Span(span)) => {
            let nanos = i128::try_from(span.get().as_nanos()).ok()?;
            let back = nanos * i128::from(unit.per_second()) / i128::from(Tick::Ns.per_second());
            let ticks = ticks.saturating_sub(i64::try_from(back).ok()?);
            Some(Value::Timestamp { ticks, unit: *unit, utc: *utc })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::time::Span;

    #[test]
    fn overlaps_go_back_in_the_cursors_own_measure() {
        let hour = Overlap::Span(Span::new(Duration::from_secs(3600)));
        let at = |ticks| Value::Timestamp { ticks, unit: Tick::Us, utc: true };
        assert_eq!(earlier(&at(3_600_000_001), hour), Some(at(1)));
        assert_eq!(earlier(&Value::Date(10), hour), Some(Value::Date(9)), "a part of a day is a day");
        assert_eq!(earlier(&Value::Int(10), Overlap::Steps(3)), Some(Value::Int(7)));
        let price = |unscaled| Value::Decimal { unscaled, scale: 2 };
        assert_eq!(earlier(&price(1050), Overlap::Steps(3)), Some(price(750)));
        assert_eq!(earlier(&Value::Text("a".into()), hour), None);
    }

    #[test]
    fn positions_compare_left_to_right() {
        let at = |a, b| vec![Value::Int(a), Value::Int(b)];
        assert_eq!(compare(&at(1, 9), &at(2, 0)), Some(Ordering::Less));
        assert_eq!(compare(&at(2, 1), &at(2, 0)), Some(Ordering::Greater));
        assert_eq!(compare(&at(2, 1), &[Value::Text("a".into())]), None);
    }
}
