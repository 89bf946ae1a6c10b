//! When something shall be sent by itself: at a few usual times, or by a schedule that is typed. Either is a cron expression in the reader's zone.

use chrono::{Datelike, TimeDelta};

use super::{
    access, call, dates,
    dialog::Step,
    due,
    event::{Action, Place, Spot, Topic, With},
    press::Intent,
    scene::Scene,
    screen::Markup,
    view::View,
    words::{Pair, pick},
};
use crate::{
    config::{bot::Sent, project::Language},
    schedule::{
        self,
        cron::{CronProblem, Mistake, parse_cron},
    },
};

/// Usual times: cron expressions, and how people say them.
const TIMES: [(&str, Pair); 5] = [
    ("0 9 * * *", ("каждый день в 9:00", "every day at 9:00")),
    ("0 9 * * MON-FRI", ("по будням в 9:00", "on workdays at 9:00")),
    ("0 9 * * MON", ("по понедельникам в 9:00", "on Mondays at 9:00")),
    ("0 18 * * FRI", ("по пятницам в 18:00", "on Fridays at 18:00")),
    ("0 9 1 * *", ("первого числа в 9:00", "on the 1st of the month at 9:00")),
];

/// Minutes between two times of a schedule that is typed, at least.
const APART: i64 = 15;
/// Characters of a schedule that is typed.
const LONGEST: usize = 100;
/// Times that are shown before a schedule is confirmed.
const SHOWN: usize = 3;

/// Whether a viewer may have it sent.
pub(super) fn may(scene: &Scene<'_>, topic: &Topic) -> bool {
    scene.viewer.subscribes
        && match topic {
            Topic::Report(call) => scene.report(&call.report).is_some(),
            Topic::Workbook { mart, .. } => {
                access::may_have(scene.bot, &scene.viewer.access, &Sent::Workbook(mart.clone()))
            }
        }
}

/// The screen of usual times.
pub(super) fn view(scene: &Scene<'_>, topic: &Topic) -> View {
    let mut view = View::text(&format!("\n\n{}", scene.words.get("subscribe_when")));
    view.head(head(scene, topic));
    for (cron, name) in TIMES {
        view.row([(dates::capital(pick(name, scene.language())), Intent::SendAt(cron.to_owned()))]);
    }
    view.row([(scene.words.get("schedule_own").to_owned(), Intent::OwnSchedule)]);
    view
}

/// The screen of a schedule that is typed: how to, or what was understood of it.
pub(super) fn own_view(scene: &Scene<'_>, topic: &Topic, cron: Option<&str>) -> View {
    let words = scene.words;
    let mut view = match cron {
        None => {
            let text = words.fill("schedule_how", &[("minutes", &APART.to_string())]);
            View::text(&format!("\n\n{text}"))
        }
        Some(cron) => {
            let (when, times) = (told(cron, scene.language()), times(scene, cron));
            let zone = scene.viewer.zone.name();
            let holes = [("when", when.as_str()), ("zone", zone), ("times", times.as_str())];
            let mut view = View::text(&format!("\n\n{}", words.fill("schedule_understood", &holes)));
            view.row([(words.get("schedule_confirm").to_owned(), Intent::SendAt(cron.to_owned()))]);
            view
        }
    };
    view.head(head(scene, topic));
    view
}

fn head(scene: &Scene<'_>, topic: &Topic) -> Markup {
    match topic {
        Topic::Report(call) => scene
            .report(&call.report)
            .map_or_else(Markup::new, |report| call::header(scene, report, &call.with)),
        Topic::Workbook { title, .. } => Markup::new().bold(title),
    }
}

