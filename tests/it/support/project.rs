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
    pub(crate) code: i32,
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

    /// A command over this project, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vitrina"));
        command
            .arg("--project")
            .arg(self.root())
            .args(arguments)
            .env("NO_COLOR", "1")
            .env_remove("VITRINA_PROFILE");
        command
    }

    /// Runs a command to its end.
    pub(crate) fn vitrina(&self, arguments: &[&str]) -> Ran {
        ran(&self.command(arguments).output().unwrap())
    }

    /// Runs a command that must succeed; gives its results.
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        let ran = self.vitrina(arguments);
        assert_eq!(ran.code, 0, "vitrina {arguments:?}: {ran:?}");
        ran.stdout
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
        let text = self.must(&["dead-letters", "list", name, "--format", "json"]);
        serde_json::from_str::<Json>(&text).unwrap().as_array().cloned().unwrap_or_default()
    }
}

/// How a finished process ended.
pub(crate) fn ran(output: &Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Ran {
    /// Fails unless the command ended with this code and said all of this on stderr.
    #[track_caller]
    pub(crate) fn says(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "nothing of {part:?} in:\n{}", self.stderr);
        }
    }
}
