//! `bot.toml` and `reports/NAME.toml`.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{SqlText, dialog::Dialog, pipeline::Scalar};
use crate::{
    config::bot::{AlertRepeat, AskKindName, ChartKind, Compare, FileKind, Format, Otherwise},
    model::{secret::Secret, time::Span},
};

/// `bot.toml`: the whole bot: who may use it, its menus, its reports and the questions they ask. Any single value in it may be
/// `{ env = "NAME", default = … }`. A title or a text is a string, or one per language: `{ ru = "Отчёты", en = "Reports" }`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BotFile {
    /// The bot itself.
    #[serde(default)]
    pub(crate) bot: BotTable,
    /// Who gets in.
    #[serde(default)]
    pub(crate) access: AccessTable,
    /// What admins tell of each user, one table each: `[user.region]`. Row rules and defaults of questions read it.
    #[serde(default)]
    pub(crate) user: IndexMap<String, Attribute>,
    /// Roles, one table each: `[roles.executive]`. The role `admin` is there by itself and may run every report.
    #[serde(default)]
    pub(crate) roles: IndexMap<String, Role>,
    /// Menus of the first screen, in order. A menu shows what its reader may run; one with nothing to show is not shown.
    #[serde(default)]
    pub(crate) menu: Vec<Menu>,
    /// Reports, one table each: `[report.revenue]`. A report may also lie in a file of its own, `reports/revenue.toml`, with the keys
    /// of its table at the top.
    #[serde(default)]
    pub(crate) report: IndexMap<String, ReportFile>,
    /// Groups that the bot speaks in, one table each: `[chat.sales]`.
    #[serde(default)]
    pub(crate) chat: IndexMap<String, Chat>,
    /// Subscriptions that are given; people make their own in the bot.
    #[serde(default)]
    pub(crate) subscription: IndexMap<String, Subscription>,
    /// Alerts: queries that find something worth telling.
    #[serde(default)]
    pub(crate) alert: IndexMap<String, Alert>,
    /// Tests of the dialog, which `vitrina test` runs.
    #[serde(default)]
    pub(crate) dialog: Vec<Dialog>,
}

/// A text: one for all languages, or one per language.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Words {
    /// One for all.
    One(String),
    /// One per language.
    Each(Each),
}

/// One text per language; a language that is left out takes the other's.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Each {
    /// In Russian.
    pub(crate) ru: Option<String>,
    /// In English.
    pub(crate) en: Option<String>,
}

/// `[bot]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BotTable {
    /// The token that Telegram gave; the terminal needs none.
    pub(crate) token: Option<Secret>,
    /// Where the Bot API is, where it is not Telegram's own: a server of one's own, `"http://127.0.0.1:8081"`.
    pub(crate) api_url: Option<String>,
    /// Where Telegram posts what happens; unless told, the bot asks for it, which needs no address of its own.
    pub(crate) webhook: Option<Webhook>,
    /// A language model that is asked, too, what a question in words could mean. It is told the titles of reports and the lists that are
    /// written down, and chooses among them; it writes no SQL and sees no rows. Without one the bot reads words by itself.
    pub(crate) model: Option<Model>,
    /// Heads the first screen.
    pub(crate) title: Option<Words>,
    /// Stands under the title of the first screen.
    pub(crate) greeting: Option<Words>,
    /// The bot's own words in place of those it comes with: `texts.home = "В начало"`. `docs/reference/texts.md` lists them.
    #[serde(default)]
    pub(crate) texts: IndexMap<String, Words>,
}

/// `[bot.webhook]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhook {
    /// The address that Telegram posts to: `"https://bot.example.com/telegram"`. It must lead to `listen`, its path kept.
    pub(crate) url: String,
    /// Where the daemon listens for it: `"127.0.0.1:8443"`.
    pub(crate) listen: String,
}

/// `[bot.model]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    /// Chat completions as OpenAI has them: `"https://api.example.com/v1/chat/completions"`.
    pub(crate) url: String,
    /// What opens it: `{ env = "MODEL_KEY" }`.
    pub(crate) key: Option<Secret>,
    /// The model's name there.
    pub(crate) name: String,
    /// How long it may take; `"5s"` unless told. The bot's own reading is shown meanwhile.
    pub(crate) timeout: Option<Span>,
}

/// `[access]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessTable {
    /// Telegram ids of the first admins.
    #[serde(default)]
    pub(crate) admins: Vec<i64>,
    /// Whether a stranger may ask to be let in; true unless told.
    pub(crate) request: Option<bool>,
}

/// What admins tell of each user.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attribute {
    /// As people read it; its name unless told.
    pub(crate) title: Option<Words>,
    /// Its values: `"matrix.region"` = the members of a matrix, by their titles.
    pub(crate) from: Option<String>,
    /// Its values, written down.
    #[serde(default)]
    pub(crate) values: Vec<String>,
    /// Whether a user may have several.
    #[serde(default)]
    pub(crate) many: bool,
}

