//! Values as Arrow scalars, and what the log's minima and maxima say about a file.

use std::sync::Arc;

use arrow::{
    array::{
        Array as _, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, Scalar,
        StringArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
        TimestampSecondArray, UInt64Array, new_null_array,
    },
    compute::{max, min},
    datatypes::{DataType, Field, Int64Type},
    error::ArrowError,
};

use super::{read::cast, table::DataFile};
use crate::model::value::{Tick, Value};

/// Between what values lie, both in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bounds {
    /// The least.
    pub(super) least: Value,
    /// The greatest.
    pub(super) most: Value,
}

/// A value in a column's type; fails where it is none of that type.
pub(super) fn literal(value: &Value, data_type: &DataType) -> Result<Scalar<ArrayRef>, ArrowError> {
    let zone = |utc: bool| utc.then(|| Arc::from("UTC"));
    let array: ArrayRef = match value {
        Value::Null => new_null_array(data_type, 1),
        Value::Bool(value) => Arc::new(BooleanArray::from(vec![*value])),
        Value::Int(value) => Arc::new(Int64Array::from(vec![*value])),
        Value::UInt(value) => Arc::new(UInt64Array::from(vec![*value])),
        Value::Float(value) => Arc::new(Float64Array::from(vec![value.get()])),
        Value::Decimal { unscaled, scale } => {
            Arc::new(Decimal128Array::from(vec![*unscaled]).with_precision_and_scale(38, *scale)?)
        }
        Value::Text(value) => Arc::new(StringArray::from(vec![value.as_str()])),
        Value::Date(days) => Arc::new(Date32Array::from(vec![*days])),
        Value::Timestamp { ticks, unit: Tick::S, utc } => {
            Arc::new(TimestampSecondArray::from(vec![*ticks]).with_timezone_opt(zone(*utc)))
        }
        Value::Timestamp { ticks, unit: Tick::Ms, utc } => {
            Arc::new(TimestampMillisecondArray::from(vec![*ticks]).with_timezone_opt(zone(*utc)))
        }
        Value::Timestamp { ticks, unit: Tick::Us, utc } => {
            Arc::new(TimestampMicrosecondArray::from(vec![*ticks]).with_timezone_opt(zone(*utc)))
        }
        Value::Timestamp { ticks, unit: Tick::Ns, utc } => {
            Arc::new(TimestampNanosecondArray::from(vec![*ticks]).with_timezone_opt(zone(*utc)))
        }
    };
    Ok(Scalar::new(cast(&array, data_type)?))
}

/// The bounds of a key column of whole numbers, dates or text; `None` = other types, or a NULL.
pub(super) fn bounds_of(column: &ArrayRef) -> Option<Bounds> {
    if column.null_count() > 0 || column.is_empty() {
        return None;
    }
    match column.data_type() {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let column = cast(column, &DataType::Int64).ok()?;
            let column = arrow::array::cast::as_primitive_array::<Int64Type>(&column);
            Some(Bounds { least: Value::Int(min(column)?), most: Value::Int(max(column)?) })
        }
        DataType::Date32 => {
            let column = arrow::array::cast::as_primitive_array::<arrow::datatypes::Date32Type>(column);
            Some(Bounds { least: Value::Date(min(column)?), most: Value::Date(max(column)?) })
        }
        DataType::Utf8 => {
            let column = arrow::array::cast::as_string_array(column);
            let text = |value: Option<&str>| value.map(|value| Value::Text(value.to_owned()));
            Some(Bounds {
                least: text(arrow::compute::min_string(column))?,
                most: text(arrow::compute::max_string(column))?,
            })
        }
        _ => None,
    }
}

/// The bounds of both.
pub(super) fn joined(one: Option<Bounds>, other: Option<Bounds>) -> Option<Bounds> {
    let (one, other) = (one?, other?);
    let least = if one.least.compare(&other.least)?.is_le() { one.least } else { other.least };
    let most = if one.most.compare(&other.most)?.is_ge() { one.most } else { other.most };
    Some(Bounds { least, most })
}

