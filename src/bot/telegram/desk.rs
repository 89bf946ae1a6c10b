//! Hears what people do, lets the dialog decide, writes down what came of it and does it. One thing after another, so that no two
//! steps of a dialog meet; reports run beside, so that a button that stops one is heard.

mod panics;
mod runs;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use teloxide::Bot as Telegram;
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    answers::{Answered, Answers},
    commands::Commands,
    delivery::Trouble,
    flood::Flood,
    guarded::unpanicked,
    html::escape,
    incoming::{Did, Incoming},
    line::Line,
    mine,
    office::Office,
    outside::{Inquiries, Outside},
    own::{Own, Reply},
    parcel::{self, To},
    requests::{self, Deed},
    troubles,
};
use crate::{
    bot::{
        dialog,
        event::{Action, Call, Event, Place, State, Viewer, What},
        screen::Screen,
    },
    config::project::Language,
    failpoint,
    state::{
        bot::{
            dialogs::{Also, Step},
            outbox::NewMessage,
            users::User,
        },
        error::Result,
    },
};

/// Pieces of news that share one wait for the disk, at most.
const TOGETHER: usize = 64;

/// What the desk hears of.
#[derive(Debug)]
pub(super) enum News {
    /// Somebody did something.
    Did(Box<Incoming>, oneshot::Sender<()>),
    /// A report has an answer, or waits in line.
    Answer(RunKey, Box<Answered>),
    /// Something that a dialog asked for, and as whom it was found.
    Heard(Box<Viewer>, What),
    /// A list of a report, which a user wanted, cannot be told: why.
    Failed(i64, String, String),
    /// A message did not arrive.
    Trouble(Trouble),
}

/// A run of a report: its user, its chat, the dialog's number for it, and the report.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct RunKey {
    pub(super) user: i64,
    pub(super) chat: i64,
    pub(super) run: u64,
    pub(super) report: String,
}

/// A report that runs: how it is stopped, what it is, and as whom.
struct Run {
    stop: CancellationToken,
    call: Call,
    viewer: Viewer,
}

/// The desk.
pub(super) struct Desk {
    office: Office,
    telegram: Telegram,
    answers: Arc<dyn Answers>,
    own: Own,
    inquiries: Inquiries,
    news: mpsc::Sender<News>,
    /// What the desk tells itself: it must not wait for a place among the news, which it alone takes. No more than one step makes, or a start finds.
    own_news: VecDeque<News>,
    runs: HashMap<RunKey, Run>,
    line: Line<(Call, Viewer)>,
    flood: Flood,
    commands: Commands,
    /// Who told what is not written down yet.
    told: Vec<oneshot::Sender<()>>,
    began: Instant,
}

/// What is still to be done once a step is written down.
#[derive(Default)]
struct After {
    begin: Vec<(RunKey, Call)>,
    cancel: Vec<u64>,
    outside: Vec<Outside>,
    toast: Option<String>,
}

/// What is written down with a step besides the state of its dialog.
#[derive(Default)]
struct Written {
    messages: Vec<NewMessage>,
    deed: Option<Deed<'static>>,
    also: Vec<Also>,
}

impl Desk {
    pub(super) fn new(
        office: Office,
        telegram: Telegram,
        answers: Arc<dyn Answers>,
        news: mpsc::Sender<News>,
        fire: mpsc::Sender<i64>,
    ) -> Self {
        Self {
            inquiries: Inquiries::new(Arc::clone(&answers), news.clone()),
            own_news: VecDeque::new(),
            own: Own::new(office.clone(), fire),
            commands: Commands::new(telegram.clone()),
            office,
            telegram,
            answers,
            news,
            runs: HashMap::new(),
            line: Line::default(),
            flood: Flood::default(),
            told: vec![],
            began: Instant::now(),
        }
    }

    /// Works until it is told to stop.
    pub(super) async fn run(
        mut self,
        mut heard: mpsc::Receiver<News>,
        stop: CancellationToken,
    ) -> Result<()> {
        self.resume()?;
        self.write_down().await?;
        loop {
            let news = tokio::select! {
                () = stop.cancelled() => {
                    self.end(heard).await;
                    return Ok(());
                }
                news = heard.recv() => news,
            };
            let Some(news) = news else { return Ok(()) };
            self.hear(news)?;
            for _ in 1..TOGETHER {
                let Ok(news) = heard.try_recv() else { break };
                self.hear(news)?;
            }
            self.write_down().await?;
        }
    }

