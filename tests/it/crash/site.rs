//! A small project in a folder of its own, and the program run over it.

use std::{collections::BTreeSet, fmt::Write as _, process::Command, thread, time::Duration};

use calamine::{DataType, Reader, Xlsx};
use rusqlite::Connection;
use serde_json::Value;

use super::{
    made_up::{self, MadeUp},
    places::{Lane, Pair, Place, Servers},
};
use crate::support::project::Sandbox;

/// A project: a bot's database → a warehouse, a mart over the warehouse, a workbook over the mart.
pub(super) struct Site {
    pub(super) pair: Pair,
    pub(super) sandbox: Sandbox,
    /// Another folder of the same project, with a state of its own, over the same places.
    rival: Option<Sandbox>,
    /// The project's files.
    files: Vec<(&'static str, String)>,
    /// The table of events in the warehouse, as SQL names it.
    events: &'static str,
    /// Where the tables lie that are made from others.
    marts: &'static str,
    /// Where a table lies that is merged into.
    merges: &'static str,
    /// The source where rows are made up.
    made_up: Option<MadeUp>,
    _servers: Servers,
}

/// A row: its id, name and amount.
pub(super) type Event = (i64, String, String);

/// Every seventh amount is a word: a bad row.
const BAD_EVERY: i64 = 7;

/// Runs that may fail because the world still does, before one has to end well.
const TRIES: usize = 5;

impl Site {
    /// A project whose source has no rows yet, on the servers of scripts/services.
    pub(super) fn new(pair: Pair) -> Self {
        Self::on(pair, None)
    }

    /// The same, on the servers of a lane.
    pub(super) fn on(pair: Pair, lane: Option<&Lane>) -> Self {
        let servers = Servers::of(pair, lane);
        let sandbox = Sandbox::new(&[]);
        let root = sandbox.root().to_str().unwrap().to_owned();
        // Topics are only appended to, and have names of Latin letters.
        let (table, events, marts) = match pair.into {
            Place::Kafka => ("moved", "warehouse.moved", "local"),
            _ => ("События", "warehouse.\"События\"", "warehouse"),
        };
        // Files are not merged into.
        let merges = if pair.into == Place::Files { "local" } else { marts };
        let made_up = (pair.from == Place::Generate).then(MadeUp::new);
        let events_in = || pipeline(pair.from).replace("TABLE", table);
        let files = vec![
            ("vitrina.toml", project(pair, &servers, &root)),
            (made_up::FILE, made_up.as_ref().map_or_else(events_in, |made_up| made_up.pipeline.clone())),
            ("pipelines/renewed.toml", RENEWED.replace("MARTS", marts)),
            ("pipelines/merged.toml", MERGED.replace("MARTS", merges)),
            ("marts/totals.toml", MART.replace("EVENTS", events).replace("MARTS", marts)),
            ("marts/daily.toml", daily(events, marts)),
            ("marts/shared.toml", daily(events, marts) + SHARED),
            ("marts/book.toml", WORKBOOK.to_owned()),
            ("pipelines/to_stream.toml", TO_STREAM.to_owned()),
        ];
        let is_there = |path: &str| match path {
            "pipelines/to_stream.toml" => pair.is_by_another(),
            "marts/shared.toml" => pair.into == Place::Clickhouse,
            _ => true,
        };
        let files: Vec<_> = files.into_iter().filter(|(path, _)| is_there(path)).collect();
        write(&sandbox, &files);
        sandbox.sqlite(
            "bot.db",
            "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, amount TEXT);
             CREATE TABLE tariffs (code TEXT PRIMARY KEY, price INTEGER);
             INSERT INTO tariffs VALUES ('интернет', 500), ('ТВ', 300);",
        );
        Self { pair, sandbox, rival: None, files, events, marts, merges, made_up, _servers: servers }
    }

    /// A bot's own connection to its database.
    pub(super) fn source(&self) -> Connection {
        let source = Connection::open(self.sandbox.path("bot.db")).unwrap();
        source.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        source
    }

    /// Adds rows as the bot does, in one transaction; those that are made up come by themselves.
    pub(super) fn add(&self, count: i64) {
        add_rows(&self.source(), count);
    }

    /// The program with these arguments.
    pub(super) fn program(&self, arguments: &[&str]) -> Command {
        self.sandbox.command(arguments)
    }

    /// The same, to die at a failpoint: `name`, or `name:3` at its third pass.
    pub(super) fn armed(&self, point: &str, arguments: &[String]) -> Command {
        let mut program = self.program(&[]);
        program.args(arguments).env("VITRINA_FAILPOINT", point);
        program
    }

