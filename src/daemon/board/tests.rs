//! Days in the life of a board.

use chrono::TimeDelta;

use super::*;
use crate::{
    config::{
        lineage::Node,
        project::{Concurrency, Misfire},
    },
    model::name::{JobKind, JobName, Member},
    schedule::Timing,
};

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    // 2026-09-21T14:13:20Z and a whole minute behind it.
    DateTime::from_timestamp(1_790_000_040 + seconds, 0).unwrap()
}

pub(super) fn every(span: &str) -> Rule {
    timed(span, Misfire::Once, Concurrency::Skip)
}

fn timed(span: &str, misfire: Misfire, concurrency: Concurrency) -> Rule {
    Rule::Timed { timing: Timing::Every(span.parse().unwrap()), misfire, concurrency }
}

pub(super) fn after(upstream: &[usize]) -> Rule {
    Rule::After { upstream: upstream.to_vec(), always: false }
}

/// A run that moved something.
fn ran(state: RunState) -> Ended {
    Ended { state, moved: true }
}

/// A board of members, each listed after those that it comes after, as it was left.
fn board_of(members: &[(&str, Rule)], mut known: Vec<Standing>, now: DateTime<Utc>) -> Board {
    let node = |name: &str| Node {
        job: JobName::new(name),
        kind: JobKind::Pipeline,
        member: Member::default(),
        writes: None,
        reads: vec![],
        upstream: vec![],
    };
    let slot = |(name, rule): &(&str, Rule)| {
        let left = known.iter().position(|standing| standing.name == *name).map(|index| known.remove(index));
        Slot::new(&node(name), rule.clone(), |_| left, now)
    };
    let slots: Vec<Slot> = members.iter().map(slot).collect();
    let order = (0..slots.len()).collect();
    let mut board = Board { slots, order };
    board.find_blocked();
    board
}

pub(super) fn board(members: &[(&str, Rule)]) -> Board {
    board_of(members, vec![], at(0))
}

/// What a daemon that dies now leaves, given to the next one.
pub(super) fn again(board: &Board, members: &[(&str, Rule)], now: DateTime<Utc>) -> Board {
    board_of(members, board.slots.iter().map(|slot| slot.keep.clone()).collect(), now)
}

/// A board of members some of which read from others.
pub(super) fn reading(mut board: Board, reads: &[(usize, &[usize])]) -> Board {
    for (slot, from) in reads {
        board.slots[*slot].reads = from.to_vec();
    }
    board
}

const NONE: [usize; 0] = [];
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

#[test]
fn a_run_is_followed_by_those_that_come_after_it() {
    let mut board = board(&[("a", every("1m")), ("b", after(&[A])), ("c", after(&[B]))]);
    assert_eq!(board.tick(at(1)), NONE, "nothing was missed before the first daemon");
    assert_eq!(board.next(at(1)), Some(at(60)));
    assert_eq!(board.tick(at(60)), [A]);
    assert_eq!(board.tick(at(61)), NONE);
    board.ended(A, ran(RunState::Done), at(62));
    assert_eq!(board.tick(at(62)), [B]);
    board.ended(B, ran(RunState::Done), at(63));
    assert_eq!(board.tick(at(63)), [C]);
    board.ended(C, ran(RunState::Done), at(64));
    assert_eq!(board.tick(at(65)), NONE);
    assert_eq!(board.slots[C].keep.ended, Some(RunStatus::Done));
}

#[test]
fn two_that_end_together_are_followed_once_and_a_busy_one_starves_nobody() {
    let members = [("a", every("10s")), ("b", every("10s")), ("c", after(&[A, B]))];
    let mut board = board(&members);
    assert_eq!(board.tick(at(10)), [A, B]);
    board.ended(A, ran(RunState::Done), at(11));
    assert_eq!(board.tick(at(11)), NONE, "`b` was going when `a` ended");
    board.ended(B, ran(RunState::Done), at(12));
    assert_eq!(board.tick(at(12)), [C]);
    board.ended(C, ran(RunState::Done), at(13));
    // From here on one of them always runs.
    assert_eq!(board.tick(at(20)), [A, B]);
    board.ended(A, ran(RunState::Done), at(25));
    assert_eq!(board.tick(at(30)), [A]);
    board.ended(B, ran(RunState::Done), at(31));
    assert_eq!(board.tick(at(31)), [C], "though `a` runs: it began later");
    board.ended(A, ran(RunState::Done), at(32));
    assert_eq!(board.tick(at(32)), NONE);
    board.ended(C, ran(RunState::Done), at(33));
    assert_eq!(board.tick(at(33)), [C], "what ended while it ran is followed once more");
}

