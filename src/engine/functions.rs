//! SQL functions over the project's zone: which day, hour or month an instant falls into where people live.
//!
//! | function | gives |
//! |---|---|
//! | `local_timestamp(ts)` | the wall-clock time, as a timestamp without zone |
//! | `local_date(ts)` | the day |
//! | `local_time(ts)` | the time of day |
//! | `local_hour(ts)` | the hour, 0 to 23 |
//! | `local_week(ts)`, `local_month(ts)`, `local_quarter(ts)`, `local_year(ts)` | the first day of it; weeks begin on Monday |
//! | `day_start(date)` | the instant at which a day begins |
//! | `current_date()`, `today()` | the day of `now()` |
//!
//! An instant is a timestamp with a zone (whichever: it is the same instant). A timestamp without zone already is wall-clock
//! time of the project's zone, and a date is its midnight. NULL stays NULL.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Int32Array, Int64Array, Time64MicrosecondArray, TimestampMicrosecondArray,
    },
    compute::cast,
    datatypes::{DataType, Date32Type, TimeUnit},
};
use chrono::{Datelike, Days, Months, NaiveDate};
use chrono_tz::Tz;
use datafusion::{
    common::{Result, exec_err, plan_err},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        interval_arithmetic::Interval,
        preimage::PreimageResult,
        simplify::{ExprSimplifyResult, SimplifyContext},
    },
    scalar::ScalarValue,
};

use super::{
    day_range::instants,
    local_time::{Clockwork, DAY, micros},
    params::instant_type,
};
use crate::model::time::{date_from_days, day_start};

/// Every function of ours, for one zone.
pub(super) fn all(zone: Tz) -> Vec<Arc<ScalarUDF>> {
    let parts = PARTS.iter().map(|(name, part)| ScalarUDF::from(Local::new(name, *part, zone)));
    let others = [day_start_function(zone), ScalarUDF::from(Today::new(zone))];
    parts.chain(others).map(Arc::new).collect()
}

/// `local_date`, for rewrites.
pub(super) fn local_date_function(zone: Tz) -> ScalarUDF {
    ScalarUDF::from(Local::new("local_date", Part::Date, zone))
}

/// `day_start`, for rewrites.
pub(super) fn day_start_function(zone: Tz) -> ScalarUDF {
    ScalarUDF::from(DayStart { zone, signature: Signature::user_defined(Volatility::Immutable) })
}

const PARTS: [(&str, Part); 8] = [
    ("local_timestamp", Part::Timestamp),
    ("local_date", Part::Date),
    ("local_time", Part::Time),
    ("local_hour", Part::Hour),
    ("local_week", Part::Week),
    ("local_month", Part::Month),
    ("local_quarter", Part::Quarter),
    ("local_year", Part::Year),
];

/// What of a wall-clock time is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Timestamp,
    Date,
    Time,
    Hour,
    Week,
    Month,
    Quarter,
    Year,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Local {
    name: &'static str,
    part: Part,
    zone: Tz,
    signature: Signature,
}

