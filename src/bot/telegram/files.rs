//! Files that wait with their messages: each is kept once, under the digest of its content, for however many chats it goes to.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::parts::Content;

/// How long a file may lie before its message is written.
const NEW: TimeDelta = TimeDelta::minutes(10);

/// The folder of files that wait.
#[derive(Debug, Clone)]
pub(super) struct Files {
    folder: PathBuf,
    /// Files that this process made durable, and when each was last kept. Held while a file is found and while one is taken away: what was found stays.
    kept: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Files {
    /// Opens the folder beside the state files.
    pub(super) fn open(state: &Path) -> io::Result<Self> {
        let folder = state.join("outbox");
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder, kept: Arc::default() })
    }

    /// Keeps a file's content; durable when it returns. Gives its key.
    pub(super) fn keep(&self, content: &Content) -> io::Result<String> {
        match content {
            Content::Text(text) => self.keep_bytes(text.as_bytes()),
            Content::At(path) => self.keep_read(|| File::open(path.as_path())),
        }
    }

    /// Keeps these bytes; durable when it returns. Gives their key.
    pub(super) fn keep_bytes(&self, bytes: &[u8]) -> io::Result<String> {
        self.keep_read(|| Ok(bytes))
    }

    /// Where a file lies.
    pub(super) fn path(&self, key: &str) -> PathBuf {
        self.folder.join(key)
    }

    /// Takes away every file that no message names any more. A new one is left alone: its message may be about to be written.
    pub(super) fn sweep(&self, contents: &[String], now: DateTime<Utc>) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let mut kept = self.kept();
            let was_found =
                kept.get(&name).is_some_and(|last| last.elapsed() < NEW.to_std().unwrap_or_default());
            let is_new = now - DateTime::<Utc>::from(entry.metadata()?.modified()?) < NEW;
            if !is_new && !was_found && !contents.iter().any(|content| content.contains(&name)) {
                std::fs::remove_file(entry.path())?;
                kept.remove(&name);
            }
        }
        Ok(())
    }

    /// A hundred answers may show one picture: it is written and synced for the first of them.
    fn keep_read<R: Read>(&self, open: impl Fn() -> io::Result<R>) -> io::Result<String> {
        let key = digest(open()?)?;
        if !self.finds(&key) {
            self.write(&key, open()?)?;
            self.kept().insert(key.clone(), Instant::now());
        }
        Ok(key)
    }

    fn finds(&self, key: &str) -> bool {
        let mut kept = self.kept();
        let found = kept.get_mut(key).filter(|_| self.path(key).exists());
        found.map(|last| *last = Instant::now()).is_some()
    }

    fn write(&self, key: &str, mut from: impl Read) -> io::Result<()> {
        let mut to = tempfile::NamedTempFile::new_in(&self.folder)?;
        io::copy(&mut from, &mut to)?;
        to.as_file().sync_all()?;
        to.persist(self.path(key)).map_err(|error| error.error)?;
        File::open(&self.folder)?.sync_all()
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(mut from: impl Read) -> io::Result<String> {
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        digest.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_for_all_who_get_it_for_as_long_as_a_message_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let written = |key: &str| std::fs::metadata(files.path(key)).unwrap().modified().unwrap();
        let key = files.keep_bytes(b"png").unwrap();
        let (first, long_ago) = (written(&key), std::time::SystemTime::UNIX_EPOCH);
        let file = File::options().write(true).open(files.path(&key)).unwrap();
        file.set_modified(long_ago).unwrap();
        assert_eq!(files.keep(&Content::Text("png".into())).unwrap(), key);
        assert_eq!(written(&key), long_ago, "it was written again");
        // Whoever found it may be about to write its message.
        files.sweep(&[], first.into()).unwrap();
        assert!(files.path(&key).exists());
        files.kept().clear(); // As when that was long ago.
        files.sweep(&[format!("{{\"key\":\"{key}\"}}")], first.into()).unwrap();
        assert!(files.path(&key).exists());
        files.sweep(&[], first.into()).unwrap();
        assert!(!files.path(&key).exists());
        assert_eq!(files.keep_bytes(b"png").unwrap(), key);
        assert!(files.path(&key).exists(), "it is written again");
    }
}
