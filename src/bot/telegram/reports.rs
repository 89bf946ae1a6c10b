//! The project's own reports behind the front-end's questions.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::{
    answers::{Answered, Answers, Question},
    model::Adviser,
};
use crate::{
    bot::{
        access,
        event::{Access, Advice, Named, Outcome, Picked, Viewer, With},
        meant,
    },
    config::bot::{Sent, Show},
    model::{
        name::JobName,
        trouble::{Trouble, TroubleKind},
    },
    report::{
        access::Reader,
        run::{Failure, Reports, Request},
    },
    run::Runtime,
};

/// Lists that are read at once, and how long all of them may take: what is not there by then is not named.
const LISTS: usize = 4;
const LISTS_WAIT: Duration = Duration::from_secs(5);

/// Gives the project as it is now, opened.
pub type Runtimes = Arc<dyn Fn() -> Arc<Runtime> + Send + Sync>;

/// Reports of the project as it is now: what is begun with one project ends with it.
pub struct ProjectReports {
    runtimes: Runtimes,
    now: Mutex<(Arc<Runtime>, Arc<Reports>)>,
    adviser: Adviser,
    pictures: bool,
}

impl ProjectReports {
    /// Of these projects. `pictures`: on phones, where tables that do not fit become pictures.
    pub fn new(runtimes: Runtimes, pictures: bool) -> Self {
        let runtime = runtimes();
        let reports = Arc::new(Reports::new(Arc::clone(&runtime)));
        Self { runtimes, now: Mutex::new((runtime, reports)), adviser: Adviser::new(), pictures }
    }

    fn reports(&self) -> (Arc<Runtime>, Arc<Reports>) {
        let runtime = (self.runtimes)();
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&now.0, &runtime) {
            *now = (Arc::clone(&runtime), Arc::new(Reports::new(runtime)));
        }
        now.clone()
    }

    fn request(&self, viewer: &Viewer, report: &str, with: With) -> Request {
        Request {
            report: report.to_owned(),
            with,
            reader: reader(viewer),
            language: viewer.language,
            zone: viewer.zone,
            pictures: self.pictures,
        }
    }
}

#[async_trait]
impl Answers for ProjectReports {
    async fn run(&self, viewer: &Viewer, report: &str, with: &With, stop: &CancellationToken) -> Answered {
        let (_, reports) = self.reports();
        let outcome = match reports.run(&self.request(viewer, report, with.clone()), stop).await {
            Ok(answer) => Outcome::Done { blocks: answer.blocks, drills: answer.drills },
            // Its reader can ask for less; whether it may take longer is for admins.
            Err(failure @ Failure::TimedOut) => {
                return Answered { outcome: Outcome::TimedOut, cause: Some(told(&failure)) };
            }
            Err(Failure::Cancelled) => Outcome::Cancelled,
            // Trying again would not help.
            Err(Failure::Refused(why)) => {
                let words = reports.words(viewer.language);
                return Answered {
                    outcome: Outcome::Refused(words.refused_rows().to_owned()),
                    cause: Some(why),
                };
            }
            Err(failure) => return Answered { outcome: Outcome::Failed, cause: Some(told(&failure)) },
        };
        Answered { outcome, cause: None }
    }

    async fn options(&self, viewer: &Viewer, question: &Question) -> Result<Vec<Picked>, String> {
        let (_, reports) = self.reports();
        let request = self.request(viewer, &question.report, With::new());
        let found = reports.options(&request, &question.ask, &question.search, question.limit).await;
        found.map_err(|failure| format!("the list of `{}`: {}", question.ask, told(&failure)))
    }

    async fn named(&self, viewer: &Viewer, words: &str, of: Option<&str>) -> Vec<Named> {
        let (runtime, reports) = self.reports();
        let Some(bot) = &runtime.project().bot else { return vec![] };
        let own = bot.reports.values().filter(|report| access::may_run(&viewer.access, report));
        let own = own.filter(|report| of.is_none_or(|of| of == report.name));
        let lists = own.flat_map(|report| {
            report
                .ask
                .iter()
                .filter(|(_, ask)| meant::is_listed(ask))
                .map(|(ask, _)| (report.name.clone(), ask.clone()))
        });
        let lists: Vec<(String, String)> = lists.collect();
        let read = futures::stream::iter(lists).map(|(report, ask)| {
            let (reports, request) = (Arc::clone(&reports), self.request(viewer, &report, With::new()));
            async move {
                let values = list_named(&reports, &request, &ask, words, of.is_some()).await;
                Named { report, ask, values }
            }
        });
        let read = read.buffered(LISTS).take_until(tokio::time::sleep(LISTS_WAIT));
        read.filter(|named| std::future::ready(!named.values.is_empty())).collect().await
    }