#[test]
fn who_found_nothing_new_is_not_followed_unless_something_may_have_gone_unseen() {
    let always = Rule::After { upstream: vec![A], always: true };
    let members = [("a", every("1m")), ("b", after(&[A])), ("c", always)];
    let mut board = board(&members);
    let nothing = |state| Ended { state, moved: false };
    let mut minute = 0;
    let mut next = |board: &mut Board, run: Ended| {
        minute += 60;
        assert_eq!(board.tick(at(minute)), [A]);
        board.ended(A, run, at(minute + 1));
        let begun = board.tick(at(minute + 1));
        for slot in &begun {
            board.ended(*slot, ran(RunState::Done), at(minute + 2));
        }
        begun
    };
    assert_eq!(next(&mut board, nothing(RunState::Done)), [B, C], "what was before the daemon is not known");
    assert_eq!(next(&mut board, nothing(RunState::Done)), [C]);
    assert_eq!(next(&mut board, ran(RunState::Done)), [B, C]);
    assert_eq!(next(&mut board, ran(RunState::Failed)), NONE);
    assert_eq!(
        next(&mut board, nothing(RunState::Done)),
        [B, C],
        "what the failed one had moved is followed now"
    );
    assert_eq!(next(&mut board, nothing(RunState::Done)), [C]);
}

#[test]
fn a_failure_blocks_who_comes_after_until_it_is_mended() {
    let members = [("a", every("1m")), ("b", after(&[A])), ("c", after(&[B]))];
    let mut board = board(&members);
    board.tick(at(60));
    let blocked = board.ended(A, ran(RunState::Failed), at(61));
    assert_eq!(blocked, [Blocked { slot: B, by: A }, Blocked { slot: C, by: B }]);
    assert_eq!(board.tick(at(120)), [A]);
    assert_eq!(board.ended(A, ran(RunState::Failed), at(121)), vec![], "told once");
    let after_a_crash = again(&board, &members, at(122));
    assert_eq!(after_a_crash.view(at(122))[B].state, SlotState::BlockedBy("a".to_owned()));
    assert_eq!(board.tick(at(180)), [A]);
    board.ended(A, ran(RunState::Done), at(181));
    assert_eq!(board.tick(at(181)), [B]);
    assert_eq!(board.view(at(181))[C].state, SlotState::Waits);
}

#[test]
fn what_is_due_while_a_run_goes_is_left_out_or_queued() {
    let queue = timed("10s", Misfire::Once, Concurrency::Queue);
    let mut board = board(&[("a", every("10s")), ("b", queue)]);
    assert_eq!(board.tick(at(10)), [A, B]);
    for second in [20, 30, 40] {
        assert_eq!(board.tick(at(second)), NONE);
    }
    board.ended(A, ran(RunState::Done), at(41));
    board.ended(B, ran(RunState::Done), at(41));
    assert_eq!(board.tick(at(41)), [B]);
    assert_eq!((board.slots[A].keep.left_out, board.slots[A].keep.owed), (3, 0));
    assert_eq!((board.slots[B].keep.left_out, board.slots[B].keep.owed), (0, 3));
}

#[test]
fn what_was_missed_while_it_was_down_is_run_as_misfire_says() {
    let of = |misfire| ("x", timed("1h", misfire, Concurrency::Skip));
    for (misfire, runs) in [(Misfire::Once, 1), (Misfire::Skip, 0), (Misfire::All, 5)] {
        let members = [of(misfire)];
        let mut board = again(&board(&members), &members, at(5 * 3600));
        let mut now = at(5 * 3600);
        let mut begun = 0;
        while board.tick(now) == [A] {
            begun += 1;
            now += TimeDelta::seconds(1);
            board.ended(A, ran(RunState::Done), now);
        }
        assert_eq!(begun, runs, "{misfire:?}");
    }
}

#[test]
fn a_run_that_a_crash_cut_short_is_begun_again_once() {
    let members = [("a", every("1m")), ("b", after(&[A]))];
    let mut board = board(&members);
    assert_eq!(board.tick(at(60)), [A]);
    // Killed, and five minutes later started again: what was cut short and what was missed are one run.
    let mut board = again(&board, &members, at(360));
    assert_eq!(board.tick(at(361)), [A]);
    board.ended(A, ran(RunState::Done), at(362));
    assert_eq!(board.tick(at(362)), [B], "those that come after it were not forgotten");
    // Killed in the middle of that one.
    let mut board = again(&board, &members, at(363));
    assert_eq!(board.tick(at(363)), [B]);
    // Told to stop in the middle of it.
    board.ended(B, ran(RunState::Cancelled), at(364));
    let mut board = again(&board, &members, at(365));
    assert_eq!(board.tick(at(365)), [B]);
}

