//! The manifests of a folder: numbered, each put under a number that nobody has, the highest of which counts.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use object_store::{Error as StoreError, ObjectStoreExt as _, PutMode, PutPayload, path::Path};
use tokio::sync::Mutex;

use super::{
    super::error::{ErrorKind, Result},
    config::SourceOptions,
    format::Spelling,
    manifest::Manifest,
    name::MANIFESTS,
    place::{Found, Table},
    read::DataFile,
};

/// Manifests behind the newest one that are kept, whatever their age.
pub(super) const KEPT: u64 = 20;
/// A manifest that was removed between a listing and its reading is looked for anew so often.
const LOOKS: usize = 5;

/// A manifest and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    /// Its number, from 1.
    pub(super) number: u64,
    /// What it says.
    pub(super) manifest: Manifest,
}

/// What a table is made of, just now.
#[derive(Debug)]
pub(super) struct Listing {
    /// Its files, sorted by path.
    pub(super) files: Vec<Found>,
    /// What its manifest knows of them, where there is one.
    pub(super) known: Option<Known>,
}

/// What a manifest knows of all its files.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Their columns.
    pub(super) schema: SchemaRef,
    /// How they are spelled, but for what they are packed with.
    pub(super) spelling: Spelling,
}

impl Known {
    fn of(manifest: &Manifest) -> Self {
        Self { schema: manifest.schema(), spelling: manifest.spelling }
    }
}

/// The manifests of a table.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The table.
    pub(super) table: Table,
    newest: Mutex<Option<Arc<Version>>>,
}

impl Ledger {
    /// Touches nothing.
    pub(super) fn new(table: Table) -> Self {
        Self { table, newest: Mutex::default() }
    }

    /// The newest manifest; `None` = there is none, or the table is no folder.
    pub(super) async fn newest(&self) -> Result<Option<Arc<Version>>> {
        if !self.table.name.is_folder() {
            return Ok(None);
        }
        let mut known = self.newest.lock().await;
        for _ in 0..LOOKS {
            // From the one that is known on: it is there, unless somebody removed the table.
            let from = known.as_ref().map(|known| known.number.saturating_sub(1));
            match self.numbers(from).await?.into_iter().max() {
                None if known.is_none() => return Ok(None),
                None => *known = None,
                Some((number, _)) if known.as_ref().is_some_and(|known| known.number == number) => {
                    return Ok(known.clone());
                }
                Some((number, _)) => {
                    if let Some(manifest) = self.load(number).await? {
                        *known = Some(Arc::new(Version { number, manifest }));
                        return Ok(known.clone());
                    }
                }
            }
        }
        Err(self.table.error(ErrorKind::Busy, "its manifests are removed while they are read"))
    }

    /// Numbers of the manifests behind one, and when each was written.
    pub(super) async fn numbers(&self, behind: Option<u64>) -> Result<Vec<(u64, DateTime<Utc>)>> {
        let folder = self.table.path(&self.table.inside(MANIFESTS))?;
        let listed = match behind {
            Some(number) => self.table.store.list_with_offset(Some(&folder), &self.path(number)?),
            None => self.table.store.list(Some(&folder)),
        };
        let numbers = listed.try_filter_map(async |object| {
            let name = object.location.filename().and_then(|name| name.strip_suffix(".json"));
            let number = name.filter(|name| name.len() == 20).and_then(|name| name.parse().ok());
            Ok(number.map(|number| (number, object.last_modified)))
        });
        let numbers: Result<Vec<_>, StoreError> = numbers.try_collect().await;
        numbers.map_err(|error| self.table.failed("its manifests cannot be listed", error))
    }

    /// Where the manifest of a number lies.
    pub(super) fn path(&self, number: u64) -> Result<Path> {
        self.table.path(&self.table.inside(&format!("{MANIFESTS}/{number:020}.json")))
    }

