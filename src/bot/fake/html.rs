//! Telegram's HTML: text with entities out of markup, refusals in Telegram's words.

use serde_json::{Value, json};

/// Text after its markup was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parsed {
    /// What people read.
    pub(super) text: String,
    /// Telegram's entities; offsets and lengths in UTF-16 units.
    pub(super) entities: Vec<Value>,
}

/// A tag that is open.
struct Open<'a> {
    name: &'a str,
    entity: Value,
}

/// Reads markup as `parse_mode = "HTML"` does. The error is what follows "can't parse entities: ".
pub(super) fn parse(source: &str) -> Result<Parsed, String> {
    let mut text = String::new();
    let mut units = 0;
    let mut entities = vec![];
    let mut open: Vec<Open<'_>> = vec![];
    let mut at = 0;
    while let Some(c) = source[at..].chars().next() {
        match c {
            '<' => {
                let end = source[at..].find('>').ok_or(format!("Unclosed start tag at byte offset {at}"))?;
                let tag = &source[at + 1..at + end];
                match tag.strip_prefix('/') {
                    Some(name) => entities.extend(close(&mut open, name.trim(), units, at)?),
                    None => open.push(opened(tag, units, at)?),
                }
                at += end + 1;
            }
            '&' => {
                let (found, taken) = reference(&source[at..]).unwrap_or(('&', 1));
                text.push(found);
                units += found.len_utf16();
                at += taken;
            }
            _ => {
                text.push(c);
                units += c.len_utf16();
                at += c.len_utf8();
            }
        }
    }
    if let Some(left) = open.last() {
        return Err(format!("Can't find end tag corresponding to start tag \"{}\"", left.name));
    }
    entities.sort_by_key(|entity| entity["offset"].as_u64());
    Ok(Parsed { text, entities })
}

/// Text without markup, as people read it: no refusal, no entities.
pub(super) fn plain(source: &str) -> Parsed {
    Parsed { text: source.to_owned(), entities: vec![] }
}

fn opened(tag: &str, units: usize, at: usize) -> Result<Open<'_>, String> {
    let (name, rest) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
    let kind = match name.to_lowercase().as_str() {
        "b" | "strong" => "bold",
        "i" | "em" => "italic",
        "u" | "ins" => "underline",
        "s" | "strike" | "del" => "strikethrough",
        "code" => "code",
        "pre" => "pre",
        "blockquote" if rest.trim() == "expandable" => "expandable_blockquote",
        "blockquote" => "blockquote",
        "tg-spoiler" => "spoiler",
        "span" if rest.contains("tg-spoiler") => "spoiler",
        "a" => "text_link",
        _ => return Err(format!("Unsupported start tag \"{name}\" at byte offset {at}")),
    };
    let mut entity = json!({ "type": kind, "offset": units });
    if kind == "text_link" {
        let link =
            rest.split_once("href=\"").and_then(|(_, link)| link.split_once('"')).map(|(link, _)| link);
        entity["url"] = json!(unescape(link.unwrap_or_default()));
    }
    Ok(Open { name, entity })
}

/// Ends the tag that is open; an entity over nothing is none.
fn close(open: &mut Vec<Open<'_>>, name: &str, units: usize, at: usize) -> Result<Option<Value>, String> {
    let Some(Open { name: wanted, mut entity }) = open.pop() else {
        return Err(format!("Unexpected end tag at byte offset {at}"));
    };
    if wanted != name {
        return Err(format!(
            "Unmatched end tag at byte offset {at}, expected \"</{wanted}>\", found \"</{name}>\""
        ));
    }
    let from = entity["offset"].as_u64().unwrap_or_default() as usize;
    entity["length"] = json!(units - from);
    Ok((units > from).then_some(entity))
}

/// A character reference at the beginning: which character it is, and how many bytes it takes.
fn reference(source: &str) -> Option<(char, usize)> {
    let end = source.find(';').filter(|end| *end <= 10)?;
    let name = &source[1..end];
    let c = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((c, end + 1))
}

fn unescape(source: &str) -> String {
    let mut text = String::new();
    let mut rest = source;
    while let Some(at) = rest.find('&') {
        text.push_str(&rest[..at]);
        let (c, taken) = reference(&rest[at..]).unwrap_or(('&', 1));
        text.push(c);
        rest = &rest[at + taken..];
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_entities_in_utf16_units() {
        let parsed = parse("🙂<b>жирный &lt;i&gt;</b> <a href=\"https://x/?a=1&amp;b=2\">там</a>").unwrap();
        assert_eq!(parsed.text, "🙂жирный <i> там");
        assert_eq!(parsed.entities[0], json!({ "type": "bold", "offset": 2, "length": 10 }));
        assert_eq!(parsed.entities[1]["url"], "https://x/?a=1&b=2");
    }

    #[test]
    fn what_telegram_refuses_is_refused() {
        for (source, said) in [
            ("<x>", "Unsupported start tag \"x\" at byte offset 0"),
            ("a < b", "Unclosed start tag at byte offset 2"),
            ("<b>a", "Can't find end tag corresponding to start tag \"b\""),
            ("<b><i>a</b></i>", "Unmatched end tag at byte offset 7, expected \"</i>\", found \"</b>\""),
            ("a</b>", "Unexpected end tag at byte offset 1"),
        ] {
            assert_eq!(parse(source).unwrap_err(), said);
        }
    }
}
