//! Rows on their way into a stage: a table of ours, made as the target is.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, UInt64Array},
    compute::{cast, max, min},
    datatypes::{DataType, Date32Type, Field, Int64Type, Schema, SchemaRef, TimeUnit},
    record_batch::RecordBatch,
};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::{
    client::Server,
    error::failed,
    executor::bound,
    ipc::Encoder,
    key::Key,
    name::{literal, qualified, quote, quote_all},
    note::{KEYS, Note, STAGE, fresh},
    replacing,
    replicated::Replication,
    table::{Table, TableColumn, missing},
};
use crate::{
    connector::{
        cursor::SqlKey,
        error::{Error, ErrorKind, Result},
        executor::Statement,
        records::conflict,
        sink::SinkSpec,
    },
    model::{
        delivery::Mode,
        name::Track,
        unit::{DELETED, Scope},
        value::Value,
    },
};

/// Numbers a merge's rows as they come.
const NUMBER: &str = "_vitrina_row";

/// The tables of one stage; dropped with it, unless they were decided.
pub(super) struct Stage {
    server: Arc<Server>,
    database: String,
    shown: String,
    /// The rows as the target takes them.
    pub(super) name: String,
    /// For a merge that deletes: the rows as they came.
    pub(super) keys: Option<String>,
    replication: Replication,
    kept: bool,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let names = std::iter::once(&self.name).chain(&self.keys);
        let drops: Vec<String> =
            names.map(|name| format!("DROP TABLE IF EXISTS {}", qualified(&self.database, name))).collect();
        let (server, shown) = (self.server.clone(), self.shown.clone());
        // What is left behind all the same, the next claim of the track takes away.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                for sql in drops {
                    let _ = server.run(&shown, &sql).await;
                }
            });
        }
    }
}

impl Stage {
    /// Empty tables like the target, that say what they are for.
    pub(super) async fn make(
        server: &Arc<Server>,
        target: &Table,
        spec: &SinkSpec,
        note: &Note,
        replication: &Replication,
    ) -> Result<Self> {
        let merges = spec.mode == Mode::Merge;
        let shown = &server.table_shown(&target.database, &target.name);
        let stage = Self {
            server: server.clone(),
            database: target.database.clone(),
            shown: shown.clone(),
            name: fresh(STAGE),
            keys: merges.then(|| fresh(KEYS)),
            replication: replication.clone(),
            kept: false,
        };
        let (name, comment) = (stage.sql(&stage.name), note.text());
        server.run(shown, &replication.make_stage(&name, target, &comment)).await?;
        if let Some(keys) = &stage.keys {
            let columns = target.columns.iter().filter(|column| !column.computed);
            let mut columns: Vec<String> =
                columns.map(|column| format!("{} {}", quote(&column.name), column.declared)).collect();
            columns.push(format!("{NUMBER} UInt64"));
            if target.column(DELETED).is_none() {
                columns.push(format!("{DELETED} Nullable(Bool)"));
            }
            let sql = format!(
                "CREATE TABLE {} ({}) ENGINE = {} ORDER BY tuple() COMMENT {}",
                stage.sql(keys),
                columns.join(", "),
                replication.engine("MergeTree"),
                literal(&comment)
            );
            server.run(shown, &sql).await?;
        }
        Ok(stage)
    }

    fn sql(&self, table: &str) -> String {
        qualified(&self.database, table)
    }

