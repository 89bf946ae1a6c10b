//! What the dialog hears, what it remembers and what it wants done: `step(bot, viewer, state, event) → (state, actions)`, in [`step`](super::dialog::step).
//!
//! A front-end keeps one [`State`] per user and chat, hands each event in with a fresh [`Viewer`], writes the state down and does the actions in their order.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::screen::{Block, Button, Screen};
use crate::{
    config::{bot::Sent, project::Language},
    model::value::Value,
};

/// Who looks, as the store of users knows them at this moment: a role that was taken away a second ago is not in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Viewer {
    /// Their id.
    pub user: i64,
    /// Where they speak: their own id, or a group's.
    pub chat: i64,
    /// How the bot speaks to them.
    pub language: Language,
    /// Whose days they live in.
    pub zone: Tz,
    /// What they may see; in a group, the group's roles.
    pub access: Access,
    /// Whether reports can be sent to this chat by themselves.
    pub subscribes: Subscribes,
}

/// Whether something can be sent to a chat by itself, for someone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscribes {
    /// Nothing can: a terminal.
    Never,
    /// It can.
    Yes,
    /// It could, had they not as many subscriptions as one may have.
    Full,
}

/// What someone may see.
#[derive(Debug, Clone, PartialEq)]
pub enum Access {
    /// Nobody knows them.
    Stranger,
    /// They asked to be let in, and no admin has answered.
    Waiting,
    /// They may not even ask.
    Blocked,
    /// They have these roles and attributes.
    Member {
        /// Names of roles; `admin` may run everything.
        roles: Vec<String>,
        /// Values by attribute.
        attributes: IndexMap<String, Vec<String>>,
    },
}

/// Something that happened to one user in one chat.
#[derive(Debug, Clone)]
pub struct Event {
    /// When.
    pub now: DateTime<Utc>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum What {
    /// `/revenue yesterday`: a name without `/` and without `@bot`, and the rest of the line.
    Command {
        /// Without `/`.
        name: String,
        /// What stands behind it.
        arguments: String,
    },
    /// A button was pressed.
    Button {
        /// Whatever came; it may be forged.
        token: String,
    },
    /// Words were typed.
    Text(String),
    /// The workbook of a mart was chosen, to be sent by itself.
    Workbook {
        /// The mart.
        mart: String,
        /// As people read it.
        title: String,
    },
    /// What [`Action::Options`] asked for is there.
    Options {
        /// As the action had it: an answer to an older question is passed over.
        ticket: u64,
        /// The list, or nothing where it cannot be told.
        found: Option<Vec<Picked>>,
    },
    /// What [`Action::Understand`] asked for is there; it may come once more with what a model advises.
    Understood {
        /// As the action had it: an answer to an older question is passed over.
        ticket: u64,
        /// Values that the words name.
        named: Vec<Named>,
        /// What a model makes of the words.
        advice: Option<Advice>,
    },
    /// What [`Action::Run`] wanted is there, or will not be.
    Answer {
        /// As the action had it.
        run: u64,
        /// What became of it.
        outcome: Outcome,
    },
}

/// Values of a question's list, which only the database knows, that words name; all of them are such as the viewer may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The report.
    pub report: String,
    /// The question.
    pub ask: String,
    /// Those that fit best first.
    pub values: Vec<Picked>,
}

/// A report that a model takes words for. Whatever stands in it is held against what the viewer may ask.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// The report.
    pub report: String,
    /// Answers by question, as people write them.
    #[serde(default)]
    pub with: IndexMap<String, String>,
}

/// What became of a report.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Its parts, in order, without header; and where rows lead to, a button each.
    Done {
        /// In order.
        blocks: Vec<Block>,
        /// Where rows lead to.
        drills: Vec<DrillTo>,
    },
    /// It waits for this many others.
    Queued(usize),
    /// Too many wait already.
    Full,
    /// It took longer than it may.
    TimedOut,
    /// Its reader stopped it.
    Cancelled,
    /// It failed; admins see why.
    Failed,
    /// The reader's roles do not reach that far, and why.
    Refused(String),
}

/// Where a row leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillTo {
    /// On its button.
    pub label: String,
    /// The other report.
    pub report: String,
    /// What it asks.
    pub with: With,
}

/// What the dialog wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Show a screen.
    Show {
        /// The screen.
        screen: Screen,
        /// Where.
        place: Place,
    },
    /// Put other buttons under the screen that was shown last; what it says stays.
    Buttons(Vec<Vec<Button>>),
    /// Say something in passing, for a second or two, as an answer to a press; nothing where it is empty.
    Toast(String),
    /// Run a report as the viewer of this event; the answer comes back as [`What::Answer`].
    Run {
        /// Its number.
        run: u64,
        /// The report.
        report: String,
        /// Every question answered.
        with: With,
    },
    /// Stop a report that runs.
    Cancel {
        /// Its number.
        run: u64,
    },
    /// Find the values of a choice, with the viewer's row rules; they come back as [`What::Options`].
    Options {
        /// Its number.
        ticket: u64,
        /// The report.
        report: String,
        /// The question.
        ask: String,
        /// What the titles must have in them, in whatever case; empty = anything.
        search: String,
        /// How many at most.
        limit: usize,
    },
    /// Find what words name of lists that only the database knows, with the viewer's row rules; it comes back as [`What::Understood`].
    Understand {
        /// Its number.
        ticket: u64,
        /// The words.
        words: String,
        /// Of the lists of this report alone; no model is asked then, since it is known what is wanted.
        report: Option<String>,
    },
    /// Tell admins that someone wants to be let in.
    RequestAccess {
        /// Who they say they are and what for.
        reason: String,
    },
    /// Keep sending something to this chat.
    Subscribe {
        /// What.
        what: Sent,
        /// What it asks, relative where it can be.
        with: With,
        /// When: a cron expression in the viewer's zone.
        cron: String,
    },
}

