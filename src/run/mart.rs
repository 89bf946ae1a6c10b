//! A mart run, as one story: query → claim → fit → stage → check → commit. The whole table is one snapshot, or one window of it is replaced; readers see the
//! old rows or the new. `windows.rs` says which windows a run builds.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use arrow::datatypes::{FieldRef, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::{
    catalog::TableProvider, error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{StreamExt, future};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    Runtime,
    ask::ask,
    blocking,
    checks::{self, Question},
    event::{Event, Observer},
    fit::fit,
    judge::Seen,
    retry::Tries,
    tally::Tally,
    unit::unless_cancelled,
    windows::Inside,
};
use crate::{
    config::project::{Check, JobInfo, MartMember, Sql},
    connector::{
        error::{Error, ErrorKind, Result},
        executor::Statement,
        sink::{Attempt, Claim, Rows, Sink, Staged, Staging},
    },
    engine::{
        again::Plans,
        params::Params,
        session::{Engine, normal},
    },
    failpoint,
    model::{
        name::{AttemptId, Track},
        time::Clock,
        unit::{Build, Progress, Record, Scope, Unit},
        window::{Window, Windows},
    },
    state::builds::CheckResult,
};

/// How often one build is begun anew because what its checks read has moved meanwhile.
const MOST_MOVES: u32 = 3;

/// One run of one member of a mart.
pub(super) struct MartRun<'a> {
    pub runtime: &'a Runtime,
    /// Its id in the history.
    pub run: String,
    pub info: &'a JobInfo,
    pub member: &'a MartMember,
    pub sql: &'a Sql,
    pub windows: Option<&'a Windows>,
    pub checks: &'a [Check],
    /// Of the checks, while the run lasts.
    pub plans: Plans,
    pub track: Track,
    pub sink: Arc<dyn Sink>,
    /// The sink's connection, where a query that it computes whole may fill the table without its rows leaving it.
    pub there: Option<&'a str>,
    /// How long it may go on once it is cancelled.
    pub grace: Duration,
    /// Tries that failed in a process that died.
    pub failed: u32,
    pub clock: Arc<dyn Clock>,
    pub observer: Arc<dyn Observer>,
    pub cancel: CancellationToken,
}

/// What one build writes.
#[derive(Clone)]
pub(super) struct Goal {
    /// The member's track, or that of one of its windows.
    pub track: Track,
    /// `None` = the whole table.
    pub window: Option<Window>,
    /// Of the SQL.
    pub params: Params,
    /// Of the SQL and its parameters, those of the window left out.
    pub fingerprint: String,
    /// Sequence numbers of the tracks that it reads, by track key.
    pub inputs: BTreeMap<String, u64>,
    /// How often it was begun anew because they had moved.
    pub moves: u32,
}