    /// Hears what the desk tells itself, and waits until all that was heard survives a loss of power: whoever told it may forget it from then on.
    async fn write_down(&mut self) -> Result<()> {
        while let Some(news) = self.own_news.pop_front() {
            self.hear(news)?;
        }
        let records = Arc::clone(&self.office.records);
        // One that broke off has not been waited for: nobody is told.
        let Ok(written) = spawn_blocking(move || records.sync()).await else { return Ok(()) };
        written?;
        for told in self.told.drain(..) {
            let _ = told.send(());
        }
        Ok(())
    }

    fn hear(&mut self, news: News) -> Result<()> {
        match news {
            News::Did(incoming, told) => {
                let did = unpanicked("an update", || self.did(&incoming));
                did.unwrap_or_else(|| self.update_panicked(&incoming))?;
                self.told.push(told);
                Ok(())
            }
            News::Answer(key, answered) => unpanicked("an answer", || self.answered(&key, *answered))
                .unwrap_or_else(|| self.panicked(None, key.user, key.chat, false)),
            News::Heard(finder, what) => unpanicked("a lookup", || self.looked_up(&finder, what))
                .unwrap_or_else(|| self.panicked(None, finder.user, finder.chat, false)),
            News::Failed(user, report, cause) => {
                let tell = || troubles::report_failed(&self.office, user, &report, &cause);
                unpanicked("a failure", tell).unwrap_or(Ok(()))
            }
            News::Trouble(trouble) => {
                unpanicked("a trouble", || troubles::tell(&self.office, trouble)).unwrap_or(Ok(()))
            }
        }
    }

    fn did(&mut self, incoming: &Incoming) -> Result<()> {
        let office = self.office.clone();
        let is_telegrams = matches!(incoming.did, Did::ShutOut | Did::Moved { .. });
        if !is_telegrams && !self.flood.hears(incoming.from.id, self.began.elapsed()) {
            tracing::warn!("user {} writes too much and is not heard for a moment", incoming.from.id);
            if let Did::Pressed { callback, .. } = &incoming.did {
                self.answer(callback, None);
            }
            return Ok(());
        }
        if office.records.is_handled(incoming.update)? {
            return Ok(());
        }
        let user = office.records.meet(&incoming.from, office.now())?;
        let viewer = office.doer(&user, incoming.chat)?;
        if !is_telegrams {
            self.commands.keep(&office.setting(), &viewer);
        }
        match &incoming.did {
            Did::ShutOut => {
                let why = "the bot was blocked or put out";
                if incoming.is_private() {
                    troubles::close(&office, incoming.chat, why)?;
                } else {
                    let (chat, why) = (incoming.chat, why.to_owned());
                    troubles::tell(&office, Trouble::Gone { chat, why, of_trouble: false })?;
                }
                self.mark(incoming)
            }
            Did::Moved { to } => {
                let (from, to) = (incoming.chat, *to);
                if office.records.move_chat(from, to)? {
                    troubles::tell(&office, Trouble::Moved { from, to })?;
                }
                self.mark(incoming)
            }
            Did::Pressed { callback, message, data } => {
                let toast = self.pressed(incoming, &user, &viewer, *message, data)?;
                self.answer(callback, toast);
                Ok(())
            }
            Did::Command(name, arguments) => {
                if let Some(reply) = self.own.command(&user, &viewer, name, arguments)? {
                    return self.reply(incoming, &viewer, reply, None);
                }
                if self.is_strange_group(&viewer) {
                    let words = office.words(viewer.language);
                    let text = format!("{} <code>{}</code>", escape(words.unknown_group()), incoming.chat);
                    let messages = vec![parcel::notice(incoming.chat, text, &[])];
                    return self.write(incoming, Written { messages, ..Written::default() });
                }
                let (name, arguments) = (name.clone(), arguments.clone());
                self.step(Some(incoming.update), &user, &viewer, What::Command { name, arguments }).map(drop)
            }
            Did::Wrote(_) if self.is_strange_group(&viewer) => self.mark(incoming),
            Did::Sent => {
                let words = office.words(viewer.language);
                let messages = vec![parcel::notice(incoming.chat, escape(words.only_words()), &[])];
                self.write(incoming, Written { messages, ..Written::default() })
            }
            Did::Wrote(text) => {
                self.step(Some(incoming.update), &user, &viewer, What::Text(text.clone())).map(drop)
            }
        }
    }

