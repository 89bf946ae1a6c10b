//! Numbers, money, shares and days as people of a language write them.
//!
//! Russian: thousands apart by a narrow no-break space, a comma, `1,2 млн ₽`, `31.01.2026`; English: `1,234.5`, `₽1.2M`, `2026-01-31`.

use chrono::{Datelike, NaiveDate};

use super::cell::Cell;
use crate::{
    bot::words::Words,
    config::{bot::Format, project::Language},
};

/// Stands between thousands, and between a number and its unit: never broken over lines.
pub const NARROW: char = '\u{202f}';

/// What stands for a value that is not there.
pub const NOTHING: &str = "—";

/// A value as its column is written; without a format, as its type is.
pub fn shown(cell: &Cell, format: Option<Format>, words: &Words) -> String {
    with_places(cell, format, places(cell, format), words)
}

/// Places behind the comma that a value has as its column is written.
pub(super) fn places(cell: &Cell, format: Option<Format>) -> u8 {
    match format {
        Some(Format::Whole) => 0,
        // Kopecks come in twos.
        Some(Format::Rub) if cell.places() > 0 => 2,
        _ => cell.places(),
    }
}

/// A value as its column is written, with so many places.
pub(super) fn with_places(cell: &Cell, format: Option<Format>, places: u8, words: &Words) -> String {
    let language = words.language();
    match cell {
        Cell::Empty => NOTHING.to_owned(),
        Cell::Float(value) if !value.is_finite() => infinite(*value).to_owned(),
        Cell::Decimal { .. } | Cell::Float(_) => match format {
            Some(Format::Rub) => rubles(digits(cell, places, language), language),
            Some(Format::Percent) => percent(cell.number().unwrap_or_default(), 1, language),
            Some(Format::Text) => plain(cell, places),
            _ => digits(cell, places, language),
        },
        Cell::Bool(true) => words.yes().to_owned(),
        Cell::Bool(false) => words.no().to_owned(),
        Cell::Date(day) if format == Some(Format::Month) => {
            format!("{} {}", month(day.month0(), words), day.year())
        }
        Cell::Date(day) => date(*day, language),
        Cell::Moment(moment) if matches!(format, Some(Format::Date | Format::Month)) => {
            with_places(&Cell::Date(moment.date()), format, places, words)
        }
        Cell::Moment(moment) => format!("{} {}", date(moment.date(), language), moment.format("%H:%M")),
        Cell::Text(text) => text.clone(),
    }
}

fn infinite(value: f64) -> &'static str {
    if value.is_nan() {
        NOTHING
    } else if value > 0.0 {
        "∞"
    } else {
        "−∞"
    }
}

/// A number rounded half away from zero, thousands apart.
pub(super) fn digits(cell: &Cell, places: u8, language: Language) -> String {
    grouped(&plain(cell, places), language)
}

/// A whole number, thousands apart.
pub fn whole(number: u64, language: Language) -> String {
    grouped(&number.to_string(), language)
}

