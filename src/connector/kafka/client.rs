//! A cluster, and the clients that talk to it.
//!
//! Clients are librdkafka's, each with threads of its own, so their number is bounded: two a connection that only look, one that reports positions
//! (`group.rs`), one for each read at a time and a few that wait for the next (`readers.rs`), and one for each of the slots that write (`slot.rs`). They block, so all of it runs in [`blocking`].

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Message,
    admin::AdminClient,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::KafkaError,
    producer::{BaseProducer, DeliveryResult, ProducerContext},
    types::RDKafkaErrorCode,
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    config::{Config, Mechanism},
    error::{failed, unsuitable},
    group::Reporter,
    ledger::RECORDS,
    readers::Readers,
    registry::Registry,
    topic::partitions,
    watch::Watch,
};
use crate::{
    connector::{
        OpenContext,
        error::{Error, ErrorKind, Result},
        secret,
    },
    model::secret::Secret,
};

/// How long a question to the cluster may take.
pub(super) const ANSWER: Duration = Duration::from_secs(15);

/// Messages on their way to the cluster, at most: a sink that is slower than its source holds the source back.
const QUEUED_MESSAGES: &str = "100000";
const QUEUED_KILOBYTES: &str = "32768";

/// The largest message that is sent, within what may be on its way; the cluster's own limit is smaller in most places.
const LARGEST_MESSAGE: &str = "31457280";

/// KiB of a partition in one answer, at most; a message that is larger comes all the same.
const ANSWER_KIB: usize = 1 << 10;

/// Lines of a client's log that are taken in at once.
const LINES: usize = 64;

/// A client that reads.
pub(super) type Consumer = BaseConsumer<Context>;
/// A client that writes.
pub(super) type Producer = BaseProducer<Context>;

/// What readers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isolation {
    /// Messages of transactions that were committed, up to the first one that is still open.
    Committed,
    /// Everything: only ends are asked for in this way.
    Uncommitted,
}

impl Isolation {
    /// As librdkafka names it.
    fn level(self) -> &'static str {
        match self {
            Self::Committed => "read_committed",
            Self::Uncommitted => "read_uncommitted",
        }
    }
}

/// A cluster as one connection sees it. Connects when it is asked something.
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) config: Config,
    pub(super) registry: Option<Arc<Registry>>,
    pub(super) scratch: PathBuf,
    pub(super) root: PathBuf,
    credentials: Mutex<Option<(SecretString, SecretString)>>,
    /// What the cluster calls itself.
    identity: Mutex<Option<String>>,
    committed: Mutex<Option<Arc<Consumer>>>,
    uncommitted: Mutex<Option<Arc<Consumer>>>,
    /// Clients that read, between two reads.
    pub(super) readers: Readers,
    pub(super) reporter: Reporter,
    /// Topics that are waited for.
    pub(super) watch: Watch,
}

/// A client with a group takes a tenth of a second to close: all are closed at once.
impl Drop for Cluster {
    fn drop(&mut self) {
        let (readers, reporter) = (self.readers.leave(), self.reporter.leave());
        std::thread::scope(|scope| {
            scope.spawn(move || drop(reporter));
            for reader in readers {
                scope.spawn(move || drop(reader));
            }
        });
    }
}

impl Cluster {
    pub(super) fn new(config: &Config, context: OpenContext) -> Self {
        let registry = config.registry.as_ref().map(|registry| {
            Arc::new(Registry::new(
                registry,
                &format!("connection \"{}\"", context.name),
                context.root.clone(),
            ))
        });
        Self {
            name: context.name,
            registry,
            config: config.clone(),
            scratch: context.scratch,
            root: context.root,
            credentials: Mutex::default(),
            identity: Mutex::default(),
            committed: Mutex::default(),
            uncommitted: Mutex::default(),
            readers: Readers::default(),
            reporter: Reporter::default(),
            watch: Watch::default(),
        }
    }

    /// The topic that a table's name means.
    pub(super) fn topic(&self, table: &str) -> String {
        format!("{}{table}", self.config.prefix)
    }

    /// The topic that holds records.
    pub(super) fn records(&self) -> String {
        self.topic(RECORDS)
    }

    /// How messages name the cluster.
    pub(super) fn shown(&self) -> String {
        format!("connection \"{}\"", self.name)
    }

    /// How messages name a topic.
    pub(super) fn topic_shown(&self, table: &str) -> String {
        format!("topic \"{table}\" of {}", self.shown())
    }

