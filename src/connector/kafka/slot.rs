//! Writers: a fixed number of transactional ids for each project, whatever number of topics it writes.
//!
//! A track always writes through the slot of its name, and the slot's transactional id is the project's own. Whoever claims a slot calls `init_transactions`: the
//! cluster then ends what an older owner left open and refuses everything that owner sends later (it is fenced). After that the slot's records are read up to the
//! end of that moment, and from there on nobody but this owner can change them, so they are kept in memory. Connections of this process to the same
//! cluster, however it is reached, share their slots: transactions of one slot come one after another, and none of them shuts another one of this process out. So a run that ends
//! with the project as it was before an edit commits beside those of the edited one.

use std::{
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, Producer as _, PurgeConfig},
};

use super::{
    client::{ANSWER, Cluster, Isolation, Producer, lock},
    config::Security,
    error::{failed, of_code},
    ledger::{self, Entries, Entry, SLOTS},
    topic::partition_ends,
};
use crate::{
    connector::error::{Error, ErrorKind, Result},
    failpoint,
};

/// How often it is looked what became of the last messages: the client's own `flush` looks ten times a second.
const LOOK: Duration = Duration::from_millis(2);

/// How long a client that is to write may take to connect, before it is left to itself.
const CONNECT: Duration = Duration::from_secs(1);

/// How long the cluster may take to shut out an owner that was cut off, beyond the time-out of its transaction.
const SHUTTING_OUT: Duration = Duration::from_secs(15);

/// How long a commit waits until readers see it; it holds all the same.
const SEEN: Duration = Duration::from_secs(5);

/// The slots of one project on one cluster.
pub(super) type Slots = Vec<Arc<tokio::sync::Mutex<Slot>>>;

/// Slots that are in use in this process.
static SHARED: Mutex<Vec<(Place, Weak<Slots>)>> = Mutex::new(vec![]);

/// Whose slots they are.
#[derive(PartialEq)]
struct Place {
    cluster: String,
    /// What transactional ids begin with.
    id: String,
}

/// The slots of a project; they live as long as somebody holds them.
pub(super) fn slots(cluster: &Cluster, project: &str) -> Result<Arc<Slots>> {
    let id = format!("{}vitrina-{project}", cluster.config.prefix);
    let place = Place { cluster: cluster.identity()?, id };
    let mut shared = lock(&SHARED);
    shared.retain(|(_, slots)| slots.strong_count() > 0);
    if let Some(slots) =
        shared.iter().find(|(known, _)| *known == place).and_then(|(_, slots)| slots.upgrade())
    {
        return Ok(slots);
    }
    let slot = |number| {
        let slot = Slot { number, id: format!("{}-{number}", place.id), owned: None };
        Arc::new(tokio::sync::Mutex::new(slot))
    };
    let slots: Arc<Slots> = Arc::new((0..SLOTS).map(slot).collect());
    shared.push((place, Arc::downgrade(&slots)));
    Ok(slots)
}

/// A writer that is claimed when it is first needed, and anew after every failure that leaves it in doubt.
pub(super) struct Slot {
    number: i32,
    id: String,
    owned: Option<Owned>,
}

struct Owned {
    /// How the cluster was reached: a connection that was edited is another way, maybe as another user.
    way: Way,
    producer: Producer,
    entries: Entries,
}

type Way = (Vec<String>, Security);

impl Slot {
    /// What holds in this slot; shuts older owners out first.
    pub(super) fn claim(&mut self, cluster: &Cluster) -> Result<&Entries> {
        self.own(cluster).map(|owned| &owned.entries)
    }

