//! The same aggregate over the same rows in SQLite, PostgreSQL and ClickHouse, computed there and computed here, taken in turns.
//!
//!     eval "$(scripts/services up)" && cargo bench --bench push_down [-- ROWS ROUNDS]
//!
//! Both ways must give the same rows. A place whose services are not up is left out, and said to be.

use std::{sync::Arc, time::Instant};

use arrow::{record_batch::RecordBatch, util::pretty::pretty_format_batches};
use chrono::Utc;
use futures::TryStreamExt;
use tempfile::TempDir;
use vitrina::{
    connector::{
        ConnectionConfig, OpenContext, clickhouse,
        connection::Connection,
        postgres::{self, config::SslMode},
        sqlite,
    },
    engine::{
        params::Params,
        session::{Engine, Settings},
    },
    model::secret::Secret,
};

/// As the program has it: what the process takes is measured.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SQL: &str = "SELECT region, action, count(*) AS n, count(DISTINCT client_id) AS clients, sum(kopecks) AS kopecks, max(happened) AS last \
                   FROM place.actions WHERE manager_id <= 90 GROUP BY region, action ORDER BY region, action";

/// Row `i` of the table, by each place's own words.
const SQLITE: &str = "CREATE TABLE actions (id INTEGER PRIMARY KEY, manager_id INTEGER NOT NULL, client_id INTEGER NOT NULL, region TEXT NOT NULL, \
                      action TEXT NOT NULL, kopecks INTEGER NOT NULL, happened INTEGER NOT NULL); \
                      WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {rows}) \
                      INSERT INTO actions SELECT i, i * 7919 % 120 + 1, i * 104729 % 50000, 'регион ' || (i % 8), 'action ' || (i % 4), i * 31 % 250000, i FROM n";
const POSTGRES: &str = "CREATE TABLE {table} (id bigint PRIMARY KEY, manager_id bigint NOT NULL, client_id bigint NOT NULL, region text NOT NULL, \
                        action text NOT NULL, kopecks bigint NOT NULL, happened bigint NOT NULL); \
                        INSERT INTO {table} SELECT i, i * 7919 % 120 + 1, i * 104729 % 50000, 'регион ' || (i % 8), 'action ' || (i % 4), i * 31 % 250000, i \
                        FROM generate_series(0::bigint, {rows} - 1) AS n (i); ANALYZE {table}";
const CLICKHOUSE: [&str; 2] = [
    "CREATE TABLE {table} (id Int64, manager_id Int64, client_id Int64, region String, action String, kopecks Int64, happened Int64) \
     ENGINE = MergeTree ORDER BY id",
    "INSERT INTO {table} SELECT number, number * 7919 % 120 + 1, number * 104729 % 50000, 'регион ' || toString(number % 8), \
     'action ' || toString(number % 4), number * 31 % 250000, number FROM numbers({rows})",
];

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let (rows, rounds) = (numbers.next().unwrap_or(2_000_000), numbers.next().unwrap_or(5));
    let folder = tempfile::tempdir().expect("a temporary folder");
    println!("{rows} rows, {rounds} rounds\n{:>12}{:>12}{:>12}{:>8}", "", "there, ms", "here, ms", "ratio");
    for (name, place) in [
        ("SQLite", Some(in_sqlite(&folder, rows))),
        ("PostgreSQL", in_postgres(rows).await),
        ("ClickHouse", in_clickhouse(rows).await),
    ] {
        let Some((config, table)) = place else {
            println!("{name:>12}  its service is not up");
            continue;
        };
        let sql = SQL.replace("actions", &table);
        let (there, here) = (engine(&config, &folder, true), engine(&config, &folder, false));
        check(&there, &sql).await;
        let (mut first, mut second) = (vec![], vec![]);
        let mut answers = vec![];
        for _ in 0..rounds {
            for (engine, took) in [(&there, &mut first), (&here, &mut second)] {
                let started = Instant::now();
                let answer = ask(engine, &sql).await;
                took.push(started.elapsed().as_secs_f64() * 1e3);
                answers.push(pretty_format_batches(&answer).expect("a table").to_string());
            }
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{name} computes something else");
        let (first, second) = (median(first), median(second));
        println!("{name:>12}{first:>12.1}{second:>12.1}{:>8.1}", second / first);
    }
}