#[test]
fn waits_between_two_tries_survive_a_restart() {
    let members = [("a", every("1h"))];
    let mut board = board(&members);
    assert_eq!(board.tick(at(3600)), [A]);
    board.retrying(A, 3, at(3800));
    let mut board = again(&board, &members, at(3700));
    assert_eq!(board.tick(at(3700)), NONE);
    assert_eq!(board.next(at(3700)), Some(at(3800)));
    assert_eq!(board.view(at(3700))[A].state, SlotState::Retries(at(3800)));
    assert_eq!(board.tick(at(3800)), [A]);
    assert_eq!(board.slot(A).doing(), Some(Doing { failed: 3, follows: false }));
    board.ended(A, ran(RunState::Failed), at(3801));
    assert_eq!(board.tick(at(3802)), NONE, "its tries are over");
    assert_eq!(board.tick(at(7200)), [A]);
    assert_eq!(board.slot(A).doing(), Some(Doing { failed: 0, follows: false }));
}

#[test]
fn what_was_overcome_does_not_count_after_a_restart() {
    let members = [("a", every("1h"))];
    let mut board = board(&members);
    assert_eq!(board.tick(at(3600)), [A]);
    board.retrying(A, 4, at(3700));
    board.committed(A);
    let mut board = again(&board, &members, at(3650));
    assert_eq!(board.tick(at(3650)), [A], "what is next has not failed yet");
    assert_eq!(board.slot(A).doing(), Some(Doing { failed: 0, follows: false }));
}

#[test]
fn a_clock_that_was_wrong_leaves_nobody_waiting() {
    let members = [("a", every("1h")), ("b", Rule::Continuous)];
    let years = 5 * 365 * 86_400;
    let mut board = board(&members);
    board.tick(at(years));
    board.retrying(A, 1, at(years + 20));
    board.ended(B, ran(RunState::Failed), at(years + 10));
    let minutes = 10 * 60;
    let mut board = again(&board, &members, at(1));
    assert_eq!(board.tick(at(1)), NONE);
    assert_eq!(board.view(at(1))[B].state, SlotState::Retries(at(1 + minutes)));
    assert_eq!(board.tick(at(minutes)), NONE);
    assert_eq!(board.tick(at(1 + minutes)), [A, B]);
}

#[test]
fn what_follows_its_source_always_runs() {
    let members = [("a", Rule::Continuous), ("b", after(&[A]))];
    let mut board = board(&members);
    assert_eq!(board.tick(at(0)), [A]);
    board.committed(A);
    assert_eq!(board.tick(at(1)), [B]);
    board.committed(A);
    board.ended(B, ran(RunState::Done), at(2));
    assert_eq!(board.tick(at(2)), [B]);
    board.ended(B, ran(RunState::Done), at(3));
    for (failure, wait) in [(10, 10), (30, 20), (60, 40)] {
        assert_eq!(board.ended(A, ran(RunState::Failed), at(failure)).len(), 1);
        assert_eq!(board.tick(at(failure + wait - 1)), NONE);
        assert_eq!(board.tick(at(failure + wait)), [A]);
        assert_eq!(board.view(at(failure + wait))[B].state, SlotState::Waits, "it goes again");
    }
}

#[test]
fn what_is_held_is_left_alone() {
    let members = [("a", every("1m")), ("b", after(&[A]))];
    let mut board = board(&members);
    board.hold(A);
    assert_eq!(board.tick(at(60)), NONE);
    assert_eq!(board.slots[A].keep.left_out, 1);
    board.ended_by_hand(A, ran(RunState::Done));
    board.release(A);
    assert_eq!(board.tick(at(61)), [B], "a run by hand is followed too");
    assert_eq!(board.tick(at(120)), [A]);
}

#[test]
fn a_schedule_that_was_edited_begins_anew() {
    let mut old = board(&[("a", every("1h"))]);
    assert_eq!(old.tick(at(3600)), [A]);
    old.ended(A, ran(RunState::Failed), at(3601));
    let mut new = again(&old, &[("a", every("1m"))], at(3700));
    assert_eq!(new.tick(at(3700)), NONE, "what it would have missed was not asked for");
    assert_eq!(new.slots[A].keep.ended, Some(RunStatus::Failed), "how it ended stays");
    assert_eq!(new.take_changed().len(), 1);
    assert_eq!(new.take_changed(), vec![]);
}

