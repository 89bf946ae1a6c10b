//! What goes wrong on the way: large messages, a node that restarts, a network that is cut.

use std::{
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use vitrina::{
    connector::{
        connection::Connection,
        error::{Error, ErrorKind, Result},
    },
    model::delivery::Mode,
};

use super::{as_str, messages, rows, source_of, write, written};
use crate::{
    contract::reading::{WIDE, read},
    support::{
        kafka::{Cluster, variable},
        own::Own,
        project::{Ran, Sandbox},
        rows::{batch, ints, texts},
        specs,
    },
};

/// Text that compression does not make small.
fn noise(bytes: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match char::from(b'!' + (state % 90) as u8) {
            '"' | '\\' => '_',
            letter => letter,
        }
    };
    (0..bytes).map(letter).collect()
}

/// A message of 20 MB among small ones is a row like any other, where the topic takes it.
#[tokio::test(flavor = "multi_thread")]
async fn large_messages_are_read_and_written() {
    let cluster = Cluster::new();
    cluster.create("large", 1, &[("max.message.bytes", "40000000")]);
    let large = noise(20 << 20);
    let rows = batch(vec![("id", ints([1, 2, 3])), ("text", texts([None, Some(large.as_str()), Some("x")]))]);
    let spec = specs::sink("large", Mode::Append);
    write(&cluster, &spec, 1, &rows).await.unwrap();
    let source = cluster.open().source(&specs::source("large", &rows)).await.unwrap();
    let head = source.head().await.unwrap();
    let unit = source.plan(None, &head, WIDE).await.unwrap().unwrap();
    let held = read(source.as_ref(), &unit).await;
    assert!(held.batch == rows, "the rows came otherwise");

    // More than the topic takes, and more than is ever sent.
    let larger = noise(31 << 20);
    let more = batch(vec![("id", ints([1])), ("text", texts([Some(larger.as_str())]))]);
    for (table, rows, text) in [("usual", &rows, &large), ("large", &more, &larger)] {
        let error =
            write(&cluster, &specs::sink(table, Mode::Append), 2, rows).await.expect_err("a large row");
        let told = format!("{error}: {}", error.advice());
        assert_eq!(error.kind, ErrorKind::Limit, "{told}");
        for limit in ["`max.message.bytes`", "`message.max.bytes`", "30 MiB"] {
            assert!(told.contains(limit), "{told}");
        }
        assert!(!error.kind.policy().retry, "it would be as large again");
        assert!(told.len() < 1_000 && !told.contains(&text[..20]));
    }
}

/// From a topic into a file.
fn into_sqlite(cluster: &Cluster, source: &str) -> Sandbox {
    let config = format!(
        "[project]\nname = \"shop\"\n[connections.stream]\nkind = \"kafka\"\nbrokers = [\"{}\"]\nprefix = \"{}\"\n\
         [connections.file]\nkind = \"sqlite\"\npath = \"out.db\"\n",
        variable("VITRINA_KAFKA_BROKERS"),
        cluster.prefix
    );
    let copy = format!(
        "slice = {{ rows = 40 }}\nretry = {{ attempts = 2, wait = \"1s\", timeout = \"1m\" }}\n[source]\nconnection = \"stream\"\n\
         table = \"from\"\n{source}\n[source.columns]\nid = \"int64\"\n[sink]\nconnection = \"file\"\ntable = \"to\"\nmode = \"append\"\n"
    );
    Sandbox::new(&[("vitrina.toml", &config), ("pipelines/copy.toml", &copy)])
}

/// A message that is none stops its slice, whole, and is told; or becomes a dead letter, and every other row is there.
#[test]
fn a_poison_message_in_the_middle_of_a_slice() {
    let cluster = Cluster::new();
    cluster.create("from", 1, &[]);
    cluster.write("from", 0, &as_str(&messages(0..50)));
    cluster.write("from", 0, &["{\"id\": тайна"]);
    cluster.write("from", 0, &as_str(&messages(50..100)));
    let stopped = into_sqlite(&cluster, "");
    stopped.vitrina(&["run", "copy"]).says(1, &["a message that is not JSON", "bad_rows"]);
    assert_eq!(stopped.number("SELECT count(*) FROM file.\"to\""), 40, "the slices before it");
    let ran = stopped.vitrina(&["run", "copy"]);
    assert!(!format!("{ran:?}").contains("тайна"), "{ran:?}");

    let going_on = into_sqlite(&cluster, "bad_rows = \"dead_letter\"");
    going_on.must(&["run", "copy"]);
    assert_eq!(going_on.number("SELECT count(*) FROM file.\"to\""), 100);
    assert_eq!(going_on.number("SELECT count(DISTINCT id) FROM file.\"to\" WHERE id BETWEEN 0 AND 99"), 100);
    let letters = going_on.dead_letters("copy");
    assert_eq!(letters.len(), 1, "{letters:?}");
}