/// Whether the log says that no row of `file` has a value within `bounds` in this column. Types whose minima the
/// log may round are never excluded.
pub(super) fn stats_exclude(file: &DataFile, field: &Field, bounds: &Bounds) -> bool {
    excluded(file, field, bounds).unwrap_or(false)
}

fn excluded(file: &DataFile, field: &Field, bounds: &Bounds) -> Option<bool> {
    if let Some(value) = file.partition.get(field.name()) {
        let value = match value.as_deref() {
            None | Some("") => return Some(bounds.least != Value::Null),
            Some(value) => logged(&serde_json::Value::String(value.to_owned()), field.data_type())?,
        };
        return outside(&value, &value, bounds);
    }
    let stats: serde_json::Value = serde_json::from_str(&file.stats.json()?).ok()?;
    let least = logged(stats.get("minValues")?.get(field.name())?, field.data_type())?;
    let most = logged(stats.get("maxValues")?.get(field.name())?, field.data_type())?;
    if bounds.least == Value::Null {
        return None;
    }
    outside(&least, &most, bounds)
}

fn outside(least: &Value, most: &Value, bounds: &Bounds) -> Option<bool> {
    Some(most.compare(&bounds.least)?.is_lt() || least.compare(&bounds.most)?.is_gt())
}

/// A minimum, a maximum or a partition value as the log has it.
fn logged(value: &serde_json::Value, data_type: &DataType) -> Option<Value> {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => match value {
            serde_json::Value::String(text) => Some(Value::Int(text.parse().ok()?)),
            value => Some(Value::Int(value.as_i64()?)),
        },
        DataType::Utf8 => Some(Value::Text(value.as_str()?.to_owned())),
        DataType::Date32 => {
            let date: chrono::NaiveDate = value.as_str()?.parse().ok()?;
            let days = date.signed_duration_since(chrono::NaiveDate::default()).num_days();
            Some(Value::Date(i32::try_from(days).ok()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{super::table::Stats, *};

    fn file(stats: &str, partition: &[(&str, Option<&str>)]) -> DataFile {
        DataFile {
            path: "f".into(),
            size: 1,
            rows: None,
            partition: partition
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
                .collect::<HashMap<_, _>>(),
            stats: Stats::Said(Some(stats.to_owned())),
            modified: 0,
            vector: false,
        }
    }

    #[test]
    fn files_are_spared_by_what_the_log_says() {
        let field = Field::new("id", DataType::Int32, true);
        let found = file(r#"{"numRecords":2,"minValues":{"id":10},"maxValues":{"id":20}}"#, &[]);
        let within = |least, most| Bounds { least: Value::Int(least), most: Value::Int(most) };
        assert!(stats_exclude(&found, &field, &within(1, 9)));
        assert!(stats_exclude(&found, &field, &within(21, 30)));
        assert!(!stats_exclude(&found, &field, &within(20, 30)));
        assert!(!stats_exclude(&file("{}", &[]), &field, &within(1, 2)), "nothing known");
        let day = Field::new("day", DataType::Date32, true);
        let parted = file("{}", &[("day", Some("1970-01-11"))]);
        let days = |least, most| Bounds { least: Value::Date(least), most: Value::Date(most) };
        assert!(stats_exclude(&parted, &day, &days(11, 12)));
        assert!(!stats_exclude(&parted, &day, &days(10, 12)));
        let text = Bounds { least: Value::Text("x".into()), most: Value::Text("x".into()) };
        assert!(!stats_exclude(&parted, &day, &text), "other types say nothing");
    }

    #[test]
    fn bounds_join() {
        let one = bounds_of(&(Arc::new(Int64Array::from(vec![3, 1])) as ArrayRef));
        let other = bounds_of(&(Arc::new(Int64Array::from(vec![7])) as ArrayRef));
        let joined_bounds = joined(one.clone(), other).unwrap();
        assert_eq!(joined_bounds, Bounds { least: Value::Int(1), most: Value::Int(7) });
        assert_eq!(joined(one, None), None);
        assert_eq!(bounds_of(&(Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef)), None);
    }
}
