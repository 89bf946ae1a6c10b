//! How servers show who they are.

use std::path::Path;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::connector::error::{Error, ErrorKind, Result};

/// A client that trusts the authorities of a file, or else those of the system.
pub(super) fn client(ca_file: Option<&Path>, shown: &str) -> Result<ClientConfig> {
    let unusable = |error: rustls::Error| {
        Error::new(ErrorKind::Unsupported, format!("{shown}: its certificates cannot be used"))
            .caused_by(error)
    };
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(path) => {
            let unreadable = |kind, cause: Option<rustls::pki_types::pem::Error>| {
                let error = Error::new(kind, format!("{shown}: ca_file {} cannot be read", path.display()))
                    .hint("give a file in PEM format that Vitrina may read");
                match cause {
                    Some(cause) => error.caused_by(cause),
                    None => error,
                }
            };
            let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let certificates = read.map_err(|error| match &error {
                rustls::pki_types::pem::Error::Io(io) => unreadable(ErrorKind::of_io(io), Some(error)),
                _ => unreadable(ErrorKind::Corrupt, Some(error)),
            })?;
            if certificates.is_empty() {
                return Err(unreadable(ErrorKind::Corrupt, None));
            }
            for certificate in certificates {
                roots.add(certificate).map_err(unusable)?;
            }
        }
    }
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
