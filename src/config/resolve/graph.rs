//! Which job needs which: found from sources and schedules; a circle is an error, drawn.

use indexmap::{IndexMap, IndexSet};

use super::{Jobs, Written, report::Report};
use crate::{
    config::{
        project::{SourceKind, Trigger},
        tree::Node,
    },
    model::name::JobName,
};

/// Jobs that each job needs.
type Needs = IndexMap<JobName, IndexSet<JobName>>;

/// Reports every circle once.
pub fn check(jobs: &Jobs<'_>, written: &Written, report: &mut Report<'_>) {
    let needs = needs(jobs, written);
    let trees: IndexMap<&JobName, &Node> = jobs.all().map(|(info, tree, _)| (&info.name, tree)).collect();
    for circle in circles(&needs) {
        let mut drawn: Vec<&str> = circle.iter().map(JobName::as_str).collect();
        drawn.push(drawn[0]);
        let Some(tree) = trees.get(&circle[0]) else { continue };
        let message = format!("these wait for each other: {}", drawn.join(" → "));
        let node = tree.find(&["schedule", "after"]);
        let hint = "an arrow points at what is needed; take one of them out";
        match node {
            Some(node) => report.value(node, "cycle", message, hint),
            None => report.file(tree.file.to_path_buf(), "cycle", message, hint),
        }
    }
}

fn needs(jobs: &Jobs<'_>, written: &Written) -> Needs {
    let mut needs: Needs = jobs.all().map(|(info, _, _)| (info.name.clone(), IndexSet::new())).collect();
    let after = jobs.all().filter_map(|(info, _, _)| match &info.schedule.as_ref()?.trigger {
        Trigger::After(names) => Some((info.name.clone(), names.clone())),
        _ => None,
    });
    let after: Vec<(JobName, Vec<JobName>)> = after.collect();
    for (name, others) in after {
        needs.entry(name).or_default().extend(others);
    }
    for (_, pipeline) in &jobs.pipelines {
        for member in &pipeline.members {
            let others: Vec<JobName> = match &member.source {
                SourceKind::Table(spec) => {
                    let table = (spec.connection.clone(), spec.schema.clone(), spec.table.clone());
                    written.get(&table).into_iter().flatten().map(|(job, _)| job.clone()).collect()
                }
                SourceKind::Generate { parents, .. } => parents.keys().map(JobName::new).collect(),
            };
            needs.entry(pipeline.info.name.clone()).or_default().extend(others);
        }
    }
    needs
}

/// Circles, each once, beginning with its first job in order of name.
fn circles(needs: &Needs) -> Vec<Vec<JobName>> {
    let mut found: Vec<Vec<JobName>> = vec![];
    let mut done: IndexSet<JobName> = IndexSet::new();
    for start in needs.keys() {
        let mut path: Vec<JobName> = vec![];
        search(start, needs, &mut path, &mut done, &mut found);
    }
    found
}

fn search(
    job: &JobName,
    needs: &Needs,
    path: &mut Vec<JobName>,
    done: &mut IndexSet<JobName>,
    found: &mut Vec<Vec<JobName>>,
) {
    if let Some(at) = path.iter().position(|step| step == job) {
        let mut circle = path[at..].to_vec();
        let first = (0..circle.len()).min_by_key(|at| circle[*at].clone()).unwrap_or(0);
        circle.rotate_left(first);
        if !found.contains(&circle) {
            found.push(circle);
        }
        return;
    }
    if !done.insert(job.clone()) {
        return;
    }
    path.push(job.clone());
    for other in needs.get(job).into_iter().flatten() {
        search(other, needs, path, done, found);
    }
    path.pop();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_once() {
        let needs = |edges: &[(&str, &str)]| {
            let mut needs = Needs::new();
            for (from, to) in edges {
                needs.entry(JobName::new(from)).or_default().insert(JobName::new(to));
            }
            let drawn = |circle: Vec<JobName>| circle.iter().map(JobName::as_str).collect::<Vec<_>>().join(" ");
            circles(&needs).into_iter().map(drawn).collect::<Vec<_>>()
        };
        assert_eq!(needs(&[("a", "b"), ("b", "c")]), Vec::<String>::new());
        assert_eq!(needs(&[("c", "a"), ("a", "b"), ("b", "c")]), ["a b c"]);
        assert_eq!(needs(&[("a", "a"), ("b", "a")]), ["a"]);
        assert_eq!(needs(&[("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")]), ["a b", "b c"]);
    }
}
