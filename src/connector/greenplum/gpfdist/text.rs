//! Rows as lines of Greenplum's TEXT format, with its own defaults: cells parted by tabs, `\N` for NULL, `\` before what would end a cell.

use std::fmt::Write as _;

use arrow::{array::Array, array::RecordBatch};
use bytes::{BufMut, BytesMut};

use crate::connector::{
    error::Result,
    pg::encode::{self, Column, FAR, unwritable},
};

const SECONDS_OF_DAY: i64 = 86_400;
const MICROS: i64 = 1_000_000;
/// Days from 0000-03-01 to 1970-01-01, and days of 400 years.
const DAYS_TO_1970: i64 = 719_468;
const DAYS_OF_ERA: i64 = 146_097;

/// The rows of a batch, ready to be written one by one.
pub(super) struct Lines<'a> {
    batch: &'a RecordBatch,
    columns: Vec<Column<'a>>,
    /// Holds one cell.
    cell: String,
}

impl<'a> Lines<'a> {
    /// Fails for columns of types that no target has.
    pub(super) fn new(batch: &'a RecordBatch) -> Result<Self> {
        let columns = batch.columns().iter().map(encode::column).collect::<Result<_>>()?;
        Ok(Self { batch, columns, cell: String::new() })
    }

    /// Writes a row; its number is the last cell.
    pub(super) fn write(&mut self, row: usize, number: u64, out: &mut BytesMut) -> Result<()> {
        for (at, column) in self.columns.iter().enumerate() {
            if self.batch.column(at).is_null(row) {
                out.put_slice(b"\\N");
            } else {
                self.cell.clear();
                let put = put(column, row, &mut self.cell, out);
                put.map_err(|why| unwritable(self.batch, at, why))?;
            }
            out.put_u8(b'\t');
        }
        self.cell.clear();
        let _ = write!(self.cell, "{number}");
        out.put_slice(self.cell.as_bytes());
        out.put_u8(b'\n');
        Ok(())
    }
}

/// Writes a cell that is not NULL, or says what it is that cannot be.
fn put(
    column: &Column<'_>,
    row: usize,
    cell: &mut String,
    out: &mut BytesMut,
) -> std::result::Result<(), &'static str> {
    // Writing into a text cannot fail.
    let _ = match column {
        Column::Bool(array) => write!(cell, "{}", if array.value(row) { 't' } else { 'f' }),
        Column::Int2(values) => write!(cell, "{}", values[row]),
        Column::Int4(values) => write!(cell, "{}", values[row]),
        Column::Int8(values) => write!(cell, "{}", values[row]),
        Column::Oid(values) => write!(cell, "{}", values[row]),
        Column::Float4(values) => match values[row] {
            value if value.is_infinite() => write!(cell, "{}Infinity", if value < 0.0 { "-" } else { "" }),
            value => write!(cell, "{value:e}"),
        },
        Column::Float8(values) => match values[row] {
            value if value.is_infinite() => write!(cell, "{}Infinity", if value < 0.0 { "-" } else { "" }),
            value => write!(cell, "{value:e}"),
        },
        Column::Text(array) => {
            escape(array.value(row), out)?;
            Ok(())
        }
        Column::Bytes(array) => {
            cell.push_str("\\\\x");
            array.value(row).iter().try_for_each(|byte| write!(cell, "{byte:02x}"))
        }
        Column::Date(values) => {
            let before_christ = date(values[row].into(), cell);
            write!(cell, "{before_christ}")
        }
        Column::Time(values) => {
            time(values[row], cell);
            Ok(())
        }
        Column::Timestamp(values, one) => {
            let micros = values[row].checked_mul(*one).ok_or(FAR)?;
            let before_christ = date(micros.div_euclid(SECONDS_OF_DAY * MICROS), cell);
            cell.push(' ');
            time(micros.rem_euclid(SECONDS_OF_DAY * MICROS), cell);
            // Where the column has no zone, the server passes over it.
            write!(cell, "+00{before_christ}")
        }
        Column::Decimal(values, scale) => {
            decimal(&values[row].unsigned_abs().to_string(), values[row] < 0, *scale, cell);
            Ok(())
        }
        Column::Wide(array, scale) => {
            let digits = array.value(row).to_string();
            decimal(digits.trim_start_matches('-'), digits.starts_with('-'), *scale, cell);
            Ok(())
        }
    };
    out.put_slice(cell.as_bytes());
    Ok(())
}

/// A text with a backslash before what would end it, or be taken for something else.
fn escape(text: &str, out: &mut BytesMut) -> std::result::Result<(), &'static str> {
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escaped = match byte {
            b'\\' => b'\\',
            b'\t' => b't',
            b'\n' => b'n',
            b'\r' => b'r',
            0 => return Err("a text with a NUL in it"),
            _ => continue,
        };
        out.put_slice(&bytes[from..at]);
        out.put_slice(&[b'\\', escaped]);
        from = at + 1;
    }
    out.put_slice(&bytes[from..]);
    Ok(())
}

/// A day by its distance from 1970, in the calendar that the server counts in; what has to stand behind it.
fn date(days: i64, cell: &mut String) -> &'static str {
    // Eras of 400 years, whose years begin in March: leap days are last.
    let days = days + DAYS_TO_1970;
    let (era, day) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    // There is no year 0.
    let (year, behind) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    let _ = write!(cell, "{year:04}-{month:02}-{day:02}");
    behind
}

