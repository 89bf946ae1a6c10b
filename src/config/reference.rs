//! Every key of every file as a page for people, from the same schemas that files are proved against.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::{
    schema,
    shape::{self, Kind},
};
use crate::bot::words::{Known, TEXTS};

/// `docs/reference/configuration.md`.
pub fn reference() -> String {
    let mut page = String::from(
        "# Configuration\n\nEvery key of every file, made from the structs that read them. \
         Editors get the same from `vitrina schema`.\n",
    );
    for (file, schema) in [
        ("vitrina.toml", &*schema::PROJECT),
        ("pipelines/NAME.toml", &*schema::PIPELINE),
        ("marts/NAME.toml", &*schema::MART),
        ("bot.toml", &*schema::BOT),
    ] {
        let _ = write!(page, "\n## {file}\n\n{}\n", prose(schema));
        table(&mut page, "", "", schema);
    }
    page
}

/// `docs/reference/texts.md`.
pub fn texts() -> String {
    let mut page = String::from(
        "# What the bot says\n\nEvery text that a user of the bot sees besides what bot.toml and the data say, made from the code. `[bot.texts]` puts others in their place \
         ([bot.md](../bot.md#the-bots-own-words)). What stands in braces is put in; what a text says nothing without is **bold**. A text with parts between `|` keeps \
         as many: forms for one, two and five things in Russian and for one and two in English, or names in their order.\n\n\
         | key | is put in | in Russian | in English |\n|---|---|---|---|\n",
    );
    let shown = |text: &str| text.replace('|', "\\|").replace('\n', "<br>");
    for Known { key, holes, ru, en, .. } in TEXTS {
        let named =
            |(name, must): &(&str, bool)| if *must { format!("**{name}**") } else { (*name).to_owned() };
        let named: Vec<String> = holes.iter().map(named).collect();
        let _ = writeln!(page, "| `{key}` | {} | {} | {} |", named.join(", "), shown(ru), shown(en));
    }
    page
}

/// One table's keys, then the tables in it.
fn table(page: &mut String, name: &str, which: &str, schema: &Json) {
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else { return };
    // A text per language stands in many places; the page says at its top what that is.
    if properties.keys().eq(["ru", "en"]) {
        return;
    }
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    if !name.is_empty() {
        let _ = write!(page, "\n### `[{name}]`{which}\n");
        let text = prose(schema);
        if !text.is_empty() {
            let _ = write!(page, "\n{text}\n");
        }
    }
    let _ = write!(page, "\n| key | value | |\n|---|---|---|\n");
    for (key, schema) in properties {
        let must = if required.contains(&key.as_str()) { " **Required.**" } else { "" };
        let _ = writeln!(page, "| `{key}` | {} | {}{must} |", kind(schema), cell(&prose(schema)));
    }
    for (key, schema) in properties {
        let inner = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        // The keys of a pipeline stand on a page of their own, and a menu's menus have its keys.
        if inner != "defaults.pipeline" && inner != "[menu].items" {
            inner_tables(page, &inner, schema);
        }
    }
}

fn inner_tables(page: &mut String, name: &str, schema: &Json) {
    if shape::is_secret(schema) {
        return;
    }
    if let Some(branches) = shape::branches(schema) {
        let tag = shape::tag(branches);
        for branch in branches {
            match &tag {
                Some(tag) => {
                    let value = shape::tag_value(branch, tag).unwrap_or_default();
                    table(page, name, &format!(" with `{tag} = \"{value}\"`"), branch);
                }
                None => inner_tables(page, name, branch),
            }
        }
        return;
    }
    if schema.get("properties").is_some() {
        table(page, name, "", schema);
    }
    if let Some(free) = schema.get("additionalProperties").filter(|free| free.is_object()) {
        inner_tables(page, &format!("{name}.NAME"), free);
    }
    if let Some(item) = schema.get("items") {
        inner_tables(page, &format!("[{name}]"), item);
    }
}

/// What a value is, in a few words.
fn kind(schema: &Json) -> String {
    if let Some(choices) = shape::choices(schema) {
        let quoted: Vec<String> = choices.iter().map(|choice| format!("`\"{choice}\"`")).collect();
        return quoted.join(", ");
    }
    if shape::is_secret(schema) {
        return "`{ env = \"NAME\" }`, `{ file = \"…\" }` or `{ command = [\"…\"] }`".to_owned();
    }
    if let Some(branches) = shape::branches(schema) {
        if shape::tag(branches).is_some() {
            return "table".to_owned();
        }
        let mut kinds: Vec<String> = branches.iter().map(kind).collect();
        kinds.dedup();
        return kinds.join(", or ");
    }
    let free = schema.get("additionalProperties").filter(|free| free.is_object());
    let (table, list) = (shape::accepts(schema, Kind::Table), shape::accepts(schema, Kind::Array));
    match (table, list, free, schema.get("items")) {
        (true, true, ..) => "anything".to_owned(),
        (true, _, Some(free), _) => format!("table of names, each: {}", kind(free)),
        (true, ..) => "table".to_owned(),
        (_, true, _, Some(item)) => format!("list of: {}", kind(item)),
        (_, true, ..) => "list".to_owned(),
        _ => shape::expected(schema).trim_start_matches("a ").trim_start_matches("an ").to_owned(),
    }
}

fn prose(schema: &Json) -> String {
    schema.get("description").and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
