//! The dialog by its screens: someone at a bot, in a test.

mod drills;
mod everywhere;
mod lookups;
mod schedules;
mod screens;

use std::path::Path;

use chrono::{DateTime, Utc};
use indexmap::IndexMap;

use super::step;
use crate::{
    bot::{
        event::{
            Access, Action, DrillTo, Event, Given, Named, Outcome, Picked, State, Subscribes, Viewer, What,
            With,
        },
        screen::{Block, Markup, Screen},
    },
    config::{bot::Bot, project::Language},
    model::value::Value,
};

const BOT: &str = r#"
[bot]
title = { ru = "Отчёты", en = "Reports" }
[user.region]
from = "matrix.region"
[roles.executive]
title = "Руководство"
[roles.regional]
rows.region = { user = "region" }
[[menu]]
title = "💳 Деньги"
items = ["revenue", { title = "Глубже", items = ["revenue_day", "plan"] }]
[[menu]]
title = "📞 CRM"
items = ["leads"]
[[menu]]
title = "Много"
items = ["r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10"]

[report.revenue]
title = { ru = "Выручка по дням", en = "Revenue by day" }
description = { ru = "Сколько пришло денег", en = "Money that came in" }
roles = ["executive"]
command = "revenue"
aliases = ["деньги", "оплаты"]
sql = "SELECT DATE '2026-01-01' AS day, 1 AS money WHERE :period.from < :period.until AND (:kind IS NULL OR :kind = 'x')"
ask.period = { kind = "date_range", default = "last_7_days", presets = ["yesterday", "last_7_days", "this_month", "last_month"], min = 2025-01-01, max = "92d" }
ask.kind = { kind = "choice", title = "Подписка", from = "SELECT 'x' AS kind", any = "все" }

[report.revenue_day]
title = "Выручка за день"
roles = ["executive"]
sql = "SELECT :day AS day"
ask.day = { kind = "date", presets = ["yesterday"] }

[report.plan]
title = "План"
roles = ["executive"]
sql = "SELECT :share AS share, :words AS words"
ask.share = { kind = "number", min = 1, max = 100 }
ask.words = { kind = "text", max = 10 }

[report.leads]
title = "Лиды по регионам"
roles = ["executive", "regional"]
command = "leads"
sql = "SELECT 1 AS n, 'a' AS region WHERE :period.from < :period.until AND array_length(:region) > 0"
ask.period = { kind = "date_range", default = "yesterday" }
ask.region = { kind = "choice", title = "Регион", from = "matrix.region", many = true, user = "region" }
"#;

/// Values that are words of periods, and names of reports that begin each other's.
const COLLIDING: &str = r#"
[report.shows]
title = "Показы"
command = "shows"
roles = ["executive"]
sql = "SELECT 1 AS n WHERE :kind = 'x' AND :genre = 'x' AND :period.from < :period.until AND :least > 0"
ask.kind = { kind = "choice", values = ["today", "drama", "1999"], any = "все" }
ask.period = { kind = "date_range", default = "last_7_days", min = 2025-01-01 }
ask.genre = { kind = "choice", from = "SELECT 'x' AS genre", any = "все" }
ask.least = { kind = "number", default = 1 }
[report.many]
title = "Многое"
roles = ["executive"]
sql = "SELECT 1 AS n WHERE array_length(:kinds) > 0"
ask.kinds = { kind = "choice", from = "SELECT 'x' AS kind", many = true }
[report.shows_last]
title = "Последние показы"
roles = ["executive"]
sql = "SELECT 1 AS n WHERE :kind = 'x'"
ask.kind = { kind = "choice", values = ["week"], any = "все" }
"#;

const REPORT: &str = r#"
[report.rNUMBER]
title = "Отчёт NUMBER"
roles = ["executive"]
sql = "SELECT 1 AS one"
"#;

/// The bot of these tests.
pub(crate) fn bot() -> Bot {
    let folder = tempfile::tempdir().unwrap();
    let project = "[project]\nname = \"t\"\n[matrix.region]\nmrf1 = { title = \"Центр\" }\nmrf2 = { title = \"Северо-Запад\" }\nmrf3 = { title = \"Волга\" }\n";
    let mut text = BOT.to_owned();
    for number in 1..=10 {
        text += &REPORT.replace("NUMBER", &number.to_string());
    }
    std::fs::write(folder.path().join("vitrina.toml"), project).unwrap();
    std::fs::write(folder.path().join("bot.toml"), text).unwrap();
    load(folder.path())
}

