//! Starting and stopping: a listener on a store, until told to stop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::http;
use crate::option::Options;
use crate::store::Store;

/// Why logstore does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("listen on {address}: {source}; is another process using it?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The server broke down.
    #[error("serve: {0}")]
    Serve(#[source] io::Error),
    /// Signals cannot be waited for.
    #[error("wait for signals: {0}")]
    Signal(#[source] io::Error),
}

/// Serves until `shutdown` ends; requests that were begun are answered. Prints nothing.
///
/// # Errors
/// If the address cannot be listened on or the server breaks down.
pub async fn serve(options: Options, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
    let listener = listen(options.listen).await?;
    serve_on(listener, options, shutdown).await
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// As [`serve`].
pub async fn main(options: Options) -> Result<(), Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signal)?;
    serve(options, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

async fn serve_on(
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let store = Arc::new(Store::new(options));
    axum::serve(listener, http::router(store)).with_graceful_shutdown(shutdown).await.map_err(Error::Serve)
}

/// A store that runs inside this process, for tests.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

impl Server {
    /// Starts to listen and to serve.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let listener = listen(options.listen).await?;
        let address = listener.local_addr().map_err(Error::Serve)?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve_on(listener, options, async move {
            let _ = stopped.await;
        }));
        Ok(Self { address, stop, task })
    }

    /// Stops and waits until all begun requests are answered.
    ///
    /// # Errors
    /// If the server had broken down.
    pub async fn stop(self) -> Result<(), Error> {
        let _ = self.stop.send(());
        self.task.await.unwrap_or_else(|e| Err(Error::Serve(io::Error::other(e))))
    }
}
