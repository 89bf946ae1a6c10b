//! Tables that the project reads and does not make, as their places have them now.

use indexmap::IndexSet;

use super::Runtime;
use crate::{
    config::{
        lineage::{Input, Table},
        lock::{LockedColumn, LockedTable, Target},
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
                    if error.kind.policy().world {
                        asked.silent.insert(name.clone());
                    }
                    asked.failed.push((table, error));
                }
            }
        }
        asked
    }

    /// In order of their names, each once.
    fn read_from_outside(&self) -> Vec<Table> {
        let nodes = &self.lineage().nodes;
        let made = |table: &Table| nodes.iter().any(|node| node.writes.as_ref() == Some(table));
        let reads = nodes.iter().flat_map(|node| &node.reads).filter_map(|input| match input {
            Input::Table(table) => Some(table),
            Input::Job(..) => None,
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
            columns,
        })
    }
}
