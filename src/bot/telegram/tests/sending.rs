//! Subscriptions, as time passes.

use chrono::TimeDelta;

use super::rig::{ANNA, BOSS, IVAN, Rig, SALES, monday, until};
use crate::{
    model::time::Clock,
    state::bot::{
        dialogs::Step,
        subscriptions::{Subscription, SubscriptionState},
    },
};

pub(super) fn pass(rig: &Rig, minutes: i64) {
    rig.clock.set(rig.clock.now() + TimeDelta::minutes(minutes));
}

/// As long as several looks at what is due take.
pub(super) async fn looks() {
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
}

#[tokio::test]
async fn a_given_subscription_reaches_everyone_once_and_asks_each_question_once() {
    let mut rig = Rig::stopped().await;
    for user in 100..160 {
        rig.fake.user(user, &format!("Менеджер {user}"), "ru");
        rig.admit(user, &["regional"]);
    }
    rig.admit(IVAN, &["executive"]);
    rig.serve();
    rig.knows_what_is_given().await;
    looks().await;
    assert_eq!(rig.count(100, "Итого"), 0, "it is not nine yet");
    pass(&rig, 10);
    rig.says(159, "Данные за вчера").await;
    rig.says(SALES, "Данные за вчера").await;
    rig.quiet().await;
    looks().await;
    for user in 100..160 {
        assert_eq!(rig.count(user, "Итого 1 200"), 1, "{}", rig.told(user));
    }
    assert_eq!(rig.count(IVAN, "Итого"), 0, "it is not for the role executive");
    // People without language speak the project's; the group does, too.
    assert!(rig.made.asked("revenue").len() <= 2, "{} questions", rig.made.asked("revenue").len());
    let uploads = rig.fake.calls_of("sendPhoto").iter().filter(|call| !call.files.is_empty()).count();
    assert!(uploads < 61, "a picture is uploaded once it is known");

    // Neither a restart nor time that passes sends it again before its next time.
    rig.stop().await;
    pass(&rig, 60);
    rig.serve();
    looks().await;
    rig.quiet().await;
    assert_eq!(rig.count(100, "Итого 1 200"), 1);
}

#[tokio::test]
async fn someone_subscribes_pauses_and_wants_it_now() {
    let rig = Rig::start().await;
    rig.write(BOSS, "/revenue");
    rig.press(BOSS, BOSS, "Присылать").await;
    rig.press(BOSS, BOSS, "Каждый день в 9:00").await;
    rig.says(BOSS, "буду присылать").await;
    rig.write(BOSS, "/subscriptions");
    rig.press(BOSS, BOSS, "🔔 Выручка").await;
    rig.press(BOSS, BOSS, "Приостановить").await;
    rig.says(BOSS, "на паузе").await;
    let before = rig.count(BOSS, "Итого 1 200");
    pass(&rig, 10);
    looks().await;
    rig.quiet().await;
    assert_eq!(rig.count(BOSS, "Итого 1 200"), before, "it is paused");
    rig.press(BOSS, BOSS, "Возобновить").await;
    rig.press(BOSS, BOSS, "Прислать сейчас").await;
    let came =
        rig.fake.wait_for(super::rig::SOON, |_| (rig.count(BOSS, "Итого 1 200") > before).then_some(()));
    came.await.unwrap();
    rig.quiet().await;
    assert_eq!(rig.count(BOSS, "Итого 1 200"), before + 1);
    pass(&rig, 24 * 60);
    let came =
        rig.fake.wait_for(super::rig::SOON, |_| (rig.count(BOSS, "Итого 1 200") > before + 1).then_some(()));
    came.await.unwrap();
    rig.press(BOSS, BOSS, "Удалить").await;
    rig.says(BOSS, "Подписок нет").await;
}

#[tokio::test]
async fn stale_data_is_waited_for_and_then_said() {
    let rig = Rig::with_own(ANNA).await;
    *rig.made.stale.lock().unwrap() = vec!["revenue_by_day".to_owned()];
    pass(&rig, 10);
    looks().await;
    assert_eq!(rig.count(ANNA, "Итого"), 0, "it waits for fresh data");
    pass(&rig, 121);
    rig.says(ANNA, "Данные устарели: revenue_by_day").await;
    rig.quiet().await;
    assert_eq!(rig.count(ANNA, "Итого 1 200"), 1);
}

