//! The local file system as an object store whose writes survive a loss of power.
//!
//! The Delta library syncs nothing. Everything that it writes (data files, log entries, checkpoints) goes
//! through this store instead, which keeps one order: content is synced before its name shows it, a name is
//! synced (by its folder) before the call returns. So a log entry that can be seen is whole, and names only
//! data files that are whole.
//!
//! Who names many files at once may write them past this store and [`sync`] them together: the disk then waits once
//! for all of them, and not for each.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File},
    io::{self, ErrorKind, Write as _},
    ops::Range,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use futures::{
    FutureExt as _, StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
    local::LocalFileSystem, path::Path,
};

/// The store, rooted at the file system's root.
#[derive(Debug)]
pub(super) struct DurableStore {
    inner: Arc<LocalFileSystem>,
}

impl DurableStore {
    /// A store over the whole file system.
    pub(super) fn new() -> Self {
        Self { inner: Arc::new(LocalFileSystem::new()) }
    }
}

impl fmt::Display for DurableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("durable local file system")
    }
}

/// Writes a file so that it is there whole or not at all, and stays: content synced, then named, then the
/// folder synced. With `create`, fails with `AlreadyExists` where the name is taken.
fn write_file<'a>(
    path: &FilePath,
    content: impl IntoIterator<Item = &'a [u8]>,
    create: bool,
) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
    make_folders(folder)?;
    let mut staged = path.as_os_str().to_owned();
    // Names that end in `#` and digits are left out of listings by the local object store.
    staged.push(format!("#{}", rand::random::<u64>()));
    let staged = PathBuf::from(staged);
    let written = write_synced(&staged, content)
        .and_then(|()| if create { fs::hard_link(&staged, path) } else { fs::rename(&staged, path) });
    if create || written.is_err() {
        // What is left over has a name that nobody reads.
        let _ = fs::remove_file(&staged);
    }
    written?;
    sync_path(folder)
}

fn write_synced<'a>(path: &FilePath, content: impl IntoIterator<Item = &'a [u8]>) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    for part in content {
        file.write_all(part)?;
    }
    file.sync_all()
}

/// Makes a folder and what is missing above it; new names are synced.
fn make_folders(folder: &FilePath) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folders(parent)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    folder.parent().map_or(Ok(()), sync_path)
}

/// Files or folders that are synced at once: a journal takes what comes together in one go.
const SYNCS_AT_ONCE: usize = 32;

/// Syncs files below the folder `root` that were written past this store, then every folder from theirs up to it.
pub(super) async fn sync(root: &FilePath, files: BTreeSet<PathBuf>) -> io::Result<()> {
    let within = |path: &&FilePath| path.starts_with(root);
    let folders = files.iter().flat_map(|file| file.ancestors().skip(1).take_while(within));
    let folders: BTreeSet<PathBuf> = folders.map(FilePath::to_path_buf).collect();
    for paths in [files, folders] {
        let syncs = stream::iter(paths).map(|path| blocking(move || sync_path(&path)));
        syncs.buffer_unordered(SYNCS_AT_ONCE).try_collect::<()>().await?;
    }
    Ok(())
}

fn sync_path(path: &FilePath) -> io::Result<()> {
    File::open(path)?.sync_all()
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn store_error(path: &FilePath, source: io::Error) -> Error {
    let path = path.display().to_string();
    match source.kind() {
        ErrorKind::AlreadyExists => Error::AlreadyExists { path, source: source.into() },
        ErrorKind::NotFound => Error::NotFound { path, source: source.into() },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Error::PermissionDenied { path, source: source.into() }
        }
        _ => Error::Generic { store: "durable local file system", source: source.into() },
    }
}

#[async_trait]
impl ObjectStore for DurableStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let create = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return self.inner.put_opts(location, payload, options).await,
        };
        let path = self.inner.path_to_filesystem(location)?;
        let target = path.clone();
        blocking(move || write_file(&target, payload.iter().map(AsRef::as_ref), create))
            .await
            .map_err(|error| store_error(&path, error))?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.inner.path_to_filesystem(location)?;
        let folder = path.parent().map(FilePath::to_path_buf).unwrap_or_default();
        blocking(move || make_folders(&folder)).await.map_err(|error| store_error(&path, error))?;
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(DurableUpload { inner, path }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[Range<u64>],
    ) -> Result<Vec<tokio_util::bytes::Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        self.sync_name(to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await?;
        self.sync_name(to).await
    }
}

impl DurableStore {
    async fn sync_name(&self, location: &Path) -> Result<()> {
        let path = self.inner.path_to_filesystem(location)?;
        let target = path.clone();
        blocking(move || sync_whole(&target)).await.map_err(|error| store_error(&path, error))
    }
}

fn sync_whole(path: &FilePath) -> io::Result<()> {
    sync_path(path)?;
    path.parent().map_or(Ok(()), sync_path)
}

/// A file written in parts: synced, with its folder, when it is complete. No log entry names it before.
#[derive(Debug)]
struct DurableUpload {
    inner: Box<dyn MultipartUpload>,
    path: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data).boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.inner.complete().await?;
        let path = self.path.clone();
        blocking(move || sync_whole(&path)).await.map_err(|error| store_error(&self.path, error))?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("глубже/ещё/file");
        write_file(&path, [b"one".as_slice()], true).unwrap();
        let again = write_file(&path, [b"two".as_slice()], true).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write_file(&path, [b"th".as_slice(), b"ree"], false).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left over");
    }
}
