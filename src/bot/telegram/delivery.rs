//! Takes messages out of the outbox and sends them at the allowed pace, one at a time to a chat and in its order.
//!
//! A message leaves the outbox in the same transaction that writes down where it stands, after Telegram took it. A process that dies in
//! between sends it once more: an edit does no harm, a new message comes twice. See docs/bot-telegram.md.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    desk::News,
    files::Files,
    parcel::{Parcel, Shown},
    send::{Carrier, Verdict},
};
use crate::{
    bot::outbox::{Limits, Next, Pacer, Sent},
    failpoint,
    model::time::Clock,
    state::{
        bot::{BotRecords, outbox::Waiting},
        error::Result,
    },
};

/// Calls on their way at once.
const AT_ONCE: usize = 30;
/// A message that could not be sent for so long is given up.
const GIVEN_UP: TimeDelta = TimeDelta::days(1);
/// How often a message is tried at which the program itself fails: whatever is behind it in its chat is not to wait for a day.
const PANICS: u32 = 3;
/// How long the whole outbox rests where the token opens nothing.
const WRONG_TOKEN: Duration = Duration::from_secs(30);
/// How long calls on their way may take when the bot stops.
const GRACE: Duration = Duration::from_secs(3);

/// Something that admins should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A chat cannot be written to any more.
    Gone {
        /// Which.
        chat: i64,
        /// Why.
        why: String,
        /// What did not arrive told of a message that did not arrive.
        of_trouble: bool,
    },
    /// A group is another chat now.
    Moved {
        /// It was.
        from: i64,
        /// It is.
        to: i64,
    },
    /// A message was given up.
    Lost {
        /// To which chat.
        chat: i64,
        /// Why.
        why: String,
    },
}

/// The task that empties the outbox.
pub(super) struct Delivery {
    pub(super) records: Arc<BotRecords>,
    pub(super) sender: Arc<dyn Carrier>,
    pub(super) files: Files,
    pub(super) clock: Arc<dyn Clock>,
    /// Told whenever something was put in.
    pub(super) news: Arc<Notify>,
    /// Told of troubles.
    pub(super) desk: mpsc::Sender<News>,
    pub(super) limits: Limits,
    /// How often it is looked whether another process put something in.
    pub(super) look: Duration,
}

/// What came of a call: the chat, the message, and its verdict.
type Done = (i64, i64, Option<(Waiting, Option<Parcel>, Verdict)>);

/// What is on its way, and what waits to be.
struct Traffic {
    pacer: Pacer,
    began: Instant,
    /// How often the program itself has failed at a message.
    panics: HashMap<i64, u32>,
}

impl Traffic {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Delivery {
    /// Sends until it is told to stop.
    pub(super) async fn run(self, stop: CancellationToken) -> Result<()> {
        let pacer = Pacer::new(self.limits);
        let mut traffic = Traffic { pacer, began: Instant::now(), panics: HashMap::new() };
        let (mut newest, mut calls) = (0, JoinSet::<Done>::new());
        self.sweep();
        loop {
            for (id, chat) in self.records.waiting_after(newest)? {
                newest = id;
                traffic.pacer.add(traffic.now(), chat, id);
            }
            let next = if calls.len() < AT_ONCE { traffic.pacer.next(traffic.now()) } else { Next::Idle };
            let until = match next {
                Next::Send { chat, id } => {
                    let call = self.call(chat, id)?;
                    calls.spawn(async move { (chat, id, call.await) });
                    continue;
                }
                Next::At(at) => traffic.began + at,
                Next::Idle => Instant::now() + self.look,
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.news.notified() => {}
                () = tokio::time::sleep_until(until) => {}
                Some(Ok(done)) = calls.join_next() => {
                    self.settle(done, &mut traffic).await?;
                    if traffic.pacer.is_empty() {
                        self.sweep();
                    }
                }
            }
        }
        let rest = async {
            while let Some(Ok(done)) = calls.join_next().await {
                self.settle(done, &mut traffic).await?;
            }
            Ok(())
        };
        tokio::time::timeout(GRACE, rest).await.unwrap_or(Ok(()))
    }

    /// The call that sends a message; what it needs is read now, when all before it in its chat has arrived.
    fn call(
        &self,
        chat: i64,
        id: i64,
    ) -> Result<impl Future<Output = Option<(Waiting, Option<Parcel>, Verdict)>> + use<>> {
        let waiting = self.records.waiting(id)?;
        let parcel: Option<Parcel> =
            waiting.as_ref().and_then(|waiting| serde_json::from_str(&waiting.content).ok());
        let user = parcel.as_ref().and_then(|parcel| parcel.user);
        let chat = waiting.as_ref().map_or(chat, |waiting| waiting.chat);
        let shown = user.map(|user| self.records.shown(user, chat)).transpose()?.flatten();
        let shown: Vec<Shown> = shown.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let sender = Arc::clone(&self.sender);
        Ok(async move {
            let waiting = waiting?;
            failpoint::pass("bot.send.before");
            let verdict = match &parcel {
                Some(parcel) => {
                    let sent = AssertUnwindSafe(sender.send(waiting.chat, parcel, &shown)).catch_unwind();
                    sent.await.unwrap_or(Verdict::Panicked)
                }
                None => Verdict::Refused("it cannot be read".to_owned()),
            };
            failpoint::pass("bot.send.after");
            Some((waiting, parcel, verdict))
        })
    }

