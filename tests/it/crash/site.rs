//! A small project in a folder of its own, and the program run over it.

use std::{
    fmt::{self, Write as _},
    process::Command,
};

use calamine::{DataType, Reader, Xlsx};
use rusqlite::Connection;
use serde_json::Value;

use crate::support::{
    clickhouse::Place as Database, kafka::Cluster, postgres::Place as Schema, project::Sandbox,
};

/// A kind of place that rows come from and go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Sqlite,
    Delta,
    /// The same tables in a bucket.
    Bucket,
    Postgres,
    /// The same server, by the statements of Greenplum.
    Greenplum,
    Kafka,
    Clickhouse,
}

/// The way of a project's rows: from the bot's own database, or by a place of another kind, into the warehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) from: Place,
    pub(super) into: Place,
}

impl Place {
    /// Those that are played with every other one; tables in a bucket differ from others of theirs by what keeps them, not by who reads or fills them.
    pub(super) const ALL: [Self; 6] =
        [Self::Sqlite, Self::Delta, Self::Postgres, Self::Greenplum, Self::Kafka, Self::Clickhouse];

    /// As a pair names it: a connection's `kind`, but for buckets.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Delta => "delta",
            Self::Bucket => "s3",
            Self::Postgres => "postgres",
            Self::Greenplum => "greenplum",
            Self::Kafka => "kafka",
            Self::Clickhouse => "clickhouse",
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}", self.from.kind(), self.into.kind())
    }
}

/// What the servers keep for a project, gone with it.
struct Servers {
    postgres: Option<Schema>,
    greenplum: Option<Schema>,
    cluster: Option<Cluster>,
    database: Option<Database>,
    /// In the bucket.
    folder: String,
}

impl Servers {
    fn of(pair: Pair) -> Self {
        let needs = |place: Place| pair.from == place || pair.into == place;
        Self {
            postgres: needs(Place::Postgres).then(Schema::new),
            greenplum: needs(Place::Greenplum).then(Schema::new),
            cluster: needs(Place::Kafka).then(Cluster::new),
            database: needs(Place::Clickhouse).then(Database::new),
            folder: format!("crash-{}", uuid::Uuid::new_v4().simple()),
        }
    }

    /// The keys of a connection to a place, whose files have this name.
    fn connection(&self, place: Place, name: &str) -> String {
        match place {
            Place::Sqlite => format!("kind = \"sqlite\"\npath = \"{name}.db\""),
            Place::Delta => format!("kind = \"delta\"\npath = \"{name}\""),
            Place::Bucket => BUCKET.replace("FOLDER", &format!("{}/{name}", self.folder)),
            Place::Postgres => {
                let schema = self.postgres.as_ref().expect("a schema was made");
                POSTGRES.replace("SCHEMA", &schema.schema)
            }
            Place::Greenplum => {
                let schema = self.greenplum.as_ref().expect("a schema was made");
                POSTGRES.replace("SCHEMA", &schema.schema).replace("\"postgres\"", "\"greenplum\"")
            }
            Place::Kafka => {
                let cluster = self.cluster.as_ref().expect("a cluster was reached");
                let (brokers, prefix) = (cluster.config().brokers, &cluster.prefix);
                format!("kind = \"kafka\"\nbrokers = {brokers:?}\nprefix = {prefix:?}")
            }
            Place::Clickhouse => {
                let database = self.database.as_ref().expect("a database was made");
                CLICKHOUSE.replace("DATABASE", &database.config.database)
            }
        }
    }
}

/// A project: a bot's database → a warehouse, a mart over the warehouse, a workbook over the mart.
pub(super) struct Site {
    pub(super) sandbox: Sandbox,
    /// The table of events in the warehouse, as SQL names it.
    events: &'static str,
    /// Where the tables lie that are made from others.
    marts: &'static str,
    _servers: Servers,
}

/// Every seventh amount is a word: a bad row.
const BAD_EVERY: i64 = 7;

