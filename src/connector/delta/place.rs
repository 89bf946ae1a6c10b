//! Where a connection's tables lie: a table is a folder of its own in the connection's.

use std::{fs, path::Path as FilePath, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectStore, local::LocalFileSystem, path::Path, prefix::PrefixStore};
use reqwest::Url;
use sha2::{Digest as _, Sha256};

use super::{
    super::{
        OpenContext,
        durable::DurableStore,
        error::{Error, ErrorKind, Result},
        objects::{Objects, root::Root},
    },
    config::Config,
    failure::failed,
    location::Location,
};

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

impl Place {
    /// The place that a configuration names. Touches nothing.
    pub(super) fn new(config: &Config, context: OpenContext) -> Result<Self> {
        let connection: Arc<str> = context.name.clone().into();
        let root = Root::new(config, &connection, &context)?;
        Ok(Self { connection, root, number: rand::random() })
    }

    /// The same place, to be asked from another runtime.
    pub(super) fn apart(&self) -> Self {
        Self { connection: self.connection.clone(), root: self.root.apart(), number: self.number }
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
            loose: Arc::new(PrefixStore::new(LocalFileSystem::new(), path.clone())),
            store: Arc::new(PrefixStore::new(whole.clone(), path)),
            whole,
            url,
            folder: Some(folder.into()),
            look_every: self.root.look_every(),
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
            loose: store.clone(),
            store,
            url,
            folder: None,
            look_every: self.root.look_every(),
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
        self.root.rights(&format!("connection `{}`", self.connection)).await
    }

    fn failed(&self, error: object_store::Error) -> Error {
        failed(format!("connection `{}` cannot be looked at", self.connection), error)
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
