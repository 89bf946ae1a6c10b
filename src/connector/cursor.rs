//! Cursors: the columns that order rows, and the ranges of rows that units are.
//!
//! What a key's values are in a place is its connector's to say; what they are in a position, and which rows lie between two positions, is here.

use arrow::datatypes::{DataType, SchemaRef};

use super::{
    error::{Error, ErrorKind, Result},
    source::{CursorSpec, Overlap, SourceSpec},
};
use crate::model::{
    name::AttemptId,
    position::{Bound, Position, SourceIdentity},
    unit::{Progress, Scope, Unit},
    value::{Tick, Value},
};

/// A column that orders rows.
#[derive(Debug, Clone)]
pub(crate) struct KeyColumn {
    pub(crate) column: String,
    pub(crate) kind: KeyKind,
    /// How messages name it.
    shown: String,
}

/// What orders them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Integer,
    Decimal { precision: u8, scale: i8 },
    Text,
    Date,
    Timestamp { unit: Tick, utc: bool },
}

impl KeyKind {
    /// Of values that are read as this; `None` = they have no exact order.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            found if found.is_integer() => Self::Integer,
            DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
                Self::Decimal { precision: *precision, scale: *scale }
            }
            DataType::Utf8 => Self::Text,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(unit, zone) => Self::Timestamp { unit: (*unit).into(), utc: zone.is_some() },
            _ => return None,
        })
    }
}

impl KeyColumn {
    /// A column of a table, which messages name as `table`.
    pub(crate) fn new(column: &str, kind: KeyKind, table: &str) -> Self {
        Self { column: column.to_owned(), kind, shown: format!("column \"{column}\" of {table}") }
    }

    /// The error of a column that cannot order rows.
    pub(crate) fn refused(column: &str, table: &str, why: &str) -> Error {
        let message = format!("column \"{column}\" of {table} cannot be a cursor: {why}");
        Error::new(ErrorKind::Unsupported, message)
            .hint("take a column of rising whole numbers, text, dates or timestamps as the cursor")
    }

    /// Its type in a source's identity.
    pub(crate) fn identity(&self) -> String {
        let kind = match self.kind {
            KeyKind::Integer => "integer",
            KeyKind::Decimal { .. } => "decimal",
            KeyKind::Text => "text",
            KeyKind::Date => "date",
            KeyKind::Timestamp { .. } => "timestamp",
        };
        format!("{} {kind}", self.column)
    }

    /// Whether a row keeps its value as long as it lives: times of change do not.
    pub(crate) fn stays(&self) -> bool {
        !matches!(self.kind, KeyKind::Timestamp { .. } | KeyKind::Date)
    }

    /// The value that lies `overlap` before this one.
    pub(crate) fn before(&self, value: &Value, overlap: Overlap) -> Result<Value> {
        Ok(match (value, overlap) {
            (Value::Int(at), Overlap::Steps(steps)) => Value::Int(at.saturating_sub_unsigned(steps)),
            (Value::UInt(at), Overlap::Steps(steps)) => Value::UInt(at.saturating_sub(steps)),
            (Value::Decimal { unscaled, scale }, Overlap::Steps(steps)) => {
                let one = 10_i128.pow(scale.unsigned_abs().into());
                let unscaled = unscaled.saturating_sub(one.saturating_mul(steps.into()));
                Value::Decimal { unscaled, scale: *scale }
            }
            (Value::Date(days), Overlap::Span(span)) => {
                let back = i32::try_from(span.get().as_secs().div_ceil(86_400)).unwrap_or(i32::MAX);
                Value::Date(days.saturating_sub(back))
            }
            (Value::Timestamp { ticks, unit, utc }, Overlap::Span(span)) => {
                let nanos_per_tick = u128::from((Tick::Ns.per_second() / unit.per_second()).unsigned_abs());
                let back = i64::try_from(span.get().as_nanos() / nanos_per_tick).unwrap_or(i64::MAX);
                Value::Timestamp { ticks: ticks.saturating_sub(back), unit: *unit, utc: *utc }
            }
            _ => return Err(self.no_overlap()),
        })
    }

    /// The error of an overlap of another measure than the column's.
    pub(crate) fn no_overlap(&self) -> Error {
        let message = format!("{} cannot be read again by such an overlap", self.shown);
        Error::new(ErrorKind::Unsupported, message)
            .hint("an overlap is a number for numbers, a length of time for dates and timestamps")
    }

