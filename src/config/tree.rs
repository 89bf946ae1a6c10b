//! TOML as an owned tree: every key and value knows its file and its bytes there.

use std::{ops::Range, path::Path, sync::Arc};

use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
    value::Datetime,
};

use super::{de::Failure, toml11};
use crate::model::problem::Problem;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Its file, relative to the project's folder.
    pub(crate) file: Arc<Path>,
    /// The bytes of its key; the value's own where it has none.
    pub(crate) key: Range<usize>,
    /// The bytes of the value; a table's header, or its key where it is written with dots.
    pub(crate) span: Range<usize>,
    /// The value.
    pub(crate) value: Value,
    /// Whether it takes the place of one that is missing or wrong, and has been reported: nothing more is said about it.
    pub(crate) stand_in: bool,
}

/// A TOML value.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub(crate) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime(Datetime),
    Array(Vec<Node>),
    Table(IndexMap<String, Node>),
}

/// A file's tree with everything that is wrong with its syntax.
pub(crate) struct Parsed {
    /// As much as could be read.
    pub(crate) root: Node,
    /// Syntax errors, and syntax that only TOML 1.1 has.
    pub(crate) problems: Vec<Problem>,
}

/// Reads a file. Never fails: what cannot be read is a problem, and missing from the tree.
pub(crate) fn parse(file: &Arc<Path>, text: &str) -> Parsed {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut problems = syntax_problems(file, text, &errors);
    if problems.is_empty() {
        problems = toml11::problems(file, text);
    }
    let mut build = Build { file, problems: &mut problems };
    let span = table.span();
    let root = Node {
        file: file.clone(),
        key: span.clone(),
        span,
        value: build.table(table.into_inner()),
        stand_in: false,
    };
    Parsed { root, problems }
}

/// What is said of an array that swallows what stands behind it.
pub(crate) const UNCLOSED_ARRAY: &str = "the array before this is not closed";

/// One problem a line: the first, because the others come of it. Behind an array that is never closed, everything is read as a part
/// of it, so that only the array is told.
fn syntax_problems(file: &Arc<Path>, text: &str, errors: &[toml::de::Error]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = errors.iter().map(|error| syntax(file, text, error)).collect();
    problems.sort_by_key(|problem| problem.span.start);
    let unclosed = problems.iter().any(|problem| problem.message == "unclosed array");
    let torn = problems.iter().position(|problem| problem.message == "missing comma between array elements");
    if let Some(torn) = torn.filter(|_| unclosed) {
        problems.truncate(torn + 1);
        problems[torn].message = UNCLOSED_ARRAY.to_owned();
        problems[torn].hint = Some("expected `,` or `]`".to_owned());
    }
    let line =
        |problem: &Problem| text.bytes().take(problem.span.start).filter(|byte| *byte == b'\n').count();
    problems.dedup_by_key(|problem| (line(problem), problem.code));
    problems
}

fn syntax(file: &Arc<Path>, text: &str, error: &toml::de::Error) -> Problem {
    let mut span = error.span().unwrap_or(0..0);
    span.start = span.start.min(text.len());
    span.end = span.end.clamp(span.start, text.len());
    let message = error.message();
    let code = if message == "duplicate key" { "duplicate-key" } else { "syntax" };
    if code == "duplicate-key" {
        let message = format!("`{}` is written twice", &text[span.clone()]);
        return Problem::error(file.as_ref(), span, code, message);
    }
    let (message, hint) = match message.split_once(", expected ") {
        Some((message, expected)) => (message, Some(format!("expected {expected}"))),
        None => (message, None),
    };
    let problem = Problem::error(file.as_ref(), span, code, message.to_lowercase());
    match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

struct Build<'a> {
    file: &'a Arc<Path>,
    problems: &'a mut Vec<Problem>,
}

impl Build<'_> {
    fn table(&mut self, table: DeTable<'_>) -> Value {
        let mut entries = IndexMap::with_capacity(table.len());
        for (key, value) in table {
            let span = key.span();
            let node = self.node(Some(span), value);
            entries.insert(key.into_inner().into_owned(), node);
        }
        Value::Table(entries)
    }

    fn node(&mut self, key: Option<Range<usize>>, value: Spanned<DeValue<'_>>) -> Node {
        let span = value.span();
        let value = match value.into_inner() {
            DeValue::String(text) => Value::String(text.into_owned()),
            DeValue::Boolean(value) => Value::Boolean(value),
            DeValue::Datetime(value) => Value::Datetime(value),
            DeValue::Integer(digits) => Value::Integer(
                i64::from_str_radix(digits.as_str(), digits.radix())
                    .unwrap_or_else(|_| self.out_of_range(&span, 0)),
            ),
            DeValue::Float(digits) => {
                Value::Float(digits.as_str().parse().unwrap_or_else(|_| self.out_of_range(&span, 0.0)))
            }
            DeValue::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.node(None, item)).collect())
            }
            DeValue::Table(table) => self.table(table),
        };
        Node {
            file: self.file.clone(),
            key: key.unwrap_or_else(|| span.clone()),
            span,
            value,
            stand_in: false,
        }
    }

    fn out_of_range<T>(&mut self, span: &Range<usize>, value: T) -> T {
        let message = "this number is out of range";
        if self.problems.iter().all(|problem| problem.span != *span) {
            self.problems.push(Problem::error(self.file.as_ref(), span.clone(), "syntax", message));
        }
        value
    }
}

impl Node {
    /// The entry of a table.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Table(entries) => entries.get(key),
            _ => None,
        }
    }

    /// The entries of a table; none of anything else.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Node)> {
        let entries = match &self.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        };
        entries.into_iter().flatten().map(|(key, node)| (key.as_str(), node))
    }

    /// The entries of the table at a key.
    pub(crate) fn entries_of(&self, key: &str) -> impl Iterator<Item = (&str, &Node)> {
        self.get(key).into_iter().flat_map(Node::entries)
    }

    /// The items of an array; none of anything else.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// What stands at a path (`["sink", "key", "0"]`), or the nearest table above it.
    pub(crate) fn at(&self, path: &[&str]) -> &Node {
        let mut node = self;
        for step in path {
            let next = match &node.value {
                Value::Array(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => node.get(step),
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// What stands exactly at a path.
    pub(crate) fn find(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, step| node.get(step))
    }

    /// Whether it and everything in it stands as the user wrote it, nothing of it being mended.
    pub(crate) fn as_written(&self) -> bool {
        !self.stand_in
            && self.items().iter().all(Self::as_written)
            && self.entries().all(|(_, node)| node.as_written())
    }

    /// An error about the value.
    pub(crate) fn error(&self, code: &'static str, message: impl Into<String>) -> Problem {
        Problem::error(self.file.as_ref(), self.span.clone(), code, message)
    }

    /// An error about the key.
    pub(crate) fn key_error(&self, code: &'static str, message: impl Into<String>) -> Problem {
        Problem::error(self.file.as_ref(), self.key.clone(), code, message)
    }

    /// The tree as a typed value. [`walk`](super::walk) has reported what is wrong, so a failure here is what only
    /// the type's own code knows.
    pub(crate) fn typed<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        T::deserialize(self).map_err(|failure: Failure| {
            let span = failure.span.unwrap_or_else(|| self.span.clone());
            let file = failure.file.unwrap_or_else(|| self.file.clone());
            Problem::error(file.as_ref(), span, "bad-value", failure.message)
        })
    }
}
