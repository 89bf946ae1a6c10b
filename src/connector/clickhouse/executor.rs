//! Queries that users wrote in the server's own SQL, run by the server itself. Nothing of the engine's own goes down as a statement: what is equal there was not
//! looked into, so the dialect knows how values are bound, and nothing else.
//!
//! Values are bound by the server's own parameters (`{v1:String}`), which travel beside the statement and not in it.

use std::{fmt, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream, logical_expr::Operator,
    physical_plan::stream::RecordBatchStreamAdapter, scalar::ScalarValue,
};
use futures::TryStreamExt;

use super::{
    client::Server,
    ipc::{Batches, not_utf8, typed},
    name::quote,
    scan::LiveTable,
    table::{Table, text},
    types::Kind,
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        executor::{AggregateCall, Agreement, Dialect, Executor, RemoteColumn, RemoteTable, Statement, Term},
    },
    model::{
        time::{date_from_days, format_ticks},
        value::{Tick, Value},
    },
};

/// A server that runs statements.
struct ClickHouseExecutor {
    server: Arc<Server>,
}

impl fmt::Debug for ClickHouseExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.server.name)
    }
}

/// A table for the engine: scanned, or a part of a query that is sent as it stands.
pub(super) fn remote(server: &Arc<Server>, table: Table) -> RemoteTable {
    let schema = table.arrow();
    let column = |field: &Arc<Field>| RemoteColumn {
        sql: quote(field.name()),
        agrees: Agreement::Nothing,
        sure: true,
    };
    RemoteTable {
        executor: Arc::new(ClickHouseExecutor { server: server.clone() }),
        name: table.sql(),
        columns: schema.fields().iter().map(column).collect(),
        scan: Arc::new(LiveTable::new(server.clone(), table)),
    }
}

#[async_trait]
impl Executor for ClickHouseExecutor {
    fn place(&self) -> &str {
        &self.server.name
    }

    fn dialect(&self) -> &dyn Dialect {
        &AsItStands
    }

    fn rows(&self, statement: &Statement, schema: &SchemaRef) -> SendableRecordBatchStream {
        let (server, statement, columns) = (self.server.clone(), statement.clone(), schema.clone());
        let shown = format!("a query of {}", server.shown());
        let begun = async move {
            let values = bound(&statement.values)?;
            let answer = server.arrow_with(&shown, &statement.sql, &values).await?;
            let state = (Batches::new(answer, &shown), columns, shown);
            Ok::<_, Error>(futures::stream::try_unfold(state, |(mut batches, columns, shown)| async move {
                let Some(batch) = batches.next().await? else { return Ok(None) };
                let typed = typed(&batch, &columns)?;
                if let Some((_, column)) = typed.broken.first() {
                    return Err(not_utf8(&shown, column));
                }
                Ok::<_, Error>(Some((typed.batch, (batches, columns, shown))))
            }))
        };
        let batches = futures::stream::once(begun).try_flatten().map_err(DataFusionError::from);
        Box::pin(RecordBatchStreamAdapter::new(schema.clone(), batches))
    }

    async fn described(&self, statement: &Statement) -> Result<(Statement, SchemaRef)> {
        let shown = format!("a query of {}", self.server.shown());
        let describe = format!("DESCRIBE TABLE (\n{}\n)", statement.sql);
        let rows = self.server.rows_with(&shown, &describe, &bound(&statement.values)?).await?;
        let (mut fields, mut selected) = (vec![], vec![]);
        for row in &rows {
            let (name, kind) = (text(row, 0), Kind::of(text(row, 1), ""));
            let data_type = kind.arrow().ok_or_else(|| {
                let message =
                    format!("{shown}: column \"{name}\" is of type {}, which cannot be read", text(row, 1));
                Error::new(ErrorKind::Unsupported, message).hint("cast it in the SQL")
            })?;
            fields.push(Field::new(name, data_type, kind.nullable));
            selected.push(kind.selected(name));
        }
        let sql = format!("SELECT {} FROM (\n{}\n)", selected.join(", "), statement.sql);
        Ok((Statement { sql, values: statement.values.clone() }, Arc::new(Schema::new(fields))))
    }
}

