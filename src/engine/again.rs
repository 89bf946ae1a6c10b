//! Questions that are asked again and again of other rows: a mart's checks, window by window. Planning one takes longer than the rows of a window do, so plans are kept.
//!
//! A plan is kept only where the answer depends on nothing but `this` and the parameters that it was planned with: not on another table, which may have changed, nor on when it
//! is asked. One that joins by hashes is not kept either: it has another plan for the case that it finds no memory.

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::{
    catalog::{TableProvider, streaming::StreamingTable},
    datasource::MemTable,
    error::{DataFusionError, Result as SqlResult},
    execution::{SendableRecordBatchStream, SessionState, TaskContext},
    logical_expr::{Expr, LogicalPlan, Volatility},
    physical_plan::{
        ExecutionPlan, execute_stream, execution_plan::reset_plan_states, stream::RecordBatchStreamAdapter,
        streaming::PartitionStream,
    },
    scalar::ScalarValue,
};
use futures::{TryStreamExt, stream};

use super::{
    execute::{has_expression, has_hash_join},
    params::Params,
    parse,
    reads::Reads,
    session::{Engine, state_at},
};
use crate::connector::error::{Error, Result};

/// What the table is called that such a question is about.
const THIS: &str = "this";

/// Plans between two questions. Each is in use by one at a time, so there are as many of a question as were asked at once.
#[derive(Default)]
pub struct Plans(Mutex<Vec<Kept>>);

/// The plan of a question.
struct Kept {
    sql: String,
    /// The parameters that it names.
    values: Vec<(String, ScalarValue)>,
    schema: SchemaRef,
    /// `None` = it is to be planned each time.
    plan: Option<(Arc<dyn ExecutionPlan>, Arc<Slot>)>,
}

impl Kept {
    fn answers(&self, sql: &str, params: &Params, schema: &SchemaRef) -> bool {
        let same = |(name, value): &(String, ScalarValue)| params.get(name) == Some(value);
        self.sql == sql && self.schema == *schema && self.values.iter().all(same)
    }
}

impl Plans {
    /// A plan that nobody uses.
    fn take(&self, sql: &str, params: &Params, schema: &SchemaRef) -> Option<Kept> {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = plans.iter().position(|kept| kept.answers(sql, params, schema))?;
        Some(plans.swap_remove(found))
    }

    /// Keeps a plan; those of the same question with other parameters will hardly be asked for again.
    fn put(&self, kept: Kept) {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plans.retain(|other| other.sql != kept.sql || other.values == kept.values);
        plans.push(kept);
    }
}

impl Engine {
    /// The answer to a question about `this`, as [`query_over`](Self::query_over) gives it; for questions whose answers are small.
    pub async fn ask_again(
        &self,
        sql: &str,
        params: &Params,
        now: DateTime<Utc>,
        this: &Arc<dyn TableProvider>,
        plans: &Plans,
    ) -> Result<Vec<RecordBatch>> {
        // A place that computes is given the question itself.
        let is_here = this.is::<StreamingTable>() || this.is::<MemTable>();
        if is_here {
            let schema = this.schema();
            let kept = match plans.take(sql, params, &schema) {
                Some(kept) => kept,
                None => self.plan_to_keep(sql, params, now, schema).await?,
            };
            if let Some((plan, rows)) = &kept.plan {
                let answer = self.answer(plan, rows, this).await?;
                plans.put(kept);
                return Ok(answer);
            }
            plans.put(kept);
        }
        let rows = self.query_over(sql, params, now, &[(THIS, Arc::clone(this))]).await?;
        rows.try_collect().await.map_err(Error::from)
    }

    async fn answer(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        rows: &Slot,
        this: &Arc<dyn TableProvider>,
    ) -> Result<Vec<RecordBatch>> {
        rows.put(Some(this.scan(&self.aside, None, &[], None).await?));
        let plan = reset_plan_states(Arc::clone(plan))?;
        let answer = execute_stream(plan, self.aside.task_ctx())?.try_collect().await;
        rows.put(None);
        answer.map_err(Error::from)
    }

