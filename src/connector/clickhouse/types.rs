//! ClickHouse types and Arrow types: how a column is read, and what keeps a column of rows.
//!
//! | ClickHouse | is read as |
//! |---|---|
//! | `Bool`, `Int8`–`Int64`, `UInt8`–`UInt64`, `Float32`, `Float64`, `Date32`, `String` | itself |
//! | `BFloat16` | `float32` |
//! | `Decimal(P, S)` | `decimal(P,S)` |
//! | `Date` | `date` |
//! | `DateTime`, `DateTime64(0)` of any zone | `timestamp(s, UTC)` |
//! | `DateTime64(1…9)` of any zone | `timestamp(ms, UTC)`, `(us, UTC)` or `(ns, UTC)`, the first that keeps all digits |
//! | `Time64(0…6)`, `Time` | `time` |
//! | `FixedString(N)` | `bytes` |
//! | `Enum`, `UUID`, `IPv4`, `IPv6`, `Int128`, `Int256`, `UInt128`, `UInt256`, `Variant`, `Dynamic`, `JSON`, `Time64(7…9)` | `text`, as the server spells it |
//! | `Array`, `Tuple`, `Map`, `Nested`, geometric types | `text`: JSON |
//! | `LowCardinality(T)`, `SimpleAggregateFunction(f, T)` | as `T` |
//! | `AggregateFunction` and whatever is newer | not at all |
//!
//! What ClickHouse has no type of its own for is told by the end of the column's comment: `(as bytes)` and `(as timestamp)` are columns that we made.

use arrow::datatypes::{DataType, TimeUnit};

use super::name::quote;
use crate::model::column::ColumnType;

/// A column's type, without `Nullable` and `LowCardinality`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kind {
    /// The innermost type as the server spells it.
    pub(super) spelled: String,
    pub(super) nullable: bool,
    reading: Reading,
    /// What the column's comment says that it is.
    told: Option<DataType>,
}

/// How cells come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reading {
    /// As they are.
    Plain(DataType),
    /// Through this function, without more arguments.
    Through(&'static str, DataType),
    /// As an instant of so many digits.
    Instant(u8),
    /// As a time of day.
    Time,
    /// Not at all.
    Nothing,
}

impl Kind {
    /// The kind of a column, by its type and its comment.
    pub(super) fn of(declared: &str, comment: &str) -> Self {
        let (spelled, nullable) = unwrapped(declared);
        let told = told(comment).filter(|told| carrier(told).is_some_and(|carrier| carrier == spelled));
        Self { reading: reading(spelled), spelled: spelled.to_owned(), nullable, told }
    }

    /// Its type in Arrow; `None` = it cannot be read.
    pub(super) fn arrow(&self) -> Option<DataType> {
        if let Some(told) = &self.told {
            return Some(told.clone());
        }
        match &self.reading {
            Reading::Plain(data_type) | Reading::Through(_, data_type) => Some(data_type.clone()),
            Reading::Instant(digits) => Some(DataType::Timestamp(unit(*digits), Some("UTC".into()))),
            Reading::Time => Some(DataType::Time64(TimeUnit::Microsecond)),
            Reading::Nothing => None,
        }
    }

    /// How it is selected. Without a name of its own: conditions would take that for the column's.
    pub(super) fn selected(&self, name: &str) -> String {
        let name = quote(name);
        match &self.reading {
            Reading::Plain(_) | Reading::Nothing => name,
            Reading::Through(function, _) => format!("{function}({name})"),
            Reading::Instant(digits) => format!("toDateTime64({name}, {}, 'UTC')", rounded(*digits)),
            Reading::Time => format!("CAST({name}, 'Nullable(Time64(6))')"),
        }
    }

    /// How an instant is spelled, that many ticks of the type's own unit after 1970; `None` = it is none.
    pub(super) fn instant(&self, ticks: i64) -> Option<String> {
        let Reading::Instant(digits) = self.reading else { return None };
        Some(match rounded(digits) {
            0 if self.spelled.starts_with("DateTime64") => format!("toDateTime64({ticks}, 0, 'UTC')"),
            0 => format!("toDateTime({ticks}, 'UTC')"),
            3 => format!("fromUnixTimestamp64Milli(toInt64({ticks}), 'UTC')"),
            6 => format!("fromUnixTimestamp64Micro(toInt64({ticks}), 'UTC')"),
            _ => format!("fromUnixTimestamp64Nano(toInt64({ticks}), 'UTC')"),
        })
    }