impl Site {
    /// A project whose source has no rows yet.
    pub(super) fn new(pair: Pair) -> Self {
        let servers = Servers::of(pair);
        let mut project =
            format!("{PROJECT}\n[connections.warehouse]\n{}\n", servers.connection(pair.into, "warehouse"));
        // Topics are only appended to, and have names of Latin letters.
        let (table, events, marts) = if pair.into == Place::Kafka {
            project.push_str("\n[connections.local]\nkind = \"sqlite\"\npath = \"local.db\"\n");
            ("moved", "warehouse.moved", "local")
        } else {
            ("События", "warehouse.\"События\"", "warehouse")
        };
        let mut pipeline = PIPELINE.replace("TABLE", table);
        if pair.from != Place::Sqlite {
            let _ = writeln!(project, "\n[connections.stream]\n{}", servers.connection(pair.from, "stream"));
            let by_cursor = matches!(pair.from, Place::Postgres | Place::Greenplum | Place::Clickhouse);
            let cursor = if by_cursor { CURSOR } else { "" };
            pipeline = pipeline.replace(FROM_BOT, &format!("{FROM_STREAM}{cursor}"));
        }
        let (renewed, merged) = (RENEWED.replace("MARTS", marts), MERGED.replace("MARTS", marts));
        let totals = MART.replace("EVENTS", events).replace("MARTS", marts);
        let sandbox = Sandbox::new(&[
            ("vitrina.toml", &project),
            ("pipelines/события.toml", &pipeline),
            ("pipelines/renewed.toml", &renewed),
            ("pipelines/merged.toml", &merged),
            ("marts/totals.toml", &totals),
            ("marts/daily.toml", &daily(events, marts)),
            ("marts/book.toml", WORKBOOK),
        ]);
        if pair.from != Place::Sqlite {
            sandbox.write("pipelines/to_stream.toml", TO_STREAM);
        }
        sandbox.sqlite(
            "bot.db",
            "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, amount TEXT);
             CREATE TABLE tariffs (code TEXT PRIMARY KEY, price INTEGER);
             INSERT INTO tariffs VALUES ('интернет', 500), ('ТВ', 300);",
        );
        Self { sandbox, events, marts, _servers: servers }
    }

    /// A bot's own connection to its database.
    pub(super) fn source(&self) -> Connection {
        let source = Connection::open(self.sandbox.path("bot.db")).unwrap();
        source.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        source
    }

    /// Adds rows as the bot does, in one transaction.
    pub(super) fn add(&self, count: i64) {
        add_rows(&self.source(), count);
    }

    /// The program with these arguments.
    pub(super) fn program(&self, arguments: &[&str]) -> Command {
        self.sandbox.command(arguments)
    }

    /// Runs everything to its end.
    pub(super) fn run_all(&self) {
        self.sandbox.must(&["run", "--all"]);
    }

    /// Rows equal the source once each, dead letters its bad rows once each; the mart and the workbook agree.
    pub(super) fn check(&self) {
        let (good, bad) = self.expected();
        let found = self.found();
        let distinct = found.iter().map(|(id, _, _)| id).collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!((found.len(), distinct), (good.len(), good.len()), "rows in the target, distinct ones");
        assert_eq!(found, good);
        assert_eq!(self.dead_letters(), bad, "dead letters");
        assert_eq!(self.sandbox.number(&format!("SELECT count(*) AS n FROM {}.tariffs", self.marts)), 2);
        assert_eq!(self.sandbox.number(&format!("SELECT sum(price) AS n FROM {}.prices", self.marts)), 800);
        let marts = self.marts;
        let totals = format!("SELECT events, CAST(amount AS VARCHAR) AS amount FROM {marts}.totals");
        let totals = self.sandbox.query(&totals);
        let cents: i64 = good.iter().map(|(id, _, _)| id * 25).sum();
        let total = format!("{}.{:02}", cents / 100, cents % 100);
        assert_eq!(totals.len(), 1);
        assert_eq!(
            (totals[0]["events"].as_i64(), totals[0]["amount"].as_str()),
            (Some(good.len() as i64), Some(total.as_str()))
        );
        let by_day = format!("SELECT CAST(coalesce(sum(events), 0) AS BIGINT) AS n FROM {marts}.daily");
        assert_eq!(self.sandbox.number(&by_day), good.len() as i64, "every window once");
        let mut book: Xlsx<_> = calamine::open_workbook(self.sandbox.path("book.xlsx")).unwrap();
        let sheet = book.worksheet_range("Итоги").unwrap();
        let mut numbers = sheet.used_cells().filter_map(|(_, _, cell)| cell.as_f64());
        let count = good.len() as f64;
        assert!(numbers.any(|number| (number - count).abs() < 0.5), "the workbook shows another count");
    }

    /// What is in the target.
    pub(super) fn found(&self) -> Vec<(i64, String, String)> {
        let events = self.events;
        let sql = format!("SELECT id, name, CAST(amount AS VARCHAR) AS amount FROM {events} ORDER BY id");
        self.sandbox.query(&sql).iter().map(event).collect()
    }

    /// What must be in the target, and the ids of what must be put aside.
    fn expected(&self) -> (Vec<(i64, String, String)>, Vec<i64>) {
        let source = self.source();
        let mut rows = source.prepare("SELECT id, name, amount FROM events ORDER BY id").unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let rows: Vec<(i64, String, String)> = rows.map(Result::unwrap).collect();
        let (bad, good) = rows.into_iter().partition::<Vec<_>, _>(|(id, _, _)| id % BAD_EVERY == 0);
        (good, bad.into_iter().map(|(id, _, _)| id).collect())
    }

    fn dead_letters(&self) -> Vec<i64> {
        let letters = self.sandbox.dead_letters("события");
        let mut ids: Vec<i64> =
            letters.iter().map(|letter| letter["row"]["id"].as_i64().expect("an id")).collect();
        ids.sort_unstable();
        ids
    }
}

