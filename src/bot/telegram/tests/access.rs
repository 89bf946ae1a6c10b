//! Who gets in, and what happens to what they had when they are out.

use crate::state::bot::{
    subscriptions::{Subscription, SubscriptionState},
    users::Standing,
};

use super::rig::{ANNA, BOSS, IVAN, Rig, monday, said, until};

#[tokio::test]
async fn a_stranger_asks_an_admin_decides_and_the_decision_is_told() {
    let rig = Rig::start().await;
    rig.write(ANNA, "/start");
    rig.press(ANNA, ANNA, "Запросить доступ").await;
    rig.says(ANNA, "кто вы").await;
    rig.write(ANNA, "Отдел <продаж>");
    rig.says(BOSS, "Отдел <продаж>").await;
    rig.press(BOSS, BOSS, "Впустить").await;
    rig.quiet().await;
    assert_eq!(rig.records().user(ANNA).unwrap().unwrap().standing, Standing::Waiting, "no role is ticked");
    rig.press(BOSS, BOSS, "☐ Регион").await;
    rig.press(BOSS, BOSS, "☑ Регион").await;
    rig.press(BOSS, BOSS, "☐ Регион").await;
    rig.quiet().await;
    rig.press(BOSS, BOSS, "Впустить").await;
    rig.says(ANNA, "Доступ открыт").await;
    rig.write(ANNA, "/revenue");
    rig.says(ANNA, "Итого 1 200").await;
    let acts: Vec<String> =
        rig.records().audit(Some(ANNA), 0, 10).unwrap().into_iter().map(|entry| entry.act.act).collect();
    assert_eq!(acts, ["approve", "role", "role", "role", "request"]);
}

#[tokio::test]
async fn who_is_denied_may_ask_again_and_who_is_blocked_may_not() {
    let rig = Rig::start().await;
    for (button, told) in [("Отказать", "В доступе отказано"), ("Заблокировать", "В доступе отказано")]
    {
        rig.write(ANNA, "/start");
        rig.quiet().await;
        rig.press(ANNA, ANNA, "Запросить доступ").await;
        rig.quiet().await;
        rig.write(ANNA, "Анна");
        rig.says(BOSS, "Просит доступ").await;
        rig.quiet().await;
        rig.press(BOSS, BOSS, button).await;
        rig.quiet().await;
        rig.says(ANNA, told).await;
    }
    rig.write(ANNA, "/start");
    rig.says(ANNA, "Доступ закрыт").await;
    assert_eq!(rig.records().user(ANNA).unwrap().unwrap().standing, Standing::Blocked);
}

#[tokio::test]
async fn only_admins_decide_whatever_buttons_others_forge() {
    let rig = Rig::start().await;
    rig.admit(IVAN, &["regional"]);
    rig.write(IVAN, "/users");
    for data in ["!r:8:x", "!a:8", "!n:1", "!u:1", "!x", "!l:0", "!b:1", "!so:1", "!", "!sk:1"] {
        rig.fake.tap(IVAN, IVAN, 1, data);
    }
    rig.quiet().await;
    assert!(!rig.told(IVAN).contains("Борис"), "{}", rig.told(IVAN));
    assert_eq!(rig.records().audit(Some(BOSS), 0, 10).unwrap(), []);
    let acts = rig.records().audit(Some(IVAN), 0, 10).unwrap();
    assert_eq!(acts.len(), 1, "only what the test did itself: {acts:?}");
}

/// Someone's own subscription, at nine.
pub(super) fn own(owner: i64) -> Subscription {
    Subscription {
        id: 0,
        name: None,
        owner: Some(owner),
        chat: Some(owner),
        report: "revenue".to_owned(),
        asks: "{}".to_owned(),
        cron: "0 9 * * *".to_owned(),
        zone: "Europe/Moscow".to_owned(),
        state: SubscriptionState::On,
        why: None,
        fired_at: monday(),
    }
}