    /// One transaction: whatever `send` sends, and this entry. All of it is seen by readers, or nothing.
    pub(super) fn transact(
        &mut self,
        cluster: &Cluster,
        entry: Entry,
        send: impl FnOnce(&Sender<'_>) -> Result<()>,
    ) -> Result<()> {
        let owned = self.own(cluster)?;
        let done = Transaction { cluster, producer: &owned.producer }.run(&entry, send);
        match done {
            Ok(()) => {
                owned.entries.insert(entry.key, entry.text);
            }
            // Whatever became of it, whoever claims next finds out.
            Err((error, Doubt::Owner)) => {
                self.owned = None;
                return Err(error);
            }
            Err((error, Doubt::Nothing)) => return Err(error),
        }
        Ok(())
    }

    fn own(&mut self, cluster: &Cluster) -> Result<&mut Owned> {
        let way = (cluster.config.brokers.clone(), cluster.config.security.clone());
        if self.owned.as_ref().is_none_or(|owned| owned.way != way) {
            // A producer of ours has nothing underway while the slot is held.
            self.owned = None;
            let producer = cluster.producer(&self.id)?;
            // The client looks for its coordinator at once where it is connected, and half a second later where it is not.
            let _ = producer.client().fetch_watermarks(&cluster.records(), self.number, CONNECT);
            let (begun, patience) = (Instant::now(), cluster.config.transaction() + SHUTTING_OUT);
            while let Err(error) = producer.init_transactions(ANSWER) {
                let again = matches!(&error, KafkaError::Transaction(error) if error.is_retriable());
                if !again || begun.elapsed() > patience {
                    // What the client logged waits to be taken in.
                    producer.poll(Duration::from_millis(100));
                    let what = format!("cannot begin to write into {}", cluster.shown());
                    return Err(failed_transaction(cluster, &producer, &what, &error));
                }
            }
            let entries = ledger::settled(cluster, self.number, patience)?;
            self.owned = Some(Owned { way, producer, entries });
        }
        self.owned.as_mut().ok_or_else(|| Error::new(ErrorKind::Internal, "a slot without owner"))
    }
}

/// What a failed transaction leaves unknown.
enum Doubt {
    /// Nothing: it was given up, and the next one may begin.
    Nothing,
    /// Whether it was committed, or whether the slot is still ours.
    Owner,
}

struct Transaction<'a> {
    cluster: &'a Cluster,
    producer: &'a Producer,
}

/// Sends messages of a transaction.
pub(super) struct Sender<'a> {
    transaction: &'a Transaction<'a>,
    until: Instant,
}

impl Sender<'_> {
    /// Puts a message in the queue, waiting while it is full.
    pub(super) fn send(&self, message: BaseRecord<'_, [u8], [u8]>) -> Result<()> {
        let producer = self.transaction.producer;
        let mut message = message;
        loop {
            match producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    if Instant::now() > self.until {
                        return Err(self.transaction.slow());
                    }
                    producer.poll(Duration::from_millis(20));
                    self.transaction.refused()?;
                    message = back;
                }
                Err((error, _)) => return Err(self.transaction.failed("cannot write into", &error)),
            }
        }
    }

    /// Hears what became of messages; called now and then.
    pub(super) fn poll(&self) {
        self.transaction.producer.poll(Duration::ZERO);
    }
}