/// A time of day by its distance from midnight in microseconds.
fn time(micros: i64, cell: &mut String) {
    let (seconds, micros) = (micros / MICROS, micros % MICROS);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let _ = write!(cell, "{hours:02}:{minutes:02}:{seconds:02}.{micros:06}");
}

fn decimal(digits: &str, negative: bool, scale: u8, cell: &mut String) {
    let scale = usize::from(scale);
    let whole = digits.len().saturating_sub(scale);
    let sign = if negative { "-" } else { "" };
    let _ = match whole {
        _ if scale == 0 => write!(cell, "{sign}{digits}"),
        0 => write!(cell, "{sign}0.{digits:0>scale$}"),
        _ => write!(cell, "{sign}{}.{}", &digits[..whole], &digits[whole..]),
    };
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{
            ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
            Int16Array, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray, TimestampSecondArray,
        },
        datatypes::i256,
    };

    use super::*;

    /// The lines of one column's cells.
    fn lines(column: ArrayRef) -> String {
        let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
        let (mut out, mut lines) = (BytesMut::new(), Lines::new(&batch).unwrap());
        for row in 0..batch.num_rows() {
            lines.write(row, row as u64, &mut out).unwrap();
        }
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn micros(text: &str) -> i64 {
        chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
    }

    #[test]
    fn cells_are_lines() {
        let texts = StringArray::from(vec![
            Some("Ёж\t\\N\n"),
            None,
            Some(""),
            Some("\\."),
            Some("\r\n"),
            Some("a|b,\"c'"),
        ]);
        assert_eq!(
            lines(Arc::new(texts)),
            "Ёж\\t\\\\N\\n\t0\n\\N\t1\n\t2\n\\\\.\t3\n\\r\\n\t4\na|b,\"c'\t5\n"
        );
        assert_eq!(lines(Arc::new(BooleanArray::from(vec![true, false]))), "t\t0\nf\t1\n");
        assert_eq!(lines(Arc::new(Int16Array::from(vec![-32_768]))), "-32768\t0\n");
        assert_eq!(lines(Arc::new(BinaryArray::from(vec![&b"\0\xff\\"[..]]))), "\\\\x00ff5c\t0\n");
        let reals = vec![0.1, -0.0, f64::NAN, f64::NEG_INFINITY, f64::MAX, 5e-324];
        assert_eq!(
            lines(Arc::new(Float64Array::from(reals))),
            "1e-1\t0\n-0e0\t1\nNaN\t2\n-Infinity\t3\n1.7976931348623157e308\t4\n5e-324\t5\n"
        );
        assert_eq!(lines(Arc::new(Float32Array::from(vec![0.1, f32::INFINITY]))), "1e-1\t0\nInfinity\t1\n");
    }

    #[test]
    fn decimals_keep_every_digit() {
        let decimals = Decimal128Array::from(vec![-5, 0, 12_345, 5]).with_precision_and_scale(12, 2).unwrap();
        assert_eq!(lines(Arc::new(decimals)), "-0.05\t0\n0.00\t1\n123.45\t2\n0.05\t3\n");
        let whole = Decimal128Array::from(vec![-7]).with_precision_and_scale(20, 0).unwrap();
        assert_eq!(lines(Arc::new(whole)), "-7\t0\n");
        let wide = arrow::array::Decimal256Array::from(vec![i256::from_i128(-1)]);
        assert_eq!(lines(Arc::new(wide.with_precision_and_scale(76, 3).unwrap())), "-0.001\t0\n");
    }

    #[test]
    fn days_and_times() {
        let days = vec![0, 11_016, -1, -719_162, -719_163, 2_932_896, 2_932_897];
        assert_eq!(
            lines(Arc::new(Date32Array::from(days))),
            "1970-01-01\t0\n2000-02-29\t1\n1969-12-31\t2\n0001-01-01\t3\n0001-12-31 BC\t4\n9999-12-31\t5\n10000-01-01\t6\n"
        );
        let clock = Time64MicrosecondArray::from(vec![86_399_999_999, 0]);
        assert_eq!(lines(Arc::new(clock)), "23:59:59.999999\t0\n00:00:00.000000\t1\n");
        let instants = vec![micros("1969-12-31T23:59:59.999999Z"), micros("2026-01-31T10:00:00Z")];
        assert_eq!(
            lines(Arc::new(TimestampMicrosecondArray::from(instants))),
            "1969-12-31 23:59:59.999999+00\t0\n2026-01-31 10:00:00.000000+00\t1\n"
        );
        let early = TimestampSecondArray::from(vec![-719_163 * 86_400]);
        assert_eq!(lines(Arc::new(early)), "0001-12-31 00:00:00.000000+00 BC\t0\n");
    }

    #[test]
    fn every_day_of_four_hundred_years_is_the_calendars() {
        for days in (-200_000..200_000).step_by(1) {
            let mut told = String::new();
            if date(days, &mut told).is_empty() {
                let expected = chrono::DateTime::from_timestamp(days * SECONDS_OF_DAY, 0).unwrap();
                assert_eq!(told, expected.format("%Y-%m-%d").to_string());
            }
        }
    }

    #[test]
    fn what_no_text_can_hold_is_told() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["secret\0cell"]));
        let batch = RecordBatch::try_from_iter([("имя", texts)]).unwrap();
        let error = Lines::new(&batch).unwrap().write(0, 0, &mut BytesMut::new()).unwrap_err();
        assert!(error.to_string().contains("\"имя\" holds a text with a NUL"), "{error}");
        assert!(!error.to_string().contains("secret"));
    }
}
