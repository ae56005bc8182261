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
use crate::ruler::{self, Ruler};
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
    /// The log cannot be read or begun.
    #[error("open the log in {folder}: {source}")]
    Log {
        /// The folder.
        folder: String,
        /// Why.
        source: io::Error,
    },
    /// The rules cannot be read or not be evaluated.
    #[error("start the ruler: {0}")]
    Ruler(#[from] ruler::Error),
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
    let ruler = read_rules(&options).await?;
    serve_on(listener, open(options).await?, ruler, shutdown).await
}

/// Serves until SIGTERM or SIGINT; prints nothing.
///
/// # Errors
/// As [`serve`].
pub async fn main(options: Options) -> Result<(), Error> {
    let terminated = terminated()?;
    serve(options, terminated).await
}

/// Ends at SIGTERM or SIGINT, which from now on do not end the process by themselves.
///
/// # Errors
/// If signals cannot be waited for.
pub fn terminated() -> Result<impl Future<Output = ()> + Send + 'static, Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signal)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

async fn open(options: Options) -> Result<Arc<Store>, Error> {
    let folder = options.data.as_ref().map_or_else(String::new, |folder| folder.display().to_string());
    let opened = tokio::task::spawn_blocking(move || Store::open(options)).await;
    match opened.unwrap_or_else(|e| Err(io::Error::other(e))) {
        Ok(store) => Ok(Arc::new(store)),
        Err(source) => Err(Error::Log { folder, source }),
    }
}

async fn read_rules(options: &Options) -> Result<Option<Arc<Ruler>>, Error> {
    let Some(config) = options.config.clone() else { return Ok(None) };
    let read = tokio::task::spawn_blocking(move || Ruler::read(&config)).await;
    Ok(read.map_err(|error| Error::Serve(io::Error::other(error)))??.map(Arc::new))
}

async fn serve_on(
    listener: TcpListener,
    store: Arc<Store>,
    ruler: Option<Arc<Ruler>>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    // evaluations end with the server
    let _evaluations = ruler.as_ref().map(|ruler| ruler.start(&store));
    axum::serve(listener, http::router(store, ruler)).with_graceful_shutdown(shutdown).await.map_err(Error::Serve)
}

/// A store that runs inside this process: for tests, and for whoever wants to know the address.
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
    /// If the address cannot be listened on or the log cannot be opened.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let listener = listen(options.listen).await?;
        let address = listener.local_addr().map_err(Error::Serve)?;
        let ruler = read_rules(&options).await?;
        let store = open(options).await?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve_on(listener, store, ruler, async move {
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
