//! TLS as libpq's `sslmode` has it, over rustls.

use std::{io, path::Path, pin::Pin, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::{TlsConnector, client::TlsStream as Rustls};

use super::{config::SslMode, settings::Settings};
use crate::connector::error::{Error, ErrorKind, Result};

/// Makes protected connections.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// As the connection's settings say; files lie relative to `root`, `shown` names the connection.
    pub(crate) fn new(config: &Settings, root: &Path, shown: &str) -> Result<Self> {
        let demand = match config.sslmode {
            SslMode::VerifyFull => Demand::Name,
            SslMode::VerifyCa => Demand::Authority,
            // As in libpq: a file of authorities is there to be obeyed.
            SslMode::Require if config.ca_file.is_some() => Demand::Authority,
            SslMode::Disable | SslMode::Prefer | SslMode::Require => Demand::Nothing,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let files = Files { config, root, shown };
        let judge = match demand {
            Demand::Nothing => None,
            Demand::Authority | Demand::Name => {
                let roots = Arc::new(files.roots()?);
                let made = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
                Some(made.map_err(|error| {
                    Error::new(ErrorKind::NotFound, format!("{shown}: no authority vouches for servers"))
                        .caused_by(error)
                        .hint("name the authority's certificate in `ca_file`")
                })?)
            }
        };
        let verifier = Verifier { judge, demand, provider: provider.clone() };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| files.unusable(error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let client = match files.own()? {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(|error| files.unusable(error))?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self(Arc::new(client)))
    }
}

/// The certificates that a connection names.
struct Files<'a> {
    config: &'a Settings,
    root: &'a Path,
    shown: &'a str,
}

impl Files<'_> {
    /// Who may vouch for a server: those of `ca_file`, or else of the system.
    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let Some(name) = &self.config.ca_file else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(roots);
        };
        for certificate in self.chain("ca_file", name)? {
            roots.add(certificate).map_err(|error| self.unusable(error))?;
        }
        Ok(roots)
    }

    /// The client's own certificate and its key.
    fn own(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>> {
        match (&self.config.cert_file, &self.config.key_file) {
            (Some(certificate), Some(key)) => {
                let path = self.root.join(key);
                let read = PrivateKeyDer::from_pem_file(&path);
                let key = read.map_err(|error| self.unreadable("key_file", &path, error))?;
                Ok(Some((self.chain("cert_file", certificate)?, key)))
            }
            (None, None) => Ok(None),
            _ => {
                let message =
                    format!("{} has one of `cert_file` and `key_file`, and needs both or none", self.shown);
                Err(Error::new(ErrorKind::Unsupported, message).hint("give both, or none"))
            }
        }
    }

    fn chain(&self, what: &str, name: &str) -> Result<Vec<CertificateDer<'static>>> {
        let path = self.root.join(name);
        let read = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match read {
            Ok(chain) if chain.is_empty() => Err(self.unreadable(what, &path, pem::Error::NoItemsFound)),
            Ok(chain) => Ok(chain),
            Err(error) => Err(self.unreadable(what, &path, error)),
        }
    }

    fn unreadable(&self, what: &str, path: &Path, error: pem::Error) -> Error {
        let kind = match &error {
            pem::Error::Io(error) => ErrorKind::of_io(error),
            _ => ErrorKind::Corrupt,
        };
        let message = format!("{}: {what} {} cannot be read", self.shown, path.display());
        Error::new(kind, message).caused_by(error).hint("give a file in PEM format that Vitrina may read")
    }

    fn unusable(&self, error: rustls::Error) -> Error {
        Error::new(ErrorKind::Unsupported, format!("{}: its certificates cannot be used", self.shown))
            .caused_by(error)
    }
}

/// What a server's certificate must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    Nothing,
    Authority,
    Name,
}

#[derive(Debug)]
struct Verifier {
    judge: Option<Arc<WebPkiServerVerifier>>,
    demand: Demand,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(judge) = &self.judge else {
            return Ok(ServerCertVerified::assertion());
        };
        match judge.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // The name is judged last: everything else was found good.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.demand == Demand::Authority => Ok(ServerCertVerified::assertion()),
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Protected<S>;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Handshake, io::Error> {
        let name = ServerName::try_from(domain.to_owned()).map_err(io::Error::other)?;
        Ok(Handshake { config: self.0.clone(), name })
    }
}

/// A connection about to be protected.
pub(crate) struct Handshake {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Handshake {
    type Stream = Protected<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Protected<S>, io::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connecting = TlsConnector::from(self.config).connect(self.name, stream);
        Box::pin(async move { connecting.await.map(Protected) })
    }
}

/// A protected connection.
pub(crate) struct Protected<S>(Rustls<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Protected<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Protected<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Protected<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
