//! From `/start` to a report, and what people do on the way.

use serde_json::json;

use super::rig::{ANNA, BOSS, IVAN, Rig, SALES, SOON, said, until};

#[tokio::test]
async fn from_start_to_a_chart_in_three_taps() {
    let rig = Rig::start().await;
    rig.write(BOSS, "/start");
    rig.press(BOSS, BOSS, "Деньги").await;
    rig.press(BOSS, BOSS, "Выручка").await;
    let picture = rig.says(BOSS, "По дням").await;
    assert!(rig.fake.upload(picture["photo"][0]["file_id"].as_str().unwrap()).is_some());
    let last = rig.says(BOSS, "Данные за вчера").await;
    assert!(last["reply_markup"]["inline_keyboard"].is_array(), "the buttons stand under the last message");
    rig.quiet().await;
    // The first screens and the header of the answer are one message, edited in place.
    assert_eq!(rig.count(BOSS, ""), 3, "{}", rig.told(BOSS));
    let presses = rig.fake.calls_of("answerCallbackQuery");
    assert_eq!(presses.iter().filter(|call| call.done).count(), presses.len());
    assert_eq!(rig.made.asked("revenue").len(), 1);
}

#[tokio::test]
async fn a_report_that_runs_is_stopped_by_its_button_and_others_go_on() {
    let rig = Rig::start().await;
    rig.admit(ANNA, &["executive"]);
    rig.write(BOSS, "/slow");
    rig.says(BOSS, "Готовлю").await;
    rig.write(ANNA, "/revenue");
    rig.says(ANNA, "Итого 1 200").await;
    rig.press(BOSS, BOSS, "Остановить").await;
    rig.says(BOSS, "Остановлено").await;
}

#[tokio::test]
async fn a_report_that_fails_says_what_to_do_and_admins_see_why() {
    let rig = Rig::start().await;
    rig.admit(ANNA, &["executive"]);
    rig.write(ANNA, "/broken");
    rig.says(ANNA, "Отчёт не получился").await;
    let told = rig.says(BOSS, "no such column: <money>").await;
    assert!(said(&told).contains("Анна <i>"));
    assert!(!rig.told(ANNA).contains("no such column"));
    rig.write(ANNA, "/late");
    rig.says(ANNA, "не успел").await;
}

#[tokio::test]
async fn markup_in_names_and_cells_is_text_and_nothing_is_cut() {
    let rig = Rig::start().await;
    rig.write(BOSS, "/wild");
    let table = rig.says(BOSS, "</pre>&lt;").await;
    assert!(said(&table).contains("<b>Дикий</b> & _") || rig.told(BOSS).contains("<b>Дикий</b> & _"));
    assert!(said(&table).contains("@channel") && !said(&table).contains('\u{202e}'));
    let kinds: Vec<&str> =
        table["entities"].as_array().unwrap().iter().filter_map(|entity| entity["type"].as_str()).collect();
    assert!(!kinds.contains(&"text_link"), "a cell became a link");
    rig.quiet().await;
    assert_eq!(rig.told(BOSS).matches('я').count() / 10_000, 1, "every letter arrived");
}

#[tokio::test]
async fn a_group_is_answered_with_its_own_roles_and_buttons_are_their_owners() {
    let rig = Rig::start().await;
    rig.fake.write(ANNA, SALES, "/revenue");
    rig.says(SALES, "Итого 1 200").await;
    assert_eq!(rig.made.asked("revenue")[0].chat, SALES);
    rig.fake.write(ANNA, SALES, "/slow@vitrina_fake_bot");
    rig.fake.write(ANNA, SALES, "/revenue@another_bot");
    rig.quiet().await;
    assert!(rig.made.asked("slow").is_empty(), "the group has no role for it");
    assert_eq!(rig.made.asked("revenue").len(), 1, "another bot was meant");
    let before = rig.fake.messages(SALES);
    let button = before.iter().rev().find(|message| message["reply_markup"].is_object()).unwrap();
    let title = button["reply_markup"]["inline_keyboard"][0][0]["text"].as_str().unwrap();
    rig.press(IVAN, SALES, title).await;
    rig.quiet().await;
    assert_eq!(rig.fake.messages(SALES), before, "somebody else's button does nothing");
    let answer = rig.fake.wait_for(SOON, |fake| fake.calls_of("answerCallbackQuery").pop()).await.unwrap();
    assert_eq!(answer.params["text"], json!("Это кнопки другого человека. Напишите /start."));
}

