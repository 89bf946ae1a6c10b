//! `cargo bench --bench report`: what an answer costs besides its query: a text, a table, a chart, files, over a SQLite table; and the same question
//! asked by a hundred at once, from the cache. After `eval "$(scripts/services up clickhouse)"`, also a query of 1,000 rows of ClickHouse: as a
//! report, and as bare as HTTP can be.

use std::{fs, hint::black_box, sync::Arc, time::Instant};

use indexmap::IndexMap;
use tokio_util::sync::CancellationToken;
use vitrina::{
    bot::event::With,
    clock::SystemClock,
    config::{bot::ADMIN, project::Language},
    model::time::Clock,
    report::{
        access::Reader,
        run::{Reports, Request},
    },
    run::Runtime,
};

/// As the program has it: what the process takes is measured.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ROUNDS: usize = 30;
const AT_ONCE: usize = 100;

const PROJECT: &str = "[project]\nname = \"bench\"\ntime_zone = \"Europe/Moscow\"\nlanguage = \"ru\"\n\
    [connections.shop]\nkind = \"sqlite\"\npath = \"shop.db\"\n";

/// A report of each part, all of one query.
const PARTS: [(&str, &str); 5] = [
    ("nothing", "text = \".\""),
    (
        "text",
        "text = \"Итого **{{ money | sum | rub }}**, {{ rows }} {{ rows | plural('день', 'дня', 'дней') }}\"",
    ),
    ("table", "table = { rows = 10, total = [\"money\"] }"),
    ("chart", "chart = { kind = \"line\", x = \"day\", y = [\"money\"], series = \"region\" }"),
    ("excel", "file = \"excel\""),
];

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("vitrina.toml"), PROJECT).expect("a file");
    let sql = "SELECT day, region, sum(money) AS money FROM shop.sales GROUP BY day, region ORDER BY day";
    let reports = PARTS.map(|(name, show)| {
        format!("[report.{name}]\ntitle = \"Выручка\"\nsql = \"{sql}\"\n[report.{name}.columns]\nmoney = {{ title = \"Выручка\", format = \"rub\" }}\n[[report.{name}.show]]\n{show}\n")
    });
    fs::write(folder.path().join("bot.toml"), reports.concat()).expect("a file");
    let file = rusqlite::Connection::open(folder.path().join("shop.db")).expect("a database");
    file.execute_batch(
        "CREATE TABLE sales (day TEXT, region TEXT, money INTEGER);
         CREATE TABLE _vitrina_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, type TEXT NOT NULL,
           PRIMARY KEY (table_name, column_name)) WITHOUT ROWID;
         INSERT INTO _vitrina_columns VALUES ('sales', 'day', 'date'), ('sales', 'region', 'text'), ('sales', 'money', 'int64');
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2195)
         INSERT INTO sales SELECT date('2026-01-01', (i / 6) || ' days'), 'регион ' || (i % 6), 100000 + (i * 7919) % 90000 FROM n;",
    )
    .expect("rows");
    let loaded = vitrina::config::load(folder.path(), "default", &|_| None);
    let project = Arc::new(loaded.project.unwrap_or_else(|| panic!("{:#?}", loaded.problems)));
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    threads.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let reports = Arc::new(Reports::new(Runtime::open(project, clock).expect("a project")));
        println!("{:>10}  {:>8}  {:>8}", "part", "ms", "at most");
        for (name, _) in PARTS {
            let mut took: Vec<f64> = vec![];
            for _ in 0..ROUNDS {
                let started = Instant::now();
                black_box(reports.run(&request(name), &CancellationToken::new()).await.expect("an answer"));
                took.push(started.elapsed().as_secs_f64() * 1e3);
            }
            took.sort_by(f64::total_cmp);
            println!("{name:>10}  {:>8.1}  {:>8.1}", took[ROUNDS / 2], took[ROUNDS - 1]);
        }
        let started = Instant::now();
        let all = (0..AT_ONCE).map(|_| {
            let reports = Arc::clone(&reports);
            tokio::spawn(async move {
                let started = Instant::now();
                reports.run(&request("text"), &CancellationToken::new()).await.expect("an answer");
                started.elapsed().as_secs_f64() * 1e3
            })
        });
        let mut took: Vec<f64> =
            futures::future::join_all(all).await.into_iter().map(|took| took.expect("it ran")).collect();
        took.sort_by(f64::total_cmp);
        let whole = started.elapsed().as_secs_f64() * 1e3;
        println!("{AT_ONCE} texts at once: {whole:.0} ms, the slowest {:.0} ms", took[AT_ONCE - 1]);
        over_clickhouse().await;
    });
}

