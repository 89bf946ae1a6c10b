//! The checked project: every name resolved, every member spelled out. Code behind `config` meets nothing unchecked.

use std::{path::PathBuf, time::Duration};

use arrow::datatypes::SchemaRef;
use chrono_tz::Tz;
use indexmap::IndexMap;

pub use super::raw::check::Severity;
use super::unit_test::UnitTest;
use crate::{
    connector::{ConnectionConfig, generate::config::Generate, sink::SinkSpec, source::SourceSpec},
    model::{
        delivery::Delivery,
        name::{Facts, JobKind, JobName, Member, Track},
        secret::Secret,
        time::Span,
        trouble::TroubleKind,
        unit::SliceLimit,
        value::Value,
        window::Windows,
    },
    workbook::spec::{Chart, SheetColumn},
};

/// A folder of TOML, proved for one profile.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder, absolute.
    pub root: PathBuf,
    /// Part of every record kept in a sink.
    pub name: String,
    /// Whose days and months reports speak of.
    pub zone: Tz,
    /// Of workbooks and the bot.
    pub language: Language,
    /// `default` unless told.
    pub profile: String,
    /// Where the two state files lie, absolute.
    pub state: PathBuf,
    /// Bytes that the SQL engine may hold before it spills.
    pub memory: u64,
    /// Runs at once.
    pub parallel: usize,
    /// How long runs may go on after the daemon was told to stop.
    pub grace: Duration,
    /// Where the daemon tells how it is.
    pub listen: Option<std::net::SocketAddr>,
    /// Who is told of troubles besides the bot's admins, by name.
    pub notify: IndexMap<String, Notify>,
    /// Matrices by name: members with their facts (`title`).
    pub matrix: IndexMap<String, IndexMap<String, IndexMap<String, String>>>,
    /// Connections of this profile by full name, `{region}` spelled out.
    pub connections: IndexMap<String, ConnectionConfig>,
    /// Pipelines of this profile, in order of name.
    pub pipelines: IndexMap<JobName, Pipeline>,
    /// Marts of this profile, in order of name.
    pub marts: IndexMap<JobName, Mart>,
    /// Unit tests, file by file; empty where a profile is resolved to run it.
    pub tests: Vec<UnitTest>,
    /// `bot.toml` and `reports/`, where there is such a file.
    pub bot: Option<super::bot::Bot>,
}

/// A language of workbooks and the bot.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Language {
    Ru,
    #[default]
    En,
}

/// Somebody who is told of troubles by webhook.
#[derive(Debug, Clone)]
pub struct Notify {
    /// Of what.
    pub on: Vec<TroubleKind>,
    /// Where notices are posted.
    pub webhook: Secret,
}

/// What pipelines and marts have in common.
#[derive(Debug, Clone)]
pub struct JobInfo {
    /// Its file's path under its folder.
    pub name: JobName,
    /// Pipeline or mart.
    pub kind: JobKind,
    /// The file, relative to the project's folder.
    pub path: PathBuf,
    /// For people.
    pub description: Option<String>,
    /// For people: who answers for it.
    pub owner: Option<String>,
    /// What `tag:crm` selects.
    pub tags: Vec<String>,
    /// The name it had before: its tracks go on from there.
    pub was: Option<JobName>,
    /// When it runs by itself; `None` = by hand.
    pub schedule: Option<Schedule>,
    /// What happens when the world fails.
    pub retry: Retry,
    /// The age past which it is stale; `None` = any age will do.
    pub warn_after: Option<Span>,
    /// Matrices it fans out over, in order.
    pub matrix: Vec<String>,
}

/// When a job runs by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// What starts it.
    pub trigger: Trigger,
    /// After downtime.
    pub misfire: Misfire,
    /// While the last run still goes.
    pub concurrency: Concurrency,
}

/// What starts a scheduled run.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// At fixed distances.
    Every(Span),
    /// By a cron expression in a zone; checked.
    Cron {
        /// The expression, as written.
        expression: String,
        /// Its zone.
        zone: Tz,
    },
    /// After every job that it reads from, member by member.
    AfterInputs,
    /// After these jobs.
    After(Vec<JobName>),
    /// All the time.
    Continuous,
}

/// What to do with the runs that were missed.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Misfire {
    /// Run once for all of them.
    #[default]
    Once,
    /// Leave them out.
    Skip,
    /// Run each.
    All,
}

/// What to do when a run is due while the last one still goes.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Concurrency {
    /// Leave it out, and count it.
    #[default]
    Skip,
    /// Run it afterwards.
    Queue,
}

/// What happens when the world fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Tries of one unit, the first included.
    pub attempts: u32,
    /// Before the second try; doubled for each further one, with jitter, up to ten minutes.
    pub wait: Span,
    /// Of one run.
    pub timeout: Span,
}

impl Retry {
    /// The longest wait between two tries.
    pub const LONGEST_WAIT: Duration = Duration::from_mins(10);
}

/// One source, optional SQL, one sink; a member per matrix value.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// What it has in common with marts.
    pub info: JobInfo,
    /// At least one; exactly one where there is no matrix.
    pub members: Vec<PipelineMember>,
}

