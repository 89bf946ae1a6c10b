//! How far the tracks are that tables come from: what a cached answer is good for, and since when its rows stand.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::future::join_all;

use super::Runtime;
use crate::{
    config::lineage::{Node, named},
    connector::error::Result,
    engine::typing::TableName,
    model::{name::JobName, unit::Record},
};

/// Sinks that are asked at once.
const AT_ONCE: usize = 4;

/// Where tables stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// Sequence numbers by track; 0 = never written.
    pub tracks: BTreeMap<String, u64>,
    /// When the track that was written longest ago was written.
    pub oldest: Option<DateTime<Utc>>,
    /// The pipelines and marts, each once.
    pub jobs: Vec<JobName>,
    /// Whether that is all: no table of others, no sink that gave no answer.
    pub complete: bool,
}

impl Runtime {
    /// Asks the sinks of every track that writes one of these tables, some at once.
    pub async fn versions(&self, tables: &[TableName]) -> Versions {
        let mut versions = Versions { complete: true, ..Versions::default() };
        let mut nodes: Vec<&Node> = vec![];
        for table in tables {
            let writers = self.writers(table);
            versions.complete &= !writers.is_empty();
            for node in writers {
                if !nodes.iter().any(|known| std::ptr::eq(*known, node)) {
                    nodes.push(node);
                }
            }
        }
        for some in nodes.chunks(AT_ONCE) {
            let asked = some.iter().map(|node| self.record_of(&node.job, &node.member));
            let found = join_all(asked).await;
            some.iter().zip(found).for_each(|(node, record)| self.note(node, record, &mut versions));
        }
        versions
    }

    /// A mart, and the pipelines and marts that it reads.
    pub fn jobs_behind(&self, mart: &JobName) -> Vec<JobName> {
        let mut found = vec![mart.clone()];
        let own = self.lineage.nodes.iter().filter(|node| node.job == *mart);
        for node in own.flat_map(|node| &node.upstream).map(|at| &self.lineage.nodes[*at]) {
            if !found.contains(&node.job) {
                found.push(node.job.clone());
            }
        }
        found
    }

    fn writers(&self, table: &TableName) -> Vec<&Node> {
        let input = named(&self.project, table);
        let writers = input.iter().flat_map(|input| self.lineage.writers(input));
        writers.map(|node| &self.lineage.nodes[node]).collect()
    }

    fn note(&self, node: &Node, record: Result<Option<Record>>, versions: &mut Versions) {
        match record {
            Ok(record) => {
                let track = self.project.track(&node.job, &node.member).key();
                versions.tracks.insert(track, record.as_ref().map_or(0, |record| record.seq));
                if let Some(record) = record {
                    versions.oldest = Some(versions.oldest.map_or(record.at, |oldest| oldest.min(record.at)));
                }
            }
            Err(_) => versions.complete = false,
        }
        if !versions.jobs.contains(&node.job) {
            versions.jobs.push(node.job.clone());
        }
    }
}
