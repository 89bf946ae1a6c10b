//! Tables that the project reads and does not make, as their places have them now.

use indexmap::IndexSet;

use super::Runtime;
use crate::{
    config::{
        lineage::{Input, Table, read_by_bot, table},
        live::Target,
        lock::{LockedColumn, LockedTable},
        project::SourceKind,
    },
    connector::error::{Error, ErrorKind, Result},
    engine::typing::TableName,
    model::column::ColumnType,
};

/// What came of asking.
#[derive(Debug, Default)]
pub struct Asked {
    /// Tables that answered.
    pub tables: Vec<LockedTable>,
    /// Tables that did not, and why.
    pub failed: Vec<(Table, Error)>,
    /// Tables that the project writes, where they are there.
    pub targets: Vec<Target>,
    /// Connections that could not be asked to the end.
    pub silent: IndexSet<String>,
}

impl Runtime {
    /// Asks these connections (none named = all) for the outside tables that the project reads.
    pub async fn outside(&self, connections: &[String]) -> Asked {
        let mut asked = Asked::default();
        for table in self.read_from_outside() {
            let name = &table.connection;
            let wanted = connections.is_empty() || connections.contains(name);
            // Who gave no answer once is not waited for again.
            if !wanted || asked.silent.contains(name) {
                continue;
            }
            match self.ask(&table).await {
                Ok(found) => asked.tables.push(found),
                Err(error) => {
                    if self.is_silent(name, &error).await {
                        asked.silent.insert(name.clone());
                    }
                    asked.failed.push((table, error));
                }
            }
        }
        asked
    }

    /// Whether a place that failed gives no answer at all: a right that is missing may be one on a single table.
    pub(super) async fn is_silent(&self, name: &str, error: &Error) -> bool {
        let closed = async || match self.connection(name) {
            Ok(connection) => connection.probe().await.is_err(),
            Err(_) => true,
        };
        error.kind.policy().world && (error.kind != ErrorKind::Denied || closed().await)
    }

    /// In order of their names, each once; the bot's too.
    fn read_from_outside(&self) -> Vec<Table> {
        let nodes = &self.lineage().nodes;
        let made = |table: &Table| nodes.iter().any(|node| node.writes.as_ref() == Some(table));
        let bot = read_by_bot(self.project());
        let reads = nodes.iter().flat_map(|node| &node.reads).chain(bot.iter().flat_map(|(_, reads)| reads));
        let reads = reads.filter_map(|input| match input {
            Input::Table(table) if self.project().connections.contains_key(&table.connection) => Some(table),
            Input::Table(_) | Input::Job(..) => None,
        });
        let mut tables: Vec<Table> = reads.filter(|table| !made(table)).cloned().collect();
        tables.sort();
        tables.dedup();
        tables
    }

    async fn ask(&self, table: &Table) -> Result<LockedTable> {
        let name = match &table.schema {
            Some(schema) => TableName::new([&table.connection, schema, &table.table]),
            None => TableName::new([&table.connection, &table.table]),
        };
        let schema = self.engine().columns(&name).await?;
        let mut columns = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let kind = ColumnType::of(field.data_type());
            if kind.to_string().parse() != Ok(kind.clone()) {
                let message =
                    format!("{name}: column `{}` has a type that no contract can spell", field.name());
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .hint("read a view of it that leaves the column out or converts it"));
            }
            columns.push(LockedColumn { name: field.name().clone(), kind, nullable: field.is_nullable() });
        }
        let connection = &self.connections()[&table.connection];
        let schema = table.schema.clone().unwrap_or_else(|| connection.default_schema());
        Ok(LockedTable {
            profile: self.project().profile.clone(),
            connection: table.connection.clone(),
            kind: self.project().connections[&table.connection].kind().to_owned(),
            schema: table.schema.clone(),
            table: table.table.clone(),
            key: connection.key(&schema, &table.table).await?,
            indexed: self.indexed(table).await?,
            columns,
        })
    }

    /// Columns of a table that lead an index; `None` = no pipeline reads it by a cursor, or its place has no indexes.
    pub(super) async fn indexed(&self, of: &Table) -> Result<Option<Vec<String>>> {
        let project = self.project();
        let mut members = project.pipelines.values().flat_map(|pipeline| &pipeline.members);
        let by_cursor = members.any(|member| match &member.source {
            SourceKind::Table(spec) if spec.cursor.is_some() => {
                table(project, &spec.connection, spec.schema.as_deref(), &spec.table) == *of
            }
            SourceKind::Table(_) | SourceKind::Generate { .. } => false,
        });
        if !by_cursor {
            return Ok(None);
        }
        let connection = self.connection(&of.connection)?;
        let schema = of.schema.clone().unwrap_or_else(|| connection.default_schema());
        connection.indexed(&schema, &of.table).await
    }
}
