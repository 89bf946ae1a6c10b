//! What a schedule owes: the instants since it was last looked at, and what becomes of those that were missed.
//!
//! One rule for everything that can keep a daemon from an instant: downtime, a machine asleep, a clock set forward. All of them
//! look like instants that lie behind, and `misfire` says what they are worth. A clock set back a little repeats wall-clock
//! times that were run already: they are not run again. One set back far was wrong before: it counts from where it is now.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Timing, missed, next};
use crate::config::project::Misfire;

/// How old an instant may be to count as on time.
pub const LATE: TimeDelta = TimeDelta::minutes(1);

/// How far a clock may go back and still be believed to have been right before.
pub const SET_BACK: TimeDelta = TimeDelta::hours(3);

/// Missed instants that are run one by one, at most; of more, the rest is left out.
pub const MOST_AT_ONCE: u32 = 100;

/// Instants that are counted, at most.
const MOST_COUNTED: usize = 10_000;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Runs to begin.
    pub runs: u32,
    /// Instants that get no run of their own.
    pub left_out: u32,
    /// What the schedule was looked at up to: given again the next time.
    pub seen: DateTime<Utc>,
}

/// What is due at `now` of a schedule that was looked at up to `seen`.
pub fn due(timing: &Timing, misfire: Misfire, seen: DateTime<Utc>, now: DateTime<Utc>) -> Due {
    if now < seen {
        let wrong_before = seen - now >= SET_BACK;
        return Due { runs: 0, left_out: 0, seen: if wrong_before { now } else { seen } };
    }
    let count = u32::try_from(missed(timing, seen, now, MOST_COUNTED)).unwrap_or(u32::MAX);
    let on_time = next(timing, seen.max(now - LATE)).is_some_and(|instant| instant <= now);
    let runs = match misfire {
        Misfire::Once => count.min(1),
        Misfire::Skip => u32::from(on_time),
        Misfire::All => count.min(MOST_AT_ONCE),
    };
    Due { runs, left_out: count.saturating_sub(runs), seen: now }
}

#[cfg(test)]
mod tests {
    use chrono::Timelike;
    use chrono_tz::Tz;

    use super::*;
    use crate::schedule::{cron::parse_cron, upcoming};

    const ZONES: [&str; 6] = [
        "Europe/Moscow",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Tehran",
        "Africa/Casablanca",
        "America/Sao_Paulo",
    ];

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn every(text: &str) -> Timing {
        Timing::Every(text.parse().unwrap())
    }

    fn cron(text: &str, zone: &str) -> Timing {
        Timing::Cron { cron: Box::new(parse_cron(text).unwrap()), zone: zone.parse().unwrap() }
    }

    /// Looks at a schedule as a daemon does, from one instant to the next, and asks it at each.
    fn fired(
        timing: &Timing,
        misfire: Misfire,
        looks: impl Iterator<Item = DateTime<Utc>>,
    ) -> Vec<DateTime<Utc>> {
        let (mut seen, mut fired) = (None, vec![]);
        for now in looks {
            let due = due(timing, misfire, seen.unwrap_or(now), now);
            seen = Some(due.seen);
            fired.extend((0..due.runs).map(|_| now));
        }
        fired
    }

    /// A daemon that looks every 17 minutes over three years runs each instant once, whatever the clocks of the zone do.
    #[test]
    fn each_instant_is_run_once_over_years() {
        let (from, until) = (at("2018-01-01T00:00:00Z"), at("2021-01-01T00:00:00Z"));
        let looks = || std::iter::successors(Some(from), |at| Some(*at + TimeDelta::minutes(17)));
        for zone in ZONES {
            for text in
                ["30 2 * * *", "0 0 * * *", "15 */3 * * *", "0 * * * *", "0 12 29 2 *", "30 1 * * SUN"]
            {
                let timing = cron(text, zone);
                let until = looks().take_while(|at| *at < until).last().unwrap();
                let expected = missed(&timing, from, until, usize::MAX);
                let found = fired(&timing, Misfire::All, looks().take_while(|at| *at <= until));
                assert_eq!(found.len(), expected, "{text} in {zone}");
                let instants = upcoming(&timing, from, expected);
                let late = found.iter().zip(&instants).map(|(fired, instant)| *fired - *instant);
                assert!(
                    late.into_iter().all(|late| late >= TimeDelta::zero() && late < TimeDelta::minutes(17))
                );
            }
        }
    }

