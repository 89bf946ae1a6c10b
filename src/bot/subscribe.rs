//! When a report shall be sent: a few usual times, each a cron expression in the reader's zone.

use super::{
    call,
    event::Call,
    press::Intent,
    scene::Scene,
    view::View,
    words::{Pair, pick},
};

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

/// A time in words.
pub(super) fn name(scene: &Scene<'_>, cron: &str) -> Option<&'static str> {
    TIMES.iter().find(|(expression, _)| *expression == cron).map(|(_, name)| pick(*name, scene.language()))
}
