//! Updates posted to the bot's webhook, one after another, again until they are taken.

use std::{sync::Weak, time::Duration};

use super::Shared;

/// How long until an update that was not taken is posted again.
const AGAIN: Duration = Duration::from_millis(200);
/// How often somebody looks whether the fake is still there.
const LOOK: Duration = Duration::from_millis(500);

/// Where updates go.
#[derive(Debug, Clone)]
pub(super) struct Webhook {
    pub(super) url: String,
    /// Sent with each, so that the bot knows who speaks.
    pub(super) secret: Option<String>,
}

/// Posts updates for as long as the fake is there.
pub(super) async fn post_updates(shared: Weak<Shared>) {
    let client = reqwest::Client::new();
    while let Some(shared) = shared.upgrade() {
        let changed = shared.changed.notified();
        let next = {
            let world = shared.world();
            let update = world.updates.first().filter(|_| !world.held).cloned();
            world.webhook.clone().zip(update)
        };
        let Some((webhook, update)) = next else {
            let _ = tokio::time::timeout(LOOK, changed).await;
            continue;
        };
        let mut request =
            client.post(&webhook.url).header("content-type", "application/json").body(update.to_string());
        if let Some(secret) = &webhook.secret {
            request = request.header("x-telegram-bot-api-secret-token", secret);
        }
        if request.send().await.is_ok_and(|answer| answer.status().is_success()) {
            shared.change(|world| world.updates.retain(|kept| kept["update_id"] != update["update_id"]));
        } else {
            tokio::time::sleep(AGAIN).await;
        }
    }
}
