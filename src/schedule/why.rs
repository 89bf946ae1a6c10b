//! Why a schedule is due at an instant, for people: above all where a zone's clocks change.

use chrono::{DateTime, LocalResult, TimeZone, Utc};
use chrono_tz::Tz;

use super::{Timing, cron::Cron};

/// Why an instant that [`next`](super::next) gave is one.
pub fn why(timing: &Timing, at: DateTime<Utc>) -> String {
    match timing {
        Timing::Every(span) => format!("a multiple of {span} since 1970-01-01 00:00 UTC"),
        Timing::Cron { cron, zone } => of_cron(cron, *zone, at),
    }
}

fn of_cron(cron: &Cron, zone: Tz, at: DateTime<Utc>) -> String {
    let local = at.with_timezone(&zone);
    let time = local.format("%H:%M:%S");
    if !cron.matches(zone, at) {
        return format!(
            "the time it names is left out on this day: clocks go forward, and {time} is the first instant after"
        );
    }
    match zone.from_local_datetime(&local.naive_local()) {
        LocalResult::Ambiguous(first, _) if first == local => {
            format!("clocks go back: {time} happens twice, and this is the first")
        }
        LocalResult::Ambiguous(..) => format!("clocks go back: {time} happens for the second time"),
        LocalResult::Single(_) | LocalResult::None => format!("`{}` in {zone}", cron.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{cron::parse_cron, upcoming};

    fn reasons(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let timing = Timing::Cron { cron: Box::new(parse_cron(cron).unwrap()), zone: zone.parse().unwrap() };
        upcoming(&timing, after.parse().unwrap(), count).into_iter().map(|at| why(&timing, at)).collect()
    }

    #[test]
    fn the_days_on_which_clocks_change_are_told() {
        let spring = reasons("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        assert_eq!(spring[0], "`30 2 * * *` in Europe/Berlin");
        assert_eq!(
            spring[1],
            "the time it names is left out on this day: clocks go forward, and 03:00:00 is the first instant after"
        );
        let autumn = reasons("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(autumn[0], "clocks go back: 02:30:00 happens twice, and this is the first");
        assert_eq!(autumn[1], "`30 2 * * *` in Europe/Berlin");
        let both = reasons("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 2);
        assert_eq!(both[1], "clocks go back: 02:30:00 happens for the second time");
    }
}
