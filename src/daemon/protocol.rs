//! What commands and the daemon say to each other through its socket: a JSON value per line.
//!
//! The command says [`Hello`] and listens; it may hang up, which cancels what it asked for. The daemon answers with any number of
//! [`Reply::Event`] and one other reply. Both come from one program, so another [`VERSION`] is refused rather than understood.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Going, SlotView, TaskState};
use crate::{
    connector::error::Error,
    model::{
        name::{JobName, Member, Track},
        unit::Record,
    },
    run::{
        RunOptions,
        event::{Event, Outcome},
        position::Change,
    },
};

/// Of this protocol.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The command's [`VERSION`].
    pub version: u32,
    /// The profile that the command was given: the daemon serves one.
    pub profile: String,
    /// What is asked for.
    pub request: Request,
}

/// What commands ask for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// How the daemon stands.
    Status,
    /// Run members now.
    Run {
        /// Which.
        members: Vec<(JobName, Member)>,
        /// How.
        options: RunOptions,
    },
    /// Change how far a member is.
    Position {
        /// Its job.
        job: JobName,
        /// It.
        member: Member,
        /// To what.
        change: Change,
    },
    /// Forget dead letters.
    DropLetters {
        /// Keys of their tracks.
        tracks: Vec<String>,
        /// Which; `None` = all of them.
        ids: Option<Vec<i64>>,
    },
}

/// What the daemon says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Something happens in a run; told as far as the command keeps up.
    Event {
        /// On this track.
        track: Track,
        /// What.
        event: Event,
    },
    /// How it stands.
    Status(Box<Status>),
    /// How the runs ended.
    Ran(Vec<Outcome>),
    /// The member's new record.
    Position(Record),
    /// How many letters were dropped.
    Dropped(u64),
    /// It could not be done.
    Failed(Error),
}

/// How the daemon stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// Of the program.
    pub version: String,
    /// When it started.
    pub since: DateTime<Utc>,
    /// What it serves.
    pub profile: String,
    /// Whether it looks at its schedules.
    pub healthy: bool,
    /// Whether it was told to end.
    pub stopping: bool,
    /// Set while it serves an older project than the one that lies in the folder, because that has problems.
    pub stale: Option<Stale>,
    /// Its tasks by name.
    pub tasks: BTreeMap<String, TaskState>,
    /// Every member of the project.
    pub members: Vec<SlotView>,
    /// Runs that go, by the member's name.
    pub going: BTreeMap<String, Going>,
}

/// An edit that was not taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stale {
    /// When it was looked at.
    pub since: DateTime<Utc>,
    /// Why not, a line each.
    pub problems: Vec<String>,
}
