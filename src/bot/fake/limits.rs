//! What Telegram refuses: too long, too large, too many.

use serde_json::{Map, Value};

use super::{
    html::{self, Parsed},
    reply::Refusal,
};

/// UTF-16 units of a message's text, after its markup was read.
const TEXT_UNITS: usize = 4096;
/// UTF-16 units of a caption, after its markup was read.
const CAPTION_UNITS: usize = 1024;
/// Bytes of a button's data.
const CALLBACK_BYTES: usize = 64;
/// Buttons of a keyboard.
const BUTTONS: usize = 100;
/// Bytes of a document.
const DOCUMENT_BYTES: usize = 50 << 20;
/// Bytes of a photo.
const PHOTO_BYTES: usize = 10 << 20;
/// Width and height of a photo together.
const PHOTO_SIDES: u32 = 10_000;
/// How many times a photo may be longer than wide, or wider than long.
const PHOTO_RATIO: u32 = 20;
/// UTF-16 units of a callback's answer.
pub(super) const ANSWER_UNITS: usize = 200;

/// Reads and judges a message's text.
pub(super) fn text(params: &Map<String, Value>, too_long: &str) -> Result<Parsed, Refusal> {
    let parsed = marked_up(params, "text")?;
    if parsed.text.trim().is_empty() {
        return Err(Refusal::bad("message text is empty"));
    }
    if units(&parsed.text) > TEXT_UNITS {
        return Err(Refusal::bad(too_long));
    }
    Ok(parsed)
}

/// Reads and judges a caption; there may be none.
pub(super) fn caption(params: &Map<String, Value>) -> Result<Option<Parsed>, Refusal> {
    if params.get("caption").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Ok(None);
    }
    let parsed = marked_up(params, "caption")?;
    if units(&parsed.text) > CAPTION_UNITS {
        return Err(Refusal::bad("message caption is too long"));
    }
    Ok(Some(parsed))
}

/// Judges a keyboard.
pub(super) fn keyboard(params: &Map<String, Value>) -> Result<Option<Value>, Refusal> {
    let Some(markup) = params.get("reply_markup") else { return Ok(None) };
    let rows = markup["inline_keyboard"].as_array();
    let buttons: Vec<&Value> = rows.into_iter().flatten().filter_map(Value::as_array).flatten().collect();
    for button in &buttons {
        if button["text"].as_str().is_none_or(|title| title.trim().is_empty()) {
            return Err(Refusal::bad("can't parse inline keyboard button: text must be non-empty"));
        }
        let data = button["callback_data"].as_str();
        if data.is_some_and(|data| data.is_empty() || data.len() > CALLBACK_BYTES) {
            return Err(Refusal::bad("BUTTON_DATA_INVALID"));
        }
    }
    if buttons.len() > BUTTONS {
        return Err(Refusal::bad("reply markup is too long"));
    }
    Ok((!buttons.is_empty() || rows.is_none()).then(|| markup.clone()))
}

/// Judges a document.
pub(super) fn document(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::bad("file must be non-empty"));
    }
    if bytes.len() > DOCUMENT_BYTES {
        return Err(Refusal::new(413, "Request Entity Too Large"));
    }
    Ok(())
}

/// Judges a photo; gives its width and height.
pub(super) fn photo(bytes: &[u8]) -> Result<(u32, u32), Refusal> {
    if bytes.len() > PHOTO_BYTES {
        return Err(Refusal::new(413, "Request Entity Too Large"));
    }
    let (width, height) = sides(bytes).ok_or_else(|| Refusal::bad("IMAGE_PROCESS_FAILED"))?;
    let (short, long) = (width.min(height), width.max(height));
    if short == 0 || width.saturating_add(height) > PHOTO_SIDES || long / short > PHOTO_RATIO {
        return Err(Refusal::bad("PHOTO_INVALID_DIMENSIONS"));
    }
    Ok((width, height))
}

/// UTF-16 units of a text.
pub(super) fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

fn marked_up(params: &Map<String, Value>, key: &str) -> Result<Parsed, Refusal> {
    let source = params.get(key).and_then(Value::as_str).unwrap_or_default();
    match params.get("parse_mode").and_then(Value::as_str) {
        None => Ok(html::plain(source)),
        Some(mode) if mode.eq_ignore_ascii_case("html") => {
            html::parse(source).map_err(|what| Refusal::bad(&format!("can't parse entities: {what}")))
        }
        Some(_) => Err(Refusal::bad("unsupported parse_mode")),
    }
}

/// Width and height of a PNG, from its first chunk.
fn sides(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(8..16)?;
    let (width, height) = header.split_at(4);
    Some((u32::from_be_bytes(width.try_into().ok()?), u32::from_be_bytes(height.try_into().ok()?)))
}
