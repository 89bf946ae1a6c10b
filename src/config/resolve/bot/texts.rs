//! The bot's own words, in place of those it comes with: each is one that it knows, with what is put into it.

use super::{Report, Scope};
use crate::{
    bot::words::{BETWEEN, Known, TEXTS, Texts, holes},
    config::{project::Language, raw::bot::Words, resolve::matrix::meant, tree::Node, walk},
    workbook::spec::validate_sheet_name,
};

/// The text that names a sheet of Excel, which takes some names only.
const SHEET: &str = "excel_sheet";

/// Every text that the file puts in place of another. A language that is left out keeps ours.
pub(super) fn texts(scope: &Scope<'_>, report: &mut Report<'_>) -> Texts {
    let node = scope.tree.at(&["bot", "texts"]);
    let mut texts = Texts::default();
    for (key, words) in &scope.raw.bot.texts {
        let place = node.at(&[key]);
        let Some(at) = TEXTS.iter().position(|known| known.key == key) else {
            let known: Vec<&str> = TEXTS.iter().map(|known| known.key).collect();
            let hint = match meant(key, &known) {
                hint if hint.is_empty() => "docs/reference/texts.md lists them".to_owned(),
                hint => hint,
            };
            report.key(place, "unknown-text", format!("the bot has no text `{key}`"), hint);
            continue;
        };
        for (languages, text, place) in written(words, place) {
            judge(&TEXTS[at], languages, text, place, report);
            for language in languages {
                texts.put(at, *language, text.to_owned());
            }
        }
    }
    texts
}

/// The texts as they are written, each with the languages that it stands for and its place.
fn written<'t>(words: &'t Words, place: &'t Node) -> Vec<(&'static [Language], &'t str, &'t Node)> {
    match words {
        Words::One(text) => vec![(&[Language::Ru, Language::En], text, place)],
        Words::Each(each) => {
            let ru = each.ru.as_deref().map(|text| (&[Language::Ru][..], text, place.at(&["ru"])));
            let en = each.en.as_deref().map(|text| (&[Language::En][..], text, place.at(&["en"])));
            ru.into_iter().chain(en).collect()
        }
    }
}

/// Reports what is wrong with a text.
fn judge(known: &Known, languages: &[Language], text: &str, place: &Node, report: &mut Report<'_>) {
    let Known { key, holes: takes, parts, .. } = known;
    if text.trim().is_empty() {
        return report.value(place, "empty-text", "this text is empty", "write it, or leave the key out");
    }
    if text.matches('{').count() != text.matches('}').count() {
        let message = format!("text `{key}` has a brace without its other half");
        report.value(place, "bad-text", message, "what is put in stands in both: `{name}`");
    }
    let names: Vec<&str> = takes.iter().map(|(name, _)| *name).collect();
    for hole in holes(text).filter(|hole| !names.contains(hole)) {
        let message = format!("text `{key}` has nothing to put in place of `{{{hole}}}`");
        let hint = if names.is_empty() {
            "nothing is put into it".to_owned()
        } else {
            format!("expected {}", walk::list(&names))
        };
        report.value(place, "unknown-text", message, hint);
    }
    for (name, must) in *takes {
        if *must && !holes(text).any(|hole| hole == *name) {
            let message = format!("text `{key}` says nothing without `{{{name}}}`");
            report.value(place, "bad-text", message, format!("ours is \"{}\"", known.get(languages[0])));
        }
    }
    let count = |text: &str| text.split(BETWEEN).count();
    let differs = languages.iter().find(|language| count(known.get(**language)) != count(text));
    if let (true, Some(language)) = (parts, differs) {
        let ours = known.get(*language);
        let message = format!(
            "text `{key}` has {} parts between `{BETWEEN}` in this language, and this one has {}",
            count(ours),
            count(text)
        );
        report.value(
            place,
            "bad-text",
            message,
            format!("ours is \"{ours}\"; write it as {{ ru = …, en = … }}"),
        );
    }
    if *key == SHEET
        && let Err(why) = validate_sheet_name(text)
    {
        report.value(place, "bad-text", why, "");
    }
}
