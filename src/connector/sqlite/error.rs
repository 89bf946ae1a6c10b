//! What SQLite says, as our error kinds.

use rusqlite::{Error as Sqlite, ErrorCode, ffi};

use crate::connector::error::{Error, ErrorKind};

/// The error of `what` (`table "actions" of connection "crm"`) that SQLite failed on.
pub(super) fn failed(what: &str, error: Sqlite) -> Error {
    let (kind, happened) = sort(&error);
    let message = if happened.is_empty() { what.to_owned() } else { format!("{what} {happened}") };
    Error::new(kind, message).caused_by(error)
}

/// The error of `what` that the file system failed on.
pub(super) fn io_failed(what: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::of_io(&error), what.to_owned()).caused_by(error)
}

fn sort(error: &Sqlite) -> (ErrorKind, &'static str) {
    let (code, message) = match error {
        Sqlite::SqliteFailure(code, message) => (code, message.as_deref().unwrap_or_default()),
        Sqlite::SqlInputError { error, msg, .. } => (error, msg.as_str()),
        Sqlite::QueryReturnedNoRows => return (ErrorKind::NotFound, "has no such row"),
        _ => return (ErrorKind::Internal, "was not understood"),
    };
    match code.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            (ErrorKind::Busy, "is locked by another program")
        }
        ErrorCode::ReadOnly => (ErrorKind::Denied, "cannot be written: it is read-only"),
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            (ErrorKind::Denied, "may not be read")
        }
        ErrorCode::CannotOpen => (ErrorKind::Denied, "cannot be opened"),
        ErrorCode::DiskFull => (ErrorKind::Full, "does not fit on the disk"),
        ErrorCode::DatabaseCorrupt => (ErrorKind::Corrupt, "is damaged"),
        ErrorCode::NotADatabase => (ErrorKind::Corrupt, "is not a SQLite database"),
        ErrorCode::SystemIoFailure if code.extended_code == ffi::SQLITE_IOERR_NOMEM => {
            (ErrorKind::Limit, "does not fit into memory")
        }
        ErrorCode::SystemIoFailure => (ErrorKind::Io, "cannot be read or written"),
        ErrorCode::OutOfMemory => (ErrorKind::Limit, "does not fit into memory"),
        ErrorCode::TooBig => (ErrorKind::Limit, "has a cell or row over SQLite's limits"),
        ErrorCode::OperationInterrupted => (ErrorKind::Cancelled, "was left"),
        ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch => {
            (ErrorKind::BadData, "refuses the rows: a constraint of the table")
        }
        ErrorCode::SchemaChanged => (ErrorKind::SchemaChanged, "was altered meanwhile"),
        ErrorCode::Unknown if message.starts_with("no such table") => (ErrorKind::NotFound, "is not there"),
        ErrorCode::Unknown
            if message.contains("no such column") || message.contains("has no column named") =>
        {
            (ErrorKind::SchemaChanged, "has other columns now")
        }
        ErrorCode::Unknown => (ErrorKind::BadData, "refuses a statement"),
        _ => (ErrorKind::Internal, "failed"),
    }
}
