//! What is known of tables without opening any: those that this project writes have the columns that their writers give them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use indexmap::{IndexMap, IndexSet};

use crate::{
    config::{
        lineage::{self, Lineage, Table},
        live::{Failed, Live},
        lock::{Lock, LockedTable},
        project::Project,
    },
    connector::ConnectionConfig,
    engine::typing::{Known, Runs, TableName},
    model::{
        name::{JobKind, JobName},
        problem::nearest,
    },
};

/// Columns of what members write, as far as they were judged: by their number in the lineage.
pub(crate) struct Relations<'a> {
    project: &'a Project,
    lineage: &'a Lineage,
    /// Jobs that are there and are not, or not wholly, in the lineage, because they are wrong: nothing is said of what they write.
    unmade: IndexSet<JobName>,
    outputs: IndexMap<usize, SchemaRef>,
    /// What is known of tables that nobody here writes; `None` where nobody asked.
    lock: Option<&'a Lock>,
    live: &'a Live,
}

impl<'a> Relations<'a> {
    /// Nothing is known yet.
    pub(crate) fn new(
        project: &'a Project,
        lineage: &'a Lineage,
        unmade: IndexSet<JobName>,
        lock: Option<&'a Lock>,
        live: &'a Live,
    ) -> Self {
        Self { project, lineage, unmade, outputs: IndexMap::new(), lock, live }
    }

    /// Remembers what a member writes.
    pub(crate) fn learn(&mut self, node: usize, output: Option<SchemaRef>) {
        self.outputs.extend(output.map(|schema| (node, schema)));
    }

    /// What was learned, by the member's number.
    pub(crate) fn into_outputs(self) -> IndexMap<usize, SchemaRef> {
        self.outputs
    }

    /// The columns of a table: as its writers give them, or as an outside one was when it was asked for.
    pub(crate) fn columns(&self, table: &Table) -> Option<SchemaRef> {
        if self.is_written(table) { self.written(table) } else { Some(self.locked(table)?.arrow()) }
    }

    /// Whether nobody here makes this table, and nobody has asked for its columns. While some jobs cannot be read, who makes what is not known.
    pub(crate) fn is_unknown(&self, table: &Table) -> bool {
        let sure = self.lock.is_some() && self.unmade.is_empty();
        sure && !self.is_written(table)
            && self.project.connections.contains_key(&table.connection)
            && self.locked(table).is_none()
    }