    /// What the cluster calls itself, by whichever of its brokers and as whomever it is reached; asked once.
    pub(super) fn identity(&self) -> Result<String> {
        if let Some(known) = lock(&self.identity).as_ref() {
            return Ok(known.clone());
        }
        // Its name comes with any answer about topics.
        partitions(self, &self.records())?;
        let looker = self.looker(Isolation::Committed)?;
        let told = looker.client().fetch_cluster_id(ANSWER).ok_or_else(|| {
            let unknown = KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut);
            self.failed(
                &format!("{} does not say which cluster it is", self.shown()),
                looker.context(),
                &unknown,
            )
        })?;
        *lock(&self.identity) = Some(told.clone());
        Ok(told)
    }

    /// A client that asks for metadata and ends, shared by all who ask; it holds no partition. What it logged is taken in on the way.
    pub(super) fn looker(&self, isolation: Isolation) -> Result<Arc<Consumer>> {
        let place = match isolation {
            Isolation::Committed => &self.committed,
            Isolation::Uncommitted => &self.uncommitted,
        };
        let mut place = lock(place);
        if let Some(looker) = place.as_ref() {
            listen(looker);
            return Ok(looker.clone());
        }
        // Of no group, which only readers need: it would take a tenth of a second to close.
        let looker = Arc::new(self.made(self.settings()?.set("isolation.level", isolation.level()))?);
        *place = Some(looker.clone());
        Ok(looker)
    }

    /// A client that reads, and fetches so many KiB of each partition ahead.
    pub(super) fn consumer(&self, isolation: Isolation, ahead: usize) -> Result<Arc<Consumer>> {
        let mut settings = self.settings()?;
        settings
            .set("isolation.level", isolation.level())
            // Named because the library wants one; partitions are assigned by hand and nothing is committed to it.
            .set("group.id", format!("{}vitrina", self.config.prefix))
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            // The end of a partition is told this long after it was reached.
            .set("fetch.wait.max.ms", "5")
            .set("fetch.error.backoff.ms", "50")
            // Of each partition, in one answer and in all; fetching goes on soon after there is room again (unless told, after a second).
            .set("fetch.message.max.bytes", (ahead.min(ANSWER_KIB) << 10).to_string())
            .set("queued.max.messages.kbytes", ahead.to_string())
            .set("fetch.queue.backoff.ms", "5");
        self.made(&mut settings).map(Arc::new)
    }

    /// A client that reports positions to a group, of which it becomes no member. A report waits so long for the group's coordinator.
    pub(super) fn member_of_none(&self, group: &str, wait: Duration) -> Result<Consumer> {
        let mut settings = self.settings()?;
        settings.set("group.id", group).set("session.timeout.ms", wait.as_millis().to_string());
        self.made(&mut settings)
    }

    fn made(&self, settings: &mut ClientConfig) -> Result<Consumer> {
        settings.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        let made = settings.create_with_context(Context::default());
        made.map_err(|error| unsuitable(&self.shown(), &error))
    }

    /// A client that writes in transactions of this id.
    pub(super) fn producer(&self, transactional_id: &str) -> Result<Producer> {
        let mut settings = self.settings()?;
        settings
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", self.config.transaction().as_millis().to_string())
            // As Java's clients choose a partition, so that rows of one key lie together whoever wrote them.
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", QUEUED_MESSAGES)
            .set("queue.buffering.max.kbytes", QUEUED_KILOBYTES)
            .set("message.max.bytes", LARGEST_MESSAGE);
        let made = settings.create_with_context(Context::default());
        made.map_err(|error| unsuitable(&self.shown(), &error))
    }

    /// A client whose messages no broker takes: it wants more acknowledgements than they give.
    pub(super) fn refused_producer(&self) -> Result<Producer> {
        let mut settings = self.settings()?;
        settings
            .set("acks", "2")
            .set("enable.idempotence", "false")
            .set("retries", "0")
            .set("linger.ms", "0")
            .set("message.timeout.ms", ANSWER.as_millis().to_string());
        let made = settings.create_with_context(Context::default());
        made.map_err(|error| unsuitable(&self.shown(), &error))
    }

    /// A client whose transactions no broker begins: they would last longer than any allows.
    pub(super) fn endless_producer(&self, transactional_id: &str) -> Result<Producer> {
        let mut settings = self.settings()?;
        settings
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", i32::MAX.to_string());
        let made = settings.create_with_context(Context::default());
        made.map_err(|error| unsuitable(&self.shown(), &error))
    }

    /// A client that makes topics.
    pub(super) fn admin(&self) -> Result<AdminClient<Context>> {
        let made = self.settings()?.create_with_context(Context::default());
        made.map_err(|error| unsuitable(&self.shown(), &error))
    }

    /// What went wrong, with what the client heard besides.
    pub(super) fn failed(&self, what: &str, context: &Context, error: &KafkaError) -> Error {
        failed(what, error, context.heard().as_deref())
    }

    /// User and password, read once.
    fn credentials(&self) -> Result<(SecretString, SecretString)> {
        let mut known = lock(&self.credentials);
        if let Some(known) = known.as_ref() {
            return Ok(known.clone());
        }
        let security = &self.config.security;
        let read = |secret: &Option<Secret>, what: &str| match secret {
            Some(secret) => self.read_secret(secret, &format!("the {what} of {}", self.shown())),
            None => Ok(SecretString::default()),
        };
        let found = (read(&security.user, "user")?, read(&security.password, "password")?);
        *known = Some(found.clone());
        Ok(found)
    }

    /// Reads a secret on a thread of its own: clients are made where nothing can be awaited.
    fn read_secret(&self, secret: &Secret, what: &str) -> Result<SecretString> {
        let read = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| {
                Error::new(ErrorKind::of_io(&error), "a worker cannot be started").caused_by(error)
            })?;
            runtime.block_on(secret::read(secret, what, &self.root))
        };
        let stopped = |_| Error::new(ErrorKind::Internal, "a worker stopped");
        std::thread::scope(|scope| scope.spawn(read).join().map_err(stopped)?)
    }

    fn settings(&self) -> Result<ClientConfig> {
        let security = &self.config.security;
        let mut settings = ClientConfig::new();
        settings
            .set("bootstrap.servers", self.config.brokers.join(","))
            .set("client.id", "vitrina")
            .set("security.protocol", security.protocol.name())
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.max.ms", "2000")
            .set_log_level(RDKafkaLogLevel::Info);
        if let Some(file) = &security.ca_file {
            let path = self.root.join(file);
            if !path.is_file() {
                let message = format!("{}: there is no file {file}", self.shown());
                return Err(Error::new(ErrorKind::NotFound, message).hint("check `security.ca_file`"));
            }
            settings.set("ssl.ca.location", path.to_string_lossy());
        }
        match &security.kerberos {
            Some(kerberos) => {
                let path = self.root.join(&kerberos.keytab);
                if !path.is_file() {
                    let message = format!("{}: there is no file {}", self.shown(), kerberos.keytab);
                    return Err(
                        Error::new(ErrorKind::NotFound, message).hint("check `security.kerberos.keytab`")
                    );
                }
                settings
                    .set("sasl.mechanism", Mechanism::Gssapi.name())
                    .set("sasl.kerberos.service.name", kerberos.service.as_deref().unwrap_or("kafka"))
                    .set("sasl.kerberos.principal", &kerberos.principal)
                    .set("sasl.kerberos.keytab", path.to_string_lossy());
            }
            None if security.protocol.has_users() => {
                let mechanism = security.mechanism.unwrap_or(Mechanism::ScramSha512);
                settings.set("sasl.mechanism", mechanism.name());
                let (user, password) = self.credentials()?;
                settings.set("sasl.username", user.expose_secret());
                settings.set("sasl.password", password.expose_secret());
            }
            None => {}
        }
        Ok(settings)
    }
}

