//! Which instants a day, week, month … of a zone is made of, so that a filter on `local_date(happened_at)` becomes one on
//! `happened_at` itself, which places can answer with an index or by leaving files out.

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, TimeDelta};
use chrono_tz::Tz;
use datafusion::scalar::ScalarValue;

use crate::model::time::{date_from_days, day_start};

/// The first instant of day `from` and of day `until`, as values of a column's type; `None` where the type is no instant, or
/// the zone's clocks go over a midnight twice there, so that the days are no plain ranges.
pub(super) fn instants(
    zone: Tz,
    from: i32,
    until: i32,
    column: &DataType,
) -> Option<(ScalarValue, ScalarValue)> {
    let DataType::Timestamp(unit, Some(column_zone)) = column else {
        return None;
    };
    let value = |day: i32| {
        let start = clean_start(zone, day)?.timestamp_micros();
        let zone = Some(column_zone.clone());
        Some(match unit {
            TimeUnit::Second => {
                let second = (start % 1_000_000 == 0).then_some(start / 1_000_000)?;
                ScalarValue::TimestampSecond(Some(second), zone)
            }
            TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(Some(start / 1_000), zone),
            TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(Some(start), zone),
            TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(Some(start.checked_mul(1_000)?), zone),
        })
    };
    Some((value(from)?, value(until)?))
}

/// The day whose first instant this is; `None` = it is inside a day, or the zone's clocks go over that midnight twice.
pub(super) fn day_that_begins(zone: Tz, instant: DateTime<chrono::Utc>) -> Option<i32> {
    let day = instant.with_timezone(&zone).date_naive().signed_duration_since(chrono::NaiveDate::default());
    let day = i32::try_from(day.num_days()).ok()?;
    (clean_start(zone, day) == Some(instant)).then_some(day)
}

/// The instant at which a day begins, where everything before it is an earlier day and everything after it is not.
fn clean_start(zone: Tz, day: i32) -> Option<DateTime<chrono::Utc>> {
    const CENTURIES: i32 = 3_650_000;
    const HOURS: i64 = 3;
    if day.abs() > CENTURIES {
        return None;
    }
    let date = date_from_days(day);
    let start = day_start(zone, date);
    let clean = (-HOURS * 60..HOURS * 60).all(|minute| {
        let local = (start + TimeDelta::minutes(minute)).with_timezone(&zone).date_naive();
        (local >= date) == (minute >= 0)
    });
    clean.then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> i32 {
        text.parse::<chrono::NaiveDate>()
            .unwrap()
            .signed_duration_since(chrono::NaiveDate::default())
            .num_days() as i32
    }

    #[test]
    fn a_day_of_the_zone() {
        let column = DataType::Timestamp(TimeUnit::Second, Some("UTC".into()));
        let zone = "Europe/Moscow".parse().unwrap();
        let (from, until) = instants(zone, day("2026-02-01"), day("2026-02-02"), &column).unwrap();
        let second = |text: &str| text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp();
        let scalar = |text| ScalarValue::TimestampSecond(Some(second(text)), Some("UTC".into()));
        assert_eq!((from, until), (scalar("2026-01-31T21:00:00Z"), scalar("2026-02-01T21:00:00Z")));
        assert_eq!(instants(zone, 0, 1, &DataType::Timestamp(TimeUnit::Second, None)), None);
    }

    #[test]
    fn a_midnight_that_comes_twice() {
        // In Newfoundland clocks went from 00:01 back to 23:01 of the day before.
        let column = DataType::Timestamp(TimeUnit::Second, Some("UTC".into()));
        let zone = "America/St_Johns".parse().unwrap();
        assert_eq!(instants(zone, day("2006-10-29"), day("2006-10-30"), &column), None);
        assert!(instants(zone, day("2006-10-30"), day("2006-10-31"), &column).is_some());
    }
}
