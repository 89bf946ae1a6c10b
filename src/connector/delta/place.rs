//! Where a connection's tables lie: a folder of the local file system, or of a bucket. What is special to the one is in `durable`, what is special to
//! the other in `objects`; from here on both are stores, and a table is a folder in one.

use std::{
    fs,
    path::{Component, Path as FilePath, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectStore, path::Path, prefix::PrefixStore};
use reqwest::Url;
use sha2::{Digest as _, Sha256};

use super::{
    super::{
        OpenContext,
        error::{Error, ErrorKind, Result},
    },
    config::Config,
    durable::DurableStore,
    failure::{failed, io_failed},
    location::Location,
    objects::{Objects, address::Address},
};

/// How often a folder is looked at for something new.
const LOOK_AT_FOLDER: Duration = Duration::from_millis(500);
/// How often a bucket is: each look is a request that costs.
const LOOK_AT_BUCKET: Duration = Duration::from_secs(3);
/// Tables that are looked for at once.
const AT_ONCE: usize = 8;

/// Where the tables of a connection lie.
#[derive(Debug, Clone)]
pub(super) struct Place {
    connection: Arc<str>,
    root: Root,
    /// Tells its tables from those of other connections that are open.
    number: u64,
}

#[derive(Debug, Clone)]
enum Root {
    /// A folder, whole and without links as far as it is there.
    Folder(Arc<FilePath>),
    Bucket(Objects),
}

impl Place {
    /// The place that a configuration names. Touches nothing.
    pub(super) fn new(config: &Config, context: OpenContext) -> Result<Self> {
        let connection: Arc<str> = context.name.into();
        let address = Address::parse(&config.path).map_err(|wrong| {
            let message = format!("connection `{connection}`: {}", wrong.message);
            Error::new(ErrorKind::Unsupported, message).hint(wrong.hint)
        })?;
        let root = match address {
            Some(address) => Root::Bucket(Objects::new(&connection, address, config, context.root)),
            None => Root::Folder(resolved(&context.root.join(&config.path)).into()),
        };
        Ok(Self { connection, root, number: rand::random() })
    }

    /// The same place, to be asked from another runtime.
    pub(super) fn apart(&self) -> Self {
        let root = match &self.root {
            Root::Folder(folder) => Root::Folder(folder.clone()),
            Root::Bucket(objects) => Root::Bucket(objects.apart()),
        };
        Self { connection: self.connection.clone(), root, number: self.number }
    }

    /// What answers, for people.
    pub(super) fn version(&self) -> String {
        let library = format!("delta-rs {}", deltalake::crate_version());
        match &self.root {
            Root::Folder(_) => library,
            Root::Bucket(objects) => format!("{} by {library}", objects.address().kind.shown()),
        }
    }

    /// Where a table lies. Its name is used as it is, so it must be the name of a folder.
    pub(super) fn table(&self, table: &str) -> Result<Location> {
        let refused = table.is_empty()
            || table == "."
            || table == ".."
            || table.starts_with("_vitrina")
            || table == super::location::LOG
            || table.contains(['/', '\\', '\0']);
        if refused {
            return Err(self.no_table(table));
        }
        match &self.root {
            Root::Folder(root) => self.in_folder(root, table),
            Root::Bucket(objects) => self.in_bucket(objects, table),
        }
    }

    fn in_folder(&self, root: &FilePath, table: &str) -> Result<Location> {
        let folder = root.join(table);
        let odd = || {
            let message = format!("{} cannot be the folder of a table", folder.display());
            Error::new(ErrorKind::Unsupported, format!("connection `{}`: {message}", self.connection))
        };
        let url = Url::from_directory_path(&folder).map_err(|()| odd())?;
        let path = Path::from_url_path(url.path()).map_err(|error| odd().caused_by(error))?;
        let whole: Arc<dyn ObjectStore> = Arc::new(DurableStore::new());
        Ok(Location {
            connection: self.connection.clone(),
            table: table.into(),
            shown: folder.display().to_string().into(),
            store: Arc::new(PrefixStore::new(whole.clone(), path)),
            whole,
            url,
            folder: Some(folder.into()),
            look_every: LOOK_AT_FOLDER,
        })
    }

    /// The library sees each table of a bucket as a store of its own, of a name that no other has: two connections may have a bucket of one name
    /// in two places, and it cannot handle other paths than of Latin letters outside of its own local files.
    fn in_bucket(&self, objects: &Objects, table: &str) -> Result<Location> {
        let path = Path::parse(table).map_err(|error| self.no_table(table).caused_by(error))?;
        let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(objects.clone(), path));
        let shown = format!("{}/{table}", objects.address().shown());
        let digest: String = Sha256::digest(table).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let url = Url::parse(&format!("s3://{:016x}-{digest}/", self.number))
            .map_err(|error| self.no_table(table).caused_by(error))?;
        Ok(Location {
            connection: self.connection.clone(),
            table: table.into(),
            shown: shown.into(),
            whole: store.clone(),
            store,
            url,
            folder: None,
            look_every: LOOK_AT_BUCKET,
        })
    }

    fn no_table(&self, table: &str) -> Error {
        let message = format!(
            "`{table}` cannot be a table of connection `{}`: a Delta table is a folder",
            self.connection
        );
        Error::new(ErrorKind::Unsupported, message)
            .hint("choose a name without slashes that does not begin with `_vitrina`")
    }

    /// Names of its tables, sorted.
    pub(super) async fn table_names(&self) -> Result<Vec<String>> {
        let folders = match &self.root {
            Root::Folder(root) => folders_of(root),
            Root::Bucket(objects) => {
                let listed = objects.list_with_delimiter(None).await.map_err(|error| self.failed(error))?;
                let names = listed.common_prefixes.iter().filter_map(|path| path.filename());
                names.map(str::to_owned).collect()
            }
        };
        let tables = folders.into_iter().filter_map(|name| self.table(&name).ok());
        let looks: Vec<_> = tables.map(there).collect();
        let found: Vec<Option<String>> = futures::stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
        let mut names: Vec<String> = found.into_iter().flatten().collect();
        names.sort();
        Ok(names)
    }

    /// What may be done there, and what users should know. Makes nothing.
    pub(super) async fn rights(&self) -> Result<(Vec<String>, Vec<String>)> {
        let read = "read".to_owned();
        match &self.root {
            Root::Folder(root) => self.rights_in_folder(root),
            Root::Bucket(objects) => {
                objects.list_with_delimiter(None).await.map_err(|error| self.failed(error))?;
                let trusted = objects.is_trusted().await.map_err(|error| self.failed(error));
                Ok(match trusted {
                    Ok(Some(())) => (vec![read, "write".to_owned()], vec![]),
                    Ok(None) => {
                        let note = "nothing was written there yet: what the keys may write shows with the first commit";
                        (vec![read], vec![note.to_owned()])
                    }
                    Err(error) if error.kind == ErrorKind::Denied => {
                        (vec![read], vec![format!("it can only be read: {error}")])
                    }
                    Err(error) => return Err(error),
                })
            }
        }
    }

    fn rights_in_folder(&self, root: &FilePath) -> Result<(Vec<String>, Vec<String>)> {
        let (mut rights, mut notes) = (vec![], vec![]);
        match fs::metadata(root) {
            Ok(found) if found.is_dir() => {
                fs::read_dir(root).map_err(|error| self.unreadable(root, error))?;
                rights.push("read".to_owned());
                if found.permissions().readonly() {
                    notes.push(format!("{} cannot be written to", root.display()));
                } else {
                    rights.push("write".to_owned());
                }
            }
            Ok(_) => {
                return Err(self.unreadable(root, std::io::Error::from(std::io::ErrorKind::NotADirectory)));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                notes.push(format!("{} is made when it is first written to", root.display()));
            }
            Err(error) => return Err(self.unreadable(root, error)),
        }
        Ok((rights, notes))
    }

    fn failed(&self, error: object_store::Error) -> Error {
        failed(format!("connection `{}` cannot be looked at", self.connection), error)
    }

    fn unreadable(&self, root: &FilePath, error: std::io::Error) -> Error {
        io_failed(format!("connection `{}`: {} cannot be read", self.connection, root.display()), error)
    }
}

/// The table's name, where there is one.
async fn there(location: Location) -> Result<Option<String>> {
    Ok(location.exists().await?.then(|| location.table.to_string()))
}

/// Names of the folders in a folder; none where there is no such.
fn folders_of(root: &FilePath) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root) else { return vec![] };
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    folders.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// A path without links and detours, as far as it is there.
fn resolved(path: &FilePath) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let Ok(found) = fs::canonicalize(&path) {
        return found;
    }
    let mut whole = match path.parent() {
        Some(parent) => resolved(parent),
        None => return path,
    };
    match path.components().next_back() {
        Some(Component::ParentDir) => drop(whole.pop()),
        Some(Component::Normal(name)) => whole.push(name),
        _ => {}
    }
    whole
}