/// Where a screen is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Under what was said last.
    New,
    /// In place of the screen whose button was pressed, or of the one that waits for an answer.
    Same,
}

/// Answers to questions, by their names.
pub type With = IndexMap<String, Given>;

/// An answer to a question. Relative periods stay relative, so that a favourite of `yesterday` is yesterday every day.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    /// A day or a range of days, as [`Period::parse`](crate::model::time::Period::parse) reads it.
    Period(String),
    /// Of a choice; more than one only where several may be chosen.
    Picked(Vec<Picked>),
    /// No matter which.
    Any,
    /// A number or a text.
    Value(Value),
}

/// One of a choice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Picked {
    /// What is bound.
    #[serde(rename = "v")]
    pub value: Value,
    /// As people read it; empty = as the value is written.
    #[serde(rename = "t", default, skip_serializing_if = "String::is_empty")]
    pub title: String,
}

/// What the dialog remembers of one user in one chat. Small: 10,000 of them fit 100 MB many times over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Of the screen that its user sees; buttons of others are stale.
    #[serde(default)]
    pub version: u64,
    /// Where they are, from the first screen on; the last one is shown.
    #[serde(default)]
    pub trail: Vec<Spot>,
    /// The report that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// The last reports that ran, the latest first.
    #[serde(default)]
    pub recent: Vec<Call>,
    /// Reports kept for one tap.
    #[serde(default)]
    pub favourites: Vec<Call>,
}

/// A report with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The report.
    pub report: String,
    /// What it asks; defaults stand for what is left out.
    pub with: With,
}

/// A report that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its number.
    pub run: u64,
    /// What.
    pub call: Call,
}

/// One place of the dialog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spot {
    /// A menu: indices from the first screen's entries on, and its page.
    Menu(Vec<usize>, usize),
    /// A report and its answer: what was asked last, and the rows that lead on.
    Report {
        /// What.
        call: Call,
        /// Where its rows lead to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        drills: Vec<DrillTo>,
        /// The page of these.
        #[serde(default, skip_serializing_if = "is_first")]
        page: usize,
        /// Whether its answer was shown.
        #[serde(default)]
        shown: bool,
    },
    /// A question of the report below it in the trail.
    Ask {
        /// The report so far.
        call: Call,
        /// The question.
        name: String,
        /// How far the answer is.
        draft: Draft,
    },
    /// What was found for some words.
    Found {
        /// The words.
        words: String,
        /// Its page.
        page: usize,
    },
    /// What was understood of a question in words.
    Understood {
        /// The words.
        words: String,
        /// What it could mean, the likeliest first; `None` = the lists that it may name are on their way.
        calls: Option<Vec<Call>>,
        /// Those of the words that none of these uses.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<String>,
        /// The number of the question to whoever knows the lists.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<u64>,
    },
    /// A report was named, with words behind it; what they name of the database's lists is on its way.
    Told {
        /// The report.
        report: String,
        /// The words.
        words: String,
        /// Whether it was a link, which leads where it says or nowhere.
        link: bool,
        /// The question whose value the words are, where a link names it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ask: Option<String>,
        /// The number of the question to whoever knows the lists.
        ticket: u64,
    },
    /// Favourites and their page.
    Favourites(usize),
    /// Help and its page.
    Help(usize),
    /// When something shall be sent: the usual times.
    Subscribe(Topic),
    /// When something shall be sent, by a schedule that is typed.
    Schedule {
        /// What.
        topic: Topic,
        /// A cron expression that waits to be confirmed; `None` = it is to be typed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cron: Option<String>,
    },
    /// A stranger is asked who they are.
    Request,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_first(page: &usize) -> bool {
    *page == 0
}

/// What can be sent by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Topic {
    /// A report with its parameters.
    Report(Call),
    /// The workbook of a mart.
    Workbook {
        /// The mart.
        mart: String,
        /// As people read it.
        title: String,
    },
}

/// How far the answer to a question is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Draft {
    /// Presets are shown, or it is to be typed; with what was wrong with the last try.
    Start {
        /// What was wrong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wrong: Option<Wrong>,
    },
    /// A calendar shows a month.
    Month {
        /// Its first day.
        month: chrono::NaiveDate,
        /// The first day of a range, once it is chosen.
        from: Option<chrono::NaiveDate>,
    },
    /// The months of a year.
    Year {
        /// The year.
        year: i32,
        /// The first day of a range, once it is chosen.
        from: Option<chrono::NaiveDate>,
    },
    /// A list is shown or on its way.
    List {
        /// The number of the question to whoever knows the list; while it is on its way.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<u64>,
        /// What is searched for.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        search: String,
        /// What was found; `None` = not yet, or it cannot be told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<Vec<Picked>>,
        /// Its page.
        page: usize,
        /// What is chosen, where several may be.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        chosen: Vec<Picked>,
    },
}

/// What was wrong with what was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Wrong {
    NoDate,
    TooEarly,
    TooLate,
    TooLong,
    NoNumber,
    TooSmall,
    TooBig,
    NoText,
}
