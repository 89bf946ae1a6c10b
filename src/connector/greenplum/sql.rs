//! Every statement that Greenplum alone is sent, as pure functions. Nothing here may need more than version 6, which is made from
//! PostgreSQL 9.4: no ON CONFLICT, no unique index, no UPDATE (it shuts every other writer out of the table), and IF NOT EXISTS only for tables.
//!
//! A plain PostgreSQL, behind which the same statements are tested, knows no storage and no distribution: those clauses are left out there.

use std::time::Duration;

use super::config::{Distributed, Orientation, Partition, SinkOptions};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        pg::{
            Dialect, Merge, NUMBER, Product, RecordRow, STAGE, StagedColumn, Swap, declared, insert, literal,
            lock_number, quote,
        },
        sink::{DeleteHow, SinkSpec},
    },
    model::{delivery::Mode, unit::DELETED},
};

/// The oldest version of PostgreSQL that is spoken to: Greenplum 6 is made from it.
const OLDEST: u32 = 90_400;

/// What a merge keeps of the rows that it replaces.
const KEPT: &str = "pg_temp._vitrina_kept";

/// Greenplum, version 6 or later.
pub(super) struct Greenplum;

impl Dialect for Greenplum {
    fn kind(&self) -> &'static str {
        "greenplum"
    }

    fn accepts(&self, product: &Product) -> std::result::Result<(), &'static str> {
        if product.number < OLDEST { Err("Greenplum 6 or later is needed") } else { Ok(()) }
    }

    fn digest(&self, text: &str) -> String {
        format!("left(md5({text}), 16)")
    }

    /// Sessions share no state there: a whole table is read by the one that saw it first.
    fn exports_snapshots(&self) -> bool {
        false
    }

    /// Every look is a query of all segments.
    fn looks_every(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// The coordinator's transaction numbers need not move when only segments write.
    fn last_commit(&self) -> Option<&'static str> {
        None
    }

    fn create_table(
        &self,
        product: &Product,
        spec: &SinkSpec,
        table: &str,
        columns: &[(String, String)],
    ) -> Result<String> {
        let options = spec.options.greenplum.clone().unwrap_or_default();
        if let Some(key) = options.misplaced() {
            let message = format!("`{key}` needs `append_optimized = true`");
            return Err(
                Error::new(ErrorKind::Unsupported, message).hint("set both, or none, in [sink.greenplum]")
            );
        }
        let storage = if product.greenplum.is_some() { storage(&options) } else { String::new() };
        let spread = spread(product, spec);
        let split = partitions(product, &options, columns)?;
        Ok(format!("CREATE TABLE {table} ({}){storage}{spread}{split}", declared(columns)))
    }

    /// With a default, which append-optimized tables ask for.
    fn add_column(&self, table: &str, column: &str, kind: &str) -> String {
        format!("ALTER TABLE {table} ADD COLUMN {column} {kind} DEFAULT NULL")
    }

    fn create_key(&self, _: &str, _: &str, _: &str) -> Option<String> {
        None
    }

    fn create_stage(&self, product: &Product, spec: &SinkSpec, columns: &[(String, String)]) -> String {
        let spread = spread(product, spec);
        format!("CREATE TEMP TABLE _vitrina_stage ({}) ON COMMIT DELETE ROWS{spread}", declared(columns))
    }

    /// DELETE takes this lock in any case. Taken first, it is never waited for by two that hold a weaker one, and of two merges with the same
    /// key, the second sees what the first one added.
    fn lock_target(&self, table: &str) -> Option<String> {
        Some(format!("LOCK TABLE {table} IN EXCLUSIVE MODE"))
    }

    fn merge(&self, product: &Product, merge: &Merge<'_>) -> Vec<String> {
        let Merge { table, key, columns, others, .. } = merge;
        let keys = spelled(key, |key| key.cell("stage."));
        let names = spelled(key, |key| key.name.clone());
        let number = quote(NUMBER);
        let last = format!(
            "(SELECT DISTINCT ON ({keys}) * FROM {STAGE} AS stage ORDER BY {keys}, stage.{number} DESC) AS stage"
        );
        let deleted = quote(DELETED);
        let stays = match merge.spec.delete {
            Some(DeleteHow::Hard) => format!("stage.{deleted} IS NOT TRUE"),
            Some(DeleteHow::Soft) | None => "true".to_owned(),
        };
        let delete = format!(
            "DELETE FROM {table} AS target USING (SELECT DISTINCT {} FROM {STAGE} AS stage) AS stage WHERE {}",
            spelled(key, |key| format!("{} AS {}", key.cell("stage."), key.name)),
            same(key, "target", |key| format!("stage.{}", key.name)),
        );
        if others.is_empty() {
            return vec![delete, insert(table, columns, &format!("{last} WHERE {stays}"))];
        }
        // Columns that the rows do not fill keep their values, or get their defaults where the key is new.
        let spread =
            if product.greenplum.is_some() { format!(" DISTRIBUTED BY ({names})") } else { String::new() };
        let keep = format!(
            "CREATE TEMP TABLE _vitrina_kept ON COMMIT DROP AS SELECT DISTINCT ON ({}) {}, {} FROM {table} AS target WHERE EXISTS \
             (SELECT 1 FROM {STAGE} AS stage WHERE {}){spread}",
            spelled(key, |key| format!("target.{}", key.name)),
            spelled(key, |key| format!("target.{}", key.name)),
            others.iter().map(|other| format!("target.{other}")).collect::<Vec<_>>().join(", "),
            same(key, "target", |key| key.cell("stage.")),
        );
        let known = same(key, "kept", |key| key.cell("stage."));
        let filled = spelled(columns, |column| column.name.clone());
        let cells = spelled(columns, |column| column.cell("stage."));
        let change = format!(
            "INSERT INTO {table} ({filled}, {}) SELECT {cells}, {} FROM {last} JOIN {KEPT} AS kept ON {known} WHERE {stays}",
            others.join(", "),
            others.iter().map(|other| format!("kept.{other}")).collect::<Vec<_>>().join(", "),
        );
        let add = format!(
            "INSERT INTO {table} ({filled}) SELECT {cells} FROM {last} WHERE {stays} AND NOT EXISTS (SELECT 1 FROM {KEPT} AS kept WHERE {known})"
        );
        vec![keep, delete, change, add]
    }

    fn merge_rights(&self, _: &SinkSpec) -> &'static [&'static str] {
        &["INSERT", "DELETE"]
    }

    /// Old records are deleted now and then.
    fn record_rights(&self) -> &'static [&'static str] {
        &["SELECT", "INSERT", "DELETE"]
    }

    /// A primary key must hold the columns that rows are distributed by.
    fn record_key(&self) -> &'static str {
        "track, target, seq"
    }

    fn create_records(&self, product: &Product, table: &str) -> String {
        let spread = if product.greenplum.is_some() { " DISTRIBUTED BY (track)" } else { "" };
        format!(
            "CREATE TABLE IF NOT EXISTS {table} (target text NOT NULL, track text NOT NULL, seq bigint NOT NULL, \
             progress text NOT NULL, attempt text NOT NULL, \"at\" text NOT NULL, \"rows\" bigint NOT NULL, \
             PRIMARY KEY ({})){spread}",
            self.record_key()
        )
    }

    /// Records are added and never changed: writers of other tracks do not wait.
    fn swap(&self, table: &str, row: &RecordRow, _: Option<u64>) -> Swap {
        let number = lock_number(&format!("{table} {} {}", row.target, row.track));
        Swap::Lock { lock: format!("SELECT pg_advisory_xact_lock({number})"), insert: row.insert(table) }
    }

    /// A DELETE shuts writers out: it is done where nobody writes just now, and never waited for.
    fn prune(&self, table: &str) -> Vec<String> {
        vec![
            format!("BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE NOWAIT"),
            format!(
                "DELETE FROM {table} AS old USING (SELECT target, track, max(seq) AS seq FROM {table} GROUP BY target, track) AS newest \
                 WHERE old.target = newest.target AND old.track = newest.track AND old.seq < newest.seq"
            ),
            "COMMIT".to_owned(),
            format!("VACUUM {table}"),
        ]
    }
}

