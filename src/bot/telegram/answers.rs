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

/// Words that a dialog wants to be understood.
#[derive(Debug, Clone)]
pub struct Words {
    /// The dialog's number for the question.
    pub ticket: u64,
    /// The words.
    pub words: String,
    /// The report that they are said of, where that is known.
    pub report: Option<String>,
}

/// Runs reports, as their readers.
#[async_trait]
pub trait Answers: Send + Sync + 'static {
    /// Runs a report as this viewer; what is left out of `with` takes its default. Stops when it is told to.
    async fn run(&self, viewer: &Viewer, report: &str, with: &With, stop: &CancellationToken) -> Answered;

    /// The values of a choice, as this viewer may see them. The error is for admins.
    async fn options(&self, viewer: &Viewer, question: &Question) -> Result<Vec<Picked>, String>;

    /// Values that words name of lists that only the database knows, as this viewer may see them; of one report, the words that stand behind its name.
    async fn named(&self, _viewer: &Viewer, _words: &str, _report: Option<&str>) -> Vec<Named> {
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
    /// `None` = that cannot be told at the moment.
    async fn failing(&self) -> Option<BTreeMap<String, String>> {
        Some(BTreeMap::new())
    }

    /// What an alert of `bot.toml` finds, in a few lines; `None` = nothing. The error is for admins.
    async fn alert(&self, alert: &str) -> Result<Option<String>, String>;
}

/// What words name.
pub async fn understood(answers: &dyn Answers, viewer: &Viewer, words: &Words) -> What {
    let named = answers.named(viewer, &words.words, words.report.as_deref()).await;
    What::Understood { ticket: words.ticket, named, advice: None }
}

/// The same once more with what a model makes of them, where one is asked and has something to say. It is asked for a report, and not for what is said of one.
pub async fn advised(answers: &dyn Answers, viewer: &Viewer, words: &Words) -> Option<What> {
    if words.report.is_some() {
        return None;
    }
    let advice = answers.advice(viewer, &words.words).await?;
    // It may call a value by its whole title, where the words have a part of it.
    let more: Vec<&str> = advice.with.values().map(String::as_str).collect();
    let named = answers.named(viewer, &format!("{} {}", words.words, more.join(" ")), None).await;
    Some(What::Understood { ticket: words.ticket, named, advice: Some(advice) })
}
