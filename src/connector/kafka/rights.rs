//! Which rights of those that the project needs are held. The client library lists none, so each is asked for by a request that changes nothing, whichever way it
//! ends: brokers look at rights before anything else.
//!
//! | right | asked by | where it is held |
//! |---|---|---|
//! | Describe on a topic | its metadata | there they are |
//! | Read on a topic | a fetch at its end | there is no more |
//! | Write on a topic | a message with two acknowledgements | no broker takes that number, and so not the message |
//! | Create of a topic | making it, only validated | it could be made |
//! | Read on groups | a position in a topic that nobody has | there is no such topic |
//! | Write on transactional ids | beginning with a time-out past every broker's, under an id that no writer has | the time-out is refused |

use std::time::{Duration, Instant};

use futures::executor::block_on;
use indexmap::{IndexMap, IndexSet};
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminOptions, NewTopic, TopicReplication},
    consumer::{CommitMode, Consumer as _, base_consumer::PartitionQueue},
    error::KafkaError,
    producer::{BaseRecord, Producer as _},
    types::RDKafkaErrorCode as Code,
};

use super::{
    client::{ANSWER, Cluster, Context, Isolation},
    config::{Group, Protocol},
    topic::partitions,
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        rights::{Right, Use},
    },
    model::secret::Secret,
};

/// How long a fetch at a topic's end may take.
const FETCH: Duration = Duration::from_secs(5);

/// How long a group's coordinator is looked for: who may not know the group finds none.
const COORDINATOR: Duration = Duration::from_secs(3);

/// What a right is about; topics and groups by their whole names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Resource {
    Topic(String),
    Group(String),
    /// All groups that begin so.
    Groups(String),
    /// All transactional ids that begin so.
    Ids(String),
}

/// What may be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Describe,
    Read,
    Write,
    Create,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Describe => "Describe",
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Create => "Create",
        }
    }
}

/// Rights with whether they are held; `None` = that cannot be told.
type Answers = IndexMap<(Resource, Operation), Option<bool>>;

/// The rights that these need.
pub(super) fn of(cluster: &Cluster, uses: &[Use]) -> Result<Vec<Right>> {
    let needs: Vec<(usize, Resource, Operation)> =
        uses.iter().enumerate().flat_map(|(of, used)| needs(cluster, of, used)).collect();
    let asked: IndexSet<(Resource, Operation)> =
        needs.iter().map(|(_, resource, operation)| (resource.clone(), *operation)).collect();
    let answers = answers(cluster, &asked)?;
    let right = |(of, resource, operation): &(usize, Resource, Operation)| {
        let held = (*answers.get(&(resource.clone(), *operation))?)?;
        let what = format!("{} on {}", operation.name(), shown(resource));
        Some(Right::new(*of, what, held, command(cluster, resource, &answers)))
    };
    Ok(needs.iter().filter_map(right).collect())
}

/// What a use does, as `docs/kafka.md` has it.
fn needs(cluster: &Cluster, of: usize, used: &Use) -> Vec<(usize, Resource, Operation)> {
    use Operation::{Create, Describe, Read, Write};
    let prefix = &cluster.config.prefix;
    let topic = Resource::Topic(cluster.topic(used.table().1));
    let records = Resource::Topic(cluster.records());
    let mut needs = vec![(topic.clone(), Describe), (topic.clone(), Read), (records.clone(), Read)];
    needs.push((Resource::Groups(format!("{prefix}vitrina")), Read));
    match used {
        Use::Query { .. } => {}
        Use::Source(spec) => {
            if let Some(Group::Named(name)) = spec.options.kafka.as_ref().map(|options| &options.group) {
                needs.push((Resource::Group(name.clone()), Read));
            }
        }
        Use::Sink(_, track) => {
            for topic in [topic, records] {
                needs.extend([(topic.clone(), Create), (topic, Write)]);
            }
            needs.push((Resource::Ids(format!("{prefix}vitrina-{}", track.project)), Write));
        }
    }
    needs.into_iter().map(|(resource, operation)| (of, resource, operation)).collect()
}

