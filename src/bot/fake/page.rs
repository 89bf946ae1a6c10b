//! The page for people: chats as Telegram shows them, a line to write in, buttons to tap.
//!
//! Loopback only; a page of another site can neither read it (no CORS header, the host is looked at) nor write to it (JSON bodies only).

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;

const PAGE: &str = include_str!("page.html");

/// Messages of a chat that the page is given.
const SHOWN: usize = 200;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/fake/chats", get(chats))
        .route("/fake/calls", get(calls))
        .route("/fake/file/{file}", get(file))
        .route("/fake/message", post(message))
        .route("/fake/tap", post(tap))
        .layer(middleware::from_fn(local_only))
}

/// A name that was made to point here is not this machine's.
async fn local_only(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if name != "127.0.0.1" && name != "localhost" {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

async fn chats(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let world = shared.world();
    let chats: Vec<Value> = world
        .chats
        .values()
        .map(|chat| {
            let skip = chat.messages.len().saturating_sub(SHOWN);
            json!({ "chat": chat.json, "messages": chat.messages.values().skip(skip).collect::<Vec<_>>() })
        })
        .collect();
    Json(json!({ "chats": chats, "users": world.users.values().collect::<Vec<_>>() }))
}

async fn calls(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!(shared.world().calls))
}

async fn file(State(shared): State<Arc<Shared>>, Path(file): Path<String>) -> Response {
    match shared.world().uploads.get(&file) {
        Some(bytes) => ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// As Telegram gives files to bots.
pub(super) async fn file_of_bot(
    State(shared): State<Arc<Shared>>,
    Path((bot, id)): Path<(String, String)>,
) -> Response {
    if bot.strip_prefix("bot") != Some(&shared.token) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    file(State(shared), Path(id)).await
}

#[derive(Deserialize)]
struct Written {
    user: i64,
    chat: i64,
    text: String,
}

async fn message(State(shared): State<Arc<Shared>>, Json(written): Json<Written>) -> Json<Value> {
    let number = shared.change(|world| world.write(written.user, written.chat, &written.text));
    Json(json!({ "message_id": number }))
}

#[derive(Deserialize)]
struct Tapped {
    user: i64,
    chat: i64,
    message: i32,
    data: String,
}

async fn tap(State(shared): State<Arc<Shared>>, Json(tapped): Json<Tapped>) -> Json<Value> {
    let id = shared.change(|world| world.tap(tapped.user, tapped.chat, tapped.message, &tapped.data));
    Json(json!({ "callback_query_id": id }))
}
