//! A listener and its connections: HTTP/1.1, bounded in connections, header size and header time, and drained when told.
//! Requests that hyper itself refuses (no HTTP, too many or too big headers) never reach the API and are not counted there.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::telemetry::logs::{Level, Logs};

/// Headers beyond this number are refused with 431.
const MAX_HEADERS: usize = 100;
/// The head of a request may be this many bytes.
const MAX_HEAD: usize = 32 * 1024;
/// The pause after a connection could not be accepted, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a listener bounds.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// Connections beyond wait in the listener's queue.
    pub connections: usize,
    /// From a connection's readiness for a request to the end of the request's head.
    pub header_deadline: Duration,
}

/// A listener at work.
#[derive(Debug)]
pub struct Server {
    stop: CancellationToken,
    connections: TaskTracker,
}

impl Server {
    /// Serves `router` on `listener` until it is drained.
    #[must_use]
    pub fn start(listener: TcpListener, router: Router, limits: ServeLimits, logs: Logs) -> Self {
        let server = Self { stop: CancellationToken::new(), connections: TaskTracker::new() };
        let (stop, connections) = (server.stop.clone(), server.connections.clone());
        tokio::spawn(async move {
            let accepting = accept(listener, router, limits, logs, stop.clone(), connections);
            stop.run_until_cancelled(accepting).await;
        });
        server
    }

    /// Accepts no more, lets requests under way finish for at most `deadline`, and answers how many connections did not.
    pub async fn drain(self, deadline: Duration) -> usize {
        self.stop.cancel();
        self.connections.close();
        drop(tokio::time::timeout(deadline, self.connections.wait()).await);
        self.connections.len()
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    limits: ServeLimits,
    logs: Logs,
    stop: CancellationToken,
    connections: TaskTracker,
) {
    let free = Arc::new(Semaphore::new(limits.connections));
    while let Ok(permit) = Arc::clone(&free).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, router.clone(), limits, stop.clone(), permit));
            }
            Err(error) => {
                logs.event(
                    Level::Warn,
                    "accept_failed",
                    "a connection could not be accepted",
                    &[("error", &error.to_string())],
                );
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection. Its errors are the client's: what it left unanswered was counted where it was dropped.
async fn connection(
    stream: TcpStream,
    router: Router,
    limits: ServeLimits,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    drop(stream.set_nodelay(true));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_deadline)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    let serving = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => return,
        () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    drop(serving.await);
}
