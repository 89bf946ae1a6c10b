//! Proves a tree against the JSON Schema of its struct: every unknown key, wrong type, missing key, bad choice and bad format at once.
//!
//! What is wrong is reported and mended (an unknown key goes, a wrong value gives way to a stand-in), so that serde reads the file
//! anyway and later checks find what else is wrong with it.

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::{
    env::{self, Environment},
    format, secret,
    shape::{self, Kind},
    tree::{Node, Value},
};
use crate::model::problem::{Problem, nearest};

/// Proves and mends `root`, a file whose struct has `schema`.
pub(crate) fn walk(root: &mut Node, schema: &Json, environment: Option<&Environment<'_>>) -> Vec<Problem> {
    let mut walk = Walk { environment, problems: vec![], parents: vec![] };
    walk.value(root, schema, "");
    walk.problems
}

/// Whether a node fits a schema as it stands.
pub(crate) fn fits(node: &Node, schema: &Json) -> bool {
    let mut copy = node.clone();
    let mut walk = Walk { environment: None, problems: vec![], parents: vec![] };
    walk.value(&mut copy, schema, "");
    walk.problems.is_empty()
}

struct Walk<'a> {
    /// Where `{ env = "NAME" }` is allowed.
    environment: Option<&'a Environment<'a>>,
    problems: Vec<Problem>,
    /// Tables around the one at hand, outermost first: their names and known keys.
    parents: Vec<(String, Map<String, Json>)>,
}