/// A number with so many places, digits and a point only.
pub(super) fn plain(cell: &Cell, places: u8) -> String {
    let Cell::Decimal { unscaled, scale } = cell else {
        return rounded(cell.number().unwrap_or_default(), places);
    };
    let Some(power) = 10i128.checked_pow(u32::from(scale.saturating_sub(places))) else {
        return rounded(cell.number().unwrap_or_default(), places);
    };
    let half = if *unscaled < 0 { -(power / 2) } else { power / 2 };
    let kept = if *scale > places { unscaled.saturating_add(half) / power } else { *unscaled };
    let kept_scale = usize::from((*scale).min(places));
    let text = format!("{:0>width$}", kept.unsigned_abs(), width = kept_scale + 1);
    let (whole, fraction) = text.split_at(text.len() - kept_scale);
    let fraction = format!("{fraction:0<width$}", width = usize::from(places));
    let sign = if kept < 0 { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

fn rounded(value: f64, places: u8) -> String {
    let power = 10f64.powi(i32::from(places));
    let scaled = value * power;
    // 1.005 is a little less than itself in binary; what people see is what is rounded.
    let scaled = if scaled.abs() < 1e15 { (scaled + scaled.signum() * 1e-9).round() } else { scaled };
    let text = format!("{:.*}", usize::from(places), scaled / power);
    if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
        return text.trim_start_matches('-').to_owned();
    }
    text
}

/// `-1234567.5` → `−1 234 567,5`.
fn grouped(text: &str, language: Language) -> String {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("−", rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (separator, point) = match language {
        Language::Ru => (NARROW, ','),
        Language::En => (',', '.'),
    };
    let mut shown = String::from(sign);
    for (at, digit) in whole.chars().enumerate() {
        let left = whole.len() - at;
        if at > 0 && left.is_multiple_of(3) {
            shown.push(separator);
        }
        shown.push(digit);
    }
    if !fraction.is_empty() {
        shown.push(point);
        shown.push_str(fraction);
    }
    shown
}

/// Money: `1 234 ₽`, `₽1,234`.
pub(super) fn rubles(number: String, language: Language) -> String {
    match language {
        Language::Ru => format!("{number}{NARROW}₽"),
        Language::En => match number.strip_prefix('−') {
            Some(number) => format!("−₽{number}"),
            None => format!("₽{number}"),
        },
    }
}

/// A share: 0.25 → `25 %`; a last zero behind the comma is left out.
pub fn percent(share: f64, places: u8, language: Language) -> String {
    if !share.is_finite() {
        return infinite(share).to_owned();
    }
    let text = rounded(share * 100.0, places);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let number = grouped(text, language);
    match language {
        Language::Ru => format!("{number}{NARROW}%"),
        Language::En => format!("{number}%"),
    }
}

/// A change: `+12,5 %`, `−3 %`, `0 %`.
pub fn change(now: Option<f64>, before: Option<f64>, language: Language) -> String {
    match (now, before) {
        (Some(now), Some(before)) if before != 0.0 => {
            let share = (now - before) / before.abs();
            let text = percent(share, u8::from(share.abs() < 1.0), language);
            if share > 0.0 && text.contains(|c: char| ('1'..='9').contains(&c)) {
                format!("+{text}")
            } else {
                text
            }
        }
        _ => NOTHING.to_owned(),
    }
}

/// A day in figures.
pub fn date(day: NaiveDate, language: Language) -> String {
    match language {
        Language::Ru => day.format("%d.%m.%Y").to_string(),
        Language::En => day.format("%Y-%m-%d").to_string(),
    }
}

/// Days from first to last, what they share said once: `1–7 мар 2026`, `28 фев – 3 мар 2026`.
pub fn days(first: NaiveDate, last: NaiveDate, words: &Words) -> String {
    let (from, to) = (day_month(first, words), day_month(last, words));
    let year = last.year();
    if first == last {
        format!("{to} {year}")
    } else if first.year() != last.year() {
        format!("{from} {} – {to} {year}", first.year())
    } else if first.month() == last.month() {
        format!("{}–{to} {year}", first.day())
    } else {
        format!("{from} – {to} {year}")
    }
}

/// Months from first to last, the year said once: `июл – ноя 2026`.
pub fn months(first: NaiveDate, last: NaiveDate, words: &Words) -> String {
    let (from, to) = (month(first.month0(), words), month(last.month0(), words));
    match (first.year() == last.year(), first.month() == last.month()) {
        (true, true) => format!("{to} {}", last.year()),
        (true, false) => format!("{from} – {to} {}", last.year()),
        (false, _) => format!("{from} {} – {to} {}", first.year(), last.year()),
    }
}

/// `3 мар`.
pub fn day_month(day: NaiveDate, words: &Words) -> String {
    format!("{} {}", day.day(), month(day.month0(), words))
}

/// A month in three letters, January being 0.
pub fn month(month0: u32, words: &Words) -> &str {
    words.months_short().nth(month0 as usize).unwrap_or_default()
}

/// The form of a word that goes with a number: Russian has three (день, дня, дней), English two.
pub fn plural<'a>(count: i128, forms: &[&'a str], language: Language) -> &'a str {
    let count = count.unsigned_abs();
    let at = match language {
        Language::Ru => match (count % 100, count % 10) {
            (11..=14, _) => 2,
            (_, 1) => 0,
            (_, 2..=4) => 1,
            _ => 2,
        },
        Language::En => usize::from(count != 1),
    };
    forms.get(at).or(forms.last()).copied().unwrap_or_default()
}

/// By how much large numbers are divided before they are shown: thousands, millions, milliards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Magnitude {
    /// As they are.
    One,
    /// From 10 000 on.
    Thousand,
    /// From a million on.
    Million,
    /// From a milliard on.
    Milliard,
}

impl Magnitude {
    /// The one that keeps the largest of some numbers short.
    pub fn of(largest: f64) -> Self {
        match largest.abs() {
            size if size >= 1e9 => Self::Milliard,
            size if size >= 1e6 => Self::Million,
            size if size >= 1e4 => Self::Thousand,
            _ => Self::One,
        }
    }

    /// What numbers are divided by.
    pub fn divisor(self) -> f64 {
        match self {
            Self::One => 1.0,
            Self::Thousand => 1e3,
            Self::Million => 1e6,
            Self::Milliard => 1e9,
        }
    }

    /// What stands behind them.
    pub fn word(self, words: &Words) -> &str {
        match self {
            Self::One => "",
            Self::Thousand => words.thousand(),
            Self::Million => words.million(),
            Self::Milliard => words.milliard(),
        }
    }
}

