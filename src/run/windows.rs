//! The windows that one run of a mart builds: those that are missing, not ended when they were built, within the lookback, stale where the policy says so, or
//! asked for. Each is a commit of its own on a track of its own, so that a run which was stopped goes on where it stopped.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arrow::{
    array::{Array, BooleanArray, RecordBatch},
    compute::kernels::cmp::{gt_eq, lt},
    datatypes::SchemaRef,
};
use chrono::{DateTime, NaiveDate, Utc};
use futures::{StreamExt, stream::SelectAll};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    blocking,
    event::Event,
    inputs::Inputs,
    ledger::{Ledger, WindowState, query_digest, renamed, settled},
    mart::{Goal, MartRun},
    params,
    tally::Tally,
    together::batches,
};
use crate::{
    connector::error::{Error, ErrorKind, Result},
    engine::params::scalar,
    failpoint,
    model::{
        name::{AttemptId, Track},
        time::day_start,
        unit::{Progress, Record, Scope},
        value::Value,
        window::{Window, Windows},
    },
};

/// Builds between two rounds of maintenance, as slices have them.
const MAINTAIN_EVERY: u64 = 50;
/// A run that goes on has them no nearer to each other than this: nothing is built meanwhile. A shorter one has its round at its end.
const MAINTAIN_APART: Duration = Duration::from_secs(60);
/// How long one round may take.
const MAINTAIN_BUDGET: Duration = Duration::from_secs(30);

/// Queries of many windows at once: each may need much memory, and one is computed while the windows of the other are committed.
const BATCHES_AT_ONCE: usize = 2;

/// The windows that `backfill` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Backfill {
    /// The first day.
    pub from: NaiveDate,
    /// The last day, which is in.
    pub last: NaiveDate,
    /// Only windows of them that a run would build, or that are stale.
    pub stale: bool,
    /// All of them, also where one of the same days was stopped before its end.
    #[serde(default)]
    pub anew: bool,
}

impl Backfill {
    /// Refuses days that a mart has no window of.
    pub fn check(&self, windows: &Windows, now: DateTime<Utc>) -> Result<()> {
        range(windows, self, now).map(drop)
    }
}

