//! A topic as a source. Why nothing is missed or doubled:
//!
//! A unit is a range of offsets in each partition, fixed before it is read and never past the last stable offset of its run's head, so that everything in it is
//! decided: committed messages are rows, the rest is nothing, today and when it is read again. `range.rs` reads exactly these. Offsets are never given twice in
//! one topic; that the topic is still the one that a position was taken in is what witnesses (`witness.rs`) and ends tell.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use rdkafka::consumer::Consumer as _;
use tokio::sync::mpsc;

use super::{
    client::{ANSWER, Cluster, Isolation, blocking, lock},
    columns::{self, Columns},
    config::SourceOptions,
    decode::{Decoder, Layout},
    envelope::{self, Part},
    format::Body,
    group,
    plan::{self, number, offset_after},
    range::{Range, lost, read},
    topic::{self, AllEnds},
    watch::Watching,
    witness,
};
use crate::{
    connector::{
        cells::Rules,
        error::{Error, ErrorKind, Result},
        source::{Chunk, Source, SourceSpec},
        textual::Others,
    },
    model::{
        column::{Contract, Unlisted},
        name::Track,
        position::{Bound, Position, SourceIdentity},
        unit::{Progress, Scope, SliceLimit, Unit},
        value::Value,
    },
};

/// Rows of a chunk, and about how many bytes end it sooner.
const CHUNK_ROWS: usize = 8_192;
const CHUNK_BYTES: usize = 4 << 20;

/// Chunks that wait to be taken.
const WAITING: usize = 2;

/// A topic that is read.
pub(super) struct TopicSource {
    inner: Arc<Inner>,
}

struct Inner {
    cluster: Arc<Cluster>,
    spec: SourceSpec,
    options: SourceOptions,
    topic: String,
    seen: Mutex<Seen>,
}

/// What was found when the head was last taken.
#[derive(Default, Clone)]
struct Seen {
    ends: AllEnds,
    head: Option<Position>,
    shape: Option<Shape>,
    /// A position that was compared with the topic as it is now.
    trusted: Option<Position>,
}

/// What messages are read as.
#[derive(Clone)]
struct Shape {
    layout: Layout,
    row_bytes: u64,
}

impl TopicSource {
    pub(super) fn new(cluster: Arc<Cluster>, spec: SourceSpec) -> Self {
        let topic = cluster.topic(&spec.table);
        let options = spec.options.kafka.clone().unwrap_or_default();
        Self { inner: Arc::new(Inner { cluster, spec, options, topic, seen: Mutex::default() }) }
    }
}

impl Inner {
    fn shown(&self) -> String {
        self.cluster.topic_shown(&self.spec.table)
    }

    fn ends(&self) -> Result<AllEnds> {
        topic::ends(&self.cluster, &self.topic)?.ok_or_else(|| {
            let message = format!("{} does not exist", self.shown());
            let error = Error::new(ErrorKind::NotFound, message);
            let names = topic::names(&self.cluster).unwrap_or_default();
            let near = names.into_iter().find(|name| strsim::osa_distance(name, &self.spec.table) <= 2);
            match near {
                Some(name) => error.hint(format!("did you mean \"{name}\"?")),
                None => error,
            }
        })
    }

    fn identity(&self) -> Result<SourceIdentity> {
        let looker = self.cluster.looker(Isolation::Committed)?;
        let cluster = looker.client().fetch_cluster_id(ANSWER).ok_or_else(|| {
            let message = format!("{} does not tell which cluster it is", self.cluster.shown());
            Error::new(ErrorKind::Unreachable, message)
        })?;
        let place = format!("{cluster} {}", self.topic);
        let order = if self.spec.whole { "whole" } else { "offset" };
        Ok(SourceIdentity { kind: "kafka".to_owned(), place, order: order.to_owned() })
    }

