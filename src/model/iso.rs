//! Days and times as ISO 8601 text, written straight into bytes: for whoever spells many cells.

use chrono::{Datelike, NaiveDate};

use super::value::Tick;

/// Days from 0001-01-01, which is chrono's first, to 1970-01-01.
const BEFORE_1970: i64 = 719_163;

/// Days after 1970-01-01 of the years 0 to 9999: others have no four digits.
const CALENDAR: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

const SECONDS_A_DAY: i64 = 86_400;

/// Adds a day, so many after 1970-01-01, as `2026-01-31`. False = it lies outside the years 0 to 9999, and nothing is added.
pub fn push_date(days: i64, into: &mut Vec<u8>) -> bool {
    if !CALENDAR.contains(&days) {
        return false;
    }
    let Some(date) = NaiveDate::from_num_days_from_ce_opt((days + BEFORE_1970) as i32) else {
        return false;
    };
    let mut text = *b"0000-00-00";
    digits(date.year().unsigned_abs(), &mut text[..4]);
    digits(date.month(), &mut text[5..7]);
    digits(date.day(), &mut text[8..]);
    into.extend_from_slice(&text);
    true
}

/// Adds a time of day, ticks after midnight, as `10:00:00.000` with as many fractional digits as the tick has.
pub fn push_time(ticks: i64, unit: Tick, into: &mut Vec<u8>) {
    let second = unit.per_second();
    let (seconds, fraction) = ((ticks / second) as u32, (ticks % second) as u32);
    let mut text = *b"00:00:00";
    digits(seconds / 3_600, &mut text[..2]);
    digits(seconds / 60 % 60, &mut text[3..5]);
    digits(seconds % 60, &mut text[6..]);
    into.extend_from_slice(&text);
    let places = second.ilog10() as usize;
    if places > 0 {
        let mut text = *b".000000000";
        digits(fraction, &mut text[1..=places]);
        into.extend_from_slice(&text[..=places]);
    }
}

/// Adds ticks after 1970 as `2026-01-31T10:00:00.000`, instants (`utc`) with a `Z`. False = they lie outside the years 0 to 9999, and nothing is added.
pub fn push_ticks(ticks: i64, unit: Tick, utc: bool, into: &mut Vec<u8>) -> bool {
    let day = unit.per_second() * SECONDS_A_DAY;
    if !push_date(ticks.div_euclid(day), into) {
        return false;
    }
    into.push(b'T');
    push_time(ticks.rem_euclid(day), unit, into);
    if utc {
        into.push(b'Z');
    }
    true
}

/// Writes the last digits of a number, as many as there is room for.
fn digits(mut number: u32, room: &mut [u8]) {
    for place in room.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::time::{date_from_days, format_ticks};

    const UNITS: [Tick; 4] = [Tick::S, Tick::Ms, Tick::Us, Tick::Ns];

    fn spelled(push: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<String> {
        let mut text = b"before ".to_vec();
        let pushed = push(&mut text);
        let text = String::from_utf8(text).unwrap();
        let added = text.strip_prefix("before ").expect("what was there stays").to_owned();
        assert_eq!(pushed, !added.is_empty());
        pushed.then_some(added)
    }

    #[test]
    fn ends_of_the_calendar() {
        let date = |days| spelled(|into| push_date(days, into));
        assert_eq!(date(-719_528).as_deref(), Some("0000-01-01"));
        assert_eq!(date(2_932_896).as_deref(), Some("9999-12-31"));
        assert_eq!([date(-719_529), date(2_932_897), date(i64::MAX), date(i64::MIN)], [const { None }; 4]);
        for unit in UNITS {
            let ticks = |ticks| spelled(|into| push_ticks(ticks, unit, true, into));
            assert_eq!(ticks(0), Some(format_ticks(0, unit, true)));
            assert_eq!(ticks(-1), Some(format_ticks(-1, unit, true)));
            // All that nanoseconds reach lies in the calendar.
            assert_eq!(ticks(i64::MAX).is_some(), unit == Tick::Ns);
            assert_eq!(ticks(i64::MIN).is_some(), unit == Tick::Ns);
        }
    }

    #[test]
    fn times_of_day() {
        let mut text = vec![];
        push_time(86_399_999_999, Tick::Us, &mut text);
        push_time(0, Tick::S, &mut text);
        assert_eq!(text, b"23:59:59.99999900:00:00");
    }

    proptest! {
        #[test]
        fn as_it_is_spelled_elsewhere(days in -719_528..=2_932_896_i32, part: u64, utc: bool) {
            prop_assert_eq!(spelled(|into| push_date(days.into(), into)), Some(date_from_days(days).to_string()));
            for unit in UNITS {
                let day = unit.per_second() * SECONDS_A_DAY;
                let ticks = i64::from(days).saturating_mul(day).saturating_add((part % day.unsigned_abs()).cast_signed());
                prop_assert_eq!(spelled(|into| push_ticks(ticks, unit, utc, into)), Some(format_ticks(ticks, unit, utc)));
            }
        }
    }
}
