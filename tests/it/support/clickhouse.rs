//! A database of its own on the server that `scripts/services` starts, or on one of a test's own.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use vitrina::{
    connector::{
        ConnectionConfig, OpenContext,
        clickhouse::config::{Config, Urls},
        connection::Connection,
    },
    model::secret::Secret,
};

/// A setting that `scripts/services up` prints.
pub(crate) fn setting(name: &str) -> String {
    let name = format!("VITRINA_CLICKHOUSE_{name}");
    std::env::var(&name).unwrap_or_else(|_| {
        panic!("{name} is not set: these tests need a server: eval \"$(scripts/services up clickhouse)\"")
    })
}

/// The server, as its user that may do everything.
pub(crate) fn config() -> Config {
    Config {
        database: setting("DATABASE"),
        user: setting("USER"),
        password: Some(Secret::Literal(setting("PASSWORD"))),
        ..Config::new(&setting("URL"))
    }
}

/// A connection with these settings.
pub(crate) fn open(config: Config) -> Arc<dyn Connection> {
    let root = std::env::temp_dir();
    let context = OpenContext { name: "place".to_owned(), scratch: root.join("scratch"), root };
    vitrina::connector::open(&ConnectionConfig::Clickhouse(config), context).unwrap()
}

/// Sends a statement as another program would; its answer, or what went wrong.
pub(crate) fn send(config: &Config, sql: &str) -> Result<String, String> {
    send_into(config, None, sql)
}

/// Sends a statement whose tables lie in a database unless it says otherwise.
fn send_into(config: &Config, database: Option<&str>, sql: &str) -> Result<String, String> {
    let Urls::One(url) = &config.url else { panic!("one url") };
    let password = match &config.password {
        Some(Secret::Literal(password)) => password.clone(),
        _ => String::new(),
    };
    let (url, user, sql) = (
        format!("{url}/?async_insert=0&mutations_sync=2&date_time_input_format=best_effort"),
        config.user.clone(),
        sql.to_owned(),
    );
    let database = database.map(str::to_owned);
    // Where nobody may wait: on a thread of its own.
    let sent = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let request = reqwest::Client::new().post(url).body(sql);
            let request = request.header("X-ClickHouse-User", user).header("X-ClickHouse-Key", password);
            let request = match database {
                Some(database) => request.header("X-ClickHouse-Database", database),
                None => request,
            };
            let answer = request.send().await.map_err(|error| error.to_string())?;
            let good = answer.status().is_success();
            let text = answer.text().await.map_err(|error| error.to_string())?;
            if good { Ok(text) } else { Err(text) }
        })
    });
    sent.join().unwrap()
}

/// A database of its own, gone when it is dropped.
pub(crate) struct Place {
    pub(crate) config: Config,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::on(config())
    }

    /// A database on another server.
    pub(crate) fn on(server: Config) -> Self {
        let database = format!("t `{}", uuid::Uuid::new_v4().simple());
        let place = Self { config: Config { database, ..server } };
        place.run(&format!("CREATE DATABASE {} ENGINE = Atomic", quote(&place.config.database)));
        place
    }

    pub(crate) fn open(&self) -> Arc<dyn Connection> {
        open(self.config.clone())
    }

    /// A table's name in SQL.
    pub(crate) fn table(&self, name: &str) -> String {
        format!("{}.{}", quote(&self.config.database), quote(name))
    }

    /// Runs a statement about tables of this database, as another program.
    pub(crate) fn inside(&self, sql: &str) -> String {
        let sent = send_into(&self.config, Some(&self.config.database), sql);
        sent.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Runs a statement as another program.
    pub(crate) fn run(&self, sql: &str) -> String {
        send(&self.config, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = send(&self.config, &format!("DROP DATABASE IF EXISTS {}", quote(&self.config.database)));
    }
}

/// A name as SQL spells it.
pub(crate) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// A server of a test's own, with users of few rights, as this engine takes them only at its start.
pub(crate) struct Granting {
    child: Child,
    port: u16,
    _data: tempfile::TempDir,
}

impl Granting {
    /// Users as `name:password:GRANT …`.
    pub(crate) fn start(users: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut child = Command::new("python3")
            .args([&setting("SERVER"), "serve", "--stop-on-eof", "--library", &setting("LIBRARY"), "--data"])
            .arg(data.path())
            .args(["--port", "0"])
            .args(users.iter().flat_map(|user| ["--granted", user]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).expect("the server starts");
        Self { child, port: ready["port"].as_u64().unwrap() as u16, _data: data }
    }

    pub(crate) fn config(&self) -> Config {
        Config { user: "default".to_owned(), ..Config::new(&format!("http://127.0.0.1:{}", self.port)) }
    }
}

impl Drop for Granting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
