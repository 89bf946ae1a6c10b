//! One member's run from its begin in the history to its end: opens source and sink, picks the story, counts.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chrono::NaiveDate;
use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    RunOptions, Runtime,
    event::{Event, Observer, Outcome, RunState},
    gate::Turn,
    log::Logged,
    mart::MartRun,
    params,
    pipeline::{CANCEL_GRACE, PipelineRun},
    replay,
    reporter::Reporter,
    tally::Tally,
    unit::{Shape, unless_cancelled},
    workbook::WorkbookRun,
};
use crate::{
    config::project::{JobInfo, Mart, MartMember, MartOutput, Pipeline, PipelineMember, SourceKind, Sql},
    connector::{
        ConnectionConfig,
        error::{Error, ErrorKind, Result},
        generate,
        sink::{Sink, SinkSpec},
        source::Source,
    },
    engine::{again::Plans, params::Params, session::Engine},
    model::{
        delivery::Mode,
        name::{JobName, Member, Track},
    },
    state::{
        history::{Ending, RunCounts, RunStatus},
        logs::RunLog,
    },
};
use arrow::datatypes::SchemaRef;

/// A member that is there, with its job.
pub(super) enum Found<'a> {
    Pipeline(&'a Pipeline, &'a PipelineMember),
    Mart(&'a Mart, &'a MartMember),
}

impl Found<'_> {
    pub(super) fn info(&self) -> &JobInfo {
        match self {
            Found::Pipeline(pipeline, _) => &pipeline.info,
            Found::Mart(mart, _) => &mart.info,
        }
    }
}

/// What one member's run is given.
#[derive(Clone)]
struct Order {
    run: String,
    track: Track,
    options: RunOptions,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
}

impl Runtime {
    /// Runs one member; its failure is in the outcome.
    pub(super) async fn run_member(
        &self,
        job: &JobName,
        member: &Member,
        options: &RunOptions,
        observer: &Arc<dyn Observer>,
        cancel: &CancellationToken,
    ) -> Outcome {
        let track = self.project.track(job, member);
        let turn = self.turn(&track, options, cancel).await;
        let started = self.clock.now();
        // The history may be lost, so a failing one never stops rows.
        let run = self.history.begin(&track, started).unwrap_or_default();
        let span = tracing::info_span!("run", id = %run, track = %track.name());
        let log = RunLog::begin(&self.project.state, &run);
        let logged = Arc::new(Logged::new(observer, &self.clock, log, span.clone()));
        logged.event(&track, &Event::Started);
        let order = Order {
            run: run.clone(),
            track: track.clone(),
            options: options.clone(),
            observer: Arc::clone(&logged) as Arc<dyn Observer>,
            cancel: cancel.clone(),
        };
        let mut tally = Tally::default();
        let result = match &turn {
            Ok(_) => caught(self.tell(job, member, order, &mut tally).instrument(span)).await,
            Err(_) => Err(Error::new(ErrorKind::Cancelled, "cancelled before it began")),
        };
        let state = match &result {
            Ok(()) => RunState::Done,
            Err(error) if error.kind == ErrorKind::Cancelled || cancel.is_cancelled() => RunState::Cancelled,
            Err(_) => RunState::Failed,
        };
        let outcome = Outcome {
            run,
            state,
            units: tally.units,
            read: tally.read,
            written: tally.written,
            bad: tally.bad,
            anew: tally.anew,
            started,
            finished: self.clock.now(),
            target: self.target(job, member),
            error: result.err(),
            notes: tally.notes,
            track,
        };
        logged.ended(&outcome);
        self.remember(&outcome, outcome.error.as_ref().map(ToString::to_string));
        observer.event(&outcome.track, &Event::Finished);
        outcome
    }

    /// Waits until the track may run. What follows its source takes no place from others, since it never ends.
    async fn turn(&self, track: &Track, options: &RunOptions, cancel: &CancellationToken) -> Result<Turn> {
        let turn = async {
            Ok(if options.follow { self.gate.alone(track).await } else { self.gate.turn(track).await })
        };
        unless_cancelled(cancel, Duration::ZERO, turn).await
    }

