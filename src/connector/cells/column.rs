//! One column that grows by cells: a match on its type, then on the cell's.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BinaryBuilder, BooleanBuilder, Decimal128Builder, Decimal256Builder, Float32Builder,
        Float64Builder, Int8Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder, UInt8Builder,
        UInt16Builder, UInt32Builder, UInt64Builder, make_array,
    },
    datatypes::{DataType, Decimal128Type, DecimalType as _, Field, TimeUnit},
};

use super::{Cell, Rules, spelling};
use crate::{
    connector::error::{Error, ErrorKind, Result},
    model::{column::ColumnType, value::Tick},
};

/// Why a cell does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// A cell of this sort has no place in the column.
    Sort(&'static str),
    /// Text that does not spell a value of the column's type.
    Spelling,
    /// A value that the column's type cannot hold.
    Range,
    /// More digits than the column's type holds.
    Precision,
    /// A time with a zone in a column without.
    Zone,
    /// A NULL where none may be.
    Null,
    /// Text that is not UTF-8.
    NotUtf8,
}

impl Misfit {
    pub(super) fn reason(self, of: &DataType) -> String {
        let kind = ColumnType::of(of).to_string();
        let article = if kind.starts_with("int") { "an" } else { "a" };
        match self {
            Self::Sort(sort) => format!("{sort} in {article} {kind} column"),
            Self::Spelling => format!("text that is no {kind} in {article} {kind} column"),
            Self::Range => format!("a value outside the range of {kind}"),
            Self::Precision => format!("more digits than {kind} holds"),
            Self::Zone => format!("a time with a zone in {article} {kind} column, which has none"),
            Self::Null => "NULL in a column that is not nullable".to_owned(),
            Self::NotUtf8 => "text that is not UTF-8".to_owned(),
        }
    }
}

/// A column under construction.
pub struct Column {
    nullable: bool,
    to: DataType,
    builder: Builder,
}

