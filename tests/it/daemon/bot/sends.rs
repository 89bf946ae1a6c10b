//! What a daemon's bot sends by itself, of real tables and real runs: subscriptions that wait for their mart, alerts, runs that fail.

use std::time::{Duration, Instant};

use super::{PEOPLE, Scene};
use crate::daemon::serving::{BUSY, CALLS};

const MANAGER: i64 = 21;

const SENDS: &str = r#"
[roles.manager]
title = "Менеджер"

[report.busy]
title = "Занятость"
roles = ["manager"]
sql = "SELECT n FROM mart.busy"
[[report.busy.show]]
text = "Звонков: {{ n | sum }}"

[subscription.often]
report = "busy"
schedule = { cron = "*/5 * * * * *", wait_fresh = "1h" }
to = { roles = ["manager"] }

[alert.long]
title = "Долгий звонок"
sql = "SELECT id, seconds FROM bot.calls WHERE seconds > 100 ORDER BY id"
schedule = { cron = "*/5 * * * * *" }
to = { roles = ["manager"] }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_waits_for_its_mart_and_an_alert_tells_rows_once_until_it_recovers() {
    let scene = Scene::with("", SENDS).await;
    let sandbox = &scene.sandbox;
    scene.fake.user(MANAGER, "Анна", "ru");
    sandbox.write("pipelines/calls.toml", &CALLS.replace("every = \"1s\"", "every = \"100d\""));
    sandbox.write("marts/busy.toml", &format!("{BUSY}\n[freshness]\nwarn_after = \"20s\"\n"));
    sandbox.must(&["users", "grant", &MANAGER.to_string(), "manager"]);
    sandbox.must(&["run", "calls", "busy"]);
    let begun = Instant::now();
    while !sandbox.must(&["status"]).contains("not fresh") {
        assert!(begun.elapsed() < Duration::from_secs(60), "the mart does not age");
        std::thread::sleep(Duration::from_millis(500));
    }
    let serving = scene.serve(None);
    // The alert's times come as the subscription's do: where it is told, the subscription was due as well.
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (777)");
    scene.says(&serving, MANAGER, "777");
    std::thread::sleep(Duration::from_secs(6));
    let of = |text: &str| scene.said(MANAGER).iter().filter(|said| said.contains(text)).count();
    assert_eq!(of("Звонков"), 0, "it waits for its mart: {:#?}", scene.said(MANAGER));
    sandbox.must(&["run", "calls", "busy"]);
    scene.says(&serving, MANAGER, "Звонков: 5");
    // They never wrote: they are spoken to in the project's language.
    assert_eq!(of("The data is stale"), 0, "{:#?}", scene.said(MANAGER));
    assert_eq!(of("777"), 1, "told once: {:#?}", scene.said(MANAGER));
    sandbox.sqlite("bot.db", "DELETE FROM calls WHERE seconds = 777");
    scene.says(&serving, MANAGER, "Recovered: Долгий звонок");
    serving.stop().done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_is_told_to_admins_once_and_once_more_when_it_works() {
    let scene = Scene::new().await;
    let serving = scene.serve(None);
    scene.sandbox.sqlite("bot.db", "ALTER TABLE calls RENAME TO gone");
    for admin in PEOPLE {
        scene.says(&serving, admin, "🔴 calls");
    }
    std::thread::sleep(Duration::from_secs(6));
    scene.sandbox.sqlite("bot.db", "ALTER TABLE gone RENAME TO calls");
    for admin in PEOPLE {
        scene.says(&serving, admin, "Recovered: calls");
        let said = scene.said(admin);
        assert_eq!(said.iter().filter(|said| said.contains("🔴 calls")).count(), 1, "{said:#?}");
    }
    serving.stop().done();
}
