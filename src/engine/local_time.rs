//! Instants as wall-clock time of one zone, quickly: the zone's rules are asked once per hour that occurs in the
//! data, not once per row.

use std::collections::HashMap;

use arrow::{
    array::{Array, AsArray, Int64Array},
    datatypes::{
        DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
        TimestampSecondType,
    },
};
use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

/// Microseconds in a day.
pub(super) const DAY: i64 = 86_400_000_000;
const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600;

/// Ticks of a timestamp array as microseconds, rounded down; `None` for other arrays.
pub(super) fn micros(array: &dyn Array) -> Option<Int64Array> {
    let DataType::Timestamp(unit, _) = array.data_type() else {
        return None;
    };
    Some(match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().unary(|t| t.saturating_mul(SECOND)),
        TimeUnit::Millisecond => {
            array.as_primitive::<TimestampMillisecondType>().unary(|t| t.saturating_mul(1_000))
        }
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().unary(|t| t),
        TimeUnit::Nanosecond => {
            array.as_primitive::<TimestampNanosecondType>().unary(|t| t.div_euclid(1_000))
        }
    })
}

/// Turns instants into the wall-clock time of a zone.
pub(super) struct Clockwork {
    zone: Tz,
    last: (i64, Option<i64>),
    hours: HashMap<i64, Option<i64>>,
}

impl Clockwork {
    pub(super) fn new(zone: Tz) -> Self {
        Self { zone, last: (i64::MIN, None), hours: HashMap::new() }
    }

    /// Wall-clock microseconds since 1970-01-01T00:00 local.
    pub(super) fn local(&mut self, micros: i64) -> i64 {
        let second = micros.div_euclid(SECOND);
        let hour = second.div_euclid(HOUR);
        if self.last.0 != hour {
            let zone = self.zone;
            let offset = *self.hours.entry(hour).or_insert_with(|| steady_offset(zone, hour));
            self.last = (hour, offset);
        }
        let offset = self.last.1.unwrap_or_else(|| offset_at(self.zone, second));
        micros.saturating_add(offset * SECOND)
    }
}

/// The zone's offset in this hour since 1970; `None` where it changes within the hour.
fn steady_offset(zone: Tz, hour: i64) -> Option<i64> {
    let first = offset_at(zone, hour * HOUR);
    (offset_at(zone, hour * HOUR + HOUR - 1) == first).then_some(first)
}

/// Seconds that the zone's clocks are ahead of UTC; 0 outside the calendar's range.
fn offset_at(zone: Tz, second: i64) -> i64 {
    DateTime::from_timestamp(second, 0)
        .map_or(0, |at| i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()))
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDateTime, Utc};

    use super::*;

    #[test]
    fn agrees_with_the_calendar_around_every_change() {
        for zone in
            ["Europe/Moscow", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
        {
            let zone: Tz = zone.parse().unwrap();
            let mut clockwork = Clockwork::new(zone);
            for minute in (0..60 * 24 * 366 * 2).step_by(7) {
                let at = "2024-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap()
                    + chrono::TimeDelta::minutes(minute);
                let expected: NaiveDateTime = at.with_timezone(&zone).naive_local();
                let local = clockwork.local(at.timestamp_micros());
                assert_eq!(local, expected.and_utc().timestamp_micros(), "{at} in {zone}");
            }
        }
    }

    #[test]
    fn ends_of_time() {
        let mut clockwork = Clockwork::new("Europe/Moscow".parse().unwrap());
        assert_eq!(clockwork.local(i64::MAX), i64::MAX);
        assert_eq!(clockwork.local(i64::MIN), i64::MIN);
    }
}
