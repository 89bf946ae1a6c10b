//! Whether topics have news: one question for all that wait, however many sources of a connection do.
//!
//! Whoever finds the last look old looks for everybody who waits: where the partitions end that they know, in one request to each broker. Such a request has one answer: a partition
//! without a leader, or a topic that is gone, makes it none. Then every source asks by itself, and those whose topics answer are asked for together again. New partitions
//! are found by asking alone, too, now and then.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer as _};
use tokio::time::Instant;

use super::{
    client::{Cluster, Isolation, blocking, lock},
    topic::AllEnds,
};
use crate::connector::error::{Error, ErrorKind, Result};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a look may take.
const ANSWER: Duration = Duration::from_secs(1);

/// How often a source asks by itself: for new partitions, and where its topic does not answer with the others.
const ALONE_EVERY: Duration = Duration::from_secs(10);
const APART_EVERY: Duration = Duration::from_millis(250);

/// First offsets that readers do not see yet, by partition.
pub(super) type Highs = BTreeMap<i32, i64>;

/// The topics of a connection that are waited for.
pub(super) struct Watch {
    waiting: Mutex<BTreeMap<String, Waiting>>,
    last: Mutex<Arc<Look>>,
    /// Who looks.
    turn: tokio::sync::Mutex<()>,
}

/// A topic that is waited for.
struct Waiting {
    sources: usize,
    partitions: Vec<i32>,
    /// Whether it is asked for alone.
    apart: bool,
}

/// What was seen at once.
struct Look {
    begun: Instant,
    topics: BTreeMap<String, Highs>,
}

impl Default for Watch {
    fn default() -> Self {
        let never = Look { begun: Instant::now(), topics: BTreeMap::new() };
        Self {
            waiting: Mutex::default(),
            last: Mutex::new(Arc::new(never)),
            turn: tokio::sync::Mutex::default(),
        }
    }
}

/// A source that waits; gone when it is dropped.
pub(super) struct Watching {
    cluster: Arc<Cluster>,
    topic: String,
    alone: Instant,
}

impl Watching {
    /// Waits for news of a topic that has these partitions, as far as is known.
    pub(super) fn begin(cluster: &Arc<Cluster>, topic: &str, known: &AllEnds) -> Self {
        let mut waiting = lock(&cluster.watch.waiting);
        let fresh = || Waiting { sources: 0, partitions: vec![], apart: known.is_empty() };
        let found = waiting.entry(topic.to_owned()).or_insert_with(fresh);
        found.sources += 1;
        if !known.is_empty() {
            found.partitions = known.keys().copied().collect();
        }
        Self { cluster: cluster.clone(), topic: topic.to_owned(), alone: Instant::now() }
    }

    /// Where the topic ends, soon and not before this is called; `None` = it is to be asked for alone.
    pub(super) async fn ends(&mut self) -> Option<Highs> {
        let asked = Instant::now();
        if self.is_apart() {
            tokio::time::sleep(APART_EVERY).await;
            return None;
        }
        if self.alone.elapsed() > ALONE_EVERY {
            self.alone = asked;
            return None;
        }
        loop {
            let last = lock(&self.cluster.watch.last).clone();
            if last.begun > asked {
                return last.topics.get(&self.topic).cloned();
            }
            tokio::time::sleep_until(last.begun + LOOK_EVERY).await;
            self.look_after(last.begun).await;
        }
    }

    /// The topic was asked for alone, and answered, or not.
    pub(super) fn answered(&self, ends: Option<&AllEnds>) {
        if let Some(found) = lock(&self.cluster.watch.waiting).get_mut(&self.topic) {
            found.apart = ends.is_none();
            found.partitions = ends.map_or(vec![], |ends| ends.keys().copied().collect());
        }
    }

    fn is_apart(&self) -> bool {
        lock(&self.cluster.watch.waiting).get(&self.topic).is_none_or(|found| found.apart)
    }

    /// Looks for all who wait, unless somebody else has since then.
    async fn look_after(&self, known: Instant) {
        let watch = &self.cluster.watch;
        let _turn = watch.turn.lock().await;
        if lock(&watch.last).begun != known {
            return;
        }
        let begun = Instant::now();
        let wanted: Vec<(String, Vec<i32>)> = lock(&watch.waiting)
            .iter()
            .filter(|(_, found)| !found.apart)
            .map(|(topic, found)| (topic.clone(), found.partitions.clone()))
            .collect();
        let (cluster, asked) = (self.cluster.clone(), wanted.clone());
        let seen = blocking(move || look(&cluster, &asked)).await;
        let topics = seen.unwrap_or_default();
        let mut waiting = lock(&watch.waiting);
        for (topic, _) in &wanted {
            if let Some(found) = waiting.get_mut(topic).filter(|_| !topics.contains_key(topic)) {
                found.apart = true;
            }
        }
        drop(waiting);
        *lock(&watch.last) = Arc::new(Look { begun, topics });
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut waiting = lock(&self.cluster.watch.waiting);
        if let Some(found) = waiting.get_mut(&self.topic) {
            found.sources -= 1;
            if found.sources == 0 {
                waiting.remove(&self.topic);
            }
        }
    }
}

/// Where the partitions of topics end; one of which some do not answer is left out.
fn look(cluster: &Cluster, wanted: &[(String, Vec<i32>)]) -> Result<BTreeMap<String, Highs>> {
    let mut list = TopicPartitionList::new();
    for (topic, partitions) in wanted {
        for partition in partitions {
            let added = list.add_partition_offset(topic, *partition, Offset::End);
            added.map_err(|error| {
                Error::new(ErrorKind::Internal, "an end cannot be asked for").caused_by(error)
            })?;
        }
    }
    if list.count() == 0 {
        return Ok(BTreeMap::new());
    }
    let looker = cluster.looker(Isolation::Committed)?;
    let found = looker.offsets_for_times(list, ANSWER).map_err(|error| {
        let what = format!("cannot look at the topics of {}", cluster.shown());
        cluster.failed(&what, looker.context(), &error)
    })?;
    let mut topics: BTreeMap<String, Highs> = BTreeMap::new();
    for element in found.elements() {
        if let (Ok(()), Offset::Offset(high)) = (element.error(), element.offset()) {
            topics.entry(element.topic().to_owned()).or_default().insert(element.partition(), high);
        }
    }
    topics.retain(|topic, highs| {
        wanted.iter().any(|(wanted, partitions)| wanted == topic && partitions.len() == highs.len())
    });
    Ok(topics)
}
