//! The binary format of COPY, written: Arrow batches as rows of fields.

use std::fmt::Write as _;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type, Int32Type,
        Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampSecondType, UInt32Type,
    },
};
use bytes::{BufMut, BytesMut};

use super::numeric;
use crate::connector::error::{Error, ErrorKind, Result};

/// What cannot be written.
pub(crate) const FAR: &str = "a date or time beyond those of PostgreSQL";

const DAYS_TO_2000: i32 = 10_957;
const MICROS_TO_2000: i64 = 946_684_800_000_000;

/// What a COPY begins with.
pub(crate) fn begin(out: &mut BytesMut) {
    out.put_slice(b"PGCOPY\n\xff\r\n\0");
    out.put_u32(0);
    out.put_u32(0);
}

/// What a COPY ends with.
pub(crate) fn end(out: &mut BytesMut) {
    out.put_i16(-1);
}

/// The columns of a batch, ready to be written row by row.
pub(crate) struct Rows<'a> {
    batch: &'a RecordBatch,
    columns: Vec<Column<'a>>,
    /// Holds a number's digits.
    digits: String,
}

/// One column: how its cells are written.
pub(crate) enum Column<'a> {
    Bool(&'a arrow::array::BooleanArray),
    Int2(&'a [i16]),
    Int4(&'a [i32]),
    Int8(&'a [i64]),
    Oid(&'a [u32]),
    Float4(&'a [f32]),
    Float8(&'a [f64]),
    Text(&'a arrow::array::StringArray),
    Bytes(&'a arrow::array::BinaryArray),
    Date(&'a [i32]),
    Time(&'a [i64]),
    /// Ticks, and how many microseconds one is.
    Timestamp(&'a [i64], i64),
    Decimal(&'a [i128], u8),
    Wide(&'a arrow::array::Decimal256Array, u8),
}

impl<'a> Rows<'a> {
    /// The rows of a batch; fails for columns of types that no target has.
    pub(crate) fn new(batch: &'a RecordBatch) -> Result<Self> {
        let columns = batch.columns().iter().map(column).collect::<Result<_>>()?;
        Ok(Self { batch, columns, digits: String::new() })
    }

    /// Writes a row; a number follows as a `bigint`.
    pub(crate) fn write(&mut self, row: usize, number: Option<i64>, out: &mut BytesMut) -> Result<()> {
        out.put_i16(self.columns.len() as i16 + i16::from(number.is_some()));
        for (at, column) in self.columns.iter().enumerate() {
            if self.batch.column(at).is_null(row) {
                out.put_i32(-1);
                continue;
            }
            put(column, row, &mut self.digits, out).map_err(|why| unwritable(self.batch, at, why))?;
        }
        if let Some(number) = number {
            out.put_i32(8);
            out.put_i64(number);
        }
        Ok(())
    }
}

/// The error of a cell that no column of the server can hold.
pub(crate) fn unwritable(batch: &RecordBatch, column: usize, why: &str) -> Error {
    let schema = batch.schema_ref();
    let message = format!("column \"{}\" holds {why}", schema.field(column).name());
    Error::new(ErrorKind::BadData, message).hint(
        "PostgreSQL cannot keep it: take such rows out, or change the column in the SQL, as in replace(column, chr(0), '')",
    )
}

/// A column, ready to be written cell by cell; fails for types that no target has.
pub(crate) fn column(array: &ArrayRef) -> Result<Column<'_>> {
    Ok(match array.data_type() {
        DataType::Boolean => Column::Bool(array.as_boolean()),
        DataType::Int16 => Column::Int2(array.as_primitive::<Int16Type>().values()),
        DataType::Int32 => Column::Int4(array.as_primitive::<Int32Type>().values()),
        DataType::Int64 => Column::Int8(array.as_primitive::<Int64Type>().values()),
        DataType::UInt32 => Column::Oid(array.as_primitive::<UInt32Type>().values()),
        DataType::Float32 => Column::Float4(array.as_primitive::<Float32Type>().values()),
        DataType::Float64 => Column::Float8(array.as_primitive::<Float64Type>().values()),
        DataType::Utf8 => Column::Text(array.as_string()),
        DataType::Binary => Column::Bytes(array.as_binary()),
        DataType::Date32 => Column::Date(array.as_primitive::<Date32Type>().values()),
        DataType::Time64(TimeUnit::Microsecond) => {
            Column::Time(array.as_primitive::<Time64MicrosecondType>().values())
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            Column::Timestamp(array.as_primitive::<TimestampSecondType>().values(), 1_000_000)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Column::Timestamp(array.as_primitive::<TimestampMillisecondType>().values(), 1_000)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Column::Timestamp(array.as_primitive::<TimestampMicrosecondType>().values(), 1)
        }
        DataType::Decimal128(_, scale) => {
            Column::Decimal(array.as_primitive::<Decimal128Type>().values(), scale.unsigned_abs())
        }
        DataType::Decimal256(_, scale) => {
            Column::Wide(array.as_primitive::<Decimal256Type>(), scale.unsigned_abs())
        }
        other => {
            return Err(Error::new(ErrorKind::Internal, format!("rows of type {other} cannot be written")));
        }
    })
}

/// Writes a cell that is not NULL, or says what it is that cannot be.
fn put(
    column: &Column<'_>,
    row: usize,
    digits: &mut String,
    out: &mut BytesMut,
) -> std::result::Result<(), &'static str> {
    match column {
        Column::Bool(array) => {
            out.put_i32(1);
            out.put_u8(array.value(row).into());
        }
        Column::Int2(values) => {
            out.put_i32(2);
            out.put_i16(values[row]);
        }
        Column::Int4(values) => {
            out.put_i32(4);
            out.put_i32(values[row]);
        }
        Column::Int8(values) | Column::Time(values) => {
            out.put_i32(8);
            out.put_i64(values[row]);
        }
        Column::Oid(values) => {
            out.put_i32(4);
            out.put_u32(values[row]);
        }
        Column::Float4(values) => {
            out.put_i32(4);
            out.put_f32(values[row]);
        }
        Column::Float8(values) => {
            out.put_i32(8);
            out.put_f64(values[row]);
        }
        Column::Text(array) => {
            let text = array.value(row).as_bytes();
            if text.contains(&0) {
                return Err("a text with a NUL in it");
            }
            sized(text, out)?;
        }
        Column::Bytes(array) => sized(array.value(row), out)?,
        Column::Date(values) => {
            // The smallest and the largest number stand for infinities.
            let days = values[row].checked_sub(DAYS_TO_2000).filter(|days| *days != i32::MIN).ok_or(FAR)?;
            out.put_i32(4);
            out.put_i32(days);
        }
        Column::Timestamp(values, one) => {
            let micros = values[row].checked_mul(*one).and_then(|micros| micros.checked_sub(MICROS_TO_2000));
            out.put_i32(8);
            out.put_i64(micros.filter(|micros| *micros != i64::MIN).ok_or(FAR)?);
        }
        Column::Decimal(values, scale) => {
            digits.clear();
            let _ = write!(digits, "{}", values[row].unsigned_abs());
            numeric::write(values[row] < 0, digits, *scale, out);
        }
        Column::Wide(array, scale) => {
            digits.clear();
            let _ = write!(digits, "{}", array.value(row));
            let negative = digits.starts_with('-');
            numeric::write(negative, digits.trim_start_matches('-'), *scale, out);
        }
    }
    Ok(())
}

fn sized(bytes: &[u8], out: &mut BytesMut) -> std::result::Result<(), &'static str> {
    // The server's own limit of a field.
    let length = i32::try_from(bytes.len()).ok().filter(|length| *length < 1 << 30);
    out.put_i32(length.ok_or("more than a gigabyte")?);
    out.put_slice(bytes);
    Ok(())
}
