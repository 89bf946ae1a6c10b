//! Lineage of columns: which columns of a project's tables and sheets are made of which. Pure over the checked project.
//!
//! Members of one job do the same with other values, so what is told is told of jobs.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::SchemaRef;
use indexmap::IndexSet;

use super::{
    relations::Relations,
    typing::{params, workbook_params},
    unit_tests::output,
};
use crate::{
    config::{
        lineage::{self, Lineage, Table},
        live::Live,
        lock::Lock,
        project::{MartOutput, PipelineMember, Project, SourceKind, Sql},
    },
    engine::params::window_types,
    engine::typing::{ColumnUse, Known, Origin, ParamTypes, TableName, column_origins, quoted},
    model::{
        column::Unlisted,
        name::{JobKind, JobName},
    },
};

/// What has columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A table that nobody here writes.
    Table(Table),
    /// What a pipeline or mart writes, over all its members.
    Job(JobKind, JobName),
    /// A sheet of a mart that is a workbook.
    Sheet(JobName, String),
}

/// A column of a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Column {
    /// Where it is.
    pub place: Place,
    /// Its name.
    pub name: String,
}

/// What one column has to do with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It is the same value.
    Same,
    /// It is a part of what the value is computed from.
    Computed,
    /// It only decides which rows there are: it filters, joins or groups.
    Rows,
}

/// All columns, and what they are made of.
#[derive(Debug, Clone, Default)]
pub struct ColumnLineage {
    /// Every column that is known.
    pub columns: BTreeSet<Column>,
    /// From one column to another, once: the closest way counts.
    pub edges: BTreeMap<(Column, Column), How>,
    /// Jobs and sheets whose columns cannot be followed: SQL that only its place knows, or tables whose columns nobody knows.
    pub unknown: BTreeSet<Place>,
}

impl std::fmt::Display for Place {
    /// As SQL names it, and `mart.NAME.SHEET`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Table(Table { connection, schema: None, table }) => {
                TableName::new([connection, table]).fmt(f)
            }
            Self::Table(Table { connection, schema: Some(schema), table }) => {
                TableName::new([connection, schema, table]).fmt(f)
            }
            Self::Job(kind, job) => TableName::new([kind.to_string().as_str(), job.as_str()]).fmt(f),
            Self::Sheet(job, sheet) => TableName::new(["mart", job.as_str(), sheet.as_str()]).fmt(f),
        }
    }
}

impl std::fmt::Display for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.place, quoted(&self.name))
    }
}

/// Follows the columns of a project. `lock` knows outside tables.
pub fn columns(project: &Project, lineage: &Lineage, lock: Option<&Lock>) -> ColumnLineage {
    let live = Live::default();
    let mut relations = Relations::new(project, lineage, IndexSet::new(), lock, &live);
    for (at, node) in lineage.nodes.iter().enumerate() {
        relations.learn(at, output(project, node));
    }
    let mut follow = Follow { project, lineage, relations: &relations, found: ColumnLineage::default() };
    for node in &lineage.nodes {
        match node.kind {
            JobKind::Pipeline => {
                let members = project.pipelines.get(&node.job).into_iter().flat_map(|job| &job.members);
                members
                    .filter(|member| member.member == node.member)
                    .for_each(|member| follow.pipeline(node, member));
            }
            JobKind::Mart => follow.mart(node),
        }
    }
    follow.found
}

struct Follow<'a> {
    project: &'a Project,
    lineage: &'a Lineage,
    relations: &'a Relations<'a>,
    found: ColumnLineage,
}

