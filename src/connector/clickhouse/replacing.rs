//! A merge that only adds rows: the table's engine, ReplacingMergeTree, keeps one row of each key.
//!
//! That engine compares rows by the columns that the table is sorted by, so these have to be the key, no more and no fewer. Of the rows of one key it keeps the one with the
//! greatest version, or the one in the newest part; parts that are moved in are newer than all that are there, unit by unit.

use super::{
    config::{Merge, SinkOptions},
    name::quote,
    replicated::family,
    table::Table,
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        misfit::Misfit,
        sink::{DeleteHow, SinkSpec},
    },
    model::delivery::Mode,
};

/// What to do where a table is sorted by anything else.
const SORT_BY_KEY: &str = "sort it by the key (`order_by`, in any order), or say `merge = \"delete\"`";

/// The column whose greatest value stays, where a target is merged so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replacing<'a> {
    pub(super) version: Option<&'a str>,
}

/// How a sink merges so; none = it does not.
pub(super) fn of(spec: &SinkSpec) -> Option<Replacing<'_>> {
    let options = spec.options.clickhouse.as_ref()?;
    let replaces = spec.mode == Mode::Merge && options.merge == Merge::Replacing;
    replaces.then_some(Replacing { version: options.version.as_deref() })
}

impl Replacing<'_> {
    /// What a table is made with.
    pub(super) fn engine(self) -> String {
        let version = self.version.map_or(String::new(), |version| format!("({})", quote(version)));
        format!("ReplacingMergeTree{version}")
    }

    /// Refuses what a project says that does not go together.
    pub(super) fn check_told(self, spec: &SinkSpec, options: &SinkOptions, shown: &str) -> Result<()> {
        match misfit(spec, options) {
            Some(misfit) => refused(&format!("{shown}: {}", misfit.message), &misfit.hint),
            None => Ok(()),
        }
    }

    /// Refuses a table that would keep other rows.
    pub(super) fn check(self, table: &Table, key: &[String], shown: &str) -> Result<()> {
        let engine = family(&table.engine_full);
        let Some(kept) = engine.strip_prefix("ReplacingMergeTree") else {
            return refused(
                &format!(
                    "{shown} is of engine {}, and `merge = \"replacing\"` needs ReplacingMergeTree",
                    table.engine
                ),
                "make it anew, or say `merge = \"delete\"`",
            );
        };
        if !same(&names(&table.sorting_key), key) {
            return Err(sorted_otherwise(shown));
        }
        let kept = kept.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or("", |(kept, _)| kept);
        let kept = names(kept).first().copied();
        if kept != self.version {
            let named = |version: Option<&str>| version.map_or("none".to_owned(), |name| format!("`{name}`"));
            return refused(
                &format!(
                    "{shown} has the version {}, and the sink says {}",
                    named(kept),
                    named(self.version)
                ),
                "name the table's own: `version` in [sink.clickhouse]",
            );
        }
        Ok(())
    }
}

/// What does not go with a merge that only adds rows.
pub(super) fn misfit(spec: &SinkSpec, options: &SinkOptions) -> Option<Misfit> {
    let conflict = |key, message: &str, hint| Some(Misfit::of(key, "conflicting-keys", message, hint));
    if spec.delete == Some(DeleteHow::Hard) {
        let message = "`merge = \"replacing\"` adds rows, and takes none away";
        let hint = "keep deleted rows with a mark (`delete.how = \"soft\"`), or say `merge = \"delete\"`";
        return conflict("merge", message, hint);
    }
    if options.engine.as_ref().is_some_and(|engine| !family(engine).starts_with("ReplacingMergeTree")) {
        let message = "`merge = \"replacing\"` needs the engine ReplacingMergeTree";
        return conflict("engine", message, "leave `engine` out: it is made of `version`");
    }
    let order: Vec<&str> = options.order_by.iter().map(String::as_str).collect();
    if !order.is_empty() && !same(&order, &spec.key) {
        let message = "`merge = \"replacing\"` tells rows apart by what the table is sorted by, and `order_by` is not the key";
        return conflict("order_by", message, SORT_BY_KEY);
    }
    None
}

