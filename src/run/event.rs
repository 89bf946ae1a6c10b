//! What a run tells while it goes, and when it ends.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{connector::error::Error, model::name::Track};

/// Is told what happens in runs, by many at once: a progress bar, a log, a test.
pub trait Observer: Send + Sync {
    /// Something happened on a track. Must not block.
    fn event(&self, track: &Track, event: &Event);
}

/// What happens in a run.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The run began.
    Started,
    /// A unit was planned; `rows` = what the source says it holds, or about so many, where it can tell.
    Planned {
        /// Source rows of this unit.
        rows: Option<u64>,
    },
    /// Of a mart's windows that this run builds, so many are done.
    Windows {
        /// Built so far.
        done: u64,
        /// All that this run builds.
        total: u64,
    },
    /// Rows were read since the last such event.
    Read {
        /// Rows that decoded.
        rows: u64,
        /// Rows that did not, or that do not fit the target.
        bad: u64,
    },
    /// A unit was committed.
    Committed {
        /// Its sequence number.
        seq: u64,
        /// Rows that it wrote.
        rows: u64,
    },
    /// The world failed; the unit is tried again after `wait`.
    Retrying {
        /// What failed.
        error: String,
        /// Before the next try.
        wait: Duration,
        /// The try that failed, from 1.
        attempt: u32,
    },
    /// Something a user should know: columns left out, a sheet that went on in another, rows skipped.
    Note(String),
    /// The run ended.
    Finished,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It goes.
    Running,
    /// Everything up to the head that it saw first is written (or there was nothing new).
    Done,
    /// It stopped; what was committed stays.
    Failed,
    /// It was asked to stop.
    Cancelled,
    /// A job that it reads from failed in the same command, so it was not started.
    Blocked,
}

/// One run of one track.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Outcome {
    /// The run's id in the history.
    pub run: String,
    /// What ran.
    pub track: Track,
    /// How it ended.
    pub state: RunState,
    /// Commits.
    pub units: u64,
    /// Rows read from the source, bad ones included.
    pub read: u64,
    /// Rows written.
    pub written: u64,
    /// Bad rows: dead letters, or skipped.
    pub bad: u64,
    /// Whether a pipeline began to read its source again from the beginning, so that windows that were built from it are stale.
    #[serde(default)]
    pub anew: bool,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub finished: DateTime<Utc>,
    /// Where its rows lie, for people: `delta table warehouse.crm_bot_actions_mrf1`, a workbook's path.
    pub target: String,
    /// Why it failed.
    pub error: Option<Error>,
    /// What a user should know.
    pub notes: Vec<String>,
}
