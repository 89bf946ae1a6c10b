//! Many members in one command: each after those that it reads from, some at once.

use std::{collections::BTreeMap, sync::Arc};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    RunOptions, Runtime,
    event::{Observer, Outcome, RunState},
};
use crate::{
    config::lineage::Node,
    model::name::{JobName, Member},
};

/// Runs members in the order of their lineage, `parallel` at once. Members behind one that did not end well are blocked.
/// Outcomes come in the order in which the members were begun.
pub(super) async fn run(
    runtime: &Arc<Runtime>,
    selection: &[(JobName, Member)],
    options: &RunOptions,
    observer: &Arc<dyn Observer>,
    cancel: &CancellationToken,
) -> Vec<Outcome> {
    let mut round = Round {
        runtime,
        options,
        observer,
        cancel,
        waiting: in_order(runtime, selection),
        running: JoinSet::new(),
        begun: vec![],
        done: BTreeMap::new(),
    };
    loop {
        while let Some(node) = round.next_ready() {
            round.begin(node);
        }
        match round.running.join_next().await {
            None => break,
            Some(Ok((node, outcome))) => drop(round.done.insert(node, outcome)),
            Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    let Round { begun, mut done, .. } = round;
    begun.into_iter().filter_map(|node| done.remove(&node)).collect()
}

/// The selected nodes, each behind those that it reads from. A checked project has no cycle.
fn in_order(runtime: &Runtime, selection: &[(JobName, Member)]) -> Vec<usize> {
    let lineage = runtime.lineage();
    let order = lineage.order().unwrap_or_else(|cycle| cycle);
    let selected =
        |node: &Node| selection.iter().any(|(job, member)| *job == node.job && *member == node.member);
    order.into_iter().filter(|node| selected(&lineage.nodes[*node])).collect()
}

struct Round<'a> {
    runtime: &'a Arc<Runtime>,
    options: &'a RunOptions,
    observer: &'a Arc<dyn Observer>,
    cancel: &'a CancellationToken,
    waiting: Vec<usize>,
    running: JoinSet<(usize, Outcome)>,
    begun: Vec<usize>,
    done: BTreeMap<usize, Outcome>,
}

impl Round<'_> {
    /// The first node that nothing unfinished stands before, while there is room for one more run.
    fn next_ready(&mut self) -> Option<usize> {
        if self.options.follow {
            // None of them ends, so nobody can wait for one.
            return (!self.waiting.is_empty()).then(|| self.waiting.remove(0));
        }
        if self.running.len() >= self.runtime.project().parallel {
            return None;
        }
        let unfinished = |node: &usize| {
            self.waiting.contains(node) || (self.begun.contains(node) && !self.done.contains_key(node))
        };
        let ready = |node: &usize| !self.node(*node).upstream.iter().any(unfinished);
        let index = self.waiting.iter().position(ready)?;
        Some(self.waiting.remove(index))
    }

    fn begin(&mut self, node: usize) {
        let (job, member) = (self.node(node).job.clone(), self.node(node).member.clone());
        let upstream = self.node(node).upstream.iter().filter_map(|before| self.done.get(before));
        let broken = upstream.into_iter().find(|outcome| outcome.state != RunState::Done);
        self.begun.push(node);
        if let Some(broken) = broken {
            let outcome = self.runtime.blocked(&job, &member, &broken.track);
            self.done.insert(node, outcome);
            return;
        }
        let (runtime, options) = (Arc::clone(self.runtime), self.options.clone());
        let (observer, cancel) = (Arc::clone(self.observer), self.cancel.clone());
        self.running.spawn(async move {
            (node, runtime.run_member(&job, &member, &options, &observer, &cancel).await)
        });
    }

    fn node(&self, node: usize) -> &Node {
        &self.runtime.lineage().nodes[node]
    }
}
