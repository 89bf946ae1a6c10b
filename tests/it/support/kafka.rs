//! A real Kafka cluster, touched as a stranger would: with clients of the tests' own.

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures::executor::block_on;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
};
use vitrina::connector::{
    ConnectionConfig, OpenContext,
    connection::Connection,
    kafka::config::{Config, Security},
};

const WAIT: Duration = Duration::from_mins(1);

/// A variable that `scripts/services up` prints.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: these tests want a Kafka, as in `eval \"$(scripts/services up)\" && cargo test`")
    })
}

/// Topics of one test: all of them begin with a prefix of their own, and are gone with this.
pub(crate) struct Cluster {
    pub(crate) root: tempfile::TempDir,
    pub(crate) prefix: String,
    brokers: String,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self::at(variable("VITRINA_KAFKA_BROKERS"))
    }

    /// On another node.
    pub(crate) fn at(brokers: String) -> Self {
        let prefix = format!("t{}.", uuid::Uuid::new_v4().simple());
        Self { root: tempfile::tempdir().unwrap(), prefix, brokers }
    }

    /// What a project says about it.
    pub(crate) fn config(&self) -> Config {
        Config {
            brokers: vec![self.brokers.clone()],
            security: Security::default(),
            prefix: self.prefix.clone(),
            registry: None,
            transaction_timeout: None,
        }
    }

    /// A new connection, as a new process would open it.
    pub(crate) fn open(&self) -> Arc<dyn Connection> {
        open(self.config(), self.root.path().to_owned()).unwrap()
    }

    /// A table's topic.
    pub(crate) fn topic(&self, table: &str) -> String {
        format!("{}{table}", self.prefix)
    }

    fn settings(&self) -> ClientConfig {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", &self.brokers).set("allow.auto.create.topics", "false");
        settings
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.settings().create().unwrap()
    }

    /// The topics that are there, without the prefix.
    pub(crate) fn topics(&self) -> Vec<String> {
        let consumer: BaseConsumer = self.settings().create().unwrap();
        let metadata = consumer.fetch_metadata(None, WAIT).unwrap();
        let names = metadata.topics().iter().filter_map(|topic| topic.name().strip_prefix(&self.prefix));
        names.map(str::to_owned).collect()
    }

    /// Makes a topic; right after one of this name was dropped, too.
    pub(crate) fn create(&self, table: &str, partitions: i32, settings: &[(&str, &str)]) {
        let topic = self.topic(table);
        for _ in 0..100 {
            let mut new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
            for (key, value) in settings {
                new = new.set(key, value);
            }
            let made = block_on(self.admin().create_topics([&new], &AdminOptions::new())).unwrap();
            if made[0].is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("topic {topic} cannot be made");
    }

    /// Drops a topic.
    pub(crate) fn drop_topic(&self, table: &str) {
        let topic = self.topic(table);
        block_on(self.admin().delete_topics(&[topic.as_str()], &AdminOptions::new())).unwrap()[0]
            .clone()
            .unwrap();
    }

    /// A setting of a topic.
    pub(crate) fn setting(&self, table: &str, key: &str) -> String {
        let topic = self.topic(table);
        let found = block_on(
            self.admin().describe_configs([&ResourceSpecifier::Topic(&topic)], &AdminOptions::new()),
        );
        let found = found.unwrap().remove(0).unwrap();
        found.get(key).unwrap().value.clone().unwrap()
    }

    /// Gives a topic more partitions.
    pub(crate) fn grow(&self, table: &str, partitions: usize) {
        let topic = self.topic(table);
        let new = NewPartitions::new(&topic, partitions);
        block_on(self.admin().create_partitions([&new], &AdminOptions::new())).unwrap()[0].clone().unwrap();
    }

    /// Deletes the messages before an offset, as retention does.
    pub(crate) fn forget(&self, table: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic(table), partition, Offset::Offset(before)).unwrap();
        block_on(self.admin().delete_records(&list, &AdminOptions::new())).unwrap();
    }

    /// A stranger who writes.
    pub(crate) fn writer(&self, transactional_id: Option<&str>) -> Writer {
        let mut settings = self.settings();
        settings
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("message.max.bytes", "67108864");
        if let Some(id) = transactional_id {
            settings.set("transactional.id", format!("{}{id}", self.prefix));
        }
        let producer: BaseProducer = settings.create().unwrap();
        Writer { producer, prefix: self.prefix.clone() }
    }

    /// Writes one message of bytes, or of nothing.
    pub(crate) fn write_bytes(&self, table: &str, message: Option<&[u8]>) {
        let (writer, topic) = (self.writer(None), self.topic(table));
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&topic).partition(0);
        let record = message.into_iter().fold(record, BaseRecord::payload);
        writer.producer.send(record).map_err(|(error, _)| error).unwrap();
        writer.producer.flush(WAIT).unwrap();
    }

    /// Writes messages into one partition.
    pub(crate) fn write(&self, table: &str, partition: i32, messages: &[&str]) {
        self.writer(None).write(table, partition, messages);
    }

    /// What a group's offsets are, by partition.
    pub(crate) fn group_offsets(&self, group: &str, table: &str, partitions: i32) -> Vec<Option<i64>> {
        let consumer: BaseConsumer = self.settings().set("group.id", group).create().unwrap();
        let topic = self.topic(table);
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition(&topic, partition);
        }
        let found = consumer.committed_offsets(list, WAIT).unwrap();
        found
            .elements()
            .iter()
            .map(|element| element.offset().to_raw().filter(|offset| *offset >= 0))
            .collect()
    }

    /// A stranger who joins a group to read a topic; it is in once it was polled for a while.
    pub(crate) fn member(&self, group: &str, table: &str) -> BaseConsumer {
        let consumer: BaseConsumer = self.settings().set("group.id", group).create().unwrap();
        consumer.subscribe(&[&self.topic(table)]).unwrap();
        consumer
    }

    /// Every committed message of a topic: partition, key, text.
    pub(crate) fn messages(&self, table: &str) -> Vec<(i32, Option<String>, String)> {
        use rdkafka::Message;
        let mut settings = self.settings();
        settings
            .set("group.id", "stranger")
            .set("enable.partition.eof", "true")
            .set("enable.auto.commit", "false");
        let consumer: BaseConsumer = settings.create().unwrap();
        let topic = self.topic(table);
        let metadata = consumer.fetch_metadata(Some(&topic), WAIT).unwrap();
        let count = metadata.topics()[0].partitions().len();
        let mut list = TopicPartitionList::new();
        for partition in 0..count {
            list.add_partition_offset(&topic, partition as i32, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut found, mut ended) = (vec![], 0);
        while ended < count {
            match consumer.poll(WAIT).expect("a message or an end") {
                Ok(message) => {
                    let text = |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8(b.to_vec()).unwrap());
                    found.push((message.partition(), text(message.key()), text(message.payload()).unwrap()));
                }
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => panic!("{error}"),
            }
        }
        found.sort();
        found
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A cluster that cannot be asked any more may be why it failed; a second panic would end every other test.
        if std::thread::panicking() {
            return;
        }
        let topics: Vec<String> = self.topics().iter().map(|table| self.topic(table)).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        if !topics.is_empty() {
            let _ = block_on(self.admin().delete_topics(&topics, &AdminOptions::new()));
        }
    }
}

