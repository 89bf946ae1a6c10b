//! How far the tracks are that tables come from: what a cached answer is good for, and since when its rows stand.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::Runtime;
use crate::{
    config::lineage::{Input, Node, named},
    engine::typing::TableName,
    model::name::{JobKind, JobName},
};

/// Where tables stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// Sequence numbers by track; 0 = never written.
    pub tracks: BTreeMap<String, u64>,
    /// When the track that was written longest ago was written.
    pub oldest: Option<DateTime<Utc>>,
    /// Marts among them, each once.
    pub marts: Vec<JobName>,
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

    /// A mart and the marts that it reads.
    pub fn marts_behind(&self, mart: &JobName) -> Vec<JobName> {
        let mut found = vec![mart.clone()];
        let own = self.lineage.nodes.iter().filter(|node| node.kind == JobKind::Mart && node.job == *mart);
        for node in own.flat_map(|node| &node.upstream).map(|at| &self.lineage.nodes[*at]) {
            if node.kind == JobKind::Mart && !found.contains(&node.job) {
                found.push(node.job.clone());
            }
        }
        found
    }

    fn writers(&self, table: &TableName) -> Vec<&Node> {
        let nodes = self.lineage.nodes.iter();
        match named(&self.project, table) {
            Some(Input::Job(kind, job)) => {
                nodes.filter(|node| node.kind == kind && node.job == job).collect()
            }
            Some(Input::Table(table)) => nodes.filter(|node| node.writes.as_ref() == Some(&table)).collect(),
            None => vec![],
        }
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
        if node.kind == JobKind::Mart && !versions.marts.contains(&node.job) {
            versions.marts.push(node.job.clone());
        }
    }
}
