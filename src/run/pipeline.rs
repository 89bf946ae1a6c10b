//! A pipeline run, as one story: recover → peek → head → (plan → claim, plan again if the record moved) → read → transform →
//! stage → commit, slice by slice. While one slice is committed, the next one is read and staged; it commits once the one before has.
//! A run that follows its source waits at the head for news, with source, compiled SQL and claim kept.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;

use super::{
    event::{Event, Observer},
    judge::{Judge, Seen},
    letters::{self, Letters},
    member::shape,
    reader::{Chunks, Reader},
    refresh::Whole,
    replay,
    reporter::Reporter,
    retry::Tries,
    tally::Tally,
    unit::{Shape, Way, unless_cancelled},
};
use crate::{
    config::project::{Pipeline, PipelineMember},
    connector::{
        error::{Error, ErrorKind, Result},
        sink::{Attempt, Claim, Committed, Rows, Sink, Staged, Staging},
        source::Source,
    },
    engine::{params::Params, session::Engine},
    failpoint,
    model::{
        delivery::Mode,
        name::{AttemptId, Track},
        position::Position,
        time::Clock,
        unit::{Record, Unit},
    },
    state::records::Records,
};

/// How long a cancelled run may take to end its slice, unless told.
pub(super) const CANCEL_GRACE: Duration = Duration::from_secs(5);
/// How often a run that follows looks whether its source is there by now.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Commits of a track between two rounds of its sink's maintenance, and how long a round may take.
const MAINTAIN_EVERY: u64 = 64;
const MAINTAIN_BUDGET: Duration = Duration::from_secs(5);

/// One run of one member of a pipeline.
pub(super) struct PipelineRun<'a> {
    pub pipeline: &'a Pipeline,
    pub member: &'a PipelineMember,
    pub track: Track,
    pub source: Arc<dyn Source>,
    pub sink: Arc<dyn Sink>,
    pub reporter: Reporter,
    /// Reads everything again, as one unit.
    pub refresh: bool,
    /// Goes on when the source has more, until it is cancelled.
    pub follow: bool,
    /// Tries that failed in a process that died.
    pub failed: u32,
    /// How long it may take to end its slice once it is cancelled.
    pub grace: Duration,
    pub engine: &'a Arc<Engine>,
    pub params: Params,
    pub records: Arc<Records>,
    pub clock: Arc<dyn Clock>,
    pub observer: Arc<dyn Observer>,
    pub cancel: CancellationToken,
}

/// What is ready for slices of one source schema.
struct Ready {
    shape: Arc<Shape>,
    claim: Claim,
}

/// What is known between two slices; looked up again after every failure.
struct Standing {
    record: Option<Record>,
    ready: Option<Ready>,
    /// Rows judged so far, those of the slice underway included.
    judged: Seen,
    underway: Option<Underway>,
}

/// A slice that is staged and being committed.
struct Underway {
    commit: AbortOnDropHandle<Result<Committed>>,
    seen: Seen,
}

/// A slice that is staged.
struct Slice {
    staged: Box<dyn Staged>,
    /// What its commit leaves.
    record: Record,
    way: Arc<Way>,
}

