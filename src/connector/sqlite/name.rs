//! Names in SQL: quoted, refused, or likened to those that exist.

use crate::connector::error::{Error, ErrorKind, Result};

/// The key of a log: its tables are read by it, and it is not one of their columns.
pub(super) const OFFSET: &str = "_offset";

/// A name as SQL spells it, whatever is in it.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names joined with commas, quoted.
pub(super) fn quote_all<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}

/// Whether a table is book-keeping: ours or SQLite's own.
pub(super) fn is_reserved(table: &str) -> bool {
    let lower = table.to_ascii_lowercase();
    lower.starts_with("_vitrina") || lower.starts_with("sqlite_")
}

/// Refuses names that no table of a user can have.
pub(super) fn check_table(table: &str) -> Result<()> {
    if is_reserved(table) {
        let message = format!(
            "table \"{table}\" cannot be used: names that begin with _vitrina or sqlite_ are reserved"
        );
        return Err(Error::new(ErrorKind::Unsupported, message).hint("choose another name"));
    }
    check_name("table", table)
}

/// Refuses names that SQLite cannot keep.
pub(super) fn check_name(of: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.contains('\0') {
        let message =
            format!("{of} \"{}\" cannot be used: empty, or with a NUL in it", name.escape_default());
        return Err(Error::new(ErrorKind::Unsupported, message).hint("choose another name"));
    }
    Ok(())
}

/// `did you mean "x"?`, where one of the names is near.
pub(super) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let most = name.chars().count().max(3) / 3;
    let near =
        |known: &&str| (strsim::osa_distance(&name.to_lowercase(), &known.to_lowercase()), known.len());
    let found = names.into_iter().min_by_key(near)?;
    (near(&found).0 <= most).then(|| format!("did you mean \"{found}\"?"))
}

/// Whether there is a table of this very name. Asked in SQL: rusqlite's `table_exists` answers from the schema that an idle connection remembers.
pub(super) fn has_table(connection: &rusqlite::Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    connection.prepare_cached(sql)?.exists([name])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(quote(r#"Сделки "2026".a"#), r#""Сделки ""2026"".a""#);
        assert!(check_table("_Vitrina_records").is_err());
        assert!(check_table("sqlite_stat1").is_err());
        assert!(check_table("").is_err());
        assert!(check_table("crm.actions.mrf1").is_ok());
        assert_eq!(nearest("actoins", ["nature", "actions"]), Some("did you mean \"actions\"?".into()));
        assert_eq!(nearest("Клиенты", ["клиенты"]), Some("did you mean \"клиенты\"?".into()));
        assert_eq!(nearest("x", ["actions"]), None);
    }
}