    /// What came of a call. Whatever it is, the chat is free for its next message from now on.
    async fn settle(&self, (chat, id, done): Done, traffic: &mut Traffic) -> Result<()> {
        let now = self.clock.now();
        let sent = match done {
            None => Sent::Settled, // It was taken out of the outbox meanwhile: its chat is gone.
            Some((waiting, parcel, Verdict::Arrived(shown))) => {
                let text = serde_json::to_string(&shown).unwrap_or_default();
                let user = parcel.and_then(|parcel| parcel.user);
                // The group may have moved since the message was put in line.
                self.records.arrived(id, user.map(|user| (user, waiting.chat, text.as_str())))?;
                failpoint::pass("bot.arrived.after");
                Sent::Settled
            }
            Some((_, _, Verdict::TooMany(wait))) => {
                tracing::info!("Telegram wants chat {chat} to be left alone for {} s", wait.as_secs());
                Sent::TooMany(wait)
            }
            Some((waiting, parcel, Verdict::Later(why))) if now - waiting.made_at >= GIVEN_UP => {
                self.lost(&waiting, parcel.as_ref(), &why, now).await?
            }
            Some((_, _, Verdict::Later(why))) => {
                tracing::warn!("a message to chat {chat} was not sent ({why}); it is tried again");
                Sent::Failed
            }
            Some((_, _, Verdict::Moved(to))) => {
                if self.records.move_chat(chat, to)? {
                    self.tell(Trouble::Moved { from: chat, to }).await;
                }
                // What waits goes to the new chat, in its order.
                let moved = self.records.waiting_after(id - 1)?.into_iter().filter(|(_, at)| *at == to);
                let now = traffic.now();
                moved.for_each(|(id, chat)| traffic.pacer.add(now, chat, id));
                traffic.pacer.forget(chat);
                Sent::Settled
            }
            Some((_, parcel, Verdict::Gone(why))) => {
                self.records.chat_failed(chat, &why, now)?;
                let of_trouble = parcel.is_some_and(|parcel| parcel.of_trouble);
                self.tell(Trouble::Gone { chat, why, of_trouble }).await;
                traffic.pacer.forget(chat);
                Sent::Settled
            }
            Some((waiting, parcel, Verdict::Refused(why))) => {
                self.lost(&waiting, parcel.as_ref(), &why, now).await?
            }
            Some((waiting, parcel, Verdict::Panicked)) => {
                let panics = traffic.panics.entry(id).or_default();
                *panics += 1;
                tracing::error!(
                    "sending message {id} panicked: this is a mistake in Vitrina, please report it"
                );
                if *panics < PANICS {
                    Sent::Failed
                } else {
                    let why = "the program failed at it; the log has more";
                    self.lost(&waiting, parcel.as_ref(), why, now).await?
                }
            }
            Some((_, _, Verdict::WrongToken)) => {
                tracing::error!("{}", super::WRONG_TOKEN);
                Sent::TooMany(WRONG_TOKEN)
            }
        };
        if sent == Sent::Settled {
            traffic.panics.remove(&id);
        }
        traffic.pacer.sent(traffic.now(), chat, sent);
        Ok(())
    }

    /// It will never arrive.
    async fn lost(
        &self,
        waiting: &Waiting,
        parcel: Option<&Parcel>,
        why: &str,
        now: DateTime<Utc>,
    ) -> Result<Sent> {
        self.records.failed(waiting.id, why, now)?;
        let (chat, why) = (waiting.chat, why.to_owned());
        if parcel.is_some_and(|parcel| parcel.of_trouble) {
            tracing::warn!("admin {chat} was not told of a message that did not arrive: {why}");
        } else {
            self.tell(Trouble::Lost { chat, why }).await;
        }
        Ok(Sent::Settled)
    }

    async fn tell(&self, trouble: Trouble) {
        tracing::warn!("{trouble:?}");
        // Nobody hears it while the bot stops; the failure stands in the outbox.
        let _ = self.desk.send(News::Trouble(trouble)).await;
    }

    /// Files whose messages have all arrived are taken away.
    fn sweep(&self) {
        let swept =
            self.records.waiting_contents().map(|contents| self.files.sweep(&contents, self.clock.now()));
        if let Ok(Err(error)) = swept {
            tracing::warn!("files that were sent cannot be taken away: {error}");
        }
    }
}
