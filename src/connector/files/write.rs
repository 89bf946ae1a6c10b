//! How a sink of files keeps its promise.
//!
//! - **Atomic**: one manifest names all files that count and holds all records. A reader of ours takes the one of the highest number, so it sees a unit's
//!   files and its record both or neither. Whoever else lists the folder sees whole files, of units that are not committed as well, and those that
//!   were replaced an hour ago; `docs/connectors/files.md` says so.
//! - **Once**: a manifest is put under the number after the one on which the track's record was compared with the claimed one, and only where nobody has that
//!   number: by a hard link on the local file system, by a conditional put in a bucket (`connector/objects/` says why that can be believed). Who loses the
//!   race takes up what was committed, compares again, and puts its own at the next number. Numbers are not reused: manifests are removed from the
//!   oldest on, and whoever put one looks whether the one before it is still there ([`Ledger::put`]).
//! - **Durable**: the store keeps data files, content before name, before the manifest is written, and the manifest when `commit` returns.
//! - **Nothing on drop**: files that no manifest names are invisible; they are removed at once, or by maintenance once they are old. A commit looks whether its
//!   files are still there, so that no manifest names what maintenance took for left over.
//! - An answer that got lost: the newest manifest is asked whether our attempt is its record. Files are taken back only where somebody else has the
//!   number, never after a failure: a manifest that names them may still arrive.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arrow::datatypes::{FieldRef, SchemaRef};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;

use super::{
    super::{
        cells::takes,
        error::{Error, ErrorKind, Result},
        feed::feed,
        fitting::Fitting,
        records::conflict,
        sink::{Claim, Committed, Rows, Sink, SinkSpec, Staged, Staging},
    },
    catalog::files_as_table,
    columns::{agree, keeps},
    config::SourceOptions,
    format::Spelling,
    ledger::{Known, Ledger, Version},
    maintain,
    manifest::{Column, Manifest, NAMED, Named, Part, Replaced, Replaces, Untaken},
    place::{Found, Table},
    stage::{Plan, Unnamed, nullable, write},
};
use crate::{
    failpoint,
    model::{
        column::ColumnType,
        delivery::Mode,
        name::Track,
        unit::{Record, Scope},
    },
};

/// Races for a number that are run before the table is called busy.
const RACES: usize = 100;

/// A folder that rows go to.
pub(super) struct FilesSink {
    ledger: Arc<Ledger>,
    spec: SinkSpec,
    spelling: Spelling,
    /// How messages name the target.
    shown: String,
}

impl FilesSink {
    /// A sink; touches nothing.
    pub(super) fn new(table: Table, spec: &SinkSpec) -> Result<Arc<Self>> {
        if let Some(wrong) = table.name.not_written() {
            return Err(table.error(ErrorKind::Unsupported, wrong).hint("name a folder: `exports/payments`"));
        }
        if spec.mode == Mode::Merge {
            return Err(table.error(ErrorKind::Unsupported, "files are not merged into"));
        }
        let spelling = spec.options.files.clone().unwrap_or_default().spelling();
        let shown = table.describe();
        Ok(Arc::new(Self { ledger: Arc::new(Ledger::new(table)), spec: spec.clone(), spelling, shown }))
    }

    fn table(&self) -> &Table {
        &self.ledger.table
    }

    fn busy(&self) -> Error {
        self.table().error(ErrorKind::Busy, "others commit to it all the time")
    }

    /// The manifest to go on from.
    async fn base(&self, version: Option<&Version>) -> Result<Manifest> {
        let Some(version) = version else {
            let strange = self.table().look().await?.unwrap_or_default();
            return if strange.is_empty() {
                Ok(Manifest::new(self.spelling))
            } else {
                Err(self.unexplained())
            };
        };
        let manifest = version.manifest.clone();
        if !manifest.files.is_empty() && manifest.records.is_empty() {
            return Err(self.unexplained());
        }
        if manifest.columns.is_empty() {
            return Ok(Manifest { spelling: self.spelling, ..manifest });
        }
        let same = Spelling { compression: self.spelling.compression, ..manifest.spelling } == self.spelling;
        if same {
            return Ok(manifest);
        }
        let what = format!(
            "its files are {}, spelled otherwise than `[sink.files]` says",
            manifest.spelling.shown()
        );
        Err(self
            .table()
            .error(ErrorKind::SchemaChanged, what)
            .hint("write into another folder, or say `files.format` and `delimiter` as they are"))
    }

