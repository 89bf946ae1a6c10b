//! Replicated tables, in a database of the engine Replicated: what is the same there as on one server, and what statements say besides.
//!
//! Names of such a database are decided by a Keeper: making, renaming and exchanging tables is one entry of its log, which every replica carries out. So a stage is on every replica,
//! a unit's name is taken once among all of them, and `write.rs` holds as it stands, as far as one replica does the writing. What is different:
//!
//! - *All tables are replicated*, ours too, with the database's own paths: the target, stages, records. Parts go between tables of one kind only (`MOVE PARTITION`), and in the Keeper a
//!   partition's parts are added to the target in one step. A replica that dies behind that step and before the source's parts are gone has them in both tables: known by their numbers, as on one server.
//! - *Stages are inserted with a quorum*: before a unit is decided, most replicas have its rows. The record is too, one insert after the other, so that it can be asked for with sequential consistency.
//! - *No deduplication*: two equal blocks of a unit are two. So `replicated_deduplication_window` plays no part, as `non_replicated_deduplication_window` plays none on one server.
//! - *A replica that is away holds nobody up*: steps wait for all replicas where all are there, otherwise for the one that is written; the others follow in the Keeper's order.
//! - *One replica does the writing of a unit*, and the unit's note says which: whether a dead writer's statement still runs is known there alone. Another one refuses to finish it.
//! - *Merges that delete are refused*: every replica would ask for the keys by itself, and servers do not let a mutation of a replicated table ask another table.
//!
//! A replicated table in a database of another engine is refused: its name is decided on one server, its rows are on several, and a unit that a lost server had decided would be
//! known to none of the others. Several shards are refused: a table's rows would be those of one shard.

use super::{
    client::Server,
    name::literal,
    note::Note,
    table::{Table, has_own_parts, text},
};
use crate::connector::error::{Error, ErrorKind, Result};

/// What engines of replicated tables begin with.
const REPLICATED: &str = "Replicated";

/// Whether the tables of a database are replicated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Replication {
    /// They are on one server.
    None,
    /// They are; writing goes through the replica on this server, by its UUID.
    Through(String),
}

impl Replication {
    /// How a database is.
    pub(super) async fn of(server: &Server, database: &str, shown: &str) -> Result<Self> {
        let sql = format!(
            "SELECT engine, toString(serverUUID()) FROM system.databases WHERE name = {}",
            literal(database)
        );
        let row = server.row(shown, &sql).await?.unwrap_or_default();
        Ok(if text(&row, 0) == REPLICATED { Self::Through(text(&row, 1).to_owned()) } else { Self::None })
    }

    fn is_on(&self) -> bool {
        *self != Self::None
    }

