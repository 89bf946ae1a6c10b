//! Templates of answers: syntax, the names in them, the filters they use.

use std::ops::Range;

use indexmap::IndexMap;

use crate::config::{
    bot::{Show, TEMPLATE_FILTERS as FILTERS, TEMPLATE_NAMES as NAMES, Text},
    raw::bot::Words,
    resolve::{matrix::meant, report::Report},
    tree::Node,
};

/// Checks the templates of a report whose columns are known, or not.
pub(super) fn check(
    show: &[Show],
    columns: Option<&[&str]>,
    raw: &[Option<Words>],
    node: &Node,
    report: &mut Report<'_>,
) {
    let list = node.at(&["show"]);
    for ((part, words), place) in show.iter().zip(raw).zip(list.items()) {
        let (Show::Text { template, .. }, Some(words)) = (part, words) else { continue };
        let place = place.at(&["text"]);
        for (text, place) in texts(template, words, place) {
            one(text, columns, place, report);
        }
    }
}

/// The texts as they are written, each at its place.
fn texts<'t>(text: &'t Text, words: &Words, place: &'t Node) -> Vec<(&'t str, &'t Node)> {
    match words {
        Words::One(_) => vec![(text.ru.as_str(), place)],
        Words::Each(_) => {
            let each = [("ru", text.ru.as_str()), ("en", text.en.as_str())];
            each.into_iter().filter_map(|(key, text)| Some((text, place.get(key)?))).collect()
        }
    }
}

fn one(text: &str, columns: Option<&[&str]>, place: &Node, report: &mut Report<'_>) {
    let environment = minijinja::Environment::new();
    let template = match environment.template_from_str(text) {
        Ok(template) => template,
        Err(error) => {
            let at = error.range().unwrap_or(0..text.len());
            let message = format!("the template is wrong: {}", error.detail().unwrap_or("it cannot be read"));
            return report.within(place, at, "bad-template", message, "");
        }
    };
    for (filter, at) in filters(text) {
        if !FILTERS.contains(&filter) {
            let message = format!("there is no filter `{filter}`");
            report.within(place, at, "unknown-filter", message, meant(filter, &FILTERS));
        }
    }
    let Some(columns) = columns else { return };
    let known: Vec<&str> = columns.iter().copied().chain(NAMES).collect();
    let mut unknown: Vec<String> = template.undeclared_variables(false).into_iter().collect();
    unknown
        .retain(|name| !known.contains(&name.as_str()) && environment.globals().all(|(key, _)| key != name));
    unknown.sort();
    for name in unknown {
        let at = word(text, &name).unwrap_or(0..text.len());
        let message = format!("the rows have no column `{name}`");
        report.within(place, at, "unknown-column", message, meant(&name, &known));
    }
}

/// The filters that a template names, with their places: what stands behind `|` in its tags, outside of strings.
fn filters(text: &str) -> IndexMap<&str, Range<usize>> {
    let mut found = IndexMap::new();
    let mut rest = 0;
    while let Some(open) = text[rest..].find("{{").into_iter().chain(text[rest..].find("{%")).min() {
        let begin = rest + open + 2;
        let mut quote = None;
        let mut end = text.len();
        let mut pipe = false;
        for (at, c) in text[begin..].char_indices() {
            let at = begin + at;
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(c),
                (None, '}' | '%') if text[at + 1..].starts_with('}') => {
                    end = at + 2;
                    break;
                }
                (None, '|') => pipe = true,
                (None, c) if pipe && (c.is_alphabetic() || c == '_') => {
                    let name = text[at..]
                        .split(|c: char| !c.is_alphanumeric() && c != '_')
                        .next()
                        .unwrap_or_default();
                    found.entry(name).or_insert(at..at + name.len());
                    pipe = false;
                }
                (None, c) if !c.is_whitespace() => pipe = false,
                _ => {}
            }
        }
        rest = end;
    }
    found
}

/// The first place where a word stands by itself.
fn word(text: &str, name: &str) -> Option<Range<usize>> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name)
        .map(|(at, _)| at..at + name.len())
        .find(|at| !text[..at.start].ends_with(part) && !text[at.end..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_found() {
        let text = "Итого {{ money | sum|rub }} {{ \"a | b\" | upper }}{% if x | first %}|no{% endif %}";
        let names: Vec<&str> = filters(text).into_keys().collect();
        assert_eq!(names, ["sum", "rub", "upper", "first"]);
        assert_eq!(&text[filters(text)["rub"].clone()], "rub");
    }

    #[test]
    fn words_stand_by_themselves() {
        assert_eq!(word("{{ moneys }} {{ money }}", "money"), Some(16..21));
        assert_eq!(word("{{ moneys }}", "money"), None);
    }
}
