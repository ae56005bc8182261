//! The service as a whole: everything built from the settings, both ports open, and all of it ended in order. `main` and the
//! tests use the same.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::admin::{self, Admin};
use crate::cache::{Cache, CacheError};
use crate::config::{Migration, Settings};
use crate::fault::Faults;
use crate::http::body::BodyLimits;
use crate::http::{self, App};
use crate::readiness::Readiness;
use crate::serve::{ServeLimits, Server};
use crate::store::stocktake::Stocktake;
use crate::store::{Deadlines, Store, StoreError};
use crate::telemetry::logs::{Level, LogSettings, LogWriters, Logs};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::{Exporter, Traces};

/// What the log may take to deliver its last lines.
const FLUSH_DEADLINE: Duration = Duration::from_secs(3);
/// The pause before the schema is tried again.
const MIGRATION_PAUSE: Duration = Duration::from_millis(500);
/// What the last scrape may take.
const ADMIN_DRAIN: Duration = Duration::from_millis(200);
/// Connections to the admin port.
const ADMIN_CONNECTIONS: usize = 64;

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port is not to be had.
    #[error("listen on {address}: {source}; choose another with {variable}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// Where it comes from.
        variable: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The log cannot work.
    #[error("start the log: {0}")]
    Log(#[from] std::io::Error),
    /// The database cannot work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The cache cannot work.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// A service at work.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    admin_address: SocketAddr,
    api: Server,
    admin: Server,
    readiness: Arc<Readiness>,
    faults: Arc<Faults>,
    store: Arc<Store>,
    logs: Logs,
    writers: LogWriters,
    exporter: Exporter,
    drain_deadline: Duration,
}

impl Service {
    /// Opens the store and both ports; the log goes to `output`.
    ///
    /// # Errors
    /// When a port, the database or the log cannot be had.
    pub async fn start(settings: Settings, output: impl Write + Send + 'static) -> Result<Self, StartError> {
        let metrics = Metrics::new(settings.sabotage);
        let (logs, writers) = Logs::start(log_settings(&settings), Arc::clone(&metrics), output)?;
        let (traces, exporter) = Traces::start(settings.otlp.as_deref(), &settings.environment, Arc::clone(&metrics))?;
        let store = open_store(&settings, Arc::clone(&metrics), traces.clone(), &logs).await?;
        let cache = Arc::new(Cache::start(&settings.cache, Arc::clone(&metrics))?);
        let faults = Arc::new(Faults::new(Arc::clone(&store), logs.clone()));
        let readiness = Arc::new(Readiness::new(Arc::clone(&store), Arc::clone(&cache)));

        let admin = Arc::new(Admin {
            registry: metrics.registry(),
            metrics: Arc::clone(&metrics),
            store: Arc::clone(&store),
            stocktake: Stocktake::new(Arc::clone(&store)),
            readiness: Arc::clone(&readiness),
            faults: Arc::clone(&faults),
            sabotage: settings.sabotage,
            frozen: OnceLock::new(),
        });
        let app = Arc::new(App {
            store: Arc::clone(&store),
            cache,
            metrics,
            logs: logs.clone(),
            traces,
            trace_share: settings.trace_share,
            faults: Arc::clone(&faults),
            instrumentation: settings.instrumentation,
            in_flight: Semaphore::new(settings.max_in_flight),
            request_deadline: settings.request_deadline,
            body_limits: BodyLimits { size: settings.max_body, deadline: settings.body_deadline },
        });

        let (api_listener, address) = listen(settings.listen, "LISTEN").await?;
        let (admin_listener, admin_address) = listen(settings.admin_listen, "ADMIN_LISTEN").await?;
        let limits = ServeLimits { connections: settings.max_connections, header_deadline: settings.header_deadline };
        let api = Server::start(api_listener, http::router(app), limits, logs.clone());
        let limits = ServeLimits { connections: ADMIN_CONNECTIONS, ..limits };
        let admin = Server::start(admin_listener, admin::router(admin, settings.faults), limits, logs.clone());

        let (shown, admin_shown) = (address.to_string(), admin_address.to_string());
        let fields = [("listen", shown.as_str()), ("admin_listen", &admin_shown), ("database", store.name())];
        logs.event(Level::Info, "service_started", "listening", &fields);
        let drain_deadline = settings.drain_deadline;
        Ok(Self {
            address,
            admin_address,
            api,
            admin,
            readiness,
            faults,
            store,
            logs,
            writers,
            exporter,
            drain_deadline,
        })
    }

    /// The API's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The admin port's address.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Ends it in order: not ready, no new connections, requests under way finished, log delivered. Answers how many
    /// connections had to be cut.
    pub async fn stop(self) -> usize {
        self.readiness.drain();
        self.logs.event(Level::Info, "service_draining", "finishing requests under way", &[]);
        let unfinished = self.api.drain(self.drain_deadline).await;
        self.faults.turn_off(None);
        self.logs.event(
            Level::Info,
            "service_stopped",
            "goodbye",
            &[("unfinished_connections", &unfinished.to_string())],
        );
        tokio::join!(self.writers.close(FLUSH_DEADLINE), self.exporter.close(FLUSH_DEADLINE));
        drop(tokio::time::timeout(ADMIN_DRAIN, self.store.close()).await);
        self.admin.drain(ADMIN_DRAIN).await;
        unfinished
    }
}

/// The store with its schema up to date; when the database is away, that is made up for as soon as it is there.
async fn open_store(
    settings: &Settings,
    metrics: Arc<Metrics>,
    traces: Traces,
    logs: &Logs,
) -> Result<Arc<Store>, StoreError> {
    let deadlines = Deadlines { query: settings.query_deadline, probe: settings.probe_deadline };
    let store = Arc::new(Store::new(&settings.database, deadlines, metrics, traces));
    if settings.database.migration == Migration::Off {
        return Ok(store);
    }
    match store.migrate().await {
        Err(error) if error.is_unavailable() => {
            logs.event(
                Level::Warn,
                "database_awaited",
                "starting without the database",
                &[("error", &error.to_string())],
            );
            let (again, logs) = (Arc::clone(&store), logs.clone());
            tokio::spawn(async move { migrate_later(again, logs).await });
            Ok(store)
        }
        migrated => migrated.map(|()| store),
    }
}

async fn migrate_later(store: Arc<Store>, logs: Logs) {
    loop {
        tokio::time::sleep(MIGRATION_PAUSE).await;
        match store.migrate().await {
            Ok(()) => return logs.event(Level::Info, "database_found", "the schema is up to date", &[]),
            Err(error) if error.is_unavailable() => {}
            Err(error) => logs.event(
                Level::Error,
                "database_refused",
                "the schema is not up to date",
                &[("error", &error.to_string())],
            ),
        }
    }
}

/// Brings the schema up to date and does nothing else: what `DATABASE_MIGRATE=only` asks for.
///
/// # Errors
/// When the database is away or does not let us.
pub async fn migrate(settings: &Settings) -> Result<(), StoreError> {
    let deadlines = Deadlines { query: settings.query_deadline, probe: settings.probe_deadline };
    Store::new(&settings.database, deadlines, Metrics::new(settings.sabotage), Traces::disabled()).migrate().await
}

fn log_settings(settings: &Settings) -> LogSettings {
    LogSettings {
        level: settings.log_level,
        environment: settings.environment.clone(),
        loki: settings.loki.clone(),
        buffer: settings.log_buffer,
        sabotage: settings.sabotage,
    }
}

async fn listen(address: SocketAddr, variable: &'static str) -> Result<(TcpListener, SocketAddr), StartError> {
    let refused = |source| StartError::Listen { address, variable, source };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}
