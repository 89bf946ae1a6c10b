//! TLS in front of the server: this engine has no listener of its own for it, so a proxy holds the certificate.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};
use vitrina::connector::{
    clickhouse::config::{Config, Urls},
    error::ErrorKind,
};

use crate::support::{
    clickhouse::{config, open, setting},
    postgres::certificate,
};

/// Terminates TLS with one of the certificates for `localhost`; gives its port.
async fn terminate(name: &str) -> u16 {
    let chain = certificate(&format!("{name}.pem"));
    let chain = CertificateDer::pem_file_iter(chain).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificate(&format!("{name}.key"))).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let acceptor =
        TlsAcceptor::from(Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = setting("URL").trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_show_who_they_are() {
    let port = terminate("server").await;
    let through = |host: &str, ca: &str| Config {
        url: Urls::One(format!("https://{host}:{port}")),
        ca_file: Some(certificate(ca)),
        ..config()
    };
    assert!(open(through("localhost", "ca.pem")).probe().await.unwrap().version.starts_with("ClickHouse "));
    for (host, ca) in [("localhost", "other-ca.pem"), ("127.0.0.1", "ca.pem")] {
        let Err(error) = open(through(host, ca)).probe().await else {
            panic!("{host} {ca}: this must be refused")
        };
        assert_eq!(error.kind, ErrorKind::Denied, "{host} {ca}: {error}");
        assert!(error.advice().contains("`ca_file`"), "{}", error.advice());
    }
    let Err(error) = open(through("localhost", "none.pem")).probe().await else {
        panic!("there is no such file")
    };
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");

    let expired = Config {
        url: Urls::One(format!("https://localhost:{}", terminate("expired").await)),
        ..through("localhost", "ca.pem")
    };
    let Err(error) = open(expired).probe().await else { panic!("an expired certificate must be refused") };
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.to_string().to_lowercase().contains("expired"), "{error}");
}
