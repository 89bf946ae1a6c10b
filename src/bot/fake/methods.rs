//! The Bot API's methods, as far as the bot calls them.

use serde_json::{Map, Value, json};

use super::{
    body::Body,
    edits,
    html::Parsed,
    limits,
    reply::{Outcome, Refusal},
    uploads::Upload,
    webhook::Webhook,
    world::World,
};

const NO_FILE: &str = "wrong file identifier/HTTP URL specified";

/// Does what a method does; `getUpdates` is the server's.
pub(super) fn call(world: &mut World, method: &str, body: &Body) -> Outcome {
    let params = &body.params;
    match method.to_ascii_lowercase().as_str() {
        "getme" => Ok(World::me()),
        "setwebhook" => set_webhook(world, params),
        "deletewebhook" => {
            world.webhook = None;
            Ok(json!(true))
        }
        "getwebhookinfo" => Ok(webhook_info(world)),
        "sendmessage" => send_message(world, params),
        "sendphoto" => send_photo(world, body),
        "senddocument" => send_document(world, body),
        "sendchataction" => world.open_chat(chat_id(params)?).map(|_| json!(true)),
        "editmessagetext" => edits::text(world, params),
        "editmessagecaption" => edits::caption(world, params),
        "editmessagemedia" => edits::media(world, body),
        "editmessagereplymarkup" => edits::keyboard(world, params),
        "deletemessage" => delete_message(world, params),
        "answercallbackquery" => answer_callback(world, params),
        "setmycommands" => {
            world.commands.insert(commands_key(params), params.get("commands").cloned().unwrap_or_default());
            Ok(json!(true))
        }
        "deletemycommands" => {
            world.commands.remove(&commands_key(params));
            Ok(json!(true))
        }
        "getmycommands" => {
            Ok(world.commands.get(&commands_key(params)).cloned().unwrap_or_else(|| json!([])))
        }
        "getchat" => world.open_chat(chat_id(params)?).map(|chat| chat.json.clone()),
        "getfile" => get_file(world, params),
        _ => Err(Refusal::new(404, "Not Found: method not found")),
    }
}

/// The chat that a call is for.
pub(super) fn chat_id(params: &Map<String, Value>) -> Result<i64, Refusal> {
    number(params, "chat_id").ok_or_else(|| Refusal::bad("chat_id is empty"))
}

