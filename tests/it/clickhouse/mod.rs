//! ClickHouse beyond the contract: its own types, its own faults.

mod deaths;
mod faults;
mod inside;
mod reading;
mod replicas;
mod tls;
mod types;
mod windows;
mod wire;
mod writing;

use vitrina::connector::{connection::Connection, error::Result, source::SourceSpec};

use crate::{
    contract::reading::{Held, WIDE, try_read},
    support::specs,
};

/// The whole table, as it declares itself.
fn whole(table: &str) -> SourceSpec {
    SourceSpec { whole: true, ..specs::undeclared(table) }
}

/// Everything that a source gives in one run.
async fn read_all(connection: &dyn Connection, spec: &SourceSpec) -> Result<Vec<Held>> {
    let source = connection.source(spec).await?;
    let head = source.head().await?;
    let (mut held, mut at) = (vec![], None);
    while let Some(unit) = source.plan(at.as_ref(), &head, WIDE).await? {
        held.push(try_read(source.as_ref(), &unit).await?);
        at = unit.after.position().cloned();
    }
    Ok(held)
}
