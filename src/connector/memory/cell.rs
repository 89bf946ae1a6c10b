//! Cells of cursor columns as lossless values.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Date32Type, Decimal128Type, Int64Type, UInt64Type},
};

use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        source::Overlap,
    },
    model::value::{Tick, Value},
};

/// Every cell of a column; NULL as [`Value::Null`]. Fails for types that order no rows.
pub(super) fn values(column: &ArrayRef) -> Result<Vec<Value>> {
    let plain: Box<dyn Fn(usize) -> Value> = match column.data_type() {
        DataType::UInt64 => {
            let column = column.as_primitive::<UInt64Type>().clone();
            Box::new(move |row| Value::UInt(column.value(row)))
        }
        kind if kind.is_integer() => {
            let column = cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone();
            Box::new(move |row| Value::Int(column.value(row)))
        }
        DataType::Decimal128(_, scale) => {
            let (column, scale) = (column.as_primitive::<Decimal128Type>().clone(), *scale);
            Box::new(move |row| Value::Decimal { unscaled: column.value(row), scale })
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let column = cast(column, &DataType::Utf8)?.as_string::<i32>().clone();
            Box::new(move |row| Value::Text(column.value(row).to_owned()))
        }
        DataType::Date32 => {
            let column = column.as_primitive::<Date32Type>().clone();
            Box::new(move |row| Value::Date(column.value(row)))
        }
        DataType::Timestamp(unit, zone) => {
            let (unit, utc) = (Tick::from(*unit), zone.is_some());
            let column = cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone();
            Box::new(move |row| Value::Timestamp { ticks: column.value(row), unit, utc })
        }
        other => return Err(Error::new(ErrorKind::Unsupported, format!("a {other} column orders no rows"))),
    };
    let cell = |row| if column.is_null(row) { Value::Null } else { plain(row) };
    Ok((0..column.len()).map(cell).collect())
}

/// A value an overlap before this one; `None` = an overlap of another measure.
pub(super) fn before(value: &Value, overlap: Overlap) -> Option<Value> {
    Some(match (value, overlap) {
        (Value::Int(value), Overlap::Steps(steps)) => Value::Int(value.saturating_sub_unsigned(steps)),
        (Value::UInt(value), Overlap::Steps(steps)) => Value::UInt(value.saturating_sub(steps)),
        (Value::Decimal { unscaled, scale }, Overlap::Steps(steps)) => {
            let steps =
                i128::from(steps).saturating_mul(10_i128.saturating_pow(u32::from(scale.unsigned_abs())));
            Value::Decimal { unscaled: unscaled.saturating_sub(steps), scale: *scale }
        }
        (Value::Date(days), Overlap::Span(span)) => {
            let back = span.get().as_secs().div_ceil(86_400);
            Value::Date(days.saturating_sub(i32::try_from(back).unwrap_or(i32::MAX)))
        }
        (Value::Timestamp { ticks, unit, utc }, Overlap::Span(span)) => {
            let nanos_per_tick = 1_000_000_000 / unit.per_second() as u128;
            let back = i64::try_from(span.get().as_nanos().div_ceil(nanos_per_tick)).unwrap_or(i64::MAX);
            Value::Timestamp { ticks: ticks.saturating_sub(back), unit: *unit, utc: *utc }
        }
        _ => return None,
    })
}
