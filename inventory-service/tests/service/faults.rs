//! The switches: each bites, counts its bites, spares what it should, and is gone when it is turned off.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{eventually, start};

#[tokio::test]
async fn switches_do_not_exist_unless_enabled() {
    let running = start(&[("INVENTORY_FAULTS", "disabled")]).await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        assert_eq!(running.admin(method, "/faults", Some(json!({}))).await.0, 404);
    }
}

#[tokio::test]
async fn errors_bite_on_their_route_and_count_every_bite() {
    let running = start(&[]).await;
    running.item("A", 1).await;
    running.turn_on(json!({ "errors": { "share": 1, "status": 502, "route": "/api/items/{sku}" } })).await;
    for _ in 0..5 {
        assert_eq!(running.get("/api/items/A").await.status(), 502);
        assert_eq!(running.get("/api/items").await.status(), 200);
    }
    assert_eq!(running.bitten("errors").await, 5);
    let (_, answer) = running.admin(Method::DELETE, "/faults", None).await;
    assert_eq!(answer["active"], json!({}));
    assert_eq!(running.get("/api/items/A").await.status(), 200);
    assert_eq!(running.bitten("errors").await, 5);
}

#[tokio::test]
async fn a_share_bites_about_that_often() {
    let running = start(&[]).await;
    running.turn_on(json!({ "errors": { "share": "50%", "status": 500 } })).await;
    let answers = join_all((0..400).map(|_| running.get("/api/items"))).await;
    let failed = answers.iter().filter(|answer| answer.status() == 500).count();
    // Six standard deviations of a fair coin: wrong once in 500 million runs.
    assert!((140..=260).contains(&failed), "{failed}");
    assert_eq!(running.bitten("errors").await, u64::try_from(failed).unwrap());
}

#[tokio::test]
async fn slow_delays_and_shows_in_the_histogram_without_being_cut_by_the_deadline() {
    let running = start(&[("REQUEST_DEADLINE", "1s")]).await;
    running.turn_on(json!({ "slow": { "add": "1200ms" } })).await;
    assert_eq!(running.get("/api/items").await.status(), 200);
    let metrics = running.metrics().await;
    let bucket = |le: &str| {
        metrics
            .value(&format!("http_request_duration_seconds_bucket{{le=\"{le}\",method=\"GET\",route=\"/api/items\"}}"))
    };
    assert!(bucket("1.0") < 0.5 && bucket("10.0") > 0.5);
    assert_eq!(running.bitten("slow").await, 1);
}

#[tokio::test]
async fn a_panic_is_answered_counted_and_logged_and_the_service_goes_on() {
    let running = start(&[]).await;
    running.item("A", 1).await;
    running.turn_on(json!({ "panic": { "route": "/api/items/{sku}" } })).await;
    let answer = running.get("/api/items/A").await;
    assert_eq!(answer.status(), 500);
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["type"], "urn:inventory:problem:panic");
    assert_eq!(running.get("/api/items").await.status(), 200, "another route is spared");
    running.admin(Method::DELETE, "/faults/panic", None).await;
    assert_eq!(running.get("/api/items/A").await.status(), 200);
    assert_eq!(running.bitten("panic").await, 1);
    let metrics = running.metrics().await;
    let failed = "http_requests_total{method=\"GET\",route=\"/api/items/{sku}\",status=\"500\"}";
    assert_eq!((metrics.value(failed), metrics.value("http_requests_in_flight")), (1.0, 0.0));
    let events = running.stop().await.events("service_panicked");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["request_id"], problem["request_id"]);
    assert_eq!(events[0]["error"], "a fault switch made this request panic");
}

#[tokio::test]
async fn each_key_replaces_its_own_switch_only() {
    let running = start(&[]).await;
    running.turn_on(json!({ "errors": { "share": 0.1 }, "slow": { "add": "1ms" } })).await;
    running.turn_on(json!({ "errors": { "share": 0.2, "status": "503" } })).await;
    let (_, shown) = running.admin(Method::GET, "/faults", None).await;
    assert_eq!(
        shown["active"],
        json!({ "errors": { "share": 0.2, "status": 503 }, "slow": { "add": "1ms", "share": 1.0 } })
    );
    let (_, shown) = running.admin(Method::DELETE, "/faults/slow", None).await;
    assert_eq!(shown["active"].as_object().unwrap().keys().collect::<Vec<_>>(), ["errors"]);
    assert_eq!(running.admin(Method::DELETE, "/faults/sloth", None).await.0, 404);
}

