//! Metrics, log lines and what the client saw are the same story.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use inventory_service::telemetry::names;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{eventually, start};

#[tokio::test]
async fn the_client_the_metrics_and_the_log_agree_exactly() {
    let running = start(&[]).await;
    running.item("A", 20).await;
    let mut ledger: BTreeMap<(String, String, u16), u64> =
        BTreeMap::from([(("POST".to_owned(), "/api/items".to_owned(), 201), 1)]);
    running.turn_on(json!({ "errors": { "share": 0.2, "status": 500 } })).await;
    let requests = (0..300).map(|number| {
        let (method, path, route) = match number % 5 {
            0 => (Method::GET, "/api/items", "/api/items"),
            1 => (Method::GET, "/api/items/A", "/api/items/{sku}"),
            2 => (Method::POST, "/api/items/A/reserve", "/api/items/{sku}/reserve"),
            3 => (Method::GET, "/api/items/NONE", "/api/items/{sku}"),
            _ => (Method::GET, "/elsewhere", "unmatched"),
        };
        let sending = running.send(method.clone(), path, json!({ "quantity": 1 }));
        async move { (method.to_string(), route.to_owned(), sending.await.status().as_u16()) }
    });
    for key in join_all(requests).await {
        *ledger.entry(key).or_default() += 1;
    }
    let metrics = running.metrics().await;
    let mut counted = BTreeMap::new();
    for ((method, route, status), count) in &ledger {
        let series = format!("http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}");
        counted.insert((method.clone(), route.clone(), *status), metrics.value(&series) as u64);
        assert!(*count > 0);
    }
    let all: f64 =
        metrics.0.iter().filter(|(series, _)| series.starts_with("http_requests_total")).map(|(_, value)| value).sum();
    assert_eq!(counted, ledger);
    assert!((all - 301.0).abs() < 0.5, "{all}");
    let observed: f64 = metrics
        .0
        .iter()
        .filter(|(series, _)| series.starts_with("http_request_duration_seconds_count"))
        .map(|(_, value)| value)
        .sum();
    assert!((observed - 301.0).abs() < 0.5, "{observed}");

    let lines = running.stop().await.events("http_request");
    let mut logged: BTreeMap<(String, String, u16), u64> = BTreeMap::new();
    for line in &lines {
        let text = |field: &str| line[field].as_str().unwrap().to_owned();
        let status = u16::try_from(line["status"].as_u64().unwrap()).unwrap();
        *logged.entry((text("method"), text("route"), status)).or_default() += 1;
    }
    assert_eq!(logged, ledger);
    let sequence: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(sequence, (1..=301).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_line_is_there_within_moments_of_its_answer() {
    let running = start(&[]).await;
    running.get("/api/items").await;
    eventually("the line", async || (running.output.events("http_request").len() == 1).then_some(())).await;
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_once_with_499() {
    let running = start(&[]).await;
    running.turn_on(json!({ "slow": { "add": "60s" } })).await;
    let impatient = running.client.get(running.url("/api/items")).timeout(Duration::from_millis(50)).send().await;
    assert!(impatient.unwrap_err().is_timeout());
    let series = "http_requests_total{method=\"GET\",route=\"/api/items\",status=\"499\"}";
    let metrics =
        eventually("the count", async || Some(running.metrics().await).filter(|metrics| metrics.get(series).is_some()))
            .await;
    assert!((metrics.value(series) - 1.0).abs() < 0.5);
    assert!(metrics.value("http_requests_in_flight").abs() < 0.5);
    let lines = running.stop().await.events("http_request");
    assert_eq!(
        (lines.len(), lines[0]["status"].as_u64(), lines[0]["cause"].as_str()),
        (1, Some(499), Some("client-closed"))
    );
}

#[tokio::test]
async fn counters_that_alerts_ask_for_are_born_at_zero_t08() {
    let running = start(&[]).await;
    let metrics = running.metrics().await;
    for series in [
        "http_requests_total{method=\"GET\",route=\"/api/items\",status=\"500\"}",
        "http_requests_total{method=\"POST\",route=\"/api/items/{sku}/reserve\",status=\"503\"}",
        "http_requests_total{method=\"POST\",route=\"/api/items/{sku}/reserve\",status=\"409\"}",
        "business_operations_total{operation=\"reserve_stock\",status=\"error\"}",
        "inventory_reservations_total{outcome=\"rejected\"}",
        "inventory_db_errors_total{operation=\"read_item\",cause=\"timeout\"}",
        "inventory_cache_errors_total",
        "log_lines_dropped_total{reason=\"loki_full\"}",
        "log_lines_total{level=\"error\"}",
        "http_request_duration_seconds_count{method=\"GET\",route=\"/api/items/{sku}\"}",
    ] {
        assert!(metrics.value(series).abs() < 1e-9, "{series}");
    }
}

#[tokio::test]
async fn the_catalogue_is_what_metrics_exposes() {
    let running = start(&[]).await;
    running.get("/api/items").await;
    let (_, catalogue) = running.admin(Method::GET, "/catalogue", None).await;
    let text = running.client.get(running.admin_url("/metrics")).send().await.unwrap().text().await.unwrap();
    let exposed: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    let listed: BTreeMap<String, String> = catalogue["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| (metric["name"].as_str().unwrap().to_owned(), metric["type"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(exposed, listed);
    for metric in names::ALL {
        let sample = text
            .lines()
            .find(|line| line.strip_prefix(metric.name).is_some_and(|rest| rest.starts_with(['{', ' ', '_'])));
        for label in metric.labels {
            assert!(sample.unwrap().contains(&format!("{label}=\"")), "{} has no {label}", metric.name);
        }
    }
    let events: Vec<&str> =
        catalogue["logs"]["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    for line in running.stop().await.lines() {
        assert!(events.contains(&line["event"].as_str().unwrap()), "{line}");
    }
}

#[tokio::test]
async fn exemplars_carry_the_callers_trace_in_open_metrics_only() {
    let running = start(&[]).await;
    let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    running.client.get(running.url("/api/items")).header("traceparent", context).send().await.unwrap();
    let scrape = |accept: &'static str| {
        let request = running.client.get(running.admin_url("/metrics")).header("accept", accept);
        async move { request.send().await.unwrap() }
    };
    let open = scrape("application/openmetrics-text;version=1.0.0,text/plain;q=0.5").await;
    assert_eq!(open.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let open = open.text().await.unwrap();
    assert!(open.contains("# {trace_id=\"0af7651916cd43dd8448eb211c80319c\"}") && open.ends_with("# EOF\n"));
    let text = scrape("text/plain;version=0.0.4").await;
    assert_eq!(text.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = text.text().await.unwrap();
    assert!(
        !text.contains("trace_id") && !text.contains("# EOF") && text.contains("# TYPE http_requests_total counter")
    );
}

#[tokio::test]
async fn gauges_say_what_the_inventory_holds() {
    let running = start(&[]).await;
    running.item("A", 5).await;
    running.item("B", 0).await;
    let metrics = running.metrics().await;
    for (series, value) in
        [("inventory_items", 2.0), ("inventory_stock_units", 5.0), ("inventory_out_of_stock_items", 1.0)]
    {
        assert!((metrics.value(series) - value).abs() < 1e-9, "{series}");
    }
    assert!(metrics.value("process_resident_memory_bytes") > 1e6 && metrics.value("process_open_fds") > 3.0);
    assert!(metrics.value("process_cpu_seconds_total") >= 0.0 && metrics.value("process_start_time_seconds") > 1.7e9);
}

#[tokio::test]
async fn readiness_names_each_dependency() {
    let running = start(&[]).await;
    let (status, body) = running.admin(Method::GET, "/ready", None).await;
    assert_eq!((status, body["checks"]["database"]["status"].as_str()), (200, Some("ok")));
    running.turn_on(json!({ "leak-connections": { "rate": 1000 } })).await;
    let body: Value = eventually("not ready", async || match running.admin(Method::GET, "/ready", None).await {
        (503, body) => Some(body),
        _ => None,
    })
    .await;
    assert_eq!(body["checks"]["database"]["status"], "failed");
    assert_eq!(running.admin(Method::GET, "/live", None).await.0, 200);
}
