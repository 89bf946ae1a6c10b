//! A bot with made-up reports, served against a fake Telegram.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    bot::{
        event::{Access, Named, Outcome, Picked, Viewer, With},
        fake::{Fake, TOKEN},
        outbox::Limits,
        screen::{Block, Head, Markup, Picture, Table},
        telegram::{
            self, BotError, Parts, Setting, Webhook,
            answers::{Answered, Answers, Question},
        },
    },
    config::{self, bot::Sent},
    model::{time::FixedClock, value::Value},
    state::bot::BotRecords,
};

/// An admin whom the file names.
pub(super) const BOSS: i64 = 1;
pub(super) const ANNA: i64 = 7;
pub(super) const IVAN: i64 = 8;
pub(super) const SALES: i64 = -5;

/// How long anything may take, on a machine that runs all tests at once.
pub(super) const SOON: Duration = Duration::from_mins(1);

const PROJECT: &str = "[project]\nname = \"t\"\ntime_zone = \"Europe/Moscow\"\nlanguage = \"ru\"\n[matrix.region]\nmrf1 = { title = \"Центр\" }\nmrf2 = { title = \"Волга\" }\n";

const BOT: &str = r#"
[bot]
title = "Отчёты"
[access]
admins = [1]
[user.region]
from = "matrix.region"
many = true
[roles.executive]
title = "Руководство"
[roles.regional]
title = "Регион"
[roles.board]
title = "Совет"
[[menu]]
title = "Деньги"
items = ["revenue", "slow", "broken", "late", "wild"]
[chat.sales]
id = -5
roles = ["regional"]

[report.revenue]
title = "Выручка"
roles = ["executive", "regional"]
command = "revenue"
sql = "SELECT 1 AS one"
[report.slow]
title = "Долгий"
roles = ["executive"]
command = "slow"
sql = "SELECT 1 AS one"
[report.broken]
title = "Сломанный"
roles = ["executive"]
command = "broken"
sql = "SELECT 1 AS one"
[report.late]
title = "Опоздавший"
roles = ["executive"]
command = "late"
sql = "SELECT 1 AS one"
[report.wild]
title = "<b>Дикий</b> & _"
roles = ["executive"]
command = "wild"
sql = "SELECT 1 AS one"
[report.own]
title = "Своё"
roles = ["executive", "regional"]
command = "own"
sql = "SELECT 1 AS one"
[report.crash]
title = "Падающий"
roles = ["executive"]
command = "crash"
sql = "SELECT 1 AS one"

[report.line]
title = "Строка"
roles = ["board"]
sql = "SELECT 1 AS one"
[report.genres]
title = "Зрители жанра"
roles = ["executive"]
command = "genres"
sql = "SELECT :genre AS genre"
ask.genre = { kind = "choice", title = "Жанр", from = "SELECT 'x' AS genre" }

[subscription.books]
workbook = "book"
schedule = { cron = "0 9 * * *", wait_fresh = "1h", otherwise = "skip" }
to = { roles = ["executive"] }
[subscription.evening]
report = "line"
schedule = { cron = "0 18 * * *" }
to = { roles = ["board"] }
[subscription.morning]
report = "revenue"
schedule = { cron = "0 9 * * *" }
to = { roles = ["regional"], chats = ["sales"] }
[alert.drop]
title = "Выручка <упала>"
sql = "SELECT 1 AS one"
schedule = { every = "1h" }
to = { roles = ["executive"] }
"#;

const BOOK: &str = "description = \"Книга продаж\"\nexcel = \"book.xlsx\"\n[[sheet]]\nname = \"Один\"\nsql = \"SELECT 1 AS one\"\n";

/// What the made-up reports were asked, and what they are to find.
pub(super) struct Made {
    asked: Mutex<Vec<(Viewer, String)>>,
    pub(super) stale: Mutex<Vec<String>>,
    pub(super) alert: Mutex<Option<String>>,
    /// Why alerts cannot be looked for.
    pub(super) alert_fails: Mutex<Option<String>>,
    /// Looking for an alert never ends.
    pub(super) hangs: AtomicBool,
    /// Alerts that were looked for so far.
    pub(super) looked: Mutex<Vec<String>>,
    pub(super) failing: Mutex<BTreeMap<String, String>>,
    /// While a test holds it, `own` is not answered.
    pub(super) held: Semaphore,
}

