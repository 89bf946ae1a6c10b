//! Which rights of those that the project needs are held: asked by `CHECK GRANT`, so that roles and grants on databases and columns count as they do there,
//! and a user that may only read has no right to write.

use super::{
    client::Server,
    name::{literal, qualified, quote},
    replicated::Replication,
    table::{Table, text},
};
use crate::connector::{
    error::{Error, ErrorKind, Result},
    rights::{Right, Use},
};

/// What writing takes, in the whole database: units are staged in tables of our own.
const WRITING: [&str; 5] = ["SELECT", "INSERT", "ALTER", "CREATE TABLE", "DROP TABLE"];

/// What is looked at between the statements: parts that were moved, and statements of a run that died.
const LOOKED_AT: [&str; 2] = ["system.parts", "system.processes"];

/// The engine of tables of our own.
const OURS: &str = "MergeTree";

/// The rights that these need.
pub(super) async fn of(server: &Server, uses: &[Use]) -> Result<Vec<Right>> {
    let asker = Asker { server, readonly: readonly(server).await? };
    let mut found = vec![];
    for (of, used) in uses.iter().enumerate() {
        let (database, table) = used.table();
        let database = database.unwrap_or(&server.config.database);
        match used {
            Use::Query { .. } | Use::Source(_) => found.extend(asker.reading(of, database, table).await?),
            Use::Sink(spec, _) => {
                let engine = spec.options.clickhouse.as_ref().and_then(|options| options.engine.clone());
                let there = Table::find(server, database, table).await?.map(|table| table.engine);
                found.extend(asker.writing(of, database, there.or(engine)).await?);
            }
        }
    }
    Ok(found)
}

/// What the user's profile keeps it from: 0 = nothing, 1 = writing and settings, 2 = writing.
async fn readonly(server: &Server) -> Result<String> {
    let found = server.cell(&server.shown(), "SELECT getSetting('readonly')").await?;
    Ok(found.unwrap_or_default())
}

struct Asker<'a> {
    server: &'a Server,
    readonly: String,
}

impl Asker<'_> {
    /// Of a table that is not there nothing is said: that is no right that is missing.
    async fn reading(&self, of: usize, database: &str, table: &str) -> Result<Vec<Right>> {
        let mut rights = vec![];
        if self.readonly == "1" {
            rights.push(self.profile(of, "to read, settings are sent", "2"));
        }
        let place = qualified(database, table);
        let mut select = self.right(of, "SELECT", &place).await?;
        // Columns are seen by those who may read them.
        select.held = select.held || self.sees_columns(database, table).await?;
        rights.push(select);
        Ok(rights)
    }

    async fn writing(&self, of: usize, database: &str, engine: Option<String>) -> Result<Vec<Right>> {
        if self.readonly != "0" {
            return Ok(vec![self.profile(of, "to write", "0")]);
        }
        let mut rights = vec![];
        for what in WRITING {
            rights.push(self.right(of, what, &format!("{}.*", quote(database))).await?);
        }
        let replication = Replication::of(self.server, database, &self.server.shown()).await?;
        for table in LOOKED_AT.iter().chain(replication.looked_at()) {
            rights.push(self.right(of, "SELECT", table).await?);
        }
        // Servers may give engines one by one: to stages and records that of ours, to the target its own.
        let ours = replication.engine(OURS);
        rights.push(self.right(of, "TABLE ENGINE", &ours).await?);
        let engine = engine.unwrap_or_default();
        let engine = engine.split('(').next().unwrap_or_default().trim();
        let spelled = |engine: &str| engine.chars().all(|c| c.is_ascii_alphanumeric());
        if !engine.is_empty() && engine != ours && spelled(engine) {
            rights.push(self.right(of, "TABLE ENGINE", engine).await?);
        }
        Ok(rights)
    }

    fn profile(&self, of: usize, why: &str, needed: &str) -> Right {
        let what = format!("a profile with readonly = {needed} ({why})");
        let mend = format!("ALTER USER {} SETTINGS readonly = {needed}", quote(&self.server.config.user));
        Right::new(of, what, false, mend)
    }

    async fn right(&self, of: usize, what: &str, on: &str) -> Result<Right> {
        let asked = self.server.cell(&self.server.shown(), &format!("CHECK GRANT {what} ON {on}")).await;
        let held = asked.map_err(|error| self.unasked(error))?.as_deref() == Some("1");
        let mend = format!("GRANT {what} ON {on} TO {}", quote(&self.server.config.user));
        Ok(Right::new(of, format!("{what} on {on}"), held, mend))
    }

    async fn sees_columns(&self, database: &str, table: &str) -> Result<bool> {
        let sql = format!(
            "SELECT count() > 0 FROM system.columns WHERE database = {} AND table = {}",
            literal(database),
            literal(table)
        );
        let row = self.server.row(&self.server.shown(), &sql).await?.unwrap_or_default();
        Ok(matches!(text(&row, 0), "1" | "true"))
    }

    /// Older servers do not know the question.
    fn unasked(&self, error: Error) -> Error {
        if error.kind != ErrorKind::Unsupported {
            return error;
        }
        let message = format!("{}: this version tells nobody which rights it has", self.server.shown());
        Error::new(ErrorKind::Unsupported, message)
            .hint("see SHOW GRANTS on the server; newer versions know CHECK GRANT")
    }
}
