//! The places that rows come from and go to, and the servers that they are on.

use std::{fmt, sync::OnceLock};

use vitrina::{
    connector::{clickhouse::config::Urls, postgres::config::Config as Postgres},
    model::secret::Secret,
};

use crate::support::{
    clickhouse::{self, Place as Database},
    kafka::Cluster,
    own::Own,
    postgres::Place as Schema,
};

/// A kind of place that rows come from and go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Rows that a pipeline makes up: nothing to connect to.
    Generate,
    Sqlite,
    Delta,
    /// The same tables in a bucket.
    Bucket,
    /// Files that a manifest names.
    Files,
    Postgres,
    /// The same server, by the statements of Greenplum.
    Greenplum,
    Kafka,
    Clickhouse,
}

/// The way of a project's rows: from the bot's own database, or by a place of another kind, into the warehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) from: Place,
    pub(super) into: Place,
}

impl Place {
    /// Those that are played with every other one; tables in a bucket differ from others of theirs by what keeps them, not by who reads or fills them.
    pub(super) const ALL: [Self; 7] = [
        Self::Sqlite,
        Self::Delta,
        Self::Files,
        Self::Postgres,
        Self::Greenplum,
        Self::Kafka,
        Self::Clickhouse,
    ];

    /// As a pair names it: a connection's `kind`, but for buckets and for rows that are made up.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Sqlite => "sqlite",
            Self::Delta => "delta",
            Self::Bucket => "s3",
            Self::Files => "files",
            Self::Postgres => "postgres",
            Self::Greenplum => "greenplum",
            Self::Kafka => "kafka",
            Self::Clickhouse => "clickhouse",
        }
    }

    /// Whether it is on a server that may be disturbed, and not in files; the bucket's forgets everything when it ends.
    fn is_served(self) -> bool {
        !matches!(self, Self::Generate | Self::Sqlite | Self::Delta | Self::Bucket | Self::Files)
    }
}

impl Pair {
    /// Made-up rows, which nothing of the place that they go to depends on.
    pub(super) const MADE_UP: Self = Self { from: Place::Generate, into: Place::Sqlite };

    /// Every pair there is.
    pub(super) fn all() -> Vec<Self> {
        let each = Place::ALL.into_iter().flat_map(|from| Place::ALL.map(|into| Self { from, into }));
        each.chain([Self { from: Place::Sqlite, into: Place::Bucket }, Self::MADE_UP]).collect()
    }

    /// Whether another pipeline fills the place that the rows come from, with what the bot wrote.
    pub(super) fn is_by_another(self) -> bool {
        !matches!(self.from, Place::Generate | Place::Sqlite)
    }

    /// The places that runs of its project write into.
    pub(super) fn written(self) -> Vec<Place> {
        let from = Some(self.from).filter(|_| self.is_by_another());
        let beside = Some(Place::Sqlite).filter(|_| matches!(self.into, Place::Kafka | Place::Files));
        [self.into].into_iter().chain(from).chain(beside).collect()
    }

    /// Its places that are on servers.
    pub(super) fn served(self) -> Vec<Place> {
        let from = Some(self.from).filter(|from| *from != self.into);
        from.into_iter().chain([self.into]).filter(|place| place.is_served()).collect()
    }

    pub(super) fn has(self, place: Place) -> bool {
        self.from == place || self.into == place
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}", self.from.kind(), self.into.kind())
    }
}

/// Servers of its own, that may be harmed; each is started when it is first needed.
#[derive(Default)]
pub(super) struct Lane {
    postgres: OnceLock<Own>,
    kafka: OnceLock<Own>,
    clickhouse: OnceLock<Own>,
}

impl Lane {
    /// The server that a place is on.
    pub(super) fn server(&self, place: Place) -> &Own {
        match place {
            Place::Postgres | Place::Greenplum => self.postgres.get_or_init(Own::postgres),
            Place::Kafka => self.kafka.get_or_init(Own::kafka),
            Place::Clickhouse => self.clickhouse.get_or_init(Own::clickhouse),
            Place::Generate | Place::Sqlite | Place::Delta | Place::Bucket | Place::Files => {
                panic!("there is no server")
            }
        }
    }
}

/// What the servers keep for a project, gone with it.
pub(super) struct Servers {
    postgres: Option<Schema>,
    greenplum: Option<Schema>,
    cluster: Option<Cluster>,
    database: Option<Database>,
    /// In the bucket.
    folder: String,
}

