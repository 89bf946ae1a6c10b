//! Time cut into windows: hours, days, weeks and months of a zone. Pure.
//!
//! A window begins where its wall-clock unit begins and ends where the next one does, so that windows follow each other without gaps, whatever
//! clocks do: a day is 23 or 25 hours long then, and an hour that comes twice is two windows. Its key is text that sorts as time does.

use arrow::datatypes::DataType;
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    time::{Span, day_start},
    value::{Tick, Value},
};

/// How long a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    /// An hour of the clock.
    Hour,
    /// A day.
    Day,
    /// A week; it begins on Monday.
    Week,
    /// A month.
    Month,
}

/// What happens to windows whose query or inputs are not what they were built from any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnChange {
    /// The next run builds them again.
    Rebuild,
    /// They are shown as stale, and stay until `backfill` is asked for: what a source no longer holds is not lost by a change of the query.
    #[default]
    Mark,
    /// They are right as they are: only new windows are built from the new query.
    ForwardOnly,
}

/// How a mart is cut into windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// The column of the mart by which a row belongs to a window.
    pub column: String,
    /// How long one is.
    pub grain: Grain,
    /// Whose days they are.
    pub zone: Tz,
    /// Where the first one begins.
    pub start: DateTime<Utc>,
    /// How far back a run builds again what is built: for rows that show up late.
    pub lookback: Span,
    /// How many windows that follow each other one query may compute.
    pub batch_size: usize,
    /// Whether the window that has not ended yet is built too.
    pub current: bool,
    /// What becomes of stale ones.
    pub on_change: OnChange,
}

/// One window: `from` is in, `until` is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// How long it is.
    pub grain: Grain,
    /// Whose clock it goes by.
    pub zone: Tz,
    /// Its first instant.
    pub from: DateTime<Utc>,
    /// The first instant behind it.
    pub until: DateTime<Utc>,
}

impl Windows {
    /// The window that an instant lies in.
    pub fn at(&self, instant: DateTime<Utc>) -> Window {
        Window::at(self.grain, self.zone, instant)
    }

    /// All windows that a run may build: from the first one to the last that has ended, or has begun where the current one is built too.
    pub fn all(&self, now: DateTime<Utc>) -> Vec<Window> {
        let mut windows = self.between(self.start, now);
        windows.retain(|window| self.current || window.until <= now);
        windows
    }

    /// The windows that touch `from .. until`, none before the first one.
    pub fn between(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Window> {
        let mut windows = vec![];
        let mut window = self.at(from.max(self.start));
        while window.from < until {
            windows.push(window);
            window = self.at(window.until);
        }
        windows
    }

    /// The window of a key, as [`Window::key`] writes it; `None` = it is of another grain.
    pub fn parse(&self, key: &str) -> Option<Window> {
        let window = self.at(begins(self.grain, self.zone, key)?);
        (window.key() == key).then_some(window)
    }
}

impl Window {
    /// The window that an instant lies in.
    pub fn at(grain: Grain, zone: Tz, instant: DateTime<Utc>) -> Self {
        if grain == Grain::Hour {
            return hour(zone, instant);
        }
        let mut first = first_day(grain, instant.with_timezone(&zone).date_naive());
        loop {
            let next = next_day(grain, first);
            let (from, until) = (day_start(zone, first), day_start(zone, next));
            // A midnight that comes twice may leave an instant behind the end of its day.
            if instant < until {
                return Self { grain, zone, from, until };
            }
            first = next;
        }
    }

    /// Its name in records: `2026-01-31`, `2026-W05`, `2026-01`, `2026-01-31T05:00+03:00`.
    pub fn key(&self) -> String {
        let local = self.from.with_timezone(&self.zone);
        match self.grain {
            Grain::Hour => local.format("%Y-%m-%dT%H:%M%:z").to_string(),
            Grain::Day => self.first_day().to_string(),
            Grain::Week => {
                let week = self.first_day().iso_week();
                format!("{}-W{:02}", week.year(), week.week())
            }
            Grain::Month => self.first_day().format("%Y-%m").to_string(),
        }
    }

    /// Its first day.
    pub fn first_day(&self) -> NaiveDate {
        self.from.with_timezone(&self.zone).date_naive()
    }

