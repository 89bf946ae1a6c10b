//! `{ env = "NAME", default = … }` in vitrina.toml, put in place before anything else looks at a value.

use serde_json::Value as Json;

use super::{
    shape::{self, Kind},
    tree::{Node, Value},
    walk::join,
};
use crate::model::problem::Problem;

/// Where variables come from.
pub(crate) struct Environment<'a> {
    /// Reads one.
    pub(crate) read: &'a dyn Fn(&str) -> Option<String>,
    /// The profile that will run: what it uses must be set. `None` = nothing runs, and something takes the place of what is not set, as it
    /// does in other profiles.
    pub(crate) runs: Option<&'a str>,
}

/// Whether a node is a reference to a variable.
pub(crate) fn is_reference(node: &Node) -> bool {
    node.get("env").is_some()
}

impl Environment<'_> {
    /// Whether the value of this name (`profile.production.connections.dwh.host`) is used by nothing that runs.
    fn may_be_unset(&self, name: &str) -> bool {
        let Some(profile) = self.runs else { return true };
        let own = format!("{}.", join("profile", profile));
        name.starts_with("profile.") && !name.starts_with(&own)
    }

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
                None if self.may_be_unset(name) => return give_up(node, schema, name, problems),
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
