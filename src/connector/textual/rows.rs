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
