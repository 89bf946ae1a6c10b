//! Marts that are built window by window, and the checks of marts: through the built program.

mod batches;
mod builds;
mod checks;
mod grains;
mod hostile;
mod merged;
mod mistakes;
mod places;
mod refreshed;
mod renamed;

use chrono::{Days, NaiveDate, Utc};
use chrono_tz::Europe::Moscow;
use serde_json::Value as Json;

use crate::support::project::Sandbox;

/// The project's day, so many days ago.
fn day(ago: u64) -> NaiveDate {
    Utc::now().with_timezone(&Moscow).date_naive() - Days::new(ago)
}

const PROJECT: &str = r#"
[project]
name = "окна"
time_zone = "Europe/Moscow"

[daemon]
state = "state"
parallel = 2

[connections.bot]
kind = "sqlite"
path = "bot.db"

[connections.lake]
kind = "delta"
path = "lake"

[connections.copies]
kind = "sqlite"
path = "copies.db"
"#;

/// A schema of the server, besides.
const POSTGRES: &str = r#"
[connections.dwh]
kind = "postgres"
host = { env = "VITRINA_POSTGRES_HOST" }
port = { env = "VITRINA_POSTGRES_PORT" }
database = { env = "VITRINA_POSTGRES_DATABASE" }
user = { env = "VITRINA_POSTGRES_USER" }
password = { env = "VITRINA_POSTGRES_PASSWORD" }
schema = 'SCHEMA'
"#;

/// A database of the server, besides.
const CLICKHOUSE: &str = r#"
[connections.dwh]
kind = "clickhouse"
url = { env = "VITRINA_CLICKHOUSE_URL" }
user = { env = "VITRINA_CLICKHOUSE_USER" }
password = { env = "VITRINA_CLICKHOUSE_PASSWORD" }
database = 'DATABASE'
"#;

const QUERY: &str = "SELECT local_date(at) AS dt, count(*) AS n, sum(amount) AS amount FROM bot.events \
                     WHERE at >= :window.from AND at < :window.until GROUP BY local_date(at)";

/// A daily mart of the events, which begins so many days ago; `more` goes behind it.
fn daily(query: &str, connection: &str, ago: u64, more: &str) -> String {
    format!(
        "sql = '''{query}'''\n[window]\ncolumn = \"dt\"\ngrain = \"day\"\nstart = {}\n{more}\n[sink]\nconnection = \"{connection}\"\n",
        day(ago)
    )
}

/// A project with a bot's events: `amount` of 1 at noon of each of the last `days` days, today at its first second.
fn project(connection: &str, ago: u64, more: &str) -> Sandbox {
    let project = Sandbox::new(&[
        ("vitrina.toml", PROJECT),
        ("marts/daily.toml", &daily(QUERY, connection, ago, more)),
    ]);
    project.sqlite(
        "bot.db",
        "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, at TIMESTAMPTZ, amount INTEGER)",
    );
    for ago in 0..=ago {
        add(&project, ago, 1);
    }
    project
}

/// Adds an event of a day: an hour after its midnight in Moscow, or for today right at it.
fn add(project: &Sandbox, ago: u64, amount: i64) {
    let before = day(ago) - Days::new(1);
    project.sqlite(
        "bot.db",
        &format!("INSERT INTO events (at, amount) VALUES ('{before}T21:00:00.000000Z', {amount})"),
    );
}

/// The mart: how many days ago, and the amount of that day; oldest first.
fn found(project: &Sandbox, table: &str) -> Vec<(i64, i64)> {
    let rows = project.query(&format!("SELECT dt, amount FROM {table} ORDER BY dt"));
    let ago = |row: &Json| {
        let dt: NaiveDate = row["dt"].as_str().unwrap().parse().unwrap();
        (day(0) - dt).num_days()
    };
    rows.iter().map(|row| (ago(row), row["amount"].as_i64().unwrap())).collect()
}

/// What a run or another command says, as JSON.
fn told(project: &Sandbox, arguments: &[&str]) -> Json {
    project.vitrina(&[arguments, &["--format", "json"]].concat()).done().json()
}

/// Windows that a run built.
fn built(project: &Sandbox, arguments: &[&str]) -> u64 {
    told(project, arguments)[0]["units"].as_u64().unwrap()
}