    /// What messages are read as now.
    fn shape(&self, ends: &AllEnds) -> Result<Shape> {
        let parts = envelope::parts(&self.options);
        let listed = self.spec.contract.as_ref().map(|contract| in_content(contract, &parts));
        let given = self.options.spelling();
        let mut columns = columns::look(&self.cluster, &self.spec.table, ends, given, listed.as_ref())?;
        columns.schema = with_parts(&columns.schema, &parts);
        let (schema, others) = match &self.spec.contract {
            None => (columns.schema.clone(), Others::Refuse),
            Some(contract) => {
                self.check_parts(contract, &parts)?;
                self.check_listed(contract, &columns)?;
                let others = if contract.unlisted == Unlisted::Drop { Others::Drop } else { Others::Refuse };
                (agreed(contract, &columns.schema), others)
            }
        };
        self.check_readable(&columns.body)?;
        let rules = Rules {
            null_values: self
                .spec
                .contract
                .as_ref()
                .map(|contract| contract.null_values.clone())
                .unwrap_or_default(),
            zone: self.spec.zone,
            epoch: self.spec.contract.is_some(),
        };
        let layout = Layout { schema, rules, others, body: columns.body, parts };
        Ok(Shape { layout, row_bytes: columns.row_bytes })
    }

    /// What is asked for and then thrown away is a mistake.
    fn check_parts(&self, contract: &Contract, parts: &[(String, Part)]) -> Result<()> {
        let lost = |(name, _): &&(String, Part)| !contract.columns.contains_key(name);
        match parts.iter().find(lost).filter(|_| contract.unlisted != Unlisted::Keep) {
            None => Ok(()),
            Some((name, _)) => {
                let message = format!("the contract has no column \"{name}\", which [source.kafka] names");
                Err(Error::new(ErrorKind::NotFound, message).hint("add it to [source.columns]"))
            }
        }
    }

    fn check_readable(&self, body: &Body) -> Result<()> {
        if !matches!(body, Body::Csv { columns, .. } if columns.is_empty()) {
            return Ok(());
        }
        let message = format!("{}: CSV does not say what its columns are", self.shown());
        Err(Error::new(ErrorKind::Unsupported, message)
            .hint("name them, in their order, in [source.columns]"))
    }

    /// A field that no message has may come later; one that is there in another spelling, or must not be NULL, is a mistake.
    fn check_listed(&self, contract: &Contract, columns: &Columns) -> Result<()> {
        if columns.sampled == 0 {
            return Ok(());
        }
        for (name, column) in &contract.columns {
            let fields = columns.schema.fields();
            if fields.iter().any(|field| field.name() == name) {
                continue;
            }
            let alike = fields.iter().find(|field| field.name().to_lowercase() == name.to_lowercase());
            if alike.is_none() && column.nullable {
                continue;
            }
            let message = format!("{} has no field \"{name}\", which the contract names", self.shown());
            let error = Error::new(ErrorKind::NotFound, message);
            return Err(match alike {
                Some(field) => error.hint(format!("did you mean \"{}\"?", field.name())),
                None => error.hint("say `nullable = true` if messages may lack it"),
            });
        }
        Ok(())
    }

    fn head(&self) -> Result<Position> {
        let (ends, identity) = (self.ends()?, self.identity()?);
        let witnesses = if self.spec.whole {
            BTreeMap::new()
        } else {
            witness::newest(&self.cluster, &self.topic, &ends)?
        };
        let filled = ends.iter().filter(|(_, ends)| ends.high > 0);
        let bound = |(partition, ends): (&i32, &topic::Ends)| {
            // A whole topic is another one, too, once it begins elsewhere.
            let low = self.spec.whole.then_some(Value::Int(ends.low));
            let at = std::iter::once(Value::Int(ends.high - 1)).chain(low).collect();
            (partition.to_string(), Bound { at, witness: witnesses.get(partition).cloned() })
        };
        let head = Position { source: identity, partitions: filled.map(bound).collect() };
        let mut seen = lock(&self.seen);
        // Columns of a contract that keeps nothing else are what the contract says, however the topic goes on.
        let settled = self.spec.contract.as_ref().is_some_and(|contract| contract.unlisted != Unlisted::Keep);
        let shape = seen.shape.take().filter(|_| settled);
        *seen = Seen { ends, head: Some(head.clone()), shape, trusted: None };
        Ok(head)
    }

    /// What was seen with this head, with what messages are read as.
    fn seen(&self, head: &Position) -> Result<(Seen, Shape)> {
        let mut seen = lock(&self.seen).clone();
        if seen.head.as_ref() != Some(head) {
            seen = Seen { ends: self.ends()?, head: Some(head.clone()), ..Seen::default() };
        }
        let shape = match &seen.shape {
            Some(shape) => shape.clone(),
            None => {
                let shape = self.shape(&seen.ends)?;
                lock(&self.seen).shape = Some(shape.clone());
                shape
            }
        };
        Ok((seen, shape))
    }

