//! What a test expects: rows of the target or of sheets, dead letters, or an error.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::{Case, Judge, Subject};
use crate::{
    config::{
        project::{BadRowPolicy, Sheet},
        raw::test::ExpectedRows,
        resolve::{matrix::meant, report::Report, typing::workbook_params},
        tree::Node,
        unit_test::{Expect, ExpectedTable},
    },
    engine::typing::check_sql,
};

impl Judge<'_> {
    /// What must come of a test; `None` = nothing, or nothing that can be, which was reported.
    pub(super) fn expect(&self, case: &Case<'_>, report: &mut Report<'_>) -> Option<Expect> {
        let Case { raw, node, .. } = case;
        if let Some(text) = &raw.expect_error {
            if raw.expect.is_some() || raw.expect_dead_letters.is_some() {
                let message = "a run that fails writes no rows and no dead letters";
                report.key(node.at(&["expect_error"]), "conflicting-keys", message, "make two tests of it");
            }
            if text.trim().is_empty() {
                let message = "`expect_error` is empty: any run would say that";
                report.value(
                    node.at(&["expect_error"]),
                    "no-expectation",
                    message,
                    "write a part of the message",
                );
            }
            return Some(Expect::Error(text.clone()));
        }
        if raw.expect.is_none() && raw.expect_dead_letters.is_none() {
            let hint = "write `expect`, `expect_dead_letters` or `expect_error`";
            report.value(node.at(&["name"]), "no-expectation", "this test expects nothing", hint);
            return None;
        }
        self.dead_letters(case, report);
        Some(Expect::Done {
            rows: self.expected(case, report),
            ordered: raw.ordered,
            dead_letters: raw.expect_dead_letters.unwrap_or(0),
        })
    }

    fn dead_letters(&self, case: &Case<'_>, report: &mut Report<'_>) {
        if case.raw.expect_dead_letters.is_none() {
            return;
        }
        let why = match case.subject {
            Subject::Mart(_) => "a mart has no dead letters: a row that does not fit fails it",
            Subject::Pipeline(member) => match member.bad_rows.policy {
                BadRowPolicy::DeadLetter => return,
                BadRowPolicy::Stop => "a bad row stops this pipeline",
                BadRowPolicy::Skip => "bad rows of this pipeline are left out, and no dead letters",
            },
        };
        let node = case.node.at(&["expect_dead_letters"]);
        report.key(node, "no-dead-letters", why, "");
    }

    fn expected(&self, case: &Case<'_>, report: &mut Report<'_>) -> Vec<ExpectedTable> {
        let node = case.node.at(&["expect"]);
        match (&case.raw.expect, case.subject.workbook()) {
            (None, _) => vec![],
            (Some(ExpectedRows::Rows(text)), None) => {
                let found = self.expected_rows(text, node, case.subject.output(), None, report);
                found.into_iter().collect()
            }
            (Some(ExpectedRows::Sheets(sheets)), Some((workbook, _))) => {
                let mut found = vec![];
                for (name, text) in sheets {
                    let node = node.at(&[name]);
                    let Some(sheet) = workbook.sheets.iter().find(|sheet| sheet.name == *name) else {
                        let names: Vec<&str> =
                            workbook.sheets.iter().map(|sheet| sheet.name.as_str()).collect();
                        report.key(
                            node,
                            "unknown-sheet",
                            format!("there is no sheet `{name}`"),
                            meant(name, &names),
                        );
                        continue;
                    };
                    let schema = self.sheet_columns(case, sheet);
                    found.extend(self.expected_rows(text, node, schema.as_ref(), Some(name.clone()), report));
                }
                found
            }
            (Some(ExpectedRows::Rows(_)), Some((workbook, _))) => {
                let first = workbook.sheets.first().map_or("", |sheet| sheet.name.as_str());
                let hint = format!("expect.{first:?} = \"…\"");
                report.value(node, "wrong-type", "rows of a workbook are expected by sheet", hint);
                vec![]
            }
            (Some(ExpectedRows::Sheets(_)), None) => {
                report.value(node, "wrong-type", "a table has no sheets: `expect` is its rows", "");
                vec![]
            }
        }
    }

    /// The columns of a sheet, where they are known.
    fn sheet_columns(&self, case: &Case<'_>, sheet: &Sheet) -> Option<SchemaRef> {
        let (workbook, facts) = case.subject.workbook()?;
        let tables = |name: &_| self.relations.known(name, None);
        let params = workbook_params(workbook, facts);
        check_sql(&sheet.sql.text, &tables, &params, self.project.zone).schema
    }

    fn expected_rows(
        &self,
        text: &str,
        node: &Node,
        schema: Option<&SchemaRef>,
        sheet: Option<String>,
        report: &mut Report<'_>,
    ) -> Option<ExpectedTable> {
        let rows = Self::rows(text, node, report)?;
        if let Some(schema) = schema {
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let mut fields: Vec<Field> = vec![];
            for column in &rows.columns {
                match schema.field_with_name(&column.name) {
                    Ok(field) => fields.push(field.clone()),
                    Err(_) => {
                        let message = format!("the rows have no column `{}`", column.name);
                        let hint = meant(&column.name, &names);
                        report.within(node, column.span.clone(), "unknown-column", message, hint);
                    }
                }
            }
            self.cells(&rows, &Arc::new(Schema::new(fields)), node, report);
        }
        Some(ExpectedTable { sheet, rows })
    }
}
