//! Reading: files that were not read yet, or all of them.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{
    super::{
        error::{Error, ErrorKind, Result},
        source::{Chunk, Source, SourceSpec},
    },
    config::{Seen, SourceOptions},
    format::Spelling,
    ledger::{Known, Ledger, Listing},
    place::{Found, Table},
    read::{DataFile, Shape, chunks},
    seen::{self, Memory, REMEMBERED, Refusal},
};
use crate::model::{
    column::{Contract, Unlisted},
    position::{Position, SourceIdentity},
    unit::{Progress, Scope, SliceLimit, Unit},
};

/// Files that a description names.
const DESCRIBED: usize = 5;

/// Files that are read.
pub(super) struct FilesSource {
    table: Table,
    ledger: Ledger,
    spec: SourceSpec,
    options: SourceOptions,
    /// The files at the last head: what a snapshot is, and what tells of news.
    kept: Mutex<Option<Vec<Found>>>,
}

impl FilesSource {
    /// A source; touches nothing.
    pub(super) fn new(table: Table, spec: &SourceSpec) -> Result<Arc<Self>> {
        if spec.cursor.is_some() {
            let what = "they are read file by file, and by no cursor";
            return Err(table.error(ErrorKind::Unsupported, what).hint("leave `cursor` out"));
        }
        let options = spec.options.files.clone().unwrap_or_default();
        let ledger = Ledger::new(table.clone());
        Ok(Arc::new(Self { table, ledger, spec: spec.clone(), options, kept: Mutex::default() }))
    }

    fn memory(&self) -> Memory {
        Memory { seen: self.options.seen, changed: self.options.changed }
    }

    fn identity(&self) -> SourceIdentity {
        let order = match self.options.seen {
            _ if self.spec.whole => "snapshot",
            Seen::Each => "each file",
            Seen::Name => "names of files",
        };
        let place = format!("{}/{}", self.table.connection, self.table.table);
        SourceIdentity { kind: "files".to_owned(), place, order: order.to_owned() }
    }

    /// The files that there are now, those alone that stayed as they are for as long as was asked for.
    async fn settled(&self) -> Result<Vec<Found>> {
        let Listing { files, known } = self.ledger.listing().await?;
        if known.is_some() && self.options.seen == Seen::Name && !self.spec.whole {
            // Several tracks may write there, each with numbers of its own.
            let what = "Vitrina wrote them, and gives names that do not rise";
            return Err(self.table.error(ErrorKind::Unsupported, what).hint("leave `files.seen` out"));
        }
        let Some(settle) = self.options.settle.filter(|_| known.is_none()) else { return Ok(files) };
        tokio::time::sleep(settle.get()).await;
        let mut settled = self.ledger.listing().await?.files;
        settled.retain(|file| {
            let before = files.binary_search_by(|before| before.path.cmp(&file.path));
            before.is_ok_and(|at| files[at] == *file)
        });
        Ok(settled)
    }

    fn data(&self, found: &[Found], known: Option<&Known>) -> Result<Vec<DataFile>> {
        found.iter().map(|found| self.table.data(found.clone(), known, &self.options)).collect()
    }