impl MartRun<'_> {
    /// Builds what is due, or what was asked for, several windows at once.
    pub(super) async fn run_windows(
        &self,
        windows: &Windows,
        inputs: &Inputs,
        asked: Option<&Backfill>,
        everything: bool,
        tally: &mut Tally,
    ) -> Result<()> {
        let digest = query_digest(self.sql, self.member, windows);
        self.take_over(tally).await?;
        let track = (&self.track, None);
        let ledger = self.runtime.read_ledger(track, windows, &digest, inputs, &self.sink).await?;
        if ledger.vanished {
            self.forget(windows, tally).await?;
        }
        let due = match asked {
            Some(asked) => self.asked(&ledger, asked, &digest, tally).await?,
            None if everything => ledger.states.iter().map(|state| state.window).collect(),
            None => ledger.due().map(|state| state.window).collect(),
        };
        failpoint::pass("run.windows.planned");
        let goal = |window: Window| Goal {
            track: self.track.of_window(&window.key()),
            window: Some(window),
            params: params::of_table(&self.member.facts, Some(windows), Some(&window), self.clock.now()),
            fingerprint: digest.clone(),
            inputs: inputs.of(&window),
            moves: 0,
        };
        let goals: Vec<Goal> = due.into_iter().map(goal).collect();
        let before = ledger.built().filter_map(|state| Some(state.record.as_ref()?.seq)).sum();
        let built = self.build_all(windows, &goals, before, tally).await;
        // Where checks blocked some, every window had its turn: asked for again, it is another one.
        let over = built.as_ref().err().is_none_or(|error| error.kind == ErrorKind::CheckFailed);
        if let Some(asked) = asked.filter(|asked| over && !asked.stale) {
            failpoint::pass("run.backfill.built");
            let (history, name, asked) = (Arc::clone(&self.runtime.history), self.track.name(), *asked);
            let ended = blocking(move || history.end_backfill(&name, asked.from, asked.last)).await;
            return built.and(ended);
        }
        built
    }

    /// The mart was renamed: records of windows that it has none of are its own from now on. One that was stopped goes on.
    async fn take_over(&self, tally: &mut Tally) -> Result<()> {
        let Some(old) = renamed(&self.track, self.info) else { return Ok(()) };
        let (ours, theirs) = (self.track.windows_prefix(), old.windows_prefix());
        let known: BTreeMap<String, Record> = self.sink.records(&ours).await?.into_iter().collect();
        let found = self.sink.records(&theirs).await?;
        let windows = found.iter().filter_map(|(key, record)| Some((key.strip_prefix(&theirs)?, record)));
        let mut taken = 0;
        for (window, record) in windows.filter(|(window, _)| !known.contains_key(&format!("{ours}{window}")))
        {
            self.sink.set_record(&self.track.of_window(window), None, record).await?;
            failpoint::pass("run.windows.taken_over");
            taken += 1;
        }
        if taken > 0 {
            let note = format!("goes on from where `{}` stood: {taken} windows", old.name());
            tally.note(&note);
            self.observer.event(&self.track, &Event::Note(note));
        }
        Ok(())
    }

    /// Builds windows, some batches at once. One whose checks block it does not hold up the others; after any other failure no new ones are begun.
    /// `before` = builds that the table has seen, which maintenance goes by.
    async fn build_all(
        &self,
        windows: &Windows,
        goals: &[Goal],
        before: u64,
        tally: &mut Tally,
    ) -> Result<()> {
        let total = goals.len() as u64;
        self.observer.event(&self.track, &Event::Windows { done: 0, total });
        let at_once = self.runtime.project.parallel.max(1);
        let at_once = if windows.batch_size > 1 { at_once.min(BATCHES_AT_ONCE) } else { at_once };
        let (mut waiting, mut running) = (batches(windows, goals).into_iter().peekable(), SelectAll::new());
        let turns = Arc::new(Semaphore::new(1));
        let (mut done, mut failed, mut due) = (0, Failed::default(), false);
        let mut maintained = Instant::now();
        loop {
            let is_time = waiting.peek().is_none() || maintained.elapsed() >= MAINTAIN_APART;
            let first = due && is_time && failed.world.is_none();
            // Those at work end first: a window that waits its turn may hold what maintenance waits for.
            if first && running.is_empty() {
                (due, maintained) = (false, Instant::now());
                if let Err(error) = self.sink.maintain(MAINTAIN_BUDGET, self.clock.now()).await {
                    tally.note(&format!("maintenance did not succeed: {error}"));
                }
                continue;
            }
            while !first
                && running.len() < at_once
                && failed.world.is_none()
                && let Some(batch) = waiting.next()
            {
                running.push(self.build_batch(windows, batch, Arc::clone(&turns)).boxed());
            }
            if running.is_empty() {
                break;
            }
            // Batches that ended give nothing: there may be more of them.
            let Some((goal, built)) = running.next().await else { continue };
            match built {
                Ok(built) => self.count(goal, &built, tally),
                Err(error) => failed.take(of_window(goal, error)),
            }
            done += 1;
            self.observer.event(&self.track, &Event::Windows { done, total });
            due |= (before + done).is_multiple_of(MAINTAIN_EVERY);
        }
        failed.into_result()
    }

    /// One window has the time that a run of a whole table has.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "cancelled; windows that are built stay"));
        }
        let timeout = self.info.retry.timeout;
        tokio::time::timeout(timeout.get(), work).await.unwrap_or_else(|_| {
            let message = format!("the window took longer than the timeout of {timeout}");
            Err(Error::new(ErrorKind::Timeout, message)
                .hint("raise `retry.timeout`, or choose a shorter grain"))
        })
    }

    /// The windows that a backfill still has to build: one of this query that was stopped goes on.
    async fn asked(
        &self,
        ledger: &Ledger,
        asked: &Backfill,
        digest: &str,
        tally: &mut Tally,
    ) -> Result<Vec<Window>> {
        let now = self.clock.now();
        let range = range(&ledger.windows, asked, now)?;
        let inside = ledger.states.iter().filter(|state| range.contains(&state.window));
        if asked.stale {
            return Ok(inside.filter(|state| state.why.is_some()).map(|state| state.window).collect());
        }
        let (history, name) = (Arc::clone(&self.runtime.history), self.track.name());
        let (days, digest, anew) = ((asked.from, asked.last), digest.to_owned(), asked.anew);
        let begun = blocking(move || history.begin_backfill(&name, days, &digest, anew, now)).await?;
        failpoint::pass("run.backfill.begun");
        if begun < now {
            let when = begun.with_timezone(&ledger.windows.zone).format("%Y-%m-%d %H:%M:%S");
            let note =
                format!("goes on with the backfill of {when}, which was stopped; `--anew` builds all of it");
            tally.note(&note);
            self.observer.event(&self.track, &Event::Note(note));
        }
        let built = |state: &&WindowState| {
            !state.is_stale() && state.record.as_ref().is_some_and(|record| record.at >= begun)
        };
        Ok(inside.filter(|state| !built(state)).map(|state| state.window).collect())
    }

    /// The table is gone: what records say of its rows is no longer so.
    async fn forget(&self, windows: &Windows, tally: &mut Tally) -> Result<()> {
        let note = "the table is gone: all windows are built again";
        tally.note(note);
        self.observer.event(&self.track, &Event::Note(note.to_owned()));
        let prefix = self.track.windows_prefix();
        let records = self.sink.records(&prefix).await?;
        let keys = records.iter().filter_map(|(key, _)| key.strip_prefix(&prefix));
        let keys: Vec<String> =
            keys.filter(|window| windows.parse(window).is_some()).map(str::to_owned).collect();
        let known = settled(&self.sink, &self.track, &keys).await?;
        for window in &keys {
            let track = self.track.of_window(window);
            let Some(old) = known.get(&track.key()).filter(|old| old.progress != Progress::Start) else {
                continue;
            };
            self.sink.set_record(&track, Some(old.seq), &unbuilt(old.seq, self.clock.now())).await?;
            failpoint::pass("run.ledger.forgotten");
        }
        Ok(())
    }
}

