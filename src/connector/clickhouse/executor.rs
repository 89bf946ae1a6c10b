//! Statements of the SQL engine, and queries that users wrote in the server's own SQL, run by the server itself: values go beside them as the server's own
//! parameters (`{v1:String}`), rows come as Arrow.

use std::{fmt, sync::Arc};

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::{execution::SendableRecordBatchStream, scalar::ScalarValue};

use super::{
    client::Server,
    dialect::{ClickHouseDialect, columns, source, spelled},
    scan::{LiveTable, rows},
    table::{Table, text},
    types::Kind,
};
use crate::connector::{
    error::{Error, ErrorKind, Result},
    executor::{Dialect, Estimate, Executor, RemoteTable, Statement},
    scan::Scanned,
};

/// A server that runs statements.
pub(super) struct ClickHouseExecutor {
    server: Arc<Server>,
}

/// A table for the engine: scanned, or a part of a statement.
pub(super) fn remote(server: &Arc<Server>, table: Table) -> RemoteTable {
    RemoteTable {
        name: source(&table),
        columns: columns(&table),
        executor: Arc::new(ClickHouseExecutor { server: server.clone() }),
        // How many rows there are changes nothing.
        told: Some(format!("{:?}", Table { rows: None, ..table.clone() })),
        scan: Arc::new(Scanned(LiveTable::new(server.clone(), table))),
    }
}

impl fmt::Debug for ClickHouseExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.server.name)
    }
}

#[async_trait]
impl Executor for ClickHouseExecutor {
    fn place(&self) -> &str {
        &self.server.name
    }

    fn dialect(&self) -> &dyn Dialect {
        &ClickHouseDialect
    }

    fn rows(&self, statement: &Statement, schema: &SchemaRef) -> SendableRecordBatchStream {
        let shown = format!("a query of {}", self.server.shown());
        let (server, statement, columns) = (self.server.clone(), statement.clone(), schema.clone());
        let named = shown.clone();
        rows(columns, shown, async move {
            server.arrow_with(&named, &statement.sql, &bound(&statement.values)?).await
        })
    }

    async fn estimate(&self, statement: &Statement) -> Result<Vec<Estimate>> {
        let shown = format!("a query of {}", self.server.shown());
        let asked = format!("EXPLAIN ESTIMATE {}", statement.sql);
        let rows = self.server.rows_with(&shown, &asked, &bound(&statement.values)?).await?;
        let number = |row: &_, at| text(row, at).parse().unwrap_or_default();
        let estimate = |row: &_| Estimate {
            table: format!("{}.{}", text(row, 0), text(row, 1)),
            parts: number(row, 2),
            rows: number(row, 3),
        };
        Ok(rows.iter().map(estimate).collect())
    }

    async fn described(&self, statement: &Statement) -> Result<(Statement, SchemaRef)> {
        let shown = format!("a query of {}", self.server.shown());
        let asked = format!("DESCRIBE TABLE (\n{}\n)", statement.sql);
        let rows = self.server.rows_with(&shown, &asked, &bound(&statement.values)?).await?;
        let (mut fields, mut selected) = (vec![], vec![]);
        for row in &rows {
            let (name, declared) = (text(row, 0), text(row, 1));
            let kind = Kind::of(declared, "");
            let data_type = kind.arrow().ok_or_else(|| {
                let message = format!("{shown}: column `{name}` is {declared}, which cannot be read");
                Error::new(ErrorKind::Unsupported, message).hint("convert it in the SQL")
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
        let text = spelled(value);
        let text = text.ok_or_else(|| Error::new(ErrorKind::Internal, "a value was sent that cannot be"))?;
        Ok((format!("param_v{}", at + 1), text))
    };
    values.iter().enumerate().map(parameter).collect()
}
