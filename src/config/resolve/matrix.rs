//! Matrices: named lists to fan out over, and what a member knows of itself.

use indexmap::{IndexMap, IndexSet};

use super::report::Report;
use crate::{
    config::{
        offsets::Offsets,
        raw::{MatrixUse, project},
        template::{Template, is_word},
        tree::Node,
        walk::list,
    },
    model::{
        name::{Facts, Member},
        problem::nearest,
    },
};

/// Matrices by name: members with their facts.
pub(crate) type Matrices = IndexMap<String, IndexMap<String, IndexMap<String, String>>>;

/// Members that a job may have.
const MOST_MEMBERS: usize = 10_000;

/// Reads and checks `[matrix.*]`.
pub(crate) fn matrices(
    raw: &IndexMap<String, project::Matrix>,
    tree: &Node,
    report: &mut Report<'_>,
) -> Matrices {
    let mut matrices = Matrices::new();
    for (name, matrix) in raw {
        let node = tree.at(&["matrix", name]);
        if !is_word(name) {
            report.key(
                node,
                "bad-name",
                format!("a matrix cannot be named `{name}`"),
                "use letters, digits and `_`",
            );
        }
        let members: IndexMap<String, IndexMap<String, String>> = match matrix {
            project::Matrix::Names(names) => {
                names.iter().map(|name| (name.clone(), IndexMap::new())).collect()
            }
            project::Matrix::Facts(members) => members.clone(),
        };
        if members.is_empty() {
            report.value(node, "empty-matrix", format!("matrix `{name}` has no members"), "");
        }
        for (member, facts) in &members {
            let place = node.get(member).unwrap_or(node);
            if !is_member(member) {
                let message = format!("a member of `{name}` cannot be named `{member}`");
                report.key(place, "bad-name", message, "use letters, digits, `_`, `-` and dots inside");
            }
            for fact in facts.keys().filter(|fact| !is_word(fact)) {
                let message = format!("a fact cannot be named `{fact}`");
                report.key(place.at(&[fact]), "bad-name", message, "use letters, digits and `_`");
            }
        }
        matrices.insert(name.clone(), members);
    }
    matrices
}

fn is_member(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    name.starts_with(plain) && name.ends_with(plain) && name.chars().all(|c| plain(c) || c == '.')
}

/// The matrices of a job and the members that it takes of each; unknown names are reported.
pub(crate) fn used(
    declared: Option<&MatrixUse>,
    tree: &Node,
    matrices: &Matrices,
    report: &mut Report<'_>,
) -> IndexMap<String, Vec<String>> {
    let mut used = IndexMap::new();
    let node = tree.at(&["matrix"]);
    match declared {
        None => {}
        Some(MatrixUse::All(names)) => {
            for (at, name) in names.iter().enumerate() {
                let place = node.items().get(at).unwrap_or(node);
                match matrices.get(name) {
                    Some(members) => {
                        used.insert(name.clone(), members.keys().cloned().collect());
                    }
                    None => {
                        unknown(name, matrices, |message, hint| {
                            report.value(place, "unknown-matrix", message, hint);
                        });
                        take_nearest(name, matrices, &mut used);
                    }
                }
            }
        }
        Some(MatrixUse::Some(some)) => {
            for (name, chosen) in some {
                let place = node.get(name).unwrap_or(node);
                let Some(members) = matrices.get(name) else {
                    unknown(name, matrices, |message, hint| {
                        report.key(place, "unknown-matrix", message, hint);
                    });
                    take_nearest(name, matrices, &mut used);
                    continue;
                };
                for (at, member) in
                    chosen.iter().enumerate().filter(|(_, member)| !members.contains_key(*member))
                {
                    let place = place.items().get(at).unwrap_or(place);
                    let names: Vec<&str> = members.keys().map(String::as_str).collect();
                    let hint = meant(member, &names);
                    report.value(place, "unknown-member", format!("`{name}` has no member `{member}`"), hint);
                }
                let chosen: IndexSet<String> =
                    chosen.iter().filter(|member| members.contains_key(*member)).cloned().collect();
                if chosen.is_empty() {
                    report.value(place, "empty-matrix", format!("no member of `{name}` is left"), "");
                }
                used.insert(name.clone(), chosen.into_iter().collect());
            }
        }
    }
    used
}

fn unknown(name: &str, matrices: &Matrices, mut report: impl FnMut(String, String)) {
    let names: Vec<&str> = matrices.keys().map(String::as_str).collect();
    report(format!("there is no matrix `{name}`"), meant(name, &names));
}

/// Goes on with the matrix that was probably meant, so that one wrong letter is one problem.
fn take_nearest(name: &str, matrices: &Matrices, used: &mut IndexMap<String, Vec<String>>) {
    if let Some(meant) = nearest(name, matrices.keys().map(String::as_str)) {
        let members = || matrices[meant].keys().cloned().collect();
        used.entry(meant.to_owned()).or_insert_with(members);
    }
}

/// What was probably meant by a name, or the names there are.
pub(crate) fn meant(name: &str, names: &[&str]) -> String {
    match nearest(name, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if names.is_empty() => "there are none yet".to_owned(),
        None if names.len() <= 12 => format!("expected {}", list(names)),
        None => String::new(),
    }
}

