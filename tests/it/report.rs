//! Reports end to end: a bot.toml over real tables, run by the program as readers of several roles.

use std::{
    fs,
    io::Read,
    sync::Arc,
    time::{Duration, Instant},
};

use calamine::{Data, Reader, Xlsx, open_workbook};

use indexmap::IndexMap;
use tokio_util::sync::CancellationToken;
use vitrina::{
    bot::{
        event::{Access, Outcome, Subscribes, Viewer, With},
        lists::List,
        screen::Block,
        telegram::{answers::Answers, reports::ProjectReports},
    },
    clock::SystemClock,
    config::project::Language,
    report::{
        access,
        run::{Failure, Reports, Request},
    },
    run::Runtime,
};

use crate::support::project::{Ran, Sandbox};

const PROJECT: &str = r#"
[project]
name = "shop"
time_zone = "Europe/Moscow"
language = "ru"

[matrix.region]
mrf1 = { title = "Центр" }
mrf2 = { title = "Волга" }

[connections.shop]
kind = "sqlite"
path = "data/shop.db"

[connections.marts]
kind = "sqlite"
path = "data/marts.db"
"#;

const MART: &str = r#"
sql = "SELECT day, region, manager, money FROM shop.sales"

[sink]
connection = "marts"
"#;

const BOT: &str = r#"
[bot]
title = "Магазин"

[user.region]
from = "matrix.region"
many = true

[roles.executive]
[roles.regional]
rows.region = { user = "region" }
free = ["shop.plans"]
[roles.strict]
rows.region = { user = "region" }

[report.sales]
title = "Продажи"
roles = ["executive", "regional"]
sql = """
SELECT day, region, sum(money) AS money FROM mart.sales
WHERE day >= :period.from AND day < :period.until AND (:manager IS NULL OR manager = :manager)
GROUP BY day, region ORDER BY day, region
"""
[report.sales.ask]
period = { kind = "date_range", default = "2026-01-04..2026-01-06", max = "31d" }
manager = { kind = "choice", from = "SELECT DISTINCT manager FROM mart.sales", any = "все" }
[report.sales.columns]
day = { title = "День" }
money = { title = "Выручка", format = "rub" }
[[report.sales.show]]
text = "Итого **{{ money | sum | rub }}**, {{ money | change }}; {{ rows }} {{ rows | plural('строка', 'строки', 'строк') }}"
compare = "previous_period"
[[report.sales.show]]
chart = { kind = "line", x = "day", y = ["money"], series = "region" }
[[report.sales.show]]
table = { rows = 2, total = ["money"], drill = { report = "day", with = { day = "day" } } }
[[report.sales.show]]
file = "excel"
[[report.sales.show]]
file = "csv"

[report.day]
title = "День"
roles = ["executive", "regional"]
sql = "SELECT manager, money FROM mart.sales WHERE day = :day ORDER BY money DESC"
[report.day.ask]
day = { kind = "date" }

[report.plans]
title = "План"
roles = ["executive", "regional", "strict"]
sql = "SELECT p.name, count(s.money) AS n FROM shop.plans p LEFT JOIN shop.sales s ON s.manager = p.name GROUP BY p.name ORDER BY 1"

[report.wide]
title = "Все продажи"
roles = ["executive"]
sql = "SELECT day, region, manager, money, money AS again FROM mart.sales WHERE day >= :period.from AND day < :period.until ORDER BY 1, 2, 3"
[report.wide.ask]
period = { kind = "date_range", default = "2026-01" }
[[report.wide.show]]
table = { rows = 5, columns = ["manager", "money"], total = ["money"] }
[[report.wide.show]]
table = { rows = 5, total = ["money"] }

[report.raw]
title = "Как есть"
roles = ["executive"]
native = true
sql = "SELECT region, count(*) AS n FROM shop.sales GROUP BY region ORDER BY region"
"#;

