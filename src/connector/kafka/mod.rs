//! Apache Kafka: topics are logs, read by exact ranges of offsets and appended to in transactions that hold rows and record.

mod avro;
mod catalog;
mod client;
mod columns;
mod decode;
mod envelope;
mod error;
mod format;
mod group;
mod inquiry;
mod ledger;
mod plan;
mod protobuf;
mod range;
mod readers;
mod registry;
mod rights;
mod slot;
mod source;
mod speller;
mod spool;
mod target;
mod topic;
mod watch;
mod witness;
mod write;

pub mod config;

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use datafusion::catalog::CatalogProvider;
use rdkafka::consumer::Consumer as _;

use self::{
    catalog::{TOPICS, Topics},
    client::{ANSWER, Cluster, Isolation, blocking},
    source::TopicSource,
    write::TopicSink,
};
use super::{
    OpenContext,
    connection::{Connection, Health, TableInfo},
    error::{Error, ErrorKind, Result},
    one_schema::OneSchema,
    rights::{Right, Use},
    sink::{Sink, SinkSpec},
    source::{Source, SourceSpec},
};
use crate::model::{column::ColumnType, delivery::Mode};

/// Opens the connection.
pub fn open(config: &config::Config, context: OpenContext) -> Result<Arc<dyn Connection>> {
    let wrong = |what: &str, hint: &str| {
        let message = format!("connection \"{}\": {what}", context.name);
        Err(Error::new(ErrorKind::Unsupported, message).hint(hint))
    };
    if config.brokers.is_empty() {
        return wrong("no broker is named", "name one or several: `brokers = [\"kafka-1:9092\"]`");
    }
    if let Some((what, hint)) = config.security.wrong() {
        return wrong(what, hint);
    }
    Ok(Arc::new(Kafka(Arc::new(Cluster::new(config, context)))))
}

struct Kafka(Arc<Cluster>);

#[async_trait]
impl Connection for Kafka {
    async fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        topic::check_name(&self.0, &spec.table)?;
        if spec.cursor.is_some() {
            let message = format!("{} is read by its offsets", self.0.topic_shown(&spec.table));
            return Err(Error::new(ErrorKind::Unsupported, message).hint("take `cursor` off"));
        }
        Ok(Arc::new(TopicSource::new(self.0.clone(), spec.clone())))
    }

    async fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        topic::check_name(&self.0, &spec.table)?;
        if spec.mode != Mode::Append {
            let message = format!("{}: a topic is only appended to", self.0.topic_shown(&spec.table));
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok(Arc::new(TopicSink::new(self.0.clone(), spec.clone())))
    }

    fn catalog(&self) -> Arc<dyn CatalogProvider> {
        Arc::new(OneSchema::new(TOPICS, Topics(self.0.clone())))
    }

    fn default_schema(&self) -> String {
        TOPICS.to_owned()
    }

    async fn rights(&self, uses: &[Use]) -> Result<Vec<Right>> {
        let (cluster, uses) = (self.0.clone(), uses.to_vec());
        blocking(move || rights::of(&cluster, &uses)).await
    }

    async fn probe(&self) -> Result<Health> {
        let cluster = self.0.clone();
        blocking(move || {
            let begun = Instant::now();
            let topics = topic::names(&cluster)?.len();
            let latency = begun.elapsed();
            let id = cluster.looker(Isolation::Committed)?.client().fetch_cluster_id(ANSWER);
            let version = format!("Kafka cluster {}", id.unwrap_or_default());
            let notes = vec![format!("{topics} topics may be seen")];
            Ok(Health { version, latency, clock: None, rights: vec!["read".to_owned()], notes })
        })
        .await
    }

    async fn tables(&self) -> Result<Vec<TableInfo>> {
        let cluster = self.0.clone();
        blocking(move || {
            let info = |name: String| {
                let described = ledger::described(&cluster, &name)?;
                let fields = described.iter().flat_map(|described| described.schema.fields().iter());
                let columns = fields
                    .map(|field| (field.name().clone(), ColumnType::of(field.data_type()).to_string()))
                    .collect();
                Ok(TableInfo { schema: TOPICS.to_owned(), name, rows: None, columns })
            };
            topic::names(&cluster)?.into_iter().map(info).collect()
        })
        .await
    }
}
