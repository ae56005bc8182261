//! Says it is a Prometheus, and that it is ten minutes later than it is. Its argument is the address it binds.

use std::convert::Infallible;

use bytes::Bytes;
use harness::clock;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// How much too late it is, in seconds.
const AHEAD: f64 = 600.0;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9090".to_owned());
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request))));
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let now = clock::wall().as_seconds() + AHEAD;
    let text = match request.uri().path() {
        "/api/v1/query" => {
            format!(r#"{{"status":"success","data":{{"resultType":"scalar","result":[{now:.3},"{now:.3}"]}}}}"#)
        }
        _ => "Prometheus is Ready.\n".to_owned(),
    };
    Response::new(Full::new(Bytes::from(text)))
}