#[tokio::test]
async fn losing_a_role_ends_the_dialog_and_the_subscriptions_at_once() {
    let rig = Rig::start().await;
    rig.admit(ANNA, &["regional"]);
    let id = rig.records().subscribe(&own(ANNA), monday()).unwrap();
    rig.write(ANNA, "/start");
    rig.says(ANNA, "Отчёты").await;
    rig.write(BOSS, "/users Анна");
    rig.press(BOSS, BOSS, "✅ Анна").await;
    rig.press(BOSS, BOSS, "Закрыть доступ").await;
    rig.says(ANNA, "Ваш доступ закрыт").await;
    rig.says(ANNA, "Подписка остановлена").await;
    assert_eq!(rig.records().subscription(id).unwrap().unwrap().state, SubscriptionState::Stopped);
    // The screen that was open then leads nowhere any more.
    rig.press(ANNA, ANNA, "Деньги").await;
    rig.quiet().await;
    assert!(rig.fake.press(ANNA, ANNA, "Запросить доступ").is_some(), "{}", rig.told(ANNA));
    assert!(rig.made.asked("revenue").is_empty());
}

#[tokio::test]
async fn users_are_listed_found_and_exported() {
    let rig = Rig::start().await;
    rig.admit(ANNA, &["regional"]);
    rig.write(ANNA, "/start");
    rig.write(IVAN, "/start");
    rig.quiet().await;
    rig.write(BOSS, "/users");
    rig.press(BOSS, BOSS, "Выгрузить").await;
    let file = rig.fake.wait_for(super::rig::SOON, |fake| {
        let mut documents =
            fake.messages(BOSS).into_iter().filter_map(|message| message.get("document").cloned());
        documents.next_back().and_then(|document| fake.upload(document["file_id"].as_str()?))
    });
    let csv = String::from_utf8(file.await.unwrap().to_vec()).unwrap();
    assert!(csv.starts_with("id,name,") && csv.contains("7,Анна <i>,user_7,member,regional"), "{csv}");
    rig.press(BOSS, BOSS, "Анна").await;
    rig.press(BOSS, BOSS, "История").await;
    rig.says(BOSS, "выданы роли").await;
    let exports = rig.records().audit(None, 0, 20).unwrap();
    let exports: Vec<_> = exports.into_iter().filter(|entry| entry.act.act == "export").collect();
    assert_eq!(exports.len(), 1, "{exports:?}");
    assert_eq!((exports[0].act.actor.as_str(), exports[0].act.detail.as_str()), ("1", "3"));
}

#[tokio::test]
async fn what_people_do_about_their_subscriptions_is_in_the_audit() {
    let rig = Rig::start().await;
    rig.admit(ANNA, &["executive"]);
    rig.write(ANNA, "/revenue");
    rig.press(ANNA, ANNA, "Присылать").await;
    rig.press(ANNA, ANNA, "Каждый день в 9:00").await;
    rig.says(ANNA, "буду присылать").await;
    rig.write(ANNA, "/subscriptions");
    for button in ["🔔 Выручка", "Приостановить", "Возобновить", "Удалить"]
    {
        rig.press(ANNA, ANNA, button).await;
    }
    rig.says(ANNA, "Подписок нет").await;
    rig.write(ANNA, "/slow");
    rig.press(ANNA, ANNA, "Остановить").await;
    rig.says(ANNA, "Остановлено").await;
    // One that the bot stops, as its owner loses the role.
    rig.records().subscribe(&own(ANNA), monday()).unwrap();
    rig.write(BOSS, "/users Анна");
    rig.press(BOSS, BOSS, "✅ Анна").await;
    rig.press(BOSS, BOSS, "Закрыть доступ").await;
    rig.says(ANNA, "Подписка остановлена").await;
    let acts = rig.records().audit(Some(ANNA), 0, 20).unwrap();
    let acts: Vec<(&str, &str)> =
        acts.iter().rev().map(|entry| (entry.act.actor.as_str(), entry.act.act.as_str())).collect();
    let expected = [
        ("test", "grant"),
        ("7", "subscribe"),
        ("7", "pause"),
        ("7", "resume"),
        ("7", "unsubscribe"),
        ("7", "cancel"),
        ("1", "revoke"),
        ("bot", "stop"),
    ];
    assert_eq!(acts, expected);
}