    fn plan(&self, from: Option<&Position>, head: &Position, limit: SliceLimit) -> Result<Option<Unit>> {
        let (seen, shape) = self.seen(head)?;
        if let Some(from) = from {
            self.check(from, head, &seen)?;
        }
        let unit = |scope, after| Unit {
            scope,
            after: Progress::Position(after),
            schema: shape.layout.schema.clone(),
            rows: None,
            about: None,
        };
        if self.spec.whole {
            return Ok((from != Some(head)).then(|| unit(Scope::Snapshot, head.clone())));
        }
        let open = plan::open(from, head, &seen.ends)?;
        let rows = limit.rows.min(limit.bytes / shape.row_bytes).max(1);
        let Some(after) = plan::cut(from, head, &open, &seen.ends, rows) else {
            return Ok(None);
        };
        lock(&self.seen).trusted = Some(after.clone());
        Ok(Some(unit(Scope::Slice { from: from.cloned() }, after)))
    }

    /// Fails where the position is none in this topic, or messages behind it are gone.
    fn check(&self, from: &Position, head: &Position, seen: &Seen) -> Result<()> {
        if from.source != head.source {
            let message = format!(
                "the position is one in {} {}, but the source is {} {} now",
                from.source.kind, from.source.place, head.source.kind, head.source.place,
            );
            return Err(Error::new(ErrorKind::SourceChanged, message));
        }
        if self.spec.whole {
            return Ok(());
        }
        // Another writer of this track may have seen a later head.
        let now = if plan::lies_behind(from, &seen.ends)? {
            Some(topic::believed(|| self.ends(), |ends| Ok(!plan::lies_behind(from, ends)?))?)
        } else {
            None
        };
        let ends = now.as_ref().unwrap_or(&seen.ends);
        for (name, bound) in &from.partitions {
            let (partition, next) = (number(name)?, offset_after(bound)?);
            let found = ends.get(&partition);
            if found.is_none_or(|found| found.high < next) {
                let message = format!(
                    "{} ends before the position in partition {partition}: it was made again or cut off",
                    self.shown()
                );
                return Err(Error::new(ErrorKind::SourceChanged, message));
            }
        }
        for (partition, found) in ends {
            let bound = from.partitions.get(&partition.to_string());
            let next = bound.map_or(Ok(0), offset_after)?;
            if found.low > next {
                let gone = Range { partition: *partition, from: next, until: found.low };
                return Err(lost(&self.shown(), gone, *found));
            }
        }
        if seen.trusted.as_ref() == Some(from) || from == head {
            return Ok(());
        }
        witness::check(&self.cluster, &self.topic, from, ends)?.then_some(()).ok_or_else(|| {
            let message =
                format!("{} was made again: its messages up to the position are others now", self.shown());
            Error::new(ErrorKind::SourceChanged, message)
        })
    }

    /// The offsets of a unit.
    fn ranges(&self, unit: &Unit) -> Result<Vec<Range>> {
        let Some(after) = unit.after.position() else {
            return Err(Error::new(ErrorKind::Internal, "a unit of a topic ends at a position"));
        };
        let from = match &unit.scope {
            Scope::Slice { from } => from.as_ref(),
            _ => return plan::whole(after),
        };
        let ends = if from.is_none() { self.ends()? } else { AllEnds::new() };
        let mut ranges = BTreeMap::new();
        for (name, bound) in &after.partitions {
            let partition = number(name)?;
            let begin = match from {
                // From the beginning is from what is there.
                None => ends.get(&partition).map_or(0, |ends| ends.low),
                Some(from) => from.partitions.get(name).map_or(Ok(0), offset_after)?,
            };
            ranges.insert(partition, Range { partition, from: begin, until: offset_after(bound)? });
        }
        Ok(ranges.into_values().collect())
    }

    /// Lets lag tools see how far a track is. A position elsewhere is none of ours: the next plan says what is wrong with it.
    fn report(&self, track: &Track, position: &Position) -> Result<()> {
        let ours = lock(&self.seen).head.as_ref().is_some_and(|head| head.source == position.source);
        match group::name(&self.cluster, &self.options.group, track) {
            Some(group) if ours => group::report(&self.cluster, &group, &self.topic, position),
            _ => Ok(()),
        }
    }

