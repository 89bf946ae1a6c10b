//! Names: of jobs (pipelines and marts), of matrix members, of tracks and attempts.

use std::{fmt, sync::Arc};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Name of a pipeline or mart: its file's path under its folder, without the suffix,
/// parts joined with `/` (`finance/revenue`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobName(Arc<str>);

impl JobName {
    /// Takes the name as it is; the file layer has checked its characters.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(Arc::from(name.as_ref()))
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// One source, optional SQL, one sink.
    Pipeline,
    /// A named query, materialized into a table, or a workbook of sheets.
    Mart,
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pipeline => "pipeline",
            Self::Mart => "mart",
        })
    }
}

/// One value per matrix of a job, in the job's order; empty where the job has no matrix.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Member(Vec<(String, String)>);

impl Member {
    /// `(matrix, value)` pairs in the job's order.
    pub fn new(values: Vec<(String, String)>) -> Self {
        Self(values)
    }

    /// Whether the job has no matrix.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values joined with `/`: `mrf1`; empty where the job has no matrix.
    pub fn key(&self) -> String {
        self.0.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("/")
    }

    /// The value of one matrix.
    pub fn get(&self, matrix: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == matrix).map(|(_, value)| value.as_str())
    }

    /// `(matrix, value)` pairs in the job's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether both agree on every matrix that they share: how members of two jobs find each other.
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.iter().all(|(matrix, value)| other.get(matrix).is_none_or(|theirs| theirs == value))
    }
}

/// What moves on by itself and is remembered in the sink: a member of a pipeline or mart, or one window of a mart.
/// Its key begins with the project's name, so two projects may share a database.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Track {
    /// The project's name.
    pub project: String,
    /// The pipeline or mart.
    pub job: JobName,
    /// The member's key; empty where the job has no matrix.
    pub member: String,
    /// The window's key, of a mart that is built window by window.
    pub window: Option<String>,
}

impl Track {
    /// A track of one member.
    pub fn new(project: &str, job: &JobName, member: &Member) -> Self {
        Self { project: project.to_owned(), job: job.clone(), member: member.key(), window: None }
    }

    /// The track of one window of this member.
    #[must_use]
    pub fn of_window(&self, key: &str) -> Self {
        Self { window: Some(key.to_owned()), ..self.clone() }
    }

    /// The track of the member, whichever of its windows this is.
    #[must_use]
    pub fn of_member(&self) -> Self {
        Self { window: None, ..self.clone() }
    }

    /// What the keys of all windows of this member begin with.
    pub fn windows_prefix(&self) -> String {
        format!("{}{WINDOW}", self.of_member().key())
    }

    /// The key under which sinks keep its record: `vitrina:actions_to_stream/mrf1`, `vitrina:views@2026-01-31`.
    pub fn key(&self) -> String {
        format!("{}:{}", self.project, self.name())
    }

    /// The name that users write: `actions_to_stream/mrf1`.
    pub fn name(&self) -> String {
        let window = self.window.as_ref().map_or(String::new(), |window| format!("{WINDOW}{window}"));
        if self.member.is_empty() {
            format!("{}{window}", self.job)
        } else {
            format!("{}/{}{window}", self.job, self.member)
        }
    }
}

/// Stands between a member and a window of it.
const WINDOW: char = '@';

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key())
    }
}

/// One try at writing one unit. A record names the attempt that made it, and dead letters count
/// only if the record of their sequence number names theirs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(String);

impl AttemptId {
    /// A new id, never given before, rising with time.
    pub fn fresh() -> Self {
        Self(uuid::Uuid::now_v7().simple().to_string())
    }

    /// An id read back from a record.
    pub fn parse(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// 32 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a member knows of itself: matrix values and their facts, by the names that users write
/// (`region`, `region.title`), in order.
pub type Facts = IndexMap<String, String>;
