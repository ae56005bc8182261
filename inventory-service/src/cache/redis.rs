//! Items in Redis. A call that fails or is too slow takes the cache out of use at once: from then on requests go to the
//! database without trying, while a task asks for a sign of life over a new connection until there is one.
//!
//! An item that could not be written while Redis was away may be there in an older version; such items are remembered here
//! as suspect and read from the database until Redis has forgotten its version by itself.

use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use moka::future::Cache as Moka;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult};
use tokio::sync::Notify;

use super::CAPACITY;
use crate::config::{CacheSettings, RedisAddress};
use crate::inventory::{Item, Sku};
use crate::telemetry::metrics::Metrics;

/// The pause between two signs of life that did not come.
const PAUSE: Duration = Duration::from_millis(250);

/// Sets the value unless it holds the same or a newer version: `<version> <json>`.
const SET_NEWER: &str = "local old = redis.call('GET', KEYS[1]) \
    if old then local version = tonumber(string.match(old, '^(%d+) ')) \
    if version and version >= tonumber(ARGV[1]) then return 0 end end \
    redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3]) return 1";

#[derive(Debug)]
pub(super) struct Redis {
    client: Client,
    live: RwLock<Option<Live>>,
    /// Told when the connection is given up.
    broken: Notify,
    suspects: Moka<Sku, ()>,
    time_to_live: Duration,
    deadline: Duration,
    metrics: Arc<Metrics>,
}

#[derive(Clone, Debug)]
struct Live {
    connection: MultiplexedConnection,
    /// Which one it is, so that a late failure of an old one does not harm its successor.
    number: u64,
}

impl Redis {
    /// Prepares the cache and starts looking for Redis.
    pub(super) fn start(
        address: &RedisAddress,
        settings: &CacheSettings,
        metrics: Arc<Metrics>,
    ) -> RedisResult<Arc<Self>> {
        let redis = Arc::new(Self {
            client: Client::open(address.info())?,
            live: RwLock::new(None),
            broken: Notify::new(),
            suspects: Moka::builder().max_capacity(CAPACITY).time_to_live(settings.time_to_live).build(),
            time_to_live: settings.time_to_live,
            deadline: settings.deadline,
            metrics,
        });
        tokio::spawn(look(Arc::downgrade(&redis)));
        Ok(redis)
    }

    pub(super) fn is_live(&self) -> bool {
        self.live.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The item, if Redis has it and it makes sense.
    pub(super) async fn get(&self, sku: &Sku) -> Option<Arc<Item>> {
        if self.suspects.contains_key(sku) {
            return None;
        }
        let value: Vec<u8> = self.call::<Option<Vec<u8>>>(redis::cmd("GET").arg(key(sku))).await??;
        let item = parse(&value).filter(|item| item.sku == *sku);
        if item.is_none() {
            self.metrics.cache_errors.inc();
        }
        item.map(Arc::new)
    }

    pub(super) async fn put(&self, item: &Item) {
        let json = serde_json::to_string(item).expect("an item is JSON");
        let lifetime = u64::try_from(self.time_to_live.as_millis()).unwrap_or(u64::MAX);
        let mut command = redis::cmd("EVAL");
        command.arg(SET_NEWER).arg(1).arg(key(&item.sku)).arg(item.version).arg(json).arg(lifetime);
        self.change(&item.sku, &command).await;
    }

    pub(super) async fn forget(&self, sku: &Sku) {
        self.change(sku, redis::cmd("DEL").arg(key(sku))).await;
    }

    async fn change(&self, sku: &Sku, command: &Cmd) {
        match self.call::<i64>(command).await {
            Some(_) => self.suspects.invalidate(sku).await,
            None => self.suspects.insert(sku.clone(), ()).await,
        }
    }

    /// The answer to a command; `None` when there is no use in asking, or asking failed. Both are errors of the cache: an
    /// outage in which nobody asks any more must not look like one without failures.
    async fn call<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(Live { mut connection, number }) = live else {
            self.metrics.cache_errors.inc();
            return None;
        };
        let error = match tokio::time::timeout(self.deadline, command.query_async(&mut connection)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        self.metrics.cache_errors.inc();
        if error.as_ref().is_none_or(concerns_connection) {
            self.give_up(number);
        }
        None
    }

    fn give_up(&self, number: u64) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        if live.as_ref().is_some_and(|live| live.number == number) {
            *live = None;
            self.broken.notify_one();
        }
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.deadline))
            .set_response_timeout(Some(self.deadline));
        let connecting = async {
            let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            let () = redis::cmd("PING").query_async(&mut connection).await?;
            Ok(connection)
        };
        let late = |_| RedisError::from((ErrorKind::Io, "no sign of life in time"));
        tokio::time::timeout(self.deadline * 2, connecting).await.map_err(late)?
    }
}

/// Keeps looking for Redis whenever there is no connection, for as long as there is a cache.
async fn look(redis: Weak<Redis>) {
    for number in 0.. {
        let Some(connection) = find(&redis).await else { return };
        let Some(found) = redis.upgrade() else { return };
        *found.live.write().unwrap_or_else(PoisonError::into_inner) = Some(Live { connection, number });
        found.broken.notified().await;
    }
}

async fn find(redis: &Weak<Redis>) -> Option<MultiplexedConnection> {
    loop {
        let looking = redis.upgrade()?;
        match looking.connect().await {
            Ok(connection) => return Some(connection),
            Err(_) => looking.metrics.cache_errors.inc(),
        };
        drop(looking);
        tokio::time::sleep(PAUSE).await;
    }
}

/// A refusal of one command says nothing about the connection; everything else does.
fn concerns_connection(error: &RedisError) -> bool {
    error.code().is_none() && error.kind() != ErrorKind::UnexpectedReturnType
}

fn key(sku: &Sku) -> String {
    format!("inventory:item:{sku}")
}

fn parse(value: &[u8]) -> Option<Item> {
    let text = std::str::from_utf8(value).ok()?;
    serde_json::from_str(text.split_once(' ')?.1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_no_item() {
        for value in
            [&b""[..], b"7", b"7 {", b"\xff\xfe", b"7 {\"sku\":\"a b\",\"name\":\"x\",\"quantity\":1,\"version\":1}"]
        {
            assert!(parse(value).is_none());
        }
        assert!(parse(b"7 {\"sku\":\"A\",\"name\":\"x\",\"quantity\":1,\"version\":7}").is_some());
    }
}
