//! What holds on every screen that can be reached, whoever looks, whatever they type and whenever a role is lost: a way back, a way home, no dead
//! end, nothing that is not theirs; stale, forged and other people's buttons do nothing.

use proptest::prelude::*;

use super::{Talk, bot, member, period, viewer};
use crate::{
    bot::{
        access::may_run,
        event::{Access, Action, DrillTo, Outcome, Picked, Spot, Viewer, What, With},
        screen::TOKEN_BYTES,
    },
    config::{bot::Bot, project::Language},
    model::value::Value,
};

/// What someone may do next, and what may happen to them.
#[derive(Debug, Clone)]
enum Deed {
    /// A button of the screen, by number.
    Press(usize),
    /// Words, or a command with words behind it.
    Say(String),
    Answer(u8),
    List,
    Forge(String),
    /// Roles were given or taken meanwhile.
    Become(usize),
}

/// What someone may be.
fn accesses() -> Vec<Access> {
    let member = |roles: &[&str], regions: &[&str]| member(roles, regions).access;
    vec![
        member(&["executive"], &[]),
        member(&["regional"], &["mrf1"]),
        member(&["regional", "executive"], &["mrf2", "mrf3"]),
        member(&[], &[]),
        Access::Stranger,
        Access::Waiting,
        Access::Blocked,
    ]
}

const SAID: [&str; 20] = [
    "/start",
    "/help",
    "/find лид",
    "/favourites",
    "/again",
    "/cancel",
    "/ask выручка вчера",
    "/revenue",
    "/leads",
    "/leads вчра",
    "вчера",
    "50",
    "да",
    "/start leads_mrf1",
    "/start revenue_x",
    "/revenue годовая",
    "с 1 по 15 марта",
    "01.01.262142",
    "10:30",
    "*/5 * * * *",
];

fn said() -> impl Strategy<Value = String> {
    let before = ["", "", "/", "/ask ", "/find ", "/start ", "/start revenue_", "/revenue ", "/leads "];
    let typed = "\\PC{0,60}|[а-яё0-9 .,:/-]{0,40}|([0-9]{1,12}[-./ +]?){1,5}|((с|по|за|last|март|дней|[0-9]{1,6}|\\*) ?){0,8}";
    let any = (0..before.len(), typed).prop_map(move |(at, typed)| format!("{}{typed}", before[at]));
    prop_oneof![(0..SAID.len()).prop_map(|at| SAID[at].to_owned()), any]
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        12 => (0_usize..60).prop_map(Deed::Press),
        5 => said().prop_map(Deed::Say),
        3 => (0_u8..5).prop_map(Deed::Answer),
        1 => Just(Deed::List),
        1 => "[a-z0-9.]{0,30}".prop_map(Deed::Forge),
        1 => (0..accesses().len()).prop_map(Deed::Become),
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
                let drill = |n: u8| DrillTo {
                    label: format!("день {n}"),
                    report: "revenue_day".to_owned(),
                    with: With::from([("day".to_owned(), period("yesterday"))]),
                };
                let outcome = match which {
                    0 => Outcome::Failed,
                    1 => Outcome::TimedOut,
                    2 => Outcome::Queued(1),
                    3 => Outcome::Done { blocks: vec![], drills: vec![drill(1)] },
                    _ => Outcome::Done { blocks: vec![], drills: (0..100).map(drill).collect() },
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
            settle(talk);
            let before = talk.state.trail.clone();
            talk.hear(What::Button { token: token.clone() });
            assert_eq!(talk.state.trail, before, "a forged button moves nobody");
            assert!(
                talk.actions.iter().all(|action| matches!(action, Action::Show { .. })),
                "{:?}",
                talk.actions
            );
        }
        Deed::Become(at) => talk.viewer.access = accesses().swap_remove(*at),
    }
}

/// What a role that is gone has left behind goes with the next event, whatever it is.
fn settle(talk: &mut Talk<'_>) {
    talk.hear(What::Button { token: String::new() });
}

