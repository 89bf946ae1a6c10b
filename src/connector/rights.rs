//! Rights that a project needs in a place: which of them its user has there, and the statement that gives a missing one.

use super::{sink::SinkSpec, source::SourceSpec};
use crate::model::name::Track;

/// What the project does with a table of a place.
#[derive(Debug, Clone)]
pub enum Use {
    /// Queries read it.
    Query {
        /// The schema; `None` = the connection's default.
        schema: Option<String>,
        /// The table.
        table: String,
    },
    /// A pipeline reads it.
    Source(Box<SourceSpec>),
    /// A pipeline or a mart writes it.
    Sink(Box<SinkSpec>, Track),
}

impl Use {
    /// The table's schema, where one is named, and its name.
    pub fn table(&self) -> (Option<&str>, &str) {
        match self {
            Self::Query { schema, table } => (schema.as_deref(), table),
            Self::Source(spec) => (spec.schema.as_deref(), &spec.table),
            Self::Sink(spec, _) => (spec.schema.as_deref(), &spec.table),
        }
    }
}

/// A right that a use needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// The use, by its number among those that were asked about.
    pub of: usize,
    /// What may be done with what: `INSERT on "crm"."orders"`.
    pub what: String,
    /// Whether the user has it.
    pub held: bool,
    /// What gives it, where it is missing: a statement, or a command.
    pub mend: String,
    /// What alone needs it, where the use goes without it otherwise: `to add columns`.
    pub only: Option<&'static str>,
}

impl Right {
    /// One that the use cannot do without.
    pub fn new(of: usize, what: impl Into<String>, held: bool, mend: impl Into<String>) -> Self {
        Self { of, what: what.into(), held, mend: mend.into(), only: None }
    }

    /// One that is needed for this alone.
    #[must_use]
    pub fn only(mut self, what_for: &'static str) -> Self {
        self.only = Some(what_for);
        self
    }
}
