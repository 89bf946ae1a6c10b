//! What a run would move: source and transform, nothing written.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    Runtime,
    ask::ask,
    member::{Found, shape},
    params,
    unit::Shape,
};
use crate::{
    config::project::{MartMember, MartOutput, Pipeline, PipelineMember, Sql},
    connector::{
        error::{Error, Result},
        source::{BadRow, Chunk},
    },
    engine::{
        params::Params,
        transform::{put_ordinals, take_ordinals},
    },
    model::{
        name::{JobName, Member},
        unit::SliceLimit,
    },
};

/// Rows of a preview.
#[derive(Debug)]
pub struct Preview {
    /// What they are of: a sheet's name where there are several, otherwise empty.
    pub title: String,
    /// Their columns.
    pub schema: SchemaRef,
    /// At most as many rows as were asked for.
    pub batches: Vec<RecordBatch>,
    /// Rows met on the way that do not decode.
    pub bad: Vec<BadRow>,
}

impl Runtime {
    /// The rows that the next run would write first; the source's first rows where there is nothing new. A workbook has one preview a sheet.
    pub async fn preview(
        &self,
        job: &JobName,
        member: &Member,
        limit: usize,
        with: &indexmap::IndexMap<String, String>,
    ) -> Result<Vec<Preview>> {
        match self.find(job, member)? {
            Found::Pipeline(pipeline, member) => {
                Ok(vec![self.preview_pipeline(pipeline, member, limit).await?])
            }
            Found::Mart(_, member) => self.preview_mart(member, limit, with).await,
        }
    }

    async fn preview_pipeline(
        &self,
        pipeline: &Pipeline,
        member: &PipelineMember,
        limit: usize,
    ) -> Result<Preview> {
        let source = self.source(pipeline, member).await?;
        let standing = self.standing(&pipeline.info.name, &member.member).await?;
        let head = match standing.head {
            Some(head) => head,
            None => source.head().await?,
        };
        let slice = SliceLimit { rows: (limit as u64).max(1), ..SliceLimit::default() };
        let from = standing.record.as_ref().and_then(|record| record.progress.position());
        let unit = match source.plan(from, &head, slice).await? {
            Some(unit) => Some(unit),
            None => source.plan(None, &head, slice).await?,
        };
        let source_schema = match &unit {
            Some(unit) => Arc::clone(&unit.schema),
            None => source.schema().await?,
        };
        let shape = shape(&self.engine, member, &Params::of_facts(&member.facts), &source_schema).await?;
        let schema = Arc::clone(shape.transform.schema());
        let mut preview = Preview { title: String::new(), schema, batches: vec![], bad: vec![] };
        let Some(unit) = unit else { return Ok(preview) };
        let mut chunks = source.read(&unit).await?;
        let mut rows = 0;
        while let Some(chunk) = chunks.next().await.transpose()? {
            let room = limit.saturating_sub(preview.bad.len());
            preview.bad.extend(chunk.bad.iter().take(room).cloned());
            for batch in self.transformed(&shape, &chunk).await? {
                let batch = batch.slice(0, batch.num_rows().min(limit - rows));
                rows += batch.num_rows();
                preview.batches.push(batch);
            }
            if rows >= limit {
                break;
            }
        }
        Ok(preview)
    }

    async fn transformed(&self, shape: &Shape, chunk: &Chunk) -> Result<Vec<RecordBatch>> {
        let batch = put_ordinals(&chunk.batch, &chunk.ordinals)?;
        let schema = batch.schema();
        let input = RecordBatchStreamAdapter::new(schema, stream::iter([Ok(batch)]));
        let results = shape.transform.run(Box::pin(input), self.clock.now()).await?;
        let results: Vec<RecordBatch> = results.try_collect().await?;
        results.iter().map(|batch| Ok(take_ordinals(batch)?.0)).collect()
    }

    async fn preview_mart(
        &self,
        member: &MartMember,
        limit: usize,
        by_hand: &indexmap::IndexMap<String, String>,
    ) -> Result<Vec<Preview>> {
        let (params, queries): (Params, Vec<(String, &Sql)>) = match &member.output {
            MartOutput::Table { sql, windows, .. } => {
                let params = params::of_table(&member.facts, windows.as_ref(), None, self.clock.now());
                (params, vec![(String::new(), sql)])
            }
            MartOutput::Workbook(workbook) => {
                let (params, _) = params::of_workbook(&member.facts, &workbook.with, by_hand, self.today())?;
                (params, workbook.sheets.iter().map(|sheet| (sheet.name.clone(), &sheet.sql)).collect())
            }
        };
        let mut previews = Vec::with_capacity(queries.len());
        for (title, sql) in queries {
            previews.push(self.preview_query(title, sql, &params, limit).await?);
        }
        Ok(previews)
    }

    async fn preview_query(
        &self,
        title: String,
        sql: &Sql,
        params: &Params,
        limit: usize,
    ) -> Result<Preview> {
        let mut query = ask(&self.engine, sql, params, self.clock.now()).await?;
        let schema = query.schema();
        let mut batches = Vec::new();
        let mut rows = 0;
        while rows < limit {
            let Some(batch) = query.next().await.transpose().map_err(Error::from)? else { break };
            let batch = batch.slice(0, batch.num_rows().min(limit - rows));
            rows += batch.num_rows();
            batches.push(batch);
        }
        Ok(Preview { title, schema, batches, bad: vec![] })
    }
}