fn shop() -> Sandbox {
    let shop = Sandbox::new(&[("vitrina.toml", PROJECT), ("marts/sales.toml", MART), ("bot.toml", BOT)]);
    let mut sql = "CREATE TABLE sales (id INTEGER PRIMARY KEY, day TEXT, region TEXT, manager TEXT, money INTEGER);
        CREATE TABLE plans (name TEXT); INSERT INTO plans VALUES ('Анна'), ('Пётр');
        CREATE TABLE _vitrina_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, type TEXT NOT NULL,
        PRIMARY KEY (table_name, column_name)) WITHOUT ROWID;
        INSERT INTO _vitrina_columns VALUES ('sales', 'id', 'int64'), ('sales', 'day', 'date'), ('sales', 'region', 'text'),
        ('sales', 'manager', 'text'), ('sales', 'money', 'int64'), ('plans', 'name', 'text');"
        .to_owned();
    for day in 1..=9 {
        for (region, manager, money) in
            [("mrf1", "Анна", 1_000), ("mrf2", "Пётр", 500), ("mrf2", "=cmd <b>", 7)]
        {
            let money = money * day;
            let values = format!("('2026-01-0{day}', '{region}', '{manager}', {money})");
            sql += &["INSERT INTO sales (day, region, manager, money) VALUES ", &values, ";"].concat();
        }
    }
    sql += "INSERT INTO sales (day, region, manager, money) VALUES ('2026-01-05', NULL, 'никто', 999999);";
    shop.sqlite("data/shop.db", &sql);
    shop.must(&["run", "--all"]);
    shop
}

/// As people see it: no-break spaces are spaces.
fn told(ran: &Ran) -> String {
    ran.stdout.replace(['\u{202f}', '\u{a0}'], " ")
}

const REGIONAL: [&str; 4] = ["--role", "regional", "--user", "region=mrf1"];

