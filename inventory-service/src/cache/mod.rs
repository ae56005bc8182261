//! Items kept close, cache-aside: reads come from here when they can, every acknowledged write replaces what is here.
//! A cache that fails costs time, never a request: errors are counted and the database answers.
//!
//! An entry lives for seconds, and a newer version is never replaced by an older one, so that a reader who loaded before a
//! write cannot put the past back. Simultaneous misses of one item ask the database once.

mod flight;
mod redis;

use std::future::Future;
use std::sync::Arc;

use moka::future::Cache as Moka;
use moka::ops::compute::Op;

use crate::config::{CacheSettings, CacheUrl};
use crate::inventory::{Item, Sku};
use crate::store::StoreError;
use crate::telemetry::metrics::Metrics;
use flight::Flights;
use redis::Redis;

/// How many items this process remembers at most.
const CAPACITY: u64 = 100_000;

#[derive(Debug)]
enum Engine {
    Memory(Moka<Sku, Arc<Item>>),
    Redis(Arc<Redis>),
}

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
#[error("use the address of redis: {0}")]
pub struct CacheError(::redis::RedisError);

/// The cache.
#[derive(Debug)]
pub struct Cache {
    engine: Engine,
    flights: Flights,
    metrics: Arc<Metrics>,
}

impl Cache {
    /// Prepares the cache. Needs a tokio runtime: Redis is looked for in the background.
    ///
    /// # Errors
    /// When the address of Redis cannot be used at all; that it does not answer is no error.
    pub fn start(settings: &CacheSettings, metrics: Arc<Metrics>) -> Result<Self, CacheError> {
        let engine = match &settings.url {
            CacheUrl::Memory => {
                Engine::Memory(Moka::builder().max_capacity(CAPACITY).time_to_live(settings.time_to_live).build())
            }
            CacheUrl::Redis(address) => {
                Engine::Redis(Redis::start(address, settings, Arc::clone(&metrics)).map_err(CacheError)?)
            }
        };
        Ok(Self { engine, flights: Flights::default(), metrics })
    }

    /// Which cache it is.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.engine {
            Engine::Memory(_) => "memory",
            Engine::Redis(_) => "redis",
        }
    }

    /// Whether it is in use; if not, the database answers everything.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match &self.engine {
            Engine::Memory(_) => true,
            Engine::Redis(redis) => redis.is_live(),
        }
    }

    /// The item from the cache, else from `load`, which is asked once however many callers wait for the same item.
    ///
    /// # Errors
    /// What `load` answers.
    pub async fn read_through<F>(&self, sku: &Sku, load: F) -> Result<Arc<Item>, Arc<StoreError>>
    where
        F: Future<Output = Result<Item, StoreError>> + Send + 'static,
    {
        if let Some(item) = self.get(sku).await {
            self.metrics.cache_hits.inc();
            return Ok(item);
        }
        self.metrics.cache_misses.inc();
        let loaded = self.flights.join(sku, load).await?;
        self.put(&loaded).await;
        Ok(loaded)
    }

    /// Remembers an item unless a newer version of it is known.
    pub async fn put(&self, item: &Arc<Item>) {
        match &self.engine {
            Engine::Memory(entries) => {
                let newer = |known: Option<moka::Entry<Sku, Arc<Item>>>| {
                    let stale = known.is_some_and(|entry| entry.value().version >= item.version);
                    std::future::ready(if stale { Op::Nop } else { Op::Put(Arc::clone(item)) })
                };
                entries.entry_by_ref(&item.sku).and_compute_with(newer).await;
            }
            Engine::Redis(redis) => redis.put(item).await,
        }
    }

    /// Forgets an item.
    pub async fn forget(&self, sku: &Sku) {
        match &self.engine {
            Engine::Memory(entries) => entries.invalidate(sku).await,
            Engine::Redis(redis) => redis.forget(sku).await,
        }
    }

    async fn get(&self, sku: &Sku) -> Option<Arc<Item>> {
        match &self.engine {
            Engine::Memory(entries) => entries.get(sku).await,
            Engine::Redis(redis) => redis.get(sku).await,
        }
    }
}
