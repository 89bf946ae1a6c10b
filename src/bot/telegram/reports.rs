//! The project's own reports behind the front-end's questions.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::answers::{Answered, Answers, Question};
use crate::{
    bot::event::{Access, Outcome, Picked, Viewer, With},
    report::{
        access::Reader,
        run::{Failure, Reports, Request},
    },
    run::Runtime,
    state::history::{RunFilter, RunStatus},
};

/// The newest runs that are looked at for what fails.
const RUNS: u32 = 500;

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

    async fn stale(&self, report: &str) -> Vec<String> {
        let (runtime, _) = self.reports();
        let project = runtime.project();
        let Some(report) = project.bot.as_ref().and_then(|bot| bot.reports.get(report)) else {
            return vec![];
        };
        let mut stale = vec![];
        for mart in runtime.versions(&report.reads).await.marts {
            // One that cannot be asked fails the report itself, which is told.
            if let Ok(Some(freshness)) = runtime.freshness(&mart).await
                && freshness.is_stale()
            {
                stale.push(mart.to_string());
            }
        }
        stale
    }

    async fn failing(&self) -> BTreeMap<String, String> {
        let (runtime, _) = self.reports();
        let runs = runtime.history().list(&RunFilter { names: None }, RUNS).unwrap_or_else(|error| {
            tracing::warn!("the history cannot be read: {error}");
            vec![]
        });
        let mut last: BTreeMap<String, Option<String>> = BTreeMap::new();
        // A run that was blocked says nothing of its own: what blocked it does.
        for run in
            runs.into_iter().filter(|run| !matches!(run.state, RunStatus::Running | RunStatus::Blocked))
        {
            let why = (run.state == RunStatus::Failed).then(|| run.error.clone().unwrap_or_default());
            last.entry(run.name()).or_insert(why);
        }
        last.into_iter().filter_map(|(name, why)| Some((name, why?))).collect()
    }

    async fn alert(&self, alert: &str) -> Result<Option<String>, String> {
        let (_, reports) = self.reports();
        reports.alert(alert).await.map_err(|error| error.to_string())
    }
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
