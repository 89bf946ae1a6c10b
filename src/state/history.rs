//! `history.db`: which runs there were, copies of what sinks remember of marts (`builds.rs`), where schedules stand ([`standing`](super::standing)), and who
//! was told of what ([`notices`](super::notices)). May be deleted at any time.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::{
    builds::forget_checks,
    database::{Database, Format, instant_text, parse_instant},
    error::Result,
    lock, notices, process, standing,
};
use crate::model::name::{JobName, Track};

/// The runs of a project, newest first.
pub struct History {
    folder: PathBuf,
    pub(super) database: Database,
}

/// One run of one track, as history tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Rises with time.
    pub id: String,
    /// What ran.
    pub job: JobName,
    /// Its member; empty where the job has no matrix.
    pub member: String,
    /// Where it stands.
    pub state: RunStatus,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub finished: Option<DateTime<Utc>>,
    /// What it did.
    #[serde(flatten)]
    pub counts: RunCounts,
    /// Why it failed, or by what it was blocked.
    pub error: Option<String>,
    /// Where its rows lie, for people.
    pub target: String,
}

impl Run {
    /// The name that users write: `actions_to_stream/mrf1`.
    pub fn name(&self) -> String {
        if self.member.is_empty() { self.job.to_string() } else { format!("{}/{}", self.job, self.member) }
    }
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RunCounts {
    /// Commits.
    pub units: u64,
    /// Rows read from the source, bad ones included.
    pub read: u64,
    /// Rows written.
    pub written: u64,
    /// Bad rows: dead letters, or skipped.
    pub bad: u64,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It goes.
    Running,
    /// It wrote all that there was.
    Done,
    /// It stopped; what was committed stays.
    Failed,
    /// It was asked to stop.
    Cancelled,
    /// Not started, because something it reads from failed.
    Blocked,
    /// Its process died; what was committed stays, and the next run goes on from there.
    Interrupted,
}

impl RunStatus {
    const ALL: [Self; 6] =
        [Self::Running, Self::Done, Self::Failed, Self::Cancelled, Self::Blocked, Self::Interrupted];

    /// As it is written and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Blocked => "blocked",
            Self::Interrupted => "interrupted",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Anything but running.
    pub state: RunStatus,
    /// When.
    pub finished: DateTime<Utc>,
    /// What it did.
    pub counts: RunCounts,
    /// Why it failed, or by what it was blocked.
    pub error: Option<String>,
    /// Where its rows lie, for people.
    pub target: String,
}

/// Which runs are asked for.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Names as users write them (`actions_to_stream/mrf1`); `None` = every run.
    pub names: Option<Vec<String>>,
}

const FORMAT: Format = Format {
    file: "history.db",
    migrations: &[
        "CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        job TEXT NOT NULL,
        member TEXT NOT NULL,
        name TEXT NOT NULL,
        process TEXT NOT NULL,
        state TEXT NOT NULL,
        started TEXT NOT NULL,
        finished TEXT,
        units INTEGER NOT NULL DEFAULT 0,
        read INTEGER NOT NULL DEFAULT 0,
        written INTEGER NOT NULL DEFAULT 0,
        bad INTEGER NOT NULL DEFAULT 0,
        error TEXT,
        target TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID;
    CREATE INDEX runs_by_name ON runs (name, id);",
        super::builds::TABLES,
        standing::MIGRATION,
        notices::MIGRATION,
        super::builds::BACKFILL_QUERIES,
    ],
    synchronous: "NORMAL",
};

/// Runs that are kept; older ones are forgotten as new ones begin.
const KEPT_RUNS: u32 = 100_000;

const COLUMNS: &str =
    "id, job, member, process, state, started, finished, units, read, written, bad, error, target";

impl History {
    /// Opens the history in the state folder; makes it where it is missing.
    pub fn open(folder: &Path) -> Result<Self> {
        Ok(Self { folder: folder.to_owned(), database: Database::open(folder, &FORMAT)? })
    }

