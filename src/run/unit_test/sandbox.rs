//! A project like the tested one, whose connections are tables in memory, in a folder of its own.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use indexmap::IndexMap;
use tempfile::TempDir;

use super::super::{Runtime, member::Found};
use crate::{
    config::{
        lineage::Table,
        project::{JobInfo, MartMember, MartOutput, PipelineMember, Project, SourceKind, Sql},
        unit_test::{Given, GivenPlace, UnitTest},
    },
    connector::{
        ConnectionConfig,
        cells::from_text,
        error::{Error, ErrorKind, Result},
        memory::{self, Store, TableName},
        sink::SinkSpec,
        source::{SourceOptions, SourceSpec},
    },
    model::{
        delivery::Mode,
        name::{AttemptId, Facts, JobKind, Member},
        position::Position,
        time::day_start,
        unit::{Build, Progress, Record},
    },
};

/// The connection of the unit at hand; no connection of a project may be called so.
const SOURCE: &str = "source";
/// The connection of what other jobs write; no connection of a project may be called so.
const JOBS: &str = "mart";

/// A project in memory, and what it must not outlive.
pub(super) struct Sandbox {
    pub(super) project: Arc<Project>,
    stores: IndexMap<String, Arc<Store>>,
    _folder: TempDir,
}

impl Sandbox {
    /// Makes the project of a test and fills its tables. `Err` inside = the given rows do not spell what they should.
    pub(super) fn make(project: &Project, test: &UnitTest) -> Result<std::result::Result<Self, String>> {
        let folder = tempfile::tempdir().map_err(|error| {
            Error::new(ErrorKind::of_io(&error), "cannot make a temporary folder").caused_by(error)
        })?;
        let mut own = Project { tests: vec![], ..project.clone() };
        own.root = folder.path().to_owned();
        own.state = folder.path().join("state");
        own.connections = connections(project);
        let stores =
            own.connections.keys().map(|name| (name.clone(), Store::named(&own.root, name))).collect();
        let mut sandbox = Self { project: Arc::new(own), stores, _folder: folder };
        for given in &test.given {
            if let Err(message) = sandbox.fill(given)? {
                return Ok(Err(message));
            }
        }
        let mut own = sandbox.project.as_ref().clone();
        prepare(&mut own, project, test);
        sandbox.project = Arc::new(own);
        Ok(Ok(sandbox))
    }

    /// The tables of a connection.
    pub(super) fn store(&self, connection: &str) -> Option<&Arc<Store>> {
        self.stores.get(connection)
    }

    /// Where the tested member's rows go; `None` for a workbook.
    pub(super) fn target_of(&self, test: &UnitTest) -> Option<(String, TableName)> {
        let sink = self.sink(test)?;
        let name = self.name(&sink.connection, sink.schema.as_deref(), &sink.table);
        Some((sink.connection.clone(), name))
    }

    fn sink(&self, test: &UnitTest) -> Option<&SinkSpec> {
        match test.kind {
            JobKind::Pipeline => {
                let members = &self.project.pipelines.get(&test.job)?.members;
                Some(&members.iter().find(|member| member.member == test.member)?.sink)
            }
            JobKind::Mart => {
                let members = &self.project.marts.get(&test.job)?.members;
                match &members.iter().find(|member| member.member == test.member)?.output {
                    MartOutput::Table { sink, .. } => Some(sink),
                    MartOutput::Workbook(_) => None,
                }
            }
        }
    }

    /// A table as its store names it.
    fn name(&self, connection: &str, schema: Option<&str>, table: &str) -> TableName {
        let default = match self.project.connections.get(connection) {
            Some(ConnectionConfig::Memory(config)) => config.schema.as_deref(),
            _ => None,
        };
        TableName::new(schema.or(default), table)
    }

    fn fill(&self, given: &Given) -> Result<std::result::Result<(), String>> {
        let (connection, table) = match &given.place {
            GivenPlace::Source => (SOURCE.to_owned(), SOURCE.into()),
            GivenPlace::Table(Table { connection, schema, table }) => {
                (connection.clone(), self.name(connection, schema.as_deref(), table))
            }
            GivenPlace::Job(kind, job) => {
                (JOBS.to_owned(), TableName::from(format!("{kind}.{job}").as_str()))
            }
        };
        let batch = match from_text(&given.rows, &given.schema, self.project.zone)? {
            Ok(batch) => batch,
            Err(misfits) => {
                let first = misfits.first();
                let told = first.map(|misfit| {
                    format!("row {}, column `{}`: {}", misfit.row + 1, misfit.column, misfit.reason)
                });
                return Ok(Err(told.unwrap_or_default()));
            }
        };
        match self.store(&connection) {
            Some(store) => store.insert(table, &batch).map(Ok),
            None => Ok(Err(format!("there is no connection `{connection}`"))),
        }
    }

