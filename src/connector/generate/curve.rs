//! How many rows a minute expects: the day's shape, the week's, and growth, in the project's zone.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, Timelike, Utc};
use chrono_tz::Tz;

use super::{
    config::{Curve, Hours, Shape},
    draw::{Cumulative, below, delay, poisson, unit},
};
use crate::model::time::instant;

/// Minutes of a day.
pub(super) const DAY: i64 = 1440;
/// How many days later than its delay a child may appear because of working hours.
pub(super) const PLACING_DAYS: i64 = 10;

/// The day of a UTC minute's wall clock and its time.
pub(super) fn local_time(zone: Tz, minute: i64) -> NaiveDateTime {
    DateTime::<Utc>::from_timestamp(minute * 60, 0).unwrap_or_default().with_timezone(&zone).naive_local()
}

/// How many rows each minute has.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    zone: Tz,
    key: u64,
    /// Expected rows of a minute by the hour of a whole working day.
    per_minute: [f64; 24],
    weekdays: [f64; 7],
    growth: f64,
    first_day: NaiveDate,
}

impl Rate {
    /// `first_day` is where growth is counted from.
    pub(super) fn new(curve: &Curve, per_day: f64, key: u64, zone: Tz, first_day: NaiveDate) -> Self {
        let hours = hour_weights(curve);
        let sum: f64 = hours.iter().sum();
        Self {
            zone,
            key,
            per_minute: hours.map(|weight| per_day * weight / sum / 60.0),
            weekdays: weekday_factors(curve),
            growth: 1.0 + curve.growth_per_year.unwrap_or(0.0),
            first_day,
        }
    }

    /// Expected rows of a minute; the same within a quarter of an hour.
    fn expected(&self, minute: i64) -> f64 {
        let local = local_time(self.zone, minute);
        let years = (local.date() - self.first_day).num_days() as f64 / 365.25;
        let weekday = self.weekdays[local.weekday().num_days_from_monday() as usize];
        self.per_minute[local.hour() as usize] * weekday * self.growth.powf(years)
    }

    /// Rows of every minute in `from .. until`, in order; `visit` says whether to go on.
    pub(super) fn each_minute(&self, from: i64, until: i64, mut visit: impl FnMut(i64, u64) -> bool) {
        let mut expected = (i64::MIN, 0.0);
        for minute in from..until {
            // Zones change their offset at whole quarters only, so one look lasts for a quarter.
            let quarter = minute.div_euclid(15);
            if quarter != expected.0 {
                expected = (quarter, self.expected(quarter * 15));
            }
            let rows = if expected.1 > 0.0 { poisson(expected.1, self.minute_key(minute)) } else { 0 };
            if !visit(minute, rows) {
                return;
            }
        }
    }

    /// Rows in `from .. until`.
    pub(super) fn rows(&self, from: i64, until: i64) -> u64 {
        let mut sum = 0;
        self.each_minute(from, until, |_, rows| {
            sum += rows;
            true
        });
        sum
    }

    /// The key of a minute; its rows' keys lie below it.
    pub(super) fn minute_key(&self, minute: i64) -> u64 {
        below(self.key, minute as u64)
    }
}

/// The most days that a parent's row may say of a delay.
pub(super) const MOST_DAYS: i64 = 366;

/// When a child appears: a while after its parent.
#[derive(Debug, Clone)]
pub(super) enum Placing {
    /// Many minutes on average, in working hours where there are some.
    Around { mean: i64, working: Option<Working> },
    /// Always as many minutes.
    Exactly(i64),
    /// As many days as this column of the parent says.
    Days(usize),
}

/// When in the day and week children appear.
#[derive(Debug, Clone)]
pub(super) struct Working {
    zone: Tz,
    hours: Cumulative,
    weekdays: [f64; 7],
}

impl Placing {
    /// `mean` in minutes.
    pub(super) fn around(mean: i64, curve: Option<&Curve>, zone: Tz) -> Self {
        let working = curve.map(|curve| Working {
            zone,
            hours: Cumulative::new(hour_weights(curve)),
            weekdays: weekday_factors(curve),
        });
        Self::Around { mean, working }
    }