fn answers(cluster: &Cluster, asked: &IndexSet<(Resource, Operation)>) -> Result<Answers> {
    let mut answers = Answers::new();
    let topics: IndexSet<&String> = asked
        .iter()
        .filter_map(|(resource, _)| match resource {
            Resource::Topic(name) => Some(name),
            _ => None,
        })
        .collect();
    let mut there = vec![];
    for name in topics {
        let mut say = |operation, held| {
            let right = (Resource::Topic(name.clone()), operation);
            if asked.contains(&right) {
                answers.insert(right, held);
            }
        };
        match partitions(cluster, name) {
            Ok(Some(_)) => {
                say(Operation::Describe, Some(true));
                there.push(name.clone());
            }
            Ok(None) => {
                say(Operation::Describe, Some(true));
                say(Operation::Create, may_create(cluster, name)?);
            }
            // Who may read or write a topic may know it. Whether it has to be made is not known either.
            Err(error) if error.kind == ErrorKind::Denied && is_refusal(&error) => {
                use Operation::{Create, Describe, Read, Write};
                for operation in [Describe, Read, Write, Create] {
                    say(operation, Some(false));
                }
            }
            Err(error) => return Err(error),
        }
    }
    let of = |operation| move |name: &&String| asked.contains(&(Resource::Topic((*name).clone()), operation));
    let read: Vec<&String> = there.iter().filter(of(Operation::Read)).collect();
    for (name, held) in may_read(cluster, &read)? {
        answers.insert((Resource::Topic(name), Operation::Read), held);
    }
    let written: Vec<&String> = there.iter().filter(of(Operation::Write)).collect();
    for (name, held) in may_write(cluster, &written)? {
        answers.insert((Resource::Topic(name), Operation::Write), held);
    }
    for (resource, operation) in asked {
        let held = match resource {
            Resource::Topic(_) => continue,
            Resource::Group(name) | Resource::Groups(name) => may_join(cluster, name)?,
            Resource::Ids(prefix) => may_begin(cluster, &format!("{prefix}-rights"))?,
        };
        answers.insert((resource.clone(), *operation), held);
    }
    Ok(answers)
}

/// Whether it is the topic that is refused, and not the user.
fn is_refusal(error: &Error) -> bool {
    let cause = error.source.as_ref().and_then(|cause| cause.downcast_ref::<Code>());
    cause == Some(&Code::TopicAuthorizationFailed)
}

fn may_create(cluster: &Cluster, topic: &str) -> Result<Option<bool>> {
    let admin = cluster.admin()?;
    let new = NewTopic::new(topic, -1, TopicReplication::Fixed(-1));
    let options = AdminOptions::new().request_timeout(Some(ANSWER)).validate_only(true);
    Ok(match block_on(admin.create_topics([&new], &options)).map(|mut made| made.pop()) {
        Ok(Some(Ok(_) | Err((_, Code::TopicAlreadyExists)))) => Some(true),
        Ok(Some(Err((_, Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)))) => Some(false),
        _ => None,
    })
}

fn may_read(cluster: &Cluster, topics: &[&String]) -> Result<Vec<(String, Option<bool>)>> {
    if topics.is_empty() {
        return Ok(vec![]);
    }
    let consumer = cluster.consumer(Isolation::Committed, 1)?;
    let mut list = TopicPartitionList::new();
    let mut queues = vec![];
    for topic in topics {
        let queue = consumer.split_partition_queue(topic, 0);
        let added = list.add_partition_offset(topic, 0, Offset::End);
        match (queue, added) {
            (Some(queue), Ok(())) => queues.push(((*topic).clone(), queue)),
            _ => return Err(Error::new(ErrorKind::Internal, "a partition has no queue")),
        }
    }
    let assigned = consumer.assign(&list);
    assigned.map_err(|error| cluster.failed(&cluster.shown(), consumer.context(), &error))?;
    let until = Instant::now() + FETCH;
    let held = |queue: &PartitionQueue<Context>| {
        while Instant::now() < until {
            let _ = consumer.poll(Duration::ZERO);
            match queue.poll(Duration::from_millis(20)) {
                Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => return Some(true),
                Some(Err(error)) if error.rdkafka_error_code() == Some(Code::TopicAuthorizationFailed) => {
                    return Some(false);
                }
                Some(Err(_)) | None => {}
            }
        }
        None
    };
    let found = queues.iter().map(|(topic, queue)| (topic.clone(), held(queue))).collect();
    drop(queues);
    Ok(found)
}