#[test]
fn a_report_is_its_parts() {
    let shop = shop();
    let ran = shop.vitrina(&["report", "sales", "--out", "ответ"]).done();
    let text = told(&ran);
    assert!(text.contains("Итого 1 022 604 ₽, "), "{text}");
    assert!(text.contains("7 строк"), "{text}");
    assert!(text.contains("… ещё 5 строк") && text.contains("Итого"), "{text}");
    assert!(text.contains("Данные за 4–6 янв 2026 · обновлены "), "{text}");
    assert!(ran.stderr.contains("leads to day"), "{ran:#?}");
    let day = told(&shop.vitrina(&["report", "day", "--with", "day=2026-01-04"]).done());
    assert!(day.contains("\nДанные обновлены "), "{day}");
    let files: Vec<String> = fs::read_dir(shop.path("ответ"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    let ends = |suffix: &str| {
        files.iter().find(|name| name.ends_with(suffix)).unwrap_or_else(|| panic!("no {suffix} of {files:?}"))
    };
    assert!(fs::read(shop.path("ответ/sales.png")).unwrap().starts_with(b"\x89PNG"));
    let csv = fs::read_to_string(shop.path("ответ").join(ends(".csv"))).unwrap();
    assert!(csv.starts_with("\u{feff}День;region;Выручка\r\n04.01.2026;mrf1;4000"), "{csv}");
    assert_eq!(csv.lines().count(), 8);
    let mut book: Xlsx<_> = open_workbook(shop.path("ответ").join(ends(".xlsx"))).unwrap();
    let sheet = book.worksheet_range("Отчёт").unwrap();
    let has =
        |text: &str| sheet.rows().flatten().any(|cell| matches!(cell, Data::String(shown) if shown == text));
    assert!(has("Выручка") && has("mrf2") && has("Итого"), "{sheet:?}");
}

#[test]
fn readers_see_their_rows_and_no_others() {
    let shop = shop();
    let all = |more: &[&str]| told(&shop.vitrina(&[&["report", "sales"], more].concat()).done());
    let mine = all(&REGIONAL);
    assert!(mine.contains("Итого 15 000 ₽, +150 %; 3 строки") && !mine.contains("mrf2"), "{mine}");
    let both = all(&["--role", "regional", "--user", "region=mrf1,mrf2"]);
    assert!(both.contains("6 строк") && !both.contains("999"), "{both}");
    let nobody = all(&["--role", "regional"]);
    assert!(nobody.contains("администратор ещё не указал для вас «region»"), "{nobody}");
    assert!(!nobody.contains("Итого"), "{nobody}");
    let none = all(&["--role", "regional", "--user", "region=mrf1", "--with", "manager=Никто"]);
    assert!(none.contains("Ничего не найдено: за этот период"), "{none}");
    let executive = all(&["--role", "regional", "--role", "executive"]);
    assert!(executive.contains("7 строк"), "{executive}");
    shop.vitrina(&["report", "raw", "--role", "executive"]).done();
    let native = shop.vitrina(&[&["report", "raw"], &REGIONAL[..]].concat());
    native.says(1, &["no role of the reader may run `raw`"]);
    let free = told(&shop.vitrina(&[&["report", "plans"], &REGIONAL[..]].concat()).done());
    assert!(free.contains("Анна") && free.contains("Пётр"), "{free}");
    let strict = shop.vitrina(&["report", "plans", "--role", "strict", "--user", "region=mrf1"]);
    strict.says(1, &["role `strict` sees rows by `region`, and table shop.plans has no such column"]);
}

#[test]
fn parameters_are_bound_and_bounded() {
    let shop = shop();
    let ran = |with: &[&str]| shop.vitrina(&[&["report", "sales"], with].concat());
    let one = told(&ran(&["--with", "period=2026-01-04", "--with", "manager=Анна"]).done());
    assert!(one.contains("Итого 4 000 ₽") && one.contains("1 строка"), "{one}");
    let hostile = told(&ran(&["--with", "manager=x' OR '1'='1"]).done());
    assert!(hostile.contains("Ничего не найдено"), "{hostile}");
    ran(&["--with", "period=2026"]).says(2, &["`period`", "longer than 31 days"]);
    ran(&["--with", "perid=2026-01"]).says(2, &["did you mean `period`?"]);
    shop.vitrina(&["report", "sale"]).says(2, &["did you mean `sales`?"]);
    shop.vitrina(&["report", "day"]).says(2, &["`day`", "was not answered"]);
    let listed = shop.vitrina(&["report"]).done().stdout;
    assert!(listed.contains("sales") && listed.contains("period, manager"), "{listed}");
}

#[test]
fn a_large_answer_is_whole_in_its_file() {
    let shop = shop();
    shop.sqlite(
        "data/shop.db",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
         INSERT INTO sales (day, region, manager, money) SELECT '2026-01-05', 'mrf1', 'm' || i, i FROM n;",
    );
    shop.must(&["run", "--all"]);
    let bot =
        BOT.replace("GROUP BY day, region ORDER BY day, region", "").replace("sum(money) AS money", "money");
    shop.write("bot.toml", &bot);
    let ran = shop.vitrina(&["report", "sales", "--out", "o"]).done();
    assert!(told(&ran).contains("… ещё 30 008 строк"), "{}", ran.stdout);
    let csv = fs::read_dir(shop.path("o"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "csv"))
        .unwrap();
    let mut text = String::new();
    fs::File::open(csv).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 30_011);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_a_phone_is_a_picture_there() {
    let shop = shop();
    let loaded = vitrina::config::load(shop.root(), "default", &|_| None);
    let runtime = Runtime::open(Arc::new(loaded.project.unwrap()), Arc::new(SystemClock)).unwrap();
    let reports = Reports::new(runtime);
    let blocks = async |pictures: bool| {
        let reader = access::Reader { roles: vec!["executive".to_owned()], ..access::Reader::default() };
        let (language, zone) = (Language::Ru, chrono_tz::Europe::Moscow);
        let request =
            Request { report: "wide".to_owned(), with: With::new(), reader, language, zone, pictures };
        reports.run(&request, &CancellationToken::new()).await.unwrap().blocks
    };
    let phone = blocks(true).await;
    let again = blocks(true).await;
    let drawn = |blocks: &[Block]| match &blocks[1] {
        Block::Picture(picture) => Arc::clone(&picture.png),
        other => panic!("{other:?}"),
    };
    assert!(Arc::ptr_eq(&drawn(&phone), &drawn(&again)), "the same was drawn twice");
    let [Block::Table(narrow), Block::Picture(wide), ..] = &phone[..] else { panic!("{phone:?}") };
    assert_eq!((narrow.columns.len(), narrow.more), (2, 23));
    assert!(
        wide.png.starts_with(b"\x89PNG") && wide.name == "wide-table.png" && wide.caption == "Все продажи"
    );
    let terminal = blocks(false).await;
    assert!(matches!(&terminal[..], [Block::Table(_), Block::Table(wide), ..] if wide.columns.len() == 5));
}

#[test]
fn stale_data_says_so_first() {
    let shop = shop();
    let fresh = told(&shop.vitrina(&["report", "sales"]).done());
    assert!(!fresh.contains("устарели"), "{fresh}");
    shop.write(
        "marts/sales.toml",
        &format!("description = \"Продажи по дням\"\n{MART}\n[freshness]\nwarn_after = \"1s\"\n"),
    );
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    let stale = told(&shop.vitrina(&["report", "sales"]).done());
    assert!(stale.starts_with("⚠️ Данные устарели: «Продажи по дням» — по состоянию на "), "{stale}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_kept_while_their_rows_stand_still_and_show_nobody_elses() {
    let shop = shop();
    let loaded = vitrina::config::load(shop.root(), "default", &|_| None);
    let runtime = Runtime::open(Arc::new(loaded.project.unwrap()), Arc::new(SystemClock)).unwrap();
    let reports = Reports::new(runtime);
    let list = async |role: &str, region: &str| {
        let attributes = IndexMap::from([("region".to_owned(), vec![region.to_owned()])]);
        let reader = access::Reader { roles: vec![role.to_owned()], attributes };
        let (language, zone) = (Language::Ru, chrono_tz::Europe::Moscow);
        let request = Request {
            report: "sales".to_owned(),
            with: With::new(),
            reader,
            language,
            zone,
            pictures: false,
        };
        reports.list(&request, "manager").await.unwrap()
    };
    let titles = |list: Arc<List>| {
        let mut titles: Vec<String> = list.values().iter().map(|one| one.value.to_string()).collect();
        titles.sort();
        titles
    };
    let all = list("executive", "").await;
    assert_eq!(titles(Arc::clone(&all)), ["=cmd <b>", "Анна", "Пётр", "никто"]);
    assert_eq!(all.named("продажи Петра")[0].value.to_string(), "Пётр");
    let mine = list("regional", "mrf1").await;
    assert_eq!(titles(Arc::clone(&mine)), ["Анна"]);
    assert!(mine.named("продажи Петра").is_empty());
    assert!(Arc::ptr_eq(&all, &list("executive", "").await), "it was read again");
    shop.sqlite(
        "data/shop.db",
        "INSERT INTO sales (day, region, manager, money) VALUES ('2026-01-09', 'mrf2', 'Ольга', 1)",
    );
    assert!(Arc::ptr_eq(&all, &list("executive", "").await), "the mart stands as it stood");
    tokio::task::block_in_place(|| shop.must(&["run", "--all"]));
    assert!(titles(list("executive", "").await).contains(&"Ольга".to_owned()));
    assert_eq!(titles(list("regional", "mrf1").await), ["Анна"]);
}

#[test]
fn a_million_rows_go_into_a_file_and_their_top_is_shown() {
    let shop = shop();
    shop.sqlite(
        "data/shop.db",
        "CREATE TABLE calls (id INTEGER PRIMARY KEY, seconds INTEGER);
         INSERT INTO _vitrina_columns VALUES ('calls', 'id', 'int64'), ('calls', 'seconds', 'int64');
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
         INSERT INTO calls SELECT i, i % 600 FROM n;",
    );
    let report = "\n[report.calls]\ntitle = \"Звонки\"\ntimeout = \"10m\"\nsql = \"SELECT id, seconds FROM shop.calls\"\n\
        [[report.calls.show]]\ntable = { rows = 3, total = [\"seconds\"] }\n[[report.calls.show]]\nfile = \"csv\"\n";
    shop.write("bot.toml", &format!("{BOT}{report}"));
    let ran = shop.vitrina(&["report", "calls", "--out", "o"]).done();
    assert!(told(&ran).contains("… ещё 999 997 строк"), "{}", ran.stdout);
    // 1,666 whole rounds of 0 to 599, and 1 to 400.
    let sum: u64 = 1_666 * (599 * 600 / 2) + 400 * 401 / 2;
    assert!(told(&ran).replace(' ', "").contains(&sum.to_string()), "{sum}: {}", ran.stdout);
    let csv = fs::read_dir(shop.path("o")).unwrap().map(|file| file.unwrap().path()).next().unwrap();
    let text = fs::read_to_string(csv).unwrap();
    assert_eq!(text.lines().count(), 1_000_001);
}

const ODD: &str = r#"
[report.odd]
title = "Всякое"
timeout = "2m"
sql = """
SELECT 1 AS n, '<b>x</b> _y_ @z *w* `v`' AS name, CAST('NaN' AS DOUBLE) AS money
UNION ALL SELECT 2, '👩‍👩‍👧 مرحبا \u202E', CAST('Infinity' AS DOUBLE)
UNION ALL SELECT 3, NULL, NULL
UNION ALL SELECT 4, repeat('ж', 5000000), CAST(12.5 AS DOUBLE)
ORDER BY n
"""
[[report.odd.show]]
text = "Строк {{ rows }}, {{ money | sum | number }}, {{ name | first }}, {{ name | last }}"
[[report.odd.show]]
chart = { kind = "bar", x = "name", y = ["money"] }
[[report.odd.show]]
table = { rows = 10, total = ["money"] }
[[report.odd.show]]
file = "excel"
[[report.odd.show]]
file = "csv"
"#;

#[test]
fn cells_of_any_content_make_an_answer() {
    let shop = shop();
    shop.write("bot.toml", &format!("{BOT}{ODD}"));
    let ran = shop.vitrina(&["report", "odd", "--out", "o"]).done();
    let text = told(&ran);
    assert!(text.contains("Строк 4, "), "{}", &text[..2_000.min(text.len())]);
    assert!(text.contains("Файл Excel не сделан: в столбце «name» есть текст длиннее 32 767 знаков."));
    let files = fs::read_dir(shop.path("o")).unwrap().map(|file| file.unwrap().path());
    let csv = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "csv")).unwrap();
    let csv = fs::read_to_string(csv).unwrap();
    assert_eq!(csv.matches('ж').count(), 5_000_000, "a file has all of it");
    assert!(csv.contains("<b>x</b> _y_ @z *w* `v`") && csv.contains('👧'));
    let table = text.split("Файл Excel").next().unwrap();
    assert!(!table.contains('\u{202e}'), "nothing turns the direction of what stands beside it");
}

#[tokio::test]
async fn whom_the_roles_keep_out_is_told_so_and_not_to_try_again() {
    let shop = shop();
    let loaded = vitrina::config::load(shop.root(), "default", &|_| None);
    let runtime = Runtime::open(Arc::new(loaded.project.unwrap()), Arc::new(SystemClock)).unwrap();
    let reports = ProjectReports::new(Arc::new(move || Arc::clone(&runtime)), true);
    let viewer = Viewer {
        user: 7,
        chat: 7,
        language: Language::Ru,
        zone: chrono_tz::Europe::Moscow,
        access: Access::Member { roles: vec!["strict".to_owned()], attributes: IndexMap::new() },
        subscribes: Subscribes::Yes,
    };
    let answered = reports.run(&viewer, "sales", &With::new(), &CancellationToken::new()).await;
    assert!(
        matches!(&answered.outcome, Outcome::Refused(why) if why.contains("видят не все данные")),
        "{answered:?}"
    );
    assert!(answered.cause.is_some_and(|cause| cause.contains("`sales`")), "admins see why");
}

/// `shared` is read once for all who ask while its mart stands still, `own` by everyone; neither ends.
const ENDLESS: &str = r#"
[report.shared]
title = "Общий"
timeout = "20s"
sql = """
SELECT count(*) AS n, (SELECT max(money) FROM mart.sales) AS most
FROM generate_series(1, 100000000000) AS a WHERE a.value < 0
"""
[report.own]
title = "Свой"
timeout = "2s"
sql = "SELECT count(*) AS n FROM generate_series(1, 100000000000) AS a WHERE a.value + random() < 0"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn time_in_line_is_not_running_time() {
    let shop = shop();
    shop.write("bot.toml", &format!("{BOT}{ENDLESS}"));
    let loaded = vitrina::config::load(shop.root(), "default", &|_| None);
    let runtime = Runtime::open(Arc::new(loaded.project.unwrap()), Arc::new(SystemClock)).unwrap();
    let reports = Reports::new(runtime);
    let run = async |report: &str, stop: &CancellationToken| {
        let reader = access::Reader { roles: vec!["admin".to_owned()], ..access::Reader::default() };
        let (language, zone) = (Language::Ru, chrono_tz::Europe::Moscow);
        let report = report.to_owned();
        let request = Request { report, with: With::new(), reader, language, zone, pictures: false };
        let began = Instant::now();
        (reports.run(&request, stop).await, began.elapsed())
    };
    // Eight run at once: the ninth begins when one of them has ended, and has all of its time then.
    let stop = CancellationToken::new();
    let nine = futures::future::join_all((0..9).map(|_| run("own", &stop))).await;
    assert!(nine.iter().all(|(ran, _)| matches!(ran, Err(Failure::TimedOut))), "{nine:?}");
    let last = nine.iter().map(|(_, took)| *took).max().unwrap();
    assert!(last >= Duration::from_millis(3_900), "the ninth was given up after {last:?}, in line");
    // Whoever waits for rows that another reads keeps nobody from reading others.
    let waiting = futures::future::join_all((0..20).map(|_| run("shared", &stop)));
    let quick = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let quick = run("plans", &CancellationToken::new()).await;
        stop.cancel();
        quick
    };
    let (waited, (ran, took)) = tokio::join!(waiting, quick);
    assert!(ran.is_ok() && took < Duration::from_secs(15), "{took:?}: {ran:?}");
    assert!(waited.iter().all(|(ran, _)| matches!(ran, Err(Failure::Cancelled))), "{waited:?}");
}

