//! Getting in, and being told why not.

use vitrina::{
    connector::{
        error::{Error, ErrorKind},
        kafka::config::{Config, Mechanism, Protocol, Security},
    },
    model::secret::Secret,
};

use crate::support::kafka::{Cluster, open, variable};

/// The secured listener of the cluster.
fn secured(cluster: &Cluster, mechanism: Mechanism) -> Config {
    let tls = variable("VITRINA_KAFKA_TLS");
    let security = Security {
        protocol: Protocol::SaslSsl,
        mechanism: Some(mechanism),
        user: Some(Secret::Env { name: "VITRINA_KAFKA_USER".to_owned(), default: None }),
        password: Some(Secret::Env { name: "VITRINA_KAFKA_PASSWORD".to_owned(), default: None }),
        ca_file: Some(format!("{tls}/ca.pem")),
    };
    Config { brokers: vec![variable("VITRINA_KAFKA_TLS_BROKERS")], security, ..cluster.config() }
}

async fn refused(cluster: &Cluster, config: Config) -> Error {
    let connection = open(config, cluster.root.path().to_owned()).unwrap();
    connection.probe().await.expect_err("this must not get in")
}

#[tokio::test(flavor = "multi_thread")]
async fn users_get_in_by_plain_and_by_scram() {
    let cluster = Cluster::new();
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha512] {
        let connection = open(secured(&cluster, mechanism), cluster.root.path().to_owned()).unwrap();
        let health = connection.probe().await.unwrap_or_else(|error| panic!("{mechanism:?}: {error}"));
        assert!(health.version.starts_with("Kafka cluster "), "{health:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn why_not_is_told() {
    let cluster = Cluster::new();
    let fine = secured(&cluster, Mechanism::Plain);
    let tls = variable("VITRINA_KAFKA_TLS");
    let with = |change: &dyn Fn(&mut Config)| {
        let mut config = fine.clone();
        change(&mut config);
        config
    };
    let port = fine.brokers[0].rsplit(':').next().unwrap().to_owned();
    let cases: Vec<(&str, Config, ErrorKind, &str)> = vec![
        (
            "a wrong password",
            with(&|config| config.security.password = Some(Secret::Literal("тайна123".to_owned()))),
            ErrorKind::Denied,
            "user or password is wrong",
        ),
        (
            "an unknown host",
            with(&|config| config.brokers = vec!["nowhere.invalid:9093".to_owned()]),
            ErrorKind::Unreachable,
            "host name is unknown",
        ),
        (
            "another authority",
            with(&|config| config.security.ca_file = Some(format!("{tls}/other-ca.pem"))),
            ErrorKind::Denied,
            "certificate cannot be verified",
        ),
        (
            "another name",
            with(&|config| config.brokers = vec![format!("127.0.0.1:{port}")]),
            ErrorKind::Denied,
            "certificate cannot be verified",
        ),
        (
            "nobody there",
            with(&|config| config.brokers = vec!["localhost:1".to_owned()]),
            ErrorKind::Unreachable,
            "refuses connections",
        ),
    ];
    for (what, config, kind, says) in cases {
        let error = refused(&cluster, config).await;
        let told = format!("{error}: {}", error.advice());
        assert_eq!(error.kind, kind, "{what}: {told}");
        assert!(told.contains(says) && told.contains("connection \"place\""), "{what}: {told}");
        assert!(!told.contains("тайна123"), "{what}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_told() {
    let cluster = Cluster::new();
    cluster.create("closed", 1, &[]);
    let mut config = secured(&cluster, Mechanism::Plain);
    config.security.user = Some(Secret::Literal("guest".to_owned()));
    let connection = open(config, cluster.root.path().to_owned()).unwrap();
    let spec = crate::support::specs::undeclared("closed");
    let error = connection.source(&spec).await.unwrap().head().await.expect_err("no right");
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.advice().contains("right"), "{}", error.advice());
}

#[test]
fn half_a_user_is_refused() {
    let cluster = Cluster::new();
    let mut config = secured(&cluster, Mechanism::Plain);
    config.security.password = None;
    let error = open(config, cluster.root.path().to_owned()).err().expect("no password");
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert!(error.advice().contains("security.password"));
}
