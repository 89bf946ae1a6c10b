//! The data files of a snapshot. The library lists them by replaying the log; here they are listed once, and carried on from one snapshot to the next by what the
//! log entries between them say. Every window of a mart asks for them twice.

use std::{collections::BTreeMap, sync::Arc};

use deltalake::{
    DeltaTableError,
    kernel::{Add, Remove},
};
use futures::{StreamExt as _, stream};
use serde::Deserialize;

use super::{
    super::error::Result,
    location::Location,
    table::DataFile,
    transactions::{Numbers, READS_AT_ONCE, Transaction},
};

/// Data files by their paths.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing(BTreeMap<Arc<str>, Arc<DataFile>>);

/// What log entries say that came after a snapshot, in their order.
#[derive(Default)]
pub(super) struct News {
    /// The last number of each application transaction.
    pub(super) transactions: Numbers,
    files: Vec<Change>,
}

enum Change {
    Added(DataFile),
    Removed(String),
}

impl Listing {
    /// These files.
    pub(super) fn of(files: impl IntoIterator<Item = DataFile>) -> Self {
        Self(files.into_iter().map(|file| (file.path.as_str().into(), Arc::new(file))).collect())
    }

    /// The files by path.
    #[cfg(test)]
    fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<DataFile>)> {
        self.0.iter()
    }

    /// Its files whose paths another listing lacks. Listings that were carried on share their paths, so most are told apart without a look at the text.
    pub(super) fn beyond<'l>(
        &'l self,
        other: &'l Self,
    ) -> impl Iterator<Item = (&'l Arc<str>, &'l Arc<DataFile>)> {
        let mut known = other.0.keys().peekable();
        self.0.iter().filter(move |(path, _)| {
            while known.next_if(|known| !Arc::ptr_eq(known, path) && known < path).is_some() {}
            known.next_if(|known| Arc::ptr_eq(known, path) || known == path).is_none()
        })
    }

    /// Whether there is a file of this path.
    pub(super) fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// All files, oldest first.
    pub(super) fn in_order(&self) -> Vec<DataFile> {
        let mut files: Vec<DataFile> = self.0.values().map(|file| file.as_ref().clone()).collect();
        files.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
        files
    }

    /// What is there after these changes.
    pub(super) fn after(&self, news: &News) -> Self {
        let mut files = self.0.clone();
        for change in &news.files {
            match change {
                Change::Added(file) => drop(files.insert(file.path.as_str().into(), Arc::new(file.clone()))),
                Change::Removed(path) => drop(files.remove(path.as_str())),
            }
        }
        Self(files)
    }
}

/// An action of a log entry, as far as it is asked for.
#[derive(Deserialize)]
struct Line {
    txn: Option<Transaction>,
    add: Option<Add>,
    remove: Option<Remove>,
}

impl News {
    /// What came after a version, up to another; `None` = an entry is gone.
    pub(super) async fn between(location: &Location, before: u64, version: u64) -> Result<Option<Self>> {
        let reads: Vec<_> = (before + 1..=version).map(|at| location.logged_entry(at)).collect();
        let mut entries = stream::iter(reads).buffered(READS_AT_ONCE).zip(stream::iter(before + 1..));
        let mut news = Self::default();
        while let Some((entry, at)) = entries.next().await {
            let Some(entry) = entry? else { return Ok(None) };
            news.take_in(&entry).map_err(|error| {
                location.failed(&format!("log entry {at} cannot be read"), DeltaTableError::from(error))
            })?;
        }
        Ok(Some(news))
    }

    fn take_in(&mut self, entry: &[u8]) -> serde_json::Result<()> {
        let mut added = vec![];
        for line in entry.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            let line: Line = serde_json::from_slice(line)?;
            self.transactions.extend(line.txn.map(|txn| (txn.app_id, txn.version)));
            added.extend(line.add.map(|add| Change::Added(DataFile::added(&add))));
            self.files.extend(line.remove.map(|remove| Change::Removed(remove.path)));
        }
        // A file that is removed and added by one entry, as with another deletion vector, is there.
        self.files.append(&mut added);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use deltalake::{
        kernel::Action,
        protocol::{DeltaOperation, SaveMode},
    };

