//! Answers to a report's questions → bound values. Bounds are held here too: whoever asks may have been bypassed.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chrono::NaiveDate;
use datafusion::{common::utils::SingleRowListArrayBuilder, scalar::ScalarValue};
use indexmap::IndexMap;

use crate::{
    bot::event::{Given, With},
    config::bot::{Ask, AskKind, Choice, ChoiceFrom, Dates, NoPeriod, Number, Report},
    engine::params::{Params, scalar},
    model::{problem::nearest, time::Period, value::Value},
};

/// What a report runs with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    /// Bound to the query.
    pub params: Params,
    /// Ranges and days by question, in order: what a comparison shifts, what the answer speaks of.
    pub periods: IndexMap<String, Period>,
}

/// Why an answer to a question will not do; for the one who asked, so in words of the project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{name}`: {what}")]
pub struct Wrong {
    /// The question.
    pub name: String,
    /// What is wrong.
    pub what: String,
}

/// Binds every question: what was answered, else the reader's attribute, else the default.
pub fn bind(
    report: &Report,
    with: &With,
    attributes: &IndexMap<String, Vec<String>>,
    today: NaiveDate,
) -> Result<Asked, Wrong> {
    if let Some(unknown) = with.keys().find(|name| !report.ask.contains_key(*name)) {
        let near = nearest(unknown, report.ask.keys().map(String::as_str));
        let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        return Err(Wrong {
            name: unknown.clone(),
            what: format!("the report `{}` does not ask for it{hint}", report.name),
        });
    }
    let mut asked = Asked::default();
    for (name, ask) in &report.ask {
        let wrong = |what: String| Wrong { name: name.clone(), what };
        let own = ask.user.as_ref().and_then(|attribute| attributes.get(attribute));
        asked.bind(name, ask, with.get(name), own, today).map_err(wrong)?;
    }
    Ok(asked)
}

/// The same, one range earlier: as long, ending where it begins; of a range that goes on, as many days as have begun by `today`. Other ranges stay.
pub fn previous(asked: &Asked, name: &str, today: NaiveDate) -> Option<Asked> {
    let period = asked.periods.get(name)?;
    let mut before = before(*period)?;
    let begun = today.succ_opt()?.signed_duration_since(period.from);
    if period.from <= today {
        before.until = before.until.min(before.from.checked_add_signed(begun)?);
    }
    let mut earlier = asked.clone();
    earlier.params.set_period(name, &before);
    earlier.periods.insert(name.to_owned(), before);
    Some(earlier)
}

/// Whole months move by months, anything else by its length.
fn before(period: Period) -> Option<Period> {
    use chrono::{Datelike, Months};
    let months = i64::from(period.until.year() - period.from.year()) * 12 + i64::from(period.until.month())
        - i64::from(period.from.month());
    if period.from.day() == 1 && period.until.day() == 1 && months > 0 {
        let from = period.from.checked_sub_months(Months::new(u32::try_from(months).ok()?))?;
        return Some(Period { from, until: period.from });
    }
    let length = period.until.signed_duration_since(period.from);
    Some(Period { from: period.from.checked_sub_signed(length)?, until: period.from })
}

impl Asked {
    fn bind(
        &mut self,
        name: &str,
        ask: &Ask,
        given: Option<&Given>,
        own: Option<&Vec<String>>,
        today: NaiveDate,
    ) -> Result<(), String> {
        match &ask.kind {
            AskKind::DateRange(dates) => {
                let period = period(dates, given, today, true)?;
                self.params.set_period(name, &period);
                self.periods.insert(name.to_owned(), period);
            }
            AskKind::Date(dates) => {
                let period = period(dates, given, today, false)?;
                let days = period.from.signed_duration_since(NaiveDate::default()).num_days();
                self.params.set(name, ScalarValue::Date32(i32::try_from(days).ok()));
                self.periods.insert(name.to_owned(), period);
            }
            AskKind::Choice(choice) => self.params.set(name, picked(choice, given, own)?),
            AskKind::Number(number) => self.params.set(name, counted(number, given)?),
            AskKind::Text { default, longest } => {
                let text = match given {
                    Some(Given::Value(Value::Text(text))) => text.clone(),
                    Some(_) => return Err("a text is asked for".to_owned()),
                    None => own.and_then(|own| own.first()).or(default.as_ref()).ok_or_else(nothing)?.clone(),
                };
                if text.chars().count() > *longest {
                    return Err(format!("the text is longer than {longest} characters"));
                }
                self.params.set(name, ScalarValue::Utf8(Some(text)));
            }
        }
        Ok(())
    }
}

