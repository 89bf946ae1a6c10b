//! The program as its users meet it: arguments in; stdout, stderr and an exit code out.

mod demo;
mod help;
mod moving;
mod project;
mod terminal;
mod wrong;

use std::{
    path::Path,
    process::{Command, Output},
};

/// What a call of the program gave.
#[derive(Debug)]
struct Called {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Called {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }

    /// The call ended well.
    #[track_caller]
    fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// The call ended with this code.
    #[track_caller]
    fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

impl From<Output> for Called {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The program, in a folder, with no settings from outside.
fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vitrina"));
    command.current_dir(folder);
    for name in ["VITRINA_PROJECT", "VITRINA_PROFILE", "VITRINA_LOG", "VITRINA_FAILPOINT", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

/// Calls the program in a folder.
fn call(folder: &Path, arguments: &[&str]) -> Called {
    program(folder).args(arguments).output().unwrap().into()
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let file = folder.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    folder
}

/// Runs SQL on a SQLite file.
fn sqlite(file: &Path, sql: &str) {
    rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
}

/// A project that moves orders from a SQLite file into Delta tables.
fn shop() -> tempfile::TempDir {
    let folder = folder(&[
        ("vitrina.toml", SHOP),
        ("pipelines/orders.toml", ORDERS),
        ("marts/по_городам.toml", BY_CITY),
        ("marts/отчёт.toml", REPORT),
    ]);
    sqlite(&folder.path().join("shop.db"), ROWS);
    folder
}

const SHOP: &str = r#"
[project]
name = "shop"

[connections.shop]
kind = "sqlite"
path = "shop.db"

[connections.warehouse]
kind = "delta"
path = "data/warehouse"
"#;

const ORDERS: &str = r#"
description = "Заказы"
tags = ["sales"]

[source]
connection = "shop"
table = "orders"
cursor = { column = "id" }
bad_rows = "dead_letter"

[source.columns]
id = "int64"
"Город" = "text"
amount = { type = "int64", nullable = true }

[sink]
connection = "warehouse"
table = "orders"
mode = "append"
"#;

const BY_CITY: &str = r#"
sql = """SELECT "Город", sum(amount) AS total FROM pipeline.orders GROUP BY "Город" """

[sink]
connection = "warehouse"
mode = "replace"
"#;

const REPORT: &str = r#"
excel = "data/отчёт.xlsx"

[[sheet]]
name = "По городам"
sql = """SELECT "Город", total FROM mart."по_городам" ORDER BY "Город" """
"#;

const ROWS: &str = r#"
CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, "Город" TEXT, amount);
INSERT INTO orders ("Город", amount) VALUES ('Москва', 5), ('Омск', 7), ('Москва', 'много'), ('Омск', 1);
"#;
