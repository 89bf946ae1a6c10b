//! TLS and who may come in, against the real server's certificates.

use std::{sync::Arc, time::Duration};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vitrina::{
    connector::{
        error::{Error, ErrorKind},
        postgres::config::{Config, SslMode},
    },
    model::secret::Secret,
};

use crate::support::postgres::{certificate, config, open, setting, try_open};

/// What asking the server with these settings comes to.
async fn ask(config: Config) -> Result<(), Error> {
    try_open(config)?.probe().await.map(|_| ())
}

async fn refused(config: Config) -> (ErrorKind, String) {
    let Err(error) = ask(config).await else { panic!("this must be refused") };
    assert!(!error.to_string().contains(&setting("PASSWORD")), "{error}");
    (error.kind, format!("{error} | {}", error.advice()))
}

fn protected(sslmode: SslMode, host: &str, ca: Option<&str>) -> Config {
    Config { sslmode, host: host.to_owned(), ca_file: ca.map(certificate), ..config() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mode_protects_as_libpq_does() {
    use SslMode::{Disable, Prefer, Require, VerifyCa, VerifyFull};
    for (mode, host, ca) in [
        (Disable, "localhost", None),
        (Prefer, "localhost", None),
        (Require, "localhost", None),
        (Require, "127.0.0.1", Some("ca.pem")),
        (VerifyCa, "127.0.0.1", Some("ca.pem")),
        (VerifyFull, "localhost", Some("ca.pem")),
    ] {
        ask(protected(mode, host, ca)).await.unwrap_or_else(|error| panic!("{mode:?} {host}: {error}"));
    }
    let (kind, told) = refused(protected(VerifyFull, "127.0.0.1", Some("ca.pem"))).await;
    assert_eq!(kind, ErrorKind::Denied);
    assert!(told.contains("for another name"), "{told}");
    for mode in [Require, VerifyCa, VerifyFull] {
        let (kind, told) = refused(protected(mode, "localhost", Some("other-ca.pem"))).await;
        assert_eq!(kind, ErrorKind::Denied, "{mode:?}");
        assert!(told.contains("nobody who is trusted") && told.contains("ca_file"), "{told}");
    }
    // The system's authorities do not know this server either.
    let (kind, told) = refused(protected(VerifyFull, "localhost", None)).await;
    assert_eq!(kind, ErrorKind::Denied, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_opens() {
    let with = |own: bool| Config {
        user: "cert".to_owned(),
        password: None,
        cert_file: own.then(|| certificate("client.pem")),
        key_file: own.then(|| certificate("client.key")),
        ..protected(SslMode::VerifyFull, "localhost", Some("ca.pem"))
    };
    ask(with(true)).await.unwrap();
    let (kind, told) = refused(with(false)).await;
    assert_eq!(kind, ErrorKind::Denied, "{told}");
    let (kind, _) = refused(Config { key_file: None, ..with(true) }).await;
    assert_eq!(kind, ErrorKind::Unsupported);
    let (kind, told) = refused(Config { ca_file: Some("no/such/ca.pem".to_owned()), ..with(true) }).await;
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(told.contains("no/such/ca.pem"), "{told}");
}

/// A server whose certificate has expired, as far as the handshake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_is_named() {
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
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 8]).await.unwrap();
        stream.write_all(b"S").await.unwrap();
        assert!(acceptor.accept(stream).await.is_err(), "the client must not go on");
    });
    let (kind, told) =
        refused(Config { port, ..protected(SslMode::VerifyFull, "localhost", Some("ca.pem")) }).await;
    assert_eq!(kind, ErrorKind::Denied);
    assert!(told.contains("has expired"), "{told}");
    serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_come_in_hears_why() {
    let (kind, told) =
        refused(Config { password: Some(Secret::Literal("wrong-secret-42".to_owned())), ..config() }).await;
    assert_eq!(kind, ErrorKind::Denied);
    assert!(told.contains("password authentication failed") && !told.contains("wrong-secret-42"), "{told}");
    let (kind, told) = refused(Config { password: None, ..config() }).await;
    assert_eq!(kind, ErrorKind::Denied, "{told}");
    assert!(told.contains("give `password`"), "{told}");
    let (kind, told) = refused(Config { host: "no-such-host.invalid".to_owned(), ..config() }).await;
    assert_eq!(kind, ErrorKind::Unreachable);
    assert!(told.contains("check `host`"), "{told}");
    let (kind, told) = refused(Config { port: 1, ..config() }).await;
    assert_eq!(kind, ErrorKind::Unreachable, "{told}");
    let (kind, told) = refused(Config { database: "no_such_database".to_owned(), ..config() }).await;
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(told.contains("CREATE DATABASE"), "{told}");
    let shown = format!("{:?}", config());
    assert!(!shown.contains(&setting("PASSWORD")), "{shown}");
}

/// A server that takes the call and says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_a_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let holding =
        tokio::spawn(async move { listener.accept().await.map(|held| (held, std::future::pending::<()>())) });
    let quick = Config { port, connect_timeout: "300ms".parse().unwrap(), ..config() };
    let asked = tokio::time::timeout(Duration::from_mins(1), refused(quick)).await.expect("it waits on");
    assert_eq!(asked.0, ErrorKind::Timeout, "{}", asked.1);
    holding.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_is_missing_is_told() {
    let health = open(Config { schema: "нет такой".to_owned(), ..config() }).probe().await.unwrap();
    assert!(health.rights.iter().all(|right| right != "read"), "{health:?}");
    assert!(health.notes[0].contains("CREATE SCHEMA"), "{health:?}");
}
