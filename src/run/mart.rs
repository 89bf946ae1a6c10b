//! A mart run, as one story: query → claim → fit → stage → commit. The whole table is one snapshot; readers see the old rows or the new.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arrow::datatypes::{FieldRef, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{StreamExt, future};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    ask::ask,
    event::{Event, Observer},
    fit::fit,
    judge::Seen,
    retry::Tries,
    tally::Tally,
    unit::unless_cancelled,
};
use crate::{
    config::project::{JobInfo, Sql},
    connector::{
        error::{Error, ErrorKind, Result},
        executor::Statement,
        sink::{Attempt, Claim, Rows, Sink},
    },
    engine::{params::Params, session::Engine},
    failpoint,
    model::{
        name::{AttemptId, Track},
        time::Clock,
        unit::{Build, Progress, Scope, Unit},
    },
};

/// One build of one member of a mart.
pub(super) struct MartRun<'a> {
    pub info: &'a JobInfo,
    pub sql: &'a Sql,
    pub track: Track,
    pub sink: Arc<dyn Sink>,
    /// The sink's connection, where a query that it computes whole may fill the table without its rows leaving it.
    pub there: Option<&'a str>,
    pub engine: &'a Engine,
    pub params: Params,
    /// Sequence numbers of the tracks that it reads, by track key.
    pub inputs: BTreeMap<String, u64>,
    /// How long it may go on once it is cancelled.
    pub grace: Duration,
    /// Tries that failed in a process that died.
    pub failed: u32,
    pub clock: Arc<dyn Clock>,
    pub observer: Arc<dyn Observer>,
    pub cancel: CancellationToken,
}

impl MartRun<'_> {
    /// Builds the table anew; retries what the world fails.
    pub(super) async fn run(&self, tally: &mut Tally) -> Result<()> {
        let mut tries = Tries::new(self.info.retry, self.failed, &self.track, &self.observer, &self.cancel);
        loop {
            let units = tally.units;
            let Err(error) = self.build(tally).await else { return Ok(()) };
            tries.failed(error, tally.units > units).await?;
        }
    }

    async fn build(&self, tally: &mut Tally) -> Result<()> {
        self.observer.event(&self.track, &Event::Planned { rows: None });
        let attempt = Attempt { id: AttemptId::fresh(), at: self.clock.now() };
        let (rows, schema) = match self.whole(attempt.at).await? {
            Some((statement, schema)) => (Rows::Sql(statement), schema),
            None => {
                let query = ask(self.engine, self.sql, &self.params, attempt.at).await?;
                let schema = query.schema();
                (Rows::Stream(query), schema)
            }
        };
        let claim = self.sink.claim(&self.track, &schema).await?;
        let rows = match rows {
            Rows::Sql(statement) if fits(&schema, &claim) => Rows::Sql(statement),
            Rows::Sql(_) => {
                let query = ask(self.engine, self.sql, &self.params, attempt.at).await?;
                Rows::Stream(self.fitted(query, &claim.schema))
            }
            Rows::Stream(query) => Rows::Stream(self.fitted(query, &claim.schema)),
        };
        let unit = Unit {
            scope: Scope::Snapshot,
            after: Progress::Build(Build {
                fingerprint: fingerprint(&self.sql.text, &self.params),
                inputs: self.inputs.clone(),
            }),
            schema,
            rows: None,
        };
        let stage = self.sink.stage(&self.track, &claim, &unit, &attempt, rows);
        let staged = unless_cancelled(&self.cancel, self.grace, stage).await?;
        failpoint::pass("run.mart.staged");
        let committed = staged.commit().await?;
        let record = committed.record();
        tally.committed(record, Seen { rows: record.rows, bad: 0 });
        self.observer.event(&self.track, &Event::Committed { seq: record.seq, rows: record.rows });
        Ok(())
    }

    /// The query as one statement of the sink's own place, where that computes it whole.
    async fn whole(&self, now: DateTime<Utc>) -> Result<Option<(Statement, SchemaRef)>> {
        match self.there.filter(|_| !self.sql.native) {
            Some(place) => self.engine.whole(&self.sql.text, &self.params, now, place).await,
            None => Ok(None),
        }
    }

    /// The query's rows with the target's types; one that does not fit fails the build.
    fn fitted(&self, query: SendableRecordBatchStream, target: &SchemaRef) -> SendableRecordBatchStream {
        let goal = Arc::clone(target);
        let (observer, track) = (Arc::clone(&self.observer), self.track.clone());
        let rows = query.map(move |batch| {
            let batch = batch?;
            let rows = batch.num_rows() as u64;
            let fitted = fit(&batch, &goal)?;
            if let Some(misfit) = fitted.misfits.first() {
                let what = format!("mart `{}`: column `{}` {}", track.name(), misfit.column, misfit.reason);
                return Err(DataFusionError::from(Error::new(ErrorKind::BadData, what)));
            }
            observer.event(&track, &Event::Read { rows, bad: 0 });
            Ok(fitted.batch)
        });
        let nonempty = rows.filter(|batch| future::ready(batch.as_ref().map_or(true, |b| b.num_rows() > 0)));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(target), nonempty))
    }
}

/// Whether the target's columns are the query's, type by type: then nothing can be lost on the way.
fn fits(rows: &SchemaRef, claim: &Claim) -> bool {
    let same = |field: &FieldRef| {
        rows.field_with_name(field.name()).is_ok_and(|own| own.data_type() == field.data_type())
    };
    let target = claim.schema.fields();
    claim.left_out.is_empty() && target.len() == rows.fields().len() && target.iter().all(same)
}

/// Digest of a query and its parameters.
pub(super) fn fingerprint(sql: &str, params: &Params) -> String {
    let mut digest = Sha256::new();
    digest.update(sql.as_bytes());
    for (name, value) in params.iter() {
        digest.update([0]);
        digest.update(name.as_bytes());
        digest.update([0]);
        digest.update(value.to_string().as_bytes());
    }
    digest.finalize().iter().take(16).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
