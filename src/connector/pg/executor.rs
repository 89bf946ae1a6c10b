//! Statements of the SQL engine, run by the server itself.
//!
//! COPY takes no values, so statements go by the extended protocol: values are bound, and rows come in the same binary format as by COPY.

use std::{cell::OnceCell, fmt, pin::Pin, sync::Arc};

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use bytes::BytesMut;
use datafusion::{execution::SendableRecordBatchStream, scalar::ScalarValue};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use tokio_postgres::{
    RowStream,
    types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked},
};

use super::{
    agreement::{PostgresDialect, columns, spelled, staged_columns},
    client::{Lease, Server},
    decode::{cell, plain},
    dialect::STAGE,
    error::failed,
    scan::{LiveTable, StagedTable},
    table::Table,
    types::Kind,
};
use crate::connector::{
    cells::{RowDecoder, Rules},
    error::{Error, ErrorKind, Result},
    executor::{Dialect, Executor, RemoteTable, Statement},
    scan::{self, Scanned},
    source::Chunk,
};

/// Rows and bytes of a chunk, at most.
const CHUNK_ROWS: usize = 8_192;
const CHUNK_BYTES: usize = 4 << 20;

/// A database that runs statements.
pub(super) struct PostgresExecutor {
    place: String,
    sessions: Sessions,
    dialect: PostgresDialect,
}

/// Who runs them.
#[derive(Clone)]
enum Sessions {
    /// Any session of a server.
    Any(Arc<Server>),
    /// The one that has the tables, in its open transaction.
    One(Arc<Lease>),
}

/// A table for the engine: scanned, or a part of a statement.
pub(super) fn remote(server: &Arc<Server>, table: Table) -> RemoteTable {
    let dialect = PostgresDialect { utf8: table.utf8 };
    let (place, sessions) = (server.name.clone(), Sessions::Any(server.clone()));
    RemoteTable {
        name: table.sql(),
        columns: columns(&table, &dialect),
        told: None,
        executor: Arc::new(PostgresExecutor { place, sessions, dialect }),
        scan: Arc::new(Scanned(LiveTable::new(server.clone(), table))),
    }
}

/// The rows that are staged in a session and not committed: scanned, or a part of a statement, with tables of its server.
pub(super) fn staged(lease: &Arc<Lease>, schema: &SchemaRef, utf8: bool, shown: String) -> RemoteTable {
    let dialect = PostgresDialect { utf8 };
    let (place, sessions) = (format!("{} (staged)", lease.server.name), Sessions::One(lease.clone()));
    RemoteTable {
        name: STAGE.to_owned(),
        columns: staged_columns(schema, &dialect),
        told: None,
        executor: Arc::new(PostgresExecutor { place, sessions, dialect }),
        scan: Arc::new(Scanned(StagedTable::new(lease.clone(), schema.clone(), shown))),
    }
}

impl Sessions {
    fn server(&self) -> &Arc<Server> {
        match self {
            Self::Any(server) => server,
            Self::One(lease) => &lease.server,
        }
    }

    /// A session in a transaction.
    async fn begin(&self, shown: &str) -> Result<Held> {
        match self {
            Self::Any(server) => {
                let lease = server.lease().await?;
                let begun = lease.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
                begun.map_err(|error| failed(shown, error))?;
                Ok(Held::Own(lease))
            }
            Self::One(lease) => Ok(Held::Shared(lease.clone())),
        }
    }
}

impl fmt::Debug for PostgresExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

#[async_trait]
impl Executor for PostgresExecutor {
    fn place(&self) -> &str {
        &self.place
    }

    fn reads_of(&self, place: &str) -> bool {
        place == self.place || place == self.sessions.server().name
    }

    fn dialect(&self) -> &dyn Dialect {
        &self.dialect
    }

    fn rows(&self, statement: &Statement, schema: &SchemaRef) -> SendableRecordBatchStream {
        let shown = format!("a query of {}", self.sessions.server().shown());
        let (statement, columns) = (statement.clone(), schema.clone());
        let (sessions, named) = (self.sessions.clone(), shown.clone());
        let chunks = futures::stream::once(async move { begin(&sessions, &statement, columns, named).await });
        scan::chunks(schema.clone(), shown, chunks.try_flatten())
    }

    async fn described(&self, statement: &Statement) -> Result<(Statement, SchemaRef)> {
        let server = self.sessions.server();
        let lease = server.lease().await?;
        let prepared = lease.prepare(&statement.sql).await;
        let shown = format!("a query of {}", server.shown());
        let prepared = prepared.map_err(|error| failed(&shown, error))?;
        let (mut fields, mut names, mut selected) = (vec![], vec![], vec![]);
        for (at, column) in prepared.columns().iter().enumerate() {
            let own = column.type_().schema() == "pg_catalog";
            let kind =
                if own { Kind::of(column.type_().name(), column.type_modifier()) } else { Kind::Other };
            fields.push(Field::new(column.name(), kind.arrow(), true));
            names.push(format!("c{}", at + 1));
            let read = Kind::keeping(&kind.arrow()).unwrap_or(Kind::Text);
            selected.push(format!("(answer.c{})::{}", at + 1, read.sql()));
        }
        drop(prepared);
        lease.give_back();
        let (selected, names) = (selected.join(", "), names.join(", "));
        let sql = format!("SELECT {selected} FROM (\n{}\n) AS answer ({names})", statement.sql);
        Ok((Statement { sql, values: statement.values.clone() }, Arc::new(Schema::new(fields))))
    }
}

