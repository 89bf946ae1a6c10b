//! What only files do: formats, packed texts, half-written and changed files, files that are broken.

mod broken;
mod buckets;
mod moved;

use std::{fs, io::Write as _};

use crate::support::project::Sandbox;

/// A project with a folder that files come into, one that they go to, and a database.
const PROJECT: &str = r#"
[project]
name = "files"
time_zone = "Europe/Moscow"

[connections.inbox]
kind = "files"
path = "inbox"

[connections.outbox]
kind = "files"
path = "outbox"

[connections.db]
kind = "sqlite"
path = "db.sqlite"

[defaults.pipeline]
retry = { attempts = 1, wait = "1s", timeout = "5m" }
"#;

/// Loads `payments/*` of these options into a table.
fn load(table: &str, options: &str) -> String {
    format!(
        r#"
[source]
connection = "inbox"
table = "{table}"
{options}
[source.columns]
id = "int64"
name = {{ type = "text", nullable = true }}
amount = {{ type = "decimal(12,2)", nullable = true }}

[sink]
connection = "db"
table = "payments"
mode = "append"
"#
    )
}

/// A project that loads payments.
fn loading(table: &str, options: &str) -> Sandbox {
    Sandbox::new(&[("vitrina.toml", PROJECT), ("pipelines/load.toml", &load(table, options))])
}

/// What was loaded: `id|name|amount`.
fn loaded(project: &Sandbox) -> Vec<String> {
    let rows =
        project.query("SELECT id, name, CAST(amount AS VARCHAR) AS amount FROM db.payments ORDER BY id");
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    rows.iter().map(|row| format!("{}|{}|{}", row["id"], text(&row["name"]), text(&row["amount"]))).collect()
}

fn gz(text: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

fn put(project: &Sandbox, path: &str, bytes: &[u8]) {
    let path = project.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
