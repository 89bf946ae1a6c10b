//! Connections of one profile, `{region}` spelled out.

use indexmap::{IndexMap, IndexSet};

use super::{
    matrix::{Filler, How, Matrices, meant, members},
    report::Report,
};
use crate::{
    config::{
        template::Template,
        tree::{Node, Value},
        walk::list,
    },
    connector::{ConnectionConfig, misfit::Misfit, postgres::config::Url},
    model::name::Facts,
};

/// Names that SQL keeps for itself.
pub(crate) const RESERVED: [&str; 4] = ["mart", "pipeline", "source", "this"];

/// A connection and where it is written.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// Checked.
    pub(crate) config: ConnectionConfig,
    /// `[connections.NAME]`.
    pub(crate) node: Node,
}

/// Connections by full name.
pub(crate) type Connections = IndexMap<String, Connection>;

/// Resolves `[connections]` with those of a profile in their place. `used` gathers the matrices that they fan out over.
pub(crate) fn connections(
    tree: &Node,
    profile: &str,
    matrices: &Matrices,
    used: &mut IndexSet<String>,
    report: &mut Report<'_>,
) -> Connections {
    let mut written: IndexMap<&str, &Node> = tree.entries_of("connections").collect();
    if let Some(profile) = tree.find(&["profile", profile]) {
        written.extend(profile.entries_of("connections"));
    }
    let mut connections = Connections::new();
    for (template, node) in written {
        let slots: IndexSet<String> = match Template::parse(template) {
            Ok(template) => template.slots().map(|slot| slot.matrix().to_owned()).collect(),
            Err(_) => IndexSet::new(),
        };
        let fans: IndexMap<String, Vec<String>> = slots
            .iter()
            .filter_map(|name| Some((name.clone(), matrices.get(name)?.keys().cloned().collect())))
            .collect();
        used.extend(slots);
        let first = report.problems.len();
        for (_, facts) in members(&fans, matrices) {
            report.member(first, |report| {
                if let Some((name, connection)) = one(template, node, &facts, matrices, report) {
                    if connections.contains_key(&name) {
                        let message = format!("there are two connections of the name `{name}`");
                        report.key(node, "duplicate-connection", message, "");
                    }
                    connections.insert(name, connection);
                }
            });
        }
    }
    connections
}

fn one(
    template: &str,
    node: &Node,
    facts: &Facts,
    matrices: &Matrices,
    report: &mut Report<'_>,
) -> Option<(String, Connection)> {
    let mut filler = Filler { facts, matrices, used: IndexSet::new(), how: How::Connection };
    let name = filler.fill_key(template, node, report);
    check_name(&name, node, report);
    let mut filled = node.clone();
    fill(&mut filled, &mut filler, report);
    let config: ConnectionConfig = match filled.typed() {
        Ok(config) => config,
        Err(problem) => {
            report.problems.push(problem);
            return None;
        }
    };
    check(&name, &config, &filled, report);
    Some((name, Connection { config, node: filled }))
}

fn check_name(name: &str, node: &Node, report: &mut Report<'_>) {
    let good = name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if RESERVED.contains(&name) || name.starts_with("_vitrina") || name == "information_schema" {
        let message = format!("a connection cannot be named `{name}`: SQL keeps this name");
        report.key(node, "reserved-name", message, "choose another name");
    } else if name.is_empty() || !good && !name.contains('{') {
        let message = format!("a connection cannot be named `{name}`");
        report.key(node, "bad-name", message, "use letters, digits, `_` and `-`");
    }
}

/// Fills every text below a connection: they are all names and paths.
fn fill(node: &mut Node, filler: &mut Filler<'_>, report: &mut Report<'_>) {
    match &mut node.value {
        Value::String(_) => {
            let text = filler.fill_path(node, report);
            node.value = Value::String(text);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, filler, report)),
        Value::Table(entries) => {
            let written = std::mem::take(entries);
            for (key, mut child) in written {
                fill(&mut child, filler, report);
                let key = filler.fill_key(&key, &child, report);
                entries.insert(key, child);
            }
        }
        _ => {}
    }
}

