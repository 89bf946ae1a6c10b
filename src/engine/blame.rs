//! An error of the planner → a finding at its place, in our words.

use std::ops::{ControlFlow, Range};

use arrow::datatypes::DataType;
use datafusion::{
    common::{Column, DataFusionError, SchemaError},
    sql::sqlparser::ast::{Expr, Spanned, Value, VisitMut, visit_expressions_mut},
};
use indexmap::IndexSet;

use super::{
    parse::{Places, lowered},
    reads::Reads,
    typing::{Finding, quoted},
};
use crate::model::{column::ColumnType, problem::nearest};

/// What the planner means, and where.
pub(super) fn blame(error: &DataFusionError, sql: &str, names: &Reads) -> Finding {
    let places = Places::new(sql);
    let diagnostic = error.diagnostic();
    let place = diagnostic.and_then(|diagnostic| diagnostic.span).map(|span| places.common_range(span));
    let root = first(error);
    match root {
        DataFusionError::SchemaError(schema, _) => schema_mistake(schema, place.as_ref(), &places, sql),
        other => {
            let text = other.strip_backtrace();
            let message = signature(&text).unwrap_or_else(|| cleaned(&text));
            if let Some(name) = twice(&message) {
                return duplicate(name, sql, places.whole());
            }
            let place = place
                .or_else(|| function_in(&text, names))
                .or_else(|| quoted_in(&text, sql))
                .unwrap_or_else(|| places.whole());
            let mut finding = Finding::new(place, code(&message), message);
            let help = diagnostic.and_then(|d| {
                let helps = d.helps.iter().map(|help| help.message.as_str());
                helps.chain(d.notes.iter().map(|note| note.message.as_str())).next()
            });
            // Which of the two operands has that type is not said; the message names both types.
            finding.hint = help.filter(|help| !help.starts_with("has type")).map(lowered);
            finding
        }
    }
}

/// The innermost error; of several, the first.
fn first(error: &DataFusionError) -> &DataFusionError {
    match error.find_root() {
        DataFusionError::Collection(errors) => errors.first().map_or(error, first),
        root => root,
    }
}

fn schema_mistake(
    mistake: &SchemaError,
    place: Option<&Range<usize>>,
    places: &Places<'_>,
    sql: &str,
) -> Finding {
    let own = |column: &Column| column.spans.first().map(|span| places.common_range(span));
    let place = |column: Option<&Column>| {
        place
            .cloned()
            .or_else(|| column.and_then(own))
            .or_else(|| column.and_then(|column| word(sql, &column.name)))
    };
    let whole = places.whole();
    match mistake {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let span = place(Some(field)).unwrap_or(whole);
            let message = format!("there is no column `{}`", field.flat_name());
            let mut finding = Finding::new(span, "sql-unknown-column", message);
            finding.hint = column_hint(field, valid_fields);
            finding
        }
        SchemaError::AmbiguousReference { field } => {
            let span = place(Some(field)).unwrap_or(whole);
            let message = format!("column `{}` is in more than one table", field.name);
            Finding::new(span, "sql-ambiguous-column", message).hint("put the table's name before it")
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => duplicate(name, sql, whole),
    }
}

fn duplicate(name: &str, sql: &str, whole: Range<usize>) -> Finding {
    let message = format!("the result has two columns `{name}`");
    Finding::new(word(sql, name).unwrap_or(whole), "sql-duplicate-column", message)
        .hint("give one of them another name with AS")
}

/// The name of which a message says that two columns have it.
fn twice(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("projections require unique expression names")?;
    let (_, rest) = rest.split_once('"')?;
    let (name, _) = rest.split_once("\" at position")?;
    // Of an expression, the whole of it.
    let plain = !name.contains(['(', ' ', '"']);
    Some(name.rsplit('.').next().filter(|_| plain).unwrap_or(name))
}

fn column_hint(field: &Column, valid: &[Column]) -> Option<String> {
    let table = field.relation.as_ref();
    let fits = |column: &&Column| {
        table.is_none_or(|table| column.relation.as_ref().is_some_and(|r| r.resolved_eq(table)))
    };
    let same_table: Vec<&Column> = valid.iter().filter(fits).collect();
    if table.is_some() && same_table.is_empty() {
        let mut tables: Vec<String> =
            valid.iter().filter_map(|column| column.relation.as_ref().map(ToString::to_string)).collect();
        tables.dedup();
        let wanted = table.map(ToString::to_string).unwrap_or_default();
        return match nearest(&wanted, tables.iter().map(String::as_str)) {
            Some(near) => Some(format!("there is no table `{wanted}` in this query; did you mean `{near}`?")),
            None => Some(format!("there is no table `{wanted}` in this query")),
        };
    }
    let names: Vec<&str> = same_table.iter().map(|column| column.name.as_str()).collect();
    if let Some(near) = nearest(&field.name, names.iter().copied()) {
        return Some(format!("did you mean `{}`?", quoted(near)));
    }
    let listed: IndexSet<String> = names.iter().map(|name| format!("`{}`", quoted(name))).collect();
    let listed: Vec<String> = listed.into_iter().collect();
    match listed.len() {
        0 => None,
        1..=12 => Some(format!("there are {}", listed.join(", "))),
        more => Some(format!("there are {} and {} more", listed[..12].join(", "), more - 12)),
    }
}

