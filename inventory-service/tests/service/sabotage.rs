//! Every lie is told when asked for, and none when the switches are not enabled.

use serde_json::json;

use crate::support::start;

const READS: &str = "http_requests_total{method=\"GET\",route=\"/api/items\",status=\"200\"}";

#[tokio::test]
async fn count_twice_counts_twice() {
    let running = start(&[("INVENTORY_SABOTAGE", "count-twice")]).await;
    running.get("/api/items").await;
    assert!((running.metrics().await.value(READS) - 2.0).abs() < 0.5);
}

#[tokio::test]
async fn silent_logs_write_no_access_lines() {
    let running = start(&[("INVENTORY_SABOTAGE", "silent-logs")]).await;
    running.get("/api/items").await;
    assert!(running.stop().await.events("http_request").is_empty());
}

#[tokio::test]
async fn metrics_404_hides_metrics() {
    let running = start(&[("INVENTORY_SABOTAGE", "metrics-404")]).await;
    assert_eq!(running.client.get(running.admin_url("/metrics")).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn frozen_metrics_never_change() {
    let running = start(&[("INVENTORY_SABOTAGE", "frozen-metrics")]).await;
    let before = running.metrics().await.value(READS);
    running.get("/api/items").await;
    assert!((running.metrics().await.value(READS) - before).abs() < 1e-9);
}

#[tokio::test]
async fn uncounted_errors_leave_the_error_counters_at_zero() {
    let running = start(&[("INVENTORY_SABOTAGE", "uncounted-errors")]).await;
    running.turn_on(json!({ "errors": { "share": 1 } })).await;
    assert_eq!(running.get("/api/items").await.status(), 500);
    let series = "http_requests_total{method=\"GET\",route=\"/api/items\",status=\"500\"}";
    assert!(running.metrics().await.value(series).abs() < 1e-9);
}

#[tokio::test]
async fn no_request_id_leaves_lines_without_their_request_s50() {
    let running = start(&[("INVENTORY_SABOTAGE", "no-request-id")]).await;
    running.get("/api/items").await;
    assert!(running.stop().await.events("http_request")[0].get("request_id").is_none());
}

#[tokio::test]
async fn drop_status_label_counts_without_a_status_s03() {
    let running = start(&[("INVENTORY_SABOTAGE", "drop-status-label")]).await;
    running.get("/api/items").await;
    let series = "http_requests_total{method=\"GET\",route=\"/api/items\",status=\"\"}";
    assert!((running.metrics().await.value(series) - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn the_objectives_bucket_is_dropped_s08() {
    let running = start(&[("INVENTORY_SABOTAGE", "drop-objective-bucket")]).await;
    running.get("/api/items").await;
    let text = running.client.get(running.admin_url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("le=\"0.1\"") && !text.contains("le=\"0.25\""));
}

#[tokio::test]
async fn requests_are_counted_by_user_s09() {
    let running = start(&[("INVENTORY_SABOTAGE", "user-label")]).await;
    running.get("/api/items").await;
    let text = running.client.get(running.admin_url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(text.matches("http_requests_total{user_id=").count() >= 500);
}

#[tokio::test]
async fn without_the_switches_nothing_is_a_lie() {
    let running = start(&[("INVENTORY_SABOTAGE", "count-twice,silent-logs"), ("INVENTORY_FAULTS", "disabled")]).await;
    running.get("/api/items").await;
    assert!((running.metrics().await.value(READS) - 1.0).abs() < 0.5);
    assert_eq!(running.stop().await.events("http_request").len(), 1);
}
