//! Problems for people and for programs.

use std::{
    fmt::{self, Write as _},
    ops::Range,
    sync::Arc,
};

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity as Level,
    SourceCode, ThemeStyles,
};
use serde_json::{Value as Json, json};

use super::Sources;
use crate::model::problem::{Problem, Severity};

/// Columns that a drawing has at least.
const NARROWEST: usize = 40;

/// Draws a problem over the lines that it is about.
pub fn text(problem: &Problem, sources: &Sources, colour: bool, width: usize) -> String {
    let text = sources.files.get(&problem.path).filter(|_| has_place(problem));
    let source = text.map(|text| NamedSource::new(place(problem, sources), text.clone()));
    let mut theme = GraphicalTheme::unicode();
    theme.styles = if colour { ThemeStyles::ansi() } else { ThemeStyles::none() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width.max(NARROWEST))
        .with_links(false)
        .without_primary_span_start();
    let mut drawn = String::new();
    let drawing = Drawing { problem, source };
    if handler.render_report(&mut drawn, &drawing).is_err() || drawing.source.is_none() {
        return plain(problem, sources);
    }
    drawn.trim_matches('\n').lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
}

/// `pipelines/a.toml:3:14: error[unknown-key]: …`, one line.
pub fn line(problem: &Problem, sources: &Sources) -> String {
    let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{}: {}[{}]: {}{hint}", place(problem, sources), problem.severity, problem.code, problem.message)
}

/// Every problem with its place; lines and columns count from 1, columns count characters, the end is out.
pub fn json(problems: &[Problem], sources: &Sources) -> Json {
    let one = |problem: &Problem| {
        let text = sources.files.get(&problem.path);
        let at = |byte| text.map_or((1, 1), |text| line_and_column(text, byte));
        let (line, column) = at(problem.span.start);
        let (end_line, end_column) = at(problem.span.end);
        json!({
            "path": problem.path.to_string_lossy(),
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
            "code": problem.code,
            "severity": problem.severity,
            "message": problem.message,
            "hint": problem.hint,
        })
    };
    Json::Array(problems.iter().map(one).collect())
}

/// Line and column of a byte, from 1, columns counted in characters.
pub fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    let before = &text[..byte];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn has_place(problem: &Problem) -> bool {
    problem.span != (0..0)
}

fn place(problem: &Problem, sources: &Sources) -> String {
    let path = problem.path.display();
    match sources.files.get(&problem.path) {
        Some(text) if has_place(problem) => {
            let (line, column) = line_and_column(text, problem.span.start);
            format!("{path}:{line}:{column}")
        }
        _ => path.to_string(),
    }
}

fn plain(problem: &Problem, sources: &Sources) -> String {
    let sign = match problem.severity {
        Severity::Error => "×",
        Severity::Warning => "⚠",
        Severity::Note => "☞",
    };
    let mut drawn =
        format!("{}\n\n  {sign} {}: {}\n", problem.code, place(problem, sources), problem.message);
    if let Some(hint) = &problem.hint {
        let _ = writeln!(drawn, "  help: {hint}");
    }
    drawn
}

/// A problem as miette draws it.
#[derive(Debug)]
struct Drawing<'a> {
    problem: &'a Problem,
    source: Option<NamedSource<Arc<str>>>,
}

impl fmt::Display for Drawing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Drawing<'_> {}

impl Diagnostic for Drawing<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.problem.code))
    }

    fn severity(&self) -> Option<Level> {
        Some(match self.problem.severity {
            Severity::Error => Level::Error,
            Severity::Note => Level::Advice,
            Severity::Warning => Level::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let Range { start, end } = self.problem.span;
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, (start, end - start)))))
    }
}

#[cfg(test)]
mod tests {
    use super::line_and_column;

    #[test]
    fn columns_count_characters() {
        assert_eq!(line_and_column("ключ = 1\nя = 2", 0), (1, 1));
        assert_eq!(line_and_column("ключ = 1\nя = 2", "ключ = 1\nя ".len()), (2, 3));
        assert_eq!(line_and_column("a", 99), (1, 2));
    }
}