    use super::{
        super::{claim, ledger::Marks, place::Place, table::Table},
        *,
    };
    use crate::connector::OpenContext;

    fn added(path: &str, rows: u64) -> Add {
        Add {
            path: path.to_owned(),
            size: 1,
            data_change: true,
            stats: Some(format!(r#"{{"numRecords":{rows}}}"#)),
            ..Add::default()
        }
    }

    #[test]
    fn what_another_listing_lacks() {
        let listing = |paths: &[&str]| Listing::of(paths.iter().map(|path| DataFile::added(&added(path, 1))));
        let beyond = |one: &Listing, other: &Listing| {
            one.beyond(other).map(|(path, _)| path.to_string()).collect::<Vec<_>>()
        };
        let before = listing(&["b", "c", "e", "я"]);
        let add = |path: &str| Change::Added(DataFile::added(&added(path, 2)));
        let files = vec![add("a"), Change::Removed("c".to_owned()), add("d"), add("e"), add("z")];
        let after = before.after(&News { transactions: Numbers::new(), files });
        assert_eq!(beyond(&after, &before), ["a", "d", "z"]);
        assert_eq!(beyond(&before, &after), ["c"]);
        assert!(beyond(&after, &after.clone()).is_empty());
        assert_eq!(beyond(&before, &Listing::default()), ["b", "c", "e", "я"]);
        assert!(beyond(&Listing::default(), &before).is_empty());
        assert!(beyond(&listing(&["c", "я"]), &before).is_empty(), "paths of its own");
    }

    async fn commit(table: &Table, actions: Vec<Action>) {
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
        assert!(table.commit(actions, operation, Marks::default()).await.unwrap().is_some());
    }

    fn told(listing: &Listing) -> Vec<(String, Option<u64>)> {
        listing.iter().map(|(path, file)| (path.to_string(), file.rows)).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_listing_that_is_carried_on_is_that_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let context = OpenContext { name: "lake".to_owned(), scratch: root.join("scratch"), root };
        let place = Place::new(&toml::from_str("path = \".\"").unwrap(), context).unwrap();
        let location = place.table("события").unwrap();
        claim::create_empty(&location).await.unwrap();
        let paths = ["a.parquet", "регион=МРФ 1%25/b c.parquet", "x=%2F/d.parquet"];
        for path in paths {
            let file = folder.path().join("события").join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        let mut table = location.open().await.unwrap().unwrap();
        assert!(told(&table.listing().unwrap()).is_empty());
        let add = |at: usize, rows| Action::Add(added(paths[at], rows));
        let remove = |at: usize| DataFile::added(&added(paths[at], 0)).removal(true, 0);
        let steps = [
            vec![add(0, 1), add(1, 2)],
            vec![add(2, 3), remove(1)],
            vec![remove(0)],
            vec![add(1, 4), add(0, 5)],
            // As by another deletion vector.
            vec![add(1, 6), remove(1)],
        ];
        for (at, step) in steps.into_iter().enumerate() {
            commit(&table, step).await;
            // Every other time two versions come at once.
            if at % 2 == 0 {
                assert!(table.refresh().await.unwrap());
                let fresh = location.open().await.unwrap().unwrap().listing().unwrap();
                assert_eq!(told(&table.listing().unwrap()), told(&fresh), "after step {at}");
            } else {
                let mut newest = table.clone();
                newest.refresh().await.unwrap();
                commit(&newest, vec![]).await;
                table.refresh().await.unwrap();
            }
        }
        assert_eq!(told(&table.listing().unwrap()).len(), 3);
    }
}
