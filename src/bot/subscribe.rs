//! When something shall be sent by itself: at a few usual times, or by a schedule that is typed. Either is a cron expression in the reader's zone.

use chrono::TimeDelta;

use super::{
    access, call, dates,
    dialog::Step,
    due,
    event::{Action, Place, Spot, Subscribes, Topic, With},
    press::Intent,
    scene::Scene,
    screen::Markup,
    view::View,
    words::Words,
};
use crate::{
    config::bot::Sent,
    schedule::{
        self,
        cron::{CronProblem, Mistake, parse_cron},
    },
};

/// How people say a time of the day, and on which days.
type Said = fn(&Words, &str) -> String;

/// Usual times: cron expressions, the time of the day, and how people say them.
const TIMES: [(&str, &str, Said); 5] = [
    ("0 9 * * *", "9:00", |words, time| words.daily_at(time)),
    ("0 9 * * MON-FRI", "9:00", |words, time| words.workdays_at(time)),
    ("0 9 * * MON", "9:00", |words, time| words.mondays_at(time)),
    ("0 18 * * FRI", "18:00", |words, time| words.fridays_at(time)),
    ("0 9 1 * *", "9:00", |words, time| words.month_begins_at(time)),
];

/// Subscriptions that one user may have.
pub(super) const MOST: usize = 30;
/// Minutes between two times of a schedule that is typed, at least.
const APART: i64 = 15;
/// Characters of a schedule that is typed.
const LONGEST: usize = 100;
/// Times that are shown before a schedule is confirmed.
const SHOWN: usize = 3;

/// Whether a viewer may have it sent.
pub(super) fn may(scene: &Scene<'_>, topic: &Topic) -> bool {
    scene.viewer.subscribes != Subscribes::Never
        && match topic {
            Topic::Report(call) => scene.report(&call.report).is_some(),
            Topic::Workbook { mart, .. } => {
                access::may_have(scene.bot, &scene.viewer.access, &Sent::Workbook(mart.clone()))
            }
        }
}

/// The screen of usual times.
pub(super) fn view(scene: &Scene<'_>, topic: &Topic) -> View {
    let mut view = View::text(&format!("\n\n{}", scene.words.subscribe_when()));
    view.head(head(scene, topic));
    for (cron, time, said) in TIMES {
        view.row([(dates::capital(&said(&scene.words, time)), Intent::SendAt(cron.to_owned()))]);
    }
    view.row([(scene.words.schedule_own().to_owned(), Intent::OwnSchedule)]);
    view
}

/// The screen of a schedule that is typed: how to, or what was understood of it.
pub(super) fn own_view(scene: &Scene<'_>, topic: &Topic, cron: Option<&str>) -> View {
    let words = &scene.words;
    let mut view = match cron {
        None => View::text(&format!("\n\n{}", words.schedule_how(APART))),
        Some(cron) => {
            let (when, times) = (told(cron, words), times(scene, cron));
            let text = words.schedule_understood(when, scene.viewer.zone.name(), times);
            let mut view = View::text(&format!("\n\n{text}"));
            view.row([(words.schedule_confirm().to_owned(), Intent::SendAt(cron.to_owned()))]);
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
        let weekday = dates::weekday(time.date_naive(), &scene.words);
        let day = dates::day(time.date_naive(), scene.language());
        format!("• {weekday} {day} {}", time.format("%H:%M"))
    };
    let lines = schedule::upcoming(&timing, scene.now, SHOWN).into_iter().map(line);
    lines.collect::<Vec<_>>().join("\n")
}

/// A time in words: one of the usual ones, every day at some time, or the expression itself.
pub(super) fn told(cron: &str, words: &Words) -> String {
    if let Some((_, time, said)) = TIMES.iter().find(|(expression, ..)| *expression == cron) {
        return said(words, time);
    }
    let fields: Vec<&str> = cron.split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u8>().ok());
    match (number(0), number(1), &fields[..]) {
        (Some(minute), Some(hour), [_, _, "*", "*", "*"]) => words.daily_at(format!("{hour}:{minute:02}")),
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

/// What a field of a cron expression is called, and takes.
fn field_name<'a>(words: &'a Words, name: &str) -> &'a str {
    match name {
        "second" => words.cron_second(),
        "minute" => words.cron_minute(),
        "hour" => words.cron_hour(),
        "day" => words.cron_day(),
        "month" => words.cron_month(),
        _ => words.cron_weekday(),
    }
}

/// What is wrong, in words.
fn wrong(scene: &Scene<'_>, text: &str, wrong: &Wrong) -> String {
    let words = &scene.words;
    match wrong {
        Wrong::Clock => words.wrong_time().to_owned(),
        Wrong::Often => words.wrong_often(APART),
        Wrong::Cron(problem) => match problem.mistake {
            Mistake::Fields(count) => words.wrong_cron_fields(count),
            Mistake::Field(name) => {
                let field = text.trim().get(problem.span.clone()).unwrap_or_default();
                words.wrong_cron_field(field, field_name(words, name))
            }
            Mistake::Never => words.wrong_cron_never().to_owned(),
            Mistake::Other => words.wrong_cron().to_owned(),
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

    /// Whether the viewer has as many subscriptions as one may have; then the next screen says so, and nothing else.
    pub(super) fn has_no_room(&mut self) -> bool {
        let full = self.scene.viewer.subscribes == Subscribes::Full;
        if full {
            self.note = Some(self.scene.words.subscriptions_full(MOST));
        }
        full
    }

    /// When what is at hand shall be sent.
    pub(super) fn subscribe(&mut self) {
        match self.topic() {
            Some(_) if self.has_no_room() => self.show(Place::Same),
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
        // It may have got full in another chat meanwhile.
        if self.has_no_room() {
            return self.show(Place::Same);
        }
        let when = told(&cron, &self.scene.words);
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
            self.note = Some(self.scene.words.subscribed(when));
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