/// A number of three significant digits or so, with its word: `1,25 млн`.
pub fn short(value: f64, words: &Words) -> String {
    let (magnitude, language) = (Magnitude::of(value), words.language());
    let number = three(value / magnitude.divisor(), language);
    match (magnitude.word(words), language) {
        ("", _) => number,
        (word, Language::En) => format!("{number}{word}"),
        (word, Language::Ru) => format!("{number}{NARROW}{word}"),
    }
}

/// Three significant digits or so; whole numbers stay whole.
pub(super) fn three(value: f64, language: Language) -> String {
    let places = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = rounded(value, places);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    grouped(text, language)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RU: Language = Language::Ru;

    fn decimal(unscaled: i128, scale: u8) -> Cell {
        Cell::Decimal { unscaled, scale }
    }

    fn spaced(text: &str) -> String {
        text.replace(NARROW, "_")
    }

    #[test]
    fn numbers_are_written_as_people_do() {
        let show = |cell: Cell, format| spaced(&shown(&cell, format, &Words::plain(RU)));
        assert_eq!(show(decimal(123_456_750, 2), None), "1_234_567,5");
        assert_eq!(show(decimal(-1_234_567, 0), Some(Format::Rub)), "−1_234_567_₽");
        assert_eq!(show(Cell::Float(0.1256), Some(Format::Percent)), "12,6_%");
        assert_eq!(show(decimal(1_234_567, 0), Some(Format::Text)), "1234567");
        assert_eq!(show(Cell::Float(f64::NAN), Some(Format::Rub)), "—");
        assert_eq!(show(Cell::Empty, None), "—");
        assert_eq!(show(Cell::Date("2026-01-31".parse().unwrap()), None), "31.01.2026");
        let english = shown(&decimal(-123_450, 1), Some(Format::Rub), &Words::plain(Language::En));
        assert_eq!(english, "−₽12,345");
    }

    #[test]
    fn halves_are_rounded_away_from_zero_and_no_minus_stands_before_zero() {
        assert_eq!(plain(&decimal(125, 2), 1), "1.3");
        assert_eq!(plain(&decimal(-125, 2), 1), "-1.3");
        assert_eq!(plain(&decimal(5, 3), 2), "0.01");
        assert_eq!(plain(&decimal(7, 0), 2), "7.00");
        assert_eq!(plain(&Cell::Float(1.005), 2), "1.01");
        assert_eq!(plain(&Cell::Float(-0.001), 2), "0.00");
        assert_eq!(plain(&decimal(i128::MAX, 0), 0), i128::MAX.to_string());
    }

    #[test]
    fn changes_have_signs() {
        let of = |now, before| spaced(&change(Some(now), Some(before), RU));
        assert_eq!([of(112.5, 100.0), of(97.0, 100.0), of(100.0, 100.0)], ["+12,5_%", "−3_%", "0_%"]);
        assert_eq!(of(300.0, 100.0), "+200_%");
        assert_eq!(of(-50.0, -100.0), "+50_%");
        assert_eq!(change(Some(1.0), Some(0.0), RU), "—");
    }

    #[test]
    fn russian_words_follow_their_number() {
        let forms = ["день", "дня", "дней"];
        let shown: Vec<&str> = [1, 2, 5, 11, 14, 21, 112, 0].map(|n| plural(n, &forms, RU)).to_vec();
        assert_eq!(shown, ["день", "дня", "дней", "дней", "дней", "день", "дней", "дней"]);
        assert_eq!(plural(2, &["day", "days"], Language::En), "days");
    }

    #[test]
    fn large_numbers_are_short() {
        let of = |value| spaced(&short(value, &Words::plain(RU)));
        assert_eq!(of(1_254_000.0), "1,25_млн");
        assert_eq!(
            [of(12_340.0), of(9_990.0), of(0.256), of(-2e9)],
            ["12,3_тыс.", "9_990", "0,26", "−2_млрд"]
        );
        assert_eq!(short(1_500_000.0, &Words::plain(Language::En)), "1.5M");
    }

    #[test]
    fn days_are_said_once() {
        let of = |from: &str, to: &str| days(from.parse().unwrap(), to.parse().unwrap(), &Words::plain(RU));
        assert_eq!(of("2026-03-01", "2026-03-07"), "1–7 мар 2026");
        assert_eq!(of("2026-02-28", "2026-03-03"), "28 фев – 3 мар 2026");
        assert_eq!(of("2025-12-30", "2026-01-02"), "30 дек 2025 – 2 янв 2026");
        assert_eq!(of("2026-03-07", "2026-03-07"), "7 мар 2026");
        let of = |from: &str, to: &str| months(from.parse().unwrap(), to.parse().unwrap(), &Words::plain(RU));
        assert_eq!(of("2026-07-01", "2026-11-01"), "июл – ноя 2026");
        assert_eq!(of("2025-12-01", "2026-12-01"), "дек 2025 – дек 2026");
        assert_eq!(of("2026-07-01", "2026-07-01"), "июл 2026");
    }
}
