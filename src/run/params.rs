//! What `:region`, `:region.title` and `:period.from` stand for in a member's SQL.

use chrono::{DateTime, NaiveDate, Utc};
use indexmap::IndexMap;

use crate::{
    config::project::With,
    connector::error::{Error, ErrorKind, Result},
    engine::params::Params,
    model::{
        name::Facts,
        problem::nearest,
        time::Period,
        value::Value,
        window::{Window, Windows},
    },
};

/// The parameters of a workbook's SQL: the member's facts, and those of `[with]`, by hand or by default, as of `today`; and the first period, for a workbook's header.
pub(super) fn of_workbook(
    facts: &Facts,
    with: &IndexMap<String, With>,
    by_hand: &IndexMap<String, String>,
    today: NaiveDate,
) -> Result<(Params, Option<Period>)> {
    if let Some(unknown) = by_hand.keys().find(|name| !with.contains_key(*name)) {
        return Err(unknown_parameter(unknown, with));
    }
    let mut params = Params::of_facts(facts);
    let mut shown = None;
    for (name, default) in with {
        match default {
            With::Period(text) => {
                let period = period(name, by_hand.get(name).unwrap_or(text), today)?;
                shown = shown.or(Some(period));
                params.set_period(name, &period);
            }
            With::Value(value) => {
                let value = match by_hand.get(name) {
                    Some(text) => typed(name, text, value)?,
                    None => value.clone(),
                };
                params.set_value(name, &value);
            }
        }
    }
    Ok((params, shown))
}

/// The parameters of a table's SQL: the member's facts, and the bounds of a window; of the one that is going on, where none is meant.
pub(super) fn of_table(
    facts: &Facts,
    windows: Option<&Windows>,
    window: Option<&Window>,
    now: DateTime<Utc>,
) -> Params {
    let mut params = Params::of_facts(facts);
    if let Some(windows) = windows {
        params.set_window(&window.copied().unwrap_or_else(|| windows.at(now)));
    }
    params
}

fn unknown_parameter(name: &str, with: &IndexMap<String, With>) -> Error {
    let error = Error::new(ErrorKind::Unsupported, format!("there is no parameter `{name}` in [with]"));
    match nearest(name, with.keys().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error
            .hint(format!("parameters: {}", with.keys().map(String::as_str).collect::<Vec<_>>().join(", "))),
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

fn days(day: NaiveDate) -> i32 {
    day.signed_duration_since(NaiveDate::default()).num_days() as i32
}

/// A value by hand, of the type that the default has.
fn typed(name: &str, text: &str, like: &Value) -> Result<Value> {
    let wrong =
        |what: &str| Error::new(ErrorKind::Unsupported, format!("parameter `{name}`: `{text}` is no {what}"));
    Ok(match like {
        Value::Int(_) | Value::UInt(_) => Value::Int(text.parse().map_err(|_| wrong("whole number"))?),
        Value::Float(_) => Value::Float(text.parse::<f64>().map_err(|_| wrong("number"))?.into()),
        Value::Bool(_) => Value::Bool(text.parse().map_err(|_| wrong("true or false"))?),
        Value::Date(_) => Value::Date(days(text.parse().map_err(|_| wrong("date"))?)),
        _ => Value::Text(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        [("region".to_owned(), "mrf1".to_owned())].into()
    }

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
        let (params, period) = of_workbook(&facts(), &with(), &IndexMap::new(), today).unwrap();
        let shown: Vec<String> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            shown,
            [
                "region=mrf1",
                "period.from=2026-02-01",
                "period.until=2026-03-01",
                "period.last=2026-02-28",
                "top=10"
            ]
        );
        assert_eq!(period.unwrap().until, "2026-03-01".parse::<NaiveDate>().unwrap());
        let by_hand = [("top".to_owned(), "3".to_owned())].into();
        let (params, _) = of_workbook(&facts(), &with(), &by_hand, today).unwrap();
        assert_eq!(params.iter().last().map(|(_, value)| value.to_string()), Some("3".to_owned()));
    }

    #[test]
    fn mistakes_are_told() {
        let today = "2026-03-31".parse().unwrap();
        let wrong = |name: &str, value: &str| {
            let error = of_workbook(&facts(), &with(), &[(name.to_owned(), value.to_owned())].into(), today)
                .unwrap_err();
            format!("{error}; {}", error.advice())
        };
        assert_eq!(wrong("perod", "2026"), "there is no parameter `perod` in [with]; did you mean `period`?");
        assert_eq!(
            wrong("top", "many").split(';').next(),
            Some("parameter `top`: `many` is no whole number")
        );
        assert!(wrong("period", "someday").starts_with("parameter `period`: `someday` is no period; a day"));
    }
}
