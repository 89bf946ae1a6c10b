//! The binary format of COPY, read: rows of fields, and each field as a cell.

use std::{cell::OnceCell, ops::Range};

use bytes::{Bytes, BytesMut};

use super::{
    numeric::{self, Number},
    types::Kind,
};
use crate::connector::cells::{Cell, Column};

/// What every binary COPY begins with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Days and microseconds from 1970 to 2000, where the server's times begin.
const DAYS_TO_2000: i32 = 10_957;
const MICROS_TO_2000: i64 = 946_684_800_000_000;

/// Rows out of a stream of bytes that is cut anywhere.
#[derive(Debug, Default)]
pub(crate) struct RowReader {
    buffer: Bytes,
    at: usize,
    begun: bool,
    ended: bool,
}

/// What the bytes so far hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A row.
    Row,
    /// Less than a row.
    Short,
    /// The end of all rows.
    End,
    /// What is no COPY, or has another number of fields.
    Broken,
}

/// Where a row's fields lie in the reader's buffer; `None` = NULL.
pub(crate) type Fields = Vec<Option<Range<usize>>>;

impl RowReader {
    /// Takes more bytes. Fields that were found before are forgotten.
    pub(crate) fn feed(&mut self, bytes: Bytes) {
        let rest = &self.buffer[self.at..];
        // The server sends rows one by one: hardly ever is there a rest.
        self.buffer = if rest.is_empty() {
            bytes
        } else {
            let mut joined = BytesMut::with_capacity(rest.len() + bytes.len());
            joined.extend_from_slice(rest);
            joined.extend_from_slice(&bytes);
            joined.freeze()
        };
        self.at = 0;
    }

    /// Whether the end was seen: a stream that breaks off has none.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// The bytes of a field.
    pub(crate) fn bytes(&self, field: Range<usize>) -> &[u8] {
        &self.buffer[field]
    }

    /// The next row, whose fields come into `fields`.
    pub(crate) fn next(&mut self, count: usize, fields: &mut Fields) -> Step {
        if !self.begun {
            match self.begin() {
                Step::Row => {}
                other => return other,
            }
        }
        let mut at = self.at;
        let Some(found) = self.take::<2>(&mut at).map(i16::from_be_bytes) else {
            return Step::Short;
        };
        if found == -1 {
            (self.at, self.ended) = (at, true);
            return Step::End;
        }
        if usize::try_from(found) != Ok(count) {
            return Step::Broken;
        }
        fields.clear();
        for _ in 0..count {
            let Some(length) = self.take::<4>(&mut at).map(i32::from_be_bytes) else {
                return Step::Short;
            };
            let Ok(length) = usize::try_from(length) else {
                fields.push(None);
                continue;
            };
            if self.buffer.len() < at + length {
                return Step::Short;
            }
            fields.push(Some(at..at + length));
            at += length;
        }
        self.at = at;
        Step::Row
    }

    /// The header: signature, flags, and an extension that is skipped.
    fn begin(&mut self) -> Step {
        let mut at = SIGNATURE.len() + 4;
        let Some(extension) = self.take::<4>(&mut at).map(u32::from_be_bytes) else {
            return Step::Short;
        };
        if !self.buffer.starts_with(SIGNATURE) {
            return Step::Broken;
        }
        let end = at + extension as usize;
        if self.buffer.len() < end {
            return Step::Short;
        }
        (self.at, self.begun) = (end, true);
        Step::Row
    }

    fn take<const N: usize>(&self, at: &mut usize) -> Option<[u8; N]> {
        let bytes = self.buffer.get(*at..*at + N)?.try_into().ok()?;
        *at += N;
        Some(bytes)
    }
}

/// A field as a cell. Infinite dates and times are texts, so that no date column takes them; numbers that are too long for a number are texts that lie in `long`.
pub(crate) fn cell<'a>(kind: Kind, bytes: Option<&'a [u8]>, long: &'a OnceCell<String>) -> Cell<'a> {
    let Some(bytes) = bytes else {
        return Cell::Null;
    };
    found(kind, bytes, long).unwrap_or(Cell::NotUtf8(bytes))
}

