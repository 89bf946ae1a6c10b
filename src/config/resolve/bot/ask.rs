//! Questions: which keys go with which kind, defaults within bounds.

use chrono::{Datelike, NaiveDate};

use super::{Scope, optional, people};
use crate::{
    config::{
        bot::{Ask, AskKind, AskKindName, Bot, Choice, ChoiceFrom, Dates, Number, Text},
        project::Sql,
        raw::{bot::Ask as Raw, pipeline::Scalar},
        resolve::{report::Report, value},
        tree::Node,
    },
    model::{
        time::{Period, Span},
        value::Value,
    },
};

/// Letters of a text that is asked for, unless told.
const LONGEST_TEXT: usize = 200;
/// Values of a list that is written down.
const MOST_VALUES: usize = 1_000;

/// Keys that go with some kinds only.
const KEYS: [(&str, &[AskKindName]); 8] = [
    ("presets", &[AskKindName::Date, AskKindName::DateRange]),
    ("min", &[AskKindName::Date, AskKindName::DateRange, AskKindName::Number]),
    ("max", &[AskKindName::Date, AskKindName::DateRange, AskKindName::Number, AskKindName::Text]),
    ("from", &[AskKindName::Choice]),
    ("values", &[AskKindName::Choice]),
    ("any", &[AskKindName::Choice]),
    ("many", &[AskKindName::Choice]),
    ("user", &[AskKindName::Choice, AskKindName::Text]),
];

/// A question; `None` where it cannot be made, which was reported.
pub(super) fn ask(
    name: &str,
    raw: &Raw,
    node: &Node,
    scope: &Scope<'_>,
    bot: &Bot,
    report: &mut Report<'_>,
) -> Option<Ask> {
    let good = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if !good {
        let message = format!("a question cannot be named `{name}`: SQL could not name it");
        report.key(node, "bad-name", message, "use letters, digits and `_`");
    }
    for (key, kinds) in KEYS {
        if let Some(place) = node.get(key).filter(|_| !kinds.contains(&raw.kind)) {
            let kinds: Vec<&str> = kinds.iter().map(|kind| kind_name(*kind)).collect();
            let message = format!("`{key}` goes with {}", crate::config::walk::list(&kinds));
            report.key(place, "conflicting-keys", message, "");
        }
    }
    if let Some(user) = &raw.user {
        people::check_attribute(user, node.at(&["user"]), &bot.attributes, report);
    }
    let kind = match raw.kind {
        AskKindName::Date => AskKind::Date(dates(raw, node, false, report)),
        AskKindName::DateRange => AskKind::DateRange(dates(raw, node, true, report)),
        AskKindName::Choice => AskKind::Choice(choice(raw, node, scope, report)?),
        AskKindName::Number => AskKind::Number(number(raw, node, report)),
        AskKindName::Text => text(raw, node, report),
    };
    let title = optional(raw.title.as_ref(), node.at(&["title"]), report);
    let title = title.unwrap_or_else(|| match (&kind, name) {
        (AskKind::DateRange(_), "period") => Text { ru: "Период".to_owned(), en: "Period".to_owned() },
        (AskKind::Date(_), "day") => Text { ru: "День".to_owned(), en: "Day".to_owned() },
        _ => Text::one(name),
    });
    Some(Ask { title, kind, user: raw.user.clone() })
}

fn kind_name(kind: AskKindName) -> &'static str {
    match kind {
        AskKindName::Date => "date",
        AskKindName::DateRange => "date_range",
        AskKindName::Choice => "choice",
        AskKindName::Number => "number",
        AskKindName::Text => "text",
    }
}

/// Days by which the longest that a relative period can be is told: it depends on the day.
fn samples() -> impl Iterator<Item = NaiveDate> {
    ["2024-02-29", "2025-12-31", "2026-07-15"].into_iter().filter_map(|day| day.parse().ok())
}

fn dates(raw: &Raw, node: &Node, range: bool, report: &mut Report<'_>) -> Dates {
    let mut dates = Dates { first: day(raw.min.as_ref(), node.at(&["min"]), report), ..Dates::default() };
    if range {
        dates.longest = raw.max.as_ref().and_then(|max| longest(max, node.at(&["max"]), report));
    } else {
        dates.last = day(raw.max.as_ref(), node.at(&["max"]), report);
    }
    if let Some(default) = &raw.default {
        let text = match default {
            Scalar::Text(text) => text.clone(),
            other => value::value(other).to_string(),
        };
        period(&text, node.at(&["default"]), range, &dates, report);
        dates.default = Some(text);
    }
    for (at, preset) in raw.presets.iter().enumerate() {
        let place = node.at(&["presets"]);
        period(preset, place.items().get(at).unwrap_or(place), range, &dates, report);
    }
    dates.presets.clone_from(&raw.presets);
    dates
}

