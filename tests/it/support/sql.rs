//! Asking a connection's tables by SQL, as reports do, and writing them as strangers do.

use std::sync::Arc;

use arrow::{
    array::Array,
    compute::cast,
    datatypes::{DataType, TimeUnit},
    record_batch::RecordBatch,
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{
    catalog::CatalogProvider,
    execution::context::{SessionConfig, SessionContext},
};
use vitrina::connector::connection::Connection;

/// An engine over one catalog, named `place`.
pub(crate) fn engine(catalog: Arc<dyn CatalogProvider>) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    context.register_catalog("place", catalog);
    context
}

/// A table's name as SQL: every part quoted.
pub(crate) fn quoted(connection: &dyn Connection, table: &str) -> String {
    let part = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    format!("place.{}.{}", part(&connection.default_schema()), part(table))
}

/// The answer of a query as one batch.
pub(crate) async fn ask(context: &SessionContext, sql: &str) -> RecordBatch {
    let frame = context.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

/// Every row of a table; `None` = there is no such table.
pub(crate) async fn rows_of(connection: &dyn Connection, table: &str) -> Option<RecordBatch> {
    let schema = connection.catalog().schema(&connection.default_schema())?;
    if !schema.table_exist(table) {
        return None;
    }
    let sql = format!("SELECT * FROM {}", quoted(connection, table));
    Some(ask(&engine(connection.catalog()), &sql).await)
}

/// A cell as a program in another language would spell it; `None` = NULL.
pub(crate) fn plain(column: &dyn Array, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    let spelled = |column: &dyn Array, format: &FormatOptions<'_>| {
        ArrayFormatter::try_new(column, format).unwrap().value(row).to_string()
    };
    Some(if matches!(column.data_type(), DataType::Timestamp(..)) {
        let micros = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap();
        spelled(&micros, &FormatOptions::new().with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.6f")))
    } else {
        spelled(column, &FormatOptions::new())
    })
}

/// Rows as VALUES of an INSERT has them.
pub(crate) fn tuples(rows: &RecordBatch, cell: impl Fn(&dyn Array, usize) -> String) -> Vec<String> {
    let tuple = |row: usize| {
        let cells: Vec<String> = rows.columns().iter().map(|column| cell(column.as_ref(), row)).collect();
        format!("({})", cells.join(", "))
    };
    (0..rows.num_rows()).map(tuple).collect()
}
