//! Whole projects in, problems out: every message as it is drawn.

mod bot;
mod buckets;
mod clickhouse;
mod columns;
mod file_tables;
mod files;
mod jobs;
mod locked;
mod messages;
mod names;
mod places;
mod project;
mod robust;
mod sql;
mod unit_tests;

use std::{fmt::Write as _, path::Path};

use super::{Loaded, draw, project::Project};
use crate::model::problem::Severity;

/// A project that is right: what the tests break.
const BASE: &str = r#"
[project]
name = "test"
time_zone = "Europe/Moscow"

[matrix.region]
mrf1 = { title = "Центр" }
mrf2 = { title = "Волга" }

[connections."crm_{region}"]
kind = "sqlite"
databases = { actions = "crm/{region}/actions.db", nature = "crm/{region}/nature.db" }

[connections.shop]
kind = "sqlite"
path = "shop.db"

[connections.stream]
kind = "sqlite"
path = "stream.db"
log = true

[connections.warehouse]
kind = "delta"
path = "warehouse"
"#;

/// A pipeline that is right.
const ORDERS: &str = r#"
[source]
connection = "shop"
table = "orders"
cursor = { column = "id" }
[source.columns]
id = "int64"
happened_at = "timestamp(ms, UTC)"
client = { type = "text", nullable = true }
amount = "decimal(12,2)"
[sink]
connection = "warehouse"
table = "orders"
mode = "append"
"#;

/// The folder of a project of these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// Proves all profiles, with nothing set.
fn proved(files: &[(&str, &str)]) -> Loaded {
    super::check(folder(files).path(), "default", &|_| None)
}

/// The same without notes: most of these projects read tables that nobody has asked for their columns.
fn checked(files: &[(&str, &str)]) -> Loaded {
    let mut loaded = proved(files);
    loaded.problems.retain(|problem| problem.severity != Severity::Note);
    loaded
}

/// All problems of a project, drawn.
fn drawn(files: &[(&str, &str)]) -> String {
    let loaded = checked(files);
    assert_eq!(
        loaded.project.is_none(),
        loaded.problems.iter().any(|problem| problem.severity == Severity::Error)
    );
    loaded.problems.iter().fold(String::new(), |mut text, problem| {
        let _ = writeln!(text, "{}", draw::text(problem, &loaded.sources, false, 100));
        text
    })
}

/// All problems of a project, a line each.
fn lines(files: &[(&str, &str)]) -> Vec<String> {
    let loaded = checked(files);
    loaded.problems.iter().map(|problem| draw::line(problem, &loaded.sources)).collect()
}

/// Problems of the base project with one pipeline.
fn pipeline(text: &str) -> String {
    drawn(&[("vitrina.toml", BASE), ("pipelines/p.toml", text)])
}

/// Problems of the base project, a pipeline that is right, and one mart.
fn mart(text: &str) -> String {
    drawn(&[("vitrina.toml", BASE), ("pipelines/orders.toml", ORDERS), ("marts/m.toml", text)])
}

/// A project without problems.
fn good(files: &[(&str, &str)]) -> Project {
    let folder = folder(files);
    let loaded = super::load(folder.path(), "default", &|_| None);
    let lines: Vec<String> =
        loaded.problems.iter().map(|problem| draw::line(problem, &loaded.sources)).collect();
    assert_eq!(lines, Vec::<String>::new());
    loaded.project.unwrap()
}

/// The shipped project's folder.
fn shipped() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