impl Servers {
    /// On the servers of a lane, or on those of scripts/services.
    pub(super) fn of(pair: Pair, lane: Option<&Lane>) -> Self {
        let own = |place| lane.map(|lane| lane.server(place));
        let schema = |place| match own(place) {
            Some(own) => Schema::on(own.as_postgres()),
            None => Schema::new(),
        };
        Self {
            postgres: pair.has(Place::Postgres).then(|| schema(Place::Postgres)),
            greenplum: pair.has(Place::Greenplum).then(|| schema(Place::Greenplum)),
            cluster: pair.has(Place::Kafka).then(|| match own(Place::Kafka) {
                Some(own) => Cluster::at(own.address().to_owned()),
                None => Cluster::new(),
            }),
            database: pair.has(Place::Clickhouse).then(|| match own(Place::Clickhouse) {
                Some(own) => Database::on(own.as_clickhouse()),
                None => Database::on(clickhouse::config()),
            }),
            folder: format!("crash-{}", uuid::Uuid::new_v4().simple()),
        }
    }

    /// Drops a table of a server, as somebody would by hand.
    pub(super) fn drop_table(&self, table: &str) {
        let sql = format!("DROP TABLE {table}");
        for schema in [&self.postgres, &self.greenplum].into_iter().flatten() {
            tokio::runtime::Runtime::new().unwrap().block_on(schema.run(&sql));
        }
        if let Some(database) = &self.database {
            database.inside(&sql);
        }
    }

    /// The keys of a connection of this name to a place, whose files lie below `root`.
    pub(super) fn connection(&self, place: Place, name: &str, root: &str) -> String {
        let path = format!("{root}/{name}");
        match place {
            Place::Generate => panic!("there is nothing to connect to"),
            Place::Bucket => BUCKET.replace("FOLDER", &format!("{}/{name}", self.folder)),
            Place::Sqlite => format!("kind = \"sqlite\"\npath = \"{path}.db\""),
            Place::Delta => format!("kind = \"delta\"\npath = \"{path}\""),
            Place::Files => format!("kind = \"files\"\npath = \"{path}\""),
            Place::Postgres => keys("postgres", &self.postgres.as_ref().expect("a schema was made").config()),
            Place::Greenplum => {
                keys("greenplum", &self.greenplum.as_ref().expect("a schema was made").config())
            }
            Place::Kafka => {
                let cluster = self.cluster.as_ref().expect("a cluster was reached");
                let (brokers, prefix) = (cluster.config().brokers, &cluster.prefix);
                format!("kind = \"kafka\"\nbrokers = {brokers:?}\nprefix = {prefix:?}\n{TRANSACTIONS}")
            }
            Place::Clickhouse => {
                let config = &self.database.as_ref().expect("a database was made").config;
                let Urls::One(url) = &config.url else { panic!("one url") };
                format!(
                    "kind = \"clickhouse\"\nurl = \"{url}\"\ndatabase = '{}'\nuser = \"{}\"\npassword = \"{}\"\n{PATIENT}",
                    config.database,
                    config.user,
                    plain(config.password.as_ref())
                )
            }
        }
    }
}

const BUCKET: &str = r#"kind = "delta"
path = "s3://vitrina/FOLDER"
endpoint = { env = "VITRINA_S3_ENDPOINT" }
allow_http = true
access_key_id = { env = "VITRINA_S3_ACCESS_KEY_ID" }
secret_access_key = { env = "VITRINA_S3_SECRET_ACCESS_KEY" }"#;

/// A machine may have other things to do.
const PATIENT: &str = "connect_timeout = \"60s\"";

/// How long transactions may stand open is told to a run by its environment.
const TRANSACTIONS: &str =
    "transaction_timeout = { env = \"VITRINA_CHAOS_TRANSACTION_TIMEOUT\", default = \"60s\" }";

fn keys(kind: &str, config: &Postgres) -> String {
    let Postgres { host, port, database, user, password, schema, .. } = config;
    format!(
        "kind = \"{kind}\"\nhost = \"{host}\"\nport = {port}\ndatabase = \"{database}\"\nuser = \"{user}\"\npassword = \"{}\"\n\
         schema = '{schema}'\nsslmode = \"disable\"\n{PATIENT}",
        plain(password.as_ref())
    )
}

fn plain(password: Option<&Secret>) -> &str {
    match password {
        Some(Secret::Literal(password)) => password,
        _ => "",
    }
}
