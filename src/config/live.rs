//! What places answered just now: what `check --online` holds the files against.

use arrow::datatypes::SchemaRef;

use super::{lineage::Table, project::Sql};
use crate::model::problem::Severity;

/// What came of asking, besides the columns of outside tables.
#[derive(Debug, Default)]
pub struct Live {
    /// Tables that are not there, and places that gave no answer.
    pub failed: Vec<Failed>,
    /// Tables that the project writes, where they are there.
    pub targets: Vec<Target>,
    /// What else was found out about tables that are used.
    pub told: Vec<Told>,
    /// What places expect of queries that go down to them.
    pub estimates: Vec<Estimate>,
}

/// A table that the project writes, as it is now.
#[derive(Debug)]
pub struct Target {
    /// The table.
    pub table: Table,
    /// Its columns.
    pub columns: SchemaRef,
    /// Columns that lead an index, where a pipeline reads it by a cursor and the place has indexes.
    pub indexed: Option<Vec<String>>,
    /// Whether it holds rows although none of its writers has a record there.
    pub unclaimed: bool,
}

/// A table that was asked for in vain.
#[derive(Debug)]
pub struct Failed {
    /// The table.
    pub table: Table,
    /// Whether its connection gave no answer, so that nothing is known of its other tables either.
    pub whole: bool,
    /// Why.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Something about a table, told wherever the project uses it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The table.
    pub table: Table,
    /// Whether it is about writing it; reading otherwise.
    pub writing: bool,
    /// The problem's code.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// What a place expects of a query.
#[derive(Debug)]
pub struct Estimate {
    /// The query.
    pub sql: Sql,
    /// What it would read.
    pub message: String,
}
