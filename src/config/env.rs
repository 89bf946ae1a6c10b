//! `{ env = "NAME", default = … }` in vitrina.toml, put in place before anything else looks at a value.

use serde_json::Value as Json;

use super::{
    shape::{self, Kind},
    tree::{Node, Value},
};
use crate::model::problem::Problem;

/// Where variables come from.
pub(crate) struct Environment<'a> {
    /// Reads one.
    pub(crate) read: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a variable may be unset: something takes its place, and nothing runs.
    pub(crate) unset_allowed: bool,
}

/// Whether a node is a reference to a variable.
pub(crate) fn is_reference(node: &Node) -> bool {
    node.get("env").is_some()
}

impl Environment<'_> {
    /// Puts a variable's value in place of the reference to it, as the type that `schema` wants.
    pub(crate) fn substitute(&self, node: &mut Node, schema: &Json, name: &str) -> Vec<Problem> {
        let mut problems: Vec<Problem> = vec![];
        for (key, child) in node.entries() {
            if key != "env" && key != "default" {
                let problem = child.key_error("unknown-key", format!("unknown key `{key}` beside `env`"));
                problems.push(problem.hint("expected `default`"));
            }
        }
        let Some(variable) = node.get("env").and_then(Node::text).map(str::to_owned) else {
            problems.push(node.error("wrong-type", format!("`{name}.env` must be the name of a variable")));
            return give_up(node, schema, name, problems);
        };
        let value = match (self.read)(&variable) {
            Some(text) => converted(&text, schema),
            None => match node.get("default") {
                Some(default) => Some(default.value.clone()),
                None if self.unset_allowed => return give_up(node, schema, name, problems),
                None => {
                    let message = format!("environment variable `{variable}` is not set");
                    let hint = format!("set it, or give a default: {{ env = \"{variable}\", default = … }}");
                    problems.push(node.error("unset-variable", message).hint(hint));
                    return give_up(node, schema, name, problems);
                }
            },
        };
        if let Some(value) = value {
            node.value = value;
            return problems;
        }
        let expected = shape::expected(schema);
        let message = format!("environment variable `{variable}` must be {expected}");
        problems.push(node.error("bad-variable", message));
        give_up(node, schema, name, problems)
    }
}

fn give_up(node: &mut Node, schema: &Json, name: &str, problems: Vec<Problem>) -> Vec<Problem> {
    node.value = shape::stand_in(schema, name, node);
    node.stand_in = true;
    problems
}

fn converted(text: &str, schema: &Json) -> Option<Value> {
    if shape::accepts(schema, Kind::String) {
        return Some(Value::String(text.to_owned()));
    }
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>()
        && shape::accepts(schema, Kind::Integer)
    {
        return Some(Value::Integer(number));
    }
    if let Ok(number) = text.parse::<f64>()
        && shape::accepts(schema, Kind::Float)
    {
        return Some(Value::Float(number));
    }
    if let Ok(value) = text.parse::<bool>()
        && shape::accepts(schema, Kind::Boolean)
    {
        return Some(Value::Boolean(value));
    }
    None
}
