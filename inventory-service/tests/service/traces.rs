//! Spans: a request and what it asked of the database are one trace, continued from the caller's.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{eventually, start};

type Collected = Arc<Mutex<Vec<Value>>>;

async fn collector() -> (Collected, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let collected = Collected::default();
    let take = |State(collected): State<Collected>, axum::Json(body): axum::Json<Value>| async move {
        let resource = &body["resourceSpans"][0];
        assert_eq!(
            resource["resource"]["attributes"][0],
            json!({ "key": "service.name", "value": { "stringValue": "inventory" } })
        );
        collected.lock().unwrap().extend(resource["scopeSpans"][0]["spans"].as_array().unwrap().iter().cloned());
        axum::Json(json!({}))
    };
    let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&collected));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (collected, url)
}

#[tokio::test]
async fn a_request_and_its_query_are_one_trace_below_the_callers_span() {
    let (collected, url) = collector().await;
    let running = start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]).await;
    let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let answer =
        running.client.get(running.url("/api/items/NONE")).header("traceparent", context).send().await.unwrap();
    let passed_on = answer.headers()["traceparent"].to_str().unwrap().to_owned();
    let unwanted = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    running.client.get(running.url("/api/items/NONE")).header("traceparent", unwanted).send().await.unwrap();
    let series = "trace_spans_total";
    eventually("the export", async || (running.metrics().await.value(series) > 1.5).then_some(())).await;
    running.stop().await;
    let spans = collected.lock().unwrap().clone();
    assert!(spans.iter().all(|span| span["traceId"] == "0af7651916cd43dd8448eb211c80319c"), "{spans:?}");
    let find = |kind: u64| spans.iter().find(|span| span["kind"] == kind).unwrap();
    let (request, query) = (find(2), find(3));
    assert_eq!(
        (request["name"].as_str(), request["parentSpanId"].as_str()),
        (Some("GET /api/items/{sku}"), Some("b7ad6b7169203331"))
    );
    assert_eq!((query["name"].as_str(), &query["parentSpanId"]), (Some("read_item"), &request["spanId"]));
    assert!(passed_on.contains(request["spanId"].as_str().unwrap()));
}

#[tokio::test]
async fn without_a_collector_spans_are_counted_and_let_go() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let running = start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]).await;
    running.get("/api/items").await;
    let series = "trace_spans_dropped_total{reason=\"failed\"}";
    eventually("the loss", async || (running.metrics().await.value(series) > 1.5).then_some(())).await;
}
