//! Places of the dialog → screens, before their buttons have tokens.

use super::{
    access, ask, call,
    event::{Access, Call, Draft, DrillTo, Spot, State, Subscribes},
    press::Intent,
    scene::Scene,
    screen::{Block, Markup},
    subscribe,
    tree::{self, PAGE},
};

/// A screen whose buttons say what they mean.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) blocks: Vec<Block>,
    pub(super) rows: Vec<Vec<(String, Intent)>>,
}

/// Rows of an answer that lead on, a page.
const DRILLS: usize = 20;
/// Characters of a label.
const LONGEST_LABEL: usize = 60;

impl View {
    /// Words alone.
    pub(super) fn text(text: &str) -> Self {
        Self { blocks: vec![Block::Text(Markup::text(text))], rows: vec![] }
    }

    /// Words more.
    pub(super) fn say(&mut self, text: &str) {
        match self.blocks.last_mut() {
            Some(Block::Text(markup)) => *markup = std::mem::take(markup).plain(text),
            _ => self.blocks.push(Block::Text(Markup::text(text))),
        }
    }

    /// Words before all others.
    pub(super) fn head(&mut self, mut head: Markup) {
        match self.blocks.first_mut() {
            Some(Block::Text(markup)) => {
                head.0.append(&mut markup.0);
                *markup = head;
            }
            _ => self.blocks.insert(0, Block::Text(head)),
        }
    }

    /// A row of buttons.
    pub(super) fn row(&mut self, buttons: impl IntoIterator<Item = (String, Intent)>) {
        self.grid(buttons, usize::MAX);
    }

    /// Rows of so many buttons.
    pub(super) fn grid(&mut self, buttons: impl IntoIterator<Item = (String, Intent)>, width: usize) {
        let mut buttons = buttons.into_iter().map(|(label, intent)| (shortened(label), intent));
        loop {
            let row: Vec<(String, Intent)> = buttons.by_ref().take(width).collect();
            if row.is_empty() {
                return;
            }
            self.rows.push(row);
        }
    }

    /// One page of a list, a button a row, with buttons to the pages beside it.
    pub(super) fn paged(
        &mut self,
        scene: &Scene<'_>,
        buttons: impl ExactSizeIterator<Item = (String, Intent)>,
        page: usize,
        size: usize,
    ) {
        self.paged_by(scene, buttons, page, size, 1);
    }

    /// The same, so many buttons a row.
    fn paged_by(
        &mut self,
        scene: &Scene<'_>,
        buttons: impl ExactSizeIterator<Item = (String, Intent)>,
        page: usize,
        size: usize,
        width: usize,
    ) {
        let last = buttons.len().saturating_sub(1) / size;
        let page = page.min(last);
        self.grid(buttons.skip(page * size).take(size), width);
        let mut row = vec![];
        if let Some(before) = page.checked_sub(1) {
            row.push((scene.words.page_previous(before + 1), Intent::Page(before)));
        }
        if page < last {
            row.push((scene.words.page_next(page + 2), Intent::Page(page + 1)));
        }
        self.row(row);
    }
}

fn shortened(label: String) -> String {
    // Bytes are counted at once, and no text has more characters.
    if label.len() <= LONGEST_LABEL || label.chars().count() <= LONGEST_LABEL {
        return label;
    }
    label.chars().take(LONGEST_LABEL - 1).chain(['…']).collect()
}

/// The screen of where someone is. Its buttons depend on state, viewer and bot alone, so that a press can be told from a forgery.
pub(super) fn view(scene: &Scene<'_>, state: &State) -> View {
    let mut view = match &scene.viewer.access {
        Access::Member { .. } => spot(scene, state),
        Access::Stranger => stranger(scene, state),
        Access::Waiting => View::text(scene.words.waiting()),
        Access::Blocked => View::text(scene.words.blocked()),
    };
    let mut nav = vec![];
    if state.trail.len() > 1 {
        nav.push((scene.words.back().to_owned(), Intent::Back));
    }
    let home = matches!(state.trail.as_slice(), [] | [Spot::Menu(_, 0)] | [Spot::Request]);
    if !home || state.trail.len() > 1 {
        nav.push((scene.words.home().to_owned(), Intent::Home));
    }
    view.row(nav);
    view
}

