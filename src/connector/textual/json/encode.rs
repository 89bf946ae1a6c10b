//! Rows become objects, their columns in the target's order.

use std::io::Write as _;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{
        DataType, Date32Type, Decimal128Type, Decimal256Type, DecimalType, Float32Type, Float64Type,
        Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampNanosecondType, TimestampSecondType, UInt64Type,
    },
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::super::csv;
use crate::{
    connector::error::{Error, ErrorKind, Result},
    model::{
        iso::{push_date, push_ticks, push_time},
        value::Tick,
    },
};

/// Whether cells of a type can be spelled without loss.
pub(crate) fn can_spell(kind: &DataType) -> bool {
    kind.is_integer()
        || matches!(
            kind,
            DataType::Boolean
                | DataType::Float32
                | DataType::Float64
                | DataType::Utf8
                | DataType::Binary
                | DataType::Date32
                | DataType::Time64(TimeUnit::Microsecond)
                | DataType::Timestamp(..)
                | DataType::Decimal128(..)
                | DataType::Decimal256(..)
        )
}

type Spell<'a> = Box<dyn Fn(usize, &mut Vec<u8>) -> bool + 'a>;

/// The columns of a batch, ready to be spelled row by row.
pub(crate) struct Encoder<'a> {
    batch: &'a RecordBatch,
    columns: Vec<Column<'a>>,
}

struct Column<'a> {
    name: &'a str,
    /// `,"name":`
    head: Vec<u8>,
    nulls: Option<&'a arrow::buffer::NullBuffer>,
    spell: Spell<'a>,
}

impl<'a> Encoder<'a> {
    /// Fails for types that have no spelling; a claim has refused them before.
    pub(crate) fn new(batch: &'a RecordBatch) -> Result<Self> {
        let schema = batch.schema_ref();
        let columns = schema.fields().iter().zip(batch.columns()).enumerate().map(|(at, (field, array))| {
            let mut head = if at == 0 { vec![] } else { vec![b','] };
            text(field.name(), &mut head);
            head.push(b':');
            let spell = spell(array.as_ref()).ok_or_else(|| {
                let message = format!("column \"{}\": JSON has no {}", field.name(), field.data_type());
                Error::new(ErrorKind::Unsupported, message)
            })?;
            Ok(Column { name: field.name(), head, nulls: array.nulls(), spell })
        });
        Ok(Self { batch, columns: columns.collect::<Result<_>>()? })
    }

    /// Adds a row as an object.
    pub(crate) fn row(&self, row: usize, into: &mut Vec<u8>) -> Result<()> {
        into.push(b'{');
        for column in &self.columns {
            into.extend_from_slice(&column.head);
            column.cell(row, into)?;
        }
        into.push(b'}');
        Ok(())
    }

    /// Adds a row as a record of CSV: NULL is nothing at all, bytes are Base64.
    pub(crate) fn record(&self, row: usize, delimiter: u8, into: &mut Vec<u8>) -> Result<()> {
        let mut text = vec![];
        for at in 0..self.columns.len() {
            if at > 0 {
                into.push(delimiter);
            }
            text.clear();
            let array = self.batch.column(at);
            let some = match array.as_binary_opt::<i32>().filter(|array| array.is_valid(row)) {
                Some(array) => print(&mut text, format_args!("{}", BASE64_STANDARD.encode(array.value(row)))),
                None => self.bare(at, row, &mut text)?,
            };
            if some {
                csv::write(&text, delimiter, into);
            }
        }
        Ok(())
    }

    /// Adds a cell as its text, bytes as they are. False = it is NULL.
    pub(crate) fn bare(&self, column: usize, row: usize, into: &mut Vec<u8>) -> Result<bool> {
        let array = self.batch.column(column);
        if array.is_null(row) {
            return Ok(false);
        }
        if let Some(texts) = array.as_string_opt::<i32>() {
            into.extend_from_slice(texts.value(row).as_bytes());
        } else if let Some(bytes) = array.as_binary_opt::<i32>() {
            into.extend_from_slice(bytes.value(row));
        } else {
            let begun = into.len();
            self.columns[column].cell(row, into)?;
            if into.get(begun) == Some(&b'"') {
                into.remove(begun);
                into.pop();
            }
        }
        Ok(true)
    }

    /// Adds the cells of some columns as a key: one as its text, several as an array. False = the key is NULL.
    pub(crate) fn key(&self, columns: &[usize], row: usize, into: &mut Vec<u8>) -> Result<bool> {
        if let [column] = columns {
            return self.bare(*column, row, into);
        }
        for (at, column) in columns.iter().enumerate() {
            into.push(if at == 0 { b'[' } else { b',' });
            self.columns[*column].cell(row, into)?;
        }
        into.push(b']');
        Ok(true)
    }
}