    /// The ticks of an instant, where `value` is an expression of the type; `None` = it is none.
    pub(super) fn ticks(&self, value: &str) -> Option<String> {
        let Reading::Instant(digits) = self.reading else { return None };
        let digits = rounded(digits);
        let scaled = format!("toDateTime64({value}, {}, 'UTC')", digits.max(3));
        Some(match digits {
            0 => format!("intDiv(toUnixTimestamp64Milli({scaled}), 1000)"),
            3 => format!("toUnixTimestamp64Milli({scaled})"),
            6 => format!("toUnixTimestamp64Micro({scaled})"),
            _ => format!("toUnixTimestamp64Nano({scaled})"),
        })
    }

    /// Whether rows can be written into it as what it is read as: not where the server would take them and change them, by cutting digits off or filling bytes up.
    pub(super) fn is_written(&self) -> bool {
        match &self.reading {
            Reading::Plain(_) => !self.spelled.starts_with("FixedString"),
            Reading::Instant(digits) => *digits == rounded(*digits),
            Reading::Through(..) => {
                matches!(self.spelled.as_str(), "Date" | "UUID" | "IPv4" | "IPv6")
                    || self.spelled.starts_with("Enum")
            }
            Reading::Time => self.spelled == "Time64(6)",
            Reading::Nothing => false,
        }
    }

    /// Days, or seconds, since 1970 that a cell may lie between; both are in.
    pub(super) fn range(&self) -> Option<(i64, i64)> {
        // 1900-01-01 to 2299-12-31; `Date` and `DateTime` have fewer bits, nanoseconds end where an Int64 of them does.
        const DAYS: (i64, i64) = (-25_567, 120_529);
        Some(match self.spelled.as_str() {
            "Date32" => DAYS,
            "Date" => (0, 65_535),
            other if other.starts_with("DateTime64(9") => (DAYS.0 * 86_400, 9_223_372_035),
            other if other.starts_with("DateTime64") => (DAYS.0 * 86_400, (DAYS.1 + 1) * 86_400 - 1),
            other if other.starts_with("DateTime") => (0, i64::from(u32::MAX)),
            _ => return None,
        })
    }

    /// Whether it has fewer dates or times than the type that we would keep such values in.
    pub(super) fn is_narrow(&self) -> bool {
        let widest =
            self.arrow().and_then(|kind| keeping(&kind)).and_then(|wide| Kind::of(&wide, "").range());
        let both = widest.zip(self.range());
        both.is_some_and(|((least, most), (first, last))| first > least || last < most)
    }
}

/// The type in SQL that keeps values of an Arrow type without loss; `None` = there is none.
pub(super) fn keeping(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Boolean => "Bool".to_owned(),
        DataType::Int8 => "Int8".to_owned(),
        DataType::Int16 => "Int16".to_owned(),
        DataType::Int32 => "Int32".to_owned(),
        DataType::Int64 => "Int64".to_owned(),
        DataType::UInt8 => "UInt8".to_owned(),
        DataType::UInt16 => "UInt16".to_owned(),
        DataType::UInt32 => "UInt32".to_owned(),
        DataType::UInt64 => "UInt64".to_owned(),
        DataType::Float32 => "Float32".to_owned(),
        DataType::Float64 => "Float64".to_owned(),
        DataType::Utf8 => "String".to_owned(),
        DataType::Date32 => "Date32".to_owned(),
        DataType::Time64(TimeUnit::Microsecond) => "Time64(6)".to_owned(),
        DataType::Decimal128(p, s) | DataType::Decimal256(p, s) if *s >= 0 => format!("Decimal({p}, {s})"),
        DataType::Timestamp(unit, Some(_)) => format!("DateTime64({}, 'UTC')", digits(*unit)),
        told => return carrier(told),
    })
}

/// What carries values of a type that ClickHouse does not have: its comment says so.
fn carrier(told: &DataType) -> Option<String> {
    match told {
        DataType::Binary => Some("String".to_owned()),
        DataType::Timestamp(unit, None) => Some(format!("DateTime64({}, 'UTC')", digits(*unit))),
        _ => None,
    }
}

