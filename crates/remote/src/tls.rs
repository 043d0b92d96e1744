//! TLS for https endpoints: rustls with ring, the system's certificate authorities or those of a file.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::{Endpoint, Error};

/// A connector for all https endpoints; `None` when there are none.
pub(crate) fn connector(
    endpoints: &[Endpoint],
    ca_file: Option<&Path>,
) -> Result<Option<TlsConnector>, Error> {
    if !endpoints.iter().any(|e| e.tls) {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let bad = |what: String| Error::File {
                path: path.to_owned(),
                what,
            };
            let text = ossmark_files::read(path)
                .map_err(|e| bad(format!("cannot read the certificates: {e}")))?;
            for certificate in CertificateDer::pem_slice_iter(&text) {
                let certificate = certificate.map_err(|e| bad(format!("is no PEM file: {e}")))?;
                roots
                    .add(certificate)
                    .map_err(|e| bad(format!("holds an unusable certificate: {e}")))?;
            }
        }
        // The system's store, or what SSL_CERT_FILE and SSL_CERT_DIR name.
        None => {
            for certificate in rustls_native_certs::load_native_certs().certs {
                // A system's store may hold certificates that rustls refuses; the others still serve.
                let _ = roots.add(certificate);
            }
        }
    }
    if roots.is_empty() {
        return Err(Error::Tls(
            "no certificate authorities found; give a PEM file with --ca-file".into(),
        ));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Tls(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Some(TlsConnector::from(Arc::new(config))))
}

/// The name that a server's certificate must have.
pub(crate) fn server_name(endpoint: &Endpoint) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(endpoint.host.clone())
        .map_err(|e| Error::Tls(format!("{endpoint}: not a name for a certificate: {e}")))
}
