//! Generators: their parents are found, and their specifications judged.

use indexmap::IndexMap;

use super::{matrix::meant, report::Report, trees::Trees};
use crate::{
    config::{
        project::{Pipeline, Project, SourceKind},
        tree::Node,
    },
    connector::generate::config::Generate,
    model::name::{JobName, Member},
};

/// Gives every generator the specifications of its ancestors, and reports what is wrong with it.
pub(crate) fn check(project: &mut Project, trees: &Trees<'_>, report: &mut Report<'_>) {
    let all = project.pipelines.clone();
    for pipeline in project.pipelines.values_mut() {
        let tree = trees.of_job(&pipeline.info).at(&["source", "generate"]);
        let first = report.problems.len();
        for member in &mut pipeline.members {
            let SourceKind::Generate { spec, parents } = &mut member.source else { continue };
            report.member(first, |report| {
                *parents = ancestors(&pipeline.info.name, spec, &member.member, &all, tree, report);
                for finding in spec.problems(parents) {
                    let path: Vec<&str> = finding.path.iter().map(String::as_str).collect();
                    let node = tree.at(&path);
                    let hint = finding.hint.unwrap_or_default();
                    match finding.within {
                        Some(bytes) => report.within(node, bytes, "bad-generator", finding.message, hint),
                        None => report.value(node, "bad-generator", finding.message, hint),
                    }
                }
            });
        }
    }
}

fn ancestors(
    name: &JobName,
    spec: &Generate,
    member: &Member,
    all: &IndexMap<JobName, Pipeline>,
    tree: &Node,
    report: &mut Report<'_>,
) -> IndexMap<String, Generate> {
    let mut found: IndexMap<String, Generate> = IndexMap::new();
    let place = tree.at(&["parent", "pipeline"]);
    let mut parent = spec.parent.as_ref().map(|parent| parent.pipeline.clone());
    while let Some(wanted) = parent {
        if wanted == name.as_str() || found.contains_key(&wanted) {
            let message = format!("`{wanted}` would come from itself");
            report.value(place, "cycle", message, "a generator's parents begin with one that has none");
            break;
        }
        match generator(&wanted, member, all) {
            Ok(spec) => {
                parent = spec.parent.as_ref().map(|parent| parent.pipeline.clone());
                found.insert(wanted, spec.clone());
            }
            Err((message, hint)) => {
                report.value(place, "unknown-parent", message, hint);
                break;
            }
        }
    }
    found
}

fn generator<'a>(
    name: &str,
    member: &Member,
    all: &'a IndexMap<JobName, Pipeline>,
) -> Result<&'a Generate, (String, String)> {
    let Some(pipeline) = all.get(&JobName::new(name)) else {
        let generates = |pipeline: &&Pipeline| {
            pipeline
                .members
                .first()
                .is_some_and(|member| matches!(member.source, SourceKind::Generate { .. }))
        };
        let names: Vec<&str> =
            all.values().filter(generates).map(|pipeline| pipeline.info.name.as_str()).collect();
        return Err((format!("there is no pipeline `{name}`"), meant(name, &names)));
    };
    let same = pipeline.members.iter().find(|other| other.member == *member);
    match same.map(|other| &other.source) {
        Some(SourceKind::Generate { spec, .. }) => Ok(spec),
        Some(SourceKind::Table(_)) => {
            Err((format!("pipeline `{name}` reads a table: its rows are not made up"), String::new()))
        }
        None => Err((
            format!("pipeline `{name}` has no member `{}`", member.key()),
            "a generator and its parent fan out over the same matrices".to_owned(),
        )),
    }
}
