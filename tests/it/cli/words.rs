//! Questions in words: what lists of the database have, and what a model advises.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::HeaderMap, routing::post};
use serde_json::{Value as Json, json};

use super::{
    Sandbox,
    bot::{BOT, bot, said},
};

#[test]
fn values_that_only_the_database_knows_are_understood() {
    let shop = bot();
    let chat = said(&shop, &[], "города омске\n1\n").done();
    assert!(chat.stdout.contains("[1] По городам · Омск"), "{}", chat.stdout);
    assert!(chat.stdout.contains("Город: Омск") && chat.stdout.contains("Итого 8"), "{}", chat.stdout);
    // Whoever may not see a row does not learn of its value.
    let mine = ["--role", "city", "--user", "city=Омск"];
    let chat = said(&shop, &mine, "города москва\nгорода омск\n").done();
    assert!(!chat.stdout.contains("Москва") && chat.stdout.contains("· Омск"), "{}", chat.stdout);
}

#[test]
fn commands_and_links_take_values_that_only_the_database_knows() {
    let shop = bot();
    let chat = said(&shop, &[], "/cities омск\n/start cities_Москва\n").done();
    let (command, link) = chat.stdout.split_once("Город: Москва").expect("a link's value");
    assert!(command.contains("Город: Омск") && command.contains("Итого 8"), "{}", chat.stdout);
    assert!(link.contains("Итого 5"), "{}", chat.stdout);
    // A value that somebody may not see is none.
    let mine = ["--role", "city", "--user", "city=Омск"];
    let chat = said(&shop, &mine, "/start cities_москва\n/cities москва\n/cities омск\n").done();
    assert!(!chat.stdout.contains("Москва"), "{}", chat.stdout);
    assert!(chat.stdout.contains("Отчёт по этой ссылке вам недоступен."), "{}", chat.stdout);
    assert!(chat.stdout.contains("Вот как я понял «москва»"), "{}", chat.stdout);
    assert!(chat.stdout.contains("Город: Омск"), "{}", chat.stdout);
}

type Heard = Arc<Mutex<Vec<(String, Json)>>>;

/// An endpoint that speaks as OpenAI's does; it says what it is told to say, or nothing for a long time.
struct Stub {
    url: String,
    heard: Heard,
    _threads: tokio::runtime::Runtime,
}

impl Stub {
    fn start(says: Option<&str>) -> Self {
        let threads = tokio::runtime::Runtime::new().unwrap();
        let (heard, says) = (Heard::default(), says.map(str::to_owned));
        let router =
            Router::new().route("/v1/chat/completions", post(answer)).with_state((Arc::clone(&heard), says));
        let listener = threads.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
        threads.spawn(async move { axum::serve(listener, router).await });
        Self { url, heard, _threads: threads }
    }

    /// A shop whose bot asks it.
    fn shop(&self) -> Sandbox {
        let shop = bot();
        let model = format!(
            "[bot.model]\nurl = \"{}\"\nkey = {{ file = \"model.key\" }}\nname = \"small\"\ntimeout = \"500ms\"\n[user.city]",
            self.url
        );
        shop.write("model.key", "opens-the-model\n");
        shop.write("bot.toml", &BOT.replace("[user.city]", &model));
        shop
    }
}

async fn answer(
    State((heard, says)): State<(Heard, Option<String>)>,
    headers: HeaderMap,
    body: String,
) -> String {
    let key = headers.get("authorization").and_then(|key| key.to_str().ok()).unwrap_or_default();
    heard.lock().unwrap().push((key.to_owned(), serde_json::from_str(&body).unwrap()));
    match says {
        Some(says) => {
            json!({ "choices": [{ "message": { "role": "assistant", "content": says } }] }).to_string()
        }
        None => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            String::new()
        }
    }
}

#[test]
fn a_model_chooses_among_the_same_reports() {
    let stub = Stub::start(Some(
        "Конечно! {\"report\": \"cities\", \"with\": {\"city\": \"Омск\", \"least\": \"3\"}}",
    ));
    let shop = stub.shop();
    let chat = said(&shop, &[], "как там на востоке\n1\n").done();
    assert!(
        chat.stdout.contains("Не получилось понять"),
        "the bot's own reading comes first: {}",
        chat.stdout
    );
    assert!(chat.stdout.contains("[1] По городам · Омск · 3"), "{}", chat.stdout);
    assert!(
        chat.stdout.contains("Не меньше: 3\nГород: Омск") && chat.stdout.contains("Итого 7"),
        "{}",
        chat.stdout
    );
    let heard = stub.heard.lock().unwrap();
    let [(key, asked)] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!((key.as_str(), &asked["model"]), ("Bearer opens-the-model", &json!("small")));
    assert_eq!(asked["messages"][1]["content"], json!("как там на востоке"));
    let told = asked["messages"][0]["content"].as_str().unwrap();
    assert!(told.contains("По городам") && told.contains("\"city\""), "{told}");
    assert!(!told.contains("SELECT") && !told.contains("Омск") && !told.contains("Москва"), "{told}");
}

#[test]
fn a_model_that_talks_nonsense_or_not_at_all_changes_nothing() {
    for says in [
        Some("{\"report\": \"salaries\"}"),
        Some("{\"report\": \"cities\", \"with\": {\"city\": \"Париж\"}}"),
        Some("{\"report\": \"cities\", \"with\": {\"least\": \"-5\"}}"),
        Some("{\"report\": \"cities\", \"sql\": \"DROP TABLE orders\"}"),
        Some("I do not know"),
        None,
    ] {
        let stub = Stub::start(says);
        let shop = stub.shop();
        let began = Instant::now();
        let chat = said(&shop, &[], "города омск\n1\n").done();
        assert!(chat.stdout.contains("[1] По городам · Омск"), "{says:?}: {}", chat.stdout);
        assert!(chat.stdout.contains("Итого 8"), "{says:?}: {}", chat.stdout);
        assert!(!chat.stdout.contains("· -5") && !chat.stderr.contains("opens-the-model"), "{chat:?}");
        assert_eq!(stub.heard.lock().unwrap().len(), 1, "{says:?}");
        assert!(began.elapsed() < Duration::from_secs(60), "{says:?}: it waited for the model");
    }
}
