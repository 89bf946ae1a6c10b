//! Secrets that stand in a file: warned of, taken as they are, and hidden in everything that is drawn.

use std::ops::Range;

use super::{
    Sources,
    tree::{Node, Value},
};
use crate::model::problem::Problem;

const CODE: &str = "secret-in-file";

/// Looks at the place of a secret named `name`. One that is written down is no template: its braces stand for themselves.
/// A bare number is no text, and is a secret all the same.
pub(crate) fn literal(node: &mut Node, name: &str) -> Option<Problem> {
    match &mut node.value {
        Value::String(text) => unfold(text),
        Value::Table(entries) => {
            if let Some(Value::String(text)) = entries.get_mut("default").map(|node| &mut node.value) {
                unfold(text);
            }
            return None;
        }
        Value::Array(_) => return None,
        _ => {}
    }
    let message = format!("the secret `{name}` stands in this file");
    let problem = Problem::warning(node.file.as_ref(), node.span.clone(), CODE, message);
    Some(problem.hint("write where it is: { env = \"NAME\" }, { file = \"…\" } or { command = [\"…\"] }"))
}

/// Doubles braces, so that they stand for themselves.
fn unfold(text: &mut String) {
    *text = text.replace('{', "{{").replace('}', "}}");
}

/// Puts stars in place of the secrets that were found, so that no drawing shows them.
pub(crate) fn hide(problems: &[Problem], sources: &mut Sources) {
    for problem in problems.iter().filter(|problem| problem.code == CODE) {
        if let Some(text) = sources.files.get_mut(&problem.path) {
            *text = starred(text, &problem.span).into();
        }
    }
}

/// A text with stars between the quotes of a string; every byte stays where it is.
fn starred(text: &str, string: &Range<usize>) -> String {
    let (Some(before), Some(inside), Some(after)) =
        (text.get(..string.start), text.get(string.clone()), text.get(string.end..))
    else {
        return text.to_owned();
    };
    let kept = |c: char| matches!(c, '"' | '\'' | '\r' | '\n');
    let stars = |c: char| if kept(c) { c.to_string() } else { "*".repeat(c.len_utf8()) };
    format!("{before}{}{after}", inside.chars().map(stars).collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use serde::Deserialize;

    use super::*;
    use crate::{
        config::{draw, tree, walk},
        model::secret::Secret,
    };

    #[derive(Debug, Deserialize, schemars::JsonSchema)]
    #[allow(dead_code)]
    struct Config {
        password: Secret,
        user: String,
    }

    /// What `walk` says of a connection with a password, and what it is afterwards.
    fn walked(text: &str) -> (Vec<Problem>, Sources, Node) {
        let mut sources = Sources::default();
        sources.files.insert("x.toml".into(), text.into());
        let mut root = tree::parse(&Arc::from(Path::new("x.toml")), text).root;
        let schema = serde_json::to_value(schemars::schema_for!(Config)).unwrap();
        let problems = walk::walk(&mut root, &schema, None);
        hide(&problems, &mut sources);
        (problems, sources, root)
    }

    #[test]
    fn written_down() {
        let (problems, sources, root) = walked("password = \"пf{q'\"\nuser = 1\n");
        let drawn: Vec<String> =
            problems.iter().map(|problem| draw::text(problem, &sources, false, 100)).collect();
        let codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, ["secret-in-file", "wrong-type"]);
        assert!(drawn.iter().all(|text| text.contains("\"*****'\"") && !text.contains('q')), "{drawn:#?}");
        assert_eq!(root.at(&["password"]).text(), Some("пf{{q'"));
    }

    #[test]
    fn a_bare_number_is_hidden_too() {
        let (problems, sources, _) = walked("password = 98765\nuser = 1\n");
        let codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, ["secret-in-file", "wrong-type", "wrong-type"]);
        for problem in &problems {
            let drawn = draw::text(problem, &sources, false, 100);
            assert!(drawn.contains("*****") && !drawn.contains("98765"), "{drawn}");
        }
        assert_eq!(problems[0].message, "the secret `password` stands in this file");
    }

    #[test]
    fn told_where_it_is() {
        for good in [
            "{ env = \"X\" }",
            "{ env = \"X\", default = \"y\" }",
            "{ file = \"/run/x\" }",
            "{ command = [\"vault\", \"read\"] }",
        ] {
            let (problems, _, root) = walked(&format!("password = {good}\nuser = \"u\"\n"));
            assert!(problems.is_empty(), "{problems:?}");
            root.typed::<Config>().unwrap();
        }
        for (bad, code) in [
            ("{ flie = \"x\" }", "unknown-key"),
            ("{ command = \"vault\" }", "wrong-type"),
            ("{ env = \"X\", file = \"x\" }", "unknown-key"),
        ] {
            let (problems, ..) = walked(&format!("password = {bad}\nuser = \"u\"\n"));
            let codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
            assert_eq!(codes, [code], "{bad}: {problems:?}");
        }
    }
}
