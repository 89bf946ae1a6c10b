//! Where a unit's rows wait for their commit: in the open transaction of one session, in the target itself or in a temporary table.
//!
//! The temporary table empties itself when its transaction ends, and the session that has it stays with the sink: the catalogs
//! of the server hear of it once a run, not once a slice.

use std::sync::PoisonError;

use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;

use super::{
    client::Lease,
    commit::BEGIN_COMMIT,
    dialect::{NUMBER, STAGE, staged},
    load::{Numbered, Stage, copy},
    name::{quote, quote_all},
    table::Table,
    write::Inner,
};
use crate::{
    connector::error::Result,
    model::{delivery::Mode, name::Track},
};

/// Sessions with a stage that are kept: one is filled while another one commits.
const KEPT: usize = 2;

/// A session in a transaction that rows are put into.
pub(crate) struct Open {
    pub(crate) lease: Lease,
    pub(crate) place: Place,
}

/// Where its rows are.
pub(crate) enum Place {
    /// In the target: what the transaction added, nobody else sees before it commits.
    Target,
    /// In a temporary table.
    Stage(Made),
}

/// A temporary table.
pub(crate) struct Made {
    /// The statement that made it: another one, and it is of other columns.
    sql: String,
    /// Its columns, each a name and a type in SQL; the last one is the rows' number.
    columns: Vec<(String, String)>,
    /// Whether its texts are UTF-8.
    pub(crate) utf8: bool,
}

/// A session with an empty stage in it, for the next unit.
pub(crate) struct Kept {
    lease: Lease,
    sql: String,
}

impl Inner {
    /// Begins the transaction that these rows are committed by. `straight` = they need no stage, if the target takes them as they come.
    pub(crate) async fn begin(&self, schema: &SchemaRef, straight: bool) -> Result<Open> {
        let (lease, kept) = self.session().await?;
        let Some(table) = self.table(&lease).await? else {
            return Err(self.dropped());
        };
        let straight = straight && self.spec.mode == Mode::Append && !self.spec.checked;
        let place = if straight && takes(&table, schema) {
            Place::Target
        } else {
            Place::Stage(self.empty_stage(&lease, kept, &table, schema).await?)
        };
        lease.run(BEGIN_COMMIT).await.map_err(|error| self.failed(error))?;
        Ok(Open { lease, place })
    }

    /// A session that was kept, with the statement that its stage was made by, or any other.
    async fn session(&self) -> Result<(Lease, Option<String>)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match kept {
            Some(Kept { lease, sql }) if self.server.is_there(&lease).await => Ok((lease, Some(sql))),
            _ => Ok((self.server.lease().await?, None)),
        }
    }

    async fn empty_stage(
        &self,
        lease: &Lease,
        kept: Option<String>,
        table: &Table,
        schema: &SchemaRef,
    ) -> Result<Made> {
        let fields = schema.fields().iter();
        let mut columns: Vec<_> = fields.map(|field| staged(table, field.name())).collect();
        columns.push((quote(NUMBER), "bigint".to_owned()));
        let sql = self.server.dialect.create_stage(&lease.product, &self.spec, &columns);
        let make = match kept {
            Some(kept) if kept == sql => return Ok(Made { sql, columns, utf8: table.utf8 }),
            Some(_) => format!("DROP TABLE {STAGE}; {sql}"),
            None => sql.clone(),
        };
        lease.run(&make).await.map_err(|error| self.failed(error))?;
        Ok(Made { sql, columns, utf8: table.utf8 })
    }

    /// Puts rows where they wait; how many they were.
    pub(crate) async fn load(
        &self,
        open: &Open,
        track: &Track,
        schema: &SchemaRef,
        rows: SendableRecordBatchStream,
    ) -> Result<u64> {
        let (lease, shown) = (&open.lease, self.shown());
        let made = match &open.place {
            Place::Target => {
                let names = quote_all(schema.fields().iter().map(|field| field.name().as_str()));
                return copy(lease, &format!("{} ({names})", self.sql()), rows, Numbered::No, &shown).await;
            }
            Place::Stage(made) => made,
        };
        let (schema, target, columns) = (&self.schema, &self.spec.table, &made.columns);
        let stage = Stage { lease, track, schema, target, columns, shown: &shown };
        self.extras.load.load(stage, rows).await
    }

    /// After the commit: a session with a stage waits for the next unit, and any other one for whoever needs it.
    pub(crate) fn keep(&self, lease: Lease, place: Place) {
        match place {
            Place::Target => lease.give_back(),
            Place::Stage(Made { sql, .. }) => {
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() < KEPT {
                    kept.push(Kept { lease, sql });
                }
            }
        }
    }
}

/// Whether a table takes rows of these columns by COPY: it has them all, and each has a binary form of ours.
fn takes(table: &Table, schema: &SchemaRef) -> bool {
    let binary = |name: &String| table.column(name).is_some_and(|column| !column.kind.spelled());
    table.takes_copy && schema.fields().iter().all(|field| binary(field.name()))
}
