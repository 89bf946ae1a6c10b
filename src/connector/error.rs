//! What the world did to a connector: one error type, one kind, one policy per kind.

use std::fmt;

use parquet::errors::ParquetError;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{cellless, store_said};

/// The result of every connector call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure in a place. Messages are lower case, name the thing, carry no secrets and no cell values.
#[derive(Debug)]
pub struct Error {
    /// What sort of failure: decides about retries and the hint.
    pub kind: ErrorKind,
    /// What failed, and where: `table "actions" of connection "crm_mrf1"`, then what happened.
    pub message: String,
    /// What to do, where it is better than the kind's own hint.
    pub hint: Option<String>,
    /// The cause.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The sorts of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// No answer, connection refused or lost.
    Unreachable,
    /// Took too long.
    Timeout,
    /// Held by somebody else for now (a locked database).
    Busy,
    /// Rights are missing; a read-only place.
    Denied,
    /// No such file, database, table or column.
    NotFound,
    /// Content that cannot be what it claims to be.
    Corrupt,
    /// No space left.
    Full,
    /// Source or target has other columns than were agreed on.
    SchemaChanged,
    /// The position belongs to another source, or the source was made again or shrank.
    SourceChanged,
    /// The target holds rows and no record says where they came from.
    NoRecord,
    /// Somebody else moved this track's record.
    Conflict,
    /// The rows are bad in a way that no row policy covers (a NULL in a cursor, too many bad rows, failing SQL).
    BadData,
    /// A check of a mart does not hold.
    CheckFailed,
    /// A limit of the place or of ours was passed.
    Limit,
    /// What the place cannot do.
    Unsupported,
    /// Asked to stop.
    Cancelled,
    /// A failing disk or an I/O error that fits none of the above.
    Io,
    /// Our mistake.
    Internal,
}

/// What to do about a kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether trying again may help.
    pub retry: bool,
    /// Whether the world is at fault (exit code 3) or the project and its data (1).
    pub world: bool,
    /// What a user can do.
    pub hint: &'static str,
}

impl ErrorKind {
    /// The kind of an I/O failure.
    pub fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        match error.kind() {
            Io::NotFound => Self::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => Self::Denied,
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => Self::Full,
            Io::TimedOut => Self::Timeout,
            Io::ResourceBusy | Io::WouldBlock => Self::Busy,
            _ => Self::Io,
        }
    }

    /// The one place that decides about retries, exit codes and hints.
    pub fn policy(self) -> Policy {
        let (retry, world, hint) = match self {
            Self::Unreachable => (true, true, "check that the place is up and reachable"),
            Self::Timeout => (true, true, "the place is slow or overloaded; a longer timeout may help"),
            Self::Busy => (true, true, "somebody else holds it; it is tried again"),
            Self::Denied => (false, true, "check the rights of the user that runs Vitrina"),
            Self::NotFound => (false, false, "check the name, and that it exists by now"),
            Self::Corrupt => (false, true, "restore it from a backup; nothing was written"),
            Self::Full => (true, true, "free some space; nothing was lost"),
            Self::SchemaChanged => (false, false, "change the contract, or set `on_schema_change`"),
            Self::SourceChanged => (
                false,
                false,
                "see where it stands with `vitrina position show`, then `position set` or `position reset`",
            ),
            Self::NoRecord => {
                (false, false, "say what the rows are: `vitrina position adopt`, `set` or `reset`")
            }
            Self::Conflict => (true, true, "another process writes this track; the record is read again"),
            Self::BadData => (false, false, "mend the data, or say what to do with bad rows: `bad_rows`"),
            Self::CheckFailed => {
                (false, false, "look at the rows that break it: `vitrina checks NAME --sample`")
            }
            Self::Limit => (false, false, "make the slices smaller"),
            Self::Unsupported => (false, false, "choose another mode or connection"),
            Self::Cancelled => (false, true, "run it again: it goes on where it stopped"),
            Self::Io => (true, true, "check the disk"),
            Self::Internal => (false, true, "this is a mistake in Vitrina: please report it"),
        };
        Policy { retry, world, hint }
    }
}