    async fn load(&self, number: u64) -> Result<Option<Manifest>> {
        let failed = |error| self.table.failed(format!("its manifest {number} cannot be read"), error);
        let text = match self.table.store.get(&self.path(number)?).await {
            Ok(found) => found.bytes().await.map_err(failed)?,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        Manifest::parse(&text).map(Some).map_err(|wrong| {
            self.table.error(ErrorKind::Corrupt, format!("its manifest {number} cannot be read: {wrong}"))
        })
    }

    /// Puts the manifest after `version`; `None` = somebody was faster.
    pub(super) async fn put(
        &self,
        version: Option<&Version>,
        manifest: Manifest,
    ) -> Result<Option<Arc<Version>>> {
        let number = version.map_or(1, |version| version.number + 1);
        let text = serde_json::to_vec(&manifest).map_err(|error| {
            self.table.error(ErrorKind::Internal, "its manifest cannot be written down").caused_by(error)
        })?;
        let path = self.path(number)?;
        match self.table.store.put_opts(&path, PutPayload::from(text), PutMode::Create.into()).await {
            Ok(_) => {}
            Err(StoreError::AlreadyExists { .. }) => return Ok(None),
            Err(error) => return Err(self.table.failed("its manifest cannot be put", error)),
        }
        self.check_alive(version).await?;
        let new = Arc::new(Version { number, manifest });
        *self.newest.lock().await = Some(new.clone());
        Ok(Some(new))
    }

    /// Manifests are removed from the oldest on. Where the one that a new one came after is still there, the new one's number was never another's before.
    async fn check_alive(&self, version: Option<&Version>) -> Result<()> {
        let alive = match version {
            Some(version) => match self.table.store.head(&self.path(version.number)?).await {
                Ok(_) => true,
                Err(StoreError::NotFound { .. }) => false,
                Err(error) => return Err(self.table.failed("its manifests cannot be looked at", error)),
            },
            None => self.numbers(None).await?.iter().all(|(number, _)| *number <= KEPT),
        };
        if alive {
            return Ok(());
        }
        Err(self.table.error(ErrorKind::Conflict, "others went far ahead of it meanwhile"))
    }

    /// What the table is made of: what its manifest names, or else what lies there.
    pub(super) async fn listing(&self) -> Result<Listing> {
        match self.newest().await? {
            Some(version) => Ok(self.named(&version)),
            None => Ok(Listing { files: self.table.list().await?, known: None }),
        }
    }

    /// The same; `None` = there is no such table.
    pub(super) async fn look(&self) -> Result<Option<Listing>> {
        match self.newest().await? {
            Some(version) => Ok(Some(self.named(&version))),
            None => Ok(self.table.look().await?.map(|files| Listing { files, known: None })),
        }
    }

    /// What the newest manifest knows; `None` = there is none.
    pub(super) async fn known(&self) -> Result<Option<Known>> {
        Ok(self.newest().await?.map(|version| Known::of(&version.manifest)))
    }

    fn named(&self, version: &Version) -> Listing {
        let found = |file: &super::manifest::Named| Found {
            path: self.table.inside(&file.name),
            size: file.bytes,
            tag: String::new(),
            modified: DateTime::UNIX_EPOCH,
        };
        let mut files: Vec<Found> = version.manifest.files.iter().map(found).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Listing { files, known: Some(Known::of(&version.manifest)) }
    }
}

impl Table {
    /// How a file is spelled, by its name and what is told.
    pub(super) fn spelling(&self, path: &str, options: &SourceOptions) -> Result<Spelling> {
        Spelling::of(path, options).ok_or_else(|| {
            self.error(ErrorKind::Unsupported, format!("the name of `{path}` does not tell what it is made of"))
                .hint("tell it: `[source.files] format = \"csv\"`; or name the files by a pattern: `payments/*.csv`")
        })
    }

    /// A file to be read.
    pub(super) fn data(
        &self,
        found: Found,
        known: Option<&Known>,
        options: &SourceOptions,
    ) -> Result<DataFile> {
        let Some(known) = known else {
            let spelling = self.spelling(&found.path, options)?;
            return Ok(DataFile { found, spelling, known: None });
        };
        let compression =
            Spelling::of(&found.path, &SourceOptions::default()).and_then(|own| own.compression);
        let spelling = Spelling { compression, ..known.spelling };
        Ok(DataFile { found, spelling, known: Some(known.schema.clone()) })
    }
}
