//! The same tables in every place: names in two alphabets with quotes and dots, NULLs, cases that sort otherwise by people's rules.

use std::{fmt::Write as _, sync::Arc};

use vitrina::connector::{ConnectionConfig, OpenContext, connection::Connection, sqlite::config::Config};

use crate::support::{clickhouse, postgres};

/// Where a place keeps its tables until it is dropped.
pub(super) enum Kept {
    Sqlite(tempfile::TempDir),
    Postgres(postgres::Place),
    Clickhouse(Box<clickhouse::Place>),
}

/// A place with tables of these statements.
pub(super) fn sqlite(sql: &str) -> (Kept, Arc<dyn Connection>) {
    let root = tempfile::tempdir().unwrap();
    let file = rusqlite::Connection::open(root.path().join("данные.db")).unwrap();
    file.execute_batch(&format!("PRAGMA journal_mode = wal; {sql}")).unwrap();
    let context = OpenContext {
        name: "place".to_owned(),
        root: root.path().to_owned(),
        scratch: root.path().join("scratch"),
    };
    let config = Config { path: Some("данные.db".to_owned()), ..Config::default() };
    let connection = vitrina::connector::open(&ConnectionConfig::Sqlite(config), context).unwrap();
    (Kept::Sqlite(root), connection)
}

/// A place with tables of these statements.
pub(super) async fn postgres(sql: &str) -> (Kept, Arc<dyn Connection>) {
    let place = postgres::Place::new();
    place.run(sql).await;
    let connection = place.open();
    (Kept::Postgres(place), connection)
}

/// A place with tables of these statements.
pub(super) fn clickhouse(statements: &[String]) -> (Kept, Arc<dyn Connection>) {
    let place = clickhouse::Place::new();
    for statement in statements.iter().filter(|statement| !statement.trim().is_empty()) {
        place.inside(statement);
    }
    let connection = place.open();
    (Kept::Clickhouse(Box::new(place)), connection)
}

impl Kept {
    /// One cell, as another program reads it.
    pub(super) async fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        match self {
            Self::Sqlite(root) => {
                let file = rusqlite::Connection::open(root.path().join("данные.db")).unwrap();
                file.query_row(&sql, [], |row| row.get(0)).unwrap()
            }
            Self::Clickhouse(place) => place.inside(&sql).trim().parse().unwrap(),
            Self::Postgres(place) => place.stranger().await.query_one(&sql, &[]).await.unwrap().get(0),
        }
    }
}

/// How a kind of place declares columns.
pub(super) struct Types {
    pub(super) key: &'static str,
    pub(super) int: &'static str,
    pub(super) text: &'static str,
    pub(super) decimal: &'static str,
    pub(super) real: &'static str,
    pub(super) bool: &'static str,
    pub(super) date: &'static str,
    pub(super) instant: &'static str,
    /// What stands behind the columns of a table; `{key}` is a column whose values are there once.
    pub(super) end: &'static str,
}

pub(super) const SQLITE: Types = Types {
    key: "INTEGER PRIMARY KEY",
    int: "INTEGER",
    text: "TEXT",
    decimal: "TEXT",
    real: "REAL",
    bool: "BOOLEAN",
    date: "TEXT",
    instant: "TEXT",
    end: "",
};

pub(super) const POSTGRES: Types = Types {
    key: "bigint PRIMARY KEY",
    int: "bigint",
    text: "text",
    decimal: "numeric(12,2)",
    real: "double precision",
    bool: "boolean",
    date: "date",
    instant: "timestamptz",
    end: "",
};

pub(super) const CLICKHOUSE: Types = Types {
    key: "Int64",
    int: "Nullable(Int64)",
    text: "Nullable(String)",
    decimal: "Nullable(Decimal(12, 2))",
    real: "Nullable(Float64)",
    bool: "Nullable(Bool)",
    date: "Nullable(Date32)",
    instant: "Nullable(DateTime64(6, 'UTC'))",
    end: "ENGINE = MergeTree ORDER BY tuple()",
};

/// The same tables of types that take no NULL where there is none, that keep texts and times in other ways, and that replace rows when they merge.
pub(super) const CLICKHOUSE_PLAIN: Types = Types {
    text: "LowCardinality(Nullable(String))",
    decimal: "Nullable(Decimal(18, 2))",
    date: "Nullable(Date)",
    instant: "Nullable(DateTime64(6, 'Asia/Omsk'))",
    end: "ENGINE = ReplacingMergeTree ORDER BY {key} SETTINGS allow_nullable_key = 1",
    ..CLICKHOUSE
};