/// Takes in what a client logged: it waits in the client's queue, a line an event.
pub(super) fn listen(consumer: &Consumer) {
    for _ in 0..LINES {
        let _ = consumer.poll(Duration::ZERO);
    }
}

/// What a client heard: why connections fail, which librdkafka says in its log alone, and what became of messages.
#[derive(Debug, Default)]
pub(super) struct Context {
    failure: Mutex<Option<String>>,
    delivered: Mutex<Delivered>,
}

/// What became of messages since [`Context::begin`].
#[derive(Debug, Default, Clone)]
pub(super) struct Delivered {
    /// The last offset by topic and partition.
    pub(super) ends: Vec<(String, i32, i64)>,
    /// Why the first of those failed that did.
    pub(super) failure: Option<RDKafkaErrorCode>,
}

impl Context {
    /// Why the last connection failed.
    pub(super) fn heard(&self) -> Option<String> {
        lock(&self.failure).clone()
    }

    /// Forgets why earlier connections failed.
    pub(super) fn forget(&self) {
        *lock(&self.failure) = None;
    }

    /// Forgets what became of earlier messages.
    pub(super) fn begin(&self) {
        *lock(&self.delivered) = Delivered::default();
    }

    /// What became of messages.
    pub(super) fn delivered(&self) -> Delivered {
        lock(&self.delivered).clone()
    }
}

impl ClientContext for Context {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        if matches!(facility, "FAIL" | "ERROR") {
            *lock(&self.failure) = Some(message.to_owned());
        }
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", "{error}: {reason}");
    }
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut delivered = lock(&self.delivered);
        match result {
            Ok(message) => {
                let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
                let same = |end: &&mut (String, i32, i64)| end.1 == partition && end.0 == topic;
                match delivered.ends.iter_mut().find(same) {
                    Some(end) => end.2 = end.2.max(offset),
                    None => delivered.ends.push((topic.to_owned(), partition, offset)),
                }
            }
            Err((error, _)) => {
                delivered.failure = delivered.failure.or(error.rdkafka_error_code());
            }
        }
    }
}

/// Runs what blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let stopped = |error| Error::new(ErrorKind::Internal, "a worker stopped").caused_by(error);
    tokio::task::spawn_blocking(work).await.map_err(stopped)?
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
