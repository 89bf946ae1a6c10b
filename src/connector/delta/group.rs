//! Group commit: units that wait to be committed through one sink go into one log entry. A mart has thousands of windows and a matrix dozens of members; an entry for each
//! of them costs its syncs, and every snapshot after it one more entry to read.
//!
//! Whoever gets the turn to commit takes along all who wait, in the order they came, as far as the outcome is one that they could have had one after another: each track
//! once, and never rows of one that another takes out. Each is compared with the snapshot by itself; who is in conflict is told so, and holds up nobody.
//!
//! Who waits owns its unit until it is taken along: dropped before that, nothing happens.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use deltalake::protocol::{DeltaOperation, SaveMode};
use futures::future::join_all;

use super::{
    super::{
        error::{Error, ErrorKind, Result},
        sink::Committed,
    },
    claim::RACES,
    commit::StagedFiles,
    ledger::{self, Mark, Marks},
    newest::Newest,
    table::Table,
};
use crate::failpoint;

/// Units of one log entry, at most.
const MOST: usize = 128;

/// Those who wait to be committed, in the order they came.
#[derive(Default)]
pub(super) struct Waiting {
    seats: Mutex<Vec<Weak<Seat>>>,
}

/// Where one waits.
pub(super) struct Seat {
    state: Mutex<State>,
}

enum State {
    Waiting(Box<StagedFiles>),
    /// Taken along by the one whose turn it is.
    Taken,
    Done(Result<Committed>),
}

impl Waiting {
    /// Takes a seat behind all others.
    pub(super) fn sit(&self, staged: StagedFiles) -> Arc<Seat> {
        let seat = Arc::new(Seat { state: Mutex::new(State::Waiting(Box::new(staged))) });
        self.seats.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&seat));
        seat
    }

    /// The first, and all who can be committed with those before them.
    fn call(&self) -> Vec<Member> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let mut called: Vec<Member> = vec![];
        seats.retain(|seat| {
            let Some(seat) = seat.upgrade() else { return false };
            if called.len() == MOST {
                return true;
            }
            let goes = |staged: &StagedFiles| called.iter().all(|member| staged.goes_with(&member.staged));
            match seat.stand_up(goes) {
                Some(staged) => called.push(Member { seat, staged }),
                None => return true,
            }
            false
        });
        called
    }
}

impl Seat {
    /// What came of the unit, once its owner had the turn.
    pub(super) fn answer(&self) -> Result<Committed> {
        match self.put(State::Taken) {
            State::Done(answer) => answer,
            State::Waiting(_) | State::Taken => {
                let message = "a commit was broken off, and nobody knows whether it came through";
                Err(Error::new(ErrorKind::Unreachable, message))
            }
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(*self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Waiting(_))
    }

    fn stand_up(&self, goes: impl Fn(&StagedFiles) -> bool) -> Option<Box<StagedFiles>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Taken) {
            State::Waiting(staged) if goes(&staged) => Some(staged),
            other => {
                *state = other;
                None
            }
        }
    }

    fn put(&self, state: State) -> State {
        std::mem::replace(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), state)
    }
}

/// One who is taken along.
struct Member {
    seat: Arc<Seat>,
    staged: Box<StagedFiles>,
}

impl Member {
    fn done(self, answer: Result<Committed>) {
        self.seat.put(State::Done(answer));
    }

    /// Held against the snapshot that is committed on; `None` = it is done.
    async fn ready(mut self, table: &Table) -> Option<Self> {
        match self.staged.ready(table).await {
            Ok(None) => Some(self),
            Ok(Some(committed)) => {
                self.done(Ok(committed));
                None
            }
            Err(error) => {
                self.done(Err(error));
                None
            }
        }
    }
}