impl MartRun<'_> {
    /// Builds the whole table anew.
    pub(super) async fn run(&self, inputs: BTreeMap<String, u64>, tally: &mut Tally) -> Result<()> {
        self.observer.event(&self.track, &Event::Planned { rows: None });
        let params = Params::of_facts(&self.member.facts);
        let fingerprint = fingerprint(&self.sql.text, &params);
        let goal = Goal { track: self.track.clone(), window: None, params, fingerprint, inputs, moves: 0 };
        let built = self.build(&goal).await?;
        self.count(&goal, &built, tally);
        Ok(())
    }

    /// Counts a build that was committed.
    pub(super) fn count(&self, goal: &Goal, built: &Built, tally: &mut Tally) {
        let record = &built.record;
        tally.committed(record, Seen { rows: tally.read + record.rows, bad: 0 });
        if built.moved {
            // It was told when it happened.
            tally.note(&moved_meanwhile(goal));
        }
        for warning in &built.warnings {
            let note = format!("{}{warning}", window_of(goal));
            if tally.note(&note) {
                self.observer.event(&self.track, &Event::Note(note));
            }
        }
        self.observer.event(&self.track, &Event::Committed { seq: record.seq, rows: record.rows });
    }

    /// Builds; retries what the world fails.
    pub(super) async fn build(&self, goal: &Goal) -> Result<Built> {
        let ready = self.make_ready(goal, None).await;
        self.finish(goal, ready).await
    }

    /// Commits what is ready; builds anew where that, or the making ready, failed by the world, or where what it was made of has moved.
    pub(super) async fn finish(&self, goal: &Goal, ready: Result<Ready>) -> Result<Built> {
        let mut tries = Tries::new(self.info.retry, self.failed, &goal.track, &self.observer, &self.cancel);
        let (mut goal, mut ready) = (Cow::Borrowed(goal), ready);
        loop {
            match ready {
                Ok(Ready::Staged { staged, results }) => match self.commit(&goal, staged, results).await {
                    Ok(built) => return Ok(built),
                    Err(error) => tries.failed(error, false).await?,
                },
                Ok(Ready::Moved(inputs)) => {
                    self.observer.event(&self.track, &Event::Note(moved_meanwhile(&goal)));
                    goal = Cow::Owned(Goal { inputs, moves: goal.moves + 1, ..goal.into_owned() });
                }
                Err(error) => tries.failed(error, false).await?,
            }
            ready = self.make_ready(&goal, None).await;
        }
    }

    /// Asks, stages and checks. `together` = rows that were asked for with those of other windows.
    pub(super) async fn make_ready(
        &self,
        goal: &Goal,
        together: Option<SendableRecordBatchStream>,
    ) -> Result<Ready> {
        let attempt = Attempt { id: AttemptId::fresh(), at: self.clock.now() };
        let (rows, schema) = match together {
            Some(rows) => streamed(rows),
            None => match self.whole(goal, attempt.at).await? {
                Some((statement, schema)) => (Rows::Sql(statement), schema),
                None => streamed(ask(&self.runtime.engine, self.sql, &goal.params, attempt.at).await?),
            },
        };
        let claim = self.sink.claim(&goal.track, &schema).await?;
        let inside = match (self.windows, &goal.window) {
            (Some(windows), Some(window)) => Some(Inside::of(windows, window, &claim.schema)?),
            _ => None,
        };
        let rows = match rows {
            Rows::Sql(statement) if fits(&schema, &claim) => Rows::Sql(statement),
            Rows::Sql(_) => {
                let query = ask(&self.runtime.engine, self.sql, &goal.params, attempt.at).await?;
                Rows::Stream(self.fitted(query, &claim.schema, inside.clone()))
            }
            Rows::Stream(query) => Rows::Stream(self.fitted(query, &claim.schema, inside.clone())),
        };
        let scope = inside.map_or(Scope::Snapshot, Inside::into_scope);
        let unit = Unit { scope, after: goal.progress(), schema, rows: None, about: None };
        let staging = Staging { track: &goal.track, claim: &claim, unit: &unit, attempt: &attempt };
        let stage = self.sink.stage(staging, rows);
        let staged = unless_cancelled(&self.cancel, self.grace, stage).await?;
        failpoint::pass("run.mart.staged");
        let this = if self.checks.is_empty() { None } else { staged.table() };
        let results = self.ask_checks(goal, staged.rows(), this, attempt.at).await?;
        if let Some(inputs) = self.moved(goal, &results).await {
            return Ok(Ready::Moved(inputs));
        }
        if let Some(blocked) = checks::blocked(&goal.track, &results) {
            self.remember_blocked(goal, results, attempt.at).await;
            return Err(blocked);
        }
        failpoint::pass("run.mart.checked");
        Ok(Ready::Staged { staged, results })
    }

    async fn commit(&self, goal: &Goal, staged: Box<dyn Staged>, results: Vec<CheckResult>) -> Result<Built> {
        let record = staged.commit().await?.record().clone();
        failpoint::pass("run.mart.committed");
        let warnings = results.iter().filter(|result| result.broken > 0).map(checks::told).collect();
        self.remember(goal, &record, results).await;
        Ok(Built { record, warnings, moved: goal.moves > 0 })
    }

    /// Asks the checks of what is staged.
    async fn ask_checks(
        &self,
        goal: &Goal,
        rows: u64,
        this: Option<Arc<dyn TableProvider>>,
        now: DateTime<Utc>,
    ) -> Result<Vec<CheckResult>> {
        if self.checks.is_empty() {
            return Ok(vec![]);
        }
        let (engine, plans) = (&self.runtime.engine, &self.plans);
        let question = Question { engine, plans, params: &goal.params, window: goal.window.as_ref(), now };
        let asked = question.ask(self.checks, rows, this.as_ref());
        unless_cancelled(&self.cancel, self.grace, asked).await
    }

    /// What a build is to be made of anew: checks that block it read other tables, as they are by now, and what it was made of has moved since.
    async fn moved(&self, goal: &Goal, results: &[CheckResult]) -> Option<BTreeMap<String, u64>> {
        if goal.moves == MOST_MOVES || !checks::others_block(self.checks, results) {
            return None;
        }
        let inputs = self.runtime.inputs(&self.info.name, &self.member.member).await;
        let inputs = goal.window.as_ref().map_or_else(|| inputs.whole(), |window| inputs.of(window));
        (inputs != goal.inputs).then_some(inputs)
    }

    /// Keeps what checks said of a build that they block. The history may be lost, so a failing one never stops rows.
    async fn remember_blocked(&self, goal: &Goal, results: Vec<CheckResult>, now: DateTime<Utc>) {
        let (history, run, track) = (Arc::clone(&self.runtime.history), self.run.clone(), goal.track.clone());
        if let Err(error) = blocking(move || history.put_checks(&run, &track, now, &results)).await {
            tracing::warn!("the results of checks could not be written: {error}");
        }
    }

    /// Copies the record, and what checks said, into the history, which may be lost.
    async fn remember(&self, goal: &Goal, record: &Record, results: Vec<CheckResult>) {
        let (history, run, track) = (Arc::clone(&self.runtime.history), self.run.clone(), goal.track.clone());
        let record = record.clone();
        if let Err(error) = blocking(move || history.put_build(&run, &track, &record, &results)).await {
            tracing::warn!("the copy of the ledger could not be written: {error}");
        }
    }

    /// The query as one statement of the sink's own place, where that computes it whole.
    pub(super) async fn whole(
        &self,
        goal: &Goal,
        now: DateTime<Utc>,
    ) -> Result<Option<(Statement, SchemaRef)>> {
        let Some(place) = self.there else { return Ok(None) };
        whole(&self.runtime.engine, self.sql, &goal.params, now, place).await
    }

    /// The query's rows with the target's types; one that does not fit, or lies outside its window, fails the build.
    fn fitted(
        &self,
        query: SendableRecordBatchStream,
        target: &SchemaRef,
        inside: Option<Inside>,
    ) -> SendableRecordBatchStream {
        let goal = Arc::clone(target);
        let (observer, track) = (Arc::clone(&self.observer), self.track.clone());
        let rows = query.map(move |batch| {
            let batch = batch?;
            let rows = batch.num_rows() as u64;
            let fitted = fit(&batch, &goal)?;
            if let Some(misfit) = fitted.misfits.first() {
                let what = format!("mart `{}`: column `{}` {}", track.name(), misfit.column, misfit.reason);
                return Err(DataFusionError::from(Error::new(ErrorKind::BadData, what)));
            }
            if let Some(inside) = &inside {
                inside.check(&fitted.batch, &track)?;
            }
            observer.event(&track, &Event::Read { rows, bad: 0 });
            Ok(fitted.batch)
        });
        let nonempty = rows.filter(|batch| future::ready(batch.as_ref().map_or(true, |b| b.num_rows() > 0)));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(target), nonempty))
    }
}

