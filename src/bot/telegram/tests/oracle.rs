//! Every call of a long evening, judged by typed models of the Bot API that others wrote (PyPI's aiogram).

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Command,
};

use serde_json::json;

use super::{
    delivery::{picture, show, text},
    rig::{ANNA, BOSS, Rig, SOON, free_port},
};
use crate::bot::{
    event::Place,
    screen::{Block, Markup},
    telegram::Webhook,
};

/// Names the Python that has aiogram; `scripts/test` makes one and sets it.
const PYTHON: &str = "VITRINA_TEST_AIOGRAM";

#[tokio::test]
async fn every_call_is_one_that_telegram_knows() {
    let rig = Rig::start().await;
    rig.admit(ANNA, &["executive"]);
    rig.write(BOSS, "/start");
    rig.press(BOSS, BOSS, "Деньги").await;
    rig.press(BOSS, BOSS, "Выручка").await;
    rig.says(BOSS, "Данные за вчера").await;
    for text in ["/wild", "/broken", "/help", "/users", "/subscriptions", "/find выручка"] {
        rig.write(BOSS, text);
        rig.quiet().await;
    }
    rig.write(BOSS, "/users");
    rig.press(BOSS, BOSS, "Выгрузить").await;
    let sent = |fake: &crate::bot::fake::Fake| fake.calls_of("sendDocument").pop();
    rig.fake.wait_for(SOON, sent).await.expect("a file");
    rig.quiet().await;
    // A text becomes a picture, which becomes a text; an answer of several messages loses its buttons.
    let mut answer = picture("три");
    answer.blocks.push(Block::Text(Markup::text("четыре")));
    for (screen, place) in [
        (text("раз"), Place::New),
        (picture("два"), Place::Same),
        (text("снова"), Place::Same),
        (answer, Place::New),
        (text("пять"), Place::Same),
    ] {
        show(&rig, &screen, place).await;
    }
    let mut posted = Rig::stopped().await;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    posted.serve_by(Webhook { url: format!("http://{listen}/telegram"), listen });
    posted.write(BOSS, "/start");
    posted.says(BOSS, "Отчёты").await;
    let calls: Vec<_> = rig.fake.calls().into_iter().chain(posted.fake.calls()).collect();
    let kinds = [
        "getMe",
        "getUpdates",
        "sendMessage",
        "sendPhoto",
        "sendDocument",
        "editMessageText",
        "answerCallbackQuery",
        "setMyCommands",
        "deleteWebhook",
        "setWebhook",
        "editMessageMedia",
        "editMessageReplyMarkup",
        "deleteMessage",
    ];
    for kind in kinds {
        assert!(calls.iter().any(|call| call.method.eq_ignore_ascii_case(kind)), "{kind} was not called");
    }
    let python = std::env::var(PYTHON).unwrap_or_else(|_| panic!("{PYTHON} is not set: run scripts/test"));
    let judged: Vec<_> = calls
        .iter()
        .map(|call| {
            let files: Vec<&str> = call.files.iter().map(|file| file.part.as_str()).collect();
            json!({ "method": call.method, "params": call.params, "files": files })
        })
        .collect();
    let file = rig.folder.path().join("calls.json");
    std::fs::write(&file, serde_json::to_string(&judged).unwrap()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/aiogram_judge.py");
    let output = Command::new(python).arg(script).arg(&file).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