impl Walk<'_> {
    fn value(&mut self, node: &mut Node, schema: &Json, name: &str) {
        if node.stand_in {
            return;
        }
        if shape::is_secret(schema) {
            self.problems.extend(secret::literal(node, name));
        }
        if let Some(environment) = self.environment
            && shape::allows_scalar(schema)
            && env::is_reference(node)
        {
            self.problems.extend(environment.substitute(node, schema, name));
            if node.stand_in {
                return;
            }
        }
        let Some(chosen) = self.choose(node, schema, name) else {
            stand_in(node, schema, name);
            return;
        };
        match &mut node.value {
            Value::Table(_) => self.table(node, &chosen, name),
            Value::Array(items) => {
                let item = chosen.get("items").cloned().unwrap_or(Json::Bool(true));
                for node in items {
                    self.value(node, &item, name);
                }
            }
            _ => self.scalar(node, &chosen, name),
        }
    }

    /// The branch of a schema that a node takes; `None` = none, reported.
    fn choose(&mut self, node: &Node, schema: &Json, name: &str) -> Option<Json> {
        let Some(branches) = shape::branches(schema) else {
            let kind = shape::kind(node);
            if shape::accepts(schema, kind) {
                return Some(schema.clone());
            }
            self.wrong_type(node, schema, name);
            return None;
        };
        if let Some(tag) = shape::tag(branches) {
            return self.tagged(node, branches, &tag, name);
        }
        if shape::choices(schema).is_some() && node.text().is_some() {
            return Some(schema.clone());
        }
        let kind = shape::kind(node);
        let fitting: Vec<&Json> = branches.iter().filter(|branch| shape::accepts(branch, kind)).collect();
        let found = match fitting.as_slice() {
            [] => {
                self.wrong_type(node, schema, name);
                return None;
            }
            [one] => one,
            several => {
                let fitting = several.iter().find(|branch| fits(node, branch));
                let shared = || several.iter().find(|branch| shape::shares_key(branch, node));
                let meant = || several.iter().find(|branch| shape::nears_key(branch, node));
                fitting.or_else(shared).or_else(meant).unwrap_or(&several[0])
            }
        };
        let found = shape::with_outer_properties(schema, found);
        if shape::branches(&found).is_some() { self.choose(node, &found, name) } else { Some(found) }
    }

    fn tagged(&mut self, node: &Node, branches: &[Json], tag: &str, name: &str) -> Option<Json> {
        let Value::Table(entries) = &node.value else {
            self.problems.push(node.error(
                "wrong-type",
                format!("{} must be a table, not {}", shown(name), shape::kind(node).article()),
            ));
            return None;
        };
        let consts: Vec<&str> = branches.iter().filter_map(|branch| shape::tag_value(branch, tag)).collect();
        let Some(value) = entries.get(tag) else {
            self.problems.push(
                node.error("missing-key", format!("{} needs `{tag}`", table_shown(name)))
                    .hint(format!("expected {}", list(&consts))),
            );
            return None;
        };
        let chosen = value
            .text()
            .and_then(|text| branches.iter().find(|branch| shape::tag_value(branch, tag) == Some(text)));
        if chosen.is_none() {
            self.bad_choice(value, &consts, tag);
        }
        chosen.cloned()
    }

    fn table(&mut self, node: &mut Node, schema: &Json, name: &str) {
        let known = schema.get("properties").and_then(Json::as_object).cloned().unwrap_or_default();
        let free = schema
            .get("additionalProperties")
            .filter(|rest| rest.is_object() || rest.as_bool() == Some(true));
        let Value::Table(entries) = &mut node.value else { return };
        self.parents.push((name.to_owned(), known.clone()));
        let mut kept = IndexMap::with_capacity(entries.len());
        let mut unknown = vec![];
        for (key, mut child) in std::mem::take(entries) {
            let path = join(name, &key);
            if let Some(schema) = known.get(&key) {
                self.value(&mut child, schema, &path);
            } else if let Some(rest) = free {
                if self.belongs_elsewhere(&key, &child, rest, name) {
                    node.stand_in = true; // What was meant by it is not all in it.
                    continue;
                }
                self.value(&mut child, rest, &path);
            } else {
                unknown.push((key, child));
                continue;
            }
            kept.insert(key, child);
        }
        for (key, mut child) in unknown {
            // It is taken for the key that was meant, so that nothing is said to be missing.
            if let Some(meant) = self.unknown_key(&key, &child, &known, name)
                && !kept.contains_key(meant)
                && fits(&child, &known[meant])
            {
                self.value(&mut child, &known[meant], &join(name, meant));
                kept.insert(meant.to_owned(), child);
            }
        }
        self.parents.pop();
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten();
        for key in required.filter_map(Json::as_str) {
            if !kept.contains_key(key) {
                let schema = known.get(key).unwrap_or(&Json::Null);
                self.problems.push(missing(node, name, key, schema));
                let mut child = node.clone();
                stand_in(&mut child, schema, &join(name, key));
                kept.insert(key.to_owned(), child);
            }
        }
        node.value = Value::Table(kept);
    }

    fn scalar(&mut self, node: &mut Node, schema: &Json, name: &str) {
        if let Some(choices) = shape::choices(schema) {
            if node.text().is_none_or(|text| !choices.contains(&text)) {
                let meant = self.bad_choice(node, &choices, name);
                stand_in(node, schema, name);
                if let Some(meant) = meant {
                    node.value = Value::String(meant);
                }
            }
            return;
        }
        let problem = format::check(node, schema, &shown(name));
        if let Some(problem) = problem {
            self.problems.push(problem);
            stand_in(node, schema, name);
        }
    }

    fn bad_choice(&mut self, node: &Node, choices: &[&str], name: &str) -> Option<String> {
        let Some(text) = node.text() else {
            self.problems.push(
                node.error(
                    "wrong-type",
                    format!("{} must be a string, not {}", shown(name), shape::kind(node).article()),
                )
                .hint(format!("expected {}", list(choices))),
            );
            return None;
        };
        let meant = nearest(text, choices.iter().copied());
        let expected = list(choices);
        let hint = match meant {
            Some(meant) if choices.len() == 1 => format!("did you mean `{meant}`?"),
            Some(meant) => format!("did you mean `{meant}`? expected {expected}"),
            None => format!("expected {expected}"),
        };
        let problem = node.error("bad-choice", format!("{} cannot be `{text}`", shown(name)));
        self.problems.push(problem.hint(hint));
        meant.map(str::to_owned)
    }

    fn wrong_type(&mut self, node: &Node, schema: &Json, name: &str) {
        let message = format!(
            "{} must be {}, not {}",
            shown(name),
            shape::expected(schema),
            shape::kind(node).article()
        );
        self.problems.push(node.error("wrong-type", message));
    }

    /// Reports a key that is not there; the key that was meant, where one is near.
    fn unknown_key<'k>(
        &mut self,
        key: &str,
        node: &Node,
        known: &'k Map<String, Json>,
        name: &str,
    ) -> Option<&'k str> {
        let problem = node.key_error("unknown-key", format!("unknown key `{key}` in {}", table_shown(name)));
        let meant = nearest(key, known.keys().map(String::as_str));
        let hint = if let Some(meant) = meant {
            format!("did you mean `{meant}`?")
        } else if let Some(place) = self.home_of(key, node) {
            place
        } else {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            format!("expected {}", list(&names))
        };
        self.problems.push(problem.hint(hint));
        meant
    }

    /// Whether a key of a free-name table was meant for a table around it; reported then.
    fn belongs_elsewhere(&mut self, key: &str, node: &Node, rest: &Json, name: &str) -> bool {
        // The innermost is the free table itself, and the one around it may be a free table as well.
        let parent = self.parents.iter().rev().skip(1).find(|(_, known)| !known.is_empty());
        let fits_parent =
            parent.and_then(|(_, known)| known.get(key)).is_some_and(|schema| fits(node, schema));
        let fits_here = self.environment.is_some() && env::is_reference(node) || fits(node, rest);
        if fits_here && !fits_parent {
            return false;
        }
        let Some(place) = self.home_of(key, node) else { return false };
        let message = format!("`{key}` is no name of [{name}]: it would be swallowed there");
        self.problems.push(node.key_error("misplaced-key", message).hint(place));
        true
    }

    /// Where a key that stands in the wrong table belongs.
    fn home_of(&self, key: &str, node: &Node) -> Option<String> {
        let around = self.parents.iter().rev().skip(1);
        let mut homes = around.filter(|(_, known)| known.get(key).is_some_and(|schema| fits(node, schema)));
        homes.next().map(|(home, _)| {
            if home.is_empty() {
                format!("`{key}` belongs at the top of the file, above the first [table]")
            } else {
                format!("`{key}` belongs in [{home}]: write it above the tables inside [{home}]")
            }
        })
    }
}

