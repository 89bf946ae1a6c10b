//! `[[check]]` of a mart: each becomes a question about the staged rows; most of them a query that gives the rows which break it.

use std::collections::HashSet;

use indexmap::IndexMap;

use super::{report::Report, value};
use crate::{
    config::{
        files::JobFile,
        project::{Check, Rule, Sql},
        raw::{
            check::{Check as RawCheck, Range},
            mart::MartFile,
            pipeline::Scalar,
        },
        tree::Node,
    },
    engine::typing::query_tables,
    model::value::Value,
};

/// The checks of a mart that say what they ask.
pub(crate) fn checks(file: &JobFile<MartFile>, report: &mut Report<'_>) -> Vec<Check> {
    let mut names = HashSet::new();
    let mut checks = vec![];
    for (raw, node) in file.raw.check.iter().zip(file.tree.at(&["check"]).items()) {
        let Some((shown, rule)) = rule(raw, node, report) else { continue };
        let name = raw.name.clone().unwrap_or(shown);
        if !names.insert(name.clone()) {
            let message = format!("there are two checks of the name `{name}`");
            report.value(
                node.get("name").unwrap_or(node),
                "duplicate-name",
                message,
                "give one of them another `name`",
            );
            continue;
        }
        checks.push(Check { name, severity: raw.severity, rule });
    }
    checks
}

/// What stands at `node` asks exactly one thing.
fn rule(raw: &RawCheck, node: &Node, report: &mut Report<'_>) -> Option<(String, Rule)> {
    const RULES: [&str; 8] =
        ["unique", "not_null", "accepted", "range", "relationship", "row_count", "sql", "freshness"];
    let told: Vec<&str> = RULES.into_iter().filter(|key| node.get(key).is_some()).collect();
    let [key] = told.as_slice() else {
        let message = match told.as_slice() {
            [] => "this check asks nothing".to_owned(),
            _ => format!("this check asks several things: {}", told.join(", ")),
        };
        report.value(node, "bad-check", message, format!("expected one of {}", RULES.join(", ")));
        return None;
    };
    let mut query = Query { sql: None, values: IndexMap::new() };
    let shown = match *key {
        "unique" => query.unique(&raw.unique),
        "not_null" => query.not_null(&raw.not_null),
        "accepted" => query.accepted(&raw.accepted),
        "range" => query.range(&raw.range),
        "relationship" => query.relationship(&raw.relationship),
        "row_count" => {
            let count = raw.row_count.as_ref()?;
            let (min, max) = (count.min.unwrap_or(0), count.max.unwrap_or(u64::MAX));
            if min > max || (count.min, count.max) == (None, None) {
                report.value(
                    node.at(&["row_count"]),
                    "bad-check",
                    "no number of rows is meant",
                    "give `min`, `max` or both",
                );
                return None;
            }
            return Some((
                format!("row_count {}", between(count.min, count.max)),
                Rule::RowCount { min, max },
            ));
        }
        "freshness" => {
            let (column, within) = match raw.freshness.iter().collect::<Vec<_>>().as_slice() {
                [(column, within)] => ((*column).clone(), **within),
                _ => {
                    report.value(
                        node.at(&["freshness"]),
                        "bad-check",
                        "`freshness` names one column",
                        "make several checks of it",
                    );
                    return None;
                }
            };
            return Some((format!("freshness of {column}"), Rule::Newest { column, within }));
        }
        _ => {
            let text = raw.sql.clone().unwrap_or_default();
            query.sql = Some(text);
            Some("sql".to_owned())
        }
    };
    let Some(sql) = query.sql.filter(|_| shown.is_some()) else {
        report.value(node.at(&[key]), "bad-check", format!("`{key}` names nothing"), "");
        return None;
    };
    let sql = Sql { text: sql, path: node.file.to_path_buf(), native: false };
    Some((shown?, Rule::NoRows { sql, values: query.values }))
}

/// A query that gives the rows which break a rule.
struct Query {
    sql: Option<String>,
    values: IndexMap<String, Value>,
}

