//! Time without reading it: the clock trait, lengths of time, relative periods.

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{problem::nearest, value::Tick};

/// Tells the time. The daemon and the commands are given the system's; tests a stopped one.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> DateTime<Utc>;
}

/// A clock that stands still until it is set.
#[derive(Debug)]
pub struct FixedClock(std::sync::Mutex<DateTime<Utc>>);

impl FixedClock {
    /// Stopped at `now`.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self(std::sync::Mutex::new(now))
    }

    /// Moves the hands.
    pub fn set(&self, now: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = now;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A length of time as users write it: `"50ms"`, `"10s"`, `"5m"`, `"1h 30m"`, `"26h"`, `"3d"`, `"2w"`.
/// Months and years are refused: they have no fixed length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

impl Span {
    /// From a duration.
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// As the standard library's duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

/// What is wrong with a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Neither a number nor a unit where one was due.
    #[error("expected a length of time such as \"50ms\", \"10s\", \"5m\", \"1h\" or \"3d\"")]
    Syntax,
    /// An unknown unit, months and years included.
    #[error("unknown unit `{0}`: expected ms, s, m, h, d or w")]
    Unit(String),
    /// More than a century.
    #[error("longer than 36500 days")]
    TooLong,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let mut rest = text.trim();
        let mut total = Duration::ZERO;
        if rest.is_empty() {
            return Err(SpanError::Syntax);
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(SpanError::Syntax)?;
            let number: u64 = rest[..digits].parse().map_err(|_| SpanError::Syntax)?;
            rest = rest[digits..].trim_start();
            let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
            let millis = match &rest[..letters] {
                "" => return Err(SpanError::Syntax),
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 604_800_000,
                unit => return Err(SpanError::Unit(unit.to_owned())),
            };
            let part = number.checked_mul(millis).ok_or(SpanError::TooLong)?;
            total = total.checked_add(Duration::from_millis(part)).ok_or(SpanError::TooLong)?;
            rest = rest[letters..].trim_start();
        }
        if total > Duration::from_hours(36_500 * 24) {
            return Err(SpanError::TooLong);
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = self.0.as_millis();
        if millis == 0 {
            return f.write_str("0s");
        }
        let mut separator = "";
        for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if millis >= size {
                write!(f, "{separator}{}{unit}", millis / size)?;
                millis %= size;
                separator = " ";
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "span", "examples": ["10s", "5m", "1h"] })
    }
}

/// The day that is `days` after 1970-01-01; clamped to chrono's range.
pub fn date_from_days(days: i32) -> NaiveDate {
    let epoch = NaiveDate::default();
    let distance = Days::new(u64::from(days.unsigned_abs()));
    if days >= 0 {
        epoch.checked_add_days(distance).unwrap_or(NaiveDate::MAX)
    } else {
        epoch.checked_sub_days(distance).unwrap_or(NaiveDate::MIN)
    }
}

/// ISO 8601 with as many fractional digits as the tick has; instants end in `Z`.
pub fn format_ticks(ticks: i64, unit: Tick, utc: bool) -> String {
    let per_second = unit.per_second();
    let seconds = ticks.div_euclid(per_second);
    let fraction = ticks.rem_euclid(per_second);
    let Some(time) = DateTime::from_timestamp(seconds, 0) else {
        return format!("{ticks} {unit:?} since 1970");
    };
    let digits = per_second.ilog10() as usize;
    let fraction = if digits == 0 { String::new() } else { format!(".{fraction:0digits$}") };
    let zone = if utc { "Z" } else { "" };
    format!("{}{fraction}{zone}", time.format("%Y-%m-%dT%H:%M:%S"))
}

/// The instant at which a wall-clock time happens in a zone: the earlier one where clocks go back,
/// the first one after the gap where they go forward.
pub fn instant(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    let mut local = local;
    loop {
        if let Some(found) = zone.from_local_datetime(&local).earliest() {
            return found.with_timezone(&Utc);
        }
        local += chrono::TimeDelta::minutes(1);
    }
}

/// Midnight of a day in a zone, as an instant.
pub fn day_start(zone: Tz, day: NaiveDate) -> DateTime<Utc> {
    instant(zone, day.and_time(chrono::NaiveTime::MIN))
}

/// A range of days: `from` is in, `until` is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The first day.
    pub from: NaiveDate,
    /// The day after the last.
    pub until: NaiveDate,
}

impl Period {
    /// The last day that is in.
    pub fn last(&self) -> NaiveDate {
        self.until.pred_opt().unwrap_or(self.until)
    }

    /// A relative period (`today`, `yesterday`, `last_7_days`, `this_week`, `last_month`, …), a day
    /// (`2026-01-31`), a month (`2026-01`), a year (`2026`) or a range of days that are both in (`2026-01-01..2026-01-31`),
    /// as of `today`. Weeks begin on Monday. Years are 1900 to 2200.
    pub fn parse(text: &str, today: NaiveDate) -> Option<Self> {
        let found = relative(text, today).or_else(|| absolute(text))?;
        let known = |day: NaiveDate| Self::YEARS.contains(&day.year());
        (known(found.from) && known(found.last())).then_some(found)
    }

    /// The years that days can be of: what lies outside was never meant.
    pub const YEARS: std::ops::RangeInclusive<i32> = 1900..=2200;

    /// A month from a day on, or several; `None` = past the last year there is.
    pub fn of_months(from: NaiveDate, months: u32) -> Option<Self> {
        Some(Self { from, until: from.checked_add_months(Months::new(months))? })
    }

