//! A report from its request to the parts of its answer.
//!
//! rules → parameters → rows (cached, or one execution that every part shares, and everyone who asked before it began; one more where a text
//! compares) → parts, in order; what is stale is said first, what the rows are of last. Dropping the work stops the query in its database. A report's time runs while it is worked on, and not
//! while it waits for one of the few that run at once, or for another that reads the same rows.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    access::{self, Reader},
    allowance::Allowance,
    answer::{self, DRAWN_BYTES, Drawn, Found},
    cache::{CACHE_BYTES, Cache, Place, Weighs, key},
    excel::ExcelMeta,
    file::{self, FileJob, Limits, Made, Writing},
    options::LISTS_BYTES,
    params::{self, Asked},
    rows::Rows,
};
use crate::{
    bot::{
        event::{DrillTo, With},
        lists::List,
        screen::Block,
        words::Words,
    },
    config::{
        bot::{AskKind, FileKind, Report, Show},
        project::Language,
    },
    connector::error::{Error, ErrorKind},
    engine::{
        row_rules::{Guarded, RowRules},
        session::tables_read,
        typing::{TableName, native_tables},
    },
    run::{Runtime, versions::Versions},
};

/// Queries of reports at once.
const AT_ONCE: usize = 8;
/// How long a report may wait for others, all in all.
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs reports of a project.
pub struct Reports {
    runtime: Arc<Runtime>,
    cache: Cache<Rows>,
    /// Of rows that may be others a moment later: the places of queries that have not begun.
    waiting: Cache<Rows>,
    lists: Cache<List>,
    drawn: Cache<Drawn>,
    slots: Semaphore,
    limits: Limits,
}

/// Who asks for what.
#[derive(Debug, Clone)]
pub struct Request {
    /// The report.
    pub report: String,
    /// Answers to its questions; defaults stand for the rest.
    pub with: With,
    /// As whom.
    pub reader: Reader,
    /// In which language.
    pub language: Language,
    /// Whose days are today and yesterday.
    pub zone: Tz,
    /// Whether it is read on a phone: tables that do not fit one become pictures.
    pub pictures: bool,
}

/// What is shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// In order, without a header.
    pub blocks: Vec<Block>,
    /// Where rows lead to, a button each.
    pub drills: Vec<DrillTo>,
    /// All rows of the query.
    pub rows: u64,
    /// Whether the rows were there already.
    pub cached: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// There is no such report.
    Unknown,
    /// The reader's roles do not reach that far, and why: for the log of admins; readers are told that they may not.
    Refused(String),
    /// A parameter will not do.
    Wrong(params::Wrong),
    /// It took longer than it may.
    TimedOut,
    /// It was cancelled.
    Cancelled,
    /// It failed.
    Failed(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// One report that is being answered.
pub(super) struct Work<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) report: &'a Report,
    pub(super) rules: RowRules,
    pub(super) asked: Asked,
    pub(super) words: Words,
    pub(super) zone: Tz,
    pub(super) now: DateTime<Utc>,
    pub(super) versions: Versions,
    pub(super) limits: Limits,
    pub(super) pictures: bool,
    pub(super) drawn: &'a Cache<Drawn>,
    allowance: Allowance,
}

impl Reports {
    /// Of a project that is open.
    pub fn new(runtime: Arc<Runtime>) -> Self {
        Self {
            runtime,
            cache: Cache::new(CACHE_BYTES),
            waiting: Cache::new(CACHE_BYTES),
            lists: Cache::new(LISTS_BYTES),
            drawn: Cache::new(DRAWN_BYTES),
            slots: Semaphore::new(AT_ONCE),
            limits: Limits::default(),
        }
    }

    /// The project that they are of.
    pub(super) fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// How large files may be.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// What the bot says in a language.
    pub fn words(&self, language: Language) -> Words {
        let bot = self.runtime.project().bot.as_ref();
        bot.map_or_else(|| Words::plain(language), |bot| Words::new(&bot.texts, language))
    }

    /// Lists that were read.
    pub(super) fn lists(&self) -> &Cache<List> {
        &self.lists
    }

