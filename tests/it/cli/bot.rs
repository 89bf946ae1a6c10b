//! `bot chat`: the bot in a pipe, a line for each press or word.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use super::{Sandbox, shop};
use crate::support::project::Ran;

pub(super) const BOT: &str = r#"
[bot]
title = "Магазин"
[user.city]
values = ["Москва", "Омск"]
[roles.boss]
[roles.city]
rows."Город" = { user = "city" }

[[menu]]
title = "Продажи"
items = ["cities"]

[report.cities]
title = "По городам"
roles = ["boss", "city"]
command = "cities"
sql = """
SELECT "Город" AS city, sum(amount) AS total FROM pipeline.orders
WHERE amount >= :least AND (:city IS NULL OR "Город" = :city)
GROUP BY "Город" ORDER BY "Город"
"""
ask.least = { kind = "number", title = "Не меньше", default = 0, min = 0 }
ask.city = { kind = "choice", title = "Город", from = "SELECT DISTINCT \"Город\" FROM pipeline.orders ORDER BY 1", any = "все" }
columns.city = { title = "Город" }
columns.total = { title = "Сумма" }
[[report.cities.show]]
text = "Итого {{ total | sum | number }}"
[[report.cities.show]]
chart = { kind = "bar", x = "city", y = ["total"] }
[[report.cities.show]]
table = { rows = 5, total = ["total"] }
[[report.cities.show]]
file = "csv"
"#;

pub(super) fn bot() -> Sandbox {
    let shop = shop();
    shop.vitrina(&["run", "orders"]).done();
    shop.write("bot.toml", BOT);
    shop
}

/// What the bot says to these lines.
pub(super) fn said(shop: &Sandbox, arguments: &[&str], lines: &str) -> Ran {
    shop.write("lines.txt", lines);
    let mut command = shop.command(&["bot", "chat", "--language", "ru"]);
    command.args(arguments).stdin(File::open(shop.path("lines.txt")).unwrap());
    command.output().unwrap().into()
}

fn files(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

#[test]
fn two_presses_to_an_answer() {
    let shop = bot();
    let chat = said(&shop, &[], "1\n1\n").done();
    for part in [
        "[1] Продажи",
        "По городам\nНе меньше: 0\nГород: все",
        "Итого 13",
        "█",
        "Москва",
        "Омск",
        "[1] 🔄 Обновить",
    ] {
        assert!(chat.stdout.contains(part), "nothing of {part:?} in:\n{}", chat.stdout);
    }
    let saved = files(&shop.path("bot-files"));
    let with = |suffix: &str| saved.iter().any(|name| name.ends_with(suffix));
    assert!(with(".png") && with(".csv"), "{saved:?}");
}

#[test]
fn words_and_lists() {
    let shop = bot();
    let chat = said(&shop, &[], "/cities\n2\n6\n3\nомс\n1\n").done();
    let (_, typed) = chat.stdout.split_once("Не меньше: 6").expect("the number that was typed");
    assert!(typed.contains("Итого 7"), "{typed}");
    assert!(typed.contains("Найдено по «омс»") && typed.contains("Город: Омск"), "{typed}");
}

#[test]
fn a_reader_sees_their_own_rows() {
    let shop = bot();
    let chat = said(&shop, &["--role", "city", "--user", "city=Омск"], "/cities\n3\n").done();
    assert!(chat.stdout.contains("Итого 8") && !chat.stdout.contains("Москва"), "{}", chat.stdout);
    let nobody = said(&shop, &["--role", "city"], "/cities\n").done();
    assert!(!nobody.stdout.contains("Омск") && !nobody.stdout.contains("Москва"), "{}", nobody.stdout);
}

#[test]
fn who_there_is_not() {
    let shop = bot();
    said(&shop, &["--role", "bos"], "").says(2, &["there is no role `bos`", "did you mean `boss`?"]);
    said(&shop, &["--user", "city=Томск"], "").says(2, &["`city` cannot be `Томск`"]);
    std::fs::remove_file(shop.path("bot.toml")).unwrap();
    said(&shop, &[], "").says(2, &["this project has no bot"]);
}

#[test]
fn as_a_user_of_the_bot() {
    let shop = bot();
    shop.must(&["users", "grant", "77", "city", "--attribute", "city=Омск"]);
    shop.sqlite("data/state/records.db", "UPDATE bot_users SET username = 'anna_sells' WHERE id = 77");
    for who in ["77", "@Anna_sells"] {
        let chat = said(&shop, &["--as", who], "/cities\n").done();
        assert!(chat.stdout.contains("Итого 8") && !chat.stdout.contains("Москва"), "{}", chat.stdout);
    }
    shop.must(&["users", "block", "77"]);
    let shut = said(&shop, &["--as", "77"], "/cities\n").done();
    assert!(shut.stdout.contains("Доступ закрыт") && !shut.stdout.contains("Итого"), "{}", shut.stdout);
    said(&shop, &["--as", "@anna_sels"], "")
        .says(2, &["`@anna_sels` is no user of the bot", "did you mean `@anna_sells`?"]);
    said(&shop, &["--as", "5"], "").says(2, &["`5` is no user of the bot", "vitrina users list"]);
    said(&shop, &["--as", "77", "--role", "boss"], "").says(2, &["cannot be used with"]);
}

/// A `bot fake` that runs; it ends with the test.
struct Faked {
    child: Child,
    url: String,
}

impl Faked {
    fn start(shop: &Sandbox) -> Self {
        let mut command = shop.command(&["bot", "fake", "--user", "7=Анна"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned() }
    }
}

impl Drop for Faked {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_telegram_of_ones_own_hears_people_each_time_it_is_started() {
    let shop = bot();
    let http = reqwest::Client::new();
    for _ in 0..2 {
        let fake = Faked::start(&shop);
        let post = http.post(format!("{}/fake/message", fake.url)).header("content-type", "application/json");
        let wrote = post.body(r#"{ "user": 1, "chat": 1, "text": "/cities" }"#).send().await.unwrap();
        assert!(wrote.status().is_success(), "{wrote:?}");
        let begun = Instant::now();
        loop {
            let chats = http.get(format!("{}/fake/chats", fake.url)).send().await.unwrap();
            let chats = chats.text().await.unwrap();
            if chats.contains("Итого 13") {
                break;
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "{chats}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
