//! Targets with TLS: a real rustls server with certificates made for the test, and servers that only seem to speak it.

use std::io::Write;
use std::net::TcpListener as Blocking;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// What is wrong with the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    Expired,
    OtherName,
}

/// An authority and the file others find it in.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        // each has a name of its own, else another one's signature would only be a bad one
        params.distinguished_name.push(DnType::CommonName, folder.path().display().to_string());
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn server_config(&self, flaw: Flaw, offered: &[&str]) -> ServerConfig {
        let name = if flaw == Flaw::OtherName { "elsewhere.test" } else { "localhost" };
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if flaw == Flaw::Expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let mut config = versions.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

/// What a server saw.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicU64,
    http1: AtomicU64,
    http2: AtomicU64,
}

impl Seen {
    fn requests(&self) -> (u64, u64) {
        (self.http1.load(Ordering::SeqCst), self.http2.load(Ordering::SeqCst))
    }
}

/// A server that answers with the body it got, over whatever was agreed on.
async fn serve(config: ServerConfig) -> (Target, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Seen::default());
    let counts = Arc::clone(&seen);
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, seen) = (acceptor.clone(), Arc::clone(&counts));
            tokio::spawn(async move {
                // a client that does not trust us goes away
                let Ok(stream) = acceptor.accept(stream).await else { return };
                seen.connections.fetch_add(1, Ordering::SeqCst);
                let echo = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
                    let counter = if request.version() == hyper::Version::HTTP_2 { &seen.http2 } else { &seen.http1 };
                    counter.fetch_add(1, Ordering::SeqCst);
                    async move {
                        let body: Bytes = request.into_body().collect().await?.to_bytes();
                        Ok::<_, hyper::Error>(hyper::Response::new(Full::new(body)))
                    }
                });
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                drop(server.serve_connection(TokioIo::new(stream), echo).await);
            });
        }
    });
    (Target::resolve(&format!("https://localhost:{port}"), Reach::Loopback).unwrap(), seen)
}

fn spec(target: Target, authority: &Authority, protocol: Protocol) -> Spec {
    let mut echo = RequestTemplate::get("/echo");
    echo.method = "POST".to_owned();
    echo.json = Some(serde_json::json!({ "padding": "x".repeat(100_000), "end": 7 }));
    echo.expect.json = BTreeMap::from([("/end".to_owned(), serde_json::json!(7))]);
    let mut spec = Spec::new("test", target, Model::steady(50.0, 100), vec![echo]);
    spec.trust = Trust::File(authority.file());
    (spec.lasts, spec.protocol) = (Some(SECOND), protocol);
    spec
}

/// Every request failed for TLS; returns what was said about it.
fn refused(summary: &Summary) -> String {
    assert_eq!(statuses(summary), BTreeMap::from([("tls".to_owned(), 50)]));
    assert_eq!((summary.flow.completed, summary.flow.error_share()), (0, Some(1.0)));
    summary.tls_failure.clone().unwrap()
}

#[tokio::test]
async fn a_server_with_a_good_certificate_is_spoken_to_over_tls_and_counted_to_the_single_request() {
    let authority = Authority::new();
    let (target, seen) = serve(authority.server_config(Flaw::None, &["http/1.1"])).await;
    let summary = run(spec(target, &authority, Protocol::Http1)).await;
    assert_eq!(statuses(&summary), BTreeMap::from([("200".to_owned(), 50)]));
    assert_eq!((seen.requests(), summary.errors.len(), summary.tls_failure), ((50, 0), 0, None));
    // kept alive, not one a request
    assert!(seen.connections.load(Ordering::SeqCst) < 50);
}

#[tokio::test]
async fn http2_is_agreed_on_with_tls_and_carries_all_requests_on_one_connection() {
    let authority = Authority::new();
    let (target, seen) = serve(authority.server_config(Flaw::None, &["h2", "http/1.1"])).await;
    let summary = run(spec(target, &authority, Protocol::Http2)).await;
    assert_eq!(statuses(&summary), BTreeMap::from([("200".to_owned(), 50)]));
    assert_eq!((seen.requests(), seen.connections.load(Ordering::SeqCst)), ((0, 50), 1));
}