    /// Runs one. Its queries end when it is cancelled, when its time is over, and when the future is dropped.
    pub async fn run(&self, request: &Request, cancel: &CancellationToken) -> Result<Answer, Failure> {
        let project = Arc::clone(self.runtime.project());
        let bot = project.bot.as_ref().ok_or(Failure::Unknown)?;
        let report = bot.reports.get(&request.report).ok_or(Failure::Unknown)?;
        let refused = || Failure::Refused(format!("no role of the reader may run `{}`", report.name));
        let rules = access::rules(bot, &report.roles, &request.reader).ok_or_else(refused)?;
        if report.sql.native && !rules.sees_everything() {
            let message = format!("`{}` is native, and the reader sees some rows only", report.name);
            return Err(Failure::Refused(message));
        }
        let now = self.runtime.clock().now();
        let today = now.with_timezone(&request.zone).date_naive();
        let asked =
            params::bind(report, &request.with, &request.reader.attributes, today).map_err(Failure::Wrong)?;
        let answer = async {
            let allowance = Allowance::new(report.timeout);
            let versions = async { Ok(self.runtime.versions(&tables(report)).await) };
            let work = Work {
                runtime: &self.runtime,
                report,
                rules,
                asked,
                words: Words::new(&bot.texts, request.language),
                zone: request.zone,
                now,
                versions: allowance.spend(versions).await?,
                limits: self.limits,
                pictures: request.pictures,
                drawn: &self.drawn,
                allowance,
            };
            self.answer(&work).await
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Failure::Cancelled),
            done = tokio::time::timeout(PATIENCE + report.timeout, answer) => {
                done.unwrap_or(Err(Failure::TimedOut))
            }
        }
    }

    async fn answer(&self, work: &Work<'_>) -> Result<Answer, Failure> {
        let (found, cached) = self.found(work).await?;
        let mut answer = work.allowance.spend(answer::answer(work, &found)).await?;
        answer.cached = cached;
        Ok(answer)
    }

    /// The rows, those before, and the files.
    async fn found(&self, work: &Work<'_>) -> Result<(Found, bool), Failure> {
        let kinds = work.file_kinds();
        let (rows, mut files, cached) = self.rows(work, &work.asked, &kinds).await?;
        if files.is_empty() && !kinds.is_empty() {
            files = work.allowance.spend(work.files_of(&rows, &kinds)).await?;
        }
        let today = work.now.with_timezone(&work.zone).date_naive();
        let compared = work.period().filter(|_| work.compares());
        let earlier = compared.and_then(|name| params::previous(&work.asked, name, today));
        let before = match &earlier {
            Some(earlier) => Some(self.rows(work, earlier, &[]).await?.0),
            None => None,
        };
        let files = kinds.into_iter().zip(files).collect();
        Ok((Found { rows, before, files }, cached))
    }

    /// The rows of one execution: from the cache where they are there and whole, or of a query that had not begun when they were asked for.
    async fn rows(
        &self,
        work: &Work<'_>,
        asked: &Asked,
        kinds: &[FileKind],
    ) -> Result<(Arc<Rows>, Vec<Made>, bool), Failure> {
        let key = work.key(asked);
        let place = match work.good_for() {
            GoodFor::Versions => self.cache.place(key),
            GoodFor::TheMoment => self.waiting.place(key),
            GoodFor::Nobody => Place::default(),
        };
        let mut ran = None;
        let rows = place
            .get_or_try_init(async || {
                let begun = || self.waiting.close(key, &place);
                let (rows, files) = self.executed(work, asked, kinds, begun).await?;
                ran = Some(files);
                Ok::<_, Failure>(Arc::new(rows))
            })
            .await?;
        let rows = Arc::clone(rows);
        self.cache.trim();
        self.waiting.trim();
        match ran {
            Some(files) => Ok((rows, files, false)),
            // A file needs rows that were not kept.
            None if !rows.complete && !kinds.is_empty() => {
                let (rows, files) = self.executed(work, asked, kinds, || ()).await?;
                Ok((Arc::new(rows), files, false))
            }
            None => Ok((rows, vec![], true)),
        }
    }

    /// Runs a query in its turn. Only whoever runs one takes a turn, and the time that it may take begins then.
    async fn executed(
        &self,
        work: &Work<'_>,
        asked: &Asked,
        kinds: &[FileKind],
        begun: impl FnOnce(),
    ) -> Result<(Rows, Vec<Made>), Failure> {
        let _turn = self.slots.acquire().await;
        begun();
        work.allowance.spend(work.execute(asked, kinds)).await
    }
}

/// Whom the rows of one execution are good for.
enum GoodFor {
    /// Everyone, as long as the tracks stand still that they come from.
    Versions,
    /// Whoever asked before it began.
    TheMoment,
    /// The one who asked: a moment later the same question has another answer.
    Nobody,
}

impl Weighs for Rows {
    fn weighs(&self) -> usize {
        self.size()
    }
}

/// Whether a query may give something else a moment later, whatever the tables have.
pub(super) fn moves(sql: &str) -> bool {
    let sql = sql.to_lowercase();
    ["now", "current_", "random", "uuid", "today"].iter().any(|word| sql.contains(word))
}

/// The tables of a report's query.
fn tables(report: &Report) -> Vec<TableName> {
    if report.sql.native { native_tables(&report.sql.text) } else { tables_read(&report.sql.text) }
}