    /// The column of the parent that says how late a child is.
    pub(super) fn days_column(&self) -> Option<usize> {
        if let Self::Days(column) = self { Some(*column) } else { None }
    }

    /// The longest wait, in minutes.
    pub(super) fn reach(&self) -> i64 {
        match self {
            Self::Around { mean, working } => {
                (4 * mean).max(1) + if working.is_some() { PLACING_DAYS * DAY } else { 0 }
            }
            Self::Exactly(minutes) => (*minutes).max(1),
            Self::Days(_) => MOST_DAYS * DAY,
        }
    }

    /// The minute, always after `parent`, whose row says `days`; `None` where that is no delay.
    pub(super) fn place(&self, parent: i64, days: Option<i64>, key: u64) -> Option<i64> {
        match self {
            Self::Around { mean, working } => {
                let due = parent + delay(*mean, below(key, 0));
                Some(working.as_ref().map_or(due, |working| working.place(parent, due, key)))
            }
            Self::Exactly(minutes) => Some(parent + (*minutes).max(1)),
            Self::Days(_) => {
                let days = days.filter(|days| (0..=MOST_DAYS).contains(days))?;
                Some(parent + (days * DAY).max(1))
            }
        }
    }
}

impl Working {
    /// A minute after `parent`, on the day of `due` or soon after it.
    fn place(&self, parent: i64, due: i64, key: u64) -> i64 {
        let day = local_time(self.zone, due).date();
        let busiest = self.weekdays.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        for later in 0..8_u32 {
            let day = day.checked_add_days(Days::new(u64::from(later))).unwrap_or(day);
            let weekday = self.weekdays[day.weekday().num_days_from_monday() as usize];
            let key = below(key, 1 + u64::from(later));
            let taken = unit(below(key, 0)) < weekday / busiest || later == 7;
            let minute = self.minute(day, below(key, 1));
            if taken && minute > parent {
                return minute;
            }
        }
        // Seven days after the day of `due` every minute is later than the parent's: not reached but by odd calendars.
        due
    }

    /// A minute of this day, by the hours' weights.
    fn minute(&self, day: NaiveDate, key: u64) -> i64 {
        let u = unit(key);
        let hour = self.hours.find(u);
        let minute = ((self.hours.share(hour, u) * 60.0) as u32).min(59);
        let local = day.and_hms_opt(hour as u32, minute, 0).unwrap_or_default();
        instant(self.zone, local).timestamp().div_euclid(60)
    }
}

fn weekday_factors(curve: &Curve) -> [f64; 7] {
    let given = curve.weekdays.as_deref().and_then(|factors| factors.try_into().ok());
    given.unwrap_or([1.0; 7])
}

