//! The bot, where the project has one and a token for it.

use std::sync::Arc;

use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use super::Daemon;
use crate::{
    bot::telegram::{self, Parts},
    connector::{error::ErrorKind, secret},
};

/// Serves the bot until the daemon stops; begun again where it fails. A bot that came with an edit is served from the next start on.
pub(super) async fn serve(daemon: Arc<Daemon>, stop: CancellationToken) -> Result<(), String> {
    let runtime = daemon.runtime();
    let project = runtime.project();
    let Some(token) = project.bot.as_ref().and_then(|bot| bot.token.as_ref()) else { return Ok(()) };
    let token = match secret::read(token, "the bot's token", &project.root).await {
        Ok(token) => token,
        Err(error) if error.kind == ErrorKind::NotFound => {
            tracing::info!("the bot is not served: {error}");
            return Ok(());
        }
        Err(error) => return Err(error.to_string()),
    };
    let runtimes = Arc::new(move || daemon.runtime());
    let Some(parts) = Parts::of_project(runtimes, token.expose_secret().to_owned()) else { return Ok(()) };
    telegram::run(parts, stop).await.map_err(|error| error.to_string())
}