#[tokio::test]
async fn a_workbook_is_sent_without_a_report() {
    let rig = Rig::with_own(IVAN).await;
    rig.knows_what_is_given().await;
    *rig.made.stale.lock().unwrap() = vec!["book".to_owned()];
    pass(&rig, 10);
    looks().await;
    assert_eq!(rig.count(IVAN, "Книга продаж"), 0, "it waits for fresh data");
    rig.made.stale.lock().unwrap().clear();
    rig.says(IVAN, "Книга продаж").await;
    rig.quiet().await;
    assert_eq!(rig.count(IVAN, "Книга продаж"), 1);
    assert_eq!(rig.made.asked("workbook book")[0].user, IVAN, "as whoever gets it");
    assert_eq!(rig.count(ANNA, "Книга продаж"), 0);
    // The next day it is stale for longer than it waits: `otherwise` leaves it out.
    *rig.made.stale.lock().unwrap() = vec!["book".to_owned()];
    pass(&rig, 24 * 60 + 61);
    looks().await;
    rig.made.stale.lock().unwrap().clear();
    looks().await;
    rig.quiet().await;
    assert_eq!(rig.count(IVAN, "Книга продаж"), 1);
}

#[tokio::test]
async fn someone_subscribes_to_a_workbook() {
    let rig = Rig::start().await;
    rig.admit(ANNA, &["executive"]);
    rig.admit(IVAN, &["regional"]);
    rig.write(IVAN, "/subscriptions");
    rig.says(IVAN, "Подписки").await;
    assert!(rig.fake.press(IVAN, IVAN, "Книга Excel").is_none(), "it is for executives");
    rig.fake.tap(IVAN, IVAN, 1, "!st:0:x");
    rig.write(ANNA, "/subscriptions");
    for button in ["Книга Excel", "Книга продаж", "Своё расписание"] {
        rig.press(ANNA, ANNA, button).await;
    }
    rig.says(ANNA, "минута, час, день месяца").await;
    rig.write(ANNA, "0 9 * *");
    rig.says(ANNA, "пять полей через пробел, а здесь их 4").await;
    rig.write(ANNA, "30 10 * * MON,THU");
    rig.says(ANNA, "• Пн 02.03.2026 10:30\n• Чт 05.03.2026 10:30\n• Пн 09.03.2026 10:30").await;
    rig.press(ANNA, ANNA, "Присылать так").await;
    rig.says(ANNA, "буду присылать: 30 10 * * MON,THU").await;
    rig.write(ANNA, "/subscriptions");
    rig.press(ANNA, ANNA, "🔔 📗 Книга продаж").await;
    rig.says(ANNA, "02.03.2026 10:30").await;
    rig.press(ANNA, ANNA, "Прислать сейчас").await;
    rig.says(ANNA, "файл книги").await;
    rig.press(ANNA, ANNA, "Приостановить").await;
    rig.says(ANNA, "на паузе").await;
    rig.press(ANNA, ANNA, "Возобновить").await;
    rig.quiet().await;
    let own = |user: i64| rig.records().subscriptions(Some(user)).unwrap();
    assert_eq!((own(ANNA).len(), own(IVAN).len()), (1, 0));
    assert_eq!(own(ANNA)[0].cron, "30 10 * * MON,THU");
    // Who loses the role does not get it any more.
    rig.write(BOSS, "/users Анна");
    rig.press(BOSS, BOSS, "✅ Анна").await;
    rig.press(BOSS, BOSS, "Закрыть доступ").await;
    rig.says(ANNA, "Подписка остановлена").await;
    assert_eq!(own(ANNA)[0].state, SubscriptionState::Stopped);
}