fn missing(node: &Node, name: &str, key: &str, schema: &Json) -> Problem {
    let problem = node.error("missing-key", format!("{} needs `{key}`", table_shown(name)));
    let choices = shape::choices(schema);
    let description = schema.get("description").and_then(Json::as_str);
    match (choices, description) {
        (Some(choices), _) => problem.hint(format!("expected {}", list(&choices))),
        (None, Some(text)) => problem.hint(as_hint(text)),
        (None, None) => problem,
    }
}

/// The first sentence of a description, as hints are written.
fn as_hint(description: &str) -> String {
    let text = description.replace('\n', " ");
    let sentence = text.split(". ").next().unwrap_or(&text).trim_end_matches('.');
    let mut letters = sentence.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain([second]).chain(letters).collect()
        }
        _ => sentence.to_owned(),
    }
}

fn stand_in(node: &mut Node, schema: &Json, name: &str) {
    node.value = shape::stand_in(schema, name, node);
    node.stand_in = true;
}

/// `sink.mode` as messages name it.
fn shown(name: &str) -> String {
    if name.is_empty() { "the file".to_owned() } else { format!("`{name}`") }
}

fn table_shown(name: &str) -> String {
    if name.is_empty() { "the file".to_owned() } else { format!("[{name}]") }
}

/// A name of a key below another.
pub(crate) fn join(name: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if name.is_empty() { key } else { format!("{name}.{key}") }
}

/// `a`, `b` or `c`.
pub(crate) fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

impl Kind {
    /// As messages say it.
    pub(crate) fn article(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Integer => "an integer",
            Self::Float => "a number",
            Self::Boolean => "true or false",
            Self::Datetime => "a date or time",
            Self::Array => "a list",
            Self::Table => "a table",
        }
    }
}
