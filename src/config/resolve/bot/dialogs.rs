//! `[[dialog]]`: tests of the dialog, whose names are proved like all others.

use super::{Scope, check_report, check_roles, people};
use crate::config::{
    bot::{Bot, DialogTest},
    resolve::report::Report,
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
            steps: raw.steps.clone(),
            expect: raw.expect.clone(),
            expect_not: raw.expect_not.clone(),
            expect_run: raw.expect_run.clone(),
            expect_with: raw.expect_with.clone(),
        });
    }
    made
}

/// The line on which a test begins.
fn line(node: &Node, report: &Report<'_>) -> usize {
    let text = report.sources().files.get(node.file.as_ref());
    let before = text.and_then(|text| text.get(..node.span.start)).unwrap_or_default();
    before.matches('\n').count() + 1
}