    /// A member that was not started, because one that it reads from did not end well.
    pub fn blocked(&self, job: &JobName, member: &Member, by: &Track) -> Outcome {
        let now = self.clock.now();
        let track = self.project.track(job, member);
        let why = format!("blocked by `{}`", by.name());
        let outcome = Outcome {
            run: self.history.begin(&track, now).unwrap_or_default(),
            track,
            state: RunState::Blocked,
            units: 0,
            read: 0,
            written: 0,
            bad: 0,
            anew: false,
            started: now,
            finished: now,
            target: self.target(job, member),
            error: None,
            notes: vec![why.clone()],
        };
        self.remember(&outcome, Some(why));
        outcome
    }

    fn remember(&self, outcome: &Outcome, why: Option<String>) {
        let ending = Ending {
            state: match outcome.state {
                RunState::Done => RunStatus::Done,
                RunState::Cancelled => RunStatus::Cancelled,
                RunState::Blocked => RunStatus::Blocked,
                RunState::Running | RunState::Failed => RunStatus::Failed,
            },
            finished: outcome.finished,
            counts: RunCounts {
                units: outcome.units,
                read: outcome.read,
                written: outcome.written,
                bad: outcome.bad,
            },
            error: why,
            target: outcome.target.clone(),
        };
        if let Err(error) = self.history.finish(&outcome.run, &ending) {
            tracing::warn!("the run history could not be written: {error}");
        }
    }

    async fn tell(&self, job: &JobName, member: &Member, order: Order, tally: &mut Tally) -> Result<()> {
        let found = self.find(job, member)?;
        let timeout = found.info().retry.timeout;
        let follow = order.options.follow;
        let found_windows = matches!(&found, Found::Mart(_, member) if member.windows().is_some());
        let story = async {
            match found {
                Found::Pipeline(pipeline, member) => self.tell_pipeline(pipeline, member, order, tally).await,
                Found::Mart(mart, member) => self.tell_mart(mart, member, order, tally).await,
            }
        };
        if follow || found_windows {
            // It is meant to go on for ever, or as long as there are windows, each of which has this time.
            return story.await;
        }
        tokio::time::timeout(timeout.get(), story).await.unwrap_or_else(|_| {
            let message = format!("the run took longer than its timeout of {timeout}");
            Err(Error::new(ErrorKind::Timeout, message)
                .hint("what was committed stays; raise `retry.timeout` or make the slices smaller"))
        })
    }

    async fn tell_pipeline(
        &self,
        pipeline: &Pipeline,
        member: &PipelineMember,
        order: Order,
        tally: &mut Tally,
    ) -> Result<()> {
        if order.options.replay {
            return self.tell_replay(pipeline, member, order, tally).await;
        }
        let mut spec = member.sink.clone();
        if order.options.full_refresh {
            self.allow_full_refresh(&order.track, &spec)?;
            // A merge stays one, so that the last row of each key is what is left.
            match spec.mode {
                Mode::Merge => spec.anew = true,
                _ => spec.mode = Mode::Replace,
            }
        }
        let source = self.source(pipeline, member).await?;
        let sink = self.sink(&spec).await?;
        self.pipeline_run(pipeline, member, order, source, sink).run(tally).await
    }

    /// Dead letters instead of the source, on a track of their own.
    async fn tell_replay(
        &self,
        pipeline: &Pipeline,
        member: &PipelineMember,
        mut order: Order,
        tally: &mut Tally,
    ) -> Result<()> {
        if member.sink.mode == Mode::Replace {
            let what = "each run replaces its table: only the rows that were replayed would be left in it";
            return Err(Error::new(ErrorKind::Unsupported, what).hint(
                "mend the rows or the contract, then `vitrina run NAME --full-refresh` reads all of it again",
            ));
        }
        let of = order.track;
        order.track = replay::track(&of);
        let sink = self.sink(&member.sink).await?;
        sink.recover(&order.track).await?;
        replay::settle(&self.records, &of, sink.peek(&order.track).await?.as_ref()).await?;
        let source = self.source(pipeline, member).await?;
        let letters = replay::source(self, member, source, &of).await?;
        let track = order.track.clone();
        let run = self.pipeline_run(pipeline, member, order, letters, Arc::clone(&sink));
        let result = run.run(tally).await;
        replay::settle(&self.records, &of, sink.peek(&track).await?.as_ref()).await?;
        result
    }

