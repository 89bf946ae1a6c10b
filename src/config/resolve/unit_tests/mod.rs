//! `[[test]]` of pipelines and marts: who runs, what is given, what is expected; every name and cell of it at its place.

mod expect;
mod given;

use std::collections::BTreeSet;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, NaiveDate, Utc};
use indexmap::{IndexMap, IndexSet};

use super::{job::Common, matrix::meant, relations::Relations, report::Report, typing::KnownBefore, value};
use crate::{
    config::{
        files::Files,
        lineage::{self, Lineage},
        project::{JobInfo, MartMember, MartOutput, PipelineMember, Project, With, Workbook},
        raw::{pipeline::Scalar, test::Test},
        tree::Node,
        unit_test::UnitTest,
    },
    model::{
        name::{Facts, JobKind, JobName, Member},
        problem::{Problem, Severity},
        text_rows::TextRows,
        time::{Period, date_from_days, day_start, instant},
        value::Value,
        window::Windows,
    },
};

/// Resolves the tests of every job that this profile has and none of the `earlier` ones (of all `profiles`).
pub(super) fn resolve(
    files: &Files,
    project: &Project,
    lineage: &Lineage,
    known: &KnownBefore<'_>,
    (earlier, profiles): (&[String], &[String]),
    report: &mut Report<'_>,
) -> Vec<UnitTest> {
    let mut relations = Relations::new(project, lineage, known.wrong.clone(), known.lock, known.live);
    for (at, node) in lineage.nodes.iter().enumerate() {
        relations.learn(at, output(project, node));
    }
    let profiles: Vec<&str> = profiles.iter().map(String::as_str).collect();
    let was_proved = |common: &Common<'_>| earlier.iter().any(|earlier| common.is_in(earlier, &profiles));
    let spoiled = spoiled(files, lineage, report);
    let judge = Judge { project, lineage, relations: &relations, unmade: !known.wrong.is_empty(), spoiled };
    let mut found = vec![];
    for file in &files.pipelines {
        let Some(job) = project.pipelines.get(&file.name) else { continue };
        if !was_proved(&Common::of_pipeline(&file.raw)) {
            let members = job.members.iter().map(|member| (&member.member, Subject::Pipeline(member)));
            found.extend(judge.tests(&job.info, &members.collect(), &file.raw.test, &file.tree, report));
        }
    }
    for file in &files.marts {
        let Some(job) = project.marts.get(&file.name) else { continue };
        if !was_proved(&Common::of_mart(&file.raw)) {
            let members = job.members.iter().map(|member| (&member.member, Subject::Mart(member)));
            found.extend(judge.tests(&job.info, &members.collect(), &file.raw.test, &file.tree, report));
        }
    }
    found
}

/// What a member writes, as far as it is known.
pub(super) fn output(project: &Project, node: &lineage::Node) -> Option<SchemaRef> {
    let of = |member: &&PipelineMember| member.member == node.member;
    match node.kind {
        JobKind::Pipeline => project.pipelines.get(&node.job)?.members.iter().find(of)?.output.clone(),
        JobKind::Mart => {
            let members = &project.marts.get(&node.job)?.members;
            match &members.iter().find(|member| member.member == node.member)?.output {
                MartOutput::Table { output, .. } => output.clone(),
                MartOutput::Workbook(_) => None,
            }
        }
    }
}

/// A member that is tested.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Pipeline(&'a PipelineMember),
    Mart(&'a MartMember),
}

impl<'a> Subject<'a> {
    /// The workbook that it makes, with what its SQL knows of the member.
    fn workbook(self) -> Option<(&'a Workbook, &'a Facts)> {
        match self {
            Self::Mart(MartMember { output: MartOutput::Workbook(workbook), facts, .. }) => {
                Some((workbook, facts))
            }
            _ => None,
        }
    }

    /// The columns that it writes into its table, where they are known.
    fn output(self) -> Option<&'a SchemaRef> {
        match self {
            Self::Pipeline(member) => member.output.as_ref(),
            Self::Mart(MartMember { output: MartOutput::Table { output, .. }, .. }) => output.as_ref(),
            Self::Mart(_) => None,
        }
    }

    fn windows(self) -> Option<&'a Windows> {
        match self {
            Self::Mart(member) => member.windows(),
            Self::Pipeline(_) => None,
        }
    }

    fn is_native(self) -> bool {
        matches!(self, Self::Mart(MartMember { output: MartOutput::Table { sql, .. }, .. }) if sql.native)
    }
}

struct Judge<'a> {
    project: &'a Project,
    lineage: &'a Lineage,
    relations: &'a Relations<'a>,
    /// Whether there are jobs that cannot be read: who makes what is not known then.
    unmade: bool,
    /// Members of whose columns nothing is known because of mistakes that were told.
    spoiled: BTreeSet<usize>,
}

