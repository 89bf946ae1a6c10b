//! Row rules, from a real daemon's tables to what stands in a chat: whichever way someone comes to a report, they meet their own rows alone.

use serde_json::Value as Json;

use super::{PEOPLE, Scene};

/// Of the first region, and of the second.
const CENTRE: i64 = 21;
const VOLGA: i64 = 22;

const SALES: &str = r#"
[source]
connection = "bot"
table = "sales"
cursor = { column = "id" }

[source.columns]
id = "int64"
region = "text"
title = "text"
money = "int64"

[sink]
connection = "store"
table = "sales"
mode = "append"
"#;

const REPORTS: &str = r#"
[[menu]]
title = "Товары"
items = ["sales"]

[user.region]
values = ["mrf1", "mrf2"]
[roles.regional]
rows.region = { user = "region" }

[report.sales]
title = "Продажи товаров"
roles = ["regional"]
command = "sales"
sql = """
SELECT title, sum(money) AS money FROM pipeline.sales
WHERE (:good IS NULL OR title = :good) GROUP BY title ORDER BY title
"""
ask.good = { kind = "choice", title = "Товар", from = "SELECT DISTINCT title FROM pipeline.sales ORDER BY 1", any = "все" }
[[report.sales.show]]
text = "Итого {{ money | sum | number }}"
[[report.sales.show]]
table = { rows = 10, drill = { report = "regions", with = { good = "title" } } }
[[report.sales.show]]
file = "csv"

[report.regions]
title = "Продажи по регионам"
roles = ["regional"]
sql = "SELECT region, money FROM pipeline.sales WHERE (:good IS NULL OR title = :good) ORDER BY region"
ask.good = { kind = "choice", title = "Товар", from = "SELECT DISTINCT title FROM pipeline.sales", any = "все" }
[[report.regions.show]]
text = "Строк {{ rows }}, {{ money | sum | number }}"

[subscription.often]
report = "sales"
schedule = { cron = "*/5 * * * * *" }
to = { roles = ["regional"] }
"#;

/// What the files of a chat have in them.
fn files(scene: &Scene, chat: i64) -> String {
    let messages = scene.fake.messages(chat);
    let ids = messages.iter().filter_map(|message| message["document"]["file_id"].as_str());
    let bytes = ids.filter_map(|id| scene.fake.upload(id));
    bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_a_report_shows_its_reader_their_own_rows() {
    let scene = Scene::with("", REPORTS).await;
    let sandbox = &scene.sandbox;
    sandbox.write("pipelines/sales.toml", SALES);
    sandbox.sqlite(
        "bot.db",
        "CREATE TABLE sales (id INTEGER PRIMARY KEY AUTOINCREMENT, region TEXT NOT NULL, title TEXT NOT NULL, money INTEGER NOT NULL);
         INSERT INTO sales (region, title, money)
         VALUES ('mrf1', 'яблоки', 5), ('mrf1', 'груши', 7), ('mrf2', 'сливы', 100), ('mrf2', 'груши', 90)",
    );
    sandbox.must(&["run", "sales"]);
    for (id, region) in [(CENTRE, "mrf1"), (VOLGA, "mrf2")] {
        scene.fake.user(id, &format!("Менеджер {id}"), "ru");
        sandbox.must(&[
            "users",
            "grant",
            &id.to_string(),
            "regional",
            "--attribute",
            &format!("region={region}"),
        ]);
    }
    let serving = scene.serve(None);
    let write = |text: &str| scene.fake.write(CENTRE, CENTRE, text);

    // The menu; the choice's list; the answer's rows.
    write("/start");
    scene.press(&serving, CENTRE, "Товары");
    scene.press(&serving, CENTRE, "Продажи товаров");
    scene.says(&serving, CENTRE, "Итого 12");
    scene.press(&serving, CENTRE, "Товар: все");
    scene.says(&serving, CENTRE, "Выберите значение");
    scene.press(&serving, CENTRE, "яблоки");
    scene.says(&serving, CENTRE, "Товар: яблоки");
    write("/sales груши");
    scene.says(&serving, CENTRE, "Товар: груши");
    scene.press(&serving, CENTRE, "груши");
    scene.says(&serving, CENTRE, "Строк 1, 7");
    // Searching; questions in words; links, also to what is not theirs.
    write("/find товаров");
    scene.press(&serving, CENTRE, "Продажи товаров");
    write("/ask продажи товаров слив");
    scene.says(&serving, CENTRE, "Вот как я понял");
    write("/start sales_сливы");
    scene.says(&serving, CENTRE, "Отчёт по этой ссылке вам недоступен");
    // What is sent by itself: everyone gets their own.
    scene.says(&serving, VOLGA, "Итого 190");
    serving.until("nobody got a file", || files(&scene, VOLGA).contains("сливы"));

    let (mine, files) = (scene.said(CENTRE), files(&scene, CENTRE));
    let other = |text: &str| ["сливы", "mrf2", "100", "190", "97"].iter().any(|of| text.contains(of));
    let shown: Vec<&String> = mine.iter().filter(|text| other(text)).collect();
    assert!(shown.is_empty(), "rows of others: {shown:#?}");
    assert!(files.contains("яблоки") && !other(&files), "{files}");
    let buttons = |message: &Json| message["reply_markup"]["inline_keyboard"].to_string();
    let buttons: String = scene.fake.messages(CENTRE).iter().map(buttons).collect();
    assert!(!buttons.contains("сливы"), "{buttons}");
    let failures: Vec<String> =
        scene.said(PEOPLE[0]).into_iter().filter(|said| said.contains("sales")).collect();
    assert!(failures.is_empty(), "admins were told: {failures:#?}");
}
