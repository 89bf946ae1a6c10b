//! Positions are reported to a consumer group, for tools that show lag. Nothing is read from it: the record in the sink says where to go on.
//!
//! The group has no members: partitions are never shared out among readers. Where it has some, others read with it, and the cluster refuses the report.

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    types::RDKafkaErrorCode as Code,
};

use super::{
    client::{ANSWER, Cluster, lock},
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

/// Reports a position. One client a connection does so, made anew for another group, so that many pipelines need no more clients than few.
pub(super) fn report(cluster: &Cluster, group: &str, topic: &str, position: &Position) -> Result<()> {
    let mut list = TopicPartitionList::new();
    for (partition, bound) in &position.partitions {
        let next = Offset::Offset(offset_after(bound)?);
        let added = list.add_partition_offset(topic, number(partition)?, next);
        added
            .map_err(|error| Error::new(ErrorKind::Internal, "an offset cannot be told").caused_by(error))?;
    }
    if list.count() == 0 {
        return Ok(());
    }
    let mut reporter = lock(&cluster.reporter);
    if reporter.as_ref().is_none_or(|(known, _)| known != group) {
        // The old one is gone before there is a new one.
        *reporter = None;
        *reporter = Some((group.to_owned(), cluster.member_of_none(group, ANSWER)?));
    }
    let Some((_, client)) = reporter.as_ref() else { return Ok(()) };
    let Err(error) = client.commit(&list, CommitMode::Sync) else { return Ok(()) };
    let what = format!("cannot report to group \"{group}\" of {}", cluster.shown());
    let failure = match error.rdkafka_error_code() {
        Some(Code::UnknownMemberId | Code::IllegalGeneration | Code::RebalanceInProgress) => {
            let message = format!("{what}: others read with it");
            Error::new(ErrorKind::Busy, message)
                .hint("name a group of the pipeline's own: `group` in [source.kafka], or `group = false`")
        }
        _ => cluster.failed(&what, client.context(), &error),
    };
    *reporter = None;
    Err(failure)
}
