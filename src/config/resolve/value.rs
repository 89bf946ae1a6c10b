//! Plain values of TOML as typed values.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use toml::value::Datetime;

use crate::{
    config::raw::pipeline::Scalar,
    model::value::{Tick, Value},
};

/// The value that a scalar is. A time of day stays text.
pub(crate) fn value(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Bool(value) => Value::Bool(*value),
        Scalar::Int(value) => Value::Int(*value),
        Scalar::Float(value) => Value::Float((*value).into()),
        Scalar::Text(value) => Value::Text(value.clone()),
        Scalar::Time(value) => time(value),
    }
}

fn time(value: &Datetime) -> Value {
    let text = value.to_string();
    if let Ok(day) = text.parse::<NaiveDate>() {
        let days = day.signed_duration_since(NaiveDate::default()).num_days();
        return Value::Date(i32::try_from(days).unwrap_or(i32::MAX));
    }
    let micros = |ticks, utc| Value::Timestamp { ticks, unit: Tick::Us, utc };
    if let Ok(instant) = DateTime::parse_from_rfc3339(&text) {
        return micros(instant.timestamp_micros(), true);
    }
    match text.parse::<NaiveDateTime>() {
        Ok(local) => micros(local.and_utc().timestamp_micros(), false),
        Err(_) => Value::Text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times() {
        let value = |text: &str| value(&Scalar::Time(text.parse().unwrap())).to_string();
        assert_eq!(value("2026-01-31"), "2026-01-31");
        assert_eq!(value("1969-12-31"), "1969-12-31");
        assert_eq!(value("2026-01-31T10:00:00+03:00"), "2026-01-31T07:00:00.000000Z");
        assert_eq!(value("2026-01-31T10:00:00.5"), "2026-01-31T10:00:00.500000");
        assert_eq!(value("10:00:00"), "10:00:00");
    }
}