/// Checks a default or a preset against the calendar's bounds.
fn period(text: &str, node: &Node, range: bool, dates: &Dates, report: &mut Report<'_>) {
    let periods: Vec<Period> = samples().filter_map(|today| Period::parse(text, today)).collect();
    let Some(period) = periods.last() else {
        let hint = match Period::meant(text) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "expected `yesterday`, `last_7_days`, `this_month`, a day, a month or a year".to_owned(),
        };
        return report.value(node, "bad-period", format!("`{text}` is no period"), hint);
    };
    let days = periods.iter().map(|period| (period.until - period.from).num_days()).max().unwrap_or(0);
    if !range && days != 1 {
        let message = format!("`{text}` is not one day");
        return report.value(node, "bad-period", message, "use `today`, `yesterday` or a day");
    }
    if dates.longest.is_some_and(|longest| days > i64::from(longest)) {
        let message = format!("`{text}` can be {days} days, and `max` allows {}", dates.longest.unwrap_or(0));
        return report.value(node, "out-of-range", message, "");
    }
    let fixed = text.starts_with(|c: char| c.is_ascii_digit());
    let early = dates.first.is_some_and(|first| period.from < first);
    let late = dates.last.is_some_and(|last| period.last() > last);
    if fixed && (early || late) {
        report.value(node, "out-of-range", format!("`{text}` lies outside of `min` and `max`"), "");
    }
}

fn day(raw: Option<&Scalar>, node: &Node, report: &mut Report<'_>) -> Option<NaiveDate> {
    let found = match raw? {
        Scalar::Time(time) => time.to_string().parse().ok(),
        Scalar::Text(text) => text.parse().ok(),
        _ => None,
    };
    if found.is_none_or(|day: NaiveDate| !(1900..=2200).contains(&day.year())) {
        report.value(node, "bad-date", "this is no day", "write it bare: 2026-01-31");
        return None;
    }
    found
}

fn longest(raw: &Scalar, node: &Node, report: &mut Report<'_>) -> Option<u32> {
    let span = match raw {
        Scalar::Text(text) => text.parse::<Span>().ok(),
        _ => None,
    };
    let days = span.map(|span| span.get().as_secs() / 86_400).filter(|days| *days > 0);
    if days.is_none() {
        report.value(node, "bad-duration", "`max` of a range is a number of days", "write \"366d\"");
    }
    days.and_then(|days| u32::try_from(days).ok())
}

fn choice(raw: &Raw, node: &Node, scope: &Scope<'_>, report: &mut Report<'_>) -> Option<Choice> {
    let from = match (&raw.from, raw.values.is_empty()) {
        (Some(from), true) if from.starts_with("matrix.") => {
            ChoiceFrom::Values(people::matrix_values(from, node.at(&["from"]), scope, report)?)
        }
        (Some(from), true) => {
            ChoiceFrom::Sql(Sql { text: from.clone(), path: node.file.to_path_buf(), native: false })
        }
        (None, false) => {
            if raw.values.len() > MOST_VALUES {
                let message = format!("more than {MOST_VALUES} values");
                report.value(node.at(&["values"]), "out-of-range", message, "use `from` with a query");
            }
            ChoiceFrom::Values(raw.values.iter().map(|value| (value.clone(), value.clone())).collect())
        }
        _ => {
            let message = "a choice needs `from` or `values`, and not both";
            report.value(node, "missing-key", message, "");
            return None;
        }
    };
    let default = raw.default.as_ref().map(value::value);
    if let (ChoiceFrom::Values(values), Some(default)) = (&from, &default)
        && !values.contains_key(&default.to_string())
    {
        let known: Vec<&str> = values.keys().map(String::as_str).collect();
        let message = format!("`{default}` is none of the values");
        let hint = crate::config::resolve::matrix::meant(&default.to_string(), &known);
        report.value(node.at(&["default"]), "bad-choice", message, hint);
    }
    let any = optional(raw.any.as_ref(), node.at(&["any"]), report);
    let value_type = matches!(from, ChoiceFrom::Values(_)).then_some(arrow::datatypes::DataType::Utf8);
    Some(Choice { from, any, many: raw.many, default, value_type })
}

fn number(raw: &Raw, node: &Node, report: &mut Report<'_>) -> Number {
    let mut read = |raw: &Option<Scalar>, key: &str| match raw.as_ref()? {
        Scalar::Int(number) => Some((*number as f64, true)),
        Scalar::Float(number) => Some((*number, false)),
        _ => {
            report.value(node.at(&[key]), "wrong-type", format!("`{key}` must be a number"), "");
            None
        }
    };
    let told = [read(&raw.default, "default"), read(&raw.min, "min"), read(&raw.max, "max")];
    let [default, least, most] = told.map(|number| number.map(|(number, _)| number));
    let whole = told.iter().any(Option::is_some) && told.iter().flatten().all(|(_, whole)| *whole);
    let early = default.zip(least).is_some_and(|(default, least)| default < least);
    let late = default.zip(most).is_some_and(|(default, most)| default > most);
    if early || late {
        report.value(
            node.at(&["default"]),
            "out-of-range",
            "the default lies outside of `min` and `max`",
            "",
        );
    }
    if least.zip(most).is_some_and(|(least, most)| least > most) {
        report.value(node.at(&["max"]), "out-of-range", "`max` is less than `min`", "");
    }
    let value = |number: f64| if whole { Value::Int(number as i64) } else { Value::Float(number.into()) };
    Number { default: default.map(value), least, most, whole }
}

fn text(raw: &Raw, node: &Node, report: &mut Report<'_>) -> AskKind {
    let longest = match &raw.max {
        None => LONGEST_TEXT,
        Some(Scalar::Int(number)) if (1..=1000).contains(number) => *number as usize,
        Some(_) => {
            report.value(
                node.at(&["max"]),
                "out-of-range",
                "`max` of a text is its length",
                "expected 1 to 1000",
            );
            LONGEST_TEXT
        }
    };
    let default = raw.default.as_ref().map(|default| value::value(default).to_string());
    AskKind::Text { default, longest }
}