fn hour_weights(curve: &Curve) -> [f64; 24] {
    const OFFICE: [f64; 24] = [
        0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 3.0, 9.0, 11.0, 11.5, 10.0, 7.0, 9.5, 11.0, 10.5, 9.0, 5.0,
        2.0, 0.8, 0.2, 0.0, 0.0,
    ];
    const EVENING: [f64; 24] = [
        3.0, 1.2, 0.5, 0.2, 0.1, 0.1, 0.2, 0.5, 0.8, 1.0, 1.2, 1.5, 2.0, 2.2, 2.3, 2.6, 3.2, 4.5, 6.5, 9.0,
        11.0, 11.5, 9.5, 6.0,
    ];
    match &curve.hours {
        None | Some(Hours::Named(Shape::Even)) => [1.0; 24],
        Some(Hours::Named(Shape::Office)) => OFFICE,
        Some(Hours::Named(Shape::Evening)) => EVENING,
        Some(Hours::Weights(weights)) => weights.as_slice().try_into().unwrap_or([1.0; 24]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOSCOW: Tz = chrono_tz::Europe::Moscow;
    const BERLIN: Tz = chrono_tz::Europe::Berlin;

    fn minute(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp() / 60
    }

    fn office(weekdays: Option<Vec<f64>>, growth: Option<f64>) -> Curve {
        Curve { hours: Some(Hours::Named(Shape::Office)), weekdays, growth_per_year: growth }
    }

    fn first() -> NaiveDate {
        "2026-01-01".parse().unwrap()
    }

    #[test]
    fn office_hours_are_those_of_the_zone() {
        let rate = Rate::new(&office(None, None), 100_000.0, 1, MOSCOW, first());
        let midnight = minute("2026-03-02T00:00:00+03:00");
        assert_eq!(rate.rows(midnight, midnight + 7 * 60), 0);
        assert_eq!(rate.rows(midnight + 22 * 60, midnight + DAY), 0);
        let (morning, lunch) =
            (rate.rows(midnight + 660, midnight + 720), rate.rows(midnight + 780, midnight + 840));
        assert!(lunch * 10 < morning * 7, "{morning} at 11, {lunch} at 13");
        let day = rate.rows(midnight, midnight + DAY);
        assert!((99_000..101_000).contains(&day), "{day}");
    }

    #[test]
    fn weekends_are_quiet_and_years_grow() {
        let weekdays = vec![1.0, 1.0, 1.0, 1.0, 0.9, 0.3, 0.0];
        let rate = Rate::new(&office(Some(weekdays), Some(0.5)), 50_000.0, 1, MOSCOW, first());
        let day = |text: &str| {
            let midnight = minute(text);
            rate.rows(midnight, midnight + DAY)
        };
        let (monday, saturday, sunday) = (
            day("2026-01-05T00:00:00+03:00"),
            day("2026-01-10T00:00:00+03:00"),
            day("2026-01-11T00:00:00+03:00"),
        );
        let weekend = saturday as f64 / monday as f64;
        assert!((weekend - 0.3).abs() < 0.01, "{weekend}");
        assert_eq!(sunday, 0);
        let growth = day("2027-01-04T00:00:00+03:00") as f64 / monday as f64;
        assert!((growth - 1.5).abs() < 0.03, "{growth}");
    }

    #[test]
    fn a_short_day_and_a_long_day() {
        let curve = Curve { hours: Some(Hours::Weights(vec![1.0; 24])), ..Curve::default() };
        let rate = Rate::new(&curve, 240_000.0, 1, BERLIN, first());
        let rows = |from: &str, until: &str| rate.rows(minute(from), minute(until)) as f64 / 10_000.0;
        let spring = rows("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00");
        let autumn = rows("2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00");
        assert!((spring - 23.0).abs() < 0.3, "{spring}");
        assert!((autumn - 25.0).abs() < 0.3, "{autumn}");
    }

    #[test]
    fn children_are_placed_in_working_hours_and_never_before_their_parent() {
        let curve = office(Some(vec![1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]), None);
        let placing = Placing::around(3 * DAY, Some(&curve), MOSCOW);
        let parent = minute("2026-05-08T17:45:00+03:00");
        for key in 0..3_000 {
            let child = placing.place(parent, None, key).unwrap();
            assert!(child > parent && child <= parent + placing.reach());
            let local = local_time(MOSCOW, child);
            assert!(local.weekday().num_days_from_monday() < 5, "{local}");
            assert!((7..22).contains(&local.hour()), "{local}");
        }
    }

    #[test]
    fn a_day_without_two_o_clock_has_rows_all_the_same() {
        let mut hours = vec![0.0; 24];
        hours[2] = 1.0;
        let curve = Curve { hours: Some(Hours::Weights(hours)), ..Curve::default() };
        let placing = Placing::around(60, Some(&curve), BERLIN);
        let parent = minute("2026-03-28T12:00:00+01:00");
        let places: Vec<_> = (0..200).filter_map(|key| placing.place(parent, None, key)).collect();
        assert!(places.iter().all(|minute| *minute > parent));
        assert!(places.contains(&minute("2026-03-29T03:00:00+02:00")));
    }
}