    /// What may run beside a run of this project from another folder: everything, but into ClickHouse only what is appended, as that sink assumes.
    pub(super) fn rival(&mut self) -> Command {
        let rival = self.rival.get_or_insert_with(|| Sandbox::new(&[]));
        write(rival, &self.files);
        match (self.pair.into, self.pair.from) {
            (Place::Clickhouse, Place::Sqlite) => rival.command(&["run", "события"]),
            (Place::Clickhouse, _) => rival.command(&["run", "to_stream", "события"]),
            _ => rival.command(&["run", "--all"]),
        }
    }

    /// Gives the mart of windows another name; it goes on with what is built, in the same table.
    pub(super) fn rename(&self) {
        let target = format!("connection = \"{}\"\n", self.marts);
        let mart = daily(self.events, self.marts).replace(&target, &format!("{target}table = \"daily\"\n"));
        std::fs::remove_file(self.sandbox.path("marts/daily.toml")).unwrap();
        self.sandbox.write("marts/days.toml", &format!("was = \"daily\"\n{mart}"));
    }

    /// Builds all windows of the mart again.
    pub(super) fn backfill(&self) -> [String; 4] {
        let name = if self.sandbox.path("marts/days.toml").exists() { "days" } else { "daily" };
        ["backfill", name, "--from", &day(3)].map(str::to_owned)
    }

    /// Runs everything to its end.
    pub(super) fn run_all(&self) {
        self.sandbox.must(&["run", "--all"]);
    }

    /// Runs everything until it ends well; a server that comes back may need a moment.
    pub(super) fn settle(&self) {
        for _ in 0..TRIES {
            if self.sandbox.vitrina(&["run", "--all"]).code == Some(0) {
                return;
            }
            thread::sleep(Duration::from_secs(2));
        }
        self.run_all();
    }

    /// Rows equal the source once each, dead letters its bad rows once each; the mart and the workbook agree.
    pub(super) fn check(&self) {
        let (good, bad) = self.expected();
        self.compare(&good);
        assert_eq!(self.dead_letters(), bad, "dead letters");
        assert_eq!(self.sandbox.number(&format!("SELECT count(*) AS n FROM {}.tariffs", self.marts)), 2);
        assert_eq!(self.sandbox.number(&format!("SELECT sum(price) AS n FROM {}.prices", self.merges)), 800);
        let marts = self.marts;
        let totals = format!("SELECT events, CAST(amount AS VARCHAR) AS amount FROM {marts}.totals");
        let totals = self.sandbox.query(&totals);
        let cents: i64 = good.iter().map(|(_, _, amount)| cents(amount)).sum();
        let total = format!("{}.{:02}", cents / 100, cents % 100);
        assert_eq!(totals.len(), 1);
        assert_eq!(
            (totals[0]["events"].as_i64(), totals[0]["amount"].as_str()),
            (Some(good.len() as i64), Some(total.as_str()))
        );
        let shared = (self.pair.into == Place::Clickhouse).then_some("shared");
        for table in ["daily"].into_iter().chain(shared) {
            let by_day = format!("SELECT CAST(coalesce(sum(events), 0) AS BIGINT) AS n FROM {marts}.{table}");
            assert_eq!(self.sandbox.number(&by_day), good.len() as i64, "every window of {table} once");
        }
        let mut book: Xlsx<_> = calamine::open_workbook(self.sandbox.path("book.xlsx")).unwrap();
        let sheet = book.worksheet_range("Итоги").unwrap();
        let mut numbers = sheet.used_cells().filter_map(|(_, _, cell)| cell.as_f64());
        let count = good.len() as f64;
        assert!(numbers.any(|number| (number - count).abs() < 0.5), "the workbook shows another count");
    }

    /// Every good row of the source is in the target, once; gives their number.
    pub(super) fn check_rows(&self) -> usize {
        let (good, _) = self.expected();
        self.compare(&good);
        good.len()
    }

    fn compare(&self, good: &[Event]) {
        let found = self.found();
        let distinct = found.iter().map(|(id, _, _)| id).collect::<BTreeSet<_>>().len();
        assert_eq!((found.len(), distinct), (good.len(), good.len()), "rows in the target, distinct ones");
        assert!(found == good, "the rows in the target are others");
    }

    /// What is in the target.
    pub(super) fn found(&self) -> Vec<Event> {
        events_of(&self.sandbox, self.events)
    }

