//! Tells over HTTP how the daemon is. `/health`: whether it lives; `/ready`: whether it begins runs. 200 or 503, JSON.

use std::{net::TcpListener, sync::Arc};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use tokio_util::sync::CancellationToken;

use super::Daemon;
use crate::daemon::protocol::Status;

/// Serves until the daemon stops.
pub(super) fn task(
    daemon: &Arc<Daemon>,
    listener: TcpListener,
) -> impl FnMut(CancellationToken) -> futures::future::BoxFuture<'static, std::io::Result<()>> + Send + 'static
{
    let daemon = Arc::clone(daemon);
    move |stop| {
        let (listener, daemon) = (listener.try_clone(), Arc::clone(&daemon));
        Box::pin(async move {
            let listener = tokio::net::TcpListener::from_std(listener?)?;
            axum::serve(listener, pages(daemon)).with_graceful_shutdown(stop.cancelled_owned()).await
        })
    }
}

fn pages(daemon: Arc<Daemon>) -> Router {
    Router::new().route("/health", get(health)).route("/ready", get(ready)).with_state(daemon)
}

async fn health(State(daemon): State<Arc<Daemon>>) -> (StatusCode, Json<Status>) {
    answer(daemon.is_healthy(), &daemon)
}

async fn ready(State(daemon): State<Arc<Daemon>>) -> (StatusCode, Json<Status>) {
    answer(daemon.is_ready(), &daemon)
}

fn answer(good: bool, daemon: &Daemon) -> (StatusCode, Json<Status>) {
    let code = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(daemon.status()))
}
