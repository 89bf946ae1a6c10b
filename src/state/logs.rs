//! What each run told: a file of JSON lines per run, in the state folder's `logs/`. May be deleted at any time.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::error::{Result, StateError};

/// Runs whose logs are kept.
const KEPT_RUNS: usize = 2_000;

/// Bytes of one run that are kept: the newest, once and twice as much.
const KEPT_BYTES: u64 = 1 << 20;

/// Runs of this process between two sweeps.
const SWEEP_EVERY: u32 = 64;

const FOLDER: &str = "logs";

/// One line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When.
    pub at: DateTime<Utc>,
    /// `debug`, `info`, `warn`, `error`.
    pub level: String,
    /// What.
    pub message: String,
}

/// A run's log, being written. A log that cannot be written never stops a run.
#[derive(Debug)]
pub struct RunLog {
    path: PathBuf,
    file: Mutex<Option<(File, u64)>>,
}

impl RunLog {
    /// Begins the log of a run.
    pub fn begin(folder: &Path, run: &str) -> Self {
        static BEGUN: AtomicU32 = AtomicU32::new(0);
        let folder = folder.join(FOLDER);
        let path = folder.join(format!("{run}.jsonl"));
        if run.is_empty() || fs::create_dir_all(&folder).is_err() {
            return Self { path, file: Mutex::new(None) };
        }
        if BEGUN.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP_EVERY) {
            sweep(&folder);
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).ok();
        Self { path, file: Mutex::new(file.map(|file| (file, 0))) }
    }

    /// Adds a line.
    pub fn add(&self, line: &Line) {
        let Ok(mut text) = serde_json::to_vec(line) else { return };
        text.push(b'\n');
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((file, written)) = open.as_mut() else { return };
        if file.write_all(&text).is_err() {
            *open = None;
            return;
        }
        *written += text.len() as u64;
        if *written >= KEPT_BYTES {
            let older = fs::rename(&self.path, older(&self.path));
            let fresh = older.and_then(|()| OpenOptions::new().create(true).append(true).open(&self.path));
            *open = fresh.ok().map(|file| (file, 0));
        }
    }
}

/// What a run told, oldest first; empty where nothing was kept of it.
pub fn read(folder: &Path, run: &str) -> Result<Vec<Line>> {
    let path = folder.join(FOLDER).join(format!("{run}.jsonl"));
    let mut lines = vec![];
    for path in [older(&path), path] {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(StateError::io("cannot read", &path)(error)),
        };
        // The last line of a process that died may be torn.
        lines.extend(text.lines().filter_map(|line| serde_json::from_str(line).ok()));
    }
    Ok(lines)
}

/// Where the older half of a long log lies.
fn older(path: &Path) -> PathBuf {
    path.with_extension("older")
}

/// Forgets the oldest logs: ids of runs rise with time.
fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    names.sort();
    let runs = names.iter().filter(|path| path.extension().is_some_and(|kind| kind == "jsonl")).count();
    let mut surplus = runs.saturating_sub(KEPT_RUNS);
    for path in names {
        if surplus == 0 {
            return;
        }
        if path.extension().is_some_and(|kind| kind == "jsonl") {
            surplus -= 1;
        }
        // Another process may sweep at the same time.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> Line {
        Line { at: DateTime::UNIX_EPOCH, level: "info".to_owned(), message: message.to_owned() }
    }

    #[test]
    fn lines_come_back_and_a_long_log_keeps_its_end() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path(), "r").unwrap(), vec![]);
        let log = RunLog::begin(folder.path(), "r");
        let long = "д".repeat(4_000);
        for number in 0..600 {
            log.add(&line(&format!("{number} {long}")));
        }
        log.add(&line("the last one"));
        let lines = read(folder.path(), "r").unwrap();
        assert!(lines.len() > 120 && lines.len() < 300, "{}", lines.len());
        assert_eq!(lines.last(), Some(&line("the last one")));
        RunLog::begin(folder.path(), "").add(&line("nowhere"));
    }

    #[test]
    fn old_logs_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join(FOLDER);
        fs::create_dir(&logs).unwrap();
        for number in 0..KEPT_RUNS + 3 {
            fs::write(logs.join(format!("{number:05}.jsonl")), "").unwrap();
        }
        fs::write(logs.join("00000.older"), "").unwrap();
        sweep(&logs);
        assert!(!logs.join("00002.jsonl").exists() && !logs.join("00000.older").exists());
        assert!(logs.join("00003.jsonl").exists());
    }
}
