//! What `:region`, `:region.title` and `:period.from` stand for in a member's SQL.

use chrono::NaiveDate;
use datafusion::common::ScalarValue;
use indexmap::IndexMap;

use crate::{
    config::project::With,
    connector::error::{Error, ErrorKind, Result},
    engine::Params,
    model::{name::Facts, problem::nearest, time::Period, value::Value},
};

/// The parameters of every SQL of a member.
pub(super) fn of_member(facts: &Facts) -> Params {
    facts.iter().map(|(name, value)| (name.clone(), ScalarValue::from(value.as_str()))).collect()
}

/// The parameters of `[with]`, by hand or by default, as of `today`; and the first period, for a workbook's header.
pub(super) fn of_with(
    with: &IndexMap<String, With>,
    by_hand: &IndexMap<String, String>,
    today: NaiveDate,
) -> Result<(Params, Option<Period>)> {
    if let Some(unknown) = by_hand.keys().find(|name| !with.contains_key(*name)) {
        return Err(unknown_parameter(unknown, with));
    }
    let mut params = Params::default();
    let mut shown = None;
    for (name, default) in with {
        match default {
            With::Period(text) => {
                let period = period(name, by_hand.get(name).unwrap_or(text), today)?;
                shown = shown.or(Some(period));
                params.insert(format!("{name}.from"), day(period.from));
                params.insert(format!("{name}.until"), day(period.until));
                params.insert(format!("{name}.last"), day(period.last()));
            }
            With::Value(value) => {
                let value = match by_hand.get(name) {
                    Some(text) => typed(name, text, value)?,
                    None => value.clone(),
                };
                params.insert(name.clone(), scalar(&value));
            }
        }
    }
    Ok((params, shown))
}

fn unknown_parameter(name: &str, with: &IndexMap<String, With>) -> Error {
    let error = Error::new(ErrorKind::Unsupported, format!("there is no parameter `{name}` in [with]"));
    match nearest(name, with.keys().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!(
            "parameters: {}",
            with.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
        )),
    }
}

fn period(name: &str, text: &str, today: NaiveDate) -> Result<Period> {
    Period::parse(text, today).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, format!("parameter `{name}`: `{text}` is no period")).hint(format!(
            "a day (2026-01-31), a month (2026-01), a year, a range (2026-01-01..2026-01-31) or one of: {}",
            Period::NAMES.join(", ")
        ))
    })
}

fn day(day: NaiveDate) -> ScalarValue {
    ScalarValue::Date32(Some(days(day)))
}

fn days(day: NaiveDate) -> i32 {
    day.signed_duration_since(NaiveDate::default()).num_days() as i32
}

/// A value by hand, of the type that the default has.
fn typed(name: &str, text: &str, like: &Value) -> Result<Value> {
    let wrong = |what: &str| {
        Error::new(ErrorKind::Unsupported, format!("parameter `{name}`: `{text}` is no {what}"))
    };
    Ok(match like {
        Value::Int(_) | Value::UInt(_) => Value::Int(text.parse().map_err(|_| wrong("whole number"))?),
        Value::Float(_) => Value::Float(text.parse::<f64>().map_err(|_| wrong("number"))?.into()),
        Value::Bool(_) => Value::Bool(text.parse().map_err(|_| wrong("true or false"))?),
        Value::Date(_) => Value::Date(days(text.parse().map_err(|_| wrong("date"))?)),
        _ => Value::Text(text.to_owned()),
    })
}

/// A value as the SQL engine binds it.
pub(super) fn scalar(value: &Value) -> ScalarValue {
    match value {
        Value::Null => ScalarValue::Null,
        Value::Bool(value) => ScalarValue::Boolean(Some(*value)),
        Value::Int(value) => ScalarValue::Int64(Some(*value)),
        Value::UInt(value) => ScalarValue::UInt64(Some(*value)),
        Value::Float(value) => ScalarValue::Float64(Some(value.get())),
        Value::Decimal { unscaled, scale } => ScalarValue::Decimal128(Some(*unscaled), 38, *scale),
        Value::Text(value) => ScalarValue::from(value.as_str()),
        Value::Date(days) => ScalarValue::Date32(Some(*days)),
        Value::Timestamp { ticks, unit, utc } => {
            let zone = utc.then(|| "UTC".into());
            match unit {
                crate::model::value::Tick::S => ScalarValue::TimestampSecond(Some(*ticks), zone),
                crate::model::value::Tick::Ms => ScalarValue::TimestampMillisecond(Some(*ticks), zone),
                crate::model::value::Tick::Us => ScalarValue::TimestampMicrosecond(Some(*ticks), zone),
                crate::model::value::Tick::Ns => ScalarValue::TimestampNanosecond(Some(*ticks), zone),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with() -> IndexMap<String, With> {
        [
            ("period".to_owned(), With::Period("last_month".to_owned())),
            ("top".to_owned(), With::Value(Value::Int(10))),
        ]
        .into()
    }

    #[test]
    fn defaults_and_values_by_hand() {
        let today = "2026-03-31".parse().unwrap();
        let (params, period) = of_with(&with(), &IndexMap::new(), today).unwrap();
        assert_eq!(params["period.from"], day("2026-02-01".parse().unwrap()));
        assert_eq!(params["period.last"], day("2026-02-28".parse().unwrap()));
        assert_eq!(params["top"], ScalarValue::Int64(Some(10)));
        assert_eq!(period.unwrap().until, "2026-03-01".parse::<NaiveDate>().unwrap());
        let by_hand = [("top".to_owned(), "3".to_owned())].into();
        assert_eq!(of_with(&with(), &by_hand, today).unwrap().0["top"], ScalarValue::Int64(Some(3)));
    }

    #[test]
    fn mistakes_are_told() {
        let today = "2026-03-31".parse().unwrap();
        let wrong = |name: &str, value: &str| {
            let error = of_with(&with(), &[(name.to_owned(), value.to_owned())].into(), today).unwrap_err();
            format!("{error}; {}", error.advice())
        };
        assert_eq!(wrong("perod", "2026"), "there is no parameter `perod` in [with]; did you mean `period`?");
        assert_eq!(wrong("top", "many").split(';').next(), Some("parameter `top`: `many` is no whole number"));
        assert!(wrong("period", "someday").starts_with("parameter `period`: `someday` is no period; a day"));
    }
}