impl Default for Made {
    fn default() -> Self {
        Self {
            asked: Mutex::default(),
            stale: Mutex::default(),
            alert: Mutex::default(),
            alert_fails: Mutex::default(),
            hangs: AtomicBool::default(),
            looked: Mutex::default(),
            failing: Mutex::default(),
            held: Semaphore::new(1),
        }
    }
}

impl Made {
    /// Who asked for a report so far.
    pub(super) fn asked(&self, report: &str) -> Vec<Viewer> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|(_, name)| name == report).map(|(viewer, _)| viewer.clone()).collect()
    }
}

#[async_trait]
impl Answers for Made {
    async fn run(&self, viewer: &Viewer, report: &str, _: &With, stop: &CancellationToken) -> Answered {
        self.asked.lock().unwrap().push((viewer.clone(), report.to_owned()));
        let (outcome, cause) = match report {
            "slow" => {
                stop.cancelled().await;
                (Outcome::Cancelled, None)
            }
            "broken" => (Outcome::Failed, Some("no such column: <money>".to_owned())),
            "late" => (Outcome::TimedOut, None),
            "crash" => panic!("a panic that a test makes"),
            "line" => {
                let blocks = vec![Block::Text(Markup::text("Всё хорошо"))];
                (Outcome::Done { blocks, drills: vec![] }, None)
            }
            "own" => {
                let _turn = self.held.acquire().await;
                let Access::Member { roles, .. } = &viewer.access else { panic!("{viewer:?}") };
                let blocks = vec![Block::Text(Markup::text(format!("Видит {}", roles.join(", "))))];
                (Outcome::Done { blocks, drills: vec![] }, None)
            }
            "wild" => (Outcome::Done { blocks: wild(), drills: vec![] }, None),
            _ => (Outcome::Done { blocks: blocks(), drills: vec![] }, None),
        };
        Answered { outcome, cause }
    }

    async fn options(&self, _: &Viewer, _: &Question) -> Result<Vec<Picked>, String> {
        Err("no such table: <genres>".to_owned())
    }

    async fn named(&self, viewer: &Viewer, words: &str, _: Option<&str>) -> Vec<Named> {
        self.asked.lock().unwrap().push((viewer.clone(), format!("named {words}")));
        let drama = Picked { value: Value::Text("drama".to_owned()), title: "Драма".to_owned() };
        vec![Named { report: "genres".to_owned(), ask: "genre".to_owned(), values: vec![drama] }]
    }

    async fn workbook(&self, viewer: &Viewer, mart: &str) -> Answered {
        self.asked.lock().unwrap().push((viewer.clone(), format!("workbook {mart}")));
        let blocks = vec![Block::Text(Markup::text("файл книги"))];
        Answered { outcome: Outcome::Done { blocks, drills: vec![] }, cause: None }
    }

    async fn stale(&self, _: &Sent) -> Vec<String> {
        self.stale.lock().unwrap().clone()
    }

    async fn failing(&self) -> Option<BTreeMap<String, String>> {
        Some(self.failing.lock().unwrap().clone())
    }

    async fn alert(&self, name: &str) -> Result<Option<String>, String> {
        self.looked.lock().unwrap().push(name.to_owned());
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        match self.alert_fails.lock().unwrap().clone() {
            Some(cause) => Err(cause),
            None => Ok(self.alert.lock().unwrap().clone()),
        }
    }
}

/// A PNG of one grey dot.
pub(super) const DOT: [u8; 67] = [
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 58,
    126, 155, 85, 0, 0, 0, 10, 73, 68, 65, 84, 120, 156, 99, 104, 0, 0, 0, 130, 0, 129, 119, 205, 114, 182,
    0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];

fn blocks() -> Vec<Block> {
    let picture = Picture {
        png: Arc::from(DOT),
        name: "revenue.png".to_owned(),
        caption: "По дням".to_owned(),
        chart: None,
    };
    vec![
        Block::Text(Markup::text("Итого 1 200 ₽")),
        Block::Picture(picture),
        Block::Text(Markup::text("Данные за вчера")),
    ]
}

