//! Lines of Greenplum's TEXT format, taken apart: what [`text`](super::text) writes, as segments write it.

use std::ops::Range;

use crate::connector::{cells::Cell, pg::Kind};

/// The cells of one line.
#[derive(Debug, Default)]
pub(super) struct Line {
    bytes: Vec<u8>,
    /// Where each lies; `None` = NULL.
    cells: Vec<Option<Range<usize>>>,
}

impl Line {
    /// Takes a line apart, without its end. `kinds` = what its cells are; false = it has another number of them.
    pub(super) fn read(&mut self, line: &[u8], kinds: &[Kind]) -> bool {
        self.bytes.clear();
        self.cells.clear();
        for raw in line.split(|byte| *byte == b'\t') {
            if raw == b"\\N" {
                self.cells.push(None);
                continue;
            }
            let from = self.bytes.len();
            self.unescape(raw);
            if matches!(kinds.get(self.cells.len()), Some(Kind::Bytea)) {
                self.unhex(from);
            }
            self.cells.push(Some(from..self.bytes.len()));
        }
        self.cells.len() == kinds.len()
    }

    fn unescape(&mut self, raw: &[u8]) {
        let mut rest = raw.iter();
        while let Some(byte) = rest.next() {
            self.bytes.push(match byte {
                b'\\' => match rest.next().unwrap_or(byte) {
                    b'b' => 0x08,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 0x0b,
                    other => *other,
                },
                other => *other,
            });
        }
    }

    /// `\x00ff` as bytes; what is spelled otherwise stays.
    fn unhex(&mut self, from: usize) {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes: Option<Vec<u8>> = self.bytes[from..].strip_prefix(b"\\x").and_then(|digits| {
            let pairs = digits.chunks(2).map(|pair| match pair {
                [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
                _ => None,
            });
            pairs.collect()
        });
        if let Some(bytes) = bytes {
            self.bytes.truncate(from);
            self.bytes.extend(bytes);
        }
    }

    /// A cell of the kind that its column is, as binary COPY gives it; what is spelled otherwise is text, and fits no other column.
    pub(super) fn cell(&self, at: usize, kind: Kind) -> Cell<'_> {
        let Some(range) = self.cells[at].clone() else {
            return Cell::Null;
        };
        let bytes = &self.bytes[range];
        if kind == Kind::Bytea {
            return Cell::Bytes(bytes);
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Cell::NotUtf8(bytes);
        };
        let typed = match kind {
            Kind::Bool => text.parse().ok().map(Cell::Bool),
            Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Oid => text.parse().ok().map(Cell::Int),
            // The nearest `float4` to a spelling is not always that of its nearest `float8`.
            Kind::Float4 => text.parse::<f32>().ok().map(|value| Cell::Real(value.into())),
            Kind::Float8 => text.parse().ok().map(Cell::Real),
            Kind::Numeric(_) if text == "NaN" => Some(Cell::Real(f64::NAN)),
            Kind::Numeric(_) => decimal(text),
            _ => None,
        };
        typed.unwrap_or(Cell::Text(text))
    }
}

/// A number of at most 38 digits.
fn decimal(text: &str) -> Option<Cell<'_>> {
    let scale = text.split_once('.').map_or(0, |(_, digits)| digits.len());
    let digits: String = text.chars().filter(|c| *c != '.').collect();
    Some(Cell::Decimal { unscaled: digits.parse().ok()?, scale: u8::try_from(scale).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(line: &str, kinds: &[Kind]) -> Option<Vec<String>> {
        let mut read = Line::default();
        let whole = read.read(line.as_bytes(), kinds);
        whole.then(|| {
            kinds.iter().enumerate().map(|(at, kind)| format!("{:?}", read.cell(at, *kind))).collect()
        })
    }

    #[test]
    fn cells_are_what_they_were() {
        for (spelled, kind, expected) in [
            ("\\N", Kind::Text, "Null"),
            ("", Kind::Text, "Text(\"\")"),
            ("\\\\N", Kind::Text, "Text(\"\\\\N\")"),
            ("Ёж\\t\\n\\r\\b\\v\\f\\\\", Kind::Text, "Text(\"Ёж\\t\\n\\r\\u{8}\\u{b}\\u{c}\\\\\")"),
            ("\\\\x00FF", Kind::Bytea, "Bytes([0, 255])"),
            ("\\\\x", Kind::Bytea, "Bytes([])"),
            ("true", Kind::Bool, "Bool(true)"),
            ("-9223372036854775808", Kind::Int8, "Int(-9223372036854775808)"),
            ("0.1", Kind::Float4, "Real(0.10000000149011612)"),
            ("-Infinity", Kind::Float8, "Real(-inf)"),
            ("-0.05", Kind::Numeric(Some((12, 2))), "Decimal { unscaled: -5, scale: 2 }"),
            ("NaN", Kind::Numeric(None), "Real(NaN)"),
            ("infinity", Kind::Date, "Text(\"infinity\")"),
            (
                "2026-01-31 10:00:00+00",
                Kind::Timestamp { digits: 6, utc: true },
                "Text(\"2026-01-31 10:00:00+00\")",
            ),
        ] {
            assert_eq!(cells(spelled, &[kind]), Some(vec![expected.to_owned()]), "{spelled}");
        }
        assert_eq!(cells("1\t2", &[Kind::Int4]), None);
        assert_eq!(cells("1", &[Kind::Int4, Kind::Text]), None);
    }
}