/// Members of jobs whose files are wrong, and those behind them.
fn spoiled(files: &Files, lineage: &Lineage, report: &Report<'_>) -> BTreeSet<usize> {
    let wrong = |tree: &Node| {
        let is_error = |problem: &Problem| problem.severity == Severity::Error;
        report.problems.iter().any(|problem| is_error(problem) && problem.path == *tree.file)
    };
    let pipelines = files.pipelines.iter().filter(|file| wrong(&file.tree)).map(|file| &file.name);
    let marts = files.marts.iter().filter(|file| wrong(&file.tree)).map(|file| &file.name);
    let jobs: IndexSet<&JobName> = pipelines.chain(marts).collect();
    let nodes = (0..lineage.nodes.len()).filter(|at| jobs.contains(&lineage.nodes[*at].job));
    let mut spoiled: BTreeSet<usize> = nodes.collect();
    spoiled.extend(spoiled.clone().into_iter().flat_map(|node| lineage.downstream(node)));
    spoiled
}

/// One test at hand.
struct Case<'a> {
    raw: &'a Test,
    node: &'a Node,
    subject: Subject<'a>,
    /// Who reads what whom writes.
    lineage: &'a lineage::Node,
}

impl<'a> Judge<'a> {
    fn tests(
        &self,
        info: &JobInfo,
        members: &IndexMap<&'a Member, Subject<'a>>,
        raw: &[Test],
        tree: &Node,
        report: &mut Report<'_>,
    ) -> Vec<UnitTest> {
        let mut names: IndexSet<&str> = IndexSet::new();
        let mut found = vec![];
        for (raw, node) in raw.iter().zip(tree.at(&["test"]).items()) {
            if !names.insert(&raw.name) {
                let message = format!("there are two tests of the name `{}`", raw.name);
                report.value(node.at(&["name"]), "duplicate-name", message, "");
            }
            let Some(member) = member(info, members, raw, node, report) else { continue };
            let Some(at) = self.lineage.find(&info.name, member) else { continue };
            let subject = members[member];
            if subject.is_native() {
                let message = "native SQL runs in its own place alone: it cannot be tested in memory";
                report.value(node.at(&["name"]), "native-test", message, "take the test out");
                continue;
            }
            let case = Case { raw, node, subject, lineage: &self.lineage.nodes[at] };
            found.extend(self.test(info, &case, report));
        }
        found
    }

    fn test(&self, info: &JobInfo, case: &Case<'_>, report: &mut Report<'_>) -> Option<UnitTest> {
        let Case { raw, node, .. } = case;
        let text = report.sources().files.get(node.file.as_ref());
        let line = text.map_or(1, |text| text[..node.span.start].matches('\n').count() + 1);
        let window = window(case, report);
        let now = match window {
            Some(window) if raw.now.is_none() => window.ends,
            _ => self.now(raw.now.as_ref(), node.at(&["now"]), report),
        };
        let with = self.with(case, now, report);
        let given = self.given(case, report);
        let expect = self.expect(case, report);
        Some(UnitTest {
            name: raw.name.clone(),
            job: info.name.clone(),
            kind: info.kind,
            member: case.lineage.member.clone(),
            path: node.file.to_path_buf(),
            line,
            given,
            window: window.map(|window| window.day),
            now,
            with,
            expect: expect?,
        })
    }

    fn now(&self, raw: Option<&Scalar>, node: &Node, report: &mut Report<'_>) -> DateTime<Utc> {
        let zone = self.project.zone;
        let standing = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default();
        match raw.map(value::value) {
            None => return day_start(zone, standing),
            Some(Value::Date(days)) => return day_start(zone, date_from_days(days)),
            Some(Value::Timestamp { ticks, utc, .. }) => {
                if let Some(time) = DateTime::from_timestamp_micros(ticks) {
                    return if utc { time } else { instant(zone, time.naive_utc()) };
                }
            }
            Some(_) => {}
        }
        report.value(node, "bad-time", "`now` is no date and no time", "2026-01-31 or 2026-01-31T10:00:00Z");
        day_start(zone, standing)
    }

    /// Parameters of a workbook, as a command line would give them.
    fn with(&self, case: &Case<'_>, now: DateTime<Utc>, report: &mut Report<'_>) -> IndexMap<String, String> {
        let today = now.with_timezone(&self.project.zone).date_naive();
        let workbook = case.subject.workbook();
        let mut given = IndexMap::new();
        for (name, scalar) in &case.raw.with {
            let node = case.node.at(&["with", name]);
            let Some((workbook, _)) = workbook else {
                report.key(node, "conflicting-keys", "`with` goes with a workbook", "leave it out");
                continue;
            };
            let text = value::value(scalar).to_string();
            match workbook.with.get(name) {
                None => {
                    let known: Vec<&str> = workbook.with.keys().map(String::as_str).collect();
                    let message = format!("there is no parameter `{name}` in [with]");
                    report.key(node, "unknown-parameter", message, meant(name, &known));
                }
                Some(With::Period(_)) if Period::parse(&text, today).is_none() => {
                    let message = format!("`{text}` is no range of days");
                    let hint =
                        format!("a day, a month, 2026-01-01..2026-01-31 or {}", Period::NAMES.join(", "));
                    report.value(node, "bad-period", message, hint);
                }
                Some(_) => {}
            }
            given.insert(name.clone(), text);
        }
        given
    }