    /// The replica that writes; none on one server.
    pub(super) fn replica(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Through(replica) => Some(replica.clone()),
        }
    }

    /// Refuses a database whose tables' rows are spread over several shards.
    pub(super) async fn check_shards(&self, server: &Server, database: &str, shown: &str) -> Result<()> {
        if !self.is_on() {
            return Ok(());
        }
        let sql = format!(
            "SELECT toString(uniqExact(shard_num)) FROM system.clusters WHERE cluster = {}",
            literal(database)
        );
        match server.cell(shown, &sql).await?.unwrap_or_default().as_str() {
            "0" | "1" => Ok(()),
            shards => {
                let message = format!("{shown}: the database \"{database}\" has {shards} shards");
                Err(Error::new(ErrorKind::Unsupported, message)
                    .hint("rows would lie in one of them: write into a Replicated database of one shard"))
            }
        }
    }

    /// What has to be asked of the server besides.
    pub(super) fn looked_at(&self) -> &'static [&'static str] {
        if self.is_on() { &["system.replicas", "system.clusters"] } else { &[] }
    }

    /// The engine of a table that is to be as all others of the database.
    pub(super) fn engine(&self, family: &str) -> String {
        if self.is_on() { format!("{REPLICATED}{family}") } else { family.to_owned() }
    }

    /// Whether rows can be moved into a table of this engine as parts. `engine` may have what it is told behind its name.
    pub(super) fn takes(&self, engine: &str) -> bool {
        let family = engine.strip_prefix(REPLICATED);
        if self.is_on() { family.is_some_and(has_own_parts) } else { has_own_parts(engine) }
    }

    /// The refusal of an engine that is not taken.
    pub(super) fn refusal(&self, engine: &str, shown: &str) -> Error {
        let hint = if self.is_on() {
            "in a Replicated database, write into tables of the engine Replicated…MergeTree"
        } else if engine.starts_with(REPLICATED) {
            "a replicated table is written in a database of the engine Replicated alone, where a Keeper decides about names: CREATE DATABASE … ENGINE = Replicated(…)"
        } else {
            "rows are moved in as parts: write into a table of the MergeTree family"
        };
        Error::new(ErrorKind::Unsupported, format!("{shown} is of engine {engine}")).hint(hint)
    }

    /// The refusal of merges that ask a table of ours which keys go.
    pub(super) fn check_deleting(&self, shown: &str) -> Result<()> {
        if !self.is_on() {
            return Ok(());
        }
        let message = format!("{shown}: a merge cannot delete keys of a replicated table");
        Err(Error::new(ErrorKind::Unsupported, message)
            .hint("say `merge = \"replacing\"` in [sink.clickhouse]: the engine keeps one row of each key"))
    }

    /// Refuses to finish what another replica began.
    pub(super) fn check_replica(&self, note: &Note, shown: &str) -> Result<()> {
        if note.replica.is_none() || note.replica == self.replica() {
            return Ok(());
        }
        let message = format!("{shown}: a unit was decided through another replica, and is not finished");
        Err(Error::new(ErrorKind::Busy, message)
            .hint("let the connection's `url` lead to that replica until a run has finished the unit"))
    }

    /// The statement that makes an empty table like the target, of its own path in the Keeper. Its parts have numbers, by which they are known again wherever they are.
    pub(super) fn make_stage(&self, name: &str, target: &Table, comment: &str) -> String {
        let engine = self.engine(&family(&target.engine_full));
        let numbers = "assign_part_uuids = 1";
        let numbered = match engine.rsplit_once(" SETTINGS ") {
            Some((_, settings)) if settings.contains(numbers) => engine,
            Some(_) => format!("{engine}, {numbers}"),
            None => format!("{engine} SETTINGS {numbers}"),
        };
        format!("CREATE TABLE {name} AS {} ENGINE = {numbered} COMMENT {}", target.sql(), literal(comment))
    }

    /// What an insert into a stage says: most replicas have the rows when it is answered.
    pub(super) fn staging(&self) -> &'static str {
        if self.is_on() { " SETTINGS insert_quorum = 'auto'" } else { "" }
    }

    /// What an insert of a record says: most replicas have it, and all that were before it.
    pub(super) fn recording(&self) -> &'static str {
        if self.is_on() { " SETTINGS insert_quorum = 'auto', insert_quorum_parallel = 0" } else { "" }
    }

    /// What a question for records says: a replica that has not all of them does not answer.
    pub(super) fn recorded(&self) -> &'static str {
        if self.is_on() { " SETTINGS select_sequential_consistency = 1" } else { "" }
    }

    /// Whom the steps of a unit wait for.
    pub(super) async fn following(
        &self,
        server: &Server,
        database: &str,
        table: &str,
        shown: &str,
    ) -> Result<Following> {
        if !self.is_on() {
            return Ok(Following::Nobody);
        }
        let sql = format!(
            "SELECT active_replicas = total_replicas FROM system.replicas WHERE database = {} AND table = {}",
            literal(database),
            literal(table)
        );
        let all = server.cell(shown, &sql).await?;
        Ok(if matches!(all.as_deref(), Some("1" | "true")) { Following::All } else { Following::Own })
    }
}

/// Whom a step waits for, besides the server that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Following {
    /// There is nobody else.
    Nobody,
    /// Only the replica that is asked, since some are away.
    Own,
    /// All replicas.
    All,
}

impl Following {
    fn number(self) -> Option<u8> {
        match self {
            Self::Nobody => None,
            Self::Own => Some(1),
            Self::All => Some(2),
        }
    }

    /// Moves a partition of one table into another.
    pub(super) fn move_partition(self, from: &str, id: &str, into: &str) -> String {
        let sql = format!("ALTER TABLE {from} MOVE PARTITION ID {} TO TABLE {into}", literal(id));
        self.altering(sql)
    }

    /// Puts a partition of one table in the place of another's.
    pub(super) fn replace_partition(self, table: &str, id: &str, from: &str) -> String {
        let sql = format!("ALTER TABLE {table} REPLACE PARTITION ID {} FROM {from}", literal(id));
        self.altering(sql)
    }

    /// Puts a copy of a partition beside what a table has, without its rows being copied.
    pub(super) fn attach_partition(self, table: &str, id: &str, from: &str) -> String {
        self.altering(format!("ALTER TABLE {table} ATTACH PARTITION ID {} FROM {from}", literal(id)))
    }

    /// Takes a partition away.
    pub(super) fn drop_partition(self, table: &str, id: &str) -> String {
        self.altering(format!("ALTER TABLE {table} DROP PARTITION ID {}", literal(id)))
    }