/// A column's comment: what it means, and what it is where its type does not tell.
pub(super) fn comment(data_type: &DataType, description: Option<&str>) -> Option<String> {
    let told = carrier(data_type).map(|_| format!("(as {})", ColumnType::of(data_type)));
    match (description, told) {
        (Some(description), Some(told)) => Some(format!("{description} {told}")),
        (Some(description), None) => Some(description.to_owned()),
        (None, told) => told,
    }
}

/// What the end of a comment says.
fn told(comment: &str) -> Option<DataType> {
    let (_, told) = comment.strip_suffix(')')?.rsplit_once("(as ")?;
    Some(told.parse::<ColumnType>().ok()?.arrow().clone())
}

/// The innermost type, and whether it may be NULL.
fn unwrapped(declared: &str) -> (&str, bool) {
    let mut spelled = declared.trim();
    let mut nullable = false;
    loop {
        let inside = |name: &str| spelled.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        if let Some(inner) = inside("Nullable") {
            (spelled, nullable) = (inner, true);
        } else if let Some(inner) = inside("LowCardinality") {
            spelled = inner;
        } else if let Some((_, inner)) =
            inside("SimpleAggregateFunction").and_then(|inner| inner.split_once(", "))
        {
            spelled = inner;
        } else {
            return (spelled, nullable);
        }
    }
}

fn reading(spelled: &str) -> Reading {
    let (name, arguments) =
        spelled.split_once('(').map_or((spelled, ""), |(name, rest)| (name, rest.trim_end_matches(')')));
    let first: Option<u8> = arguments.split(',').next().and_then(|text| text.trim().parse().ok());
    let text = |function| Reading::Through(function, DataType::Utf8);
    match name {
        "Bool" => Reading::Plain(DataType::Boolean),
        "Int8" => Reading::Plain(DataType::Int8),
        "Int16" => Reading::Plain(DataType::Int16),
        "Int32" => Reading::Plain(DataType::Int32),
        "Int64" => Reading::Plain(DataType::Int64),
        "UInt8" => Reading::Plain(DataType::UInt8),
        "UInt16" => Reading::Plain(DataType::UInt16),
        "UInt32" => Reading::Plain(DataType::UInt32),
        "UInt64" => Reading::Plain(DataType::UInt64),
        "Float32" => Reading::Plain(DataType::Float32),
        "Float64" => Reading::Plain(DataType::Float64),
        "BFloat16" => Reading::Through("toFloat32", DataType::Float32),
        "String" => Reading::Plain(DataType::Utf8),
        "FixedString" => Reading::Plain(DataType::Binary),
        "Date32" => Reading::Plain(DataType::Date32),
        "Date" => Reading::Through("toDate32", DataType::Date32),
        "DateTime" => Reading::Instant(0),
        "DateTime64" => Reading::Instant(first.unwrap_or(3)),
        "Time" => Reading::Time,
        "Time64" if first.is_some_and(|digits| digits <= 6) => Reading::Time,
        "Decimal" => match decimal(arguments) {
            Some(data_type) => Reading::Plain(data_type),
            None => Reading::Nothing,
        },
        "Enum8" | "Enum16" | "UUID" | "IPv4" | "IPv6" | "Int128" | "Int256" | "UInt128" | "UInt256"
        | "Variant" | "Dynamic" | "JSON" | "Object" | "Time64" => text("toString"),
        "Array" | "Tuple" | "Map" | "Nested" | "Point" | "Ring" | "Polygon" | "MultiPolygon"
        | "LineString" | "MultiLineString" => text("toJSONString"),
        _ => Reading::Nothing,
    }
}

