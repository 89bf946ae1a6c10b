//! Rows that break a mart's checks, on request: the query is run once more, and nothing is written.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use futures::TryStreamExt;

use super::{Runtime, checks::Question, member::Found, params};
use crate::{
    config::project::{MartOutput, Rule},
    connector::error::{Error, ErrorKind, Result},
    engine::again::Plans,
    model::name::{JobName, Member},
    state::builds::Checked,
};

/// Rows that break a check.
#[derive(Debug)]
pub struct Sample {
    /// The check.
    pub check: String,
    /// The window that was looked at; empty where the table is built whole.
    pub window: String,
    /// Their columns.
    pub schema: SchemaRef,
    /// At most as many as were asked for.
    pub batches: Vec<RecordBatch>,
}

impl Runtime {
    /// Rows that break a check, as it said last.
    pub async fn sample(
        &self,
        job: &JobName,
        member: &Member,
        checked: &Checked,
        limit: usize,
    ) -> Result<Option<Sample>> {
        let Found::Mart(_, found) = self.find(job, member)? else { return Ok(None) };
        let MartOutput::Table { sql, windows, checks, .. } = &found.output else { return Ok(None) };
        let Some(check) = checks.iter().find(|check| check.name == checked.result.name) else {
            return Ok(None);
        };
        if matches!(check.rule, Rule::RowCount { .. }) {
            return Ok(None);
        }
        if sql.native {
            let message = format!(
                "`{job}` is native SQL: the rows that break its checks are for its own place to show"
            );
            return Err(Error::new(ErrorKind::Unsupported, message).hint("ask there"));
        }
        let window = windows.as_ref().and_then(|windows| windows.parse(&checked.window));
        let now = self.clock.now();
        let params = params::of_table(&found.facts, windows.as_ref(), window.as_ref(), now);
        let plans = Plans::default();
        let (engine, window) = (&self.engine, window.as_ref());
        let question = Question { engine, plans: &plans, params: &params, window, now };
        let (asked, params) = question.query(check);
        let query = sql.text.trim_end().trim_end_matches(';');
        let sql = format!("WITH this AS (\n{query}\n)\nSELECT * FROM (\n{asked}\n) AS broken LIMIT {limit}");
        let rows = self.engine.query(&sql, &params, now).await?;
        let (check, window, schema) = (check.name.clone(), checked.window.clone(), rows.schema());
        let batches = rows.try_collect().await.map_err(Error::from)?;
        Ok(Some(Sample { check, window, schema, batches }))
    }
}