#[tokio::test]
async fn five_thousand_subscribers_are_one_question() {
    const MANY: i64 = 5_000;
    let mut rig = Rig::stopped().await;
    rig.records();
    let file = rusqlite::Connection::open(rig.state().join("records.db")).unwrap();
    let members =
        "WITH RECURSIVE n (i) AS (SELECT 10000 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < 10000 + ?1)
        INSERT INTO bot_users (id, name, standing, roles, attributes, made_at, reachable)
        SELECT i, 'Менеджер ' || i, 'member', '[\"board\"]', '{}', '2026-01-01T00:00:00.000000Z', 1 FROM n";
    assert_eq!(file.execute(members, [MANY]).unwrap(), MANY as usize);
    for user in 10_000..10_000 + MANY {
        rig.fake.user(user, &format!("Менеджер {user}"), "ru");
    }
    rig.serve();
    rig.knows_what_is_given().await;
    looks().await;
    pass(&rig, 9 * 60 + 10);
    let last = 10_000 + MANY - 1;
    for _ in 0..2_400 {
        if rig.count(last, "Всё хорошо") > 0 && rig.records().waiting_after(0).unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let wrong: Vec<i64> =
        (10_000..10_000 + MANY).filter(|user| rig.count(*user, "Всё хорошо") != 1).collect();
    assert!(wrong.is_empty(), "{} of {MANY} did not get it once: {:?}", wrong.len(), wrong.first());
    assert_eq!(rig.made.asked("line").len(), 1);
}

#[tokio::test]
async fn an_access_that_expires_ends_by_itself() {
    let rig = Rig::with_own(ANNA).await;
    let act = crate::state::bot::users::Act {
        at: monday(),
        actor: "test".to_owned(),
        act: "grant".to_owned(),
        detail: String::new(),
    };
    let until = monday() + TimeDelta::hours(1);
    let changed = rig.records().change_user::<()>(ANNA, &act, &Step::default(), |user| {
        user.expires = Some(until);
        Ok(())
    });
    changed.unwrap().unwrap();
    pass(&rig, 10);
    rig.says(ANNA, "Данные за вчера").await;
    rig.quiet().await;
    pass(&rig, 24 * 60);
    rig.says(ANNA, "Подписка остановлена").await;
    rig.quiet().await;
    assert_eq!(rig.count(ANNA, "Данные за вчера"), 1);
    rig.write(ANNA, "/revenue");
    rig.says(ANNA, "тем, кому открыт доступ").await;
    rig.quiet().await;
    let own = rig.made.asked("revenue").iter().filter(|viewer| viewer.user == ANNA).count();
    assert_eq!(own, 1, "only what was sent before");
}

#[tokio::test]
async fn past_the_last_subscription_only_the_refusal_is_said() {
    let rig = Rig::start().await;
    let records = rig.records();
    for hour in 0..30 {
        let one = crate::state::bot::subscriptions::Subscription {
            cron: format!("{hour} 3 * * *"),
            ..super::access::own(BOSS)
        };
        records.subscribe(&one, monday()).unwrap();
    }
    rig.write(BOSS, "/revenue");
    rig.press(BOSS, BOSS, "Присылать").await;
    rig.says(BOSS, "У вас уже 30 подписок").await;
    rig.quiet().await;
    assert_eq!((rig.count(BOSS, "Когда присылать"), rig.count(BOSS, "Готово")), (0, 0));
    let first = records.subscriptions(Some(BOSS)).unwrap()[0].id;
    records.unsubscribe(first).unwrap();
    rig.press(BOSS, BOSS, "Присылать").await;
    rig.press(BOSS, BOSS, "Каждый день в 9:00").await;
    rig.says(BOSS, "буду присылать").await;
    // The same once more is the same one.
    let count = || records.subscriptions(Some(BOSS)).unwrap().len();
    assert_eq!(count(), 30);
    records.unsubscribe(first + 1).unwrap();
    rig.press(BOSS, BOSS, "Присылать").await;
    rig.press(BOSS, BOSS, "Каждый день в 9:00").await;
    rig.quiet().await;
    assert_eq!(count(), 29);
}

#[tokio::test]
async fn a_subscription_that_comes_more_often_than_it_waits_comes_all_the_same() {
    let mut rig = Rig::stopped().await;
    rig.admit(ANNA, &["executive"]);
    let hourly = Subscription { cron: "0 * * * *".to_owned(), ..super::access::own(ANNA) };
    rig.records().subscribe(&hourly, monday()).unwrap();
    rig.serve();
    *rig.made.stale.lock().unwrap() = vec!["revenue_by_day".to_owned()];
    for waited in [10, 60, 50] {
        pass(&rig, waited);
        looks().await;
        assert_eq!(rig.count(ANNA, "Итого"), 0, "it waits for fresh data for two hours");
    }
    pass(&rig, 10);
    rig.says(ANNA, "Данные устарели: revenue_by_day").await;
    rig.quiet().await;
    looks().await;
    assert_eq!(rig.count(ANNA, "Итого 1 200"), 1);
}

#[tokio::test]
async fn a_subscription_may_wait_for_longer_than_half_a_day() {
    let mut rig = Rig::stopped().await;
    rig.bot = rig.bot.replace(
        "cron = \"0 9 * * *\", wait_fresh = \"1h\", otherwise = \"skip\"",
        "cron = \"0 9 2 * *\", wait_fresh = \"20h\"",
    );
    rig.admit(IVAN, &["executive"]);
    rig.serve();
    rig.knows_what_is_given().await;
    *rig.made.stale.lock().unwrap() = vec!["book".to_owned()];
    for hours in [10, 9] {
        pass(&rig, hours * 60);
        looks().await;
        assert_eq!(rig.count(IVAN, "Книга продаж"), 0);
    }
    pass(&rig, 2 * 60);
    rig.says(IVAN, "Данные устарели: book").await;
}

#[tokio::test]
async fn a_subscription_to_what_is_no_longer_there_stops_and_is_told() {
    let mut rig = Rig::stopped().await;
    rig.admit(ANNA, &["executive"]);
    rig.write(ANNA, "/start");
    let to = |report: &str| Subscription { report: report.to_owned(), ..super::access::own(ANNA) };
    let ids =
        ["removed", "workbook:removed"].map(|report| rig.records().subscribe(&to(report), monday()).unwrap());
    rig.serve();
    rig.knows_what_is_given().await;
    pass(&rig, 10);
    rig.says(BOSS, "её отчёта больше нет: removed").await;
    rig.says(ANNA, "того, что она присылала, больше нет").await;
    looks().await;
    rig.quiet().await;
    assert_eq!(rig.count(BOSS, "её отчёта больше нет"), 2, "{}", rig.told(BOSS));
    assert_eq!(rig.count(ANNA, "Подписка остановлена"), 2, "{}", rig.told(ANNA));
    for id in ids {
        let stopped = rig.records().subscription(id).unwrap().unwrap();
        assert_eq!(stopped.state, SubscriptionState::Stopped, "{stopped:?}");
    }
    rig.write(ANNA, "/subscriptions");
    rig.press(ANNA, ANNA, "⛔ removed").await;
    rig.says(ANNA, "остановлена: того, что она присылала, больше нет").await;
}

#[tokio::test]
async fn someone_subscribes_a_group_which_gets_it_as_the_group() {
    let rig = Rig::start().await;
    rig.admit(IVAN, &["executive"]);
    rig.fake.write(IVAN, SALES, "/revenue");
    rig.says(SALES, "Данные за вчера").await;
    for button in ["Присылать", "Каждый день в 9:00"] {
        // Whose a screen is in a group is known once its arrival is written down.
        rig.quiet().await;
        rig.press(IVAN, SALES, button).await;
    }
    rig.says(SALES, "буду присылать").await;
    rig.quiet().await;
    let own = rig.records().subscriptions(Some(IVAN)).unwrap();
    assert_eq!(own[0].chat, Some(SALES));
    // Without the one that the file gives.
    rig.knows_what_is_given().await;
    let all = rig.records().subscriptions(None).unwrap();
    let given = all.iter().find(|one| one.name.as_deref() == Some("morning")).unwrap();
    rig.records().unsubscribe(given.id).unwrap();
    let before = rig.made.asked("revenue").len();
    pass(&rig, 10);
    let came = |_: &crate::bot::fake::Fake| (rig.count(SALES, "Итого 1 200") == 2).then_some(());
    rig.fake.wait_for(super::rig::SOON, came).await.unwrap_or_else(|| panic!("{}", rig.told(SALES)));
    let asked = rig.made.asked("revenue").split_off(before);
    assert!(asked.iter().all(|viewer| viewer.user == SALES && viewer.chat == SALES), "{asked:?}");
    // Their own rights are of no matter there; they still may end it.
    rig.write(IVAN, "/subscriptions");
    rig.press(IVAN, IVAN, "🔔 Выручка → -5").await;
    rig.press(IVAN, IVAN, "Удалить").await;
    rig.says(IVAN, "Подписок нет").await;
}

#[tokio::test]
async fn what_is_sent_is_of_the_rights_of_the_moment_it_leaves_at() {
    let mut rig = Rig::stopped().await;
    for user in [ANNA, IVAN, BOSS] {
        rig.admit(user, &["executive"]);
        let own = Subscription { report: "own".to_owned(), ..super::access::own(user) };
        rig.records().subscribe(&own, monday()).unwrap();
    }
    rig.bot = rig.bot.replace("admins = [1]", "admins = [2]");
    let made = std::sync::Arc::clone(&rig.made);
    let held = made.held.acquire().await.unwrap();
    rig.serve();
    pass(&rig, 10);
    until("it does not run", || made.asked("own").len() == 1).await;
    // One has other rows by now, one wants none of it any more, one stays.
    rig.admit(ANNA, &["regional"]);
    let of_ivan = rig.records().subscriptions(Some(IVAN)).unwrap()[0].id;
    rig.records().set_subscription(of_ivan, SubscriptionState::Paused, None, monday()).unwrap();
    drop(held);
    rig.says(ANNA, "Видит regional").await;
    rig.says(BOSS, "Видит executive").await;
    rig.quiet().await;
    looks().await;
    rig.quiet().await;
    let counts = |user| (rig.count(user, "Видит executive"), rig.count(user, "Видит regional"));
    assert_eq!((counts(ANNA), counts(IVAN), counts(BOSS)), ((0, 1), (0, 0), (1, 0)));
    assert_eq!(made.asked("own").len(), 2, "the question of two is asked once");
}
