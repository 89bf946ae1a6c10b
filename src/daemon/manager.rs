//! Tells systemd how the daemon is: READY, RELOADING, STOPPING, and a sign of life while the board is looked at.
//! Without systemd (no `NOTIFY_SOCKET`) nobody is told.

use std::{sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::{Daemon, lock};

/// How often there is a sign of life where nobody asks for one.
const UNASKED: Duration = Duration::from_secs(30);

/// Started, or reloaded.
pub(super) fn ready(daemon: &Daemon) {
    let status = match &*lock(&daemon.stale) {
        Some(stale) => {
            format!("the edited project has {} problems; the old one goes on", stale.problems.len())
        }
        None => format!("{} members", daemon.board().slots().len()),
    };
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Reads the project anew.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Signs of life, as often as systemd wants them, for as long as the daemon deserves them.
pub(super) async fn beat(daemon: Arc<Daemon>, stop: CancellationToken) -> std::io::Result<()> {
    let every = sd_notify::watchdog_enabled().map_or(UNASKED, |limit| limit / 2);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(every) => {}
        }
        if let Some(sign) = sign_of_life(&daemon) {
            tell(&[sign]);
        }
    }
}

/// What systemd waits for; none of a daemon that hangs, which is ended for that.
pub(super) fn sign_of_life(daemon: &Daemon) -> Option<NotifyState<'static>> {
    daemon.is_healthy().then_some(NotifyState::Watchdog)
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("the service manager was not told: {error}");
    }
}
