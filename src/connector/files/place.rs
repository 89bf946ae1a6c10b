//! Where files lie, and which of them a table means just now.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _, path::Path, prefix::PrefixStore};
use reqwest::Url;
use tokio::runtime::Handle;

use super::{
    super::{
        OpenContext,
        durable::DurableStore,
        error::{Error, ErrorKind, Result},
        objects::root::{Root, told},
    },
    config::{Config, SourceOptions},
    format::Spelling,
    name::{MANIFESTS, Name, is_passed_over},
};

/// Files that are listed at once.
const LISTED: usize = 100_000;

/// The folder of a connection.
#[derive(Debug, Clone)]
pub(super) struct Place {
    connection: Arc<str>,
    root: Root,
}

impl Place {
    /// The place that a configuration names. Touches nothing.
    pub(super) fn new(config: &Config, context: &OpenContext) -> Result<Self> {
        let connection: Arc<str> = context.name.clone().into();
        let root = Root::new(config, &connection, context)?;
        Ok(Self { connection, root })
    }

    /// The same place, to be asked from another runtime.
    pub(super) fn apart(&self) -> Self {
        Self { connection: self.connection.clone(), root: self.root.apart() }
    }

    /// What answers, for people.
    pub(super) fn version(&self) -> String {
        match &self.root {
            Root::Folder(_) => "files".to_owned(),
            Root::Bucket(objects) => format!("files on {}", objects.address().kind.shown()),
        }
    }

    /// What may be done there, and what users should know. Makes nothing.
    pub(super) async fn rights(&self) -> Result<(Vec<String>, Vec<String>)> {
        self.root.rights(&format!("connection `{}`", self.connection)).await
    }

    /// The files that a name means.
    pub(super) fn table(&self, table: &str) -> Result<Table> {
        let name = Name::parse(table).map_err(|wrong| {
            Error::new(ErrorKind::Unsupported, format!("connection `{}`: {wrong}", self.connection))
                .hint(Name::HINT)
        })?;
        Ok(Table {
            connection: self.connection.clone(),
            table: table.into(),
            name,
            store: self.store()?,
            local: match &self.root {
                Root::Folder(folder) => Some(folder.clone()),
                Root::Bucket(_) => None,
            },
            shown: format!("{}/{table}", self.root).into(),
            look_every: self.root.look_every(),
        })
    }

    /// The connection's folder as a store.
    fn store(&self) -> Result<Arc<dyn ObjectStore>> {
        let folder = match &self.root {
            Root::Bucket(objects) => return Ok(Arc::new(objects.clone())),
            Root::Folder(folder) => folder,
        };
        let odd = || {
            let message =
                format!("connection `{}`: {} cannot be a folder", self.connection, folder.display());
            Error::new(ErrorKind::Unsupported, message)
        };
        let url = Url::from_directory_path(folder).map_err(|()| odd())?;
        let path = Path::from_url_path(url.path()).map_err(|error| odd().caused_by(error))?;
        Ok(Arc::new(PrefixStore::new(DurableStore::new(), path)))
    }

    /// Names of tables, sorted: folders that hold data files or a manifest, and files that lie in the connection's own folder.
    pub(super) async fn table_names(&self) -> Result<Vec<String>> {
        let failed = |error| told(format!("connection `{}` cannot be listed", self.connection), error);
        let mut tables = BTreeSet::new();
        let mut found = self.store()?.list(None);
        let mut count = 0;
        while let Some(object) = found.try_next().await.map_err(failed)? {
            count += 1;
            if count > LISTED {
                break;
            }
            let path = object.location.as_ref();
            let marker = format!("/{MANIFESTS}/");
            let table = match path.split_once(&marker) {
                Some((folder, _)) => folder,
                None if is_passed_over(path) || Spelling::of(path, &SourceOptions::default()).is_none() => {
                    continue;
                }
                None => path.rsplit_once('/').map_or(path, |(folder, _)| folder),
            };
            if !is_passed_over(table) && Name::parse(table).is_ok() {
                tables.insert(table.to_owned());
            }
        }
        Ok(tables.into_iter().collect())
    }
}

/// The files that a table means.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// The connection's name.
    pub(super) connection: Arc<str>,
    /// The table, as it was named.
    pub(super) table: Arc<str>,
    /// What that means.
    pub(super) name: Name,
    /// The connection's folder.
    pub(super) store: Arc<dyn ObjectStore>,
    /// The connection's folder, on the local file system.
    local: Option<Arc<FilePath>>,
    /// Where, for people.
    pub(super) shown: Arc<str>,
    /// How often it is looked at for something new.
    pub(super) look_every: Duration,
}

/// A file as it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Its path below the connection's folder.
    pub(super) path: String,
    /// Its bytes.
    pub(super) size: u64,
    /// What tells it from another one of its name.
    pub(super) tag: String,
    /// When it was written.
    pub(super) modified: DateTime<Utc>,
}

