//! What the Delta library and stores report, as errors of ours.

use std::{error::Error as StdError, io, iter};

use deltalake::{DeltaTableError, kernel::transaction::TransactionError};
use object_store::Error as StoreError;

use super::super::{
    error::{Error, ErrorKind},
    store_said::quoted,
};

/// With `RUST_BACKTRACE`, the library writes the frames of its errors behind their texts.
const FRAMES: &str = "\n   0: ";

/// `what` failed: `table "actions" of connection "warehouse": cannot be read`.
pub(super) fn failed(what: impl Into<String>, error: impl Into<DeltaTableError>) -> Error {
    let what = what.into();
    let error = error.into();
    let told =
        |ours: &Error| Error::new(ours.kind, what.as_str()).hint(ours.advice()).caused_by(ours.to_string());
    if let Some(ours) = causes(&error).find_map(|cause| cause.downcast_ref::<Error>()) {
        return told(ours);
    }
    let text = error.to_string();
    // Parts of the library hand on the text alone.
    if let Some(ours) = quoted(&text) {
        return told(&ours);
    }
    match text.split_once(FRAMES) {
        Some((text, _)) => Error::new(kind(&error), what).caused_by(text),
        None => Error::new(kind(&error), what).caused_by(error),
    }
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

fn causes(error: &DeltaTableError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    iter::successors(Some(first), |error: &&(dyn StdError + 'static)| StdError::source(*error))
}

fn kind(error: &DeltaTableError) -> ErrorKind {
    if let Some(found) = causes(error).find_map(kind_of_cause) {
        return found;
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

/// `None` for a cause that only wraps another, or tells of content: it says nothing by itself.
fn kind_of_cause(cause: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    use io::ErrorKind as Io;
    if let Some(StoreError::NotFound { .. }) = cause.downcast_ref() {
        return Some(ErrorKind::NotFound);
    }
    let error = cause.downcast_ref::<io::Error>()?;
    let wraps = matches!(error.kind(), Io::Other | Io::UnexpectedEof | Io::InvalidData);
    (!wraps).then(|| ErrorKind::of_io(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_library_are_no_part_of_a_message() {
        let text = "no log entry 7\n   0: std::backtrace::create\n             at /rustc/x.rs:1:1";
        let error = failed("table \"t\" cannot be read", DeltaTableError::Generic(text.to_owned()));
        assert!(error.to_string().ends_with("no log entry 7"), "{error}");
    }
}
