//! Reports by words: searching and links.

use super::{
    ask, call,
    event::{Call, Given, Picked, With},
    meant,
    scene::Scene,
    stems::{near, stems},
};
use crate::{
    config::bot::{Ask, AskKind, ChoiceFrom, Report},
    model::{time::Period, value::Value},
};

/// What a report is called by.
pub(super) struct Names {
    /// Its title, aliases and command.
    names: Vec<Vec<String>>,
    /// Its description.
    about: Vec<String>,
}

impl Names {
    pub(super) fn of(report: &Report) -> Self {
        let titles = [report.title.ru.as_str(), report.title.en.as_str(), report.name.as_str()];
        let words = titles.into_iter().chain(report.aliases.iter().map(String::as_str));
        let names = words.chain(report.command.as_deref()).map(stems).collect();
        let about = report.description.iter().flat_map(|text| [stems(&text.ru), stems(&text.en)]).flatten();
        Self { names, about: about.collect() }
    }

    pub(super) fn word(&self, said: &str) -> f64 {
        let best =
            |words: &mut dyn Iterator<Item = &String>| words.map(|word| near(said, word)).fold(0.0, f64::max);
        let named = best(&mut self.names.iter().flatten());
        named.max(0.4 * best(&mut self.about.iter()))
    }

    /// The share of the best name that was said.
    pub(super) fn share(&self, said: &[&String]) -> f64 {
        let shares = self.names.iter().filter(|name| !name.is_empty()).map(|name| {
            let found = name.iter().map(|word| said.iter().map(|one| near(one, word)).fold(0.0, f64::max));
            found.sum::<f64>() / name.len() as f64
        });
        shares.fold(0.0, f64::max)
    }
}

/// Reports that words lead to, the nearest first.
pub(super) fn search<'a>(scene: &Scene<'a>, words: &str) -> Vec<&'a Report> {
    let said = stems(words);
    let mut found: Vec<(f64, &Report)> = scene
        .reports()
        .map(|report| {
            let names = Names::of(report);
            let score: f64 = said.iter().map(|word| names.word(word)).sum();
            (score, report)
        })
        .filter(|(score, _)| *score > 0.3)
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().map(|(_, report)| report).collect()
}

/// Where a link leads.
pub(super) enum Link<'a> {
    /// To a report, with what is known at once.
    Call(Call),
    /// To a report, with what only its lists of the database may know.
    Listed(Listed<'a>),
}

/// A value that a link names of a report's lists.
pub(super) struct Listed<'a> {
    /// The report.
    pub(super) report: &'a Report,
    /// The question, where the link names it.
    pub(super) ask: Option<&'a str>,
    /// The value, as it is bound.
    pub(super) value: &'a str,
}

/// A link's report by its name or command, and behind `_` a value, which may have the question's name before it: `revenue_yesterday`, `leads_mrf1`,
/// `leads_region_mrf1`.
///
/// Longer names of reports are tried first. Of one report, what names a question is that question's. What names none is a period where the report asks for
/// days and takes this one; else a value of a list that is written down; else one of the database's. So no value of a list changes what a link of a
/// period means, and every value can be named.
pub(super) fn link<'a>(scene: &Scene<'a>, link: &'a str) -> Option<Link<'a>> {
    let named = |name: &str| {
        let is = |report: &&Report| report.name == name || report.command.as_deref() == Some(name);
        scene.reports().find(is)
    };
    if let Some(report) = named(link) {
        return Some(Link::Call(Call { report: report.name.clone(), with: With::new() }));
    }
    let cuts = link.match_indices('_').rev();
    let cuts = cuts.filter_map(|(at, _)| Some((named(&link[..at])?, &link[at + 1..])));
    let cuts: Vec<(&Report, &str)> = cuts.filter(|(_, rest)| !rest.is_empty()).collect();
    let known = cuts.iter().find_map(|(report, rest)| {
        let with = With::from([known(scene, report, rest)?]);
        Some(Link::Call(Call { report: report.name.clone(), with }))
    });
    known.or_else(|| cuts.iter().find_map(|(report, rest)| listed(report, rest)).map(Link::Listed))
}

/// The questions that a text names, each with what stands behind the name.
fn asked<'a>(report: &'a Report, text: &'a str) -> impl Iterator<Item = (&'a String, &'a Ask, &'a str)> {
    report.ask.iter().filter_map(move |(name, ask)| {
        let value = text.strip_prefix(name.as_str())?.strip_prefix('_')?;
        (!value.is_empty()).then_some((name, ask, value))
    })
}

/// The answer that a link gives, where no database has to be asked.
fn known(scene: &Scene<'_>, report: &Report, text: &str) -> Option<(String, Given)> {
    let mut named = asked(report, text);
    if let Some(found) = named.find_map(|(name, ask, value)| Some((name.clone(), said(scene, ask, value)?))) {
        return Some(found);
    }
    let is_dated = |ask: &Ask| matches!(ask.kind, AskKind::Date(_) | AskKind::DateRange(_));
    let is_list = |ask: &Ask| matches!(ask.kind, AskKind::Choice(_));
    let first = |is: &dyn Fn(&Ask) -> bool| {
        let mut asks = report.ask.iter().filter(|(_, ask)| is(ask));
        asks.find_map(|(name, ask)| Some((name.clone(), said(scene, ask, text)?)))
    };
    first(&is_dated).or_else(|| first(&is_list))
}

/// The list that a link may mean: the one that it names, or any of the report's.
fn listed<'a>(report: &'a Report, text: &'a str) -> Option<Listed<'a>> {
    let mut named = asked(report, text).filter(|(_, ask, _)| meant::is_listed(ask));
    if let Some((name, _, value)) = named.next() {
        return Some(Listed { report, ask: Some(name), value });
    }
    report.ask.values().any(meant::is_listed).then_some(Listed { report, ask: None, value: text })
}

/// What a text answers to a question, where no database has to be asked.
fn said(scene: &Scene<'_>, ask: &Ask, text: &str) -> Option<Given> {
    let given = match &ask.kind {
        AskKind::Date(_) | AskKind::DateRange(_) => {
            Period::parse(text, scene.today).map(|_| Given::Period(text.to_owned()))
        }
        AskKind::Choice(choice) => match &choice.from {
            ChoiceFrom::Values(values) => values.get(text).map(|title| {
                let value = Value::Text(text.to_owned());
                Given::Picked(vec![Picked { value, title: title.clone() }])
            }),
            ChoiceFrom::Sql(_) => None,
        },
        AskKind::Number(_) | AskKind::Text { .. } => ask::typed(scene, ask, text).ok(),
    };
    given.filter(|given| call::fits(scene, ask, given))
}
