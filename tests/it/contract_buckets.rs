//! The contract, kept by Delta tables in buckets of an S3 server and of Azure's.

use std::{sync::Arc, time::Duration};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use deltalake::DeltaTable;
use vitrina::connector::connection::Connection;

use crate::{
    contract::{Abilities, Harness, Reading, contract},
    contract_delta::{abilities, add_rows, named_files, take_rows},
    support::bucket::{Place, Server},
};

/// On Azure, or on S3.
struct Bucket<const AZURE: bool>(Place);

impl<const AZURE: bool> Bucket<AZURE> {
    fn new() -> Self {
        Self(Place::on(if AZURE { Server::Azure } else { Server::S3 }))
    }

    async fn stranger(&self, table: &str) -> DeltaTable {
        let mut found = self.0.stranger(table);
        if self.0.tables().await.contains(table) {
            found.load().await.unwrap();
        }
        found
    }

    /// Data files that no snapshot names.
    async fn stray(&self) -> Vec<String> {
        let mut found = vec![];
        for table in self.0.tables().await {
            let named = named_files(&self.stranger(&table).await).await;
            let files = self.0.objects(&table).await;
            found.extend(files.into_iter().filter(|file| !file.starts_with('_') && !named.contains(file)));
        }
        found
    }
}

#[async_trait]
impl<const AZURE: bool> Harness for Bucket<AZURE> {
    fn abilities(&self) -> Abilities {
        abilities()
    }

    fn open(&self) -> Arc<dyn Connection> {
        self.0.open()
    }

    async fn insert(&self, _: Reading, table: &str, rows: &RecordBatch) {
        add_rows(self.stranger(table).await, rows).await;
    }

    async fn delete(&self, table: &str, ids: &[i64]) {
        take_rows(self.stranger(table).await, ids).await;
    }

    async fn drop_table(&self, table: &str) {
        self.0.remove(table).await;
    }

    /// What is dropped goes by requests that nobody waits for.
    async fn leftovers(&self) -> Vec<String> {
        for _ in 0..50 {
            if self.stray().await.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.stray().await
    }
}

mod s3 {
    use super::*;

    contract!(Bucket<false>);
}

mod azure {
    use super::*;

    contract!(Bucket<true>);
}
