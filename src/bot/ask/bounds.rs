//! What may be chosen: the calendar's bounds, a number's, a text's.

use chrono::NaiveDate;

use crate::{
    bot::{dates, event::Wrong, scene::Scene},
    config::bot::{Ask, AskKind, Dates, Number},
    model::time::Period,
};

/// The first day of a calendar without bounds.
const FIRST_YEAR: i32 = 2000;

/// The days that a question's calendar may show.
pub(in crate::bot) fn dates(ask: &Ask) -> Option<&Dates> {
    match &ask.kind {
        AskKind::Date(dates) | AskKind::DateRange(dates) => Some(dates),
        _ => None,
    }
}

/// The first and the last day that a calendar lets one choose.
pub(super) fn ends(dates: &Dates, today: NaiveDate) -> (NaiveDate, NaiveDate) {
    let first = dates.first.or(NaiveDate::from_ymd_opt(FIRST_YEAR, 1, 1)).unwrap_or(today);
    let last = dates.last.unwrap_or(today);
    (first.min(last), last)
}

/// The period that a text is, where the question takes it.
pub(in crate::bot) fn judge(scene: &Scene<'_>, ask: &Ask, text: &str) -> Result<Period, Wrong> {
    let (Some(bounds), Some(period)) = (dates(ask), Period::parse(text, scene.today)) else {
        return Err(Wrong::NoDate);
    };
    let days = (period.until - period.from).num_days();
    if matches!(ask.kind, AskKind::Date(_)) && days != 1 {
        return Err(Wrong::NoDate);
    }
    let (first, last) = ends(bounds, scene.today);
    // A relative period may begin before the first day there is; it is there to be one tap away.
    let relative = !text.starts_with(|c: char| c.is_ascii_digit());
    let begin = if relative { period.last() } else { period.from };
    if begin < first {
        return Err(Wrong::TooEarly);
    }
    if period.from > last {
        return Err(Wrong::TooLate);
    }
    if bounds.longest.is_some_and(|longest| days > i64::from(longest)) {
        return Err(Wrong::TooLong);
    }
    Ok(period)
}

/// Whether a number lies within a question's bounds.
pub(in crate::bot) fn number(bounds: &Number, number: f64) -> Result<(), Wrong> {
    if !number.is_finite() {
        return Err(Wrong::NoNumber);
    }
    if bounds.least.is_some_and(|least| number < least) {
        return Err(Wrong::TooSmall);
    }
    if bounds.most.is_some_and(|most| number > most) {
        return Err(Wrong::TooBig);
    }
    Ok(())
}

/// What was wrong, in words.
pub(in crate::bot) fn told(scene: &Scene<'_>, ask: &Ask, wrong: Wrong) -> String {
    let (words, language) = (&scene.words, scene.language());
    let ends = dates(ask).map(|dates| ends(dates, scene.today));
    let number = |number: Option<f64>| number.map_or_else(String::new, |number| number.to_string());
    let (least, most) = match &ask.kind {
        AskKind::Number(bounds) => (number(bounds.least), number(bounds.most)),
        AskKind::Text { longest, .. } => (String::new(), longest.to_string()),
        _ => (String::new(), String::new()),
    };
    match wrong {
        Wrong::NoDate => words.wrong_date().to_owned(),
        Wrong::TooEarly => {
            words.wrong_early(ends.map_or_else(String::new, |(first, _)| dates::day(first, language)))
        }
        Wrong::TooLate => {
            words.wrong_late(ends.map_or_else(String::new, |(_, last)| dates::day(last, language)))
        }
        Wrong::TooLong => {
            let longest = dates(ask).and_then(|dates| dates.longest).unwrap_or(0);
            words.wrong_long(u64::from(longest))
        }
        Wrong::NoNumber => words.wrong_number().to_owned(),
        Wrong::TooSmall => words.wrong_small(least),
        Wrong::TooBig => words.wrong_big(most),
        Wrong::NoText => words.wrong_text(most),
    }
}
