//! Tells over HTTP how the daemon is. `/health`: whether it lives; `/ready`: whether it begins runs. 200 or 503, JSON.

use std::{net::TcpListener, sync::Arc};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use tokio_util::sync::CancellationToken;

use super::Daemon;
use crate::daemon::protocol::Status;

/// Serves until nothing runs any more.
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

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::{
        config,
        daemon::{HANGS, Settings, manager},
        model::time::FixedClock,
        state::lock::ProjectLock,
    };

    /// A daemon of an empty project, whose clock stands still.
    fn daemon(folder: &std::path::Path, clock: &Arc<FixedClock>) -> (Arc<Daemon>, ProjectLock) {
        let file = "[project]\nname = \"p\"\ntime_zone = \"Europe/Moscow\"\n";
        std::fs::write(folder.join("vitrina.toml"), file).unwrap();
        let loaded = config::load(folder, "default", &|_| None);
        let project = Arc::new(loaded.project.unwrap_or_else(|| panic!("{:?}", loaded.problems)));
        let lock = ProjectLock::acquire(&project.state, "test", DateTime::UNIX_EPOCH).unwrap();
        let settings = Settings {
            project,
            files: loaded.sources,
            load: Box::new(|| unreachable!("nothing is edited")),
            held: lock.place().clone(),
            clock: Arc::clone(clock) as _,
        };
        (Daemon::build(settings).unwrap(), lock)
    }

    #[tokio::test]
    async fn who_does_not_look_hangs_and_who_stops_is_not_ready() {
        let folder = tempfile::tempdir().unwrap();
        let begun = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let clock = Arc::new(FixedClock::at(begun));
        let (daemon, _lock) = daemon(folder.path(), &clock);
        let second = TimeDelta::seconds(1);
        for (at, healthy) in [(begun, true), (begun + HANGS - second, true), (begun + HANGS, false)] {
            clock.set(at);
            let signed = manager::sign_of_life(&daemon).is_some();
            let told = daemon.status().healthy;
            assert_eq!(
                (daemon.is_healthy(), daemon.is_ready(), signed, told),
                (healthy, healthy, healthy, healthy)
            );
        }
        clock.set(begun - TimeDelta::days(1));
        assert!(daemon.is_ready(), "a clock that was set back is no hanging");
        clock.set(begun + HANGS);
        daemon.looked_at.store((begun + HANGS).timestamp(), std::sync::atomic::Ordering::Relaxed);
        assert!(daemon.is_ready() && !daemon.status().stopping, "it looked again");
        daemon.stop.cancel();
        // Nobody looks at the board any more, however long the runs take.
        clock.set(begun + TimeDelta::hours(1));
        let status = daemon.status();
        assert!(daemon.is_healthy() && status.healthy && status.stopping && !daemon.is_ready());
        assert!(!daemon.drained.is_cancelled());
    }
}
