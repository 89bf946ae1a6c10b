//! What only PostgreSQL has: its types, TLS, rights, sessions that are cut. What every connector promises is in the contract suite.

mod faults;
mod line;
mod outages;
mod stopping;
mod straight;
mod tls;
mod types;
mod whole;

use futures::TryStreamExt;
use vitrina::connector::{
    error::Result,
    source::{Chunk, SourceSpec},
};

use crate::support::{postgres::Place, specs};

/// The specification of a table without a contract, read whole.
fn whole(table: &str) -> SourceSpec {
    specs::undeclared(table)
}

/// Everything in a table.
async fn read_all(place: &Place, spec: &SourceSpec) -> Result<Vec<Chunk>> {
    let source = place.open().source(spec).await?;
    let head = source.head().await?;
    let unit = source.plan(None, &head, crate::contract::reading::WIDE).await?.expect("a snapshot");
    source.read(&unit).await?.try_collect().await
}
