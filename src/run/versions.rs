//! How far the tracks are that tables come from: what a cached answer is good for, and since when its rows stand.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::Runtime;
use crate::{
    config::lineage::{Node, named},
    engine::typing::TableName,
    model::name::JobName,
};

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
    /// Asks the sinks of every track that writes one of these tables.
    pub async fn versions(&self, tables: &[TableName]) -> Versions {
        let mut versions = Versions { complete: true, ..Versions::default() };
        for table in tables {
            let nodes = self.writers(table);
            versions.complete &= !nodes.is_empty();
            for node in nodes {
                self.note(node, &mut versions).await;
            }
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

    async fn note(&self, node: &Node, versions: &mut Versions) {
        let track = self.project.track(&node.job, &node.member).key();
        if versions.tracks.contains_key(&track) {
            return;
        }
        match self.record_of(&node.job, &node.member).await {
            Ok(record) => {
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
