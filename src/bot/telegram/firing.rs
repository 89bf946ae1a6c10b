//! Sends subscriptions that are due: each distinct question is asked once, however many get its answer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use super::{
    answers::Answers,
    guarded::{PANICKED, unpanicked},
    html::escape,
    mine,
    office::{Office, Setting},
    parcel,
    parcel::To,
    requests, troubles,
};
use crate::{
    bot::{
        access, call, due,
        event::{Access, Given, Outcome, Picked, Place, Viewer, With},
        scene::Scene,
        screen::{Block, Markup, Screen},
        words::Words,
    },
    config::bot::{AskKind, Bot, Otherwise, Report, Sent},
    model::{time::Span, value::Value},
    state::{
        bot::{
            dialogs::{Also, Step},
            outbox::NewMessage,
            subscriptions::{Subscription, SubscriptionState},
            users::User,
        },
        error::Result,
    },
};

/// Questions that are asked at once.
const AT_ONCE: usize = 4;
/// How long someone's own subscription waits for fresh data; then it is sent with a warning.
const OWN_WAIT: Duration = Duration::from_hours(2);
/// How long it may take to tell whether data is fresh.
const FRESHNESS: Duration = Duration::from_secs(30);
/// Reports with their parameters whose answers are held at once.
const PART: usize = 16;
/// Subscriptions of one round; the others come in the next.
const ROUND: usize = 10_000;

/// The task that sends subscriptions.
pub(super) struct Firing {
    pub(super) office: Office,
    pub(super) answers: Arc<dyn Answers>,
}

/// A subscription that is due, and who gets it.
struct Due {
    one: Subscription,
    /// Up to which instant it is sent.
    at: DateTime<Utc>,
    /// Since when it waits.
    since: DateTime<Utc>,
    wait: TimeDelta,
    otherwise: Otherwise,
    to: Vec<Viewer>,
    /// Sent whether the data is fresh or not: somebody asked for it now.
    now: bool,
}

/// A question: viewers with the same one get the same answer.
type Question = (String, String, String);

