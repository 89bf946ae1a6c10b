//! A project in a temporary folder, run by the built program as a user would.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rusqlite::Connection;
use serde_json::Value as Json;
use tempfile::TempDir;

/// A project folder, gone when dropped.
pub(crate) struct Sandbox {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code; none where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    /// A project of these files, by path.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let sandbox = Self { folder: tempfile::tempdir().unwrap() };
        for (path, text) in files {
            sandbox.write(path, text);
        }
        sandbox
    }

    /// The folder.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A file in it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs SQL in a SQLite file of the project, as a bot would: WAL mode, a connection of its own.
    pub(crate) fn sqlite(&self, file: &str, sql: &str) {
        fs::create_dir_all(self.path(file).parent().unwrap()).unwrap();
        let connection = Connection::open(self.path(file)).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.execute_batch(sql).unwrap();
    }

    /// A command in this folder, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(self.root());
        command.args(arguments);
        command
    }

    /// Runs a command to its end.
    pub(crate) fn vitrina(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs a command that must succeed; gives its results.
    #[track_caller]
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        self.vitrina(arguments).done().stdout
    }

    /// The rows of a query, a JSON object each.
    pub(crate) fn query(&self, sql: &str) -> Vec<Json> {
        let text = self.must(&["query", sql, "--format", "ndjson"]);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The one number of a query's one row.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let rows = self.query(sql);
        let first = rows.first().and_then(Json::as_object).and_then(|row| row.values().next());
        first.and_then(Json::as_i64).unwrap_or_else(|| panic!("{sql}: {rows:?}"))
    }

    /// Dead letters that wait, a JSON object each.
    pub(crate) fn dead_letters(&self, name: &str) -> Vec<Json> {
        let text = self.must(&["dead-letters", "list", name, "--limit", "1000000", "--format", "json"]);
        serde_json::from_str::<Json>(&text).unwrap().as_array().cloned().unwrap_or_default()
    }
}

/// The program, in a folder, with no settings from outside.
pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vitrina"));
    command.current_dir(folder);
    for name in ["VITRINA_PROJECT", "VITRINA_PROFILE", "VITRINA_LOG", "VITRINA_FAILPOINT", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// Its results, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }

    /// It ended well.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        self.ended(0)
    }

    /// It ended with this code.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Fails unless the command ended with this code and said all of this on stderr.
    #[track_caller]
    pub(crate) fn says(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for part in parts {
            assert!(self.stderr.contains(part), "nothing of {part:?} in:\n{}", self.stderr);
        }
    }
}
