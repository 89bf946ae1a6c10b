//! A report with its parameters: defaults, what is left to ask, and how it is told.

use std::hash::{Hash, Hasher};

use indexmap::IndexMap;

use super::{
    ask::bounds,
    dates,
    event::{Call, Given, Picked, With},
    scene::Scene,
    screen::Markup,
};
use crate::{
    config::{
        bot::{Ask, AskKind, Choice, ChoiceFrom, Report},
        project::Language,
    },
    model::{time::Period, value::Value},
};

/// Chosen values that are named one by one.
const NAMED: usize = 3;

impl Hash for Call {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.report.hash(state);
        // Equal whatever the order of the answers.
        let mut answers: Vec<(&String, &Given)> = self.with.iter().collect();
        answers.sort_unstable_by_key(|(name, _)| *name);
        answers.hash(state);
    }
}

/// What stands until the viewer chooses.
pub(super) fn default(scene: &Scene<'_>, ask: &Ask) -> Option<Given> {
    match &ask.kind {
        AskKind::Date(dates) | AskKind::DateRange(dates) => {
            dates.default.clone().filter(|text| bounds::judge(scene, ask, text).is_ok()).map(Given::Period)
        }
        AskKind::Choice(choice) => own_values(scene, ask, choice)
            .or_else(|| {
                let value = choice.default.clone()?;
                let title = title_of(&choice.from, &value);
                Some(Given::Picked(vec![Picked { value, title }]))
            })
            .or_else(|| choice.any.as_ref().map(|_| Given::Any)),
        AskKind::Number(number) => number.default.clone().map(Given::Value),
        AskKind::Text { default, .. } => {
            let own = ask.user.as_ref().and_then(|name| scene.attribute(name).first());
            own.or(default.as_ref()).map(|text| Given::Value(Value::Text(text.clone())))
        }
    }
}

/// The viewer's own values of the attribute that a question names.
fn own_values(scene: &Scene<'_>, ask: &Ask, choice: &Choice) -> Option<Given> {
    let values = scene.attribute(ask.user.as_ref()?);
    let single = choice.many || values.len() == 1;
    if values.is_empty() || !single {
        return None;
    }
    let picked = values.iter().map(|value| {
        let value = Value::Text(value.clone());
        Picked { title: title_of(&choice.from, &value), value }
    });
    Some(Given::Picked(picked.collect()))
}

fn title_of(from: &ChoiceFrom, value: &Value) -> String {
    match from {
        ChoiceFrom::Values(values) => values.get(&value.to_string()).cloned().unwrap_or_default(),
        ChoiceFrom::Sql(_) => String::new(),
    }
}

/// The answer to one question: the viewer's own, or what stands for it.
pub(super) fn answer(scene: &Scene<'_>, report: &Report, with: &With, name: &str) -> Option<Given> {
    let ask = report.ask.get(name)?;
    let own = with.get(name).filter(|given| fits(scene, ask, given));
    own.cloned().or_else(|| default(scene, ask))
}

/// Every answer, or the first question that has none.
pub(super) fn complete(scene: &Scene<'_>, report: &Report, with: &With) -> Result<With, String> {
    let mut all = IndexMap::with_capacity(report.ask.len());
    for name in report.ask.keys() {
        match answer(scene, report, with, name) {
            Some(given) => all.insert(name.clone(), given),
            None => return Err(name.clone()),
        };
    }
    Ok(all)
}

/// Whether an answer, which may come from a state of long ago, is one to this question.
pub(super) fn fits(scene: &Scene<'_>, ask: &Ask, given: &Given) -> bool {
    match (&ask.kind, given) {
        (AskKind::Date(_) | AskKind::DateRange(_), Given::Period(text)) => {
            bounds::judge(scene, ask, text).is_ok()
        }
        (AskKind::Choice(choice), Given::Any) => choice.any.is_some(),
        (AskKind::Choice(choice), Given::Picked(picked)) => {
            let listed = |picked: &Picked| match &choice.from {
                ChoiceFrom::Values(values) => values.contains_key(&picked.value.to_string()),
                ChoiceFrom::Sql(_) => true,
            };
            !picked.is_empty() && (choice.many || picked.len() == 1) && picked.iter().all(listed)
        }
        (AskKind::Number(number), Given::Value(Value::Int(value))) => {
            bounds::number(number, *value as f64).is_ok()
        }
        (AskKind::Number(number), Given::Value(Value::Float(value))) => {
            !number.whole && bounds::number(number, value.get()).is_ok()
        }
        (AskKind::Text { longest, .. }, Given::Value(Value::Text(text))) => text.chars().count() <= *longest,
        _ => false,
    }
}

