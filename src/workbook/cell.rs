//! What Arrow values become in Excel's cells. A batch's columns are cast once to the few shapes below; then a cell costs one match.
//!
//! Excel's only number is an IEEE double shown with 15 digits. Integers past 15 digits, decimals whose digits
//! (to four places) are more than 15, NaN, infinities and days outside 1900-03-01 … 9999-12-31 become text.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float64Array,
        Int64Array, StringViewArray, StringViewBuilder, UInt64Array,
    },
    compute::cast,
    datatypes::{
        DataType, Date32Type, Decimal128Type, Decimal256Type, DecimalType, Float32Type, Float64Type,
        Int64Type, TimeUnit, UInt64Type, i256,
    },
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

use crate::model::{
    time::{date_from_days, format_ticks},
    value::Tick,
};

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    /// NULL.
    Empty,
    Number(f64),
    Bool(bool),
    Text(&'a str),
    /// A value that Excel's numbers cannot hold, exactly.
    Exact(String, Oddity),
}

/// Why a value is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Oddity {
    /// More than 15 digits.
    Long,
    /// NaN or an infinity.
    NotFinite,
    /// A day that Excel's calendar lacks.
    Outside,
}

/// A column of a batch, in one of the shapes that cells are made of.
pub(super) enum Cells {
    Bool(BooleanArray),
    Int(Int64Array),
    Unsigned(UInt64Array),
    Float(Float64Array),
    Decimal(Decimal128Array, i8),
    Wide(Decimal256Array, i8),
    Text(StringViewArray),
    Date(Date32Array),
    Instant(Int64Array, Tick, Option<Tz>),
    /// Nanoseconds since midnight.
    Time(Int64Array),
}

impl Cells {
    /// Casts a column; instants (timestamps with a zone) are shown in `zone`.
    pub(super) fn of(array: &ArrayRef, zone: Tz) -> Result<Self, ArrowError> {
        let to = |data_type: &DataType| cast(array, data_type);
        Ok(match array.data_type() {
            DataType::Boolean => Self::Bool(array.as_boolean().clone()),
            DataType::UInt64 => Self::Unsigned(array.as_primitive::<UInt64Type>().clone()),
            kind if kind.is_integer() => Self::Int(to(&DataType::Int64)?.as_primitive::<Int64Type>().clone()),
            DataType::Float32 => Self::Float(shortest(array)),
            kind if kind.is_floating() => {
                Self::Float(to(&DataType::Float64)?.as_primitive::<Float64Type>().clone())
            }
            DataType::Decimal256(_, scale) => {
                Self::Wide(array.as_primitive::<Decimal256Type>().clone(), *scale)
            }
            DataType::Decimal128(_, scale) => {
                Self::Decimal(array.as_primitive::<Decimal128Type>().clone(), *scale)
            }
            DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => {
                let wider = to(&DataType::Decimal128(38, *scale))?;
                Self::Decimal(wider.as_primitive::<Decimal128Type>().clone(), *scale)
            }
            DataType::Date32 | DataType::Date64 => {
                Self::Date(to(&DataType::Date32)?.as_primitive::<Date32Type>().clone())
            }
            DataType::Timestamp(unit, with_zone) => {
                let ticks = to(&DataType::Int64)?.as_primitive::<Int64Type>().clone();
                Self::Instant(ticks, Tick::from(*unit), with_zone.as_ref().map(|_| zone))
            }
            DataType::Time32(_) | DataType::Time64(_) => {
                let time = to(&DataType::Time64(TimeUnit::Nanosecond))?;
                Self::Time(cast(&time, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                Self::Text(to(&DataType::Utf8View)?.as_string_view().clone())
            }
            DataType::Dictionary(_, value) => return Self::of(&to(value)?, zone),
            _ => Self::Text(as_text(array)?),
        })
    }

    /// The cell of a row.
    #[inline]
    pub(super) fn cell(&self, row: usize) -> Cell<'_> {
        if self.array().is_null(row) {
            return Cell::Empty;
        }
        match self {
            Self::Bool(array) => Cell::Bool(array.value(row)),
            Self::Int(array) => int(array.value(row)),
            Self::Unsigned(array) => unsigned(array.value(row)),
            Self::Float(array) => float(array.value(row)),
            Self::Decimal(array, scale) => decimal(array.value(row), *scale),
            Self::Wide(array, scale) => wide(array.value(row), *scale),
            Self::Text(array) => Cell::Text(array.value(row)),
            Self::Date(array) => date(array.value(row)),
            Self::Instant(array, unit, zone) => instant(array.value(row), *unit, *zone),
            Self::Time(array) => Cell::Number(array.value(row) as f64 / (86_400.0 * 1e9)),
        }
    }

    /// The array, whatever its type.
    pub(super) fn array(&self) -> &dyn Array {
        match self {
            Self::Bool(array) => array,
            Self::Int(array) | Self::Instant(array, ..) | Self::Time(array) => array,
            Self::Unsigned(array) => array,
            Self::Float(array) => array,
            Self::Decimal(array, _) => array,
            Self::Wide(array, _) => array,
            Self::Text(array) => array,
            Self::Date(array) => array,
        }
    }
}

/// The first number that no longer shows all its digits.
const EXACT: u64 = 1_000_000_000_000_000;

#[inline]
fn int(value: i64) -> Cell<'static> {
    if value.unsigned_abs() < EXACT {
        Cell::Number(value as f64)
    } else {
        Cell::Exact(value.to_string(), Oddity::Long)
    }
}

