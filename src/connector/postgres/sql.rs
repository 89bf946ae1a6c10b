//! PostgreSQL's statements, where its relatives have others.

use std::time::Duration;

use crate::{
    connector::{
        error::Result,
        pg::{
            Dialect, Merge, NUMBER, Product, RecordRow, STAGE, StagedColumn, Swap, declared, insert, quote,
        },
        sink::{DeleteHow, SinkSpec},
    },
    model::unit::DELETED,
};

/// The oldest version that is spoken to.
const OLDEST: u32 = 120_000;

/// PostgreSQL, version 12 or later.
pub(super) struct Postgres;

impl Dialect for Postgres {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn accepts(&self, product: &Product) -> std::result::Result<(), &'static str> {
        if product.number < OLDEST { Err("PostgreSQL 12 or later is needed") } else { Ok(()) }
    }

    fn digest(&self, text: &str) -> String {
        format!("left(encode(sha256(convert_to({text}, 'UTF8')), 'hex'), 16)")
    }

    fn exports_snapshots(&self) -> bool {
        true
    }

    fn looks_every(&self) -> Duration {
        Duration::from_millis(100)
    }

    /// All of a snapshot, not its end alone: a transaction that was begun before others and ends behind them moves no end.
    fn last_commit(&self) -> Option<&'static str> {
        Some("SELECT txid_current_snapshot()::text")
    }

    fn create_table(
        &self,
        _: &Product,
        _: &SinkSpec,
        table: &str,
        columns: &[(String, String)],
    ) -> Result<String> {
        Ok(format!("CREATE TABLE {table} ({})", declared(columns)))
    }

    fn add_column(&self, table: &str, column: &str, kind: &str) -> String {
        format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} {kind}")
    }

    fn create_key(&self, name: &str, table: &str, columns: &str) -> Option<String> {
        Some(format!("CREATE UNIQUE INDEX IF NOT EXISTS {name} ON {table} ({columns})"))
    }

    fn create_stage(&self, _: &Product, _: &SinkSpec, columns: &[(String, String)]) -> String {
        format!("CREATE TEMP TABLE _vitrina_stage ({}) ON COMMIT DELETE ROWS", declared(columns))
    }

    /// Rows are locked one by one, and a unique index tells keys apart.
    fn lock_target(&self, _: &str) -> Option<String> {
        None
    }

    /// Rows of known keys are changed where they are, so that columns which are not ours stay; the others are added. In the order of
    /// keys, so that two merges do not wait for each other.
    fn merge(&self, _: &Product, merge: &Merge<'_>) -> Vec<String> {
        let keys: Vec<&str> = merge.key.iter().map(|key| key.name.as_str()).collect();
        let keys = keys.join(", ");
        // Of what is staged as text, two spellings are one key.
        let cells: Vec<String> = merge.key.iter().map(|key| key.cell("")).collect();
        let cells = cells.join(", ");
        let last =
            format!("SELECT DISTINCT ON ({cells}) * FROM {STAGE} ORDER BY {cells}, {} DESC", quote(NUMBER));
        let mut statements = vec![];
        let mut source = format!("({last}) AS stage");
        if merge.spec.delete == Some(DeleteHow::Hard) {
            let matches = |key: &StagedColumn| format!("target.{} = {}", key.name, key.cell("stage."));
            let matches: Vec<String> = merge.key.iter().map(matches).collect();
            let deleted = quote(DELETED);
            statements.push(format!(
                "DELETE FROM {} AS target USING {source} WHERE stage.{deleted} AND {}",
                merge.table,
                matches.join(" AND ")
            ));
            source = format!("{source} WHERE stage.{deleted} IS NOT TRUE");
        }
        let changed =
            merge.columns.iter().filter(|column| merge.key.iter().all(|key| key.name != column.name));
        let changed: Vec<String> = changed.map(|column| format!("{0} = excluded.{0}", column.name)).collect();
        let then = if changed.is_empty() {
            "NOTHING".to_owned()
        } else {
            format!("UPDATE SET {}", changed.join(", "))
        };
        let add = insert(&merge.table, &merge.columns, &source);
        statements.push(format!("{add} ON CONFLICT ({keys}) DO {then}"));
        statements
    }

    fn merge_rights(&self, spec: &SinkSpec) -> &'static [&'static str] {
        if spec.delete == Some(DeleteHow::Hard) || spec.anew {
            &["INSERT", "UPDATE", "DELETE"]
        } else {
            &["INSERT", "UPDATE"]
        }
    }

    fn record_rights(&self) -> &'static [&'static str] {
        &["SELECT", "INSERT", "UPDATE"]
    }

    fn record_key(&self) -> &'static str {
        "target, track"
    }

    fn create_records(&self, _: &Product, table: &str) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {table} (target text NOT NULL, track text NOT NULL, seq bigint NOT NULL, \
             progress text NOT NULL, attempt text NOT NULL, at text NOT NULL, rows bigint NOT NULL, \
             PRIMARY KEY ({}))",
            self.record_key()
        )
    }

    fn swap(&self, table: &str, row: &RecordRow, expected: Option<u64>) -> Swap {
        let RecordRow { target, track, seq, progress, attempt, at, rows } = row;
        Swap::Compare(match expected {
            Some(expected) => format!(
                "UPDATE {table} SET seq = {seq}, progress = {progress}, attempt = {attempt}, at = {at}, rows = {rows} \
                 WHERE target = {target} AND track = {track} AND seq = {expected}"
            ),
            None => format!("{} ON CONFLICT DO NOTHING", row.insert(table)),
        })
    }

    /// A record is changed where it is.
    fn prune(&self, _: &str) -> Vec<String> {
        vec![]
    }
}
