//! Reports that run: stopped by their reader, also in their database.

use super::{PEOPLE, Scene};
use crate::support::postgres::{Place, setting};

#[tokio::test(flavor = "multi_thread")]
async fn the_button_that_stops_a_report_stops_its_query_in_the_database() {
    let place = Place::new();
    let slow = format!("slow_{}", uuid::Uuid::new_v4().simple());
    place.run(&format!("CREATE VIEW {slow} AS SELECT 1 AS n FROM pg_sleep(600)")).await;
    let connection = format!(
        "\n[connections.pg]\nkind = \"postgres\"\nhost = {:?}\nport = {}\ndatabase = {:?}\nuser = {:?}\npassword = {:?}\n\
         schema = '{}'\nsslmode = \"disable\"\n",
        setting("HOST"),
        setting("PORT"),
        setting("DATABASE"),
        setting("USER"),
        setting("PASSWORD"),
        place.schema
    );
    let report = format!(
        "\n[report.slow]\ntitle = \"Долгий\"\ncommand = \"slow\"\nnative = true\ntimeout = \"10m\"\nsql = \"SELECT count(*) AS n FROM pg.{slow}\"\n"
    );
    let scene = Scene::with(&connection, &report).await;
    let serving = scene.serve(None);
    let chat = PEOPLE[0];
    let watcher = place.stranger().await;
    let running = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%{slow}%' AND pid <> pg_backend_pid()"
    );
    let runs = |expected: i64| {
        let (watcher, running, serving) = (&watcher, &running, &serving);
        async move {
            for _ in 0..600 {
                if watcher.query_one(running, &[]).await.unwrap().get::<_, i64>(0) == expected {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            panic!("there are not {expected} of it\n{}", serving.log());
        }
    };
    scene.fake.write(chat, chat, "/slow");
    runs(1).await;
    scene.press(&serving, chat, "Остановить");
    scene.says(&serving, chat, "Остановлено");
    runs(0).await;
    // Another report takes its place, and a daemon that ends leaves nothing behind.
    scene.fake.write(chat, chat, "/slow");
    runs(1).await;
    scene.fake.write(chat, chat, "/find вопрос1");
    scene.says(&serving, chat, "вопрос1");
    serving.signal("-TERM");
    runs(0).await;
    serving.ended().done();
}

const ENDLESS: &str = r#"
[roles.sales]
[report.endless]
title = "Без конца"
roles = ["sales"]
command = "endless"
timeout = "1s"
sql = "SELECT count(*) AS n FROM generate_series(1, 100000000000) AS a WHERE a.value < 0"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_says_what_to_do_and_admins_see_why() {
    const ANNA: i64 = 13;
    let scene = Scene::with("", ENDLESS).await;
    scene.fake.user(ANNA, "Анна", "ru");
    scene.sandbox.must(&["users", "grant", &ANNA.to_string(), "sales"]);
    let serving = scene.serve(None);
    scene.fake.write(ANNA, ANNA, "/endless");
    scene.says(
        &serving,
        ANNA,
        "За 1 с отчёт не успел посчитаться. Выберите период покороче или повторите позже.",
    );
    scene.says(&serving, PEOPLE[0], "it took longer than its `timeout` allows");
    assert!(scene.said(PEOPLE[0]).iter().any(|said| said.contains("endless") && said.contains("Анна")));
    assert!(!scene.said(ANNA).iter().any(|said| said.contains("timeout")), "{:?}", scene.said(ANNA));
}