    fn unexplained(&self) -> Error {
        Fitting { spec: &self.spec, shown: &self.shown }.unexplained()
    }

    /// A manifest of the files that others left in the folder, for whoever says by a record what they are.
    async fn adopted(&self) -> Result<Manifest> {
        let files = self.table().look().await?.unwrap_or_default();
        let options = SourceOptions::default();
        let Some(last) = files.last() else { return Ok(Manifest::new(self.spelling)) };
        let last = self.table().data(last.clone(), None, &options)?;
        let mut manifest =
            Manifest::new(Spelling { compression: self.spelling.compression, ..last.spelling });
        let declared = self.table().declared(&last, None).await?;
        if let Some(strange) =
            declared.fields().iter().find(|field| !keeps(manifest.spelling, field.data_type()))
        {
            let what =
                format!("column `{}` is {}, which no manifest can name", strange.name(), strange.data_type());
            return Err(self.table().error(ErrorKind::Unsupported, what).hint("write into another folder"));
        }
        let column = |field: &FieldRef| Column {
            name: field.name().clone(),
            r#type: ColumnType::of(field.data_type()),
            description: None,
        };
        manifest.columns = declared.fields().iter().map(column).collect();
        for Found { path, size, .. } in files {
            let spelling = self.table().spelling(&path, &options)?;
            if (Spelling { compression: None, ..spelling })
                != (Spelling { compression: None, ..last.spelling })
            {
                let what = format!("`{path}` and `{}` are of two formats", last.found.path);
                return Err(self
                    .table()
                    .error(ErrorKind::Unsupported, what)
                    .hint("write into another folder"));
            }
            let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
            manifest.files.push(Named { name, bytes: size, rows: None, part: None });
        }
        Ok(manifest)
    }

    /// What a unit's files take the place of, and what of the table they hold.
    fn replaces(&self, scope: &Scope) -> Result<(Replaces, Option<Part>)> {
        let partition = || self.spec.partition.iter().cloned().collect::<BTreeMap<_, _>>();
        let part = match (self.spec.mode, scope) {
            (Mode::Append, Scope::Slice { .. } | Scope::Snapshot) => return Ok((Replaces::Nothing, None)),
            (Mode::Replace, Scope::Snapshot) if self.spec.partition.is_empty() => {
                return Ok((Replaces::Everything, None));
            }
            (Mode::Replace, Scope::Snapshot) => Part::Of(partition()),
            (Mode::Window, Scope::Window { column, from, until }) => {
                Part::Window { column: column.clone(), from: from.clone(), until: until.clone() }
            }
            (mode, _) => {
                let what = format!("mode {mode} does not take such a unit");
                return Err(self.table().error(ErrorKind::Unsupported, what));
            }
        };
        Ok((Replaces::Part(part.clone()), Some(part)))
    }
}

#[async_trait]
impl Sink for FilesSink {
    async fn peek(&self, track: &Track) -> Result<Option<Record>> {
        Ok(self
            .ledger
            .newest()
            .await?
            .and_then(|version| version.manifest.records.get(&track.key()).cloned()))
    }

    async fn records(&self, prefix: &str) -> Result<Vec<(String, Record)>> {
        let Some(version) = self.ledger.newest().await? else { return Ok(vec![]) };
        let records = version.manifest.records.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(records.map(|(key, record)| (key.clone(), record.clone())).collect())
    }