impl Column<'_> {
    fn cell(&self, row: usize, into: &mut Vec<u8>) -> Result<()> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            into.extend_from_slice(b"null");
            return Ok(());
        }
        if (self.spell)(row, into) {
            return Ok(());
        }
        let message = format!("column \"{}\" has a time outside the years 0 to 9999", self.name);
        Err(Error::new(ErrorKind::BadData, message))
    }
}

/// How the cells of an array are spelled; writing says whether a cell has a spelling.
fn spell(array: &dyn Array) -> Option<Spell<'_>> {
    Some(match array.data_type() {
        DataType::Boolean => {
            let array = array.as_boolean();
            Box::new(move |row, into| add(into, (if array.value(row) { "true" } else { "false" }).as_bytes()))
        }
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>().values();
            Box::new(move |row, into| add(into, itoa::Buffer::new().format(values[row]).as_bytes()))
        }
        kind if kind.is_integer() => {
            let wide = cast(array, &DataType::Int64).ok()?;
            let values = wide.as_primitive::<Int64Type>().values().clone();
            Box::new(move |row, into| add(into, itoa::Buffer::new().format(values[row]).as_bytes()))
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>().values();
            Box::new(move |row, into| {
                let value = values[row];
                if value.is_finite() {
                    add(into, zmij::Buffer::new().format_finite(value).as_bytes())
                } else {
                    special(value.into(), into)
                }
            })
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().values();
            Box::new(move |row, into| {
                let value = values[row];
                if value.is_finite() {
                    add(into, zmij::Buffer::new().format_finite(value).as_bytes())
                } else {
                    special(value, into)
                }
            })
        }
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            Box::new(move |row, into| text(array.value(row), into))
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            Box::new(move |row, into| {
                print(into, format_args!("\"{}\"", BASE64_STANDARD.encode(array.value(row))))
            })
        }
        DataType::Decimal128(p, s) => {
            let (array, p, s) = (array.as_primitive::<Decimal128Type>(), *p, *s);
            Box::new(move |row, into| {
                print(into, format_args!("\"{}\"", Decimal128Type::format_decimal(array.value(row), p, s)))
            })
        }
        DataType::Decimal256(p, s) => {
            let (array, p, s) = (array.as_primitive::<Decimal256Type>(), *p, *s);
            Box::new(move |row, into| {
                print(into, format_args!("\"{}\"", Decimal256Type::format_decimal(array.value(row), p, s)))
            })
        }
        _ => return spell_time(array),
    })
}

fn spell_time(array: &dyn Array) -> Option<Spell<'_>> {
    Some(match array.data_type() {
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().values();
            Box::new(move |row, into| quoted(into, |into| push_date(days[row].into(), into)))
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            let ticks = array.as_primitive::<Time64MicrosecondType>().values();
            Box::new(move |row, into| {
                quoted(into, |into| {
                    push_time(ticks[row], Tick::Us, into);
                    true
                })
            })
        }
        DataType::Timestamp(unit, zone) => {
            let (tick, utc) = (Tick::from(*unit), zone.is_some());
            let ticks = match unit {
                TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
                TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
                TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
                TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
            };
            Box::new(move |row, into| quoted(into, |into| push_ticks(ticks[row], tick, utc, into)))
        }
        _ => return None,
    })
}

fn quoted(into: &mut Vec<u8>, push: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
    into.push(b'"');
    let spelled = push(into);
    into.push(b'"');
    spelled
}

fn add(into: &mut Vec<u8>, bytes: &[u8]) -> bool {
    into.extend_from_slice(bytes);
    true
}

fn print(into: &mut Vec<u8>, what: std::fmt::Arguments<'_>) -> bool {
    into.write_fmt(what).is_ok()
}

fn special(value: f64, into: &mut Vec<u8>) -> bool {
    let name = if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "inf"
    } else {
        "-inf"
    };
    text(name, into)
}

fn text(value: &str, into: &mut Vec<u8>) -> bool {
    into.push(b'"');
    let bytes = value.as_bytes();
    // All of them are looked at before one is decided upon, which takes a few instructions for many.
    let escaped = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if !bytes.iter().fold(false, |found, byte| found | escaped(*byte)) {
        into.extend_from_slice(bytes);
        into.push(b'"');
        return true;
    }
    let mut plain = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1f => {
                into.extend_from_slice(&bytes[plain..at]);
                print(into, format_args!("\\u{byte:04x}"));
                plain = at + 1;
                continue;
            }
            _ => continue,
        };
        into.extend_from_slice(&bytes[plain..at]);
        into.extend_from_slice(escape);
        plain = at + 1;
    }
    into.extend_from_slice(&bytes[plain..]);
    into.push(b'"');
    true
}
