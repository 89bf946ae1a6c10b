//! Rows that a generator makes up, and what they must be: those of the same project where nothing happens.

use chrono::{SecondsFormat, TimeDelta, Utc};

use super::site::{Event, events_of};
use crate::support::project::Sandbox;

/// The pipeline's name decides about the rows.
pub(super) const FILE: &str = "pipelines/события.toml";

/// A generator, and a project that runs it undisturbed.
pub(super) struct MadeUp {
    undisturbed: Sandbox,
    /// The pipeline's file.
    pub(super) pipeline: String,
    /// Rows that were there from the beginning.
    least: usize,
}

impl MadeUp {
    /// A quarter of an hour of history, and more with each minute.
    pub(super) fn new() -> Self {
        let start = Utc::now() - TimeDelta::minutes(15);
        let pipeline = PIPELINE.replace("START", &start.to_rfc3339_opts(SecondsFormat::Secs, true));
        let undisturbed = Sandbox::new(&[("vitrina.toml", PROJECT), (FILE, &pipeline)]);
        let mut made_up = Self { undisturbed, pipeline, least: 0 };
        made_up.least = made_up.all().len();
        assert!(made_up.least > 100, "only {} rows", made_up.least);
        made_up
    }

    /// The first of them, as many as a target has: later minutes may have come since it was written.
    pub(super) fn rows(&self, found: usize) -> Vec<Event> {
        let mut rows = self.all();
        assert!(found >= self.least, "{found} rows in the target, {} at the beginning", self.least);
        rows.truncate(found);
        rows
    }

    fn all(&self) -> Vec<Event> {
        self.undisturbed.must(&["run", "--all"]);
        events_of(&self.undisturbed, "warehouse.\"События\"")
    }
}

const PROJECT: &str = r#"
[project]
name = "crash"
time_zone = "Europe/Moscow"

[connections.warehouse]
kind = "sqlite"
path = "warehouse.db"
"#;

const PIPELINE: &str = r#"
slice = { rows = 20 }

[source.generate]
seed = 7
start = START
per_day = 20000

[source.generate.columns]
id = { sequence = 1 }
name = { choice = { "событие «А»" = 3, "событие «Б»" = 1 } }
amount = { normal = { mean = 900, sd = 250, min = 300, max = 2500, decimals = 2 } }

[sink]
connection = "warehouse"
table = "События"
mode = "append"
"#;