/// A call of which only what this viewer may and can ask is kept; `None` = the report is not theirs.
pub(super) fn kept(scene: &Scene<'_>, call: &Call) -> Option<Call> {
    let report = scene.report(&call.report)?;
    let fits = |name: &String, given: &Given| report.ask.get(name).is_some_and(|ask| fits(scene, ask, given));
    let with = call.with.iter().filter(|(name, given)| fits(name, given));
    let with = with.map(|(name, given)| (name.clone(), given.clone())).collect();
    Some(Call { report: call.report.clone(), with })
}

/// Whether a viewer may run a report, and it takes all of these answers.
pub(super) fn takes(scene: &Scene<'_>, report: &str, with: &With) -> bool {
    let Some(report) = scene.report(report) else { return false };
    with.iter().all(|(name, given)| report.ask.get(name).is_some_and(|ask| fits(scene, ask, given)))
}

/// An answer as people read it.
pub(super) fn shown(scene: &Scene<'_>, ask: &Ask, given: &Given) -> String {
    match given {
        Given::Period(text) => dates::name(text, bounds::judge(scene, ask, text).ok(), &scene.words),
        Given::Any => match &ask.kind {
            AskKind::Choice(Choice { any: Some(any), .. }) => scene.text(any).to_owned(),
            _ => String::new(),
        },
        Given::Picked(picked) => {
            let named: Vec<String> = picked.iter().take(NAMED).map(title).collect();
            match picked.len().saturating_sub(NAMED) {
                0 => named.join(", "),
                more => format!("{} + {more}", named.join(", ")),
            }
        }
        Given::Value(Value::Float(value)) => figure(value.get(), scene.language()),
        Given::Value(value) => value.to_string(),
    }
}

/// A number as it is typed: `0,5`.
pub(super) fn figure(number: f64, language: Language) -> String {
    let text = number.to_string();
    if language == Language::Ru { text.replace('.', ",") } else { text }
}

/// What a value is called.
pub(super) fn title(picked: &Picked) -> String {
    if picked.title.is_empty() { picked.value.to_string() } else { picked.title.clone() }
}

/// What heads an answer: the report's title, and a line for each question.
pub(super) fn header(scene: &Scene<'_>, report: &Report, with: &With) -> Markup {
    let mut markup = Markup::new().bold(scene.text(&report.title));
    for (name, ask) in &report.ask {
        let value = match answer(scene, report, with, name) {
            Some(Given::Period(text)) => {
                dates::name_and_days(&text, bounds::judge(scene, ask, &text).ok(), &scene.words)
            }
            Some(given) => shown(scene, ask, &given),
            None => scene.words.not_chosen().to_owned(),
        };
        markup = markup.plain(format!("\n{}: {value}", scene.text(&ask.title)));
    }
    markup
}

/// A call on one line, for a button: the report's title and what differs from its defaults.
pub(super) fn line(scene: &Scene<'_>, call: &Call) -> String {
    let Some(report) = scene.report(&call.report) else { return call.report.clone() };
    let mut line = scene.text(&report.title).to_owned();
    for (name, given) in &call.with {
        if let Some(ask) = report.ask.get(name) {
            line.push_str(" · ");
            line.push_str(&shown(scene, ask, given));
        }
    }
    line
}

/// The days of the answer that stands to a question of a call.
pub(super) fn answer_days(scene: &Scene<'_>, call: &Call, name: &str) -> Option<Period> {
    let report = scene.report(&call.report)?;
    match answer(scene, report, &call.with, name)? {
        Given::Period(text) => bounds::judge(scene, report.ask.get(name)?, &text).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_people_type_them() {
        let both = |number| [Language::Ru, Language::En].map(|language| figure(number, language));
        assert_eq!((both(0.5), both(50.0)), (["0,5".into(), "0.5".into()], ["50".into(), "50".into()]));
    }
}