/// Messages that retention took before they were read stop the run, and it goes on without them only once somebody says so.
#[test]
fn a_loss_is_gone_over_by_saying_so() {
    let cluster = Cluster::new();
    cluster.create("from", 2, &[]);
    cluster.write("from", 0, &as_str(&messages(0..5)));
    cluster.write("from", 1, &as_str(&messages(100..103)));
    let project = into_sqlite(&cluster, "");
    project.must(&["run", "copy"]);
    cluster.write("from", 0, &as_str(&messages(5..12)));
    cluster.forget("from", 0, 9);
    let told =
        ["no longer has offsets 5 to 8 of partition 0", "`vitrina position set` with 8 for partition 0"];
    project.vitrina(&["run", "copy"]).says(1, &told);
    assert_eq!(project.number("SELECT count(*) FROM file.\"to\""), 8);
    project.must(&["position", "set", "copy", "0: 8, 1: 2"]);
    project.must(&["run", "copy"]);
    assert_eq!(project.number("SELECT count(*) FROM file.\"to\""), 11);
    assert_eq!(project.number("SELECT sum(id) FROM file.\"to\" WHERE id < 100"), 10 + 9 + 10 + 11);
}

/// Where others read with the group, the run says so once, and goes on: its position is in the sink.
#[test]
fn a_run_goes_on_beside_a_group_of_others() {
    let cluster = Cluster::new();
    cluster.create("from", 1, &[]);
    cluster.write("from", 0, &as_str(&messages(0..100)));
    let group = cluster.topic("readers");
    let stranger = cluster.member(&group, "from");
    for _ in 0..1_200 {
        let _ = stranger.poll(Duration::from_millis(50));
        if !rdkafka::consumer::Consumer::assignment(&stranger).unwrap().elements().is_empty() {
            break;
        }
    }
    let project = into_sqlite(&cluster, &format!("[source.kafka]\ngroup = \"{group}\""));
    let ran = project.vitrina(&["run", "copy"]);
    let told = format!("{ran:?}");
    assert_eq!(told.matches("others read with it").count(), 1, "{told}");
    assert!(told.contains(&group) && told.contains("group = false"), "{told}");
    ran.done();
    assert_eq!(project.number("SELECT count(*) FROM file.\"to\""), 100);
}

/// From one topic into another, in many slices, with time to come through.
fn project(broker: &Own, cluster: &Cluster) -> Sandbox {
    let config = format!(
        "[project]\nname = \"shop\"\n[connections.stream]\nkind = \"kafka\"\nbrokers = [\"{}\"]\nprefix = \"{}\"\n",
        broker.address(),
        cluster.prefix
    );
    let copy = r#"
slice = { rows = 1000 }
retry = { attempts = 30, wait = "1s", timeout = "5m" }
[source]
connection = "stream"
table = "from"
[source.columns]
id = "int64"
[sink]
connection = "stream"
table = "to"
mode = "append"
"#;
    Sandbox::new(&[("vitrina.toml", &config), ("pipelines/copy.toml", copy)])
}