    /// The name of a relative period that was probably meant by a text that is none.
    pub fn meant(text: &str) -> Option<String> {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let days = if digits.is_empty() { "7" } else { &digits };
        let names = Self::NAMES.map(|name| name.replace('N', days));
        nearest(text, names.iter().map(String::as_str)).map(str::to_owned)
    }

    /// The names that [`Period::parse`] knows besides dates; `N` stands for a number.
    pub const NAMES: [&'static str; 11] = [
        "today",
        "yesterday",
        "last_N_days",
        "this_week",
        "last_week",
        "this_month",
        "last_month",
        "this_quarter",
        "last_quarter",
        "this_year",
        "last_year",
    ];
}

fn relative(text: &str, today: NaiveDate) -> Option<Period> {
    let days = |from: NaiveDate, days| Some(Period { from, until: from.checked_add_days(Days::new(days))? });
    let back = |days| today.checked_sub_days(Days::new(days));
    let months_back = |from: NaiveDate, months| from.checked_sub_months(Months::new(months));
    let week = back(u64::from(today.weekday().num_days_from_monday()))?;
    let month = today.with_day(1)?;
    let quarter = month.with_month(month.month0() / 3 * 3 + 1)?;
    let year = month.with_month(1)?;
    match text {
        "today" => days(today, 1),
        "yesterday" => days(back(1)?, 1),
        "this_week" => days(week, 7),
        "last_week" => days(week.checked_sub_days(Days::new(7))?, 7),
        "this_month" => Period::of_months(month, 1),
        "last_month" => Period::of_months(months_back(month, 1)?, 1),
        "this_quarter" => Period::of_months(quarter, 3),
        "last_quarter" => Period::of_months(months_back(quarter, 3)?, 3),
        "this_year" => Period::of_months(year, 12),
        "last_year" => Period::of_months(months_back(year, 12)?, 12),
        _ => {
            let count: u64 = text.strip_prefix("last_")?.strip_suffix("_days")?.parse().ok()?;
            Some(Period { from: back(count).filter(|_| count > 0)?, until: today })
        }
    }
}

fn absolute(text: &str) -> Option<Period> {
    if let Some((from, last)) = text.split_once("..") {
        let from: NaiveDate = from.trim().parse().ok()?;
        let until = last.trim().parse::<NaiveDate>().ok()?.succ_opt()?;
        return (from < until).then_some(Period { from, until });
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Some(Period { from: day, until: day.succ_opt()? });
    }
    if let Ok(month) = format!("{text}-01").parse::<NaiveDate>() {
        return Period::of_months(month, 1);
    }
    let year = NaiveDate::from_ymd_opt(text.parse().ok().filter(|_| text.len() == 4)?, 1, 1)?;
    Period::of_months(year, 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn spans_read_and_write() {
        for (text, millis) in [("50ms", 50), ("10s", 10_000), ("1h 30m", 5_400_000), ("2w", 1_209_600_000)] {
            assert_eq!(text.parse::<Span>().unwrap().get().as_millis(), millis, "{text}");
        }
        assert_eq!("90m".parse::<Span>().unwrap().to_string(), "1h 30m");
        assert_eq!("1mo".parse::<Span>(), Err(SpanError::Unit("mo".into())));
        assert_eq!("10".parse::<Span>(), Err(SpanError::Syntax));
        assert_eq!("".parse::<Span>(), Err(SpanError::Syntax));
        assert_eq!("99999999d".parse::<Span>(), Err(SpanError::TooLong));
    }

    #[test]
    fn periods() {
        let today = day("2026-03-31");
        let period = |text: &str| Period::parse(text, today).map(|p| (p.from, p.until));
        assert_eq!(period("last_month"), Some((day("2026-02-01"), day("2026-03-01"))));
        assert_eq!(period("last_7_days"), Some((day("2026-03-24"), day("2026-03-31"))));
        assert_eq!(period("this_week"), Some((day("2026-03-30"), day("2026-04-06"))));
        assert_eq!(period("last_quarter"), Some((day("2025-10-01"), day("2026-01-01"))));
        assert_eq!(period("2026-01"), Some((day("2026-01-01"), day("2026-02-01"))));
        assert_eq!(period("2025"), Some((day("2025-01-01"), day("2026-01-01"))));
        assert_eq!(period("2026-01-01..2026-01-31"), Some((day("2026-01-01"), day("2026-02-01"))));
        assert_eq!(period("last_0_days"), None);
        // Of chrono's last years, too, nobody falls over the edge.
        for far in ["+262142-12", "+262142-12-31", "262142", "2201", "1899-12-31", "2026-01-01..2201-01-01"] {
            assert_eq!(period(far), None, "{far}");
        }
        assert_eq!(period("last_99999999_days"), None);
        assert_eq!(Period::parse("this_year", NaiveDate::MAX), None);
        assert!(period("2200").is_some() && period("1900-01").is_some());
        assert!(Period::NAMES.iter().all(|name| period(&name.replace('N', "7")).is_some()));
        assert_eq!(Period::meant("last_mnth").as_deref(), Some("last_month"));
        assert_eq!(Period::meant("last_30_day").as_deref(), Some("last_30_days"));
        assert_eq!(Period::meant("Центр"), None);
        assert_eq!(period("sometime"), None);
    }

    #[test]
    fn a_time_in_a_gap_is_the_first_after_it() {
        let local = day("2026-03-29").and_hms_opt(2, 30, 0).unwrap();
        let berlin: Tz = "Europe/Berlin".parse().unwrap();
        assert_eq!(instant(berlin, local).to_rfc3339(), "2026-03-29T01:00:00+00:00");
    }

    #[test]
    fn ticks_before_1970() {
        assert_eq!(format_ticks(-1, Tick::Ms, true), "1969-12-31T23:59:59.999Z");
    }
}