    /// From now on the tables belong to a unit that was decided, or to nobody.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// Fills the stage; gives the number of rows that came.
    pub(super) async fn fill(
        &mut self,
        target: &Table,
        spec: &SinkSpec,
        schema: &SchemaRef,
        mut rows: SendableRecordBatchStream,
    ) -> Result<u64> {
        let judges = Judges::new(target, schema, &self.shown)?;
        let (into, schema) = match &self.keys {
            Some(keys) => (keys, numbered(schema)),
            None => (&self.name, schema.clone()),
        };
        let columns = quote_all(schema.fields().iter().map(|field| field.name().as_str()));
        let staging = self.replication.staging();
        let sql = format!("INSERT INTO {} ({columns}){staging} FORMAT ArrowStream", self.sql(into));
        let mut insert = self.server.insert(&sql).await?;
        let mut encoder = Encoder::new(&schema)?;
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(Error::from)?;
            judges.judge(&batch)?;
            let batch = if self.keys.is_some() { with_numbers(&batch, &schema, count)? } else { batch };
            count += batch.num_rows() as u64;
            let bytes = encoder.push(&batch)?;
            insert.send(bytes).await.map_err(|error| failed(&self.shown, error))?;
        }
        if count == 0 {
            return Ok(0);
        }
        insert.send(encoder.finish()?).await.map_err(|error| failed(&self.shown, error))?;
        insert.end().await.map_err(|error| failed(&self.shown, error))?;
        self.check_count(into, count).await?;
        if let Some(keys) = &self.keys {
            self.take_last(keys, target, spec, &schema).await?;
        }
        if replacing::of(spec).is_some() {
            self.drop_keys().await?;
        }
        Ok(count)
    }

    /// Fills the stage by a query of this very server: its rows never leave it. Gives their number.
    pub(super) async fn fill_inside(
        &self,
        target: &Table,
        scope: &Scope,
        schema: &SchemaRef,
        query: &Statement,
    ) -> Result<u64> {
        let name = self.sql(&self.name);
        let columns = quote_all(schema.fields().iter().map(|field| field.name().as_str()));
        let staging = self.replication.staging();
        let sql =
            format!("INSERT INTO {name} ({columns}){staging} SELECT {columns} FROM (\n{}\n)", query.sql);
        self.server.run_with(&self.shown, &sql, &bound(&query.values)?).await?;
        if let Scope::Window { column, from, until } = scope {
            let column = target.column(column).ok_or_else(|| missing(&self.shown, target, column))?;
            let inside = window(column, from, until, &self.shown)?;
            let sql = format!("SELECT 1 FROM {name} WHERE NOT coalesce({inside}, false) LIMIT 1");
            if self.server.row(&self.shown, &sql).await?.is_some() {
                let message =
                    format!("{}: a row lies outside of its window by `{}`", self.shown, column.name);
                return Err(Error::new(ErrorKind::BadData, message)
                    .hint("mend the SQL: a build replaces its own rows only"));
            }
        }
        let count = self.server.cell(&self.shown, &format!("SELECT toString(count()) FROM {name}")).await?;
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or_default())
    }

    /// The keys are not asked for again.
    async fn drop_keys(&mut self) -> Result<()> {
        let Some(keys) = self.keys.take() else { return Ok(()) };
        self.server.run(&self.shown, &format!("DROP TABLE IF EXISTS {}", self.sql(&keys))).await
    }

    /// What the server answers for and what was sent are the same.
    async fn check_count(&self, table: &str, sent: u64) -> Result<()> {
        let sql = format!("SELECT toString(count()) FROM {}", self.sql(table));
        let there = self.server.cell(&self.shown, &sql).await?;
        if there.as_deref() == Some(sent.to_string().as_str()) {
            return Ok(());
        }
        let message =
            format!("{}: {sent} rows were sent, and {} are staged", self.shown, there.unwrap_or_default());
        Err(Error::new(ErrorKind::Io, message)
            .hint("see the server's log; a TTL that has passed takes rows away at once"))
    }

    /// NULL is equal to nothing, so that such rows would be there once more with every merge.
    async fn check_key(&self, keys: &str, spec: &SinkSpec) -> Result<()> {
        let terms: Vec<String> = spec.key.iter().map(|key| format!("isNull({})", quote(key))).collect();
        let sql = format!("SELECT 1 FROM {} WHERE {} LIMIT 1", self.sql(keys), terms.join(" OR "));
        if self.server.row(&self.shown, &sql).await?.is_none() {
            return Ok(());
        }
        let message = format!("{}: a row has NULL in its key", self.shown);
        Err(Error::new(ErrorKind::BadData, message)
            .hint("take such rows out in the SQL, or choose another key"))
    }

    /// The last row of each key, or the one of the greatest version, unless it says that the key is deleted for good.
    async fn take_last(&self, keys: &str, target: &Table, spec: &SinkSpec, schema: &SchemaRef) -> Result<()> {
        self.check_key(keys, spec).await?;
        let own = schema.fields().iter().map(|field| field.name().as_str());
        let columns = quote_all(own.filter(|name| target.column(name).is_some()));
        let key = quote_all(spec.key.iter().map(String::as_str));
        let deleted = if target.column(DELETED).is_none() && schema.field_with_name(DELETED).is_ok() {
            format!(" WHERE NOT coalesce({DELETED}, false)")
        } else {
            String::new()
        };
        let version = replacing::of(spec).and_then(|replacing| replacing.version);
        let first = version.map_or(String::new(), |version| format!("{} DESC, ", quote(version)));
        let last = format!("SELECT * FROM {} ORDER BY {first}{NUMBER} DESC LIMIT 1 BY {key}", self.sql(keys));
        let sql = format!(
            "INSERT INTO {} ({columns}){} SELECT {columns} FROM ({last}){deleted}",
            self.sql(&self.name),
            self.replication.staging()
        );
        self.server.run(&self.shown, &sql).await
    }
}

