//! Reports in line: so many run at once, one of each user; the others wait, and no more than fit. No clock and no I/O.

use std::collections::{HashMap, VecDeque};

use super::desk::RunKey;

/// Reports of one bot that run at once.
const RUNS: usize = 8;
/// Reports that wait.
const WAITING: usize = 200;
/// Reports of one user that wait.
const OF_ONE: usize = 3;

/// Who runs and who waits; `T` is what a run needs to begin.
#[derive(Debug)]
pub(super) struct Line<T> {
    /// Whether it is being stopped, by run.
    running: HashMap<RunKey, bool>,
    waiting: VecDeque<(RunKey, T)>,
}

/// What became of a report that joined.
#[derive(Debug, PartialEq)]
pub(super) enum Joined<T> {
    /// It begins.
    Begins(T),
    /// It waits behind so many; behind none where only its user's last one has yet to stop.
    Waits(usize),
    /// There is no room.
    Full,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { running: HashMap::new(), waiting: VecDeque::new() }
    }
}

impl<T> Line<T> {
    /// A report is wanted.
    pub(super) fn join(&mut self, key: RunKey, work: T) -> Joined<T> {
        let own = |waiting: &&(RunKey, T)| waiting.0.user == key.user;
        if self.may_begin(key.user) && self.waiting.iter().all(|(waits, _)| !self.may_begin(waits.user)) {
            self.running.insert(key, false);
            return Joined::Begins(work);
        }
        if self.waiting.len() >= WAITING || self.waiting.iter().filter(own).count() >= OF_ONE {
            return Joined::Full;
        }
        let mut of_user = self.running.iter().filter(|(running, _)| running.user == key.user);
        let only_stops = self.waiting.is_empty() && of_user.any(|(_, stops)| *stops);
        let before = if only_stops { 0 } else { self.waiting.len() + 1 };
        self.waiting.push_back((key, work));
        Joined::Waits(before)
    }

    /// A report is to stop: true where it had not begun, and will not.
    pub(super) fn stop(&mut self, key: &RunKey) -> bool {
        if let Some(stops) = self.running.get_mut(key) {
            *stops = true;
            return false;
        }
        let before = self.waiting.len();
        self.waiting.retain(|(waits, _)| waits != key);
        self.waiting.len() < before
    }

    /// A report has ended; gives those that begin now.
    pub(super) fn ended(&mut self, key: &RunKey) -> Vec<(RunKey, T)> {
        self.running.remove(key);
        let mut begin = vec![];
        while let Some(at) = self.waiting.iter().position(|(waits, _)| self.may_begin(waits.user)) {
            let Some((key, work)) = self.waiting.remove(at) else { break };
            self.running.insert(key.clone(), false);
            begin.push((key, work));
        }
        begin
    }

    /// Runs and waiting ones of a user in a chat, by their numbers.
    pub(super) fn of(&self, user: i64, chat: i64) -> Vec<RunKey> {
        let all = self.running.keys().chain(self.waiting.iter().map(|(key, _)| key));
        all.filter(|key| (key.user, key.chat) == (user, chat)).cloned().collect()
    }

    fn may_begin(&self, user: i64) -> bool {
        self.running.len() < RUNS && self.running.keys().all(|running| running.user != user)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(user: i64, run: u64) -> RunKey {
        RunKey { user, chat: user, run, report: "r".to_owned() }
    }

    #[test]
    fn one_of_each_user_and_so_many_of_all() {
        let mut line = Line::default();
        assert_eq!(line.join(key(1, 1), ()), Joined::Begins(()));
        assert_eq!(line.join(key(1, 2), ()), Joined::Waits(1), "one at once");
        for user in 2..=8 {
            assert_eq!(line.join(key(user, 1), ()), Joined::Begins(()));
        }
        assert_eq!(line.join(key(9, 1), ()), Joined::Waits(2), "all places are taken");
        assert_eq!(line.ended(&key(3, 1)), [(key(9, 1), ())], "the first who may");
        assert_eq!(line.ended(&key(1, 1)), [(key(1, 2), ())]);
    }

    #[test]
    fn a_run_that_stops_is_waited_for_and_nothing_is_said_of_it() {
        let mut line = Line::default();
        line.join(key(1, 1), ());
        assert!(!line.stop(&key(1, 1)));
        assert_eq!(line.join(key(1, 2), ()), Joined::Waits(0));
        assert!(line.stop(&key(1, 2)), "it had not begun");
        assert!(line.ended(&key(1, 1)).is_empty());
    }

    #[test]
    fn no_line_is_without_end() {
        let mut line = Line::default();
        let full = (0..10).filter(|run| line.join(key(1, *run), ()) == Joined::Full).count();
        assert_eq!(full, 10 - 1 - OF_ONE);
        let full = (0..500).filter(|user| line.join(key(100 + user, 1), ()) == Joined::Full).count();
        assert_eq!(full, 500 - (RUNS - 1) - (WAITING - OF_ONE));
    }

    proptest! {
        #[test]
        fn everyone_gets_a_turn(deeds in proptest::collection::vec((0..12_i64, 0..3_u8), 1..200)) {
            let mut line = Line::default();
            let (mut run, mut wanted, mut begun) = (0, 0, 0);
            for (user, deed) in deeds {
                run += 1;
                match deed {
                    0 => {
                        let going = line.running.keys().next().cloned();
                        begun += going.map_or(0, |going| line.ended(&going).len());
                    }
                    _ => match line.join(key(user, run), ()) {
                        Joined::Begins(()) => (wanted, begun) = (wanted + 1, begun + 1),
                        Joined::Waits(_) => wanted += 1,
                        Joined::Full => {}
                    },
                }
                prop_assert!(line.running.len() <= RUNS && line.waiting.len() <= WAITING);
                let mut users: Vec<i64> = line.running.keys().map(|key| key.user).collect();
                users.sort_unstable();
                users.dedup();
                prop_assert_eq!(users.len(), line.running.len(), "one of each user");
                prop_assert!(line.waiting.iter().all(|(key, ())| !line.may_begin(key.user)), "a place is left empty");
            }
            while let Some(going) = line.running.keys().next().cloned() {
                begun += line.ended(&going).len();
            }
            prop_assert_eq!(begun, wanted);
            prop_assert!(line.waiting.is_empty());
        }
    }
}