    /// A button was pressed; gives what is said in passing.
    fn pressed(
        &mut self,
        incoming: &Incoming,
        user: &User,
        viewer: &Viewer,
        message: i32,
        data: &str,
    ) -> Result<Option<String>> {
        if let Some(own) = data.strip_prefix(super::own::MARK) {
            if let Some(what) = self.own.leads_to(viewer, own) {
                return self.step(Some(incoming.update), user, viewer, what);
            }
            let (reply, toast) = self.own.pressed(user, viewer, own)?;
            if let Some(reply) = reply {
                self.reply(incoming, viewer, reply, Some(message))?;
            }
            return Ok(toast);
        }
        // In a group everyone sees the buttons of everyone; they belong to whom the screen was shown.
        if !incoming.is_private() && !self.shows(user.id, incoming.chat, message)? {
            self.mark(incoming)?;
            return Ok(Some(self.office.words(viewer.language).others().to_owned()));
        }
        self.step(Some(incoming.update), user, viewer, What::Button { token: data.to_owned() })
    }

    fn shows(&self, user: i64, chat: i64, message: i32) -> Result<bool> {
        let shown = self.office.records.shown(user, chat)?.unwrap_or_default();
        let shown: Vec<parcel::Shown> = serde_json::from_str(&shown).unwrap_or_default();
        Ok(shown.iter().any(|shown| shown.message == message))
    }

    fn is_strange_group(&self, viewer: &Viewer) -> bool {
        viewer.user != viewer.chat && matches!(viewer.access, crate::bot::event::Access::Stranger)
    }

    /// Something happened that is no update.
    fn happened(&mut self, user: i64, chat: i64, what: What) -> Result<()> {
        let Some(user) = self.office.records.user(user)? else { return Ok(()) };
        let viewer = self.office.doer(&user, chat)?;
        self.step(None, &user, &viewer, what).map(drop)
    }

    /// One step of a dialog; gives what is said in passing.
    fn step(
        &mut self,
        update: Option<u32>,
        user: &User,
        viewer: &Viewer,
        what: What,
    ) -> Result<Option<String>> {
        let (office, now) = (self.office.clone(), self.office.now());
        let setting = office.setting();
        let state = office.records.dialog(user.id, viewer.chat)?;
        let state: State = state.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let (state, actions) = dialog::step(&setting.bot, viewer, state, &Event { now, what });
        let (mut written, mut after) = (Written::default(), After::default());
        for action in actions {
            self.act(user, viewer, action, &mut written, &mut after)?;
        }
        let Written { messages, deed, also } = written;
        let state = Some(serde_json::to_string(&state).unwrap_or_default());
        self.put(Step { update, user: user.id, chat: viewer.chat, state, messages, also }, deed)?;
        self.do_after(viewer, &after.cancel, after.begin, after.outside);
        Ok(after.toast)
    }

    fn act(
        &self,
        user: &User,
        viewer: &Viewer,
        action: Action,
        written: &mut Written,
        after: &mut After,
    ) -> Result<()> {
        match action {
            Action::Show { screen, place } => {
                written.messages.extend(self.office.parcels(&screen, place, to(viewer)));
            }
            Action::Buttons(rows) => {
                written.messages.push(parcel::buttons(viewer.user, viewer.chat, &rows));
            }
            Action::Toast(text) => after.toast = Some(text),
            Action::Run { run, report, with } => {
                let key = RunKey { user: viewer.user, chat: viewer.chat, run, report: report.clone() };
                after.begin.push((key, Call { report, with }));
            }
            Action::Cancel { run } => {
                let of_run = self.line.of(viewer.user, viewer.chat).into_iter().find(|key| key.run == run);
                let report = of_run.map(|key| key.report).unwrap_or_default();
                let act = self.office.act(viewer.user, "cancel", report);
                written.also.push(Also::Note(Some(viewer.user), act));
                after.cancel.push(run);
            }
            action @ (Action::Options { .. } | Action::Understand { .. }) => {
                after.outside.extend(Outside::of(action));
            }
            Action::RequestAccess { reason } => {
                let decided = requests::request(&self.office, user, &reason)?;
                written.messages.extend(decided.told);
                written.deed = Some(decided.deed);
            }
            Action::Subscribe { what, with, cron } => {
                let new = mine::subscribe(&self.office, viewer, &what, &with, &cron);
                written.also.push(mine::noted(&self.office, viewer, "subscribe", &new));
                written.also.push(Also::Subscribe(new));
            }
        }
        Ok(())
    }