    /// The error of a cell that a cursor cannot be.
    pub(crate) fn holds(&self, what: &str) -> Error {
        let message = format!("{} is the cursor and holds {what}: such rows would never be read", self.shown);
        Error::new(ErrorKind::BadData, message).hint("mend these rows, or take another column as the cursor")
    }

    /// The error of times that are not all spelled alike: they do not sort as time.
    pub(crate) fn uneven(&self) -> Error {
        let message = format!("{} is the cursor and its times are not all spelled alike", self.shown);
        Error::new(ErrorKind::BadData, message)
            .hint("text sorts as time only where every value has the same digits and the same zone")
    }

    /// The error of a position's value that the column cannot have.
    pub(crate) fn no_place(&self, value: &Value) -> Error {
        let sort = match value {
            Value::Int(_) | Value::UInt(_) => "a whole number",
            Value::Text(_) => "text",
            Value::Date(_) => "a date",
            Value::Timestamp { .. } => "a timestamp",
            Value::Decimal { .. } => "a decimal",
            Value::Null | Value::Bool(_) | Value::Float(_) => "something else",
        };
        Error::new(ErrorKind::SourceChanged, format!("{} has no place that is {sort}", self.shown))
    }
}

/// A column that orders rows, where the place's SQL holds values as text.
pub(crate) trait SqlKey: Sized {
    /// The column.
    fn key(&self) -> &KeyColumn;

    /// The column in comparisons and orders.
    fn sql(&self) -> String;

    /// A position's value in SQL.
    fn literal(&self, value: &Value) -> Result<String>;

    /// Rows whose keys lie on a side of a tuple, which has as many values as there are keys.
    fn compared(keys: &[Self], side: Side, at: &[String]) -> String;
}

/// Where rows lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Behind a tuple.
    Behind,
    /// At it, and behind it.
    From,
    /// Before it, and at it.
    UpTo,
}

/// The keys of a table: cursor and tie; none of a whole table.
pub(crate) struct Keys<K> {
    pub(crate) all: Vec<K>,
    cursor: Option<CursorSpec>,
    /// How messages name the table.
    shown: String,
}

impl<K: SqlKey> Keys<K> {
    /// Resolves what is to be read; `key` finds a column that can be a key.
    pub(crate) fn of(spec: &SourceSpec, shown: &str, key: impl Fn(&str) -> Result<K>) -> Result<Self> {
        let cursor = spec.cursor.clone().filter(|_| !spec.whole);
        let names = cursor.iter().flat_map(|cursor| std::iter::once(&cursor.column).chain(&cursor.tie));
        let all = names.map(|name| key(name)).collect::<Result<_>>()?;
        Ok(Self { all, cursor, shown: shown.to_owned() })
    }

    /// The columns, for a list in SQL.
    pub(crate) fn list(&self) -> String {
        self.all.iter().map(K::sql).collect::<Vec<_>>().join(", ")
    }

    /// Whether a column is one of them.
    pub(crate) fn contain(&self, column: &str) -> bool {
        self.all.iter().any(|key| key.key().column == column)
    }

    /// `ORDER BY` the keys.
    pub(crate) fn order(&self, direction: &str) -> String {
        let terms: Vec<String> = self.all.iter().map(|key| format!("{}{direction}", key.sql())).collect();
        format!(" ORDER BY {}", terms.join(", "))
    }

    /// The keys against a tuple.
    pub(crate) fn compared(&self, side: Side, at: &[Value]) -> Result<String> {
        if at.len() != self.all.len() {
            let message = format!("the position in {} has another number of columns", self.shown);
            return Err(Error::new(ErrorKind::SourceChanged, message));
        }
        let values = self.all.iter().zip(at).map(|(key, value)| key.literal(value));
        Ok(K::compared(&self.all, side, &values.collect::<Result<Vec<_>>>()?))
    }

    /// Where rows behind a bound begin; without one, where the source begins.
    fn lower(&self, begin: Option<&Bound>) -> Result<Option<String>> {
        if let Some(begin) = begin {
            return self.compared(Side::Behind, &begin.at).map(Some);
        }
        Ok(self.start()?.map(|start| format!("{} >= {start}", self.all[0].sql())))
    }

    fn start(&self) -> Result<Option<String>> {
        let start = self.cursor.as_ref().and_then(|cursor| cursor.start.as_ref());
        start.map(|start| self.all[0].literal(start)).transpose()
    }