impl Found {
    fn of(object: ObjectMeta, local: bool) -> Self {
        let tag = match object.e_tag {
            // A copy of a folder keeps sizes and times, and no numbers of nodes.
            Some(tag) if !local => tag.trim_matches('"').to_owned(),
            _ => {
                let nanos = object.last_modified.timestamp_nanos_opt().unwrap_or_default();
                format!("{}-{nanos}", object.size)
            }
        };
        Self { path: object.location.into(), size: object.size, tag, modified: object.last_modified }
    }
}

impl Table {
    /// For messages.
    pub(super) fn describe(&self) -> String {
        format!("files `{}` of connection `{}`", self.table, self.connection)
    }

    /// An error about these files.
    pub(super) fn error(&self, kind: ErrorKind, what: impl fmt::Display) -> Error {
        Error::new(kind, format!("{}: {what}", self.describe()))
    }

    /// What the store said.
    pub(super) fn failed(&self, what: impl fmt::Display, error: object_store::Error) -> Error {
        told(format!("{}: {what}", self.describe()), error)
    }

    /// A path of the store.
    pub(super) fn path(&self, path: &str) -> Result<Path> {
        Path::parse(path).map_err(|error| {
            self.error(ErrorKind::Unsupported, format!("`{path}` is no path")).caused_by(error)
        })
    }

    /// Whether it lies on the local file system.
    pub(super) fn is_local(&self) -> bool {
        self.local.is_some()
    }

    /// The path of something in the table's folder.
    pub(super) fn inside(&self, name: &str) -> String {
        if self.name.folder.is_empty() { name.to_owned() } else { format!("{}/{name}", self.name.folder) }
    }

    /// The data files, sorted by path. A folder that is not there is an error.
    pub(super) async fn list(&self) -> Result<Vec<Found>> {
        self.look().await?.ok_or_else(|| {
            self.error(ErrorKind::NotFound, "there is no such folder")
                .hint(format!("check the name; it would be {}", self.shown))
        })
    }

    /// The same; `None` = there is no such folder, or no such file.
    pub(super) async fn look(&self) -> Result<Option<Vec<Found>>> {
        let folder = Some(self.path(&self.name.folder)?).filter(|path| !path.as_ref().is_empty());
        if let Some(local) = &self.local
            && !local.join(&self.name.folder).is_dir()
        {
            return Ok(None);
        }
        let failed = |error| self.failed("its folder cannot be listed", error);
        let (mut found, mut any) = (vec![], false);
        let mut take = |object: ObjectMeta| {
            any = true;
            if self.name.has(object.location.as_ref()) {
                found.push(Found::of(object, self.is_local()));
            }
            if found.len() > LISTED {
                let what = format!("there are more than {LISTED} of them");
                return Err(self.error(ErrorKind::Limit, what).hint("name fewer of them by a pattern"));
            }
            Ok(())
        };
        if self.name.is_deep() {
            let mut objects = self.store.list(folder.as_ref());
            while let Some(object) = objects.try_next().await.map_err(failed)? {
                take(object)?;
            }
        } else {
            let listed = self.store.list_with_delimiter(folder.as_ref()).await.map_err(failed)?;
            let deeper = !listed.common_prefixes.is_empty();
            listed.objects.into_iter().try_for_each(&mut take)?;
            any |= deeper;
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        let one_is_missing = found.is_empty() && !self.name.is_folder() && !self.name.is_deep();
        Ok((!one_is_missing && (any || self.is_local())).then_some(found))
    }

    /// A file as it is now; `None` = it is gone.
    pub(super) async fn now(&self, path: &str) -> Result<Option<Found>> {
        match self.store.head(&self.path(path)?).await {
            Ok(object) => Ok(Some(Found::of(object, self.is_local()))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(format!("`{path}` cannot be looked at"), error)),
        }
    }

    /// Removes files of the table's folder that nobody names, as far as that goes at once; what is left over goes by its age.
    pub(super) fn discard<'a>(&self, names: impl Iterator<Item = &'a str>) {
        if let Some(local) = &self.local {
            names.for_each(|name| drop(std::fs::remove_file(local.join(self.inside(name)))));
        } else if let Ok(runtime) = Handle::try_current() {
            let paths: Vec<_> = names.filter_map(|name| self.path(&self.inside(name)).ok()).collect();
            let store = self.store.clone();
            runtime.spawn(async move {
                for path in paths {
                    if let Err(error) = store.delete(&path).await {
                        tracing::debug!(%error, "a file that nobody names could not be removed");
                    }
                }
            });
        }
    }

    /// Files that somebody left half-written beside a table's, on the local file system: their names end in `#` and digits, and no listing shows them.
    pub(super) fn half_written(&self) -> Vec<PathBuf> {
        let Some(local) = &self.local else { return vec![] };
        let Ok(entries) = std::fs::read_dir(local.join(&self.name.folder)) else { return vec![] };
        let half = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let digits = name.rsplit_once('#').map(|(_, digits)| digits);
            digits
                .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        };
        entries.flatten().map(|entry| entry.path()).filter(half).collect()
    }
}
