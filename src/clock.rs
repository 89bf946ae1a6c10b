//! The only reader of wall time. Everything else is given a [`Clock`], so that tests can stop it.

use chrono::{DateTime, Utc};

use crate::model::time::Clock;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}
