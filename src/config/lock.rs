//! `schemas.lock`: the columns of tables that a project reads and does not make, so that SQL over them is typed without asking anyone.
//!
//! Only `check` reads it: a run asks the tables themselves, so an old lock stops nothing that works.

use std::{
    fmt::{self, Write as _},
    path::Path,
    sync::Arc,
};

use arrow::datatypes::{Field, Schema, SchemaRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    drift::drift,
    lineage::Table,
    schema,
    tree::{self, Node, Value},
    walk,
};
use crate::model::{column::ColumnType, problem::Problem};

/// Its name in the project's folder.
pub const FILE: &str = "schemas.lock";

/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;

const HEADER: &str = "\
# The columns of tables that this project reads and does not make: `vitrina check` types SQL by them.
# `vitrina schema pull` writes this file; commit it.
";

/// What is known of outside tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Of the file's own form.
    version: u32,
    /// By profile, connection, schema and name.
    #[serde(default, rename = "table")]
    pub tables: Vec<LockedTable>,
}

/// An outside table as it was when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockedTable {
    /// The profile whose connection was asked.
    pub profile: String,
    /// The connection's name.
    pub connection: String,
    /// The connection's kind: the same name may be another place one day.
    pub kind: String,
    /// The schema (database file), where the connection has several.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
    /// Its primary key, where it has one.
    #[serde(default)]
    pub key: Vec<String>,
    /// Where a pipeline reads it by a cursor, and its place has indexes: the columns that lead one.
    pub indexed: Option<Vec<String>>,
    /// Its columns, in its own order.
    pub columns: Vec<LockedColumn>,
}

/// A column of an outside table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockedColumn {
    /// Its name.
    pub name: String,
    /// Its type, as contracts spell it.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// Whether it may be NULL.
    #[serde(default)]
    pub nullable: bool,
}

impl Default for Lock {
    fn default() -> Self {
        Self { version: VERSION, tables: vec![] }
    }
}

impl Lock {
    /// What is known of a table of a profile's connection; nothing where the connection was of another kind then.
    pub(crate) fn find(&self, profile: &str, kind: &str, table: &Table) -> Option<&LockedTable> {
        self.tables.iter().find(|locked| locked.is(profile, table) && locked.kind == kind)
    }

    /// Of these tables, in the order of the file.
    pub fn of(mut tables: Vec<LockedTable>) -> Self {
        tables.sort_by(|a, b| a.place().cmp(&b.place()));
        Self { version: VERSION, tables }
    }
}

impl LockedTable {
    /// Whether it is this table of this profile.
    pub fn is(&self, profile: &str, table: &Table) -> bool {
        self.profile == profile
            && self.connection == table.connection
            && self.schema == table.schema
            && self.table == table.table
    }

    /// What no two entries share.
    pub fn place(&self) -> (&str, &str, Option<&str>, &str) {
        (&self.profile, &self.connection, self.schema.as_deref(), &self.table)
    }

    pub(crate) fn arrow(&self) -> SchemaRef {
        let field =
            |column: &LockedColumn| Field::new(&column.name, column.kind.arrow().clone(), column.nullable);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }
}

impl fmt::Display for Lock {
    /// The file: one column a line, so that a change of one is a change of one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}version = {VERSION}")?;
        for table in &self.tables {
            f.write_str("\n[[table]]\n")?;
            let schema = table.schema.as_deref();
            let named = [
                ("profile", Some(table.profile.as_str())),
                ("connection", Some(&table.connection)),
                ("kind", Some(&table.kind)),
                ("schema", schema),
                ("table", Some(&table.table)),
            ];
            for (key, text) in named {
                if let Some(text) = text {
                    writeln!(f, "{key} = {}", quoted(text))?;
                }
            }
            let key = Some(&table.key).filter(|key| !key.is_empty());
            for (list, names) in [("key", key), ("indexed", table.indexed.as_ref())] {
                if let Some(names) = names {
                    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                    writeln!(f, "{list} = [{}]", names.join(", "))?;
                }
            }
            f.write_str("columns = [\n")?;
            for column in &table.columns {
                let (name, kind) = (quoted(&column.name), quoted(&column.kind.to_string()));
                let nullable = if column.nullable { ", nullable = true" } else { "" };
                writeln!(f, "    {{ name = {name}, type = {kind}{nullable} }},")?;
            }
            f.write_str("]\n")?;
        }
        Ok(())
    }
}

/// A text as TOML writes it on one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            other if other.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(other));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Reads the file's text; a lock only where nothing is wrong with it.
pub(crate) fn read(text: &str) -> (Option<Lock>, Vec<Problem>) {
    let parsed = tree::parse(&Arc::from(Path::new(FILE)), text);
    if !parsed.problems.is_empty() {
        return (None, parsed.problems.into_iter().map(pull).collect());
    }
    let mut root = parsed.root;
    // Of a newer file nothing else is said: what it may hold is not known here.
    if let Some(problem) = root.get("version").and_then(newer) {
        return (None, vec![problem]);
    }
    let problems = walk::walk(&mut root, &schema::LOCK, None);
    if !problems.is_empty() {
        return (None, problems.into_iter().map(pull).collect());
    }
    match root.typed::<Lock>() {
        Ok(lock) => {
            let twice = twice(&lock, &root);
            (twice.is_empty().then_some(lock), twice)
        }
        Err(problem) => (None, vec![pull(problem)]),
    }
}