    async fn plan_to_keep(
        &self,
        sql: &str,
        params: &Params,
        now: DateTime<Utc>,
        schema: SchemaRef,
    ) -> Result<Kept> {
        let rows = Arc::new(Slot { schema: Arc::clone(&schema), rows: Mutex::default() });
        let table = StreamingTable::try_new(Arc::clone(&schema), vec![Arc::clone(&rows) as _])?;
        let state = settled(state_at(self.aside.clone(), now));
        let (logical, names) = self.planned(&state, sql, params, &[(THIS, Arc::new(table))]).await?;
        let mut kept = Kept { sql: sql.to_owned(), values: vec![], schema, plan: None };
        if is_about_this_alone(&logical, &names)? {
            let plan = self.physical_of(&state, logical, sql, &names).await?;
            if !has_hash_join(&plan) {
                kept.values = values(sql, params);
                kept.plan = Some((plan, rows));
            }
        }
        Ok(kept)
    }
}

/// The parameters that a query names.
fn values(sql: &str, params: &Params) -> Vec<(String, ScalarValue)> {
    let named = parse::query(sql).map(|parsed| parsed.parameters).unwrap_or_default();
    let value = |(name, _): (String, Range<usize>)| {
        let value = params.get(&name)?.clone();
        Some((name, value))
    };
    named.into_iter().filter_map(value).collect()
}

fn is_about_this_alone(plan: &LogicalPlan, names: &Reads) -> SqlResult<bool> {
    let others = names.tables.iter().any(|table| table.name.parts != [THIS]);
    Ok(!others && !has_expression(plan, changes)?)
}

/// Whether an expression may have another value the next time.
fn changes(expression: &Expr) -> bool {
    match expression {
        Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Immutable,
        _ => false,
    }
}

/// Without filters that operators hand to others while they run: these would outlive the answer.
fn settled(mut state: SessionState) -> SessionState {
    let optimizer = &mut state.config_mut().options_mut().optimizer;
    optimizer.enable_dynamic_filter_pushdown = false;
    optimizer.enable_topk_dynamic_filter_pushdown = false;
    optimizer.enable_join_dynamic_filter_pushdown = false;
    optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    state
}

/// Where a plan finds the rows that it is asked about.
struct Slot {
    schema: SchemaRef,
    rows: Mutex<Option<Arc<dyn ExecutionPlan>>>,
}

impl Slot {
    fn put(&self, rows: Option<Arc<dyn ExecutionPlan>>) {
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(THIS)
    }
}

