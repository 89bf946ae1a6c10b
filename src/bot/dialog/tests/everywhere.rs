//! What holds on every screen that can be reached: a way back, a way home, no dead end; stale, forged and other people's buttons do nothing.

use proptest::prelude::*;

use super::{Talk, bot, period, viewer};
use crate::{
    bot::{
        event::{Action, DrillTo, Outcome, Picked, Viewer, What, With},
        screen::TOKEN_BYTES,
    },
    config::bot::Bot,
    model::value::Value,
};

/// What someone may do next: the buttons of the screen by number, or words.
#[derive(Debug, Clone)]
enum Deed {
    Press(usize),
    Say(&'static str),
    Answer(u8),
    List,
    Forge(String),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let words = [
        "/start",
        "/help",
        "/find лид",
        "/favourites",
        "/again",
        "/cancel",
        "/ask выручка вчера",
        "/revenue",
        "вчера",
        "50",
        "да",
        "/start leads_mrf1",
        "/start revenue_x",
        "/revenue годовая",
        "с 1 по 15 марта",
        "10:30",
        "*/5 * * * *",
    ];
    let deed = prop_oneof![
        12 => (0_usize..60).prop_map(Deed::Press),
        3 => (0..words.len()).prop_map(move |at| Deed::Say(words[at])),
        3 => (0_u8..5).prop_map(Deed::Answer),
        1 => Just(Deed::List),
        1 => "[a-z0-9.]{0,30}".prop_map(Deed::Forge),
    ];
    proptest::collection::vec(deed, 0..40)
}

fn act(talk: &mut Talk<'_>, deed: &Deed) {
    match deed {
        Deed::Press(at) => {
            let count = talk.screen.buttons().count();
            if count > 0 {
                let token = talk.screen.buttons().nth(at % count).unwrap().token.clone();
                talk.hear(What::Button { token });
            }
        }
        Deed::Say(text) => {
            talk.says(text);
        }
        Deed::Answer(which) => {
            if talk.state.running.is_some() {
                let run = talk.run();
                let drill = DrillTo {
                    label: "день".to_owned(),
                    report: "revenue_day".to_owned(),
                    with: With::from([("day".to_owned(), period("yesterday"))]),
                };
                let outcome = match which {
                    0 => Outcome::Failed,
                    1 => Outcome::TimedOut,
                    2 => Outcome::Queued(1),
                    _ => Outcome::Done { blocks: vec![], drills: vec![drill] },
                };
                talk.hear(What::Answer { run, outcome });
            }
        }
        Deed::List => {
            let asked = talk.actions.iter().find_map(|action| match action {
                Action::Options { ticket, .. } => Some(*ticket),
                _ => None,
            });
            if let Some(ticket) = asked {
                let found = (0..30).map(|n| Picked { value: Value::Int(n), title: String::new() }).collect();
                talk.hear(What::Options { ticket, found: Some(found) });
            }
        }
        Deed::Forge(token) => {
            let before = talk.state.trail.clone();
            talk.hear(What::Button { token: token.clone() });
            assert_eq!(talk.state.trail, before, "a forged button moves nobody");
            assert!(
                talk.actions.iter().all(|action| matches!(action, Action::Show { .. })),
                "{:?}",
                talk.actions
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn from_everywhere_there_is_a_way_back_and_home(deeds in deeds()) {
        let bot = bot_once();
        let mut talk = Talk::new(bot, viewer());
        for deed in &deeds {
            act(&mut talk, deed);
            for button in talk.screen.buttons() {
                prop_assert!(button.token.len() <= TOKEN_BYTES);
                prop_assert!(!button.label.trim().is_empty());
            }
            let stale = talk.screen.buttons().next().map(|button| button.token.clone());
            let root = talk.state.trail.len() == 1;
            let back = talk.screen.button("‹ Назад").is_some();
            let home = talk.screen.button("🏠 В начало").is_some();
            let moves = talk.screen.buttons().any(|button| button.label != "·");
            prop_assert!(moves, "a dead end: {:?}", talk.state.trail);
            prop_assert!(root || back && home, "no way back: {:?} {:?}", talk.state.trail, talk.labels());
            if back {
                let depth = talk.state.trail.len();
                let mut other = Talk { bot, viewer: viewer(), state: talk.state.clone(), screen: talk.screen.clone(), actions: vec![], named: vec![], slow: false };
                other.taps("‹ Назад");
                prop_assert_eq!(other.state.trail.len(), depth - 1);
                // The button that was there before is stale now.
                if let Some(token) = stale {
                    let before = other.state.trail.clone();
                    other.hear(What::Button { token });
                    prop_assert_eq!(&other.state.trail, &before);
                    let shown = matches!(other.actions.as_slice(), [Action::Show { .. }]);
                    prop_assert!(shown, "{:?}", other.actions);
                }
            }
            if home {
                let mut other = Talk { bot, viewer: viewer(), state: talk.state.clone(), screen: talk.screen.clone(), actions: vec![], named: vec![], slow: false };
                other.taps("🏠 В начало");
                prop_assert_eq!(other.state.trail.len(), 1);
                prop_assert!(other.labels().contains(&"💳 Деньги"));
            }
        }
    }

    #[test]
    fn the_buttons_of_others_do_nothing(deeds in deeds()) {
        let bot = bot_once();
        let mut mine = Talk::new(bot, Viewer { chat: -5, ..viewer() });
        let mut theirs = Talk::new(bot, Viewer { user: 8, chat: -5, ..viewer() });
        for deed in &deeds {
            act(&mut mine, deed);
            act(&mut theirs, deed);
        }
        for token in mine.screen.buttons().map(|button| button.token.clone()).collect::<Vec<_>>() {
            let before = theirs.state.trail.clone();
            theirs.hear(What::Button { token });
            prop_assert_eq!(&theirs.state.trail, &before);
            prop_assert!(theirs.ran().is_none());
        }
    }
}

fn bot_once() -> &'static Bot {
    static ONE: std::sync::LazyLock<Bot> = std::sync::LazyLock::new(bot);
    &ONE
}
