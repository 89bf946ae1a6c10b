//! A bucket of an object store as the store that tables and files lie in. Everything that is special to object stores is in this folder; what is special to
//! the local file system is in `connector/durable.rs`.
//!
//! Why rows and record become visible together, once, and stay (`delta/commit.rs` and `files/write.rs` say what a commit is made of; here is what a bucket adds to it):
//!
//! - **Nothing is synced.** A put that was answered is kept by the store, whole: a name shows its whole content or is not there. Data files are
//!   put before the record file, and that before the log entry, each answered before the next begins.
//! - **A log entry, or a manifest, is put by `If-None-Match: *`**, so of all who want a version one gets it. A store that takes the header and writes all the
//!   same would lose commits in silence. So before the first conditional put of a connection the store must refuse one of a name that is
//!   taken ([`Objects::trust`]); one that does not is not written to.
//! - **A lost answer is resolved by looking.** Clients send a request again whose answer was lost, and are told then that the name is taken,
//!   by themselves. So whenever a conditional put fails, the name is read: it holds our bytes, and the put came through; it holds others',
//!   and somebody was faster; it holds nothing, and the failure is told. An entry's bytes name its attempt and its files, which have random
//!   names: no two writers' entries that matter are alike.
//! - **What was not answered may still arrive**, after the look. So nobody takes back data files whose entry failed for another reason than
//!   being beaten: should the entry arrive late, it is whole and its record counts, and whoever goes on finds that; else the
//!   files are left-overs.
//! - **Left-overs** are files that no entry names: maintenance removes them by age, as on any file system. An upload in parts that is dropped is
//!   aborted ([`Upload`]); one of a process that was killed is none of the bucket's objects, and goes by the bucket's own rule for them.

use std::{fmt, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, future, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result, UploadPart, path::Path,
};
use tokio::{runtime::Handle, sync::OnceCell};

use self::{
    address::{Address, Kind},
    config::Config,
    said::Act,
};

pub(super) mod address;
pub mod config;
mod open;
pub(crate) mod root;
pub(super) mod said;

/// What a name is taken with, to see whether the store keeps it.
const TAKEN: &str = "_vitrina/taken";
/// A conditional put that met another one of the same name half-way is sent again so often.
const MEETINGS: usize = 5;

/// What a connection to a bucket is made of.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The connection's name.
    pub(super) connection: Arc<str>,
    /// Where its tables lie.
    pub(super) address: Address,
    config: Config,
    /// The project's folder, where files of secrets are looked for.
    project: PathBuf,
}

impl Settings {
    /// Where, for messages.
    fn shown(&self) -> String {
        format!("{} of connection `{}`", self.address.shown(), self.connection)
    }
}

/// The folder of a connection in a bucket, as a store. Connected to when it is first asked.
#[derive(Clone)]
pub(crate) struct Objects(Arc<Inner>);

struct Inner {
    settings: Settings,
    client: OnceCell<Arc<dyn ObjectStore>>,
    trusted: OnceCell<()>,
}

impl Objects {
    /// Reads no secret and connects to nothing yet.
    pub(super) fn new(connection: &Arc<str>, address: Address, config: &Config, project: PathBuf) -> Self {
        let settings = Settings { connection: connection.clone(), address, config: config.clone(), project };
        Self(Arc::new(Inner { settings, client: OnceCell::new(), trusted: OnceCell::new() }))
    }

    /// The same place by connections of its own: those of a client live in the runtime that they were begun in.
    pub(super) fn apart(&self) -> Self {
        let settings = self.0.settings.clone();
        Self(Arc::new(Inner { settings, client: OnceCell::new(), trusted: OnceCell::new() }))
    }

    /// Where its tables lie.
    pub(super) fn address(&self) -> &Address {
        &self.0.settings.address
    }

    async fn client(&self) -> Result<&Arc<dyn ObjectStore>> {
        self.0.client.get_or_try_init(|| open::open(&self.0.settings)).await
    }

    fn said(&self, act: Act, path: &Path, error: Error) -> Error {
        said::said(&self.0.settings.shown(), act, path, error)
    }

    /// Sees to it, once, that the store refuses a conditional put of a name that is taken.
    async fn trust(&self) -> Result<()> {
        let tried = self.0.trusted.get_or_try_init(|| async {
            // The first put may be the one that takes the name.
            if self.keeps_taken_names().await? || self.keeps_taken_names().await? {
                return Ok(());
            }
            Err(said::unsafe_store(&self.0.settings.shown()))
        });
        tried.await.copied()
    }

    /// Puts a name that may be taken. `false` = the store let it: because nobody had the name, or because it does not look.
    async fn keeps_taken_names(&self) -> Result<bool> {
        let (path, payload) = (Path::from(TAKEN), PutPayload::from_static(b"{}\n"));
        match self.client().await?.put_opts(&path, payload, PutMode::Create.into()).await {
            Ok(_) => Ok(false),
            Err(Error::AlreadyExists { .. }) => Ok(true),
            Err(Error::NotImplemented { .. }) => Err(said::unsafe_store(&self.0.settings.shown())),
            Err(error) => Err(self.said(Act::Write, &path, error)),
        }
    }

