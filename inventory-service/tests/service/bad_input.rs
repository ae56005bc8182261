//! What the service does with input that is wrong, hostile or slow: the right refusal, no panic, no waiting for ever.

use std::time::Duration;

use proptest::prelude::*;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Running, start};

/// Sends bytes as they are and reads to the end of the connection.
async fn raw(running: &Running, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(running.service.address()).await.unwrap();
    // The service may refuse and close before it has read everything.
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    drop(tokio::time::timeout(PATIENCE, reading).await.expect("the connection ends"));
    String::from_utf8_lossy(&answer).into_owned()
}

fn status_line(answer: &str) -> &str {
    answer.lines().next().unwrap_or_default()
}

#[tokio::test]
async fn wrong_values_are_refused_with_400() {
    let running = start(&[]).await;
    running.item("A", 1).await;
    for (path, body) in [
        ("/api/items", json!({})),
        ("/api/items", json!([])),
        ("/api/items", json!(null)),
        ("/api/items", json!({ "sku": 7, "name": "x", "quantity": 1 })),
        ("/api/items", json!({ "sku": "B", "name": "x", "quantity": "many" })),
        ("/api/items", json!({ "sku": "B", "name": "x", "quantity": -1 })),
        ("/api/items", json!({ "sku": "B", "name": "x", "quantity": 1.5 })),
        ("/api/items", json!({ "sku": "B", "name": "x", "quantity": 18_446_744_073_709_551_615_u64 })),
        ("/api/items", json!({ "sku": "B", "name": "x", "colour": "red" })),
        ("/api/items", json!({ "sku": "B", "name": "a\u{0}b" })),
        ("/api/items", json!({ "sku": "a b", "name": "x" })),
        ("/api/items", json!({ "sku": "x".repeat(65), "name": "x" })),
        ("/api/items/A/adjust", json!({ "delta": 0 })),
        ("/api/items/A/adjust", json!({ "delta": i64::MIN })),
        ("/api/items/A/reserve", json!({ "quantity": 0 })),
        ("/api/items/A/reserve", json!({ "quantity": -1 })),
        ("/api/items/A/reserve", json!({ "quantity": i64::MAX })),
    ] {
        let answer = running.post(path, body.clone()).await;
        assert_eq!(answer.status(), 400, "{path} {body}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    for path in [
        "/api/items?limit=0",
        "/api/items?limit=201",
        "/api/items?limit=x",
        "/api/items?page=2",
        "/api/items/%ff",
        "/api/items/a%20b",
    ] {
        assert_eq!(running.get(path).await.status(), 400, "{path}");
    }
    assert_eq!(running.delete("/api/reservations/nonsense").await.status(), 400);
    assert_eq!(running.quantity("A").await, 1);
}

#[tokio::test]
async fn bodies_are_refused_by_size_kind_and_encoding() {
    let running = start(&[]).await;
    let post = |body: Vec<u8>, kind: &'static str| {
        running.client.post(running.url("/api/items")).header("content-type", kind).body(body).send()
    };
    assert_eq!(post(vec![b' '; 70_000], "application/json").await.unwrap().status(), 413);
    assert_eq!(post(b"{}".to_vec(), "text/plain").await.unwrap().status(), 415);
    assert_eq!(post(b"{\"sku\":\"\xff\"}".to_vec(), "application/json").await.unwrap().status(), 400);
    assert_eq!(post(vec![b'['; 60_000], "application/json").await.unwrap().status(), 400);
    assert_eq!(running.client.post(running.url("/api/items")).send().await.unwrap().status(), 415);
}

#[tokio::test]
async fn ten_thousand_headers_are_refused() {
    let running = start(&[]).await;
    let mut request = String::from("GET /api/items HTTP/1.1\r\nhost: a\r\n");
    (0..10_000).for_each(|number| request.push_str(&format!("x-{number}: y\r\n")));
    request.push_str("\r\n");
    let answer = raw(&running, request.as_bytes()).await;
    assert!(status_line(&answer).starts_with("HTTP/1.1 431"), "{answer}");
    let few: String = (0..150).map(|number| format!("x-{number}: y\r\n")).collect();
    let answer = raw(&running, format!("GET /api/items HTTP/1.1\r\nhost: a\r\n{few}\r\n").as_bytes()).await;
    assert!(status_line(&answer).starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(running.get("/api/items").await.status(), 200);
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let running = start(&[("HEADER_DEADLINE", "200ms")]).await;
    let answer = raw(&running, b"GET /api/items HTTP/1.1\r\nhost: a\r\nx-slow:").await;
    assert!(answer.is_empty() || status_line(&answer).contains("408"), "{answer}");
    let silent = raw(&running, b"").await;
    assert!(silent.is_empty(), "{silent}");
    assert_eq!(running.get("/api/items").await.status(), 200);
}

#[tokio::test]
async fn a_body_that_never_ends_is_408() {
    let running = start(&[("BODY_DEADLINE", "100ms")]).await;
    let head = b"POST /api/items HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"sku\":";
    let answer = raw(&running, head).await;
    assert!(status_line(&answer).starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_harms_nobody() {
    let running = start(&[]).await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..],
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let answer = raw(&running, bytes).await;
        assert!(answer.is_empty() || status_line(&answer).starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(running.get("/api/items").await.status(), 200);
}

#[tokio::test]
async fn hostile_ids_are_replaced_not_logged() {
    let running = start(&[]).await;
    let request = running
        .client
        .get(running.url("/api/items"))
        .header("x-request-id", "<script>\"")
        .header("traceparent", "nonsense");
    assert_ne!(request.send().await.unwrap().headers()["x-request-id"], "<script>\"");
    let output = running.stop().await;
    assert!(!serde_json::to_string(&output.lines()).unwrap().contains("script"));
}

/// One service for all generated cases.
fn many_requests(cases: Vec<(Method, String, Vec<u8>)>) -> Vec<u16> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let running = start(&[]).await;
        let mut statuses = Vec::new();
        for (method, path, body) in cases {
            let request = running
                .client
                .request(method, running.url(&path))
                .header("content-type", "application/json")
                .body(body);
            statuses.push(request.timeout(Duration::from_secs(5)).send().await.unwrap().status().as_u16());
        }
        running.service.stop().await;
        statuses
    })
}

fn segment() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<u8>(), 0..20)
        .prop_map(|bytes| bytes.iter().map(|byte| format!("%{byte:02X}")).collect())
}

fn json_text() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let field = prop_oneof![Just("sku"), Just("name"), Just("quantity"), Just("delta"), Just("reason"), Just("x")];
    let object = proptest::collection::vec((field, leaf), 0..5).prop_map(|fields| {
        fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect::<Vec<_>>().join(",")
    });
    prop_oneof![
        object.prop_map(|fields| format!("{{{fields}}}").into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..100)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn nothing_a_caller_sends_is_answered_with_5xx(
        requests in proptest::collection::vec((0..4_usize, segment(), 0..5_usize, json_text()), 40)
    ) {
        let methods = [Method::GET, Method::POST, Method::PUT, Method::DELETE];
        let cases = requests.into_iter().map(|(method, segment, route, body)| {
            let path = match route {
                0 => "/api/items".to_owned(),
                1 => format!("/api/items/{segment}"),
                2 => format!("/api/items/{segment}/adjust"),
                3 => "/api/items/A/reserve".to_owned(),
                _ => format!("/api/reservations/{segment}"),
            };
            (methods[method].clone(), path, body)
        });
        for status in many_requests(cases.collect()) {
            prop_assert!(status < 500, "{status}");
        }
    }
}