/// A thousand schedules over real time: each instant is begun once, by an alarm that looks twice a second.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_schedules_are_begun_at_their_instants() {
    use std::{collections::BTreeMap, sync::Arc};

    let names: Vec<String> = (0..1000).map(|number| format!("p{number}")).collect();
    let spans = ["2s", "3s", "5s"];
    let members: Vec<(&str, Rule)> =
        names.iter().enumerate().map(|(number, name)| (name.as_str(), every(spans[number % 3]))).collect();
    let begun_at = Utc::now();
    let mut board = board_of(&members, vec![], begun_at);
    let rings = Arc::new(tokio::sync::Notify::new());
    let alarm = crate::daemon::alarm::Alarm::start(Arc::clone(&rings)).await.unwrap();
    let (mut begun, mut now) = (BTreeMap::<usize, usize>::new(), begun_at);
    let mut latest = TimeDelta::zero();
    while now < begun_at + TimeDelta::seconds(6) {
        if let Some(next) = board.next(now) {
            alarm.set(next, now).await.unwrap();
        }
        rings.notified().await;
        let before = std::mem::replace(&mut now, Utc::now());
        for slot in board.tick(now) {
            let instant =
                crate::schedule::next(&Timing::Every(spans[slot % 3].parse().unwrap()), before).unwrap();
            latest = latest.max(now - instant);
            *begun.entry(slot).or_default() += 1;
            board.ended(slot, ran(RunState::Done), now);
        }
    }
    alarm.stop().await;
    assert_eq!(begun.len(), 1000);
    for (slot, count) in begun {
        let timing = Timing::Every(spans[slot % 3].parse().unwrap());
        let due = crate::schedule::missed(&timing, begun_at, now, usize::MAX);
        let left_out = board.slots[slot].keep.left_out as usize;
        assert_eq!(count + left_out, due, "p{slot}");
    }
    // A second, and what a machine that builds beside the tests may add.
    assert!(latest < TimeDelta::seconds(5), "{latest}");
}

#[test]
fn a_member_is_owed_a_run_besides_its_schedule() {
    let mut board = board(&[("a", every("1h")), ("b", after(&[A])), ("c", Rule::ByHand)]);
    assert!(board.owe(A) && !board.owe(A), "once");
    assert!(!board.owe(C), "it is run by hand");
    assert_eq!(board.tick(at(1)), [A]);
    assert!(board.owe(A) && !board.owe(A), "the run at hand may have begun too early");
    assert_eq!(board.tick(at(2)), NONE);
    board.ended(A, ran(RunState::Failed), at(3));
    assert_eq!(board.tick(at(3)), [A], "and its failure counts for itself alone");
    assert!(board.comes_after(B, A) && !board.comes_after(A, B));
    // What is owed survives a crash, and waits for what blocks it.
    assert!(board.owe(B));
    let mut next = again(&board, &[("a", every("1h")), ("b", after(&[A])), ("c", Rule::ByHand)], at(4));
    assert_eq!(next.tick(at(4)), [A]);
    next.ended(A, ran(RunState::Done), at(5));
    assert_eq!(next.tick(at(5)), [B]);
}

#[test]
fn what_was_missed_together_is_built_in_order() {
    // Two marts and a workbook, of different hours, and all of them missed.
    let members = [("a", every("2h")), ("b", every("3h")), ("c", every("5h"))];
    let reads: [(usize, &[usize]); 2] = [(B, &[A]), (C, &[A, B])];
    let mut board = reading(board(&members), &reads);
    assert_eq!(board.tick(at(1)), NONE);
    let mut board = reading(again(&board, &members, at(36_000)), &reads);
    assert_eq!(board.tick(at(36_000)), [A]);
    assert_eq!(board.view(at(36_000))[B].state, SlotState::Due);
    // Killed in the middle of that: what is owed waits in the next daemon, too.
    let mut board = reading(again(&board, &members, at(36_100)), &reads);
    assert_eq!(board.tick(at(36_100)), [A]);
    board.ended(A, ran(RunState::Done), at(36_200));
    assert_eq!(board.tick(at(36_200)), [B]);
    board.ended(B, ran(RunState::Done), at(36_300));
    assert_eq!(board.tick(at(36_300)), [C]);
}