    /// Where clocks go back, a fixed time is run in the first pass alone, a wildcard in both; where they go forward, a fixed
    /// time that is left out is run at the first instant after the gap.
    #[test]
    fn gaps_and_overlaps() {
        for (zone, back, forward) in [
            ("America/New_York", "2026-11-01T04:00:00Z", "2026-03-08T05:00:00Z"),
            ("Australia/Lord_Howe", "2026-04-04T14:00:00Z", "2026-10-03T14:00:00Z"),
        ] {
            let shift = if zone == "Australia/Lord_Howe" { 30 } else { 60 };
            let looks = |from: &str| {
                let from = at(from);
                (0..=8 * 60).map(move |minute| from + TimeDelta::minutes(minute))
            };
            let times = |text: &str, from: &str| fired(&cron(text, zone), Misfire::Once, looks(from));
            let fixed = times("45 1 * * *", back);
            assert_eq!(fixed.len(), 1, "{zone}");
            let both = times("*/15 * * * *", back);
            assert!(both.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::minutes(15)), "{zone}");
            let missing = times("15 2 * * *", forward);
            let local = missing[0].with_timezone(&zone.parse::<Tz>().unwrap());
            assert_eq!((missing.len(), local.hour() * 60 + local.minute()), (1, 120 + shift), "{zone}");
        }
    }

    #[test]
    fn what_was_missed_is_run_once_or_not_at_all_or_each() {
        let (seen, now) = (at("2026-01-01T00:30:00Z"), at("2026-01-01T05:30:00Z"));
        let of = |misfire| {
            let due = due(&every("1h"), misfire, seen, now);
            (due.runs, due.left_out, due.seen)
        };
        assert_eq!(of(Misfire::Once), (1, 4, now));
        assert_eq!(of(Misfire::Skip), (0, 5, now));
        assert_eq!(of(Misfire::All), (5, 0, now));
        // The newest of them is due now: a schedule that skips runs it.
        let on_time = due(&every("1h"), Misfire::Skip, seen, at("2026-01-01T05:00:30Z"));
        assert_eq!((on_time.runs, on_time.left_out), (1, 4));
        let long = due(&every("1s"), Misfire::All, seen, now);
        assert_eq!((long.runs, long.left_out), (MOST_AT_ONCE, 10_000 - MOST_AT_ONCE));
    }

    #[test]
    fn a_clock_set_back_repeats_nothing_and_one_that_was_wrong_is_forgotten() {
        let timing = every("1h");
        let back = due(&timing, Misfire::Once, at("2026-01-01T12:00:00Z"), at("2026-01-01T11:00:30Z"));
        assert_eq!((back.runs, back.seen), (0, at("2026-01-01T12:00:00Z")));
        let wrong = due(&timing, Misfire::Once, at("2031-01-01T00:00:00Z"), at("2026-01-01T11:00:30Z"));
        assert_eq!((wrong.runs, wrong.seen), (0, at("2026-01-01T11:00:30Z")));
        assert_eq!(due(&timing, Misfire::Once, wrong.seen, at("2026-01-01T12:00:00Z")).runs, 1);
        // Set forward by a day: as if the daemon had been down.
        let forward = due(&timing, Misfire::Once, at("2026-01-01T12:00:00Z"), at("2026-01-02T12:00:00Z"));
        assert_eq!((forward.runs, forward.left_out), (1, 23));
    }
}
