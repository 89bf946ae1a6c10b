//! The contract, kept by files in a folder and in buckets.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use object_store::{ObjectStoreExt as _, path::Path as ObjectPath};
use serde_json::Value as Json;
use vitrina::{
    connector::{ConnectionConfig, OpenContext, connection::Connection, files},
    model::delivery::Mode,
};

use crate::{
    contract::{Abilities, Harness, Reading, contract, promises},
    support::bucket::{Place, Server},
};

/// What strangers' files are made of.
#[derive(Clone, Copy)]
enum Made {
    Parquet,
    Csv,
    Jsonl,
}

impl Made {
    fn of(letter: char) -> Self {
        match letter {
            'c' => Self::Csv,
            'j' => Self::Jsonl,
            _ => Self::Parquet,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    /// Rows as a stranger's program writes them.
    fn bytes(self, rows: &RecordBatch) -> Vec<u8> {
        let mut bytes = vec![];
        match self {
            Self::Parquet => {
                let mut writer =
                    parquet::arrow::ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
                writer.write(rows).unwrap();
                writer.close().unwrap();
            }
            Self::Csv => arrow::csv::Writer::new(&mut bytes).write(rows).unwrap(),
            Self::Jsonl => {
                let mut writer = arrow::json::LineDelimitedWriter::new(&mut bytes);
                writer.write(rows).unwrap();
                writer.finish().unwrap();
            }
        }
        bytes
    }
}

/// What files can do, wherever they lie.
fn abilities() -> Abilities {
    Abilities {
        readings: vec![Reading::Log, Reading::Whole],
        cuts_logs: false,
        notices_log_changes: false,
        cursors: vec![],
        modes: vec![Mode::Append, Mode::Replace, Mode::Window],
        ..Abilities::all()
    }
}

/// Names of data files that a manifest names, or named until it was replaced.
fn named(manifest: &[u8]) -> HashSet<String> {
    let manifest: Json = serde_json::from_slice(manifest).unwrap();
    let names = ["files", "replaced"].into_iter().flat_map(|list| manifest[list].as_array().unwrap().clone());
    names.map(|file| file["name"].as_str().unwrap().to_owned()).collect()
}

/// A folder of the local file system.
struct Files<const MADE: char> {
    root: tempfile::TempDir,
}

impl<const MADE: char> Files<MADE> {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn folder(&self, table: &str) -> PathBuf {
        self.root.path().join("выгрузка").join(table)
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[async_trait]
impl<const MADE: char> Harness for Files<MADE> {
    fn abilities(&self) -> Abilities {
        abilities()
    }

    fn open(&self) -> Arc<dyn Connection> {
        let root = self.root.path().to_owned();
        let context = OpenContext { name: "place".to_owned(), scratch: root.join("scratch"), root };
        let config = files::config::Config { path: "выгрузка".to_owned(), ..Default::default() };
        vitrina::connector::open(&ConnectionConfig::Files(config), context).unwrap()
    }

    async fn insert(&self, _: Reading, table: &str, rows: &RecordBatch) {
        let (folder, made) = (self.folder(table), Made::of(MADE));
        std::fs::create_dir_all(&folder).unwrap();
        let name = format!("{:04}.{}", entries(&folder).len(), made.suffix());
        std::fs::write(folder.join(format!("{name}.tmp")), made.bytes(rows)).unwrap();
        std::fs::rename(folder.join(format!("{name}.tmp")), folder.join(name)).unwrap();
    }

    async fn delete(&self, _: &str, _: &[i64]) {
        panic!("files show no rows that were taken away");
    }

    async fn drop_table(&self, table: &str) {
        std::fs::remove_dir_all(self.folder(table)).unwrap();
    }

    async fn leftovers(&self) -> Vec<String> {
        let mut found = vec![];
        for table in entries(&self.folder("")) {
            let newest = entries(&table.join("_vitrina")).into_iter().max().expect("a manifest");
            let named = named(&std::fs::read(newest).unwrap());
            let files = entries(&table).into_iter().filter(|path| path.is_file());
            let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            found.extend(files.map(name).filter(|name| !named.contains(name)));
        }
        found
    }
}

/// A folder in a bucket, on Azure or on S3.
struct Bucket<const AZURE: bool>(Place);

impl<const AZURE: bool> Bucket<AZURE> {
    fn new() -> Self {
        Self(Place::on(if AZURE { Server::Azure } else { Server::S3 }))
    }

    async fn stray(&self) -> Vec<String> {
        let all = self.0.objects("").await;
        let mut found = vec![];
        let tables: HashSet<&str> =
            all.iter().filter_map(|path| path.split_once("/_vitrina/")).map(|(table, _)| table).collect();
        for table in tables {
            let below = |path: &&String| path.starts_with(&format!("{table}/_vitrina/"));
            let newest = ObjectPath::parse(all.iter().filter(below).max().unwrap()).unwrap();
            let manifest = self.0.store("").get(&newest).await.unwrap().bytes().await.unwrap();
            let named = named(&manifest);
            let files = all.iter().filter_map(|path| path.strip_prefix(&format!("{table}/")));
            let strange = files.filter(|file| !file.contains('/') && !named.contains(*file));
            found.extend(strange.map(str::to_owned));
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
        self.0.open_files()
    }

    async fn insert(&self, _: Reading, table: &str, rows: &RecordBatch) {
        let store = self.0.store(table);
        let name = format!("{:04}.parquet", self.0.objects(table).await.len());
        store.put(&ObjectPath::parse(name).unwrap(), Made::Parquet.bytes(rows).into()).await.unwrap();
    }

    async fn delete(&self, _: &str, _: &[i64]) {
        panic!("files show no rows that were taken away");
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

contract!(Files<'p'>);

mod s3 {
    use super::*;

    contract!(Bucket<false>);
}

mod azure {
    use super::*;

    contract!(Bucket<true>);
}

/// JSON Lines tell the types of what they hold, near enough.
mod jsonl {
    use super::*;

    promises! { Files<'j'>, bounds:
        slices_leave_no_gaps_and_split_no_equal_values,
        a_run_ends_at_its_first_head,
        a_slice_is_the_same_however_others_write,
        a_unit_is_read_again_alike,
        a_whole_table_is_one_snapshot_a_run,
        a_log_is_read_whole_where_it_is_asked_for,
    }
    promises! { Files<'j'>, changes:
        a_unit_keeps_its_schema,
        changed_wakes,
    }
    promises! { Files<'j'>, cells:
        rows_come_in_order_and_counted,
        bad_rows_are_named_and_kept,
        null_values_are_null,
        unlisted_columns,
        without_a_contract_the_declared_types_hold,
        wall_clock_times_are_in_the_projects_zone,
        any_name_is_read,
        a_dropped_stream_disturbs_nothing,
    }
}

/// CSV tells nothing but names.
mod csv {
    use super::*;

    promises! { Files<'c'>, bounds:
        slices_leave_no_gaps_and_split_no_equal_values,
        a_run_ends_at_its_first_head,
        a_slice_is_the_same_however_others_write,
        a_unit_is_read_again_alike,
        an_empty_source_is_no_error,
        a_whole_table_is_one_snapshot_a_run,
    }
    promises! { Files<'c'>, changes:
        a_unit_keeps_its_schema,
        what_is_missing_is_not_found,
        changed_wakes,
    }
    promises! { Files<'c'>, cells:
        rows_come_in_order_and_counted,
        null_values_are_null,
        wall_clock_times_are_in_the_projects_zone,
        any_name_is_read,
        a_dropped_stream_disturbs_nothing,
    }
}