/// What a failure over a stage comes to: a later claim of its track may have taken the stage away.
pub(super) async fn failure(stage: &Table, server: &Server, track: &Track, error: Error) -> Error {
    match Table::find(server, &stage.database, &stage.name).await {
        Ok(None) => conflict(track),
        _ => error,
    }
}

/// The condition that holds for the rows of a window.
pub(super) fn window(column: &TableColumn, from: &Value, until: &Value, shown: &str) -> Result<String> {
    let key = Key::of(column, shown)?;
    let (from, until, name) = (key.literal(from)?, key.literal(until)?, quote(&column.name));
    Ok(format!("({name} >= {from} AND {name} < {until})"))
}

fn numbered(schema: &SchemaRef) -> SchemaRef {
    let number = Arc::new(Field::new(NUMBER, DataType::UInt64, false));
    Arc::new(Schema::new(schema.fields().iter().cloned().chain([number]).collect::<Vec<_>>()))
}

fn with_numbers(batch: &RecordBatch, schema: &SchemaRef, first: u64) -> Result<RecordBatch> {
    let numbers: ArrayRef = Arc::new(UInt64Array::from_iter_values(first..first + batch.num_rows() as u64));
    let columns = batch.columns().iter().cloned().chain([numbers]).collect();
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// Which of the columns have fewer dates and instants than Arrow, and which.
struct Judges {
    columns: Vec<(usize, String, (i64, i64))>,
    shown: String,
}

impl Judges {
    fn new(target: &Table, schema: &SchemaRef, shown: &str) -> Result<Self> {
        let mut columns = vec![];
        for (at, field) in schema.fields().iter().enumerate().filter(|(_, field)| field.name() != DELETED) {
            let column: &TableColumn =
                target.column(field.name()).ok_or_else(|| missing(shown, target, field.name()))?;
            if let Some(range) = column.kind.range() {
                columns.push((at, field.name().clone(), range));
            }
        }
        Ok(Self { columns, shown: shown.to_owned() })
    }

    /// The server would take an instant that it has no place for, and spell another one.
    fn judge(&self, batch: &RecordBatch) -> Result<()> {
        for (at, name, (first, last)) in &self.columns {
            let Some((least, most)) = ends(batch.column(*at))? else { continue };
            if least < *first || most > *last {
                let message = format!(
                    "{}: column \"{name}\" has a date or time that ClickHouse's type cannot keep",
                    self.shown
                );
                return Err(Error::new(ErrorKind::BadData, message)
                    .hint("DateTime64 and Date32 reach from 1900 to 2299, DateTime from 1970 to 2106, Date to 2149: put such rows right in the SQL"));
            }
        }
        Ok(())
    }
}

/// The least and the greatest day or second of a column.
fn ends(column: &ArrayRef) -> Result<Option<(i64, i64)>> {
    let (values, per_second) = match column.data_type() {
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>();
            return Ok(min(days).zip(max(days)).map(|(least, most)| (i64::from(least), i64::from(most))));
        }
        DataType::Timestamp(unit, _) => {
            let per_second = match unit {
                TimeUnit::Second => 1,
                TimeUnit::Millisecond => 1_000,
                TimeUnit::Microsecond => 1_000_000,
                TimeUnit::Nanosecond => 1_000_000_000,
            };
            (cast(column, &DataType::Int64)?, per_second)
        }
        _ => return Ok(None),
    };
    let ticks = values.as_primitive::<Int64Type>();
    Ok(min(ticks)
        .zip(max(ticks))
        .map(|(least, most)| (least.div_euclid(per_second), most.div_euclid(per_second))))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, TimestampMillisecondArray};

    use super::*;

    #[test]
    fn ends_of_columns() {
        let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(5), None, Some(-7)]));
        assert_eq!(ends(&days).unwrap(), Some((-7, 5)));
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![-1, 1_999]));
        assert_eq!(ends(&times).unwrap(), Some((-1, 1)));
        let empty: ArrayRef = Arc::new(Date32Array::from(Vec::<i32>::new()));
        assert_eq!(ends(&empty).unwrap(), None);
    }
}
