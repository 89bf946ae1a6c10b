//! Windows that follow each other, computed by one query: its rows come sorted by the window's column and are cut where windows end. Each window is staged, checked and
//! committed as if it had been computed by itself; only the query is shared. Where there is no memory for that, each window asks by itself.
//!
//! Never is a row passed over: what lies before a window, or behind the last one, goes to the window that is built then, which refuses it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arrow::{
    array::{ArrayRef, RecordBatch, Scalar},
    compute::kernels::cmp::lt,
};
use datafusion::{
    error::Result as SqlResult, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{Stream, StreamExt, future::join_all, stream};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::{
    mart::{Built, Goal, MartRun, Ready},
    params,
};
use crate::{
    connector::error::{ErrorKind, Result},
    engine::params::scalar,
    model::window::Windows,
};

/// How long a window that is ready waits for others to be committed with.
const LINGER: Duration = Duration::from_secs(1);

/// The rows of several windows, on their way.
struct Together {
    rows: Arc<Mutex<Sorted>>,
}

/// Rows that come sorted by a column.
struct Sorted {
    query: SendableRecordBatchStream,
    column: usize,
    /// What was read and not given yet.
    rest: Option<RecordBatch>,
    /// Whether what was asked for last was given to its end.
    is_cut: bool,
    /// The turn to compute, until the first rows are there.
    turn: Option<OwnedSemaphorePermit>,
}

/// Cuts what is due into batches of windows that follow each other.
pub(super) fn batches<'g>(windows: &Windows, goals: &'g [Goal]) -> Vec<&'g [Goal]> {
    let follows = |one: &Goal, next: &Goal| match (&one.window, &next.window) {
        (Some(one), Some(next)) => one.until == next.from,
        _ => false,
    };
    goals.chunk_by(follows).flat_map(|run| run.chunks(windows.batch_size.max(1))).collect()
}

/// What comes within so long of each other, at most so many together.
fn gathered<T>(stream: impl Stream<Item = T>, most: usize, linger: Duration) -> impl Stream<Item = Vec<T>> {
    stream::unfold(Box::pin(stream.fuse()), move |mut stream| async move {
        let mut found = vec![stream.next().await?];
        let until = Instant::now() + linger;
        while found.len() < most
            && let Ok(Some(next)) = timeout_at(until, stream.next()).await
        {
            found.push(next);
        }
        Some((found, stream))
    })
}

/// How many may be ready or underway at once, where so many are committed together. Where it is one at a time, what is staged may lie in memory: then no other is staged beside it.
fn most(together: usize) -> usize {
    if together > 1 { 2 * together } else { 1 }
}

/// Finishes what is made in groups, while the next ones are made. Each has leave from before its making until it is finished, and there are [`most`] of them: whoever was begun is
/// polled until it ends, since it may hold what the others wait for.
fn finished<T, U, F: Future<Output = Vec<U>>>(
    made: impl Stream<Item = T>,
    together: usize,
    linger: Duration,
    finish: impl FnMut(Vec<T>) -> F,
) -> impl Stream<Item = U> {
    gathered(made, together, linger).map(finish).buffered(most(together)).flat_map(stream::iter)
}

/// A window that was made ready, and its leave.
type Made<'g> = (&'g Goal, Result<Ready>, OwnedSemaphorePermit);

