//! Files that wait with their messages: each is kept once, under the digest of its content, for however many chats it goes to.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::parts::Content;

/// How long a file may lie before its message is written.
const NEW: TimeDelta = TimeDelta::minutes(10);

/// The folder of files that wait.
#[derive(Debug, Clone)]
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    /// Opens the folder beside the state files.
    pub(super) fn open(state: &Path) -> io::Result<Self> {
        let folder = state.join("outbox");
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Keeps a file's content; durable when it returns. Gives its key.
    pub(super) fn keep(&self, content: &Content) -> io::Result<String> {
        match content {
            Content::Text(text) => self.keep_bytes(text.as_bytes()),
            Content::At(path) => self.copy(&mut File::open(path.as_path())?),
        }
    }

    /// Keeps these bytes; durable when it returns. Gives their key.
    pub(super) fn keep_bytes(&self, mut bytes: &[u8]) -> io::Result<String> {
        self.copy(&mut bytes)
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
            let is_new = now - DateTime::<Utc>::from(entry.metadata()?.modified()?) < NEW;
            if !is_new && !contents.iter().any(|content| content.contains(&name)) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn copy(&self, from: &mut dyn Read) -> io::Result<String> {
        let mut to = tempfile::NamedTempFile::new_in(&self.folder)?;
        let (mut digest, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
        loop {
            let read = from.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            digest.update(&buffer[..read]);
            to.write_all(&buffer[..read])?;
        }
        let key: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        to.as_file().sync_all()?;
        to.persist(self.path(&key)).map_err(|error| error.error)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(key)
    }
}
