//! `[[dialog]]` of `bot.toml`, played: what is typed and tapped, against what is expected. Reports do not run: their answers are empty. Lists of the
//! database are what the test says they are.

use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Tz;

use super::{
    access::may_run,
    call,
    dialog::step,
    event::{Access, Action, Event, Named, Outcome, Picked, State, Subscribes, Viewer, What, With},
    lists::List,
    scene::Scene,
    screen::Screen,
};
use crate::{
    config::{
        bot::{Bot, DialogTest, GivenLists},
        project::Language,
    },
    model::{time::instant, value::Value},
};

/// Who plays: an id of nobody.
const PLAYER: i64 = 1;

/// Plays a test at noon of its day, or now; what is not as expected, in words.
pub fn play(bot: &Bot, test: &DialogTest, language: Language, zone: Tz, now: DateTime<Utc>) -> Vec<String> {
    let noon = NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default();
    let now = test.today.map_or(now, |day| instant(zone, day.and_time(noon)));
    let access = Access::Member { roles: test.roles.clone(), attributes: test.user.clone() };
    let viewer = Viewer { user: PLAYER, chat: PLAYER, language, zone, access, subscribes: Subscribes::Yes };
    let lists = &test.lists;
    let (state, screen) = (State::default(), Screen::default());
    let mut play = Play { bot, viewer, now, lists, state, screen, ran: None };
    for deed in &test.steps {
        play.done(deed);
    }
    play.judged(test)
}

struct Play<'a> {
    bot: &'a Bot,
    viewer: Viewer,
    now: DateTime<Utc>,
    /// By report and question.
    lists: &'a GivenLists,
    state: State,
    screen: Screen,
    /// What the last step ran.
    ran: Option<(String, With)>,
}

