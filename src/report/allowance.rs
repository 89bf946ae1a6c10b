//! How long one report may run: what it spends in line, behind others, is not its own.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::run::Failure;

/// What is left of a report's time.
pub(super) struct Allowance(Mutex<Duration>);

impl Allowance {
    /// All of it.
    pub(super) fn new(time: Duration) -> Self {
        Self(Mutex::new(time))
    }

    /// Does a part of the work; it ends when nothing is left of the time.
    pub(super) async fn spend<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let (left, began) = (*self.lock(), Instant::now());
        let done = timeout(left, work).await;
        *self.lock() = left.saturating_sub(began.elapsed());
        done.unwrap_or(Err(Failure::TimedOut))
    }

    fn lock(&self) -> MutexGuard<'_, Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn parts_share_it_and_waiting_between_them_is_free() {
        let allowance = Allowance::new(Duration::from_millis(500));
        let works = async |millis| {
            allowance
                .spend(async {
                    sleep(Duration::from_millis(millis)).await;
                    Ok(millis)
                })
                .await
        };
        assert!(matches!(works(50).await, Ok(50)));
        sleep(Duration::from_millis(600)).await;
        assert!(matches!(works(50).await, Ok(50)), "it waited for longer than it may run");
        assert!(matches!(works(60_000).await, Err(Failure::TimedOut)));
        assert!(matches!(works(50).await, Err(Failure::TimedOut)), "nothing is left");
    }
}
