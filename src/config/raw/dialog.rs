//! `[[dialog]]` of `bot.toml`.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use toml::value::Datetime;

use super::pipeline::Scalar;

/// A test of the dialog: what is done, and what is seen afterwards.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dialog {
    /// What it shows.
    pub(crate) name: String,
    /// Roles of the one who does it.
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    /// Attributes of the one who does it: `user.region = ["mrf1"]`.
    #[serde(default)]
    pub(crate) user: IndexMap<String, Vec<String>>,
    /// The day on which it is done.
    #[schemars(with = "Option<String>", extend("format" = "date"))]
    pub(crate) today: Option<Datetime>,
    /// What the queries of lists give, by report and question: `lists.title.title = [{ value = 7, title = "Solaris" }]`, or values that are their own
    /// titles: `lists.manager.manager = ["Anna"]`. A list that is not told is empty.
    #[serde(default)]
    pub(crate) lists: IndexMap<String, IndexMap<String, Vec<Listed>>>,
    /// Commands and texts that are typed, and labels of buttons that are tapped, in order: `["/start", "📞 CRM", "Лиды"]`.
    pub(crate) steps: Vec<String>,
    /// What the last screen must say: each of these texts.
    #[serde(default)]
    pub(crate) expect: Vec<String>,
    /// What it must not say.
    #[serde(default)]
    pub(crate) expect_not: Vec<String>,
    /// The report that the last step runs.
    pub(crate) expect_run: Option<String>,
    /// The parameters that it runs with, as its header states them.
    #[serde(default)]
    pub(crate) expect_with: IndexMap<String, String>,
}

/// A value of a list: by itself, or with its title.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Listed {
    /// The value is its title.
    Value(Scalar),
    /// With a title.
    Titled(Titled),
}

/// A value with its title.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Titled {
    /// What is bound.
    pub(crate) value: Scalar,
    /// As people read it.
    pub(crate) title: String,
}
