//! The contract, kept by Delta tables in a folder.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::cast,
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use async_trait::async_trait;
use deltalake::{
    DeltaTable, ensure_table_uri,
    operations::{delete::DeleteBuilder, write::SchemaMode},
    protocol::SaveMode,
};
use futures::TryStreamExt as _;
use vitrina::connector::{ConnectionConfig, OpenContext, connection::Connection, delta};

use crate::contract::{Abilities, Harness, Reading, contract};

struct Delta {
    root: tempfile::TempDir,
}

impl Delta {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn folder(&self, table: &str) -> PathBuf {
        self.root.path().join("склад").join(table)
    }

    async fn stranger(&self, table: &str) -> DeltaTable {
        let folder = self.folder(table);
        std::fs::create_dir_all(&folder).unwrap();
        let url = ensure_table_uri(folder.to_str().unwrap()).unwrap();
        DeltaTable::try_from_url(url).await.unwrap()
    }
}

/// What Delta tables can do, wherever they lie.
pub(crate) fn abilities() -> Abilities {
    Abilities {
        cuts_logs: false,
        refused_types: vec!["timestamp(ns)", "timestamp(ns, UTC)", "decimal(76,20)"],
        widens: false,
        ..Abilities::all()
    }
}

/// Rows in types that Delta has, as a stranger's writer would cast them.
fn storable(rows: &RecordBatch) -> RecordBatch {
    let cast_column = |column: &ArrayRef| match column.data_type() {
        DataType::Timestamp(_, zone) => {
            let kind = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
            cast(column, &kind).unwrap()
        }
        DataType::UInt64 => cast(column, &DataType::Decimal128(20, 0)).unwrap(),
        _ => column.clone(),
    };
    let columns: Vec<ArrayRef> = rows.columns().iter().map(cast_column).collect();
    let fields = rows.schema_ref().fields().iter().zip(&columns);
    let fields: Vec<Field> =
        fields.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

#[async_trait]
impl Harness for Delta {
    fn abilities(&self) -> Abilities {
        abilities()
    }

    fn open(&self) -> Arc<dyn Connection> {
        let root = self.root.path().to_owned();
        let context = OpenContext { name: "place".to_owned(), scratch: root.join("scratch"), root };
        let config = delta::config::Config { path: "склад".to_owned(), ..Default::default() };
        vitrina::connector::open(&ConnectionConfig::Delta(config), context).unwrap()
    }

    async fn insert(&self, _: Reading, table: &str, rows: &RecordBatch) {
        add_rows(self.stranger(table).await, rows).await;
    }

    async fn delete(&self, table: &str, ids: &[i64]) {
        take_rows(self.stranger(table).await, ids).await;
    }

    async fn drop_table(&self, table: &str) {
        std::fs::remove_dir_all(self.folder(table)).unwrap();
    }

    async fn leftovers(&self) -> Vec<String> {
        let mut found = vec![];
        let Ok(tables) = std::fs::read_dir(self.root.path().join("склад")) else { return found };
        for folder in tables.flatten().map(|entry| entry.path()) {
            let url = ensure_table_uri(folder.to_str().unwrap()).unwrap();
            let named = named_files(&deltalake::open_table(url).await.unwrap()).await;
            let named: HashSet<PathBuf> = named.iter().map(|file| folder.join(file)).collect();
            let stray = files_below(&folder).into_iter().filter(|file| !named.contains(file));
            found.extend(stray.map(|file| file.display().to_string()));
        }
        found
    }
}

/// Adds rows to a table that is loaded, where it is there, as a stranger's program would.
pub(crate) async fn add_rows(mut table: DeltaTable, rows: &RecordBatch) {
    let rows = storable(rows);
    if table.version().is_none() {
        let schema: deltalake::kernel::StructType =
            deltalake::kernel::engine::arrow_conversion::TryIntoKernel::try_into_kernel(
                rows.schema().as_ref(),
            )
            .unwrap();
        table = table.create().with_columns(schema.fields().cloned()).await.unwrap();
    }
    if rows.num_rows() > 0 {
        let write = table.write([rows]).with_save_mode(SaveMode::Append).with_schema_mode(SchemaMode::Merge);
        write.await.unwrap();
    }
}

/// Takes rows out as a stranger's program would.
pub(crate) async fn take_rows(table: DeltaTable, ids: &[i64]) {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let delete: DeleteBuilder = table.delete();
    delete.with_predicate(format!("id IN ({})", ids.join(", "))).await.unwrap();
}

/// Files of a table that a snapshot names, or that one named before maintenance joined them.
pub(crate) async fn named_files(table: &DeltaTable) -> HashSet<String> {
    let state = table.snapshot().unwrap();
    let mut named: HashSet<String> = state.log_data().iter().map(|file| file.path().into_owned()).collect();
    let log = table.log_store();
    let tombs: Vec<_> = state.all_tombstones(&log).try_collect().await.unwrap();
    named.extend(tombs.iter().map(|tomb| tomb.path().into_owned()));
    named
}

/// Data files: not the log, not record files.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with('_') {
            continue;
        }
        if entry.path().is_dir() {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

contract!(Delta);
