//! Topics: whether they are there, where they begin and end, making them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::executor::block_on;
use rdkafka::{
    admin::{AdminOptions, NewTopic, TopicReplication},
    client::Client,
    consumer::Consumer as _,
    error::KafkaError,
    metadata::{Metadata, MetadataPartition, MetadataTopic},
    types::RDKafkaErrorCode,
};

use super::{
    client::{ANSWER, Cluster, Consumer, Context, Isolation, listen},
    inquiry::{Answer, Inquiry, Verdict},
};
use crate::connector::error::{Error, ErrorKind, Result};

/// How long a question waits before it is asked again.
const ASK: Duration = Duration::from_secs(3);

/// How long an answer that is not sure is left alone.
const AGAIN: Duration = Duration::from_millis(50);

/// After how long a broker's word of where a topic ends is believed, if it is less than what was there before: it lags behind commits, and where a partition has a new leader.
const SETTLED: Duration = Duration::from_secs(5);

/// How long such a word is left alone.
const LATER: Duration = Duration::from_millis(200);

/// What to do where brokers answer and know too little.
const STARTING: &str = "its brokers are starting or ending; where this stays, see whether all of them are up";

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    /// The first offset that is still there.
    pub(super) low: i64,
    /// The first offset that readers do not see yet.
    pub(super) high: i64,
}

/// Ends by partition.
pub(super) type AllEnds = BTreeMap<i32, Ends>;

/// Refuses names that no topic of a user can have.
pub(super) fn check_name(cluster: &Cluster, table: &str) -> Result<()> {
    let why = if table.starts_with('_') {
        "names that begin with `_` are for book-keeping"
    } else if table.is_empty() || cluster.topic(table).len() > 249 {
        "a topic's name has 1 to 249 characters"
    } else if !table.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        "a topic's name has only Latin letters, digits, `.`, `_` and `-`"
    } else {
        return Ok(());
    };
    let message = format!("{} cannot be used: {why}", cluster.topic_shown(table));
    Err(Error::new(ErrorKind::Unsupported, message).hint("choose another name"))
}

/// The partitions of a topic by its whole name; `None` = there is no such topic, surely (`inquiry.rs`).
pub(super) fn partitions(cluster: &Cluster, topic: &str) -> Result<Option<Vec<i32>>> {
    let looker = cluster.looker(Isolation::Committed)?;
    partitions_by(cluster, &looker, topic)
}

/// The same, asked by this client, which knows them afterwards.
fn partitions_by(cluster: &Cluster, looker: &Consumer, topic: &str) -> Result<Option<Vec<i32>>> {
    let what = || format!("cannot look at topic \"{topic}\" of {}", cluster.shown());
    let fail = |error: &KafkaError| cluster.failed(&what(), looker.context(), error);
    let (begun, mut inquiry) = (Instant::now(), Inquiry::default());
    loop {
        let metadata = metadata(looker, Some(topic)).map_err(|error| fail(&error))?;
        match inquiry.hear(answer(&metadata, topic)) {
            Verdict::There(partitions) => return Ok(Some(partitions)),
            Verdict::Missing => return Ok(None),
            Verdict::Refused(code) => return Err(fail(&KafkaError::MetadataFetch(code))),
            Verdict::Unsure if begun.elapsed() < ANSWER => std::thread::sleep(AGAIN),
            Verdict::Unsure => {
                let message = format!("{}: its brokers do not know it yet, or no longer", what());
                return Err(Error::new(ErrorKind::Unreachable, message).hint(STARTING));
            }
        }
    }
}

/// What a broker says of a topic.
fn answer(metadata: &Metadata, topic: &str) -> Answer {
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let said = |found: &MetadataTopic| match found.error() {
        None => Ok(found.partitions().iter().map(MetadataPartition::id).collect()),
        Some(error) => Err(error.into()),
    };
    Answer { brokers: metadata.brokers().len(), topic: found.map(said) }
}

/// Asks until there is an answer, or a reason why there is none.
fn metadata(looker: &Consumer, topic: Option<&str>) -> Result<Metadata, KafkaError> {
    let begun = Instant::now();
    looker.context().forget();
    loop {
        let answer = looker.fetch_metadata(topic, ASK);
        listen(looker);
        match answer {
            Err(_) if looker.context().heard().is_none() && begun.elapsed() < ANSWER => {}
            answer => return answer,
        }
    }
}

/// Where the partitions of a topic begin and end for readers of committed messages; `None` = there is no such topic.
pub(super) fn ends(cluster: &Cluster, topic: &str) -> Result<Option<AllEnds>> {
    let Some(partitions) = partitions(cluster, topic)? else {
        return Ok(None);
    };
    let ends = |partition| Ok((partition, partition_ends(cluster, topic, partition, Isolation::Committed)?));
    partitions.into_iter().map(ends).collect::<Result<_>>().map(Some)
}

/// Asks where something ends until it is `enough`, or what is said stays less for so long that it is believed.
pub(super) fn believed<T>(ask: impl Fn() -> Result<T>, enough: impl Fn(&T) -> Result<bool>) -> Result<T> {
    let begun = Instant::now();
    loop {
        let ends = ask()?;
        if enough(&ends)? || begun.elapsed() > SETTLED {
            return Ok(ends);
        }
        std::thread::sleep(LATER);
    }
}

