//! Places that compute: whole parts of a query go down to them as SQL, values are bound beside it, and only the result comes back.
//!
//! The engine writes the SQL; what a place computes exactly as the engine does, and how it is spelled there, is its [`Dialect`]'s to say.
//! Whatever a dialect does not know is computed by the engine.

use std::{any::Any, fmt, sync::Arc};

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    datasource::TableType,
    error::Result as SqlResult,
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Expr, Operator, TableProviderFilterPushDown},
    physical_expr::LexOrdering,
    physical_plan::{
        ExecutionPlan,
        streaming::{PartitionStream, StreamingTableExec},
    },
    scalar::ScalarValue,
};

use super::{error::Result, sent::SentScan};

/// A database that runs queries.
#[async_trait]
pub trait Executor: Send + Sync + fmt::Debug {
    /// Tells databases apart: one statement reads tables of one place only.
    fn place(&self) -> &str;

    /// Whether its statements may read tables of a place too: a session sees its server's tables beside those that it alone has.
    fn reads_of(&self, place: &str) -> bool {
        self.place() == place
    }

    /// What it computes as the engine does.
    fn dialect(&self) -> &dyn Dialect;

    /// The rows of a statement, whose columns are those of `schema` in order. A cell that does not fit its column fails the query.
    fn rows(&self, statement: &Statement, schema: &SchemaRef) -> SendableRecordBatchStream;

    /// What a statement would read, as far as the place tells beforehand.
    async fn estimate(&self, _statement: &Statement) -> Result<Vec<Estimate>> {
        Ok(vec![])
    }

    /// A query that a user wrote, as it must be sent so that its rows can be read, and its columns as the place has them now.
    async fn described(&self, statement: &Statement) -> Result<(Statement, SchemaRef)>;
}

/// SQL with numbered placeholders, and their values in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Spelled as the place has it.
    pub sql: String,
    /// The values of the placeholders: bound, never in the text.
    pub values: Vec<ScalarValue>,
}

/// What a statement would read of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// The table, as its place names it.
    pub table: String,
    /// Rows.
    pub rows: u64,
    /// Parts that they lie in.
    pub parts: u64,
}

/// How far a place and the engine agree about the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Agreement {
    /// They can be passed on, and told from NULL.
    Nothing,
    /// Equal values are equal there.
    Equality,
    /// Their order is the same too.
    Order,
}

/// A piece of SQL that gives a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// As the dialect spells it; whole in itself.
    pub sql: String,
    /// What the engine takes it for.
    pub data_type: DataType,
    /// What may be done with it.
    pub agrees: Agreement,
}

/// What a condition may be, besides unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// True.
    True,
    /// False or unknown.
    NotTrue,
    /// False.
    False,
    /// True or unknown.
    NotFalse,
}

/// A call of an aggregate function.
#[derive(Debug)]
pub struct AggregateCall<'a> {
    /// As the engine names it: `count`, `sum`.
    pub function: &'a str,
    /// What is aggregated; `None` = rows.
    pub argument: Option<&'a Term>,
    /// Whether equal values count once.
    pub distinct: bool,
    /// ` FILTER (WHERE …)`, or nothing.
    pub filter: &'a str,
    /// The type of the result.
    pub data_type: &'a DataType,
}

/// What a kind of place computes exactly as the engine does, and how. `None` always means: the engine does it.
pub trait Dialect: Send + Sync {
    /// The placeholder of the `number`-th value, from 1; `None` = the value cannot be sent as it is.
    fn placeholder(&self, number: usize, value: &ScalarValue) -> Option<String>;

    /// How far values of a type that the place computes itself agree.
    fn agrees(&self, data_type: &DataType) -> Agreement;

    /// A whole statement of the engine's, with what makes it mean there what it means here.
    fn statement(&self, sql: String) -> String {
        sql
    }

