//! A generator as a source: its position is a minute, its end is the last whole minute before now.

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{RecordBatch, UInt64Array},
    datatypes::{DataType, SchemaRef},
};
use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};

use super::walk::{Maker, Walk, broken};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        source::{Chunk, Source},
    },
    model::{
        position::{Bound, Position, SourceIdentity},
        time::Clock,
        unit::{Progress, Scope, SliceLimit, Unit},
        value::{Tick, Value},
    },
};

/// The rows of one member, up to now.
pub(super) struct Generator {
    pub(super) maker: Arc<Maker>,
    pub(super) identity: SourceIdentity,
    pub(super) clock: Arc<dyn Clock>,
}

/// A point in time, and the rows up to it where they were counted.
#[derive(Clone, Copy)]
struct Point {
    /// The first minute that is not read.
    next: i64,
    before: Option<u64>,
}

#[async_trait]
impl Source for Generator {
    async fn schema(&self) -> Result<SchemaRef> {
        Ok(self.maker.columns.schema.clone())
    }

    async fn head(&self) -> Result<Position> {
        let this_minute = self.clock.now().timestamp().div_euclid(60);
        Ok(self.position(Point { next: this_minute.max(self.maker.origin), before: None }))
    }

    async fn plan(
        &self,
        from: Option<&Position>,
        head: &Position,
        limit: SliceLimit,
    ) -> Result<Option<Unit>> {
        let start = self.point(from)?;
        let end = self.point(Some(head))?;
        let rows_limit = limit.rows.min(limit.bytes / row_bytes(&self.maker.columns.schema)).max(1);
        let (next, rows) = self.maker.cut(start.next, end.next, rows_limit)?;
        if rows == 0 {
            return Ok(None);
        }
        let before = self.rows_before(start)? + rows;
        let after = self.position(Point { next, before: Some(before) });
        Ok(Some(Unit {
            scope: Scope::Slice { from: from.cloned() },
            after: Progress::Position(after),
            schema: self.maker.columns.schema.clone(),
            rows: Some(rows),
            about: None,
        }))
    }

    async fn read(&self, unit: &Unit) -> Result<BoxStream<'static, Result<Chunk>>> {
        let Scope::Slice { from } = &unit.scope else {
            return Err(Error::new(ErrorKind::Internal, "a generator is read in slices"));
        };
        let start = self.point(from.as_ref())?;
        let end = self.point(unit.after.position())?;
        let before = self.rows_before(start)?;
        let needed = vec![true; self.maker.columns.schema.fields().len()];
        let walk = self.maker.walk(start.next, end.next, before, &needed)?;
        let reading = Reading { maker: self.maker.clone(), walk, needed, done: 0 };
        let chunks = stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next_chunk()?.map(|chunk| (chunk, reading)))
        });
        Ok(chunks.boxed())
    }

    async fn changed(&self) {
        let into_minute = self.clock.now().timestamp_millis().rem_euclid(60_000);
        tokio::time::sleep(Duration::from_millis((60_000 - into_minute) as u64)).await;
    }
}

impl Generator {
    /// Rows up to a point since the origin: as the position says, or else counted.
    fn rows_before(&self, point: Point) -> Result<u64> {
        point.before.map_or_else(|| self.maker.rows_before(point.next), Ok)
    }

    fn position(&self, point: Point) -> Position {
        let bound = (point.next > self.maker.origin).then(|| Bound {
            at: vec![Value::Timestamp { ticks: (point.next - 1) * 60, unit: Tick::S, utc: true }],
            // How many rows there are up to here, so that a sequence goes on without counting from the beginning.
            witness: point.before.map(|rows| rows.to_string()),
        });
        Position::single(self.identity.clone(), bound)
    }

    fn point(&self, position: Option<&Position>) -> Result<Point> {
        let beginning = Point { next: self.maker.origin, before: Some(0) };
        let Some(position) = position else {
            return Ok(beginning);
        };
        self.belongs(&position.source)?;
        let Some(bound) = position.bound() else {
            return Ok(beginning);
        };
        let before = match bound.witness.as_deref().map(str::parse) {
            None => None,
            Some(Ok(rows)) => Some(rows),
            Some(Err(_)) => return Err(self.changed_source("its position counts no rows")),
        };
        match bound.at.as_slice() {
            [Value::Timestamp { ticks, unit, utc: true }] => {
                let minute = ticks.div_euclid(unit.per_second() * 60);
                Ok(Point { next: (minute + 1).max(self.maker.origin), before })
            }
            _ => Err(self.changed_source("its position is not a time")),
        }
    }

    fn belongs(&self, theirs: &SourceIdentity) -> Result<()> {
        if theirs.order != self.identity.order && theirs.kind == self.identity.kind {
            let hint = "put the specification back, or make all rows anew with `--full-refresh`";
            return Err(self.changed_source("its specification is another one now").hint(hint));
        }
        if *theirs != self.identity {
            return Err(self.changed_source("the position belongs to another source"));
        }
        Ok(())
    }

    fn changed_source(&self, why: &str) -> Error {
        Error::new(ErrorKind::SourceChanged, format!("generator \"{}\": {why}", self.identity.place))
    }
}

struct Reading {
    maker: Arc<Maker>,
    walk: Walk,
    needed: Vec<bool>,
    done: u64,
}

impl Reading {
    fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        let Some(block) = self.walk.next_block()? else {
            return Ok(None);
        };
        let columns = &self.maker.columns;
        let arrays = columns.make(&block, &self.needed).map_err(broken)?.into_iter().flatten().collect();
        let batch = RecordBatch::try_new(columns.schema.clone(), arrays).map_err(broken)?;
        let first = self.done;
        self.done += block.len() as u64;
        Ok(Some(Chunk { batch, ordinals: UInt64Array::from_iter_values(first..self.done), bad: vec![] }))
    }
}

/// About how many bytes a row takes as Arrow.
fn row_bytes(schema: &SchemaRef) -> u64 {
    let bytes = |data_type: &DataType| match data_type {
        DataType::Utf8 => 24,
        DataType::Decimal128(..) => 16,
        _ => 8,
    };
    schema.fields().iter().map(|field| bytes(field.data_type())).sum::<u64>().max(1)
}
