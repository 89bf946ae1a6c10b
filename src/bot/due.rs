//! When subscriptions and alerts are due, and what an alert tells: pure functions over time.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::{
    config::bot::SendAt,
    schedule::{self, Timing, cron::parse_cron},
    state::bot::alerts::Raised,
};

/// Something that was missed for longer, and is not waited for, is not sent any more: the next one is nearer.
const MISSED: TimeDelta = TimeDelta::hours(12);
/// Times that are looked through, at most.
const TIMES: usize = 100_000;

/// How `bot.toml` says it, as it is kept: a cron expression, or `every 3600`.
pub fn written(at: &SendAt) -> (String, String) {
    match at {
        SendAt::Cron { expression, zone } => (expression.clone(), zone.name().to_owned()),
        SendAt::Every(span) => (format!("every {}", span.get().as_secs()), "UTC".to_owned()),
    }
}

/// What is kept, read back; `None` = it is neither.
pub fn timing(cron: &str, zone: &str) -> Option<Timing> {
    if let Some(seconds) = cron.strip_prefix("every ") {
        let seconds = seconds.parse().ok().filter(|seconds| *seconds > 0)?;
        let span = crate::model::time::Span::new(std::time::Duration::from_secs(seconds));
        return Some(Timing::Every(span));
    }
    let cron = Box::new(parse_cron(cron).ok()?);
    Some(Timing::Cron { cron, zone: zone.parse().ok()? })
}

/// What came due: several instants are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The first that nothing was done at: what is waited for is waited for from then on.
    pub first: DateTime<Utc>,
    /// The newest, at which all of them are done.
    pub newest: DateTime<Utc>,
}

/// What came due since the last instant that something was done at. What may wait so long is not missed while it does.
pub fn due(timing: &Timing, fired_at: DateTime<Utc>, wait: TimeDelta, now: DateTime<Utc>) -> Option<Due> {
    let from = fired_at.max(now - MISSED - wait);
    let mut times = std::iter::successors(schedule::next(timing, from), |last| schedule::next(timing, *last))
        .take(TIMES)
        .take_while(|time| *time <= now);
    let first = times.next()?;
    Some(Due { first, newest: times.last().unwrap_or(first) })
}

/// What to do about an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruling {
    /// Where it stands from now on; `None` = all is well.
    pub raised: Option<Raised>,
    /// What is told.
    pub tell: Option<Tell>,
}

/// What is told of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    /// What was found.
    Raised,
    /// That it is over.
    Recovered,
}

/// What to do about an alert that stood so and found something or nothing. In quiet hours nothing is told; what lasts is told after them.
pub fn rule(
    stood: Option<Raised>,
    found: bool,
    repeat: Option<TimeDelta>,
    is_quiet: bool,
    now: DateTime<Utc>,
) -> Ruling {
    match (stood, found) {
        (None, false) => Ruling { raised: None, tell: None },
        (stood, true) => {
            let raised = stood.unwrap_or(Raised { raised_at: now, told_at: None });
            let again = |told| repeat.is_some_and(|repeat| told + repeat <= now);
            if is_quiet || !raised.told_at.is_none_or(again) {
                return Ruling { raised: Some(raised), tell: None };
            }
            Ruling { raised: Some(Raised { told_at: Some(now), ..raised }), tell: Some(Tell::Raised) }
        }
        // What nobody was told of is over without a word; what was told is kept until its end can be told.
        (Some(raised), false) if raised.told_at.is_none() => Ruling { raised: None, tell: None },
        (Some(raised), false) if is_quiet => Ruling { raised: Some(raised), tell: None },
        (Some(_), false) => Ruling { raised: None, tell: Some(Tell::Recovered) },
    }
}

