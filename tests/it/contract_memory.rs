//! The contract, kept by tables in memory.

use std::{path::PathBuf, sync::Arc};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use vitrina::connector::{ConnectionConfig, OpenContext, connection::Connection, memory};

use crate::{
    contract::{Abilities, Harness, Reading, contract},
    support::rows::int_column,
};

struct Memory {
    root: tempfile::TempDir,
    store: Arc<memory::Store>,
}

impl Memory {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = memory::Store::named(root.path(), "place");
        Self { root, store }
    }

    fn connect(&self, log: bool) -> Arc<dyn Connection> {
        let root: PathBuf = self.root.path().to_owned();
        let context = OpenContext { name: "place".to_owned(), scratch: root.join("scratch"), root };
        vitrina::connector::open(&ConnectionConfig::Memory(memory::Config { log }), context).unwrap()
    }
}

#[async_trait]
impl Harness for Memory {
    fn abilities(&self) -> Abilities {
        Abilities::all()
    }

    fn open(&self) -> Arc<dyn Connection> {
        self.connect(false)
    }

    fn open_for(&self, reading: Reading) -> Arc<dyn Connection> {
        self.connect(reading == Reading::Log)
    }

    async fn insert(&self, _: Reading, table: &str, rows: &RecordBatch) {
        self.store.insert(table, rows).unwrap();
    }

    async fn delete(&self, table: &str, ids: &[i64]) {
        self.store.delete(table, |row| ids.contains(&int_column(row, "id")[0])).unwrap();
    }

    async fn drop_table(&self, table: &str) {
        self.store.drop_table(table);
    }

    async fn leftovers(&self) -> Vec<String> {
        vec![]
    }
}

contract!(Memory);
