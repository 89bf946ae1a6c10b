//! Positions are reported to a consumer group, for tools that show lag. Nothing is read from it: the record in the sink says where to go on.
//!
//! The group has no members: partitions are never shared out among readers. Where it has some, others read with it, and the cluster refuses the report.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    types::RDKafkaErrorCode as Code,
};

use super::{
    client::{Cluster, Consumer, lock},
    config::Group,
    plan::{number, offset_after},
};
use crate::{
    connector::error::{Error, ErrorKind, Result},
    model::{name::Track, position::Position},
};

/// The group that a track's positions are reported to.
pub(super) fn name(cluster: &Cluster, group: &Group, track: &Track) -> Option<String> {
    match group {
        Group::Reported(false) => None,
        Group::Reported(true) => Some(format!("{}vitrina-{}", cluster.config.prefix, track.key())),
        Group::Named(name) => Some(name.clone()),
    }
}

/// How long a report may wait for the cluster.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long nothing is reported after a failure: to the group, or, where the cluster did not answer, to any.
const QUIET: Duration = Duration::from_mins(5);

/// Who reports the positions of a connection: one client, made anew for another group, so that many pipelines need no more clients than few.
#[derive(Default)]
pub(super) struct Reporter {
    /// With the group that it last reported to.
    client: Mutex<Option<(String, Consumer)>>,
    failed: Mutex<Failed>,
}

/// Failures that are not over.
#[derive(Default)]
struct Failed {
    any: Option<Instant>,
    groups: BTreeMap<String, Instant>,
}

impl Failed {
    fn is_quiet(&mut self, group: &str) -> bool {
        let fresh = |since: &Instant| since.elapsed() < QUIET;
        self.any = self.any.filter(fresh);
        self.groups.retain(|_, since| fresh(since));
        self.any.is_some() || self.groups.contains_key(group)
    }

    fn add(&mut self, group: &str, kind: ErrorKind) {
        let now = Instant::now();
        // The cluster's word about this group, or none at all.
        if matches!(kind, ErrorKind::Busy | ErrorKind::Denied) {
            self.groups.insert(group.to_owned(), now);
        } else {
            self.any = Some(now);
        }
    }
}

impl Reporter {
    /// The client, which it no longer has.
    pub(super) fn leave(&self) -> Option<Consumer> {
        lock(&self.client).take().map(|(_, client)| client)
    }
}

/// Reports a position. A failure is told once; then nothing is reported for a while, and nobody waits.
pub(super) fn report(cluster: &Cluster, group: &str, topic: &str, position: &Position) -> Result<()> {
    let mut list = TopicPartitionList::new();
    for (partition, bound) in &position.partitions {
        let next = Offset::Offset(offset_after(bound)?);
        let added = list.add_partition_offset(topic, number(partition)?, next);
        added
            .map_err(|error| Error::new(ErrorKind::Internal, "an offset cannot be told").caused_by(error))?;
    }
    let reporter = &cluster.reporter;
    let is_quiet = || lock(&reporter.failed).is_quiet(group);
    if list.count() == 0 || is_quiet() {
        return Ok(());
    }
    let mut client = lock(&reporter.client);
    // Whoever was before us may have failed meanwhile.
    if is_quiet() {
        return Ok(());
    }
    let sent = send(cluster, &mut client, group, &list);
    if let Err(error) = &sent {
        *client = None;
        lock(&reporter.failed).add(group, error.kind);
    }
    sent
}

fn send(
    cluster: &Cluster,
    client: &mut Option<(String, Consumer)>,
    group: &str,
    list: &TopicPartitionList,
) -> Result<()> {
    if client.as_ref().is_none_or(|(known, _)| known != group) {
        // The old one is gone before there is a new one.
        *client = None;
        *client = Some((group.to_owned(), cluster.member_of_none(group, PATIENCE)?));
    }
    let Some((_, client)) = client.as_ref() else { return Ok(()) };
    let Err(error) = client.commit(list, CommitMode::Sync) else { return Ok(()) };
    let what = format!("cannot report to group \"{group}\" of {}", cluster.shown());
    Err(match error.rdkafka_error_code() {
        Some(Code::UnknownMemberId | Code::IllegalGeneration | Code::RebalanceInProgress) => {
            let message = format!("{what}: others read with it");
            Error::new(ErrorKind::Busy, message)
                .hint("name a group of the pipeline's own: `group` in [source.kafka], or `group = false`")
        }
        _ => cluster.failed(&what, client.context(), &error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_followed_by_silence() {
        let mut failed = Failed::default();
        assert!(!failed.is_quiet("a"));
        failed.add("a", ErrorKind::Busy);
        assert!(failed.is_quiet("a") && !failed.is_quiet("b"), "others report on");
        failed.add("a", ErrorKind::Timeout);
        assert!(failed.is_quiet("b"), "a cluster that does not answer does so to nobody");
        if let Some(past) = Instant::now().checked_sub(QUIET) {
            failed.any = Some(past);
            failed.groups.insert("a".to_owned(), past);
            assert!(!failed.is_quiet("a") && failed.groups.is_empty());
        }
    }
}
