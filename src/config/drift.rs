//! What is other in one `schemas.lock` than in another.

use std::fmt;

use super::lock::{FILE, LockedColumn, LockedTable};

/// One thing that is other: a column, or the table where no column is named. `None` on one side = it is not there.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The profile whose connection was asked.
    pub profile: String,
    /// The connection.
    pub connection: String,
    /// The schema (database file), where the connection has several.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
    /// The column.
    pub column: Option<String>,
    /// As it is in the file.
    pub locked: Option<String>,
    /// As the place has it.
    pub live: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "not there".to_owned());
        if let Some(column) = &self.column {
            write!(f, "column `{column}`: ")?;
        }
        write!(f, "{} in {FILE}, {} now", side(&self.locked), side(&self.live))
    }
}

/// Every difference, table by table, those that are gone first.
pub fn drift(locked: &[LockedTable], live: &[LockedTable]) -> Vec<Difference> {
    let find = |tables: &[LockedTable], wanted: &LockedTable| {
        tables.iter().find(|table| table.place() == wanted.place()).cloned()
    };
    let gone = locked.iter().filter(|table| find(live, table).is_none());
    let mut differences: Vec<Difference> =
        gone.map(|table| other(table, None, Some(shape(table)), None)).collect();
    for table in live {
        match find(locked, table) {
            None => differences.push(other(table, None, None, Some(shape(table)))),
            Some(before) => columns(&before, table, &mut differences),
        }
    }
    differences
}

fn columns(locked: &LockedTable, live: &LockedTable, differences: &mut Vec<Difference>) {
    let before = differences.len();
    let find = |table: &LockedTable, name: &str| {
        table.columns.iter().find(|column| column.name == name).map(spelled)
    };
    let new = live.columns.iter().filter(|column| find(locked, &column.name).is_none());
    for column in locked.columns.iter().chain(new) {
        let (was, is) = (find(locked, &column.name), find(live, &column.name));
        if was != is {
            differences.push(other(live, Some(&column.name), was, is));
        }
    }
    let facts = |table: &LockedTable| {
        let indexed = table.indexed.as_ref().map(|names| format!(", indexed ({})", names.join(", ")));
        format!("{}, key ({}){}", table.kind, table.key.join(", "), indexed.unwrap_or_default())
    };
    if facts(locked) != facts(live) {
        differences.push(other(live, None, Some(facts(locked)), Some(facts(live))));
    }
    let order = |table: &LockedTable| {
        table.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>().join(", ")
    };
    // The same columns in another order: `SELECT *` is another then.
    if differences.len() == before && order(locked) != order(live) {
        differences.push(other(live, None, Some(order(locked)), Some(order(live))));
    }
}

fn spelled(column: &LockedColumn) -> String {
    format!("{}{}", column.kind, if column.nullable { ", nullable" } else { "" })
}

fn shape(table: &LockedTable) -> String {
    let columns = table.columns.len();
    format!("{columns} column{}", if columns == 1 { "" } else { "s" })
}

fn other(
    table: &LockedTable,
    column: Option<&str>,
    locked: Option<String>,
    live: Option<String>,
) -> Difference {
    Difference {
        profile: table.profile.clone(),
        connection: table.connection.clone(),
        schema: table.schema.clone(),
        table: table.table.clone(),
        column: column.map(str::to_owned),
        locked,
        live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, columns: &[(&str, &str, bool)]) -> LockedTable {
        let column = |&(name, kind, nullable): &(&str, &str, bool)| LockedColumn {
            name: name.to_owned(),
            kind: kind.parse().unwrap(),
            nullable,
        };
        LockedTable {
            profile: "default".to_owned(),
            connection: "shop".to_owned(),
            kind: "sqlite".to_owned(),
            schema: None,
            table: name.to_owned(),
            key: vec![],
            indexed: None,
            columns: columns.iter().map(column).collect(),
        }
    }

    fn told(locked: &[LockedTable], live: &[LockedTable]) -> Vec<String> {
        let text = |difference: Difference| {
            let side = |side: Option<String>| side.unwrap_or_else(|| "-".to_owned());
            let column = difference.column.unwrap_or_default();
            format!("{}.{column}: {} → {}", difference.table, side(difference.locked), side(difference.live))
        };
        drift(locked, live).into_iter().map(text).collect()
    }

    #[test]
    fn every_difference_is_told() {
        let t = |columns: &[(&str, &str, bool)]| table("t", columns);
        let (a, b) = (("a", "int64", false), ("b", "text", true));
        assert_eq!(told(&[t(&[a, b])], &[t(&[a, b])]), Vec::<String>::new());
        assert_eq!(told(&[t(&[a])], &[t(&[a, b])]), ["t.b: - → text, nullable"]);
        assert_eq!(told(&[t(&[a, b])], &[t(&[a])]), ["t.b: text, nullable → -"]);
        assert_eq!(told(&[t(&[a])], &[t(&[("a", "int32", true)])]), ["t.a: int64 → int32, nullable"]);
        assert_eq!(told(&[t(&[a, b])], &[t(&[b, a])]), ["t.: a, b → b, a"]);
        assert_eq!(told(&[t(&[a])], &[table("u", &[a, b])]), ["t.: 1 column → -", "u.: - → 2 columns"]);
        let keyed = LockedTable { key: vec!["a".to_owned()], ..t(&[a]) };
        assert_eq!(told(&[t(&[a])], &[keyed]), ["t.: sqlite, key () → sqlite, key (a)"]);
    }
}