    /// Reads rows that stand in a file; what is wrong with them is reported.
    fn rows(text: &str, node: &Node, report: &mut Report<'_>) -> Option<TextRows> {
        match TextRows::parse(text) {
            Ok(rows) => Some(rows),
            Err(faults) => {
                for fault in faults {
                    report.within(node, fault.span, "bad-rows", fault.message, "");
                }
                None
            }
        }
    }

    /// Reports cells that do not spell a value of their column.
    fn cells(&self, rows: &TextRows, schema: &SchemaRef, node: &Node, report: &mut Report<'_>) {
        match crate::connector::cells::from_text(rows, schema, self.project.zone) {
            Ok(Ok(_)) => {}
            Ok(Err(misfits)) => {
                for misfit in misfits {
                    let at = rows.position(&misfit.column).unwrap_or(0);
                    let span = rows.rows[misfit.row][at].span.clone();
                    let message = format!("column `{}`: {}", misfit.column, misfit.reason);
                    report.within(node, span, "bad-cell", message, "NULL is written NULL");
                }
            }
            Err(error) => report.value(node, "bad-cell", error.to_string(), ""),
        }
    }
}

/// The day whose windows are built.
#[derive(Clone, Copy)]
struct TestedDay {
    day: NaiveDate,
    /// When the last of them ends.
    ends: DateTime<Utc>,
}

fn window(case: &Case<'_>, report: &mut Report<'_>) -> Option<TestedDay> {
    let node = case.node.at(&["window"]);
    match (case.subject.windows(), case.raw.window.as_ref().map(value::value)) {
        (None, None) => None,
        (None, Some(_)) => {
            let message = "`window` goes with a mart that has [window]";
            report.value(node, "conflicting-keys", message, "leave it out");
            None
        }
        (Some(_), None) => {
            let message = "which window is tested?";
            report.value(case.node.at(&["name"]), "missing-key", message, "window = 2026-01-31");
            None
        }
        (Some(windows), Some(Value::Date(days))) => {
            let day = date_from_days(days);
            let next = day_start(windows.zone, day.succ_opt().unwrap_or(day));
            let ends = windows.at(day_start(windows.zone, day)).until.max(next);
            Some(TestedDay { day, ends })
        }
        (Some(_), Some(_)) => {
            report.value(node, "bad-date", "`window` is no date", "2026-01-31");
            None
        }
    }
}

/// The member that a test names.
fn member<'m>(
    info: &JobInfo,
    members: &IndexMap<&'m Member, Subject<'_>>,
    raw: &Test,
    node: &Node,
    report: &mut Report<'_>,
) -> Option<&'m Member> {
    let before = report.problems.len();
    let matrices: Vec<&str> = info.matrix.iter().map(String::as_str).collect();
    for name in raw.matrix.keys().filter(|name| !matrices.contains(&name.as_str())) {
        let message = format!("this {} has no matrix `{name}`", info.kind);
        report.key(node.at(&["matrix", name]), "unknown-matrix", message, meant(name, &matrices));
    }
    let first = members.keys().next()?;
    for matrix in matrices.iter().filter(|matrix| !raw.matrix.contains_key(**matrix)) {
        let message = format!("which member of `{matrix}` is tested?");
        let hint = format!("matrix = {{ {matrix} = \"{}\" }}", first.get(matrix).unwrap_or_default());
        report.value(node.at(&["name"]), "missing-key", message, hint);
    }
    if report.problems.len() > before {
        return None;
    }
    let wanted = |member: &&&Member| member.iter().all(|(name, value)| raw.matrix[name] == value);
    let found = members.keys().find(wanted).copied();
    if found.is_none() {
        for (name, value) in &raw.matrix {
            let values: IndexSet<&str> = members.keys().filter_map(|member| member.get(name)).collect();
            if !values.contains(value.as_str()) {
                let known: Vec<&str> = values.into_iter().collect();
                let message = format!("there is no member `{value}` of `{name}`");
                report.value(node.at(&["matrix", name]), "unknown-member", message, meant(value, &known));
            }
        }
    }
    found
}

/// The job's name as SQL names it.
fn relation(kind: JobKind, job: &JobName) -> crate::engine::typing::TableName {
    crate::engine::typing::TableName::new([kind.to_string(), job.to_string()])
}
