//! Supervised tasks: each has a name, is begun again where it fails, and ends when the daemon stops.

use std::{
    collections::BTreeMap,
    fmt::Display,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::FutureExt;
use serde::{Deserialize, Serialize};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Before a task that failed is begun again; doubled for each further failure in a row.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// A task that went this long had recovered.
const RECOVERED: Duration = Duration::from_mins(5);

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// It goes.
    Runs,
    /// It failed, and is begun again in a moment.
    Failed(String),
    /// It has nothing to do any more.
    Ended,
}

/// The long-lived tasks of the daemon.
#[derive(Clone)]
pub struct Tasks {
    first_wait: Duration,
    stop: CancellationToken,
    set: Arc<Mutex<JoinSet<()>>>,
    states: Arc<Mutex<BTreeMap<&'static str, TaskState>>>,
}

impl Tasks {
    /// Tasks that end when `stop` is cancelled.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { first_wait: FIRST_WAIT, stop, set: Arc::default(), states: Arc::default() }
    }

    /// Begins a task. `make` makes it anew after each failure or panic; it is given the token that tells it to end, and may
    /// also end by itself.
    pub fn spawn<F, W, E>(&self, name: &'static str, mut make: F)
    where
        F: FnMut(CancellationToken) -> W + Send + 'static,
        W: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let (stop, tasks) = (self.stop.clone(), self.clone());
        let work = async move {
            let mut wait = tasks.first_wait;
            loop {
                tasks.is(name, TaskState::Runs);
                let begun = Instant::now();
                let work = AssertUnwindSafe(make(stop.clone()));
                let why = match work.catch_unwind().await {
                    Ok(Ok(())) => return tasks.is(name, TaskState::Ended),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "it panicked".to_owned(),
                };
                if begun.elapsed() >= RECOVERED {
                    wait = tasks.first_wait;
                }
                tracing::error!("task `{name}` failed: {why}; begun again in {} s", wait.as_secs());
                tasks.is(name, TaskState::Failed(why));
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        };
        lock(&self.set).spawn(work.instrument(tracing::info_span!("task", task = name)));
    }

    /// Where each task stands.
    pub fn states(&self) -> BTreeMap<String, TaskState> {
        lock(&self.states).iter().map(|(name, state)| ((*name).to_owned(), state.clone())).collect()
    }

    /// Waits until all have ended, `grace` at most.
    pub(super) async fn ended(&self, grace: Duration) {
        let mut set = std::mem::take(&mut *lock(&self.set));
        let all = async { while set.join_next().await.is_some() {} };
        let late = tokio::time::timeout(grace, all).await.is_err();
        if late {
            tracing::warn!("some tasks did not end in time, and are dropped");
        }
    }

    fn is(&self, name: &'static str, state: TaskState) {
        lock(&self.states).insert(name, state);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_fails_or_panics_is_begun_again_and_ends_with_the_daemon() {
        let stop = CancellationToken::new();
        let tasks = Tasks { first_wait: Duration::from_millis(1), ..Tasks::new(stop.clone()) };
        let tries = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&tries);
        tasks.spawn("flaky", move |stop| {
            let tries = Arc::clone(&counted);
            async move {
                match tries.fetch_add(1, Ordering::SeqCst) {
                    0 => Err("no luck"),
                    1 => panic!("a mistake"),
                    _ => {
                        stop.cancelled().await;
                        Ok(())
                    }
                }
            }
        });
        while tries.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(tasks.states()["flaky"], TaskState::Runs);
        stop.cancel();
        tasks.ended(Duration::from_secs(1)).await;
        assert_eq!(tasks.states()["flaky"], TaskState::Ended);
    }
}
