//! The first screen's entries, and menus within menus.

use indexmap::IndexSet;

use super::{Scope, check_report, words_text};
use crate::config::{
    bot::MenuItem,
    raw::bot::{Menu, MenuItem as RawItem},
    resolve::report::Report,
    tree::Node,
};

/// Entries of the first screen; every report in its order, where no menu is written.
pub(super) fn menu(scope: &Scope<'_>, report: &mut Report<'_>) -> Vec<MenuItem> {
    if scope.raw.menu.is_empty() {
        return scope.reports.keys().map(|name| MenuItem::Report(name.clone())).collect();
    }
    let node = scope.tree.at(&["menu"]);
    let menus = scope.raw.menu.iter().enumerate();
    menus.map(|(at, raw)| item(raw, node.items().get(at).unwrap_or(node), scope, report)).collect()
}

fn item(raw: &Menu, node: &Node, scope: &Scope<'_>, report: &mut Report<'_>) -> MenuItem {
    let title = words_text(&raw.title, node.at(&["title"]), report);
    let list = node.at(&["items"]);
    if raw.items.is_empty() {
        report.value(list, "empty-menu", "this menu is empty", "name reports in `items`");
    }
    let (mut items, mut seen) = (vec![], IndexSet::new());
    for (at, raw) in raw.items.iter().enumerate() {
        let place = list.items().get(at).unwrap_or(list);
        match raw {
            RawItem::Menu(menu) => items.push(item(menu, place, scope, report)),
            RawItem::Report(name) => {
                if !seen.insert(name) {
                    let message = format!("report `{name}` stands in this menu twice");
                    report.value(place, "duplicate-name", message, "");
                }
                if check_report(name, place, scope, report) {
                    items.push(MenuItem::Report(name.clone()));
                }
            }
        }
    }
    MenuItem::Menu { title, items }
}
