//! A SELECT under construction, and what all parts of one statement share.

use std::{fmt::Write as _, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::scalar::ScalarValue;

use crate::connector::executor::{Executor, Statement, Term};

/// Values of a statement, at most: SQLite takes 32,766.
const MOST_VALUES: usize = 30_000;

/// What the parts of a statement share: the place, the values of its placeholders, names that are not used yet.
pub(super) struct Writer {
    executor: Option<Arc<dyn Executor>>,
    values: Vec<ScalarValue>,
    aliases: usize,
}

/// A value that a SELECT gives.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) term: Term,
    /// Whether it is a column of what the SELECT reads, and nothing is computed.
    pub(super) plain: bool,
}

/// A SELECT that may still grow.
#[derive(Debug, Clone)]
pub(super) struct Select {
    /// What stands behind FROM.
    pub(super) from: String,
    /// Whether that is one table or subquery, no join.
    pub(super) single: bool,
    pub(super) outputs: Vec<Output>,
    pub(super) filters: Vec<String>,
    /// Some, where it aggregates.
    pub(super) groups: Option<Vec<String>>,
    pub(super) order: Vec<String>,
    pub(super) skip: usize,
    pub(super) fetch: Option<usize>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { executor: None, values: vec![], aliases: 0 }
    }

    /// Whether a table of this place can be in the statement: whoever can read them all runs it.
    pub(super) fn reads(&mut self, executor: &Arc<dyn Executor>) -> Option<()> {
        match &self.executor {
            Some(known) if known.reads_of(executor.place()) => {}
            Some(known) if !executor.reads_of(known.place()) => return None,
            _ => self.executor = Some(executor.clone()),
        }
        Some(())
    }

    /// The place; `None` before a table was met.
    pub(super) fn executor(&self) -> Option<Arc<dyn Executor>> {
        self.executor.clone()
    }

    /// A name that nothing has yet.
    pub(super) fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("t{}", self.aliases)
    }

    /// A placeholder for a value.
    pub(super) fn bind(&mut self, value: &ScalarValue) -> Option<String> {
        let executor = self.executor.clone().filter(|_| self.values.len() < MOST_VALUES)?;
        let placeholder = executor.dialect().placeholder(self.values.len() + 1, value)?;
        self.values.push(value.clone());
        Some(placeholder)
    }

    /// The same rows as a subquery, whose columns are plain.
    pub(super) fn wrapped(&mut self, select: &Select) -> Select {
        let alias = self.alias();
        let column = |(at, output): (usize, &Output)| Output {
            term: Term { sql: format!("{alias}.c{}", at + 1), ..output.term.clone() },
            plain: true,
        };
        Select::over(
            format!("({}) AS {alias}", select.sql()),
            select.outputs.iter().enumerate().map(column).collect(),
        )
    }

    /// The same rows as a SELECT to which filters and groups may be added.
    pub(super) fn open(&mut self, select: Select) -> Select {
        if select.is_open() && select.outputs.iter().all(|output| output.plain) {
            select
        } else {
            self.wrapped(&select)
        }
    }

    /// The whole statement, its columns spelled as rows of `schema` are read.
    pub(super) fn finish(
        self,
        mut select: Select,
        schema: &SchemaRef,
    ) -> Option<(Arc<dyn Executor>, Statement)> {
        let executor = self.executor?;
        for (output, field) in select.outputs.iter_mut().zip(schema.fields()) {
            if output.term.data_type != *field.data_type() {
                return None;
            }
            output.term.sql = executor.dialect().result(&output.term)?;
        }
        let sql = executor.dialect().statement(select.sql());
        Some((executor, Statement { sql, values: self.values }))
    }
}

impl Select {
    /// All rows of one thing.
    pub(super) fn over(from: String, outputs: Vec<Output>) -> Self {
        Self {
            from,
            single: true,
            outputs,
            filters: vec![],
            groups: None,
            order: vec![],
            skip: 0,
            fetch: None,
        }
    }

    /// Whether WHERE, GROUP BY and joins can still be added without changing what it means.
    pub(super) fn is_open(&self) -> bool {
        self.groups.is_none() && self.order.is_empty() && self.skip == 0 && self.fetch.is_none()
    }

    /// As text.
    pub(super) fn sql(&self) -> String {
        let columns: Vec<String> = (self.outputs.iter().enumerate())
            .map(|(at, output)| format!("{} AS c{}", output.term.sql, at + 1))
            .collect();
        let columns = if columns.is_empty() { "1".to_owned() } else { columns.join(", ") };
        let mut sql = format!("SELECT {columns} FROM {}", self.from);
        if !self.filters.is_empty() {
            let _ = write!(sql, " WHERE {}", self.filters.join(" AND "));
        }
        if let Some(groups) = self.groups.as_ref().filter(|groups| !groups.is_empty()) {
            let _ = write!(sql, " GROUP BY {}", groups.join(", "));
        }
        if !self.order.is_empty() {
            let _ = write!(sql, " ORDER BY {}", self.order.join(", "));
        }
        if let Some(fetch) = self.fetch {
            let _ = write!(sql, " LIMIT {fetch}");
        } else if self.skip > 0 {
            // SQLite has no OFFSET without LIMIT; this many rows there never are.
            let _ = write!(sql, " LIMIT {}", i64::MAX);
        }
        if self.skip > 0 {
            let _ = write!(sql, " OFFSET {}", self.skip);
        }
        sql
    }
}