fn nothing() -> String {
    "it has no default and was not answered".to_owned()
}

fn period(dates: &Dates, given: Option<&Given>, today: NaiveDate, range: bool) -> Result<Period, String> {
    let text = match given {
        Some(Given::Period(text)) => text,
        Some(Given::Value(Value::Text(text))) => text,
        Some(_) => return Err("a date or a range of days is asked for".to_owned()),
        None => dates.default.as_ref().ok_or_else(nothing)?,
    };
    dates.period(text, today, range).map_err(|why| match why {
        NoPeriod::Unreadable if range => format!("`{text}` is no date and no range of days"),
        NoPeriod::Unreadable => format!("`{text}` is no day"),
        NoPeriod::TooEarly => "it begins before the first day that may be chosen".to_owned(),
        NoPeriod::TooLate => "it begins after the last day that may be chosen".to_owned(),
        NoPeriod::TooLong => format!("it is longer than {} days", dates.longest.unwrap_or(0)),
    })
}

fn picked(choice: &Choice, given: Option<&Given>, own: Option<&Vec<String>>) -> Result<ScalarValue, String> {
    let kind = choice.value_type.clone().unwrap_or(DataType::Utf8);
    let values: Vec<Value> = match given {
        Some(Given::Any) if choice.any.is_some() => return null(choice, &kind),
        Some(Given::Any) => return Err("one of the list must be chosen".to_owned()),
        Some(Given::Picked(picked)) => picked.iter().map(|picked| picked.value.clone()).collect(),
        Some(Given::Value(value)) => vec![value.clone()],
        Some(Given::Period(_)) => return Err("one of the list is asked for".to_owned()),
        // Several of one's own answer no question for one, as in the dialog; the first does where nothing else would.
        None => match (own.filter(|own| choice.many || own.len() == 1), &choice.default) {
            (Some(own), _) if !own.is_empty() => own.iter().map(|value| Value::Text(value.clone())).collect(),
            (_, Some(value)) => vec![value.clone()],
            (_, None) if choice.any.is_some() => return null(choice, &kind),
            (_, None) => vec![Value::Text(own.and_then(|own| own.first()).ok_or_else(nothing)?.clone())],
        },
    };
    let values = if choice.many { values } else { values.into_iter().take(1).collect() };
    if values.is_empty() {
        return Err("none of the list was chosen".to_owned());
    }
    if let ChoiceFrom::Values(known) = &choice.from
        && let Some(unknown) = values.iter().find(|value| !known.contains_key(&value.to_string()))
    {
        return Err(format!("`{unknown}` is not one of the list"));
    }
    let typed = |value: &Value| scalar(value).cast_to(&kind).map_err(|_| format!("`{value}` is no {kind}"));
    let values = values.iter().map(typed).collect::<Result<Vec<_>, _>>()?;
    if choice.many { list(&values) } else { values.into_iter().next().ok_or_else(nothing) }
}

fn null(choice: &Choice, kind: &DataType) -> Result<ScalarValue, String> {
    let kind = if choice.many { DataType::new_list(kind.clone(), true) } else { kind.clone() };
    ScalarValue::try_from(&kind).map_err(|error| error.to_string())
}

fn list(values: &[ScalarValue]) -> Result<ScalarValue, String> {
    let array = ScalarValue::iter_to_array(values.iter().cloned()).map_err(|error| error.to_string())?;
    Ok(ScalarValue::List(Arc::new(SingleRowListArrayBuilder::new(array).build_list_array())))
}