impl Work<'_> {
    fn file_kinds(&self) -> Vec<FileKind> {
        let kind = |show: &Show| match show {
            Show::File(kind) => Some(*kind),
            _ => None,
        };
        let mut kinds: Vec<FileKind> = vec![];
        for kind in self.report.show.iter().filter_map(kind) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }

    fn compares(&self) -> bool {
        self.report.show.iter().any(|show| matches!(show, Show::Text { compare: Some(_), .. }))
    }

    /// The range that the answer is about: the first one that is asked for.
    pub(super) fn period(&self) -> Option<&str> {
        let range =
            |(_, ask): &(&String, &crate::config::bot::Ask)| matches!(ask.kind, AskKind::DateRange(_));
        self.report.ask.iter().find(range).map(|(name, _)| name.as_str())
    }

    fn good_for(&self) -> GoodFor {
        if moves(&self.report.sql.text) {
            GoodFor::Nobody
        } else if self.versions.complete && !self.report.sql.native {
            GoodFor::Versions
        } else {
            GoodFor::TheMoment
        }
    }

    fn key(&self, asked: &Asked) -> super::cache::Key {
        key(&[
            self.report.name.clone(),
            self.report.sql.text.clone(),
            format!("{:?}", asked.params),
            format!("{:?}", self.rules),
            format!("{:?}", self.versions.tracks),
            self.zone.name().to_owned(),
        ])
    }

    async fn stream(&self, asked: &Asked) -> Result<SendableRecordBatchStream, Failure> {
        let engine = self.runtime.engine();
        if self.report.sql.native {
            return Ok(engine.native(&self.report.sql.text, &asked.params).await?);
        }
        match engine.query_under(&self.report.sql.text, &asked.params, self.now, &self.rules).await? {
            Guarded::Rows(rows) => Ok(rows),
            Guarded::Refused(refusal) => Err(Failure::Refused(refusal.to_string())),
        }
    }

    /// Runs the query. Files are begun when there are more rows than are kept; before that they can be made of these.
    async fn execute(&self, asked: &Asked, kinds: &[FileKind]) -> Result<(Rows, Vec<Made>), Failure> {
        let mut stream = self.stream(asked).await?;
        let mut rows = Rows::new(stream.schema(), self.zone);
        let mut writing: Vec<Writing> = vec![];
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(Error::from)?;
            let (whole, kept) = (rows.complete, rows.batches.len());
            rows.take(&batch).map_err(unreadable)?;
            if whole && !rows.complete && !kinds.is_empty() {
                writing = self.begin(&rows, kinds);
                feed(&writing, &rows.batches[..kept]).await;
            }
            feed(&writing, std::slice::from_ref(&batch)).await;
        }
        let mut files = vec![];
        for writing in writing {
            files.push(writing.finish().await?);
        }
        Ok((rows, files))
    }

    /// Files of rows that are all there.
    async fn files_of(&self, rows: &Rows, kinds: &[FileKind]) -> Result<Vec<Made>, Failure> {
        let writing = self.begin(rows, kinds);
        feed(&writing, &rows.batches).await;
        let mut files = vec![];
        for writing in writing {
            files.push(writing.finish().await?);
        }
        Ok(files)
    }

    fn begin(&self, rows: &Rows, kinds: &[FileKind]) -> Vec<Writing> {
        let period = self.period().and_then(|name| self.asked.periods.get(name)).copied();
        let meta = ExcelMeta::of(self.report, &self.words, self.zone, period, self.now);
        let today = self.now.with_timezone(&self.zone).date_naive();
        let folders = self.folder();
        file::sweep(&folders, self.now.into());
        let folder = folders.join(uuid::Uuid::now_v7().simple().to_string());
        let job = |kind: &FileKind| FileJob {
            kind: *kind,
            folder: folder.clone(),
            name: file::name(self.report.title.get(self.words.language()), today),
            schema: rows.schema.clone(),
            columns: rows.infos(self.report, self.words.language()),
            meta: meta.clone(),
            limits: self.limits,
        };
        kinds.iter().map(|kind| Writing::begin(job(kind))).collect()
    }

    fn folder(&self) -> PathBuf {
        self.runtime.scratch().join("reports")
    }
}

async fn feed(writing: &[Writing], batches: &[RecordBatch]) {
    for batch in batches {
        for file in writing {
            file.rows(batch).await;
        }
    }
}

/// A type that cannot be shown.
pub(super) fn unreadable(error: arrow::error::ArrowError) -> Failure {
    Failure::Failed(Error::new(ErrorKind::BadData, "the rows of the report cannot be shown").caused_by(error))
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use indexmap::IndexMap;

    use super::*;
    use crate::config::{bot::Text, project::Sql};

    /// A report that asks for nothing.
    pub(in crate::report) fn report(roles: &[String]) -> Report {
        Report {
            name: "revenue".into(),
            title: Text::one("Выручка"),
            description: None,
            roles: roles.to_vec(),
            command: None,
            aliases: vec![],
            timeout: Duration::from_secs(5),
            sql: Sql { text: "SELECT 1 AS n".into(), path: "bot.toml".into(), native: false },
            ask: IndexMap::new(),
            columns: IndexMap::new(),
            show: vec![],
            reads: vec![],
            output: None,
        }
    }
}
