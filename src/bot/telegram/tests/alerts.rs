//! Alerts and failures, as time passes.

use std::sync::atomic::Ordering;

use super::{
    rig::{ANNA, BOSS, IVAN, Rig, SOON, monday},
    sending::{looks, pass},
};
use crate::{bot::fake::Fake, model::time::Clock};

#[tokio::test]
async fn an_alert_is_told_once_until_it_recovers() {
    let rig = Rig::start().await;
    rig.admit(IVAN, &["executive"]);
    *rig.made.alert.lock().unwrap() = Some("сегодня <0.7".to_owned());
    // The bot counts hours from when it has begun.
    let mut hours = 0;
    while rig.count(IVAN, "Выручка <упала>") == 0 {
        assert!(hours < 150, "it is not told:\n{}", rig.told(IVAN));
        pass(&rig, 60);
        looks().await;
        hours += 1;
    }
    for _ in 0..3 {
        pass(&rig, 60);
        looks().await;
    }
    rig.quiet().await;
    assert_eq!(rig.count(IVAN, "сегодня <0.7"), 1);
    *rig.made.alert.lock().unwrap() = None;
    pass(&rig, 60);
    rig.says(IVAN, "Снова в порядке").await;
    assert_eq!(rig.count(ANNA, "упала"), 0);
    assert!(monday() < rig.clock.now());
}

#[tokio::test]
async fn what_fails_is_told_to_admins_once_until_it_works_again() {
    let rig = Rig::start().await;
    rig.made.failing.lock().unwrap().insert("orders/mrf1".to_owned(), "no connection to <crm>".to_owned());
    rig.says(BOSS, "no connection to <crm>").await;
    looks().await;
    rig.quiet().await;
    assert_eq!(rig.count(BOSS, "orders/mrf1"), 1);
    rig.made.failing.lock().unwrap().clear();
    rig.says(BOSS, "Снова в порядке: orders/mrf1").await;
}

#[tokio::test]
async fn an_alert_that_hangs_stops_nothing_else() {
    let rig = Rig::start().await;
    rig.made.hangs.store(true, Ordering::Relaxed);
    let looked = || rig.made.looked.lock().unwrap().len();
    let first = async {
        while looked() == 0 {
            pass(&rig, 60);
            looks().await;
        }
    };
    tokio::time::timeout(SOON, first).await.unwrap();
    rig.made.failing.lock().unwrap().insert("orders/mrf1".to_owned(), "no connection".to_owned());
    rig.says(BOSS, "no connection").await;
    // Half a minute later it counts as failed, and is looked for again at its next time.
    rig.says(BOSS, "it took longer than 30 s").await;
    rig.made.hangs.store(false, Ordering::Relaxed);
    *rig.made.alert.lock().unwrap() = Some("сегодня <0.7".to_owned());
    rig.admit(IVAN, &["executive"]);
    pass(&rig, 60);
    rig.says(IVAN, "сегодня <0.7").await;
}

#[tokio::test]
async fn an_alert_whose_time_passes_while_the_bot_is_down_is_looked_for_when_it_is_up() {
    let mut rig = Rig::stopped().await;
    rig.bot = rig.bot.replace(
        "schedule = { every = \"1h\" }\nto = { roles = [\"executive\"] }",
        "schedule = { cron = \"0 9 * * *\" }\nto = { roles = [\"executive\"] }",
    );
    rig.admit(IVAN, &["executive"]);
    rig.serve();
    rig.knows_what_is_given().await;
    looks().await;
    rig.stop().await;
    *rig.made.alert.lock().unwrap() = Some("сегодня <0.7".to_owned());
    pass(&rig, 30);
    rig.serve();
    rig.says(IVAN, "сегодня <0.7").await;
    rig.quiet().await;
    rig.stop().await;
    rig.serve();
    looks().await;
    assert_eq!(rig.made.looked.lock().unwrap().len(), 1, "it was looked for up to nine");
}