#[tokio::test]
async fn a_group_that_the_file_does_not_know_learns_its_number() {
    let rig = Rig::start().await;
    rig.fake.group(-77, "Чужая");
    rig.fake.write(ANNA, -77, "/start");
    rig.says(-77, "-77").await;
    assert!(rig.made.asked("revenue").is_empty());
}

#[tokio::test]
async fn commands_are_told_by_language_and_by_rights() {
    let rig = Rig::start().await;
    rig.write(BOSS, "/start");
    rig.quiet().await;
    let names = |chat: i64| {
        let scope = json!({ "type": "chat", "chat_id": chat });
        let list = rig.fake.commands(&scope, "")?;
        Some(
            list.as_array()?
                .iter()
                .filter_map(|one| one["command"].as_str().map(str::to_owned))
                .collect::<Vec<_>>(),
        )
    };
    let boss = rig.fake.wait_for(SOON, |_| names(BOSS)).await.unwrap();
    assert!(boss.contains(&"revenue".to_owned()) && boss.contains(&"users".to_owned()), "{boss:?}");
    rig.write(ANNA, "/start");
    let anna = rig.fake.wait_for(SOON, |_| names(ANNA)).await.unwrap();
    assert!(!anna.contains(&"revenue".to_owned()) && !anna.contains(&"users".to_owned()), "{anna:?}");
    let default = |fake: &crate::bot::fake::Fake| fake.commands(&json!({ "type": "default" }), "en");
    assert!(rig.fake.wait_for(SOON, default).await.is_some());
}

