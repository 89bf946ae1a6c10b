//! How Telegram is reached, how it reaches the bot, and who else is asked.

use std::{net::SocketAddr, time::Duration};

use super::{Report, Scope};
use crate::config::bot::{Model, Webhook};

/// How long a model may take.
const MODEL_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the Bot API is, where it is not Telegram's own.
pub(super) fn api_url(scope: &Scope<'_>, report: &mut Report<'_>) -> Option<String> {
    let url = scope.raw.bot.api_url.clone()?;
    if url.starts_with("http://") || url.starts_with("https://") {
        return Some(url.trim_end_matches('/').to_owned());
    }
    let place = scope.tree.at(&["bot", "api_url"]);
    report.value(place, "bad-url", "expected an address: \"http://127.0.0.1:8081\"", "");
    None
}

/// Where Telegram posts.
pub(super) fn webhook(scope: &Scope<'_>, report: &mut Report<'_>) -> Option<Webhook> {
    let told = scope.raw.bot.webhook.as_ref()?;
    let path = told.url.strip_prefix("https://").and_then(|rest| rest.split_once('/')).map(|(_, path)| path);
    if path.is_none_or(str::is_empty) {
        let place = scope.tree.at(&["bot", "webhook", "url"]);
        let what = "Telegram posts to an https address with a path: \"https://bot.example.com/telegram\"";
        report.value(place, "bad-url", what, "");
    }
    let listen = told.listen.parse::<SocketAddr>();
    if listen.is_err() {
        let place = scope.tree.at(&["bot", "webhook", "listen"]);
        report.value(place, "bad-address", "expected an address and a port: \"127.0.0.1:8443\"", "");
    }
    Some(Webhook { url: told.url.clone(), listen: listen.ok()? })
}

/// Who is asked what words mean.
pub(super) fn model(scope: &Scope<'_>, report: &mut Report<'_>) -> Option<Model> {
    let told = scope.raw.bot.model.as_ref()?;
    let place = |key: &str| scope.tree.at(&["bot", "model", key]);
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let safe = told.url.starts_with("https://") || local.iter().any(|own| told.url.starts_with(own));
    if !safe {
        let what = "expected an https address: \"https://api.example.com/v1/chat/completions\"";
        report.value(place("url"), "bad-url", what, "plain http is for a model on this machine");
    }
    if told.name.trim().is_empty() {
        report.value(place("name"), "empty-text", "the model has no name", "");
    }
    let timeout = told.timeout.map_or(MODEL_TIMEOUT, crate::model::time::Span::get);
    if timeout.is_zero() || timeout > Duration::from_secs(60) {
        report.value(place("timeout"), "out-of-range", "a model may take up to a minute", "");
    }
    Some(Model { url: told.url.clone(), key: told.key.clone(), name: told.name.clone(), timeout })
}