/// A stranger's client that writes.
pub(crate) struct Writer {
    pub(crate) producer: BaseProducer<DefaultProducerContext>,
    prefix: String,
}

impl Writer {
    /// Writes messages and waits until they are there (or, in a transaction, sent).
    pub(crate) fn write(&self, table: &str, partition: i32, messages: &[&str]) {
        let topic = format!("{}{table}", self.prefix);
        for message in messages {
            let record: BaseRecord<'_, [u8], str> =
                BaseRecord::to(&topic).partition(partition).payload(*message);
            self.producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        self.producer.flush(WAIT).unwrap();
    }

    /// Begins to write in transactions; fences whoever did so under this id.
    pub(crate) fn init(&self) {
        self.producer.init_transactions(WAIT).unwrap();
    }

    /// A whole transaction, committed or given up.
    pub(crate) fn transaction(&self, table: &str, partition: i32, messages: &[&str], commit: bool) {
        self.producer.begin_transaction().unwrap();
        self.write(table, partition, messages);
        if commit {
            self.producer.commit_transaction(WAIT).unwrap();
        } else {
            self.producer.abort_transaction(WAIT).unwrap();
        }
    }
}

/// A connection of this configuration, named `place`.
pub(crate) fn open(config: Config, root: PathBuf) -> vitrina::connector::error::Result<Arc<dyn Connection>> {
    let context = OpenContext { name: "place".to_owned(), scratch: root.join("scratch"), root };
    vitrina::connector::open(&ConnectionConfig::Kafka(config), context)
}
