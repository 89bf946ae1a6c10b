//! What is sent arrives: through refusals, lost answers, restarts, chats that move or close.

use std::time::Duration;

use serde_json::{Value, json};

use super::rig::{ANNA, BOSS, DOT, IVAN, Rig, SALES, SOON, monday, said};
use crate::{
    bot::{
        event::Place,
        fake::{ChatState, Fault, Harm},
        screen::{Block, Button, Markup, Picture, Screen},
        telegram::{files::Files, parcel},
        words::Words,
    },
    config::project::Language,
    state::bot::{
        outbox::NewMessage,
        subscriptions::{Subscription, SubscriptionState},
    },
};

fn notes(chat: i64, from: u32, until: u32) -> Vec<NewMessage> {
    (from..until).map(|n| parcel::notice(chat, format!("note {n}."), &[])).collect()
}

/// The notes that arrived, in order.
fn arrived(rig: &Rig, chat: i64) -> Vec<String> {
    rig.fake
        .messages(chat)
        .iter()
        .map(|message| said(message).to_owned())
        .filter(|text| text.starts_with("note"))
        .collect()
}

fn expected(from: u32, until: u32) -> Vec<String> {
    (from..until).map(|n| format!("note {n}.")).collect()
}

#[tokio::test]
async fn refusals_that_pass_lose_nothing_and_keep_the_order() {
    let mut rig = Rig::stopped().await;
    rig.records().put_messages(&notes(ANNA, 0, 6), monday()).unwrap();
    rig.records().put_messages(&notes(IVAN, 0, 6), monday()).unwrap();
    rig.fake.fault(Fault::of("sendMessage", 1, Harm::TooMany { retry_after: 3 }).in_chat(ANNA));
    rig.fake.fault(Fault::of("sendMessage", 1, Harm::DropRequest).in_chat(ANNA));
    rig.fake.fault(Fault::of("sendMessage", 1, Harm::Delay(Duration::from_millis(300))).in_chat(ANNA));
    rig.serve();
    rig.says(ANNA, "note 5.").await;
    rig.says(IVAN, "note 5.").await;
    assert_eq!(arrived(&rig, ANNA), expected(0, 6));
    assert_eq!(arrived(&rig, IVAN), expected(0, 6));
    let calls = rig.fake.calls_of("sendMessage");
    let times =
        |chat: i64| calls.iter().filter(|call| call.params["chat_id"] == json!(chat)).collect::<Vec<_>>();
    let refused = times(ANNA).iter().position(|call| call.refusal.as_deref() == Some("429")).unwrap();
    let waited = times(ANNA)[refused + 1].at_ms - times(ANNA)[refused].at_ms;
    assert!(waited >= 3_000, "it was told to wait three seconds and waited {waited} ms");
    assert!(times(IVAN).last().unwrap().at_ms < times(ANNA)[refused + 1].at_ms, "the other chat waited, too");
}

#[tokio::test]
async fn a_server_that_fails_is_tried_again() {
    let mut rig = Rig::stopped().await;
    rig.records().put_messages(&notes(ANNA, 0, 2), monday()).unwrap();
    rig.records().put_messages(&notes(IVAN, 0, 2), monday()).unwrap();
    rig.fake.fault(Fault::of("sendMessage", 1, Harm::Status(502)).in_chat(ANNA));
    // In Telegram's own words: a wait of no length, and a server that is away.
    rig.fake.fault(Fault::of("sendMessage", 1, Harm::Refused(429, "Too Many Requests")).in_chat(IVAN));
    rig.fake.fault(Fault::of("sendMessage", 1, Harm::Refused(503, "Service Unavailable")).in_chat(IVAN));
    rig.serve();
    for chat in [ANNA, IVAN] {
        rig.says(chat, "note 1.").await;
        assert_eq!(arrived(&rig, chat), expected(0, 2));
    }
}

#[tokio::test]
async fn a_restart_in_mid_send_loses_nothing() {
    let mut rig = Rig::stopped().await;
    rig.records().put_messages(&notes(ANNA, 0, 40), monday()).unwrap();
    rig.fake.fault(Fault::of("sendMessage", 1_000, Harm::Delay(Duration::from_millis(20))));
    for _ in 0..3 {
        rig.serve();
        tokio::time::sleep(Duration::from_millis(250)).await;
        rig.kill().await;
    }
    rig.serve();
    rig.says(ANNA, "note 39.").await;
    rig.quiet().await;
    // What was on its way when the process died comes twice, and nothing else: nobody can know whether it arrived.
    let mut arrived = arrived(&rig, ANNA);
    assert!(arrived.len() <= 43, "{arrived:?}");
    arrived.dedup();
    assert_eq!(arrived, expected(0, 40));
}