impl Query {
    /// A value, as the SQL names it.
    fn value(&mut self, scalar: &Scalar) -> String {
        let name = format!("check.v{}", self.values.len() + 1);
        let sql = format!(":{name}");
        self.values.insert(name, value::value(scalar));
        sql
    }

    fn rows_with(&mut self, terms: &[String]) {
        self.sql = Some(format!("SELECT * FROM this WHERE {}", terms.join(" OR ")));
    }

    fn unique(&mut self, columns: &[String]) -> Option<String> {
        let names: Vec<String> = columns.iter().map(|name| in_quotes(name)).collect();
        let names = names.join(", ");
        self.sql =
            Some(format!("SELECT {names}, count(*) AS rows FROM this GROUP BY {names} HAVING count(*) > 1"));
        (!columns.is_empty()).then(|| format!("unique {}", columns.join(", ")))
    }

    fn not_null(&mut self, columns: &[String]) -> Option<String> {
        let terms: Vec<String> = columns.iter().map(|name| format!("{} IS NULL", in_quotes(name))).collect();
        self.rows_with(&terms);
        (!columns.is_empty()).then(|| format!("not_null {}", columns.join(", ")))
    }

    fn accepted(&mut self, columns: &IndexMap<String, Vec<Scalar>>) -> Option<String> {
        let mut terms = vec![];
        for (name, values) in columns {
            let values: Vec<String> = values.iter().map(|value| self.value(value)).collect();
            if values.is_empty() {
                return None;
            }
            terms.push(format!("{} NOT IN ({})", in_quotes(name), values.join(", ")));
        }
        self.rows_with(&terms);
        shown("accepted", columns)
    }

    fn range(&mut self, columns: &IndexMap<String, Range>) -> Option<String> {
        let mut terms = vec![];
        for (name, range) in columns {
            let ends = [("<", &range.min), (">", &range.max)];
            for (operator, end) in ends {
                if let Some(end) = end {
                    terms.push(format!("{} {operator} {}", in_quotes(name), self.value(end)));
                }
            }
            if range.min.is_none() && range.max.is_none() {
                return None;
            }
        }
        self.rows_with(&terms);
        shown("range", columns)
    }

    fn relationship(&mut self, columns: &IndexMap<String, String>) -> Option<String> {
        let mut terms = vec![];
        for (name, other) in columns {
            let (table, column) = table_and_column(other)?;
            let name = in_quotes(name);
            terms.push(format!(
                "SELECT * FROM this WHERE this.{name} IS NOT NULL \
                 AND NOT EXISTS (SELECT 1 FROM {table} AS other WHERE other.{column} = this.{name})"
            ));
        }
        self.sql = Some(terms.join(" UNION ALL "));
        shown("relationship", columns)
    }
}

fn shown<T>(rule: &str, columns: &IndexMap<String, T>) -> Option<String> {
    let names: Vec<&str> = columns.keys().map(String::as_str).collect();
    (!names.is_empty()).then(|| format!("{rule} {}", names.join(", ")))
}

fn between(min: Option<u64>, max: Option<u64>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => String::new(),
    }
}

/// A name in SQL: a column may be called `order`.
fn in_quotes(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `mart.content.tv_id` → `mart.content` and `tv_id`, each as SQL spells it.
fn table_and_column(text: &str) -> Option<(String, String)> {
    let found = query_tables(&format!("SELECT 1 FROM {text}"));
    let [name] = found.as_slice() else { return None };
    let (column, table) = name.parts.split_last().filter(|(_, table)| table.len() > 1)?;
    let table: Vec<String> = table.iter().map(|part| in_quotes(part)).collect();
    Some((table.join("."), in_quotes(column)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_another_table() {
        let found = |text: &str| table_and_column(text);
        let expected = Some(("\"mart\".\"content\"".into(), "\"tv_id\"".into()));
        assert_eq!(found("mart.content.tv_id"), expected);
        let expected = Some(("\"stream\".\"crm.actions\"".into(), "\"id\"".into()));
        assert_eq!(found("stream.\"crm.actions\".id"), expected);
        assert_eq!(found("content.tv_id"), None);
        assert_eq!(found("a; DROP TABLE b"), None);
    }
}
