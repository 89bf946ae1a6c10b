//! SQL judged without running it: names, types and every mistake with its place. Pure: no tables are opened.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
};

use arrow::datatypes::{DataType, SchemaRef};
use chrono_tz::Tz;
use indexmap::IndexMap;

/// What is known of an SQL text.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    /// Columns of its result; `None` where a table's columns are unknown or something is wrong.
    pub schema: Option<SchemaRef>,
    /// Tables that it reads, in the order they stand; a name may come again.
    pub tables: Vec<TableUse>,
    /// Parameters that it names, in the order they stand; a name may come again.
    pub parameters: Vec<(String, Range<usize>)>,
    /// Every mistake, in the order of their places.
    pub findings: Vec<Finding>,
}

/// One mention of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableUse {
    /// As written.
    pub name: TableName,
    /// Bytes of the SQL text.
    pub span: Range<usize>,
}

/// A table's name as written: `source`, `warehouse.actions`, `warehouse.public.actions`, `mart.revenue`,
/// `pipeline."finance/revenue"`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// One to three names, without quotes.
    pub parts: Vec<String>,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Bytes of the SQL text.
    pub span: Range<usize>,
    /// `sql-syntax`, `sql-not-a-query`, `sql-unknown-table`, `sql-unknown-column`, `sql-ambiguous-column`,
    /// `sql-duplicate-column`, `sql-unknown-function`, `sql-unknown-parameter`, `sql-type`, `sql-not-row-wise`, `sql-not-native`,
    /// `sql-invalid`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

/// What is known of a table.
#[derive(Debug, Clone)]
pub enum Known {
    /// Its columns.
    Schema(SchemaRef),
    /// It may be there; its columns are not known, so nothing is said about columns.
    Unknown,
    /// There is no such table.
    Missing {
        /// The nearest name that there is.
        hint: Option<String>,
    },
}

/// Whether a table's place runs SQL that a user wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// In this place: a connection, or one file of it.
    In(String),
    /// Nowhere, and why.
    No(String),
}

/// What a query's result is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// Columns of the result, in order, each with the columns of tables that its value is made of.
    pub columns: Vec<(String, BTreeMap<ColumnUse, Origin>)>,
    /// Columns of tables that decide which rows there are: what filters, joins and groups.
    pub rows: BTreeSet<ColumnUse>,
}

/// A column of a table, as SQL names that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnUse {
    /// The table.
    pub table: TableName,
    /// The column.
    pub column: String,
}

/// How a column came into a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// As it is, whatever its name.
    Same,
    /// As a part of a computation.
    Computed,
}

/// Types of parameters by name: `region`, `region.title`, `period.from`.
pub type ParamTypes = IndexMap<String, DataType>;

impl Finding {
    pub(super) fn new(span: Range<usize>, code: &'static str, message: impl Into<String>) -> Self {
        Self { span, code, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl TableName {
    /// From its parts.
    pub fn new<T: Into<String>>(parts: impl IntoIterator<Item = T>) -> Self {
        Self { parts: parts.into_iter().map(Into::into).collect() }
    }

    /// Reads a name as SQL writes it, of a column too; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = vec![];
        let mut rest = text.trim();
        loop {
            let (part, after) = match rest.strip_prefix('"') {
                Some(quoted) => {
                    // A quote inside is written twice.
                    let pairs = quoted.replace("\"\"", "\0\0");
                    let end = pairs.find('"')?;
                    (quoted[..end].replace("\"\"", "\""), &quoted[end + 1..])
                }
                None => {
                    let end = rest.find('.').unwrap_or(rest.len());
                    (rest[..end].to_owned(), &rest[end..])
                }
            };
            if part.is_empty() {
                return None;
            }
            parts.push(part);
            match after.strip_prefix('.') {
                Some(next) => rest = next,
                None if after.is_empty() && parts.len() <= 4 => return Some(Self { parts }),
                None => return None,
            }
        }
    }
}

impl fmt::Display for TableName {
    /// As it has to be written in SQL: quoted where it must be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            f.write_str(&quoted(part))?;
        }
        Ok(())
    }
}

/// A name as it has to be written in SQL: in double quotes where it is more than letters, digits and `_`.
pub fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Judges a query: syntax, tables, columns, functions, parameters, types. `tables` says what is known of a table;
/// dates are days of `zone`.
pub fn check_sql(sql: &str, tables: &dyn Fn(&TableName) -> Known, params: &ParamTypes, zone: Tz) -> Typed {
    super::check::query(sql, tables, params, zone)
}

/// Judges the SQL of a pipeline: as [`check_sql`], and that it reads `source` exactly once, row by row, so that its result never depends
/// on where slices end. Aggregates, DISTINCT, ORDER BY, LIMIT, window functions, UNION over `source` and functions that
/// answer differently each time are refused; filters, projections and joins that keep `source` (INNER, LEFT
/// from it, SEMI, ANTI) are fine, and so is anything over other tables.
pub fn check_row_wise(
    sql: &str,
    tables: &dyn Fn(&TableName) -> Known,
    params: &ParamTypes,
    zone: Tz,
) -> Typed {
    super::check::row_wise(sql, tables, params, zone)
}

/// Judges a condition over the columns of `schema` (`delete.when`): it reads no tables and is true, false or NULL. Where the columns are
/// not known, nothing is said about them.
pub fn check_condition(sql: &str, schema: Option<&SchemaRef>, params: &ParamTypes, zone: Tz) -> Typed {
    super::check::condition(sql, schema, params, zone)
}

/// Judges SQL that is sent as it stands: syntax, parameters, and that all its tables lie in one place that runs it. Its columns are the place's to tell.
pub fn check_native(sql: &str, place: &dyn Fn(&TableName) -> Runs, params: &ParamTypes) -> Typed {
    super::native::check(sql, place, params)
}

/// The tables that a query names, in the order they stand, each once; empty where it does not parse.
pub fn query_tables(sql: &str) -> Vec<TableName> {
    super::session::tables_read(sql)
}

/// Where the columns of a query come from; `None` where it is wrong, or the columns of a table are not known.
pub fn column_origins(
    sql: &str,
    tables: &dyn Fn(&TableName) -> Known,
    params: &ParamTypes,
    zone: Tz,
) -> Option<Origins> {
    super::origins::of_query(sql, tables, params, zone)
}

/// The tables that such SQL names, each once; empty where it does not parse.
pub fn native_tables(sql: &str) -> Vec<TableName> {
    super::native::tables(sql)
}
