//! A folder for temporary data of one process: spilled SQL, staged rows. Folders of dead processes are swept.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::connector::error::{Error, ErrorKind, Result};

/// Held by the living process; a folder whose lock can be taken is nobody's.
const LOCK: &str = "lock";

/// This process's folder; removed when dropped.
pub(super) struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes one below `parent`, and removes those that dead processes left there.
    pub(super) fn make(parent: &Path) -> Result<Self> {
        let failed = |error: io::Error| {
            let message = format!("cannot make a scratch folder in {}", parent.display());
            Error::new(ErrorKind::of_io(&error), message).caused_by(error)
        };
        sweep(parent);
        let path = parent.join(uuid::Uuid::now_v7().simple().to_string());
        fs::create_dir_all(&path).map_err(failed)?;
        let lock = File::create(path.join(LOCK)).map_err(failed)?;
        lock.try_lock().map_err(|error| failed(error.into()))?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is swept by the next process.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Best effort: another process may sweep at the same time.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let left = File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if left {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_dead_are_swept_and_those_of_the_living_are_not() {
        let parent = tempfile::tempdir().unwrap();
        let living = Scratch::make(parent.path()).unwrap();
        let dead = parent.path().join("dead");
        fs::create_dir(&dead).unwrap();
        File::create(dead.join(LOCK)).unwrap();
        let other = Scratch::make(parent.path()).unwrap();
        assert!(living.path().exists() && other.path().exists() && !dead.exists());
        let path = other.path().to_owned();
        drop(other);
        assert!(!path.exists());
    }
}
