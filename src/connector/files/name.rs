//! What a table of a files connection means: a folder, a file, or a pattern. Pure.

use globset::{GlobBuilder, GlobMatcher};

use super::{config::SourceOptions, format::Spelling};

/// The folder of manifests, in a table's folder.
pub(super) const MANIFESTS: &str = "_vitrina";

/// What a table means.
#[derive(Debug, Clone)]
pub(super) struct Name {
    /// The folder that its files lie in, or below; empty = the connection's own.
    pub(super) folder: String,
    which: Which,
}

#[derive(Debug, Clone)]
enum Which {
    /// All files that lie in the folder itself.
    Folder,
    /// One file, by its path.
    File(String),
    /// Files whose paths match.
    Glob(GlobMatcher),
}

impl Name {
    /// What to do about a name that cannot be.
    pub(super) const HINT: &str = "name a folder, a file or a pattern below the connection's `path`: `payments`, `payments/2026.csv`, `export/**/*.parquet`";

    /// What a table means; the error says what is wrong with it.
    pub(super) fn parse(table: &str) -> Result<Self, String> {
        let parts: Vec<&str> = table.split('/').collect();
        let odd = |part: &&str| matches!(*part, "" | "." | "..") || part.chars().any(char::is_control);
        if parts.iter().any(odd) {
            return Err(format!("`{}` is no path of files", table.escape_debug()));
        }
        if parts.iter().any(|part| part.starts_with(MANIFESTS)) {
            return Err(format!("`{table}` has a name of Vitrina's own"));
        }
        let is_pattern = |part: &str| part.contains(['*', '?', '[', '{']);
        if let Some(first) = parts.iter().position(|part| is_pattern(part)) {
            let glob = GlobBuilder::new(table).literal_separator(true).backslash_escape(false).build();
            let glob = glob.map_err(|error| format!("`{table}` is no pattern: {}", error.kind()))?;
            return Ok(Self { folder: parts[..first].join("/"), which: Which::Glob(glob.compile_matcher()) });
        }
        if Spelling::of(table, &SourceOptions::default()).is_some() {
            let folder = parts[..parts.len() - 1].join("/");
            return Ok(Self { folder, which: Which::File(table.to_owned()) });
        }
        Ok(Self { folder: table.to_owned(), which: Which::Folder })
    }

    /// Why rows cannot be written there; `None` = they can.
    pub(super) fn not_written(&self) -> Option<String> {
        match &self.which {
            Which::Folder => None,
            Which::File(path) => {
                Some(format!("`{path}` is a file, and rows are written into a folder of files"))
            }
            Which::Glob(glob) => {
                Some(format!("`{}` is a pattern, which rows cannot be written to", glob.glob()))
            }
        }
    }

    /// Whether it is a folder, which may have a manifest.
    pub(super) fn is_folder(&self) -> bool {
        matches!(self.which, Which::Folder)
    }

    /// Whether files below folders of its folder may be meant.
    pub(super) fn is_deep(&self) -> bool {
        matches!(self.which, Which::Glob(_))
    }

    /// Whether a file, by its path below the connection's, is one of the table's.
    pub(super) fn has(&self, path: &str) -> bool {
        let below = match self.folder.as_str() {
            "" => Some(path),
            folder => path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')),
        };
        let Some(below) = below else { return false };
        !is_passed_over(below)
            && match &self.which {
                Which::Folder => !below.contains('/'),
                Which::File(file) => file == path,
                Which::Glob(glob) => glob.is_match(path),
            }
    }
}

/// Whether a path below a table's folder is none of data: hidden, our own, or still being written.
pub(super) fn is_passed_over(path: &str) -> bool {
    let unfinished = [".tmp", ".part", ".crdownload"];
    path.split('/').any(|part| part.starts_with(['.', '_']))
        || unfinished.iter().any(|end| path.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(table: &str, path: &str) -> bool {
        Name::parse(table).unwrap().has(path)
    }

    #[test]
    fn folders_files_and_patterns() {
        assert!(has("платежи", "платежи/2026 01.csv") && !has("платежи", "платежи/старые/a.csv"));
        assert!(!has("платежи", "платежи2/a.csv") && !has("платежи", "a.csv"));
        assert!(has("a/b.csv", "a/b.csv") && !has("a/b.csv", "a/b.csv.gz"));
        assert!(has("a/*.csv", "a/b.csv") && !has("a/*.csv", "a/c/b.csv") && !has("a/*.csv", "a/b.parquet"));
        assert!(has("a/**/*.parquet", "a/b/c/d.parquet") && has("a/**/*.parquet", "a/d.parquet"));
        assert!(has("*/2026-0[12].csv", "mrf1/2026-02.csv") && !has("*/2026-0[12].csv", "mrf1/2026-03.csv"));
        assert_eq!(Name::parse("a/b*/c.csv").unwrap().folder, "a");
        assert_eq!(Name::parse("*.csv").unwrap().folder, "");
    }

    #[test]
    fn what_is_not_data_is_passed_over() {
        for path in ["a/.x.csv", "a/_x.csv", "a/x.csv.tmp", "a/_vitrina/1.csv", "a/x.part"] {
            assert!(!has("a/**", path) && !has("a", path), "{path}");
        }
        assert!(has("_a", "_a/x.csv"), "whoever names it means it");
    }

    #[test]
    fn names_that_cannot_be() {
        for wrong in ["", "/a", "a/", "a//b", "../a", "a/./b", "_vitrina", "a/_vitrina/b", "a/[.csv", "a\0"] {
            assert!(Name::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Name::parse("a/*.csv").unwrap().not_written().is_some());
        assert!(Name::parse("a.csv").unwrap().not_written().is_some());
        assert!(Name::parse("Заказы \"v1.2\" o'clock").unwrap().not_written().is_none());
    }
}