    /// What the front-end's own screens answer.
    fn reply(
        &mut self,
        incoming: &Incoming,
        viewer: &Viewer,
        reply: Reply,
        pressed: Option<i32>,
    ) -> Result<()> {
        let mut messages = self.own_screen(&reply.screen, viewer, pressed);
        messages.extend(reply.besides);
        self.write(incoming, Written { messages, deed: reply.deed, also: reply.also })
    }

    fn own_screen(&self, screen: &Screen, viewer: &Viewer, pressed: Option<i32>) -> Vec<NewMessage> {
        let to = To { user: None, ..to(viewer) };
        let mut messages = self.office.parcels(screen, Place::New, to);
        if let (Some(message), Some(first)) = (pressed, messages.first_mut()) {
            parcel::instead_of(first, message);
        }
        messages
    }

    /// An update was handled, and nothing came of it.
    fn mark(&mut self, incoming: &Incoming) -> Result<()> {
        self.write(incoming, Written::default())
    }

    fn write(&mut self, incoming: &Incoming, written: Written) -> Result<()> {
        let (update, user, chat) = (Some(incoming.update), incoming.from.id, incoming.chat);
        let Written { messages, deed, also } = written;
        self.put(Step { update, user, chat, state: None, messages, also }, deed)
    }

    /// Writes down what came of something: all of it, or nothing where the process ends before.
    fn put(&mut self, step: Step, deed: Option<Deed<'_>>) -> Result<()> {
        failpoint::pass("bot.step.before");
        let changed = match deed {
            Some(deed) => Some(deed.write(&self.office, step)?),
            None => self.office.records.step(&step, self.office.now()).map(|()| None)?,
        };
        failpoint::pass("bot.step.after");
        self.office.news.notify_one();
        // Whoever loses a role no longer sees its commands.
        if let Some(user) = changed.filter(|user| user.reachable) {
            self.commands.keep(&self.office.setting(), &self.office.viewer(&user, user.id)?);
        }
        Ok(())
    }

    /// Every press is answered, so that the button stops to wait; whether that arrives does not matter.
    fn answer(&self, callback: &str, toast: Option<String>) {
        use teloxide::{payloads::AnswerCallbackQuerySetters, prelude::Requester, types::CallbackQueryId};
        /// UTF-16 units of what is said in passing.
        const TOAST: usize = 200;
        let answer = self.telegram.answer_callback_query(CallbackQueryId(callback.to_owned()));
        let toast = toast.filter(|text| !text.is_empty());
        let answer = match toast {
            Some(text) => answer.text(within(&text, TOAST)),
            None => answer,
        };
        tokio::spawn(async move {
            if let Err(error) = answer.await {
                tracing::debug!("a press was not answered: {:?}", super::send::verdict(&error));
            }
        });
    }
}

impl Drop for Desk {
    /// Whatever ended it: the next desk begins its runs anew, so none goes on.
    fn drop(&mut self) {
        self.runs.values().for_each(|run| run.stop.cancel());
    }
}

/// As much of a text as fits into so many UTF-16 units.
fn within(text: &str, units: usize) -> String {
    let mut used = 0;
    let fits = |c: &char| {
        used += c.len_utf16();
        used <= units
    };
    text.chars().take_while(fits).collect()
}

fn to(viewer: &Viewer) -> To {
    let language: Language = viewer.language;
    To { chat: viewer.chat, user: Some(viewer.user), language }
}
