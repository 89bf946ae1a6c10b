//! What can go wrong with the state folder.

use std::path::{Path, PathBuf};

/// The result of every call into the state.
pub type Result<T, E = StateError> = std::result::Result<T, E>;

/// A failure of the state folder or one of its files.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database failed.
    #[error("state file {}: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The folder or a file in it cannot be made, read or written.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried: `cannot make the state folder`.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file was written by a newer Vitrina.
    #[error("state file {}: its format {found} is newer than this Vitrina knows ({known})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// A value that no Vitrina writes.
    #[error("state file {}: {what} cannot be read", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Which value.
        what: String,
    },
}

/// The sorts of failure, as far as callers act on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateErrorKind {
    /// Held by another process for longer than was waited.
    Busy,
    /// Rights are missing; a read-only folder.
    Denied,
    /// No space left.
    Full,
    /// Not a database, or damaged.
    Corrupt,
    /// Made by a newer Vitrina.
    Newer,
    /// Anything else that the disk did.
    Io,
}

impl StateError {
    /// Which sort it is.
    pub fn kind(&self) -> StateErrorKind {
        match self {
            Self::Database { source, .. } => kind_of_sqlite(source),
            Self::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    StateErrorKind::Denied
                }
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StateErrorKind::Full,
                _ => StateErrorKind::Io,
            },
            Self::Newer { .. } => StateErrorKind::Newer,
            Self::Corrupt { .. } => StateErrorKind::Corrupt,
        }
    }

    /// What a user can do about it.
    pub fn hint(&self) -> &'static str {
        match self.kind() {
            StateErrorKind::Busy => "another Vitrina writes it; try again in a moment",
            StateErrorKind::Denied => "the state folder must be writable: `state` in [daemon]",
            StateErrorKind::Full => "free some space; nothing was lost",
            StateErrorKind::Corrupt => {
                "history.db may be deleted without loss; records.db holds dead letters and the bot's users: restore it from a backup"
            }
            StateErrorKind::Newer => "use the Vitrina that wrote it, or a newer one",
            StateErrorKind::Io => "check the disk",
        }
    }

    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

fn kind_of_sqlite(error: &rusqlite::Error) -> StateErrorKind {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StateErrorKind::Busy,
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            StateErrorKind::Denied
        }
        Some(ErrorCode::DiskFull) => StateErrorKind::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StateErrorKind::Corrupt,
        _ => StateErrorKind::Io,
    }
}
