//! The contract, kept by the statements of Greenplum: a PostgreSQL server stands in for it, which takes all but storage and distribution.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use vitrina::connector::connection::Connection;

use crate::{
    contract::{Abilities, Harness, Reading, contract},
    contract_postgres::Postgres,
};

struct Greenplum {
    server: Postgres,
}

impl Greenplum {
    fn new() -> Self {
        Self { server: Postgres::new() }
    }
}

#[async_trait]
impl Harness for Greenplum {
    fn abilities(&self) -> Abilities {
        self.server.abilities()
    }

    fn open(&self) -> Arc<dyn Connection> {
        self.server.place.open_greenplum()
    }

    async fn insert(&self, reading: Reading, table: &str, rows: &RecordBatch) {
        self.server.insert(reading, table, rows).await;
    }

    async fn delete(&self, table: &str, ids: &[i64]) {
        self.server.delete(table, ids).await;
    }

    async fn drop_table(&self, table: &str) {
        self.server.drop_table(table).await;
    }

    async fn leftovers(&self) -> Vec<String> {
        self.server.leftovers().await
    }
}

contract!(Greenplum);