impl PipelineRun<'_> {
    /// Moves everything up to the head that is seen first, and, where it follows, up to every later one; retries what the world fails.
    pub(super) async fn run(&self, tally: &mut Tally) -> Result<()> {
        let ended = self.go(tally).await;
        self.reporter.end().await;
        self.hear(tally);
        ended
    }

    async fn go(&self, tally: &mut Tally) -> Result<()> {
        let (mut head, mut standing) = (None, None);
        let mut tries =
            Tries::new(self.pipeline.info.retry, self.failed, &self.track, &self.observer, &self.cancel);
        loop {
            let (units, began) = (tally.units, Instant::now());
            match self.until_head(&mut head, &mut standing, tally).await {
                Ok(()) if self.follow && self.wait_for_news(began).await => head = None,
                Ok(()) => return Ok(()),
                Err(error) if self.follow && error.kind == ErrorKind::Cancelled => return Ok(()),
                Err(error) if self.follow && error.kind == ErrorKind::NotFound && tally.units == 0 => {
                    if !self.wait_until_made(&error, tally).await {
                        return Ok(());
                    }
                }
                Err(error) => tries.failed(error, tally.units > units).await?,
            }
        }
    }

    /// Until the source may have more, and the sink's linger is over since the last round began: news that come one by one are written together, and
    /// the first after a pause at once. `false` = cancelled meanwhile.
    async fn wait_for_news(&self, began: Instant) -> bool {
        let news = async {
            self.source.changed().await;
            tokio::time::sleep_until(began + self.member.linger).await;
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => false,
            () = news => true,
        }
    }

    /// Another pipeline may be about to make what this one reads. `false` = cancelled meanwhile.
    async fn wait_until_made(&self, missing: &Error, tally: &mut Tally) -> bool {
        let note = format!("waits for its source: {missing}");
        if tally.note(&note) {
            self.note(&note);
        }
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => false,
            () = tokio::time::sleep(LOOK_AGAIN) => true,
        }
    }

    /// `known` is left behind only by success.
    async fn until_head(
        &self,
        head: &mut Option<Position>,
        known: &mut Option<Standing>,
        tally: &mut Tally,
    ) -> Result<()> {
        let mut standing = match known.take() {
            Some(standing) => standing,
            None => self.look(tally).await?,
        };
        let head = match head {
            Some(head) => head.clone(),
            None => head.insert(self.source.head().await?).clone(),
        };
        let moved = self.slices(&mut standing, &head, tally).await;
        // A commit that was begun is seen to its end, whatever became of the slice behind it.
        self.settle(&mut standing, tally).await?;
        moved?;
        *known = Some(standing);
        Ok(())
    }

    /// Where the track stands.
    async fn look(&self, tally: &mut Tally) -> Result<Standing> {
        let record = self.record().await?;
        letters::reconcile(&self.records, &self.track, record.as_ref()).await?;
        self.report(record.as_ref(), tally);
        let judged = Seen { rows: tally.read, bad: tally.bad };
        Ok(Standing { record, ready: None, judged, underway: None })
    }

    async fn slices(&self, standing: &mut Standing, head: &Position, tally: &mut Tally) -> Result<()> {
        let mut reader = self.reader(standing.record.as_ref(), head);
        while let Some((unit, chunks)) = reader.next().await? {
            if self.cancel.is_cancelled() {
                return Err(Error::new(ErrorKind::Cancelled, "cancelled between two slices"));
            }
            if standing.ready.as_ref().is_none_or(|ready| ready.shape.source != unit.schema) {
                self.settle(standing, tally).await?;
                let fresh = self.claim(&unit, tally).await?;
                if self.catch_up(fresh, standing, tally).await? {
                    reader = self.reader(standing.record.as_ref(), head);
                    continue;
                }
            }
            self.write(standing, unit, chunks, tally).await?;
        }
        Ok(())
    }

    /// The track's record; that of the pipeline's old name where it was renamed.
    async fn record(&self) -> Result<Option<Record>> {
        self.sink.recover(&self.track).await?;
        if let Some(record) = self.sink.peek(&self.track).await? {
            return Ok(Some(record));
        }
        let Some(was) = &self.pipeline.info.was else { return Ok(None) };
        let old = Track { job: was.clone(), ..self.track.clone() };
        self.sink.recover(&old).await?;
        let Some(record) = self.sink.peek(&old).await? else { return Ok(None) };
        // Before the record: once that is there, nobody looks at the old name again.
        replay::rename(&self.records, &old, &self.track, self.sink.as_ref()).await?;
        self.sink.set_record(&self.track, None, &record).await?;
        self.note(&format!("goes on from where `{}` stood", old.name()));
        Ok(Some(record))
    }

    fn reader(&self, record: Option<&Record>, head: &Position) -> Reader {
        if self.refresh {
            let whole = Arc::new(Whole::new(Arc::clone(&self.source)));
            return Reader::start(whole, None, head.clone(), self.member.slice);
        }
        let from = record.and_then(|record| record.progress.position()).cloned();
        Reader::start(Arc::clone(&self.source), from, head.clone(), self.member.slice)
    }

    async fn claim(&self, unit: &Unit, tally: &mut Tally) -> Result<Ready> {
        let shape = shape(self.engine, self.member, &self.params, &unit.schema).await?;
        let claim = self.sink.claim(&self.track, shape.transform.schema()).await?;
        for column in &claim.left_out {
            let note = format!("column `{column}` is not in the target and is left out");
            if tally.note(&note) {
                self.note(&note);
            }
        }
        Ok(Ready { shape: Arc::new(shape), claim })
    }

    /// Finishes what a dead writer began, and says whether the record is elsewhere than was thought.
    async fn catch_up(&self, fresh: Ready, standing: &mut Standing, tally: &mut Tally) -> Result<bool> {
        let moved = fresh.claim.record != standing.record;
        standing.record.clone_from(&fresh.claim.record);
        let pending = fresh.claim.pending.clone();
        standing.ready = Some(fresh);
        let Some(pending) = pending else { return Ok(moved) };
        let chunks = self.source.read(&pending).await?;
        self.write(standing, pending, chunks, tally).await?;
        self.settle(standing, tally).await?;
        Ok(true)
    }

    /// One unit: transformed, judged, staged; its commit begins once the one before has ended.
    async fn write(
        &self,
        standing: &mut Standing,
        unit: Unit,
        chunks: Chunks,
        tally: &mut Tally,
    ) -> Result<()> {
        let Some(ready) = &standing.ready else {
            return Err(Error::new(ErrorKind::Internal, "a unit without a claim"));
        };
        let Slice { staged, record, way } = self.stage(ready, unit, chunks, standing.judged).await?;
        self.settle(standing, tally).await?;
        let seen = way.judge.seen();
        let commit = async move {
            let committed = staged.commit().await?;
            failpoint::pass("run.commit.after");
            way.letters.confirm().await?;
            Ok(committed)
        };
        let commit = AbortOnDropHandle::new(tokio::spawn(commit.in_current_span()));
        standing.judged = seen;
        standing.underway = Some(Underway { commit, seen });
        if let Some(ready) = &mut standing.ready {
            // What the next unit is staged upon.
            ready.claim.record = Some(record);
        }
        Ok(())
    }

    async fn stage(&self, ready: &Ready, unit: Unit, chunks: Chunks, before: Seen) -> Result<Slice> {
        self.observer.event(&self.track, &Event::Planned { rows: unit.rows.or(unit.about) });
        let attempt = Attempt { id: AttemptId::fresh(), at: self.clock.now() };
        let seq = Record::next_seq(ready.claim.record.as_ref());
        let anew = match &ready.claim.record {
            Some(_) if self.refresh => Some(seq),
            record => Record::next_anew(record.as_ref()),
        };
        let unit = Unit { after: unit.after.read_anew(anew), ..unit };
        let way = Arc::new(Way {
            track: self.track.clone(),
            shape: Arc::clone(&ready.shape),
            judge: Judge::new(self.member.bad_rows, format!("`{}`", self.track.name()), before),
            letters: Letters::new(
                Arc::clone(&self.records),
                self.track.clone(),
                seq,
                attempt.clone(),
                self.refresh || self.member.sink.mode == Mode::Replace,
            ),
            observer: Arc::clone(&self.observer),
            now: attempt.at,
        });
        let rows = Rows::Stream(way.rows(&ready.claim, chunks).await?);
        let staging = Staging { track: &self.track, claim: &ready.claim, unit: &unit, attempt: &attempt };
        let stage = self.sink.stage(staging, rows);
        let staged = unless_cancelled(&self.cancel, self.grace, stage).await?;
        way.put_letters(1).await?;
        failpoint::pass("run.letters.after");
        let record = staging.record(staged.rows());
        Ok(Slice { staged, record, way })
    }

    /// Waits for the commit that is underway, and counts it.
    async fn settle(&self, standing: &mut Standing, tally: &mut Tally) -> Result<()> {
        let Some(Underway { commit, seen }) = standing.underway.take() else { return Ok(()) };
        let stopped = |error| Error::new(ErrorKind::Internal, "a commit stopped").caused_by(error);
        let record = commit.await.map_err(stopped)??.record().clone();
        tally.committed(&record, seen);
        self.observer.event(&self.track, &Event::Committed { seq: record.seq, rows: record.rows });
        if record.seq.is_multiple_of(MAINTAIN_EVERY) {
            self.maintain().await;
        }
        self.report(Some(&record), tally);
        standing.record = Some(record);
        Ok(())
    }

    /// Maintenance may fail: the rows are safe, and the next round tries again.
    async fn maintain(&self) {
        if let Err(error) = self.sink.maintain(MAINTAIN_BUDGET, self.clock.now()).await {
            self.note(&format!("maintenance did not succeed: {error}"));
        }
    }

    /// Tells the source how far its reader is, beside the run. The record is the truth: where it cannot be told, the run goes on.
    fn report(&self, record: Option<&Record>, tally: &mut Tally) {
        if let Some(position) = record.and_then(|record| record.progress.position()) {
            self.reporter.tell(position);
        }
        self.hear(tally);
    }

    /// Notes what the source could not be told.
    fn hear(&self, tally: &mut Tally) {
        let Some(error) = self.reporter.failure() else { return };
        let note = format!("the source does not hear how far it was read: {error}; {}", error.advice());
        if tally.note(&note) {
            self.note(&note);
        }
    }

    fn note(&self, text: &str) {
        self.observer.event(&self.track, &Event::Note(text.to_owned()));
    }
}
