//! What fails where it panics: it is a mistake of ours, and yet whoever waits for it hears of it, and the bot goes on.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};

use async_trait::async_trait;
use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use super::answers::{Answered, Answers, Question};
use crate::{
    bot::event::{Advice, Named, Outcome, Picked, Viewer, With},
    config::bot::Sent,
};

/// What admins are told.
pub(super) const PANICKED: &str = "it panicked: this is a mistake in Vitrina, please report it";

/// Others' answers, guarded.
pub(super) struct Guarded(pub(super) Arc<dyn Answers>);

/// What came of it; `None` = it panicked.
async fn guarded<T>(what: &str, answer: impl Future<Output = T>) -> Option<T> {
    let answer = AssertUnwindSafe(answer).catch_unwind().await;
    answer.inspect_err(|_| tracing::error!("{what}: {PANICKED}")).ok()
}

/// The same of what waits for nothing.
pub(super) fn unpanicked<T>(what: &str, done: impl FnOnce() -> T) -> Option<T> {
    let done = std::panic::catch_unwind(AssertUnwindSafe(done));
    done.inspect_err(|_| tracing::error!("{what}: {PANICKED}")).ok()
}

fn failed() -> Answered {
    Answered { outcome: Outcome::Failed, cause: Some(PANICKED.to_owned()) }
}

#[async_trait]
impl Answers for Guarded {
    async fn run(&self, viewer: &Viewer, report: &str, with: &With, stop: &CancellationToken) -> Answered {
        guarded(report, self.0.run(viewer, report, with, stop)).await.unwrap_or_else(failed)
    }

    async fn options(&self, viewer: &Viewer, question: &Question) -> Result<Vec<Picked>, String> {
        let found = guarded(&question.report, self.0.options(viewer, question)).await;
        found.unwrap_or_else(|| Err(PANICKED.to_owned()))
    }

    async fn named(&self, viewer: &Viewer, words: &str, report: Option<&str>) -> Vec<Named> {
        guarded("lists", self.0.named(viewer, words, report)).await.unwrap_or_default()
    }

    async fn advice(&self, viewer: &Viewer, words: &str) -> Option<Advice> {
        guarded("the model", self.0.advice(viewer, words)).await.flatten()
    }

    async fn workbook(&self, viewer: &Viewer, mart: &str) -> Answered {
        guarded(mart, self.0.workbook(viewer, mart)).await.unwrap_or_else(failed)
    }

    async fn stale(&self, what: &Sent) -> Vec<String> {
        guarded(&what.written(), self.0.stale(what)).await.unwrap_or_default()
    }

    async fn failing(&self) -> Option<BTreeMap<String, String>> {
        guarded("what is wrong", self.0.failing()).await.flatten()
    }

    async fn alert(&self, alert: &str) -> Result<Option<String>, String> {
        guarded(alert, self.0.alert(alert)).await.unwrap_or_else(|| Err(PANICKED.to_owned()))
    }
}
