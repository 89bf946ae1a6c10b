//! Days and ranges of days as people read them.

use chrono::{Datelike, NaiveDate};

use super::words::Words;
use crate::{config::project::Language, model::time::Period};

/// What a period is called: `вчера`, `последние 7 дней`, `март 2026`, `01.03–15.03.2026`. `period`: the days that the text stands for.
pub(super) fn name(text: &str, period: Option<Period>, words: &Words) -> String {
    if let Some(name) = relative(text, words) {
        return name;
    }
    match (text.len(), period) {
        (4, Some(_)) => words.year(text),
        (7, Some(period)) => month(period.from, words),
        (_, Some(period)) => range(period, words.language()),
        (_, None) => text.to_owned(),
    }
}

/// What a period is called, and its days where the name does not say them.
pub(super) fn name_and_days(text: &str, period: Option<Period>, words: &Words) -> String {
    let name = name(text, period, words);
    match period {
        Some(period) if relative(text, words).is_some() => {
            format!("{name}, {}", range(period, words.language()))
        }
        _ => name,
    }
}

fn relative(text: &str, words: &Words) -> Option<String> {
    let name = match text {
        "today" => words.today(),
        "yesterday" => words.yesterday(),
        "this_week" => words.this_week(),
        "last_week" => words.last_week(),
        "this_month" => words.this_month(),
        "last_month" => words.last_month(),
        "this_quarter" => words.this_quarter(),
        "last_quarter" => words.last_quarter(),
        "this_year" => words.this_year(),
        "last_year" => words.last_year(),
        _ => {
            let days: u64 = text.strip_prefix("last_")?.strip_suffix("_days")?.parse().ok()?;
            return Some(words.last_days(days));
        }
    };
    Some(name.to_owned())
}

/// `15.03.2026`, `15 Mar 2026`.
pub(super) fn day(day: NaiveDate, language: Language) -> String {
    match language {
        Language::Ru => day.format("%d.%m.%Y").to_string(),
        Language::En => day.format("%-d %b %Y").to_string(),
    }
}

/// `01.03–15.03.2026`; one day as that day.
pub(super) fn range(period: Period, language: Language) -> String {
    let (from, last) = (period.from, period.last());
    if from == last {
        return day(from, language);
    }
    match (language, from.year() == last.year(), from.month() == last.month()) {
        (Language::Ru, true, _) => format!("{}–{}", from.format("%d.%m"), day(last, language)),
        (Language::Ru, false, _) => format!("{}–{}", day(from, language), day(last, language)),
        (Language::En, true, true) => format!("{}–{}", from.day(), day(last, language)),
        (Language::En, true, false) => format!("{} – {}", from.format("%-d %b"), day(last, language)),
        (Language::En, false, _) => format!("{} – {}", day(from, language), day(last, language)),
    }
}

/// `март 2026`.
pub(super) fn month(day: NaiveDate, words: &Words) -> String {
    format!("{} {}", month_name(day, words), day.year())
}

/// `март`.
pub(super) fn month_name(day: NaiveDate, words: &Words) -> &str {
    words.months().nth(day.month0() as usize).unwrap_or_default()
}

/// `Пн`.
pub(super) fn weekday(day: NaiveDate, words: &Words) -> &str {
    words.weekdays().nth(day.weekday().num_days_from_monday() as usize).unwrap_or_default()
}

/// With a capital letter first, as buttons have it.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let today: NaiveDate = "2026-03-18".parse().unwrap();
        let both = |text| {
            let period = Period::parse(text, today);
            [Language::Ru, Language::En].map(|language| name_and_days(text, period, &Words::plain(language)))
        };
        assert_eq!(both("yesterday"), ["вчера, 17.03.2026", "yesterday, 17 Mar 2026"]);
        assert_eq!(
            both("last_7_days"),
            ["последние 7 дней, 11.03–17.03.2026", "last 7 days, 11–17 Mar 2026"]
        );
        assert_eq!(both("2026-03"), ["март 2026", "March 2026"]);
        assert_eq!(both("2025"), ["2025 год", "2025"]);
        assert_eq!(both("2025-12-25..2026-01-05"), ["25.12.2025–05.01.2026", "25 Dec 2025 – 5 Jan 2026"]);
        assert_eq!(capital("вчера"), "Вчера");
    }
}
