//! Getting in, and being told why not.

use std::sync::Arc;

use vitrina::{
    connector::{
        error::{Error, ErrorKind},
        kafka::config::{Config, Mechanism, Protocol, Security},
    },
    model::secret::Secret,
};

use crate::support::{
    kafka::{Cluster, open, variable},
    postgres::certificate,
};

/// The secured listener of the cluster.
fn secured(cluster: &Cluster, mechanism: Mechanism) -> Config {
    let tls = variable("VITRINA_KAFKA_TLS");
    let security = Security {
        protocol: Protocol::SaslSsl,
        mechanism: Some(mechanism),
        user: Some(Secret::Env { name: "VITRINA_KAFKA_USER".to_owned(), default: None }),
        password: Some(Secret::Env { name: "VITRINA_KAFKA_PASSWORD".to_owned(), default: None }),
        ca_file: Some(format!("{tls}/ca.pem")),
        kerberos: None,
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
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512] {
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

/// A broker whose certificate has expired, as far as the handshake. The client library does not tell this from a wrong name or authority, so the message names all three.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_told() {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let chain =
        CertificateDer::pem_file_iter(certificate("expired.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificate("expired.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            assert!(acceptor.accept(stream).await.is_err(), "the client must not go on");
        }
    });
    let cluster = Cluster::new();
    let mut config = secured(&cluster, Mechanism::Plain);
    config.brokers = vec![format!("localhost:{port}")];
    config.security.ca_file = Some(certificate("ca.pem"));
    let error = refused(&cluster, config).await;
    let told = format!("{error}: {}", error.advice());
    assert_eq!(error.kind, ErrorKind::Denied, "{told}");
    assert!(told.contains("certificate cannot be verified") && told.contains("not expired"), "{told}");
    assert!(!serving.is_finished(), "the client went on");
    serving.abort();
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

/// Kerberos: what a build without it says, and what is half said.
#[test]
fn kerberos_is_asked_for_wholly() {
    use vitrina::connector::kafka::config::Kerberos;
    let cluster = Cluster::new();
    let fine = || {
        let mut config = secured(&cluster, Mechanism::Gssapi);
        let security = &mut config.security;
        (security.user, security.password) = (None, None);
        security.kerberos = Some(Kerberos {
            service: None,
            principal: "vitrina/etl@EXAMPLE.INTERNAL".to_owned(),
            keytab: "vitrina.keytab".to_owned(),
        });
        config
    };
    let refused = |config: Config| {
        let error = open(config, cluster.root.path().to_owned()).err().expect("refused");
        assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
        format!("{error}: {}", error.advice())
    };
    if cfg!(feature = "gssapi") {
        open(fine(), cluster.root.path().to_owned()).unwrap();
    } else {
        let told = refused(fine());
        assert!(told.contains("built without GSSAPI") && told.contains("--features gssapi"), "{told}");
    }
    let mut half = fine();
    half.security.kerberos = None;
    assert!(refused(half).contains("security.kerberos"));
    let mut both = fine();
    both.security.user = Some(Secret::Literal("me".to_owned()));
    assert!(refused(both).contains("security.user"));
    let mut other = fine();
    other.security.mechanism = Some(Mechanism::Plain);
    assert!(refused(other).contains("GSSAPI"));
    let mut strange = fine();
    if let Some(kerberos) = &mut strange.security.kerberos {
        kerberos.principal = "me; rm x".to_owned();
    }
    assert!(refused(strange).contains("principal"));
}