    /// What must be in the target, and the ids of what must be put aside.
    fn expected(&self) -> (Vec<Event>, Vec<i64>) {
        if let Some(made_up) = &self.made_up {
            return (made_up.rows(self.found().len()), vec![]);
        }
        let source = self.source();
        let mut rows = source.prepare("SELECT id, name, amount FROM events ORDER BY id").unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let rows: Vec<Event> = rows.map(Result::unwrap).collect();
        let (bad, good) = rows.into_iter().partition::<Vec<_>, _>(|(id, _, _)| id % BAD_EVERY == 0);
        (good, bad.into_iter().map(|(id, _, _)| id).collect())
    }

    /// Those of both folders: bad rows lie where the run was that committed their slice.
    fn dead_letters(&self) -> Vec<i64> {
        let folders = [&self.sandbox].into_iter().chain(&self.rival);
        let letters = folders.flat_map(|folder| folder.dead_letters("события"));
        let mut ids: Vec<i64> = letters.map(|letter| letter["row"]["id"].as_i64().expect("an id")).collect();
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

/// The rows of a table of events, by id.
pub(super) fn events_of(sandbox: &Sandbox, table: &str) -> Vec<Event> {
    let sql = format!("SELECT id, name, CAST(amount AS VARCHAR) AS amount FROM {table} ORDER BY id");
    sandbox.query(&sql).iter().map(event).collect()
}

/// Of an amount with two decimals.
fn cents(amount: &str) -> i64 {
    amount.replace('.', "").parse().expect("an amount")
}

fn event(row: &Value) -> Event {
    let text =
        |name: &str| row[name].as_str().unwrap_or_else(|| panic!("no text in {name}: {row}")).to_owned();
    (row["id"].as_i64().expect("an id"), text("name"), text("amount"))
}

fn write(sandbox: &Sandbox, files: &[(&str, String)]) {
    for (path, text) in files {
        sandbox.write(path, text);
    }
}

/// Files of places lie below `root`, whichever folder the project is in.
fn project(pair: Pair, servers: &Servers, root: &str) -> String {
    let mut text = PROJECT.replace("ROOT", root);
    let mut add = |name: &str, place: Place| {
        let keys = servers.connection(place, name, root);
        let _ = writeln!(text, "\n[connections.{name}]\n{keys}");
    };
    add("warehouse", pair.into);
    if matches!(pair.into, Place::Kafka | Place::Files) {
        add("local", Place::Sqlite);
    }
    if pair.is_by_another() {
        add("stream", pair.from);
    }
    text
}

fn pipeline(from: Place) -> String {
    let by_cursor = matches!(from, Place::Postgres | Place::Greenplum | Place::Clickhouse);
    let cursor = if by_cursor { CURSOR } else { "" };
    match from {
        Place::Sqlite => PIPELINE.to_owned(),
        _ => PIPELINE.replace(FROM_BOT, &format!("{FROM_STREAM}{cursor}")),
    }
}

const PROJECT: &str = r#"
[project]
name = "crash"
time_zone = "Europe/Moscow"
language = "ru"

[daemon]
state = "state"

[defaults.pipeline]
retry = { attempts = 9, wait = "300ms", timeout = "5m" }

[connections.bot]
kind = "sqlite"
path = "ROOT/bot.db"
"#;

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
retry = { attempts = 9, wait = "300ms", timeout = "5m" }
sql = '''SELECT count(*) AS events, CAST(coalesce(sum(amount), 0) AS DECIMAL(18, 2)) AS amount FROM EVENTS'''

[sink]
connection = "MARTS"
mode = "replace"
"#;

fn day(ago: u64) -> String {
    (chrono::Utc::now().date_naive() - chrono::Days::new(ago)).to_string()
}

/// The events over four days, window by window, all of them again with each run; with a check.
fn daily(events: &str, marts: &str) -> String {
    let days: Vec<String> = (0..4).map(|at| format!("WHEN id % 4 = {at} THEN DATE '{}'", day(at))).collect();
    DAILY
        .replace("DAYS", &days.join(" "))
        .replace("START", &day(3))
        .replace("EVENTS", events)
        .replace("MARTS", marts)
}

const DAILY: &str = r#"
retry = { attempts = 9, wait = "300ms", timeout = "5m" }
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

/// Windows that lie in one partition, where a place has such.
const SHARED: &str = r#"
[sink.clickhouse]
partition_by = "toYear(dt)"
"#;

const WORKBOOK: &str = r#"
retry = { attempts = 9, wait = "300ms", timeout = "5m" }
excel = "book.xlsx"

[[sheet]]
name = "Итоги"
sql = "SELECT events, amount FROM mart.totals"
"#;
