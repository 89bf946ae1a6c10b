//! Days and ranges of days as people read them.

use chrono::{Datelike, NaiveDate};

use super::words::plural;
use crate::{config::project::Language, model::time::Period};

const MONTHS: [[&str; 12]; 2] = [
    [
        "январь",
        "февраль",
        "март",
        "апрель",
        "май",
        "июнь",
        "июль",
        "август",
        "сентябрь",
        "октябрь",
        "ноябрь",
        "декабрь",
    ],
    [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
];

const WEEKDAYS: [[&str; 7]; 2] =
    [["Пн", "Вт", "Ср", "Чт", "Пт", "Сб", "Вс"], ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]];

/// What a period is called: `вчера`, `последние 7 дней`, `март 2026`, `01.03–15.03.2026`.
pub(super) fn name(text: &str, today: NaiveDate, language: Language) -> String {
    if let Some(name) = relative(text, language) {
        return name;
    }
    match (text.len(), Period::parse(text, today)) {
        (4, Some(_)) => match language {
            Language::Ru => format!("{text} год"),
            Language::En => text.to_owned(),
        },
        (7, Some(period)) => month(period.from, language),
        (_, Some(period)) => range(period, language),
        (_, None) => text.to_owned(),
    }
}

/// What a period is called, and its days where the name does not say them.
pub(super) fn name_and_days(text: &str, today: NaiveDate, language: Language) -> String {
    let name = name(text, today, language);
    match Period::parse(text, today) {
        Some(period) if relative(text, language).is_some() => format!("{name}, {}", range(period, language)),
        _ => name,
    }
}

fn relative(text: &str, language: Language) -> Option<String> {
    let pair = match text {
        "today" => ("сегодня", "today"),
        "yesterday" => ("вчера", "yesterday"),
        "this_week" => ("эта неделя", "this week"),
        "last_week" => ("прошлая неделя", "last week"),
        "this_month" => ("этот месяц", "this month"),
        "last_month" => ("прошлый месяц", "last month"),
        "this_quarter" => ("этот квартал", "this quarter"),
        "last_quarter" => ("прошлый квартал", "last quarter"),
        "this_year" => ("этот год", "this year"),
        "last_year" => ("прошлый год", "last year"),
        _ => {
            let days: u64 = text.strip_prefix("last_")?.strip_suffix("_days")?.parse().ok()?;
            let first = if days == 1 { "последний" } else { "последние" };
            return Some(match language {
                Language::Ru => format!("{first} {}", self::days(days, language)),
                Language::En => format!("last {}", self::days(days, language)),
            });
        }
    };
    Some(super::words::pick(pair, language).to_owned())
}

/// `7 дней`.
pub(super) fn days(count: u64, language: Language) -> String {
    plural(count, language, ["день", "дня", "дней"], ["day", "days"])
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
pub(super) fn month(day: NaiveDate, language: Language) -> String {
    format!("{} {}", month_name(day.month0() as usize, language), day.year())
}

/// `март`.
pub(super) fn month_name(month0: usize, language: Language) -> &'static str {
    MONTHS[usize::from(language == Language::En)][month0]
}

/// From Monday on.
pub(super) fn weekdays(language: Language) -> [&'static str; 7] {
    WEEKDAYS[usize::from(language == Language::En)]
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
        let both = |text| [Language::Ru, Language::En].map(|language| name_and_days(text, today, language));
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
