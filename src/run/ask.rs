//! A query of a job: computed by the engine, or sent as it stands.

use chrono::{DateTime, Utc};
use datafusion::execution::SendableRecordBatchStream;

use crate::{
    config::project::Sql,
    connector::error::Result,
    engine::{params::Params, session::Engine},
};

/// Its rows. `now` is what `now()` says, where the engine computes.
pub(super) async fn ask(
    engine: &Engine,
    sql: &Sql,
    params: &Params,
    now: DateTime<Utc>,
) -> Result<SendableRecordBatchStream> {
    if sql.native {
        return engine.native(&sql.text, params).await;
    }
    engine.query(&sql.text, params, now).await
}