impl Local {
    fn new(name: &'static str, part: Part, zone: Tz) -> Self {
        Self { name, part, zone, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// Wall-clock microseconds.
    fn local(&self, array: &ArrayRef) -> Result<Int64Array> {
        if let DataType::Date32 = array.data_type() {
            return Ok(array.as_primitive::<Date32Type>().unary(|days| i64::from(days) * DAY));
        }
        let Some(micros) = micros(array.as_ref()) else {
            return exec_err!("{} takes a timestamp, not {}", self.name, array.data_type());
        };
        if matches!(array.data_type(), DataType::Timestamp(_, None)) {
            return Ok(micros);
        }
        let clockwork = RefCell::new(Clockwork::new(self.zone));
        Ok(micros.unary(|t| clockwork.borrow_mut().local(t)))
    }

    /// The days that a value of this function stands for: `from` is in, the other out.
    fn days(&self, day: i32) -> Option<(i32, i32)> {
        let first = date_from_days(day);
        let until = match self.part {
            Part::Date => first.checked_add_days(Days::new(1)),
            Part::Week => first.checked_add_days(Days::new(7)),
            Part::Month => first.checked_add_months(Months::new(1)),
            Part::Quarter => first.checked_add_months(Months::new(3)),
            Part::Year => first.checked_add_months(Months::new(12)),
            Part::Timestamp | Part::Time | Part::Hour => None,
        }?;
        let starts = match self.part {
            Part::Week => first.weekday() == chrono::Weekday::Mon,
            Part::Month => first.day() == 1,
            Part::Quarter => first.day() == 1 && first.month0().is_multiple_of(3),
            Part::Year => first.ordinal() == 1,
            Part::Date | Part::Timestamp | Part::Time | Part::Hour => true,
        };
        starts.then(|| (day, days_since_1970(until)))
    }

    fn part(&self, local: &Int64Array) -> ArrayRef {
        let days = |first: fn(NaiveDate) -> NaiveDate| -> ArrayRef {
            let known = Cell::new((i32::MIN, i32::MIN));
            Arc::new(local.unary::<_, Date32Type>(|t| {
                let day = day_of(t);
                if known.get().0 != day {
                    known.set((day, days_since_1970(first(date_from_days(day)))));
                }
                known.get().1
            }))
        };
        match self.part {
            Part::Timestamp => {
                Arc::new(local.reinterpret_cast::<arrow::datatypes::TimestampMicrosecondType>())
            }
            Part::Date => Arc::new(local.unary::<_, Date32Type>(day_of)),
            Part::Time => {
                let time: Time64MicrosecondArray = local.unary(|t| t.rem_euclid(DAY));
                Arc::new(time)
            }
            Part::Hour => {
                let hour: Int32Array = local.unary(|t| (t.rem_euclid(DAY) / (DAY / 24)) as i32);
                Arc::new(hour)
            }
            Part::Week => days(|day| day - Days::new(u64::from(day.weekday().num_days_from_monday()))),
            Part::Month => days(|day| day.with_day(1).unwrap_or(day)),
            Part::Quarter => {
                days(|day| NaiveDate::from_ymd_opt(day.year(), day.month0() / 3 * 3 + 1, 1).unwrap_or(day))
            }
            Part::Year => days(|day| NaiveDate::from_ymd_opt(day.year(), 1, 1).unwrap_or(day)),
        }
    }
}

impl ScalarUDFImpl for Local {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.part {
            Part::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Part::Time => DataType::Time64(TimeUnit::Microsecond),
            Part::Hour => DataType::Int32,
            Part::Date | Part::Week | Part::Month | Part::Quarter | Part::Year => DataType::Date32,
        })
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [kind @ (DataType::Timestamp(..) | DataType::Date32)] => Ok(vec![kind.clone()]),
            [DataType::Date64] => Ok(vec![DataType::Date32]),
            [DataType::Null] => Ok(vec![instant_type()]),
            [DataType::Dictionary(_, kind)] => self.coerce_types(&[kind.as_ref().clone()]),
            [other] => plan_err!("{} takes a timestamp or a date, not {other}", self.name),
            _ => plan_err!("{} takes one timestamp or date", self.name),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        mapped(&args, |array| Ok(self.part(&self.local(array)?)))
    }

    fn preimage(&self, args: &[Expr], value: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        let ([column], Some(ScalarValue::Date32(Some(day)))) = (args, value.as_literal()) else {
            return Ok(PreimageResult::None);
        };
        let kind = info.get_data_type(column)?;
        let range = self.days(*day).and_then(|(from, until)| instants(self.zone, from, until, &kind));
        Ok(match range {
            Some((from, until)) => {
                let interval = Box::new(Interval::try_new(from, until)?);
                PreimageResult::Range { expr: column.clone(), interval }
            }
            None => PreimageResult::None,
        })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DayStart {
    zone: Tz,
    signature: Signature,
}

impl ScalarUDFImpl for DayStart {
    fn name(&self) -> &'static str {
        "day_start"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(instant_type())
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [DataType::Date32 | DataType::Date64 | DataType::Null] => Ok(vec![DataType::Date32]),
            [other] => plan_err!("day_start takes a date, not {other}"),
            _ => plan_err!("day_start takes one date"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        mapped(&args, |array| {
            let days = cast(array, &DataType::Date32)?;
            let known = Cell::new((i32::MIN, i64::MIN));
            let starts: TimestampMicrosecondArray = days.as_primitive::<Date32Type>().unary(|day| {
                if known.get().0 != day {
                    known.set((day, start_of(self.zone, day)));
                }
                known.get().1
            });
            Ok(Arc::new(starts.with_timezone("UTC")) as ArrayRef)
        })
    }
}

/// The day of `now()` in the project's zone.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Today {
    zone: Tz,
    aliases: Vec<String>,
    signature: Signature,
}

impl Today {
    fn new(zone: Tz) -> Self {
        Self { zone, aliases: vec!["today".to_owned()], signature: Signature::nullary(Volatility::Stable) }
    }
}

impl ScalarUDFImpl for Today {
    fn name(&self) -> &'static str {
        "current_date"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("current_date() was not given a time")
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let Some(now) = info.query_execution_start_time() else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        let day = days_since_1970(now.with_timezone(&self.zone).date_naive());
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(ScalarValue::Date32(Some(day)), None)))
    }
}

/// A function of one argument, over a column or one value.
fn mapped(args: &ScalarFunctionArgs, map: impl Fn(&ArrayRef) -> Result<ArrayRef>) -> Result<ColumnarValue> {
    match args.args.as_slice() {
        [ColumnarValue::Array(array)] => Ok(ColumnarValue::Array(map(array)?)),
        [ColumnarValue::Scalar(value)] => {
            let one = map(&value.to_array()?)?;
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(one.as_ref(), 0)?))
        }
        _ => exec_err!("expected one argument"),
    }
}

fn day_of(local: i64) -> i32 {
    local.div_euclid(DAY) as i32
}

fn days_since_1970(day: NaiveDate) -> i32 {
    day.num_days_from_ce() - NaiveDate::default().num_days_from_ce()
}

