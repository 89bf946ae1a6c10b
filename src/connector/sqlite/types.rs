//! SQLite's types and Arrow's.
//!
//! Tables that we make keep their Arrow types in the side table `_vitrina_columns`; a table of others has the types
//! that its declarations suggest. `docs/connectors/sqlite.md` shows both as tables: keep them in step.

use arrow::datatypes::{DataType, TimeUnit};

use crate::model::column::ColumnType;

/// How SQLite itself turns what is put into a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    Integer,
    Text,
    Blob,
    Real,
    Numeric,
}

impl Affinity {
    /// By SQLite's five rules, in their order.
    pub(super) fn of(declared: &str) -> Self {
        let upper = declared.to_ascii_uppercase();
        let has = |part: &str| upper.contains(part);
        if has("INT") {
            Self::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Self::Text
        } else if has("BLOB") || upper.is_empty() {
            Self::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Self::Real
        } else {
            Self::Numeric
        }
    }

    /// Whether values of this Arrow type come out of such a column as they went in.
    pub(super) fn keeps(self, data_type: &DataType) -> bool {
        match storage(data_type) {
            Some("INTEGER" | "BOOLEAN") => matches!(self, Self::Integer | Self::Numeric | Self::Blob),
            Some("REAL") => matches!(self, Self::Real | Self::Blob),
            Some("TEXT") => matches!(self, Self::Text | Self::Blob),
            // Blobs are never turned into anything.
            Some("BLOB") => true,
            _ => self == Self::Blob,
        }
    }
}

/// How we declare a column of this type; `Some("")` = without a type, `None` = SQLite cannot keep it.
pub(super) fn storage(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::Boolean => "BOOLEAN",
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => "INTEGER",
        // Past 2^63 only text holds them, and any affinity would turn that into a double.
        DataType::UInt64 => "",
        DataType::Float32 | DataType::Float64 => "REAL",
        DataType::Utf8
        | DataType::Date32
        | DataType::Time64(TimeUnit::Microsecond)
        | DataType::Timestamp(_, _)
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _) => "TEXT",
        DataType::Binary => "BLOB",
        _ => return None,
    })
}

/// The Arrow type that a declaration of others suggests.
pub(super) fn suggested(declared: &str) -> DataType {
    let upper = declared.trim().to_ascii_uppercase();
    let (name, arguments) = upper.split_once('(').unwrap_or((&upper, ""));
    match name.trim() {
        "BOOL" | "BOOLEAN" => return DataType::Boolean,
        "DATE" => return DataType::Date32,
        "TIME" => return DataType::Time64(TimeUnit::Microsecond),
        "DATETIME" | "TIMESTAMP" => return DataType::Timestamp(TimeUnit::Microsecond, None),
        "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" => {
            return DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        }
        "DECIMAL" | "NUMERIC" | "NUMBER" => return decimal(arguments).unwrap_or(DataType::Float64),
        _ => {}
    }
    match Affinity::of(&upper) {
        Affinity::Integer => DataType::Int64,
        Affinity::Real => DataType::Float64,
        Affinity::Blob if !upper.is_empty() => DataType::Binary,
        // Text takes numbers too, so that a column that says nothing can be read at all.
        Affinity::Text | Affinity::Blob | Affinity::Numeric => DataType::Utf8,
    }
}

fn decimal(arguments: &str) -> Option<DataType> {
    let arguments = arguments.trim().strip_suffix(')')?;
    let spelled = if arguments.contains(',') { arguments.to_owned() } else { format!("{arguments},0") };
    let parsed: ColumnType = format!("decimal({spelled})").parse().ok()?;
    Some(parsed.arrow().clone())
}

/// The type that holds the values of both, as both are stored in SQLite; `None` = there is none.
pub(super) fn widened(target: &DataType, rows: &DataType) -> Option<DataType> {
    use DataType::{Decimal128, Decimal256, Float32, Float64, Int64, Timestamp, UInt64};
    if target == rows {
        return Some(target.clone());
    }
    match (target, rows) {
        (Float32, Float64) | (Float64, Float32) => Some(Float64),
        (UInt64, _) | (_, UInt64) => None,
        (Decimal128(p, s) | Decimal256(p, s), Decimal128(q, t) | Decimal256(q, t)) => {
            let scale = *s.max(t);
            let whole = (i16::from(*p) - i16::from(*s)).max(i16::from(*q) - i16::from(*t));
            let precision = u8::try_from(whole + i16::from(scale)).ok().filter(|p| *p <= 76)?;
            Some(if precision <= 38 { Decimal128(precision, scale) } else { Decimal256(precision, scale) })
        }
        // Nanoseconds are spelled with other digits: one column has one width.
        (Timestamp(a, x), Timestamp(b, y)) => {
            let same = x.is_some() == y.is_some() && *a != TimeUnit::Nanosecond && *b != TimeUnit::Nanosecond;
            let finer = if ticks(*a) >= ticks(*b) { a } else { b };
            same.then(|| Timestamp(*finer, x.clone()))
        }
        _ if target.is_integer() && rows.is_integer() => {
            let (a, b) = (bits(target), bits(rows));
            let signed = |found: &DataType| found.is_signed_integer();
            Some(match (signed(target), signed(rows)) {
                (x, y) if x == y => if a >= b { target } else { rows }.clone(),
                (true, false) if a > b => target.clone(),
                (false, true) if b > a => rows.clone(),
                _ => Int64,
            })
        }
        _ => None,
    }
}

fn bits(integer: &DataType) -> usize {
    integer.primitive_width().unwrap_or(8)
}

fn ticks(unit: TimeUnit) -> i64 {
    crate::model::value::Tick::from(unit).per_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> DataType {
        text.parse::<ColumnType>().unwrap().arrow().clone()
    }

    #[test]
    fn declarations_suggest_types() {
        let cases = [
            ("INTEGER", "int64"),
            ("unsigned big int", "int64"),
            ("varchar(20)", "text"),
            ("STRING", "text"),
            ("", "text"),
            ("ANY", "text"),
            ("BLOB", "bytes"),
            ("double precision", "float64"),
            ("NUMERIC", "float64"),
            ("decimal(10, 2)", "decimal(10,2)"),
            ("NUMERIC(12)", "decimal(12,0)"),
            ("DATETIME", "timestamp"),
            ("timestamp with time zone", "timestamp(us, UTC)"),
            ("date", "date"),
            ("Boolean", "bool"),
        ];
        for (declared, expected) in cases {
            assert_eq!(ColumnType::of(&suggested(declared)).to_string(), expected, "{declared}");
        }
    }

    #[test]
    fn widening_keeps_the_storage() {
        let widen =
            |a: &str, b: &str| widened(&kind(a), &kind(b)).map(|found| ColumnType::of(&found).to_string());
        assert_eq!(widen("int32", "int64").as_deref(), Some("int64"));
        assert_eq!(widen("int64", "uint8").as_deref(), Some("int64"));
        assert_eq!(widen("int8", "uint8").as_deref(), Some("int64"));
        assert_eq!(widen("decimal(5,2)", "decimal(5,4)").as_deref(), Some("decimal(7,4)"));
        assert_eq!(widen("timestamp(ms, UTC)", "timestamp(us, UTC)").as_deref(), Some("timestamp(us, UTC)"));
        assert_eq!(widen("timestamp", "timestamp(ns)"), None);
        assert_eq!(widen("timestamp", "timestamp(us, UTC)"), None);
        assert_eq!(widen("int64", "text"), None);
        assert_eq!(widen("int64", "float64"), None);
    }
}
