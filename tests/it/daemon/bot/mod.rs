//! The bot of a daemon, against a Telegram that lives in the test's own process.

mod dies;
mod rights;
mod runs;
mod sends;

use std::time::{Duration, Instant};

use serde_json::Value as Json;
use vitrina::bot::fake::{Fake, TOKEN};

use super::serving::{PROJECT, Serving, number, project};
use crate::support::project::Sandbox;

/// Two admins, each in a chat of their own.
pub(super) const PEOPLE: [i64; 2] = [11, 12];

/// So long after its last sign of life a bot has said all it had to.
const SILENCE: Duration = Duration::from_secs(2);

const BOT: &str = r#"
[bot]
title = "Отчёты"
api_url = "API"
token = { env = "TELEGRAM_TOKEN" }
[access]
admins = [11, 12]

[[menu]]
title = "Деньги"
items = ["calls"]

[report.calls]
title = "Звонки"
command = "calls"
sql = "SELECT seconds AS s, count(*) AS n FROM bot.calls WHERE seconds >= :least GROUP BY seconds ORDER BY s"
ask.least = { kind = "number", title = "Не меньше", min = 0 }
[[report.calls.show]]
text = "Строк: {{ rows }}"
[[report.calls.show]]
chart = { kind = "bar", x = "s", y = ["n"] }
[[report.calls.show]]
file = "csv"
"#;

/// A project with a bot, and a Telegram that it serves.
pub(super) struct Scene {
    pub(super) sandbox: Sandbox,
    pub(super) fake: Fake,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let (sandbox, fake) = (project(), Fake::start(0, TOKEN).await.unwrap());
        sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (5), (7), (7), (9)");
        sandbox.write("bot.toml", &BOT.replace("API", &fake.url()));
        for id in PEOPLE {
            fake.user(id, &format!("Человек {id}"), "ru");
        }
        Self { sandbox, fake }
    }

    /// The same with another connection, and reports more.
    pub(super) async fn with(connection: &str, reports: &str) -> Self {
        let scene = Self::new().await;
        scene.sandbox.write("vitrina.toml", &format!("{PROJECT}{connection}"));
        scene.sandbox.write("bot.toml", &format!("{}{reports}", BOT.replace("API", &scene.fake.url())));
        scene
    }

    /// A daemon that serves the bot; with `point` it dies there.
    pub(super) fn serve(&self, point: Option<&str>) -> Serving<'_> {
        let token = ("TELEGRAM_TOKEN", TOKEN);
        match point {
            Some(point) => Serving::start_with(&self.sandbox, &[token, ("VITRINA_FAILPOINT", point)]),
            None => Serving::start_with(&self.sandbox, &[token]),
        }
    }

    /// Texts and captions of the bot's messages in a chat.
    pub(super) fn said(&self, chat: i64) -> Vec<String> {
        let of_bot = |message: &Json| message["from"]["is_bot"] == true;
        let text = |message: &Json| {
            message["text"].as_str().or(message["caption"].as_str()).unwrap_or_default().to_owned()
        };
        self.fake.messages(chat).iter().filter(|message| of_bot(message)).map(text).collect()
    }

    /// Waits until a message of the bot in a chat says this.
    pub(super) fn says(&self, serving: &Serving<'_>, chat: i64, text: &str) {
        serving.until(text, || self.said(chat).iter().any(|said| said.contains(text)));
    }

    pub(super) fn press(&self, serving: &Serving<'_>, chat: i64, button: &str) {
        serving.until(button, || self.fake.press(chat, chat, button).is_some());
    }

    /// Waits until every update is taken and the outbox has been empty for a while.
    pub(super) fn quiet(&self, serving: &Serving<'_>) {
        let waiting = "SELECT count(*) FROM bot_outbox WHERE failed_at IS NULL";
        let mut since = Instant::now();
        serving.until("nothing waits", || {
            let rests = self.fake.pending() == 0
                && number(&self.sandbox, "data/state/records.db", waiting) == Some(0);
            if !rests {
                since = Instant::now();
            }
            since.elapsed() > SILENCE
        });
    }
}