/// Where one partition begins and ends.
pub(super) fn partition_ends(
    cluster: &Cluster,
    topic: &str,
    partition: i32,
    isolation: Isolation,
) -> Result<Ends> {
    let looker = cluster.looker(isolation)?;
    let named = || format!("partition {partition} of topic \"{topic}\" of {}", cluster.shown());
    let begun = Instant::now();
    loop {
        let error = match looker.fetch_watermarks(topic, partition, ANSWER) {
            Ok((low, high)) => return Ok(Ends { low, high }),
            Err(error) => error,
        };
        if !leaderless(&error) {
            return Err(cluster.failed(&format!("cannot look at {}", named()), looker.context(), &error));
        }
        if begun.elapsed() > ANSWER {
            let message = format!("{} has no leader", named());
            return Err(Error::new(ErrorKind::Unreachable, message).hint(STARTING));
        }
        std::thread::sleep(AGAIN);
        // The client says so out of what it knows, until it is told anew.
        let known = partitions_by(cluster, &looker, topic)?;
        if !known.is_some_and(|known| known.contains(&partition)) {
            return Err(Error::new(ErrorKind::NotFound, format!("{} is gone", named())));
        }
    }
}

/// A partition that was just made, or whose leader moves, starts or ends: for any of these, the client calls it unknown as well.
fn leaderless(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::OffsetNotAvailable
                | RDKafkaErrorCode::FencedLeaderEpoch
                | RDKafkaErrorCode::UnknownLeaderEpoch
        )
    )
}

/// Names of all topics that a user may know, without the prefix.
pub(super) fn names(cluster: &Cluster) -> Result<Vec<String>> {
    let looker = cluster.looker(Isolation::Committed)?;
    let metadata = metadata(&looker, None).map_err(|error| {
        cluster.failed(&format!("cannot list the topics of {}", cluster.shown()), looker.context(), &error)
    })?;
    let names =
        metadata.topics().iter().filter_map(|topic| topic.name().strip_prefix(&cluster.config.prefix));
    let mut names: Vec<String> =
        names.filter(|name| !name.is_empty() && !name.starts_with('_')).map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

/// What a topic is made with.
#[derive(Debug, Default)]
pub(super) struct Making {
    /// `None` = as the cluster does by default.
    pub(super) partitions: Option<u16>,
    /// `None` = as the cluster does by default.
    pub(super) replication: Option<u16>,
    /// Other settings.
    pub(super) settings: Vec<(&'static str, String)>,
}

/// Makes a topic by its whole name and waits until it is there; somebody else may have made it.
pub(super) fn create(cluster: &Cluster, topic: &str, making: &Making) -> Result<()> {
    let admin = cluster.admin()?;
    let number = |given: Option<u16>| given.map_or(-1, i32::from);
    let replication = TopicReplication::Fixed(number(making.replication));
    let mut new = NewTopic::new(topic, number(making.partitions), replication);
    for (key, value) in &making.settings {
        new = new.set(key, value);
    }
    let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
    let what = format!("cannot make topic \"{topic}\" of {}", cluster.shown());
    let client: &Client<Context> = admin.inner();
    let made = block_on(admin.create_topics([&new], &options));
    let made = made.map_err(|error| cluster.failed(&what, client.context(), &error))?;
    for result in made {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) if lacks_brokers(code, making) => {
                let message = format!("{what}: too few of its brokers are up");
                return Err(Error::new(ErrorKind::Unreachable, message).hint(STARTING));
            }
            Err((_, code)) => {
                return Err(cluster.failed(&what, client.context(), &KafkaError::AdminOp(code)));
            }
        }
    }
    let begun = Instant::now();
    while partitions(cluster, topic)?.is_none() {
        if begun.elapsed() > ANSWER {
            return Err(Error::new(ErrorKind::Timeout, format!("{what}: it does not show up")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Whether a topic cannot be made because brokers are not up: what the cluster does by default, and a single replica, it can do once they are. More may be more than it has.
fn lacks_brokers(code: RDKafkaErrorCode, making: &Making) -> bool {
    code == RDKafkaErrorCode::InvalidReplicationFactor && making.replication.is_none_or(|wanted| wanted < 2)
}

/// Waits until readers of committed messages see everything that lies before the end of this moment; gives that end.
pub(super) fn settled_end(cluster: &Cluster, topic: &str, partition: i32, wait: Duration) -> Result<Ends> {
    let end = partition_ends(cluster, topic, partition, Isolation::Uncommitted)?.high;
    let begun = Instant::now();
    loop {
        let seen = partition_ends(cluster, topic, partition, Isolation::Committed)?;
        if seen.high >= end {
            return Ok(Ends { low: seen.low, high: end });
        }
        if begun.elapsed() > wait {
            let message = format!("a transaction in topic \"{topic}\" of {} stays open", cluster.shown());
            return Err(Error::new(ErrorKind::Busy, message).hint(
                "another writer was cut off in it; the cluster ends it within its `transaction.timeout.ms`",
            ));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_of_one_replica_lacks_brokers_that_are_not_up() {
        let lacks = |replication| {
            let making = Making { replication, ..Making::default() };
            lacks_brokers(RDKafkaErrorCode::InvalidReplicationFactor, &making)
        };
        assert_eq!([None, Some(1), Some(3)].map(lacks), [true, true, false]);
        assert!(!lacks_brokers(RDKafkaErrorCode::InvalidConfig, &Making::default()));
    }
}