/// The same place, for a try.
fn again<'a>(talk: &Talk<'a>) -> Talk<'a> {
    Talk {
        bot: talk.bot,
        viewer: talk.viewer.clone(),
        state: talk.state.clone(),
        screen: talk.screen.clone(),
        actions: vec![],
        named: vec![],
        slow: false,
    }
}

/// Nothing that is asked for, kept or offered is of a report that is not theirs.
fn all_theirs(talk: &Talk<'_>) -> Result<(), TestCaseError> {
    let access = &talk.viewer.access;
    let theirs = |name: &str| talk.bot.reports.get(name).is_some_and(|report| may_run(access, report));
    for action in &talk.actions {
        let of = match action {
            Action::Run { report, .. } | Action::Options { report, .. } => Some(report),
            Action::Understand { report, .. } => report.as_ref(),
            _ => None,
        };
        prop_assert!(of.is_none_or(|report| theirs(report)), "{access:?}: {action:?}");
    }
    for spot in &talk.state.trail {
        let of = match spot {
            Spot::Report { call, .. } | Spot::Ask { call, .. } => Some(&call.report),
            Spot::Told { report, .. } => Some(report),
            _ => None,
        };
        prop_assert!(of.is_none_or(|report| theirs(report)), "{access:?}: {spot:?}");
    }
    prop_assert!(talk.state.running.as_ref().is_none_or(|running| theirs(&running.call.report)));
    for report in talk.bot.reports.values().filter(|report| !theirs(&report.name)) {
        // One's title may begin with another's: `Отчёт 1` and `Отчёт 10`.
        let title = report.title.get(Language::Ru);
        prop_assert!(!talk.labels().contains(&title), "{access:?}: {title}");
    }
    Ok(())
}

/// A way back and home, and somewhere to go.
fn ways(talk: &Talk<'_>) -> Result<(), TestCaseError> {
    let Access::Member { roles, .. } = &talk.viewer.access else { return Ok(()) };
    let root = talk.state.trail.len() == 1;
    let back = talk.screen.button("‹ Назад").is_some();
    let home = talk.screen.button("🏠 В начало").is_some();
    let moves = talk.screen.buttons().any(|button| button.label != "·");
    prop_assert!(moves || roles.is_empty(), "a dead end: {:?}", talk.state.trail);
    prop_assert!(root || back && home, "no way back: {:?} {:?}", talk.state.trail, talk.labels());
    if back {
        let mut other = again(talk);
        other.taps("‹ Назад");
        prop_assert_eq!(other.state.trail.len(), talk.state.trail.len() - 1);
        // A button that was there before is stale now.
        let stale = talk.screen.buttons().next().map(|button| button.token.clone());
        let before = other.state.trail.clone();
        other.hear(What::Button { token: stale.unwrap_or_default() });
        prop_assert_eq!(&other.state.trail, &before);
        let shown = matches!(other.actions.as_slice(), [Action::Show { .. }]);
        prop_assert!(shown, "{:?}", other.actions);
    }
    if home {
        let mut other = again(talk);
        other.taps("🏠 В начало");
        prop_assert_eq!(other.state.trail.len(), 1);
        let menus = [("executive", "💳 Деньги"), ("regional", "📞 CRM")];
        for (role, menu) in menus {
            prop_assert!(!roles.contains(&role.to_owned()) || other.labels().contains(&menu));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn from_everywhere_there_is_a_way_back_and_home(first in 0..accesses().len(), deeds in deeds()) {
        let access = accesses().swap_remove(first);
        let mut talk = Talk::new(bot_once(), Viewer { access, ..viewer() });
        for deed in &deeds {
            let version = talk.state.version;
            act(&mut talk, deed);
            // Until something is shown, they see what they saw.
            if talk.state.version == version {
                continue;
            }
            all_theirs(&talk)?;
            ways(&talk)?;
            for button in talk.screen.buttons() {
                prop_assert!(button.token.len() <= TOKEN_BYTES);
                prop_assert!(!button.label.trim().is_empty());
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
        settle(&mut theirs);
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