fn stranger(scene: &Scene<'_>, state: &State) -> View {
    let words = &scene.words;
    if !scene.bot.request {
        let mut view = View::text(words.stranger());
        view.say(&format!("\n\n{}", words.request_closed(scene.viewer.user)));
        return view;
    }
    if matches!(state.trail.last(), Some(Spot::Request)) {
        let mut view = View::text(words.request_reason());
        view.row([(words.back().to_owned(), Intent::Home)]);
        return view;
    }
    let mut view = View::text(words.stranger());
    view.row([(words.request().to_owned(), Intent::Request)]);
    view
}

fn spot(scene: &Scene<'_>, state: &State) -> View {
    match state.trail.last() {
        Some(Spot::Menu(path, page)) => menu(scene, state, path, *page),
        Some(Spot::Report { call, drills, page, shown }) => {
            report(scene, state, call, (drills, *page), *shown)
        }
        Some(Spot::Ask { call, name, draft }) => ask::view(scene, call, name, draft),
        Some(Spot::Found { words, page }) => found(scene, words, *page),
        Some(Spot::Understood { words, calls: Some(calls), left, .. }) => {
            understood(scene, words, calls, left)
        }
        Some(Spot::Understood { words, calls: None, .. } | Spot::Told { words, .. }) => {
            View::text(&scene.words.understanding(words))
        }
        Some(Spot::Favourites(page)) => favourites(scene, state, *page),
        Some(Spot::Help(page)) => help(scene, *page),
        Some(Spot::Subscribe(topic)) => subscribe::view(scene, topic),
        Some(Spot::Schedule { topic, cron }) => subscribe::own_view(scene, topic, cron.as_deref()),
        Some(Spot::Request) | None => View::default(),
    }
}

fn menu(scene: &Scene<'_>, state: &State, path: &[usize], page: usize) -> View {
    let words = &scene.words;
    let entries = tree::entries(scene, path).unwrap_or_default();
    let mut head = Markup::new().bold(tree::title(scene, path));
    if let Some(greeting) = scene.bot.greeting.as_ref().filter(|_| path.is_empty()) {
        head = head.plain(format!("\n{}", scene.text(greeting)));
    }
    let say = if entries.is_empty() { words.nothing_yet() } else { words.choose() };
    let mut view = View::default();
    view.head(head.plain(format!("\n\n{say}")));
    let rows = entries.iter().map(|entry| {
        let intent = match entry.report {
            Some(name) => Intent::Open(name.to_owned()),
            None => Intent::Enter(entry.index),
        };
        (entry.label.to_owned(), intent)
    });
    view.paged(scene, rows, page, PAGE);
    if path.is_empty() && !entries.is_empty() {
        let mut row = vec![(words.favourites().to_owned(), Intent::Favourites)];
        if !state.recent.is_empty() {
            row.push((words.again().to_owned(), Intent::Again));
        }
        view.row(row);
    }
    view
}

/// A report's buttons: the same before its answer and under it.
fn report(
    scene: &Scene<'_>,
    state: &State,
    call: &Call,
    (drills, page): (&[DrillTo], usize),
    shown: bool,
) -> View {
    let Some(report) = scene.report(&call.report) else { return View::default() };
    let words = &scene.words;
    let mut view = View::default();
    view.head(call::header(scene, report, &call.with));
    if state.running.as_ref().is_some_and(|running| running.call == *call) {
        view.row([(words.cancel().to_owned(), Intent::Cancel)]);
        return view;
    }
    if let Some(text) = report.description.as_ref().filter(|_| !shown) {
        view.say(&format!("\n\n{}", scene.text(text)));
    }
    let leads = drills.iter().map(|drill| {
        let call = Call { report: drill.report.clone(), with: drill.with.clone() };
        (drill.label.clone(), Intent::Call(call))
    });
    view.paged_by(scene, leads, page, DRILLS, 2);
    view.row([(if shown { words.refresh() } else { words.run() }.to_owned(), Intent::Run)]);
    for (name, ask) in &report.ask {
        let value = match call::answer(scene, report, &call.with, name) {
            Some(given) => call::shown(scene, ask, &given),
            None => words.not_chosen().to_owned(),
        };
        view.row([(words.change(scene.text(&ask.title), value), Intent::Change(name.clone()))]);
    }
    let kept = state.favourites.contains(call);
    let label = if kept { words.favourite_remove() } else { words.favourite_add() };
    let mut row = vec![(label.to_owned(), Intent::Favourite)];
    if scene.viewer.subscribes != Subscribes::Never {
        row.push((words.subscribe().to_owned(), Intent::Subscribe));
    }
    view.row(row);
    view
}