    /// Rows that lie in the target already are rows of the tested track.
    pub(super) async fn remember_target(&self, runtime: &Runtime, test: &UnitTest) -> Result<()> {
        let Some((connection, table)) = self.target_of(test) else { return Ok(()) };
        let holds_rows = self
            .store(&connection)
            .is_some_and(|store| store.rows(table).is_some_and(|rows| rows.num_rows() > 0));
        if !holds_rows {
            return Ok(());
        }
        let (progress, spec) = match runtime.find(&test.job, &test.member)? {
            Found::Pipeline(pipeline, member) => {
                let head = runtime.source(pipeline, member).await?.head().await?;
                (Progress::Position(Position::single(head.source, None)), &member.sink)
            }
            Found::Mart(_, MartMember { output: MartOutput::Table { sink, .. }, .. }) => {
                let build = Build { fingerprint: String::new(), inputs: std::collections::BTreeMap::new() };
                (Progress::Build(build), sink.as_ref())
            }
            Found::Mart(..) => return Ok(()),
        };
        let record = Record { seq: 1, progress, attempt: AttemptId::fresh(), at: test.now, rows: 0 };
        let track = self.project.track(&test.job, &test.member);
        runtime.sink(spec).await?.set_record(&track, None, &record).await
    }
}

/// Every connection as tables in memory, and those that only a test has.
fn connections(project: &Project) -> IndexMap<String, ConnectionConfig> {
    let of = |config: &ConnectionConfig| {
        let schema = config.schemas().of(None);
        ConnectionConfig::Memory(memory::Config { log: config.is_log(), schema })
    };
    let mut own: IndexMap<String, ConnectionConfig> =
        project.connections.iter().map(|(name, config)| (name.clone(), of(config))).collect();
    // What is given is the whole unit, in its order.
    own.insert(SOURCE.to_owned(), ConnectionConfig::Memory(memory::Config { log: true, schema: None }));
    own.insert(JOBS.to_owned(), ConnectionConfig::Memory(memory::Config::default()));
    own
}

/// Turns the tested member to what is given, and other jobs to what is given of them.
fn prepare(own: &mut Project, project: &Project, test: &UnitTest) {
    for given in &test.given {
        if let GivenPlace::Job(kind, job) = &given.place {
            let sink = given_sink(&format!("{kind}.{job}"));
            match kind {
                JobKind::Pipeline => {
                    if let Some(job) = own.pipelines.get_mut(job) {
                        one_pipeline(&mut job.members, sink, &given.schema);
                    }
                }
                JobKind::Mart => {
                    if let Some(job) = own.marts.get_mut(job) {
                        one_mart(&mut job.members, sink, &given.schema);
                    }
                }
            }
        }
    }
    if let Some(pipeline) = own.pipelines.get_mut(&test.job).filter(|_| test.kind == JobKind::Pipeline) {
        once(&mut pipeline.info);
        for member in pipeline.members.iter_mut().filter(|member| member.member == test.member) {
            member.source = given_source(&member.source, member.sink.mode, project);
        }
    }
    if let Some(mart) = own.marts.get_mut(&test.job).filter(|_| test.kind == JobKind::Mart) {
        once(&mut mart.info);
        for member in mart.members.iter_mut().filter(|member| member.member == test.member) {
            if let MartOutput::Workbook(workbook) = &mut member.output {
                let file = workbook.file.strip_prefix(&project.root).map(|file| own.root.join(file));
                // One that lies outside the project's folder must not be touched either.
                workbook.file = file.unwrap_or_else(|_| own.root.join("workbook.xlsx"));
            }
            // A test holds wherever the project begins its windows.
            if let MartOutput::Table { windows: Some(windows), .. } = &mut member.output
                && let Some(day) = test.window
            {
                windows.start = windows.start.min(windows.at(day_start(windows.zone, day)).from);
            }
        }
    }
}

/// What fails in memory fails again.
fn once(info: &mut JobInfo) {
    info.retry.attempts = 1;
}

fn given_source(source: &SourceKind, mode: Mode, project: &Project) -> SourceKind {
    let contract = match source {
        SourceKind::Table(spec) => spec.contract.clone(),
        SourceKind::Generate { .. } => None,
    };
    SourceKind::Table(SourceSpec {
        connection: SOURCE.to_owned(),
        schema: None,
        table: SOURCE.to_owned(),
        cursor: None,
        whole: mode == Mode::Replace,
        contract,
        zone: project.zone,
        options: SourceOptions::default(),
    })
}

/// What another job writes is one table, whoever its members are.
fn one_pipeline(members: &mut Vec<PipelineMember>, sink: SinkSpec, schema: &SchemaRef) {
    members.truncate(1);
    for member in members {
        (member.member, member.facts) = (Member::default(), Facts::default());
        (member.sink, member.output) = (sink.clone(), Some(Arc::clone(schema)));
    }
}

fn one_mart(members: &mut Vec<MartMember>, sink: SinkSpec, schema: &SchemaRef) {
    members.truncate(1);
    for member in members {
        (member.member, member.facts) = (Member::default(), Facts::default());
        let sql = Sql { text: String::new(), path: std::path::PathBuf::new(), native: false };
        let (sink, output) = (Box::new(sink.clone()), Some(Arc::clone(schema)));
        member.output = MartOutput::Table { sql, windows: None, checks: vec![], sink, output };
    }
}

fn given_sink(table: &str) -> SinkSpec {
    SinkSpec {
        connection: JOBS.to_owned(),
        schema: None,
        table: table.to_owned(),
        mode: Mode::Replace,
        key: vec![],
        anew: false,
        delete: None,
        on_schema_change: crate::connector::sink::OnSchemaChange::Fail,
        columns: IndexMap::new(),
        partition: vec![],
        window: None,
        checked: false,
        options: crate::connector::sink::SinkOptions::default(),
    }
}
