//! `cargo bench --bench dialog`: what one step of the bot's dialog costs, over the shipped bot.toml, and what ten thousand users' states take.

use std::{hint::black_box, path::Path, time::Instant};

use indexmap::IndexMap;
use vitrina::{
    bot::{
        dialog::step,
        event::{Access, Action, Event, Outcome, State, Subscribes, Viewer, What},
        screen::Screen,
    },
    config::{bot::Bot, project::Language},
    state::bot::{BotRecords, dialogs::Step},
};

/// As the program has it: what the process takes is measured.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Steps that are measured of each kind.
const STEPS: u32 = 20_000;
/// Users whose states are kept.
const USERS: i64 = 10_000;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project =
        vitrina::config::check(root, "default", &|_| None).project.expect("the shipped project is right");
    let bot = project.bot.expect("the shipped project has a bot");
    let viewer = Viewer {
        user: 7,
        chat: 7,
        language: Language::Ru,
        zone: project.zone,
        access: Access::Member { roles: vec!["executive".to_owned()], attributes: IndexMap::new() },
        subscribes: Subscribes::Yes,
    };
    println!("{:>24}  {:>10}", "step", "µs");
    let at = |steps: &[&str]| {
        steps.iter().fold((State::default(), Screen::default()), |(state, screen), deed| {
            let (state, screen) = heard(&bot, &viewer, state, what(&screen, deed));
            let Some(running) = &state.running else { return (state, screen) };
            let done = Outcome::Done { blocks: vec![], drills: vec![] };
            let answer = What::Answer { run: running.run, outcome: done };
            heard(&bot, &viewer, state, answer)
        })
    };
    for (name, before, deed) in [
        ("/start", vec![], "/start"),
        ("into a menu", vec!["/start"], "📞 Продажи"),
        ("a report", vec!["/start", "📞 Продажи"], "Лиды по регионам"),
        ("the calendar", vec!["/leads", "Период: последние 7 дней ✎"], "📅 Календарь"),
        ("a range by hand", vec!["/leads", "Период: последние 7 дней ✎"], "с 1 по 15 марта"),
        ("help", vec!["/start"], "/help"),
        ("a question in words", vec!["/start"], "воронка за прошлую неделю по Волге"),
        ("its readings", vec!["/start", "воронка за прошлую неделю по Волге"], ""),
    ] {
        let (state, screen) = at(&before);
        // What the database's lists have of it is known: its readings are made.
        let waits = match state.waits_for() {
            Some(Action::Understand { ticket, .. }) => {
                Some(What::Understood { ticket, named: vec![], advice: None })
            }
            _ => None,
        };
        let event = Event { now: now(), what: waits.unwrap_or_else(|| what(&screen, deed)) };
        let started = Instant::now();
        for _ in 0..STEPS {
            black_box(step(&bot, &viewer, black_box(state.clone()), &event));
        }
        let micros = started.elapsed().as_secs_f64() * 1e6 / f64::from(STEPS);
        println!("{name:>24}  {micros:>10.1}");
    }
    let deeds = [
        "/start",
        "📞 Продажи",
        "Лиды по регионам",
        "☆ В избранное",
        "/activity",
        "☆ В избранное",
        "/managers",
        "/help",
        "Период: последние 7 дней ✎",
        "📅 Календарь",
    ];
    users(&at(&deeds).0);
}

/// Keeps so many states in the records, and in memory as well, where the bot has one at a time.
fn users(state: &State) {
    let folder = tempfile::tempdir().expect("a folder");
    let records = BotRecords::open(folder.path()).expect("records");
    let text = serde_json::to_string(state).expect("a state is JSON");
    for user in 0..USERS {
        let step = Step { user, chat: user, state: Some(text.clone()), ..Step::default() };
        records.step(&step, now()).expect("a step that is written down");
    }
    let files = std::fs::read_dir(folder.path()).expect("a folder");
    let kept: u64 = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum();
    let before = resident();
    let dialogs = records.dialogs().expect("dialogs");
    let states: Vec<State> =
        dialogs.iter().map(|(_, _, state)| serde_json::from_str(state).expect("a state")).collect();
    let held = resident() - before;
    println!("{:>24}  {:>10} bytes", "a state as it is kept", text.len());
    println!(
        "{:>24}  {:>10.1} MB on disk, {held:.1} MB in memory",
        format!("{} states", states.len()),
        kept as f64 / 1e6
    );
}

/// Megabytes that the process has.
fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = pages.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0.0);
    pages * 4096.0 / 1e6
}

fn now() -> chrono::DateTime<chrono::Utc> {
    "2026-03-18T09:00:00Z".parse().expect("an instant")
}

fn what(screen: &Screen, deed: &str) -> What {
    if let Some(button) = screen.button(deed) {
        return What::Button { token: button.token.clone() };
    }
    match deed.strip_prefix('/') {
        Some(name) => What::Command { name: name.to_owned(), arguments: String::new() },
        None => What::Text(deed.to_owned()),
    }
}

fn heard(bot: &Bot, viewer: &Viewer, state: State, what: What) -> (State, Screen) {
    let (state, actions) = step(bot, viewer, state, &Event { now: now(), what });
    let shown = actions.into_iter().rev().find_map(|action| match action {
        Action::Show { screen, .. } => Some(screen),
        _ => None,
    });
    (state, shown.unwrap_or_default())
}
