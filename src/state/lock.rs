//! The project's lock: one process at a time changes something. The second is told who holds it.
//!
//! The operating system holds the lock (so it goes with the process, however that dies); a text beside it tells who.

use std::{
    fs::{File, Metadata, OpenOptions, TryLockError},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    error::{Result, StateError},
    process,
};

/// Held until it is dropped.
#[derive(Debug)]
pub struct ProjectLock {
    file: File,
    holder: PathBuf,
    place: LockPlace,
}

/// Where a lock lies that is held: another file in its place would let a second process in.
#[derive(Debug, Clone)]
pub struct LockPlace {
    path: PathBuf,
    /// Device and number of the file that is held.
    file: (u64, u64),
}

impl LockPlace {
    fn of(path: &Path, file: &File) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: identity(&file.metadata()?) })
    }

    /// Whether the file that is held is still the one that others would ask for. What cannot be told counts as so.
    pub fn is_held(&self) -> bool {
        match std::fs::metadata(&self.path) {
            Ok(found) => identity(&found) == self.file,
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        }
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// What it does: `run --all`.
    pub command: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The process, safe against reused ids.
    token: String,
}

/// Why the lock was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it; `None` = it did not say who it is.
    #[error("another process changes this project{}", describe(.0.as_ref()))]
    Held(Option<Holder>),
    /// The lock file cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
}

const LOCK_FILE: &str = "project.lock";
const HOLDER_FILE: &str = "project.lock.json";

/// Tries to take the lock before it counts as held: a process that only looks holds it for an instant.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

impl ProjectLock {
    /// Takes the lock of the project whose state lies in `folder`. `command` and `now` are for whoever comes second.
    pub fn acquire(folder: &Path, command: &str, now: DateTime<Utc>) -> Result<Self, LockError> {
        std::fs::create_dir_all(folder).map_err(StateError::io("cannot make the state folder", folder))?;
        let path = folder.join(LOCK_FILE);
        let holder = folder.join(HOLDER_FILE);
        let file = open(&path).map_err(StateError::io("cannot open the lock", &path))?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => {
                    write_holder(&holder, command, now)?;
                    let failed = StateError::io("cannot look at the lock", &path);
                    let place = LockPlace::of(&path, &file).map_err(failed)?;
                    return Ok(Self { file, holder, place });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_TRIES),
                Err(TryLockError::Error(error)) => {
                    return Err(StateError::io("cannot lock", &path)(error).into());
                }
            }
        }
        Err(LockError::Held(read_holder(&holder)))
    }

    /// Where it lies, for whoever looks whether it still does.
    pub fn place(&self) -> &LockPlace {
        &self.place
    }
}

impl Drop for ProjectLock {
    fn drop(&mut self) {
        // The text first: a text without a lock is only untidy, a text of the next holder must stay.
        if self.place.is_held() {
            let _ = std::fs::remove_file(&self.holder);
        }
        let _ = self.file.unlock();
    }
}

/// Who holds the lock of this state folder now; for looking only.
pub fn holder(folder: &Path) -> Option<Holder> {
    let file = File::open(folder.join(LOCK_FILE)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read_holder(&folder.join(HOLDER_FILE)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// Tokens of processes that may have runs going: ourselves, and whoever holds the lock.
pub(super) fn living(folder: &Path) -> Vec<String> {
    let holder = holder(folder).map(|holder| holder.token);
    std::iter::once(process::token().to_owned()).chain(holder).collect()
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn write_holder(path: &Path, command: &str, now: DateTime<Utc>) -> Result<()> {
    let holder = Holder {
        pid: std::process::id(),
        command: command.to_owned(),
        since: now,
        token: process::token().to_owned(),
    };
    let error = StateError::io("cannot write", path);
    serde_json::to_vec(&holder).map_err(Into::into).and_then(|text| std::fs::write(path, text)).map_err(error)
}

fn read_holder(path: &Path) -> Option<Holder> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn describe(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |holder| {
        format!(
            ": process {}, `{}`, since {}",
            holder.pid,
            holder.command,
            holder.since.format("%Y-%m-%d %H:%M:%S UTC")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap()
    }

    #[test]
    fn the_second_is_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("состояние/state");
        let lock = ProjectLock::acquire(&state, "run --all", now()).unwrap();
        let second = ProjectLock::acquire(&state, "position reset", now());
        let Err(LockError::Held(Some(holder))) = second else { panic!("{second:?}") };
        assert_eq!((holder.pid, holder.command.as_str()), (std::process::id(), "run --all"));
        assert_eq!(super::holder(&state), Some(holder.clone()));
        let message = LockError::Held(Some(holder)).to_string();
        assert!(message.contains("`run --all`, since 2026-09-21"), "{message}");
        drop(lock);
        assert_eq!(super::holder(&state), None);
        ProjectLock::acquire(&state, "run --all", now()).unwrap();
    }

    #[test]
    fn a_lock_whose_folder_was_deleted_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let first = ProjectLock::acquire(&state, "serve", now()).unwrap();
        assert!(first.place().is_held());
        std::fs::remove_dir_all(&state).unwrap();
        assert!(!first.place().is_held());
        let second = ProjectLock::acquire(&state, "serve", now()).unwrap();
        assert!(!first.place().is_held() && second.place().is_held());
        drop(first);
        assert!(super::holder(&state).is_some(), "the text is the second one's");
    }

    #[test]
    fn a_text_left_by_a_dead_process_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let lock = ProjectLock::acquire(folder.path(), "run --all", now()).unwrap();
        let text = std::fs::read(folder.path().join(HOLDER_FILE)).unwrap();
        drop(lock);
        std::fs::write(folder.path().join(HOLDER_FILE), text).unwrap();
        assert_eq!(super::holder(folder.path()), None);
        ProjectLock::acquire(folder.path(), "run --all", now()).unwrap();
    }

    #[test]
    fn looking_at_a_project_without_state_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        assert_eq!(super::holder(&state), None);
        assert!(!state.exists());
    }
}
