//! The project's own reports behind the front-end's questions.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::answers::{Answered, Answers, Question};
use crate::{
    bot::event::{Access, Outcome, Picked, Viewer, With},
    engine::params::Params,
    report::{
        access::Reader,
        run::{Failure, Reports, Request},
    },
    run::Runtime,
};

/// Rows of an alert that are told.
const ROWS: usize = 10;

/// Gives the project as it is now, opened.
pub type Runtimes = Arc<dyn Fn() -> Arc<Runtime> + Send + Sync>;

/// Reports of the project as it is now: what is begun with one project ends with it.
pub struct ProjectReports {
    runtimes: Runtimes,
    now: Mutex<(Arc<Runtime>, Arc<Reports>)>,
}

impl ProjectReports {
    /// Of these projects.
    pub fn new(runtimes: Runtimes) -> Self {
        let runtime = runtimes();
        let reports = Arc::new(Reports::new(Arc::clone(&runtime)));
        Self { runtimes, now: Mutex::new((runtime, reports)) }
    }

    fn reports(&self) -> (Arc<Runtime>, Arc<Reports>) {
        let runtime = (self.runtimes)();
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&now.0, &runtime) {
            *now = (Arc::clone(&runtime), Arc::new(Reports::new(runtime)));
        }
        now.clone()
    }
}

#[async_trait]
impl Answers for ProjectReports {
    async fn run(&self, viewer: &Viewer, report: &str, with: &With, stop: &CancellationToken) -> Answered {
        let (_, reports) = self.reports();
        let outcome = match reports.run(&request(viewer, report, with.clone()), stop).await {
            Ok(answer) => Outcome::Done { blocks: answer.blocks, drills: answer.drills },
            Err(Failure::TimedOut) => Outcome::TimedOut,
            Err(Failure::Cancelled) => Outcome::Cancelled,
            Err(failure) => return Answered { outcome: Outcome::Failed, cause: Some(told(&failure)) },
        };
        Answered { outcome, cause: None }
    }

    async fn options(&self, viewer: &Viewer, question: &Question) -> Option<Vec<Picked>> {
        let (_, reports) = self.reports();
        let request = request(viewer, &question.report, With::new());
        match reports.options(&request, &question.ask, &question.search, question.limit).await {
            Ok(found) => Some(found),
            Err(failure) => {
                tracing::warn!("the list of `{}` of `{}`: {}", question.ask, question.report, told(&failure));
                None
            }
        }
    }

    async fn alert(&self, alert: &str) -> Result<Option<String>, String> {
        let (runtime, _) = self.reports();
        let project = runtime.project();
        let Some(alert) = project.bot.as_ref().and_then(|bot| bot.alerts.get(alert)) else { return Ok(None) };
        let (engine, none) = (runtime.engine(), Params::new());
        let rows = if alert.sql.native {
            engine.native(&alert.sql.text, &none).await
        } else {
            engine.query(&alert.sql.text, &none, runtime.clock().now()).await
        };
        let mut rows = rows.map_err(|error| error.to_string())?;
        let (mut lines, mut more) = (vec![], 0);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| error.to_string())?;
            let shown = batch.slice(0, batch.num_rows().min(ROWS - lines.len()));
            lines.extend(written(&shown).map_err(|error| error.to_string())?);
            more += batch.num_rows() - shown.num_rows();
        }
        if lines.is_empty() {
            return Ok(None);
        }
        if more > 0 {
            lines.push(format!("… + {more}"));
        }
        Ok(Some(lines.join("\n")))
    }
}

/// Rows as lines: each column's name and value.
fn written(batch: &arrow::array::RecordBatch) -> Result<Vec<String>, arrow::error::ArrowError> {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    let options = FormatOptions::default().with_null("—");
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let schema = batch.schema();
    let line = |row: usize| {
        let cells = columns.iter().zip(schema.fields());
        cells
            .map(|(column, field)| format!("{}: {}", field.name(), column.value(row)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    Ok((0..batch.num_rows()).map(line).collect())
}

fn request(viewer: &Viewer, report: &str, with: With) -> Request {
    let reader = match &viewer.access {
        Access::Member { roles, attributes } => {
            Reader { roles: roles.clone(), attributes: attributes.clone() }
        }
        _ => Reader::default(),
    };
    Request { report: report.to_owned(), with, reader, language: viewer.language, zone: viewer.zone }
}

fn told(failure: &Failure) -> String {
    match failure {
        Failure::Unknown => "there is no such report".to_owned(),
        Failure::Refused(why) => why.clone(),
        Failure::Wrong(wrong) => wrong.to_string(),
        Failure::TimedOut => "it took longer than it may".to_owned(),
        Failure::Cancelled => "it was stopped".to_owned(),
        Failure::Failed(error) => error.to_string(),
    }
}
