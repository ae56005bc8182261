//! Where items live. One interface over the databases; every call has a deadline and is measured. `http` calls it through
//! the cache, `readiness` pings it, the metrics read its connections and totals.

mod pool;
mod postgres;
mod row;
mod sqlite;
pub mod stocktake;

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock;
use crate::config::{Database, DatabaseUrl, Migration};
use crate::inventory::{Draft, Item, Movement, Page, Refusal, Reservation, ReservationId, Sku, Totals, Units};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::{Traces, Work};
use postgres::Postgres;
use sqlite::Sqlite;

/// The `operation` label of everything the store does.
pub const OPERATIONS: [&str; 11] = [
    "migrate",
    "ping",
    "totals",
    "list_items",
    "read_item",
    "create_item",
    "replace_item",
    "delete_item",
    "adjust_stock",
    "reserve_stock",
    "release_reservation",
];

/// What bringing the schema up to date may take.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(30);

/// What went wrong in the database, as in the `cause` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// No answer in time, or no free connection in time.
    Timeout,
    /// The connection could not be made or broke.
    Connection,
    /// A constraint that no refusal stands for.
    Constraint,
    /// Anything else.
    Other,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Timeout, Self::Connection, Self::Constraint, Self::Other];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Constraint => "constraint",
            Self::Other => "other",
        }
    }
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The rules of the inventory say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database did not do its part.
    #[error("{operation} in the database: {detail}")]
    Failed {
        /// What was tried, out of [`OPERATIONS`].
        operation: &'static str,
        /// The kind of failure.
        cause: Cause,
        /// What the database or the driver said.
        detail: String,
    },
}

impl StoreError {
    /// Whether trying again later can help: the database is away rather than in disagreement.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Failed { cause: Cause::Timeout | Cause::Connection, .. })
    }
}

/// The pool's connections right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Open and free.
    pub idle: u32,
    /// Lent out.
    pub in_use: u32,
    /// How many there may be.
    pub max: u32,
}

/// A connection that is taken and not given back until this is dropped.
pub type LeakedConnection = Box<dyn Any + Send>;

/// What an engine answers: the database's failure outside, the inventory's refusal inside.
type Answer<T> = Result<Result<T, Refusal>, sqlx::Error>;

#[derive(Debug)]
enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// One operation, waiting for a connection included.
    pub query: Duration,
    /// A question asked while a readiness probe waits.
    pub probe: Duration,
}

/// The store.
#[derive(Debug)]
pub struct Store {
    engine: Engine,
    /// Whether the schema is known to be up to date.
    prepared: AtomicBool,
    deadlines: Deadlines,
    metrics: Arc<Metrics>,
    traces: Traces,
}

macro_rules! on_engine {
    ($store:expr, $engine:ident => $call:expr) => {
        match &$store.engine {
            Engine::Sqlite($engine) => $call,
            Engine::Postgres($engine) => $call,
        }
    };
}

impl Store {
    /// Prepares the pool; connects to nothing yet.
    #[must_use]
    pub fn new(database: &Database, deadlines: Deadlines, metrics: Arc<Metrics>, traces: Traces) -> Self {
        let engine = match &database.url {
            DatabaseUrl::Sqlite(place) => Engine::Sqlite(Sqlite::open(place, deadlines.query)),
            DatabaseUrl::Postgres(address) => {
                Engine::Postgres(Postgres::open(address.options(), database.max_connections, deadlines.query))
            }
        };
        let prepared = AtomicBool::new(database.migration == Migration::Off);
        Self { engine, prepared, deadlines, metrics, traces }
    }