enum Builder {
    Bool(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    UInt8(UInt8Builder),
    UInt16(UInt16Builder),
    UInt32(UInt32Builder),
    UInt64(UInt64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Int32Builder),
    Time(Int64Builder),
    Timestamp { ticks: Int64Builder, unit: Tick, utc: bool },
    Decimal128(Decimal128Builder, u8, i8),
    Decimal256(Decimal256Builder, u8, i8),
}

/// The same statement for every builder.
macro_rules! each {
    ($builder:expr, $name:ident => $body:expr) => {
        match $builder {
            Builder::Bool($name) => $body,
            Builder::Int8($name) => $body,
            Builder::Int16($name) => $body,
            Builder::Int32($name) | Builder::Date($name) => $body,
            Builder::Int64($name) | Builder::Time($name) | Builder::Timestamp { ticks: $name, .. } => $body,
            Builder::UInt8($name) => $body,
            Builder::UInt16($name) => $body,
            Builder::UInt32($name) => $body,
            Builder::UInt64($name) => $body,
            Builder::Float32($name) => $body,
            Builder::Float64($name) => $body,
            Builder::Text($name) => $body,
            Builder::Bytes($name) => $body,
            Builder::Decimal128($name, ..) => $body,
            Builder::Decimal256($name, ..) => $body,
        }
    };
}

impl Column {
    pub(super) fn new(field: &Field) -> Result<Self> {
        let builder = match field.data_type() {
            DataType::Boolean => Builder::Bool(BooleanBuilder::new()),
            DataType::Int8 => Builder::Int8(Int8Builder::new()),
            DataType::Int16 => Builder::Int16(Int16Builder::new()),
            DataType::Int32 => Builder::Int32(Int32Builder::new()),
            DataType::Int64 => Builder::Int64(Int64Builder::new()),
            DataType::UInt8 => Builder::UInt8(UInt8Builder::new()),
            DataType::UInt16 => Builder::UInt16(UInt16Builder::new()),
            DataType::UInt32 => Builder::UInt32(UInt32Builder::new()),
            DataType::UInt64 => Builder::UInt64(UInt64Builder::new()),
            DataType::Float32 => Builder::Float32(Float32Builder::new()),
            DataType::Float64 => Builder::Float64(Float64Builder::new()),
            DataType::Utf8 => Builder::Text(StringBuilder::new()),
            DataType::Binary => Builder::Bytes(BinaryBuilder::new()),
            DataType::Date32 => Builder::Date(Int32Builder::new()),
            DataType::Time64(TimeUnit::Microsecond) => Builder::Time(Int64Builder::new()),
            DataType::Timestamp(unit, zone) => Builder::Timestamp {
                ticks: Int64Builder::new(),
                unit: Tick::from(*unit),
                utc: zone.is_some(),
            },
            DataType::Decimal128(p, s) => {
                let empty = Decimal128Builder::new().with_precision_and_scale(*p, *s)?;
                Builder::Decimal128(empty, *p, *s)
            }
            DataType::Decimal256(p, s) => {
                let empty = Decimal256Builder::new().with_precision_and_scale(*p, *s)?;
                Builder::Decimal256(empty, *p, *s)
            }
            other => {
                let message = format!("column \"{}\" cannot be read as {other}", field.name());
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        };
        Ok(Self { nullable: field.is_nullable(), to: field.data_type().clone(), builder })
    }

    #[inline]
    pub(super) fn append_null(&mut self) -> Result<(), Misfit> {
        if !self.nullable {
            return Err(Misfit::Null);
        }
        each!(&mut self.builder, builder => builder.append_null());
        Ok(())
    }

    /// Something in the place of a cell that is filtered out later.
    pub(super) fn append_filler(&mut self) {
        each!(&mut self.builder, builder => builder.append_null());
    }

    #[inline]
    pub(super) fn append(&mut self, cell: Cell<'_>, rules: &Rules) -> Result<(), Misfit> {
        match &mut self.builder {
            Builder::Int64(builder) => builder.append_value(integer(cell)?),
            Builder::Text(builder) => append_text(builder, cell)?,
            Builder::Float64(builder) => builder.append_value(real(cell)?),
            Builder::Timestamp { ticks, unit, utc } => ticks.append_value(instant(cell, *unit, *utc, rules)?),
            Builder::Decimal128(builder, p, s) => builder.append_value(decimal::<i128>(cell, *p, *s)?),
            Builder::Decimal256(builder, p, s) => {
                builder.append_value(decimal::<arrow::datatypes::i256>(cell, *p, *s)?);
            }
            Builder::Bool(builder) => builder.append_value(boolean(cell)?),
            Builder::Date(builder) => builder.append_value(date(cell)?),
            Builder::Time(builder) => builder.append_value(time(cell)?),
            Builder::Bytes(builder) => match cell {
                Cell::Bytes(bytes) => builder.append_value(bytes),
                other => return Err(sort(other)),
            },
            Builder::Int8(builder) => builder.append_value(integer(cell)?),
            Builder::Int16(builder) => builder.append_value(integer(cell)?),
            Builder::Int32(builder) => builder.append_value(integer(cell)?),
            Builder::UInt8(builder) => builder.append_value(integer(cell)?),
            Builder::UInt16(builder) => builder.append_value(integer(cell)?),
            Builder::UInt32(builder) => builder.append_value(integer(cell)?),
            Builder::UInt64(builder) => builder.append_value(integer(cell)?),
            Builder::Float32(builder) => builder.append_value(single(cell)?),
        }
        Ok(())
    }

    /// Takes a value that a column of its type keeps as it is; false = the column has another type, and takes it as a [`Cell`] or not at all.
    #[inline]
    pub fn plain<T: Plain>(&mut self, value: T) -> bool {
        value.append(self)
    }

    /// [`plain`](Self::plain) of days since 1970-01-01.
    #[inline]
    pub fn plain_date(&mut self, days: i32) -> bool {
        let Builder::Date(builder) = &mut self.builder else {
            return false;
        };
        builder.append_value(days);
        true
    }

    /// [`plain`](Self::plain) of microseconds since 1970-01-01T00:00, of an instant (`utc`) or of a wall clock. Where the column's unit is a longer one, they are whole units or no plain value.
    #[inline]
    pub fn plain_timestamp(&mut self, micros: i64, utc: bool) -> bool {
        let Builder::Timestamp { ticks, unit, utc: kept } = &mut self.builder else {
            return false;
        };
        let whole = |tick: i64| (*kept == utc && micros % tick == 0).then_some(micros / tick);
        let value = match unit {
            Tick::S => whole(1_000_000),
            Tick::Ms => whole(1_000),
            Tick::Us => whole(1),
            Tick::Ns => None,
        };
        value.inspect(|value| ticks.append_value(*value)).is_some()
    }

    /// [`plain`](Self::plain) of `unscaled × 10^-scale`.
    #[inline]
    pub fn plain_decimal(&mut self, unscaled: i128, scale: u8) -> bool {
        let Builder::Decimal128(builder, precision, kept) = &mut self.builder else {
            return false;
        };
        let fits =
            *kept == scale.cast_signed() && Decimal128Type::is_valid_decimal_precision(unscaled, *precision);
        if fits {
            builder.append_value(unscaled);
        }
        fits
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef> {
        let array: ArrayRef = each!(&mut self.builder, builder => Arc::new(builder.finish()));
        if *array.data_type() == self.to {
            return Ok(array);
        }
        // Dates, times and timestamps are built as the integers that they are.
        Ok(make_array(array.to_data().into_builder().data_type(self.to.clone()).build()?))
    }
}

/// A value that a column of one type keeps as it is.
pub trait Plain {
    /// Appends it where the column is of its type.
    fn append(self, to: &mut Column) -> bool;
}

macro_rules! plain {
    ($($kind:ty => $builder:ident),*) => {$(
        impl Plain for $kind {
            #[inline]
            fn append(self, to: &mut Column) -> bool {
                let Builder::$builder(builder) = &mut to.builder else {
                    return false;
                };
                builder.append_value(self);
                true
            }
        }
    )*};
}

plain!(bool => Bool, i16 => Int16, i32 => Int32, i64 => Int64, u32 => UInt32, f32 => Float32, f64 => Float64, &str => Text, &[u8] => Bytes);

/// The largest whole number up to which doubles have every one.
const EXACT: f64 = 9_007_199_254_740_992.0;

#[inline]
fn integer<T: TryFrom<i64> + TryFrom<u64>>(cell: Cell<'_>) -> Result<T, Misfit> {
    match cell {
        Cell::Int(value) => T::try_from(value).map_err(|_| Misfit::Range),
        Cell::Real(value) if value.fract() == 0.0 && value.abs() <= EXACT => {
            T::try_from(value as i64).map_err(|_| Misfit::Range)
        }
        Cell::Text(text) => spelling::integer(text),
        Cell::Decimal { unscaled, scale } => {
            let whole = spelling::rescaled::<i128>(unscaled, scale, 38, 0)?;
            i64::try_from(whole).map(T::try_from).map_or_else(
                |_| u64::try_from(whole).ok().and_then(|whole| T::try_from(whole).ok()).ok_or(Misfit::Range),
                |whole| whole.map_err(|_| Misfit::Range),
            )
        }
        other => Err(sort(other)),
    }
}

fn real(cell: Cell<'_>) -> Result<f64, Misfit> {
    match cell {
        Cell::Real(value) => Ok(value),
        Cell::Int(value) if value.unsigned_abs() <= EXACT as u64 => Ok(value as f64),
        Cell::Int(_) => Err(Misfit::Precision),
        Cell::Text(text) => spelling::real(text),
        Cell::Decimal { .. } => spelling::real(&spelling::spelled(cell)),
        other => Err(sort(other)),
    }
}

fn single(cell: Cell<'_>) -> Result<f32, Misfit> {
    let wide = real(cell)?;
    let narrow = wide as f32;
    if narrow.is_infinite() && wide.is_finite() { Err(Misfit::Range) } else { Ok(narrow) }
}

fn boolean(cell: Cell<'_>) -> Result<bool, Misfit> {
    match cell {
        Cell::Bool(value) => Ok(value),
        Cell::Int(0) | Cell::Text("0" | "false") => Ok(false),
        Cell::Int(1) | Cell::Text("1" | "true") => Ok(true),
        Cell::Int(_) => Err(Misfit::Range),
        Cell::Text(_) => Err(Misfit::Spelling),
        other => Err(sort(other)),
    }
}

fn date(cell: Cell<'_>) -> Result<i32, Misfit> {
    match cell {
        Cell::Date(days) => Ok(days),
        Cell::Text(text) => spelling::date(text),
        other => Err(sort(other)),
    }
}

fn time(cell: Cell<'_>) -> Result<i64, Misfit> {
    match cell {
        // A day ends before 24:00.
        Cell::Time(micros @ 0..86_400_000_000) => Ok(micros),
        Cell::Time(_) => Err(Misfit::Range),
        Cell::Text(text) => spelling::time(text),
        other => Err(sort(other)),
    }
}

fn append_text(builder: &mut StringBuilder, cell: Cell<'_>) -> Result<(), Misfit> {
    match cell {
        Cell::Text(text) => builder.append_value(text),
        Cell::Int(value) => builder.append_value(value.to_string()),
        Cell::Real(value) => builder.append_value(format!("{value:?}")),
        Cell::Decimal { .. } | Cell::Date(_) | Cell::Time(_) | Cell::Timestamp { .. } => {
            builder.append_value(spelling::spelled(cell));
        }
        other => return Err(sort(other)),
    }
    Ok(())
}

fn instant(cell: Cell<'_>, unit: Tick, utc: bool, rules: &Rules) -> Result<i64, Misfit> {
    match cell {
        Cell::Text(text) => spelling::ticks(text, unit, utc, rules.zone),
        Cell::Int(ticks) if rules.epoch => Ok(ticks),
        Cell::Timestamp { micros, utc: given } => spelling::retimed(micros, given, unit, utc, rules.zone),
        Cell::Date(days) => spelling::retimed(i64::from(days) * 86_400_000_000, false, unit, utc, rules.zone),
        other => Err(sort(other)),
    }
}

fn decimal<N: spelling::Unscaled>(cell: Cell<'_>, precision: u8, scale: i8) -> Result<N, Misfit> {
    match cell {
        Cell::Text(text) => spelling::decimal(text, precision, scale),
        Cell::Int(value) => spelling::decimal(&value.to_string(), precision, scale),
        Cell::Decimal { unscaled, scale: given } => spelling::rescaled(unscaled, given, precision, scale),
        // The shortest spelling that reads back as the same double: 0.1 is 0.1, not 0.1000000000000000055.
        Cell::Real(value) if value.is_finite() => spelling::decimal(&value.to_string(), precision, scale),
        other => Err(sort(other)),
    }
}

#[cold]
fn sort(cell: Cell<'_>) -> Misfit {
    match cell {
        Cell::Null => Misfit::Null,
        Cell::Bool(_) => Misfit::Sort("true or false"),
        Cell::Int(_) => Misfit::Sort("an integer"),
        Cell::Real(_) => Misfit::Sort("a real number"),
        Cell::Text(_) => Misfit::Sort("text"),
        Cell::Bytes(_) => Misfit::Sort("bytes"),
        Cell::Decimal { .. } => Misfit::Sort("a decimal"),
        Cell::Date(_) => Misfit::Sort("a date"),
        Cell::Time(_) => Misfit::Sort("a time"),
        Cell::Timestamp { .. } => Misfit::Sort("a timestamp"),
        Cell::NotUtf8(_) => Misfit::NotUtf8,
    }
}