    /// Where the overlap before a tuple begins, but not before the source's start; `None` without an overlap.
    pub(crate) fn overlap_lower(&self, at: &[Value]) -> Result<Option<String>> {
        let overlap = self.cursor.as_ref().and_then(|cursor| cursor.overlap);
        let (Some(overlap), Some(first)) = (overlap, at.first()) else { return Ok(None) };
        let key = &self.all[0];
        let (back, column) = (key.literal(&key.key().before(first, overlap)?)?, key.sql());
        Ok(Some(match self.start()? {
            Some(start) => format!("{column} >= {back} AND {column} >= {start}"),
            None => format!("{column} >= {back}"),
        }))
    }

    /// Whether rows are read again.
    pub(crate) fn overlap(&self) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| cursor.overlap.is_some())
    }

    /// What stands behind a table's name for the rows behind one bound and up to another.
    pub(crate) fn range(&self, begin: Option<&Bound>, end: &Bound) -> Result<String> {
        Ok(behind_where([self.lower(begin)?, Some(self.compared(Side::UpTo, &end.at)?)]))
    }

    /// What stands there for the rows of a unit; `None` = it is all of them.
    pub(crate) fn range_of(&self, unit: &Unit) -> Result<Option<String>> {
        let Scope::Slice { from } = &unit.scope else { return Ok(None) };
        let begin = from.as_ref().and_then(Position::bound);
        let overlap = begin.map_or(Ok(None), |begin| self.overlap_lower(&begin.at))?;
        let lower = overlap.map_or_else(|| self.lower(begin), |lower| Ok(Some(lower)))?;
        let upper = unit.after.position().and_then(Position::bound);
        let upper = upper.map(|bound| self.compared(Side::UpTo, &bound.at)).transpose()?;
        Ok(Some(behind_where([lower, upper])))
    }

    /// The same with placeholders for values, for people.
    pub(crate) fn shape_of(&self, unit: &Unit) -> Option<String> {
        let Scope::Slice { from } = &unit.scope else { return None };
        let marks = vec!["?".to_owned(); self.all.len()];
        let begun = from.as_ref().and_then(Position::bound).is_some();
        let starts = self.cursor.as_ref().is_some_and(|cursor| cursor.start.is_some());
        let lower = if begun && !self.overlap() {
            Some(K::compared(&self.all, Side::Behind, &marks))
        } else {
            (begun || starts).then(|| format!("{} >= ?", self.all[0].sql()))
        };
        Some(behind_where([lower, Some(K::compared(&self.all, Side::UpTo, &marks))]))
    }
}

fn behind_where(conditions: [Option<String>; 2]) -> String {
    let conditions: Vec<&str> = conditions.iter().flatten().map(String::as_str).collect();
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
}

/// What positions in a table are positions in.
pub(crate) fn identity<'a>(
    kind: &str,
    place: String,
    keys: impl Iterator<Item = &'a KeyColumn>,
) -> SourceIdentity {
    let order: Vec<String> = keys.map(KeyColumn::identity).collect();
    let order = if order.is_empty() { "whole".to_owned() } else { order.join(", ") };
    SourceIdentity { kind: kind.to_owned(), place, order }
}

/// Refuses positions in another source than it is now.
pub(crate) fn check_identity(from: Option<&Position>, head: &Position, now: &SourceIdentity) -> Result<()> {
    let Some(then) =
        from.into_iter().chain([head]).map(|position| &position.source).find(|then| *then != now)
    else {
        return Ok(());
    };
    let message = format!(
        "the position is one in {} {} by {}, but the source is {} {} by {} now",
        then.kind, then.place, then.order, now.kind, now.place, now.order,
    );
    Err(Error::new(ErrorKind::SourceChanged, message))
}

/// The head of a whole table: another generation every time.
pub(crate) fn generation(identity: SourceIdentity) -> Position {
    let at = vec![Value::Text(AttemptId::fresh().to_string())];
    Position::single(identity, Some(Bound::at(at)))
}

/// A whole table as a unit.
pub(crate) fn snapshot(head: &Position, schema: SchemaRef, rows: Option<u64>) -> Unit {
    Unit { scope: Scope::Snapshot, after: Progress::Position(head.clone()), schema, rows, about: None }
}