fn counted(number: &Number, given: Option<&Given>) -> Result<ScalarValue, String> {
    let value = match given {
        Some(Given::Value(value)) => value,
        Some(_) => return Err("a number is asked for".to_owned()),
        None => number.default.as_ref().ok_or_else(nothing)?,
    };
    let size = match value {
        Value::Int(value) => *value as f64,
        Value::UInt(value) => *value as f64,
        Value::Float(value) => value.get(),
        Value::Decimal { unscaled, scale } => *unscaled as f64 / 10f64.powi(i32::from(*scale)),
        _ => return Err("a number is asked for".to_owned()),
    };
    if !size.is_finite() {
        return Err("a number is asked for".to_owned());
    }
    if number.least.is_some_and(|least| size < least) || number.most.is_some_and(|most| size > most) {
        return Err("the number is out of its bounds".to_owned());
    }
    match value {
        Value::Int(_) | Value::UInt(_) if number.whole => Ok(scalar(value)),
        _ if number.whole => Err("a whole number is asked for".to_owned()),
        _ => Ok(ScalarValue::Float64(Some(size))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bot::event::Picked, config::bot::Text};

    fn today() -> NaiveDate {
        "2026-03-31".parse().unwrap()
    }

    fn asking(name: &str, kind: AskKind, user: Option<&str>) -> Report {
        let mut report = super::super::run::tests::report(&[]);
        let ask = Ask { title: Text::default(), kind, user: user.map(str::to_owned) };
        report.ask.insert(name.to_owned(), ask);
        report
    }

    fn bound(report: &Report, given: Option<Given>, own: &[&str]) -> Result<String, String> {
        let name = report.ask.keys().next().unwrap().clone();
        let with: With = given.into_iter().map(|given| (name.clone(), given)).collect();
        let own = own.iter().map(|value| (*value).to_owned()).collect();
        let asked =
            bind(report, &with, &[("region".to_owned(), own)].into(), today()).map_err(|wrong| wrong.what)?;
        Ok(asked.params.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
    }

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    #[test]
    fn ranges_are_bound_within_their_bounds() {
        let dates = Dates {
            default: Some("last_7_days".into()),
            first: "2026-01-01".parse().ok(),
            longest: Some(31),
            ..Dates::default()
        };
        let report = asking("period", AskKind::DateRange(dates), None);
        let period = |text: &str| bound(&report, Some(Given::Period(text.to_owned())), &[]);
        assert_eq!(
            period("2026-02").unwrap(),
            "period.from=2026-02-01 period.until=2026-03-01 period.last=2026-02-28"
        );
        assert!(bound(&report, None, &[]).unwrap().starts_with("period.from=2026-03-24"));
        assert_eq!(period("2025-12").unwrap_err(), "it begins before the first day that may be chosen");
        assert_eq!(period("2026").unwrap_err(), "it is longer than 31 days");
        assert_eq!(period("someday").unwrap_err(), "`someday` is no date and no range of days");
        assert!(bound(&report, Some(Given::Any), &[]).is_err());
        let days = |text: &str| period(text).unwrap();
        assert!(days("this_month").starts_with("period.from=2026-03-01 period.until=2026-04-01"));
        assert!(days("2026-03-20..2026-04-15").ends_with("period.last=2026-03-31"), "today is the last day");
        assert_eq!(period("2026-04-01").unwrap_err(), "it begins after the last day that may be chosen");
        let early = Dates {
            default: Some("last_30_days".into()),
            first: "2026-03-20".parse().ok(),
            ..Dates::default()
        };
        let report = asking("period", AskKind::DateRange(early), None);
        assert!(
            bound(&report, None, &[]).unwrap().starts_with("period.from=2026-03-20 period.until=2026-03-31"),
            "a default begins with the first day there is"
        );
    }

    #[test]
    fn what_goes_on_is_compared_with_as_many_days() {
        let before = |text: &str, today: &str| {
            let today = today.parse().unwrap();
            let report = asking("period", AskKind::DateRange(Dates::default()), None);
            let with = [("period".to_owned(), Given::Period(text.to_owned()))].into();
            let asked = bind(&report, &with, &IndexMap::new(), today).unwrap();
            let before = previous(&asked, "period", today).unwrap().periods["period"];
            format!("{}..{}", before.from, before.last())
        };
        assert_eq!(before("this_month", "2026-03-18"), "2026-02-01..2026-02-18");
        assert_eq!(before("2026-03", "2026-03-18"), "2026-02-01..2026-02-18");
        assert_eq!(before("this_month", "2026-03-31"), "2026-02-01..2026-02-28", "no more than there are");
        assert_eq!(before("this_year", "2026-03-18"), "2025-01-01..2025-03-18");
        assert_eq!(before("this_week", "2026-03-18"), "2026-03-09..2026-03-11");
        assert_eq!(before("last_month", "2026-03-18"), "2026-01-01..2026-01-31");
        assert_eq!(before("last_7_days", "2026-03-18"), "2026-03-04..2026-03-10");
        assert_eq!(before("2026-03-15..2026-03-30", "2026-03-18"), "2026-03-11..2026-03-14");
    }

    #[test]
    fn the_range_before_is_as_long() {
        let before = |from: &str, until: &str| {
            let period = Period { from: from.parse().unwrap(), until: until.parse().unwrap() };
            let before = before(period).unwrap();
            (before.from.to_string(), before.until.to_string())
        };
        assert_eq!(before("2026-03-08", "2026-03-15"), ("2026-03-01".into(), "2026-03-08".into()));
        assert_eq!(before("2026-03-01", "2026-04-01"), ("2026-02-01".into(), "2026-03-01".into()));
        assert_eq!(before("2026-01-01", "2027-01-01"), ("2025-01-01".into(), "2026-01-01".into()));
    }

    #[test]
    fn choices_are_of_their_list() {
        let known = [("mrf1".to_owned(), "Центр".to_owned()), ("mrf2".to_owned(), "Волга".to_owned())];
        let choice = Choice {
            from: ChoiceFrom::Values(known.into()),
            any: Some(Text::one("все")),
            many: false,
            default: None,
            value_type: None,
        };
        let pick = |value: Value| Given::Picked(vec![Picked { value, title: String::new() }]);
        let report = asking("region", AskKind::Choice(choice.clone()), Some("region"));
        assert_eq!(bound(&report, Some(pick(text("mrf2"))), &[]).unwrap(), "region=mrf2");
        assert_eq!(bound(&report, None, &["mrf1"]).unwrap(), "region=mrf1");
        assert_eq!(bound(&report, None, &[]).unwrap(), "region=NULL");
        assert_eq!(
            bound(&report, None, &["mrf1", "mrf2"]).unwrap(),
            "region=NULL",
            "all of them, as it says"
        );
        assert_eq!(
            bound(&report, Some(pick(text("mrf9"))), &[]).unwrap_err(),
            "`mrf9` is not one of the list"
        );
        let many = asking("region", AskKind::Choice(Choice { many: true, ..choice.clone() }), None);
        let both = Given::Picked(
            ["mrf1", "mrf2"].map(|value| Picked { value: text(value), title: String::new() }).to_vec(),
        );
        assert_eq!(bound(&many, Some(both), &[]).unwrap(), "region=[mrf1, mrf2]");
        let must = asking("region", AskKind::Choice(Choice { any: None, ..choice }), None);
        assert!(bound(&must, Some(Given::Any), &[]).is_err() && bound(&must, None, &[]).is_err());
        let mut must = Report { ask: report.ask.clone(), ..must };
        if let AskKind::Choice(choice) = &mut must.ask["region"].kind {
            choice.any = None;
        }
        assert_eq!(bound(&must, None, &["mrf2", "mrf1"]).unwrap(), "region=mrf2");
    }

    #[test]
    fn numbers_and_texts_have_bounds() {
        let number =
            Number { default: Some(Value::Int(10)), least: Some(1.0), most: Some(100.0), whole: true };
        let report = asking("top", AskKind::Number(number), None);
        assert_eq!(bound(&report, None, &[]).unwrap(), "top=10");
        assert!(bound(&report, Some(Given::Value(Value::Int(101))), &[]).is_err());
        assert!(bound(&report, Some(Given::Value(Value::Float(1.5.into()))), &[]).is_err());
        let report = asking("q", AskKind::Text { default: None, longest: 3 }, None);
        assert_eq!(bound(&report, Some(Given::Value(text("ёлк"))), &[]).unwrap(), "q=ёлк");
        assert!(bound(&report, Some(Given::Value(text("ёлка"))), &[]).is_err());
        let unknown =
            bind(&report, &[("w".to_owned(), Given::Any)].into(), &IndexMap::new(), today()).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "parameter `w`: the report `revenue` does not ask for it; did you mean `q`?"
        );
    }
}
