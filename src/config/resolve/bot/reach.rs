//! How Telegram is reached, and how it reaches the bot.

use std::net::SocketAddr;

use super::{Report, Scope};
use crate::config::bot::Webhook;

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