    fn keep(&self, files: Vec<Found>) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(files);
    }

    fn kept(&self) -> Option<Vec<Found>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refused(&self, refusal: Refusal) -> Error {
        match refusal {
            Refusal::Changed(path) => self
                .table
                .error(ErrorKind::SourceChanged, format!("`{path}` was read, and is another file now"))
                .hint("give new rows a file of their own; `files.changed = \"read\"` reads it anew, all of it: right for `merge`"),
            Refusal::TooMany => self
                .table
                .error(ErrorKind::Limit, format!("more than {REMEMBERED} of them would have to be remembered"))
                .hint("where names rise, `files.seen = \"name\"` remembers the last one alone"),
        }
    }

    /// The columns of these files, which are one unit; without a contract that names them all, they have to be the same.
    async fn schema_of(&self, file: &DataFile) -> Result<SchemaRef> {
        self.table.target(file, self.spec.contract.as_ref(), self.spec.zone).await
    }

    /// How many of these files have the columns of the first one, and these.
    async fn alike(&self, files: &[DataFile]) -> Result<(usize, Option<SchemaRef>)> {
        let mut schema: Option<SchemaRef> = None;
        for (at, file) in files.iter().enumerate() {
            let own = self.schema_of(file).await?;
            if schema.as_ref().is_some_and(|schema| *schema != own) {
                return Ok((at, schema));
            }
            schema = Some(own);
            // What the contract says of one file it says of all.
            let listed = |contract: &Contract| contract.unlisted != Unlisted::Keep;
            if file.known.is_some() || self.spec.contract.as_ref().is_some_and(listed) {
                break;
            }
        }
        Ok((files.len(), schema))
    }

    async fn plan_slice(
        &self,
        from: Option<&Position>,
        head: &Position,
        limit: SliceLimit,
    ) -> Result<Option<Unit>> {
        let Listing { files: listed, known } = self.ledger.listing().await?;
        if let Some(gone) = from.filter(|_| known.is_some()).and_then(|from| seen::gone(from, &listed)) {
            let what = format!("`{gone}` was read, and has been replaced since");
            return Err(self
                .table
                .error(ErrorKind::SourceChanged, what)
                .hint("read a table that is replaced whole: `replace` it in the sink as well"));
        }
        let memory = self.memory();
        let fresh = memory.fresh(from, head, &listed).map_err(|refusal| self.refused(refusal))?;
        if fresh.is_empty() {
            return Ok(None);
        }
        let swells = |file: &Found| Spelling::of(&file.path, &self.options).map_or(1, Spelling::swells);
        let count = seen::cut(&fresh, limit.bytes, |file| file.size.saturating_mul(swells(file)));
        let files = self.data(&fresh[..count], known.as_ref())?;
        let (count, schema) = self.alike(&files).await?;
        let Some(schema) = schema else { return Ok(None) };
        let after =
            memory.after(self.identity(), from, &fresh[..count]).map_err(|refusal| self.refused(refusal))?;
        let scope = Scope::Slice { from: from.cloned() };
        Ok(Some(Unit { scope, after: Progress::Position(after), schema, rows: None, about: None }))
    }

    async fn plan_whole(&self, from: Option<&Position>, head: &Position) -> Result<Option<Unit>> {
        if from == Some(head) {
            return Ok(None);
        }
        let (files, known) = self.whole(head).await?;
        let files = self.data(&files, known.as_ref())?;
        let (count, schema) = self.alike(&files).await?;
        if let Some(other) = files.get(count) {
            let what = format!("`{}` has other columns than the files before it", other.found.path);
            return Err(self
                .table
                .error(ErrorKind::SchemaChanged, what)
                .hint("name the columns by a contract, or fewer files by a pattern"));
        }
        let schema = match schema {
            Some(schema) => schema,
            None => self.schema().await?,
        };
        let after = Progress::Position(head.clone());
        Ok(Some(Unit { scope: Scope::Snapshot, after, schema, rows: None, about: None }))
    }

    /// The files of a snapshot.
    async fn whole(&self, at: &Position) -> Result<(Vec<Found>, Option<Known>)> {
        let same = |files: &Vec<Found>| seen::snapshot(self.identity(), files) == *at;
        let Listing { files: now, known } = self.ledger.listing().await?;
        let files = self.kept().filter(same).or_else(|| Some(now).filter(same));
        let changed =
            || self.table.error(ErrorKind::SourceChanged, "they are others than at the beginning of the run");
        Ok((files.ok_or_else(changed)?, known))
    }

    fn check(&self, position: &Position) -> Result<()> {
        if position.source == self.identity() {
            return Ok(());
        }
        Err(self.table.error(ErrorKind::SourceChanged, "the position belongs to another source"))
    }
}

#[async_trait]
impl Source for FilesSource {
    async fn schema(&self) -> Result<SchemaRef> {
        let Listing { files, known } = self.ledger.listing().await?;
        if let Some(last) = files.into_iter().next_back() {
            return self.schema_of(&self.table.data(last, known.as_ref(), &self.options)?).await;
        }
        match (&self.spec.contract, known) {
            (None, Some(known)) => Ok(known.schema),
            (Some(contract), _) => Ok(super::read::of_contract(contract)),
            (None, None) => Err(self
                .table
                .error(ErrorKind::NotFound, "there is none yet, so nothing tells their columns")
                .hint("write down their columns as a contract: `[source] columns`")),
        }
    }

    async fn head(&self) -> Result<Position> {
        let files = self.settled().await?;
        let head = if self.spec.whole {
            seen::snapshot(self.identity(), &files)
        } else {
            self.memory().head(self.identity(), &files)
        };
        self.keep(files);
        Ok(head)
    }

    async fn plan(
        &self,
        from: Option<&Position>,
        head: &Position,
        limit: SliceLimit,
    ) -> Result<Option<Unit>> {
        if let Some(from) = from {
            self.check(from)?;
        }
        if self.spec.whole {
            self.plan_whole(from, head).await
        } else {
            self.plan_slice(from, head, limit).await
        }
    }

    async fn read(&self, unit: &Unit) -> Result<BoxStream<'static, Result<Chunk>>> {
        let Some(after) = unit.after.position() else {
            return Err(self.table.error(ErrorKind::Internal, "a unit without position"));
        };
        self.check(after)?;
        let (files, known) = match &unit.scope {
            Scope::Snapshot => self.whole(after).await?,
            scope => (self.memory().of_unit(scope, after), self.ledger.known().await?),
        };
        let files = self.data(&files, known.as_ref())?;
        let shape = Shape::Judged {
            contract: self.spec.contract.clone(),
            zone: self.spec.zone,
            schema: unit.schema.clone(),
        };
        Ok(chunks(&self.table, files, shape))
    }

    async fn describe(&self, unit: &Unit) -> Result<Option<String>> {
        let Some(after) = unit.after.position() else { return Ok(None) };
        let files = match &unit.scope {
            Scope::Snapshot => self.whole(after).await?.0,
            scope => self.memory().of_unit(scope, after),
        };
        let named: Vec<&str> = files.iter().take(DESCRIBED).map(|file| file.path.as_str()).collect();
        let more = match files.len().saturating_sub(DESCRIBED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Ok(Some(format!("{}{more}", named.join(", "))))
    }

    async fn changed(&self) {
        let before = self.kept().map(|files| seen::digest(&files));
        loop {
            tokio::time::sleep(self.table.look_every).await;
            // Where they cannot be listed, whoever takes the next head hears why.
            let Ok(listing) = self.ledger.listing().await else { return };
            if Some(seen::digest(&listing.files)) != before {
                return;
            }
        }
    }
}