fn check(name: &str, config: &ConnectionConfig, node: &Node, report: &mut Report<'_>) {
    if let ConnectionConfig::Sqlite(sqlite) = config {
        match (&sqlite.path, sqlite.databases.is_empty()) {
            (None, true) => {
                let message = format!("connection `{name}` names no database file");
                report.value(node, "missing-key", message, "give it a `path`, or several `databases`");
            }
            (Some(_), false) => {
                let message = format!("connection `{name}` has both `path` and `databases`");
                report.value(
                    node.at(&["path"]),
                    "conflicting-keys",
                    message,
                    "write the file of `path` as one of `databases`",
                );
            }
            _ => {}
        }
    }
    match config {
        ConnectionConfig::Postgres(postgres) => check_address(name, postgres.url.as_ref(), node, report),
        ConnectionConfig::Greenplum(greenplum) => check_address(name, greenplum.url.as_ref(), node, report),
        ConnectionConfig::Delta(folder) | ConnectionConfig::Files(folder) => {
            check_store(name, folder.misfits(), node, report);
        }
        ConnectionConfig::Clickhouse(clickhouse) => {
            if let Some(misfit) = clickhouse.misfit().filter(|_| node.at(&["url"]).as_written()) {
                let message = format!("connection `{name}`: {}", misfit.message);
                report.value(node.at(&["url"]), misfit.code, message, misfit.hint);
            }
            for setting in clickhouse.misplaced_settings() {
                let message = format!("connection `{name}` sets `{setting}`, which Vitrina sets itself");
                let hint = "leave it out: that rows are there once and whole rests on it";
                report.key(node.at(&["settings", setting]), "reserved-name", message, hint);
            }
        }
        _ => {}
    }
    for (_, path) in paths(node) {
        let text = path.text().unwrap_or_default();
        if text.is_empty() || text.contains('\0') {
            report.value(path, "bad-path", format!("connection `{name}` has a path that names no file"), "");
        }
    }
}

/// A server's address is one text or several keys, and tells the database and the user either way.
fn check_address(name: &str, url: Option<&Url>, node: &Node, report: &mut Report<'_>) {
    let told =
        [("database", url.is_some_and(Url::names_database)), ("user", url.is_some_and(Url::names_user))];
    for (key, in_url) in told {
        match (node.get(key), in_url) {
            (None, false) => {
                let message = format!("connection `{name}` needs `{key}`");
                report.value(node, "missing-key", message, "write it, or name it in `url`");
            }
            (Some(again), true) => both(name, key, again, report),
            _ => {}
        }
    }
    for key in ["host", "port"] {
        if let (Some(again), Some(_)) = (node.get(key), url) {
            both(name, key, again, report);
        }
    }
}

/// Keys of object stores that do not go together. What stands in for an unset variable is not judged.
fn check_store(name: &str, misfits: Vec<Misfit>, node: &Node, report: &mut Report<'_>) {
    if node.at(&["path"]).stand_in {
        return;
    }
    for misfit in misfits {
        let message = format!("connection `{name}`: {}", misfit.message);
        match misfit.key.map(|key| node.at(&[key])) {
            Some(value) if value.stand_in => {}
            Some(key) if misfit.code == "misplaced-key" => report.key(key, misfit.code, message, misfit.hint),
            Some(value) => report.value(value, misfit.code, message, misfit.hint),
            None => report.value(node, misfit.code, message, misfit.hint),
        }
    }
}

fn both(name: &str, key: &str, node: &Node, report: &mut Report<'_>) {
    let message = format!("connection `{name}` has `{key}`, and `url` tells it too");
    report.value(node, "conflicting-keys", message, "leave one of them out");
}

/// The file paths of a connection.
pub(crate) fn paths(node: &Node) -> impl Iterator<Item = (String, &Node)> {
    let path = node.get("path").map(|path| ("path".to_owned(), path));
    let databases = node.get("databases").into_iter().flat_map(Node::entries);
    path.into_iter()
        .chain(databases.map(|(name, node)| (name.to_owned(), node)))
        .filter(|(_, node)| node.text().is_some())
}

/// The connection that a name means; reported where there is none.
pub(crate) fn find<'a>(
    name: &str,
    node: &Node,
    connections: &'a Connections,
    report: &mut Report<'_>,
) -> Option<&'a Connection> {
    let found = connections.get(name);
    if found.is_none() && !name.contains('{') {
        let names: Vec<&str> = connections.keys().map(String::as_str).collect();
        report.value(
            node,
            "unknown-connection",
            format!("there is no connection `{name}`"),
            meant(name, &names),
        );
    }
    found
}

/// Checks the schema of a table against what its connection has.
pub(crate) fn check_schema(
    name: &str,
    connection: &Connection,
    schema: Option<&str>,
    table: &Node,
    report: &mut Report<'_>,
) {
    let Some(schemas) = connection.config.schemas().known() else {
        return;
    };
    let known: Vec<&str> = schemas.iter().map(String::as_str).collect();
    let node = table.at(&["schema"]);
    match schema {
        Some(schema) if known.is_empty() => {
            let message = format!("connection `{name}` has no schemas, so no `{schema}`");
            report.value(node, "unknown-schema", message, "leave `schema` out");
        }
        Some(schema) if !known.contains(&schema) && !schema.contains('{') => {
            let message = format!("connection `{name}` has no schema `{schema}`");
            report.value(node, "unknown-schema", message, meant(schema, &known));
        }
        None if known.len() > 1 => {
            let message = format!("connection `{name}` has several schemas: which one is meant?");
            report.value(
                table.at(&["connection"]),
                "missing-schema",
                message,
                format!("add `schema`: {}", list(&known)),
            );
        }
        _ => {}
    }
}
