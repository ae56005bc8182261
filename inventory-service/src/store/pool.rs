//! The connections to PostgreSQL, lent one at a time. Our own, because the driver's pool tests a connection it takes back
//! without a deadline: when the network swallows packets, every connection of that pool ends up waiting for ever, long
//! after the network has recovered.
//!
//! Here a connection that was not given back after a complete answer — the query failed, ran out of time, or its caller went
//! away — is closed, and the idle ones are asked for a sign of life before they are lent again.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::Connections;
use crate::clock;

/// What a new connection may take; much shorter than the time in which the service must have recovered.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// A connection that has been idle for longer is asked for a sign of life.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// What a sign of life may take.
const PING_DEADLINE: Duration = Duration::from_millis(200);

#[derive(Debug)]
struct Idle {
    connection: PgConnection,
    since: Instant,
    /// The number of doubts when it was last known to be alive.
    doubts: u64,
}

#[derive(Debug)]
struct Shared {
    options: PgConnectOptions,
    idle: Mutex<Vec<Idle>>,
    permits: Arc<Semaphore>,
    /// Grows whenever a connection was not given back: all others are in doubt then.
    doubts: AtomicU64,
    lent: AtomicU32,
    max: u32,
}

/// The pool.
#[derive(Clone, Debug)]
pub(super) struct Pool(Arc<Shared>);

/// A lent connection; dropping it closes it, [`Lease::give_back`] keeps it for the next.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Option<PgConnection>,
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool without connections; they are made when they are needed.
    pub(super) fn new(options: PgConnectOptions, max: u32) -> Self {
        let permits = Arc::new(Semaphore::new(usize::try_from(max).unwrap_or(Semaphore::MAX_PERMITS)));
        let (idle, doubts, lent) = (Mutex::default(), AtomicU64::new(0), AtomicU32::new(0));
        Self(Arc::new(Shared { options, idle, permits, doubts, lent, max }))
    }

    /// Lends a connection, waiting as long as the caller does.
    pub(super) async fn lease(&self) -> Result<Lease, sqlx::Error> {
        let shared = &self.0;
        let permit = Arc::clone(&shared.permits).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let (connection, permit) = match self.living().await {
            Some(connection) => (connection, permit),
            None => self.connected(permit).await?,
        };
        shared.lent.fetch_add(1, Ordering::Relaxed);
        Ok(Lease { connection: Some(connection), shared: Arc::clone(shared), _permit: permit })
    }

    /// A connection to the same server that is none of the pool's.
    pub(super) async fn open(&self) -> Result<PgConnection, sqlx::Error> {
        let opened = tokio::time::timeout(CONNECT_DEADLINE, self.0.options.connect()).await;
        opened.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Idle and lent connections, and how many there may be.
    pub(super) fn connections(&self) -> Connections {
        let idle = u32::try_from(self.0.idle().len()).unwrap_or(u32::MAX);
        Connections { idle, in_use: self.0.lent.load(Ordering::Relaxed), max: self.0.max }
    }

    /// Lends nothing any more and closes what is idle.
    pub(super) async fn close(&self) {
        self.0.permits.close();
        let idle = std::mem::take(&mut *self.0.idle());
        for each in idle {
            drop(tokio::time::timeout(PING_DEADLINE, each.connection.close()).await);
        }
    }

    /// An idle connection that is alive, if there is one.
    async fn living(&self) -> Option<PgConnection> {
        loop {
            let mut candidate = self.0.idle().pop()?;
            let doubts = self.0.doubts.load(Ordering::Relaxed);
            if candidate.doubts == doubts && candidate.since.elapsed() < TRUSTED_IDLE {
                return Some(candidate.connection);
            }
            match tokio::time::timeout(PING_DEADLINE, candidate.connection.ping()).await {
                Ok(Ok(())) => return Some(candidate.connection),
                Ok(Err(_)) => {}
                // Silence concerns the way to the server, and thereby all that go it.
                Err(_) => self.0.idle().clear(),
            }
        }
    }
}

/// What connecting came to, with the permit that it needed.
type Connected = Result<(PgConnection, OwnedSemaphorePermit), sqlx::Error>;

impl Pool {
    /// A new connection, made by a task of its own: one that takes longer than its caller can wait serves the next, so that
    /// a busy machine does not start over for ever.
    async fn connected(&self, permit: OwnedSemaphorePermit) -> Connected {
        let (sender, receiver) = oneshot::channel::<Connected>();
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let connecting = tokio::time::timeout(CONNECT_DEADLINE, shared.options.connect()).await;
            let connection = connecting.unwrap_or(Err(sqlx::Error::PoolTimedOut));
            if let Err(Ok((connection, _permit))) = sender.send(connection.map(|connection| (connection, permit))) {
                shared.keep(connection);
            }
        });
        receiver.await.unwrap_or(Err(sqlx::Error::PoolClosed))
    }
}

impl Shared {
    /// Keeps a connection that is known to be alive for whoever comes next.
    fn keep(&self, connection: PgConnection) {
        if !self.permits.is_closed() {
            let doubts = self.doubts.load(Ordering::Relaxed);
            self.idle().push(Idle { connection, since: clock::instant(), doubts });
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The connection.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("a lease holds its connection until it ends")
    }

    /// Ends the lease after a complete answer.
    pub(super) fn give_back(mut self) {
        if let Some(connection) = self.connection.take() {
            self.shared.keep(connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.lent.fetch_sub(1, Ordering::Relaxed);
        if self.connection.is_some() {
            self.shared.doubts.fetch_add(1, Ordering::Relaxed);
        }
    }
}