#[tokio::test]
async fn aliases_are_commands_and_a_lost_role_takes_its_commands_at_once() {
    let mut rig = Rig::stopped().await;
    let command = "command = \"revenue\"";
    rig.bot =
        rig.bot.replace(command, &format!("{command}\naliases = [\"money\", \"Деньги\", \"сколько денег\"]"));
    rig.admit(ANNA, &["regional"]);
    rig.serve();
    for (times, words) in [(1, "/money"), (2, "/деньги")] {
        rig.write(ANNA, words);
        let came = |_: &crate::bot::fake::Fake| (rig.count(ANNA, "Итого 1 200") == times).then_some(());
        rig.fake.wait_for(SOON, came).await.unwrap_or_else(|| panic!("{words}: {}", rig.told(ANNA)));
    }
    let names = || {
        let list = rig.fake.commands(&json!({ "type": "chat", "chat_id": ANNA }), "").unwrap_or_default();
        let names = list.as_array().into_iter().flatten().filter_map(|one| one["command"].as_str());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let has = |name: &str| names().iter().any(|known| known == name);
    assert!(has("money") && has("revenue") && has("subscriptions") && !has("деньги"), "{:?}", names());
    rig.write(BOSS, "/users Анна");
    rig.press(BOSS, BOSS, "✅ Анна").await;
    rig.press(BOSS, BOSS, "Закрыть доступ").await;
    // Before they do anything.
    let taken = |_: &crate::bot::fake::Fake| (!has("money") && !has("revenue") && has("start")).then_some(());
    rig.fake.wait_for(SOON, taken).await.unwrap_or_else(|| panic!("{:?}", names()));
}

#[tokio::test]
async fn a_question_in_words_names_what_lists_of_the_database_have() {
    let rig = Rig::start().await;
    rig.write(BOSS, "зрители драмы");
    rig.press(BOSS, BOSS, "Зрители жанра · Драма").await;
    rig.says(BOSS, "Жанр: Драма").await;
    rig.quiet().await;
    assert_eq!(rig.made.asked("named зрители драмы")[0].user, BOSS, "as whoever asks");
    assert_eq!(rig.made.asked("genres").len(), 1);
}

#[tokio::test]
async fn a_command_takes_a_value_of_a_list_of_the_database() {
    let rig = Rig::start().await;
    rig.write(BOSS, "/genres драма");
    rig.says(BOSS, "Жанр: Драма").await;
    rig.write(BOSS, "/start genres_drama");
    rig.quiet().await;
    let asked = |what: &str| rig.made.asked(what);
    until("the link did not lead to the report", || asked("genres").len() == 2).await;
    assert_eq!((asked("named драма")[0].user, asked("named drama")[0].user), (BOSS, BOSS), "as whoever asks");
}

#[tokio::test]
async fn one_user_runs_one_report_at_once_and_the_next_waits_in_line() {
    let rig = Rig::start().await;
    rig.admit(ANNA, &["executive"]);
    rig.write(ANNA, "/slow");
    rig.says(ANNA, "Готовлю").await;
    rig.fake.write(ANNA, SALES, "/revenue");
    rig.says(SALES, "перед ним: 1").await;
    rig.write(BOSS, "/revenue");
    rig.says(BOSS, "Итого 1 200").await;
    assert!(!rig.told(SALES).contains("Итого"), "it is her second one");
    rig.press(ANNA, ANNA, "Остановить").await;
    rig.says(ANNA, "Остановлено").await;
    rig.says(SALES, "Итого 1 200").await;
}

#[tokio::test]
async fn a_report_in_line_is_taken_out_of_it() {
    let rig = Rig::start().await;
    rig.admit(ANNA, &["executive"]);
    rig.write(ANNA, "/slow");
    rig.says(ANNA, "Готовлю").await;
    rig.fake.write(ANNA, SALES, "/revenue");
    rig.says(SALES, "перед ним: 1").await;
    rig.quiet().await;
    rig.press(ANNA, SALES, "Остановить").await;
    rig.says(SALES, "Остановлено").await;
    rig.press(ANNA, ANNA, "Остановить").await;
    rig.says(ANNA, "Остановлено").await;
    rig.quiet().await;
    assert!(rig.made.asked("revenue").is_empty());
}

#[tokio::test]
async fn another_report_takes_the_place_of_the_one_that_runs() {
    let rig = Rig::start().await;
    rig.write(BOSS, "/slow");
    rig.says(BOSS, "Готовлю").await;
    rig.write(BOSS, "/revenue");
    rig.says(BOSS, "Итого 1 200").await;
    rig.quiet().await;
    assert_eq!(rig.count(BOSS, "в очереди"), 0, "{}", rig.told(BOSS));
}

#[tokio::test]
async fn what_has_no_words_is_answered_and_a_caption_is_words() {
    let rig = Rig::start().await;
    let sent = |number: i32, content: serde_json::Value| {
        let mut message = json!({
            "message_id": number, "date": 1_790_000_000,
            "chat": { "id": BOSS, "type": "private", "first_name": "Борис" },
            "from": { "id": BOSS, "is_bot": false, "first_name": "Борис", "language_code": "ru" },
        });
        for (key, value) in content.as_object().unwrap() {
            message[key] = value.clone();
        }
        rig.fake.push(json!({ "message": message }));
    };
    let photo = json!([{ "file_id": "p", "file_unique_id": "p", "width": 9, "height": 9 }]);
    sent(
        9_001,
        json!({ "voice": { "file_id": "v", "file_unique_id": "v", "duration": 3, "mime_type": "audio/ogg" } }),
    );
    rig.says(BOSS, "Понимаю только текст и кнопки").await;
    sent(9_002, json!({ "photo": photo, "caption": "выручка" }));
    rig.says(BOSS, "Вот как я понял «выручка»").await;
    sent(9_003, json!({ "photo": photo, "media_group_id": "album" }));
    rig.quiet().await;
    assert_eq!(rig.count(BOSS, "Понимаю только текст"), 1, "{}", rig.told(BOSS));
}
