//! Mistakes of the program itself: what panics fails by itself, and nobody waits for it for ever.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use chrono::TimeDelta;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::rig::{ANNA, BOSS, IVAN, Rig, monday, until};
use crate::{
    bot::{
        event::{Call, Running, Spot, State, With},
        telegram::{
            delivery::{Delivery, Trouble},
            desk::News,
            files::Files,
            parcel::{self, Body, Parcel, Shown},
            send::{Carrier, Verdict},
        },
    },
    model::time::Clock,
    state::bot::{dialogs::Step, outbox::NewMessage, subscriptions::Subscription},
};

/// Brings every message, but panics at some of them so often.
#[derive(Default)]
struct Clumsy {
    panics: Mutex<HashMap<&'static str, u32>>,
    brought: Mutex<Vec<(i64, String)>>,
}

#[async_trait]
impl Carrier for Clumsy {
    async fn send(&self, chat: i64, parcel: &Parcel, _: &[Shown]) -> Verdict {
        let Body::Text(text) = &parcel.body else { return Verdict::Refused("no text".to_owned()) };
        let stumbles = match self.panics.lock().unwrap().get_mut(text.as_str()) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        };
        assert!(!stumbles, "a panic that a test makes");
        self.brought.lock().unwrap().push((chat, text.clone()));
        Verdict::Arrived(vec![])
    }
}

#[tokio::test]
async fn a_panic_in_a_send_frees_the_chat_and_the_message_is_tried_again_or_given_up() {
    let rig = Rig::stopped().await;
    let records = Arc::new(rig.records());
    let note = |chat: i64, text: &str| parcel::notice(chat, text.to_owned(), &[]);
    let notes: Vec<NewMessage> =
        ["first", "stumbles", "hopeless", "last"].map(|text| note(ANNA, text)).into();
    records.put_messages(&notes, monday()).unwrap();
    records.put_messages(&[note(IVAN, "another chat's")], monday()).unwrap();
    let carrier = Arc::new(Clumsy::default());
    *carrier.panics.lock().unwrap() = HashMap::from([("stumbles", 2), ("hopeless", u32::MAX)]);
    let (desk, mut heard) = mpsc::channel(10);
    let delivery = Delivery {
        records: Arc::clone(&records),
        sender: carrier.clone(),
        files: Files::open(&rig.state()).unwrap(),
        clock: rig.clock.clone(),
        news: Arc::new(Notify::new()),
        desk,
        limits: rig.parts().limits,
        look: Duration::from_millis(50),
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(delivery.run(stop.clone()));
    until("a chat waits for ever", || records.waiting_after(0).unwrap().is_empty()).await;
    let brought = |chat: i64| -> Vec<String> {
        let brought = carrier.brought.lock().unwrap();
        brought.iter().filter(|(to, _)| *to == chat).map(|(_, text)| text.clone()).collect()
    };
    assert_eq!(
        brought(ANNA),
        ["first", "stumbles", "last"],
        "in their order, but for the one that cannot be sent"
    );
    assert_eq!(brought(IVAN), ["another chat's"]);
    let told = heard.recv().await;
    assert!(matches!(told, Some(News::Trouble(Trouble::Lost { chat: ANNA, .. }))), "{told:?}");
    assert!(heard.try_recv().is_err(), "one message was lost");
    stop.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_report_that_panics_fails_and_the_bot_goes_on() {
    let rig = Rig::start().await;
    rig.write(BOSS, "/crash");
    rig.says(BOSS, "Отчёт не получился").await;
    rig.says(BOSS, "it panicked").await;
    rig.write(BOSS, "/revenue");
    rig.says(BOSS, "Итого 1 200").await;
}

#[tokio::test]
async fn a_subscription_that_panics_fails_once_and_holds_no_other_up() {
    let mut rig = Rig::stopped().await;
    rig.admit(ANNA, &["executive"]);
    rig.admit(IVAN, &["executive"]);
    let crash = Subscription { report: "crash".to_owned(), ..super::access::own(ANNA) };
    rig.records().subscribe(&crash, monday()).unwrap();
    rig.records().subscribe(&super::access::own(IVAN), monday()).unwrap();
    rig.serve();
    rig.knows_what_is_given().await;
    rig.clock.set(rig.clock.now() + TimeDelta::minutes(10));
    rig.says(IVAN, "Итого 1 200").await;
    rig.says(ANNA, "Отчёт не получился").await;
    rig.quiet().await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(rig.made.asked("crash").len(), 1, "it is not tried again at every look");
}

#[tokio::test]
async fn more_troubles_than_the_desk_has_places_for_are_all_told() {
    const MANY: i64 = 400;
    let mut rig = Rig::stopped().await;
    // Nobody here knows these chats.
    let lost: Vec<NewMessage> =
        (0..MANY).map(|n| parcel::notice(50_000 + n, "to nobody".to_owned(), &[])).collect();
    rig.records().put_messages(&lost, monday()).unwrap();
    rig.serve();
    until("troubles are not told", || rig.count(BOSS, "не доставлено") >= 400).await;
    rig.quiet().await;
    assert_eq!(rig.count(BOSS, "не доставлено"), 400);
}

/// A dialog at whose next step the program fails: a sum that is past its type panics where tests run.
fn doomed() -> String {
    let state = State { version: u64::MAX, trail: vec![Spot::Help(0)], ..State::default() };
    serde_json::to_string(&state).unwrap()
}

#[tokio::test]
async fn a_step_that_panics_fails_once_and_is_told() {
    if !cfg!(debug_assertions) {
        return; // Such a sum is no panic there.
    }
    let mut rig = Rig::stopped().await;
    rig.admit(ANNA, &["executive"]);
    let step = Step { user: ANNA, chat: ANNA, state: Some(doomed()), ..Step::default() };
    rig.records().step(&step, monday()).unwrap();
    rig.serve();
    rig.write(ANNA, "лиды");
    rig.says(ANNA, "Что-то пошло не так").await;
    rig.says(BOSS, "Действие пользователя не выполнено").await;
    // Others are heard, and so is she: where her dialog stood is left.
    rig.write(IVAN, "/start");
    rig.says(IVAN, "Этот бот показывает отчёты").await;
    rig.write(ANNA, "/revenue");
    rig.says(ANNA, "Итого 1 200").await;
    rig.quiet().await;
    rig.kill().await;
    rig.serve();
    rig.write(ANNA, "/start");
    rig.says(ANNA, "Отчёты").await;
    rig.quiet().await;
    assert_eq!(
        (rig.count(ANNA, "Что-то пошло не так"), rig.count(BOSS, "не выполнено")),
        (1, 1),
        "it is over"
    );
}

#[tokio::test]
async fn an_answer_that_panics_ends_its_report() {
    if !cfg!(debug_assertions) {
        return;
    }
    let mut rig = Rig::stopped().await;
    rig.admit(ANNA, &["executive"]);
    let call = Call { report: "revenue".to_owned(), with: With::new() };
    let running = Some(Running { run: 5, call });
    let state = State { version: u64::MAX, running, ..State::default() };
    let state = Some(serde_json::to_string(&state).unwrap());
    let step = Step { user: ANNA, chat: ANNA, state, ..Step::default() };
    rig.records().step(&step, monday()).unwrap();
    rig.serve();
    rig.says(ANNA, "Что-то пошло не так").await;
    rig.quiet().await;
    rig.kill().await;
    rig.serve();
    rig.write(ANNA, "/start");
    rig.says(ANNA, "Отчёты").await;
    rig.quiet().await;
    assert_eq!(rig.made.asked("revenue").len(), 1, "it is not run again");
}
