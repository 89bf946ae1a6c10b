//! A pipeline run, as one story: peek → head → (plan → claim, plan again if the record moved) → read → transform →
//! stage → commit, slice by slice, the next one being read while one is committed.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    event::{Event, Observer},
    judge::{Judge, Seen},
    letters::{self, Letters},
    member::shape,
    reader::{Chunks, Reader},
    refresh::Whole,
    replay,
    retry::Tries,
    tally::Tally,
    unit::{Shape, Way, unless_cancelled},
};
use crate::{
    config::project::{Pipeline, PipelineMember},
    connector::{
        error::{Error, ErrorKind, Result},
        sink::{Attempt, Claim, Rows, Sink},
        source::Source,
    },
    engine::{params::Params, session::Engine},
    failpoint,
    model::{
        name::{AttemptId, Track},
        position::Position,
        time::Clock,
        unit::{Record, Unit},
    },
    state::records::Records,
};

/// How long a cancelled run may take to end its slice.
const CANCEL_GRACE: Duration = Duration::from_secs(5);
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
    /// Reads everything again, as one unit.
    pub refresh: bool,
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

impl PipelineRun<'_> {
    /// Moves everything up to the head that is seen first; retries what the world fails.
    pub(super) async fn run(&self, tally: &mut Tally) -> Result<()> {
        let mut head: Option<Position> = None;
        let mut tries = Tries::new(self.pipeline.info.retry, &self.track, &self.observer, &self.cancel);
        loop {
            let units = tally.units;
            let Err(error) = self.until_head(&mut head, tally).await else { return Ok(()) };
            tries.failed(error, tally.units > units).await?;
        }
    }

    async fn until_head(&self, head: &mut Option<Position>, tally: &mut Tally) -> Result<()> {
        let mut record = self.record().await?;
        letters::reconcile(&self.records, &self.track, record.as_ref()).await?;
        let head = match head {
            Some(head) => head.clone(),
            None => head.insert(self.source.head().await?).clone(),
        };
        let mut reader = self.reader(record.as_ref(), &head);
        let mut ready: Option<Ready> = None;
        self.report(record.as_ref(), tally).await;
        while let Some((unit, chunks)) = reader.next().await? {
            if self.cancel.is_cancelled() {
                return Err(Error::new(ErrorKind::Cancelled, "cancelled between two slices"));
            }
            if ready.as_ref().is_none_or(|ready| ready.shape.source != unit.schema) {
                let fresh = self.claim(&unit, tally).await?;
                let moved = self.catch_up(&fresh, &mut record, tally).await?;
                ready = Some(fresh);
                if moved {
                    reader = self.reader(record.as_ref(), &head);
                    continue;
                }
            }
            if let Some(ready) = &mut ready {
                let written = self.write(ready, unit, chunks, tally).await?;
                ready.claim.record = Some(written.clone());
                record = Some(written);
                self.report(record.as_ref(), tally).await;
            }
        }
        Ok(())
    }

    /// The track's record; that of the pipeline's old name where it was renamed.
    async fn record(&self) -> Result<Option<Record>> {
        if let Some(record) = self.sink.peek(&self.track).await? {
            return Ok(Some(record));
        }
        let Some(was) = &self.pipeline.info.was else { return Ok(None) };
        let old = Track { job: was.clone(), ..self.track.clone() };
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
    async fn catch_up(&self, ready: &Ready, record: &mut Option<Record>, tally: &mut Tally) -> Result<bool> {
        let moved = ready.claim.record != *record;
        record.clone_from(&ready.claim.record);
        let Some(pending) = ready.claim.pending.clone() else { return Ok(moved) };
        let chunks = self.source.read(&pending).await?;
        *record = Some(self.write(ready, pending, chunks, tally).await?);
        Ok(true)
    }

    /// One unit: transformed, judged, staged, committed.
    async fn write(&self, ready: &Ready, unit: Unit, chunks: Chunks, tally: &mut Tally) -> Result<Record> {
        self.observer.event(&self.track, &Event::Planned { rows: unit.rows });
        let attempt = Attempt { id: AttemptId::fresh(), at: self.clock.now() };
        let seq = Record::next_seq(ready.claim.record.as_ref());
        let before = Seen { rows: tally.read, bad: tally.bad };
        let way = Arc::new(Way {
            track: self.track.clone(),
            shape: Arc::clone(&ready.shape),
            judge: Judge::new(self.member.bad_rows, format!("`{}`", self.track.name()), before),
            letters: Letters::new(Arc::clone(&self.records), self.track.clone(), seq, attempt.clone()),
            observer: Arc::clone(&self.observer),
            now: attempt.at,
        });
        let rows = Rows::Stream(way.rows(&ready.claim, chunks).await?);
        let stage = self.sink.stage(&self.track, &ready.claim, &unit, &attempt, rows);
        let staged = unless_cancelled(&self.cancel, CANCEL_GRACE, stage).await?;
        way.put_letters(1).await?;
        failpoint::pass("run.letters.after");
        let committed = staged.commit().await?;
        failpoint::pass("run.commit.after");
        way.letters.confirm().await?;
        let record = committed.record().clone();
        tally.committed(&record, way.judge.seen());
        self.observer.event(&self.track, &Event::Committed { seq: record.seq, rows: record.rows });
        if record.seq.is_multiple_of(MAINTAIN_EVERY) {
            self.maintain().await;
        }
        Ok(record)
    }

    /// Maintenance may fail: the rows are safe, and the next round tries again.
    async fn maintain(&self) {
        if let Err(error) = self.sink.maintain(MAINTAIN_BUDGET).await {
            self.note(&format!("maintenance did not succeed: {error}"));
        }
    }

    /// Tells the source how far its reader is. The record is the truth: where it cannot be told, the run goes on.
    async fn report(&self, record: Option<&Record>, tally: &mut Tally) {
        let Some(position) = record.and_then(|record| record.progress.position()) else { return };
        if let Err(error) = self.source.committed(&self.track, position).await {
            let note = format!("the source does not hear how far it was read: {error}; {}", error.advice());
            if tally.note(&note) {
                self.note(&note);
            }
        }
    }

    fn note(&self, text: &str) {
        self.observer.event(&self.track, &Event::Note(text.to_owned()));
    }
}