fn start(project: &Sandbox) -> Child {
    let mut command = project.command(&["run", "copy"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a run has written more than it had, and must have more to do.
fn wait_for_rows(cluster: &Cluster, before: usize) {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_mins(2), "the run does not begin to write");
        if cluster.topics().contains(&"to".to_owned()) && cluster.messages("to").len() > before {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What is done to a cluster.
type Act<'a> = &'a dyn Fn();

/// A run outlives a network that is cut and a node that restarts, and every row is there once.
#[test]
fn a_run_outlives_what_happens_to_the_cluster() {
    let broker = Own::kafka();
    let cluster = Cluster::at(broker.address().to_owned());
    let project = project(&broker, &cluster);
    cluster.create("from", 2, &[]);
    let mut until = 0;
    let more = |from: i64| {
        for partition in 0..2 {
            let first = from + i64::from(partition) * 20_000;
            cluster.write("from", partition, &as_str(&messages(first..first + 20_000)));
        }
    };
    let faults: [(&str, Act<'_>, Act<'_>); 2] = [
        ("cut", &|| broker.network.cut(), &|| broker.network.mend()),
        ("restart", &|| broker.stop(), &|| broker.start()),
    ];
    for (what, fail, mend) in faults {
        // From the beginning, and in the middle: there a fast run may be through before it.
        for early in [true, false] {
            more(until);
            if early {
                fail();
            }
            let mut run = start(&project);
            if !early {
                wait_for_rows(&cluster, usize::try_from(until).unwrap());
                fail();
            }
            // Once for a whole minute.
            let minute = early && what == "cut";
            std::thread::sleep(Duration::from_secs(if minute { 61 } else { 4 }));
            assert!(!early || run.try_wait().unwrap().is_none(), "{what}: the run did not wait");
            mend();
            Ran::from(run.wait_with_output().unwrap()).done();
            until += 40_000;
            assert_eq!(written(&cluster, "to"), (0..until).collect::<Vec<_>>(), "{what}, early: {early}");
        }
    }
}

/// Who asks for a topic.
#[derive(Debug, Clone, Copy)]
enum Asker {
    Query,
    Reader,
    Writer,
}

impl Asker {
    /// Whether the topic is there, as this one hears it.
    async fn finds(self, connection: &dyn Connection) -> Result<bool> {
        match self {
            Self::Query => {
                let topics = connection.catalog().schema(&connection.default_schema()).unwrap();
                Ok(topics.table("written").await.map_err(Error::from)?.is_some())
            }
            Self::Reader => {
                let head = source_of(connection, "written").await.head().await?;
                Ok(!head.partitions.is_empty())
            }
            Self::Writer => {
                let sink = connection.sink(&specs::sink("written", Mode::Append)).await?;
                let claim = sink.claim(&specs::track("mrf1"), &rows([]).schema()).await?;
                Ok(claim.record.is_some())
            }
        }
    }

    /// Asks over and over until the node is up for good and the topic was there once more; how often nobody could tell.
    fn asks(self, cluster: &Cluster, kept: bool, up: &AtomicBool) -> usize {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (mut connection, mut untold, mut up_since) = (cluster.open(), 0, None);
        loop {
            let last = up.load(Ordering::SeqCst);
            if last {
                let since = up_since.get_or_insert_with(Instant::now);
                assert!(since.elapsed() < Duration::from_mins(5), "{self:?}: the node does not come back");
            }
            if !kept {
                connection = cluster.open();
            }
            match runtime.block_on(self.finds(connection.as_ref())) {
                Ok(found) => assert!(found, "{self:?}: what is there was told missing"),
                Err(error) => {
                    assert!(error.kind.policy().retry, "{self:?}: {:?}: {error}", error.kind);
                    untold += 1;
                    continue;
                }
            }
            if last {
                return untold;
            }
        }
    }
}

/// How often nobody could tell while a node ended and started again.
fn asked_over_a_restart(broker: &Own, cluster: &Cluster) -> usize {
    let up = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let up = &up;
        let all = [Asker::Query, Asker::Reader, Asker::Writer].into_iter();
        let begin = |(asker, kept): (Asker, bool)| scope.spawn(move || asker.asks(cluster, kept, up));
        let asking: Vec<_> = all.flat_map(|asker| [(asker, true), (asker, false)]).map(begin).collect();
        broker.stop();
        broker.start();
        up.store(true, Ordering::SeqCst);
        asking.into_iter().map(|asking| asking.join().unwrap()).sum()
    })
}

/// A node that ends and starts again tells nothing missing that it holds: whoever asks meanwhile gets an answer, or a failure that is tried again. What truly is not there is told.
#[test]
fn a_node_that_restarts_tells_nothing_missing() {
    let broker = Own::kafka();
    let cluster = Cluster::at(broker.address().to_owned());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(write(&cluster, &specs::sink("written", Mode::Append), 1, &rows([1, 2, 3]))).unwrap();
    // On a busy machine all questions may last until the node is back: then nobody learned anything.
    let untold = (0..5).map(|_| asked_over_a_restart(&broker, &cluster)).find(|untold| *untold > 0);
    assert!(untold.is_some(), "nobody asked while the node was away");
    let topics = cluster.open().catalog().schema("topics").unwrap();
    assert!(runtime.block_on(topics.table("nowhere")).unwrap().is_none());
    assert_eq!(written(&cluster, "written"), [1, 2, 3]);
}
