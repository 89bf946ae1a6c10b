//! The bot in Telegram: a front-end over the dialog.
//!
//! Five tasks share the records and end together:
//! - `hearing` takes updates in, by long polling or a webhook;
//! - `desk` does what they mean, one after another: dialog, access, users; reports run beside it;
//! - `delivery` sends what lies in the outbox, at the allowed pace;
//! - `firing` and `alerts` put subscriptions and alerts into the outbox when they are due.
//!
//! *Invariant:* whatever is told lies in the outbox first, in the transaction that writes down why. Only answers to presses and lists of
//! commands, which may be lost, go straight to Telegram.

mod alerts;
pub mod answers;
mod commands;
mod delivery;
mod desk;
mod failures;
mod files;
mod firing;
mod flood;
mod guarded;
mod hearing;
mod html;
mod incoming;
mod line;
mod mine;
mod model;
mod office;
mod outside;
mod own;
mod parcel;
mod parts;
mod people;
mod project;
pub mod reports;
mod requests;
mod send;
mod troubles;
pub mod users;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use teloxide::{ApiError, Bot as Telegram, RequestError, prelude::Requester};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use self::{
    alerts::Alerts, delivery::Delivery, desk::Desk, files::Files, firing::Firing, guarded::Guarded,
    hearing::Ear, office::Office, send::Sender,
};
pub use self::{
    answers::Answers,
    hearing::Webhook,
    office::{Setting, Settings},
};
use super::outbox::Limits;
use crate::{
    model::time::Clock,
    state::{bot::BotRecords, error::StateError},
};

/// What is said where Telegram does not know the token.
const WRONG_TOKEN: &str = "Telegram does not know the bot's token: it is wrong, or was revoked; take the present one from @BotFather";

/// How long any call may take, uploads of 50 MB and long polls included.
const CALL: Duration = Duration::from_secs(120);
/// News that wait for the desk.
const NEWS: usize = 256;
/// Subscriptions that wait to be sent because somebody wants them now.
const WANTED: usize = 100;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// What a bot is made of.
pub struct Parts {
    /// `bot.toml` as it is now.
    pub settings: Settings,
    /// The folder of the state files.
    pub state: PathBuf,
    /// Telegram's token.
    pub token: String,
    /// Where the Bot API is, where it is not Telegram's own: a server of one's own, or the fake.
    pub api_url: Option<String>,
    /// Where Telegram posts updates; `None` = they are asked for.
    pub webhook: Option<Webhook>,
    /// Runs reports.
    pub answers: Arc<dyn Answers>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How fast messages may leave.
    pub limits: Limits,
    /// How often it is looked what is due.
    pub look: Duration,
}

/// How often a daemon's bot looks what is due.
pub const LOOK: Duration = Duration::from_secs(5);

