//! `--full-refresh`: the whole source as one unit, however large, so that the target is replaced at once.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        source::{Chunk, Source},
    },
    model::{
        position::Position,
        unit::{Progress, Scope, SliceLimit, Unit},
    },
};

/// A source as one snapshot, planned once.
pub(super) struct Whole {
    source: Arc<dyn Source>,
    planned: Mutex<Planned>,
}

/// What was handed out.
enum Planned {
    Nothing,
    /// There were no rows.
    Empty,
    /// The unit as the source knows it.
    Unit(Box<Unit>),
}

impl Whole {
    /// Not planned yet.
    pub(super) fn new(source: Arc<dyn Source>) -> Self {
        Self { source, planned: Mutex::new(Planned::Nothing) }
    }

    fn planned(&self) -> std::sync::MutexGuard<'_, Planned> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two positions say the same; what a source remembers of a point besides may differ.
fn same_point(one: &Position, other: &Position) -> bool {
    let points = |position: &Position| -> Vec<_> {
        position.partitions.iter().map(|(name, bound)| (name.clone(), bound.at.clone())).collect()
    };
    one.source == other.source && points(one) == points(other)
}

#[async_trait]
impl Source for Whole {
    async fn schema(&self) -> Result<SchemaRef> {
        self.source.schema().await
    }

    async fn head(&self) -> Result<Position> {
        self.source.head().await
    }

    async fn plan(&self, _: Option<&Position>, head: &Position, _: SliceLimit) -> Result<Option<Unit>> {
        if !matches!(*self.planned(), Planned::Nothing) {
            return Ok(None);
        }
        let boundless = SliceLimit { rows: u64::MAX, bytes: u64::MAX };
        let Some(unit) = self.source.plan(None, head, boundless).await? else {
            let schema = self.source.schema().await?;
            *self.planned() = Planned::Empty;
            let after = Progress::Position(head.clone());
            return Ok(Some(Unit { scope: Scope::Snapshot, after, schema, rows: Some(0), about: None }));
        };
        if !unit.after.position().is_some_and(|after| same_point(after, head)) {
            let message = "the source cannot be read whole: its schema changes on the way";
            return Err(Error::new(ErrorKind::Unsupported, message)
                .hint("`vitrina position reset` has the next run read all of it again, slice by slice"));
        }
        *self.planned() = Planned::Unit(Box::new(unit.clone()));
        Ok(Some(Unit { scope: Scope::Snapshot, ..unit }))
    }

    async fn read(&self, _: &Unit) -> Result<BoxStream<'static, Result<Chunk>>> {
        let known = match &*self.planned() {
            Planned::Unit(unit) => unit.clone(),
            Planned::Nothing | Planned::Empty => return Ok(Box::pin(futures::stream::empty())),
        };
        self.source.read(&known).await
    }

    async fn changed(&self) {
        self.source.changed().await;
    }
}