const NOTES: [&str; 14] =
    ["abc", "ABC", "Ёж", "ёж", "", " ", "o'Neil", r"back\slash", "100%", "a_c", "zz", "Я", "ÿ", "🙂"];
const REGIONS: [&str; 5] = ["mrf1", "mrf2", "MRF1", "Сибирь", "сибирь"];

/// A row's cell, or NULL every `n`-th time.
fn or_null(at: usize, every: usize, cell: String) -> String {
    if at.is_multiple_of(every) { "NULL".to_owned() } else { cell }
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn deals(types: &Types) -> String {
    let bool = |value: bool| match (types.bool, value) {
        ("BOOLEAN", true) => "1",
        ("BOOLEAN", false) => "0",
        (_, true) => "true",
        (_, false) => "false",
    };
    let row = |at: usize| {
        let amount = match at % 11 {
            3 => "1099511627776".to_owned(),
            5 => "-7".to_owned(),
            other => (other * 25).to_string(),
        };
        let cells = [
            at.to_string(),
            or_null(at, 9, text(REGIONS[at * 7 % 5])),
            or_null(at, 8, amount),
            or_null(at, 10, format!("'{}.{:02}'", at as i64 * 3 - 40, at * 37 % 100)),
            or_null(at, 13, format!("{}.5", at as i64 - 20)),
            or_null(at, 6, bool(at % 3 == 1).to_owned()),
            or_null(at, 12, format!("'2026-01-{:02}'", at % 28 + 1)),
            or_null(at, 14, format!("'2026-01-{:02}T{:02}:30:00.{:06}Z'", at % 31 + 1, at % 24, at * 1_001)),
            or_null(at, 5, text(NOTES[at % 14])),
        ];
        format!("({})", cells.join(", "))
    };
    let rows: Vec<String> = (1..=90).map(row).collect();
    rows.join(", ")
}

/// Statements that make the tables.
pub(super) fn tables(types: &Types) -> String {
    let columns = format!(
        r#"(id {key}, "Регион" {text}, "Сумма" {int}, "Price.x" {decimal}, weight {real}, flag {bool},
            "day" {date}, at {instant}, "note ""n""" {text}) {end}"#,
        end = types.end.replace("{key}", "id"),
        key = types.key,
        int = types.int,
        text = types.text,
        decimal = types.decimal,
        real = types.real,
        bool = types.bool,
        date = types.date,
        instant = types.instant,
    );
    format!(
        r#"CREATE TABLE "Сделки.""Q1""" {columns}; INSERT INTO "Сделки.""Q1""" VALUES {rows};
           CREATE TABLE empty {columns};
           CREATE TABLE "Regions" (code {text}, "Name" {text}, rank {int}) {end};
           INSERT INTO "Regions" VALUES ('mrf1', 'Первый', 1), ('mrf2', 'Второй', 2), ('MRF1', 'First', 3), ('сибирь', NULL, 4),
             (NULL, 'nobody', 5), ('mrf2', 'Ещё один', 6);"#,
        rows = deals(types),
        end = types.end.replace("{key}", "rank"),
        text = types.text,
        int = types.int,
    )
}

/// What the side table says of the columns of a SQLite table that we made.
pub(super) fn side_table() -> String {
    let kinds = [
        ("id", "int64"),
        ("Регион", "text"),
        ("Сумма", "int64"),
        ("Price.x", "decimal(12,2)"),
        ("weight", "float64"),
        ("flag", "bool"),
        ("day", "date"),
        ("at", "timestamp(us, UTC)"),
        ("note \"n\"", "text"),
    ];
    let mut sql = "CREATE TABLE _vitrina_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, type TEXT NOT NULL, \
        PRIMARY KEY (table_name, column_name)) WITHOUT ROWID;"
        .to_owned();
    for table in ["Сделки.\"Q1\"", "empty"] {
        for (column, kind) in kinds {
            let _ = write!(sql, "INSERT INTO _vitrina_columns VALUES ('{table}', '{column}', '{kind}');");
        }
    }
    sql
}
