//! Rights in Kafka: the user `guest` has none until the commands that are printed give them.

use std::process::Command;

use super::{mends, missing, tested, told};
use crate::support::{
    kafka::{Cluster, variable},
    project::Sandbox,
};

fn project(cluster: &Cluster) -> String {
    format!(
        "[project]\nname = \"x\"\n[connections.log]\nkind = \"kafka\"\nbrokers = [\"{}\"]\nprefix = \"{}\"\n\
         security.protocol = \"sasl_ssl\"\nsecurity.mechanism = \"PLAIN\"\nsecurity.user = {{ env = \"KAFKA_GUEST\", default = \"guest\" }}\n\
         security.password = {{ env = \"VITRINA_KAFKA_PASSWORD\" }}\nsecurity.ca_file = \"{}/ca.pem\"\n\
         [connections.shop]\nkind = \"sqlite\"\npath = \"shop.db\"\n",
        variable("VITRINA_KAFKA_TLS_BROKERS"),
        cluster.prefix,
        variable("VITRINA_KAFKA_TLS"),
    )
}

const IN: &str = "[source]\nconnection = \"shop\"\ntable = \"orders\"\ncursor = { column = \"id\" }\n\
                  [sink]\nconnection = \"log\"\ntable = \"orders\"\nmode = \"append\"\n";
const OUT: &str = "[source]\nconnection = \"log\"\ntable = \"orders\"\n[source.columns]\nid = \"int64\"\n\
                   [sink]\nconnection = \"shop\"\ntable = \"copy\"\nmode = \"append\"\n";

/// What an administrator does with a printed command: by the listener where everyone may do everything.
fn give(command: &str) {
    let words: Vec<String> =
        command.split(' ').map(|word| word.replace("\"$KAFKA_GUEST\"", "guest")).collect();
    let at = words.iter().position(|word| word == "--bootstrap-server").unwrap();
    let mut words = words[1..].to_vec();
    words[at] = variable("VITRINA_KAFKA_BROKERS");
    let ran = Command::new("java")
        .args(["-cp", &variable("VITRINA_KAFKA_TOOLS"), "org.apache.kafka.tools.AclCommand"])
        .args(&words)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn what_is_missing_is_what_a_run_needs() {
    let cluster = Cluster::new();
    let here = Sandbox::new(&[
        ("vitrina.toml", &project(&cluster)),
        ("pipelines/in.toml", IN),
        ("pipelines/out.toml", OUT),
    ]);
    here.sqlite(
        "shop.db",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (1), (2), (3)",
    );
    let before = tested(&here, "log", 1);
    let shown: Vec<String> =
        missing(&before).iter().map(|right| right.replace(&cluster.prefix, "")).collect();
    for right in [
        "Describe on topic \"orders\"",
        "Read on topic \"orders\"",
        "Write on topic \"orders\"",
        "Create on topic \"orders\"",
        "Write on topic \"_vitrina_records\"",
        "Read on groups \"vitrina…\"",
        "Write on transactional ids \"vitrina-x…\"",
    ] {
        assert!(shown.iter().any(|shown| shown == right), "{right}: {shown:#?}");
    }
    let problems = told(&here, "live-right");
    for (file, line, says) in [
        ("pipelines/in.toml", 7, "lacks Write on topic"),
        ("pipelines/in.toml", 7, "--transactional-id"),
        ("pipelines/out.toml", 3, "lacks Read on topic"),
    ] {
        let there =
            |(path, at, told): &&(String, u64, String)| path == file && *at == line && told.contains(says);
        assert!(problems.iter().any(|problem| there(&problem)), "{file}:{line} {says}: {problems:#?}");
    }

    let mends = mends(&before);
    assert_eq!(mends.len(), 4, "one for each resource: {mends:#?}");
    for mend in &mends {
        assert!(mend.contains("--allow-principal User:\"$KAFKA_GUEST\""), "{mend}");
        give(mend);
    }
    let after = tested(&here, "log", 0);
    assert_eq!(missing(&after), Vec::<&str>::new(), "{after:#}");
    assert_eq!(cluster.topics(), Vec::<String>::new(), "looking made a topic");
    here.must(&["run", "--all"]);
    // Asked about topics that are there and hold rows; and once more, over a running owner of the transactional ids.
    let held = tested(&here, "log", 0);
    let write = format!("Write on topic \"{}orders\"", cluster.prefix);
    assert!(held["held"].as_array().unwrap().iter().any(|right| *right == write), "{held:#}");
    assert_eq!(here.number("SELECT count(*) AS n FROM log.orders"), 3, "looking wrote a message");
    here.sqlite("shop.db", "INSERT INTO orders VALUES (4)");
    here.must(&["run", "--all"]);
    assert_eq!(here.number("SELECT count(*) AS n FROM shop.copy"), 4);
}

/// A daemon that writes is not shut out by somebody who looks at rights.
#[test]
fn looking_shuts_nobody_out() {
    let cluster = Cluster::new();
    let open = format!(
        "[project]\nname = \"x\"\n[connections.log]\nkind = \"kafka\"\nbrokers = [\"{}\"]\nprefix = \"{}\"\n\
         [connections.shop]\nkind = \"sqlite\"\npath = \"shop.db\"\n",
        variable("VITRINA_KAFKA_BROKERS"),
        cluster.prefix,
    );
    let here = Sandbox::new(&[("vitrina.toml", &open), ("pipelines/in.toml", IN)]);
    here.sqlite("shop.db", "CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (1)");
    let mut follower = here.command(&["run", "in", "--follow"]).spawn().unwrap();
    let copied = |rows: i64| {
        (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            let seen = here.vitrina(&["query", "SELECT count(*) AS n FROM log.orders", "--format", "ndjson"]);
            seen.stdout.trim() == format!("{{\"n\":{rows}}}")
        })
    };
    assert!(copied(1), "the follower copies");
    assert_eq!(missing(&tested(&here, "log", 0)), Vec::<&str>::new());
    here.sqlite("shop.db", "INSERT INTO orders VALUES (2)");
    assert!(copied(2), "the follower goes on");
    assert!(follower.try_wait().unwrap().is_none(), "the follower ended");
    follower.kill().unwrap();
    follower.wait().unwrap();
}
