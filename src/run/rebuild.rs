//! Which members of marts build stale windows again without being asked: those that say `on_change = "rebuild"`.

use super::{Runtime, member::Found};
use crate::{
    config::{lineage::Node, project::MartMember},
    connector::error::Result,
    model::{
        name::{JobName, Member},
        window::OnChange,
    },
};

impl Runtime {
    /// All of them.
    pub fn rebuilders(&self) -> Vec<(JobName, Member)> {
        self.lineage.nodes.iter().filter(|node| self.rebuilds(node)).map(named).collect()
    }

    /// Those whose windows a member may have made stale by what it wrote. A mart may always have; a pipeline has where it read its source again (`anew`).
    pub fn rebuilders_after(&self, job: &JobName, member: &Member, anew: bool) -> Vec<(JobName, Member)> {
        let Some(upstream) = self.lineage.find(job, member) else { return vec![] };
        if !anew && self.mart_of(&self.lineage.nodes[upstream]).is_none() {
            return vec![];
        }
        let readers = self.lineage.nodes.iter().filter(|node| node.upstream.contains(&upstream));
        readers.filter(|node| self.rebuilds(node)).map(named).collect()
    }

    /// Whether a member has stale windows now.
    pub async fn has_stale_windows(&self, job: &JobName, member: &Member) -> Result<bool> {
        let ledger = self.ledger(job, member).await?;
        Ok(ledger.is_some_and(|ledger| ledger.stale().next().is_some()))
    }

    fn rebuilds(&self, node: &Node) -> bool {
        let windows = self.mart_of(node).and_then(MartMember::windows);
        windows.is_some_and(|windows| windows.on_change == OnChange::Rebuild)
    }

    fn mart_of(&self, node: &Node) -> Option<&MartMember> {
        match self.find(&node.job, &node.member) {
            Ok(Found::Mart(_, member)) => Some(member),
            _ => None,
        }
    }
}

fn named(node: &Node) -> (JobName, Member) {
    (node.job.clone(), node.member.clone())
}