/// Why the bot cannot go on. Whoever runs it begins it again after a while.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    /// Telegram does not know the token.
    #[error("{WRONG_TOKEN}")]
    WrongToken,
    /// Somebody else asks for the same bot's updates.
    #[error(
        "another process asks Telegram for updates with the same token: a bot is served by one daemon; stop the other one, or give it a bot of its own"
    )]
    OtherBot,
    /// Telegram cannot be reached, or refuses.
    #[error("Telegram: {0}")]
    Telegram(String),
    /// The webhook's address is none.
    #[error("the webhook's url must be an https address with a path")]
    WebhookUrl,
    /// The webhook's listener.
    #[error("cannot listen at {at} for Telegram's posts: {source}")]
    Listen {
        /// Where.
        at: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The Bot API's address is none.
    #[error("the Bot API's address must be a URL: `http://127.0.0.1:8081`")]
    ApiUrl,
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The folder of files that wait.
    #[error("files that are to be sent cannot be kept: {0}")]
    Files(#[from] std::io::Error),
}

impl BotError {
    fn of(error: &RequestError) -> Self {
        match error {
            RequestError::Api(ApiError::InvalidToken) => Self::WrongToken,
            RequestError::Api(ApiError::TerminatedByOtherGetUpdates) => Self::OtherBot,
            error => match send::verdict(error) {
                send::Verdict::Later(why) | send::Verdict::Refused(why) | send::Verdict::Gone(why) => {
                    Self::Telegram(why)
                }
                send::Verdict::TooMany(wait) => {
                    Self::Telegram(format!("too many calls; again in {} s", wait.as_secs()))
                }
                other => Self::Telegram(format!("{other:?}")),
            },
        }
    }
}

/// Serves a bot until it is told to stop.
pub async fn run(parts: Parts, stop: CancellationToken) -> Result<(), BotError> {
    let telegram = client(&parts.token, parts.api_url.as_deref())?;
    let me = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        me = telegram.get_me() => me.map_err(|error| BotError::of(&error))?,
    };
    tracing::info!("the bot is @{}", me.username());
    let office = Office {
        files: Files::open(&parts.state)?,
        records: Arc::new(BotRecords::open(&parts.state)?),
        settings: parts.settings,
        clock: parts.clock,
        look: parts.look,
        news: Arc::new(Notify::new()),
        failures: Arc::default(),
    };
    let setting = office.setting();
    commands::set_defaults(&telegram, &setting.bot.texts, setting.language);
    let answers: Arc<dyn Answers> = Arc::new(Guarded(parts.answers));
    // Whoever brings news waits for a place; the desk waits for nobody, so that the places become free.
    let (news, heard) = mpsc::channel(NEWS);
    let (fire, wanted) = mpsc::channel(WANTED);
    let delivery = Delivery {
        records: Arc::clone(&office.records),
        sender: Arc::new(Sender::new(telegram.clone(), office.files.clone())),
        files: office.files.clone(),
        clock: Arc::clone(&office.clock),
        news: Arc::clone(&office.news),
        desk: news.clone(),
        limits: parts.limits,
        look: parts.look,
    };
    let desk = Desk::new(office.clone(), telegram.clone(), Arc::clone(&answers), news.clone(), fire);
    let firing = Firing { office: office.clone(), answers: Arc::clone(&answers) };
    let alerts = Alerts { office, answers };
    let ear = Ear { me: me.username().to_owned(), news };
    // Whatever ends one of them ends the others in order, as when the bot is stopped: the answer to what is on its way to Telegram is waited for, since
    // what is not known to have arrived is sent again.
    let ending = stop.child_token();
    let hear = async {
        match &parts.webhook {
            Some(webhook) => hearing::listen(&telegram, webhook, ear, ending.clone()).await,
            None => hearing::poll(&telegram, ear, ending.clone()).await,
        }
    };
    let (heard, told, sent, fired, alerted) = tokio::join!(
        ends(&ending, hear),
        ends(&ending, async { Ok(desk.run(heard, ending.clone()).await?) }),
        ends(&ending, async { Ok(delivery.run(ending.clone()).await?) }),
        ends(&ending, async { Ok(firing.run(wanted, ending.clone()).await?) }),
        ends(&ending, async { Ok(alerts.run(ending.clone()).await?) }),
    );
    heard.and(told).and(sent).and(fired).and(alerted)
}

/// A part of the bot, which the others end with where it fails.
async fn ends(
    ending: &CancellationToken,
    part: impl Future<Output = Result<(), BotError>>,
) -> Result<(), BotError> {
    let ended = part.await;
    if ended.is_err() {
        ending.cancel();
    }
    ended
}

fn client(token: &str, api_url: Option<&str>) -> Result<Telegram, BotError> {
    let settings = teloxide::net::default_reqwest_settings().timeout(CALL).connect_timeout(CONNECT);
    let client = settings.build().map_err(|_| BotError::Telegram("no TLS".to_owned()))?;
    let telegram = Telegram::with_client(token, client);
    match api_url {
        Some(url) => Ok(telegram.set_api_url(url.parse().map_err(|_| BotError::ApiUrl)?)),
        None => Ok(telegram),
    }
}

#[cfg(test)]
mod tests;
