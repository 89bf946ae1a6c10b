//! Members that wait for each other: a circle is an error, drawn.

use std::collections::BTreeSet;

use indexmap::IndexSet;

use super::{report::Report, trees::Trees};
use crate::{
    config::{lineage::Lineage, project::Project},
    model::{name::JobName, problem::Problem},
};

/// Reports every circle once. Where jobs are wrong by themselves, what they would write is not known.
pub(crate) fn check(
    lineage: &Lineage,
    project: &Project,
    wrong: &IndexSet<JobName>,
    trees: &Trees<'_>,
    report: &mut Report<'_>,
) {
    let needs: Vec<Vec<usize>> = lineage.nodes.iter().map(|node| node.upstream.clone()).collect();
    let mut drawn: BTreeSet<String> = BTreeSet::new();
    for circle in circles(&needs) {
        let nodes = circle.iter().chain(circle.first()).map(|at| &lineage.nodes[*at]);
        let names: Vec<&str> = nodes.map(|node| node.job.as_str()).collect();
        let picture = names.join(" → ");
        if !drawn.insert(picture.clone()) {
            continue; // The same circle of another member.
        }
        let first = &lineage.nodes[circle[0]];
        let tree = trees.get(first.kind, &first.job);
        let told = |problem: &Problem| problem.code == "own-source" && problem.path == *tree.file;
        if circle.len() == 1 && report.problems.iter().any(told) {
            continue;
        }
        let message = format!("these wait for each other: {picture}");
        let hint = "an arrow points at what is needed; take one of them out";
        match tree.find(&["schedule", "after"]).filter(|node| !node.items().is_empty()) {
            Some(node) => report.value(node, "cycle", message, hint),
            None => report.file(tree.file.to_path_buf(), "cycle", message, hint),
        }
    }
    if wrong.is_empty() {
        after_nothing(lineage, project, trees, report);
    }
}

/// `after = "inputs"` of a job whose inputs nobody here writes would never fire.
fn after_nothing(lineage: &Lineage, project: &Project, trees: &Trees<'_>, report: &mut Report<'_>) {
    use crate::config::project::Trigger;
    for info in project.jobs() {
        let waits = info.schedule.as_ref().is_some_and(|schedule| schedule.trigger == Trigger::AfterInputs);
        let mut nodes = lineage.nodes.iter().filter(|node| node.job == info.name && node.kind == info.kind);
        if waits && nodes.all(|node| node.upstream.is_empty()) {
            let node = trees.of_job(info).at(&["schedule", "after"]);
            let message = "nothing here writes what this reads, so it would never run";
            report.value(node, "bad-schedule", message, "use `every` or `cron`");
        }
    }
}

/// Circles, each once, beginning with its first node.
fn circles(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut search = Search { needs, path: vec![], done: vec![false; needs.len()], found: vec![] };
    for start in 0..needs.len() {
        search.visit(start);
    }
    search.found
}

struct Search<'a> {
    needs: &'a [Vec<usize>],
    path: Vec<usize>,
    done: Vec<bool>,
    found: Vec<Vec<usize>>,
}

impl Search<'_> {
    fn visit(&mut self, node: usize) {
        if let Some(at) = self.path.iter().position(|step| *step == node) {
            let mut circle = self.path[at..].to_vec();
            let first = (0..circle.len()).min_by_key(|at| circle[*at]).unwrap_or(0);
            circle.rotate_left(first);
            if !self.found.contains(&circle) {
                self.found.push(circle);
            }
            return;
        }
        if std::mem::replace(&mut self.done[node], true) {
            return;
        }
        self.path.push(node);
        for next in &self.needs[node] {
            self.visit(*next);
        }
        self.path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::circles;

    #[test]
    fn circles_are_found_once() {
        assert_eq!(circles(&[vec![1], vec![2], vec![]]), Vec::<Vec<usize>>::new());
        assert_eq!(circles(&[vec![1], vec![2], vec![0]]), [[0, 1, 2]]);
        assert_eq!(circles(&[vec![0], vec![0]]), [[0]]);
        assert_eq!(circles(&[vec![1], vec![0, 2], vec![1]]), [[0, 1], [1, 2]]);
    }
}