fn found<'a>(kind: Kind, bytes: &'a [u8], long: &'a OnceCell<String>) -> Option<Cell<'a>> {
    Some(match kind {
        Kind::Text | Kind::Other => Cell::Text(std::str::from_utf8(bytes).ok()?),
        Kind::Int8 => Cell::Int(int8(bytes)?),
        Kind::Int4 => Cell::Int(int4(bytes)?.into()),
        Kind::Int2 => Cell::Int(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        Kind::Oid => Cell::Int(u32::from_be_bytes(bytes.try_into().ok()?).into()),
        Kind::Bool => Cell::Bool(*bytes.first()? != 0),
        Kind::Float4 => Cell::Real(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        Kind::Float8 => Cell::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Bytea => Cell::Bytes(bytes),
        Kind::Date => match int4(bytes)? {
            i32::MAX => Cell::Text("infinity"),
            i32::MIN => Cell::Text("-infinity"),
            days => Cell::Date(days.checked_add(DAYS_TO_2000)?),
        },
        Kind::Time => Cell::Time(int8(bytes)?),
        Kind::Timestamp { utc, .. } => match int8(bytes)? {
            i64::MAX => Cell::Text("infinity"),
            i64::MIN => Cell::Text("-infinity"),
            micros => Cell::Timestamp { micros: micros.checked_add(MICROS_TO_2000)?, utc },
        },
        Kind::Numeric(_) => match numeric::read(bytes)? {
            Number::Decimal { unscaled, scale } => Cell::Decimal { unscaled, scale },
            Number::NotFinite(value) => Cell::Real(value),
            Number::Long(text) => Cell::Text(long.get_or_init(|| text)),
        },
    })
}

/// Puts a field into a column that keeps what the server sends as it is, and gives how many bytes that is; `None` = its cell is to be asked for.
#[inline]
pub(crate) fn plain(kind: Kind, bytes: &[u8], column: &mut Column) -> Option<usize> {
    let taken = match kind {
        Kind::Text | Kind::Other => column.plain(std::str::from_utf8(bytes).ok()?),
        Kind::Int8 => column.plain(int8(bytes)?),
        Kind::Int4 => column.plain(int4(bytes)?),
        Kind::Int2 => column.plain(i16::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Oid => column.plain(u32::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Bool => column.plain(*bytes.first()? != 0),
        Kind::Float4 => column.plain(f32::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Float8 => column.plain(f64::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Bytea => column.plain(bytes),
        Kind::Date => match int4(bytes)? {
            i32::MAX | i32::MIN => false,
            days => column.plain_date(days.checked_add(DAYS_TO_2000)?),
        },
        // A day's end has no place in a column of times.
        Kind::Time => false,
        Kind::Timestamp { utc, .. } => match int8(bytes)? {
            i64::MAX | i64::MIN => false,
            micros => column.plain_timestamp(micros.checked_add(MICROS_TO_2000)?, utc),
        },
        Kind::Numeric(_) => match numeric::read(bytes)? {
            Number::Decimal { unscaled, scale } => column.plain_decimal(unscaled, scale),
            Number::NotFinite(_) | Number::Long(_) => false,
        },
    };
    let long = matches!(kind, Kind::Text | Kind::Other | Kind::Bytea);
    taken.then_some(if long { 4 + bytes.len() } else { 8 })
}

#[inline]
fn int8(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}

#[inline]
fn int4(bytes: &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell as Counter, sync::Arc};

    use arrow::datatypes::{Field, Schema, SchemaRef};

    use super::*;
    use crate::connector::cells::{RowDecoder, Rules};

    fn stream() -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        for row in 0..3_i32 {
            bytes.extend(2_i16.to_be_bytes());
            bytes.extend([&4_i32.to_be_bytes()[..], &row.to_be_bytes()].concat());
            bytes.extend((-1_i32).to_be_bytes());
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    #[test]
    fn rows_come_whole_wherever_the_stream_is_cut() {
        let bytes = stream();
        for size in [1, 2, 3, 7, 19, 1_000] {
            let (mut reader, mut fields, mut rows) = (RowReader::default(), vec![], vec![]);
            for part in bytes.chunks(size) {
                reader.feed(Bytes::copy_from_slice(part));
                while reader.next(2, &mut fields) == Step::Row {
                    let first = fields[0].clone().map(|field| reader.bytes(field).to_vec());
                    rows.push((
                        cell(Kind::Int4, first.as_deref(), &OnceCell::new()) == Cell::Int(rows.len() as i64),
                        fields[1].clone(),
                    ));
                }
            }
            assert_eq!(rows, vec![(true, None); 3], "parts of {size}");
            assert!(reader.ended());
        }
    }

    #[test]
    fn what_is_no_copy_is_broken() {
        let mut fields = vec![];
        let mut reader = RowReader::default();
        reader.feed(stream().into());
        assert_eq!(reader.next(3, &mut fields), Step::Broken);
        let mut reader = RowReader::default();
        reader.feed(Bytes::from_static(&[b'x'; 30]));
        assert_eq!(reader.next(2, &mut fields), Step::Broken);
    }

    #[test]
    fn infinity_is_no_date() {
        let long = OnceCell::new();
        let (day, time) = (Kind::Date, Kind::Timestamp { digits: 6, utc: true });
        assert_eq!(cell(day, Some(&i32::MAX.to_be_bytes()), &long), Cell::Text("infinity"));
        assert_eq!(cell(day, Some(&0_i32.to_be_bytes()), &long), Cell::Date(10_957));
        assert_eq!(cell(time, Some(&i64::MIN.to_be_bytes()), &long), Cell::Text("-infinity"));
        assert_eq!(cell(Kind::Int8, Some(&[1]), &long), Cell::NotUtf8(&[1]));
    }

    /// A number as the server sends it: of one digit of base 10,000.
    fn number(digit: u16, weight: i16, scale: u16) -> Vec<u8> {
        let words = [1, weight.cast_unsigned(), 0, scale, digit];
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// Fields of every kind, and of some whose values are none or find no place.
    fn fields() -> Vec<(Kind, Vec<u8>)> {
        let instant = Kind::Timestamp { digits: 6, utc: true };
        let clock = Kind::Timestamp { digits: 6, utc: false };
        [
            (Kind::Text, "Ж".into()),
            (Kind::Text, vec![0xff]),
            (Kind::Bool, vec![1]),
            (Kind::Int2, 7_i16.to_be_bytes().into()),
            (Kind::Int4, 70_000_i32.to_be_bytes().into()),
            (Kind::Int8, (-7_i64).to_be_bytes().into()),
            (Kind::Int8, vec![1]),
            (Kind::Oid, u32::MAX.to_be_bytes().into()),
            (Kind::Float4, 0.5_f32.to_be_bytes().into()),
            (Kind::Float8, 0.1_f64.to_be_bytes().into()),
            (Kind::Bytea, vec![0, 255]),
            (Kind::Date, 1_i32.to_be_bytes().into()),
            (Kind::Date, i32::MAX.to_be_bytes().into()),
            (Kind::Time, 86_400_000_000_i64.to_be_bytes().into()),
            (instant, 1_000_000_i64.to_be_bytes().into()),
            (instant, 1_001_i64.to_be_bytes().into()),
            (clock, (-1_000_i64).to_be_bytes().into()),
            (clock, i64::MIN.to_be_bytes().into()),
            (Kind::Numeric(None), number(1_250, -1, 2)),
            (Kind::Numeric(None), number(1_250, -1, 4)),
            (Kind::Numeric(None), number(9_999, 3, 2)),
            (Kind::Numeric(None), number(1, 30, 0)),
            (Kind::Numeric(None), [&[0; 4], &0xC000_u16.to_be_bytes()[..], &[0; 2]].concat()),
        ]
        .into()
    }

    #[test]
    fn a_plain_value_is_what_its_cell_is() {
        let types = [
            "bool",
            "int8",
            "int16",
            "int32",
            "int64",
            "uint32",
            "float32",
            "float64",
            "text",
            "bytes",
            "date",
            "time",
            "decimal(6,2)",
            "decimal(38,4)",
            "timestamp(s)",
            "timestamp(ms, UTC)",
            "timestamp(us)",
            "timestamp(us, UTC)",
        ];
        let mut straight = 0;
        for spelled in types {
            let to: crate::model::column::ColumnType = spelled.parse().unwrap();
            let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("x", to.arrow().clone(), true)]));
            for (kind, bytes) in &fields() {
                let (long, taken) = (OnceCell::new(), Counter::new(0));
                let cell = |_| cell(*kind, Some(bytes), &long);
                let plainly = |_, column: &mut Column| {
                    let size = plain(*kind, bytes, column);
                    taken.set(taken.get() + u32::from(size.is_some()));
                    size
                };
                let decoder = || RowDecoder::new(schema.clone(), Rules::default()).unwrap();
                let (mut by_cell, mut by_value) = (decoder(), decoder());
                assert_eq!(
                    by_cell.push(0, cell),
                    by_value.push_plain(0, plainly, cell),
                    "{kind:?} as {spelled}"
                );
                assert_eq!(by_cell.bytes(), by_value.bytes(), "{kind:?} as {spelled}");
                assert_eq!(
                    by_cell.finish().unwrap().batch,
                    by_value.finish().unwrap().batch,
                    "{kind:?} as {spelled}"
                );
                straight += taken.get();
            }
        }
        assert_eq!(straight, 16);
    }
}