/// That the whole query goes down.
async fn check(engine: &Engine, sql: &str) {
    let plan = engine.explain(sql, &Params::default(), Utc::now()).await.expect("a plan");
    assert!(
        plan.contains("GROUP BY") && !plan.contains("AggregateExec"),
        "it is not computed there:\n{plan}"
    );
}

async fn ask(engine: &Engine, sql: &str) -> Vec<RecordBatch> {
    let rows = engine.query(sql, &Params::default(), Utc::now()).await.expect("a query");
    rows.try_collect().await.expect("rows")
}

fn engine(config: &ConnectionConfig, folder: &TempDir, push_down: bool) -> Engine {
    let settings = Settings {
        memory: 256 << 20,
        spill: folder.path().join("spill"),
        zone: chrono_tz::UTC,
        threads: std::thread::available_parallelism().map_or(2, usize::from),
        push_down,
    };
    let mut engine = Engine::new(&settings).expect("an engine");
    let context = OpenContext {
        name: "place".to_owned(),
        root: folder.path().to_owned(),
        scratch: folder.path().join("scratch"),
    };
    let connection: Arc<dyn Connection> = vitrina::connector::open(config, context).expect("a connection");
    engine.register_connection("place", connection);
    engine
}

fn in_sqlite(folder: &TempDir, rows: usize) -> (ConnectionConfig, String) {
    let path = folder.path().join("actions.db");
    let file = rusqlite::Connection::open(&path).expect("a database");
    file.execute_batch(&SQLITE.replace("{rows}", &rows.to_string())).expect("rows");
    let config =
        sqlite::config::Config { path: Some("actions.db".to_owned()), ..sqlite::config::Config::default() };
    (ConnectionConfig::Sqlite(config), "actions".to_owned())
}

/// A table that no earlier run made.
fn fresh() -> String {
    format!("compare_{}", &uuid::Uuid::new_v4().simple().to_string()[..8])
}

fn setting(name: &str) -> Option<String> {
    std::env::var(format!("VITRINA_{name}")).ok()
}

async fn in_postgres(rows: usize) -> Option<(ConnectionConfig, String)> {
    let set = |name: &str| setting(&format!("POSTGRES_{name}"));
    let mut login = tokio_postgres::Config::new();
    login.host(set("HOST")?).port(set("PORT")?.parse().ok()?).user(set("USER")?);
    login.password(set("PASSWORD")?).dbname(set("DATABASE")?);
    let (client, line) = login.connect(tokio_postgres::NoTls).await.expect("PostgreSQL answers");
    tokio::spawn(line);
    let table = fresh();
    let sql = POSTGRES.replace("{table}", &table).replace("{rows}", &rows.to_string());
    client.batch_execute(&sql).await.expect("rows");
    let config = postgres::config::Config {
        host: set("HOST")?,
        port: set("PORT")?.parse().ok()?,
        password: Some(Secret::Literal(set("PASSWORD")?)),
        sslmode: SslMode::Disable,
        ..postgres::config::Config::new(&set("DATABASE")?, &set("USER")?)
    };
    Some((ConnectionConfig::Postgres(config), table))
}

async fn in_clickhouse(rows: usize) -> Option<(ConnectionConfig, String)> {
    let set = |name: &str| setting(&format!("CLICKHOUSE_{name}"));
    let table = fresh();
    for sql in CLICKHOUSE {
        let sql = sql.replace("{table}", &table).replace("{rows}", &rows.to_string());
        let asked = reqwest::Client::new()
            .post(format!("{}/?database={}", set("URL")?, set("DATABASE")?))
            .header("X-ClickHouse-User", set("USER")?)
            .header("X-ClickHouse-Key", set("PASSWORD")?)
            .body(sql);
        asked.send().await.and_then(reqwest::Response::error_for_status).expect("ClickHouse answers");
    }
    let config = clickhouse::config::Config {
        database: set("DATABASE")?,
        user: set("USER")?,
        password: Some(Secret::Literal(set("PASSWORD")?)),
        ..clickhouse::config::Config::new(&set("URL")?)
    };
    Some((ConnectionConfig::Clickhouse(config), table))
}

fn median(mut took: Vec<f64>) -> f64 {
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}
