//! The binary format of COPY, read: rows of fields, and each field as a cell.

use std::ops::Range;

use super::{
    numeric::{self, Number},
    types::Kind,
};
use crate::connector::cells::Cell;

/// What every binary COPY begins with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Days and microseconds from 1970 to 2000, where the server's times begin.
const DAYS_TO_2000: i32 = 10_957;
const MICROS_TO_2000: i64 = 946_684_800_000_000;

/// Rows out of a stream of bytes that is cut anywhere.
#[derive(Debug, Default)]
pub(crate) struct RowReader {
    buffer: Vec<u8>,
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
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
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

/// A long number's spelling, which its cell borrows.
pub(crate) fn spelling(kind: Kind, bytes: Option<&[u8]>) -> Option<String> {
    match (kind, numeric::read(bytes.filter(|_| matches!(kind, Kind::Numeric(_)))?)?) {
        (_, Number::Long(text)) => Some(text),
        _ => None,
    }
}

/// A field as a cell. Infinite dates and times are texts, so that no date column takes them.
pub(crate) fn cell<'a>(kind: Kind, bytes: Option<&'a [u8]>, spelled: Option<&'a str>) -> Cell<'a> {
    let Some(bytes) = bytes else {
        return Cell::Null;
    };
    fixed(kind, bytes, spelled).unwrap_or(Cell::NotUtf8(bytes))
}

fn fixed<'a>(kind: Kind, bytes: &'a [u8], spelled: Option<&'a str>) -> Option<Cell<'a>> {
    Some(match kind {
        Kind::Text | Kind::Other => Cell::Text(std::str::from_utf8(bytes).ok()?),
        Kind::Int8 => Cell::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Int4 => Cell::Int(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        Kind::Int2 => Cell::Int(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        Kind::Oid => Cell::Int(u32::from_be_bytes(bytes.try_into().ok()?).into()),
        Kind::Bool => Cell::Bool(*bytes.first()? != 0),
        Kind::Float4 => Cell::Real(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        Kind::Float8 => Cell::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Bytea => Cell::Bytes(bytes),
        Kind::Date => match i32::from_be_bytes(bytes.try_into().ok()?) {
            i32::MAX => Cell::Text("infinity"),
            i32::MIN => Cell::Text("-infinity"),
            days => Cell::Date(days.checked_add(DAYS_TO_2000)?),
        },
        Kind::Time => Cell::Time(i64::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Timestamp { utc, .. } => match i64::from_be_bytes(bytes.try_into().ok()?) {
            i64::MAX => Cell::Text("infinity"),
            i64::MIN => Cell::Text("-infinity"),
            micros => Cell::Timestamp { micros: micros.checked_add(MICROS_TO_2000)?, utc },
        },
        Kind::Numeric(_) => match (spelled, numeric::read(bytes)?) {
            (Some(text), _) => Cell::Text(text),
            (None, Number::Decimal { unscaled, scale }) => Cell::Decimal { unscaled, scale },
            (None, Number::NotFinite(value)) => Cell::Real(value),
            (None, Number::Long(_)) => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
                reader.feed(part);
                while reader.next(2, &mut fields) == Step::Row {
                    let first = fields[0].clone().map(|field| reader.bytes(field).to_vec());
                    rows.push((
                        cell(Kind::Int4, first.as_deref(), None) == Cell::Int(rows.len() as i64),
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
        reader.feed(&stream());
        assert_eq!(reader.next(3, &mut fields), Step::Broken);
        let mut reader = RowReader::default();
        reader.feed(&[b'x'; 30]);
        assert_eq!(reader.next(2, &mut fields), Step::Broken);
    }

    #[test]
    fn infinity_is_no_date() {
        assert_eq!(cell(Kind::Date, Some(&i32::MAX.to_be_bytes()), None), Cell::Text("infinity"));
        assert_eq!(cell(Kind::Date, Some(&0_i32.to_be_bytes()), None), Cell::Date(10_957));
        let kind = Kind::Timestamp { digits: 6, utc: true };
        assert_eq!(cell(kind, Some(&i64::MIN.to_be_bytes()), None), Cell::Text("-infinity"));
        assert_eq!(cell(Kind::Int8, Some(&[1]), None), Cell::NotUtf8(&[1]));
    }
}
