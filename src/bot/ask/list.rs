//! One or more of a list: paged, searched, marked.

use crate::{
    bot::{
        call,
        event::{Draft, Given, Picked},
        press::Intent,
        scene::Scene,
        tree::PAGE,
        view::View,
    },
    config::bot::{Choice, ChoiceFrom},
    model::value::Value,
};

/// Values that are kept of a list; others are found by searching.
pub(in crate::bot) const KEPT: usize = 100;
/// Values that may be chosen at once.
pub(in crate::bot) const CHOSEN: usize = 50;

/// A list that is written down, or the part of it that a search finds.
pub(in crate::bot) fn written(choice: &Choice, search: &str) -> Option<Vec<Picked>> {
    let ChoiceFrom::Values(values) = &choice.from else { return None };
    let wanted = search.to_lowercase();
    let found = values.iter().filter(|(_, title)| title.to_lowercase().contains(&wanted));
    let picked = found.map(|(value, title)| Picked {
        value: Value::Text(value.clone()),
        title: if title == value { String::new() } else { title.clone() },
    });
    Some(picked.take(KEPT).collect())
}

/// The screen of a list.
pub(super) fn view(scene: &Scene<'_>, choice: &Choice, draft: &Draft) -> View {
    let Draft::List { ticket, search, found, page, chosen } = draft else { return View::default() };
    let words = &scene.words;
    let Some(found) = found else {
        if ticket.is_some() {
            return View::text(words.list_loading());
        }
        let mut view = View::text(words.list_failed());
        view.row([(words.retry().to_owned(), Intent::Retry)]);
        any(scene, choice, &mut view);
        return view;
    };
    let mut view = if found.is_empty() {
        View::text(words.list_empty())
    } else if !search.is_empty() {
        View::text(&words.list_search(search))
    } else if choice.many {
        View::text(&words.ask_lists(words.done()))
    } else {
        View::text(words.ask_list())
    };
    if found.len() >= KEPT {
        view.say(&format!("\n{}", words.list_more(KEPT)));
    }
    if search.is_empty() {
        any(scene, choice, &mut view);
    }
    let rows = found.iter().map(|picked| {
        let title = call::title(picked);
        if choice.many {
            let mark = if chosen.iter().any(|one| one.value == picked.value) { "☑" } else { "☐" };
            (format!("{mark} {title}"), Intent::Toggle(picked.clone()))
        } else {
            (title, Intent::Give(Given::Picked(vec![picked.clone()])))
        }
    });
    view.paged(scene, rows, *page, PAGE);
    if choice.many && !chosen.is_empty() {
        view.row([(words.done().to_owned(), Intent::Done)]);
    }
    if !search.is_empty() {
        view.row([(words.list_all().to_owned(), Intent::WholeList)]);
    }
    view
}

fn any(scene: &Scene<'_>, choice: &Choice, view: &mut View) {
    if let Some(any) = &choice.any {
        let label = crate::bot::dates::capital(scene.text(any));
        view.row([(label, Intent::Give(Given::Any))]);
    }
}