/// The rows behind one position and up to another as a unit.
pub(crate) fn slice(from: Option<&Position>, after: Position, schema: SchemaRef, rows: Option<u64>) -> Unit {
    Unit {
        scope: Scope::Slice { from: from.cloned() },
        after: Progress::Position(after),
        schema,
        rows,
        about: None,
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::{super::source::SourceOptions, *};
    use crate::model::time::Span;

    struct Plain(KeyColumn);

    impl SqlKey for Plain {
        fn key(&self) -> &KeyColumn {
            &self.0
        }

        fn sql(&self) -> String {
            self.0.column.clone()
        }

        fn literal(&self, value: &Value) -> Result<String> {
            match value {
                Value::Int(_) => Ok(value.to_string()),
                _ => Err(self.0.no_place(value)),
            }
        }

        fn compared(keys: &[Self], side: Side, at: &[String]) -> String {
            let keys: Vec<String> = keys.iter().map(Self::sql).collect();
            format!("({}) {side:?} ({})", keys.join(", "), at.join(", "))
        }
    }

    fn keys(overlap: Option<Overlap>, start: Option<i64>) -> Keys<Plain> {
        let cursor = CursorSpec {
            column: "a".to_owned(),
            tie: Some("b".to_owned()),
            overlap,
            start: start.map(Value::Int),
        };
        let spec = SourceSpec {
            connection: "c".to_owned(),
            schema: None,
            table: "t".to_owned(),
            cursor: Some(cursor),
            whole: false,
            contract: None,
            zone: Tz::UTC,
            options: SourceOptions::default(),
        };
        let key = |name: &str| Ok(Plain(KeyColumn::new(name, KeyKind::Integer, "the table")));
        Keys::of(&spec, "the table", key).unwrap()
    }

    fn position(at: &[i64]) -> Position {
        let source = SourceIdentity { kind: "k".into(), place: "p".into(), order: "a integer".into() };
        Position::single(source, Some(Bound::at(at.iter().copied().map(Value::Int).collect())))
    }

    fn unit(from: Option<&Position>, after: &[i64]) -> Unit {
        slice(from, position(after), arrow::datatypes::Schema::empty().into(), None)
    }

    #[test]
    fn units_are_ranges_of_keys() {
        let (from, plain) = (position(&[5, 1]), keys(None, Some(3)));
        let range = |keys: &Keys<Plain>, unit| keys.range_of(&unit).unwrap().unwrap();
        assert_eq!(range(&plain, unit(None, &[9, 2])), " WHERE a >= 3 AND (a, b) UpTo (9, 2)");
        assert_eq!(
            range(&plain, unit(Some(&from), &[9, 2])),
            " WHERE (a, b) Behind (5, 1) AND (a, b) UpTo (9, 2)"
        );
        let again = keys(Some(Overlap::Steps(4)), Some(3));
        assert_eq!(
            range(&again, unit(Some(&from), &[9, 2])),
            " WHERE a >= 1 AND a >= 3 AND (a, b) UpTo (9, 2)"
        );
        assert_eq!(
            again.shape_of(&unit(Some(&from), &[9, 2])).unwrap(),
            " WHERE a >= ? AND (a, b) UpTo (?, ?)"
        );
        let whole = snapshot(&from, arrow::datatypes::Schema::empty().into(), None);
        assert_eq!((plain.range_of(&whole).unwrap(), plain.shape_of(&whole)), (None, None));
        let short = plain.compared(Side::UpTo, &[Value::Int(1)]).unwrap_err();
        assert_eq!(short.kind, ErrorKind::SourceChanged);
    }

    #[test]
    fn an_overlap_is_of_the_columns_own_measure() {
        let key = KeyColumn::new("at", KeyKind::Date, "the table");
        let hours = Overlap::Span("36h".parse::<Span>().unwrap());
        let before = |value, overlap| key.before(&value, overlap).unwrap();
        assert_eq!(before(Value::Date(10), hours), Value::Date(8));
        let at = |ticks, unit| Value::Timestamp { ticks, unit, utc: true };
        assert_eq!(before(at(200_000, Tick::S), hours), at(200_000 - 36 * 3_600, Tick::S));
        assert_eq!(before(at(i64::MIN + 1, Tick::Ns), hours), at(i64::MIN, Tick::Ns));
        assert_eq!(before(Value::UInt(3), Overlap::Steps(5)), Value::UInt(0));
        let decimal = Value::Decimal { unscaled: 1_250, scale: 2 };
        assert_eq!(before(decimal, Overlap::Steps(2)), Value::Decimal { unscaled: 1_050, scale: 2 });
        assert_eq!(key.before(&Value::Int(3), hours).unwrap_err().kind, ErrorKind::Unsupported);
    }

    #[test]
    fn a_position_in_another_source_is_refused() {
        let (here, mut there) = (position(&[1, 1]), position(&[1, 1]));
        there.source.place = "another".to_owned();
        assert!(check_identity(Some(&here), &here, &here.source).is_ok());
        let error = check_identity(Some(&there), &here, &here.source).unwrap_err();
        assert_eq!(error.kind, ErrorKind::SourceChanged);
        assert!(error.message.contains("k another by a integer"), "{error}");
    }
}
