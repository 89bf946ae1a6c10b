//! The tables, their records, and the faults that tests put in their way.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use arrow::{
    array::BooleanArray,
    compute::{concat_batches, filter_record_batch},
    datatypes::SchemaRef,
    record_batch::RecordBatch,
};
use tokio::sync::watch;

use super::columns;
use crate::{
    connector::error::{Error, ErrorKind, Result},
    model::{name::Track, unit::Record},
};

/// A schema and a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema; `main` unless told.
    pub schema: String,
    /// The table.
    pub table: String,
}

impl TableName {
    /// The schema of tables that name none.
    pub const DEFAULT_SCHEMA: &str = "main";

    /// A table in a schema, or in the default one.
    pub fn new(schema: Option<&str>, table: &str) -> Self {
        Self { schema: schema.unwrap_or(Self::DEFAULT_SCHEMA).to_owned(), table: table.to_owned() }
    }
}

impl From<&str> for TableName {
    fn from(table: &str) -> Self {
        Self::new(None, table)
    }
}

impl From<(&str, &str)> for TableName {
    fn from((schema, table): (&str, &str)) -> Self {
        Self::new(Some(schema), table)
    }
}

/// A call that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Finding the source's end.
    Head,
    /// Reading a unit.
    Read,
    /// Claiming a track.
    Claim,
    /// Staging rows.
    Stage,
    /// Committing, before anything happened.
    Commit,
    /// Committing, after everything happened: the answer is lost.
    Answer,
}

/// One table: batches of one schema, never changed in place.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) schema: SchemaRef,
    pub(super) batches: Vec<RecordBatch>,
    /// The store's version when the table was last changed.
    pub(super) version: u64,
}

impl Table {
    pub(super) fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    pub(super) fn whole(&self) -> Result<RecordBatch> {
        Ok(concat_batches(&self.schema, &self.batches)?)
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) tables: BTreeMap<TableName, Table>,
    pub(super) records: BTreeMap<(TableName, String), Record>,
    faults: Vec<(Step, ErrorKind)>,
    version: u64,
}

impl State {
    /// Puts a table's new content in place; rises the version.
    pub(super) fn put(&mut self, name: &TableName, schema: SchemaRef, batches: Vec<RecordBatch>) {
        self.version += 1;
        self.tables.insert(name.clone(), Table { schema, batches, version: self.version });
    }

    pub(super) fn record(&self, name: &TableName, track: &Track) -> Option<&Record> {
        self.records.get(&(name.clone(), track.key()))
    }

    pub(super) fn has_records(&self, name: &TableName) -> bool {
        self.records.keys().any(|(table, _)| table == name)
    }
}

/// Tables in memory. Tests hold one to put rows in, look at what came out, and make calls fail.
#[derive(Debug)]
pub struct Store {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

impl Default for Store {
    fn default() -> Self {
        Self { state: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

type Stores = Mutex<HashMap<(PathBuf, String), Weak<Store>>>;

impl Store {
    /// The store that connections named `name` of the project in `root` share.
    pub fn named(root: &Path, name: &str) -> Arc<Self> {
        static STORES: OnceLock<Stores> = OnceLock::new();
        let mut stores = STORES.get_or_init(Stores::default).lock().unwrap_or_else(PoisonError::into_inner);
        stores.retain(|_, store| store.strong_count() > 0);
        let place = (root.to_owned(), name.to_owned());
        if let Some(store) = stores.get(&place).and_then(Weak::upgrade) {
            return store;
        }
        let store = Arc::new(Self::default());
        stores.insert(place, Arc::downgrade(&store));
        store
    }

    /// Adds rows, making the table where it is missing; columns that it does not have yet are added.
    pub fn insert(&self, table: impl Into<TableName>, rows: &RecordBatch) -> Result<()> {
        let name = table.into();
        self.change(|state| {
            let Some(old) = state.tables.get(&name).cloned() else {
                let schema = columns::all_nullable(&rows.schema());
                let rows = columns::fit(rows, &schema)?;
                state.put(&name, schema, vec![rows]);
                return Ok(());
            };
            let schema = columns::with_new(&old.schema, &rows.schema());
            let all = old.batches.iter().chain([rows]);
            let batches = all.map(|batch| columns::fit(batch, &schema)).collect::<Result<_>>()?;
            state.put(&name, schema, batches);
            Ok(())
        })
    }

    /// The rows of a table, in the order of their arrival; `None` = no such table.
    pub fn rows(&self, table: impl Into<TableName>) -> Option<RecordBatch> {
        let table = self.lock().tables.get(&table.into())?.clone();
        table.whole().ok()
    }

    /// Deletes the rows for which this is true of a batch of one row.
    pub fn delete(&self, table: impl Into<TableName>, gone: impl Fn(&RecordBatch) -> bool) -> Result<()> {
        let name = table.into();
        self.change(|state| {
            let old = table_of(state, &name)?;
            let (rows, schema) = (old.whole()?, old.schema.clone());
            let kept: BooleanArray =
                (0..rows.num_rows()).map(|row| Some(!gone(&rows.slice(row, 1)))).collect();
            state.put(&name, schema, vec![filter_record_batch(&rows, &kept)?]);
            Ok(())
        })
    }

    /// Drops a table; records that speak of it stay.
    pub fn drop_table(&self, table: impl Into<TableName>) {
        let name = table.into();
        let _: Result<()> = self.change(|state| {
            state.version += 1;
            state.tables.remove(&name);
            Ok(())
        });
    }

    /// A track's record.
    pub fn record(&self, table: impl Into<TableName>, track: &Track) -> Option<Record> {
        self.lock().record(&table.into(), track).cloned()
    }

    /// Makes the next `times` calls of `step` fail with `kind`.
    pub fn fail(&self, step: Step, kind: ErrorKind, times: usize) {
        self.lock().faults.extend(std::iter::repeat_n((step, kind), times));
    }

    /// Takes the next fault of this step, if one waits.
    pub(super) fn trip(&self, step: Step) -> Result<()> {
        let mut state = self.lock();
        match state.faults.iter().position(|(at, _)| *at == step) {
            Some(next) => {
                let (_, kind) = state.faults.remove(next);
                Err(Error::new(kind, format!("memory: {step:?} was made to fail")))
            }
            None => Ok(()),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes tables and records under one lock, and tells those who wait. A change that fails must leave the state as it was.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let (done, version) = {
            let mut state = self.lock();
            (change(&mut state)?, state.version)
        };
        self.changes.send_replace(version);
        Ok(done)
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn table(&self, name: &TableName) -> Result<Table> {
        table_of(&self.lock(), name).cloned()
    }
}

fn table_of<'a>(state: &'a State, name: &TableName) -> Result<&'a Table> {
    state.tables.get(name).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("no table \"{}\" in schema \"{}\"", name.table, name.schema))
    })
}
