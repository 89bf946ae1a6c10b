//! What the dialog asks of the world: reports and the values of lists, as whoever sits at the terminal.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::{
    bot::event::{Access, Outcome, Picked, Viewer, With},
    cli::output,
    report::{
        access::Reader,
        run::{Failure, Reports, Request},
    },
    run::Runtime,
};

/// Runs what is asked.
pub(super) struct Answers {
    reports: Arc<Reports>,
}

impl Answers {
    pub(super) fn new(runtime: Arc<Runtime>) -> Self {
        Self { reports: Arc::new(Reports::new(runtime)) }
    }

    /// A report; dropping it stops it. Why it failed is told on stderr, where an admin reads.
    pub(super) fn run(&self, viewer: &Viewer, report: &str, with: With) -> BoxFuture<'static, Outcome> {
        let request = request(viewer, report, with);
        let reports = Arc::clone(&self.reports);
        Box::pin(async move {
            match reports.run(&request, &CancellationToken::new()).await {
                Ok(answer) => Outcome::Done { blocks: answer.blocks, drills: answer.drills },
                Err(Failure::TimedOut) => Outcome::TimedOut,
                Err(Failure::Cancelled) => Outcome::Cancelled,
                Err(failure) => {
                    output::complain(&told(&request.report, &failure));
                    Outcome::Failed
                }
            }
        })
    }

    /// The values of a list; nothing where they cannot be told.
    pub(super) async fn options(
        &self,
        viewer: &Viewer,
        report: &str,
        ask: &str,
        search: &str,
        limit: usize,
    ) -> Option<Vec<Picked>> {
        let request = request(viewer, report, With::new());
        match self.reports.options(&request, ask, search, limit).await {
            Ok(found) => Some(found),
            Err(failure) => {
                output::complain(&told(report, &failure));
                None
            }
        }
    }
}

fn request(viewer: &Viewer, report: &str, with: With) -> Request {
    Request {
        report: report.to_owned(),
        with,
        reader: reader(viewer),
        language: viewer.language,
        zone: viewer.zone,
    }
}

fn reader(viewer: &Viewer) -> Reader {
    match &viewer.access {
        Access::Member { roles, attributes } => {
            Reader { roles: roles.clone(), attributes: attributes.clone() }
        }
        _ => Reader::default(),
    }
}

fn told(report: &str, failure: &Failure) -> String {
    let why = match failure {
        Failure::Unknown => "there is no such report".to_owned(),
        Failure::Refused(why) => why.clone(),
        Failure::Wrong(wrong) => wrong.to_string(),
        Failure::TimedOut => "it took longer than it may".to_owned(),
        Failure::Cancelled => "it was stopped".to_owned(),
        Failure::Failed(error) => error.to_string(),
    };
    format!("report `{report}`: {why}")
}
