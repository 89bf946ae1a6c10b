//! Reports by words: searching, links, and questions in words. Deterministic: word forms by Snowball's stemmers, slips of the pen by edit distance.

use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

use super::{
    call,
    event::{Call, Given, Picked, With},
    said,
    scene::Scene,
};
use crate::{
    config::bot::{Ask, AskKind, ChoiceFrom, Report},
    model::{time::Period, value::Value},
};

/// Readings of a question that are offered.
const READINGS: usize = 5;
/// What a reading must have of the best one's score to be offered beside it.
const NEAR: f64 = 0.6;

static RUSSIAN: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::Russian));
static ENGLISH: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));

/// Words that say nothing of what is wanted.
const EMPTY: [&str; 44] = [
    "и",
    "а",
    "по",
    "за",
    "в",
    "во",
    "на",
    "с",
    "со",
    "из",
    "для",
    "о",
    "об",
    "у",
    "к",
    "от",
    "мне",
    "нам",
    "покажи",
    "показать",
    "дай",
    "пожалуйста",
    "сколько",
    "какой",
    "какая",
    "какие",
    "какое",
    "был",
    "была",
    "было",
    "были",
    "the",
    "a",
    "of",
    "for",
    "in",
    "by",
    "show",
    "me",
    "what",
    "how",
    "much",
    "many",
    "please",
];

/// A word without its ending.
fn stem(word: &str) -> String {
    let cyrillic = word.chars().any(|c| ('а'..='я').contains(&c));
    let stemmer = if cyrillic { &RUSSIAN } else { &ENGLISH };
    stemmer.stem(word).into_owned()
}

/// Stems of a text's words.
fn stems(text: &str) -> Vec<String> {
    let words = said::tokens(text);
    let parts = words.iter().flat_map(|word| word.split(['-', '/', '_', '.', '+']));
    parts.filter(|part| part.chars().any(char::is_alphanumeric)).map(stem).collect()
}

/// How near a stem is to another: 1 = the same, 0 = another word.
fn near(said: &str, meant: &str) -> f64 {
    if said == meant {
        return 1.0;
    }
    let (said_letters, meant_letters) = (said.chars().count(), meant.chars().count());
    let letters = said_letters.min(meant_letters);
    if letters >= 3 && meant.starts_with(said) {
        return 0.8;
    }
    let allowed = match letters {
        0..=3 => return 0.0,
        4..=6 => 1,
        _ => 2,
    };
    let may = said_letters.abs_diff(meant_letters) <= allowed;
    if may && strsim::osa_distance(said, meant) <= allowed { 0.7 } else { 0.0 }
}

/// What a report is called by.
struct Names {
    /// Its title, aliases and command.
    names: Vec<Vec<String>>,
    /// Its description.
    about: Vec<String>,
}

impl Names {
    fn of(report: &Report) -> Self {
        let titles = [report.title.ru.as_str(), report.title.en.as_str(), report.name.as_str()];
        let words = titles.into_iter().chain(report.aliases.iter().map(String::as_str));
        let names = words.chain(report.command.as_deref()).map(stems).collect();
        let about = report.description.iter().flat_map(|text| [stems(&text.ru), stems(&text.en)]).flatten();
        Self { names, about: about.collect() }
    }

    fn word(&self, said: &str) -> f64 {
        let best =
            |words: &mut dyn Iterator<Item = &String>| words.map(|word| near(said, word)).fold(0.0, f64::max);
        let named = best(&mut self.names.iter().flatten());
        named.max(0.4 * best(&mut self.about.iter()))
    }