/// How a table's rows are kept.
fn storage(options: &SinkOptions) -> String {
    if !options.append_optimized {
        return String::new();
    }
    let mut terms = vec!["appendoptimized=true".to_owned()];
    terms.extend(options.orientation.map(|orientation| match orientation {
        Orientation::Row => "orientation=row".to_owned(),
        Orientation::Column => "orientation=column".to_owned(),
    }));
    if let Some(compress) = options.compress {
        terms.push(format!("compresstype={}", compress.method));
        terms.extend(compress.level.map(|level| format!("compresslevel={level}")));
    }
    format!(" WITH ({})", terms.join(", "))
}

/// How a table's rows are split, those of no range into a partition of their own.
fn partitions(product: &Product, options: &SinkOptions, columns: &[(String, String)]) -> Result<String> {
    let Some(Partition { column, from, until, every }) = &options.partition else {
        return Ok(String::new());
    };
    let Some((name, kind)) = columns.iter().find(|(name, _)| *name == quote(column)) else {
        let message = format!("`partition` names column \"{column}\", which the table has not");
        return Err(
            Error::new(ErrorKind::Unsupported, message).hint("name one of its columns in [sink.greenplum]")
        );
    };
    Ok(match product.greenplum {
        None => String::new(),
        Some(_) => format!(
            " PARTITION BY RANGE ({name}) (START ('{from}'::{kind}) INCLUSIVE END ('{until}'::{kind}) EXCLUSIVE \
             EVERY (INTERVAL '1 {every}'), DEFAULT PARTITION others)"
        ),
    })
}

