//! A service that is not the InventoryService: answers every path, counts requests, exposes the count, and writes a line about
//! each to standard output, where it leaves it to others to collect them. Drilled by the
//! acceptance suite to show that the harness knows nothing of its subject. `LISTEN` is the address it binds.

use std::convert::Infallible;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    let count = Arc::new(AtomicU64::new(0));
    loop {
        let (stream, _) = listener.accept().await?;
        let count = Arc::clone(&count);
        let service = service_fn(move |request| std::future::ready(Ok::<_, Infallible>(answer(&request, &count))));
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn answer(request: &Request<Incoming>, count: &AtomicU64) -> Response<Full<Bytes>> {
    let text = match request.uri().path() {
        "/metrics" => {
            format!("# TYPE echo_requests_total counter\necho_requests_total {}\n", count.load(Ordering::Relaxed))
        }
        path => {
            let number = count.fetch_add(1, Ordering::Relaxed);
            // a line that nobody takes is no reason not to answer
            drop(writeln!(std::io::stdout(), r#"{{"event":"echo","path":"{path}","number":{number}}}"#));
            path.to_owned()
        }
    };
    Response::new(Full::new(Bytes::from(text)))
}
