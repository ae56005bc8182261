//! What the API promises to those who use it properly.

use futures_util::future::join_all;
use inventory_service::endpoint::ENDPOINTS;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Running, eventually, start, start_unhurried};

#[tokio::test]
async fn an_item_lives_from_creation_to_deletion() {
    lives(&start(&[]).await).await;
}

pub(crate) async fn lives(running: &Running) {
    let created = running.post("/api/items", json!({ "sku": "SKU-1", "name": "chair", "quantity": 5 })).await;
    assert_eq!((created.status().as_u16(), created.headers()["location"].to_str().unwrap()), (201, "/api/items/SKU-1"));
    let replaced = running.send(Method::PUT, "/api/items/SKU-1", json!({ "name": "stool", "quantity": 7 })).await;
    assert_eq!(replaced.json::<Value>().await.unwrap(), json!({ "sku": "SKU-1", "name": "stool", "quantity": 7 }));
    let adjusted = running.post("/api/items/SKU-1/adjust", json!({ "delta": -3, "reason": "sold" })).await;
    assert_eq!(adjusted.json::<Value>().await.unwrap()["quantity"], 4);
    let adjusted = running.post("/api/items/SKU-1/adjust", json!({ "delta": 1.0 })).await;
    assert_eq!(adjusted.json::<Value>().await.unwrap()["quantity"], 5);
    assert_eq!(running.get("/api/items/SKU-1").await.json::<Value>().await.unwrap()["quantity"], 5);
    assert_eq!(running.delete("/api/items/SKU-1").await.status(), 204);
    assert_eq!(running.get("/api/items/SKU-1").await.status(), 404);
}

#[tokio::test]
async fn what_cannot_be_is_a_conflict() {
    conflicts(&start(&[]).await).await;
}

pub(crate) async fn conflicts(running: &Running) {
    running.item("A", 2).await;
    let twice = running.post("/api/items", json!({ "sku": "A", "name": "again" })).await;
    assert_eq!(twice.status(), 409);
    assert_eq!(running.post("/api/items/A/adjust", json!({ "delta": -3 })).await.status(), 409);
    assert_eq!(running.post("/api/items/A/adjust", json!({ "delta": 1_000_000_000 })).await.status(), 409);
    assert_eq!(running.post("/api/items/A/reserve", json!({ "quantity": 3 })).await.status(), 409);
    assert_eq!(running.quantity("A").await, 2);
    let reserved: Value = running.post("/api/items/A/reserve", json!({ "quantity": 2 })).await.json().await.unwrap();
    assert_eq!(running.delete("/api/items/A").await.status(), 409);
    let reservation = format!("/api/reservations/{}", reserved["id"].as_str().unwrap());
    assert_eq!(running.delete(&reservation).await.status(), 204);
    assert_eq!(running.delete(&reservation).await.status(), 404);
    assert_eq!(running.quantity("A").await, 2);
    assert_eq!(running.delete("/api/items/A").await.status(), 204);
}

#[tokio::test]
async fn stock_is_never_negative_under_200_concurrent_reservations() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite://{}", folder.path().join("inventory.db").display());
    for url in [file.as_str(), "sqlite::memory:"] {
        never_negative(&start_unhurried(url).await).await;
    }
}

