//! Push-down, proven by comparing: every query is answered twice over the same tables, once by the place and once by the engine, and the
//! answers must be the same.

mod differences;
mod hostile;
mod in_place;
mod native;
mod places;
mod queries;
mod row_rules;
mod trusted;
mod typing;

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::SchemaRef, util::display::array_value_to_string};
use datafusion::{execution::SendableRecordBatchStream, scalar::ScalarValue};
use futures::TryStreamExt;
use vitrina::{
    connector::{connection::Connection, error::Result},
    engine::{
        params::Params,
        session::{Engine, Settings},
    },
};

use crate::support::specs::now;

/// Two engines over one place: one that sends what it can, and one that computes all by itself.
pub(super) struct Pair {
    pub(super) sending: Engine,
    pub(super) own: Engine,
    _folder: tempfile::TempDir,
}

/// An answer: its columns, and its rows as people read them.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Pair {
    pub(super) fn over(connection: &Arc<dyn Connection>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = |push_down| {
            let settings = Settings {
                memory: 128 << 20,
                spill: folder.path().join("spill"),
                zone: "Europe/Moscow".parse().unwrap(),
                threads: 2,
                push_down,
            };
            let mut engine = Engine::new(&settings).unwrap();
            engine.register_connection("place", connection.clone());
            engine
        };
        Self { sending: engine(true), own: engine(false), _folder: folder }
    }

    /// Compares the two answers; whether the place computed more than scans do.
    pub(super) async fn compare(&self, sql: &str, params: &Params) -> bool {
        let ordered = sql.contains("ORDER BY") && !sql.contains("/* any order */");
        let [sent, own] = [&self.sending, &self.own].map(|engine| answer(engine, sql, params, ordered));
        let (sent, own) = (sent.await, own.await);
        let plan = self.sending.explain(sql, params, now()).await.unwrap_or_default();
        match (sent, own) {
            (Ok(sent), Ok(own)) => assert_eq!(sent, own, "{sql}\n{plan}"),
            (Err(error), Err(_)) => panic!("neither answers: {error}\n{sql}"),
            (Err(error), Ok(_)) => panic!("only the place fails: {error} {:?}\n{sql}\n{plan}", error.source),
            (Ok(_), Err(error)) => panic!("only the engine fails: {error}\n{sql}\n{plan}"),
        }
        is_sent(&plan)
    }
}

/// Whether a plan has a statement of ours, and not only scans.
pub(super) fn is_sent(plan: &str) -> bool {
    plan.contains(" AS c1")
}

async fn answer(engine: &Engine, sql: &str, params: &Params, ordered: bool) -> Result<Answer> {
    gathered(engine.query(sql, params, now()).await?, ordered).await
}

/// An answer, its rows in an order of their own where the query has none.
pub(super) async fn gathered(stream: SendableRecordBatchStream, ordered: bool) -> Result<Answer> {
    let columns = shape(&stream.schema());
    let batches: Vec<RecordBatch> = stream.try_collect().await?;
    let mut rows: Vec<Vec<String>> = batches.iter().flat_map(shown).collect();
    if !ordered {
        rows.sort();
    }
    Ok(Answer { columns, rows })
}

/// The answer of the engine that sends what it can.
pub(super) async fn rows(pair: &Pair, sql: &str, params: &Params) -> Result<Vec<Vec<String>>> {
    Ok(answer(&pair.sending, sql, params, false).await?.rows)
}

/// The answer of SQL that is sent as it stands.
pub(super) async fn as_it_stands(pair: &Pair, sql: &str, params: &Params) -> Result<Vec<Vec<String>>> {
    let batches: Vec<RecordBatch> = pair.sending.native(sql, params).await?.try_collect().await?;
    Ok(batches.iter().flat_map(shown).collect())
}

fn shape(schema: &SchemaRef) -> Vec<String> {
    schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect()
}

fn shown(batch: &RecordBatch) -> Vec<Vec<String>> {
    let cell = |column: usize, row: usize| {
        let column = batch.column(column);
        if column.is_null(row) { "NULL".to_owned() } else { array_value_to_string(column, row).unwrap() }
    };
    (0..batch.num_rows()).map(|row| (0..batch.num_columns()).map(|at| cell(at, row)).collect()).collect()
}

/// Parameters of one text each.
pub(super) fn texts(named: &[(&str, &str)]) -> Params {
    let mut params = Params::new();
    for (name, text) in named {
        params.set(*name, ScalarValue::Utf8(Some((*text).to_owned())));
    }
    params
}