impl MartRun<'_> {
    /// Builds the windows of a batch. They are made ready oldest first; as many as the sink likes to commit together are committed while the next ones are made ready. Where one
    /// fails otherwise than by a check, the rest is not begun.
    pub(super) fn build_batch<'g>(
        &'g self,
        windows: &'g Windows,
        goals: &'g [Goal],
        turns: Arc<Semaphore>,
    ) -> impl Stream<Item = (&'g Goal, Result<Built>)> + Send + 'g {
        let failed = Arc::new(AtomicBool::new(false));
        let at_once = self.sink.commits_together();
        let leave = Arc::new(Semaphore::new(most(at_once)));
        let begun = {
            let failed = Arc::clone(&failed);
            async move {
                let together = self.ask_together(windows, goals, turns).await;
                let next = move |(left, together)| {
                    self.next_ready(left, together, Arc::clone(&leave), Arc::clone(&failed))
                };
                stream::unfold((goals, together), next)
            }
        };
        let finish = move |ready: Vec<Made<'g>>| {
            join_all(ready.into_iter().map(|made| self.finish_noting(made, Arc::clone(&failed))))
        };
        finished(stream::once(begun).flatten(), at_once, LINGER, finish)
    }

    async fn next_ready<'g>(
        &'g self,
        left: &'g [Goal],
        together: Option<Together>,
        leave: Arc<Semaphore>,
        failed: Arc<AtomicBool>,
    ) -> Option<(Made<'g>, (&'g [Goal], Option<Together>))> {
        let (goal, left) = left.split_first()?;
        let leave = leave.acquire_owned().await.ok().filter(|_| !failed.load(Ordering::SeqCst))?;
        let rows = match &together {
            Some(together) => together.rows(goal, left.is_empty()).await,
            None => None,
        };
        let shared = rows.is_some();
        let mut ready = self.in_time(self.make_ready(goal, rows)).await;
        // After a try that broke off the rows do not begin where the next window does.
        let together = match together {
            Some(together) if together.is_cut().await => Some(together),
            _ => None,
        };
        if shared && ready.as_ref().is_err_and(|error| error.kind == ErrorKind::Limit) {
            // What is too much for many windows may be enough for one.
            ready = self.in_time(self.make_ready(goal, None)).await;
        }
        Some(((goal, ready, leave), (left, together)))
    }

    async fn finish_noting<'g>(
        &'g self,
        (goal, ready, _leave): Made<'g>,
        failed: Arc<AtomicBool>,
    ) -> (&'g Goal, Result<Built>) {
        let built = self.in_time(self.finish(goal, ready)).await;
        if built.as_ref().is_err_and(|error| error.kind != ErrorKind::CheckFailed) {
            failed.store(true, Ordering::SeqCst);
        }
        (goal, built)
    }

    /// One query for all of them; `None` = each asks by itself, and tells what is wrong. Queries take turns to compute, which takes most of their memory: the rows of one are
    /// staged while the next one is computed.
    async fn ask_together(
        &self,
        windows: &Windows,
        goals: &[Goal],
        turns: Arc<Semaphore>,
    ) -> Option<Together> {
        let [first, .., last] = goals else { return None };
        let now = self.clock.now();
        if self.sql.native || !matches!(self.whole(first, now).await, Ok(None)) {
            return None;
        }
        let turn = turns.acquire_owned().await.ok();
        let all = first.window?.up_to(&last.window?);
        let params = params::of_table(&self.member.facts, Some(windows), Some(&all), now);
        let engine = &self.runtime.engine;
        let query = engine.query_sorted(&self.sql.text, &params, now, &windows.column).await.ok()?;
        let column = query.schema().index_of(&windows.column).ok()?;
        let sorted = Sorted { query, column, rest: None, is_cut: true, turn };
        Some(Together { rows: Arc::new(Mutex::new(sorted)) })
    }
}