impl Error {
    /// An error without a cause.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// With its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With a better hint than its kind's.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure, told to one more who met it; its causes are in the message.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { kind: self.kind, message: self.to_string(), hint: self.hint.clone(), source: None }
    }

    /// Whether nothing is to be waited for: what waits for news ends with it, so that whoever asks next hears why.
    pub fn stays(&self) -> bool {
        !self.kind.policy().retry
    }

    /// What a user can do about it.
    pub fn advice(&self) -> &str {
        self.hint.as_deref().unwrap_or(self.kind.policy().hint)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.message.clone();
        let mut cause: Option<&dyn std::error::Error> = self.source.as_deref().map(|e| e as _);
        while let Some(error) = cause {
            let text = error.to_string();
            // Many libraries tell their causes themselves.
            if !told.contains(&text) {
                told = format!("{told}: {text}");
            }
            cause = error.source();
        }
        f.write_str(&told)
    }
}

/// What is written of an error: its causes are told in its message.
#[derive(Serialize, Deserialize)]
struct Written {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (message, hint) = (self.to_string(), self.hint.clone());
        Written { kind: self.kind, message, hint }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { kind, message, hint } = Written::deserialize(deserializer)?;
        Ok(Self { kind, message, hint, source: None })
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

impl From<datafusion::error::DataFusionError> for Error {
    /// Errors that a connector sent through an Arrow stream come out as they went in.
    fn from(error: datafusion::error::DataFusionError) -> Self {
        use datafusion::error::DataFusionError;
        match error {
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(ours) => *ours,
                Err(other) => within(other.as_ref()).unwrap_or_else(|| {
                    Self::new(ErrorKind::Internal, "the SQL engine failed").caused_by(other)
                }),
            },
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => Self::from(*inner),
            other => within(&other).unwrap_or_else(|| match other.find_root() {
                DataFusionError::ResourcesExhausted(message) => {
                    // It names those who hold most, a line each.
                    let message = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
                    Self::new(ErrorKind::Limit, format!("the SQL engine ran out of memory: {message}"))
                        .hint("raise `memory` in [daemon]")
                }
                _ => Self::new(ErrorKind::BadData, format!("SQL failed: {}", cellless::engine(&other)))
                    .hint("mend the SQL, or the rows that it meets"),
            }),
        }
    }
}

/// What a connector said, deep within an error of a library that it went through.
fn within(error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.find_map(|cause| match cause.downcast_ref::<Error>() {
        Some(ours) => Some(Error::new(ours.kind, ours.to_string()).hint(ours.advice())),
        None => cause.downcast_ref().and_then(of_footer),
    })
}

/// What a store said when a file's footer was read: of that the reader hands on the text alone. A footer that is broken is none of a store's faults.
fn of_footer(error: &ParquetError) -> Option<Error> {
    match error {
        ParquetError::General(text) => store_said::quoted(text),
        _ => None,
    }
}

impl From<Error> for datafusion::error::DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        match error {
            arrow::error::ArrowError::ExternalError(inner) => match inner.downcast::<Self>() {
                Ok(ours) => *ours,
                Err(other) => Self::new(ErrorKind::Internal, "arrow failed").caused_by(other),
            },
            other => {
                let message = format!("rows do not convert: {}", cellless::arrow(&other));
                Self::new(ErrorKind::BadData, message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let talkative = std::io::Error::other(format!("cannot write: {full}"));
        let error = Error::new(ErrorKind::Full, "table `a`").caused_by(talkative);
        assert_eq!(error.to_string(), "table `a`: cannot write: no storage space");
        let written = serde_json::to_string(&error).unwrap();
        let read: Error = serde_json::from_str(&written).unwrap();
        assert_eq!((read.kind, read.to_string()), (error.kind, error.to_string()));
        let around = Error::new(ErrorKind::Full, "the file").caused_by(error);
        assert_eq!(around.to_string(), "the file: table `a`: cannot write: no storage space");
    }

    #[test]
    fn a_store_is_heard_through_the_reader_of_footers() {
        use datafusion::error::DataFusionError;
        let footer = |text: &str| {
            let text = format!("Failed to fetch metadata for file t/1.parquet: {text}");
            Error::from(DataFusionError::from(ParquetError::General(text)))
        };
        let busy = store_said::spelled("s3://b/lake of connection `w`", ErrorKind::Busy, "503 SlowDown");
        let error = footer(&format!("Parquet error: External: Generic object store error: {busy}"));
        assert_eq!((error.kind, error.to_string()), (ErrorKind::Busy, busy.to_string()));
        assert!(error.kind.policy().retry);
        let broken = footer("Parquet error: Invalid Parquet file. Corrupt footer");
        assert_eq!(broken.kind, ErrorKind::BadData);
        // What a query says of a cell is no store's word.
        let cell = DataFusionError::Execution(busy.to_string());
        assert_eq!(Error::from(cell).kind, ErrorKind::BadData);
    }
}