#[tokio::test]
async fn the_same_failure_is_told_to_admins_once_in_a_while() {
    let rig = Rig::start().await;
    rig.admit(ANNA, &["executive"]);
    for times in 1..=3 {
        rig.write(ANNA, "/broken");
        let failed = |_: &Fake| (rig.count(ANNA, "Отчёт не получился") == times).then_some(());
        rig.fake.wait_for(SOON, failed).await.unwrap_or_else(|| panic!("{}", rig.told(ANNA)));
    }
    // A list that fails is told, too.
    rig.write(ANNA, "/genres");
    rig.says(ANNA, "Жанр").await;
    rig.says(BOSS, "no such table: <genres>").await;
    rig.quiet().await;
    assert_eq!(rig.count(BOSS, "no such column: <money>"), 1, "{}", rig.told(BOSS));
    pass(&rig, 10);
    rig.write(ANNA, "/broken");
    rig.says(BOSS, "ещё 2 раза").await;
    rig.quiet().await;
    assert_eq!(rig.count(BOSS, "no such column: <money>"), 2, "{}", rig.told(BOSS));
}

/// A rig whose alert looks hourly and has these keys besides; Ivan gets it.
async fn with_alert(more: &str) -> Rig {
    let mut rig = Rig::stopped().await;
    let hourly = "schedule = { every = \"1h\" }\nto = { roles = [\"executive\"] }";
    assert!(rig.bot.contains(hourly));
    rig.bot = rig.bot.replace(hourly, &format!("{hourly}\n{more}"));
    rig.admit(IVAN, &["executive"]);
    rig.serve();
    rig.knows_what_is_given().await;
    looks().await;
    rig
}

/// Lets so many hours pass, each of which is looked at.
async fn hours(rig: &Rig, hours: usize) {
    for _ in 0..hours {
        let before = rig.made.looked.lock().unwrap().len();
        pass(rig, 60);
        let looked = || rig.made.looked.lock().unwrap().len() > before;
        super::rig::until("nobody looked", looked).await;
        looks().await;
    }
    rig.quiet().await;
}

#[tokio::test]
async fn an_alert_that_lasts_is_told_again_after_a_while() {
    let rig = with_alert("repeat = \"3h\"").await;
    *rig.made.alert.lock().unwrap() = Some("сегодня <0.7".to_owned());
    hours(&rig, 1).await;
    assert_eq!(rig.count(IVAN, "сегодня <0.7"), 1, "{}", rig.told(IVAN));
    hours(&rig, 2).await;
    assert_eq!(rig.count(IVAN, "сегодня <0.7"), 1);
    hours(&rig, 1).await;
    assert_eq!(rig.count(IVAN, "сегодня <0.7"), 2);
}

#[tokio::test]
async fn quiet_hours_put_off_an_alert_that_lasts() {
    // It is nine minutes to nine.
    let rig = with_alert("quiet = { from = \"09:30\", until = \"12:30\" }").await;
    hours(&rig, 1).await;
    *rig.made.alert.lock().unwrap() = Some("сегодня <0.7".to_owned());
    hours(&rig, 2).await;
    assert_eq!(rig.count(IVAN, "сегодня <0.7"), 0, "{}", rig.told(IVAN));
    hours(&rig, 1).await;
    assert_eq!(rig.count(IVAN, "сегодня <0.7"), 1, "{}", rig.told(IVAN));
}

#[tokio::test]
async fn an_alert_that_fails_is_told_to_admins_once() {
    let rig = with_alert("").await;
    *rig.made.alert_fails.lock().unwrap() = Some("no such table: <money>".to_owned());
    hours(&rig, 3).await;
    assert_eq!(rig.count(BOSS, "no such table: <money>"), 1, "{}", rig.told(BOSS));
    assert_eq!(rig.count(IVAN, "no such table"), 0);
    *rig.made.alert_fails.lock().unwrap() = None;
    hours(&rig, 1).await;
    *rig.made.alert_fails.lock().unwrap() = Some("no such table: <money>".to_owned());
    hours(&rig, 1).await;
    assert_eq!(rig.count(BOSS, "no such table: <money>"), 2, "it worked meanwhile");
}