fn decimal(arguments: &str) -> Option<DataType> {
    let (precision, scale) = arguments.split_once(',')?;
    let (precision, scale): (u8, i8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    Some(if precision <= 38 {
        DataType::Decimal128(precision, scale)
    } else {
        DataType::Decimal256(precision, scale)
    })
}

/// The digits that an Arrow unit has, not fewer than these.
fn rounded(digits: u8) -> u8 {
    match digits {
        0 => 0,
        1..=3 => 3,
        4..=6 => 6,
        _ => 9,
    }
}

fn unit(digits: u8) -> TimeUnit {
    match rounded(digits) {
        0 => TimeUnit::Second,
        3 => TimeUnit::Millisecond,
        6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    }
}

fn digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// The type that holds a target's values and the rows'; `None` = none does.
pub(super) fn widened(target: &DataType, rows: &DataType) -> Option<DataType> {
    use crate::connector::cells::takes;
    if takes(target, rows) || wider_unsigned(target, rows) {
        return Some(target.clone());
    }
    match (target, rows) {
        // A table's order is not another one for a wider type of the same sort.
        (DataType::Timestamp(a, x), DataType::Timestamp(b, y)) if x.is_some() == y.is_some() => {
            Some(DataType::Timestamp(unit(digits(*a).max(digits(*b))), x.clone()))
        }
        _ if takes(rows, target) || wider_unsigned(rows, target) => Some(rows.clone()),
        _ => None,
    }
}

fn wider_unsigned(wide: &DataType, narrow: &DataType) -> bool {
    let width = |kind: &DataType| kind.primitive_width().filter(|_| kind.is_integer());
    let (Some(wide_bytes), Some(narrow_bytes)) = (width(wide), width(narrow)) else { return false };
    narrow.is_unsigned_integer() && wide_bytes > narrow_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(declared: &str) -> Option<String> {
        Kind::of(declared, "").arrow().map(|kind| ColumnType::of(&kind).to_string())
    }

    #[test]
    fn types_are_read() {
        for (theirs, ours) in [
            ("Nullable(Int64)", "int64"),
            ("LowCardinality(Nullable(String))", "text"),
            ("SimpleAggregateFunction(max, UInt64)", "uint64"),
            ("DateTime('Europe/Moscow')", "timestamp(s, UTC)"),
            ("DateTime64(4)", "timestamp(us, UTC)"),
            ("DateTime64(9, 'UTC')", "timestamp(ns, UTC)"),
            ("Decimal(76, 20)", "decimal(76,20)"),
            ("Enum8('a' = 1, 'b)' = 2)", "text"),
            ("Array(Tuple(a Int8, b String))", "text"),
            ("FixedString(16)", "bytes"),
            ("Time64(6)", "time"),
        ] {
            assert_eq!(read(theirs).as_deref(), Some(ours), "{theirs}");
        }
        assert_eq!(read("AggregateFunction(uniq, UInt64)"), None);
        assert_eq!(Kind::of("DateTime64(4)", "").selected("a`b"), r"toDateTime64(`a\`b`, 6, 'UTC')");
    }

    #[test]
    fn comments_tell_what_types_do_not() {
        let wall: ColumnType = "timestamp(ms)".parse().unwrap();
        let comment = comment(wall.arrow(), Some("когда (по часам)")).unwrap();
        assert_eq!(comment, "когда (по часам) (as timestamp(ms))");
        assert_eq!(Kind::of("Nullable(DateTime64(3, 'UTC'))", &comment).arrow().as_ref(), Some(wall.arrow()));
        // A comment that does not go with the type is a comment.
        assert_eq!(Kind::of("Int64", "ids (as bytes)").arrow(), Some(DataType::Int64));
        assert_eq!(Kind::of("String", "(as int64)").arrow(), Some(DataType::Utf8));
    }

    #[test]
    fn narrow_dates_and_times() {
        for (declared, narrow) in [
            ("Date", true),
            ("Nullable(DateTime('UTC'))", true),
            ("Date32", false),
            ("DateTime64(0, 'UTC')", false),
            ("DateTime64(9)", false),
            ("DateTime64(7)", false),
            ("Int8", false),
            ("String", false),
        ] {
            assert_eq!(Kind::of(declared, "").is_narrow(), narrow, "{declared}");
        }
    }

    #[test]
    fn widening() {
        let widen = |a: &str, b: &str| {
            let kind = |text: &str| text.parse::<ColumnType>().unwrap().arrow().clone();
            widened(&kind(a), &kind(b)).map(|kind| ColumnType::of(&kind).to_string())
        };
        assert_eq!(widen("int32", "int64").as_deref(), Some("int64"));
        assert_eq!(widen("int64", "uint32").as_deref(), Some("int64"));
        assert_eq!(widen("uint64", "int64"), None);
        assert_eq!(widen("timestamp(s, UTC)", "timestamp(us, UTC)").as_deref(), Some("timestamp(us, UTC)"));
        assert_eq!(widen("timestamp", "timestamp(us, UTC)"), None);
        assert_eq!(widen("int64", "text"), None);
    }
}