/// What moves: one member of a pipeline.
#[derive(Debug, Clone)]
pub struct PipelineMember {
    /// Its matrix values.
    pub member: Member,
    /// What `:region` and `:region.title` stand for in its SQL.
    pub facts: Facts,
    /// Where rows come from.
    pub source: SourceKind,
    /// SQL over `source`; `None` = rows as they are.
    pub transform: Option<Sql>,
    /// Where rows go.
    pub sink: SinkSpec,
    /// When a merged row is a deletion: an SQL condition over the transformed rows.
    pub delete_when: Option<Sql>,
    /// What becomes of rows that do not decode or do not fit.
    pub bad_rows: BadRows,
    /// How big a slice may be.
    pub slice: SliceLimit,
    /// The least time between two rounds of a run that follows its source.
    pub linger: Duration,
    /// What it promises.
    pub delivery: Delivery,
    /// The columns that it writes, where they can be told from the files alone: what readers of a table that
    /// is not there yet are given.
    pub output: Option<SchemaRef>,
}

/// Where a pipeline's rows come from.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one per member, and most are tables")]
pub enum SourceKind {
    /// A table of a connection.
    Table(SourceSpec),
    /// Made up.
    Generate {
        /// What to make.
        spec: Box<Generate>,
        /// Specifications of its ancestors by pipeline name.
        parents: IndexMap<String, Generate>,
    },
}

/// SQL and where it stands, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sql {
    /// The text, as the engine sees it.
    pub text: String,
    /// The file it stands in, relative to the project's folder.
    pub path: PathBuf,
    /// Whether it is sent as it stands to the one database whose tables it names.
    pub native: bool,
}

/// What becomes of bad rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BadRows {
    /// What to do with one.
    pub policy: BadRowPolicy,
    /// The share of a run's rows that may be bad, judged once 1,000 rows were seen; `None` = any.
    pub max_share: Option<f64>,
}

/// What to do with a bad row.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum BadRowPolicy {
    /// Stop before the slice is written.
    #[default]
    Stop,
    /// Put it aside, so that it can be mended and replayed.
    DeadLetter,
    /// Leave it out: counted and shown.
    Skip,
}

/// A named query, materialized.
#[derive(Debug, Clone)]
pub struct Mart {
    /// What it has in common with pipelines.
    pub info: JobInfo,
    /// At least one; exactly one where there is no matrix.
    pub members: Vec<MartMember>,
}

/// One member of a mart.
#[derive(Debug, Clone)]
pub struct MartMember {
    /// Its matrix values.
    pub member: Member,
    /// What `:region` and `:region.title` stand for in its SQL.
    pub facts: Facts,
    /// What it makes.
    pub output: MartOutput,
}

impl MartMember {
    /// How its table is cut into windows; `None` = it is built whole, or is a workbook.
    pub fn windows(&self) -> Option<&Windows> {
        match &self.output {
            MartOutput::Table { windows, .. } => windows.as_ref(),
            MartOutput::Workbook(_) => None,
        }
    }
}

/// What a mart makes.
#[derive(Debug, Clone)]
pub enum MartOutput {
    /// A table, by `replace` or `merge`, or window by window.
    Table {
        /// The query.
        sql: Sql,
        /// How it is cut into windows; `None` = it is built whole.
        windows: Option<Windows>,
        /// What must hold of its new rows.
        checks: Vec<Check>,
        /// Where its rows go.
        sink: Box<SinkSpec>,
        /// The columns that it writes, where they can be told from the files alone.
        output: Option<SchemaRef>,
    },
    /// An Excel workbook.
    Workbook(Box<Workbook>),
}

/// What must hold of a mart's new rows, before anyone sees them.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// For people; unique in its mart.
    pub name: String,
    /// What happens when it does not hold.
    pub severity: Severity,
    /// What must hold.
    pub rule: Rule,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// That so many rows were staged.
    RowCount {
        /// At least.
        min: u64,
        /// At most.
        max: u64,
    },
    /// That a query over `this` gives no row.
    NoRows {
        /// The query.
        sql: Sql,
        /// What its own parameters stand for.
        values: IndexMap<String, Value>,
    },
    /// That the newest value of a column is not older than this.
    Newest {
        /// The column: a date or an instant.
        column: String,
        /// The age.
        within: Span,
    },
}

/// An Excel workbook: sheets of queries.
#[derive(Debug, Clone)]
pub struct Workbook {
    /// The file, absolute.
    pub file: PathBuf,
    /// Named parameters with their defaults, as `[with]` says: relative periods (`period = "last_month"`) give `:period.from`, `:period.until`, `:period.last`; others are plain values.
    pub with: IndexMap<String, With>,
    /// At least one, in order.
    pub sheets: Vec<Sheet>,
}

/// A parameter's default.
#[derive(Debug, Clone, PartialEq)]
pub enum With {
    /// A relative or fixed range of days (see [`Period::parse`](crate::model::time::Period::parse)).
    Period(String),
    /// A plain value.
    Value(crate::model::value::Value),
}

/// One sheet of a workbook.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// Its tab, as people read it.
    pub name: String,
    /// The query.
    pub sql: Sql,
    /// How columns look; columns that are not named look as their type does.
    pub columns: IndexMap<String, SheetColumn>,
    /// Charts beside the rows.
    pub charts: Vec<Chart>,
}

impl Project {
    /// The track of a member.
    pub fn track(&self, job: &JobName, member: &Member) -> Track {
        Track::new(&self.name, job, member)
    }

    /// What every job has in common, pipelines first.
    pub fn jobs(&self) -> impl Iterator<Item = &JobInfo> {
        let pipelines = self.pipelines.values().map(|pipeline| &pipeline.info);
        pipelines.chain(self.marts.values().map(|mart| &mart.info))
    }
}