fn sorted_otherwise(shown: &str) -> Error {
    let message =
        format!("{shown} is sorted by other columns than the key, by which its engine would tell rows apart");
    Error::new(ErrorKind::Unsupported, message).hint(SORT_BY_KEY)
}

fn refused(what: &str, hint: &str) -> Result<()> {
    Err(Error::new(ErrorKind::Unsupported, what).hint(hint))
}

/// Names in a list as the server spells it, which may put brackets around a single one; an expression is none of ours.
fn names(list: &str) -> Vec<&str> {
    let list = list.strip_prefix('(').and_then(|list| list.strip_suffix(')')).unwrap_or(list);
    list.split(", ").map(|name| name.trim_matches('`')).filter(|name| !name.is_empty()).collect()
}

/// Whether these are the same names, in any order.
fn same(some: &[&str], others: &[String]) -> bool {
    some.len() == others.len() && others.iter().all(|other| some.contains(&other.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(engine_full: &str, sorting_key: &str) -> Table {
        let (engine_full, sorting_key) = (engine_full.to_owned(), sorting_key.to_owned());
        Table { engine: "AnEngine".to_owned(), engine_full, sorting_key, ..Table::default() }
    }

    #[test]
    fn only_a_table_that_keeps_one_row_of_each_key_is_taken() {
        let key = ["id".to_owned(), "kind of".to_owned()];
        let (last, newest) = (Replacing { version: None }, Replacing { version: Some("at") });
        assert_eq!(
            (last.engine().as_str(), newest.engine().as_str()),
            ("ReplacingMergeTree", "ReplacingMergeTree(`at`)")
        );
        for (how, engine, sorted, taken) in [
            (last, "ReplacingMergeTree ORDER BY (id, `kind of`)", "id, `kind of`", true),
            (last, "ReplacingMergeTree ORDER BY (`kind of`, id)", "`kind of`, id", true),
            (newest, "ReplacingMergeTree(at) ORDER BY (id, `kind of`)", "id, `kind of`", true),
            (
                newest,
                "ReplicatedReplacingMergeTree('/a', '{replica}', at) ORDER BY (id, `kind of`)",
                "id, `kind of`",
                true,
            ),
            (
                last,
                "ReplicatedReplacingMergeTree('/a', '{replica}') ORDER BY (id, `kind of`)",
                "id, `kind of`",
                true,
            ),
            (
                newest,
                "ReplicatedMergeTree('/a', '{replica}') ORDER BY (id, `kind of`)",
                "id, `kind of`",
                false,
            ),
            (newest, "ReplacingMergeTree(`at`, gone) ORDER BY (id, `kind of`)", "id, `kind of`", true),
            (last, "ReplacingMergeTree(at) ORDER BY (id, `kind of`)", "id, `kind of`", false),
            (newest, "ReplacingMergeTree ORDER BY (id, `kind of`)", "id, `kind of`", false),
            (last, "MergeTree ORDER BY (id, `kind of`)", "id, `kind of`", false),
            (last, "ReplacingMergeTree ORDER BY (id)", "(id)", false),
            (last, "ReplacingMergeTree ORDER BY (id, `kind of`, at)", "id, `kind of`, at", false),
            (last, "ReplacingMergeTree ORDER BY (id % 10, `kind of`)", "id % 10, `kind of`", false),
        ] {
            assert_eq!(how.check(&table(engine, sorted), &key, "t").is_ok(), taken, "{engine}");
        }
        for sorted in ["id", "(id)", "`id`"] {
            assert!(
                last.check(&table("ReplacingMergeTree ORDER BY id", sorted), &key[..1], "t").is_ok(),
                "{sorted}"
            );
        }
    }
}
