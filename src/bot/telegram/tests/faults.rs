//! What comes in wrong: forged, doubled, reordered, unknown, too much; and a token that is not ours alone.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::rig::{ANNA, BOSS, Rig, SALES, SOON, free_port, monday, until};
use crate::{
    bot::{
        fake::{ChatState, Fake, Fault, Harm},
        telegram::{self, BotError, Parts, Webhook},
    },
    state::bot::subscriptions::{Subscription, SubscriptionState},
};

#[tokio::test]
async fn forged_buttons_give_a_fresh_screen_and_never_an_action() {
    let rig = Rig::start().await;
    rig.write(BOSS, "/start");
    rig.quiet().await;
    for data in [
        "x",
        "1.0.0",
        "0.0.zzzzzz",
        "../../etc",
        "'; DROP TABLE bot_users; --",
        "я",
        "9999999999999999999999.1.1",
    ] {
        rig.fake.tap(BOSS, BOSS, 2, data);
    }
    rig.says(BOSS, "Эта кнопка устарела").await;
    rig.quiet().await;
    assert_eq!(rig.count(BOSS, "Эта кнопка устарела"), 7, "{}", rig.told(BOSS));
    assert!(rig.made.asked("revenue").is_empty());
    let answers = rig.fake.calls_of("answerCallbackQuery");
    assert!(answers.iter().all(|call| call.done), "{answers:?}");
}

#[tokio::test]
async fn updates_that_come_twice_or_in_disorder_or_of_unknown_kinds_do_no_harm() {
    let rig = Rig::start().await;
    rig.fake.hold();
    rig.write(BOSS, "/revenue");
    rig.fake.push(json!({ "a_kind_of_tomorrow": { "id": 1 } }));
    rig.fake.push(json!({ "message": { "message_id": 5 } }));
    rig.fake.push(json!({ "poll": { "id": "1" } }));
    rig.fake.stir(|updates| {
        updates.extend(updates.clone());
        updates.reverse();
    });
    rig.fake.release();
    rig.says(BOSS, "Итого 1 200").await;
    rig.write(BOSS, "/help");
    rig.quiet().await;
    assert_eq!(rig.made.asked("revenue").len(), 1, "an update that came twice was done twice");
}

#[tokio::test]
async fn a_flood_by_one_is_cut_and_others_are_answered() {
    let rig = Rig::start().await;
    rig.admit(ANNA, &["executive"]);
    rig.fake.hold();
    for _ in 0..300 {
        rig.write(ANNA, "/revenue");
    }
    rig.write(BOSS, "/revenue");
    rig.fake.release();
    rig.says(BOSS, "Итого 1 200").await;
    rig.quiet().await;
    let asked = rig.made.asked("revenue");
    let anna = asked.iter().filter(|viewer| viewer.user == ANNA).count();
    assert!((1..40).contains(&anna), "the flood was heard {anna} times");
}

#[tokio::test]
async fn a_flood_leaves_no_button_waiting_and_hides_nothing_that_telegram_tells() {
    let rig = Rig::start().await;
    let own = Subscription { chat: Some(SALES), ..super::access::own(BOSS) };
    let id = rig.records().subscribe(&own, monday()).unwrap();
    rig.fake.hold();
    for _ in 0..100 {
        rig.fake.tap(BOSS, BOSS, 1, "x");
    }
    // It is the same user who puts the bot out of the group.
    rig.fake.set_state(SALES, ChatState::Kicked);
    rig.fake.release();
    rig.says(BOSS, "не доставлено").await;
    rig.quiet().await;
    let answered = |fake: &Fake| (fake.calls_of("answerCallbackQuery").len() == 100).then_some(());
    rig.fake.wait_for(SOON, answered).await.expect("every press is answered");
    let stopped = rig.records().subscription(id).unwrap().unwrap();
    assert_eq!(stopped.state, SubscriptionState::Stopped);
}

#[tokio::test]
async fn a_role_that_is_removed_in_mid_dialog_stops_the_next_tap() {
    let rig = Rig::start().await;
    rig.admit(ANNA, &["executive"]);
    rig.write(ANNA, "/start");
    rig.press(ANNA, ANNA, "Деньги").await;
    rig.quiet().await;
    rig.admit(ANNA, &[]);
    rig.press(ANNA, ANNA, "Выручка").await;
    rig.quiet().await;
    assert!(rig.made.asked("revenue").is_empty(), "{}", rig.told(ANNA));
}

