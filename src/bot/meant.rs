//! Questions in words: which report, with which answers. Deterministic; what a model advises is taken only where it is a reading, too.

use std::ops::Range;

use super::{
    ask, call,
    event::{Advice, Call, Given, Named, Picked, With},
    find::Names,
    said,
    scene::Scene,
    stems::{EMPTY, near, stems},
};
use crate::{
    config::bot::{Ask, AskKind, ChoiceFrom, Report},
    model::value::Value,
};

/// Readings of a question that are offered.
const READINGS: usize = 5;
/// What a reading must have of the best one's score to be offered beside it.
const NEAR: f64 = 0.6;

/// What a question in words could mean.
pub(super) struct Readings {
    /// The likeliest first.
    pub(super) calls: Vec<Call>,
    /// What was said that none of them uses.
    pub(super) left: Vec<String>,
}

/// What a question in words could mean; `named` are the values that it names of lists that nobody wrote down.
pub(super) fn understand(scene: &Scene<'_>, words: &str, named: &[Named]) -> Readings {
    let said = Said::of(scene, words, named);
    let mut readings: Vec<(f64, Call)> =
        scene.reports().filter_map(|report| said.reading(scene, report)).collect();
    readings.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = readings.first().map_or(0.0, |(score, _)| *score);
    let near = readings.into_iter().filter(|(score, _)| *score >= best * NEAR);
    let calls: Vec<Call> = near.take(READINGS).map(|(_, call)| call).collect();
    let mut left: Vec<String> = said.phrases.iter().map(|(text, _)| text.clone()).collect();
    for report in calls.iter().filter_map(|call| scene.report(&call.report)) {
        let of_one = said.left(scene, report);
        left.retain(|text| of_one.contains(text));
    }
    Readings { calls, left }
}

/// What words say of a report that is named already.
pub(super) struct Told {
    /// The report with its answers.
    pub(super) call: Call,
    /// Whether every word was understood.
    pub(super) whole: bool,
    /// What was said that it does not use.
    pub(super) left: Vec<String>,
}

/// A report with what words say of its questions: `/revenue прошлая неделя, Центр`.
pub(super) fn told(scene: &Scene<'_>, report: &Report, words: &str, named: &[Named]) -> Told {
    let is_dated = |ask: &Ask| matches!(ask.kind, AskKind::Date(_) | AskKind::DateRange(_));
    // Of a report that asks for no days, `2025` is a value.
    let dated = report.ask.values().any(is_dated);
    let said = if dated { Said::of(scene, words, named) } else { Said::without_days(words, named) };
    let names = Names::of(report);
    let (with, used) = said.answers(scene, report, &names);
    let mut unused = said.words.iter().enumerate().filter(|(at, _)| !used.contains(at));
    let days = said.period.is_none() || with.values().any(|given| matches!(given, Given::Period(_)));
    let whole = days && unused.all(|(_, word)| names.word(word) >= 1.0);
    Told { call: Call { report: report.name.clone(), with }, whole, left: said.left(scene, report) }
}

/// A report with the value that a link names of its lists: of the question that it names, or of the first that has it.
pub(super) fn linked(
    scene: &Scene<'_>,
    report: &Report,
    ask: Option<&str>,
    value: &str,
    named: &[Named],
) -> Option<Call> {
    let mut asks = report.ask.iter().filter(|(name, _)| ask.is_none_or(|ask| ask == *name));
    asks.find_map(|(name, ask)| {
        let is = |one: &&Picked| same(&one.value.to_string(), value) || same(&call::title(one), value);
        let one = of_list(named, report, name).iter().find(is)?;
        let given = Given::Picked(vec![one.clone()]);
        let fits = call::fits(scene, ask, &given);
        fits.then(|| Call { report: report.name.clone(), with: With::from([(name.clone(), given)]) })
    })
}

/// What a model advises, where all of it is what this viewer may ask; `None` = it is nonsense.
pub(super) fn advised(scene: &Scene<'_>, named: &[Named], advice: &Advice) -> Option<Call> {
    let report = scene.report(&advice.report)?;
    let answer = |(name, text): (&String, &String)| {
        let asked = report.ask.get(name)?;
        let given = match &asked.kind {
            AskKind::Date(_) | AskKind::DateRange(_) => Given::Period(said::period(text, scene.today)?),
            AskKind::Choice(choice) => Given::Picked(vec![match &choice.from {
                ChoiceFrom::Values(values) => {
                    let (value, title) =
                        values.iter().find(|(value, title)| same(value, text) || same(title, text))?;
                    picked(value, title)
                }
                ChoiceFrom::Sql(_) => {
                    let known = of_list(named, report, name).iter();
                    known
                        .clone()
                        .find(|one| same(&call::title(one), text) || same(&one.value.to_string(), text))?
                        .clone()
                }
            }]),
            AskKind::Number(_) => ask::typed(scene, asked, text).ok()?,
            AskKind::Text { .. } => Given::Value(Value::Text(text.clone())),
        };
        call::fits(scene, asked, &given).then(|| (name.clone(), given))
    };
    let with = advice.with.iter().map(answer).collect::<Option<With>>()?;
    Some(Call { report: report.name.clone(), with })
}

fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// A question in words, taken apart.
struct Said<'a> {
    /// As [`Period::parse`](crate::model::time::Period::parse) reads it.
    period: Option<String>,
    /// Stems of all other words.
    words: Vec<String>,
    /// What was said, as it was typed: with its places among the words, or none, where it says the days.
    phrases: Vec<(String, Option<Range<usize>>)>,
    /// The only number among them, as it was typed, and which of them it is.
    number: Option<(String, Range<usize>)>,
    named: &'a [Named],
}

impl<'a> Said<'a> {
    fn of(scene: &Scene<'_>, text: &str, named: &'a [Named]) -> Self {
        let mut tokens = said::tokens(text);
        let found = said::find(&tokens, scene.today);
        let days = found.map(|(period, at)| (period, tokens.drain(at).collect::<Vec<_>>().join(" ")));
        let mut said = Self::new(&tokens, named);
        if let Some((period, text)) = days {
            said.period = Some(period);
            said.phrases.push((text, None));
        }
        said
    }

    fn without_days(text: &str, named: &'a [Named]) -> Self {
        Self::new(&said::tokens(text), named)
    }

    /// Of words without days.
    fn new(tokens: &[String], named: &'a [Named]) -> Self {
        let (mut words, mut numbers, mut phrases) = (vec![], vec![], vec![]);
        for token in tokens.iter().filter(|token| !EMPTY.contains(&token.as_str())) {
            let from = words.len();
            words.extend(stems(token));
            phrases.push((token.clone(), Some(from..words.len())));
            if token.parse::<f64>().is_ok_and(f64::is_finite) {
                numbers.push((token.clone(), from..words.len()));
            }
        }
        let number = numbers.pop().filter(|_| numbers.is_empty());
        Self { period: None, words, phrases, number, named }
    }

    /// How well a report fits, and with which answers.
    fn reading(&self, scene: &Scene<'_>, report: &Report) -> Option<(f64, Call)> {
        let names = Names::of(report);
        let (with, used) = self.answers(scene, report, &names);
        let left: Vec<&String> = self
            .words
            .iter()
            .enumerate()
            .filter(|(at, _)| !used.contains(at))
            .map(|(_, word)| word)
            .collect();
        let named: f64 = left.iter().map(|word| names.word(word)).sum();
        if named < 0.3 {
            return None;
        }
        let unheard = left.iter().filter(|word| names.word(word) == 0.0).count() as f64;
        let period = f64::from(u8::from(with.values().any(|given| matches!(given, Given::Period(_)))));
        let score = named + names.share(&left) + 0.9 * used.len() as f64 + 0.2 * period - 0.3 * unheard;
        (score > 0.0).then(|| (score, Call { report: report.name.clone(), with }))
    }

    /// What was said that a report makes nothing of.
    fn left(&self, scene: &Scene<'_>, report: &Report) -> Vec<String> {
        let names = Names::of(report);
        let (with, used) = self.answers(scene, report, &names);
        let has_days = with.values().any(|given| matches!(given, Given::Period(_)));
        let is_used = |at: usize| used.contains(&at) || names.word(&self.words[at]) > 0.0;
        let is_left = |(_, at): &&(String, Option<Range<usize>>)| match at {
            Some(at) => !at.clone().any(is_used),
            None => !has_days,
        };
        self.phrases.iter().filter(is_left).map(|(text, _)| text.clone()).collect()
    }

