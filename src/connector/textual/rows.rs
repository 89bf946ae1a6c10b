//! Fields become rows: against the columns that were agreed on, or not at all.

use arrow::datatypes::{DataType, SchemaRef};
use serde_json::{Map, Value as Json};

use super::value::Fields;
use crate::connector::{
    cells::{Cell, RowDecoder, Rules},
    error::Result,
    source::{BadRow, Chunk},
};

/// What to do with fields that are no columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// Left out.
    Drop,
    /// The row is bad.
    Refuse,
}

/// Builds chunks from the fields of rows.
pub(crate) struct FieldRows {
    schema: SchemaRef,
    others: Others,
    rows: RowDecoder,
    /// Where a column's field lay in the last row: most rows have theirs in one order.
    usual: Vec<usize>,
    /// Whether some column is of bytes, which have to be decoded.
    binary: bool,
}

impl FieldRows {
    /// Rows of `schema`. Fails for types that cells cannot be read as (lists, structs).
    pub(crate) fn new(schema: SchemaRef, rules: Rules, others: Others) -> Result<Self> {
        let rows = RowDecoder::new(schema.clone(), rules)?;
        let usual = (0..schema.fields().len()).collect();
        let binary = schema.fields().iter().any(|field| *field.data_type() == DataType::Binary);
        Ok(Self { schema, others, rows, usual, binary })
    }

    /// Rows that wait, bad ones included.
    pub(crate) fn rows(&self) -> usize {
        self.rows.rows()
    }

    /// About how many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    /// What was taken since the last chunk.
    pub(crate) fn finish(&mut self) -> Result<Chunk> {
        self.rows.finish()
    }

    /// Takes a row's fields, or notes the row as bad.
    pub(crate) fn push(&mut self, ordinal: u64, found: &Fields<'_>) {
        let schema = self.schema.clone();
        let columns = schema.fields();
        // As many fields as columns, each where it was in the last row: none is there twice, and no other one.
        let as_usual = found.len() == columns.len()
            && columns.iter().zip(&self.usual).all(|(column, at)| is_at(found, *at, column.name()));
        let places: Vec<Option<usize>> = if as_usual {
            self.usual.iter().copied().map(Some).collect()
        } else {
            let named = columns.iter().zip(&mut self.usual);
            named.map(|(column, usual)| place(found, column.name(), usual)).collect()
        };
        let other = |index: &usize| !places.contains(&Some(*index)) && is_last(found, *index);
        if !as_usual
            && self.others == Others::Refuse
            && let Some(index) = (0..found.len()).find(other)
        {
            let name = found[index].0.clone().into_owned();
            let row = found.iter().map(|(name, value)| (name.clone().into_owned(), value.json())).collect();
            self.bad(ordinal, Some(name), "a field that is no column", row);
            return;
        }
        let bytes: Vec<Option<Vec<u8>>> = if self.binary {
            let placed = columns.iter().zip(&places);
            placed.map(|(column, at)| at.and_then(|at| found[at].1.decoded(column.data_type()))).collect()
        } else {
            vec![]
        };
        let cell = |column: usize| match (bytes.get(column), places[column]) {
            (Some(Some(bytes)), _) => Cell::Bytes(bytes),
            (_, Some(at)) => found[at].1.cell(columns[column].data_type()),
            (_, None) => Cell::Null,
        };
        if !self.rows.push(ordinal, cell) {
            let others = (0..found.len()).filter(other);
            self.rows
                .complete(others.map(|at| (found[at].0.clone().into_owned(), found[at].1.json())).collect());
        }
    }

    /// Notes a row as bad that has no fields; `row` is what a dead letter keeps of it.
    pub(crate) fn refuse(&mut self, ordinal: u64, reason: &str, row: Map<String, Json>) {
        self.bad(ordinal, None, reason, row);
    }

    #[cold]
    fn bad(&mut self, ordinal: u64, column: Option<String>, reason: &str, row: Map<String, Json>) {
        self.rows.refuse(BadRow { ordinal, column, reason: reason.to_owned(), row });
    }
}

/// The field of this name; of several the last.
fn place(found: &Fields<'_>, name: &str, usual: &mut usize) -> Option<usize> {
    if is_at(found, *usual, name) && is_last(found, *usual) {
        return Some(*usual);
    }
    let at = found.iter().rposition(|(field, _)| field == name)?;
    *usual = at;
    Some(at)
}

fn is_at(found: &Fields<'_>, index: usize, name: &str) -> bool {
    found.get(index).is_some_and(|(field, _)| field == name)
}

fn is_last(found: &Fields<'_>, index: usize) -> bool {
    found[index + 1..].iter().all(|(name, _)| *name != found[index].0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::AsArray,
        datatypes::{Field, Int64Type, Schema},
    };

    use super::{super::json, *};

    /// The numbers that are read in columns `a` and `b`, and what is wrong with bad rows.
    fn read(others: Others, rows: &[&str]) -> (Vec<[Option<i64>; 2]>, Vec<String>) {
        let column = |name| Field::new(name, DataType::Int64, true);
        let schema = Arc::new(Schema::new(vec![column("a"), column("b")]));
        let mut reader = FieldRows::new(schema, Rules::default(), others).unwrap();
        for (ordinal, row) in rows.iter().enumerate() {
            let mut found = vec![];
            json::fields(row.as_bytes(), &mut found).unwrap();
            reader.push(ordinal as u64, &found);
        }
        let chunk = reader.finish().unwrap();
        let columns = [0, 1].map(|at| chunk.batch.column(at).as_primitive::<Int64Type>().iter().collect());
        let [a, b]: [Vec<Option<i64>>; 2] = columns;
        let bad = chunk.bad.iter().map(|bad| bad.column.clone().unwrap_or_default()).collect();
        (a.into_iter().zip(b).map(|(a, b)| [a, b]).collect(), bad)
    }

    #[test]
    fn fields_are_found_wherever_they_lie() {
        let rows = [
            r#"{"a":1,"b":2}"#,
            r#"{"b":4,"a":3}"#,
            r#"{"b":6,"a":5}"#,
            r#"{"a":7,"b":8}"#,
            r#"{"b":9}"#,
            "{}",
            r#"{"a":1,"a":10}"#,
            r#"{"b":1,"b":2,"a":3,"b":11}"#,
        ];
        let expected = [
            [Some(1), Some(2)],
            [Some(3), Some(4)],
            [Some(5), Some(6)],
            [Some(7), Some(8)],
            [None, Some(9)],
            [None, None],
            [Some(10), None],
            [Some(3), Some(11)],
        ];
        for others in [Others::Drop, Others::Refuse] {
            assert_eq!(read(others, &rows), (expected.to_vec(), vec![]));
        }
    }

    #[test]
    fn a_field_that_is_no_column_is_refused_where_that_is_asked_for() {
        let rows = [r#"{"a":1,"b":2}"#, r#"{"a":1,"c":2}"#, r#"{"a":1,"b":2,"c":3}"#, r#"{"a":3,"b":4}"#];
        let kept = vec![[Some(1), Some(2)], [Some(3), Some(4)]];
        assert_eq!(read(Others::Refuse, &rows), (kept, vec!["c".to_owned(); 2]));
        assert_eq!(read(Others::Drop, &rows).0.len(), 4);
    }
}
