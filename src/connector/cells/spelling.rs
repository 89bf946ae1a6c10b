//! What text spells: numbers, dates and times, exactly or not at all.

use arrow::datatypes::{ArrowNativeTypeOp, i256};
use chrono::{DateTime, NaiveDateTime};
use chrono_tz::Tz;

use super::{Cell, column::Misfit};
use crate::model::{
    time::{date_from_days, format_ticks, instant},
    value::{Tick, Value},
};

/// An integer as it would be printed: no `+`, no leading zeros, no spaces.
pub(super) fn integer<T: TryFrom<i64> + TryFrom<u64>>(text: &str) -> Result<T, Misfit> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = match digits.as_bytes() {
        [] => false,
        [b'0'] => digits.len() == text.len(),
        [first, ..] => *first != b'0' && digits.bytes().all(|byte| byte.is_ascii_digit()),
    };
    if !canonical {
        return Err(if looks_numeric(text) { Misfit::Spelling } else { Misfit::Sort("text") });
    }
    match text.parse::<i64>() {
        Ok(value) => T::try_from(value).map_err(|_| Misfit::Range),
        Err(_) => text.parse::<u64>().ok().and_then(|v| T::try_from(v).ok()).ok_or(Misfit::Range),
    }
}

/// A number with an optional fraction and exponent, or `NaN`, `inf`, `-inf`.
pub(super) fn real(text: &str) -> Result<f64, Misfit> {
    match text {
        "NaN" => return Ok(f64::NAN),
        "inf" => return Ok(f64::INFINITY),
        "-inf" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    if !looks_numeric(text) || !text.ends_with(|last: char| last.is_ascii_digit()) {
        return Err(Misfit::Sort("text"));
    }
    let value: f64 = text.parse().map_err(|_| Misfit::Spelling)?;
    if value.is_finite() { Ok(value) } else { Err(Misfit::Range) }
}

fn looks_numeric(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|first: char| first.is_ascii_digit())
}

/// The unscaled value of a decimal: `i128` or `i256`.
pub(super) trait Unscaled: ArrowNativeTypeOp + From<i64> {
    /// The same number.
    fn of(value: i128) -> Self;
}

impl Unscaled for i128 {
    fn of(value: i128) -> Self {
        value
    }
}

impl Unscaled for i256 {
    fn of(value: i128) -> Self {
        Self::from_i128(value)
    }
}

/// A decimal with another scale, exactly.
pub(super) fn rescaled<N: Unscaled>(
    unscaled: i128,
    given: u8,
    precision: u8,
    scale: i8,
) -> Result<N, Misfit> {
    if unscaled == 0 {
        return Ok(N::ZERO);
    }
    let added = i32::from(scale) - i32::from(given);
    let mut kept = unscaled;
    if added < 0 {
        let one = 10_i128.checked_pow(added.unsigned_abs()).ok_or(Misfit::Precision)?;
        if unscaled % one != 0 {
            return Err(Misfit::Precision);
        }
        kept = unscaled / one;
    }
    let digits = kept.unsigned_abs().ilog10() + 1;
    if digits + added.max(0).unsigned_abs() > u32::from(precision) {
        return Err(Misfit::Range);
    }
    let ten = N::from(10);
    Ok((0..added).fold(N::of(kept), |value, _| value.mul_wrapping(ten)))
}

/// A decimal, date, time or timestamp as text.
pub(super) fn spelled(cell: Cell<'_>) -> String {
    match cell {
        Cell::Decimal { unscaled, scale } => {
            Value::Decimal { unscaled, scale: scale.cast_signed() }.to_string()
        }
        Cell::Date(days) => date_from_days(days).to_string(),
        Cell::Time(micros) => format_ticks(micros, Tick::Us, false).split_off("1970-01-01T".len()),
        Cell::Timestamp { micros, utc } => format_ticks(micros, Tick::Us, utc),
        _ => String::new(),
    }
}

/// A timestamp in the unit of a column; one without zone is a time in the project's where the column has instants.
pub(super) fn retimed(micros: i64, given: bool, unit: Tick, utc: bool, project: Tz) -> Result<i64, Misfit> {
    let (seconds, nanos) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000) * 1_000);
    match (given, utc) {
        (true, false) => Err(Misfit::Zone),
        (false, true) => scaled(at_home(seconds, project).ok_or(Misfit::Range)?, nanos, unit),
        _ if unit == Tick::Us => Ok(micros),
        _ => scaled(seconds, nanos, unit),
    }
}

/// Digits with an optional sign and fraction, no exponent; behind the scale only zeros.
pub(super) fn decimal<N: Unscaled>(text: &str, precision: u8, scale: i8) -> Result<N, Misfit> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let spelled = !whole.is_empty()
        && (digits.len() == whole.len() || !fraction.is_empty())
        && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if !spelled {
        return Err(Misfit::Sort("text"));
    }
    let scale = usize::try_from(scale).map_err(|_| Misfit::Precision)?;
    let (kept, rest) = fraction.split_at(scale.min(fraction.len()));
    if rest.bytes().any(|byte| byte != b'0') {
        return Err(Misfit::Precision);
    }
    let whole = whole.trim_start_matches('0');
    if !whole.is_empty() && whole.len() + scale > usize::from(precision) {
        return Err(Misfit::Range);
    }
    let ten = N::from(10);
    let zeros = std::iter::repeat_n(b'0', scale - kept.len());
    let value =
        whole.bytes().chain(kept.bytes()).chain(zeros).fold(N::ZERO, |value, digit| {
            value.mul_wrapping(ten).add_wrapping(N::from(i64::from(digit - b'0')))
        });
    Ok(if negative { value.neg_wrapping() } else { value })
}