impl Play<'_> {
    fn done(&mut self, deed: &str) {
        if let Some(running) = &self.state.running {
            let outcome = Outcome::Done { blocks: vec![], drills: vec![] };
            self.hear(What::Answer { run: running.run, outcome });
        }
        self.ran = None;
        let what = match (self.screen.button(deed), deed.strip_prefix('/')) {
            (Some(button), _) => What::Button { token: button.token.clone() },
            (None, Some(command)) => {
                let (name, arguments) = command.split_once(' ').unwrap_or((command, ""));
                What::Command { name: name.to_owned(), arguments: arguments.to_owned() }
            }
            (None, None) => What::Text(deed.to_owned()),
        };
        self.hear(what);
    }

    fn hear(&mut self, what: What) {
        let event = Event { now: self.now, what };
        let (state, actions) = step(self.bot, &self.viewer, std::mem::take(&mut self.state), &event);
        self.state = state;
        for action in actions {
            match action {
                Action::Show { screen, .. } => self.screen = screen,
                Action::Buttons(rows) => self.screen.rows = rows,
                Action::Run { report, with, .. } => self.ran = Some((report, with)),
                Action::Understand { ticket, words, report } => {
                    let named = self.named(&words, report.as_deref());
                    self.hear(What::Understood { ticket, named, advice: None });
                }
                Action::Options { ticket, report, ask, search, limit } => {
                    let (list, sought) = (self.list(&report, &ask), search.to_lowercase());
                    let fits = |one: &Picked| call::title(one).to_lowercase().contains(&sought);
                    let found = list.into_iter().filter(fits).take(limit).collect();
                    self.hear(What::Options { ticket, found: Some(found) });
                }
                _ => {}
            }
        }
    }

    /// What a list of the database has.
    fn list(&self, report: &str, ask: &str) -> Vec<Picked> {
        let values = self.lists.get(report).and_then(|lists| lists.get(ask));
        let picked = |(value, title): &(Value, String)| Picked { value: value.clone(), title: title.clone() };
        values.into_iter().flatten().map(picked).collect()
    }

    /// What words name of the lists of one report, or of all that the player may run.
    fn named(&self, words: &str, of: Option<&str>) -> Vec<Named> {
        let mut named = vec![];
        for (report, ask) in
            self.lists.iter().flat_map(|(report, lists)| lists.keys().map(move |ask| (report, ask)))
        {
            let own = self.bot.reports.get(report).is_some_and(|own| may_run(&self.viewer.access, own));
            if own && of.is_none_or(|of| of == report) {
                let list = List::new(self.list(report, ask));
                let values = if of.is_some() { list.told(words) } else { list.named(words) };
                named.push(Named { report: report.clone(), ask: ask.clone(), values });
            }
        }
        named
    }

    fn judged(&self, test: &DialogTest) -> Vec<String> {
        let mut wrong = vec![];
        let labels: Vec<&str> = self.screen.buttons().map(|button| button.label.as_str()).collect();
        let said = self.screen.plain_text();
        let seen = |text: &String| said.contains(text.as_str()) || labels.contains(&text.as_str());
        let screen = || format!("the screen says:\n{said}\n[{}]", labels.join("] ["));
        for text in test.expect.iter().filter(|text| !seen(text)) {
            wrong.push(format!("`{text}` is not there; {}", screen()));
        }
        for text in test.expect_not.iter().filter(|text| seen(text)) {
            wrong.push(format!("`{text}` is there; {}", screen()));
        }
        let Some(expected) = &test.expect_run else { return wrong };
        match &self.ran {
            None => wrong.push(format!("report `{expected}` did not run; {}", screen())),
            Some((report, _)) if report != expected => {
                wrong.push(format!("report `{report}` ran, and not `{expected}`"));
            }
            Some((report, with)) => wrong.extend(self.answers(report, with, test)),
        }
        wrong
    }

    fn answers(&self, report: &str, with: &With, test: &DialogTest) -> Vec<String> {
        let scene = Scene::new(self.bot, &self.viewer, self.now);
        let Some(report) = self.bot.reports.get(report) else { return vec![] };
        let wrong = test.expect_with.iter().filter_map(|(name, expected)| {
            let Some((ask, given)) = report.ask.get(name).zip(with.get(name)) else {
                return Some(format!("report `{}` does not ask for `{name}`", report.name));
            };
            let shown = call::shown(&scene, ask, given);
            (shown != *expected).then(|| format!("`{name}` is `{shown}`, and not `{expected}`"))
        });
        wrong.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use indexmap::IndexMap;

    use super::*;

    fn test(steps: &[&str]) -> DialogTest {
        DialogTest {
            name: "t".to_owned(),
            path: "bot.toml".into(),
            line: 1,
            roles: vec!["executive".to_owned()],
            user: [].into(),
            today: "2026-03-18".parse().ok(),
            lists: [].into(),
            steps: steps.iter().map(|step| (*step).to_owned()).collect(),
            expect: vec![],
            expect_not: vec![],
            expect_run: None,
            expect_with: [].into(),
        }
    }

    fn played(test: &DialogTest) -> Vec<String> {
        let bot = crate::bot::dialog::tests::bot();
        play(&bot, test, Language::Ru, chrono_tz::Europe::Moscow, DateTime::default())
    }

    #[test]
    fn what_is_not_as_expected_is_told() {
        let good = DialogTest {
            expect_run: Some("revenue".to_owned()),
            expect_with: [("period".to_owned(), "вчера".to_owned())].into(),
            ..test(&["/start", "💳 Деньги", "Выручка по дням", "Период: последние 7 дней ✎", "Вчера"])
        };
        assert_eq!(played(&good), Vec::<String>::new());
        let other = DialogTest {
            expect_with: [("period".to_owned(), "сегодня".to_owned())].into(),
            ..good.clone()
        };
        assert_eq!(played(&other), ["`period` is `вчера`, and not `сегодня`"]);
        let other = DialogTest { expect_run: Some("leads".to_owned()), ..good };
        assert_eq!(played(&other), ["report `revenue` ran, and not `leads`"]);
        let seen = DialogTest {
            expect: vec!["CRM".to_owned(), "📞 CRM".to_owned()],
            expect_not: vec!["Отчёты".to_owned()],
            expect_run: Some("leads".to_owned()),
            ..test(&["/start"])
        };
        let wrong = played(&seen);
        assert!(wrong[0].starts_with("`CRM` is not there; the screen says:\nОтчёты"), "{wrong:#?}");
        assert!(
            wrong[1].starts_with("`Отчёты` is there;") && wrong[2].starts_with("report `leads` did not run")
        );
    }

    #[test]
    fn lists_of_the_database_are_what_the_test_says() {
        let kinds = vec![(Value::Int(1), "Месячная".to_owned()), (Value::Int(2), "Годовая".to_owned())];
        let lists = IndexMap::from([("kind".to_owned(), kinds)]);
        let of = |steps: &[&str]| DialogTest {
            lists: [("revenue".to_owned(), lists.clone())].into(),
            expect_run: Some("revenue".to_owned()),
            expect_with: [("kind".to_owned(), "Годовая".to_owned())].into(),
            ..test(steps)
        };
        for steps in [
            &["/revenue", "Подписка: все ✎", "Годовая"][..],
            &["/revenue", "Подписка: все ✎", "годов", "Годовая"],
            &["/revenue годовая вчера"],
            &["/ask выручка по годовой", "Выручка по дням · Годовая"],
            &["/start revenue_kind_2"],
        ] {
            assert_eq!(played(&of(steps)), Vec::<String>::new(), "{steps:?}");
        }
        let other = played(&DialogTest {
            roles: vec!["regional".to_owned()],
            ..of(&["/ask выручка по годовой"])
        });
        assert!(other[0].starts_with("report `revenue` did not run"), "{other:#?}");
        let empty = DialogTest {
            expect: vec!["Подходящих значений нет.".to_owned()],
            ..test(&["/revenue", "Подписка: все ✎"])
        };
        assert_eq!(played(&empty), Vec::<String>::new());
    }

    #[test]
    fn the_shipped_bot_passes_its_own() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let project = crate::config::check(root, "default", &|_| None).project.unwrap();
        let bot = project.bot.as_ref().unwrap();
        assert!(!bot.dialogs.is_empty());
        for test in &bot.dialogs {
            let wrong = play(bot, test, project.language, project.zone, DateTime::default());
            assert!(wrong.is_empty(), "{}: {wrong:#?}", test.name);
        }
    }
}
