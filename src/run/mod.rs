//! A pipeline run and a mart run, told as one story each; what both need around them is [`Runtime`].

mod ask;
mod checks;
pub mod event;
mod fit;
pub mod freshness;
pub mod gate;
mod inputs;
mod judge;
pub mod ledger;
mod letters;
mod log;
mod mart;
mod member;
mod order;
pub mod outside;
mod params;
mod pipeline;
pub mod plan;
pub mod position;
pub mod preview;
mod queries;
mod reader;
pub mod rebuild;
mod refresh;
mod relations;
mod replay;
mod reporter;
mod retry;
pub mod rights;
pub mod sample;
mod scratch;
mod tally;
mod targets;
mod together;
pub mod trouble;
mod unit;
pub mod unit_test;
pub mod versions;
pub mod windows;
mod workbook;

use std::{sync::Arc, time::Duration};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{
        lineage::{Lineage, lineage},
        project::Project,
    },
    connector::{
        self, OpenContext,
        connection::Connection,
        error::{Error, ErrorKind, Result},
    },
    engine::session::{Engine, Settings},
    model::{
        name::{JobKind, JobName, Member},
        time::Clock,
    },
    state::{
        error::{StateError, StateErrorKind},
        history::History,
        records::Records,
    },
    workbook as workbook_file,
};
use event::{Observer, Outcome};
use gate::Gate;
use scratch::Scratch;

/// A project with everything opened that its runs need. Nothing is connected to before it is needed.
pub struct Runtime {
    project: Arc<Project>,
    lineage: Lineage,
    clock: Arc<dyn Clock>,
    connections: IndexMap<String, Arc<dyn Connection>>,
    engine: Arc<Engine>,
    history: Arc<History>,
    records: Arc<Records>,
    scratch: Scratch,
    gate: Arc<Gate>,
    stale: trouble::Stale,
}

/// How a run is asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RunOptions {
    /// Reads everything again and replaces the target at once.
    pub full_refresh: bool,
    /// Parameters of workbooks, by hand.
    pub with: IndexMap<String, String>,
    /// Reads dead letters again instead of the source.
    pub replay: bool,
    /// Windows of marts that are built, whatever they are; those that are due unless told.
    pub backfill: Option<windows::Backfill>,
    /// Pipelines go on when their source has more, until they are cancelled.
    pub follow: bool,
    /// Tries that failed already, in a process that died.
    #[serde(skip)]
    pub failed: u32,
    /// How long a run may go on once it is cancelled; unless told five seconds for pipelines, no time for marts.
    #[serde(skip)]
    pub grace: Option<Duration>,
}

impl Runtime {
    /// Opens a checked project.
    pub fn open(project: Arc<Project>, clock: Arc<dyn Clock>) -> Result<Arc<Self>> {
        let gate = Gate::new(project.parallel);
        Self::open_behind(gate, project, clock)
    }

    /// Opens a checked project whose runs share a gate with those of others.
    pub fn open_behind(gate: Arc<Gate>, project: Arc<Project>, clock: Arc<dyn Clock>) -> Result<Arc<Self>> {
        let scratch = Scratch::make(&project.state.join("scratch"))?;
        let mut engine = Engine::new(&Settings {
            memory: project.memory,
            spill: scratch.path().join("sql"),
            zone: project.zone,
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            push_down: true,
        })?;
        let mut connections = IndexMap::new();
        for (name, config) in &project.connections {
            let context = OpenContext {
                name: name.clone(),
                root: project.root.clone(),
                scratch: scratch.path().to_owned(),
            };
            let connection = connector::open(config, context)?;
            engine.register_connection(name, Arc::clone(&connection));
            connections.insert(name.clone(), connection);
        }
        for (schema, kind) in [("pipeline", JobKind::Pipeline), ("mart", JobKind::Mart)] {
            let relations = relations::ProjectRelations { project: Arc::clone(&project), kind };
            engine.register_relations(schema, Arc::new(relations));
        }
        Ok(Arc::new(Self {
            lineage: lineage(&project),
            history: Arc::new(History::open(&project.state).map_err(Error::from)?),
            records: Arc::new(Records::open(&project.state).map_err(Error::from)?),
            project,
            clock,
            connections,
            engine: Arc::new(engine),
            scratch,
            gate,
            stale: trouble::Stale::default(),
        }))
    }

    /// The project.
    pub fn project(&self) -> &Arc<Project> {
        &self.project
    }

    /// Who reads what whom writes.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// The clock that runs are timed by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// A folder of this process for what is made to be sent; gone with the process.
    pub fn scratch(&self) -> &std::path::Path {
        self.scratch.path()
    }

    /// The SQL engine over all connections.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What ran before.
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// Dead letters.
    pub fn records(&self) -> &Arc<Records> {
        &self.records
    }

    /// Connections by name.
    pub fn connections(&self) -> &IndexMap<String, Arc<dyn Connection>> {
        &self.connections
    }

    /// Runs members until there is nothing new, each after those that it reads from, `parallel` at once; those that
    /// follow their sources all at once, until they are cancelled.
    pub async fn run(
        self: &Arc<Self>,
        selection: &[(JobName, Member)],
        options: &RunOptions,
        observer: &Arc<dyn Observer>,
        cancel: &CancellationToken,
    ) -> Vec<Outcome> {
        order::run(self, selection, options, observer, cancel).await
    }

    fn connection(&self, name: &str) -> Result<&Arc<dyn Connection>> {
        let missing = || Error::new(ErrorKind::NotFound, format!("there is no connection `{name}`"));
        self.connections.get(name).ok_or_else(missing)
    }
}

/// Runs blocking work of the state folder beside the async tasks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StateError> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Error::from),
        Err(panic) => {
            Err(Error::new(ErrorKind::Internal, "a task of the state folder failed").caused_by(panic))
        }
    }
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        let kind = match error.kind() {
            StateErrorKind::Busy => ErrorKind::Busy,
            StateErrorKind::Denied => ErrorKind::Denied,
            StateErrorKind::Full => ErrorKind::Full,
            StateErrorKind::Corrupt => ErrorKind::Corrupt,
            StateErrorKind::Newer => ErrorKind::Unsupported,
            StateErrorKind::Io => ErrorKind::Io,
        };
        Self::new(kind, error.to_string()).hint(error.hint())
    }
}

impl From<workbook_file::Error> for Error {
    fn from(error: workbook_file::Error) -> Self {
        use workbook_file::Error as Wrong;
        let kind = match &error {
            Wrong::Spec { .. } | Wrong::CellTooLong { .. } | Wrong::Rows { .. } => ErrorKind::BadData,
            Wrong::Io { source, .. } => ErrorKind::of_io(source),
            Wrong::Corrupt { .. } => ErrorKind::Corrupt,
            Wrong::Internal(_) => ErrorKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}
