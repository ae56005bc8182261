//! Redis: it saves the database work while it is there, and costs nobody a request when it is dead, slow or full of garbage.

use std::time::Duration;

use futures_util::future::join_all;
use inventory_service::clock;
use reqwest::Method;
use serde_json::json;

use crate::proxy::{Mode, Proxy};
use crate::servers::{Redis, authority};
use crate::support::{Running, eventually, start};

const READS: &str = "database_query_duration_seconds_count{operation=\"read_item\"}";

async fn service(url: &str) -> Running {
    let running = start(&[("CACHE_URL", url)]).await;
    cache_is(&running, "ok").await;
    running
}

async fn cache_is(running: &Running, state: &str) {
    let asked = async || {
        let (status, body) = running.admin(Method::GET, "/ready", None).await;
        assert_eq!(status, 200, "a cache never makes the service unready");
        (body["checks"]["cache"]["status"] == state).then_some(())
    };
    eventually(state, asked).await;
}

async fn metric(running: &Running, series: &str) -> f64 {
    running.metrics().await.value(series)
}

#[tokio::test]
#[cfg_attr(not(test_redis), ignore = "no redis on this machine: just test-servers")]
async fn a_miss_is_loaded_once_however_many_wait() {
    let redis = Redis::start().await;
    let running = service(&redis.url()).await;
    running.item("A", 5).await;
    let () = redis::cmd("FLUSHALL").query_async(&mut redis.connection().await.unwrap()).await.unwrap();
    let answers = join_all((0..100).map(|_| running.get("/api/items/A"))).await;
    assert!(answers.iter().all(|answer| answer.status() == 200));
    assert!(metric(&running, READS).await < 10.5, "a stampede");
    let loads = metric(&running, READS).await;
    for _ in 0..20 {
        assert_eq!(running.quantity("A").await, 5);
    }
    assert!((metric(&running, READS).await - loads).abs() < 0.5);
    assert!(metric(&running, "inventory_cache_hits_total").await > 19.5);
    assert!(metric(&running, "inventory_cache_errors_total").await < 0.5);
}

#[tokio::test]
#[cfg_attr(not(test_redis), ignore = "no redis on this machine: just test-servers")]
async fn an_entry_expires() {
    let redis = Redis::start().await;
    let running = service(&redis.url()).await;
    running.item("A", 5).await;
    let lifetime: i64 =
        redis::cmd("PTTL").arg("inventory:item:A").query_async(&mut redis.connection().await.unwrap()).await.unwrap();
    assert!((1..=30_000).contains(&lifetime), "{lifetime}");
}

#[tokio::test]
#[cfg_attr(not(test_redis), ignore = "no redis on this machine: just test-servers")]
async fn without_redis_requests_succeed_at_once_and_errors_are_counted() {
    let mut redis = Redis::start().await;
    let running = service(&redis.url()).await;
    running.item("A", 100).await;
    redis.kill();
    for taken in 1..=50 {
        assert_eq!(running.post("/api/items/A/adjust", json!({ "delta": -1 })).await.status(), 200);
        assert_eq!(running.quantity("A").await, 100 - taken);
    }
    cache_is(&running, "degraded").await;
    // every call that was not even tried: an outage must not look like a cache that is hardly used
    assert!(metric(&running, "inventory_cache_errors_total").await > 49.5);
    redis.run().await;
    cache_is(&running, "ok").await;
    assert_eq!(running.quantity("A").await, 50);
}

#[tokio::test]
#[cfg_attr(not(test_redis), ignore = "no redis on this machine: just test-servers")]
async fn a_silent_redis_costs_a_deadline_once_and_is_left_alone() {
    for mode in [Mode::Pause, Mode::Blackhole, Mode::Reset] {
        let redis = Redis::start().await;
        let proxy = Proxy::start(authority(&redis.url())).await;
        let running = service(&proxy.through(&redis.url())).await;
        running.item("A", 5).await;
        proxy.set(mode);
        assert_eq!(running.quantity("A").await, 5);
        let started = clock::instant();
        for _ in 0..50 {
            assert_eq!(running.quantity("A").await, 5);
        }
        assert!(started.elapsed() < Duration::from_millis(1500), "{mode:?}: {:?}", started.elapsed());
        assert!(metric(&running, "inventory_cache_errors_total").await > 0.5, "{mode:?}");
        proxy.set(Mode::Forward);
        cache_is(&running, "ok").await;
    }
}

#[tokio::test]
#[cfg_attr(not(test_redis), ignore = "no redis on this machine: just test-servers")]
async fn what_was_written_without_redis_is_not_read_from_it_afterwards() {
    let redis = Redis::start().await;
    let proxy = Proxy::start(authority(&redis.url())).await;
    let running = service(&proxy.through(&redis.url())).await;
    running.item("A", 5).await;
    running.item("B", 5).await;
    proxy.set(Mode::Reset);
    assert_eq!(running.post("/api/items/A/adjust", json!({ "delta": 1 })).await.status(), 200);
    assert_eq!(running.delete("/api/items/B").await.status(), 204);
    proxy.set(Mode::Forward);
    cache_is(&running, "ok").await;
    assert_eq!(running.quantity("A").await, 6);
    assert_eq!(running.get("/api/items/B").await.status(), 404);
}

#[tokio::test]
#[cfg_attr(not(test_redis), ignore = "no redis on this machine: just test-servers")]
async fn garbage_in_redis_is_counted_and_replaced() {
    let redis = Redis::start().await;
    let running = service(&redis.url()).await;
    running.item("A", 5).await;
    let mut connection = redis.connection().await.unwrap();
    for garbage in [&b"\xff\xfe"[..], b"", b"9 {}", b"99999999999999999999999 x"] {
        let before = metric(&running, "inventory_cache_errors_total").await;
        let () = redis::cmd("SET").arg("inventory:item:A").arg(garbage).query_async(&mut connection).await.unwrap();
        assert_eq!(running.quantity("A").await, 5);
        assert!(metric(&running, "inventory_cache_errors_total").await > before + 0.5, "{garbage:?}");
    }
    let () = redis::cmd("DEL").arg("inventory:item:A").query_async(&mut connection).await.unwrap();
    let () = redis::cmd("LPUSH").arg("inventory:item:A").arg(1).query_async(&mut connection).await.unwrap();
    assert_eq!(running.quantity("A").await, 5);
    cache_is(&running, "ok").await;
}

#[tokio::test]
#[cfg_attr(not(test_redis), ignore = "no redis on this machine: just test-servers")]
async fn a_wrong_password_degrades_and_says_so_nowhere_but_in_readiness() {
    let redis = Redis::start().await;
    let url = redis.url().replace("only-for-tests", "wrong");
    let running = start(&[("CACHE_URL", &url)]).await;
    running.item("A", 5).await;
    assert_eq!(running.quantity("A").await, 5);
    cache_is(&running, "degraded").await;
}
