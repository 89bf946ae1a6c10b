//! A workbook's run, as one story: each sheet's query → rows → the sheet; then the file takes the old one's place, with its record inside.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use chrono::{DateTime, Utc};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    event::{Event, Observer},
    judge::Seen,
    mart::fingerprint,
    retry::Tries,
    tally::Tally,
    unit::unless_cancelled,
};
use crate::{
    config::project::{JobInfo, Language, Project, Sheet, Workbook},
    connector::error::{Error, ErrorKind, Result},
    engine::{params::Params, session::Engine},
    model::{
        name::{AttemptId, Track},
        time::{Clock, Period},
        unit::{Build, Progress, Record},
    },
    workbook::{self, Book, BookMeta, Labels, Written},
};

/// Batches on their way to the writing thread.
const BATCHES_AHEAD: usize = 2;

/// One writing of one workbook.
pub(super) struct WorkbookRun<'a> {
    pub info: &'a JobInfo,
    pub workbook: &'a Workbook,
    pub track: Track,
    pub engine: &'a Engine,
    pub params: Params,
    pub period: Option<Period>,
    /// Sequence numbers of the tracks that it reads, by track key.
    pub inputs: BTreeMap<String, u64>,
    pub project: &'a Project,
    pub scratch: &'a Path,
    /// How long it may go on once it is cancelled.
    pub grace: Duration,
    /// Tries that failed in a process that died.
    pub failed: u32,
    pub clock: Arc<dyn Clock>,
    pub observer: Arc<dyn Observer>,
    pub cancel: CancellationToken,
}

/// What the writing thread is told.
enum Step {
    Sheet(Box<Sheet>, SchemaRef),
    Rows(RecordBatch),
    /// Nothing was left out: the file may take its place.
    Finish,
}

impl WorkbookRun<'_> {
    /// Writes the file anew; retries what the world fails.
    pub(super) async fn run(&self, tally: &mut Tally) -> Result<()> {
        let mut tries = Tries::new(self.info.retry, self.failed, &self.track, &self.observer, &self.cancel);
        loop {
            let units = tally.units;
            let Err(error) = self.write(tally).await else { return Ok(()) };
            tries.failed(error, tally.units > units).await?;
        }
    }

    async fn write(&self, tally: &mut Tally) -> Result<()> {
        self.observer.event(&self.track, &Event::Planned { rows: None });
        let record = self.next_record()?;
        let meta = self.meta(record.at);
        let (steps, inbox) = mpsc::channel(BATCHES_AHEAD);
        let file = self.workbook.file.clone();
        let at = record.at;
        let writer = tokio::task::spawn_blocking(move || write_book(&file, meta, record, inbox));
        let sent = unless_cancelled(&self.cancel, self.grace, self.send(&steps, at)).await;
        drop(steps);
        let written = match writer.await {
            Ok(written) => written?,
            Err(panic) => {
                return Err(Error::new(ErrorKind::Internal, "writing a workbook failed").caused_by(panic));
            }
        };
        sent.map_err(|error| match error.kind {
            ErrorKind::Cancelled => Error::new(error.kind, "cancelled; the old workbook stays as it was"),
            _ => error,
        })?;
        let Some((written, record)) = written else {
            return Err(Error::new(ErrorKind::Internal, "a workbook was left before its end"));
        };
        self.tell(&written, &record, tally);
        Ok(())
    }

    /// Every sheet's rows, in order. Ends early where the writing thread has failed: its own error says why.
    async fn send(&self, steps: &mpsc::Sender<Step>, now: DateTime<Utc>) -> Result<()> {
        for sheet in &self.workbook.sheets {
            let named = |error: Error| Error {
                message: format!("sheet \"{}\": {}", sheet.name, error.message),
                ..error
            };
            let mut rows = self.engine.query(&sheet.sql.text, &self.params, now).await.map_err(named)?;
            if steps.send(Step::Sheet(Box::new(sheet.clone()), rows.schema())).await.is_err() {
                return Ok(());
            }
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(Error::from).map_err(named)?;
                let rows = batch.num_rows() as u64;
                if steps.send(Step::Rows(batch)).await.is_err() {
                    return Ok(());
                }
                self.observer.event(&self.track, &Event::Read { rows, bad: 0 });
            }
        }
        let _ = steps.send(Step::Finish).await;
        Ok(())
    }

    fn next_record(&self) -> Result<Record> {
        let old = record(&self.workbook.file)?;
        let sheets: Vec<&str> = self.workbook.sheets.iter().map(|sheet| sheet.sql.text.as_str()).collect();
        Ok(Record {
            seq: Record::next_seq(old.as_ref()),
            progress: Progress::Build(Build {
                fingerprint: fingerprint(&sheets.join("\n;\n"), &self.params),
                inputs: self.inputs.clone(),
            }),
            attempt: AttemptId::fresh(),
            at: self.clock.now(),
            rows: 0,
        })
    }

    fn meta(&self, generated_at: DateTime<Utc>) -> BookMeta {
        BookMeta {
            title: self.info.description.clone().unwrap_or_else(|| self.track.name()),
            labels: match self.project.language {
                Language::Ru => Labels::RUSSIAN,
                Language::En => Labels::ENGLISH,
            },
            generated_at,
            zone: self.project.zone,
            period: self.period,
            scratch: self.scratch.to_owned(),
        }
    }

    fn tell(&self, written: &Written, record: &Record, tally: &mut Tally) {
        for note in &written.notes {
            if tally.note(note) {
                self.observer.event(&self.track, &Event::Note(note.clone()));
            }
        }
        tally.committed(record, Seen { rows: record.rows, bad: 0 });
        self.observer.event(&self.track, &Event::Committed { seq: record.seq, rows: record.rows });
    }
}

/// The record inside a workbook; `None` = there is no such file, or somebody else made it.
pub(super) fn record(file: &Path) -> Result<Option<Record>> {
    let Some(text) = workbook::read_record(file)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        let message = format!("the record inside workbook {} cannot be read", file.display());
        Error::new(ErrorKind::Corrupt, message).caused_by(error)
    })
}

/// On a thread of its own: takes steps until `Finish`, and counts rows into the record that the file carries; `None` = the sender left before, and the old file stays.
fn write_book(
    file: &Path,
    meta: BookMeta,
    mut record: Record,
    mut inbox: mpsc::Receiver<Step>,
) -> workbook::Result<Option<(Written, Record)>> {
    let mut book = Book::create(file, meta)?;
    while let Some(step) = inbox.blocking_recv() {
        match step {
            Step::Sheet(sheet, schema) => book.sheet(&sheet.name, &schema, &sheet.columns, &sheet.charts)?,
            Step::Rows(batch) => {
                book.write(&batch)?;
                record.rows += batch.num_rows() as u64;
            }
            Step::Finish => {
                let text = serde_json::to_string(&record)
                    .map_err(|error| workbook::Error::Internal(error.to_string()))?;
                return Ok(Some((book.finish(&text)?, record)));
            }
        }
    }
    Ok(None)
}
