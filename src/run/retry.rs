//! When a unit is tried again: by the error's kind, with doubling waits and jitter.

use std::time::Duration;

use rand::Rng;

use crate::{config::project::Retry, connector::error::Error};

/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// The wait before the next try; `None` = give up. `failed` counts the tries of this unit that failed, from 1.
pub(super) fn wait_after(error: &Error, failed: u32, policy: Retry) -> Option<Duration> {
    if !error.kind.policy().retry || failed >= policy.attempts {
        return None;
    }
    let doubled = policy.wait.get().saturating_mul(1 << (failed - 1).min(20)).min(LONGEST_WAIT);
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