    /// Why its place did not tell its columns, where it was asked.
    pub(crate) fn failed(&self, table: &Table) -> Option<&'a Failed> {
        let of = |failed: &&Failed| {
            failed.table == *table || failed.whole && failed.table.connection == table.connection
        };
        self.live.failed.iter().find(of)
    }

    /// The table of a connection that SQL names.
    pub(crate) fn place(&self, name: &TableName) -> Option<Table> {
        let parts: Vec<&str> = name.parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [connection, table] => Some(lineage::table(self.project, connection, None, table)),
            [connection, schema, table] => {
                Some(lineage::table(self.project, connection, Some(schema), table))
            }
            _ => None,
        }
    }

    fn is_written(&self, table: &Table) -> bool {
        self.lineage.nodes.iter().any(|node| node.writes.as_ref() == Some(table))
    }

    fn locked(&self, table: &Table) -> Option<&LockedTable> {
        let kind = self.project.connections.get(&table.connection)?.kind();
        self.lock?.find(&self.project.profile, kind, table)
    }

    /// What places answered.
    pub(crate) fn live(&self) -> &'a Live {
        self.live
    }

    /// The columns of a table that lead an index, where its place was asked and has such.
    pub(crate) fn indexed(&self, table: &Table) -> Option<&Vec<String>> {
        let target = self.live.targets.iter().find(|target| target.table == *table);
        target.map_or_else(|| self.locked(table)?.indexed.as_ref(), |target| target.indexed.as_ref())
    }

    /// The columns of a table that some member writes.
    fn written(&self, table: &Table) -> Option<SchemaRef> {
        let mut writers =
            (0..self.lineage.nodes.len()).filter(|at| self.lineage.nodes[*at].writes.as_ref() == Some(table));
        let first = writers.next()?;
        if self.unmade.contains(&self.lineage.nodes[first].job) {
            return None;
        }
        let mut schema = self.outputs.get(&first)?.clone();
        for writer in writers {
            schema = united(&schema, self.outputs.get(&writer)?)?;
        }
        Some(schema)
    }

    /// What is known of a table that SQL names.
    pub(crate) fn known(&self, name: &TableName, source: Option<&Known>) -> Known {
        let parts: Vec<&str> = name.parts.iter().map(String::as_str).collect();
        match (parts.as_slice(), source) {
            (["source"], Some(source)) => source.clone(),
            (["pipeline", job], _) => self.job(JobKind::Pipeline, job),
            (["mart", job], _) => self.job(JobKind::Mart, job),
            ([connection, table], _) => self.table(connection, None, table),
            ([connection, schema, table], _) => self.table(connection, Some(schema), table),
            ([table], source) => {
                let near = source.and_then(|_| nearest(table, ["source"])).map(str::to_owned);
                missing(self.full_name(table).or(near))
            }
            _ => Known::Missing { hint: None },
        }
    }

    /// Where SQL that is sent as it stands finds a table.
    pub(crate) fn runs(&self, name: &TableName) -> Runs {
        let parts: Vec<&str> = name.parts.iter().map(String::as_str).collect();
        let (connection, schema, table) = match parts.as_slice() {
            [kind @ ("pipeline" | "mart"), _] => {
                return Runs::No(format!("it is a {kind}; name the table that it writes"));
            }
            [connection, table] => (*connection, None, *table),
            [connection, schema, table] => (*connection, Some(*schema), *table),
            _ => return Runs::No("tables are named connection.table".to_owned()),
        };
        let Some(config) = self.project.connections.get(connection) else {
            let names = self.project.connections.keys().map(String::as_str);
            let meant = nearest(connection, names).map(|name| format!("; did you mean `{name}`?"));
            return Runs::No(format!("there is no connection `{connection}`{}", meant.unwrap_or_default()));
        };
        if !config.runs_sql() {
            return Runs::No(format!("`{connection}` ({}) runs no SQL of its own", config.kind()));
        }
        let place = lineage::table(self.project, connection, schema, table);
        match (config, place.schema) {
            // Each file is a database of its own.
            (ConnectionConfig::Sqlite(_), Some(file)) => Runs::In(format!("{connection}.{file}")),
            _ => Runs::In(connection.to_owned()),
        }
    }

    fn table(&self, connection: &str, schema: Option<&str>, table: &str) -> Known {
        let Some(config) = self.project.connections.get(connection) else {
            let names = self.project.connections.keys().map(String::as_str);
            let meant = nearest(connection, names.chain(["mart", "pipeline"]));
            return missing(meant.map(|meant| TableName::new([meant, table]).to_string()));
        };
        let schemas = config.schemas().known();
        if let (Some(schema), Some(schemas)) = (schema, schemas)
            && !schemas.is_empty()
            && !schemas.iter().any(|known| known == schema)
        {
            let meant = nearest(schema, schemas.iter().map(String::as_str));
            let hint = meant.map(|meant| TableName::new([connection, meant, table]).to_string());
            return missing(hint);
        }
        let place = lineage::table(self.project, connection, schema, table);
        self.columns(&place).map_or(Known::Unknown, Known::Schema)
    }

    /// `pipeline.NAME` or `mart.NAME`: all members, united by name, with the matrices as columns.
    fn job(&self, kind: JobKind, name: &str) -> Known {
        let job = JobName::new(name);
        if self.unmade.contains(&job) {
            return Known::Unknown;
        }
        let nodes: Vec<usize> = (0..self.lineage.nodes.len())
            .filter(|at| self.lineage.nodes[*at].kind == kind && self.lineage.nodes[*at].job == job)
            .collect();
        if nodes.is_empty() {
            let names =
                self.lineage.nodes.iter().filter(|node| node.kind == kind).map(|node| node.job.as_str());
            let hint = nearest(name, names)
                .map(|meant| TableName::new([kind.to_string().as_str(), meant]).to_string());
            return missing(hint);
        }
        if nodes.iter().any(|at| self.lineage.nodes[*at].writes.is_none()) {
            return Known::Missing { hint: None }; // A workbook is no table.
        }
        let mut schema: Option<SchemaRef> = None;
        for at in &nodes {
            let Some(output) = self.outputs.get(at) else { return Known::Unknown };
            schema = match schema {
                None => Some(output.clone()),
                Some(schema) => united(&schema, output),
            };
            if schema.is_none() {
                return Known::Unknown;
            }
        }
        let matrices = self.lineage.nodes[nodes[0]].member.iter().map(|(matrix, _)| matrix);
        schema.map_or(Known::Unknown, |schema| Known::Schema(with_matrices(&schema, matrices)))
    }

    /// The full name of a table that somebody here writes.
    fn full_name(&self, table: &str) -> Option<String> {
        let written = self.lineage.nodes.iter().filter_map(|node| node.writes.as_ref());
        let found = written.into_iter().find(|place| place.table == table);
        let jobs =
            || self.lineage.nodes.iter().find(|node| node.job.as_str() == table && node.writes.is_some());
        match found {
            Some(place) => Some(TableName::new([&place.connection, &place.table]).to_string()),
            None => jobs().map(|node| TableName::new([node.kind.to_string().as_str(), table]).to_string()),
        }
    }
}

/// A table that is not there, and the one that was probably meant.
fn missing(meant: Option<String>) -> Known {
    Known::Missing { hint: meant.map(|meant| format!("did you mean `{meant}`?")) }
}

/// Columns of two tables, matched by name; `None` where their types disagree.
fn united(left: &SchemaRef, right: &SchemaRef) -> Option<SchemaRef> {
    let mut fields: Vec<Field> = vec![];
    for field in left.fields() {
        let other = right.field_with_name(field.name()).ok();
        if other.is_some_and(|other| other.data_type() != field.data_type()) {
            return None;
        }
        let nullable = field.is_nullable() || other.is_none_or(Field::is_nullable);
        fields.push(field.as_ref().clone().with_nullable(nullable));
    }
    let new = right.fields().iter().filter(|field| left.field_with_name(field.name()).is_err());
    fields.extend(new.map(|field| field.as_ref().clone().with_nullable(true)));
    Some(Arc::new(Schema::new(fields)))
}

fn with_matrices<'m>(schema: &SchemaRef, matrices: impl Iterator<Item = &'m str>) -> SchemaRef {
    let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    for matrix in matrices {
        if schema.field_with_name(matrix).is_err() {
            fields.push(Field::new(matrix, DataType::Utf8, false));
        }
    }
    Arc::new(Schema::new(fields))
}
