//! Names and values in SQL. Everything that goes into a statement passes through here, since COPY takes no parameters.

use crate::connector::error::{Error, ErrorKind, Result};

/// Bytes of a name that PostgreSQL keeps; longer ones it would cut in silence.
const LONGEST: usize = 63;

/// A name as SQL spells it, whatever is in it.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names joined with commas, quoted.
pub(crate) fn quote_all<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}

/// A text as SQL spells it. Our sessions hold `standard_conforming_strings` on, so that a backslash is a backslash; a NUL, which no
/// text of the server has, ends nothing: the server refuses the statement.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Whether a table is book-keeping: ours or the server's own.
pub(crate) fn is_reserved(table: &str) -> bool {
    let lower = table.to_lowercase();
    lower.starts_with("_vitrina") || lower.starts_with("pg_")
}

/// Refuses names that no table of a user can have.
pub(crate) fn check_table(table: &str) -> Result<()> {
    if is_reserved(table) {
        let message =
            format!("table \"{table}\" cannot be used: names that begin with _vitrina or pg_ are reserved");
        return Err(Error::new(ErrorKind::Unsupported, message).hint("choose another name"));
    }
    check_name("table", table)
}

/// Refuses names that PostgreSQL cannot keep.
pub(crate) fn check_name(of: &str, name: &str) -> Result<()> {
    let why = match name {
        "" => "it is empty",
        _ if name.contains('\0') => "there is a NUL in it",
        _ if name.len() > LONGEST => "PostgreSQL keeps 63 bytes of a name",
        _ => return Ok(()),
    };
    let message = format!("{of} \"{}\" cannot be used: {why}", name.escape_default());
    Err(Error::new(ErrorKind::Unsupported, message).hint("choose another name"))
}

/// `did you mean "x"?`, where one of the names is near.
pub(crate) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let most = name.chars().count().max(3) / 3;
    let near =
        |known: &&str| (strsim::osa_distance(&name.to_lowercase(), &known.to_lowercase()), known.len());
    let found = names.into_iter().min_by_key(near)?;
    (near(&found).0 <= most).then(|| format!("did you mean \"{found}\"?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_stay_inside_their_quotes() {
        assert_eq!(quote(r#"Сделки "2026".a"#), r#""Сделки ""2026"".a""#);
        assert_eq!(quote_all(["a", "b\""]), r#""a", "b""""#);
        assert_eq!(literal("o'Neil'; DROP TABLE t; --"), "'o''Neil''; DROP TABLE t; --'");
        assert_eq!(literal(r"\' OR 1=1"), r"'\'' OR 1=1'");
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let long = "я".repeat(32);
        for name in ["", "a\0b", long.as_str(), "_Vitrina_records", "pg_class"] {
            assert_eq!(check_table(name).unwrap_err().kind, ErrorKind::Unsupported, "{name:?}");
        }
        assert!(check_table("crm.actions.mrf1").is_ok());
        assert_eq!(nearest("actoins", ["nature", "actions"]), Some("did you mean \"actions\"?".into()));
    }
}
