//! Files that came with calls, kept up to a limit.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::Serialize;

/// Bytes kept of all uploads; past it the oldest are forgotten.
const KEPT_BYTES: usize = 256 << 20;

/// A file as a call named it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalledFile {
    /// The part of the form that it came in.
    pub part: String,
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: usize,
}

/// A file as it came.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) called: CalledFile,
    pub(super) bytes: Bytes,
}

/// The kept files, by the ids that were given to them.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    kept: VecDeque<(String, Upload)>,
    bytes: usize,
    given: u64,
}

impl Uploads {
    /// Keeps a file; gives its id.
    pub(super) fn keep(&mut self, file: Upload) -> String {
        self.given += 1;
        let id = format!("file-{}", self.given);
        self.bytes += file.bytes.len();
        self.kept.push_back((id.clone(), file));
        while self.bytes > KEPT_BYTES && self.kept.len() > 1 {
            self.bytes -= self.kept.pop_front().map_or(0, |(_, file)| file.bytes.len());
        }
        id
    }

    /// The bytes of an id, if they are still kept.
    pub(super) fn get(&self, id: &str) -> Option<Bytes> {
        self.find(id).map(|file| file.bytes.clone())
    }

    /// The file of an id, if it is still kept.
    pub(super) fn find(&self, id: &str) -> Option<&Upload> {
        self.kept.iter().find(|(kept, _)| kept == id).map(|(_, file)| file)
    }
}
