//! A range of rows by their keys, as SQL: after one tuple, up to and with another.

use rusqlite::types::Value as Raw;

use super::name::quote;

/// Where a range begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Lower {
    /// At the first row.
    Open,
    /// Behind every row whose keys begin with these.
    After(Vec<Raw>),
    /// At the first row whose first key is at least this.
    From(Raw),
}

/// Rows between two bounds; without an upper one, to the last row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Range {
    pub(super) lower: Lower,
    pub(super) upper: Option<Vec<Raw>>,
}

impl Range {
    /// Every row.
    pub(super) const ALL: Self = Self { lower: Lower::Open, upper: None };

    /// The condition over key columns, beginning with ` WHERE` where there is one, and its parameters.
    pub(super) fn condition(&self, keys: &[&str]) -> (String, Vec<Raw>) {
        let mut parts = vec![];
        let mut parameters = vec![];
        match &self.lower {
            Lower::Open => {}
            Lower::After(tuple) => parts.push(comparison(keys, ">", tuple, &mut parameters)),
            Lower::From(first) => {
                parts.push(comparison(keys, ">=", std::slice::from_ref(first), &mut parameters));
            }
        }
        if let Some(tuple) = &self.upper {
            parts.push(comparison(keys, "<=", tuple, &mut parameters));
        }
        let sql = if parts.is_empty() { String::new() } else { format!(" WHERE {}", parts.join(" AND ")) };
        (sql, parameters)
    }
}

/// `ORDER BY` over key columns; nothing over none.
pub(super) fn order_by(keys: &[&str], direction: &str) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let terms: Vec<String> = keys.iter().map(|key| format!("{}{direction}", quote(key))).collect();
    format!(" ORDER BY {}", terms.join(", "))
}

fn comparison(keys: &[&str], operator: &str, tuple: &[Raw], parameters: &mut Vec<Raw>) -> String {
    parameters.extend_from_slice(tuple);
    let columns: Vec<String> = keys[..tuple.len()].iter().map(|key| quote(key)).collect();
    match columns.as_slice() {
        [column] => format!("{column} {operator} ?"),
        columns => {
            let marks = vec!["?"; columns.len()].join(", ");
            format!("({}) {operator} ({marks})", columns.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        let one = Raw::Integer(1);
        let range =
            Range { lower: Lower::After(vec![one.clone()]), upper: Some(vec![one.clone(), one.clone()]) };
        let (sql, parameters) = range.condition(&["at", "a\"b"]);
        assert_eq!(sql, r#" WHERE "at" > ? AND ("at", "a""b") <= (?, ?)"#);
        assert_eq!(parameters.len(), 3);
        assert_eq!(Range::ALL.condition(&["at"]).0, "");
        let range = Range { lower: Lower::From(one), upper: None };
        assert_eq!(range.condition(&["at", "id"]).0, r#" WHERE "at" >= ?"#);
        assert_eq!(order_by(&["at", "id"], " DESC"), r#" ORDER BY "at" DESC, "id" DESC"#);
    }
}