/// `2026-01-31` as days since 1970.
pub fn parse_date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) = (number(&bytes[..4])?, number(&bytes[5..7])?, number(&bytes[8..])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    // Days of a year that begins in March, so that the leap day comes last.
    let shifted = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (shifted.0.div_euclid(400), shifted.0.rem_euclid(400));
    let day_of_year = (153 * shifted.1 + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i32::try_from(era * 146_097 + day_of_era - 719_468).ok()
}

pub(super) fn date(text: &str) -> Result<i32, Misfit> {
    parse_date(text).ok_or(Misfit::Spelling)
}

/// `10:00[:00[.123456]]` as microseconds since midnight.
pub(super) fn time(text: &str) -> Result<i64, Misfit> {
    let (seconds, nanos, rest) = clock(text.as_bytes()).ok_or(Misfit::Spelling)?;
    if !rest.is_empty() {
        return Err(Misfit::Spelling);
    }
    scaled(seconds, nanos, Tick::Us)
}

/// What a spelled time is a time in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zoned {
    /// No zone is spelled.
    Local,
    /// `Z`.
    Utc,
    /// An offset from UTC, in seconds.
    Offset(i64),
}

/// `2026-01-31[T10:00[:00[.123]][Z|+03:00]]` as seconds of its own clock since 1970, nanoseconds, zone.
pub fn parse_timestamp(text: &str) -> Option<(i64, i64, Zoned)> {
    let days = i64::from(parse_date(text.get(..10)?)?);
    let bytes = text.as_bytes();
    if bytes.len() == 10 {
        return Some((days * 86_400, 0, Zoned::Local));
    }
    if !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let (seconds, nanos, rest) = clock(&bytes[11..])?;
    Some((days * 86_400 + seconds, nanos, zone(rest)?))
}

pub(super) fn ticks(text: &str, unit: Tick, utc: bool, project: Tz) -> Result<i64, Misfit> {
    let (seconds, nanos, zone) = parse_timestamp(text).ok_or(Misfit::Spelling)?;
    let seconds = match (zone, utc) {
        (Zoned::Local, false) | (Zoned::Utc, true) => seconds,
        (Zoned::Offset(offset), true) => seconds - offset,
        (Zoned::Local, true) => at_home(seconds, project).ok_or(Misfit::Range)?,
        (Zoned::Utc | Zoned::Offset(_), false) => return Err(Misfit::Zone),
    };
    scaled(seconds, nanos, unit)
}

fn at_home(seconds: i64, project: Tz) -> Option<i64> {
    if project == Tz::UTC {
        return Some(seconds);
    }
    let local: NaiveDateTime = DateTime::from_timestamp(seconds, 0)?.naive_utc();
    Some(instant(project, local).timestamp())
}

/// Seconds of the day, nanoseconds, and what comes behind.
fn clock(bytes: &[u8]) -> Option<(i64, i64, &[u8])> {
    let (hour, minute) = (number(bytes.get(..2)?)?, number(bytes.get(3..5)?)?);
    if bytes[2] != b':' || hour > 23 || minute > 59 {
        return None;
    }
    let rest = &bytes[5..];
    let [b':', rest @ ..] = rest else {
        return Some((hour * 3_600 + minute * 60, 0, rest));
    };
    let second = number(rest.get(..2)?).filter(|second| *second <= 59)?;
    let (seconds, rest) = (hour * 3_600 + minute * 60 + second, &rest[2..]);
    let [b'.', rest @ ..] = rest else {
        return Some((seconds, 0, rest));
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > 9 {
        return None;
    }
    let nanos = number(&rest[..digits])? * 10_i64.pow(9 - digits as u32);
    Some((seconds, nanos, &rest[digits..]))
}

fn zone(bytes: &[u8]) -> Option<Zoned> {
    let (sign, digits) = match bytes {
        [] => return Some(Zoned::Local),
        [b'Z' | b'z'] => return Some(Zoned::Utc),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        2 => (number(digits)?, 0),
        4 => (number(&digits[..2])?, number(&digits[2..])?),
        5 if digits[2] == b':' => (number(&digits[..2])?, number(&digits[3..])?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(Zoned::Offset(sign * (hours * 3_600 + minutes * 60)))
}

fn scaled(seconds: i64, nanos: i64, unit: Tick) -> Result<i64, Misfit> {
    let per_tick = Tick::Ns.per_second() / unit.per_second();
    if nanos % per_tick != 0 {
        return Err(Misfit::Precision);
    }
    let whole = seconds.checked_mul(unit.per_second()).ok_or(Misfit::Range)?;
    whole.checked_add(nanos / per_tick).ok_or(Misfit::Range)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0_i64, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}
