//! The contract, kept by SQLite files: strangers write them with SQLite itself.

use std::{path::PathBuf, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Int64Type, TimeUnit},
    util::display::{ArrayFormatter, FormatOptions},
};
use async_trait::async_trait;
use rusqlite::{params_from_iter, types::Value};
use vitrina::connector::{ConnectionConfig, OpenContext, connection::Connection, sqlite::config::Config};

use crate::contract::{Abilities, Harness, Reading, contract};

struct Sqlite {
    root: tempfile::TempDir,
}

impl Sqlite {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn connect(&self, log: bool) -> Arc<dyn Connection> {
        let root: PathBuf = self.root.path().to_owned();
        let config = Config { path: Some("данные/place.db".to_owned()), log, ..Config::default() };
        let context = OpenContext { name: "place".to_owned(), scratch: root.join("scratch"), root };
        vitrina::connector::open(&ConnectionConfig::Sqlite(config), context).unwrap()
    }

    /// A stranger's connection.
    fn stranger(&self) -> rusqlite::Connection {
        std::fs::create_dir_all(self.root.path().join("данные")).unwrap();
        let connection = rusqlite::Connection::open(self.root.path().join("данные/place.db")).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection
    }
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn declared(name: &str, kind: &DataType) -> String {
    let kind = match kind {
        _ if name == "id" => "INTEGER PRIMARY KEY",
        found if found.is_integer() => "INTEGER",
        DataType::Boolean => "BOOLEAN",
        DataType::Date32 => "DATE",
        _ => "TEXT",
    };
    format!("{} {kind}", quote(name))
}

/// A cell as a program in another language would write it.
fn cell(column: &dyn Array, row: usize) -> Value {
    match column.data_type() {
        _ if column.is_null(row) => Value::Null,
        found if found.is_integer() => {
            Value::Integer(cast(column, &DataType::Int64).unwrap().as_primitive::<Int64Type>().value(row))
        }
        DataType::Boolean => Value::Integer(column.as_boolean().value(row).into()),
        DataType::Timestamp(_, zone) => {
            let micros = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap();
            let format = FormatOptions::new().with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.6f"));
            let text = ArrayFormatter::try_new(&micros, &format).unwrap().value(row).to_string();
            Value::Text(if zone.is_some() { format!("{text}+00:00") } else { text })
        }
        _ => Value::Text(
            ArrayFormatter::try_new(column, &FormatOptions::new()).unwrap().value(row).to_string(),
        ),
    }
}

#[async_trait]
impl Harness for Sqlite {
    fn abilities(&self) -> Abilities {
        let mut abilities = Abilities::all();
        // Text of unequal length does not sort as numbers: refused, and tested beside this suite.
        abilities.cursors.retain(|name| !name.starts_with("decimal"));
        abilities
    }

    fn open(&self) -> Arc<dyn Connection> {
        self.connect(false)
    }

    fn open_for(&self, reading: Reading) -> Arc<dyn Connection> {
        self.connect(reading == Reading::Log)
    }

    async fn insert(&self, reading: Reading, table: &str, rows: &RecordBatch) {
        let mut connection = self.stranger();
        let transaction = connection.transaction().unwrap();
        let fields = rows.schema_ref().fields();
        let log = reading == Reading::Log;
        let offset = log.then(|| "\"_offset\" INTEGER PRIMARY KEY AUTOINCREMENT".to_owned());
        let columns = fields.iter().map(|field| {
            let declared = declared(field.name(), field.data_type());
            if log { declared.replace(" PRIMARY KEY", "") } else { declared }
        });
        let columns: Vec<String> = offset.into_iter().chain(columns).collect();
        let create = format!("CREATE TABLE IF NOT EXISTS {} ({})", quote(table), columns.join(", "));
        transaction.execute(&create, []).unwrap();
        for field in fields {
            if !transaction.column_exists(None, table, field.name()).unwrap() {
                let declared = declared(field.name(), field.data_type());
                let alter = format!("ALTER TABLE {} ADD COLUMN {declared}", quote(table));
                transaction.execute(&alter, []).unwrap();
            }
        }
        let names: Vec<String> = fields.iter().map(|field| quote(field.name())).collect();
        let marks = vec!["?"; names.len()].join(", ");
        let insert = format!("INSERT INTO {} ({}) VALUES ({marks})", quote(table), names.join(", "));
        for row in 0..rows.num_rows() {
            let cells = rows.columns().iter().map(|column| cell(column.as_ref(), row));
            transaction.prepare_cached(&insert).unwrap().execute(params_from_iter(cells)).unwrap();
        }
        transaction.commit().unwrap();
    }

    async fn delete(&self, table: &str, ids: &[i64]) {
        let connection = self.stranger();
        for id in ids {
            connection.execute(&format!("DELETE FROM {} WHERE id = ?", quote(table)), [id]).unwrap();
        }
    }

    async fn drop_table(&self, table: &str) {
        self.stranger().execute(&format!("DROP TABLE {}", quote(table)), []).unwrap();
    }

    async fn leftovers(&self) -> Vec<String> {
        let known = ["place.db", "place.db-wal", "place.db-shm"];
        let folders = [self.root.path().join("scratch"), self.root.path().join("данные")];
        folders
            .iter()
            .filter_map(|folder| std::fs::read_dir(folder).ok())
            .flatten()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| !known.contains(&name.as_str()))
            .collect()
    }
}

contract!(Sqlite);