/// The record of a window that counts as not built, after the one of this number.
pub(super) fn unbuilt(seq: u64, at: DateTime<Utc>) -> Record {
    Record { seq: seq + 1, progress: Progress::Start, attempt: AttemptId::fresh(), at, rows: 0 }
}

/// What went wrong with windows.
#[derive(Default)]
struct Failed {
    /// The first that a check blocked, and how many were blocked.
    blocked: Option<Error>,
    others: u64,
    /// The first other failure.
    world: Option<Error>,
}

impl Failed {
    fn take(&mut self, error: Error) {
        match (error.kind, &self.blocked, &self.world) {
            (ErrorKind::CheckFailed, None, _) => self.blocked = Some(error),
            (ErrorKind::CheckFailed, Some(_), _) => self.others += 1,
            (_, _, None) => self.world = Some(error),
            (_, _, Some(_)) => {}
        }
    }

    fn into_result(self) -> Result<()> {
        let Some(error) = self.world.or(self.blocked) else { return Ok(()) };
        if self.others == 0 || error.kind != ErrorKind::CheckFailed {
            return Err(error);
        }
        let message = format!("{} (and checks block {} more windows)", error.message, self.others);
        Err(Error { message, ..error })
    }
}

fn of_window(goal: &Goal, error: Error) -> Error {
    let Some(window) = goal.window else { return error };
    // What a check says names its window.
    if matches!(error.kind, ErrorKind::Cancelled | ErrorKind::CheckFailed) {
        return error;
    }
    Error { message: format!("window {window}: {}", error.message), ..error }
}

/// The windows that a backfill means; refused where there can be none.
pub(super) fn range(windows: &Windows, asked: &Backfill, now: DateTime<Utc>) -> Result<Vec<Window>> {
    let wrong = |message: String, hint: String| Err(Error::new(ErrorKind::Unsupported, message).hint(hint));
    let (from, until) = (
        day_start(windows.zone, asked.from),
        day_start(windows.zone, asked.last.succ_opt().unwrap_or(asked.last)),
    );
    let first = windows.at(windows.start).first_day();
    if asked.last < asked.from {
        return wrong(
            format!("the range ends on {} and begins on {}", asked.last, asked.from),
            "`--last` is the last day that is in".to_owned(),
        );
    }
    if windows.at(from).until <= windows.start {
        let message = format!("{} lies before the mart's first window, {first}", asked.from);
        return wrong(message, format!("begin with {first}, or move `window.start`"));
    }
    if from > now {
        return wrong(format!("{} has not begun yet", asked.from), String::new());
    }
    Ok(windows.between(from, until.min(now)))
}

/// Which rows lie in a window.
#[derive(Clone)]
pub(super) struct Inside {
    column: String,
    from: Value,
    until: Value,
}

impl Inside {
    /// By the target's column.
    pub(super) fn of(windows: &Windows, window: &Window, target: &SchemaRef) -> Result<Self> {
        let column = &windows.column;
        let field = target.field_with_name(column).map_err(|_| {
            let message = format!("the rows have no column `{column}`, by which they lie in windows");
            Error::new(ErrorKind::SchemaChanged, message)
                .hint("add it to the query, or name another one in [window]")
        })?;
        let (from, until) = window.bounds(field.data_type()).ok_or_else(|| {
            let message =
                format!("column `{column}` is {}: no row lies in a window by it", field.data_type());
            Error::new(ErrorKind::SchemaChanged, message).hint("a date or a timestamp is needed")
        })?;
        Ok(Self { column: column.clone(), from, until })
    }

    pub(super) fn into_scope(self) -> Scope {
        Scope::Window { column: self.column, from: self.from, until: self.until }
    }

    /// Fails where a row lies outside: it would be there twice after the next build.
    pub(super) fn check(&self, batch: &RecordBatch, track: &Track) -> Result<()> {
        let column = batch.column_by_name(&self.column).ok_or_else(|| {
            Error::new(ErrorKind::SchemaChanged, format!("the rows have no column `{}`", self.column))
        })?;
        let kind = column.data_type();
        let bound = |value: &Value| {
            scalar(value).cast_to(kind).and_then(|value| value.to_scalar()).map_err(Error::from)
        };
        let after = gt_eq(column, &bound(&self.from)?).map_err(Error::from)?;
        let before = lt(column, &bound(&self.until)?).map_err(Error::from)?;
        let holds = |found: &BooleanArray, row| found.is_valid(row) && found.value(row);
        if (0..batch.num_rows()).all(|row| holds(&after, row) && holds(&before, row)) {
            return Ok(());
        }
        let message =
            format!("mart `{}`: a row lies outside of its window by `{}`", track.name(), self.column);
        Err(Error::new(ErrorKind::BadData, message)
            .hint("bound the query by `:window.from` and `:window.until` on what `window.column` is made of"))
    }
}
