//! What the Delta library and the file system report, as errors of ours.

use std::{error::Error as StdError, io};

use deltalake::{DeltaTableError, kernel::transaction::TransactionError};

use super::super::error::{Error, ErrorKind};

/// `what` failed: `table "actions" of connection "warehouse": cannot be read`.
pub(super) fn failed(what: impl Into<String>, error: impl Into<DeltaTableError>) -> Error {
    let error = error.into();
    Error::new(kind(&error), what).caused_by(error)
}

/// An I/O error about `what`.
pub(super) fn io_failed(what: impl Into<String>, error: io::Error) -> Error {
    Error::new(ErrorKind::of_io(&error), what).caused_by(error)
}

/// Whether somebody else took the version that a commit was meant for.
pub(super) fn lost_the_race(error: &DeltaTableError) -> bool {
    matches!(
        error,
        DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction { source: TransactionError::MaxCommitAttempts(_) }
            | DeltaTableError::Transaction { source: TransactionError::VersionAlreadyExists(_) }
    )
}

fn kind(error: &DeltaTableError) -> ErrorKind {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(found) = current.downcast_ref::<io::Error>().and_then(io_kind) {
            return found;
        }
        cause = current.source();
    }
    match error {
        DeltaTableError::NotATable(_) | DeltaTableError::InvalidTableLocation(_) => ErrorKind::NotFound,
        DeltaTableError::SchemaMismatch { .. } => ErrorKind::SchemaChanged,
        DeltaTableError::Transaction { source } => match source {
            TransactionError::CommitConflict(_)
            | TransactionError::MaxCommitAttempts(_)
            | TransactionError::VersionAlreadyExists(_) => ErrorKind::Busy,
            TransactionError::DeltaTableAppendOnly
            | TransactionError::UnsupportedTableFeatures(_)
            | TransactionError::TableFeaturesRequired(_) => ErrorKind::Unsupported,
            _ => ErrorKind::Io,
        },
        DeltaTableError::ObjectStore { .. } | DeltaTableError::Io { .. } => ErrorKind::Io,
        // What is left comes from a log, a checkpoint or a data file that cannot be understood.
        _ => ErrorKind::Corrupt,
    }
}

/// The kind of an I/O error; `None` for one that only wraps another, which says nothing by itself.
fn io_kind(error: &io::Error) -> Option<ErrorKind> {
    (error.kind() != io::ErrorKind::Other).then(|| ErrorKind::of_io(error))
}