/// The next times of a schedule, a line each, by the viewer's clock.
fn times(scene: &Scene<'_>, cron: &str) -> String {
    let Some(timing) = due::timing(cron, scene.viewer.zone.name()) else { return String::new() };
    let line = |time: chrono::DateTime<chrono::Utc>| {
        let time = time.with_timezone(&scene.viewer.zone);
        let weekday = dates::weekdays(scene.language())[time.weekday().num_days_from_monday() as usize];
        let day = dates::day(time.date_naive(), scene.language());
        format!("• {weekday} {day} {}", time.format("%H:%M"))
    };
    let lines = schedule::upcoming(&timing, scene.now, SHOWN).into_iter().map(line);
    lines.collect::<Vec<_>>().join("\n")
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

/// What is wrong with a schedule that was typed.
#[derive(Debug, PartialEq)]
enum Wrong {
    /// It looks like a time of the day, and is none.
    Clock,
    /// Its times are nearer than they may be.
    Often,
    /// It is no cron expression.
    Cron(CronProblem),
}

/// A schedule that is typed: `10:30`, every day then, or a cron expression as the project's files have them. Gives the cron expression.
fn typed(text: &str) -> Result<String, Wrong> {
    let text = text.trim();
    if let Some((hour, minute)) = text.split_once([':', '.']).filter(|_| !text.contains(char::is_whitespace))
    {
        let number = |text: &str, below: u8| text.parse().ok().filter(|number: &u8| *number < below);
        let (hour, minute) = number(hour, 24).zip(number(minute, 60)).ok_or(Wrong::Clock)?;
        return Ok(format!("{minute} {hour} * * *"));
    }
    let text: String = text.chars().take(LONGEST).collect();
    let cron = parse_cron(&text).map_err(Wrong::Cron)?;
    if cron.shortest_gap().is_some_and(|gap| gap < TimeDelta::minutes(APART)) {
        return Err(Wrong::Often);
    }
    Ok(text)
}

/// What is wrong, in words.
fn wrong(scene: &Scene<'_>, text: &str, wrong: &Wrong) -> String {
    let words = scene.words;
    match wrong {
        Wrong::Clock => words.get("wrong_time").to_owned(),
        Wrong::Often => words.fill("wrong_often", &[("minutes", &APART.to_string())]),
        Wrong::Cron(problem) => match problem.mistake {
            Mistake::Fields(count) => words.fill("wrong_cron_fields", &[("count", &count.to_string())]),
            Mistake::Field(name) => {
                let field = text.trim().get(problem.span.clone()).unwrap_or_default();
                let holes = [("field", field), ("name", words.get(&format!("cron_{name}")))];
                words.fill("wrong_cron_field", &holes)
            }
            Mistake::Never => words.get("wrong_cron_never").to_owned(),
            Mistake::Other => words.get("wrong_cron").to_owned(),
        },
    }
}

impl Step<'_> {
    /// What the screen at hand is to send.
    fn topic(&self) -> Option<Topic> {
        match self.state.trail.last()? {
            Spot::Report { call, .. } => Some(Topic::Report(call.clone())),
            Spot::Subscribe(topic) | Spot::Schedule { topic, .. } => Some(topic.clone()),
            _ => None,
        }
    }

    /// When what is at hand shall be sent.
    pub(super) fn subscribe(&mut self) {
        match self.topic() {
            Some(topic) => self.enter(Spot::Subscribe(topic), Place::Same),
            None => self.show(Place::Same),
        }
    }

    /// By a schedule that is to be typed.
    pub(super) fn own_schedule(&mut self) {
        match self.topic() {
            Some(topic) => self.enter(Spot::Schedule { topic, cron: None }, Place::Same),
            None => self.show(Place::Same),
        }
    }

    /// A schedule was typed: it is shown as it was understood, and kept only once that is confirmed.
    pub(super) fn schedule_typed(&mut self, text: &str) {
        let Some(topic) = self.topic() else { return self.show(Place::New) };
        if matches!(self.state.trail.last(), Some(Spot::Schedule { .. })) {
            self.state.trail.pop();
        }
        let read = typed(text);
        self.note = read.as_ref().err().map(|found| wrong(&self.scene, text, found));
        self.enter(Spot::Schedule { topic, cron: read.ok() }, Place::New);
    }

    /// Keeps sending what is at hand.
    pub(super) fn send_at(&mut self, cron: String) {
        let Some(topic) = self.topic() else { return self.show(Place::Same) };
        while matches!(self.state.trail.last(), Some(Spot::Subscribe(_) | Spot::Schedule { .. })) {
            self.state.trail.pop();
        }
        let when = told(&cron, self.scene.language());
        let asked = match topic {
            Topic::Report(call) => self
                .scene
                .report(&call.report)
                .and_then(|report| call::complete(&self.scene, report, &call.with).ok())
                .map(|with| (Sent::Report(call.report), with)),
            Topic::Workbook { mart, .. } => Some((Sent::Workbook(mart), With::new())),
        };
        if let Some((what, with)) = asked {
            self.actions.push(Action::Subscribe { what, with, cron });
            self.note = Some(self.scene.words.fill("subscribed", &[("when", &when)]));
        }
        self.show(Place::Same);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_typed_comes_seldom_enough_or_is_refused(
            text in prop_oneof![".{0,60}", "[0-9*/,@#LW?:. +-]{0,20}", "([0-9]{1,2}|[*]/[0-9]{1,2}|[*])( ([0-9]{1,2}|[*])){4}"],
        ) {
            if let Ok(cron) = typed(&text) {
                let timing = due::timing(&cron, "UTC");
                let times = schedule::upcoming(&timing.unwrap(), chrono::DateTime::UNIX_EPOCH, 50);
                let apart = times.windows(2).all(|pair| pair[1] - pair[0] >= TimeDelta::minutes(APART));
                prop_assert!(!times.is_empty() && apart, "{cron}: {times:?}");
            }
        }
    }

    #[test]
    fn times_and_expressions() {
        for (text, cron) in [
            ("10:30", "30 10 * * *"),
            (" 9.05 ", "5 9 * * *"),
            ("5 8 * * MON", "5 8 * * MON"),
            ("*/15 * * * *", "*/15 * * * *"),
            ("@daily", "@daily"),
        ] {
            assert_eq!(typed(text), Ok(cron.to_owned()), "{text}");
        }
        for text in ["25:00", "10:60", "10:", ":", "-1:00"] {
            assert_eq!(typed(text), Err(Wrong::Clock), "{text}");
        }
        for text in ["* * * * *", "*/14 * * * *", "0,10 9 * * *", "0 0 9 * * * *", "*/30 0 9 * * *"] {
            assert!(matches!(typed(text), Err(Wrong::Often | Wrong::Cron(_))), "{text}");
        }
        let endless = "1,".repeat(5_000);
        assert!(matches!(typed(&endless), Err(Wrong::Cron(_))));
    }
}