async fn begin(
    sessions: &Sessions,
    statement: &Statement,
    schema: SchemaRef,
    shown: String,
) -> Result<BoxStream<'static, Result<Chunk>>> {
    let values = statement.values.iter().map(Bound::of).collect::<Result<Vec<_>>>()?;
    let kinds = schema.fields().iter().map(|field| Kind::keeping(field.data_type()));
    let kinds: Option<Vec<Kind>> = kinds.collect();
    let kinds =
        kinds.ok_or_else(|| Error::new(ErrorKind::Internal, "a column was asked for that cannot be read"))?;
    let decoder = RowDecoder::new(schema, Rules::default())?;
    // From here on: dropped before its end, it asks the server to stop.
    let guard = Guard(Some(sessions.begin(&shown).await?));
    let rows = guard.ask(&statement.sql, values).await.map_err(|error| failed(&shown, error))?;
    let reading = Reading { guard, rows: Box::pin(rows), kinds, decoder, ordinal: 0, shown };
    let chunks = futures::stream::try_unfold(reading, |mut reading| async move {
        Ok(reading.chunk().await?.map(|chunk| (chunk, reading)))
    });
    Ok(chunks.boxed())
}

/// A session that runs a statement.
enum Held {
    /// Our own, in a transaction that ends with the statement.
    Own(Lease),
    /// One that others use too, whose transaction is theirs.
    Shared(Arc<Lease>),
}

/// A session that works for us; gone when all was read.
struct Guard(Option<Held>);

impl Guard {
    async fn ask(&self, sql: &str, values: Vec<Bound>) -> Result<RowStream, tokio_postgres::Error> {
        let lease = match self.0.as_ref().expect("the session is ours until the end") {
            Held::Own(lease) => lease,
            Held::Shared(lease) => lease,
        };
        let values = values.into_iter().map(|value| {
            let of = value.of.clone();
            (value, of)
        });
        lease.query_typed_raw(sql, values).await
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // What is left of a shared session's answer is thrown away as it comes.
        let Some(Held::Own(lease)) = self.0.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let token = lease.cancel_token();
                lease.server.cancel(token).await;
                drop(lease);
            });
        }
    }
}

/// Runs a statement that gives no rows; how many it wrote.
pub(super) async fn run(lease: &Lease, sql: &str, values: &[ScalarValue], shown: &str) -> Result<u64> {
    let values = values.iter().map(Bound::of).collect::<Result<Vec<_>>>()?;
    let values: Vec<(&(dyn ToSql + Sync), Type)> =
        values.iter().map(|value| (value as _, value.of.clone())).collect();
    lease.heard(lease.execute_typed(sql, &values)).await.map_err(|error| failed(shown, error))
}

struct Reading {
    guard: Guard,
    rows: Pin<Box<RowStream>>,
    kinds: Vec<Kind>,
    decoder: RowDecoder,
    ordinal: u64,
    shown: String,
}

impl Reading {
    async fn chunk(&mut self) -> Result<Option<Chunk>> {
        if self.guard.0.is_none() {
            return Ok(None);
        }
        while self.decoder.rows() < CHUNK_ROWS && self.decoder.bytes() < CHUNK_BYTES {
            match self.rows.next().await {
                Some(row) => {
                    let row = row.map_err(|error| failed(&self.shown, error))?;
                    self.take(&row).map_err(|error| failed(&self.shown, error))?;
                }
                None => {
                    if let Some(Held::Own(lease)) = self.guard.0.take() {
                        lease.run("COMMIT").await.map_err(|error| failed(&self.shown, error))?;
                        lease.give_back();
                    }
                    break;
                }
            }
        }
        let chunk = (self.decoder.rows() > 0).then(|| self.decoder.finish());
        chunk.transpose()
    }

    fn take(&mut self, row: &tokio_postgres::Row) -> Result<(), tokio_postgres::Error> {
        let fields =
            (0..self.kinds.len()).map(|at| Ok(row.try_get::<_, Option<Bytes<'_>>>(at)?.map(|b| b.0)));
        let fields: Vec<Option<&[u8]>> = fields.collect::<Result<_, tokio_postgres::Error>>()?;
        let long = vec![OnceCell::new(); fields.len()];
        let kinds = &self.kinds;
        self.decoder.push_plain(
            self.ordinal,
            |at, column| plain(kinds[at], fields[at]?, column),
            |at| cell(kinds[at], fields[at], &long[at]),
        );
        self.ordinal += 1;
        Ok(())
    }
}

/// A field as it came.
struct Bytes<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Bytes<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A value, sent as text of a type.
#[derive(Debug)]
struct Bound {
    text: Option<String>,
    of: Type,
}

impl Bound {
    fn of(value: &ScalarValue) -> Result<Self> {
        let (text, kind) = spelled(value)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "a value was sent that cannot be"))?;
        Ok(Self { text, of: named(kind) })
    }
}

/// The type of a value that can be sent.
fn named(kind: Kind) -> Type {
    match kind {
        Kind::Bool => Type::BOOL,
        Kind::Int2 => Type::INT2,
        Kind::Int4 => Type::INT4,
        Kind::Int8 => Type::INT8,
        Kind::Numeric(_) => Type::NUMERIC,
        Kind::Date => Type::DATE,
        Kind::Timestamp { utc: true, .. } => Type::TIMESTAMPTZ,
        Kind::Timestamp { utc: false, .. } => Type::TIMESTAMP,
        _ => Type::TEXT,
    }
}

impl ToSql for Bound {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.text {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