#[tokio::test]
async fn an_answer_that_is_lost_doubles_a_message_and_never_an_edit() {
    let rig = Rig::start().await;
    rig.write(BOSS, "/start");
    rig.says(BOSS, "Отчёты").await;
    rig.quiet().await;
    rig.fake.fault(Fault::of("editMessageText", 1, Harm::DropReply));
    rig.press(BOSS, BOSS, "Деньги").await;
    let edited = |fake: &crate::bot::fake::Fake| (fake.calls_of("editMessageText").len() >= 2).then_some(());
    rig.fake.wait_for(SOON, edited).await.unwrap();
    rig.quiet().await;
    assert_eq!(
        rig.fake.messages(BOSS).iter().filter(|message| message["from"]["is_bot"] == json!(true)).count(),
        1
    );
    let second = &rig.fake.calls_of("editMessageText")[1];
    assert!(second.refusal.as_deref().unwrap().contains("message is not modified"));

    rig.fake.fault(Fault::of("sendMessage", 1, Harm::DropReply).in_chat(ANNA));
    rig.records().put_messages(&notes(ANNA, 0, 1), monday()).unwrap();
    rig.write(BOSS, "/start");
    let twice = |_: &crate::bot::fake::Fake| (arrived(&rig, ANNA).len() == 2).then_some(());
    rig.fake.wait_for(SOON, twice).await.expect("Telegram has no way to know a message again");
}

#[tokio::test]
async fn a_group_that_moves_gets_what_waited() {
    let mut rig = Rig::stopped().await;
    rig.records().put_messages(&notes(SALES, 0, 3), monday()).unwrap();
    rig.fake.set_state(SALES, ChatState::MovedTo(-1005));
    rig.serve();
    rig.says(-1005, "note 2.").await;
    assert_eq!(arrived(&rig, -1005), expected(0, 3));
    rig.says(BOSS, "-1005").await;
    rig.quiet().await;
    assert_eq!(
        rig.count(BOSS, "-1005"),
        1,
        "by the message that tells it, and by a refusal: {}",
        rig.told(BOSS)
    );
}

#[tokio::test]
async fn a_group_that_moved_keeps_its_roles_and_its_subscriptions() {
    const MOVED: i64 = -1005;
    let mut rig = Rig::stopped().await;
    rig.admit(IVAN, &["regional"]);
    // Theirs to the group, and the one that the file gives it under the id that it had.
    let own = Subscription { chat: Some(SALES), cron: "5 9 * * *".to_owned(), ..super::access::own(IVAN) };
    let id = rig.records().subscribe(&own, monday()).unwrap();
    rig.serve();
    rig.knows_what_is_given().await;
    rig.fake.set_state(SALES, ChatState::MovedTo(MOVED));
    rig.says(BOSS, "-1005").await;
    rig.fake.write(IVAN, MOVED, "/revenue");
    rig.says(MOVED, "Итого 1 200").await;
    rig.quiet().await;
    rig.clock.set(monday() + chrono::TimeDelta::minutes(20));
    let came = |_: &crate::bot::fake::Fake| (rig.count(MOVED, "Итого 1 200") == 3).then_some(());
    rig.fake.wait_for(SOON, came).await.unwrap_or_else(|| panic!("{}", rig.told(MOVED)));
    rig.quiet().await;
    let own = rig.records().subscription(id).unwrap().unwrap();
    assert_eq!((own.state, own.chat), (SubscriptionState::On, Some(MOVED)));
    let asked = rig.made.asked("revenue");
    assert!(asked.iter().all(|viewer| viewer.chat != SALES), "{asked:?}");
}

#[tokio::test]
async fn a_chat_that_is_closed_is_told_to_admins_once_and_left_alone() {
    for state in [ChatState::Blocked, ChatState::Deactivated] {
        let mut rig = Rig::stopped().await;
        rig.admit(ANNA, &["regional"]);
        rig.records().put_messages(&notes(ANNA, 0, 5), monday()).unwrap();
        rig.fake.set_state(ANNA, state);
        rig.fake.stir(Vec::clear);
        rig.serve();
        rig.says(BOSS, "не доставлено").await;
        rig.quiet().await;
        assert_eq!(rig.count(BOSS, "не доставлено"), 1);
        assert_eq!(
            rig.fake
                .calls_of("sendMessage")
                .iter()
                .filter(|call| call.params["chat_id"] == json!(ANNA))
                .count(),
            1
        );
        assert_eq!(rig.records().failures(10).unwrap().len(), 5);
        assert!(!rig.records().user(ANNA).unwrap().unwrap().reachable);
    }
}

#[tokio::test]
async fn a_message_that_was_taken_away_stands_in_a_new_one() {
    let rig = Rig::start().await;
    rig.write(BOSS, "/start");
    let shown = rig.says(BOSS, "Отчёты").await;
    rig.quiet().await;
    let rows: Value = shown["reply_markup"].clone();
    let data = rows["inline_keyboard"][0][0]["callback_data"].as_str().unwrap().to_owned();
    let message = shown["message_id"].as_i64().unwrap() as i32;
    rig.fake.forget(BOSS, message);
    rig.fake.tap(BOSS, BOSS, message, &data);
    rig.says(BOSS, "Деньги").await;
}