/// Where a name stands in the text, if it does.
fn word(sql: &str, name: &str) -> Option<Range<usize>> {
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    sql.match_indices(name)
        .map(|(at, _)| at..at + name.len())
        .find(|place| !sql[..place.start].ends_with(letter) && !sql[place.end..].starts_with(letter))
}

/// The place of a column that the message puts in quotes, with or without its table.
fn quoted_in(message: &str, sql: &str) -> Option<Range<usize>> {
    let name = message.split('\'').nth(1)?;
    word(sql, name).or_else(|| word(sql, name.rsplit('.').next()?))
}

/// The place of a function that the message names.
fn function_in(message: &str, names: &Reads) -> Option<Range<usize>> {
    let named = |name: &str| word(&message.to_lowercase(), name).is_some();
    names.functions.iter().find(|(name, _)| named(name)).map(|(_, place)| place.clone())
}

fn code(message: &str) -> &'static str {
    const TYPES: [&str; 8] =
        ["coerc", "type", "cast", "incompatible", "is given", "takes a", "takes one", "non-boolean"];
    let message = message.to_lowercase();
    if message.starts_with("there is no table") {
        "sql-unknown-table"
    } else if TYPES.iter().any(|word| message.contains(word)) {
        "sql-type"
    } else {
        "sql-invalid"
    }
}

/// The message without the engine's own brackets around it.
fn cleaned(message: &str) -> String {
    const PREFIXES: [&str; 8] = [
        "Error during planning: ",
        "This feature is not implemented: ",
        "Schema error: ",
        "Execution error: ",
        "Optimizer rule 'simplify_expressions' failed",
        "type_coercion\ncaused by\n",
        "Arrow error: ",
        "SQL error: ",
    ];
    let mut text = message.trim();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest.trim_start();
    }
    let text = text.split("\nThis issue was likely caused by a bug").next().unwrap_or(text);
    let text = text.split(" No function matches the given name").next().unwrap_or(text);
    // The parser's own tree, spelled for whoever develops it.
    let text = match text.split_once(" { ") {
        Some((said, tree)) if tree.contains("span: ") => said.rsplit_once(' ').map_or(said, |(said, _)| said),
        _ => text,
    };
    lowered(text.trim_end_matches('.')).replace('\n', " ")
}

/// What a function takes and what it is given, from a message that tells why each of its signatures does not fit.
fn signature(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("Function '")?;
    let (name, rest) = rest.split_once("' failed to match any signature, errors: ")?;
    let wanted = |before: &str, after: &str| {
        let parts =
            rest.split(before).skip(1).filter_map(|part| Some(part.split_once(after)?.0.to_lowercase()));
        parts.collect::<IndexSet<String>>()
    };
    let types = wanted("requires ", ", but received");
    if types.is_empty() {
        let counts = wanted("expects ", " arguments").into_iter().collect::<Vec<_>>().join(" or ");
        let given: String =
            rest.split_once("but received ")?.1.chars().take_while(char::is_ascii_digit).collect();
        return Some(format!("`{name}` takes {counts} arguments, and is given {given}"));
    }
    let types = types.into_iter().collect::<Vec<_>>().join(", ");
    let given = rest.split_once("(DataType: ")?.1.split_once(").").map_or("", |(given, _)| given);
    let given =
        given.parse::<DataType>().map_or(given.to_owned(), |given| ColumnType::of(&given).to_string());
    Some(format!("`{name}` takes {types}, and is given {given}"))
}

/// Thinks the last wrong name away, so that the next mistake shows. Whether there was something to replace.
pub(super) fn replace_by_null(tree: &mut impl VisitMut, sql: &str, findings: &[Finding]) -> bool {
    let places = Places::new(sql);
    let Some(wrong) = findings.last().map(|finding| finding.span.clone()) else {
        return false;
    };
    let mut replaced = false;
    let _: ControlFlow<()> = visit_expressions_mut(tree, |expr| {
        let name = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        let place = places.range(expr.span());
        if name && place.is_some_and(|place| place.start <= wrong.start && wrong.end <= place.end) {
            *expr = Expr::Value(Value::Null.into());
            replaced = true;
        }
        ControlFlow::Continue(())
    });
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_is_there_twice() {
        let message = |first: &str| {
            format!(
                "projections require unique expression names but the expression \"{first}\" at position 0 and \"x\" at position 1 have the same name"
            )
        };
        for (first, name) in [
            ("shop.t.id", "id"),
            ("CAST(shop.t.id AS Utf8)", "CAST(shop.t.id AS Utf8)"),
            ("CAST(shop.t.\"Price.x\" AS Utf8)", "CAST(shop.t.\"Price.x\" AS Utf8)"),
        ] {
            assert_eq!(twice(&message(first)), Some(name));
        }
        assert_eq!(twice("something else"), None);
    }
}