#[inline]
fn unsigned(value: u64) -> Cell<'static> {
    if value < EXACT { Cell::Number(value as f64) } else { Cell::Exact(value.to_string(), Oddity::Long) }
}

/// A double as it is.
#[inline]
pub(super) fn float(value: f64) -> Cell<'static> {
    if value.is_finite() {
        return Cell::Number(value);
    }
    let text = if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "∞"
    } else {
        "-∞"
    };
    Cell::Exact(text.into(), Oddity::NotFinite)
}

/// Powers of ten that a double holds exactly, so that one division rounds once.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

#[inline]
fn decimal(unscaled: i128, scale: i8) -> Cell<'static> {
    let power = usize::try_from(scale).ok().and_then(|scale| POWERS.get(scale));
    match power {
        Some(power) if unscaled.unsigned_abs() < u128::from(EXACT) => Cell::Number(unscaled as f64 / power),
        _ => wide(i256::from_i128(unscaled), scale),
    }
}

/// A decimal of any width. Digits behind the fourth place may round: they come from divisions, not from money.
#[cold]
pub(super) fn wide(unscaled: i256, scale: i8) -> Cell<'static> {
    let ten = i256::from_i128(10);
    let dropped = u32::from((scale.max(0) - scale.clamp(0, 4)).unsigned_abs());
    let added = u32::from(scale.min(0).unsigned_abs());
    let shown = ten.checked_pow(dropped).and_then(|power| unscaled.checked_div(power));
    let shown = shown.and_then(|shown| shown.checked_mul(ten.checked_pow(added)?));
    let fits = shown.is_some_and(|mut shown| {
        while shown != i256::ZERO && shown.wrapping_rem(ten) == i256::ZERO {
            shown = shown.wrapping_div(ten);
        }
        shown > i256::from_i128(-i128::from(EXACT)) && shown < i256::from_i128(i128::from(EXACT))
    });
    match format!("{unscaled}e{}", -i32::from(scale)).parse() {
        Ok(number) if fits => Cell::Number(number),
        _ => Cell::Exact(Decimal256Type::format_decimal(unscaled, 76, scale), Oddity::Long),
    }
}

/// 1900-03-01, before which Excel's calendar is a day off, and 9999-12-31, in days since 1970.
const CALENDAR: std::ops::RangeInclusive<i64> = -25_508..=2_932_896;

/// 1970-01-01 in Excel's count of days.
const EPOCH: f64 = 25_569.0;

/// A day.
#[inline]
pub(super) fn date(days: i32) -> Cell<'static> {
    if CALENDAR.contains(&i64::from(days)) {
        return Cell::Number(f64::from(days) + EPOCH);
    }
    let day = date_from_days(days);
    let clamped = day == chrono::NaiveDate::MIN || day == chrono::NaiveDate::MAX;
    let text = if clamped { format!("1970-01-01 {days:+} d") } else { day.to_string() };
    Cell::Exact(text, Oddity::Outside)
}

/// An instant as the clocks of `zone` show it; a wall-clock time where there is none.
#[inline]
pub(super) fn instant(ticks: i64, unit: Tick, zone: Option<Tz>) -> Cell<'static> {
    let per_second = unit.per_second();
    let seconds = ticks.div_euclid(per_second);
    let offset = zone.map_or(Some(0), |zone| {
        let utc = DateTime::from_timestamp(seconds, 0)?.naive_utc();
        Some(i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()))
    });
    let local = offset.and_then(|offset| seconds.checked_add(offset));
    match local {
        Some(local) if CALENDAR.contains(&local.div_euclid(86_400)) => {
            let fraction = ticks.rem_euclid(per_second) as f64 / per_second as f64;
            let time = local.rem_euclid(86_400) as f64 + fraction;
            Cell::Number(local.div_euclid(86_400) as f64 + EPOCH + time / 86_400.0)
        }
        _ => Cell::Exact(format_ticks(ticks, unit, zone.is_some()), Oddity::Outside),
    }
}

/// A float32 means the shortest number that it stands for: 0.1, not 0.10000000149.
fn shortest(array: &ArrayRef) -> Float64Array {
    array.as_primitive::<Float32Type>().unary(|value| value.to_string().parse().unwrap_or(f64::from(value)))
}

/// Types that Excel has no counterpart for (binary, lists, structs, intervals), as Arrow displays them.
fn as_text(array: &ArrayRef) -> Result<StringViewArray, ArrowError> {
    let array = Arc::clone(array);
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(&array, &options)?;
    let mut builder = StringViewBuilder::with_capacity(array.len());
    for row in 0..array.len() {
        if array.is_null(row) {
            builder.append_null();
        } else {
            builder.append_value(formatter.value(row).try_to_string()?);
        }
    }
    Ok(builder.finish())
}