/// A role.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Role {
    /// As people read it; its name unless told.
    pub(crate) title: Option<Words>,
    /// Which rows it sees: `rows.region = { user = "region" }` keeps, of every table that a report reads, the rows whose `region` is one of the
    /// reader's. A report that reads a table without the column is refused for the role, and so are native reports.
    #[serde(default)]
    pub(crate) rows: IndexMap<String, RowRule>,
    /// Tables that the role sees whole: `["analytics.content"]`.
    #[serde(default)]
    pub(crate) free: Vec<String>,
}

/// Which values of a column a role sees: those of a user's attribute, or those written down.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowRule {
    /// An attribute of the reader: `[user.NAME]`.
    pub(crate) user: Option<String>,
    /// These values.
    #[serde(default)]
    pub(crate) values: Vec<String>,
}

/// A menu.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Menu {
    /// On its button.
    pub(crate) title: Words,
    /// Names of reports, and menus: `["revenue", { title = "LTV", items = ["ltv"] }]`.
    #[schemars(schema_with = "items")]
    pub(crate) items: Vec<MenuItem>,
}

/// One entry of a menu.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum MenuItem {
    /// A report, by name.
    Report(String),
    /// A menu within.
    Menu(Menu),
}

/// Depth to which menus may be nested.
pub(crate) const MENU_DEPTH: usize = 6;

/// Menus nest, and schemas for editors have no references: so deep and no deeper.
fn items(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let title = Words::json_schema(generator).to_value();
    let report = serde_json::json!({ "type": "string", "description": "A report, by name." });
    let mut items = serde_json::json!({ "type": "array", "items": report });
    for _ in 1..MENU_DEPTH {
        items = serde_json::json!({
            "type": "array",
            "description": "Names of reports, and menus: `[\"revenue\", { title = \"LTV\", items = [\"ltv\"] }]`.",
            "items": { "anyOf": [report, {
                "type": "object",
                "description": "A menu within.",
                "additionalProperties": false,
                "required": ["title", "items"],
                "properties": { "title": title, "items": items },
            }] },
        });
    }
    schemars::Schema::try_from(items).expect("a schema")
}

/// A report: a query, what it asks, and how its answer looks. In `bot.toml` it is `[report.NAME]`; in `reports/NAME.toml` its keys
/// stand at the top.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportFile {
    /// On its button and over its answer.
    pub(crate) title: Words,
    /// For the help: what it answers.
    pub(crate) description: Option<Words>,
    /// Who may run it, by whatever way: menu, search, link, subscription. Admins may run every report; one without roles is theirs alone.
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    /// Its command: `revenue` is `/revenue`. Lower-case Latin letters, digits and `_`, 32 at most.
    pub(crate) command: Option<String>,
    /// Other words that people look for it by. One word of them is a command as well: `/money`.
    #[serde(default)]
    pub(crate) aliases: Vec<String>,
    /// How long it may take; `"30s"` unless told.
    pub(crate) timeout: Option<Span>,
    /// The query, or `{ file = "x.sql" }`. What it asks stands in it by name: `:kind`, and of a range of days `:period.from`,
    /// `:period.until` (out) and `:period.last` (in).
    pub(crate) sql: SqlText,
    /// Whether `sql` is sent as it stands to the one database whose tables it names, in that database's own SQL. Roles with row rules
    /// may not run such a report.
    #[serde(default)]
    pub(crate) native: bool,
    /// What it asks, in order: one table each.
    #[serde(default)]
    pub(crate) ask: IndexMap<String, Ask>,
    /// How columns of the answer are called and written.
    #[serde(default)]
    pub(crate) columns: IndexMap<String, ReportColumn>,
    /// The answer's parts, in order; a table of the rows and an Excel file unless told.
    #[serde(default)]
    pub(crate) show: Vec<Show>,
}

/// A question.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// What is asked for.
    pub(crate) kind: AskKindName,
    /// As people read it; its name unless told.
    pub(crate) title: Option<Words>,
    /// What stands until the reader chooses: a date or a range as presets name them, a value, a number, a text.
    #[schemars(with = "Option<Scalar>")]
    pub(crate) default: Option<Scalar>,
    /// An attribute of the reader whose values stand until they choose: `[user.NAME]`.
    pub(crate) user: Option<String>,
    /// Of dates: what is one tap away: `["yesterday", "last_7_days", "this_month", "last_month"]`.
    #[serde(default)]
    pub(crate) presets: Vec<String>,
    /// Of a date or range: the first day that may be chosen. Of a number: the least.
    #[schemars(with = "Option<Scalar>")]
    pub(crate) min: Option<Scalar>,
    /// Of a range: how long it may be (`"366d"`). Of a date: the last day. Of a number: the most. Of a text: its length.
    #[schemars(with = "Option<Scalar>")]
    pub(crate) max: Option<Scalar>,
    /// Of a choice: a query of one column, or of two: value and title; or `"matrix.region"`: the members of a matrix, by their titles.
    pub(crate) from: Option<String>,
    /// Of a choice: its values, written down.
    #[serde(default)]
    pub(crate) values: Vec<String>,
    /// Of a choice: the title of "no matter which"; the parameter is NULL then.
    pub(crate) any: Option<Words>,
    /// Of a choice: whether several may be chosen; the parameter is a list then: `array_has(:region, region)`.
    #[serde(default)]
    pub(crate) many: bool,
}