fn may_write(cluster: &Cluster, topics: &[&String]) -> Result<Vec<(String, Option<bool>)>> {
    if topics.is_empty() {
        return Ok(vec![]);
    }
    let producer = cluster.refused_producer()?;
    let held = |topic: &String| {
        producer.context().begin();
        let message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(0).payload(&[]);
        producer.send(message).ok()?;
        producer.flush(ANSWER).ok()?;
        match producer.context().delivered().failure? {
            Code::TopicAuthorizationFailed => Some(false),
            Code::InvalidRequiredAcks => Some(true),
            _ => None,
        }
    };
    Ok(topics.iter().map(|topic| ((*topic).clone(), held(topic))).collect())
}

fn may_join(cluster: &Cluster, group: &str) -> Result<Option<bool>> {
    let client = cluster.member_of_none(group, COORDINATOR)?;
    let mut list = TopicPartitionList::new();
    let nowhere = format!("{}_vitrina_nothing", cluster.config.prefix);
    let added = list.add_partition_offset(&nowhere, 0, Offset::Offset(0));
    added.map_err(|error| cluster.failed(&cluster.shown(), client.context(), &error))?;
    let Err(error) = client.commit(&list, CommitMode::Sync) else { return Ok(Some(true)) };
    let mut codes = vec![error.rdkafka_error_code()];
    // Why no coordinator was found waits among the client's events.
    while let Some(event) = client.poll(Duration::ZERO) {
        codes.push(event.err().and_then(|error| error.rdkafka_error_code()));
    }
    let refused = codes.contains(&Some(Code::GroupAuthorizationFailed));
    let topic = [Code::UnknownTopicOrPartition, Code::UnknownPartition, Code::TopicAuthorizationFailed];
    Ok(match codes[0] {
        _ if refused => Some(false),
        Some(code) if topic.contains(&code) => Some(true),
        _ => None,
    })
}

fn may_begin(cluster: &Cluster, id: &str) -> Result<Option<bool>> {
    let producer = cluster.endless_producer(id)?;
    let Err(error) = producer.init_transactions(ANSWER) else { return Ok(Some(true)) };
    let told = match &error {
        KafkaError::Transaction(error) => Some(error.code()),
        error => error.rdkafka_error_code(),
    };
    let fatal = producer.client().fatal_error().map(|(code, _)| code);
    let codes = [told, fatal];
    Ok(if codes.contains(&Some(Code::TransactionalIdAuthorizationFailed)) {
        Some(false)
    } else if codes.contains(&Some(Code::InvalidTransactionTimeout)) {
        Some(true)
    } else {
        None
    })
}

fn shown(resource: &Resource) -> String {
    match resource {
        Resource::Topic(name) => format!("topic \"{name}\""),
        Resource::Group(name) => format!("group \"{name}\""),
        Resource::Groups(prefix) => format!("groups \"{prefix}…\""),
        Resource::Ids(prefix) => format!("transactional ids \"{prefix}…\""),
    }
}

