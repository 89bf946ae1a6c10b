//! Expected rows against rows that came: which are missing, which are too many, which cells changed.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::{cast, concat_batches},
    datatypes::{DataType, Field, Float64Type, Schema},
    util::display::{ArrayFormatter, FormatOptions},
};
use chrono_tz::Tz;

use crate::{
    connector::{
        cells::from_text,
        error::{Error, ErrorKind, Result},
    },
    model::{
        column::ColumnType,
        text_rows::{TextRows, spelled},
    },
};

/// How far apart two floating-point numbers may be, as a share of the greater, and still count as equal.
const NEAR: f64 = 1e-9;

/// How rows differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// The columns that were compared.
    pub columns: Vec<String>,
    /// Rows that are as expected.
    pub equal: usize,
    /// Rows that are not.
    pub rows: Vec<DiffRow>,
}

/// A row that is not as expected; cells as tests spell them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffRow {
    /// It was expected and did not come.
    Missing(Vec<String>),
    /// It came and was not expected.
    Unexpected(Vec<String>),
    /// It came with other cells.
    Changed(Vec<DiffCell>),
}

/// A cell of a row that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffCell {
    /// As expected.
    Same(String),
    /// Another one.
    Other {
        /// What was expected.
        expected: String,
        /// What came.
        found: String,
    },
}

/// Compares rows in the columns that are expected.
pub(super) fn compare(expected: &TextRows, found: &[RecordBatch], ordered: bool, zone: Tz) -> Result<Diff> {
    let columns: Vec<String> = expected.columns.iter().map(|column| column.name.clone()).collect();
    let found = match found.first() {
        Some(first) => Some(picked(&concat_batches(first.schema_ref(), found)?, &columns)?),
        None => None,
    };
    let there = match &found {
        Some(found) => cells(found)?,
        None => vec![],
    };
    let wanted = match &found {
        Some(found) => match from_text(expected, &found.schema(), zone)? {
            Ok(batch) => cells(&picked(&batch, &columns)?)?,
            // Cells that do not spell their column's type equal nothing.
            Err(_) => texts(expected),
        },
        None => texts(expected),
    };
    let pairs = if ordered { in_order(&wanted, &there) } else { in_any_order(&wanted, &there) };
    Ok(diff(columns, &wanted, &there, &pairs))
}

/// Some columns, with plain types.
fn picked(batch: &RecordBatch, columns: &[String]) -> Result<RecordBatch> {
    let (mut fields, mut arrays) = (vec![], vec![]);
    for name in columns {
        let missing = || Error::new(ErrorKind::Internal, format!("no column `{name}` to compare"));
        let column = batch.column_by_name(name).ok_or_else(missing)?;
        let plain = ColumnType::of(column.data_type()).arrow().clone();
        fields.push(Field::new(name, plain.clone(), true));
        arrays.push(cast(column, &plain)?);
    }
    Ok(RecordBatch::try_new(std::sync::Arc::new(Schema::new(fields)), arrays)?)
}

/// One cell: its text as tests spell it, and its number where that may be a little off.
#[derive(Debug, Clone)]
struct Compared {
    text: String,
    number: Option<f64>,
}

impl PartialEq for Compared {
    fn eq(&self, other: &Self) -> bool {
        match (self.number, other.number) {
            (Some(a), Some(b)) => {
                a == b || (a - b).abs() <= NEAR * a.abs().max(b.abs()) || a.is_nan() && b.is_nan()
            }
            _ => self.text == other.text,
        }
    }
}

type Rows = Vec<Vec<Compared>>;