/// Microseconds since 1970 at which a day begins; far outside people's calendars every day begins at midnight UTC.
fn start_of(zone: Tz, day: i32) -> i64 {
    const CENTURIES: i32 = 3_650_000;
    if day.abs() > CENTURIES {
        return i64::from(day).saturating_mul(DAY);
    }
    day_start(zone, date_from_days(day)).timestamp_micros()
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{Date32Array, TimestampNanosecondArray},
        util::display::array_value_to_string,
    };
    use datafusion::common::config::ConfigOptions;

    use super::*;

    fn call(function: &ScalarUDF, argument: ArrayRef) -> Vec<String> {
        let kind = argument.data_type().clone();
        let field = Arc::new(arrow::datatypes::Field::new("x", kind.clone(), true));
        let result = function.return_type(&[kind]).unwrap();
        let args = ScalarFunctionArgs {
            number_rows: argument.len(),
            args: vec![ColumnarValue::Array(argument)],
            arg_fields: vec![field],
            return_field: Arc::new(arrow::datatypes::Field::new("y", result.clone(), true)),
            config_options: Arc::new(ConfigOptions::default()),
        };
        let ColumnarValue::Array(out) = function.invoke_with_args(args).unwrap() else {
            panic!("a column in, a column out")
        };
        assert_eq!(out.data_type(), &result);
        let show = |row| {
            if out.is_null(row) { "NULL".to_owned() } else { array_value_to_string(&out, row).unwrap() }
        };
        (0..out.len()).map(show).collect()
    }

    fn named(name: &str, zone: &str) -> Arc<ScalarUDF> {
        all(zone.parse().unwrap()).into_iter().find(|function| function.name() == name).unwrap()
    }

    fn instants(texts: &[Option<&str>]) -> ArrayRef {
        let ticks = texts.iter().map(|text| {
            text.map(|text| {
                text.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_nanos_opt().unwrap()
            })
        });
        Arc::new(ticks.collect::<TimestampNanosecondArray>().with_timezone("UTC"))
    }

    #[test]
    fn days_of_people() {
        let at = || instants(&[Some("2026-01-31T20:59:59.999999999Z"), Some("2026-01-31T21:00:00Z"), None]);
        let expect = |name, values: [&str; 2]| {
            let shown = call(&named(name, "Europe/Moscow"), at());
            assert_eq!(shown, [values[0], values[1], "NULL"], "{name}");
        };
        expect("local_date", ["2026-01-31", "2026-02-01"]);
        expect("local_hour", ["23", "0"]);
        expect("local_month", ["2026-01-01", "2026-02-01"]);
        expect("local_week", ["2026-01-26", "2026-01-26"]);
        expect("local_quarter", ["2026-01-01", "2026-01-01"]);
        expect("local_year", ["2026-01-01", "2026-01-01"]);
        expect("local_time", ["23:59:59.999999", "00:00:00"]);
        expect("local_timestamp", ["2026-01-31T23:59:59.999999", "2026-02-01T00:00:00"]);
    }

    #[test]
    fn clocks_that_change() {
        let hour = named("local_hour", "Europe/Berlin");
        let spring = instants(&[Some("2026-03-29T00:59:59Z"), Some("2026-03-29T01:00:00Z")]);
        assert_eq!(call(&hour, spring), ["1", "3"]);
        let autumn = instants(&[Some("2026-10-25T00:30:00Z"), Some("2026-10-25T01:30:00Z")]);
        assert_eq!(call(&hour, autumn), ["2", "2"]);
        // On Lord Howe Island clocks move by half an hour, in the middle of an hour of UTC.
        let minutes = named("local_time", "Australia/Lord_Howe");
        let lord_howe = instants(&[Some("2026-04-04T14:59:00Z"), Some("2026-04-04T15:00:00Z")]);
        assert_eq!(call(&minutes, lord_howe), ["01:59:00", "01:30:00"]);
    }

    #[test]
    fn before_1970_and_without_zone() {
        let date = named("local_date", "UTC");
        let old: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![-1]).with_timezone("UTC"));
        assert_eq!(call(&date, old), ["1969-12-31"]);
        let wall: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![DAY - 1]));
        assert_eq!(call(&named("local_date", "Asia/Kamchatka"), wall), ["1970-01-01"]);
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![Some(40), None]));
        assert_eq!(call(&named("local_month", "Asia/Kamchatka"), dates), ["1970-02-01", "NULL"]);
    }

    #[test]
    fn days_begin_at_the_first_instant() {
        // In 2018 clocks in São Paulo went forward at midnight: the day began at one o'clock.
        let day = days_since_1970("2018-11-04".parse().unwrap());
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![Some(day), None, Some(i32::MAX)]));
        let starts = call(&named("day_start", "America/Sao_Paulo"), dates);
        assert_eq!(starts[..2], ["2018-11-04T03:00:00Z".to_owned(), "NULL".to_owned()]);
    }

    #[test]
    fn only_times_are_taken() {
        let date = named("local_date", "UTC");
        let error = date.coerce_types(&[DataType::Utf8]).unwrap_err().to_string();
        assert!(error.contains("local_date takes a timestamp or a date, not Utf8"), "{error}");
    }
}
