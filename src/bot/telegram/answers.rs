//! What the front-end needs of reports: whoever runs them stands behind this.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::{
    bot::event::{Advice, Named, Outcome, Picked, Viewer, What, With},
    config::bot::Sent,
};

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

    /// Values that words name of lists that only the database knows, as this viewer may see them.
    async fn named(&self, _viewer: &Viewer, _words: &str) -> Vec<Named> {
        vec![]
    }

    /// What a model makes of words, of the reports that this viewer may run; `None` = no model is asked, or it has nothing to say.
    async fn advice(&self, _viewer: &Viewer, _words: &str) -> Option<Advice> {
        None
    }

    /// The workbook of a mart, as it was last written: of the members that this viewer may see.
    async fn workbook(&self, viewer: &Viewer, mart: &str) -> Answered;

    /// What a report or a workbook is made of that is not fresh, by name; empty = all of it is, or nobody said how fresh it must be.
    async fn stale(&self, _what: &Sent) -> Vec<String> {
        vec![]
    }

    /// What the project does not do as it should, by a name that stays the same while it lasts, each with why: runs that failed, checks that block, what is stale.
    async fn failing(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// What an alert of `bot.toml` finds, in a few lines; `None` = nothing. The error is for admins.
    async fn alert(&self, alert: &str) -> Result<Option<String>, String>;
}

/// What words name, told as soon as it is known; and once more with what a model makes of them, where one has something to say.
pub async fn understand(
    answers: &dyn Answers,
    viewer: &Viewer,
    ticket: u64,
    words: &str,
    mut tell: impl FnMut(What) + Send,
) {
    let named = answers.named(viewer, words).await;
    tell(What::Understood { ticket, named, advice: None });
    if let Some(advice) = answers.advice(viewer, words).await {
        // It may call a value by its whole title, where the words have a part of it.
        let more: Vec<&str> = advice.with.values().map(String::as_str).collect();
        let named = answers.named(viewer, &format!("{words} {}", more.join(" "))).await;
        tell(What::Understood { ticket, named, advice: Some(advice) });
    }
}