/// Shows a screen to Anna, in place of the one before or below it.
pub(super) async fn show(rig: &Rig, screen: &Screen, place: Place) {
    let files = Files::open(&rig.state()).unwrap();
    let to = parcel::To { chat: ANNA, user: Some(ANNA), language: Language::Ru };
    let messages = parcel::parcels(&files, screen, place, to, &Words::plain(Language::Ru)).unwrap();
    rig.records().put_messages(&messages, monday()).unwrap();
    rig.quiet().await;
}

/// A screen of one thing and a button.
fn screen(block: Block) -> Screen {
    let button = Button { label: "Дальше".to_owned(), token: "t".to_owned() };
    Screen { blocks: vec![block], rows: vec![vec![button]] }
}

pub(super) fn text(words: &str) -> Screen {
    screen(Block::Text(Markup::text(words)))
}

pub(super) fn picture(caption: &str) -> Screen {
    let name = "a.png".to_owned();
    screen(Block::Picture(Picture { png: DOT.into(), name, caption: caption.to_owned(), chart: None }))
}

#[tokio::test]
async fn a_screen_changes_in_its_place_between_text_and_picture() {
    let rig = Rig::start().await;
    let show = async |screen: Screen, place: Place| {
        show(&rig, &screen, place).await;
        let shown = rig.fake.messages(ANNA);
        let with_buttons = shown.iter().filter(|message| message["reply_markup"].is_object()).count();
        assert_eq!(with_buttons, 1, "only what is shown has buttons: {shown:#?}");
        shown
    };
    let methods = |name: &str| rig.fake.calls_of(name).iter().filter(|call| call.done).count();
    show(text("раз"), Place::New).await;
    for (words, edits) in [("два", 1), ("три", 2)] {
        let shown = show(picture(words), Place::Same).await;
        assert_eq!((shown.len(), said(&shown[0])), (1, words), "{shown:#?}");
        assert!(shown[0]["photo"].is_array() && shown[0].get("text").is_none());
        assert_eq!(methods("editMessageMedia"), edits);
    }
    // A picture cannot become a text.
    let shown = show(text("четыре"), Place::Same).await;
    assert_eq!((shown.len(), said(&shown[0]), methods("deleteMessage")), (1, "четыре", 1), "{shown:#?}");
    // Of an answer of several messages the words stay to be read; its buttons go, though the network fails at first.
    let mut answer = picture("пять");
    answer.blocks.push(Block::Text(Markup::text("шесть")));
    show(answer, Place::Same).await;
    rig.fake.fault(Fault::of("editMessageReplyMarkup", 1, Harm::DropRequest));
    let shown = show(text("семь"), Place::Same).await;
    let said: Vec<&str> = shown.iter().map(said).collect();
    assert_eq!(said, ["пять", "шесть", "семь"]);
}

#[tokio::test]
async fn a_group_that_put_the_bot_out_is_told_to_admins_and_gets_nothing_more() {
    let rig = Rig::start().await;
    let own = Subscription { chat: Some(SALES), ..super::access::own(BOSS) };
    let id = rig.records().subscribe(&own, monday()).unwrap();
    rig.fake.set_state(SALES, ChatState::Kicked);
    rig.says(BOSS, "не доставлено").await;
    let stopped = rig.records().subscription(id).unwrap().unwrap();
    assert_eq!(stopped.state, SubscriptionState::Stopped, "{stopped:?}");
    rig.records().put_messages(&notes(SALES, 0, 2), monday()).unwrap();
    rig.quiet().await;
    assert!(arrived(&rig, SALES).is_empty());
}

#[tokio::test]
async fn admins_who_cannot_be_written_to_are_told_nothing_and_make_no_notices_without_end() {
    let mut rig = Rig::stopped().await;
    // Nobody has heard of the second and the third; the fourth is known, and every notice to them is refused.
    rig.bot = rig.bot.replace("admins = [1]", "admins = [1, 2, 3, 8]");
    rig.fake.fault(Fault::of("sendMessage", 1_000, Harm::Refused(400, "Bad Request: never")).in_chat(IVAN));
    rig.records().put_messages(&notes(-404, 0, 1), monday()).unwrap();
    rig.serve();
    rig.says(BOSS, "-404").await;
    rig.quiet().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    rig.quiet().await;
    let calls = rig.fake.calls_of("sendMessage");
    let to = |chat: i64| calls.iter().filter(|call| call.params["chat_id"] == json!(chat)).count();
    assert!(calls.len() < 12, "{} calls", calls.len());
    assert_eq!((to(2), to(3)), (1, 1), "who cannot be written to is left alone");
    // They are heard as soon as they write.
    rig.fake.user(2, "Вторая", "ru");
    rig.write(2, "/start");
    rig.says(2, "Отчёты").await;
    rig.records().put_messages(&notes(-405, 0, 1), monday()).unwrap();
    rig.says(2, "-405").await;
}