#[tokio::test]
async fn the_server_chooses_the_version_when_both_are_offered() {
    let authority = Authority::new();
    for (offered, expected) in [(vec!["h2", "http/1.1"], (0, 50)), (vec!["http/1.1"], (50, 0)), (vec![], (50, 0))] {
        let (target, seen) = serve(authority.server_config(Flaw::None, &offered)).await;
        let summary = run(spec(target, &authority, Protocol::Negotiated)).await;
        assert_eq!(statuses(&summary), BTreeMap::from([("200".to_owned(), 50)]), "{offered:?}");
        assert_eq!(seen.requests(), expected, "{offered:?}");
    }
}

#[tokio::test]
async fn a_server_that_agrees_to_no_http2_is_not_spoken_to_over_http1_instead() {
    let authority = Authority::new();
    let (target, seen) = serve(authority.server_config(Flaw::None, &[])).await;
    let said = refused(&run(spec(target, &authority, Protocol::Http2)).await);
    assert!(said.contains("did not agree"), "{said}");
    assert_eq!(seen.requests(), (0, 0));
}

#[tokio::test]
async fn certificates_that_prove_nothing_get_no_request() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (flaw, trusted, expected) in [
        (Flaw::None, &other, "UnknownIssuer"),
        (Flaw::Expired, &authority, "expired"),
        (Flaw::OtherName, &authority, "not valid for name"),
    ] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let (target, seen) = serve(authority.server_config(flaw, &["h2", "http/1.1"])).await;
            let said = refused(&run(spec(target, trusted, protocol)).await);
            assert!(said.contains(expected), "{flaw:?}: {said}");
            assert_eq!(seen.requests(), (0, 0), "{flaw:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_closes_in_the_handshake_or_speaks_none_fails_as_tls() {
    let authority = Authority::new();
    for (greeting, expected) in [(&b""[..], "closed the connection"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "")] {
        let listener = Blocking::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // what the client says is read first, so that the close is an end and not a reset
                drop(std::io::Read::read(&mut stream, &mut [0; 4_096]));
                stream.write_all(greeting).unwrap();
            }
        });
        let target = Target::resolve(&format!("https://localhost:{port}"), Reach::Loopback).unwrap();
        let said = refused(&run(spec(target, &authority, Protocol::Http1)).await);
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_a_timeout() {
    let authority = Authority::new();
    let silent = Blocking::bind("127.0.0.1:0").unwrap();
    let target = Target::resolve(&format!("https://{}", silent.local_addr().unwrap()), Reach::Loopback).unwrap();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut spec = spec(target.clone(), &authority, protocol);
        spec.timeout = 200 * MS;
        let summary = run(spec).await;
        assert_eq!(summary.errors, BTreeMap::from([(ErrorClass::Timeout, 50)]), "{protocol:?}");
        assert!(summary.whole().latency(None).is_none());
    }
}

#[tokio::test]
async fn an_answer_that_ends_without_the_end_of_tls_was_cut_short() {
    use std::io::Read;
    let authority = Authority::new();
    let config = Arc::new(authority.server_config(Flaw::None, &["http/1.1"]));
    let listener = Blocking::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(session, stream.unwrap());
            stream.read_exact(&mut [0; 100]).unwrap();
            // no length: the answer ends with the connection, and only `close_notify` could say that it did
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf an ans").unwrap();
        }
    });
    let target = Target::resolve(&format!("https://localhost:{port}"), Reach::Loopback).unwrap();
    let mut spec = spec(target, &authority, Protocol::Http1);
    spec.requests =
        vec![RequestTemplate::get("/a-path-that-is-long-enough-for-the-server-to-read-a-hundred-bytes-of-it")];
    let summary = run(spec).await;
    let classes: Vec<&ErrorClass> = summary.errors.keys().collect();
    assert_eq!((summary.flow.completed, summary.flow.failed, classes), (0, 50, vec![&ErrorClass::Closed]));
}

#[test]
fn a_file_without_a_certificate_and_a_missing_one_are_refused_before_anything_is_sent() {
    let authority = Authority::new();
    let target = Target::resolve("https://localhost:1", Reach::Loopback).unwrap();
    for (name, text) in
        [("empty.pem", Some("")), ("no.pem", Some("-----BEGIN CERTIFICATE-----\nx\n")), ("none.pem", None)]
    {
        let path = authority.folder.path().join(name);
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let mut spec = spec(target.clone(), &authority, Protocol::Http1);
        spec.trust = Trust::File(path);
        let error = start(spec, Clock::start()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("PEM file"), "{error}");
    }
}
