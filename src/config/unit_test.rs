//! A checked `[[test]]`: every name resolved, every row read.

use std::path::PathBuf;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, NaiveDate, Utc};
use indexmap::IndexMap;

use super::lineage::{Input, Table};
use crate::model::{
    name::{JobKind, JobName, Member},
    text_rows::TextRows,
};

/// A unit test of one member of a job.
#[derive(Debug, Clone)]
pub struct UnitTest {
    /// What it shows.
    pub name: String,
    /// Whose test it is.
    pub job: JobName,
    /// Pipeline or mart.
    pub kind: JobKind,
    /// The member that runs.
    pub member: Member,
    /// The file it stands in, relative to the project's folder.
    pub path: PathBuf,
    /// Its line there, from 1.
    pub line: usize,
    /// What is there before it runs; everything that the member reads is in it.
    pub given: Vec<Given>,
    /// The day whose windows are built; `None` = the member has none.
    pub window: Option<NaiveDate>,
    /// What the clock says.
    pub now: DateTime<Utc>,
    /// Parameters of a workbook, by hand.
    pub with: IndexMap<String, String>,
    /// What must come of it.
    pub expect: Expect,
}

/// A table that is there before.
#[derive(Debug, Clone)]
pub struct Given {
    /// Which.
    pub place: GivenPlace,
    /// Its columns. Those that the source's contract decodes are text here.
    pub schema: SchemaRef,
    /// Its rows, in some of these columns.
    pub rows: TextRows,
}

/// Where given rows lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenPlace {
    /// The unit that a pipeline reads.
    Source,
    /// A table of a connection.
    Table(Table),
    /// What another job writes, over all its members.
    Job(JobKind, JobName),
}

impl From<Input> for GivenPlace {
    fn from(input: Input) -> Self {
        match input {
            Input::Table(table) => Self::Table(table),
            Input::Job(kind, job) => Self::Job(kind, job),
        }
    }
}

/// What must come of a test.
#[derive(Debug, Clone)]
pub enum Expect {
    /// The run ends well.
    Done {
        /// Rows of the target, or of sheets by name; in the columns that they name.
        rows: Vec<ExpectedTable>,
        /// Whether the order of rows counts.
        ordered: bool,
        /// Rows that become dead letters.
        dead_letters: u64,
    },
    /// The run fails, and says this.
    Error(String),
}

/// Rows that are expected.
#[derive(Debug, Clone)]
pub struct ExpectedTable {
    /// The sheet; `None` = the target.
    pub sheet: Option<String>,
    /// The rows.
    pub rows: TextRows,
}
