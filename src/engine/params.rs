//! Values that SQL names with a colon: `:region`, `:region.title`, `:period.from`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::{common::ParamValues, scalar::ScalarValue};
use indexmap::IndexMap;

use super::typing::ParamTypes;
use crate::model::{
    name::Facts,
    time::Period,
    value::{Tick, Value},
    window::Window,
};

/// Parameters by name; they are bound, never pasted into SQL text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Params(IndexMap<String, ScalarValue>);

impl Params {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a member knows of itself, as text.
    pub fn of_facts(facts: &Facts) -> Self {
        let text = |(name, value): (&String, &String)| (name.clone(), ScalarValue::Utf8(Some(value.clone())));
        Self(facts.iter().map(text).collect())
    }

    /// Adds or replaces one.
    pub fn set(&mut self, name: impl Into<String>, value: ScalarValue) {
        self.0.insert(name.into(), value);
    }

    /// Adds or replaces one.
    pub fn set_value(&mut self, name: impl Into<String>, value: &Value) {
        self.set(name, scalar(value));
    }

    /// Adds `name.from`, `name.until` (out) and `name.last` (in) as dates.
    pub fn set_period(&mut self, name: &str, period: &Period) {
        for (end, day) in [("from", period.from), ("until", period.until), ("last", period.last())] {
            let days = day.signed_duration_since(chrono::NaiveDate::default()).num_days();
            self.set(format!("{name}.{end}"), ScalarValue::Date32(i32::try_from(days).ok()));
        }
    }

    /// Adds `window.from` (in) and `window.until` (out) as instants.
    pub fn set_window(&mut self, window: &Window) {
        for (end, at) in [("from", window.from), ("until", window.until)] {
            let at = ScalarValue::TimestampMicrosecond(Some(at.timestamp_micros()), Some("UTC".into()));
            self.set(format!("{WINDOW}.{end}"), at);
        }
    }

    /// Their types, as [`check_sql`](super::typing::check_sql) wants them.
    pub fn types(&self) -> ParamTypes {
        self.0.iter().map(|(name, value)| (name.clone(), value.data_type())).collect()
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&ScalarValue> {
        self.0.get(name)
    }

    /// By name, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ScalarValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// As the engine binds them: by place.
    pub(super) fn values(&self) -> ParamValues {
        ParamValues::from(self.0.values().cloned().collect::<Vec<_>>())
    }
}

/// What the parameters of a window begin with.
pub const WINDOW: &str = "window";

/// The types of what [`Params::set_window`] adds.
pub fn window_types() -> [(String, DataType); 2] {
    ["from", "until"].map(|end| (format!("{WINDOW}.{end}"), instant_type()))
}

/// The types of what [`Params::set_period`] adds.
pub fn period_types(name: &str) -> [(String, DataType); 3] {
    ["from", "until", "last"].map(|end| (format!("{name}.{end}"), DataType::Date32))
}

/// As the planner wants them: by place, each with its name.
pub(super) fn fields(types: &ParamTypes) -> Vec<Option<FieldRef>> {
    types.iter().map(|(name, kind)| Some(Arc::new(Field::new(name, kind.clone(), true)))).collect()
}

/// Stand-ins of the right types, for SQL that is judged but not run.
pub(super) fn typed_nulls(types: &ParamTypes) -> ParamValues {
    let null = |kind: &DataType| ScalarValue::try_from(kind).unwrap_or(ScalarValue::Null);
    ParamValues::from(types.values().map(null).collect::<Vec<_>>())
}

/// A value as the engine has it: lossless.
pub fn scalar(value: &Value) -> ScalarValue {
    match value {
        Value::Null => ScalarValue::Null,
        Value::Bool(value) => ScalarValue::Boolean(Some(*value)),
        Value::Int(value) => ScalarValue::Int64(Some(*value)),
        Value::UInt(value) => ScalarValue::UInt64(Some(*value)),
        Value::Float(value) => ScalarValue::Float64(Some(value.get())),
        Value::Decimal { unscaled, scale } => ScalarValue::Decimal128(Some(*unscaled), 38, *scale),
        Value::Text(value) => ScalarValue::Utf8(Some(value.clone())),
        Value::Date(days) => ScalarValue::Date32(Some(*days)),
        Value::Timestamp { ticks, unit, utc } => {
            let zone = utc.then(|| Arc::from("UTC"));
            match unit {
                Tick::S => ScalarValue::TimestampSecond(Some(*ticks), zone),
                Tick::Ms => ScalarValue::TimestampMillisecond(Some(*ticks), zone),
                Tick::Us => ScalarValue::TimestampMicrosecond(Some(*ticks), zone),
                Tick::Ns => ScalarValue::TimestampNanosecond(Some(*ticks), zone),
            }
        }
    }
}

/// The type of a value as the engine has it.
pub fn value_type(value: &Value) -> DataType {
    scalar(value).data_type()
}

/// An instant as the engine has it.
pub(super) fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_three_dates() {
        let mut params = Params::of_facts(&Facts::from([("region".to_owned(), "mrf1".to_owned())]));
        params.set_period("period", &Period::parse("2026-02", "2026-03-05".parse().unwrap()).unwrap());
        let shown: Vec<String> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            shown,
            ["region=mrf1", "period.from=2026-02-01", "period.until=2026-03-01", "period.last=2026-02-28"]
        );
        assert!(period_types("period").iter().all(|(name, kind)| params.types()[name] == *kind));
    }

    #[test]
    fn values_keep_their_types() {
        let price = Value::Decimal { unscaled: -105, scale: 2 };
        assert_eq!(scalar(&price).to_string(), "-1.05");
        let at = Value::Timestamp { ticks: 1, unit: Tick::Ms, utc: true };
        assert_eq!(value_type(&at), DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())));
    }
}