/// How a column is called and written.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportColumn {
    /// As people read it; its name unless told.
    pub(crate) title: Option<Words>,
    /// How its values are written; as their type is, unless told.
    pub(crate) format: Option<Format>,
}

/// One part of an answer: one of `text`, `chart`, `table`, `file`, `workbook`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Show {
    /// A minijinja template over the columns: `"Итого {{ money | sum | rub }}"`.
    pub(crate) text: Option<Words>,
    /// Of a text: what it is compared with: the query runs once more, shifted.
    pub(crate) compare: Option<Compare>,
    /// A chart, as a picture.
    pub(crate) chart: Option<ReportChart>,
    /// A table of the rows.
    pub(crate) table: Option<ReportTable>,
    /// The rows as a file.
    pub(crate) file: Option<FileKind>,
    /// A mart's workbook: the member that the reader may see.
    pub(crate) workbook: Option<String>,
}

/// A chart.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportChart {
    /// Its kind.
    pub(crate) kind: ChartKind,
    /// Its title; the report's unless told.
    pub(crate) title: Option<Words>,
    /// The column along the axis; of a pie and a funnel: the names of the parts; of a heat map: the columns.
    pub(crate) x: String,
    /// Columns drawn, a series each: numbers. A pie, a funnel and a heat map have one.
    pub(crate) y: Vec<String>,
    /// A column whose values are series of their own; of a heat map: the rows.
    pub(crate) series: Option<String>,
}

/// A table.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportTable {
    /// Rows shown; 10 unless told. The file has the others.
    #[schemars(range(min = 1, max = 100))]
    pub(crate) rows: Option<usize>,
    /// Columns shown; all unless told.
    #[serde(default)]
    pub(crate) columns: Vec<String>,
    /// Columns with a total over all rows.
    #[serde(default)]
    pub(crate) total: Vec<String>,
    /// A button under each row, to another report.
    pub(crate) drill: Option<Drill>,
}

/// From a row to another report.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drill {
    /// The other report.
    pub(crate) report: String,
    /// What it asks, from the row's columns: `{ day = "start_date" }`. A row whose value is NULL, or is no answer to the question, has no button.
    #[serde(default)]
    pub(crate) with: IndexMap<String, String>,
    /// The column that the button is labelled by; the first one in `with` unless told. Where `with` has one value of a list, it is called so in the other report.
    pub(crate) label: Option<String>,
}

/// A group.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chat {
    /// Its Telegram id: a negative number.
    pub(crate) id: i64,
    /// Its roles: what is asked in it is answered by these alone.
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    /// Its attributes: `user.region = ["mrf1"]`.
    #[serde(default)]
    pub(crate) user: IndexMap<String, Vec<String>>,
}

/// A subscription that is given.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscription {
    /// The report that is sent.
    pub(crate) report: Option<String>,
    /// In place of a report: the mart whose workbook is sent, as it was last written: of the members that each recipient may see.
    pub(crate) workbook: Option<String>,
    /// What a report asks, relative to the day it is sent: `{ period = "yesterday" }`; defaults stand for the rest.
    #[serde(default)]
    #[schemars(with = "IndexMap<String, Scalar>")]
    pub(crate) with: IndexMap<String, Scalar>,
    /// When it is sent.
    pub(crate) schedule: SendAt,
    /// To whom.
    pub(crate) to: Recipients,
}

/// When something is sent: `cron` or `every`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendAt {
    /// By a cron expression of five fields.
    #[schemars(extend("format" = "cron"))]
    pub(crate) cron: Option<String>,
    /// At fixed distances.
    pub(crate) every: Option<Span>,
    /// The zone of `cron`; the project's unless told.
    #[schemars(extend("format" = "time-zone"))]
    pub(crate) time_zone: Option<String>,
    /// How long to wait for the marts that it reads to be fresh.
    pub(crate) wait_fresh: Option<Span>,
    /// What to do when they are not by then; `"warn"` unless told.
    pub(crate) otherwise: Option<Otherwise>,
}

/// Who gets it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipients {
    /// Everyone who has one of these roles.
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    /// These groups: `[chat.NAME]`.
    #[serde(default)]
    pub(crate) chats: Vec<String>,
}

/// An alert.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alert {
    /// What is told first.
    pub(crate) title: Words,
    /// A query; any row raises the alert.
    pub(crate) sql: SqlText,
    /// When it is looked for.
    pub(crate) schedule: SendAt,
    /// To whom.
    pub(crate) to: Recipients,
    /// Whether it is told again while it lasts: `"never"` (unless told: once until it recovers), or a length of time.
    pub(crate) repeat: Option<AlertRepeat>,
    /// When nothing is told: from the first hour to the second, in the project's zone.
    pub(crate) quiet: Option<Quiet>,
}

/// Hours of silence.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quiet {
    /// When silence begins: `"22:00"`.
    pub(crate) from: String,
    /// When it ends: `"08:00"`.
    pub(crate) until: String,
}
