//! Two years in the life of a board, in several zones: daemons that die, clocks that jump, runs longer than their periods, runs that fail. It never begins what must not begin, and
//! goes on by itself once things are well.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{
    Board, Ended, LONGEST_QUEUE,
    rule::Rule,
    tests::{after, again, at, board, every, reading},
};
use crate::{
    config::project::{Concurrency, Misfire},
    run::event::RunState,
    schedule::{Timing, cron::parse_cron},
};

/// The member that follows its source.
const FOLLOWER: usize = 6;

/// Whom each reads from, beside whom it comes after.
const READS: [(usize, &[usize]); 3] = [(4, &[2, 3]), (5, &[4]), (8, &[7, 1])];

fn daily(cron: &str, zone: Tz, misfire: Misfire, concurrency: Concurrency) -> Rule {
    let cron = Box::new(parse_cron(cron).unwrap());
    Rule::Timed { timing: Timing::Cron { cron, zone }, misfire, concurrency }
}

fn members(zone: Tz) -> Vec<(&'static str, Rule)> {
    let plain = |cron| daily(cron, zone, Misfire::Once, Concurrency::Skip);
    vec![
        ("night", plain("30 2 * * *")),
        ("often", every("17m")),
        ("mart", after(&[0, 1])),
        ("second", after(&[2])),
        ("morning", plain("0 6 * * *")),
        ("report", daily("0 6 * * *", zone, Misfire::All, Concurrency::Queue)),
        ("stream", Rule::Continuous),
        ("behind", after(&[FOLLOWER])),
        ("hourly", every("1h")),
    ]
}

struct Life {
    members: Vec<(&'static str, Rule)>,
    board: Board,
    now: DateTime<Utc>,
    chance: StdRng,
    /// When the runs that go will end.
    going: BTreeMap<usize, DateTime<Utc>>,
    /// When each last began one.
    begun: BTreeMap<usize, DateTime<Utc>>,
}

impl Life {
    fn new(zone: Tz, seed: u64) -> Self {
        let members = members(zone);
        let board = reading(board(&members), &READS);
        let (going, begun) = (BTreeMap::new(), BTreeMap::new());
        Self { members, board, now: at(0), chance: StdRng::seed_from_u64(seed), going, begun }
    }

    /// Time passes, as it does or otherwise.
    fn pass(&mut self) {
        match self.chance.random_range(0..100) {
            0..3 => self.now -= TimeDelta::minutes(self.chance.random_range(1..90)),
            3..6 => self.now += TimeDelta::hours(self.chance.random_range(1..48)),
            6..10 => {
                self.now += TimeDelta::hours(self.chance.random_range(0..72));
                self.board = reading(again(&self.board, &self.members, self.now), &READS);
                self.going.clear();
            }
            _ => self.now += TimeDelta::minutes(self.chance.random_range(1..120)),
        }
    }

    /// Runs whose time has come end, `failing` of a hundred badly; what is ready begins, and lasts for some of these minutes.
    fn look(&mut self, failing: u32, lasts: std::ops::Range<i64>) {
        let over: Vec<usize> =
            self.going.iter().filter(|(_, end)| **end <= self.now).map(|(slot, _)| *slot).collect();
        for slot in over {
            let failed = self.chance.random_range(0..100) < failing;
            if slot == FOLLOWER && !failed {
                self.board.committed(slot);
                continue;
            }
            self.going.remove(&slot);
            let state = if failed { RunState::Failed } else { RunState::Done };
            let moved = self.chance.random_bool(0.7);
            self.board.ended(slot, Ended { state, moved }, self.now);
        }
        for slot in self.board.tick(self.now) {
            let name = self.members[slot].0;
            assert!(self.board.slots[slot].blocked_by.is_none(), "{name} is blocked, and began");
            let end = self.now + TimeDelta::minutes(self.chance.random_range(lasts.clone()));
            assert!(self.going.insert(slot, end).is_none(), "two runs of {name} at once");
            self.begun.insert(slot, self.now);
        }
        for slot in &self.board.slots {
            assert!(slot.keep.owed <= LONGEST_QUEUE, "{} of {}", slot.keep.owed, slot.name);
        }
    }
}

#[test]
fn whatever_happened_a_board_goes_on_once_things_are_well() {
    for (seed, zone) in (1..).zip([
        Tz::Europe__Moscow,
        Tz::Europe__Berlin,
        Tz::America__New_York,
        Tz::Australia__Lord_Howe,
        Tz::Asia__Kathmandu,
        Tz::UTC,
    ]) {
        let mut life = Life::new(zone, seed);
        while life.now < at(2 * 365 * 86_400) {
            life.pass();
            life.look(10, 1..240);
        }
        // A day for what is owed and for waits of runs that failed, and one in which everybody has a turn.
        let well = life.now + TimeDelta::days(1);
        while life.now < well + TimeDelta::days(2) {
            life.now += TimeDelta::minutes(1);
            life.look(0, 1..2);
        }
        for (slot, (name, _)) in life.members.iter().enumerate() {
            let begun = life.begun.get(&slot).is_some_and(|begun| *begun >= well);
            assert!(
                begun || slot == FOLLOWER && life.going.contains_key(&slot),
                "{zone}: {name} stands still"
            );
            let owed = life.board.slots[slot].keep.owed;
            assert!(owed <= 1, "{zone}: {owed} runs of {name} are still owed");
        }
    }
}
