//! The contract, kept by tables in memory.

use std::{path::PathBuf, sync::Arc};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use vitrina::{
    connector::{ConnectionConfig, OpenContext, connection::Connection, error::ErrorKind, memory},
    model::delivery::Mode,
};

use crate::{
    contract::{Abilities, Harness, Reading, contract, reading::kind, writing},
    support::{
        rows::{int_column, people},
        specs,
    },
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
        let config = memory::Config { log, schema: None };
        vitrina::connector::open(&ConnectionConfig::Memory(config), context).unwrap()
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

/// Faults that tests put in the way are taken in turn; a lost answer is lost after everything happened.
#[tokio::test]
async fn faults_are_met_in_turn() {
    let place = Memory::new();
    let (spec, rows) = (specs::sink("faulty", Mode::Append), people(1..=3));
    let (track, unit, attempt) =
        (specs::track("mrf1"), specs::unit(Mode::Append, 1, &rows), specs::attempt());
    let sink = place.open().sink(&spec).await.unwrap();
    place.store.fail(memory::Step::Stage, ErrorKind::Full, 2);
    for _ in 0..2 {
        let failed = writing::stage(sink.as_ref(), &track, &unit, &attempt, &rows).await;
        assert_eq!(kind(failed), ErrorKind::Full);
    }
    place.store.fail(memory::Step::Commit, ErrorKind::Busy, 1);
    let staged = writing::stage(sink.as_ref(), &track, &unit, &attempt, &rows).await.unwrap();
    assert_eq!(kind(staged.commit().await), ErrorKind::Busy);
    assert_eq!(place.store.record("faulty", &track), None);

    place.store.fail(memory::Step::Answer, ErrorKind::Unreachable, 1);
    let staged = writing::stage(sink.as_ref(), &track, &unit, &attempt, &rows).await.unwrap();
    assert_eq!(kind(staged.commit().await), ErrorKind::Unreachable);
    assert_eq!(place.store.rows("faulty").unwrap().num_rows(), 3);
    assert_eq!(place.store.record("faulty", &track).unwrap().attempt, attempt.id);
    let again = writing::stage(sink.as_ref(), &track, &unit, &attempt, &rows).await;
    assert!(again.is_ok(), "no fault is left");
}
