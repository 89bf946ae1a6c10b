//! The HTTP side: `/bot<token>/<method>`, faults, long polls.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body as HttpBody,
    extract::{DefaultBodyLimit, Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use super::{
    Shared,
    body::Body,
    faults::{self, Harm},
    methods, page,
    reply::{Outcome, Refusal},
    world::Call,
};

/// Bytes of a request that are read at all.
const BODY_BYTES: usize = 80 << 20;
/// Updates given at once.
const UPDATES: usize = 100;
/// How long a poll waits at most.
const LONGEST_POLL: Duration = Duration::from_secs(50);

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let router = Router::new()
        .route("/{bot}/{method}", any(call))
        .route("/file/{bot}/{file}", get(page::file_of_bot))
        .merge(page::routes())
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(shared);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!("the fake Telegram stopped: {error}");
    }
}

async fn call(
    State(shared): State<Arc<Shared>>,
    Path((bot, method)): Path<(String, String)>,
    request: Request,
) -> Response {
    if bot.strip_prefix("bot") != Some(&shared.token) {
        return answer(&Err(Refusal::new(401, "Unauthorized")));
    }
    let body = match Body::read(request).await {
        Ok(body) => body,
        Err(refusal) => return answer(&Err(refusal)),
    };
    let chat = methods::number(&body.params, "chat_id");
    let harm = shared.change(|world| faults::take(&mut world.faults, &method, chat));
    match harm {
        Some(Harm::TooMany { retry_after }) => {
            refused(&shared, &method, &body, "429");
            answer(&Err(Refusal::too_many(retry_after)))
        }
        Some(Harm::Status(status)) => {
            refused(&shared, &method, &body, &status.to_string());
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, "<html>a gateway in between</html>").into_response()
        }
        Some(Harm::Refused(code, said)) => {
            refused(&shared, &method, &body, said);
            answer(&Err(Refusal::new(code, said)))
        }
        Some(Harm::DropRequest) => {
            refused(&shared, &method, &body, "dropped");
            broken()
        }
        Some(Harm::DropReply) => {
            // Done or refused: nobody will know.
            let _ = done(&shared, &method, &body).await;
            broken()
        }
        Some(Harm::Delay(while_)) => {
            tokio::time::sleep(while_).await;
            answer(&done(&shared, &method, &body).await)
        }
        Some(Harm::SlowReply(while_)) => {
            let done = done(&shared, &method, &body).await;
            tokio::time::sleep(while_).await;
            answer(&done)
        }
        None => answer(&done(&shared, &method, &body).await),
    }
}

async fn done(shared: &Shared, method: &str, body: &Body) -> Outcome {
    let outcome = if method.eq_ignore_ascii_case("getupdates") {
        get_updates(shared, &body.params).await
    } else {
        shared.change(|world| methods::call(world, method, body))
    };
    let refusal = outcome.as_ref().err().map(|refusal| refusal.description.clone());
    shared.change(|world| world.log(logged(method, body, refusal)));
    outcome
}

fn refused(shared: &Shared, method: &str, body: &Body, fault: &str) {
    shared.change(|world| world.log(logged(method, body, Some(fault.to_owned()))));
}

fn logged(method: &str, body: &Body, refusal: Option<String>) -> Call {
    let files = body.files.iter().map(|file| file.called.clone()).collect();
    let params = Value::Object(body.params.clone());
    Call { at_ms: 0, method: method.to_owned(), params, files, done: refusal.is_none(), refusal }
}

/// A long poll: what is there at once, else what comes within `timeout`. Updates below `offset` are confirmed and forgotten.
async fn get_updates(shared: &Shared, params: &Map<String, Value>) -> Outcome {
    let timeout = methods::number(params, "timeout").unwrap_or_default().max(0) as u64;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(timeout).min(LONGEST_POLL);
    let limit = methods::number(params, "limit").unwrap_or(UPDATES as i64).clamp(1, UPDATES as i64) as usize;
    let poll = shared.change(|world| {
        world.poll += 1;
        world.poll
    });
    if let Some(offset) = methods::number(params, "offset").filter(|offset| *offset > 0) {
        shared.change(|world| world.updates.retain(|update| update["update_id"].as_i64() >= Some(offset)));
    }
    loop {
        let changed = shared.changed.notified();
        {
            let world = shared.world();
            if world.webhook.is_some() {
                let what = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete \
                            the webhook first";
                return Err(Refusal::new(409, what));
            }
            if world.poll != poll {
                let what = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is \
                            running";
                return Err(Refusal::new(409, what));
            }
            if !world.held && !world.updates.is_empty() {
                return Ok(json!(world.updates[..limit.min(world.updates.len())]));
            }
        }
        if tokio::time::timeout_at(deadline, changed).await.is_err() {
            return Ok(json!([]));
        }
    }
}

fn answer(outcome: &Outcome) -> Response {
    match outcome {
        Ok(result) => axum::Json(json!({ "ok": true, "result": result })).into_response(),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
            (status, axum::Json(refusal.json())).into_response()
        }
    }
}

/// An answer that breaks off: the connection is closed before it is whole.
fn broken() -> Response {
    let cut =
        futures::stream::iter([Err::<bytes::Bytes, _>(std::io::Error::other("the connection is cut here"))]);
    Response::new(HttpBody::from_stream(cut))
}