/// The same with reports whose links could mean several things.
fn colliding() -> Bot {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("vitrina.toml"), "[project]\nname = \"t\"\n").unwrap();
    std::fs::write(folder.path().join("bot.toml"), format!("[roles.executive]\n{COLLIDING}")).unwrap();
    load(folder.path())
}

fn load(folder: &Path) -> Bot {
    let loaded = crate::config::check(folder, "default", &|_| None);
    let errors: Vec<String> = loaded
        .problems
        .iter()
        .map(|problem| format!("{}: {} {:?}", problem.code, problem.message, problem.hint))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    loaded.project.and_then(|project| project.bot).unwrap()
}

/// An executive who speaks Russian, in a chat of their own.
pub(crate) fn viewer() -> Viewer {
    member(&["executive"], &[])
}

fn member(roles: &[&str], regions: &[&str]) -> Viewer {
    let values = regions.iter().map(|region| (*region).to_owned()).collect();
    Viewer {
        user: 7,
        chat: 7,
        language: Language::Ru,
        zone: chrono_tz::Europe::Moscow,
        access: Access::Member {
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            attributes: IndexMap::from([("region".to_owned(), values)]),
        },
        subscribes: Subscribes::Yes,
    }
}

fn now() -> DateTime<Utc> {
    "2026-03-18T09:00:00Z".parse().unwrap()
}

/// Someone at the bot.
struct Talk<'a> {
    bot: &'a Bot,
    viewer: Viewer,
    state: State,
    screen: Screen,
    actions: Vec<Action>,
    /// What questions in words name of the database's lists.
    named: Vec<Named>,
    /// Whoever knows these lists has not answered yet.
    slow: bool,
}

impl<'a> Talk<'a> {
    fn new(bot: &'a Bot, viewer: Viewer) -> Self {
        let mut talk = Self {
            bot,
            viewer,
            state: State::default(),
            screen: Screen::default(),
            actions: vec![],
            named: vec![],
            slow: false,
        };
        talk.says("/start");
        talk
    }

    fn hear(&mut self, what: What) -> &mut Self {
        let event = Event { now: now(), what };
        let (state, actions) = step(self.bot, &self.viewer, std::mem::take(&mut self.state), &event);
        // What a restart leaves of it.
        self.state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        assert_eq!(self.state, state);
        for action in &actions {
            match action {
                Action::Show { screen, .. } => self.screen = screen.clone(),
                Action::Buttons(rows) => self.screen.rows = rows.clone(),
                _ => {}
            }
        }
        self.actions = actions;
        let asked = self.actions.iter().find_map(|action| match action {
            Action::Understand { ticket, .. } => Some(*ticket),
            _ => None,
        });
        if let Some(ticket) = asked.filter(|_| !self.slow) {
            assert_eq!(self.state.waits_for(), self.actions.last().cloned(), "a restart asks for it again");
            self.hear(What::Understood { ticket, named: self.named.clone(), advice: None });
        }
        self
    }

    fn says(&mut self, text: &str) -> &mut Self {
        match text.strip_prefix('/') {
            Some(command) => {
                let (name, arguments) = command.split_once(' ').unwrap_or((command, ""));
                self.hear(What::Command { name: name.to_owned(), arguments: arguments.to_owned() })
            }
            None => self.hear(What::Text(text.to_owned())),
        }
    }

    #[track_caller]
    fn taps(&mut self, label: &str) -> &mut Self {
        let button = self.screen.buttons().find(|button| button.label.contains(label));
        let token = button.unwrap_or_else(|| panic!("no `{label}` on {:#?}", self.labels())).token.clone();
        self.hear(What::Button { token })
    }

    fn labels(&self) -> Vec<&str> {
        self.screen.buttons().map(|button| button.label.as_str()).collect()
    }

    fn ran(&self) -> Option<(&str, &With)> {
        self.actions.iter().find_map(|action| match action {
            Action::Run { report, with, .. } => Some((report.as_str(), with)),
            _ => None,
        })
    }

    #[track_caller]
    fn run(&self) -> u64 {
        self.state.running.as_ref().unwrap().run
    }

    fn done(&mut self, drills: Vec<DrillTo>) -> &mut Self {
        let run = self.run();
        let blocks = vec![Block::Text(Markup::text("Итого 1 ₽"))];
        self.hear(What::Answer { run, outcome: Outcome::Done { blocks, drills } })
    }
}

fn period(text: &str) -> Given {
    Given::Period(text.to_owned())
}

fn regions(names: &[(&str, &str)]) -> Given {
    let picked = |(value, title): &(&str, &str)| Picked {
        value: Value::Text((*value).to_owned()),
        title: (*title).to_owned(),
    };
    Given::Picked(names.iter().map(picked).collect())
}
