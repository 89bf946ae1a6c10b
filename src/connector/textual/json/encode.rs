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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int8Array, Int64Array,
        StringArray, Time64MicrosecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
    };
    use proptest::prelude::*;

    use super::{
        super::{super::Value, fields},
        *,
    };

    fn row(cells: Vec<ArrayRef>) -> Result<String> {
        let named = cells.into_iter().enumerate().map(|(at, cell)| (format!("c{at}"), cell, true));
        let batch = RecordBatch::try_from_iter_with_nullable(named).unwrap();
        let mut spelled = vec![];
        Encoder::new(&batch)?.row(0, &mut spelled)?;
        Ok(String::from_utf8(spelled).unwrap())
    }

    #[test]
    fn cells_are_spelled_by_their_types() {
        let spelled = row(vec![
            Arc::new(Int64Array::from(vec![i64::MIN])),
            Arc::new(UInt64Array::from(vec![u64::MAX])),
            Arc::new(Int8Array::from(vec![-7])),
            Arc::new(BooleanArray::from(vec![false])),
            Arc::new(Float32Array::from(vec![0.1])),
            Arc::new(Float64Array::from(vec![-0.0])),
            Arc::new(Float64Array::from(vec![f64::NEG_INFINITY])),
            Arc::new(StringArray::from(vec!["\"Ж\\\n\u{1}"])),
            Arc::new(BinaryArray::from(vec![b"\xff".as_slice()])),
            Arc::new(Date32Array::from(vec![-1])),
            Arc::new(Time64MicrosecondArray::from(vec![1])),
            Arc::new(TimestampSecondArray::from(vec![0])),
            Arc::new(TimestampNanosecondArray::from(vec![-1]).with_timezone("UTC")),
            Arc::new(Int64Array::from(vec![None])),
        ]);
        let expected = [
            "-9223372036854775808",
            "18446744073709551615",
            "-7",
            "false",
            "0.1",
            "-0.0",
            "\"-inf\"",
            r#""\"Ж\\\n\u0001""#,
            "\"/w==\"",
            "\"1969-12-31\"",
            "\"00:00:00.000001\"",
            "\"1970-01-01T00:00:00\"",
            "\"1969-12-31T23:59:59.999999999Z\"",
            "null",
        ];
        let fields = expected.iter().enumerate().map(|(at, cell)| format!("\"c{at}\":{cell}"));
        assert_eq!(spelled.unwrap(), format!("{{{}}}", fields.collect::<Vec<_>>().join(",")));
    }

    #[test]
    fn times_outside_the_calendar_are_refused() {
        let refused = [
            row(vec![Arc::new(Date32Array::from(vec![i32::MAX]))]),
            row(vec![Arc::new(TimestampSecondArray::from(vec![i64::MIN]))]),
        ];
        assert!(refused.iter().all(|row| row.as_ref().is_err_and(|error| error.kind == ErrorKind::BadData)));
    }

    proptest! {
        #[test]
        fn numbers_and_texts_come_back(whole: i64, real in any::<f64>().prop_filter("finite", |real| real.is_finite()), text: String) {
            let cells: [ArrayRef; 3] = [
                Arc::new(Int64Array::from(vec![whole])),
                Arc::new(Float64Array::from(vec![real])),
                Arc::new(StringArray::from(vec![text.as_str()])),
            ];
            let spelled = row(cells.to_vec()).unwrap();
            let mut found = vec![];
            fields(spelled.as_bytes(), &mut found).unwrap();
            prop_assert_eq!(&found[0].1, &Value::Number(&whole.to_string()));
            let Value::Number(number) = found[1].1 else { return Err(TestCaseError::fail("no number")) };
            prop_assert_eq!(number.parse::<f64>().unwrap().to_bits(), real.to_bits());
            prop_assert_eq!(&found[2].1, &Value::Text(text.as_str().into()));
            prop_assert!(serde_json::from_str::<serde_json::Value>(&spelled).is_ok());
        }
    }
}
