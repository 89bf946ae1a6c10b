//! The topics of a connection for the SQL engine: live, all of them in one schema.
//!
//! A scan reads the messages that are committed when it begins, partition after partition. A message that does not fit the topic's columns fails it: there is no
//! policy for bad rows in a query.

use std::{fmt, sync::Arc};

use arrow::{
    datatypes::SchemaRef,
    record_batch::{RecordBatch, RecordBatchOptions},
};
use async_trait::async_trait;
use datafusion::{
    catalog::{SchemaProvider, TableProvider},
    error::Result as SqlResult,
    execution::SendableRecordBatchStream,
    physical_plan::{ExecutionPlan, stream::RecordBatchReceiverStreamBuilder},
};

use super::{
    client::{Cluster, blocking},
    columns,
    decode::{Decoder, Layout},
    format::Body,
    range::{Range, read},
    topic,
};
use crate::connector::{
    cells::Rules,
    error::{Error, ErrorKind, Result},
    scan::{Scan, Scanned, Wanted, rows},
    source::Chunk,
    textual::Others,
};

/// The schema that all topics are in.
pub(super) const TOPICS: &str = "topics";

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;

/// The topics of a cluster.
pub(super) struct Topics(pub(super) Arc<Cluster>);

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.shown())
    }
}

#[async_trait]
impl SchemaProvider for Topics {
    /// Empty where the cluster cannot be asked: whoever asks for a table hears why.
    fn table_names(&self) -> Vec<String> {
        topic::names(&self.0).unwrap_or_default()
    }

    async fn table(&self, name: &str) -> SqlResult<Option<Arc<dyn TableProvider>>> {
        if topic::check_name(&self.0, name).is_err() {
            return Ok(None);
        }
        let (cluster, table) = (self.0.clone(), name.to_owned());
        let found = blocking(move || {
            let Some(ends) = topic::ends(&cluster, &cluster.topic(&table))? else {
                return Ok(None);
            };
            let found = columns::look(&cluster, &table, &ends, None, None)?;
            Ok(Some(TopicTable { cluster, table, schema: found.schema, body: found.body }))
        });
        Ok(found.await?.map(|table| Arc::new(Scanned(table)) as _))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}

/// A topic with the columns that it had when it was asked for.
struct TopicTable {
    cluster: Arc<Cluster>,
    table: String,
    schema: SchemaRef,
    body: Body,
}

impl fmt::Debug for TopicTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cluster.topic_shown(&self.table))
    }
}

impl Scan for TopicTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn plan(&self, wanted: Wanted<'_>) -> SqlResult<Arc<dyn ExecutionPlan>> {
        let reading = Reading {
            cluster: self.cluster.clone(),
            table: self.table.clone(),
            whole: self.schema.clone(),
            body: self.body.clone(),
            schema: wanted.schema.clone(),
            limit: wanted.limit,
        };
        rows(wanted.schema, wanted.limit, move || reading.clone().begin())
    }
}

#[derive(Clone)]
struct Reading {
    cluster: Arc<Cluster>,
    table: String,
    /// All columns: a field that is none of them is no mistake of a message that merely is not asked for it.
    whole: SchemaRef,
    body: Body,
    schema: SchemaRef,
    limit: Option<usize>,
}

impl Reading {
    fn begin(self) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 2);
        let sender = builder.tx();
        builder.spawn_blocking(move || {
            let read = self.read(|batch| sender.blocking_send(Ok(batch)).is_ok());
            if let Err(error) = read {
                let _ = sender.blocking_send(Err(error.into()));
            }
            Ok(())
        });
        builder.build()
    }

    fn read(&self, mut give: impl FnMut(RecordBatch) -> bool) -> Result<()> {
        let topic = self.cluster.topic(&self.table);
        let ends = topic::ends(&self.cluster, &topic)?.ok_or_else(|| {
            let message = format!("{} is gone", self.cluster.topic_shown(&self.table));
            Error::new(ErrorKind::NotFound, message)
        })?;
        let ranges: Vec<Range> = ends.iter().map(|(partition, ends)| Range::all(*partition, *ends)).collect();
        let layout = Layout {
            schema: self.whole.clone(),
            rules: Rules::default(),
            others: Others::Refuse,
            body: self.body.clone(),
            parts: vec![],
        };
        let mut decoder = Decoder::new(&layout)?;
        let mut taken = 0;
        read(&self.cluster, &topic, &ranges, |message| {
            decoder.push(message)?;
            taken += 1;
            let enough = self.limit.is_some_and(|limit| taken >= limit);
            if decoder.rows() < BATCH_ROWS && !enough {
                return Ok(true);
            }
            Ok(give(self.batch(decoder.finish()?)?) && !enough)
        })?;
        if decoder.rows() > 0 {
            give(self.batch(decoder.finish()?)?);
        }
        Ok(())
    }

    fn batch(&self, chunk: Chunk) -> Result<RecordBatch> {
        if let Some(bad) = chunk.bad.first() {
            let column = bad.column.as_ref().map(|name| format!("column \"{name}\": ")).unwrap_or_default();
            let shown = self.cluster.topic_shown(&self.table);
            let message = format!("{shown} has a message that does not fit: {column}{}", bad.reason);
            return Err(Error::new(ErrorKind::BadData, message).hint(
                "read the topic by a pipeline with a contract, which says what becomes of such messages",
            ));
        }
        let columns =
            self.schema.fields().iter().filter_map(|field| chunk.batch.column_by_name(field.name()).cloned());
        let options = RecordBatchOptions::new().with_row_count(Some(chunk.batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns.collect(), &options)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::{
        OpenContext,
        kafka::config::{Config, Security},
    };

    #[tokio::test]
    async fn a_file_that_is_missing_is_no_missing_topic() {
        let context = OpenContext { name: "place".into(), root: "/nowhere".into(), scratch: "/".into() };
        let security = Security { ca_file: Some("ca.pem".into()), ..Security::default() };
        let config = Config { brokers: vec!["localhost:1".to_owned()], security, ..Config::default() };
        let topics = Topics(Arc::new(Cluster::new(&config, context)));
        let error = Error::from(topics.table("actions").await.expect_err("a missing file"));
        assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
        assert_eq!(error.advice(), "check `security.ca_file`");
    }
}