/// Nobody knows when a table changes that others write: a query that runs may have read it already, and one that waits for its turn has not.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_before_a_query_begins_shares_it() {
    let shop = shop();
    shop.write("bot.toml", &format!("{BOT}{ENDLESS}"));
    let loaded = vitrina::config::load(shop.root(), "default", &|_| None);
    let runtime = Runtime::open(Arc::new(loaded.project.unwrap()), Arc::new(SystemClock)).unwrap();
    let reports = Reports::new(runtime);
    let run = async |report: &str| {
        let reader = access::Reader { roles: vec!["admin".to_owned()], ..access::Reader::default() };
        let (language, zone) = (Language::Ru, chrono_tz::Europe::Moscow);
        let report = report.to_owned();
        let request = Request { report, with: With::new(), reader, language, zone, pictures: false };
        reports.run(&request, &CancellationToken::new()).await
    };
    let busy = futures::future::join_all((0..8).map(|_| run("own")));
    let wait = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        futures::future::join_all((0..20).map(|_| run("plans"))).await
    };
    let (_, answers) = tokio::join!(busy, wait);
    let read_before = answers.iter().filter(|answer| answer.as_ref().unwrap().cached).count();
    assert_eq!(read_before, 19, "one query for all who waited");
    assert!(!run("plans").await.unwrap().cached, "rows of a moment ago");
}