    async fn claim(&self, track: &Track, schema: &SchemaRef) -> Result<Claim> {
        let fitting = Fitting { spec: &self.spec, shown: &self.shown };
        for _ in 0..RACES {
            let version = self.ledger.newest().await?;
            let manifest = self.base(version.as_deref()).await?;
            let agreed = agree(fitting, self.spelling, &manifest.columns, schema)?;
            let record = manifest.records.get(&track.key()).cloned();
            let ready = version.is_some() && manifest.columns == agreed.columns;
            let next = Manifest { columns: agreed.columns, ..manifest };
            if ready || self.ledger.put(version.as_deref(), next).await?.is_some() {
                let (schema, left_out) = (agreed.schema, agreed.left_out);
                return Ok(Claim { record, pending: None, schema, left_out, narrow: vec![] });
            }
        }
        Err(self.busy())
    }

    async fn stage(&self, staging: Staging<'_>, rows: Rows) -> Result<Box<dyn Staged>> {
        let Rows::Stream(rows) = rows else {
            return Err(self.table().error(ErrorKind::Unsupported, "files run no SQL of their own"));
        };
        let (replaces, part) = self.replaces(&staging.unit.scope)?;
        let attempt = staging.attempt.id.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let name = format!("{:08}-{attempt}-{:08x}", staging.record(0).seq, rand::random::<u32>());
        let plan = Plan { schema: nullable(&staging.claim.schema), spelling: self.spelling, name, part };
        let (table, own) = (self.table().clone(), plan.clone());
        let files = feed(rows, move |batches| write(&table, &own, batches)).await?;
        failpoint::pass("files.stage.after");
        let rows = files.files.iter().filter_map(|file| file.rows).sum();
        Ok(Box::new(StagedFiles {
            ledger: self.ledger.clone(),
            track: staging.track.clone(),
            expected: staging.expected(),
            record: staging.record(rows),
            plan,
            replaces,
            files,
        }))
    }

    async fn set_record(&self, track: &Track, expected: Option<u64>, record: &Record) -> Result<()> {
        for _ in 0..RACES {
            let version = self.ledger.newest().await?;
            let found = version.as_ref().and_then(|version| version.manifest.records.get(&track.key()));
            if found.map(|record| record.seq) != expected {
                return Err(conflict(track));
            }
            let mut manifest = match &version {
                Some(version) => version.manifest.clone(),
                None => self.adopted().await?,
            };
            manifest.records.insert(track.key(), record.clone());
            if self.ledger.put(version.as_deref(), manifest).await?.is_some() {
                return Ok(());
            }
        }
        Err(self.busy())
    }

    async fn target(&self) -> Result<Option<SchemaRef>> {
        if let Some(version) = self.ledger.newest().await? {
            return Ok(Some(version.manifest.schema()).filter(|schema| !schema.fields().is_empty()));
        }
        let Some(last) = self.table().look().await?.unwrap_or_default().pop() else { return Ok(None) };
        let last = self.table().data(last, None, &SourceOptions::default())?;
        self.table().declared(&last, None).await.map(Some)
    }

    async fn maintain(&self, budget: Duration, now: DateTime<Utc>) -> Result<()> {
        maintain::maintain(&self.ledger, budget, now).await
    }
}

/// A unit in files that no manifest names yet.
struct StagedFiles {
    ledger: Arc<Ledger>,
    track: Track,
    /// The sequence number that the track's record had when it was claimed.
    expected: Option<u64>,
    /// The record that the commit leaves.
    record: Record,
    plan: Plan,
    replaces: Replaces,
    files: Unnamed,
}

impl StagedFiles {
    fn table(&self) -> &Table {
        &self.ledger.table
    }

