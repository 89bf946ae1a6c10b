//! What is wrong with something that a user wrote.

use std::{fmt, ops::Range, path::PathBuf};

use serde::Serialize;

/// One mistake in one file. `check` gathers all of them; nothing runs while an error is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, relative to the project's folder.
    pub path: PathBuf,
    /// Bytes of the file that it is about; empty at `0..0` = the file as a whole.
    pub span: Range<usize>,
    /// Stable, kebab-case: `unknown-key`, `unknown-connection`, `sql-unknown-column`.
    pub code: &'static str,
    /// Whether it stops the project.
    pub severity: Severity,
    /// What is wrong: lower case, names the thing, no secrets, no cell values.
    pub message: String,
    /// What to do: the nearest valid name, what was expected.
    pub hint: Option<String>,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Could not be judged.
    Note,
    /// Worth knowing.
    Warning,
    /// The project does not run.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl Problem {
    /// An error.
    pub fn error(
        path: impl Into<PathBuf>,
        span: Range<usize>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), span, code, severity: Severity::Error, message: message.into(), hint: None }
    }

    /// A warning.
    pub fn warning(
        path: impl Into<PathBuf>,
        span: Range<usize>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, span, code, message) }
    }

    /// With something to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The valid name that was most likely meant, as rustc finds it: equal but for case; else at most a third of
/// its characters away; else the same `_` words in another order.
pub fn nearest<'a>(wrong: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let valid: Vec<&str> = valid.into_iter().collect();
    if let Some(same) = valid.iter().find(|name| name.to_lowercase() == wrong.to_lowercase()) {
        return Some(same);
    }
    let close = valid
        .iter()
        .map(|name| (strsim::osa_distance(wrong, name), *name))
        .filter(|(distance, _)| *distance <= wrong.chars().count().max(3) / 3)
        .min_by_key(|(distance, _)| *distance);
    if let Some((_, name)) = close {
        return Some(name);
    }
    let words = |text: &str| {
        let mut words: Vec<String> = text.split('_').map(str::to_owned).collect();
        words.sort();
        words
    };
    valid.into_iter().find(|name| words(name) == words(wrong))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn names_that_were_meant() {
        let valid = ["connection", "cursor", "bad_rows", "table"];
        assert_eq!(nearest("conection", valid), Some("connection"));
        assert_eq!(nearest("Table", valid), Some("table"));
        assert_eq!(nearest("rows_bad", valid), Some("bad_rows"));
        assert_eq!(nearest("sink", valid), None);
    }
}