/// Cells that would break a chat if they were markup, or were sent whole.
fn wild() -> Vec<Block> {
    let head = |title: &str| Head { title: title.to_owned(), number: false };
    let cells = ["<b>x", "</pre>&lt;", "_a_*b*`c`", "@channel", "🙂\u{202e}מזל", "NaN"];
    let rows =
        cells.iter().map(|cell| vec![(*cell).to_owned(), "<a href=\"tg://user?id=1\">".to_owned()]).collect();
    let table =
        Table { columns: vec![head("a<b"), head("b&c")], rows, total: vec![], more: 2, more_columns: 0 };
    vec![Block::Table(table), Block::Text(Markup::text("я".repeat(10_000)))]
}

/// A fake Telegram and a bot that is served against it.
pub(super) struct Rig {
    pub(super) fake: Fake,
    pub(super) made: Arc<Made>,
    pub(super) clock: Arc<FixedClock>,
    pub(super) folder: tempfile::TempDir,
    /// Its bot.toml.
    pub(super) bot: String,
    served: Option<(CancellationToken, JoinHandle<Result<(), BotError>>)>,
}

/// A Monday, nine minutes to nine in Moscow.
pub(super) fn monday() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-03-02T05:51:00Z").unwrap().with_timezone(&Utc)
}

impl Rig {
    /// Everything, served.
    pub(super) async fn start() -> Self {
        let mut rig = Self::stopped().await;
        rig.serve();
        rig
    }

    /// Everything, not yet served.
    pub(super) async fn stopped() -> Self {
        let fake = Fake::start(0, TOKEN).await.unwrap();
        for (id, name) in [(BOSS, "Борис"), (ANNA, "Анна <i>"), (IVAN, "Иван")] {
            fake.user(id, name, "ru");
        }
        fake.group(SALES, "Продажи");
        let folder = tempfile::tempdir().unwrap();
        let (made, clock) = (Arc::default(), Arc::new(FixedClock::at(monday())));
        Self { fake, made, clock, folder, bot: BOT.to_owned(), served: None }
    }

    pub(super) fn records(&self) -> BotRecords {
        BotRecords::open(&self.state()).unwrap()
    }

    pub(super) fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    /// What a bot of this rig is made of.
    pub(super) fn parts(&self) -> Parts {
        let setting = setting(self.folder.path(), &self.bot);
        Parts {
            settings: Arc::new(move || Arc::clone(&setting)),
            state: self.state(),
            token: TOKEN.to_owned(),
            api_url: Some(self.fake.url()),
            webhook: None,
            answers: self.made.clone(),
            clock: self.clock.clone(),
            limits: Limits {
                per_second: 10_000,
                chat_every: Duration::from_millis(1),
                chat_burst: 1_000,
                group_per_minute: 10_000,
            },
            look: Duration::from_millis(50),
        }
    }

    pub(super) fn serve(&mut self) {
        self.serve_with(self.parts());
    }

    pub(super) fn serve_by(&mut self, webhook: Webhook) {
        self.serve_with(Parts { webhook: Some(webhook), ..self.parts() });
    }

    fn serve_with(&mut self, parts: Parts) {
        let stop = CancellationToken::new();
        self.served = Some((stop.clone(), tokio::spawn(telegram::run(parts, stop))));
    }

    /// Everything, served, with someone's own subscription at nine.
    pub(super) async fn with_own(owner: i64) -> Self {
        let mut rig = Self::stopped().await;
        rig.admit(owner, &["executive"]);
        rig.records().subscribe(&super::access::own(owner), monday()).unwrap();
        rig.serve();
        rig
    }

    /// The bot that is served, to be looked at by others.
    pub(super) fn taken(mut self) -> (CancellationToken, JoinHandle<Result<(), BotError>>) {
        self.served.take().unwrap()
    }

    /// Stops the bot as a daemon does.
    pub(super) async fn stop(&mut self) {
        let (stop, task) = self.served.take().unwrap();
        stop.cancel();
        tokio::time::timeout(SOON, task).await.unwrap().unwrap().unwrap();
    }

    /// Waits until the bot has ended by itself; gives why.
    pub(super) async fn ended(&mut self) -> BotError {
        let (_stop, task) = self.served.take().unwrap();
        tokio::time::timeout(SOON, task).await.unwrap().unwrap().unwrap_err()
    }