/// Whether an instant lies in hours of silence, which may go over midnight.
pub fn is_quiet(quiet: Option<(NaiveTime, NaiveTime)>, zone: Tz, now: DateTime<Utc>) -> bool {
    let Some((from, until)) = quiet else { return false };
    let time = now.with_timezone(&zone).time();
    if from <= until { from <= time && time < until } else { from <= time || time < until }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
    }

    /// The newest instant, of what waits for nothing.
    fn newest(timing: &Timing, fired_at: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        due(timing, fired_at, TimeDelta::zero(), now).map(|due| due.newest)
    }

    #[test]
    fn what_waits_is_counted_from_the_first_instant_however_often_it_comes() {
        let hourly = timing("0 * * * *", "UTC").unwrap();
        let (six, eight) = (at("2026-03-02T06:00:00Z"), at("2026-03-02T08:00:00Z"));
        let fired = at("2026-03-02T05:00:00Z");
        let found = due(&hourly, fired, TimeDelta::hours(2), at("2026-03-02T08:10:00Z"));
        assert_eq!(found, Some(Due { first: six, newest: eight }));
        // What waits for a day is there when the day is over, and is missed half a day later.
        let (daily, day) = (timing("0 6 1 * *", "UTC").unwrap(), TimeDelta::days(1));
        let (before, first) = (at("2026-03-01T05:00:00Z"), at("2026-03-01T06:00:00Z"));
        let after = |hours| due(&daily, before, day, first + TimeDelta::hours(hours)).map(|due| due.first);
        assert_eq!((after(24), after(35), after(37)), (Some(first), Some(first), None));
    }

    #[test]
    fn due_once_whatever_was_missed_and_never_late() {
        let nine = timing("0 9 * * *", "Europe/Moscow").unwrap();
        let monday = at("2026-03-02T06:00:00Z");
        assert_eq!(newest(&nine, at("2026-03-01T06:00:00Z"), at("2026-03-02T05:59:59Z")), None);
        assert_eq!(newest(&nine, at("2026-03-01T06:00:00Z"), monday), Some(monday));
        assert_eq!(newest(&nine, monday, monday), None, "not twice");
        assert_eq!(newest(&nine, at("2026-01-01T00:00:00Z"), at("2026-03-02T10:00:00Z")), Some(monday));
        assert_eq!(newest(&nine, at("2026-01-01T00:00:00Z"), at("2026-03-02T20:00:00Z")), None, "too late");
    }

    #[test]
    fn clocks_that_change_send_once() {
        let half_past_two = timing("30 2 * * *", "Europe/Berlin").unwrap();
        let mut fired = at("2026-10-24T12:00:00Z");
        let mut times = 0;
        for hour in 0..24 {
            let now = at("2026-10-24T12:00:00Z") + TimeDelta::hours(hour) + TimeDelta::minutes(45);
            if let Some(at) = newest(&half_past_two, fired, now) {
                (fired, times) = (at, times + 1);
            }
        }
        assert_eq!(times, 1);
    }

    #[test]
    fn what_is_written_is_read() {
        let hourly = SendAt::Every(crate::model::time::Span::new(std::time::Duration::from_secs(3600)));
        let (cron, zone) = written(&hourly);
        let hour = at("2026-03-02T07:00:00Z");
        assert_eq!(newest(&timing(&cron, &zone).unwrap(), hour - TimeDelta::hours(1), hour), Some(hour));
        assert!(timing("soon", "UTC").is_none() && timing("every 0", "UTC").is_none());
        assert!(timing("0 9 * * *", "Mars").is_none());
    }

    #[test]
    fn an_alert_is_told_once_until_it_recovers() {
        let now = at("2026-03-02T07:00:00Z");
        let first = rule(None, true, None, false, now);
        assert_eq!(first.tell, Some(Tell::Raised));
        let later = now + TimeDelta::hours(5);
        assert_eq!(rule(first.raised, true, None, false, later), Ruling { raised: first.raised, tell: None });
        let over = rule(first.raised, false, None, false, later);
        assert_eq!((over.raised, over.tell), (None, Some(Tell::Recovered)));
        let repeated = rule(first.raised, true, Some(TimeDelta::hours(5)), false, later);
        assert_eq!(repeated.tell, Some(Tell::Raised));
        assert_eq!(repeated.raised, Some(Raised { raised_at: now, told_at: Some(later) }));
    }

    #[test]
    fn quiet_hours_put_off_what_lasts_and_swallow_what_passes() {
        let now = at("2026-03-02T00:00:00Z");
        let night = rule(None, true, None, true, now);
        assert_eq!(night, Ruling { raised: Some(Raised { raised_at: now, told_at: None }), tell: None });
        let morning = now + TimeDelta::hours(8);
        assert_eq!(rule(night.raised, true, None, false, morning).tell, Some(Tell::Raised));
        assert_eq!(rule(night.raised, false, None, false, morning), Ruling { raised: None, tell: None });
        let quiet = |from: &str, until: &str| Some((from.parse().unwrap(), until.parse().unwrap()));
        let moscow = chrono_tz::Europe::Moscow;
        assert!(is_quiet(quiet("22:00:00", "08:00:00"), moscow, now));
        assert!(!is_quiet(quiet("22:00:00", "03:00:00"), moscow, now));
        assert!(is_quiet(quiet("03:00:00", "03:01:00"), moscow, now));
        assert!(!is_quiet(None, moscow, now));
    }
}
