//! The checked bot: every report, role and menu that `bot.toml` and `reports/` name, resolved.

mod dates;
mod kinds;

use std::{path::PathBuf, sync::Arc, time::Duration};

use arrow::datatypes::{DataType, SchemaRef};
use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::project::{Language, Sql};
use crate::{
    bot::words::Texts,
    engine::typing::TableName,
    model::{secret::Secret, time::Span, value::Value},
};

pub use dates::NoPeriod;
pub use kinds::{
    AlertRepeat, AskKindName, ChartKind, Compare, FileKind, Format, Never, Otherwise, TEMPLATE_FILTERS,
    TEMPLATE_NAMES,
};

/// The role that is there by itself: it may run every report and sees every row.
pub const ADMIN: &str = "admin";

/// The whole bot.
#[derive(Debug, Clone, Default)]
pub struct Bot {
    /// Telegram's token.
    pub token: Option<Secret>,
    /// Where the Bot API is, where it is not Telegram's own.
    pub api_url: Option<String>,
    /// Where Telegram posts what happens.
    pub webhook: Option<Webhook>,
    /// Who is asked what a question in words could mean, besides the bot itself.
    pub model: Option<Model>,
    /// Heads the first screen.
    pub title: Text,
    /// Stands under it.
    pub greeting: Option<Text>,
    /// The bot's own words in place of those it comes with.
    pub texts: Arc<Texts>,
    /// Telegram ids of the first admins, those whose variable is set.
    pub admins: Vec<i64>,
    /// Whether a stranger may ask to be let in.
    pub request: bool,
    /// What admins tell of each user.
    pub attributes: IndexMap<String, Attribute>,
    /// By name; `admin` is among them.
    pub roles: IndexMap<String, Role>,
    /// The first screen's entries, in order.
    pub menu: Vec<MenuItem>,
    /// By name, in the order in which they stand.
    pub reports: IndexMap<String, Report>,
    /// Groups by name.
    pub chats: IndexMap<String, Chat>,
    /// Given ones, by name.
    pub subscriptions: IndexMap<String, Subscription>,
    /// By name.
    pub alerts: IndexMap<String, Alert>,
    /// Tests of the dialog.
    pub dialogs: Vec<DialogTest>,
}

impl Bot {
    /// The roles that may have a mart's workbook: those of reports that show it, and those that a subscription gives it to.
    pub fn workbook_roles(&self, mart: &str) -> Vec<String> {
        let shows = |report: &&Report| {
            report.show.iter().any(|show| matches!(show, Show::Workbook(shown) if shown == mart))
        };
        let shown = self.reports.values().filter(shows).flat_map(|report| &report.roles);
        let given = self.subscriptions.values().filter(|given| given.what == Sent::Workbook(mart.to_owned()));
        let of_chat = |name: &String| self.chats.get(name).map(|chat| &chat.roles);
        let given = given.flat_map(|given| {
            given.to.roles.iter().chain(given.to.chats.iter().filter_map(of_chat).flatten())
        });
        shown.chain(given).cloned().collect()
    }
}

/// Where Telegram posts what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// An address with a path that leads to `listen`.
    pub url: String,
    /// Where it is listened for.
    pub listen: std::net::SocketAddr,
}

/// A language model behind an endpoint that speaks as OpenAI's does.
#[derive(Debug, Clone)]
pub struct Model {
    /// Of its chat completions.
    pub url: String,
    /// What opens it; none where nothing does.
    pub key: Option<Secret>,
    /// The model's name there.
    pub name: String,
    /// How long it may take.
    pub timeout: Duration,
}

/// A text in both languages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// In Russian.
    pub ru: String,
    /// In English.
    pub en: String,
}

impl Text {
    /// One text for both languages.
    pub fn one(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { ru: text.clone(), en: text }
    }

    /// In one language.
    pub fn get(&self, language: Language) -> &str {
        match language {
            Language::Ru => &self.ru,
            Language::En => &self.en,
        }
    }
}

/// What admins tell of each user.
#[derive(Debug, Clone)]
pub struct Attribute {
    /// As people read it.
    pub title: Text,
    /// Its values, each with its title; empty = any text.
    pub values: IndexMap<String, String>,
    /// Whether a user may have several.
    pub many: bool,
}

/// A role.
#[derive(Debug, Clone, Default)]
pub struct Role {
    /// As people read it.
    pub title: Text,
    /// By column: which values it sees, of every table that is not `free`.
    pub rows: IndexMap<String, RowRule>,
    /// Tables that it sees whole.
    pub free: Vec<TableName>,
}