/// Every combination of members, in order, with what each knows of itself. One empty member where there is no matrix.
pub(crate) fn members(used: &IndexMap<String, Vec<String>>, matrices: &Matrices) -> Vec<(Member, Facts)> {
    let mut all: Vec<Vec<(String, String)>> = vec![vec![]];
    for (matrix, names) in used {
        let more = |chosen: &Vec<(String, String)>| {
            let chosen = chosen.clone();
            names.iter().map(move |name| [chosen.clone(), vec![(matrix.clone(), name.clone())]].concat())
        };
        all = all.iter().flat_map(more).take(MOST_MEMBERS).collect();
    }
    all.into_iter().map(|chosen| (Member::new(chosen.clone()), facts(&chosen, matrices))).collect()
}

fn facts(chosen: &[(String, String)], matrices: &Matrices) -> Facts {
    let mut facts = Facts::new();
    for (matrix, member) in chosen {
        facts.insert(matrix.clone(), member.clone());
        let known = matrices.get(matrix).and_then(|members| members.get(member));
        for (name, value) in known.into_iter().flatten() {
            facts.insert(format!("{matrix}.{name}"), value.clone());
        }
    }
    facts
}

/// Fills templates for one member and remembers which matrices were named.
pub(crate) struct Filler<'a> {
    /// What the member knows.
    pub(crate) facts: &'a Facts,
    /// All matrices, for messages.
    pub(crate) matrices: &'a Matrices,
    /// Matrices that were named.
    pub(crate) used: IndexSet<String>,
    /// What to do to fan out over one more.
    pub(crate) how: How,
}

/// Who is being filled in: what to do to fan out over one more matrix.
#[derive(Clone, Copy)]
pub(crate) enum How {
    /// A pipeline or mart: `matrix = […]`.
    Job,
    /// A connection: its name.
    Connection,
}

impl Filler<'_> {
    /// The text at a node with its slots filled; reported, and as written, where that cannot be.
    pub(crate) fn fill(&mut self, node: &Node, report: &mut Report<'_>) -> String {
        let Some(text) = node.text() else { return String::new() };
        self.fill_text(
            text,
            node,
            |report, bytes, message, hint| {
                report.within(node, bytes, "bad-template", message, hint);
            },
            report,
        )
    }

    /// The same for a path, which facts may not lead elsewhere.
    pub(crate) fn fill_path(&mut self, node: &Node, report: &mut Report<'_>) -> String {
        let written = node.text().unwrap_or_default();
        let filled = self.fill(node, report);
        let separators = |text: &str| text.matches(['/', '\\']).count();
        if separators(&filled) > separators(written) {
            let message = format!("`{filled}`: a fact in a path may not hold `/` or `\\`");
            report.value(node, "bad-path", message, "name another fact, or the member itself");
        }
        filled
    }

    /// The same for a table's key.
    pub(crate) fn fill_key(&mut self, key: &str, node: &Node, report: &mut Report<'_>) -> String {
        self.fill_text(
            key,
            node,
            |report, bytes, message, hint| {
                let text = report.sources().files.get(node.file.as_ref());
                let offsets = text.and_then(|text| Offsets::of(text, &node.key));
                let mut place = node.clone();
                place.key = offsets.map_or_else(|| node.key.clone(), |offsets| offsets.range(bytes));
                report.key(&place, "bad-template", message, hint);
            },
            report,
        )
    }

    fn fill_text<'r>(
        &mut self,
        text: &str,
        node: &Node,
        tell: impl Fn(&mut Report<'r>, std::ops::Range<usize>, String, String),
        report: &mut Report<'r>,
    ) -> String {
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(bad) => {
                tell(report, bad.span, bad.message.to_owned(), String::new());
                return text.to_owned();
            }
        };
        let mut good = !node.stand_in;
        for slot in template.slots() {
            self.used.insert(slot.matrix().to_owned());
            if !self.facts.contains_key(&slot.name) {
                good = false;
                let (message, hint) = self.unknown_slot(&slot.name, slot.matrix());
                tell(report, slot.span.clone(), message, hint);
            }
        }
        let filled = if good { template.fill(self.facts).ok() } else { None };
        filled.unwrap_or_else(|| text.to_owned())
    }

    fn unknown_slot(&self, name: &str, matrix: &str) -> (String, String) {
        if self.facts.contains_key(matrix) {
            let prefix = format!("{matrix}.");
            let known: Vec<&str> =
                self.facts.keys().filter(|key| key.starts_with(&prefix)).map(String::as_str).collect();
            return (
                format!("`{{{name}}}`: not every member of `{matrix}` has this fact"),
                meant(name, &known),
            );
        }
        if self.matrices.contains_key(matrix) {
            let hint = match self.how {
                How::Job => format!("add `matrix = [\"{matrix}\"]` at the top of the file"),
                How::Connection => format!("write `{{{matrix}}}` in the connection's name"),
            };
            return (format!("`{{{name}}}` stands here, but nothing fans out over `{matrix}`"), hint);
        }
        let names: Vec<&str> = self.matrices.keys().map(String::as_str).collect();
        (format!("`{{{name}}}`: there is no matrix `{matrix}`"), meant(matrix, &names))
    }
}
