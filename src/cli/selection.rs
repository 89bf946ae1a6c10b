//! What a NAME on the command line means: a pipeline or mart, a member, a glob, a tag, and what depends on it.

use std::collections::BTreeSet;

use globset::GlobBuilder;

use super::failure::{Failure, Result};
use crate::{
    config::{
        lineage::{Lineage, Node, lineage},
        project::Project,
    },
    model::{
        name::{JobName, Member},
        problem::nearest,
    },
};

/// What NAMEs select, for `--help`.
pub(super) const HELP: &str = "\
A NAME is
  actions_to_stream          a pipeline or mart, with all its members
  actions_to_stream/mrf1     one member
  'actions_*', '*/mrf1'      a glob over both
  tag:crm                    everything with that tag
  actions_to_stream+         it, and what depends on it";

/// Members that were selected, in order of dependency.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    /// Who reads what whom writes, of the whole project.
    pub lineage: Lineage,
    /// Nodes of it.
    pub nodes: Vec<usize>,
}

impl Selection {
    /// Every member of the project.
    pub(super) fn all(project: &Project) -> Result<Self> {
        Self::of(project, |_| true)
    }

    /// Members that the names mean; none is an error. Without names: every member.
    pub(super) fn named(project: &Project, names: &[String]) -> Result<Self> {
        if names.is_empty() {
            return Self::all(project);
        }
        let lineage = lineage(project);
        let mut wanted = BTreeSet::new();
        for name in names {
            wanted.extend(meant(project, &lineage, name)?);
        }
        Self::ordered(lineage, |node| wanted.contains(&node))
    }

    /// One member, and how many others the name means as well.
    pub(super) fn first(project: &Project, name: &str) -> Result<(Self, usize)> {
        let mut selection = Self::named(project, &[name.to_owned()])?;
        let others = selection.nodes.len().saturating_sub(1);
        selection.nodes.truncate(1);
        Ok((selection, others))
    }

    /// The selected nodes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().map(|node| &self.lineage.nodes[*node])
    }

    /// The selected members.
    pub(super) fn members(&self) -> Vec<(JobName, Member)> {
        self.iter().map(|node| (node.job.clone(), node.member.clone())).collect()
    }

    /// Names as users write them.
    pub(super) fn names(&self) -> Vec<String> {
        self.iter().map(name_of).collect()
    }

    fn of(project: &Project, wanted: impl Fn(usize) -> bool) -> Result<Self> {
        Self::ordered(lineage(project), wanted)
    }

    fn ordered(lineage: Lineage, wanted: impl Fn(usize) -> bool) -> Result<Self> {
        let order = lineage.order().map_err(|cycle| {
            let names: Vec<String> = cycle.iter().map(|node| name_of(&lineage.nodes[*node])).collect();
            Failure::problem(format!("these wait for one another: {}", names.join(" → ")))
        })?;
        let nodes = order.into_iter().filter(|node| wanted(*node)).collect();
        Ok(Self { lineage, nodes })
    }
}

/// The name that users write: `actions_to_stream/mrf1`.
pub(super) fn name_of(node: &Node) -> String {
    if node.member.is_empty() { node.job.to_string() } else { format!("{}/{}", node.job, node.member.key()) }
}

fn meant(project: &Project, lineage: &Lineage, name: &str) -> Result<BTreeSet<usize>> {
    let (pattern, dependents) = match name.strip_suffix('+') {
        Some(pattern) => (pattern, true),
        None => (name, false),
    };
    let mut found = match pattern.strip_prefix("tag:") {
        Some(tag) => tagged(project, lineage, tag)?,
        None => matching(lineage, pattern)?,
    };
    if dependents {
        let further: Vec<usize> = found.iter().flat_map(|node| lineage.downstream(*node)).collect();
        found.extend(further);
    }
    Ok(found)
}

fn tagged(project: &Project, lineage: &Lineage, tag: &str) -> Result<BTreeSet<usize>> {
    let jobs: Vec<&JobName> = project
        .jobs()
        .filter(|info| info.tags.iter().any(|known| known == tag))
        .map(|info| &info.name)
        .collect();
    if jobs.is_empty() {
        let known: BTreeSet<&str> = project.jobs().flat_map(|info| &info.tags).map(String::as_str).collect();
        return Err(unknown(&format!("nothing has the tag `{tag}`"), tag, &known));
    }
    Ok(positions(lineage, |node| jobs.contains(&&node.job)))
}