/// Adds rows in one transaction.
pub(super) fn add_rows(source: &Connection, count: i64) {
    source.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..count {
        source.execute("INSERT INTO events (name) VALUES ('')", []).unwrap();
        let id = source.last_insert_rowid();
        let (whole, cents) = (id * 25 / 100, id * 25 % 100);
        let amount =
            if id % BAD_EVERY == 0 { "много".to_owned() } else { format!("{whole}.{cents:02}") };
        let name = format!("событие «{id}»");
        source.execute("UPDATE events SET name = ?1, amount = ?2 WHERE id = ?3", (name, amount, id)).unwrap();
    }
    source.execute_batch("COMMIT").unwrap();
}

fn event(row: &Value) -> (i64, String, String) {
    let text =
        |name: &str| row[name].as_str().unwrap_or_else(|| panic!("no text in {name}: {row}")).to_owned();
    (row["id"].as_i64().expect("an id"), text("name"), text("amount"))
}

const PROJECT: &str = r#"
[project]
name = "crash"
time_zone = "Europe/Moscow"
language = "ru"

[daemon]
state = "state"

[connections.bot]
kind = "sqlite"
path = "bot.db"
"#;

const POSTGRES: &str = r#"kind = "postgres"
host = { env = "VITRINA_POSTGRES_HOST" }
port = { env = "VITRINA_POSTGRES_PORT" }
database = { env = "VITRINA_POSTGRES_DATABASE" }
user = { env = "VITRINA_POSTGRES_USER" }
password = { env = "VITRINA_POSTGRES_PASSWORD" }
schema = 'SCHEMA'"#;

const BUCKET: &str = r#"kind = "delta"
path = "s3://vitrina/FOLDER"
endpoint = { env = "VITRINA_S3_ENDPOINT" }
allow_http = true
access_key_id = { env = "VITRINA_S3_ACCESS_KEY_ID" }
secret_access_key = { env = "VITRINA_S3_SECRET_ACCESS_KEY" }"#;

const CLICKHOUSE: &str = r#"kind = "clickhouse"
url = { env = "VITRINA_CLICKHOUSE_URL" }
user = { env = "VITRINA_CLICKHOUSE_USER" }
password = { env = "VITRINA_CLICKHOUSE_PASSWORD" }
database = 'DATABASE'"#;

const PIPELINE: &str = r#"
slice = { rows = 20 }

[source]
connection = "bot"
table = "events"
cursor = { column = "id" }
bad_rows = "dead_letter"

[source.columns]
id = "int64"
name = "text"
amount = "decimal(12,2)"

[sink]
connection = "warehouse"
table = "TABLE"
mode = "append"
"#;

const FROM_BOT: &str = r#"connection = "bot"
table = "events"
cursor = { column = "id" }"#;

const FROM_STREAM: &str = r#"connection = "stream"
table = "events""#;

const CURSOR: &str = r#"
cursor = { column = "id" }"#;

const TO_STREAM: &str = r#"
slice = { rows = 20 }

[source]
connection = "bot"
table = "events"
cursor = { column = "id" }

[sink]
connection = "stream"
table = "events"
mode = "append"
kafka.message_key = ["id"]
kafka.partitions = 3
"#;

const RENEWED: &str = r#"
[source]
connection = "bot"
table = "tariffs"

[sink]
connection = "MARTS"
table = "tariffs"
mode = "replace"
"#;

const MERGED: &str = r#"
[source]
connection = "bot"
table = "tariffs"

[sink]
connection = "MARTS"
table = "prices"
mode = "merge"
key = ["code"]
"#;

const MART: &str = r#"
sql = '''SELECT count(*) AS events, CAST(coalesce(sum(amount), 0) AS DECIMAL(18, 2)) AS amount FROM EVENTS'''

[sink]
connection = "MARTS"
mode = "replace"
"#;

/// The events over four days, window by window, all of them again with each run; with a check.
fn daily(events: &str, marts: &str) -> String {
    let day = |ago: u64| (chrono::Utc::now().date_naive() - chrono::Days::new(ago)).to_string();
    let days: Vec<String> = (0..4).map(|at| format!("WHEN id % 4 = {at} THEN DATE '{}'", day(at))).collect();
    DAILY
        .replace("DAYS", &days.join(" "))
        .replace("START", &day(3))
        .replace("EVENTS", events)
        .replace("MARTS", marts)
}

const DAILY: &str = r#"
sql = '''
SELECT dt, count(*) AS events FROM (SELECT CASE DAYS END AS dt FROM EVENTS) AS e
WHERE dt >= :window.from AND dt < :window.until GROUP BY dt
'''

[window]
column = "dt"
grain = "day"
start = START
lookback = "9d"

[sink]
connection = "MARTS"

[[check]]
unique = ["dt"]
"#;

const WORKBOOK: &str = r#"
excel = "book.xlsx"

[[sheet]]
name = "Итоги"
sql = "SELECT events, amount FROM mart.totals"
"#;