fn found(scene: &Scene<'_>, query: &str, page: usize) -> View {
    let found = super::find::search(scene, query);
    let words = &scene.words;
    let mut view = View::text(&match (query.is_empty(), found.is_empty()) {
        (true, _) => words.find_what().to_owned(),
        (false, true) => words.found_nothing(query),
        (false, false) => words.found(query),
    });
    let rows =
        found.iter().map(|report| (scene.text(&report.title).to_owned(), Intent::Open(report.name.clone())));
    view.paged(scene, rows, page, PAGE);
    view
}

fn understood(scene: &Scene<'_>, query: &str, calls: &[Call], left: &[String]) -> View {
    let calls: Vec<Call> = calls.iter().filter_map(|call| call::kept(scene, call)).collect();
    let mut view = View::text(&if calls.is_empty() {
        let example = scene.reports().next().map_or("", |report| scene.text(&report.title));
        scene.words.understood_nothing(query, example)
    } else {
        scene.words.understood(query)
    });
    if !calls.is_empty() && !left.is_empty() {
        view.say(&format!("\n{}", scene.words.not_used(left.join(", "))));
    }
    view.grid(calls.into_iter().map(|call| (call::line(scene, &call), Intent::Call(call))), 1);
    view
}

fn favourites(scene: &Scene<'_>, state: &State, page: usize) -> View {
    let words = &scene.words;
    let mine: Vec<Call> = state.favourites.iter().filter_map(|call| call::kept(scene, call)).collect();
    let mut view = View::default();
    let mut head = Markup::new().bold(words.favourites());
    if mine.is_empty() {
        let text = words.favourites_none(words.favourite_add());
        head = head.plain(format!("\n\n{text}"));
    }
    view.head(head);
    let rows: Vec<(String, Intent)> =
        mine.into_iter().map(|call| (call::line(scene, &call), Intent::Call(call))).collect();
    view.paged(scene, rows.into_iter(), page, PAGE);
    view
}

fn help(scene: &Scene<'_>, page: usize) -> View {
    let words = &scene.words;
    let mut text = Markup::text(format!("{}\n\n", words.help()));
    if page == 0 {
        text = text.bold(words.help_commands());
        for (name, about) in super::words::COMMANDS {
            text = text.plain(format!("\n/{name} — {}", about(words)));
        }
        for (name, about) in own_commands(scene) {
            text = text.plain(format!("\n/{name} — {about}"));
        }
        text = text.plain("\n\n");
    }
    text = text.bold(words.help_reports());
    let reports: Vec<_> = scene.reports().collect();
    let shown = page.min(reports.len().saturating_sub(1) / PAGE);
    for report in reports.iter().skip(shown * PAGE).take(PAGE) {
        let command = report.command.as_ref().map(|name| format!(" /{name}")).unwrap_or_default();
        text = text.plain(format!("\n• {}{command}", scene.text(&report.title)));
        if let Some(about) = &report.description {
            text = text.plain(format!("\n   {}", scene.text(about)));
        }
    }
    let mut view = View::default();
    view.head(text);
    let rows: Vec<(String, Intent)> = reports
        .iter()
        .map(|report| (scene.text(&report.title).to_owned(), Intent::Open(report.name.clone())))
        .collect();
    view.paged(scene, rows.into_iter(), shown, PAGE);
    view
}

/// Commands of a front-end that sends by itself, in a private chat.
fn own_commands<'a>(scene: &'a Scene<'_>) -> Vec<(&'static str, &'a str)> {
    let (viewer, words) = (scene.viewer, &scene.words);
    if viewer.subscribes == Subscribes::Never || viewer.user != viewer.chat {
        return vec![];
    }
    let mut commands = vec![("subscriptions", words.subscriptions())];
    commands.extend(access::is_admin(&viewer.access).then(|| ("users", words.users())));
    commands
}

/// Whether a draft waits for a list that nobody has asked for yet.
pub(super) fn wants_list(draft: &Draft) -> bool {
    matches!(draft, Draft::List { ticket: None, found: None, .. })
}