fn matching(lineage: &Lineage, pattern: &str) -> Result<BTreeSet<usize>> {
    let exact = positions(lineage, |node| node.job.as_str() == pattern || name_of(node) == pattern);
    if !exact.is_empty() {
        return Ok(exact);
    }
    // The first values of a member: `job/mrf1` where members are `job/mrf1/b2b`.
    let beginning = format!("{pattern}/");
    let begun = positions(lineage, |node| {
        pattern.len() > node.job.as_str().len() && name_of(node).starts_with(&beginning)
    });
    if !begun.is_empty() {
        return Ok(begun);
    }
    if pattern.contains(['*', '?', '[', '{']) {
        return globbed(lineage, pattern);
    }
    let names: Vec<String> = lineage.nodes.iter().map(name_of).collect();
    let jobs = lineage.nodes.iter().map(|node| node.job.as_str());
    let known: BTreeSet<&str> = jobs.chain(names.iter().map(String::as_str)).collect();
    Err(unknown(&format!("no pipeline or mart is called `{pattern}`"), pattern, &known))
}

fn globbed(lineage: &Lineage, pattern: &str) -> Result<BTreeSet<usize>> {
    let glob = GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map_err(|error| Failure::usage(format!("`{pattern}` is no glob: {}", error.kind())))?
        .compile_matcher();
    let found = positions(lineage, |node| glob.is_match(node.job.as_str()) || glob.is_match(name_of(node)));
    if found.is_empty() {
        return Err(Failure::usage(format!("no pipeline or mart matches `{pattern}`")));
    }
    Ok(found)
}

fn positions(lineage: &Lineage, wanted: impl Fn(&Node) -> bool) -> BTreeSet<usize> {
    let found = lineage.nodes.iter().enumerate().filter(|(_, node)| wanted(node));
    found.map(|(index, _)| index).collect()
}

/// Says what is there: the nearest name, or all where they are few.
fn unknown(message: &str, wrong: &str, known: &BTreeSet<&str>) -> Failure {
    const SHOWN: usize = 12;
    let failure = Failure::usage(message);
    if let Some(near) = nearest(wrong, known.iter().copied()) {
        return failure.hint(format!("did you mean `{near}`?"));
    }
    let parts: Vec<&str> = known.iter().copied().filter(|name| name.contains(wrong)).collect();
    if let (1..=SHOWN, true) = (parts.len(), wrong.chars().count() > 2) {
        return failure.hint(format!("did you mean {}?", quoted(&parts)));
    }
    if known.is_empty() {
        return failure.hint("this project has none");
    }
    let shown: Vec<&str> = known.iter().copied().take(SHOWN).collect();
    let more = if known.len() > SHOWN { format!(" and {} more", known.len() - SHOWN) } else { String::new() };
    failure.hint(format!("there are {}{more}", shown.join(", ")))
}

/// Names as a choice: `a`, `b` or `c`.
fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::JobKind;

    fn lineage() -> Lineage {
        let node = |job: &str, members: &[&str], upstream: &[usize]| Node {
            job: JobName::new(job),
            kind: JobKind::Pipeline,
            member: Member::new(members.iter().map(|value| ("m".to_owned(), (*value).to_owned())).collect()),
            writes: None,
            reads: vec![],
            upstream: upstream.to_vec(),
        };
        Lineage {
            nodes: vec![
                node("поток", &["mrf1"], &[]),
                node("поток", &["mrf2"], &[]),
                node("finance/revenue", &[], &[0, 1]),
                node("sets", &["mrf1", "b2b"], &[]),
                node("sets", &["mrf1", "b2c"], &[]),
            ],
        }
    }

    fn found(pattern: &str) -> Vec<usize> {
        matching(&lineage(), pattern).unwrap().into_iter().collect()
    }

    #[test]
    fn names_members_and_globs() {
        assert_eq!(found("поток"), [0, 1]);
        assert_eq!(found("поток/mrf2"), [1]);
        assert_eq!(found("*/mrf1"), [0]);
        assert_eq!(found("finance/*"), [2]);
        assert_eq!(found("*"), [0, 1, 3, 4], "a star does not pass a slash");
        assert_eq!(found("sets/mrf1"), [3, 4]);
        assert_eq!(found("sets/mrf1/b2c"), [4]);
    }

    #[test]
    fn unknown_names_are_wrong_usage_with_the_nearest() {
        let failure = matching(&lineage(), "finance/revenu").unwrap_err();
        assert_eq!(failure.exit, crate::cli::failure::Exit::Usage);
        assert_eq!(failure.hint.as_deref(), Some("did you mean `finance/revenue`?"));
        let hint = |wrong: &str| matching(&lineage(), wrong).unwrap_err().hint.unwrap();
        assert_eq!(hint("revenue"), "did you mean `finance/revenue`?", "a part of it");
        assert_eq!(
            hint("b2"),
            "there are finance/revenue, sets, sets/mrf1/b2b, sets/mrf1/b2c, поток, поток/mrf1, поток/mrf2"
        );
        assert_eq!(
            hint("mrf"),
            "did you mean `sets/mrf1/b2b`, `sets/mrf1/b2c`, `поток/mrf1` or `поток/mrf2`?"
        );
        assert!(matching(&lineage(), "zzz*").unwrap_err().message.contains("matches `zzz*`"));
        assert!(matching(&lineage(), "quite another").unwrap_err().hint.unwrap().starts_with("there are "));
    }
}
