//! What is needed to speak TLS to a target: whom to trust, the name to expect, the protocols to offer. Made by `handle`
//! once a load, read by `wire` for every connection.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::spec::Protocol;
use super::target::Target;

/// Whose signature under a server's certificate counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// That of the authorities this machine trusts.
    #[default]
    System,
    /// That of the certificates in this PEM file, and of no other.
    File(PathBuf),
}

/// Why there is nobody to trust.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read as certificates.
    #[error("read certificates from {}: {what}; give a PEM file with at least one certificate", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The machine has no trusted certificates.
    #[error("find the certificates this machine trusts: {what}; install them, or name a CA file")]
    System {
        /// What is wrong.
        what: String,
    },
    /// The host is neither a name nor an address.
    #[error("expect `{host}` in a certificate: it is neither a DNS name nor an address")]
    Name {
        /// The host.
        host: String,
    },
    /// The protocol and cipher suites do not fit together.
    #[error("set up TLS: {0}")]
    Setup(#[from] rustls::Error),
}

/// A target's TLS.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl Tls {
    /// None for a target without TLS.
    pub(super) fn of(target: &Target, trust: &Trust, protocol: Protocol) -> Result<Option<Self>, TlsError> {
        let Some(host) = target.certified_host() else { return Ok(None) };
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name { host: host.to_owned() })?;
        // named, not taken from the process: another library's choice must not become ours
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = versions.with_root_certificates(roots(trust)?).with_no_client_auth();
        config.alpn_protocols = match protocol {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 => vec![b"h2".to_vec()],
            Protocol::Negotiated => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        Ok(Some(Self { config: Arc::new(config), name }))
    }
}

fn roots(trust: &Trust) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::File(path) => {
            let wrong = |what: String| TlsError::File { path: path.clone(), what };
            let certificates = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
        }
        Trust::System => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let what = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
                return Err(TlsError::System { what });
            }
        }
    }
    Ok(roots)
}
