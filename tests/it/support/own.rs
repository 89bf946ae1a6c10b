//! A server of one test's own, that may be stopped, killed and frozen: by the recipe of scripts/services, in a folder of its own, behind a network that can be cut.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Output},
    sync::Mutex,
};

use super::{
    clickhouse, kafka, postgres,
    process::{self, Frozen},
    proxy::Proxy,
};
use vitrina::{
    connector::{clickhouse::config::Config as ClickHouse, postgres::config::Config as Postgres},
    model::secret::Secret,
};

/// Stopped when it is dropped.
pub(crate) struct Own {
    service: &'static str,
    folder: tempfile::TempDir,
    pub(crate) network: Proxy,
    /// What `scripts/services up` printed last.
    told: Mutex<String>,
}

impl Own {
    /// A Kafka node, which names the network as its own address. What was fetched for the shared one serves here too.
    pub(crate) fn kafka() -> Self {
        Self::new("kafka", |own| {
            let shared = kafka::variable("VITRINA_KAFKA_TLS");
            let shared = Path::new(&shared).parent().unwrap();
            for entry in fs::read_dir(shared).unwrap() {
                let name = entry.unwrap().file_name();
                if ["libs-", "tools-"].iter().any(|kept| name.to_string_lossy().starts_with(kept)) {
                    symlink(shared.join(&name), own.join(&name)).unwrap();
                }
            }
        })
    }

    pub(crate) fn postgres() -> Self {
        Self::new("postgres", |_| {})
    }

    /// A server that knows the users of the shared one.
    pub(crate) fn clickhouse() -> Self {
        Self::new("clickhouse", |own| {
            fs::write(own.join("library"), clickhouse::setting("LIBRARY")).unwrap();
            fs::write(own.join("password"), clickhouse::setting("PASSWORD")).unwrap();
        })
    }

    fn new(service: &'static str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The server may run as another user, in a folder of its own below this one.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let own = folder.path().join(service);
        fs::create_dir_all(&own).unwrap();
        prepare(&own);
        let server = Self { service, folder, network: Proxy::new(), told: Mutex::default() };
        server.start();
        server
    }

    /// Where clients begin: the network.
    pub(crate) fn address(&self) -> &str {
        &self.network.address
    }

    /// How the PostgreSQL server is reached over the network.
    pub(crate) fn as_postgres(&self) -> Postgres {
        Postgres {
            host: "127.0.0.1".to_owned(),
            port: self.network.port(),
            password: Some(Secret::Literal(self.told("POSTGRES_PASSWORD"))),
            ..postgres::config()
        }
    }

    /// How the ClickHouse server is reached over the network, by its user that may do everything.
    pub(crate) fn as_clickhouse(&self) -> ClickHouse {
        ClickHouse {
            user: self.told("CLICKHOUSE_USER"),
            password: Some(Secret::Literal(self.told("CLICKHOUSE_PASSWORD"))),
            ..ClickHouse::new(&format!("http://{}", self.address()))
        }
    }

    /// Starts it over what it left, where it is down.
    pub(crate) fn start(&self) {
        let output = self.call("up");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        *self.told.lock().unwrap() = String::from_utf8(output.stdout).unwrap();
        let to = match self.service {
            "kafka" => self.told("KAFKA_BROKERS"),
            "postgres" => format!("127.0.0.1:{}", self.told("POSTGRES_PORT")),
            _ => self.told("CLICKHOUSE_URL").trim_start_matches("http://").to_owned(),
        };
        self.network.lead_to(&to);
    }

    /// Stops it in order.
    pub(crate) fn stop(&self) {
        let output = self.call("down");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Ends it as a loss of power would.
    pub(crate) fn kill(&self) {
        process::kill(self.process());
    }

    /// It stands still until what this gives is dropped.
    pub(crate) fn freeze(&self) -> Frozen {
        Frozen::new(self.process())
    }

    fn process(&self) -> u32 {
        let path = self.folder.path().join(self.service).join("pid");
        fs::read_to_string(path).unwrap().trim().parse().unwrap()
    }

    /// A variable that was printed at its start.
    fn told(&self, name: &str) -> String {
        let (told, wanted) = (self.told.lock().unwrap(), format!("export VITRINA_{name}="));
        told.lines().find_map(|line| line.strip_prefix(&wanted)).expect(name).to_owned()
    }

    fn call(&self, action: &str) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services");
        Command::new(script)
            .args([action, self.service])
            .env("VITRINA_SERVICES", self.folder.path())
            .env("VITRINA_POSTGRES_HOME", self.folder.path().join("home"))
            .env("VITRINA_KAFKA_ADVERTISED", self.address())
            .output()
            .unwrap()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.call("down");
    }
}