impl Follow<'_> {
    fn pipeline(&mut self, node: &lineage::Node, member: &PipelineMember) {
        let to = Place::Job(node.kind, node.job.clone());
        let (from, source) = match &member.source {
            SourceKind::Generate { spec, parents } => (vec![], Some(spec.schema(parents))),
            SourceKind::Table(spec) => {
                let table =
                    lineage::table(self.project, &spec.connection, spec.schema.as_deref(), &spec.table);
                let known = self.relations.columns(&table);
                let listed = spec.contract.as_ref().filter(|contract| contract.unlisted != Unlisted::Keep);
                (self.places(&table), listed.map_or(known, |contract| Some(contract.schema())))
            }
        };
        let Some(sql) = &member.transform else {
            let Some(source) = source else { return self.lost(to) };
            for field in source.fields() {
                let name = field.name();
                self.column(&to, name);
                self.edges(&from, name, &to, name, How::Same);
            }
            return;
        };
        let known = source.map_or(Known::Unknown, Known::Schema);
        self.query(sql, Some((&known, &from)), &params(&member.facts), to);
    }

    fn mart(&mut self, node: &lineage::Node) {
        let mart = self.project.marts.get(&node.job);
        let member = mart.and_then(|mart| mart.members.iter().find(|member| member.member == node.member));
        match member.map(|member| (&member.output, &member.facts)) {
            Some((MartOutput::Table { sql, windows, .. }, facts)) => {
                let mut params = params(facts);
                if windows.is_some() {
                    params.extend(window_types());
                }
                self.query(sql, None, &params, Place::Job(node.kind, node.job.clone()));
            }
            Some((MartOutput::Workbook(workbook), facts)) => {
                let params = workbook_params(workbook, facts);
                for sheet in &workbook.sheets {
                    self.query(&sheet.sql, None, &params, Place::Sheet(node.job.clone(), sheet.name.clone()));
                }
            }
            None => {}
        }
    }

    /// Follows the columns of a query into the place that it fills.
    fn query(&mut self, sql: &Sql, source: Option<(&Known, &[Place])>, params: &ParamTypes, to: Place) {
        let tables = |name: &_| self.relations.known(name, source.map(|(known, _)| known));
        let origins =
            if sql.native { None } else { column_origins(&sql.text, &tables, params, self.project.zone) };
        let Some(origins) = origins else { return self.lost(to) };
        let source = source.map_or(&[][..], |(_, places)| places);
        let rows: Vec<(Vec<Place>, &str)> =
            origins.rows.iter().map(|used| (self.used(used, source), used.column.as_str())).collect();
        for (name, made_of) in &origins.columns {
            self.column(&to, name);
            for (used, origin) in made_of {
                let how = match origin {
                    Origin::Same => How::Same,
                    Origin::Computed => How::Computed,
                };
                self.edges(&self.used(used, source), &used.column, &to, name, how);
            }
            for (places, column) in &rows {
                self.edges(places, column, &to, name, How::Rows);
            }
        }
    }

    /// The places of a table that SQL names.
    fn used(&self, used: &ColumnUse, source: &[Place]) -> Vec<Place> {
        let parts: Vec<&str> = used.table.parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["source"] => source.to_vec(),
            ["pipeline", job] => vec![Place::Job(JobKind::Pipeline, JobName::new(job))],
            ["mart", job] => vec![Place::Job(JobKind::Mart, JobName::new(job))],
            _ => self.relations.place(&used.table).map_or(vec![], |table| self.places(&table)),
        }
    }

    /// Who writes a table, or the table itself.
    fn places(&self, table: &Table) -> Vec<Place> {
        let writers = self.lineage.nodes.iter().filter(|node| node.writes.as_ref() == Some(table));
        let jobs: BTreeSet<Place> = writers.map(|node| Place::Job(node.kind, node.job.clone())).collect();
        if jobs.is_empty() { vec![Place::Table(table.clone())] } else { jobs.into_iter().collect() }
    }

    fn column(&mut self, place: &Place, name: &str) {
        self.found.columns.insert(Column { place: place.clone(), name: name.to_owned() });
    }

    fn edges(&mut self, from: &[Place], column: &str, to: &Place, name: &str, how: How) {
        for place in from {
            // A matrix's name is a column of a relation that no table has.
            if self.is_constant(place, column) {
                continue;
            }
            self.column(place, column);
            let from = Column { place: place.clone(), name: column.to_owned() };
            let to = Column { place: to.clone(), name: name.to_owned() };
            let known = self.found.edges.entry((from, to)).or_insert(how);
            *known = (*known).min(how);
        }
    }

    fn is_constant(&self, place: &Place, column: &str) -> bool {
        let Place::Job(kind, job) = place else { return false };
        let mut nodes =
            self.lineage.nodes.iter().filter(|node| node.kind == *kind && node.job == *job).peekable();
        let has = |schema: &SchemaRef| schema.field_with_name(column).is_ok();
        let matrix = nodes.peek().is_some_and(|node| node.member.get(column).is_some());
        matrix && nodes.all(|node| output(self.project, node).is_some_and(|schema| !has(&schema)))
    }

    fn lost(&mut self, place: Place) {
        self.found.unknown.insert(place);
    }
}
