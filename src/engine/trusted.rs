//! Tables as they were when they were last asked for, so that a report's query need not wait until its places have said what they are like.
//!
//! The query is planned over the tables as they are remembered, and sent; beside it they are asked for anew. Its rows count where all of them are what they were. Where one is
//! not, none was given out, and the query is planned over the tables as they are now.
//!
//! Invariant: rows leave only after the places have said that the tables are those which the query was planned over, and its row rules laid over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::catalog::TableProvider;
use indexmap::IndexMap;

use super::relations::RelationMember;
use crate::connector::executor::remote;

/// Tables that are remembered: those that were asked for last.
const MOST: usize = 1_000;

/// Connection, schema, table.
type Place = (String, Option<String>, String);

/// Tables that are remembered: those alone of which their place tells what they are known again by.
#[derive(Default)]
pub(super) struct Known(Mutex<IndexMap<Place, Arc<dyn TableProvider>>>);

impl Known {
    /// A table as it was last seen.
    pub(super) fn get(&self, at: &RelationMember) -> Option<Arc<dyn TableProvider>> {
        lock(&self.0).get(&place(at)).cloned()
    }

    /// Remembers a table as it was seen now; `None` = it was not there.
    pub(super) fn see(&self, at: &RelationMember, table: Option<&Arc<dyn TableProvider>>) {
        let mut known = lock(&self.0);
        known.shift_remove(&place(at));
        let Some(table) = table.filter(|table| told(table).is_some()) else { return };
        if known.len() == MOST {
            known.shift_remove_index(0);
        }
        known.insert(place(at), Arc::clone(table));
    }
}

/// The tables that one query takes for what they were.
#[derive(Default)]
pub(super) struct Trusted(Mutex<Vec<(RelationMember, Arc<dyn TableProvider>)>>);

impl Trusted {
    /// Notes one.
    pub(super) fn add(&self, at: &RelationMember, table: &Arc<dyn TableProvider>) {
        lock(&self.0).push((at.clone(), Arc::clone(table)));
    }

    /// All of them.
    pub(super) fn tables(&self) -> Vec<(RelationMember, Arc<dyn TableProvider>)> {
        lock(&self.0).clone()
    }
}

/// Whether two tables are the same one, with the same columns.
pub(super) fn is_same(one: &Arc<dyn TableProvider>, other: &Arc<dyn TableProvider>) -> bool {
    told(one).is_some_and(|told_of_one| told(other) == Some(told_of_one))
}

fn told(table: &Arc<dyn TableProvider>) -> Option<&str> {
    remote(table.as_ref())?.told.as_deref()
}

fn place(at: &RelationMember) -> Place {
    (at.connection.clone(), at.schema.clone(), at.table.clone())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
