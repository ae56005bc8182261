//! Whether this process should get requests: the database answers, and it is not about to stop. A cache that is away is
//! reported and tolerated. `admin` shows it on `/ready`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::cache::Cache;
use crate::store::Store;

/// The state that `/ready` tells.
#[derive(Debug)]
pub struct Readiness {
    draining: AtomicBool,
    store: Arc<Store>,
    cache: Arc<Cache>,
}

/// An answer of `/ready`.
#[derive(Debug)]
pub struct Report {
    /// Whether requests are welcome.
    pub ready: bool,
    /// Each dependency's state.
    pub body: Value,
}

impl Readiness {
    /// Ready as soon as the database answers.
    #[must_use]
    pub fn new(store: Arc<Store>, cache: Arc<Cache>) -> Self {
        Self { draining: AtomicBool::new(false), store, cache }
    }

    /// From now on, not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Asks every dependency, each with a deadline.
    pub async fn report(&self) -> Report {
        let draining = self.draining.load(Ordering::Relaxed);
        let database = self.store.ping().await;
        let ready = !draining && database.is_ok();
        let state = if draining {
            "draining"
        } else if ready {
            "ready"
        } else {
            "not ready"
        };
        let database = match &database {
            Ok(()) => json!({ "kind": self.store.name(), "status": "ok" }),
            Err(error) => json!({ "kind": self.store.name(), "status": "failed", "error": error.to_string() }),
        };
        let cache =
            json!({ "kind": self.cache.name(), "status": if self.cache.is_live() { "ok" } else { "degraded" } });
        Report { ready, body: json!({ "status": state, "checks": { "database": database, "cache": cache } }) }
    }
}