#[tokio::test]
async fn what_would_never_bite_is_refused() {
    let running = start(&[]).await;
    for switches in [
        json!({ "errors": { "share": 1, "route": "/api/items/SKU-1" } }),
        json!({ "errors": { "share": 2 } }),
        json!({ "slow": {} }),
        json!({ "panic": { "route": "/api/nothing" } }),
        json!({ "eror": {} }),
    ] {
        let (status, answer) = running.admin(Method::PUT, "/faults", Some(switches.clone())).await;
        assert_eq!(status, 400, "{switches}");
        assert!(answer["detail"].as_str().is_some_and(|detail| detail.len() > 20), "{answer}");
    }
    assert_eq!(running.admin(Method::GET, "/faults", None).await.1["active"], json!({}));
}

#[tokio::test]
async fn metrics_can_be_stopped_and_slowed() {
    let running = start(&[]).await;
    running.turn_on(json!({ "stop-metrics": {} })).await;
    assert_eq!(running.admin(Method::GET, "/metrics", None).await.0, 503);
    running.admin(Method::DELETE, "/faults/stop-metrics", None).await;
    running.turn_on(json!({ "slow-metrics": { "add": "20s" } })).await;
    let slow = running.client.get(running.admin_url("/metrics")).timeout(Duration::from_millis(300)).send().await;
    assert!(slow.unwrap_err().is_timeout());
    running.admin(Method::DELETE, "/faults", None).await;
    assert_eq!(running.admin(Method::GET, "/metrics", None).await.0, 200);
    assert_eq!((running.bitten("stop-metrics").await, running.bitten("slow-metrics").await), (1, 1));
}

#[tokio::test]
async fn leaked_connections_starve_the_service_until_they_are_given_back() {
    let running = start(&[]).await;
    running.turn_on(json!({ "leak-connections": { "rate": 100 } })).await;
    eventually("starvation", async || (running.get("/api/items").await.status() == 503).then_some(())).await;
    let metrics = running.metrics().await;
    assert!(metrics.value("database_connections_active{database=\"sqlite\",state=\"in_use\"}") > 0.5);
    assert!(metrics.get("inventory_items").is_none(), "what nobody knows is absent, not old");
    for operation in ["list_items", "totals"] {
        let series = format!("inventory_db_errors_total{{operation=\"{operation}\",cause=\"timeout\"}}");
        eventually("the error", async || (running.metrics().await.value(&series) > 0.5).then_some(())).await;
    }
    running.admin(Method::DELETE, "/faults", None).await;
    eventually("recovery", async || (running.get("/api/items").await.status() == 200).then_some(())).await;
    eventually("totals", async || running.metrics().await.get("inventory_items")).await;
}

#[tokio::test]
async fn leaked_memory_is_resident_and_given_back_to_the_process() {
    let running = start(&[]).await;
    let before = running.metrics().await.value("process_resident_memory_bytes");
    running.turn_on(json!({ "leak-memory": { "rate": "640MiB", "limit": "128MiB" } })).await;
    eventually("the leak", async || (running.bitten("leak-memory").await == 2).then_some(())).await;
    let grown = running.metrics().await.value("process_resident_memory_bytes") - before;
    assert!(grown > 100e6, "{grown}");
    running.admin(Method::DELETE, "/faults", None).await;
}

#[tokio::test]
async fn a_flood_is_logged_at_its_rate_and_ends() {
    let running = start(&[]).await;
    running.turn_on(json!({ "log-flood": { "rate": 1000 } })).await;
    eventually("the flood", async || (running.bitten("log-flood").await >= 300).then_some(())).await;
    running.admin(Method::DELETE, "/faults", None).await;
    let bites = running.bitten("log-flood").await;
    let output = running.stop().await;
    let lines: Vec<Value> = output.events("log_flood");
    assert!(u64::try_from(lines.len()).unwrap() >= bites && lines.len() <= usize::try_from(bites).unwrap() + 100);
}
