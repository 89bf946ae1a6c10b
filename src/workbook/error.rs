//! What can go wrong with a workbook. Messages name the sheet and the column, never a value.

use std::{io, path::PathBuf};

use rust_xlsxwriter::XlsxError;
use zip::result::ZipError;

/// The result of every call here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with a workbook.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for cannot be: a bad sheet name, an unknown column, a total over text.
    #[error("sheet \"{sheet}\": {what}")]
    Spec {
        /// The sheet.
        sheet: String,
        /// What is wrong.
        what: String,
    },
    /// More text than a cell holds.
    #[error(
        "sheet \"{sheet}\", column \"{column}\", row {row}: text over 32,767 UTF-16 units, more than a cell of Excel holds"
    )]
    CellTooLong {
        /// The sheet.
        sheet: String,
        /// The column's name in the result.
        column: String,
        /// The row of the result, from 1.
        row: u64,
    },
    /// A file or folder failed: the workbook, its folder, or the scratch folder.
    #[error("{what} failed at \"{path}\"")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A workbook that was there cannot be read.
    #[error("\"{path}\" is no readable workbook")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Rows do not have the columns that the sheet was begun with.
    #[error("sheet \"{sheet}\": rows do not fit its columns")]
    Rows {
        /// The sheet.
        sheet: String,
        /// Why.
        source: arrow::error::ArrowError,
    },
    /// The library or this module is at fault.
    #[error("the workbook could not be made: {0}")]
    Internal(String),
}

impl Error {
    pub(super) fn spec(sheet: &str, what: impl Into<String>) -> Self {
        Self::Spec { sheet: sheet.to_owned(), what: what.into() }
    }

    /// The I/O error behind it, where there is one: a full disk is told from a missing right by its kind.
    pub fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<XlsxError> for Error {
    fn from(error: XlsxError) -> Self {
        const WHAT: &str = "writing the workbook";
        match error {
            XlsxError::TempFileError(path, source) => {
                Self::Io { what: "making a scratch file", path, source }
            }
            XlsxError::IoError(source) | XlsxError::ZipError(ZipError::Io(source)) => {
                Self::Io { what: WHAT, path: PathBuf::new(), source }
            }
            XlsxError::ZipError(error) => {
                Self::Io { what: WHAT, path: PathBuf::new(), source: io::Error::other(error) }
            }
            other => Self::Internal(other.to_string()),
        }
    }
}
