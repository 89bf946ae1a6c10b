//! What a failed test says: a line each, and rows that differ as a table.

use serde_json::{Value, json};

use super::{
    super::{
        failure::Result,
        output::{self, Output, Tone, counted, printable, took},
        table::{Cell, Table},
    },
    Ran,
};
use crate::run::unit_test::{
    Failure,
    diff::{Diff, DiffCell, DiffRow},
};

/// Rows of a difference that are drawn; JSON has them all.
const ROWS_DRAWN: usize = 50;

/// One thing that is not as it was expected.
pub(super) struct Fault {
    /// In one line.
    pub message: String,
    /// Lines below it.
    details: Vec<String>,
    /// Rows that differ.
    diff: Option<Diff>,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        let of = |sheet: &Option<String>| {
            sheet.as_ref().map_or(String::new(), |sheet| format!("sheet \"{sheet}\": "))
        };
        let plain = |message: String| Self { message, details: vec![], diff: None };
        match failure {
            Failure::Rows { sheet, diff } => {
                let message = format!("{}{}", of(&sheet), summary(&diff));
                Self { message, details: vec![], diff: Some(diff) }
            }
            Failure::Columns { sheet, missing, found } => Self {
                message: format!("{}the rows have no column {}", of(&sheet), listed(&missing)),
                details: vec![format!("there are {}", listed(&found))],
                diff: None,
            },
            Failure::DeadLetters { expected, found, reasons } => Self {
                message: format!("{}, expected {expected}", counted(found, "dead letter")),
                details: reasons,
                diff: None,
            },
            Failure::Failed { expected: None, message } => plain(format!("the run failed: {message}")),
            Failure::Failed { expected: Some(expected), message } => Self {
                message: format!("the run failed, and does not say `{expected}`"),
                details: vec![format!("it says: {message}")],
                diff: None,
            },
            Failure::Succeeded { expected } => {
                plain(format!("the run ended well, expected to fail with `{expected}`"))
            }
        }
    }
}

impl Fault {
    /// For programs.
    pub(super) fn json(&self) -> Value {
        let mut told = json!({ "message": self.message });
        if !self.details.is_empty() {
            told["details"] = json!(self.details);
        }
        if let Some(diff) = &self.diff {
            told["columns"] = json!(diff.columns);
            told["equal"] = json!(diff.equal);
            told["rows"] = diff.rows.iter().map(row_json).collect();
        }
        told
    }

    /// For people, without colours and borders.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.details.iter().map(|line| printable(line)).collect();
        for row in self.diff.iter().flat_map(|diff| &diff.rows) {
            let (mark, cells) = marked(row);
            let cells: Vec<&str> = cells.iter().map(|(text, _)| text.as_str()).collect();
            lines.push(format!("{mark} {}", cells.join(",")));
        }
        lines
    }
}

/// Tells a test's result.
pub(super) fn text(ran: &Ran, output: Output) -> Result {
    let results = output.results;
    let name = format!("{}  {}", printable(&ran.of), printable(&ran.name));
    if ran.passed() {
        let about = results.paint(&format!("({})", took(ran.took)), Tone::Dim);
        return output::print(&format!("{}  {name} {about}", results.paint("ok  ", Tone::Good)));
    }
    output::print(&format!("{}  {name}", results.paint("FAIL", Tone::Bad)))?;
    output::print(&format!("      {}", results.paint(&printable(&ran.place()), Tone::Dim)))?;
    for fault in &ran.faults {
        output::print(&format!("      {}", printable(&fault.message)))?;
        for line in &fault.details {
            output::print(&format!("        {}", printable(line)))?;
        }
        if let Some(diff) = &fault.diff {
            table(diff).print(output)?;
            if diff.rows.len() > ROWS_DRAWN {
                let more = counted((diff.rows.len() - ROWS_DRAWN) as u64, "further row");
                output::print(&format!("      and {more} (--format json tells all)"))?;
            }
        }
    }
    Ok(())
}

/// `2 rows as expected, 1 missing, 1 changed`
fn summary(diff: &Diff) -> String {
    let mut parts = vec![format!("{} as expected", counted(diff.equal as u64, "row"))];
    for (name, mark) in [("missing", "-"), ("unexpected", "+"), ("changed", "~")] {
        let number = diff.rows.iter().filter(|row| marked(row).0 == mark).count();
        if number > 0 {
            parts.push(format!("{number} {name}"));
        }
    }
    parts.join(", ")
}

fn table(diff: &Diff) -> Table {
    let columns = std::iter::once(String::new()).chain(diff.columns.iter().cloned());
    let mut table = Table::of_columns(columns.map(|name| (name, false)));
    for row in diff.rows.iter().take(ROWS_DRAWN) {
        let (mark, cells) = marked(row);
        let tone = match row {
            DiffRow::Missing(_) => Tone::Bad,
            DiffRow::Unexpected(_) | DiffRow::Changed(_) => Tone::Warn,
        };
        let cells =
            cells.into_iter().map(|(text, differs)| Cell::new(text, if differs { tone } else { Tone::Dim }));
        table.row(std::iter::once(Cell::new(mark, tone)).chain(cells));
    }
    table
}

/// A row's mark (`-` missing, `+` unexpected, `~` changed), its cells, and whether each is at fault.
fn marked(row: &DiffRow) -> (&'static str, Vec<(String, bool)>) {
    let all = |cells: &[String]| cells.iter().map(|cell| (cell.clone(), true)).collect();
    match row {
        DiffRow::Missing(cells) => ("-", all(cells)),
        DiffRow::Unexpected(cells) => ("+", all(cells)),
        DiffRow::Changed(cells) => {
            let cell = |cell: &DiffCell| match cell {
                DiffCell::Same(text) => (text.clone(), false),
                DiffCell::Other { expected, found } => (format!("{expected} → {found}"), true),
            };
            ("~", cells.iter().map(cell).collect())
        }
    }
}

fn row_json(row: &DiffRow) -> Value {
    match row {
        DiffRow::Missing(cells) => json!({ "missing": cells }),
        DiffRow::Unexpected(cells) => json!({ "unexpected": cells }),
        DiffRow::Changed(cells) => {
            let of = |pick: fn(&DiffCell) -> &String| cells.iter().map(pick).cloned().collect::<Vec<_>>();
            json!({
                "expected": of(|cell| match cell {
                    DiffCell::Same(text) | DiffCell::Other { expected: text, .. } => text,
                }),
                "found": of(|cell| match cell {
                    DiffCell::Same(text) | DiffCell::Other { found: text, .. } => text,
                }),
            })
        }
    }
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