fn cells(batch: &RecordBatch) -> Result<Rows> {
    let columns = batch.columns().iter().map(column_cells).collect::<Result<Vec<_>>>()?;
    Ok((0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect())
}

fn column_cells(column: &ArrayRef) -> Result<Vec<Compared>> {
    let options = FormatOptions::new().with_display_error(true);
    let format = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let floats = matches!(column.data_type(), DataType::Float16 | DataType::Float32 | DataType::Float64)
        .then(|| cast(column, &DataType::Float64))
        .transpose()?;
    let floats = floats.as_ref().map(AsArray::as_primitive::<Float64Type>);
    let cell = |row: usize| {
        if column.is_null(row) {
            return Compared { text: spelled(None).into_owned(), number: None };
        }
        let text = spelled(Some(&format.value(row).to_string())).into_owned();
        Compared { text, number: floats.map(|floats| floats.value(row)) }
    };
    Ok((0..column.len()).map(cell).collect())
}

fn texts(rows: &TextRows) -> Rows {
    let cell = |text: Option<&str>| Compared { text: spelled(text).into_owned(), number: None };
    rows.rows.iter().map(|row| row.iter().map(|given| cell(given.text.as_deref())).collect()).collect()
}

/// For each wanted row the row that is it.
type Pairs = Vec<Option<usize>>;

fn in_any_order(wanted: &Rows, there: &Rows) -> Pairs {
    let mut taken = vec![false; there.len()];
    let find = |row: &Vec<Compared>| {
        let found = (0..there.len()).find(|at| !taken[*at] && there[*at] == *row)?;
        taken[found] = true;
        Some(found)
    };
    wanted.iter().map(find).collect()
}

/// The longest common subsequence: as few rows as possible are out of place.
fn in_order(wanted: &Rows, there: &Rows) -> Pairs {
    let mut longest = vec![vec![0_u32; there.len() + 1]; wanted.len() + 1];
    for i in (0..wanted.len()).rev() {
        for j in (0..there.len()).rev() {
            longest[i][j] = if wanted[i] == there[j] {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let mut pairs = vec![None; wanted.len()];
    let (mut i, mut j) = (0, 0);
    while i < wanted.len() && j < there.len() {
        if wanted[i] == there[j] {
            pairs[i] = Some(j);
            (i, j) = (i + 1, j + 1);
        } else if longest[i + 1][j] >= longest[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// Rows without a partner: those that are alike in most of their cells are one that changed.
fn diff(columns: Vec<String>, wanted: &Rows, there: &Rows, pairs: &Pairs) -> Diff {
    let mut left: Vec<usize> = (0..there.len()).filter(|at| !pairs.contains(&Some(*at))).collect();
    let mut rows = vec![];
    for (want, _) in wanted.iter().zip(pairs).filter(|(_, pair)| pair.is_none()) {
        let alike = |at: &usize| want.iter().zip(&there[*at]).filter(|(a, b)| a == b).count();
        // Of equals the first.
        let nearest = (0..left.len()).rev().max_by_key(|at| alike(&left[*at]));
        // One that is alike in all of them is out of place.
        let nearest = nearest.filter(|at| (want.len().div_ceil(2)..want.len()).contains(&alike(&left[*at])));
        rows.push(match nearest {
            Some(at) => changed(want, &there[left.remove(at)]),
            None => DiffRow::Missing(want.iter().map(|cell| cell.text.clone()).collect()),
        });
    }
    let unexpected =
        left.iter().map(|at| DiffRow::Unexpected(there[*at].iter().map(|cell| cell.text.clone()).collect()));
    rows.extend(unexpected);
    Diff { columns, equal: pairs.iter().flatten().count(), rows }
}

fn changed(wanted: &[Compared], there: &[Compared]) -> DiffRow {
    let cells = wanted.iter().zip(there).map(|(wanted, there)| {
        if wanted == there {
            DiffCell::Same(there.text.clone())
        } else {
            DiffCell::Other { expected: wanted.text.clone(), found: there.text.clone() }
        }
    });
    DiffRow::Changed(cells.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringViewArray};

    use super::*;

    fn found() -> Vec<RecordBatch> {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from(vec![1, 2, 3]))),
            ("имя", Arc::new(StringViewArray::from(vec![Some("Иван"), Some("NULL"), None]))),
            ("share", Arc::new(Float64Array::from(vec![0.1 + 0.2, 0.5, f64::NAN]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        vec![batch.slice(0, 2), batch.slice(2, 1)]
    }

    fn shown(expected: &str, ordered: bool) -> Vec<String> {
        let expected = TextRows::parse(expected).unwrap();
        let diff = compare(&expected, &found(), ordered, Tz::UTC).unwrap();
        let cell = |cell: &DiffCell| match cell {
            DiffCell::Same(text) => text.clone(),
            DiffCell::Other { expected, found } => format!("{expected}→{found}"),
        };
        let row = |row: &DiffRow| match row {
            DiffRow::Missing(cells) => format!("- {}", cells.join(" ")),
            DiffRow::Unexpected(cells) => format!("+ {}", cells.join(" ")),
            DiffRow::Changed(cells) => format!("~ {}", cells.iter().map(cell).collect::<Vec<_>>().join(" ")),
        };
        diff.rows.iter().map(row).collect()
    }

    #[test]
    fn equal_rows_are_equal_in_any_order_and_in_some_columns() {
        let same = "share,имя\nNaN,NULL\n0.5,\"NULL\"\n0.3,Иван\n";
        assert_eq!(shown(same, false), Vec::<String>::new());
        assert_eq!(shown("id\n1\n2\n3", true), Vec::<String>::new());
    }

    #[test]
    fn changes_are_marked_cell_by_cell() {
        assert_eq!(shown("id,имя\n1,Пётр\n2,\"NULL\"\n3,NULL", false), ["~ 1 Пётр→Иван"]);
        assert_eq!(shown("id,имя\n1,Иван\n2,\"NULL\"\n3,\"\"", false), ["~ 3 \"\"→NULL"]);
    }

    #[test]
    fn rows_may_be_missing_or_too_many() {
        assert_eq!(shown("id\n1\n4\n3", false), ["- 4", "+ 2"]);
        assert_eq!(shown("id\n1\n1\n2\n3", false), ["- 1"], "each row is there once");
        assert_eq!(shown("id,имя", false).len(), 3);
        assert_eq!(shown("id\nмного", false), ["- много", "+ 1", "+ 2", "+ 3"]);
    }

    #[test]
    fn order_counts_where_it_is_told() {
        assert_eq!(shown("id\n2\n1\n3", true), ["- 2", "+ 2"]);
        assert_eq!(shown("id\n2\n3", true), ["+ 1"], "one that is missing puts no others out of place");
    }

    #[test]
    fn no_rows_at_all() {
        let expected = TextRows::parse("id\n7").unwrap();
        let diff = compare(&expected, &[], false, Tz::UTC).unwrap();
        assert_eq!(diff.rows, [DiffRow::Missing(vec!["7".to_owned()])]);
    }
}
