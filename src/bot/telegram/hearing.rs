//! How updates come: by asking for them (long polling), or posted to a webhook. An update counts as heard once what came of it is written down.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use teloxide::{
    ApiError, Bot as Telegram, RequestError,
    payloads::{DeleteWebhookSetters, GetUpdatesSetters, SetWebhookSetters},
    prelude::Requester,
    types::{AllowedUpdate, Update},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{BotError, desk::News, incoming, send};

/// Seconds that Telegram may wait for something to happen.
const POLL: u32 = 25;
/// The longest wait after a poll that failed.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A webhook.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Where Telegram posts: an address that leads to `listen`, with its path.
    pub url: String,
    /// Where it is listened for.
    pub listen: SocketAddr,
}

/// Hands updates to the desk.
#[derive(Clone)]
pub(super) struct Ear {
    pub(super) me: String,
    pub(super) news: mpsc::Sender<News>,
}

impl Ear {
    /// Hands an update over; what is given ends once what came of it is written down. `None` = the desk is closed.
    async fn tell(&self, update: Update) -> Option<oneshot::Receiver<()>> {
        let (told, written) = oneshot::channel();
        match incoming::incoming(update, &self.me) {
            Some(incoming) => self.news.send(News::Did(Box::new(incoming), told)).await.ok()?,
            // Nothing comes of it.
            None => drop(told.send(())),
        }
        Some(written)
    }

    /// Hands an update over, and waits until what came of it is written down. False = the desk is closed.
    async fn hear(&self, update: Update) -> bool {
        match self.tell(update).await {
            Some(written) => written.await.is_ok(),
            None => false,
        }
    }
}

/// Asks for updates until it is told to stop.
pub(super) async fn poll(telegram: &Telegram, ear: Ear, stop: CancellationToken) -> Result<(), BotError> {
    // Telegram refuses polls while a webhook is set; what waits there comes by polls then.
    telegram.delete_webhook().drop_pending_updates(false).await.map_err(|error| BotError::of(&error))?;
    let (mut offset, mut failures) = (0, 0_u32);
    loop {
        let poll = telegram.get_updates().offset(offset).timeout(POLL).allowed_updates(kinds());
        let updates = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            updates = poll => updates,
        };
        match updates {
            Ok(updates) => {
                failures = 0;
                let mut told = vec![];
                for update in updates {
                    let next = update.id.as_offset();
                    let Some(written) = ear.tell(update).await else { return Ok(()) };
                    told.push((next, written));
                }
                for (next, written) in told {
                    if written.await.is_err() {
                        return Ok(());
                    }
                    offset = next;
                }
            }
            Err(RequestError::Api(ApiError::TerminatedByOtherGetUpdates)) => return Err(BotError::OtherBot),
            Err(RequestError::Api(ApiError::InvalidToken)) => return Err(BotError::WrongToken),
            Err(error) => {
                let wait = match send::verdict(&error) {
                    send::Verdict::TooMany(wait) => wait,
                    verdict => {
                        tracing::warn!("updates cannot be asked for: {verdict:?}");
                        failures += 1;
                        (Duration::from_millis(250) * 2_u32.saturating_pow(failures.min(10)))
                            .min(LONGEST_WAIT)
                    }
                };
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }
}

/// Listens for updates that Telegram posts, until it is told to stop. The webhook stays: what is posted meanwhile comes later.
pub(super) async fn listen(
    telegram: &Telegram,
    webhook: &Webhook,
    ear: Ear,
    stop: CancellationToken,
) -> Result<(), BotError> {
    let secret = uuid::Uuid::new_v4().simple().to_string();
    let listener = tokio::net::TcpListener::bind(webhook.listen).await;
    let listener = listener.map_err(|source| BotError::Listen { at: webhook.listen, source })?;
    let url: reqwest::Url = webhook.url.parse().map_err(|_| BotError::WebhookUrl)?;
    let path = url.path().to_owned();
    let set = telegram.set_webhook(url.to_string().parse().map_err(|_| BotError::WebhookUrl)?);
    let set = set.secret_token(secret.clone()).allowed_updates(kinds());
    set.await.map_err(|error| BotError::of(&error))?;
    let router = Router::new().route(&path, post(posted)).with_state((ear, secret));
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    served.map_err(|source| BotError::Listen { at: webhook.listen, source })
}

async fn posted(State((ear, secret)): State<(Ear, String)>, headers: HeaderMap, body: String) -> StatusCode {
    let told = headers.get("x-telegram-bot-api-secret-token").map_or(&[][..], |told| told.as_bytes());
    if !same(told, secret.as_bytes()) {
        return StatusCode::UNAUTHORIZED;
    }
    let Some(update) = incoming::posted(&body) else {
        // Posting it again would not make it readable.
        tracing::warn!("Telegram posted what is no update");
        return StatusCode::OK;
    };
    if ear.hear(update).await { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Compares in a time that does not tell how much of a guess was right.
fn same(told: &[u8], secret: &[u8]) -> bool {
    told.len() == secret.len() && told.iter().zip(secret).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

fn kinds() -> [AllowedUpdate; 3] {
    [AllowedUpdate::Message, AllowedUpdate::CallbackQuery, AllowedUpdate::MyChatMember]
}