    /// Whether rows can be committed there, as far as that shows without making anything; `None` = nobody wrote there yet.
    pub(super) async fn is_trusted(&self) -> Result<Option<()>> {
        match self.head(&Path::from(TAKEN)).await {
            Ok(_) => self.trust().await.map(Some),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a name that nobody has.
    async fn create(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.trust().await?;
        let client = self.client().await?;
        let mut meetings = 0;
        loop {
            let error = match client.put_opts(location, payload.clone(), options.clone()).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            match self.look(location, &payload).await {
                Ok(Some(true)) => return Ok(PutResult { e_tag: None, version: None }),
                Ok(Some(false)) => return Err(said::taken(location)),
                // A conflict where nobody is: two puts met, and neither came through.
                Ok(None) if matches!(error, Error::AlreadyExists { .. }) && meetings < MEETINGS => {
                    meetings += 1;
                }
                // It may be ourselves who have the name: that it is taken must not be told for sure.
                Err(unseen) if matches!(error, Error::AlreadyExists { .. }) => {
                    return Err(self.said(Act::Read, location, unseen));
                }
                Ok(None) | Err(_) => return Err(self.said(Act::Write, location, error)),
            }
        }
    }

    /// Whether a name holds these bytes; `None` = nobody has it.
    async fn look(&self, location: &Path, payload: &PutPayload) -> Result<Option<bool>> {
        let found = match self.client().await?.get(location).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if found.meta.size != payload.content_length() as u64 {
            return Ok(Some(false));
        }
        let found = found.bytes().await?;
        Ok(Some(payload.iter().flatten().eq(found.iter())))
    }

    /// A listing, begun when it is first asked for.
    fn listing(
        &self,
        prefix: Option<&Path>,
        list: impl FnOnce(&Arc<dyn ObjectStore>, Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>>
        + Send
        + 'static,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix) = (self.clone(), prefix.cloned());
        let shown = prefix.clone().unwrap_or_default();
        let teller = self.clone();
        let listed = async move { Ok::<_, Error>(list(this.client().await?, prefix.as_ref())) };
        let listed = futures::stream::once(listed).try_flatten();
        listed.map_err(move |error| teller.said(Act::List, &shown, error)).boxed()
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.settings.shown())
    }
}

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.settings.shown())
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if options.mode == PutMode::Create {
            return self.create(location, payload, options).await;
        }
        let put = self.client().await?.put_opts(location, payload, options).await;
        put.map_err(|error| self.said(Act::Write, location, error))
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begun = self.client().await?.put_multipart_opts(location, options).await;
        let parts = begun.map_err(|error| self.said(Act::Write, location, error))?;
        Ok(Box::new(Upload { parts: Some(parts), store: self.clone(), location: location.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let got = self.client().await?.get_opts(location, options).await;
        let mut got = got.map_err(|error| self.said(Act::Read, location, error))?;
        if let GetResultPayload::Stream(bytes) = got.payload {
            let (this, location) = (self.clone(), location.clone());
            let bytes = bytes.map_err(move |error| this.said(Act::Read, &location, error));
            got.payload = GetResultPayload::Stream(bytes.boxed());
        }
        Ok(got)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (this, teller) = (self.clone(), self.clone());
        let deleted = async move { Ok::<_, Error>(this.client().await?.delete_stream(locations)) };
        let deleted = futures::stream::once(deleted).try_flatten();
        deleted.map_err(move |error| teller.said(Act::Remove, &Path::default(), error)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(prefix, |client, prefix| client.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let offset = offset.clone();
        // Not every server of Azure's language knows where to begin.
        if self.address().kind == Kind::Azure {
            let behind = move |found: &ObjectMeta| future::ready(found.location > offset);
            return self.list(prefix).try_filter(behind).boxed();
        }
        self.listing(prefix, move |client, prefix| client.list_with_offset(prefix, &offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let listed = self.client().await?.list_with_delimiter(prefix).await;
        listed.map_err(|error| self.said(Act::List, prefix.unwrap_or(&Path::default()), error))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let copied = self.client().await?.copy_opts(from, to, options).await;
        copied.map_err(|error| self.said(Act::Write, to, error))
    }
}

/// A file that is put in parts; no name shows it before it is complete. Dropped before that, it is aborted.
struct Upload {
    /// `None` once nothing is left to abort.
    parts: Option<Box<dyn MultipartUpload>>,
    store: Objects,
    location: Path,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in parts", self.location)
    }
}

impl Upload {
    fn over() -> Error {
        let source = "the upload is over".into();
        Error::Generic { store: "object store", source }
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let Some(parts) = &mut self.parts else {
            return future::ready(Err(Self::over())).boxed();
        };
        let (put, store, location) = (parts.put_part(data), self.store.clone(), self.location.clone());
        async move { put.await.map_err(|error| store.said(Act::Write, &location, error)) }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let parts = self.parts.as_mut().ok_or_else(Self::over)?;
        let done = parts.complete().await;
        let done = done.map_err(|error| self.store.said(Act::Write, &self.location, error))?;
        self.parts = None;
        Ok(done)
    }

    async fn abort(&mut self) -> Result<()> {
        let Some(mut parts) = self.parts.take() else { return Ok(()) };
        parts.abort().await.map_err(|error| self.store.said(Act::Remove, &self.location, error))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let (Some(mut parts), Ok(runtime)) = (self.parts.take(), Handle::try_current()) else { return };
        let location = self.location.clone();
        runtime.spawn(async move {
            if let Err(error) = parts.abort().await {
                tracing::debug!(%error, %location, "an upload in parts could not be aborted");
            }
        });
    }
}