impl Firing {
    /// Sends until it is told to stop.
    pub(super) async fn run(self, mut wanted: mpsc::Receiver<i64>, stop: CancellationToken) -> Result<()> {
        let mut given: Option<Arc<Setting>> = None;
        // Whoever wants something now, however often, does not put off what is due.
        let mut looks = tokio::time::interval_at(Instant::now() + self.office.look, self.office.look);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(id) = wanted.recv() => Some(id),
                _ = looks.tick() => None,
            };
            let setting = self.office.setting();
            if !given.as_ref().is_some_and(|given| Arc::ptr_eq(given, &setting)) {
                self.give(&setting.bot, self.office.now())?;
                given = Some(setting);
            }
            let due = match now {
                Some(id) => self.wanted(id)?,
                None => self.due()?,
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                sent = self.round(due) => sent?,
            }
        }
    }

    /// Someone's own that they want now.
    fn wanted(&self, id: i64) -> Result<Vec<Due>> {
        let Some(one) = self.office.records.subscription(id)? else { return Ok(vec![]) };
        let to = self.own_viewer(&one)?.into_iter().collect();
        let (at, since, wait) = (one.fired_at, one.fired_at, TimeDelta::zero());
        Ok(vec![Due { one, at, since, wait, otherwise: Otherwise::Warn, to, now: true }])
    }

    fn due(&self) -> Result<Vec<Due>> {
        let (setting, now) = (self.office.setting(), self.office.now());
        let mut found = vec![];
        let mut members = None;
        for one in self.office.records.subscriptions(None)? {
            let timing = due::timing(&one.cron, &one.zone).filter(|_| one.state == SubscriptionState::On);
            let given = one.name.as_ref().map(|name| setting.bot.subscriptions.get(name));
            let wait = match given {
                Some(given) => given.and_then(|given| given.wait_fresh).map(Span::get),
                None => Some(OWN_WAIT),
            };
            let wait = wait.and_then(|wait| TimeDelta::from_std(wait).ok()).unwrap_or_default();
            let due = timing.and_then(|timing| due::due(&timing, one.fired_at, wait, now));
            let Some(due::Due { first: since, newest: at }) = due else { continue };
            let otherwise = match given {
                None => Otherwise::Warn,
                Some(None) => continue,
                Some(Some(given)) => given.otherwise,
            };
            let to = self.readers(&setting.bot, &one, &mut members)?;
            found.push(Due { one, at, since, wait, otherwise, to, now: false });
            if found.len() >= ROUND {
                break;
            }
        }
        Ok(found)
    }

    /// Who gets a subscription at this moment, by the files and by their rights; nobody where the files do not give it any more.
    fn readers(
        &self,
        bot: &Bot,
        one: &Subscription,
        members: &mut Option<Vec<(User, Access)>>,
    ) -> Result<Vec<Viewer>> {
        let Some(name) = &one.name else { return Ok(self.own_viewer(one)?.into_iter().collect()) };
        let Some(given) = bot.subscriptions.get(name) else { return Ok(vec![]) };
        if members.is_none() {
            *members = Some(self.office.members()?);
        }
        self.recipients(bot, &given.to, members.as_deref().unwrap_or_default())
    }

    /// Brings the given ones to what the file says.
    fn give(&self, bot: &Bot, now: DateTime<Utc>) -> Result<()> {
        let given = bot.subscriptions.iter().map(|(name, given)| {
            let (cron, zone) = due::written(&given.at);
            let report = match &given.what {
                Sent::Report(name) => bot.reports.get(name),
                Sent::Workbook(_) => None,
            };
            let with = report.map(|report| asks(report, &given.with)).unwrap_or_default();
            Subscription {
                id: 0,
                name: Some(name.clone()),
                owner: None,
                chat: None,
                report: given.what.written(),
                asks: serde_json::to_string(&with).unwrap_or_default(),
                cron,
                zone,
                state: SubscriptionState::On,
                why: None,
                fired_at: now,
            }
        });
        self.office.records.give_subscriptions(&given.collect::<Vec<_>>(), now)
    }

    /// Who gets what a file gives: everyone as themselves, each group as the group.
    pub(super) fn recipients(
        &self,
        bot: &Bot,
        to: &crate::config::bot::Recipients,
        members: &[(User, Access)],
    ) -> Result<Vec<Viewer>> {
        let has = |access: &Access| matches!(access, Access::Member { roles, .. } if roles.iter().any(|role| to.roles.contains(role)));
        let people = members.iter().filter(|(user, access)| user.reachable && has(access));
        let people = people.map(|(user, _)| self.office.viewer(user, user.id));
        let chats =
            to.chats.iter().filter_map(|name| bot.chats.get(name)?.id).map(|id| self.office.group(id));
        people.chain(chats).collect()
    }

    /// As whom someone's own runs: as themselves, or as the group it goes to.
    fn own_viewer(&self, one: &Subscription) -> Result<Option<Viewer>> {
        let (Some(owner), Some(chat)) = (one.owner, one.chat) else { return Ok(None) };
        if owner != chat {
            return self.office.group(chat).map(Some);
        }
        self.office.records.user(owner)?.map(|user| self.office.viewer(&user, chat)).transpose()
    }

    async fn round(&self, due: Vec<Due>) -> Result<()> {
        let mut stale: HashMap<String, Option<Vec<String>>> = HashMap::new();
        let mut ready = vec![];
        for mut one in due {
            let setting = self.office.setting();
            let what = Sent::read(&one.one.report);
            let Some(title) = setting.title(&what, setting.language) else {
                self.stop(&one.one, mine::NO_REPORT)?;
                continue;
            };
            one.to.retain(|viewer| access::may_have(&setting.bot, &viewer.access, &what));
            if one.to.is_empty() && one.one.owner.is_some() {
                self.stop(&one.one, mine::NO_ROLE)?;
                continue;
            }
            if !stale.contains_key(&one.one.report) {
                stale.insert(one.one.report.clone(), self.stale(&what).await);
            }
            // What nobody can tell is waited for as what is stale.
            let is_stale = !one.now && stale[&one.one.report].as_ref().is_none_or(|names| !names.is_empty());
            if is_stale && self.office.now() < one.since + one.wait {
                continue; // It is looked for again in the next round.
            }
            if is_stale && one.otherwise == Otherwise::Skip {
                tracing::info!("a subscription to `{title}` is left out: its data is stale");
                one.to.clear();
            }
            ready.push(one);
        }
        for part in parts(ready) {
            self.send(part, &stale).await?;
        }
        Ok(())
    }

    /// Asks what these send, and sends it to whoever may have it once the answers are there.
    async fn send(&self, mut ready: Vec<Due>, stale: &HashMap<String, Option<Vec<String>>>) -> Result<()> {
        let mut answers = HashMap::new();
        loop {
            self.ask(&ready, &mut answers).await?;
            self.bring_up_to_date(&mut ready)?;
            // Whose rights changed meanwhile gets what they may see now.
            let is_answered = |due: &Due, viewer| answers.contains_key(&question(&due.one, viewer));
            if ready.iter().all(|due| due.to.iter().all(|viewer| is_answered(due, viewer))) {
                break;
            }
        }
        for one in &ready {
            let warn = stale.get(&one.one.report).and_then(Option::as_deref).filter(|_| !one.now);
            let made = unpanicked(&one.one.report, || self.messages(one, &answers, warn.unwrap_or_default()));
            if made.is_none() {
                troubles::report_failed(
                    &self.office,
                    one.one.owner.unwrap_or_default(),
                    &one.one.report,
                    PANICKED,
                )?;
            }
            let messages = made.unwrap_or_default();
            self.office.records.fired(&[one.one.id], one.at, &messages, self.office.now())?;
            self.office.news.notify_one();
        }
        Ok(())
    }

    /// Who gets what at this moment: nobody what was paused or taken back since it came due, or whom the role was taken away from.
    fn bring_up_to_date(&self, ready: &mut [Due]) -> Result<()> {
        let (setting, mut members) = (self.office.setting(), None);
        for due in ready.iter_mut().filter(|due| !due.to.is_empty()) {
            let one = self.office.records.subscription(due.one.id)?;
            let one = one.filter(|one| due.now || one.state == SubscriptionState::On);
            due.to = match one {
                Some(one) => self.readers(&setting.bot, &one, &mut members)?,
                None => vec![],
            };
            let what = Sent::read(&due.one.report);
            due.to.retain(|viewer| access::may_have(&setting.bot, &viewer.access, &what));
        }
        Ok(())
    }

    /// What something is made of that is not fresh; `None` = that was not told in time.
    async fn stale(&self, what: &Sent) -> Option<Vec<String>> {
        let stale = tokio::time::timeout(FRESHNESS, self.answers.stale(what)).await;
        stale.inspect_err(|_| tracing::warn!("how fresh `{}` is was not told in time", what.written())).ok()
    }

    /// Asks each distinct question that has no answer yet, once.
    async fn ask(&self, ready: &[Due], answers: &mut HashMap<Question, Outcome>) -> Result<()> {
        let mut questions: HashMap<Question, (Viewer, String, With)> = HashMap::new();
        for one in ready {
            for viewer in &one.to {
                let with = serde_json::from_str(&one.one.asks).unwrap_or_default();
                let ask = || (viewer.clone(), one.one.report.clone(), with);
                let question = question(&one.one, viewer);
                if !answers.contains_key(&question) {
                    questions.entry(question).or_insert_with(ask);
                }
            }
        }
        let asked = questions.into_iter().map(async |(question, (viewer, report, with))| {
            let answered = match Sent::read(&report) {
                Sent::Report(name) => {
                    self.answers.run(&viewer, &name, &with, &CancellationToken::new()).await
                }
                Sent::Workbook(mart) => self.answers.workbook(&viewer, &mart).await,
            };
            (question, viewer.user, report, answered)
        });
        let mut asked = futures::stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some((question, reader, report, answered)) = asked.next().await {
            if let Some(cause) = &answered.cause {
                troubles::report_failed(&self.office, reader, &report, cause)?;
            }
            answers.insert(question, answered.outcome);
        }
        Ok(())
    }

    /// What a subscription sends; equal screens are made once.
    fn messages(&self, due: &Due, answers: &HashMap<Question, Outcome>, stale: &[String]) -> Vec<NewMessage> {
        let mut made: HashMap<Question, Vec<NewMessage>> = HashMap::new();
        let mut messages = vec![];
        for viewer in &due.to {
            let question = question(&due.one, viewer);
            let Some(outcome) = answers.get(&question) else { continue };
            let same = made.entry(question).or_insert_with(|| self.screen(&due.one, viewer, outcome, stale));
            messages.extend(same.iter().map(|message| NewMessage { chat: viewer.chat, ..message.clone() }));
        }
        messages
    }

    fn screen(
        &self,
        one: &Subscription,
        viewer: &Viewer,
        outcome: &Outcome,
        stale: &[String],
    ) -> Vec<NewMessage> {
        let setting = self.office.setting();
        let scene = Scene::new(&setting.bot, viewer, self.office.now());
        let what = Sent::read(&one.report);
        let report = match &what {
            Sent::Report(name) => setting.bot.reports.get(name),
            Sent::Workbook(_) => None,
        };
        let mut head = match report {
            Some(report) => {
                let with = serde_json::from_str(&one.asks).unwrap_or_default();
                call::header(&scene, report, &with)
            }
            None => Markup::new().bold(setting.title(&what, viewer.language).unwrap_or_default()),
        };
        if !stale.is_empty() {
            let warning = format!("{}\n", scene.words.data_stale(stale.join(", ")));
            head.0.insert(0, crate::bot::screen::Span::Bold(warning));
        }
        let mut blocks = vec![Block::Text(head)];
        match outcome {
            Outcome::Done { blocks: found, .. } => blocks.extend(found.iter().cloned()),
            Outcome::Refused(why) => blocks.push(Block::Text(Markup::text(why.clone()))),
            _ => blocks.push(Block::Text(Markup::text(scene.words.failed()))),
        }
        let to = To { chat: viewer.chat, user: None, language: viewer.language };
        self.office.parcels(&Screen { blocks, rows: vec![] }, Place::New, to)
    }

    /// It cannot be sent any more, which its owner is told; that what it sent is gone, admins as well. One that the files give is theirs to change.
    fn stop(&self, one: &Subscription, why: &str) -> Result<()> {
        let Some(owner) = one.owner else { return Ok(()) };
        let known = self.office.records.user(owner)?;
        let setting = self.office.setting();
        let language = known.as_ref().map_or(setting.language, |user| self.office.language(user));
        let title = setting.title(&Sent::read(&one.report), language).unwrap_or_else(|| one.report.clone());
        let (words, is_gone) = (self.office.words(language), why == mine::NO_REPORT);
        let told = if is_gone { words.stopped_gone() } else { words.stopped_role() };
        let text = format!("<b>{}</b>\n{}", escape(&title), escape(told));
        let mut messages = vec![parcel::notice(owner, text, &[])];
        if is_gone {
            tracing::warn!("a subscription of {owner} has stopped: `{title}` is no longer there");
            let whose = known.map_or(owner.to_string(), |user| requests::called(&user));
            let text = |words: &Words| escape(&words.subscription_gone(&title, &whose));
            messages.extend(self.office.to_admins(text, |_| vec![])?);
        }
        let act = requests::stopped(one, why, self.office.now());
        let (id, state, why) = (one.id, SubscriptionState::Stopped, Some(why.to_owned()));
        let also = vec![Also::Turn { id, state, why }, Also::Note(Some(owner), act)];
        self.office.records.step(&Step { messages, also, ..Step::default() }, self.office.now())?;
        self.office.records.sync()?;
        self.office.news.notify_one();
        Ok(())
    }
}

