//! Arrow cells as SQLite keeps them, bound to the parameters of an INSERT.
//!
//! Lossless both ways: decimals are text with all their digits; dates, times and timestamps are ISO text of one width, so that it
//! sorts as time; `NaN`, which SQLite would turn into NULL, is text; so are whole numbers past 2^63.

use std::fmt::Write as _;

use arrow::{
    array::{Array, AsArray, BinaryArray, BooleanArray, PrimitiveArray, RecordBatch, StringArray},
    datatypes::{
        ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Decimal256Type, DecimalType, Float32Type,
        Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType, TimeUnit,
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
        UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use rusqlite::{Statement, types::Null};

use crate::{
    connector::error::{Error, ErrorKind, Result},
    model::value::Tick,
};

/// The columns of a batch, ready to be bound row by row.
pub(super) struct Binder<'a> {
    columns: Vec<(&'a str, Column<'a>)>,
    /// The spelling of the cell at hand.
    text: String,
}

/// The text that the first cell of an array is kept as; `None` where it is not kept as spelled text.
pub(super) fn spelled(array: &dyn Array) -> Option<String> {
    let mut text = String::new();
    Column::new(array).filter(|column| column.spell(0, &mut text))?;
    Some(text)
}

enum Column<'a> {
    Bool(&'a BooleanArray),
    Int8(&'a PrimitiveArray<Int8Type>),
    Int16(&'a PrimitiveArray<Int16Type>),
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    UInt8(&'a PrimitiveArray<UInt8Type>),
    UInt16(&'a PrimitiveArray<UInt16Type>),
    UInt32(&'a PrimitiveArray<UInt32Type>),
    UInt64(&'a PrimitiveArray<UInt64Type>),
    Float32(&'a PrimitiveArray<Float32Type>),
    Float64(&'a PrimitiveArray<Float64Type>),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Time(&'a PrimitiveArray<Time64MicrosecondType>),
    Timestamp { ticks: Box<dyn Fn(usize) -> i64 + 'a>, nulls: &'a dyn Array, unit: Tick, utc: bool },
    Decimal128(&'a PrimitiveArray<Decimal128Type>, u8, i8),
    Decimal256(&'a PrimitiveArray<Decimal256Type>, u8, i8),
}

impl<'a> Binder<'a> {
    /// The columns of a batch. Fails for types that SQLite cannot keep; a claim has refused them before.
    pub(super) fn new(batch: &'a RecordBatch) -> Result<Self> {
        let schema = batch.schema_ref();
        let columns = schema.fields().iter().zip(batch.columns()).map(|(field, array)| {
            let column = Column::new(array.as_ref()).ok_or_else(|| {
                let message =
                    format!("column \"{}\": SQLite cannot keep {}", field.name(), field.data_type());
                Error::new(ErrorKind::Unsupported, message)
            })?;
            Ok((field.name().as_str(), column))
        });
        Ok(Self { columns: columns.collect::<Result<_>>()?, text: String::new() })
    }

    /// Binds a row to the parameters from `first` on.
    pub(super) fn bind(&mut self, statement: &mut Statement<'_>, first: usize, row: usize) -> Result<()> {
        for (i, (name, column)) in self.columns.iter().enumerate() {
            let bound = column.bind(statement, first + i, row, &mut self.text);
            match bound {
                Ok(true) => {}
                Ok(false) => {
                    let message = format!("column \"{name}\" has a time outside the years 0 to 9999");
                    return Err(Error::new(ErrorKind::BadData, message));
                }
                Err(error) => return Err(super::error::failed(&format!("column \"{name}\""), error)),
            }
        }
        Ok(())
    }
}

impl<'a> Column<'a> {
    fn new(array: &'a dyn Array) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Boolean => Self::Bool(array.as_boolean()),
            DataType::Int8 => Self::Int8(array.as_primitive()),
            DataType::Int16 => Self::Int16(array.as_primitive()),
            DataType::Int32 => Self::Int32(array.as_primitive()),
            DataType::Int64 => Self::Int64(array.as_primitive()),
            DataType::UInt8 => Self::UInt8(array.as_primitive()),
            DataType::UInt16 => Self::UInt16(array.as_primitive()),
            DataType::UInt32 => Self::UInt32(array.as_primitive()),
            DataType::UInt64 => Self::UInt64(array.as_primitive()),
            DataType::Float32 => Self::Float32(array.as_primitive()),
            DataType::Float64 => Self::Float64(array.as_primitive()),
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Binary => Self::Bytes(array.as_binary()),
            DataType::Date32 => Self::Date(array.as_primitive()),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(array.as_primitive()),
            DataType::Timestamp(unit, zone) => {
                let ticks = match unit {
                    TimeUnit::Second => ticks::<TimestampSecondType>(array),
                    TimeUnit::Millisecond => ticks::<TimestampMillisecondType>(array),
                    TimeUnit::Microsecond => ticks::<TimestampMicrosecondType>(array),
                    TimeUnit::Nanosecond => ticks::<TimestampNanosecondType>(array),
                };
                Self::Timestamp { ticks, nulls: array, unit: (*unit).into(), utc: zone.is_some() }
            }
            DataType::Decimal128(p, s) => Self::Decimal128(array.as_primitive(), *p, *s),
            DataType::Decimal256(p, s) => Self::Decimal256(array.as_primitive(), *p, *s),
            _ => return None,
        })
    }

    /// False = the cell has no spelling.
    fn bind(
        &self,
        statement: &mut Statement<'_>,
        at: usize,
        row: usize,
        text: &mut String,
    ) -> rusqlite::Result<bool> {
        if self.array().is_null(row) {
            return statement.raw_bind_parameter(at, Null).map(|()| true);
        }
        text.clear();
        match self {
            Self::Bool(array) => statement.raw_bind_parameter(at, array.value(row))?,
            Self::Int8(array) => statement.raw_bind_parameter(at, array.value(row))?,
            Self::Int16(array) => statement.raw_bind_parameter(at, array.value(row))?,
            Self::Int32(array) => statement.raw_bind_parameter(at, array.value(row))?,
            Self::Int64(array) => statement.raw_bind_parameter(at, array.value(row))?,
            Self::UInt8(array) => statement.raw_bind_parameter(at, array.value(row))?,
            Self::UInt16(array) => statement.raw_bind_parameter(at, array.value(row))?,
            Self::UInt32(array) => statement.raw_bind_parameter(at, array.value(row))?,
            Self::UInt64(array) => match i64::try_from(array.value(row)) {
                Ok(value) => statement.raw_bind_parameter(at, value)?,
                Err(_) => statement.raw_bind_parameter(at, array.value(row).to_string())?,
            },
            Self::Float32(array) => bind_real(statement, at, f64::from(array.value(row)))?,
            Self::Float64(array) => bind_real(statement, at, array.value(row))?,
            Self::Text(array) => statement.raw_bind_parameter(at, array.value(row))?,
            Self::Bytes(array) => statement.raw_bind_parameter(at, array.value(row))?,
            _ => {
                if !self.spell(row, text) {
                    return Ok(false);
                }
                statement.raw_bind_parameter(at, text.as_str())?;
            }
        }
        Ok(true)
    }

    fn spell(&self, row: usize, text: &mut String) -> bool {
        match self {
            Self::Date(array) => return spell_date(i64::from(array.value(row)), text),
            Self::Time(array) => spell_clock(array.value(row), Tick::Us, text),
            Self::Timestamp { ticks, unit, utc, .. } => {
                let (ticks, per_second) = (ticks(row), unit.per_second());
                let seconds = ticks.div_euclid(per_second);
                if !spell_date(seconds.div_euclid(86_400), text) {
                    return false;
                }
                text.push('T');
                spell_clock(
                    seconds.rem_euclid(86_400) * per_second + ticks.rem_euclid(per_second),
                    *unit,
                    text,
                );
                text.push_str(if *utc { "Z" } else { "" });
            }
            Self::Decimal128(array, p, s) => {
                text.push_str(&Decimal128Type::format_decimal(array.value(row), *p, *s));
            }
            Self::Decimal256(array, p, s) => {
                text.push_str(&Decimal256Type::format_decimal(array.value(row), *p, *s));
            }
            _ => return false,
        }
        true
    }

    fn array(&self) -> &dyn Array {
        match self {
            Self::Bool(array) => *array,
            Self::Int8(array) => *array,
            Self::Int16(array) => *array,
            Self::Int32(array) => *array,
            Self::Int64(array) => *array,
            Self::UInt8(array) => *array,
            Self::UInt16(array) => *array,
            Self::UInt32(array) => *array,
            Self::UInt64(array) => *array,
            Self::Float32(array) => *array,
            Self::Float64(array) => *array,
            Self::Text(array) => *array,
            Self::Bytes(array) => *array,
            Self::Date(array) => *array,
            Self::Time(array) => *array,
            Self::Timestamp { nulls, .. } => *nulls,
            Self::Decimal128(array, ..) => *array,
            Self::Decimal256(array, ..) => *array,
        }
    }
}

fn ticks<'a, T: ArrowPrimitiveType<Native = i64>>(array: &'a dyn Array) -> Box<dyn Fn(usize) -> i64 + 'a> {
    let array: &PrimitiveArray<T> = array.as_primitive();
    Box::new(|row| array.value(row))
}

fn bind_real(statement: &mut Statement<'_>, at: usize, value: f64) -> rusqlite::Result<()> {
    if value.is_nan() {
        return statement.raw_bind_parameter(at, "NaN");
    }
    statement.raw_bind_parameter(at, value)
}

/// `2026-01-31`; false outside the years 0 to 9999, which would not sort as text.
fn spell_date(days: i64, text: &mut String) -> bool {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years that begin in March.
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if !(0..=9_999).contains(&year) {
        return false;
    }
    digits(year, 4, text);
    text.push('-');
    digits(month, 2, text);
    text.push('-');
    digits(day, 2, text);
    true
}

/// `10:00:00.000000`, with nine digits where the unit has them.
fn spell_clock(ticks: i64, unit: Tick, text: &mut String) {
    let (seconds, fraction) = (ticks / unit.per_second(), ticks % unit.per_second());
    digits(seconds / 3_600, 2, text);
    text.push(':');
    digits(seconds / 60 % 60, 2, text);
    text.push(':');
    digits(seconds % 60, 2, text);
    text.push('.');
    match unit {
        Tick::Ns => digits(fraction, 9, text),
        coarser => digits(fraction * (1_000_000 / coarser.per_second()), 6, text),
    }
}

fn digits(value: i64, width: usize, text: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{value:0width$}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, TimestampNanosecondArray},
        datatypes::{Field, Schema},
    };

    use rusqlite::types::Value;

    use super::*;
    use crate::connector::cells::{Cell, RowDecoder, Rules};

    /// What the cells of an array become in SQLite, and what becomes of them when they are read as the same type again.
    fn there_and_back(array: ArrayRef) -> (Vec<String>, ArrayRef) {
        let field = Field::new("x", array.data_type().clone(), true);
        let schema = Arc::new(Schema::new(vec![field]));
        let batch = RecordBatch::try_new(schema.clone(), vec![array]).unwrap();
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let mut statement = connection.prepare("SELECT ?1").unwrap();
        let mut binder = Binder::new(&batch).unwrap();
        let mut decoder = RowDecoder::new(schema, Rules::default()).unwrap();
        let mut kept = vec![];
        for row in 0..batch.num_rows() {
            binder.bind(&mut statement, 1, row).unwrap();
            let mut rows = statement.raw_query();
            let cell = rows.next().unwrap().unwrap().get::<_, Value>(0).unwrap();
            kept.push(format!("{cell:?}"));
            decoder.push(0, |_| match &cell {
                Value::Null => Cell::Null,
                Value::Integer(value) => Cell::Int(*value),
                Value::Real(value) => Cell::Real(*value),
                Value::Text(text) => Cell::Text(text),
                Value::Blob(bytes) => Cell::Bytes(bytes),
            });
        }
        let chunk = decoder.finish().unwrap();
        assert_eq!(chunk.bad, vec![]);
        (kept, chunk.batch.column(0).clone())
    }

    #[test]
    fn cells_come_back_as_they_went() {
        let days = (-719_528..2_932_896).step_by(997).chain([-719_528, 2_932_896, -1, 0, 59, 60]);
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(PrimitiveArray::<Date32Type>::from_iter_values(days)),
            Arc::new(PrimitiveArray::<UInt64Type>::from_iter_values([0, u64::MAX, 1 << 63])),
            Arc::new(PrimitiveArray::<Int64Type>::from(vec![Some(i64::MIN), None, Some(i64::MAX)])),
            Arc::new(PrimitiveArray::<Float32Type>::from(vec![0.1, f32::MAX, f32::NEG_INFINITY])),
            Arc::new(
                PrimitiveArray::<Decimal128Type>::from(vec![-5, 0, 10_i128.pow(38) - 1])
                    .with_precision_and_scale(38, 2)
                    .unwrap(),
            ),
            Arc::new(TimestampNanosecondArray::from(vec![-1, 1, i64::MAX]).with_timezone("UTC")),
            Arc::new(PrimitiveArray::<TimestampSecondType>::from(vec![-62_167_219_200, 253_402_300_799])),
            Arc::new(PrimitiveArray::<TimestampMillisecondType>::from(vec![-1, 1_769_853_600_123])),
            Arc::new(PrimitiveArray::<Time64MicrosecondType>::from(vec![0, 86_399_999_999])),
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
            Arc::new(StringArray::from(vec!["", "Ёж", "NaN"])),
            Arc::new(BinaryArray::from(vec![&b""[..], b"\0\xff"])),
        ];
        for array in arrays {
            let (kept, back) = there_and_back(array.clone());
            assert_eq!(&back, &array, "{kept:?}");
        }
    }

    #[test]
    fn times_have_one_width_and_nan_is_no_null() {
        let times =
            PrimitiveArray::<TimestampMillisecondType>::from(vec![1_769_853_600_000]).with_timezone("UTC");
        assert_eq!(there_and_back(Arc::new(times)).0, ["Text(\"2026-01-31T10:00:00.000000Z\")"]);
        let (kept, back) = there_and_back(Arc::new(PrimitiveArray::<Float64Type>::from(vec![f64::NAN])));
        assert_eq!(kept, ["Text(\"NaN\")"]);
        assert!(back.as_primitive::<Float64Type>().value(0).is_nan());
    }

    #[test]
    fn a_year_of_five_digits_is_refused() {
        let mut text = String::new();
        assert!(!spell_date(2_932_897, &mut text));
        assert!(!spell_date(-719_529, &mut text));
    }
}
