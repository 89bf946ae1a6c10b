//! The same failure again and again is told to admins once in a while, so that what else they are told is not held up. A pure function over time.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

/// How often the same failure is told.
const EVERY: TimeDelta = TimeDelta::minutes(10);
/// Past this many, those that were told long ago are forgotten.
const KNOWN: usize = 1_000;

/// What admins were told lately.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// By report and cause: when it was told last, and how often it came since.
    told: HashMap<(String, String), (DateTime<Utc>, u64)>,
}

impl Failures {
    /// A report failed: how often it has since this was told last; `None` = it was told a moment ago.
    pub(super) fn tells(&mut self, report: &str, cause: &str, now: DateTime<Utc>) -> Option<u64> {
        if self.told.len() >= KNOWN {
            self.told.retain(|_, (told, _)| now < *told + EVERY);
        }
        let key = (report.to_owned(), cause.to_owned());
        let (told, since) = self.told.entry(key).or_insert((now - EVERY, 0));
        if now < *told + EVERY {
            *since += 1;
            return None;
        }
        *told = now;
        Some(std::mem::take(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_once_in_a_while_with_its_count() {
        let mut failures = Failures::default();
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let mut tells = |cause: &str, minutes| failures.tells("r", cause, now + TimeDelta::minutes(minutes));
        assert_eq!((tells("a", 0), tells("a", 0), tells("a", 9)), (Some(0), None, None));
        assert_eq!((tells("b", 9), tells("a", 10)), (Some(0), Some(2)), "another cause is told at once");
        assert_eq!((tells("a", 19), tells("a", 20), tells("a", 50)), (None, Some(1), Some(0)));
    }

    #[test]
    fn what_was_told_long_ago_is_forgotten() {
        let mut failures = Failures::default();
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        for cause in 0..10 * KNOWN {
            failures.tells("r", &cause.to_string(), now + EVERY * i32::try_from(cause / KNOWN).unwrap());
        }
        assert!(failures.told.len() <= 2 * KNOWN, "{}", failures.told.len());
    }
}