    fn pipeline_run<'a>(
        &'a self,
        pipeline: &'a Pipeline,
        member: &'a PipelineMember,
        order: Order,
        source: Arc<dyn Source>,
        sink: Arc<dyn Sink>,
    ) -> PipelineRun<'a> {
        PipelineRun {
            pipeline,
            member,
            reporter: Reporter::begin(Arc::clone(&source), order.track.clone()),
            track: order.track,
            source,
            sink,
            refresh: order.options.full_refresh,
            follow: order.options.follow,
            failed: order.options.failed,
            grace: order.options.grace.unwrap_or(CANCEL_GRACE),
            engine: &self.engine,
            params: Params::of_facts(&member.facts),
            records: Arc::clone(&self.records),
            clock: Arc::clone(&self.clock),
            observer: order.observer,
            cancel: order.cancel,
        }
    }

    async fn tell_mart(
        &self,
        mart: &Mart,
        member: &MartMember,
        order: Order,
        tally: &mut Tally,
    ) -> Result<()> {
        match &member.output {
            MartOutput::Table { sql, sink, windows, checks, .. } => {
                let inputs = self.inputs(&mart.info.name, &member.member).await;
                let mut spec = (**sink).clone();
                if order.options.full_refresh && spec.mode == Mode::Merge {
                    self.allow_full_refresh(&order.track, &spec)?;
                    spec.anew = true;
                }
                let run = MartRun {
                    runtime: self,
                    run: order.run,
                    info: &mart.info,
                    member,
                    sql,
                    windows: windows.as_ref(),
                    checks,
                    plans: Plans::default(),
                    track: order.track,
                    sink: self.sink(&spec).await?,
                    there: self.there(sink),
                    grace: order.options.grace.unwrap_or_default(),
                    failed: order.options.failed,
                    clock: Arc::clone(&self.clock),
                    observer: order.observer,
                    cancel: order.cancel,
                };
                let options = &order.options;
                match windows {
                    Some(windows) => {
                        let asked = options.backfill.as_ref();
                        run.run_windows(windows, &inputs, asked, options.full_refresh, tally).await
                    }
                    None if options.backfill.is_some() => Err(not_in_windows(&mart.info.name)),
                    None => run.run(inputs.whole(), tally).await,
                }
            }
            MartOutput::Workbook(workbook) => {
                let (params, period) =
                    params::of_workbook(&member.facts, &workbook.with, &order.options.with, self.today())?;
                let run = WorkbookRun {
                    info: &mart.info,
                    workbook,
                    inputs: self.inputs(&mart.info.name, &member.member).await.whole(),
                    track: order.track,
                    engine: &self.engine,
                    params,
                    period,
                    project: &self.project,
                    scratch: self.scratch.path(),
                    grace: order.options.grace.unwrap_or_default(),
                    failed: order.options.failed,
                    clock: Arc::clone(&self.clock),
                    observer: order.observer,
                    cancel: order.cancel,
                };
                run.run(tally).await
            }
        }
    }

    pub(super) fn find(&self, job: &JobName, member: &Member) -> Result<Found<'_>> {
        let pipeline = self.project.pipelines.get(job).and_then(|pipeline| {
            let member = pipeline.members.iter().find(|m| m.member == *member)?;
            Some(Found::Pipeline(pipeline, member))
        });
        let mart = || {
            let mart = self.project.marts.get(job)?;
            let member = mart.members.iter().find(|m| m.member == *member)?;
            Some(Found::Mart(mart, member))
        };
        let missing = || {
            let track = self.project.track(job, member);
            Error::new(ErrorKind::NotFound, format!("there is no pipeline or mart `{}`", track.name()))
        };
        pipeline.or_else(mart).ok_or_else(missing)
    }

    pub(super) async fn source(
        &self,
        pipeline: &Pipeline,
        member: &PipelineMember,
    ) -> Result<Arc<dyn Source>> {
        match &member.source {
            SourceKind::Table(spec) => self.connection(&spec.connection)?.source(spec).await,
            SourceKind::Generate { spec, parents } => generate::open(
                &pipeline.info.name,
                &member.member,
                spec,
                parents,
                self.project.zone,
                Arc::clone(&self.clock),
            ),
        }
    }

    /// The connection of a mart's sink, where it may fill the table by SQL of its own. Rows that are merged are numbered as they come, and pass through here.
    pub(super) fn there<'s>(&self, sink: &'s SinkSpec) -> Option<&'s str> {
        let config = self.project.connections.get(&sink.connection)?;
        let takes = matches!(sink.mode, Mode::Replace | Mode::Window);
        (takes && config.runs_sql()).then_some(sink.connection.as_str())
    }

    pub(super) async fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        self.connection(&spec.connection)?.sink(spec).await
    }

    /// Today in the project's zone.
    pub(super) fn today(&self) -> NaiveDate {
        self.clock.now().with_timezone(&self.project.zone).date_naive()
    }

    /// Where a member's rows lie, for people.
    fn target(&self, job: &JobName, member: &Member) -> String {
        let table = |sink: &SinkSpec| {
            let kind = self.project.connections.get(&sink.connection).map_or("", |config| config.kind());
            let schema = sink.schema.as_ref().map_or(String::new(), |schema| format!("{schema}."));
            format!("{}.{schema}{} ({kind})", sink.connection, sink.table)
        };
        match self.find(job, member) {
            Ok(Found::Pipeline(_, member)) => table(&member.sink),
            Ok(Found::Mart(_, member)) => match &member.output {
                MartOutput::Table { sink, .. } => table(sink),
                MartOutput::Workbook(workbook) => {
                    let file = workbook.file.strip_prefix(&self.project.root).unwrap_or(&workbook.file);
                    file.display().to_string()
                }
            },
            Err(_) => String::new(),
        }
    }

    /// A full refresh replaces the whole target: not where others write it too, not a log.
    fn allow_full_refresh(&self, track: &Track, sink: &SinkSpec) -> Result<()> {
        let refuse = |why: &str| {
            Err(Error::new(
                ErrorKind::Unsupported,
                format!("`{}` cannot be refreshed whole: {why}", track.name()),
            ))
        };
        let config = self.project.connections.get(&sink.connection);
        if config.is_some_and(ConnectionConfig::is_log) {
            return refuse("its target is a log, which is only appended to");
        }
        if config.is_some_and(|config| !config.sink_facts(sink).modes.contains(&Mode::Replace)) {
            return refuse("its target cannot replace all rows at once");
        }
        let writes = |input: &&crate::config::lineage::Node| {
            input
                .writes
                .as_ref()
                .is_some_and(|table| table.connection == sink.connection && table.table == sink.table)
        };
        if self.lineage.nodes.iter().filter(writes).count() > 1 {
            return refuse("several write its table");
        }
        Ok(())
    }
}

