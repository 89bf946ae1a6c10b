//! Names and values in SQL. Everything that goes into a statement passes through here.

use crate::connector::error::{Error, ErrorKind, Result};

/// Bytes of a table's name: its data lies in a file of that name, spelled with escapes.
const LONGEST: usize = 200;

/// A name as SQL spells it, whatever is in it. A backslash escapes, as it does in texts.
pub(super) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// Names joined with commas, quoted.
pub(super) fn quote_all<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}

/// A table's name in SQL.
pub(super) fn qualified(database: &str, table: &str) -> String {
    format!("{}.{}", quote(database), quote(table))
}

/// A text as SQL spells it: backslashes escape there, also a quote.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\0', "\\0"))
}

/// Whether a table is book-keeping: ours, or the server's own inner tables.
pub(super) fn is_reserved(table: &str) -> bool {
    let lower = table.to_lowercase();
    lower.starts_with("_vitrina") || lower.starts_with(".inner")
}

/// Refuses names that no table of a user can have.
pub(super) fn check_table(table: &str) -> Result<()> {
    if is_reserved(table) {
        let message = format!(
            "table \"{table}\" cannot be used: names that begin with _vitrina or .inner are reserved"
        );
        return Err(Error::new(ErrorKind::Unsupported, message).hint("choose another name"));
    }
    check_name("table", table)
}

/// Refuses names that ClickHouse cannot keep.
pub(super) fn check_name(of: &str, name: &str) -> Result<()> {
    let why = match name {
        "" => "it is empty",
        _ if name.contains('\0') => "there is a NUL in it",
        _ if name.len() > LONGEST => "it is longer than 200 bytes",
        _ => return Ok(()),
    };
    let message = format!("{of} \"{}\" cannot be used: {why}", name.escape_default());
    Err(Error::new(ErrorKind::Unsupported, message).hint("choose another name"))
}

/// `did you mean "x"?`, where one of the names is near.
pub(super) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    crate::model::problem::nearest(name, names).map(|found| format!("did you mean \"{found}\"?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_stay_inside_their_quotes() {
        assert_eq!(quote(r#"Сделки "2026".a"#), r#"`Сделки "2026".a`"#);
        assert_eq!(quote(r"a` OR 1\"), r"`a\` OR 1\\`");
        assert_eq!(literal("o'Neil'; DROP TABLE t; --"), r"'o\'Neil\'; DROP TABLE t; --'");
        assert_eq!(literal(r"\' OR 1=1 --"), r"'\\\' OR 1=1 --'");
        assert_eq!(qualified("a.b", "c"), "`a.b`.`c`");
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let long = "я".repeat(101);
        for name in ["", "a\0b", long.as_str(), "_Vitrina_records", ".inner.x"] {
            assert_eq!(check_table(name).unwrap_err().kind, ErrorKind::Unsupported, "{name:?}");
        }
        assert!(check_table("crm.actions.mrf1").is_ok());
    }
}
