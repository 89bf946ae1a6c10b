//! Many topics at once: what a process needs for them stays within bounds.

use std::{process::Stdio, time::Duration};

use super::{as_str, messages};
use crate::support::{
    kafka::Cluster,
    own::Own,
    project::{Ran, Sandbox},
};

const TOPICS: usize = 60;
const PARTITIONS: i32 = 10;
const ROWS: i64 = 200;

/// A number of `/proc/PID/status`.
fn status(pid: u32, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
}

/// Sixty topics of ten partitions each are copied by one process: its clients are not sixty.
#[test]
fn sixty_topics_need_few_clients() {
    let broker = Own::kafka();
    let cluster = Cluster::at(broker.address().to_owned());
    let names: Vec<String> = (0..TOPICS).map(|number| format!("m{number}")).collect();
    for name in &names {
        cluster.create(name, PARTITIONS, &[]);
    }
    let writer = cluster.writer(None);
    for name in &names {
        for partition in 0..PARTITIONS {
            writer.write(name, partition, &as_str(&messages(0..ROWS / i64::from(PARTITIONS))));
        }
    }
    let config = format!(
        "[project]\nname = \"shop\"\n[matrix]\nregion = {names:?}\n[connections.stream]\nkind = \"kafka\"\nbrokers = [\"{}\"]\nprefix = \"{}\"\n",
        broker.address(),
        cluster.prefix
    );
    let copy = "matrix = [\"region\"]\n[source]\nconnection = \"stream\"\ntable = \"{region}\"\n[source.columns]\nid = \"int64\"\n\
                [sink]\nconnection = \"stream\"\ntable = \"to.{region}\"\nmode = \"append\"\n[sink.kafka]\npartitions = 10\n";
    let project = Sandbox::new(&[("vitrina.toml", &config), ("pipelines/copy.toml", copy)]);
    let mut command = project.command(&["run", "--all"]);
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut threads, mut memory) = (0, 0);
    while run.try_wait().unwrap().is_none() {
        threads = threads.max(status(run.id(), "Threads").unwrap_or(0));
        memory = memory.max(status(run.id(), "VmHWM").unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    Ran::from(run.wait_with_output().unwrap()).done();
    for name in &names {
        assert_eq!(cluster.messages(&format!("to.{name}")).len(), ROWS as usize, "{name}");
    }
    println!("{TOPICS} topics of {PARTITIONS} partitions: {threads} threads, {} MiB", memory >> 10);
    // Two clients that look, one that reports, four readers, eight writers, a few threads each, beside the engine's own.
    assert!(threads < 150, "{threads} threads");
    assert!(memory < 512 << 10, "{memory} KiB");
}
