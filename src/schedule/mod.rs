//! When jobs are due: pure functions of a schedule, a zone and an instant. Nothing here reads a clock.

pub mod cron;
pub mod due;
mod why;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::{config::project::Trigger, model::time::Span};
use cron::{Cron, parse_cron};

pub use why::why;

/// A schedule that depends on time alone.
#[derive(Debug, Clone)]
pub enum Timing {
    /// At fixed distances, counted from 1970-01-01T00:00Z: `every = "1h"` is on the hour whenever the daemon was started.
    Every(Span),
    /// By a cron expression, in a zone.
    Cron {
        /// The expression.
        cron: Box<Cron>,
        /// Whose wall-clock times it means.
        zone: Tz,
    },
}

/// What of a job's trigger depends on time alone; `None` where it follows other jobs or never rests.
pub fn timing(trigger: &Trigger) -> Option<Timing> {
    match trigger {
        Trigger::Every(span) => Some(Timing::Every(*span)),
        Trigger::Cron { expression, zone } => {
            let cron = Box::new(parse_cron(expression).ok()?);
            Some(Timing::Cron { cron, zone: *zone })
        }
        Trigger::AfterInputs | Trigger::After(_) | Trigger::Continuous => None,
    }
}

/// The first time after an instant (not at it); `None` where there is none in the calendar.
pub fn next(timing: &Timing, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match timing {
        Timing::Every(span) => {
            let step = i64::try_from(span.get().as_millis()).ok().filter(|step| *step > 0)?;
            let done = after.timestamp_millis().div_euclid(step);
            DateTime::from_timestamp_millis(done.checked_add(1)?.checked_mul(step)?)
        }
        Timing::Cron { cron, zone } => cron.next(*zone, after),
    }
}

/// The next times after an instant, at most `count`.
pub fn upcoming(timing: &Timing, after: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
    std::iter::successors(next(timing, after), |last| next(timing, *last)).take(count).collect()
}

/// How many times lie after one instant and up to another, counting to at most `most`: what was missed.
pub fn missed(timing: &Timing, after: DateTime<Utc>, until: DateTime<Utc>, most: usize) -> usize {
    let times = std::iter::successors(next(timing, after), |last| next(timing, *last));
    times.take_while(|time| *time <= until).take(most).count()
}

/// A schedule in words: `every 5m`, `at 06:05, on Monday through Friday (Europe/Moscow)`.
pub fn describe(timing: &Timing) -> String {
    match timing {
        Timing::Every(span) => format!("every {span}"),
        Timing::Cron { cron, zone } => format!("{} ({zone})", cron.describe()),
    }
}

/// The distance between the next two times, for people and for deciding what is late.
pub fn distance(timing: &Timing, after: DateTime<Utc>) -> Option<TimeDelta> {
    match upcoming(timing, after, 2).as_slice() {
        [first, second] => Some(*second - *first),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn every(text: &str) -> Timing {
        Timing::Every(text.parse().unwrap())
    }

    #[test]
    fn distances_are_counted_from_1970() {
        assert_eq!(next(&every("1h"), at("2026-01-01T10:00:00Z")), Some(at("2026-01-01T11:00:00Z")));
        assert_eq!(next(&every("5m"), at("2026-01-01T10:04:59.999Z")), Some(at("2026-01-01T10:05:00Z")));
        assert_eq!(next(&every("0s"), at("2026-01-01T10:00:00Z")), None);
        assert_eq!(distance(&every("90s"), at("2026-01-01T10:00:00Z")), Some(TimeDelta::seconds(90)));
    }

    #[test]
    fn what_was_missed_is_counted_up_to_a_limit() {
        let (from, until) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T03:00:00Z"));
        assert_eq!(missed(&every("1h"), from, until, 100), 3);
        assert_eq!(missed(&every("1s"), from, until, 100), 100);
        assert_eq!(missed(&every("1d"), from, until, 100), 0);
    }

    #[test]
    fn schedules_in_words() {
        let expression = "5 6 * * MON-FRI".to_owned();
        let timing = timing(&Trigger::Cron { expression, zone: "Asia/Omsk".parse().unwrap() }).unwrap();
        assert_eq!(
            describe(&timing),
            "at 06:05, on Monday, Tuesday, Wednesday, Thursday, and Friday (Asia/Omsk)"
        );
        assert_eq!(describe(&every("90m")), "every 1h 30m");
        let times: Vec<String> =
            upcoming(&timing, at("2026-01-02T00:05:00Z"), 2).iter().map(DateTime::to_rfc3339).collect();
        assert_eq!(times, ["2026-01-05T00:05:00+00:00", "2026-01-06T00:05:00+00:00"]);
    }
}