/// Settings that give parameters their values.
pub(super) fn bound(values: &[ScalarValue]) -> Result<Vec<(String, String)>> {
    let parameter = |(at, value): (usize, &ScalarValue)| {
        let (_, text) = spelled(value)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "a value was sent that cannot be"))?;
        Ok((format!("param_v{}", at + 1), text))
    };
    values.iter().enumerate().map(parameter).collect()
}

/// The type of a value, and the value as the server reads parameters: escaped as in its tab-separated format.
fn spelled(value: &ScalarValue) -> Option<(String, String)> {
    let kind = match value {
        ScalarValue::Utf8(_) => "String".to_owned(),
        ScalarValue::Boolean(_) => "Bool".to_owned(),
        ScalarValue::Int64(_) => "Int64".to_owned(),
        ScalarValue::UInt64(_) => "UInt64".to_owned(),
        ScalarValue::Float64(_) => "Float64".to_owned(),
        ScalarValue::Date32(_) => "Date32".to_owned(),
        ScalarValue::TimestampMicrosecond(_, Some(_)) => "DateTime64(6, 'UTC')".to_owned(),
        ScalarValue::Decimal128(_, precision, scale) if *scale >= 0 => {
            format!("Decimal({precision}, {scale})")
        }
        _ => return None,
    };
    if value.is_null() {
        return Some((format!("Nullable({kind})"), "\\N".to_owned()));
    }
    let text = match value {
        ScalarValue::Utf8(Some(text)) => escaped(text),
        ScalarValue::Date32(Some(days)) => date_from_days(*days).to_string(),
        ScalarValue::TimestampMicrosecond(Some(ticks), _) => {
            format_ticks(*ticks, Tick::Us, false).replace('T', " ")
        }
        ScalarValue::Decimal128(Some(unscaled), _, scale) => {
            Value::Decimal { unscaled: *unscaled, scale: *scale }.to_string()
        }
        other => other.to_string(),
    };
    Some((kind, text))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            other => out.push(other),
        }
    }
    out
}

/// Binds values; computes nothing for the engine.
struct AsItStands;

impl Dialect for AsItStands {
    fn placeholder(&self, number: usize, value: &ScalarValue) -> Option<String> {
        spelled(value).map(|(kind, _)| format!("{{v{number}:{kind}}}"))
    }

    fn agrees(&self, _: &DataType) -> Agreement {
        Agreement::Nothing
    }

    fn ordered(&self, term: &Term) -> String {
        term.sql.clone()
    }

    fn arithmetic(&self, _: &Term, _: Operator, _: &Term, _: &DataType) -> Option<String> {
        None
    }

    fn cast(&self, _: &Term, _: &DataType) -> Option<String> {
        None
    }

    fn like(&self, _: &Term, _: &Term) -> Option<String> {
        None
    }

    fn aggregate(&self, _: &AggregateCall<'_>) -> Option<String> {
        None
    }

    fn result(&self, _: &Term) -> Option<String> {
        None
    }

    fn fits(&self, _: &str, _: &Term) -> Option<String> {
        None
    }

    fn prefers_in(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_beside_the_statement() {
        let hostile = ScalarValue::Utf8(Some("'); DROP TABLE t; --\\\t{v1:String}\n".into()));
        assert_eq!(AsItStands.placeholder(1, &hostile).unwrap(), "{v1:String}");
        let values = bound(&[hostile, ScalarValue::Int64(None), ScalarValue::Date32(Some(0))]).unwrap();
        let expected = [
            ("param_v1", "'); DROP TABLE t; --\\\\\\t{v1:String}\\n"),
            ("param_v2", "\\N"),
            ("param_v3", "1970-01-01"),
        ];
        assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let at = ScalarValue::TimestampMicrosecond(Some(1_500_000), Some("UTC".into()));
        assert_eq!(AsItStands.placeholder(2, &at).unwrap(), "{v2:DateTime64(6, 'UTC')}");
        assert_eq!(bound(&[at]).unwrap()[0].1, "1970-01-01 00:00:01.500000");
        assert_eq!(AsItStands.placeholder(3, &ScalarValue::Int64(None)).unwrap(), "{v3:Nullable(Int64)}");
    }
}