pub(crate) async fn never_negative(running: &Running) {
    running.item("HOT", 50).await;
    let answers = join_all((0..200).map(|_| running.post("/api/items/HOT/reserve", json!({ "quantity": 1 })))).await;
    let mut reservations = Vec::new();
    let mut rejected = 0;
    for answer in answers {
        match answer.status().as_u16() {
            201 => reservations.push(answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()),
            409 => rejected += 1,
            status => panic!("{status}: {}", answer.text().await.unwrap()),
        }
    }
    assert_eq!((reservations.len(), rejected), (50, 150));
    assert_eq!(running.quantity("HOT").await, 0);
    let paths: Vec<String> = reservations.iter().map(|id| format!("/api/reservations/{id}")).collect();
    let released = join_all(paths.iter().map(|path| running.delete(path))).await;
    assert!(released.iter().all(|answer| answer.status() == 204));
    assert_eq!(running.quantity("HOT").await, 50);
    let metrics = running.metrics().await;
    for (outcome, count) in [("reserved", 50.0), ("rejected", 150.0), ("released", 50.0)] {
        let series = format!("inventory_reservations_total{{outcome=\"{outcome}\"}}");
        assert!((metrics.value(&series) - count).abs() < 0.5, "{series}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gaps_or_repetition() {
    pages(&start(&[]).await).await;
}

pub(crate) async fn pages(running: &Running) {
    for number in 0..25 {
        running.item(&format!("SKU-{number:02}"), number).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Value = running.get(&format!("/api/items?limit=10{cursor}")).await.json().await.unwrap();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["sku"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<String> = (0..25).map(|number| format!("SKU-{number:02}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn problems_name_the_request_and_the_trace_goes_on() {
    let running = start(&[]).await;
    let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = running
        .client
        .get(running.url("/api/items/NONE"))
        .header("x-request-id", "drill-1")
        .header("traceparent", context);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(answer.headers()["x-request-id"], "drill-1");
    assert!(answer.headers()["traceparent"].to_str().unwrap().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    let problem: Value = answer.json().await.unwrap();
    assert_eq!((problem["status"].as_u64(), problem["request_id"].as_str()), (Some(404), Some("drill-1")));
    let output = running.stop().await;
    let line = &output.events("http_request")[0];
    assert_eq!(
        (line["request_id"].as_str(), line["trace_id"].as_str()),
        (Some("drill-1"), Some("4bf92f3577b34da6a3ce929d0e0e4736"))
    );
}

#[tokio::test]
async fn the_router_the_table_and_the_description_agree() {
    let running = start(&[]).await;
    let description: Value = running.get("/openapi.json").await.json().await.unwrap();
    let described: usize =
        description["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(described, ENDPOINTS.len());
    for endpoint in &ENDPOINTS {
        let path = endpoint.route.replace("{sku}", "S").replace("{id}", "00000000000000000000000000000000");
        let method: Method = endpoint.method.parse().unwrap();
        let answer = running.client.request(method, running.url(&path)).send().await.unwrap();
        let status = answer.status().as_u16();
        assert!(endpoint.statuses().any(|known| known == status), "{} {path}: {status}", endpoint.method);
        let problem: Value = answer.json().await.unwrap_or_default();
        assert_ne!(problem["type"], "urn:inventory:problem:no-such-route", "{path}");
        assert!(
            description["paths"][endpoint.route][endpoint.method.to_ascii_lowercase()]["responses"][status.to_string()]
                .is_object()
        );
    }
    assert_eq!(running.send(Method::PATCH, "/api/items", json!({})).await.status(), 405);
}

#[tokio::test]
async fn requests_beyond_the_bound_are_shed_at_once() {
    let running = start(&[("MAX_IN_FLIGHT", "1")]).await;
    running.turn_on(json!({ "slow": { "add": "60s", "route": "/api/items" } })).await;
    let held = tokio::spawn(running.client.get(running.url("/api/items")).send());
    eventually("the first request", async || (running.bitten("slow").await == 1).then_some(())).await;
    let shed = running.get("/api/items/X").await;
    assert_eq!((shed.status().as_u16(), shed.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    held.abort();
    eventually("room", async || (running.get("/api/items/X").await.status() == 404).then_some(())).await;
}

#[tokio::test]
async fn a_write_is_what_the_next_reader_sees() {
    let running = start(&[]).await;
    running.item("A", 1).await;
    for quantity in 2..50 {
        assert_eq!(running.quantity("A").await, quantity - 1);
        running.post("/api/items/A/adjust", json!({ "delta": 1 })).await;
    }
    let metrics = running.metrics().await;
    assert!(metrics.value("inventory_cache_hits_total") > 40.0);
}