    /// The day behind its last one.
    pub fn end_day(&self) -> NaiveDate {
        self.until.with_timezone(&self.zone).date_naive()
    }

    /// This one and all up to `last`, as if they were one.
    #[must_use]
    pub fn up_to(&self, last: &Self) -> Self {
        Self { until: last.until, ..*self }
    }

    /// Whether both have an instant in common.
    pub fn touches(&self, other: &Self) -> bool {
        self.from < other.until && other.from < self.until
    }

    /// Its bounds as values of a column's type: days, instants, or times of the zone's wall clock; `None` = no row of such a column lies in a window.
    pub fn bounds(&self, column: &DataType) -> Option<(Value, Value)> {
        let day =
            |day: NaiveDate| Value::Date(day.signed_duration_since(NaiveDate::default()).num_days() as i32);
        match column {
            DataType::Date32 if self.grain != Grain::Hour => {
                Some((day(self.first_day()), day(self.end_day())))
            }
            DataType::Timestamp(unit, Some(_)) => {
                let value = |at: DateTime<Utc>| instant(at.naive_utc(), (*unit).into(), true);
                Some((value(self.from), value(self.until)))
            }
            // An hour that comes twice is one on the wall clock.
            DataType::Timestamp(unit, None) if self.grain != Grain::Hour => {
                let value =
                    |day: NaiveDate| instant(day.and_time(chrono::NaiveTime::MIN), (*unit).into(), false);
                Some((value(self.first_day()), value(self.end_day())))
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.key())
    }
}

fn instant(at: NaiveDateTime, unit: Tick, utc: bool) -> Value {
    // Windows begin at whole minutes.
    Value::Timestamp { ticks: at.and_utc().timestamp().saturating_mul(unit.per_second()), unit, utc }
}

fn first_day(grain: Grain, day: NaiveDate) -> NaiveDate {
    match grain {
        Grain::Hour | Grain::Day => day,
        Grain::Week => day - Days::new(u64::from(day.weekday().num_days_from_monday())),
        Grain::Month => day.with_day(1).unwrap_or(day),
    }
}

fn next_day(grain: Grain, first: NaiveDate) -> NaiveDate {
    match grain {
        Grain::Hour | Grain::Day => first + Days::new(1),
        Grain::Week => first + Days::new(7),
        Grain::Month => first + Months::new(1),
    }
}

/// The hour of the clock; shorter where clocks are moved inside it.
fn hour(zone: Tz, instant: DateTime<Utc>) -> Window {
    let minute = TimeDelta::minutes(1);
    let offset = |at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc();
    let own = offset(instant);
    let local = instant.timestamp() + i64::from(own);
    let begins = local.div_euclid(3600) * 3600 - i64::from(own);
    let mut from = DateTime::from_timestamp(begins, 0).unwrap_or(instant);
    let mut until = from + TimeDelta::hours(1);
    while offset(from) != own {
        from += minute;
    }
    while offset(until - minute) != own {
        until -= minute;
    }
    Window { grain: Grain::Hour, zone, from, until }
}

/// The instant at which the window of a key begins.
fn begins(grain: Grain, zone: Tz, key: &str) -> Option<DateTime<Utc>> {
    let day = match grain {
        Grain::Hour => return DateTime::parse_from_str(key, "%Y-%m-%dT%H:%M%:z").ok().map(|at| at.to_utc()),
        Grain::Day => key.parse().ok()?,
        Grain::Week => {
            let (year, week) = key.split_once("-W")?;
            NaiveDate::from_isoywd_opt(year.parse().ok()?, week.parse().ok()?, chrono::Weekday::Mon)?
        }
        Grain::Month => format!("{key}-01").parse().ok()?,
    };
    Some(day_start(zone, day))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn windows(zone: &str, grain: Grain, start: &str) -> Windows {
        let day: NaiveDate = start.parse().unwrap();
        let zone: Tz = zone.parse().unwrap();
        Windows {
            column: "dt".into(),
            grain,
            zone,
            start: day_start(zone, day),
            lookback: Span::new(std::time::Duration::ZERO),
            batch_size: 1,
            current: true,
            on_change: OnChange::Mark,
        }
    }

    #[test]
    fn windows_follow_each_other_and_come_back_by_their_keys() {
        for zone in [
            "Europe/Moscow",
            "Europe/Berlin",
            "America/St_Johns",
            "Australia/Lord_Howe",
            "Pacific/Apia",
            "Asia/Kolkata",
        ] {
            for (grain, from, until) in [
                (Grain::Hour, "2025-10-01T00:00:00Z", "2026-04-10T00:00:00Z"),
                (Grain::Day, "2006-10-01T00:00:00Z", "2012-01-10T00:00:00Z"),
                (Grain::Week, "2006-10-01T00:00:00Z", "2012-01-10T00:00:00Z"),
                (Grain::Month, "2006-10-01T00:00:00Z", "2012-01-10T00:00:00Z"),
            ] {
                let windows = windows(zone, grain, "2006-01-01");
                let all = windows.between(at(from), at(until));
                assert!(all.len() > 40, "{zone} {grain:?}");
                let mut keys = std::collections::HashSet::new();
                for pair in all.windows(2) {
                    assert_eq!(pair[0].until, pair[1].from, "{zone} {}", pair[0]);
                    assert!(pair[0].from < pair[0].until, "{zone} {}", pair[0]);
                    assert!(keys.insert(pair[0].key()), "{zone} {}", pair[0]);
                    assert_eq!(windows.parse(&pair[0].key()), Some(pair[0]), "{zone}");
                    assert_eq!(windows.at(pair[0].until - TimeDelta::seconds(1)), pair[0], "{zone}");
                }
            }
        }
    }

    #[test]
    fn keys_say_what_they_are() {
        let key = |grain| windows("Europe/Moscow", grain, "2020-01-01").at(at("2026-01-31T21:30:00Z")).key();
        assert_eq!(key(Grain::Hour), "2026-02-01T00:00+03:00");
        assert_eq!(key(Grain::Day), "2026-02-01");
        assert_eq!(key(Grain::Week), "2026-W05");
        assert_eq!(key(Grain::Month), "2026-02");
        let daily = windows("Europe/Moscow", Grain::Day, "2020-01-01");
        assert_eq!(daily.parse("2026-W05"), None);
        assert_eq!(daily.parse("2026-02"), None);
    }

    #[test]
    fn the_current_window_and_the_first() {
        let mut daily = windows("Europe/Moscow", Grain::Day, "2026-01-30");
        let keys = |windows: &Windows| {
            windows.all(at("2026-02-01T10:00:00Z")).iter().map(Window::key).collect::<Vec<_>>()
        };
        assert_eq!(keys(&daily), ["2026-01-30", "2026-01-31", "2026-02-01"]);
        daily.current = false;
        assert_eq!(keys(&daily), ["2026-01-30", "2026-01-31"]);
        assert_eq!(daily.between(at("2020-01-01T00:00:00Z"), at("2026-01-30T12:00:00Z")).len(), 1);
        assert!(daily.all(at("2026-01-01T00:00:00Z")).is_empty());
    }

    #[test]
    fn bounds_are_of_the_columns_type() {
        let day = windows("Europe/Moscow", Grain::Day, "2020-01-01").at(at("2026-02-01T10:00:00Z"));
        let shown = |kind| day.bounds(&kind).map(|(from, until)| format!("{from} {until}"));
        assert_eq!(shown(DataType::Date32).unwrap(), "2026-02-01 2026-02-02");
        let utc = DataType::Timestamp(TimeUnit::Second, Some("UTC".into()));
        assert_eq!(shown(utc).unwrap(), "2026-01-31T21:00:00Z 2026-02-01T21:00:00Z");
        let local = DataType::Timestamp(TimeUnit::Second, None);
        assert_eq!(shown(local).unwrap(), "2026-02-01T00:00:00 2026-02-02T00:00:00");
        assert_eq!(shown(DataType::Int64), None);
        let hour = windows("Europe/Moscow", Grain::Hour, "2020-01-01").at(at("2026-02-01T10:00:00Z"));
        assert_eq!(hour.bounds(&DataType::Date32), None);
    }
}
