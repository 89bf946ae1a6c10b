//! A Kafka node of one test's own, that may be stopped: by the recipe of scripts/services, in a folder of its own, behind a network that can be cut.

use std::{
    path::Path,
    process::{Command, Output},
};

use super::{kafka::variable, proxy::Proxy};

/// Stopped when it is dropped.
pub(crate) struct Broker {
    folder: tempfile::TempDir,
    pub(crate) network: Proxy,
}

impl Broker {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // What was fetched for the shared node serves here too.
        let shared = variable("VITRINA_KAFKA_TLS");
        let shared = Path::new(&shared).parent().unwrap();
        let own = folder.path().join("kafka");
        std::fs::create_dir_all(&own).unwrap();
        for entry in std::fs::read_dir(shared).unwrap() {
            let name = entry.unwrap().file_name();
            if name.to_string_lossy().starts_with("libs-") {
                std::os::unix::fs::symlink(shared.join(&name), own.join(&name)).unwrap();
            }
        }
        let broker = Self { folder, network: Proxy::new() };
        broker.start();
        broker
    }

    /// Where clients begin: the network, which the node names as its own address.
    pub(crate) fn address(&self) -> &str {
        &self.network.address
    }

    pub(crate) fn start(&self) {
        let printed = self.services("up");
        let line = printed.lines().find_map(|line| line.strip_prefix("export VITRINA_KAFKA_BROKERS="));
        self.network.lead_to(line.unwrap());
    }

    pub(crate) fn stop(&self) {
        self.services("down");
    }

    fn services(&self, action: &str) -> String {
        let output = self.call(action);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn call(&self, action: &str) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services");
        Command::new(script)
            .args([action, "kafka"])
            .env("VITRINA_SERVICES", self.folder.path())
            .env("VITRINA_KAFKA_ADVERTISED", &self.network.address)
            .output()
            .unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.call("down");
    }
}
