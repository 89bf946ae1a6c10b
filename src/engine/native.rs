//! SQL that one place runs as it stands (`native = true`).
//!
//! The text is not planned and not rewritten, but for two things that the place cannot know: the project's names of its tables become its own, and
//! parameters become placeholders, whose values are bound.

use std::{ops::Range, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::{catalog::TableProvider, execution::SendableRecordBatchStream, sql::sqlparser::ast};

use super::{
    check::unknown_parameters,
    params::Params,
    parse::{self, Parsed},
    reads::reads,
    session::{Engine, mistake},
    typing::{Finding, ParamTypes, Runs, TableName, TableUse, Typed},
};
use crate::connector::{
    error::Result,
    executor::{Estimate, Executor, Statement, remote},
};

/// Judges SQL that is sent as it stands: its syntax, its parameters, and that all its tables lie in one place that runs SQL.
pub(super) fn check(sql: &str, place: &dyn Fn(&TableName) -> Runs, params: &ParamTypes) -> Typed {
    let parsed = match parse::native(sql) {
        Ok(parsed) => parsed,
        Err(finding) => return Typed { findings: vec![finding], ..Typed::default() },
    };
    let tables = reads(&parsed.tree, sql).tables;
    let mut findings = unknown_parameters(&parsed.parameters, params);
    let mut first: Option<String> = None;
    for table in &tables {
        match (place(&table.name), &first) {
            (Runs::In(place), None) => first = Some(place),
            (Runs::In(place), Some(first)) if place == *first => {}
            (Runs::In(_), Some(first)) => {
                let message =
                    format!("native SQL is sent to one place, and {} does not lie in {first}", table.name);
                findings.push(finding(table, message, "take `native` off: then Vitrina joins them itself"));
            }
            (Runs::No(why), _) => {
                let message = format!("native SQL cannot read {}: {why}", table.name);
                findings.push(finding(table, message, "take `native` off: then Vitrina computes it itself"));
            }
        }
    }
    if tables.is_empty() {
        findings.push(nowhere(sql));
    }
    findings.sort_by_key(|finding| (finding.span.start, finding.span.end));
    Typed { schema: None, tables, parameters: parsed.parameters, findings }
}

/// The tables that native SQL names, each once; empty where it does not parse.
pub(super) fn tables(sql: &str) -> Vec<TableName> {
    let Ok(parsed) = parse::native(sql) else { return vec![] };
    let mut names: Vec<TableName> =
        reads(&parsed.tree, sql).tables.into_iter().map(|table| table.name).collect();
    names.sort();
    names.dedup();
    names
}

impl Engine {
    /// Runs SQL as it stands, in the one place whose tables it names.
    pub async fn native(&self, sql: &str, params: &Params) -> Result<SendableRecordBatchStream> {
        let (executor, statement) = self.native_statement(sql, params).await?;
        let (statement, schema) = executor.described(&statement).await?;
        Ok(executor.rows(&statement, &schema))
    }

    /// The SQL as one statement of the connection `place`, where it is that place's: columns by name, as it stands.
    pub async fn native_whole(
        &self,
        sql: &str,
        params: &Params,
        place: &str,
    ) -> Result<Option<(Statement, SchemaRef)>> {
        let (executor, statement) = self.native_statement(sql, params).await?;
        if executor.place() != place {
            return Ok(None);
        }
        let (_, schema) = executor.described(&statement).await?;
        Ok(Some((statement, schema)))
    }

    /// What is sent for it, for people.
    pub async fn explain_native(&self, sql: &str, params: &Params) -> Result<String> {
        let (executor, statement) = self.native_statement(sql, params).await?;
        Ok(format!("SentScan: {} ({executor:?}, as it stands)", statement.sql.trim()))
    }

    /// What it would read, as far as its place tells.
    pub async fn estimate_native(&self, sql: &str, params: &Params) -> Result<Vec<Estimate>> {
        let (executor, statement) = self.native_statement(sql, params).await?;
        executor.estimate(&statement).await
    }

    async fn native_statement(&self, sql: &str, params: &Params) -> Result<(Arc<dyn Executor>, Statement)> {
        let parsed = parse::native(sql).map_err(|finding| mistake(sql, &finding))?;
        let tables = reads(&parsed.tree, sql).tables;
        let mut executor: Option<Arc<dyn Executor>> = None;
        let mut edits = vec![];
        for table in &tables {
            let provider = self.lookup.table(&table.name, &[]).await?;
            let (found, name) = place(provider.as_ref(), table).map_err(|finding| mistake(sql, &finding))?;
            edits.push((table.span.clone(), name));
            match &executor {
                Some(first) if first.place() != found.place() => {
                    let message =
                        format!("native SQL is sent to one place, and {} lies in another", table.name);
                    return Err(mistake(sql, &finding(table, message, "take `native` off")));
                }
                _ => executor = Some(found),
            }
        }
        let executor = executor.ok_or_else(|| mistake(sql, &nowhere(sql)))?;
        let values =
            bound(&parsed, params, &executor, &mut edits).map_err(|finding| mistake(sql, &finding))?;
        Ok((executor, Statement { sql: edited(sql, edits), values }))
    }
}

/// Where a table lies, and its name there.
fn place(provider: &dyn TableProvider, table: &TableUse) -> Result<(Arc<dyn Executor>, String), Finding> {
    let Some(found) = remote(provider) else {
        let message = format!("native SQL cannot read {}: it lies in no database that runs SQL", table.name);
        return Err(finding(table, message, "take `native` off: then Vitrina computes it itself"));
    };
    Ok((found.executor.clone(), found.name.clone()))
}

type Edits = Vec<(Range<usize>, String)>;

/// A placeholder for every mention of a parameter.
fn bound(
    parsed: &Parsed<ast::Query>,
    params: &Params,
    executor: &Arc<dyn Executor>,
    edits: &mut Edits,
) -> Result<Vec<datafusion::scalar::ScalarValue>, Finding> {
    let mut values = vec![];
    for (name, span) in &parsed.parameters {
        let wrong = |message: String| Finding::new(span.clone(), "sql-unknown-parameter", message);
        let value = params.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let value = value.ok_or_else(|| wrong(format!("there is no parameter `:{name}`")))?;
        let placeholder = executor.dialect().placeholder(values.len() + 1, &value);
        let placeholder = placeholder.ok_or_else(|| wrong(format!("`:{name}` cannot be sent as it is")))?;
        edits.push((span.clone(), placeholder));
        values.push(value);
    }
    Ok(values)
}

/// The text with its edits; without the semicolon at its end.
fn edited(sql: &str, mut edits: Edits) -> String {
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut text = sql.to_owned();
    for (span, replacement) in edits {
        text.replace_range(span, &replacement);
    }
    let end = text.trim_end().trim_end_matches(';').trim_end().len();
    text.truncate(end);
    text
}

fn finding(table: &TableUse, message: String, hint: &str) -> Finding {
    Finding::new(table.span.clone(), "sql-not-native", message).hint(hint)
}

fn nowhere(sql: &str) -> Finding {
    let message = "native SQL names no table, so there is no connection to send it to";
    Finding::new(parse::Places::new(sql).whole(), "sql-not-native", message).hint("take `native` off")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(sql: &str) -> Vec<String> {
        let place = |name: &TableName| match name.parts[0].as_str() {
            "mart" => Runs::No("it is a mart".to_owned()),
            place => Runs::In(place.to_owned()),
        };
        let params = ParamTypes::from([("region".to_owned(), arrow::datatypes::DataType::Utf8)]);
        let typed = check(sql, &place, &params);
        typed
            .findings
            .iter()
            .map(|finding| format!("{}: {}", &sql[finding.span.clone()], finding.message))
            .collect()
    }

    #[test]
    fn one_place_and_no_other() {
        assert!(findings("SELECT DISTINCT ON (x) x::text, $$;:y$$ FROM wh.\"Т.1\" t JOIN wh.b ON true WHERE r = :region").is_empty());
        assert_eq!(
            findings("SELECT * FROM wh.a, crm.b, mart.c WHERE x = :regoin"),
            [
                "crm.b: native SQL is sent to one place, and crm.b does not lie in wh",
                "mart.c: native SQL cannot read mart.c: it is a mart",
                ":regoin: there is no parameter `:regoin`"
            ]
        );
        assert_eq!(findings("SELECT 1").len(), 1);
        assert!(findings("DELETE FROM wh.a")[0].contains("only a query"));
    }

    #[test]
    fn edits_are_made_in_place() {
        let sql = "SELECT :a, 'я:a' FROM w.t WHERE x = :a;\n";
        let (a, b) = (sql.find(":a").unwrap(), sql.rfind(":a").unwrap());
        let t = sql.find("w.t").unwrap();
        let edits =
            vec![(t..t + 3, "\"t\"".to_owned()), (a..a + 2, "$1".to_owned()), (b..b + 2, "$2".to_owned())];
        assert_eq!(edited(sql, edits), "SELECT $1, 'я:a' FROM \"t\" WHERE x = $2");
    }
}
