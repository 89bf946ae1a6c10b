//! A table's name → the table: `connection.table`, `connection.schema.table`, `mart.name`, `pipeline.name`, and what one query alone
//! knows (`source`, `this`).

use std::sync::Arc;

use datafusion::{catalog::TableProvider, common::TableReference};
use futures::future::try_join_all;
use indexmap::IndexMap;

use super::{
    relations::{Opened, Part, Relation, RelationMember, Relations, unite},
    session::Extra,
    trusted::{Known, Trusted, is_same},
    typing::{TableName, quoted},
};
use crate::{
    connector::{
        connection::Connection,
        error::{Error, ErrorKind, Result},
    },
    model::problem::nearest,
};

/// Everything that names may mean.
#[derive(Default)]
pub(super) struct Lookup {
    pub(super) connections: IndexMap<String, Arc<dyn Connection>>,
    pub(super) relations: IndexMap<String, Arc<dyn Relations>>,
    known: Known,
}

impl Lookup {
    /// Looks a table up, as it is now.
    pub(super) async fn table(
        &self,
        name: &TableName,
        extra: &[Extra<'_>],
    ) -> Result<Arc<dyn TableProvider>> {
        self.found(name, extra, None).await
    }

    /// The same, where with `trusted` tables are taken for what they were: they are noted there, and must be confirmed.
    pub(super) async fn found(
        &self,
        name: &TableName,
        extra: &[Extra<'_>],
        trusted: Option<&Trusted>,
    ) -> Result<Arc<dyn TableProvider>> {
        let parts: Vec<&str> = name.parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [table] => match extra.iter().find(|(known, _)| known == table) {
                Some((_, provider)) => Ok(Arc::clone(provider)),
                None => Err(bare(name, extra)),
            },
            [kind, job] if self.relations.contains_key(*kind) => self.relation(kind, job, trusted).await,
            [connection, table] => {
                let open = self.connection(connection)?;
                let schema = open.default_schema();
                self.existing(&RelationMember::at(connection, Some(schema), table), name, trusted).await
            }
            [connection, schema, table] => {
                self.connection(connection)?;
                let at = RelationMember::at(connection, Some((*schema).to_owned()), table);
                self.existing(&at, name, trusted).await
            }
            _ => Err(Error::new(ErrorKind::NotFound, format!("{name} is not a table's name"))
                .hint("tables are named connection.table or connection.schema.table")),
        }
    }

    fn connection(&self, name: &str) -> Result<&Arc<dyn Connection>> {
        self.connections.get(name).ok_or_else(|| {
            let known = self.connections.keys().chain(self.relations.keys()).map(String::as_str);
            let error = Error::new(ErrorKind::NotFound, format!("there is no connection `{name}`"));
            match nearest(name, known.clone()) {
                Some(near) => error.hint(format!("did you mean `{}`?", quoted(near))),
                None => error.hint(format!("there are {}", listed(known.map(str::to_owned).collect()))),
            }
        })
    }

    /// A table that must be there.
    async fn existing(
        &self,
        at: &RelationMember,
        name: &TableName,
        trusted: Option<&Trusted>,
    ) -> Result<Arc<dyn TableProvider>> {
        if let Some(table) = self.open(at, trusted).await? {
            return Ok(table);
        }
        let error = Error::new(ErrorKind::NotFound, format!("there is no table {name}"));
        let catalog = self.connection(&at.connection)?.catalog();
        let wanted = at.schema.as_deref().unwrap_or_default();
        let Some(schema) = catalog.schema(wanted) else {
            let names = catalog.schema_names();
            let near = nearest(wanted, names.iter().map(String::as_str)).map(quoted);
            return Err(match near {
                Some(near) => error.hint(format!("there is no schema `{wanted}`; did you mean `{near}`?")),
                None => error.hint(format!("there is no schema `{wanted}`; there are {}", listed(names))),
            });
        };
        let names = schema.table_names();
        Err(match nearest(&at.table, names.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{}`?", quoted(near))),
            None if names.is_empty() => {
                error.hint(format!("connection `{}` has no tables yet", at.connection))
            }
            None => error.hint(format!("there are {}", listed(names))),
        })
    }

    /// A table, if it is there. A connector says that one is not by `None`: what else it does not find (a file of certificates, a bucket, a database) stops whoever asks, and never makes a
    /// table one that nobody wrote yet.
    async fn open(
        &self,
        at: &RelationMember,
        trusted: Option<&Trusted>,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some(trusted) = trusted
            && let Some(table) = self.known.get(at)
        {
            trusted.add(at, &table);
            return Ok(Some(table));
        }
        let connection = self.connection(&at.connection)?;
        let schema = at.schema.clone().unwrap_or_else(|| connection.default_schema());
        let Some(schema) = connection.catalog().schema(&schema) else {
            return Ok(None);
        };
        let table = schema.table(&at.table).await.map_err(|error| stopping(error.into()))?;
        self.known.see(at, table.as_ref());
        Ok(table)
    }

    /// Whether all tables that were trusted are what they were.
    pub(super) async fn confirms(&self, trusted: &Trusted) -> Result<bool> {
        let tables = trusted.tables();
        let asked = tables.iter().map(|(at, before)| async move {
            let now = self.open(at, None).await?;
            Ok::<_, Error>(now.is_some_and(|now| is_same(before, &now)))
        });
        Ok(try_join_all(asked).await?.into_iter().all(|same| same))
    }

    async fn relation(
        &self,
        kind: &str,
        job: &str,
        trusted: Option<&Trusted>,
    ) -> Result<Arc<dyn TableProvider>> {
        let relations = &self.relations[kind];
        let Some(relation) = relations.get(job) else {
            let names = relations.names();
            let error = Error::new(ErrorKind::NotFound, format!("there is no {kind} `{job}`"));
            return Err(match nearest(job, names.iter().map(String::as_str)) {
                Some(near) => error.hint(format!("did you mean `{}`?", quoted(near))),
                None if names.is_empty() => error,
                None => error.hint(format!("there are {}", listed(names))),
            });
        };
        let mut opened = vec![];
        for (member, shared) in distinct(&relation) {
            let table = self.open(member, trusted).await?;
            let columns = table.as_ref().map(|table| table.schema()).or_else(|| member.planned.clone());
            let constants = if shared { vec![] } else { member.member.clone() };
            let reference = TableReference::partial(member.connection.as_str(), member.table.as_str());
            opened.push(Opened { reference, part: Part { columns, constants }, table });
        }
        unite(job, &opened)
    }
}

impl RelationMember {
    fn at(connection: &str, schema: Option<String>, table: &str) -> Self {
        let (connection, table) = (connection.to_owned(), table.to_owned());
        Self { member: vec![], connection, schema, table, planned: None }
    }
}

/// Each table once, and whether several members share it.
fn distinct(relation: &Relation) -> Vec<(&RelationMember, bool)> {
    let mut tables: Vec<(&RelationMember, bool)> = vec![];
    let place =
        |member: &RelationMember| (member.connection.clone(), member.schema.clone(), member.table.clone());
    for member in &relation.members {
        match tables.iter_mut().find(|(other, _)| place(other) == place(member)) {
            Some((_, shared)) => *shared = true,
            None => tables.push((member, false)),
        }
    }
    tables
}

/// Whoever hears that something is not found takes the table for one that is not there.
fn stopping(error: Error) -> Error {
    if error.kind != ErrorKind::NotFound {
        return error;
    }
    let hint = error.advice().to_owned();
    Error { kind: ErrorKind::Unsupported, ..error }.hint(hint)
}

fn bare(name: &TableName, extra: &[Extra<'_>]) -> Error {
    let error = Error::new(ErrorKind::NotFound, format!("there is no table {name}"));
    let known: Vec<String> = extra.iter().map(|(known, _)| format!("`{known}`")).collect();
    if known.is_empty() {
        return error.hint("tables are named connection.table, mart.name or pipeline.name");
    }
    error.hint(format!("here are {}, connection.table, mart.name and pipeline.name", known.join(", ")))
}

fn listed(mut names: Vec<String>) -> String {
    const MOST: usize = 12;
    names.sort();
    let more = names.len().saturating_sub(MOST);
    names.truncate(MOST);
    let shown: Vec<String> = names.iter().map(|name| format!("`{}`", quoted(name))).collect();
    match (shown.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (_, 0) => shown.join(", "),
        (_, more) => format!("{} and {more} more", shown.join(", ")),
    }
}
