//! What the front-end needs of reports: whoever runs them stands behind this.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::bot::event::{Outcome, Picked, Viewer, With};

/// What became of a report.
#[derive(Debug, Clone)]
pub struct Answered {
    /// As its reader sees it.
    pub outcome: Outcome,
    /// Of a failure: what admins are told.
    pub cause: Option<String>,
}

/// A question whose values are wanted.
#[derive(Debug, Clone)]
pub struct Question {
    /// The report.
    pub report: String,
    /// The question.
    pub ask: String,
    /// What titles must have in them.
    pub search: String,
    /// How many at most.
    pub limit: usize,
}

/// Runs reports, as their readers.
#[async_trait]
pub trait Answers: Send + Sync + 'static {
    /// Runs a report as this viewer; what is left out of `with` takes its default. Stops when it is told to.
    async fn run(&self, viewer: &Viewer, report: &str, with: &With, stop: &CancellationToken) -> Answered;

    /// The values of a choice, as this viewer may see them; `None` = they cannot be told.
    async fn options(&self, viewer: &Viewer, question: &Question) -> Option<Vec<Picked>>;

    /// What a report reads that is not fresh, by name; empty = all of it is, or nobody said how fresh it must be.
    async fn stale(&self, _report: &str) -> Vec<String> {
        vec![]
    }

    /// What the project does not do as it should, by a name that stays the same while it lasts, each with why: runs that failed or were blocked.
    async fn failing(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// What an alert of `bot.toml` finds, in a few lines; `None` = nothing. The error is for admins.
    async fn alert(&self, alert: &str) -> Result<Option<String>, String>;
}