/// A report of 1,000 rows in ClickHouse, and the same statement sent by itself: what lies between the two is Vitrina's.
async fn over_clickhouse() {
    let set = |name: &str| std::env::var(format!("VITRINA_CLICKHOUSE_{name}")).ok();
    let (Some(url), Some(database), Some(user), Some(password)) =
        (set("URL"), set("DATABASE"), set("USER"), set("PASSWORD"))
    else {
        println!("ClickHouse is not up: its query is left out");
        return;
    };
    let table = format!("compare_{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
    let client = reqwest::Client::new();
    let send = async |sql: String| {
        let request = client.post(format!("{url}/?database={database}")).body(sql);
        let request = request.header("X-ClickHouse-User", &user).header("X-ClickHouse-Key", &password);
        let answer = request.send().await.and_then(reqwest::Response::error_for_status).expect("an answer");
        answer.bytes().await.expect("a whole answer")
    };
    send(format!(
        "CREATE TABLE {table} (day Date32, region String, money Int64) ENGINE = MergeTree ORDER BY day"
    ))
    .await;
    let rows = "SELECT toDate32('2023-01-01') + intDiv(number, 400), 'регион ' || toString(number % 2), number FROM numbers(200000)";
    send(format!("INSERT INTO {table} {rows}")).await;
    let folder = tempfile::tempdir().expect("a folder");
    let connection = format!(
        "[connections.ch]\nkind = \"clickhouse\"\nurl = \"{url}\"\ndatabase = \"{database}\"\nuser = \"{user}\"\npassword = \"{password}\"\n"
    );
    fs::write(folder.path().join("vitrina.toml"), format!("{PROJECT}{connection}")).expect("a file");
    let select = "day, region, sum(money) AS money FROM";
    let report = format!(
        "[report.rows]\ntitle = \"Выручка\"\nsql = \"SELECT {select} ch.{table} GROUP BY day, region ORDER BY day, region\"\n\
         [[report.rows.show]]\ntext = \"{{{{ rows }}}}\"\n"
    );
    fs::write(folder.path().join("bot.toml"), report).expect("a file");
    let loaded = vitrina::config::load(folder.path(), "default", &|_| None);
    let project = Arc::new(loaded.project.unwrap_or_else(|| panic!("{:#?}", loaded.problems)));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let reports = Reports::new(Runtime::open(project, clock).expect("a project"));
    let (mut ours, mut bare, mut rows) = (vec![], vec![], 0);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        rows = reports.run(&request("rows"), &CancellationToken::new()).await.expect("an answer").rows;
        ours.push(started.elapsed().as_secs_f64() * 1e3);
        let started = Instant::now();
        black_box(
            send(format!(
                "SELECT {select} {table} GROUP BY day, region ORDER BY day, region FORMAT ArrowStream"
            ))
            .await,
        );
        bare.push(started.elapsed().as_secs_f64() * 1e3);
    }
    ours.sort_by(f64::total_cmp);
    bare.sort_by(f64::total_cmp);
    let (ours, bare) = (ours[ROUNDS / 2], bare[ROUNDS / 2]);
    println!(
        "{rows} rows of ClickHouse: as a report {ours:.1} ms, bare {bare:.1} ms, besides {:.1} ms",
        ours - bare
    );
}

fn request(report: &str) -> Request {
    Request {
        report: report.to_owned(),
        with: With::new(),
        reader: Reader { roles: vec![ADMIN.to_owned()], attributes: IndexMap::new() },
        language: Language::Ru,
        zone: chrono_tz::Europe::Moscow,
        pictures: false,
    }
}
