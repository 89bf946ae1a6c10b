//! One user who floods the bot is not heard for a while; the others do not notice. A pure function over time.

use std::{collections::HashMap, time::Duration};

/// Events of one user that are heard at once after silence.
const BURST: u32 = 20;
/// How often one more is heard.
const EVERY: Duration = Duration::from_millis(500);
/// Past this many users, those who were silent are forgotten.
const USERS: usize = 10_000;

/// Who has been heard how much.
#[derive(Debug, Default)]
pub(super) struct Flood {
    /// By user: how much of the burst is used, counted at which time.
    used: HashMap<i64, (Duration, Duration)>,
}

impl Flood {
    /// Whether an event of this user is heard.
    pub(super) fn hears(&mut self, user: i64, now: Duration) -> bool {
        if self.used.len() > USERS {
            self.used.retain(|_, (used, at)| *at + *used > now);
        }
        let (used, at) = self.used.get(&user).copied().unwrap_or_default();
        let left = used.saturating_sub(now.saturating_sub(at));
        let heard = left + EVERY <= EVERY * BURST;
        self.used.insert(user, (if heard { left + EVERY } else { left }, now));
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_others_are_heard() {
        let mut flood = Flood::default();
        let second = |n: u64| Duration::from_secs(n);
        let heard = (0..1_000).filter(|_| flood.hears(1, second(5))).count();
        assert_eq!(heard, BURST as usize);
        assert!(flood.hears(2, second(5)));
        assert!(!flood.hears(1, second(5)));
        assert!(flood.hears(1, second(6)), "it is heard again once it is silent");
    }
}