    /// The share of the best name that was said.
    fn share(&self, said: &[&String]) -> f64 {
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

/// What a question in words could mean, the likeliest first.
pub(super) fn understand(scene: &Scene<'_>, words: &str) -> Vec<Call> {
    let said = Said::of(scene, words);
    let mut readings: Vec<(f64, Call)> =
        scene.reports().filter_map(|report| said.reading(scene, report)).collect();
    readings.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = readings.first().map_or(0.0, |(score, _)| *score);
    let near = readings.into_iter().filter(|(score, _)| *score >= best * NEAR);
    near.take(READINGS).map(|(_, call)| call).collect()
}

/// A report with what words say of its questions: `/revenue прошлая неделя, Центр`.
pub(super) fn told(scene: &Scene<'_>, report: &Report, words: &str) -> Call {
    let said = Said::of(scene, words);
    let (with, _) = said.answers(scene, report);
    Call { report: report.name.clone(), with }
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

/// A question in words, taken apart.
struct Said {
    /// As [`Period::parse`] reads it.
    period: Option<String>,
    /// Stems of all other words.
    words: Vec<String>,
}

impl Said {
    fn of(scene: &Scene<'_>, text: &str) -> Self {
        let mut tokens = said::tokens(text);
        let found = said::find(&tokens, scene.today);
        let period = found.map(|(period, at)| {
            tokens.drain(at);
            period
        });
        let rest: Vec<&str> =
            tokens.iter().map(String::as_str).filter(|word| !EMPTY.contains(word)).collect();
        Self { period, words: stems(&rest.join(" ")) }
    }

    /// How well a report fits, and with which answers.
    fn reading(&self, scene: &Scene<'_>, report: &Report) -> Option<(f64, Call)> {
        let (with, used) = self.answers(scene, report);
        let left: Vec<&String> = self
            .words
            .iter()
            .enumerate()
            .filter(|(at, _)| !used.contains(at))
            .map(|(_, word)| word)
            .collect();
        let names = Names::of(report);
        let named: f64 = left.iter().map(|word| names.word(word)).sum();
        if named < 0.3 {
            return None;
        }
        let unheard = left.iter().filter(|word| names.word(word) == 0.0).count() as f64;
        let period = f64::from(u8::from(with.values().any(|given| matches!(given, Given::Period(_)))));
        let score = named + names.share(&left) + 0.9 * used.len() as f64 + 0.2 * period - 0.3 * unheard;
        (score > 0.0).then(|| (score, Call { report: report.name.clone(), with }))
    }

    /// What is said of a report's questions, and which words said it.
    fn answers(&self, scene: &Scene<'_>, report: &Report) -> (With, Vec<usize>) {
        let (mut with, mut used, mut period) = (With::new(), vec![], self.period.as_ref());
        for (name, ask) in &report.ask {
            let given = match &ask.kind {
                AskKind::Date(_) | AskKind::DateRange(_) => {
                    let fits = |text: &&String| call::fits(scene, ask, &Given::Period((*text).clone()));
                    period.take_if(|text| fits(text)).map(|text| Given::Period(text.clone()))
                }
                AskKind::Choice(_) => self.picked(ask, &mut used).map(Given::Picked),
                AskKind::Number(_) | AskKind::Text { .. } => None,
            };
            with.extend(given.map(|given| (name.clone(), given)));
        }
        (with, used)
    }

    /// The values of a list that are named: by every word of their title, or by themselves.
    fn picked(&self, ask: &Ask, used: &mut Vec<usize>) -> Option<Vec<Picked>> {
        let AskKind::Choice(choice) = &ask.kind else { return None };
        let ChoiceFrom::Values(values) = &choice.from else { return None };
        let mut picked = vec![];
        for (value, title) in values {
            let place = |stem: &String| {
                self.words
                    .iter()
                    .position(|word| near(word, stem) > 0.0 && (word == stem || stem.chars().count() > 3))
            };
            let places = |text: &str| -> Option<Vec<usize>> {
                let stems = stems(text);
                if stems.is_empty() { None } else { stems.iter().map(place).collect() }
            };
            let Some(places) = places(title).or_else(|| places(value)) else { continue };
            picked.push(Picked {
                value: Value::Text(value.clone()),
                title: if title == value { String::new() } else { title.clone() },
            });
            used.extend(places);
            if !choice.many {
                break;
            }
        }
        used.sort_unstable();
        used.dedup();
        (!picked.is_empty()).then_some(picked)
    }
}
