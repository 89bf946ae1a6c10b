//! The folder of a connection: of the local file system, or of a bucket. What is special to the one is in `connector/durable.rs`, what is special to the other
//! beside this; from here on both are stores.

use std::{
    error::Error as StdError,
    fs, io,
    path::{Component, Path as FilePath, PathBuf},
    sync::Arc,
    time::Duration,
};

use object_store::{Error as StoreError, ObjectStore as _};

use super::{
    super::{
        OpenContext,
        error::{Error, ErrorKind, Result},
    },
    Objects,
    address::Address,
    config::Config,
};

/// How often a folder is looked at for something new.
const LOOK_AT_FOLDER: Duration = Duration::from_millis(500);
/// How often a bucket is: each look is a request that costs.
const LOOK_AT_BUCKET: Duration = Duration::from_secs(3);

/// Where a connection's folder is.
#[derive(Debug, Clone)]
pub(crate) enum Root {
    /// A folder, whole and without links as far as it is there.
    Folder(Arc<FilePath>),
    /// In a bucket.
    Bucket(Objects),
}

impl Root {
    /// The folder that a configuration names. Touches nothing.
    pub(crate) fn new(config: &Config, connection: &Arc<str>, context: &OpenContext) -> Result<Self> {
        let address = Address::parse(&config.path).map_err(|wrong| {
            let message = format!("connection `{connection}`: {}", wrong.message);
            Error::new(ErrorKind::Unsupported, message).hint(wrong.hint)
        })?;
        Ok(match address {
            Some(address) => Self::Bucket(Objects::new(connection, address, config, context.root.clone())),
            None => Self::Folder(resolved(&context.root.join(&config.path)).into()),
        })
    }

    /// The same place, to be asked from another runtime.
    pub(crate) fn apart(&self) -> Self {
        match self {
            Self::Folder(folder) => Self::Folder(folder.clone()),
            Self::Bucket(objects) => Self::Bucket(objects.apart()),
        }
    }

    /// How often it is looked at for something new.
    pub(crate) fn look_every(&self) -> Duration {
        match self {
            Self::Folder(_) => LOOK_AT_FOLDER,
            Self::Bucket(_) => LOOK_AT_BUCKET,
        }
    }

    /// What may be done there, and what users should know; `what` = how messages name it. Makes nothing.
    pub(crate) async fn rights(&self, what: &str) -> Result<(Vec<String>, Vec<String>)> {
        match self {
            Self::Folder(root) => rights_in_folder(root, what),
            Self::Bucket(objects) => rights_in_bucket(objects, what).await,
        }
    }
}

async fn rights_in_bucket(objects: &Objects, what: &str) -> Result<(Vec<String>, Vec<String>)> {
    let failed = |error| told(format!("{what} cannot be looked at"), error);
    let read = "read".to_owned();
    objects.list_with_delimiter(None).await.map_err(failed)?;
    Ok(match objects.is_trusted().await.map_err(failed) {
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

fn rights_in_folder(root: &FilePath, what: &str) -> Result<(Vec<String>, Vec<String>)> {
    let unreadable = |error: io::Error| {
        let message = format!("{what}: {} cannot be read", root.display());
        Error::new(ErrorKind::of_io(&error), message).caused_by(error)
    };
    let (mut rights, mut notes) = (vec![], vec![]);
    match fs::metadata(root) {
        Ok(found) if found.is_dir() => {
            fs::read_dir(root).map_err(unreadable)?;
            rights.push("read".to_owned());
            if found.permissions().readonly() {
                notes.push(format!("{} cannot be written to", root.display()));
            } else {
                rights.push("write".to_owned());
            }
        }
        Ok(_) => return Err(unreadable(io::ErrorKind::NotADirectory.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            notes.push(format!("{} is made when it is first written to", root.display()));
        }
        Err(error) => return Err(unreadable(error)),
    }
    Ok((rights, notes))
}

/// What a store said, or the file system: `what` failed.
pub(crate) fn told(what: impl Into<String>, error: StoreError) -> Error {
    let what = what.into();
    let first: &(dyn StdError + 'static) = &error;
    let mut causes = std::iter::successors(Some(first), |error| StdError::source(*error));
    let kind = causes.find_map(|cause| {
        if let Some(ours) = cause.downcast_ref::<Error>() {
            return Some(Err(Error::new(ours.kind, what.as_str())
                .hint(ours.advice())
                .caused_by(ours.to_string())));
        }
        match cause.downcast_ref() {
            Some(StoreError::NotFound { .. }) => return Some(Ok(ErrorKind::NotFound)),
            Some(StoreError::PermissionDenied { .. }) => return Some(Ok(ErrorKind::Denied)),
            _ => {}
        }
        let error = cause.downcast_ref::<io::Error>()?;
        let wraps = matches!(error.kind(), io::ErrorKind::Other);
        (!wraps).then(|| Ok(ErrorKind::of_io(error)))
    });
    match kind {
        Some(Err(ours)) => ours,
        Some(Ok(kind)) => Error::new(kind, what).caused_by(error),
        None => Error::new(ErrorKind::Io, what).caused_by(error),
    }
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

impl std::fmt::Display for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Bucket(objects) => f.write_str(&objects.address().shown()),
        }
    }
}