#[tokio::test]
async fn someone_lives_by_the_clock_that_an_admin_gives_them() {
    let rig = Rig::start().await;
    rig.admit(ANNA, &["executive"]);
    rig.write(ANNA, "/start");
    rig.says(ANNA, "Отчёты").await;
    rig.write(BOSS, "/users Анна");
    for button in ["✅ Анна", "Часовой пояс", "Asia/Vladivostok"] {
        rig.press(BOSS, BOSS, button).await;
    }
    rig.says(BOSS, "🕐 Asia/Vladivostok").await;
    rig.write(ANNA, "/revenue");
    rig.press(ANNA, ANNA, "Присылать").await;
    rig.says(ANNA, "Когда присылать").await;
    rig.write(ANNA, "10:30");
    // It is three in the afternoon there.
    rig.says(ANNA, "время Asia/Vladivostok").await;
    rig.says(ANNA, "• Вт 03.03.2026 10:30").await;
    rig.press(ANNA, ANNA, "Присылать так").await;
    rig.says(ANNA, "буду присылать").await;
    rig.quiet().await;
    let own = rig.records().subscriptions(Some(ANNA)).unwrap();
    assert_eq!((own[0].zone.as_str(), own[0].cron.as_str()), ("Asia/Vladivostok", "30 10 * * *"));
    // A zone that nobody offers is none.
    rig.fake.tap(BOSS, BOSS, 1, "!w:7:Mars/Olympus");
    rig.quiet().await;
    assert_eq!(rig.records().user(ANNA).unwrap().unwrap().zone.as_deref(), Some("Asia/Vladivostok"));
    assert!(rig.records().audit(Some(ANNA), 0, 10).unwrap().iter().any(|entry| entry.act.act == "zone"));
}

#[tokio::test]
async fn two_admins_decide_once() {
    const VERA: i64 = 9;
    let rig = Rig::start().await;
    rig.fake.user(VERA, "Вера", "ru");
    rig.admit(VERA, &["admin"]);
    rig.write(ANNA, "/start");
    rig.press(ANNA, ANNA, "Запросить доступ").await;
    rig.write(ANNA, "я из продаж");
    rig.says(BOSS, "Просит доступ").await;
    rig.says(VERA, "Просит доступ").await;
    // Both tick the same role, each on their own screen: it stays ticked.
    rig.press(BOSS, BOSS, "☐ Руководство").await;
    rig.press(VERA, VERA, "☐ Руководство").await;
    rig.quiet().await;
    assert_eq!(rig.records().user(ANNA).unwrap().unwrap().roles, ["executive"]);
    rig.press(VERA, VERA, "Отказать").await;
    rig.says(ANNA, "В доступе отказано").await;
    rig.press(BOSS, BOSS, "Отказать").await;
    rig.quiet().await;
    let anna = rig.records().user(ANNA).unwrap().unwrap();
    assert_eq!(anna.standing, Standing::Denied);
    assert!(anna.roles.is_empty(), "what was ticked is taken away: {:?}", anna.roles);
    assert_eq!(rig.count(ANNA, "В доступе отказано"), 1);
    let acts = rig.records().audit(Some(ANNA), 0, 20).unwrap();
    assert_eq!(acts.iter().filter(|entry| entry.act.act == "deny").count(), 1, "{acts:?}");
}

