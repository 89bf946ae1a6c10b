//! Generators: their parents are found, and their specifications judged.

use indexmap::{IndexMap, IndexSet};

use super::{matrix::meant, report::Report, trees::Trees};
use crate::{
    config::project::{Pipeline, Project, SourceKind},
    connector::generate::config::Generate,
    model::name::{JobName, Member},
};

/// Gives every generator the specifications of its ancestors, and reports what is wrong with it.
/// Nothing is said of parents that are wrong themselves.
pub(crate) fn check(
    project: &mut Project,
    wrong: &IndexSet<JobName>,
    trees: &Trees<'_>,
    report: &mut Report<'_>,
) {
    let all = project.pipelines.clone();
    for pipeline in project.pipelines.values_mut() {
        let tree = trees.of_job(&pipeline.info).at(&["source", "generate"]);
        let first = report.problems.len();
        for member in &mut pipeline.members {
            let SourceKind::Generate { spec, parents } = &mut member.source else { continue };
            report.member(first, |report| {
                let place = tree.at(&["parent", "pipeline"]);
                match ancestors(&pipeline.info.name, spec, &member.member, &all) {
                    Ok(found) => *parents = found,
                    Err(missing) if wrong.contains(&missing.name) => return,
                    Err(Missing { code, message, hint, .. }) => report.value(place, code, message, hint),
                }
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

/// A parent that is none.
struct Missing {
    name: JobName,
    code: &'static str,
    message: String,
    hint: String,
}

/// The generators that a generator comes from, by pipeline name.
fn ancestors(
    name: &JobName,
    spec: &Generate,
    member: &Member,
    all: &IndexMap<JobName, Pipeline>,
) -> Result<IndexMap<String, Generate>, Missing> {
    let mut found: IndexMap<String, Generate> = IndexMap::new();
    let mut parent = spec.parent.as_ref().map(|parent| parent.pipeline.clone());
    while let Some(wanted) = parent {
        let missing = |code, message, hint| Missing { name: JobName::new(&wanted), code, message, hint };
        if wanted == name.as_str() || found.contains_key(&wanted) {
            let hint = "a generator's parents begin with one that has none".to_owned();
            return Err(missing("cycle", format!("`{wanted}` would come from itself"), hint));
        }
        let spec = generator(&wanted, member, all)
            .map_err(|(message, hint)| missing("unknown-parent", message, hint))?;
        parent = spec.parent.as_ref().map(|parent| parent.pipeline.clone());
        found.insert(wanted, spec.clone());
    }
    Ok(found)
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