    /// Ends the bot as a crash does.
    pub(super) async fn kill(&mut self) {
        let (_, task) = self.served.take().unwrap();
        task.abort();
        let _ = task.await;
    }

    /// A user writes to the bot in their own chat.
    pub(super) fn write(&self, user: i64, text: &str) {
        assert!(self.fake.write(user, user, text) > 0);
    }

    /// Waits until a message of a chat says this; gives the newest that does.
    pub(super) async fn says(&self, chat: i64, text: &str) -> Json {
        let found = self.fake.wait_for(SOON, |fake| {
            fake.messages(chat)
                .into_iter()
                .rev()
                .find(|message| from_bot(message) && said(message).contains(text))
        });
        match found.await {
            Some(message) => message,
            None => panic!("nobody said `{text}` in {chat}:\n{}", self.told(chat)),
        }
    }

    /// Waits until a chat has a button, and presses it.
    pub(super) async fn press(&self, user: i64, chat: i64, title: &str) {
        let pressed = self.fake.wait_for(SOON, |fake| fake.press(user, chat, title)).await;
        assert!(pressed.is_some(), "there is no button `{title}` in {chat}:\n{}", self.told(chat));
    }

    /// Waits until the bot has taken every update, and all it wanted to say is said.
    pub(super) async fn quiet(&self) {
        self.fake.wait_for(SOON, |fake| fake.pending().eq(&0).then_some(())).await.expect("updates wait");
        let records = self.records();
        until("messages wait", || records.waiting_after(0).unwrap().is_empty()).await;
    }

    /// Waits until the bot has taken in what the file gives: from then on it is sent when it is due.
    pub(super) async fn knows_what_is_given(&self) {
        let records = self.records();
        let given = || records.subscriptions(None).unwrap().iter().any(|one| one.name.is_some());
        until("the bot did not begin", given).await;
    }

    /// Makes someone a member with a role, without anyone's word.
    pub(super) fn admit(&self, user: i64, roles: &[&str]) {
        use crate::state::bot::{
            dialogs::Step,
            users::{Act, Standing},
        };
        let act =
            Act { at: monday(), actor: "test".to_owned(), act: "grant".to_owned(), detail: String::new() };
        let changed = self.records().change_user::<()>(user, &act, &Step::default(), |user| {
            user.standing = Standing::Member;
            user.roles = roles.iter().map(|role| (*role).to_owned()).collect();
            Ok(())
        });
        changed.unwrap().unwrap();
    }

    /// Everything that was said in a chat.
    pub(super) fn told(&self, chat: i64) -> String {
        self.fake.messages(chat).iter().map(|message| format!("{}\n", said(message))).collect()
    }

    /// How many messages of the bot say this.
    pub(super) fn count(&self, chat: i64, text: &str) -> usize {
        self.fake
            .messages(chat)
            .iter()
            .filter(|message| from_bot(message) && said(message).contains(text))
            .count()
    }
}

/// Waits until something is so; else fails with what is wrong.
pub(super) async fn until(wrong: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < SOON, "{wrong}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A port of this machine that nobody is given by chance: those that the system gives lie above.
pub(super) fn free_port() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    (first..32_000).find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).unwrap()
}

fn setting(folder: &Path, bot: &str) -> Arc<Setting> {
    std::fs::write(folder.join("vitrina.toml"), PROJECT).unwrap();
    std::fs::write(folder.join("bot.toml"), bot).unwrap();
    std::fs::create_dir_all(folder.join("marts")).unwrap();
    std::fs::write(folder.join("marts/book.toml"), BOOK).unwrap();
    let loaded = config::load(folder, config::DEFAULT_PROFILE, &|_| None);
    let project = loaded.project.unwrap_or_else(|| panic!("{:?}", loaded.problems));
    Arc::new(Setting::of(&project).unwrap())
}

/// The words of a message.
pub(super) fn said(message: &Json) -> &str {
    message["text"].as_str().or(message["caption"].as_str()).unwrap_or_default()
}

fn from_bot(message: &Json) -> bool {
    message["from"]["is_bot"] == Json::Bool(true)
}