    /// Takes a part away.
    pub(super) fn drop_part(self, table: &str, part: &str) -> String {
        self.altering(format!("ALTER TABLE {table} DROP PART {}", literal(part)))
    }

    /// Takes rows away; the statement names the unit that it is about.
    pub(super) fn delete(self, table: &str, condition: &str, unit: &str) -> String {
        let sql = format!("DELETE FROM {table} WHERE {condition}");
        match self.number() {
            Some(number) => format!("{sql} SETTINGS lightweight_deletes_sync = {number} /* {unit} */"),
            None => format!("{sql} /* {unit} */"),
        }
    }

    fn altering(self, sql: String) -> String {
        match self.number() {
            Some(number) => format!("{sql} SETTINGS alter_sync = {number}"),
            None => sql,
        }
    }
}

/// An engine and what it is told, as on one server: without its path in the Keeper and its replica's name.
pub(super) fn family(engine_full: &str) -> String {
    let Some(family) = engine_full.strip_prefix(REPLICATED) else { return engine_full.to_owned() };
    let Some((name, told)) =
        family.split_once('(').filter(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric()))
    else {
        return family.to_owned();
    };
    let mut rest = told;
    for _ in 0..2 {
        let Some(behind) = behind_text(rest) else { break };
        rest = behind.trim_start_matches([',', ' ']);
    }
    match rest.strip_prefix(')') {
        Some(rest) => format!("{name}{rest}"),
        None => format!("{name}({rest}"),
    }
}