    /// What is said of a report's questions, and which words said it.
    fn answers(&self, scene: &Scene<'_>, report: &Report, names: &Names) -> (With, Vec<usize>) {
        let (mut with, mut used, mut period) = (With::new(), vec![], self.period.as_ref());
        for (name, ask) in &report.ask {
            let given = match &ask.kind {
                AskKind::Date(_) | AskKind::DateRange(_) => {
                    let fits = |text: &&String| call::fits(scene, ask, &Given::Period((*text).clone()));
                    period.take_if(|text| fits(text)).map(|text| Given::Period(text.clone()))
                }
                AskKind::Choice(_) => {
                    let listed = of_list(self.named, report, name);
                    self.picked(ask, &mut used)
                        .or_else(|| self.found(ask, listed, names, &mut used))
                        .map(Given::Picked)
                }
                AskKind::Number(_) | AskKind::Text { .. } => None,
            };
            with.extend(given.map(|given| (name.clone(), given)));
        }
        if let Some((name, given, at)) = self.counted(scene, report, names, &used) {
            with.insert(name, given);
            used.extend(at);
        }
        (with, used)
    }

    /// The only number that is said answers the only question for one, unless it is said of something else.
    fn counted(
        &self,
        scene: &Scene<'_>,
        report: &Report,
        names: &Names,
        used: &[usize],
    ) -> Option<(String, Given, Range<usize>)> {
        let (number, at) = self.number.clone()?;
        let mut asks = report.ask.iter().filter(|(_, ask)| matches!(ask.kind, AskKind::Number(_)));
        let ((name, ask), None) = (asks.next()?, asks.next()) else { return None };
        let free = at.clone().all(|at| !used.contains(&at) && names.word(&self.words[at]) < 1.0);
        let given = ask::typed(scene, ask, &number).ok().filter(|_| free)?;
        Some((name.clone(), given, at))
    }

    /// The values of a list that is written down: those named by every word of their title, or by themselves.
    fn picked(&self, ask: &Ask, used: &mut Vec<usize>) -> Option<Vec<Picked>> {
        let AskKind::Choice(choice) = &ask.kind else { return None };
        let ChoiceFrom::Values(values) = &choice.from else { return None };
        let mut found = vec![];
        for (value, title) in values {
            let places = |text: &str| -> Option<Vec<usize>> {
                let stems = stems(text);
                if stems.is_empty() { None } else { stems.iter().map(|stem| self.place(stem)).collect() }
            };
            let Some(places) = places(title).or_else(|| places(value)) else { continue };
            found.push(picked(value, title));
            used.extend(places);
            if !choice.many {
                break;
            }
        }
        tidy(used);
        (!found.is_empty()).then_some(found)
    }

    /// The values that were found in a list of the database. A word that is the report's own name names the report.
    fn found(
        &self,
        ask: &Ask,
        listed: &[Picked],
        names: &Names,
        used: &mut Vec<usize>,
    ) -> Option<Vec<Picked>> {
        let AskKind::Choice(choice) = &ask.kind else { return None };
        let mut found = vec![];
        for one in listed {
            let places =
                |text: &str| stems(text).iter().filter_map(|stem| self.place(stem)).collect::<Vec<_>>();
            let mut at = places(&call::title(one));
            if at.is_empty() {
                at = places(&one.value.to_string());
            }
            let only_names = at.iter().all(|at| names.word(&self.words[*at]) >= 1.0);
            if only_names || at.iter().all(|at| used.contains(at)) {
                continue;
            }
            found.push(one.clone());
            used.extend(at);
            if !choice.many {
                break;
            }
        }
        tidy(used);
        (!found.is_empty()).then_some(found)
    }

    /// Which word says a stem.
    fn place(&self, stem: &String) -> Option<usize> {
        self.words
            .iter()
            .position(|word| near(word, stem) > 0.0 && (word == stem || stem.chars().count() > 3))
    }
}

fn tidy(used: &mut Vec<usize>) {
    used.sort_unstable();
    used.dedup();
}

fn picked(value: &str, title: &str) -> Picked {
    let title = if title == value { String::new() } else { title.to_owned() };
    Picked { value: Value::Text(value.to_owned()), title }
}

/// The values that words name of one question's list.
fn of_list<'a>(named: &'a [Named], report: &Report, ask: &str) -> &'a [Picked] {
    let of_it = |one: &&Named| one.report == report.name && one.ask == ask;
    named.iter().find(of_it).map_or(&[], |one| one.values.as_slice())
}

/// Whether a viewer's reports have questions whose values only the database knows.
pub(super) fn has_lists(scene: &Scene<'_>) -> bool {
    scene.reports().flat_map(|report| report.ask.values()).any(is_listed)
}

/// Whether only the database knows the values of a question.
pub(super) fn is_listed(ask: &Ask) -> bool {
    matches!(&ask.kind, AskKind::Choice(choice) if matches!(choice.from, ChoiceFrom::Sql(_)))
}
