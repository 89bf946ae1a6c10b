//! What goes wrong on the way: large messages, a node that restarts, a network that is cut.

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use vitrina::{connector::error::ErrorKind, model::delivery::Mode};

use super::{as_str, messages, write, written};
use crate::{
    contract::reading::{WIDE, read},
    support::{
        broker::Broker,
        kafka::Cluster,
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

    let error =
        write(&cluster, &specs::sink("usual", Mode::Append), 1, &rows).await.expect_err("a large row");
    assert_eq!(error.kind, ErrorKind::Limit, "{error}");
    assert!(error.advice().contains("max.message.bytes"), "{}", error.advice());
    assert!(!error.kind.policy().retry, "it would be as large again");
    assert!(error.to_string().len() < 1_000 && !error.to_string().contains(&large[..20]));
}

/// From one topic into another, in many slices, with time to come through.
fn project(broker: &Broker, cluster: &Cluster) -> Sandbox {
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
        assert!(begun.elapsed() < Duration::from_mins(1), "the run does not begin to write");
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
    let broker = Broker::new();
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
            std::thread::sleep(Duration::from_secs(4));
            assert!(!early || run.try_wait().unwrap().is_none(), "{what}: the run did not wait");
            mend();
            Ran::from(run.wait_with_output().unwrap()).done();
            until += 40_000;
            assert_eq!(written(&cluster, "to"), (0..until).collect::<Vec<_>>(), "{what}, early: {early}");
        }
    }
}
