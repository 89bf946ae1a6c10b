//! Questions: each kind's screen, and what its presses and typed words mean.

pub(super) mod bounds;
mod calendar;
pub(super) mod list;
mod typed;

pub(super) use typed::typed;

use super::{
    call, dates,
    event::{Call, Draft, Given},
    press::Intent,
    scene::Scene,
    screen::Markup,
    view::View,
};
use crate::config::bot::{Ask, AskKind};

/// Where a question begins.
pub(super) fn start(ask: &Ask) -> Draft {
    match &ask.kind {
        AskKind::Choice(_) => {
            Draft::List { ticket: None, search: String::new(), found: None, page: 0, chosen: vec![] }
        }
        _ => Draft::Start { wrong: None },
    }
}

/// Whether a draft, which may come from a state of long ago, is one of this question.
pub(super) fn fits(ask: &Ask, draft: &Draft) -> bool {
    match (&ask.kind, draft) {
        (AskKind::Choice(_), Draft::List { .. }) => true,
        (AskKind::Date(_) | AskKind::DateRange(_), Draft::Month { .. } | Draft::Year { .. }) => true,
        (AskKind::Choice(_), _) => false,
        (_, Draft::Start { .. }) => true,
        _ => false,
    }
}

/// The screen of a question.
pub(super) fn view(scene: &Scene<'_>, call: &Call, name: &str, draft: &Draft) -> View {
    let Some(report) = scene.bot.reports.get(&call.report) else { return View::default() };
    let Some(ask) = report.ask.get(name) else { return View::default() };
    let mut head = Markup::new().bold(scene.text(&report.title));
    head = head.plain(format!("\n{}", scene.text(&ask.title)));
    let now = call::answer(scene, report, &call.with, name);
    if let Some(given) = &now {
        head = head.plain(format!(": {}", call::shown(scene, ask, given)));
    }
    head = head.plain("\n\n");
    let mut view = match (&ask.kind, draft) {
        (AskKind::Date(_) | AskKind::DateRange(_), Draft::Month { month, from }) => {
            calendar::month(scene, ask, *month, *from)
        }
        (AskKind::Date(_) | AskKind::DateRange(_), Draft::Year { year, from }) => {
            calendar::year(scene, ask, *year, *from)
        }
        (AskKind::Date(found) | AskKind::DateRange(found), _) => {
            let is_day = matches!(ask.kind, AskKind::Date(_));
            let mut view = View::text(if is_day { scene.words.ask_day() } else { scene.words.ask_range() });
            // On the first days after `min`, some lie before it.
            let presets = found.presets.iter().filter_map(|preset| {
                let given = Given::Period(preset.clone());
                bounds::judge(scene, ask, preset).ok()?;
                Some((dates::capital(&call::shown(scene, ask, &given)), Intent::Give(given)))
            });
            view.grid(presets, 2);
            view.row([(scene.words.calendar().to_owned(), Intent::Calendar)]);
            view
        }
        (AskKind::Choice(choice), Draft::List { .. }) => list::view(scene, choice, draft),
        (AskKind::Choice(_), _) => View::default(),
        (AskKind::Number(number), _) => {
            let text = match (number.least, number.most) {
                (Some(least), Some(most)) => {
                    let figure = |number| call::figure(number, scene.language());
                    scene.words.ask_number_bounds(figure(least), figure(most))
                }
                _ => scene.words.ask_number().to_owned(),
            };
            kept(scene, ask, now, View::text(&text))
        }
        (AskKind::Text { .. }, _) => kept(scene, ask, now, View::text(scene.words.ask_text())),
    };
    if let Draft::Start { wrong: Some(wrong) } = draft {
        head = head.plain(format!("{}\n", bounds::told(scene, ask, *wrong)));
    }
    view.head(head);
    view
}

/// With a button that leaves the answer as it is.
fn kept(scene: &Scene<'_>, ask: &Ask, now: Option<Given>, mut view: View) -> View {
    if let Some(given) = now {
        let value = call::shown(scene, ask, &given);
        view.row([(scene.words.keep_default(value), Intent::Give(given))]);
    }
    view
}