    /// A run begins; gives its id.
    pub fn begin(&self, track: &Track, now: DateTime<Utc>) -> Result<String> {
        let id = uuid::Uuid::now_v7().simple().to_string();
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "INSERT INTO runs (id, job, member, name, process, state, started)
                 VALUES (?1, ?2, ?3, ?4, ?5, 'running', ?6)",
                params![
                    id,
                    track.job.as_str(),
                    track.member,
                    track.name(),
                    process::token(),
                    instant_text(now)
                ],
            )?;
            transaction.execute(
                "DELETE FROM runs WHERE id < (SELECT id FROM runs ORDER BY id DESC LIMIT 1 OFFSET ?1)",
                [KEPT_RUNS - 1],
            )?;
            forget_checks(&transaction, track)?;
            transaction.commit()
        })?;
        Ok(id)
    }

    /// A run ended.
    pub fn finish(&self, id: &str, ending: &Ending) -> Result<()> {
        let counts = ending.counts;
        self.database.with(|connection| {
            connection.execute(
                "UPDATE runs SET state = ?2, finished = ?3, units = ?4, read = ?5, written = ?6, bad = ?7,
                                 error = ?8, target = ?9
                 WHERE id = ?1",
                params![
                    id,
                    ending.state.as_str(),
                    instant_text(ending.finished),
                    counts.units as i64,
                    counts.read as i64,
                    counts.written as i64,
                    counts.bad as i64,
                    ending.error,
                    ending.target,
                ],
            )?;
            Ok(())
        })
    }

    /// The newest runs first, at most `limit`.
    pub fn list(&self, filter: &RunFilter, limit: u32) -> Result<Vec<Run>> {
        let names = filter.names.as_ref().map(|names| serde_json::json!(names).to_string());
        let found = self.database.with(|connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM runs
                 WHERE ?1 IS NULL OR name IN (SELECT value FROM json_each(?1))
                 ORDER BY id DESC LIMIT ?2"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_map(params![names, limit], stored)?.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let living = lock::living(&self.folder);
        found.into_iter().map(|row| self.told(row, &living)).collect()
    }

    /// The newest run of a track.
    pub fn last(&self, track: &Track) -> Result<Option<Run>> {
        let filter = RunFilter { names: Some(vec![track.name()]) };
        Ok(self.list(&filter, 1)?.pop())
    }

    /// One run, by its id or the beginning of it, where that is enough.
    pub fn get(&self, id: &str) -> Result<Option<Run>> {
        let row = self.database.with(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM runs WHERE substr(id, 1, length(?1)) = ?1 LIMIT 1");
            connection.prepare_cached(&sql)?.query_row([id], stored).optional()
        })?;
        row.map(|row| self.told(row, &lock::living(&self.folder))).transpose()
    }

    /// A run that its process can no longer end is shown as interrupted.
    fn told(&self, row: StoredRun, living: &[String]) -> Result<Run> {
        let unreadable = |what: &str| self.database.corrupt(format!("{what} of run {}", row.run.id));
        let state = RunStatus::parse(&row.state).ok_or_else(|| unreadable("state"))?;
        let dead = state == RunStatus::Running && !living.contains(&row.process);
        let started = parse_instant(&row.started).ok_or_else(|| unreadable("start"))?;
        let finished = match &row.finished {
            Some(text) => Some(parse_instant(text).ok_or_else(|| unreadable("end"))?),
            None => None,
        };
        Ok(Run { state: if dead { RunStatus::Interrupted } else { state }, started, finished, ..row.run })
    }
}