#[tokio::test]
async fn a_state_of_the_dialog_outlives_the_process() {
    let mut rig = Rig::start().await;
    rig.write(BOSS, "/start");
    rig.press(BOSS, BOSS, "Деньги").await;
    rig.quiet().await;
    rig.write(BOSS, "/slow");
    rig.says(BOSS, "Готовлю").await;
    rig.quiet().await;
    rig.kill().await;
    rig.serve();
    let again = || rig.made.asked("slow").len() == 2;
    until("a report that ran when the process ended does not run again", again).await;
    rig.press(BOSS, BOSS, "Остановить").await;
    rig.says(BOSS, "Остановлено").await;
}

#[tokio::test]
async fn a_token_that_telegram_does_not_know_is_said_plainly() {
    let rig = Rig::stopped().await;
    let parts = Parts { token: "1:revoked".to_owned(), ..rig.parts() };
    let error = telegram::run(parts, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, BotError::WrongToken), "{error}");
    assert!(error.to_string().contains("@BotFather") && !error.to_string().contains("revoked;token"));
    assert!(!error.to_string().contains("1:revoked"));
}

#[tokio::test]
async fn a_token_that_is_revoked_while_it_is_used_is_said_plainly() {
    let rig = Rig::start().await;
    rig.write(BOSS, "/start");
    rig.says(BOSS, "Отчёты").await;
    rig.quiet().await;
    let unauthorized = Harm::Refused(401, "Unauthorized");
    rig.fake.fault(Fault::of("getUpdates", 100, unauthorized));
    rig.write(BOSS, "/revenue");
    let (_stop, served) = rig.taken();
    let error = tokio::time::timeout(SOON, served).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, BotError::WrongToken), "{error}");
}

#[tokio::test]
async fn two_daemons_with_one_token_are_said_plainly() {
    let rig = Rig::start().await;
    rig.write(BOSS, "/start");
    rig.says(BOSS, "Отчёты").await;
    let other = Rig::stopped().await;
    let parts = Parts { api_url: Some(rig.fake.url()), ..other.parts() };
    let second = tokio::spawn(telegram::run(parts, CancellationToken::new()));
    let (stop, first) = rig.taken();
    let either = async {
        tokio::select! { first = first => first.unwrap(), second = second => second.unwrap() }
    };
    let error = tokio::time::timeout(SOON, either).await.unwrap().unwrap_err();
    assert!(matches!(error, BotError::OtherBot), "{error}");
    stop.cancel();
}

#[tokio::test]
async fn a_webhook_hears_telegram_and_nobody_else() {
    let mut rig = Rig::stopped().await;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let url = format!("http://{listen}/telegram");
    rig.serve_by(Webhook { url: url.clone(), listen });
    rig.write(BOSS, "/revenue");
    rig.says(BOSS, "Итого 1 200").await;
    let forged = json!({ "update_id": 1, "message": {
        "message_id": 9, "date": 0, "chat": { "id": BOSS, "type": "private", "first_name": "x" }, "text": "/revenue",
        "from": { "id": BOSS, "is_bot": false, "first_name": "x" },
    }});
    let client = reqwest::Client::new();
    for secret in [None, Some("guess")] {
        let mut request = client.post(&url).body(forged.to_string());
        if let Some(secret) = secret {
            request = request.header("x-telegram-bot-api-secret-token", secret);
        }
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
    rig.quiet().await;
    assert_eq!(rig.made.asked("revenue").len(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn a_bot_that_cannot_go_on_doubles_nothing_that_is_on_its_way() {
    let mut rig = Rig::start().await;
    rig.write(BOSS, "/start");
    rig.says(BOSS, "Отчёты").await;
    rig.quiet().await;
    rig.fake.fault(Fault::of("sendMessage", 1, Harm::SlowReply(Duration::from_secs(2))).in_chat(BOSS));
    rig.write(BOSS, "/favourites");
    rig.says(BOSS, "Избранное").await;
    // Telegram has the message, and its answer is still on the way.
    rig.fake.fault(Fault::of("getUpdates", 1, Harm::Refused(401, "Unauthorized")));
    rig.write(ANNA, "/start");
    let error = rig.ended().await;
    assert!(matches!(error, BotError::WrongToken), "{error}");
    rig.serve();
    rig.says(ANNA, "кому открыт доступ").await;
    rig.quiet().await;
    assert_eq!(rig.count(BOSS, "Избранное"), 1, "{}", rig.told(BOSS));
}