#[tokio::test]
async fn an_answer_is_of_the_rights_of_the_moment_it_comes_at() {
    let rig = Rig::start().await;
    rig.admit(ANNA, &["executive"]);
    let held = rig.made.held.acquire().await.unwrap();
    rig.write(ANNA, "/own");
    until("it does not run", || rig.made.asked("own").len() == 1).await;
    rig.admit(ANNA, &["regional"]);
    drop(held);
    rig.says(ANNA, "Видит regional").await;
    rig.quiet().await;
    assert_eq!(rig.count(ANNA, "Видит executive"), 0, "{}", rig.told(ANNA));
    assert_eq!(rig.made.asked("own").len(), 2);
    // One that waits behind another of hers runs with what she may see when it begins.
    let held = rig.made.held.acquire().await.unwrap();
    rig.write(ANNA, "/own");
    until("it does not run", || rig.made.asked("own").len() == 3).await;
    rig.admit(ANNA, &["board"]);
    drop(held);
    rig.says(ANNA, "у вас больше нет нужной роли").await;
    rig.quiet().await;
    assert_eq!((rig.made.asked("own").len(), rig.count(ANNA, "Видит")), (3, 1), "{}", rig.told(ANNA));
}

#[tokio::test]
async fn a_history_has_pages_names_and_titles() {
    let rig = Rig::start().await;
    rig.write(ANNA, "/start");
    rig.press(ANNA, ANNA, "Запросить доступ").await;
    rig.write(ANNA, "я из продаж");
    rig.press(BOSS, BOSS, "☐ Регион").await;
    rig.press(BOSS, BOSS, "Впустить").await;
    rig.says(ANNA, "Доступ открыт").await;
    for _ in 0..20 {
        rig.admit(ANNA, &["regional"]);
    }
    rig.write(BOSS, "/users Анна");
    for button in ["✅ Анна", "30 дн.", "История"] {
        rig.press(BOSS, BOSS, button).await;
        rig.quiet().await;
    }
    rig.says(BOSS, "срок до 01.04.2026 08:51 ← Борис").await;
    assert_eq!(rig.count(BOSS, "просит доступ я из продаж ← Анна"), 0, "it is further back");
    rig.press(BOSS, BOSS, "Страница 2").await;
    rig.says(BOSS, "доступ открыт ← Борис").await;
    rig.says(BOSS, "роль + Регион ← Борис").await;
    let last = rig.says(BOSS, "просит доступ я из продаж ← Анна").await;
    assert!(!said(&last).contains("срок"), "{last}");
    for button in ["Страница 1", "Назад", "Назад", "Выгрузить", "История"] {
        rig.press(BOSS, BOSS, button).await;
        rig.quiet().await;
    }
    rig.says(BOSS, "выгрузка пользователей 2 ← Борис").await;
}

#[tokio::test]
async fn an_admin_of_the_file_is_one_whatever_the_records_say() {
    let rig = Rig::start().await;
    rig.write(BOSS, "/users");
    rig.press(BOSS, BOSS, "⭐ Борис").await;
    rig.says(BOSS, "администратор: так записано в bot.toml").await;
    rig.quiet().await;
    for button in ["Закрыть доступ", "Заблокировать", "Впустить", "без срока"]
    {
        assert!(rig.fake.press(BOSS, BOSS, button).is_none(), "{button}:\n{}", rig.told(BOSS));
    }
}

#[tokio::test]
async fn a_role_that_shows_nothing_without_an_attribute_is_told_of() {
    let mut rig = Rig::stopped().await;
    rig.bot = rig
        .bot
        .replace("title = \"Регион\"\n", "title = \"Менеджер\"\nrows.region = { user = \"region\" }\n");
    rig.serve();
    rig.write(ANNA, "/start");
    rig.press(ANNA, ANNA, "Запросить доступ").await;
    rig.write(ANNA, "я из продаж");
    rig.press(BOSS, BOSS, "☐ Менеджер").await;
    rig.says(BOSS, "⚠ Не указано: region").await;
    for button in ["region", "☐ Волга", "Назад"] {
        rig.press(BOSS, BOSS, button).await;
    }
    let card = rig.says(BOSS, "region: Волга").await;
    assert!(!said(&card).contains("⚠"), "{card}");
    rig.press(BOSS, BOSS, "Впустить").await;
    rig.says(ANNA, "Доступ открыт").await;
    let anna = rig.records().user(ANNA).unwrap().unwrap();
    assert_eq!(
        (anna.roles, anna.attributes["region"].clone()),
        (vec!["regional".to_owned()], vec!["mrf2".to_owned()])
    );
}
