//! `[[dialog]]`: tests of the dialog, whose names are proved like all others.

use indexmap::IndexMap;

use super::{Scope, check_report, check_roles, people};
use crate::config::{
    bot::{Ask, AskKind, Bot, ChoiceFrom, DialogTest, GivenLists},
    raw::dialog::Listed,
    resolve::{matrix::meant, report::Report, value::value},
    tree::Node,
};

/// The tests, in order.
pub(super) fn dialogs(scope: &Scope<'_>, bot: &Bot, report: &mut Report<'_>) -> Vec<DialogTest> {
    let list = scope.tree.at(&["dialog"]);
    let mut made = vec![];
    for (at, raw) in scope.raw.dialog.iter().enumerate() {
        let node = list.items().get(at).unwrap_or(list);
        check_roles(&raw.roles, node.at(&["roles"]), scope, report);
        people::check_user(&raw.user, node.at(&["user"]), bot, report);
        if raw.steps.is_empty() {
            report.value(
                node.at(&["steps"]),
                "empty-test",
                "this test does nothing",
                "begin with \"/start\"",
            );
        }
        if raw.expect.is_empty() && raw.expect_not.is_empty() && raw.expect_run.is_none() {
            let hint = "add `expect`, `expect_not` or `expect_run`";
            report.value(node, "empty-test", "this test expects nothing", hint);
        }
        if let Some(name) = &raw.expect_run {
            check_report(name, node.at(&["expect_run"]), scope, report);
        }
        if raw.expect_run.is_none() && !raw.expect_with.is_empty() {
            let place = node.at(&["expect_with"]);
            report.key(place, "conflicting-keys", "`expect_with` goes with `expect_run`", "");
        }
        made.push(DialogTest {
            name: raw.name.clone(),
            path: node.file.to_path_buf(),
            line: line(node, report),
            roles: raw.roles.clone(),
            user: raw.user.clone(),
            today: raw.today.as_ref().and_then(|day| day.to_string().parse().ok()),
            lists: lists(&raw.lists, node.at(&["lists"]), scope, bot, report),
            steps: raw.steps.clone(),
            expect: raw.expect.clone(),
            expect_not: raw.expect_not.clone(),
            expect_run: raw.expect_run.clone(),
            expect_with: raw.expect_with.clone(),
        });
    }
    made
}

/// What lists give: of questions whose values a query knows.
fn lists(
    raw: &IndexMap<String, IndexMap<String, Vec<Listed>>>,
    node: &Node,
    scope: &Scope<'_>,
    bot: &Bot,
    report: &mut Report<'_>,
) -> GivenLists {
    let mut made = GivenLists::new();
    for (name, lists) in raw {
        check_report(name, node.at(&[name.as_str()]), scope, report);
        let Some(of) = bot.reports.get(name) else { continue };
        let listed = |ask: &Ask| matches!(&ask.kind, AskKind::Choice(choice) if matches!(choice.from, ChoiceFrom::Sql(_)));
        for (question, values) in lists {
            if !of.ask.get(question).is_some_and(listed) {
                let known: Vec<&str> =
                    of.ask.iter().filter(|(_, ask)| listed(ask)).map(|(name, _)| name.as_str()).collect();
                let message = format!("report `{name}` has no question `{question}` whose list is a query");
                report.key(
                    node.at(&[name.as_str(), question.as_str()]),
                    "unknown-question",
                    message,
                    meant(question, &known),
                );
            }
            let one = |listed: &Listed| match listed {
                Listed::Value(of_itself) => (value(of_itself), String::new()),
                Listed::Titled(titled) => (value(&titled.value), titled.title.clone()),
            };
            made.entry(name.clone()).or_default().insert(question.clone(), values.iter().map(one).collect());
        }
    }
    made
}

/// The line on which a test begins.
fn line(node: &Node, report: &Report<'_>) -> usize {
    let text = report.sources().files.get(node.file.as_ref());
    let before = text.and_then(|text| text.get(..node.span.start)).unwrap_or_default();
    before.matches('\n').count() + 1
}
