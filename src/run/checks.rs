//! A mart's checks, asked of staged rows before they are visible.

use std::sync::Arc;

use arrow::{array::AsArray, datatypes::Int64Type};
use chrono::{DateTime, TimeDelta, Utc};
use datafusion::{catalog::TableProvider, scalar::ScalarValue};

use crate::{
    config::project::{Check, Rule, Severity},
    connector::error::{Error, ErrorKind, Result},
    engine::{again::Plans, params::Params, session::Engine, typing::query_tables},
    model::{name::Track, window::Window},
    state::builds::CheckResult,
};

/// What checks are asked about.
pub(super) struct Question<'a> {
    pub engine: &'a Engine,
    /// Of what was asked before.
    pub plans: &'a Plans,
    /// Of the mart's own SQL.
    pub params: &'a Params,
    /// The window that was built; `None` = the whole table was.
    pub window: Option<&'a Window>,
    pub now: DateTime<Utc>,
}

impl Question<'_> {
    /// Asks all checks about so many staged rows, in order; `this` = what shows them.
    pub(super) async fn ask(
        &self,
        checks: &[Check],
        rows: u64,
        this: Option<&Arc<dyn TableProvider>>,
    ) -> Result<Vec<CheckResult>> {
        let mut results = vec![];
        for check in checks.iter().filter(|check| self.concerns(check)) {
            let broken = match &check.rule {
                Rule::RowCount { min, max } => u64::from(!(*min..=*max).contains(&rows)),
                Rule::NoRows { .. } | Rule::Newest { .. } => {
                    let this = this.ok_or_else(|| unseen(check))?;
                    self.count(check, this).await.map_err(|error| about(check, error))?
                }
            };
            let (name, severity) = (check.name.clone(), check.severity);
            results.push(CheckResult { name, blocks: severity == Severity::Block, broken });
        }
        Ok(results)
    }

    /// The age of an old window's rows says nothing.
    fn concerns(&self, check: &Check) -> bool {
        match (&check.rule, self.window) {
            (Rule::Newest { within, .. }, Some(window)) => {
                TimeDelta::from_std(within.get()).is_ok_and(|within| window.until > self.now - within)
            }
            _ => true,
        }
    }

    /// Rows of `this` that break it.
    async fn count(&self, check: &Check, this: &Arc<dyn TableProvider>) -> Result<u64> {
        let (sql, params) = self.query(check);
        let sql = format!("SELECT count(*) AS broken FROM ({sql}) AS broken");
        let batches = self.engine.ask_again(&sql, &params, self.now, this, self.plans).await?;
        let count = batches
            .iter()
            .filter(|batch| batch.num_rows() > 0)
            .find_map(|batch| batch.column(0).as_primitive_opt::<Int64Type>().map(|count| count.value(0)));
        Ok(count.unwrap_or_default().unsigned_abs())
    }

    /// The query that gives the rows which break a check, and its parameters.
    pub(super) fn query(&self, check: &Check) -> (String, Params) {
        let mut params = self.params.clone();
        match &check.rule {
            Rule::NoRows { sql, values } => {
                for (name, value) in values {
                    params.set_value(name, value);
                }
                (sql.text.trim_end().trim_end_matches(';').to_owned(), params)
            }
            Rule::Newest { column, within } => {
                let oldest =
                    TimeDelta::from_std(within.get()).ok().and_then(|age| self.now.checked_sub_signed(age));
                let oldest = oldest.map(|oldest| oldest.timestamp_micros());
                params.set("check.oldest", ScalarValue::TimestampMicrosecond(oldest, Some("UTC".into())));
                let newest = format!("SELECT max(\"{}\") AS newest FROM this", column.replace('"', "\"\""));
                (
                    format!(
                        "SELECT newest FROM ({newest}) AS this WHERE newest IS NULL OR newest < :check.oldest"
                    ),
                    params,
                )
            }
            Rule::RowCount { .. } => ("SELECT * FROM this".to_owned(), params),
        }
    }
}

/// Whether checks block rows, and each that does reads another table than these, which may have moved since they were computed.
pub(super) fn others_block(checks: &[Check], results: &[CheckResult]) -> bool {
    let broken = |check: &&Check| {
        results.iter().any(|result| result.name == check.name && result.blocks && result.broken > 0)
    };
    let mut blocking = checks.iter().filter(broken).peekable();
    blocking.peek().is_some() && blocking.all(reads_others)
}

fn reads_others(check: &Check) -> bool {
    match &check.rule {
        Rule::NoRows { sql, .. } => query_tables(&sql.text).iter().any(|table| table.parts != ["this"]),
        Rule::RowCount { .. } | Rule::Newest { .. } => false,
    }
}

fn unseen(check: &Check) -> Error {
    let message = format!("check \"{}\": the target shows no staged rows before the commit", check.name);
    Error::new(ErrorKind::Unsupported, message).hint("take the check off, or write to another connection")
}

fn about(check: &Check, error: Error) -> Error {
    let message = format!("check \"{}\": {}", check.name, error.message);
    Error { message, ..error }
}

/// What a broken check says; no cell is in it.
pub(super) fn told(result: &CheckResult) -> String {
    let rows = if result.broken == 1 {
        "1 row breaks it".to_owned()
    } else {
        format!("{} rows break it", result.broken)
    };
    format!("check \"{}\" does not hold: {rows}", result.name)
}

/// The error of a build whose checks block it.
pub(super) fn blocked(track: &Track, results: &[CheckResult]) -> Option<Error> {
    let broken: Vec<String> =
        results.iter().filter(|result| result.blocks && result.broken > 0).map(told).collect();
    if broken.is_empty() {
        return None;
    }
    let window = track.window.as_ref().map_or(String::new(), |window| format!("window {window}: "));
    let message = format!("{window}{}; the table keeps its old rows", broken.join("; "));
    let name = track.of_member().name();
    let sample = format!("look at the rows that break it: `vitrina checks {name} --sample 10`");
    Some(Error::new(ErrorKind::CheckFailed, message).hint(sample))
}