fn not_in_windows(job: &JobName) -> Error {
    let message = format!("`{job}` is not built window by window");
    Error::new(ErrorKind::Unsupported, message).hint("`run` builds it whole; [window] cuts it into windows")
}

/// How rows of a source schema become rows of the sink: the pipeline's SQL and its condition for deletions, compiled.
pub(super) async fn shape(
    engine: &Arc<Engine>,
    member: &PipelineMember,
    params: &Params,
    source: &SchemaRef,
) -> Result<Shape> {
    let sql = member.transform.as_ref().map(|sql| sql.text.as_str());
    let transform = engine.transform(sql, params, source).await?;
    let condition = |when: &Sql| engine.condition(&when.text, params, transform.schema());
    let delete = member.delete_when.as_ref().map(condition).transpose()?;
    Ok(Shape { source: Arc::clone(source), transform, delete })
}

/// A panic is a mistake of ours: it ends this run, and is told as its failure.
async fn caught(story: impl Future<Output = Result<()>>) -> Result<()> {
    AssertUnwindSafe(story).catch_unwind().await.unwrap_or_else(|_| {
        let message = "the run panicked: this is a mistake in Vitrina, please report it";
        Err(Error::new(ErrorKind::Internal, message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_the_failure_of_its_run() {
        assert!(caught(async { Ok(()) }).await.is_ok());
        let error = caught(async { panic!("as a test does") }).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Internal);
        assert!(error.to_string().contains("please report it"), "{error}");
    }
}
