//! Reports by words: searching and links.

use super::{
    call,
    event::{Call, Given, Picked, With},
    scene::Scene,
    stems::{near, stems},
};
use crate::{
    config::bot::{AskKind, ChoiceFrom, Report},
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

/// A link's report: its name or command, and a period or a value behind `_`: `revenue_yesterday`, `leads_mrf1`.
pub(super) fn link(scene: &Scene<'_>, link: &str) -> Option<Call> {
    let named = |report: &&Report, name: &str| report.name == name || report.command.as_deref() == Some(name);
    if let Some(report) = scene.reports().find(|report| named(report, link)) {
        return Some(Call { report: report.name.clone(), with: With::new() });
    }
    let cuts = link.match_indices('_').map(|(at, _)| at).collect::<Vec<_>>();
    cuts.into_iter().rev().find_map(|at| {
        let report = scene.reports().find(|report| named(report, &link[..at]))?;
        let rest = &link[at + 1..];
        let with = report.ask.iter().find_map(|(name, ask)| {
            let given = match &ask.kind {
                AskKind::Date(_) | AskKind::DateRange(_) => {
                    Period::parse(rest, scene.today).map(|_| Given::Period(rest.to_owned()))
                }
                AskKind::Choice(choice) => match &choice.from {
                    ChoiceFrom::Values(values) => values.get(rest).map(|title| {
                        let value = Value::Text(rest.to_owned());
                        Given::Picked(vec![Picked { value, title: title.clone() }])
                    }),
                    ChoiceFrom::Sql(_) => None,
                },
                AskKind::Number(_) | AskKind::Text { .. } => None,
            };
            given.filter(|given| call::fits(scene, ask, given)).map(|given| (name.clone(), given))
        })?;
        Some(Call { report: report.name.clone(), with: With::from([with]) })
    })
}
