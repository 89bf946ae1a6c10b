//! The bot of a daemon that dies: at every point between an update and the record of its answer's arrival, and at any moment. The
//! Telegram that it serves lives on, in the test's own process.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rand::Rng;

use super::{PEOPLE, Scene};
use crate::{
    crash::points,
    daemon::serving::{PATIENCE, Serving, number},
};

/// What each of them asks, one thing behind the other.
const QUESTIONS: u32 = 5;

impl Scene {
    /// These people ask something that is answered by a message of its own: numbered, so that order and doubles are seen.
    fn ask(&self, people: &[i64]) {
        for question in 0..QUESTIONS {
            for id in people {
                self.fake.write(*id, *id, &format!("/find вопрос{question}"));
            }
        }
    }

    /// Questions that were answered in a chat, in the order of the answers.
    fn answered(&self, chat: i64) -> Vec<u32> {
        let said = self.said(chat);
        let asked = said.iter().filter_map(|text| text.split_once("«вопрос")?.1.split_once('»'));
        asked.map(|(question, _)| question.parse().unwrap()).collect()
    }

    /// What these people were answered: each question in its order; gives how many answers came twice.
    fn doubles(&self, people: &[i64]) -> usize {
        let of_chat = |chat: &i64| {
            let mut answered = self.answered(*chat);
            let all = answered.len();
            answered.dedup();
            let expected: Vec<u32> = (0..QUESTIONS).collect();
            assert_eq!(answered, expected, "chat {chat}: {:#?}", self.said(*chat));
            all - answered.len()
        };
        people.iter().map(of_chat).sum()
    }
}

/// Waits until a daemon has died.
fn until_dead(dying: &mut Serving<'_>, point: &str) {
    let begun = Instant::now();
    while !dying.has_ended() {
        assert!(begun.elapsed() < PATIENCE, "it did not die at {point}\n{}", dying.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Where death doubles a message: Telegram took it, and nobody can know.
const DOUBLES: &str = "bot.send.after";

#[tokio::test(flavor = "multi_thread")]
async fn death_at_any_point_of_a_message_loses_nothing_and_keeps_the_order() {
    let points: BTreeSet<String> =
        points::all_names().into_iter().filter(|name| name.starts_with(points::BOT)).collect();
    assert!(points.len() >= 5 && points.contains(DOUBLES), "{points:?}");
    for point in points {
        for pass in [1, 4] {
            let scene = Scene::new().await;
            let mut dying = scene.serve(Some(&format!("{point}:{pass}")));
            // One chat has one message on its way at a time, so it is known how often it comes.
            let people = &PEOPLE[..1];
            scene.ask(people);
            until_dead(&mut dying, &format!("{point}:{pass}"));
            drop(dying);
            let serving = scene.serve(None);
            scene.quiet(&serving);
            let expected = match point.as_str() {
                DOUBLES => 1..=1,
                // An answer may be on its way while the next question is heard.
                "bot.step.before" | "bot.step.after" => 0..=1,
                _ => 0..=0,
            };
            let doubles = scene.doubles(people);
            assert!(expected.contains(&doubles), "{point}:{pass}: {doubles} came twice");
            serving.stop().done();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn death_between_an_edit_and_its_record_doubles_nothing() {
    let scene = Scene::new().await;
    let chat = PEOPLE[0];
    // The first message is the menu; the second is an edit of it.
    let mut dying = scene.serve(Some(&format!("{DOUBLES}:2")));
    scene.fake.write(chat, chat, "/start");
    scene.says(&dying, chat, "Отчёты");
    scene.press(&dying, chat, "Деньги");
    until_dead(&mut dying, DOUBLES);
    drop(dying);
    let serving = scene.serve(None);
    scene.quiet(&serving);
    assert_eq!(scene.said(chat).len(), 1, "{:#?}", scene.said(chat));
    let edits = scene.fake.calls_of("editMessageText");
    assert!(
        edits.last().unwrap().refusal.as_deref().unwrap().contains("message is not modified"),
        "{edits:#?}"
    );
    // The menu that was open then is open now, and so is the question after it.
    scene.press(&serving, chat, "Звонки");
    scene.says(&serving, chat, "Напишите число");
    scene.quiet(&serving);
    serving.kill();
    let serving = scene.serve(None);
    scene.fake.write(chat, chat, "7");
    scene.says(&serving, chat, "Строк: 2");
    scene.quiet(&serving);
    let sent =
        |kind: &str| scene.fake.messages(chat).iter().filter(|message| message.get(kind).is_some()).count();
    assert_eq!((sent("photo"), sent("document")), (1, 1), "{:#?}", scene.said(chat));
    serving.stop().done();
}

#[tokio::test(flavor = "multi_thread")]
async fn death_at_any_moment_loses_no_message_and_keeps_the_order() {
    const DEATHS: usize = 4;
    let scene = Scene::new().await;
    scene.ask(&PEOPLE);
    for _ in 0..DEATHS {
        let serving = scene.serve(None);
        std::thread::sleep(Duration::from_millis(rand::rng().random_range(0..900)));
        serving.kill();
    }
    let serving = scene.serve(None);
    scene.quiet(&serving);
    // One message at a time is on its way to a chat.
    let doubles = scene.doubles(&PEOPLE);
    assert!(doubles <= DEATHS * PEOPLE.len(), "{doubles} came twice");
    serving.stop().done();
}

#[tokio::test(flavor = "multi_thread")]
async fn death_over_a_request_or_a_decision_leaves_nobody_changed_whom_nobody_told() {
    const STRANGER: i64 = 31;
    for point in ["bot.step.before", "bot.step.after"] {
        let scene = Scene::with("", "\n[roles.manager]\ntitle = \"Менеджер\"\n").await;
        scene.fake.user(STRANGER, "Анна", "ru");
        let told = |chat: i64, text: &str| {
            let said = scene.said(chat);
            assert_eq!(said.iter().filter(|said| said.contains(text)).count(), 1, "{point}: {said:#?}");
        };
        // The third thing that they do is the request.
        let mut dying = scene.serve(Some(&format!("{point}:3")));
        scene.fake.write(STRANGER, STRANGER, "/start");
        scene.press(&dying, STRANGER, "Запросить доступ");
        scene.says(&dying, STRANGER, "кто вы");
        scene.fake.write(STRANGER, STRANGER, "из продаж");
        until_dead(&mut dying, point);
        drop(dying);
        let serving = scene.serve(None);
        scene.quiet(&serving);
        // They never wrote, so they hear it in the project's language.
        for admin in &PEOPLE {
            told(*admin, "Asks for access");
        }
        serving.kill();
        // The second thing that an admin does is to let them in.
        let mut dying = scene.serve(Some(&format!("{point}:2")));
        scene.press(&dying, PEOPLE[0], "☐ Менеджер");
        scene.press(&dying, PEOPLE[0], "Впустить");
        until_dead(&mut dying, point);
        drop(dying);
        let serving = scene.serve(None);
        scene.quiet(&serving);
        told(STRANGER, "Доступ открыт");
        for act in ["request", "role", "approve"] {
            let count = format!("SELECT count(*) FROM bot_audit WHERE act = '{act}'");
            assert_eq!(number(&scene.sandbox, "data/state/records.db", &count), Some(1), "{point}: {act}");
        }
        serving.stop().done();
    }
}
