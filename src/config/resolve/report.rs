//! Problems on their way, with exact places inside strings.

use std::{ops::Range, path::PathBuf};

use crate::{
    config::{Sources, offsets::Offsets, project::Sql, tree::Node},
    model::problem::{Problem, Severity},
};

/// Gathers problems. What stands in for a value that was reported already is not reported again.
pub(crate) struct Report<'a> {
    sources: &'a Sources,
    /// So far.
    pub(crate) problems: Vec<Problem>,
}

impl<'a> Report<'a> {
    /// An empty one.
    pub(crate) fn new(sources: &'a Sources) -> Self {
        Self { sources, problems: vec![] }
    }

    /// The files' texts.
    pub(crate) fn sources(&self) -> &'a Sources {
        self.sources
    }

    /// An error about a value.
    pub(crate) fn value(
        &mut self,
        node: &Node,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(node, node.span.clone(), code, message.into(), hint.into());
    }

    /// An error about a key.
    pub(crate) fn key(
        &mut self,
        node: &Node,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(node, node.key.clone(), code, message.into(), hint.into());
    }

    /// An error about some bytes of a string's value.
    pub(crate) fn within(
        &mut self,
        node: &Node,
        bytes: Range<usize>,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let text = self.sources.files.get(node.file.as_ref());
        let offsets = text.and_then(|text| Offsets::of(text, &node.span));
        let span = offsets.map_or_else(|| node.span.clone(), |offsets| offsets.range(bytes));
        self.push(node, span, code, message.into(), hint.into());
    }

    /// An error about some bytes of an SQL text, which stands at `node` or in a file that `node` names.
    pub(crate) fn sql(
        &mut self,
        sql: &Sql,
        node: &Node,
        bytes: Range<usize>,
        code: &'static str,
        message: String,
        hint: String,
    ) {
        if sql.path == *node.file {
            self.within(node, bytes, code, message, hint);
        } else {
            self.problems.push(with_hint(Problem::error(sql.path.clone(), bytes, code, message), hint));
        }
    }

    /// A warning about a value.
    pub(crate) fn warning(
        &mut self,
        node: &Node,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let before = self.problems.len();
        self.value(node, code, message, hint);
        for problem in &mut self.problems[before..] {
            problem.severity = Severity::Warning;
        }
    }

    /// A problem of this severity, at a value or, with an SQL text, at some bytes of it.
    pub(crate) fn graded(
        &mut self,
        severity: Severity,
        node: &Node,
        sql: Option<(&Sql, Range<usize>)>,
        code: &'static str,
        message: String,
        hint: String,
    ) {
        let before = self.problems.len();
        match sql {
            Some((sql, bytes)) => self.sql(sql, node, bytes, code, message, hint),
            None => self.value(node, code, message, hint),
        }
        for problem in &mut self.problems[before..] {
            problem.severity = severity;
        }
    }

    /// An error about a file as a whole.
    pub(crate) fn file(
        &mut self,
        path: impl Into<PathBuf>,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let problem = Problem::error(path, 0..0, code, message);
        self.problems.push(with_hint(problem, hint.into()));
    }

    /// Runs `work` for one member more of a job: what an earlier member was told about the same place is not told again.
    pub(crate) fn member<T>(&mut self, first: usize, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.problems.len();
        let result = work(self);
        let earlier: Vec<Problem> = self.problems[first..before].to_vec();
        let mut at = 0;
        self.problems.retain(|problem| {
            at += 1;
            let same = |known: &Problem| {
                known.path == problem.path && known.span == problem.span && known.code == problem.code
            };
            at <= before || !earlier.iter().any(same)
        });
        result
    }

    fn push(&mut self, node: &Node, span: Range<usize>, code: &'static str, message: String, hint: String) {
        if !node.stand_in {
            let problem = Problem::error(node.file.as_ref(), span, code, message);
            self.problems.push(with_hint(problem, hint));
        }
    }
}

fn with_hint(problem: Problem, hint: String) -> Problem {
    if hint.is_empty() { problem } else { problem.hint(hint) }
}
