//! Methods that change a message in place.

use serde_json::{Map, Value};

use super::{
    body::Body,
    limits, methods,
    reply::{Outcome, Refusal},
    world::World,
};

const NOT_MODIFIED: &str = "message is not modified: specified new message content and reply markup are exactly the same as \
                            a current content and reply markup of the message";

/// `editMessageText`.
pub(super) fn text(world: &mut World, params: &Map<String, Value>) -> Outcome {
    let parsed = limits::text(params, "MESSAGE_TOO_LONG")?;
    edit(world, params, |message| {
        if !message.contains_key("text") {
            return Err(Refusal::bad("there is no text in the message to edit"));
        }
        methods::put_text(message, &parsed, methods::TEXT);
        Ok(())
    })
}

/// `editMessageCaption`.
pub(super) fn caption(world: &mut World, params: &Map<String, Value>) -> Outcome {
    let parsed = limits::caption(params)?;
    edit(world, params, |message| {
        if !message.contains_key("photo") && !message.contains_key("document") {
            return Err(Refusal::bad("there is no caption in the message to edit"));
        }
        put_caption(message, parsed.as_ref());
        Ok(())
    })
}

/// `editMessageMedia`, of photos.
pub(super) fn media(world: &mut World, body: &Body) -> Outcome {
    let told = body.params.get("media").and_then(Value::as_object).cloned();
    let told = told.ok_or_else(|| Refusal::bad("media is empty"))?;
    if told.get("type").and_then(Value::as_str) != Some("photo") {
        return Err(Refusal::bad("only photos can be played here"));
    }
    let media = told.get("media").and_then(Value::as_str).unwrap_or_default();
    let photo = match media.strip_prefix("attach://") {
        Some(part) => methods::photo(world, body, part)?,
        None => methods::known_photo(world, media)?,
    };
    let parsed = limits::caption(&told)?;
    edit(world, &body.params, |message| {
        for gone in ["text", "entities", "document"] {
            message.remove(gone);
        }
        message.insert("photo".to_owned(), photo);
        put_caption(message, parsed.as_ref());
        Ok(())
    })
}

/// `editMessageReplyMarkup`.
pub(super) fn keyboard(world: &mut World, params: &Map<String, Value>) -> Outcome {
    edit(world, params, |_| Ok(()))
}

fn put_caption(message: &mut Map<String, Value>, parsed: Option<&super::html::Parsed>) {
    match parsed {
        Some(parsed) => methods::put_text(message, parsed, methods::CAPTION),
        None => {
            message.remove("caption");
            message.remove("caption_entities");
        }
    }
}

/// Changes a message of the bot's; the keyboard is the one that the call names, or none.
fn edit(
    world: &mut World,
    params: &Map<String, Value>,
    change: impl FnOnce(&mut Map<String, Value>) -> Result<(), Refusal>,
) -> Outcome {
    let keyboard = limits::keyboard(params)?;
    let chat = world.open_chat(methods::chat_id(params)?)?;
    let number = methods::number(params, "message_id").unwrap_or_default() as i32;
    let found = chat.messages.get_mut(&number).and_then(Value::as_object_mut);
    let message = found.ok_or_else(|| Refusal::bad("message to edit not found"))?;
    if message["from"]["is_bot"] != Value::Bool(true) {
        return Err(Refusal::bad("message can't be edited"));
    }
    let mut changed = message.clone();
    changed.remove("edit_date");
    change(&mut changed)?;
    match keyboard {
        Some(keyboard) => changed.insert("reply_markup".to_owned(), keyboard),
        None => changed.remove("reply_markup"),
    };
    let same = changed.iter().all(|(key, value)| message.get(key) == Some(value))
        && message.keys().all(|key| key == "edit_date" || changed.contains_key(key));
    if same {
        return Err(Refusal::bad(NOT_MODIFIED));
    }
    changed.insert("edit_date".to_owned(), changed["date"].clone());
    *message = changed;
    Ok(Value::Object(message.clone()))
}
