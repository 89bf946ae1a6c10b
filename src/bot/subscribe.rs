//! When a report shall be sent: a few usual times, each a cron expression in the reader's zone.

use super::{
    call, due,
    event::Call,
    press::Intent,
    scene::Scene,
    view::View,
    words::{Pair, pick},
};
use crate::config::project::Language;

/// Usual times: cron expressions, and how people say them.
pub(super) const TIMES: [(&str, Pair); 5] = [
    ("0 9 * * *", ("каждый день в 9:00", "every day at 9:00")),
    ("0 9 * * MON-FRI", ("по будням в 9:00", "on workdays at 9:00")),
    ("0 9 * * MON", ("по понедельникам в 9:00", "on Mondays at 9:00")),
    ("0 18 * * FRI", ("по пятницам в 18:00", "on Fridays at 18:00")),
    ("0 9 1 * *", ("первого числа в 9:00", "on the 1st of the month at 9:00")),
];

/// The screen of times.
pub(super) fn view(scene: &Scene<'_>, call: &Call) -> View {
    let Some(report) = scene.report(&call.report) else { return View::default() };
    let mut view = View::text(&format!("\n\n{}", scene.words.get("subscribe_when")));
    view.head(call::header(scene, report, &call.with));
    for (cron, name) in TIMES {
        let label = super::dates::capital(pick(name, scene.language()));
        view.row([(label, Intent::SendAt(cron.to_owned()))]);
    }
    view
}

/// A time in words: one of the usual ones, every day at some time, or the expression itself.
pub(super) fn told(cron: &str, language: Language) -> String {
    if let Some((_, name)) = TIMES.iter().find(|(expression, _)| *expression == cron) {
        return pick(*name, language).to_owned();
    }
    let fields: Vec<&str> = cron.split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u8>().ok());
    match (number(0), number(1), &fields[..]) {
        (Some(minute), Some(hour), [_, _, "*", "*", "*"]) => {
            format!("{} {hour}:{minute:02}", pick(("каждый день в", "every day at"), language))
        }
        _ => cron.to_owned(),
    }
}

/// A time that is typed: `10:30`, every day then, or a cron expression of five fields that comes once an hour at most.
pub(super) fn typed(scene: &Scene<'_>, text: &str) -> Option<String> {
    let text = text.trim();
    if let Some((hour, minute)) = text.split_once([':', '.']) {
        let (hour, minute): (u8, u8) = (hour.parse().ok()?, minute.parse().ok()?);
        return (hour < 24 && minute < 60).then(|| format!("{minute} {hour} * * *"));
    }
    let hourly = text.split_whitespace().next().is_some_and(|minute| minute.parse::<u8>().is_ok());
    let whole = hourly && text.split_whitespace().count() == 5;
    let timing = whole.then(|| due::timing(text, scene.viewer.zone.name()))?;
    timing.map(|_| text.to_owned())
}