    /// Whether this manifest is one to commit on: `Some` = this attempt is in it already.
    fn compare(&self, manifest: &Manifest) -> Result<Option<Committed>> {
        let found = manifest.records.get(&self.track.key());
        if let Some(found) =
            found.filter(|found| found.attempt == self.record.attempt && found.seq == self.record.seq)
        {
            return Ok(Some(Committed::Already(found.clone())));
        }
        if found.map(|found| found.seq) != self.expected {
            return Err(conflict(&self.track));
        }
        let holds = |field: &FieldRef| {
            let column = manifest.columns.iter().find(|column| column.name == *field.name());
            column.is_some_and(|column| takes(column.r#type.arrow(), field.data_type()))
        };
        if self.plan.schema.fields().iter().all(holds) {
            return Ok(None);
        }
        Err(self.table().error(ErrorKind::Conflict, "others gave it other columns"))
    }

    /// Whether the files are there, which maintenance may have taken for left over.
    async fn check_there(&self) -> Result<()> {
        for file in &self.files.files {
            if self.table().now(&self.table().inside(&file.name)).await?.is_none() {
                let what = format!("`{}` is gone since it was written", file.name);
                return Err(self.table().error(ErrorKind::Conflict, what));
            }
        }
        Ok(())
    }

    /// The manifest after this one, and files that may be removed once it is there.
    fn next(&self, manifest: &Manifest) -> Result<(Manifest, Vec<Replaced>)> {
        let mut next = manifest.clone();
        let taken = next.take(self.files.files.clone(), &self.replaces, self.record.at);
        let old = taken.map_err(|why| self.untaken(why))?;
        next.records.insert(self.track.key(), self.record.clone());
        Ok((next, old))
    }

    fn untaken(&self, why: Untaken) -> Error {
        match why {
            Untaken::Mixed(name) => {
                let what = format!("its file `{name}` may hold rows of what is replaced, and others");
                self.table().error(ErrorKind::Unsupported, what).hint(
                    "write into a folder where every file holds one window, or one member: never in two modes or two grains",
                )
            }
            Untaken::TooMany => {
                let what = format!("it would have more than {NAMED} files");
                let hint =
                    "write into another folder, or fewer and larger files: a longer `linger`, larger slices";
                self.table().error(ErrorKind::Limit, what).hint(hint)
            }
        }
    }

    /// Removes what was replaced long ago. The rows are safe: what cannot be removed now goes by its age.
    async fn forget(&self, old: &[Replaced]) {
        for file in old {
            if let Err(error) = maintain::forget(self.table(), file).await {
                tracing::debug!(%error, "a file that was replaced could not be removed");
            }
        }
    }

    /// After a put that failed: whether it came through all the same.
    async fn look_after(&self, error: Error) -> Result<Committed> {
        match self.ledger.newest().await {
            Ok(Some(version)) => match self.compare(&version.manifest) {
                Ok(Some(_)) => Ok(Committed::Now(self.record.clone())),
                // What was not answered may still arrive: the files stay until their age says that it did not.
                _ => Err(error),
            },
            _ => Err(error),
        }
    }
}

#[async_trait]
impl Staged for StagedFiles {
    fn rows(&self) -> u64 {
        self.record.rows
    }

    fn table(&self) -> Option<Arc<dyn TableProvider>> {
        let found = |file: &Named| Found {
            path: self.table().inside(&file.name),
            size: file.bytes,
            tag: String::new(),
            modified: self.record.at,
        };
        let known = Known { schema: self.plan.schema.clone(), spelling: self.plan.spelling };
        files_as_table(self.table(), self.files.files.iter().map(found).collect(), known).ok()
    }

    async fn commit(mut self: Box<Self>) -> Result<Committed> {
        for _ in 0..RACES {
            let gone = || self.table().error(ErrorKind::NotFound, "its folder is gone");
            let version = self.ledger.newest().await?.ok_or_else(gone)?;
            if let Some(committed) = self.compare(&version.manifest)? {
                // A race that was told lost may have been won by ourselves: what a manifest names stays.
                let ours = |named: &Named| self.files.files.iter().any(|file| file.name == named.name);
                if version.manifest.files.iter().any(ours) {
                    self.files.keep();
                }
                return Ok(committed);
            }
            self.check_there().await?;
            let (next, old) = self.next(&version.manifest)?;
            failpoint::pass("files.commit.before");
            // From here on nobody knows whether a manifest names the files, until the answer is there.
            self.files.keep();
            match self.ledger.put(Some(&version), next).await {
                Ok(Some(_)) => {
                    failpoint::pass("files.commit.after");
                    self.forget(&old).await;
                    return Ok(Committed::Now(self.record.clone()));
                }
                Ok(None) => self.files.release(),
                Err(error) => return self.look_after(error).await,
            }
        }
        Err(self.table().error(ErrorKind::Busy, "others commit to it all the time"))
    }
}
