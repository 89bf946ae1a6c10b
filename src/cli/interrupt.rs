//! Ctrl-C: the first stops at a slice's edge, the second at once. Committed rows stay either way.

use std::future::Future;

use tokio::signal::unix;
use tokio_util::sync::CancellationToken;

use super::{
    failure::{Exit, Failure, Result},
    output::complain,
};

/// Begins to listen. The token is cancelled by the first Ctrl-C or SIGTERM; the second ends the process.
pub(super) fn listen() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        signal().await;
        cancelled.cancel();
        complain("stopping after what is being written; once more to stop at once");
        signal().await;
        // What is staged was never visible, so there is nothing to clean up that the next run does not.
        std::process::exit(Exit::Interrupted as i32);
    });
    token
}

/// Work that may be dropped at any point: ends at the first Ctrl-C.
pub(super) async fn unless_interrupted<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        () = signal() => Err(Failure::interrupted()),
        result = work => result,
    }
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn signal() {
    let Ok(mut terminate) = unix::signal(unix::SignalKind::terminate()) else {
        return wait_for_interrupt().await;
    };
    tokio::select! {
        () = wait_for_interrupt() => {}
        _ = terminate.recv() => {}
    }
}

async fn wait_for_interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        // No way to hear of it: the system's own handling stays.
        std::future::pending::<()>().await;
    }
}
