//! What dialogs ask of the project besides reports: values of lists, and what words mean. It is found beside the desk, for so many at once.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::{
    answers::{self, Answers, Question, Words},
    desk::News,
};
use crate::bot::event::{Action, Viewer, What};

/// Questions that are looked into at once. One more hears at once that there is no answer.
const AT_ONCE: usize = 64;

/// A question.
#[derive(Debug)]
pub(super) enum Outside {
    /// The values of a choice.
    Options(u64, Question),
    /// What words name, and what a model makes of them.
    Understand(Words),
}

impl Outside {
    /// What an action asks.
    pub(super) fn of(action: Action) -> Option<Self> {
        match action {
            Action::Options { ticket, report, ask, search, limit } => {
                Some(Self::Options(ticket, Question { report, ask, search, limit }))
            }
            Action::Understand { ticket, words, report } => {
                Some(Self::Understand(Words { ticket, words, report }))
            }
            _ => None,
        }
    }

    /// What is heard where nobody can be asked: that the list cannot be told, and that the words name nothing of one.
    fn unanswered(&self) -> What {
        match self {
            Self::Options(ticket, _) => What::Options { ticket: *ticket, found: None },
            Self::Understand(words) => What::Understood { ticket: words.ticket, named: vec![], advice: None },
        }
    }
}

/// What was found, without all that was found.
pub(super) fn nothing(what: What) -> What {
    match what {
        What::Options { ticket, .. } => What::Options { ticket, found: None },
        What::Understood { ticket, .. } => What::Understood { ticket, named: vec![], advice: None },
        other => other,
    }
}

/// Whoever looks into questions.
pub(super) struct Inquiries {
    answers: Arc<dyn Answers>,
    news: mpsc::Sender<News>,
    places: Arc<Semaphore>,
}

impl Inquiries {
    pub(super) fn new(answers: Arc<dyn Answers>, news: mpsc::Sender<News>) -> Self {
        Self { answers, news, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Looks into a question; the answer comes as news. Where too many are looked into already, it is given at once.
    pub(super) fn ask(&self, viewer: &Viewer, outside: Outside) -> Option<What> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Some(outside.unanswered());
        };
        let (answers, news, viewer) = (Arc::clone(&self.answers), self.news.clone(), viewer.clone());
        tokio::spawn(async move {
            let _place = place;
            let heard = |what| News::Heard(Box::new(viewer.clone()), what);
            // The desk is gone only when the bot stops.
            match outside {
                Outside::Options(ticket, question) => {
                    let found = answers.options(&viewer, &question).await;
                    let failed = found.as_ref().err().cloned();
                    let found = found.ok();
                    let _ = news.send(heard(What::Options { ticket, found })).await;
                    if let Some(cause) = failed {
                        let _ = news.send(News::Failed(viewer.user, question.report, cause)).await;
                    }
                }
                Outside::Understand(words) => {
                    let understood = answers::understood(answers.as_ref(), &viewer, &words).await;
                    let _ = news.send(heard(understood)).await;
                    if let Some(advised) = answers::advised(answers.as_ref(), &viewer, &words).await {
                        let _ = news.send(heard(advised)).await;
                    }
                }
            }
        });
        None
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::bot::{
        dialog::tests::viewer,
        event::{Picked, With},
        telegram::answers::Answered,
    };

    /// Never has an answer.
    struct Silent;

    #[async_trait]
    impl Answers for Silent {
        async fn run(&self, _: &Viewer, _: &str, _: &With, _: &CancellationToken) -> Answered {
            std::future::pending().await
        }

        async fn options(&self, _: &Viewer, _: &Question) -> Result<Vec<Picked>, String> {
            std::future::pending().await
        }

        async fn workbook(&self, _: &Viewer, _: &str) -> Answered {
            std::future::pending().await
        }

        async fn alert(&self, _: &str) -> Result<Option<String>, String> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn past_the_last_place_the_answer_is_that_there_is_none() {
        let (news, mut heard) = mpsc::channel(1);
        let inquiries = Inquiries::new(Arc::new(Silent), news);
        let list = |ticket| {
            let question =
                Question { report: "r".to_owned(), ask: "a".to_owned(), search: String::new(), limit: 10 };
            Outside::Options(ticket, question)
        };
        for ticket in 0..AT_ONCE as u64 {
            assert!(inquiries.ask(&viewer(), list(ticket)).is_none());
        }
        let refused = inquiries.ask(&viewer(), list(7_000));
        assert!(matches!(refused, Some(What::Options { ticket: 7_000, found: None })), "{refused:?}");
        let words = Words { ticket: 8_000, words: "w".to_owned(), report: None };
        let refused = inquiries.ask(&viewer(), Outside::Understand(words));
        assert!(matches!(refused, Some(What::Understood { ticket: 8_000, .. })), "{refused:?}");
        assert!(heard.try_recv().is_err());
    }
}