/// What is due, in parts of so many reports with their parameters: equal ones stand together, and what was found for a part is let go before the next is
/// asked for.
fn parts(mut ready: Vec<Due>) -> Vec<Vec<Due>> {
    ready.sort_by(|a, b| (&a.one.report, &a.one.asks).cmp(&(&b.one.report, &b.one.asks)));
    let (mut parts, mut asked): (Vec<Vec<Due>>, usize) = (vec![], 0);
    for due in ready {
        let last = parts.last().and_then(|part| part.last());
        if last.is_none_or(|last| (&last.one.report, &last.one.asks) != (&due.one.report, &due.one.asks)) {
            if asked.is_multiple_of(PART) {
                parts.push(vec![]);
            }
            asked += 1;
        }
        if let Some(part) = parts.last_mut() {
            part.push(due);
        }
    }
    parts
}

/// What makes answers equal: report and parameters; language, zone; and of the viewer's rights what rows may depend on.
fn question(one: &Subscription, viewer: &Viewer) -> Question {
    let rights = match &viewer.access {
        Access::Member { roles, attributes } => {
            let mut roles = roles.clone();
            roles.sort();
            serde_json::json!([roles, attributes]).to_string()
        }
        _ => String::new(),
    };
    let seen = format!("{:?} {} {rights}", viewer.language, viewer.zone.name());
    (one.report.clone(), one.asks.clone(), seen)
}

/// What a file says a report is asked, as the dialog would.
fn asks(report: &Report, with: &indexmap::IndexMap<String, Value>) -> With {
    let given = with.iter().filter_map(|(name, value)| {
        let given = match &report.ask.get(name)?.kind {
            AskKind::Date(_) | AskKind::DateRange(_) => Given::Period(value.to_string()),
            AskKind::Choice(_) => Given::Picked(vec![Picked { value: value.clone(), title: String::new() }]),
            AskKind::Number(_) | AskKind::Text { .. } => Given::Value(value.clone()),
        };
        Some((name.clone(), given))
    });
    given.collect()
}