fn streamed(rows: SendableRecordBatchStream) -> (Rows, SchemaRef) {
    let schema = rows.schema();
    (Rows::Stream(rows), schema)
}

/// A mart's query as one statement of a place, where that computes it whole.
pub(super) async fn whole(
    engine: &Engine,
    sql: &Sql,
    params: &Params,
    now: DateTime<Utc>,
    place: &str,
) -> Result<Option<(Statement, SchemaRef)>> {
    if sql.native {
        return engine.native_whole(&sql.text, params, place).await;
    }
    engine.whole(&sql.text, params, now, place).await
}

/// What became of a build before its commit.
pub(super) enum Ready {
    /// It is staged and was checked.
    Staged {
        /// The rows.
        staged: Box<dyn Staged>,
        /// What its checks said; none blocks.
        results: Vec<CheckResult>,
    },
    /// Its checks do not hold, which may be because its inputs have moved: they are here by now.
    Moved(BTreeMap<String, u64>),
}

/// What a build left.
pub(super) struct Built {
    pub record: Record,
    /// Checks that do not hold and only warn.
    pub warnings: Vec<String>,
    /// Whether it was begun anew because its inputs had moved.
    pub moved: bool,
}

/// What is told of a build that is begun anew.
fn moved_meanwhile(goal: &Goal) -> String {
    format!("{}what its checks read has moved meanwhile: it is built anew", window_of(goal))
}

/// A window's name before what is told of it.
fn window_of(goal: &Goal) -> String {
    goal.window.map_or(String::new(), |window| format!("window {window}: "))
}

impl Goal {
    fn progress(&self) -> Progress {
        Progress::Build(Build { fingerprint: self.fingerprint.clone(), inputs: self.inputs.clone() })
    }
}

/// Whether the target's columns are the query's, type by type, and hold all values of their types: then nothing can be lost on the way. A NULL for a column
/// that takes none is refused by the place.
fn fits(rows: &SchemaRef, claim: &Claim) -> bool {
    let same = |field: &FieldRef| {
        rows.field_with_name(field.name()).is_ok_and(|own| own.data_type() == field.data_type())
    };
    let target = claim.schema.fields();
    let whole = claim.left_out.is_empty() && claim.narrow.is_empty();
    whole && target.len() == rows.fields().len() && target.iter().all(same)
}

/// Digest of a query and its parameters; blanks and comments do not count.
pub(super) fn fingerprint(sql: &str, params: &Params) -> String {
    let mut digest = Sha256::new();
    digest.update(normal(sql).as_bytes());
    for (name, value) in params.iter() {
        digest.update([0]);
        digest.update(name.as_bytes());
        digest.update([0]);
        digest.update(value.to_string().as_bytes());
    }
    digest.finalize().iter().take(16).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