impl Transaction<'_> {
    fn run(&self, entry: &Entry, send: impl FnOnce(&Sender<'_>) -> Result<()>) -> Result<(), (Error, Doubt)> {
        self.producer.context().begin();
        if let Err(error) = self.producer.begin_transaction() {
            return Err((self.failed("cannot begin a transaction in", &error), Doubt::Owner));
        }
        if let Err(error) = self.fill(entry, send) {
            return Err(self.give_up(error));
        }
        failpoint::pass("kafka.commit.before");
        self.commit()?;
        failpoint::pass("kafka.commit.after");
        self.wait_until_seen();
        Ok(())
    }

    fn fill(&self, entry: &Entry, send: impl FnOnce(&Sender<'_>) -> Result<()>) -> Result<()> {
        let sender = Sender { transaction: self, until: Instant::now() + self.sending() };
        send(&sender)?;
        failpoint::pass("kafka.commit.rows");
        let topic = self.cluster.records();
        let message = BaseRecord::to(&topic).partition(entry.partition);
        sender.send(message.key(entry.key.as_bytes()).payload(entry.text.as_bytes()))?;
        loop {
            let flushed = self.producer.flush(Duration::ZERO);
            self.refused()?;
            match flushed {
                Ok(()) => return Ok(()),
                Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut))
                    if Instant::now() < sender.until =>
                {
                    self.producer.poll(LOOK);
                }
                Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)) => return Err(self.slow()),
                Err(error) => return Err(self.failed("cannot write into", &error)),
            }
        }
    }

    /// A message that the cluster refused: those behind it wait in vain until the transaction is given up.
    fn refused(&self) -> Result<()> {
        match self.producer.context().delivered().failure {
            Some(code) => Err(self.failed("cannot write into", &KafkaError::MessageProduction(code))),
            None => Ok(()),
        }
    }

    fn commit(&self) -> Result<(), (Error, Doubt)> {
        let until = Instant::now() + ANSWER;
        loop {
            let Err(error) = self.producer.commit_transaction(ANSWER) else {
                return Ok(());
            };
            let KafkaError::Transaction(told) = &error else {
                return Err((self.failed("cannot commit into", &error), Doubt::Owner));
            };
            if told.txn_requires_abort() {
                return Err(self.give_up(self.failed("cannot commit into", &error)));
            }
            if !told.is_retriable() || Instant::now() > until {
                return Err((self.failed("cannot commit into", &error), Doubt::Owner));
            }
        }
    }

    /// Ends a transaction without a trace.
    fn give_up(&self, error: Error) -> (Error, Doubt) {
        // What waits is thrown away, and reports of the rest are taken, so that the end need not wait for them.
        self.producer.purge(PurgeConfig::default().queue());
        let _ = self.producer.flush(ANSWER);
        let ended = self.producer.abort_transaction(ANSWER);
        // Whoever was shut out may hear of it only now.
        let error = match self.producer.client().fatal_error() {
            Some((code, _)) => self.failed("cannot write into", &KafkaError::Global(code)),
            None => error,
        };
        let sure = ended.is_ok() && error.kind != ErrorKind::Conflict;
        (error, if sure { Doubt::Nothing } else { Doubt::Owner })
    }

    /// A commit is decided before its marks are in every partition: whoever reads right after it shall see it.
    fn wait_until_seen(&self) {
        let until = Instant::now() + SEEN;
        for (topic, partition, offset) in self.producer.context().delivered().ends {
            let seen = || {
                partition_ends(self.cluster, &topic, partition, Isolation::Committed)
                    .is_ok_and(|ends| ends.high > offset)
            };
            while !seen() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    fn failed(&self, doing: &str, error: &KafkaError) -> Error {
        failed_transaction(self.cluster, self.producer, &format!("{doing} {}", self.cluster.shown()), error)
    }

    /// How long sending its messages may take, well under its time-out.
    fn sending(&self) -> Duration {
        self.cluster.config.transaction() * 2 / 3
    }

    fn slow(&self) -> Error {
        let message = format!(
            "{} takes rows too slowly: a slice must be there within {} s, before its transaction's {} s are over",
            self.cluster.shown(),
            self.sending().as_secs(),
            self.cluster.config.transaction().as_secs(),
        );
        Error::new(ErrorKind::Timeout, message)
            .hint("make the slices smaller, or raise `transaction_timeout` of the connection")
    }
}

/// Another owner of the slot is a conflict, whatever call hears of it first.
fn failed_transaction(cluster: &Cluster, producer: &Producer, what: &str, error: &KafkaError) -> Error {
    let told = match error {
        KafkaError::Transaction(error) => Some(error.code()),
        error => error.rdkafka_error_code(),
    };
    let fatal = producer.client().fatal_error().map(|(code, _)| code);
    let reason = [fatal, told, producer.context().delivered().failure].into_iter().flatten();
    let mut known = reason.into_iter().map(|code| (of_code(code).0, code));
    match known.clone().find(|(kind, _)| *kind == ErrorKind::Conflict) {
        Some((kind, code)) => {
            let message = format!("{what}: another process writes this project's topics");
            Error::new(kind, message).caused_by(code)
        }
        None => match known.next_back() {
            Some((_, code)) => cluster.failed(what, producer.context(), &KafkaError::Global(code)),
            None => failed(what, error, producer.context().heard().as_deref()),
        },
    }
}