impl PartitionStream for Slot {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let rows = rows.ok_or_else(|| DataFusionError::Internal("nothing was asked".to_owned()));
        rows.and_then(|rows| execute_stream(rows, context)).unwrap_or_else(|error| {
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::iter([Err(error)])))
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{AsArray, Int64Array},
        datatypes::Int64Type,
    };

    use super::*;
    use crate::engine::session::Settings;

    fn engine() -> (Engine, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let spill = folder.path().to_owned();
        let settings =
            Settings { memory: 64 << 20, spill, zone: chrono_tz::UTC, threads: 2, push_down: true };
        (Engine::new(&settings).unwrap(), folder)
    }

    fn table(column: &str, numbers: &[i64]) -> Arc<dyn TableProvider> {
        let numbers: Arc<dyn arrow::array::Array> = Arc::new(Int64Array::from(numbers.to_vec()));
        let batch = RecordBatch::try_from_iter([(column, numbers)]).unwrap();
        Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap())
    }

    async fn ask(engine: &Engine, plans: &Plans, sql: &str, params: &Params, numbers: &[i64]) -> Vec<i64> {
        let this = table("n", numbers);
        let found = engine.ask_again(sql, params, DateTime::UNIX_EPOCH, &this, plans).await.unwrap();
        let numbers = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        found.iter().flat_map(numbers).collect()
    }

    fn kept(plans: &Plans) -> Vec<bool> {
        plans.0.lock().unwrap().iter().map(|kept| kept.plan.is_some()).collect()
    }

    #[tokio::test]
    async fn each_answer_is_about_its_own_rows() {
        let (engine, _folder) = engine();
        for (sql, answers) in [
            ("SELECT count(*) AS n FROM this", [[3], [1], [4]]),
            ("SELECT max(n) AS n FROM this WHERE n <> 2", [[9], [1], [7]]),
            ("SELECT n FROM this ORDER BY n DESC LIMIT 1", [[9], [1], [7]]),
            ("SELECT count(*) FROM (SELECT n FROM this GROUP BY n HAVING count(*) > 1)", [[0], [0], [1]]),
            ("SELECT count(*) FROM this WHERE n = (SELECT max(n) FROM this)", [[1], [1], [2]]),
            (
                "SELECT count(*) FROM (SELECT row_number() OVER (PARTITION BY n) AS r FROM this) WHERE r = 1",
                [[3], [1], [3]],
            ),
        ] {
            let plans = Plans::default();
            let asked: [&[i64]; 3] = [&[9, 2, 5], &[1], &[7, 7, 5, 6]];
            for (numbers, answer) in asked.into_iter().zip(answers) {
                assert_eq!(ask(&engine, &plans, sql, &Params::new(), numbers).await, answer, "{sql}");
                assert_eq!(kept(&plans), [true], "{sql}");
            }
        }
    }

    #[tokio::test]
    async fn two_at_once_have_plans_of_their_own() {
        let (engine, _folder) = engine();
        let (plans, params) = (Plans::default(), Params::new());
        let sql = "SELECT sum(n) AS n FROM this";
        for _ in 0..3 {
            let (one, other) = (
                ask(&engine, &plans, sql, &params, &[1, 2]),
                ask(&engine, &plans, sql, &params, &[30, 40, 50]),
            );
            assert_eq!(futures::join!(one, other), (vec![3], vec![120]));
            assert!(kept(&plans).len() <= 2);
        }
    }

    #[tokio::test]
    async fn parameters_are_those_of_the_question() {
        let (engine, _folder) = engine();
        let plans = Plans::default();
        let sql = "SELECT count(*) AS n FROM this WHERE n > :least";
        for (least, count) in [(0, 3), (0, 3), (2, 1), (1, 2)] {
            let mut params = Params::new();
            params.set("least", ScalarValue::Int64(Some(least)));
            params.set("window.from", ScalarValue::Int64(Some(least * 7)));
            assert_eq!(ask(&engine, &plans, sql, &params, &[1, 2, 3]).await, [count]);
            assert_eq!(kept(&plans), [true], "of the last parameters");
        }
    }

    #[tokio::test]
    async fn what_may_change_is_planned_each_time() {
        let (engine, _folder) = engine();
        let later = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(40);
        for sql in [
            "SELECT date_part('day', now()) + 0 AS n FROM this LIMIT 1",
            "SELECT (SELECT date_part('day', now()) + 0) AS n FROM this LIMIT 1",
        ] {
            let sql = format!("SELECT CAST(n AS BIGINT) AS n FROM ({sql})");
            let plans = Plans::default();
            assert_eq!(ask(&engine, &plans, &sql, &Params::new(), &[1]).await, [1]);
            assert_eq!(kept(&plans), [false]);
            let found =
                engine.ask_again(&sql, &Params::new(), later, &table("n", &[1]), &plans).await.unwrap();
            assert_eq!(found[0].column(0).as_primitive::<Int64Type>().values(), &[10]);
        }
        let plans = Plans::default();
        let sql = "SELECT count(*) AS n FROM this AS one JOIN this AS other ON one.n = other.n";
        assert_eq!(ask(&engine, &plans, sql, &Params::new(), &[1, 2, 2]).await, [5]);
        assert_eq!(kept(&plans), [false], "a hash join");
        let (this, params) = (table("m", &[4]), Params::new());
        let other = engine.ask_again("SELECT m AS n FROM this", &params, later, &this, &plans).await.unwrap();
        assert_eq!(other[0].num_rows(), 1);
    }

    #[tokio::test]
    async fn a_question_that_cannot_be_answered_says_why() {
        let (engine, _folder) = engine();
        let plans = Plans::default();
        let this = table("n", &[0]);
        let params = Params::new();
        let ask = |sql| engine.ask_again(sql, &params, DateTime::UNIX_EPOCH, &this, &plans);
        assert!(ask("SELECT m FROM this").await.is_err());
        assert!(ask("SELECT 1 / n AS n FROM this").await.is_err());
        assert!(kept(&plans).is_empty(), "what failed is not kept");
    }
}
