//! When a unit is tried again: by the error's kind, with doubling waits and jitter.

use std::{sync::Arc, time::Duration};

use rand::Rng;
use tokio_util::sync::CancellationToken;

use super::event::{Event, Observer};
use crate::{
    config::project::Retry,
    connector::error::{Error, Result},
    model::name::Track,
};

/// The tries of one run.
pub(super) struct Tries<'a> {
    policy: Retry,
    track: &'a Track,
    observer: &'a Arc<dyn Observer>,
    cancel: &'a CancellationToken,
    failed: u32,
}

impl<'a> Tries<'a> {
    /// `failed` tries of it had failed before, in a process that died: they count.
    pub(super) fn new(
        policy: Retry,
        failed: u32,
        track: &'a Track,
        observer: &'a Arc<dyn Observer>,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self { policy, track, observer, cancel, failed }
    }

    /// A try failed: waits until the next one is due, or gives the error back where there is none.
    /// A try that had committed something counts as the first of the next unit.
    pub(super) async fn failed(&mut self, error: Error, progressed: bool) -> Result<()> {
        self.failed = if progressed { 1 } else { self.failed + 1 };
        let Some(wait) = wait_after(&error, self.failed, self.policy) else { return Err(error) };
        let event = Event::Retrying { error: error.to_string(), wait, attempt: self.failed };
        self.observer.event(self.track, &event);
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.cancel.cancelled() => Err(error),
        }
    }
}

/// The wait before the next try; `None` = give up. `failed` counts the tries of this unit that failed, from 1.
fn wait_after(error: &Error, failed: u32, policy: Retry) -> Option<Duration> {
    if !error.kind.policy().retry || failed >= policy.attempts {
        return None;
    }
    let doubled = policy.wait.get().saturating_mul(1 << (failed - 1).min(20)).min(Retry::LONGEST_WAIT);
    // Half to whole: several members that failed together do not come back together.
    Some(doubled.mul_f64(rand::rng().random_range(0.5..=1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connector::error::ErrorKind, model::time::Span};

    #[test]
    fn waits_double_and_end() {
        let policy = Retry {
            attempts: 4,
            wait: Span::new(Duration::from_secs(10)),
            timeout: Span::new(Duration::MAX),
        };
        let busy = Error::new(ErrorKind::Busy, "locked");
        for (failed, seconds) in [(1, 10), (2, 20), (3, 40)] {
            let wait = wait_after(&busy, failed, policy).unwrap();
            assert!(wait <= Duration::from_secs(seconds) && wait >= Duration::from_secs(seconds / 2));
        }
        assert_eq!(wait_after(&busy, 4, policy), None);
        assert_eq!(wait_after(&Error::new(ErrorKind::Corrupt, "torn"), 1, policy), None);
    }
}
