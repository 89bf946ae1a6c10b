//! What may be chosen: the calendar's bounds, a number's, a text's.

use crate::{
    bot::{call, dates, event::Wrong, scene::Scene},
    config::bot::{Ask, AskKind, Dates, NoPeriod, Number},
    model::time::Period,
};

/// The days that a question's calendar may show.
pub(in crate::bot) fn dates(ask: &Ask) -> Option<&Dates> {
    match &ask.kind {
        AskKind::Date(dates) | AskKind::DateRange(dates) => Some(dates),
        _ => None,
    }
}

/// The days that a text is, as the question takes them.
pub(in crate::bot) fn judge(scene: &Scene<'_>, ask: &Ask, text: &str) -> Result<Period, Wrong> {
    let range = matches!(ask.kind, AskKind::DateRange(_));
    let found = dates(ask).ok_or(Wrong::NoDate)?.period(text, scene.today, range);
    found.map_err(|why| match why {
        NoPeriod::Unreadable => Wrong::NoDate,
        NoPeriod::TooEarly => Wrong::TooEarly,
        NoPeriod::TooLate => Wrong::TooLate,
        NoPeriod::TooLong => Wrong::TooLong,
    })
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
    let ends = dates(ask).map(|dates| dates.ends(scene.today));
    let number =
        |number: Option<f64>| number.map_or_else(String::new, |number| call::figure(number, language));
    let (least, most) = match &ask.kind {
        AskKind::Number(bounds) => (number(bounds.least), number(bounds.most)),
        _ => (String::new(), String::new()),
    };
    let longest = match &ask.kind {
        AskKind::Text { longest, .. } => *longest,
        _ => 0,
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
        Wrong::NoText => words.wrong_text(longest as u64),
    }
}