/// How a target's rows, and those staged for it, are spread over the segments.
fn spread(product: &Product, spec: &SinkSpec) -> String {
    if product.greenplum.is_none() {
        return String::new();
    }
    let told = spec.options.greenplum.as_ref().and_then(|options| options.distributed.as_ref());
    let columns: &[String] = match told {
        Some(Distributed::By(columns)) => columns,
        Some(Distributed::Randomly(_)) => &[],
        None if spec.mode == Mode::Merge => &spec.key,
        None => &[],
    };
    if columns.is_empty() {
        return " DISTRIBUTED RANDOMLY".to_owned();
    }
    let columns: Vec<String> = columns.iter().map(|column| quote(column)).collect();
    format!(" DISTRIBUTED BY ({})", columns.join(", "))
}

/// Columns in a list, each spelled in this way.
fn spelled(columns: &[StagedColumn], spell: impl Fn(&StagedColumn) -> String) -> String {
    columns.iter().map(spell).collect::<Vec<_>>().join(", ")
}

/// A row of `alias` has the same key as the other.
fn same(key: &[StagedColumn], alias: &str, other: impl Fn(&StagedColumn) -> String) -> String {
    let terms: Vec<String> = key.iter().map(|key| format!("{alias}.{} = {}", key.name, other(key))).collect();
    terms.join(" AND ")
}

/// Names of external tables that begin like this, with all that their loads need.
pub(super) fn find_external(schema: &str, prefix: &str) -> String {
    format!(
        "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = {} AND left(c.relname::text, {}) = {} ORDER BY c.relname",
        literal(schema),
        prefix.chars().count(),
        literal(prefix),
    )
}

/// Makes the table by which segments fetch rows from this place.
pub(super) fn create_external(table: &str, columns: &[(String, String)], location: &str) -> String {
    format!(
        "CREATE READABLE EXTERNAL TABLE {table} ({}) LOCATION ({}) FORMAT 'TEXT' ENCODING 'UTF8'",
        declared(columns),
        literal(location)
    )
}

/// Makes the table by which segments bring rows of so many cells to this place.
pub(super) fn create_writable(table: &str, width: usize, location: &str) -> String {
    let columns: Vec<(String, String)> = (0..width).map(|at| (cell(at), "text".to_owned())).collect();
    format!(
        "CREATE WRITABLE EXTERNAL TABLE {table} ({}) LOCATION ({}) FORMAT 'TEXT' ENCODING 'UTF8' DISTRIBUTED RANDOMLY",
        declared(&columns),
        literal(location)
    )
}

/// Lets all segments bring their parts of a query, each cell as it is spelled.
pub(super) fn unload(external: &str, width: usize, select: &str) -> String {
    let names: Vec<String> = (0..width).map(cell).collect();
    let cells: Vec<String> = names.iter().map(|name| format!("{name}::text")).collect();
    format!(
        "INSERT INTO {external} SELECT {} FROM ({select}) AS \"rows\" ({})",
        cells.join(", "),
        names.join(", ")
    )
}

fn cell(at: usize) -> String {
    format!("c{at}")
}

/// Drops one that nothing uses any more.
pub(super) fn drop_external(table: &str) -> String {
    format!("DROP EXTERNAL TABLE IF EXISTS {table}")
}

/// Lets all segments fetch their parts into the stage.
pub(super) fn load(external: &str, columns: &[(String, String)]) -> String {
    let columns = columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    format!("INSERT INTO {STAGE} ({columns}) SELECT {columns} FROM {external}")
}

/// Whether the user may make external tables of gpfdist: to load, and to unload.
pub(super) fn may_move() -> &'static str {
    "SELECT rolsuper OR rolcreaterextgpfd, rolsuper OR rolcreatewextgpfd FROM pg_catalog.pg_roles WHERE rolname = current_user"
}

#[cfg(test)]
mod tests;