    async fn advice(&self, viewer: &Viewer, words: &str) -> Option<Advice> {
        let (runtime, _) = self.reports();
        let project = runtime.project();
        self.adviser.advice(project.bot.as_ref()?, &project.root, viewer, words).await
    }

    async fn workbook(&self, viewer: &Viewer, mart: &str) -> Answered {
        let (_, reports) = self.reports();
        match reports.workbook(mart, &reader(viewer), viewer.language) {
            Ok(blocks) => Answered { outcome: Outcome::Done { blocks, drills: vec![] }, cause: None },
            Err(failure) => Answered { outcome: Outcome::Failed, cause: Some(told(&failure)) },
        }
    }

    async fn stale(&self, what: &Sent) -> Vec<String> {
        let (runtime, _) = self.reports();
        let Some(bot) = &runtime.project().bot else { return vec![] };
        let jobs = match what {
            Sent::Workbook(mart) => runtime.jobs_behind(&JobName::new(mart)),
            Sent::Report(name) => {
                let Some(report) = bot.reports.get(name) else { return vec![] };
                let books = report.show.iter().filter_map(|show| match show {
                    Show::Workbook(mart) => Some(runtime.jobs_behind(&JobName::new(mart))),
                    _ => None,
                });
                let books: Vec<JobName> = books.flatten().collect();
                runtime.versions(&report.reads).await.jobs.into_iter().chain(books).collect()
            }
        };
        let mut stale = vec![];
        for job in jobs {
            // One that cannot be asked fails the report itself, which is told.
            if let Ok(Some(freshness)) = runtime.freshness(&job).await
                && freshness.is_stale()
                && !stale.contains(&job.to_string())
            {
                stale.push(job.to_string());
            }
        }
        stale
    }

    async fn failing(&self) -> Option<BTreeMap<String, String>> {
        let (runtime, _) = self.reports();
        let troubles = runtime.troubles().await;
        let troubles =
            troubles.inspect_err(|error| tracing::warn!("what is wrong cannot be told: {error}")).ok()?;
        let named = |trouble: Trouble| match trouble.kind {
            TroubleKind::Stale => (format!("⏳ {}", trouble.name), trouble.why),
            TroubleKind::RunFailed | TroubleKind::CheckBlocked => (trouble.name, trouble.why),
        };
        Some(troubles.into_iter().map(named).collect())
    }

    async fn alert(&self, alert: &str) -> Result<Option<String>, String> {
        let (_, reports) = self.reports();
        reports.alert(alert).await.map_err(|error| error.to_string())
    }
}

/// The values of one list that words name, or mean behind the report's name.
async fn list_named(
    reports: &Reports,
    request: &Request,
    ask: &str,
    words: &str,
    behind: bool,
) -> Vec<Picked> {
    let list = match reports.list(request, ask).await {
        Ok(list) => list,
        // Whom the roles keep from it learns nothing of it.
        Err(Failure::Refused(_) | Failure::Unknown) => return vec![],
        Err(failure) => {
            tracing::warn!("the list of `{ask}` of `{}`: {}", request.report, told(&failure));
            return vec![];
        }
    };
    let words = words.to_owned();
    // Long lists take a while: others go on meanwhile.
    let find = move || if behind { list.told(&words) } else { list.named(&words) };
    tokio::task::spawn_blocking(find).await.unwrap_or_default()
}

fn reader(viewer: &Viewer) -> Reader {
    match &viewer.access {
        Access::Member { roles, attributes } => {
            Reader { roles: roles.clone(), attributes: attributes.clone() }
        }
        _ => Reader::default(),
    }
}

fn told(failure: &Failure) -> String {
    match failure {
        Failure::Unknown => "there is no such report".to_owned(),
        Failure::Refused(why) => why.clone(),
        Failure::Wrong(wrong) => wrong.to_string(),
        Failure::TimedOut => "it took longer than its `timeout` allows".to_owned(),
        Failure::Cancelled => "it was stopped".to_owned(),
        Failure::Failed(error) => error.to_string(),
    }
}