/// Commits those who wait, until `own` is done.
pub(super) async fn commit(newest: &Newest, own: &Seat) {
    while own.is_waiting() {
        let mut members = newest.waiting.call();
        for _ in 0..RACES {
            members = next_version(newest, members).await;
            if members.is_empty() {
                break;
            }
        }
        fail(members, |staged| {
            staged.table.location.error(ErrorKind::Busy, "others commit to it all the time")
        });
    }
}

/// Tries to write the next version; gives those back who lost the race for it.
async fn next_version(newest: &Newest, members: Vec<Member>) -> Vec<Member> {
    let table = match newest.get().await {
        Ok(Some(table)) => table,
        Ok(None) => {
            return fail(members, |staged| {
                staged.table.location.error(ErrorKind::NotFound, "its folder is gone")
            });
        }
        Err(error) => return fail(members, |_| error.again()),
    };
    let mut ready = vec![];
    for member in members {
        ready.extend(member.ready(&table).await);
    }
    let written = join_all(ready.iter().map(|member| member.staged.write_record())).await;
    let (mut members, mut unwritten) = (vec![], vec![]);
    for (member, written) in ready.into_iter().zip(written) {
        match written {
            Ok(()) => members.push(member),
            Err(error) => unwritten.push((member, error)),
        }
    }
    for (member, error) in unwritten {
        member.done(Err(error));
    }
    failpoint::pass("delta.record.after");
    if members.is_empty() { members } else { put(&table, members).await }
}

/// Puts the log entry at the version after the snapshot; gives the members back where somebody else took it.
async fn put(table: &Table, mut members: Vec<Member>) -> Vec<Member> {
    let partition_by = match table.partition_columns() {
        Ok(columns) => Some(columns).filter(|columns| !columns.is_empty()),
        Err(error) => return fail(members, |_| error.again()),
    };
    let erases = members.iter().any(|member| !member.staged.erased.is_empty());
    let mode = if erases { SaveMode::Overwrite } else { SaveMode::Append };
    let operation = DeltaOperation::Write { mode, partition_by, predicate: None };
    let actions = members.iter().flat_map(|member| member.staged.actions()).collect();
    let marks = Marks::of(members.iter().map(|member| (&member.staged.track, &member.staged.record)));
    failpoint::pass("delta.commit.before");
    // From here on nobody knows whether an entry names the files, until the answer is there.
    for member in &mut members {
        member.staged.keep();
    }
    match table.commit(actions, operation, marks).await {
        Ok(Some(_)) => {
            failpoint::pass("delta.commit.after");
            for member in members {
                let record = member.staged.record.clone();
                member.done(Ok(Committed::Now(record)));
            }
            vec![]
        }
        Ok(None) => {
            for member in &mut members {
                member.staged.release();
            }
            members
        }
        Err(error) => look_after(table.clone(), members, &error).await,
    }
}

/// After a commit that failed: whether it came through all the same. What was not answered may still arrive: the files stay until their age says that it did not.
async fn look_after(mut table: Table, members: Vec<Member>, error: &Error) -> Vec<Member> {
    let seen = table.refresh().await.is_ok();
    for member in members {
        let found = if seen { ledger::mark(&table, &member.staged.track).await.ok().flatten() } else { None };
        let record = member.staged.record.clone();
        let came = found == Some(Mark::of(&record));
        member.done(if came { Ok(Committed::Now(record)) } else { Err(error.again()) });
    }
    vec![]
}

fn fail(members: Vec<Member>, error: impl Fn(&StagedFiles) -> Error) -> Vec<Member> {
    for member in members {
        let error = error(&member.staged);
        member.done(Err(error));
    }
    vec![]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever took a unit along may be dropped in the middle of the commit.
    #[test]
    fn a_commit_that_was_broken_off_is_told_and_tried_again() {
        let seat = Seat { state: Mutex::new(State::Taken) };
        let error = seat.answer().err().unwrap();
        assert!(error.kind.policy().retry);
        assert_eq!(error.to_string(), "a commit was broken off, and nobody knows whether it came through");
    }
}