/// A row as it lies in the file: `run` with what is text there beside it.
struct StoredRun {
    run: Run,
    process: String,
    state: String,
    started: String,
    finished: Option<String>,
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredRun> {
    let count = |name: &str| row.get::<_, i64>(name).map(|count| count as u64);
    let run = Run {
        id: row.get("id")?,
        job: JobName::new(row.get::<_, String>("job")?),
        member: row.get("member")?,
        state: RunStatus::Running,
        started: DateTime::UNIX_EPOCH,
        finished: None,
        counts: RunCounts {
            units: count("units")?,
            read: count("read")?,
            written: count("written")?,
            bad: count("bad")?,
        },
        error: row.get("error")?,
        target: row.get("target")?,
    };
    Ok(StoredRun {
        run,
        process: row.get("process")?,
        state: row.get("state")?,
        started: row.get("started")?,
        finished: row.get("finished")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::Member;

    fn track(job: &str, member: &str) -> Track {
        let member = Member::new(vec![("region".to_owned(), member.to_owned())]);
        Track::new("витрина", &JobName::new(job), &member)
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    fn done(second: i64) -> Ending {
        Ending {
            state: RunStatus::Done,
            finished: at(second),
            counts: RunCounts { units: 2, read: 11, written: 10, bad: 1 },
            error: None,
            target: "delta table warehouse.действия".to_owned(),
        }
    }

    #[test]
    fn runs_come_back_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path()).unwrap();
        let first = history.begin(&track("finance/Доход", "mrf1"), at(0)).unwrap();
        history.finish(&first, &done(5)).unwrap();
        let second = history.begin(&track("stream", "mrf1"), at(6)).unwrap();
        drop(history);

        let history = History::open(folder.path()).unwrap();
        let all = history.list(&RunFilter::default(), 10).unwrap();
        assert_eq!(all.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), [&second, &first]);
        let run = history.last(&track("finance/Доход", "mrf1")).unwrap().unwrap();
        assert_eq!(run.name(), "finance/Доход/mrf1");
        assert_eq!((run.state, run.finished, run.counts.written), (RunStatus::Done, Some(at(5)), 10));
        assert_eq!(history.list(&RunFilter::default(), 1).unwrap().len(), 1);
        assert_eq!(history.last(&track("stream", "mrf2")).unwrap(), None);
        assert_eq!(history.get(&first[..20]).unwrap().map(|run| run.id), Some(first));
    }

    #[test]
    fn a_run_of_a_dead_process_is_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path()).unwrap();
        let ours = history.begin(&track("a", "x"), at(0)).unwrap();
        let theirs = history.begin(&track("b", "x"), at(1)).unwrap();
        let steal = "UPDATE runs SET process = ?2 WHERE id = ?1";
        // The same process id as ours, but another process: ids come again.
        let other = format!("{}-0", std::process::id());
        history.database.with(|c| c.execute(steal, params![theirs, other])).unwrap();
        assert_eq!(history.get(&ours).unwrap().unwrap().state, RunStatus::Running);
        assert_eq!(history.get(&theirs).unwrap().unwrap().state, RunStatus::Interrupted);
    }

    /// What each older format knew is known; what it had no place for is empty.
    #[test]
    fn every_older_format_is_brought_up() {
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
        for format in 1..FORMAT.migrations.len() {
            let folder = tempfile::tempdir().unwrap();
            let old = rusqlite::Connection::open(folder.path().join("history.db")).unwrap();
            let file = format!("{fixtures}/history-{format}.sql");
            let text = std::fs::read_to_string(&file);
            old.execute_batch(&text.unwrap_or_else(|error| panic!("{file}: {error}"))).unwrap();
            drop(old);
            let history = History::open(folder.path()).unwrap();
            let runs = history.list(&RunFilter::default(), 10).unwrap();
            assert_eq!(runs.iter().map(Run::name).collect::<Vec<_>>(), ["actions_to_stream/mrf2", "revenue"]);
            let builds = history.builds("revenue").unwrap();
            let known: Vec<_> = builds.iter().map(|(window, record)| (window.as_str(), record.seq)).collect();
            assert_eq!(known, if format > 1 { vec![("2026-01-01", 2)] } else { vec![] });
            assert_eq!(history.checks("revenue", false, 10).unwrap().len(), usize::from(format > 1));
            let standings = history.standings().unwrap();
            assert_eq!(
                standings.iter().map(|s| s.owed).collect::<Vec<_>>(),
                vec![1; usize::from(format > 2)]
            );
            assert_eq!(history.told_of("ops").unwrap(), vec![]);
            let failing = history.failing(&["actions_to_stream/mrf2".to_owned()], at(0)).unwrap();
            assert_eq!(failing.len(), 1, "format {format}");
        }
    }

    #[test]
    fn deleting_the_file_loses_history_only() {
        let folder = tempfile::tempdir().unwrap();
        History::open(folder.path()).unwrap().begin(&track("a", "x"), at(0)).unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
        let history = History::open(folder.path()).unwrap();
        assert_eq!(history.list(&RunFilter::default(), 10).unwrap(), vec![]);
    }
}