#[test]
fn a_schedule_of_time_waits_for_what_still_runs_and_for_no_failure() {
    let members = [("a", every("1h")), ("b", every("2h"))];
    for state in [RunState::Done, RunState::Failed] {
        let mut board = reading(board(&members), &[(B, &[A])]);
        // Whole hours come at these seconds, the second one is even.
        assert_eq!(board.tick(at(2759)), NONE);
        assert_eq!(board.tick(at(2760)), [A]);
        assert_eq!(board.tick(at(6360)), NONE, "`a` goes since an hour");
        board.retrying(A, 1, at(6460));
        assert_eq!(board.tick(at(6460)), NONE, "its tries are one run");
        assert_eq!(board.ended(A, ran(state), at(6560)), vec![], "a failure blocks no schedule of time");
        assert_eq!(board.tick(at(6560)), [B], "{state:?}");
    }
}

#[test]
fn a_schedule_of_time_waits_for_all_that_follows_from_an_upstream_run() {
    const D: usize = 3;
    // A pipeline, two marts that follow each other, and a workbook of the same hour.
    let members = [("a", every("1h")), ("b", after(&[A])), ("c", after(&[B])), ("d", every("1h"))];
    let due = || {
        let mut board = reading(board(&members), &[(D, &[C])]);
        // What the last daemon may have moved is settled.
        board.ended_by_hand(A, ran(RunState::Done));
        while let [slot, ..] = board.tick(at(2))[..] {
            board.ended(slot, ran(RunState::Done), at(2));
        }
        assert_eq!(board.tick(at(3600)), [A]);
        board
    };
    let mut moved = due();
    for (ends, begins) in [(A, B), (B, C), (C, D)] {
        moved.ended(ends, ran(RunState::Done), at(3700));
        assert_eq!(moved.tick(at(3700)), [begins]);
    }
    let mut quiet = due();
    quiet.ended(A, Ended { state: RunState::Done, moved: false }, at(3700));
    assert_eq!(quiet.tick(at(3700)), [D], "nothing follows from it");
    let mut failed = due();
    assert_eq!(failed.ended(A, ran(RunState::Failed), at(3700)).len(), 2);
    assert_eq!(failed.tick(at(3700)), [D], "those between are blocked");
    let mut halfway = due();
    halfway.ended(A, ran(RunState::Done), at(3700));
    assert_eq!(halfway.tick(at(3700)), [B]);
    halfway.ended(B, ran(RunState::Failed), at(3800));
    assert_eq!(halfway.tick(at(3800)), [D]);
}

#[test]
fn a_schedule_of_time_waits_neither_for_what_always_runs_nor_for_what_is_blocked() {
    const D: usize = 3;
    let members = [
        ("a", Rule::Continuous),
        ("b", every("1h")),
        ("c", Rule::After { upstream: vec![A, B], always: true }),
        ("d", every("2h")),
    ];
    let reads: [(usize, &[usize]); 1] = [(D, &[A, C])];
    let mut board = reading(board(&members), &reads);
    assert_eq!(board.tick(at(0)), [A]);
    // `c` is owed a run, and cannot have it while `b` has failed.
    assert_eq!(board.tick(at(3600)), [B]);
    board.committed(A);
    board.ended(B, ran(RunState::Failed), at(3601));
    assert_eq!(board.view(at(3601))[C].state, SlotState::BlockedBy("b".to_owned()));
    assert_eq!(board.slots[C].keep.owed, 1);
    let mut begun = vec![];
    for hour in 2..4 {
        begun.extend(board.tick(at(hour * 3600)));
        board.ended(B, ran(RunState::Failed), at(hour * 3600));
        begun.extend(board.tick(at(hour * 3600)));
    }
    begun.retain(|slot| *slot != B);
    assert_eq!(begun, [D]);
}

#[test]
fn an_upstream_that_is_always_busy_starves_no_schedule_of_time() {
    let mut board = reading(board(&[("a", every("10s")), ("b", every("10s"))]), &[(B, &[A])]);
    let mut begun = 0;
    for second in 10..405 {
        let ready = board.tick(at(second));
        if ready.contains(&B) {
            begun += 1;
            board.ended(B, ran(RunState::Done), at(second));
        }
        // Runs of 95 seconds, and the next one begins at the next instant.
        if second % 95 == 0 {
            board.ended(A, ran(RunState::Done), at(second));
        }
    }
    // Each of its runs is waited for once, until the next instant.
    assert_eq!((begun, board.slots[B].keep.left_out), (35, 5));
}
