//! Whom the harness trusts, and how it asks one question over TLS. Watchers in production ask for TLS and a password; a drill
//! of theirs must too. Fed with the files that `stack.toml` names; used by readiness and by every client of `telemetry`.
//!
//! The plain HTTP client of the other questions is built without TLS on purpose: its TLS would bring a second crypto
//! provider, or a default that every process of the workspace would have to choose. A connection here carries one question.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

/// Why somebody cannot be trusted, or let in.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file cannot be read.
    #[error("read {path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not say what it must.
    #[error("use {path}: {what}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong and what is expected; never what it says.
        what: String,
    },
}

/// The authorities whose signature under a server's certificate counts, and no others.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust(…)")
    }
}

impl Trust {
    /// The certificates of a PEM file.
    ///
    /// # Errors
    /// When it cannot be read or holds none.
    pub fn of_file(path: &Path) -> Result<Self, TrustError> {
        let wrong = |what: String| TrustError::Content { path: path.to_owned(), what };
        let pem = read(path)?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(wrong("it holds no certificate; give a PEM file with at least one".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| wrong(error.to_string()))?;
        Ok(Self(Arc::new(versions.with_root_certificates(roots).with_no_client_auth())))
    }
}

/// What is sent to be let in. Never shown.
#[derive(Clone)]
pub enum Credentials {
    /// Nothing.
    None,
    /// `Authorization: Bearer …`.
    Bearer(String),
    /// `Authorization: Basic …`.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bearer(_) => "Bearer(…)",
            Self::Basic { .. } => "Basic(…)",
        })
    }
}

impl Credentials {
    /// The value of the header, if there is one.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        let text = match self {
            Self::None => return None,
            Self::Bearer(token) => format!("Bearer {token}"),
            Self::Basic { user, password } => {
                let both = format!("{user}:{password}");
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both))
            }
        };
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The secret in a file: its first line.
///
/// # Errors
/// When it cannot be read or is empty.
pub fn secret(path: &Path) -> Result<String, TrustError> {
    let text = read(path)?;
    let line = text.lines().next().unwrap_or_default().trim();
    let empty = || TrustError::Content { path: path.to_owned(), what: "it is empty; expected a secret".to_owned() };
    if line.is_empty() { Err(empty()) } else { Ok(line.to_owned()) }
}

fn read(path: &Path) -> Result<String, TrustError> {
    std::fs::read_to_string(path).map_err(|source| TrustError::File { path: path.to_owned(), source })
}

/// How a server is reached and what it is told.
#[derive(Clone, Debug)]
pub struct Access {
    /// Whom to trust; none for plain HTTP.
    pub trust: Option<Trust>,
    /// What to say.
    pub credentials: Credentials,
}

impl Default for Access {
    fn default() -> Self {
        Self { trust: None, credentials: Credentials::None }
    }
}

impl Access {
    /// The scheme of the server's addresses.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.trust.is_some() { "https" } else { "http" }
    }
}

/// An answer whose body is still to be read; the connection ends with it.
pub struct Answer {
    /// Status, headers, body.
    pub response: Response<Incoming>,
    _connection: AbortOnDropHandle<()>,
}

/// Asks once, over a connection of its own. The caller holds the deadline.
///
/// # Errors
/// In words: the connection, the certificate, or the protocol.
pub async fn ask(trust: &Trust, mut request: Request<Full<Bytes>>) -> Result<Answer, String> {
    let words = |error: &dyn std::error::Error| innermost(error);
    let uri = request.uri().clone();
    let host = uri.host().ok_or("the address has no host")?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(443);
    let name = match host.parse::<IpAddr>() {
        Ok(address) => ServerName::IpAddress(address.into()),
        Err(_) => ServerName::try_from(host.clone()).map_err(|error| words(&error))?,
    };
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|error| words(&error))?;
    let secured = TlsConnector::from(Arc::clone(&trust.0)).connect(name, stream).await;
    let secured = secured.map_err(|error| words(&error))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(secured)).await;
    let (mut sender, connection) = handshake.map_err(|error| words(&error))?;
    let connection = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
    if let Some(authority) = uri.authority().and_then(|authority| HeaderValue::try_from(authority.as_str()).ok()) {
        request.headers_mut().insert(HOST, authority);
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|error: http::uri::InvalidUri| words(&error))?;
    let response = sender.send_request(request).await.map_err(|error| words(&error))?;
    Ok(Answer { response, _connection: connection })
}

/// A request without a body that says who asks.
///
/// # Errors
/// When the address is none.
pub fn question(url: &str, credentials: &Credentials) -> Result<Request<Full<Bytes>>, String> {
    let request = Request::get(url).body(Full::new(Bytes::new()));
    let mut request = request.map_err(|error| error.to_string())?;
    if let Some(value) = credentials.header() {
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

/// The cause says more than the wrapper.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_from_the_first_line_of_a_file_and_are_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "open sesame\nmore\n").unwrap();
        let password = secret(&path).unwrap();
        assert_eq!(password, "open sesame");
        let basic = Credentials::Basic { user: "ali".to_owned(), password };
        assert_eq!(basic.header().unwrap(), "Basic YWxpOm9wZW4gc2VzYW1l");
        assert!(!format!("{basic:?} {:?}", basic.header()).contains("YWxp"));
        std::fs::write(&path, "\n").unwrap();
        assert!(secret(&path).unwrap_err().to_string().contains("it is empty"));
    }

    #[test]
    fn a_file_without_a_certificate_is_nobody_to_trust() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert!(Trust::of_file(&path).unwrap_err().to_string().starts_with("read "));
        std::fs::write(&path, "not a certificate").unwrap();
        assert!(Trust::of_file(&path).unwrap_err().to_string().contains("holds no certificate"));
    }
}