/// Tables that are other in the file's text than they are now; `live` are those that answered, of one profile.
pub(crate) fn stale(text: &str, live: &[LockedTable]) -> Vec<Problem> {
    // A file that cannot be read is a problem of its own.
    let (Some(lock), _) = read(text) else { return vec![] };
    let root = tree::parse(&Arc::from(Path::new(FILE)), text).root;
    let items = root.get("table").map(Node::items).unwrap_or_default();
    let mut problems = vec![];
    for (locked, item) in lock.tables.iter().zip(items) {
        let Some(now) = live.iter().find(|live| live.place() == locked.place()) else { continue };
        let differences = drift(std::slice::from_ref(locked), std::slice::from_ref(now));
        let Some(first) = differences.first() else { continue };
        let more = if differences.len() > 1 {
            format!(", and {} more", differences.len() - 1)
        } else {
            String::new()
        };
        let message = format!(
            "table `{}` of connection `{}` is another one now: {first}{more}",
            locked.table, locked.connection
        );
        let node = item.at(&["table"]);
        let problem = Problem::warning(FILE, node.span.clone(), "lock-stale", message);
        problems.push(problem.hint("`vitrina schema pull` renews the file"));
    }
    problems
}

fn newer(version: &Node) -> Option<Problem> {
    let Value::Integer(number) = version.value else { return None };
    (number != i64::from(VERSION)).then(|| {
        let message = format!("{FILE} is of version {number}, and this Vitrina reads version {VERSION}");
        version
            .error("lock-version", message)
            .hint("take the Vitrina that wrote it, or delete it and `vitrina schema pull`")
    })
}

fn twice(lock: &Lock, root: &Node) -> Vec<Problem> {
    let items = root.get("table").map(Node::items).unwrap_or_default();
    let mut problems = vec![];
    for (at, table) in lock.tables.iter().enumerate() {
        if lock.tables[..at].iter().any(|earlier| earlier.place() == table.place()) {
            let node = items.get(at).map_or(root, |item| item.at(&["table"]));
            let message =
                format!("table `{}` of connection `{}` is written twice", table.table, table.connection);
            problems.push(pull(node.error("lock-twice", message)));
        }
    }
    problems
}

/// Nobody writes this file by hand.
fn pull(problem: Problem) -> Problem {
    match &problem.hint {
        Some(_) => problem,
        None => problem.hint("delete the file and `vitrina schema pull`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::draw::line_and_column;

    fn lock() -> Lock {
        let column = |name: &str, kind: &str, nullable| LockedColumn {
            name: name.to_owned(),
            kind: kind.parse().unwrap(),
            nullable,
        };
        let table = |connection: &str, schema: Option<&str>, table: &str| LockedTable {
            profile: "default".to_owned(),
            connection: connection.to_owned(),
            kind: "postgres".to_owned(),
            schema: schema.map(str::to_owned),
            table: table.to_owned(),
            key: vec!["id".to_owned()],
            indexed: schema.map(|_| vec!["id".to_owned(), "Имя \"x\"\\\n".to_owned()]),
            columns: vec![column("id", "int64", false), column("Имя \"x\"\\\n", "decimal(12,2)", true)],
        };
        let tables = vec![table("b", Some("public"), "t"), table("a", None, "Заказы.new")];
        Lock::of(tables)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = lock().to_string();
        let (read, problems) = read(&text);
        assert_eq!((read, problems), (Some(lock()), vec![]), "{text}");
        assert!(text.find("Заказы.new") < text.find("public"), "{text}");
        assert_eq!(read_again(&text), text);
    }

    fn read_again(text: &str) -> String {
        read(text).0.unwrap().to_string()
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        let good = lock().to_string();
        for (from, to, code, place) in [
            ("version = 1", "version = 2", "lock-version", (3, 11)),
            ("version = 1", "version =", "syntax", (3, 10)),
            ("key = [", "kye = [", "unknown-key", (10, 1)),
            ("\"int64\"", "\"int65\"", "unknown-type", (12, 27)),
            ("connection = \"b\"", "connection = 1", "wrong-type", (18, 14)),
        ] {
            let text = good.replacen(from, to, 1);
            let (lock, problems) = read(&text);
            assert_eq!(lock, None, "{to}");
            let first = &problems[0];
            assert_eq!((first.code, line_and_column(&text, first.span.start)), (code, place), "{problems:?}");
            assert!(first.hint.is_some(), "{first:?}");
        }
        let mut double = lock();
        double.tables.push(double.tables[0].clone());
        let (lock, problems) = read(&double.to_string());
        assert_eq!((lock, problems[0].code), (None, "lock-twice"));
    }
}