impl Together {
    /// Those of a window, or all that are left; `None` = by its column no row lies in a window.
    async fn rows(&self, goal: &Goal, is_last: bool) -> Option<SendableRecordBatchStream> {
        let mut sorted = self.rows.lock().await;
        let schema = sorted.query.schema();
        let (_, until) = goal.window?.bounds(schema.field(sorted.column).data_type())?;
        // Nobody may ask for one of them: then the next window's rows do not come next.
        sorted.is_cut = false;
        let until = if is_last { None } else { Some(scalar(&until).to_scalar().ok()?) };
        let rows = stream::try_unfold(Arc::clone(&self.rows), move |sorted| {
            let until = until.clone();
            async move {
                let next = sorted.lock().await.next(until.as_ref()).await?;
                Ok(next.map(|batch| (batch, sorted)))
            }
        });
        Some(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    /// Whether the last window's rows were given to their end.
    async fn is_cut(&self) -> bool {
        self.rows.lock().await.is_cut
    }
}

impl Sorted {
    /// The next rows below a bound; `None` = what comes next is not, or nothing comes.
    async fn next(&mut self, until: Option<&Scalar<ArrayRef>>) -> SqlResult<Option<RecordBatch>> {
        self.is_cut = false;
        let batch = match self.rest.take() {
            Some(batch) => Some(batch),
            None => {
                let next = self.query.next().await;
                self.turn = None;
                next.transpose()?
            }
        };
        let Some(batch) = batch else {
            self.is_cut = true;
            return Ok(None);
        };
        let below = match until {
            Some(until) => {
                lt(batch.column(self.column), until)?.iter().take_while(|below| *below == Some(true)).count()
            }
            None => batch.num_rows(),
        };
        if below < batch.num_rows() {
            self.rest = Some(batch.slice(below, batch.num_rows() - below));
        }
        self.is_cut = below == 0 && batch.num_rows() > 0;
        Ok((!self.is_cut).then(|| batch.slice(0, below)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::{AsArray, Date32Array, Int32Array};
    use chrono::DateTime;
    use chrono_tz::Tz;

    use super::*;
    use crate::{
        engine::params::Params,
        model::{
            name::{JobName, Member, Track},
            window::{Grain, Window},
        },
    };

    /// Rows of these days, in batches; what each window up to a day gets, and whether it was cut.
    async fn cut(batches: Vec<Vec<Option<i32>>>, days: &[Option<i32>]) -> Vec<(Vec<Option<i32>>, bool)> {
        let of = |days: Vec<Option<i32>>| {
            RecordBatch::try_from_iter([("dt", Arc::new(Date32Array::from(days)) as ArrayRef)]).unwrap()
        };
        let batches: Vec<_> = batches.into_iter().map(of).collect();
        let schema = batches[0].schema();
        let rows = stream::iter(batches.into_iter().map(Ok));
        let query: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        let mut sorted = Sorted { query, column: 0, rest: None, is_cut: true, turn: None };
        let mut found = vec![];
        for day in days {
            let until = day.map(|day| Scalar::new(Arc::new(Date32Array::from(vec![day])) as ArrayRef));
            let mut rows = vec![];
            while let Some(batch) = sorted.next(until.as_ref()).await.unwrap() {
                rows.extend(batch.column(0).as_primitive::<arrow::datatypes::Date32Type>());
            }
            found.push((rows, sorted.is_cut));
        }
        found
    }

    #[tokio::test]
    async fn rows_are_cut_where_windows_end() {
        let batches = vec![
            vec![],
            vec![Some(1), Some(1), Some(2)],
            vec![Some(2), Some(4)],
            vec![Some(4), Some(9), None],
        ];
        let found = cut(batches, &[Some(2), Some(3), Some(4), None]).await;
        let some = |days: &[i32]| days.iter().copied().map(Some).collect::<Vec<_>>();
        let last = [some(&[4, 4, 9]), vec![None]].concat();
        assert_eq!(found, [(some(&[1, 1]), true), (some(&[2, 2]), true), (vec![], true), (last, true)]);
    }

    #[tokio::test]
    async fn a_window_that_is_left_early_is_not_cut() {
        let days = Int32Array::from(vec![1, 2]);
        let batch = RecordBatch::try_from_iter([("dt", Arc::new(days) as ArrayRef)]).unwrap();
        let rows = stream::iter([Ok(batch.clone())]);
        let query: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(batch.schema(), rows));
        let mut sorted = Sorted { query, column: 0, rest: None, is_cut: true, turn: None };
        let until = Scalar::new(Arc::new(Int32Array::from(vec![2])) as ArrayRef);
        assert_eq!(sorted.next(Some(&until)).await.unwrap().unwrap().num_rows(), 1);
        assert!(!sorted.is_cut);
    }

    /// The next query is computed while the rows of this one are staged, and not before.
    #[tokio::test]
    async fn a_turn_ends_with_the_first_rows() {
        let turns = Arc::new(Semaphore::new(1));
        let days: ArrayRef = Arc::new(Date32Array::from(vec![1]));
        let batch = RecordBatch::try_from_iter([("dt", days)]).unwrap();
        for rows in [vec![Ok(batch.clone()), Ok(batch.clone())], vec![]] {
            let query = RecordBatchStreamAdapter::new(batch.schema(), stream::iter(rows));
            let turn = Some(Arc::clone(&turns).acquire_owned().await.unwrap());
            let mut sorted = Sorted { query: Box::pin(query), column: 0, rest: None, is_cut: true, turn };
            assert_eq!(turns.available_permits(), 0);
            let _ = sorted.next(None).await.unwrap();
            assert_eq!(turns.available_permits(), 1);
        }
    }

    /// A try may fail before it asks for a row, as where the sink cannot be claimed.
    #[tokio::test]
    async fn a_window_that_nobody_asks_for_is_not_cut() {
        let days: ArrayRef = Arc::new(Date32Array::from(vec![1, 2]));
        let batch = RecordBatch::try_from_iter([("dt", days)]).unwrap();
        let rows = stream::iter([Ok(batch.clone())]);
        let query: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(batch.schema(), rows));
        let sorted = Sorted { query, column: 0, rest: None, is_cut: true, turn: None };
        let together = Together { rows: Arc::new(Mutex::new(sorted)) };
        let goal = Goal {
            track: Track::new("p", &JobName::new("daily"), &Member::default()),
            window: Some(Window::at(Grain::Day, Tz::UTC, DateTime::UNIX_EPOCH)),
            params: Params::new(),
            fingerprint: String::new(),
            inputs: BTreeMap::new(),
            moves: 0,
        };
        let rows = together.rows(&goal, false).await.unwrap();
        assert!(!together.is_cut().await);
        drop(rows);
        assert!(!together.is_cut().await);
    }

    #[tokio::test]
    async fn what_is_ready_waits_for_no_more_than_a_moment() {
        let quick = stream::iter(0..5);
        let slow = stream::once(async {
            tokio::time::sleep(LINGER * 2).await;
            5
        });
        let found: Vec<Vec<i32>> = gathered(quick.chain(slow), 3, LINGER).collect().await;
        assert_eq!(found, [vec![0, 1, 2], vec![3, 4], vec![5]]);
        let alone: Vec<Vec<i32>> = gathered(stream::iter(0..2), 1, LINGER).collect().await;
        assert_eq!(alone, [[0], [1]]);
    }

    /// What is made holds for a while what is needed to finish others.
    #[tokio::test]
    async fn what_was_begun_goes_on_while_others_are_finished() {
        let wait = |millis| tokio::time::sleep(Duration::from_millis(millis));
        for together in [1, 2, 8] {
            let (held, leave) = (Arc::new(Mutex::new(())), Arc::new(Semaphore::new(most(together))));
            let needed = Arc::clone(&held);
            let made = stream::unfold(0, move |at| {
                let (held, leave) = (Arc::clone(&held), Arc::clone(&leave));
                async move {
                    let leave = leave.acquire_owned().await.ok().filter(|_| at < 10)?;
                    let _held = held.lock().await;
                    wait(30).await;
                    Some(((at, leave), at + 1))
                }
            });
            let finish = move |made: Vec<(i32, OwnedSemaphorePermit)>| {
                let needed = Arc::clone(&needed);
                async move {
                    wait(45).await;
                    let _needed = needed.lock().await;
                    made.into_iter().map(|(at, _)| at).collect::<Vec<_>>()
                }
            };
            let all = finished(made, together, Duration::from_millis(10), finish).collect::<Vec<_>>();
            let all = tokio::time::timeout(Duration::from_secs(60), all).await;
            assert_eq!(all.expect("nobody waits for ever"), (0..10).collect::<Vec<_>>());
        }
    }
}
