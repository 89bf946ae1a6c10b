//! Tables that the project writes, as their places have them now.

use futures::TryStreamExt;
use indexmap::IndexMap;

use super::{Runtime, outside::Asked};
use crate::{
    config::{
        lineage::{Node, Table},
        live::Target,
    },
    connector::error::{ErrorKind, Result},
    engine::{params::Params, typing::TableName},
};

impl Runtime {
    /// Looks at the tables that are written, each once, and adds those that are there to what was asked. Nothing is made, locked or changed.
    pub async fn targets(&self, asked: &mut Asked) {
        let mut tables: IndexMap<&Table, Vec<&Node>> = IndexMap::new();
        for node in &self.lineage().nodes {
            if let Some(table) = &node.writes {
                tables.entry(table).or_default().push(node);
            }
        }
        for (table, writers) in tables {
            // Who gave no answer once is not waited for again.
            if asked.silent.contains(&table.connection) {
                continue;
            }
            match self.target_of(table, &writers).await {
                Ok(target) => asked.targets.push(target),
                Err(error) if self.is_silent(&table.connection, &error).await => {
                    asked.silent.insert(table.connection.clone());
                    asked.failed.push((table.clone(), error));
                }
                // It is not there yet, and a run makes it; or a right is missing, which is told as such.
                Err(_) => {}
            }
        }
    }

    async fn target_of(&self, table: &Table, writers: &[&Node]) -> Result<Target> {
        let parts = [Some(&table.connection), table.schema.as_ref(), Some(&table.table)];
        let name = TableName::new(parts.into_iter().flatten());
        let columns = self.engine().columns(&name).await?;
        let unclaimed = match self.is_unclaimed(&name, writers).await {
            // What may not be read is told as a right that is missing.
            Err(error) if error.kind == ErrorKind::Denied => false,
            unclaimed => unclaimed?,
        };
        let indexed = self.indexed(table).await?;
        Ok(Target { table: table.clone(), columns, indexed, unclaimed })
    }

    async fn is_unclaimed(&self, table: &TableName, writers: &[&Node]) -> Result<bool> {
        for node in writers {
            if self.record_of(&node.job, &node.member).await?.is_some() {
                return Ok(false);
            }
        }
        self.holds_rows(table).await
    }

    async fn holds_rows(&self, table: &TableName) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {table} LIMIT 1");
        let mut rows = self.engine().query(&sql, &Params::default(), self.clock.now()).await?;
        while let Some(batch) = rows.try_next().await? {
            if batch.num_rows() > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