/// Which values of a column a role sees.
#[derive(Debug, Clone, PartialEq)]
pub enum RowRule {
    /// Those of an attribute of the reader; none, where they have none.
    User(String),
    /// These.
    Values(Vec<String>),
}

/// An entry of a menu.
#[derive(Debug, Clone)]
pub enum MenuItem {
    /// A report, by name.
    Report(String),
    /// A menu within.
    Menu {
        /// On its button.
        title: Text,
        /// In order.
        items: Vec<MenuItem>,
    },
}

/// A report.
#[derive(Debug, Clone)]
pub struct Report {
    /// By which everything names it.
    pub name: String,
    /// On its button and over its answer.
    pub title: Text,
    /// For the help.
    pub description: Option<Text>,
    /// Who may run it, besides admins.
    pub roles: Vec<String>,
    /// Its command, without `/`.
    pub command: Option<String>,
    /// Other words that people look for it by.
    pub aliases: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// The query.
    pub sql: Sql,
    /// What it asks, in order.
    pub ask: IndexMap<String, Ask>,
    /// How columns are called and written.
    pub columns: IndexMap<String, Column>,
    /// The answer's parts, at least one.
    pub show: Vec<Show>,
    /// The tables that it reads, those of its choices too.
    pub reads: Vec<TableName>,
    /// The columns of its answer, where they can be told from the files alone.
    pub output: Option<SchemaRef>,
}

/// A question.
#[derive(Debug, Clone)]
pub struct Ask {
    /// As people read it.
    pub title: Text,
    /// What is asked for.
    pub kind: AskKind,
    /// An attribute of the reader whose values stand until they choose.
    pub user: Option<String>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub enum AskKind {
    /// A day: a date, bound as `:name`.
    Date(Dates),
    /// A range of days, bound as `:name.from`, `:name.until`, `:name.last`.
    DateRange(Dates),
    /// One or more of a list.
    Choice(Choice),
    /// A number, bound as a double, or as a whole number.
    Number(Number),
    /// A text.
    Text {
        /// What stands until the reader chooses; without, they must.
        default: Option<String>,
        /// Characters, at most.
        longest: usize,
    },
}

/// The calendar's bounds.
#[derive(Debug, Clone, Default)]
pub struct Dates {
    /// What stands until the reader chooses: a relative or fixed period; without, they must.
    pub default: Option<String>,
    /// What is one tap away.
    pub presets: Vec<String>,
    /// The first day that may be chosen.
    pub first: Option<NaiveDate>,
    /// The last day that may be chosen, of a date; today unless told.
    pub last: Option<NaiveDate>,
    /// Days that a range may have.
    pub longest: Option<u32>,
}

/// One or more of a list.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Where the list comes from.
    pub from: ChoiceFrom,
    /// The title of "no matter which": the parameter is NULL then.
    pub any: Option<Text>,
    /// Whether several may be chosen: the parameter is a list then.
    pub many: bool,
    /// What stands until the reader chooses.
    pub default: Option<Value>,
    /// The type of one value; `None` where it cannot be told from the files alone.
    pub value_type: Option<DataType>,
}

/// Where a list comes from.
#[derive(Debug, Clone)]
pub enum ChoiceFrom {
    /// Written down, each with its title.
    Values(IndexMap<String, String>),
    /// A query of one column, or of value and title; row rules hold in it as in the report's own.
    Sql(Sql),
}

/// A number's bounds.
#[derive(Debug, Clone, Default)]
pub struct Number {
    /// What stands until the reader chooses; without, they must.
    pub default: Option<Value>,
    /// The least.
    pub least: Option<f64>,
    /// The most.
    pub most: Option<f64>,
    /// Whether only whole ones will do: every number told of it is one.
    pub whole: bool,
}

/// How a column is called and written.
#[derive(Debug, Clone, Default)]
pub struct Column {
    /// As people read it; its name unless told.
    pub title: Option<Text>,
    /// As its type is, unless told.
    pub format: Option<Format>,
}

/// One part of an answer.
#[derive(Debug, Clone)]
pub enum Show {
    /// A minijinja template over the columns.
    Text {
        /// The template.
        template: Text,
        /// Whether the query runs once more, shifted.
        compare: Option<Compare>,
    },
    /// A chart.
    Chart(Chart),
    /// A table.
    Table(Table),
    /// The rows as a file.
    File(FileKind),
    /// A mart's workbook, by the mart's name.
    Workbook(String),
}