    /// A name as it is spelled in SQL.
    fn quoted(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    /// A term where its order counts: in `<`, `max`, ORDER BY.
    fn ordered(&self, term: &Term) -> String;

    /// Whether a condition is this, where it may be unknown.
    fn truth(&self, condition: &str, truth: Truth) -> String {
        let is = match truth {
            Truth::True => "IS TRUE",
            Truth::NotTrue => "IS NOT TRUE",
            Truth::False => "IS FALSE",
            Truth::NotFalse => "IS NOT FALSE",
        };
        format!("({condition} {is})")
    }

    /// Whether two values are equal, or both NULL.
    fn same(&self, left: &str, right: &str) -> String {
        format!("({left} IS NOT DISTINCT FROM {right})")
    }

    /// Whether a value is one of these, none of which is NULL; unknown where the value is.
    fn listed(&self, term: &Term, items: &[String]) -> String {
        format!("({} IN ({}))", term.sql, items.join(", "))
    }

    /// `left operator right`, both of one type; comparisons and logic are the same everywhere and not asked for.
    fn arithmetic(&self, left: &Term, operator: Operator, right: &Term, to: &DataType) -> Option<String>;

    /// A value of another type, where every value has its like there.
    fn cast(&self, term: &Term, to: &DataType) -> Option<String>;

    /// A text that is like a pattern without escapes.
    fn like(&self, term: &Term, pattern: &Term) -> Option<String>;

    /// An aggregate, its result already of the wanted type.
    fn aggregate(&self, call: &AggregateCall<'_>) -> Option<String>;

    /// A column of the result, spelled so that its rows can be read as the type; `None` = they cannot.
    fn result(&self, term: &Term) -> Option<String>;

    /// A condition on a table's column that holds for every cell of its type and fails the statement at any other: asked for only where the
    /// place keeps no types (see [`RemoteColumn::sure`]).
    fn fits(&self, name: &str, term: &Term) -> Option<String>;

    /// Whether `x IN (SELECT …)` is found faster than EXISTS.
    fn prefers_in(&self) -> bool;

    /// Whether joins may have any condition, and subqueries name columns of the query around; where not, rows match by equal values only.
    fn joins_by_any(&self) -> bool {
        true
    }
}

/// A table that lies in a place which computes: scanned by `scan`, or a part of a statement.
#[derive(Debug)]
pub struct RemoteTable {
    /// Reads it by itself.
    pub scan: Arc<dyn TableProvider>,
    /// Where it lies.
    pub executor: Arc<dyn Executor>,
    /// Its name as the place's SQL spells it.
    pub name: String,
    /// Its columns, in the order of the schema.
    pub columns: Vec<RemoteColumn>,
    /// All that statements over it rest on, as the place told it: the same text as long as it is the same table with the same columns. A report's query then does not wait for it to be
    /// told again, but compares it before any row counts. `None` = whoever asks for rows asks for the table first.
    pub told: Option<String>,
}

/// A column of a table in such a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteColumn {
    /// As the place's SQL spells it behind the table's alias: quoted, with what makes its value the one that a scan would give.
    pub sql: String,
    /// What may be done with it.
    pub agrees: Agreement,
    /// Whether every cell is sure to be of the column's type.
    pub sure: bool,
}

#[async_trait]
impl TableProvider for RemoteTable {
    fn schema(&self) -> SchemaRef {
        self.scan.schema()
    }

    fn table_type(&self) -> TableType {
        self.scan.table_type()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> SqlResult<Vec<TableProviderFilterPushDown>> {
        self.scan.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> SqlResult<Arc<dyn ExecutionPlan>> {
        self.scan.scan(session, projection, filters, limit).await
    }
}

/// A statement as a table of the engine.
#[derive(Debug)]
pub struct SentTable {
    executor: Arc<dyn Executor>,
    statement: Statement,
    schema: SchemaRef,
    /// How its rows are sorted, if they are.
    sorted: Option<LexOrdering>,
}

impl SentTable {
    /// A statement that gives rows of `schema`.
    pub fn new(
        executor: Arc<dyn Executor>,
        statement: Statement,
        schema: SchemaRef,
        sorted: Option<LexOrdering>,
    ) -> Self {
        Self { executor, statement, schema, sorted }
    }
}

#[async_trait]
impl TableProvider for SentTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> SqlResult<Arc<dyn ExecutionPlan>> {
        // An order is of the columns as the statement gives them.
        let sorted = self.sorted.clone().filter(|_| projection.is_none());
        let rows = Rows {
            executor: self.executor.clone(),
            statement: self.statement.clone(),
            schema: self.schema.clone(),
        };
        let rows = StreamingTableExec::try_new(
            self.schema.clone(),
            vec![Arc::new(rows)],
            projection,
            sorted,
            false,
            limit,
        )?;
        let sent = (self.executor.clone(), self.statement.clone());
        Ok(Arc::new(SentScan::of_statement(sent, Arc::new(rows))))
    }
}

#[derive(Debug)]
struct Rows {
    executor: Arc<dyn Executor>,
    statement: Statement,
    schema: SchemaRef,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        self.executor.rows(&self.statement, &self.schema)
    }
}

/// The table in such a place that a table of the engine is.
pub fn remote(table: &dyn TableProvider) -> Option<&RemoteTable> {
    (table as &dyn Any).downcast_ref()
}
