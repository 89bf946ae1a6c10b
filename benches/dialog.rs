//! `cargo bench --bench dialog`: what one step of the bot's dialog costs, over the shipped bot.toml.

use std::{hint::black_box, path::Path, time::Instant};

use indexmap::IndexMap;
use vitrina::{
    bot::{
        dialog::step,
        event::{Access, Action, Event, Outcome, State, Viewer, What},
        screen::Screen,
    },
    config::{bot::Bot, project::Language},
};

/// Steps that are measured of each kind.
const STEPS: u32 = 20_000;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = vitrina::config::check(root, &|_| None).project.expect("the shipped project is right");
    let bot = project.bot.expect("the shipped project has a bot");
    let viewer = Viewer {
        user: 7,
        chat: 7,
        language: Language::Ru,
        zone: project.zone,
        access: Access::Member { roles: vec!["executive".to_owned()], attributes: IndexMap::new() },
        subscribes: true,
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
    ] {
        let (state, screen) = at(&before);
        let event = Event { now: now(), what: what(&screen, deed) };
        let started = Instant::now();
        for _ in 0..STEPS {
            black_box(step(&bot, &viewer, black_box(state.clone()), &event));
        }
        let micros = started.elapsed().as_secs_f64() * 1e6 / f64::from(STEPS);
        println!("{name:>24}  {micros:>10.1}");
    }
    let (state, _) = at(&["/start", "📞 Продажи", "Лиды по регионам", "☆ В избранное"]);
    let bytes = serde_json::to_vec(&state).expect("a state is JSON").len();
    println!("{:>24}  {bytes:>10} bytes", "a state as it is kept");
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