/// A chart.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Its kind.
    pub kind: ChartKind,
    /// The report's title unless told.
    pub title: Option<Text>,
    /// The column along the axis; of a pie and a funnel: names of the parts; of a heat map: its columns.
    pub x: String,
    /// Columns drawn, at least one.
    pub y: Vec<String>,
    /// A column whose values are series of their own; of a heat map: its rows.
    pub series: Option<String>,
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Rows shown.
    pub rows: usize,
    /// Columns shown; empty = all.
    pub columns: Vec<String>,
    /// Columns with a total.
    pub total: Vec<String>,
    /// A button under each row.
    pub drill: Option<Drill>,
}

/// From a row to another report.
#[derive(Debug, Clone)]
pub struct Drill {
    /// The other report.
    pub report: String,
    /// Its questions by name, each from a column of the row.
    pub with: IndexMap<String, String>,
    /// The column that the button is labelled by.
    pub label: String,
}

/// A group.
#[derive(Debug, Clone)]
pub struct Chat {
    /// Its Telegram id; `None` = its variable is not set.
    pub id: Option<i64>,
    /// Its roles.
    pub roles: Vec<String>,
    /// Its attributes.
    pub user: IndexMap<String, Vec<String>>,
}

/// A subscription that is given.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// What is sent.
    pub what: Sent,
    /// What a report asks.
    pub with: IndexMap<String, Value>,
    /// When it is sent.
    pub at: SendAt,
    /// How long it waits for fresh marts.
    pub wait_fresh: Option<Span>,
    /// What to do when they are not by then.
    pub otherwise: Otherwise,
    /// To whom.
    pub to: Recipients,
}

/// What a subscription sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Sent {
    /// A report, by name.
    Report(String),
    /// The workbook of a mart, by the mart's name.
    Workbook(String),
}

impl Sent {
    /// No name of a report has this in it.
    const WORKBOOK: &str = "workbook:";

    /// As it is kept.
    pub fn written(&self) -> String {
        match self {
            Self::Report(name) => name.clone(),
            Self::Workbook(mart) => format!("{}{mart}", Self::WORKBOOK),
        }
    }

    /// What is kept, read back.
    pub fn read(text: &str) -> Self {
        match text.strip_prefix(Self::WORKBOOK) {
            Some(mart) => Self::Workbook(mart.to_owned()),
            None => Self::Report(text.to_owned()),
        }
    }
}

/// When something is sent.
#[derive(Debug, Clone, PartialEq)]
pub enum SendAt {
    /// By a cron expression in a zone.
    Cron {
        /// Checked.
        expression: String,
        /// Its zone.
        zone: Tz,
    },
    /// At fixed distances.
    Every(Span),
}

/// Who gets it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recipients {
    /// Everyone who has one of these roles.
    pub roles: Vec<String>,
    /// These groups, by name.
    pub chats: Vec<String>,
}

/// An alert.
#[derive(Debug, Clone)]
pub struct Alert {
    /// What is told first.
    pub title: Text,
    /// Any row raises it.
    pub sql: Sql,
    /// When it is looked for.
    pub at: SendAt,
    /// To whom.
    pub to: Recipients,
    /// How long it stays silent once told; `None` = until it recovers.
    pub repeat: Option<Span>,
    /// Hours of silence in the project's zone: from the first to the second.
    pub quiet: Option<(NaiveTime, NaiveTime)>,
}

/// Lists by report and question: values, each with its title, which is empty where the value is its own.
pub type GivenLists = IndexMap<String, IndexMap<String, Vec<(Value, String)>>>;

/// A test of the dialog.
#[derive(Debug, Clone)]
pub struct DialogTest {
    /// What it shows.
    pub name: String,
    /// The file it stands in.
    pub path: PathBuf,
    /// Its line there.
    pub line: usize,
    /// Roles of the one who does it.
    pub roles: Vec<String>,
    /// Their attributes.
    pub user: IndexMap<String, Vec<String>>,
    /// The day; the day it runs on, unless told.
    pub today: Option<NaiveDate>,
    /// What the queries of lists give.
    pub lists: GivenLists,
    /// What is typed and tapped.
    pub steps: Vec<String>,
    /// What the last screen must say.
    pub expect: Vec<String>,
    /// What it must not say.
    pub expect_not: Vec<String>,
    /// The report that the last step runs.
    pub expect_run: Option<String>,
    /// Its parameters, as its header states them.
    pub expect_with: IndexMap<String, String>,
}