    /// Reads a unit; what goes wrong comes as the last chunk.
    fn read(&self, unit: &Unit, chunks: &mpsc::Sender<Result<Chunk>>) -> Result<()> {
        let shape = lock(&self.seen).shape.clone();
        let shape = match shape {
            Some(shape) => shape,
            None => self.shape(&self.ends()?)?,
        };
        let layout = Layout { schema: unit.schema.clone(), ..shape.layout };
        let mut decoder = Decoder::new(&layout)?;
        read(&self.cluster, &self.topic, &self.ranges(unit)?, |message| {
            decoder.push(message)?;
            if decoder.rows() < CHUNK_ROWS && decoder.bytes() < CHUNK_BYTES {
                return Ok(true);
            }
            // A reader that is gone wants no more.
            Ok(chunks.blocking_send(decoder.finish()).is_ok())
        })?;
        if decoder.rows() > 0 {
            let _ = chunks.blocking_send(decoder.finish());
        }
        Ok(())
    }
}

/// The contract's columns that are in a message's content.
fn in_content(contract: &Contract, parts: &[(String, Part)]) -> Schema {
    let schema = contract.schema();
    let inside = |field: &&Arc<Field>| parts.iter().all(|(name, _)| name != field.name());
    Schema::new(schema.fields().iter().filter(inside).cloned().collect::<Vec<_>>())
}

/// Columns of the content, and behind them those of what is beside it, which take the place of fields of their names.
fn with_parts(found: &SchemaRef, parts: &[(String, Part)]) -> SchemaRef {
    let inside = |field: &&Arc<Field>| parts.iter().all(|(name, _)| name != field.name());
    let inside = found.fields().iter().filter(inside).cloned();
    let beside = parts.iter().map(|(name, part)| Arc::new(envelope::field(name, *part)));
    Arc::new(Schema::new(inside.chain(beside).collect::<Vec<_>>()))
}

/// The contract's columns, and behind them those that it keeps.
fn agreed(contract: &Contract, found: &SchemaRef) -> SchemaRef {
    let listed = contract.schema();
    if contract.unlisted != Unlisted::Keep {
        return listed;
    }
    let more = found.fields().iter().filter(|field| listed.column_with_name(field.name()).is_none());
    let all: Vec<Arc<Field>> = listed.fields().iter().chain(more).cloned().collect();
    Arc::new(Schema::new(all))
}

#[async_trait]
impl Source for TopicSource {
    async fn schema(&self) -> Result<SchemaRef> {
        let inner = self.inner.clone();
        blocking(move || Ok(inner.shape(&inner.ends()?)?.layout.schema)).await
    }

    async fn head(&self) -> Result<Position> {
        let inner = self.inner.clone();
        blocking(move || inner.head()).await
    }

    async fn plan(
        &self,
        from: Option<&Position>,
        head: &Position,
        limit: SliceLimit,
    ) -> Result<Option<Unit>> {
        let (inner, from, head) = (self.inner.clone(), from.cloned(), head.clone());
        blocking(move || inner.plan(from.as_ref(), &head, limit)).await
    }

    async fn read(&self, unit: &Unit) -> Result<BoxStream<'static, Result<Chunk>>> {
        let (inner, unit) = (self.inner.clone(), unit.clone());
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = inner.read(&unit, &sender) {
                let _ = sender.blocking_send(Err(error));
            }
        });
        let next = |mut receiver: mpsc::Receiver<Result<Chunk>>| async move {
            receiver.recv().await.map(|chunk| (chunk, receiver))
        };
        Ok(stream::unfold(receiver, next).boxed())
    }

    async fn committed(&self, track: &Track, position: &Position) -> Result<()> {
        let (inner, track, position) = (self.inner.clone(), track.clone(), position.clone());
        blocking(move || inner.report(&track, &position)).await
    }

    async fn changed(&self) {
        let known = lock(&self.inner.seen).ends.clone();
        let moved = |partition: &i32, high: i64| known.get(partition).map_or(0, |ends| ends.high) != high;
        let mut watching = Watching::begin(&self.inner.cluster, &self.inner.topic, &known);
        loop {
            if let Some(highs) = watching.ends().await {
                if highs.iter().any(|(partition, high)| moved(partition, *high)) {
                    return;
                }
                continue;
            }
            let inner = self.inner.clone();
            let now = blocking(move || inner.ends()).await;
            watching.answered(now.as_ref().ok());
            let news = match now {
                Ok(now) => now.iter().any(|(partition, ends)| moved(partition, ends.high)),
                Err(error) => error.stays(),
            };
            if news {
                return;
            }
        }
    }
}