    /// Brings the schema up to date.
    ///
    /// # Errors
    /// When the database is away, or does not let us.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let migrating = async { on_engine!(self, engine => engine.migrate().await.map(Ok).map_err(unwrapped)) };
        self.observed("migrate", MIGRATION_DEADLINE, migrating).await?;
        self.prepared.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The value of the `database` label.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.engine {
            Engine::Sqlite(_) => "sqlite",
            Engine::Postgres(_) => "postgres",
        }
    }

    /// Up to `limit` items after `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, after: Option<&Sku>, limit: u32) -> Result<Page, StoreError> {
        self.within("list_items", async { on_engine!(self, engine => engine.list(after, limit).await.map(Ok)) }).await
    }

    /// The item.
    ///
    /// # Errors
    /// When there is none, or the database fails.
    pub async fn read(&self, sku: &Sku) -> Result<Item, StoreError> {
        self.within("read_item", async { on_engine!(self, engine => engine.read(sku).await) }).await
    }

    /// Adds an item.
    ///
    /// # Errors
    /// When the SKU is taken, or the database fails.
    pub async fn create(&self, sku: &Sku, draft: &Draft) -> Result<Item, StoreError> {
        self.within("create_item", async { on_engine!(self, engine => engine.create(sku, draft).await) }).await
    }

    /// Replaces name and quantity of an item.
    ///
    /// # Errors
    /// When there is none, or the database fails.
    pub async fn replace(&self, sku: &Sku, draft: &Draft) -> Result<Item, StoreError> {
        self.within("replace_item", async { on_engine!(self, engine => engine.replace(sku, draft).await) }).await
    }

    /// Deletes an item.
    ///
    /// # Errors
    /// When there is none or it has open reservations, or the database fails.
    pub async fn delete(&self, sku: &Sku) -> Result<(), StoreError> {
        self.within("delete_item", async { on_engine!(self, engine => engine.delete(sku).await) }).await
    }

    /// Moves stock in or out.
    ///
    /// # Errors
    /// When there is no such item, stock would leave its bounds, or the database fails.
    pub async fn adjust(&self, sku: &Sku, movement: &Movement) -> Result<Item, StoreError> {
        self.within("adjust_stock", async { on_engine!(self, engine => engine.adjust(sku, movement).await) }).await
    }

    /// Sets stock aside; answers the reservation and the item as it is now.
    ///
    /// # Errors
    /// When there is no such item or not enough stock, or the database fails.
    pub async fn reserve(&self, sku: &Sku, units: Units) -> Result<(Reservation, Item), StoreError> {
        let reservation = Reservation { id: ReservationId::random(), sku: sku.clone(), quantity: units.get() };
        let item = self
            .within("reserve_stock", async { on_engine!(self, engine => engine.reserve(&reservation).await) })
            .await?;
        Ok((reservation, item))
    }

    /// Gives reserved stock back; answers the item as it is now.
    ///
    /// # Errors
    /// When there is no such reservation, the item cannot hold the stock any more, or the database fails.
    pub async fn release(&self, id: &ReservationId) -> Result<Item, StoreError> {
        self.within("release_reservation", async { on_engine!(self, engine => engine.release(id).await) }).await
    }

    /// Sums over all items.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn totals(&self) -> Result<Totals, StoreError> {
        self.within("totals", async { on_engine!(self, engine => engine.totals().await.map(Ok)) }).await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let work = async { on_engine!(self, engine => engine.ping().await.map(Ok)) };
        self.observed("ping", self.deadlines.probe, work).await
    }

    /// The pool's connections.
    #[must_use]
    pub fn connections(&self) -> Connections {
        on_engine!(self, engine => engine.connections())
    }

    /// Takes a connection and keeps it; `None` when there is none left to take. For the fault switches.
    pub async fn leak(&self) -> Option<LeakedConnection> {
        on_engine!(self, engine => engine.leak().await)
    }

    /// Opens a connection to the server beside the pool and keeps it; `None` when there is no server or it refuses. For the
    /// fault switches.
    pub async fn leak_beside_pool(&self) -> Option<LeakedConnection> {
        match &self.engine {
            Engine::Postgres(postgres) => postgres.leak_beside_pool().await,
            Engine::Sqlite(_) => None,
        }
    }

    /// Closes all connections, waiting for those in use.
    pub async fn close(&self) {
        on_engine!(self, engine => engine.close().await);
    }

    async fn within<T>(&self, operation: &'static str, work: impl Future<Output = Answer<T>>) -> Result<T, StoreError> {
        self.observed(operation, self.deadlines.query, work).await
    }

    async fn observed<T>(
        &self,
        operation: &'static str,
        deadline: Duration,
        work: impl Future<Output = Answer<T>>,
    ) -> Result<T, StoreError> {
        let started = clock::instant();
        let refused = |cause, detail| Err(StoreError::Failed { operation, cause, detail });
        let answer = if operation != "migrate" && !self.prepared.load(Ordering::Relaxed) {
            refused(Cause::Connection, "the schema is not up to date yet".to_owned())
        } else {
            match tokio::time::timeout(deadline, work).await {
                Ok(Ok(answer)) => answer.map_err(StoreError::Refused),
                Ok(Err(error)) => refused(cause_of(&error), error.to_string()),
                Err(_) => refused(Cause::Timeout, format!("no answer within {deadline:?}")),
            }
        };
        self.record(operation, started.elapsed(), &answer);
        answer
    }

    fn record<T>(&self, operation: &'static str, duration: Duration, answer: &Result<T, StoreError>) {
        let failure = match answer {
            Err(StoreError::Failed { cause, .. }) => Some(*cause),
            _ => None,
        };
        self.metrics.query_took(operation, duration);
        if let Some(cause) = failure {
            self.metrics.database_failed(operation, cause);
        }
        self.traces
            .part(duration, Work::Query { database: self.name(), operation, failure: failure.map(Cause::as_str) });
    }
}

/// The error of the database inside an error of a migration.
fn unwrapped(error: sqlx::migrate::MigrateError) -> sqlx::Error {
    match error {
        sqlx::migrate::MigrateError::Execute(error) | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => error,
        other => sqlx::Error::Migrate(Box::new(other)),
    }
}

fn cause_of(error: &sqlx::Error) -> Cause {
    match error {
        sqlx::Error::PoolTimedOut => Cause::Timeout,
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Cause::Connection,
        sqlx::Error::Database(database) => cause_of_refusal(database.as_ref()),
        _ => Cause::Other,
    }
}

/// What the database itself says, by SQLSTATE where there is one: 57014 is a cancelled statement and 55P03 a lock not had in
/// time, as are SQLite's busy and locked; 57P01 to 57P03 are a server that stops or starts, 53300 one without room, class 08 a broken connection.
fn cause_of_refusal(error: &dyn sqlx::error::DatabaseError) -> Cause {
    if !matches!(error.kind(), sqlx::error::ErrorKind::Other) {
        return Cause::Constraint;
    }
    match error.code().as_deref() {
        Some("57014" | "55P03" | "5" | "6" | "261" | "517") => Cause::Timeout,
        Some("57P01" | "57P02" | "57P03" | "53300") => Cause::Connection,
        Some(code) if code.len() == 5 && code.starts_with("08") => Cause::Connection,
        _ => Cause::Other,
    }
}

fn is_foreign_key(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation)
}

fn connections<DB: sqlx::Database>(pool: &sqlx::Pool<DB>) -> Connections {
    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
    let max = pool.options().get_max_connections();
    Connections { idle, in_use: pool.size().saturating_sub(idle), max }
}