/// What is behind a text in quotes that this begins with.
fn behind_text(sql: &str) -> Option<&str> {
    let inside = sql.strip_prefix('\'')?;
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => return Some(&inside[at + 1..]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Replication = Replication::None;

    fn replicated() -> Replication {
        Replication::Through("0f".to_owned())
    }

    fn table(engine_full: &str) -> Table {
        let (database, name) = ("premier".to_owned(), "views".to_owned());
        Table { database, name, engine_full: engine_full.to_owned(), ..Table::default() }
    }

    #[test]
    fn stages_are_made_as_their_targets_are() {
        let on_one = table("MergeTree PARTITION BY dt ORDER BY (dt, id) SETTINGS index_granularity = 8192");
        assert_eq!(
            ALONE.make_stage("`premier`.`s`", &on_one, "{}"),
            "CREATE TABLE `premier`.`s` AS `premier`.`views` ENGINE = MergeTree PARTITION BY dt ORDER BY (dt, id) \
             SETTINGS index_granularity = 8192, assign_part_uuids = 1 COMMENT '{}'"
        );
        let on_several = table(
            "ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', at) ORDER BY id \
             SETTINGS index_granularity = 8192",
        );
        assert_eq!(
            replicated().make_stage("`premier`.`s`", &on_several, "{}"),
            "CREATE TABLE `premier`.`s` AS `premier`.`views` ENGINE = ReplicatedReplacingMergeTree(at) ORDER BY id \
             SETTINGS index_granularity = 8192, assign_part_uuids = 1 COMMENT '{}'"
        );
        // One that took the place of an earlier target.
        let exchanged = table("MergeTree ORDER BY id SETTINGS assign_part_uuids = 1");
        assert!(ALONE.make_stage("s", &exchanged, "").ends_with("SETTINGS assign_part_uuids = 1 COMMENT ''"));
        let bare = table("MergeTree ORDER BY id");
        assert!(ALONE.make_stage("s", &bare, "").contains("ORDER BY id SETTINGS assign_part_uuids = 1"));
    }

    #[test]
    fn a_path_in_the_keeper_is_a_tables_own() {
        for (told, left) in [
            ("ReplicatedMergeTree ORDER BY id", "MergeTree ORDER BY id"),
            ("ReplicatedMergeTree('/a/b', '{replica}') ORDER BY f('x')", "MergeTree ORDER BY f('x')"),
            (r"ReplicatedMergeTree('/it\'s, (a)', 'r\\') ORDER BY id", "MergeTree ORDER BY id"),
            ("ReplicatedReplacingMergeTree(at) ORDER BY id", "ReplacingMergeTree(at) ORDER BY id"),
            (
                "ReplicatedSummingMergeTree('/a', 'r', (n, m)) ORDER BY id",
                "SummingMergeTree((n, m)) ORDER BY id",
            ),
            ("ReplicatedMergeTree ORDER BY (a, b)", "MergeTree ORDER BY (a, b)"),
            ("ReplacingMergeTree(at) ORDER BY ('x', id)", "ReplacingMergeTree(at) ORDER BY ('x', id)"),
        ] {
            assert_eq!(family(told), left, "{told}");
        }
    }

    #[test]
    fn steps_wait_for_those_that_are_there() {
        for (following, says) in [
            (Following::Nobody, ""),
            (Following::Own, " SETTINGS alter_sync = 1"),
            (Following::All, " SETTINGS alter_sync = 2"),
        ] {
            assert_eq!(
                following.move_partition("`d`.`u`", "2026'01", "`d`.`t`"),
                format!(r"ALTER TABLE `d`.`u` MOVE PARTITION ID '2026\'01' TO TABLE `d`.`t`{says}")
            );
            assert_eq!(
                following.replace_partition("`d`.`t`", "202601", "`d`.`u`"),
                format!("ALTER TABLE `d`.`t` REPLACE PARTITION ID '202601' FROM `d`.`u`{says}")
            );
            assert_eq!(
                following.attach_partition("`d`.`m`", "202601", "`d`.`u`"),
                format!("ALTER TABLE `d`.`m` ATTACH PARTITION ID '202601' FROM `d`.`u`{says}")
            );
            assert_eq!(
                following.drop_partition("`d`.`t`", "202601"),
                format!("ALTER TABLE `d`.`t` DROP PARTITION ID '202601'{says}")
            );
            assert_eq!(
                following.drop_part("`d`.`u`", "all_1_1_0"),
                format!("ALTER TABLE `d`.`u` DROP PART 'all_1_1_0'{says}")
            );
            let says = says.replace("alter_sync", "lightweight_deletes_sync");
            assert_eq!(
                following.delete("`d`.`t`", "a = 1", "u_1"),
                format!("DELETE FROM `d`.`t` WHERE a = 1{says} /* u_1 */")
            );
        }
    }

    #[test]
    fn records_are_held_by_most_replicas() {
        assert_eq!((ALONE.staging(), ALONE.recording(), ALONE.recorded()), ("", "", ""));
        let replicated = replicated();
        assert_eq!(replicated.staging(), " SETTINGS insert_quorum = 'auto'");
        assert_eq!(replicated.recording(), " SETTINGS insert_quorum = 'auto', insert_quorum_parallel = 0");
        assert_eq!(replicated.recorded(), " SETTINGS select_sequential_consistency = 1");
        assert_eq!(
            (ALONE.engine("MergeTree"), replicated.engine("MergeTree")),
            ("MergeTree".into(), "ReplicatedMergeTree".into())
        );
    }

    #[test]
    fn tables_are_of_their_databases_kind() {
        for (engine, alone, among) in [
            ("MergeTree", true, false),
            ("ReplacingMergeTree(at)", true, false),
            ("ReplicatedMergeTree('/a', 'r')", false, true),
            ("ReplicatedReplacingMergeTree", false, true),
            ("SharedMergeTree", false, false),
            ("ReplicatedSharedMergeTree", false, false),
            ("Log", false, false),
        ] {
            assert_eq!((ALONE.takes(engine), replicated().takes(engine)), (alone, among), "{engine}");
        }
        assert!(
            ALONE
                .refusal("ReplicatedMergeTree", "t")
                .advice()
                .contains("CREATE DATABASE … ENGINE = Replicated")
        );
        assert!(ALONE.refusal("Log", "t").advice().contains("MergeTree family"));
        assert!(replicated().refusal("MergeTree", "t").advice().contains("Replicated…MergeTree"));
        assert!(ALONE.check_deleting("t").is_ok());
        let error = replicated().check_deleting("t").unwrap_err();
        assert!(
            error.kind == ErrorKind::Unsupported && error.advice().contains("merge = \"replacing\""),
            "{error}"
        );
    }

    #[test]
    fn a_unit_is_finished_where_it_was_begun() {
        let at = chrono::DateTime::from_timestamp_micros(0).unwrap();
        let attempt = crate::model::name::AttemptId::parse("a");
        let record = crate::model::unit::Record {
            seq: 1,
            progress: crate::model::unit::Progress::Start,
            attempt,
            at,
            rows: 0,
        };
        let note = |replica: Option<&str>| Note {
            target: "t".into(),
            track: "p:j/m".into(),
            record: record.clone(),
            way: super::super::note::Way::Move,
            replica: replica.map(str::to_owned),
        };
        assert!(ALONE.check_replica(&note(None), "t").is_ok());
        assert!(replicated().check_replica(&note(Some("0f")), "t").is_ok());
        for here in [ALONE, replicated()] {
            let error = here.check_replica(&note(Some("1f")), "t").unwrap_err();
            assert!(error.kind.policy().retry && error.advice().contains("`url`"), "{error}");
        }
    }
}