/// One command that gives everything that is missing on a resource.
fn command(cluster: &Cluster, resource: &Resource, answers: &Answers) -> String {
    let missing = answers.iter().filter(|((of, _), held)| of == resource && **held == Some(false));
    let missing: Vec<Operation> = missing.map(|((_, operation), _)| *operation).collect();
    // Reading and writing hold Describe in them; a new transactional id is found by it.
    let implied = missing.len() > 1 && !matches!(resource, Resource::Ids(_));
    let given = missing.iter().filter(|operation| !implied || **operation != Operation::Describe);
    let operations: String = given.map(|operation| format!(" --operation {}", operation.name())).collect();
    let (prefixed, on) = match resource {
        Resource::Topic(name) => ("", format!("--topic {}", quoted(name))),
        Resource::Group(name) => ("", format!("--group {}", quoted(name))),
        Resource::Groups(prefix) => {
            (" --resource-pattern-type prefixed", format!("--group {}", quoted(prefix)))
        }
        Resource::Ids(prefix) => {
            (" --resource-pattern-type prefixed", format!("--transactional-id {}", quoted(prefix)))
        }
    };
    let (brokers, user) = (cluster.config.brokers.join(","), principal(cluster));
    format!(
        "kafka-acls --bootstrap-server {brokers} --add --allow-principal {user}{prefixed} {on}{operations}"
    )
}

/// A name as a shell takes it.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.chars().all(plain) { name.to_owned() } else { format!("'{}'", name.replace('\'', "'\\''")) }
}

/// Whom the cluster takes us for. A user whose name is kept secret is not named.
fn principal(cluster: &Cluster) -> String {
    let security = &cluster.config.security;
    let primary = |principal: &str| principal.split(['/', '@']).next().unwrap_or_default().to_owned();
    let user = match (&security.kerberos, &security.user) {
        (Some(kerberos), _) => quoted(&primary(&kerberos.principal)),
        (None, Some(Secret::Literal(name))) => quoted(name),
        (None, Some(Secret::Env { name, .. })) => format!("\"${name}\""),
        (None, Some(Secret::File(_) | Secret::Command(_))) => "USER".to_owned(),
        (None, None) => "ANONYMOUS".to_owned(),
    };
    let known = matches!(security.protocol, Protocol::Plaintext | Protocol::Ssl);
    format!("User:{}", if known { "ANONYMOUS".to_owned() } else { user })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::connector::{OpenContext, kafka::config::Config};

    fn cluster(user: Option<Secret>) -> Cluster {
        let mut config = Config {
            brokers: vec!["a:1".to_owned(), "b:2".to_owned()],
            prefix: "crm.".to_owned(),
            ..Config::default()
        };
        config.security.user = user;
        config.security.protocol = Protocol::SaslSsl;
        let context = OpenContext { name: "log".to_owned(), root: PathBuf::new(), scratch: PathBuf::new() };
        Cluster::new(&config, context)
    }

    #[test]
    fn one_command_gives_what_a_resource_lacks() {
        use Operation::{Create, Describe, Read, Write};
        let topic = Resource::Topic("crm.orders".to_owned());
        let ids = Resource::Ids("crm.vitrina-x".to_owned());
        let mut answers = Answers::new();
        for (operation, held) in
            [(Describe, Some(false)), (Read, Some(true)), (Write, Some(false)), (Create, None)]
        {
            answers.insert((topic.clone(), operation), held);
        }
        answers.insert((ids.clone(), Write), Some(false));
        let cluster = cluster(Some(Secret::Literal("o'Neil".to_owned())));
        assert_eq!(
            command(&cluster, &topic, &answers),
            "kafka-acls --bootstrap-server a:1,b:2 --add --allow-principal User:'o'\\''Neil' --topic crm.orders --operation Write"
        );
        assert_eq!(
            command(&cluster, &ids, &answers),
            "kafka-acls --bootstrap-server a:1,b:2 --add --allow-principal User:'o'\\''Neil' --resource-pattern-type prefixed \
             --transactional-id crm.vitrina-x --operation Write"
        );
    }

    /// A user that is kept secret stays so.
    #[test]
    fn users_are_named_where_the_file_names_them() {
        let named = |user| principal(&cluster(user));
        assert_eq!(
            named(Some(Secret::Env { name: "KAFKA_USER".to_owned(), default: Some("me".to_owned()) })),
            "User:\"$KAFKA_USER\""
        );
        assert_eq!(named(Some(Secret::File("secret/user".to_owned()))), "User:USER");
        assert_eq!(named(None), "User:ANONYMOUS");
    }
}