/// A whole number, written as one or as text.
pub(super) fn number(params: &Map<String, Value>, key: &str) -> Option<i64> {
    match params.get(key)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Puts a text and its entities into a message.
pub(super) fn put_text(content: &mut Map<String, Value>, parsed: &Parsed, names: [&str; 2]) {
    content.insert(names[0].to_owned(), json!(parsed.text.trim_end()));
    content.remove(names[1]);
    if !parsed.entities.is_empty() {
        content.insert(names[1].to_owned(), json!(parsed.entities));
    }
}

/// The names of a text and of a caption.
pub(super) const TEXT: [&str; 2] = ["text", "entities"];
/// The names of a caption and its entities.
pub(super) const CAPTION: [&str; 2] = ["caption", "caption_entities"];

fn send_message(world: &mut World, params: &Map<String, Value>) -> Outcome {
    let mut content = Map::new();
    put_text(&mut content, &limits::text(params, "message is too long")?, TEXT);
    send(world, params, content)
}

fn send_photo(world: &mut World, body: &Body) -> Outcome {
    let mut content = Map::new();
    content.insert("photo".to_owned(), photo(world, body, "photo")?);
    send_captioned(world, &body.params, content)
}

fn send_document(world: &mut World, body: &Body) -> Outcome {
    let (id, file) = file(world, body, "document")?;
    limits::document(&file.bytes)?;
    let mut content = Map::new();
    let document = json!({
        "file_id": id, "file_unique_id": format!("u-{id}"), "file_name": file.called.name, "file_size": file.called.size,
    });
    content.insert("document".to_owned(), document);
    send_captioned(world, &body.params, content)
}

/// A photo as messages carry it.
pub(super) fn photo(world: &mut World, body: &Body, param: &str) -> Outcome {
    let (id, file) = file(world, body, param)?;
    sizes(&id, &file)
}

/// A photo that was given an id before.
pub(super) fn known_photo(world: &World, id: &str) -> Outcome {
    let known = world.uploads.find(id).ok_or_else(|| Refusal::bad(NO_FILE))?;
    sizes(id, known)
}

fn sizes(id: &str, file: &Upload) -> Outcome {
    let (width, height) = limits::photo(&file.bytes)?;
    Ok(json!([{
        "file_id": id, "file_unique_id": format!("u-{id}"), "width": width, "height": height, "file_size": file.called.size,
    }]))
}

/// The file that a parameter means, with its id: uploaded now, or known by an id that was given before.
fn file(world: &mut World, body: &Body, param: &str) -> Result<(String, Upload), Refusal> {
    if let Some(file) = body.file(param) {
        return Ok((world.uploads.keep(file.clone()), file.clone()));
    }
    let id = body.params.get(param).and_then(Value::as_str).unwrap_or_default();
    let known = world.uploads.find(id).cloned();
    let known = known.ok_or_else(|| Refusal::bad(NO_FILE))?;
    Ok((id.to_owned(), known))
}

fn send_captioned(
    world: &mut World,
    params: &Map<String, Value>,
    mut content: Map<String, Value>,
) -> Outcome {
    if let Some(parsed) = limits::caption(params)? {
        put_text(&mut content, &parsed, CAPTION);
    }
    send(world, params, content)
}

fn send(world: &mut World, params: &Map<String, Value>, mut content: Map<String, Value>) -> Outcome {
    let chat = chat_id(params)?;
    world.open_chat(chat)?;
    if let Some(keyboard) = limits::keyboard(params)? {
        content.insert("reply_markup".to_owned(), keyboard);
    }
    Ok(world.add_message(chat, World::bot(), content))
}

fn delete_message(world: &mut World, params: &Map<String, Value>) -> Outcome {
    let (chat, message) = (chat_id(params)?, number(params, "message_id").unwrap_or_default());
    world.open_chat(chat)?;
    if world.delete(chat, message as i32) {
        Ok(json!(true))
    } else {
        Err(Refusal::bad("message to delete not found"))
    }
}

fn answer_callback(world: &mut World, params: &Map<String, Value>) -> Outcome {
    let id = params.get("callback_query_id").and_then(Value::as_str).unwrap_or_default();
    let text = params.get("text").and_then(Value::as_str).unwrap_or_default();
    if limits::units(text) > limits::ANSWER_UNITS {
        return Err(Refusal::bad("MESSAGE_TOO_LONG"));
    }
    if !world.callbacks.remove(id) {
        return Err(Refusal::bad("query is too old and response timeout expired or query id is invalid"));
    }
    Ok(json!(true))
}

fn set_webhook(world: &mut World, params: &Map<String, Value>) -> Outcome {
    let url = params.get("url").and_then(Value::as_str).unwrap_or_default();
    let secret = params.get("secret_token").and_then(Value::as_str);
    world.webhook =
        (!url.is_empty()).then(|| Webhook { url: url.to_owned(), secret: secret.map(str::to_owned) });
    Ok(json!(true))
}

fn webhook_info(world: &World) -> Value {
    let url = world.webhook.as_ref().map(|webhook| webhook.url.as_str()).unwrap_or_default();
    json!({ "url": url, "has_custom_certificate": false, "pending_update_count": world.updates.len() })
}

fn commands_key(params: &Map<String, Value>) -> (String, String) {
    let scope = params.get("scope").cloned().unwrap_or_else(|| json!({ "type": "default" }));
    let language = params.get("language_code").and_then(Value::as_str).unwrap_or_default();
    (scope.to_string(), language.to_owned())
}

fn get_file(world: &World, params: &Map<String, Value>) -> Outcome {
    let id = params.get("file_id").and_then(Value::as_str).unwrap_or_default();
    let bytes = world.uploads.get(id).ok_or_else(|| Refusal::bad("invalid file id"))?;
    Ok(
        json!({ "file_id": id, "file_unique_id": format!("u-{id}"), "file_size": bytes.len(), "file_path": id }),
    )
}
