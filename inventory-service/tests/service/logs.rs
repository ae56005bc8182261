//! The way to Loki: nothing is lost that the buffer can hold, what is lost is counted, and no request ever waits for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use http::StatusCode;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::{Running, eventually, start};

/// A Loki that answers what it is told to, and keeps what it has accepted.
#[derive(Default)]
struct Loki {
    status: AtomicU16,
    pushes: Mutex<Vec<Value>>,
}

impl Loki {
    async fn start(status: u16) -> (Arc<Self>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let loki = Self::default().serve(listener, status);
        (loki, address)
    }

    fn serve(self, listener: TcpListener, status: u16) -> Arc<Self> {
        self.status.store(status, Ordering::SeqCst);
        let loki = Arc::new(self);
        let router = Router::new().route("/loki/api/v1/push", post(push)).with_state(Arc::clone(&loki));
        tokio::spawn(async move { axum::serve(listener, router).await });
        loki
    }

    /// The lines it has accepted, by the labels of their stream.
    fn lines(&self) -> Vec<(BTreeMap<String, String>, String, Value)> {
        let pushes = self.pushes.lock().unwrap();
        let streams = pushes.iter().flat_map(|push| push["streams"].as_array().unwrap());
        let lines = streams.flat_map(|stream| {
            let labels: BTreeMap<String, String> = serde_json::from_value(stream["stream"].clone()).unwrap();
            stream["values"].as_array().unwrap().iter().map(move |value| {
                let line = serde_json::from_str(value[1].as_str().unwrap()).unwrap();
                (labels.clone(), value[0].as_str().unwrap().to_owned(), line)
            })
        });
        lines.collect()
    }

    fn sequence(&self) -> Vec<u64> {
        let mut sequence: Vec<u64> = self.lines().iter().filter_map(|(_, _, line)| line["seq"].as_u64()).collect();
        sequence.sort_unstable();
        sequence
    }
}

async fn push(State(loki): State<Arc<Loki>>, body: String) -> StatusCode {
    let status = StatusCode::from_u16(loki.status.load(Ordering::SeqCst)).unwrap();
    if status.is_success() {
        loki.pushes.lock().unwrap().push(serde_json::from_str(&body).unwrap());
    }
    status
}

async fn service(address: SocketAddr, more: &[(&str, &str)]) -> Running {
    let url = format!("http://{address}");
    let settings: Vec<(&str, &str)> =
        [("LOKI_URL", url.as_str()), ("ENVIRONMENT", "drill")].into_iter().chain(more.iter().copied()).collect();
    start(&settings).await
}

async fn ask(running: &Running, times: usize) {
    for _ in 0..times {
        assert_eq!(running.get("/api/items").await.status(), 200);
    }
}

async fn dropped(running: &Running, reason: &str) -> f64 {
    running.metrics().await.value(&format!("log_lines_dropped_total{{reason=\"{reason}\"}}"))
}

#[tokio::test]
async fn loki_gets_every_line_with_few_labels() {
    let (loki, address) = Loki::start(204).await;
    let running = service(address, &[]).await;
    ask(&running, 20).await;
    let output = running.stop().await;
    let lines = loki.lines();
    assert_eq!(lines.len(), output.lines().len());
    for (labels, nanos, line) in &lines {
        assert_eq!(labels.keys().collect::<Vec<_>>(), ["env", "level", "service"]);
        assert_eq!((labels["env"].as_str(), labels["service"].as_str()), ("drill", "inventory"));
        assert_eq!(labels["level"], line["level"].as_str().unwrap());
        assert!(nanos.parse::<i64>().unwrap() > 1_700_000_000_000_000_000);
    }
    assert_eq!(loki.sequence(), (1..=20).collect::<Vec<u64>>());
}

#[tokio::test]
async fn an_outage_of_loki_delays_lines_and_loses_none() {
    for status in [429, 500, 503] {
        let (loki, address) = Loki::start(status).await;
        let running = service(address, &[]).await;
        ask(&running, 30).await;
        eventually("a refused push", async || (!running.output.events("log_push_failed").is_empty()).then_some(()))
            .await;
        ask(&running, 10).await;
        loki.status.store(204, Ordering::SeqCst);
        eventually("delivery", async || (loki.sequence().len() == 40).then_some(())).await;
        assert_eq!(loki.sequence(), (1..=40).collect::<Vec<u64>>());
        assert!(dropped(&running, "loki_refused").await.abs() < 1e-9);
    }
}

#[tokio::test]
async fn a_loki_that_is_not_there_yet_gets_everything_once_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let running = service(address, &[]).await;
    ask(&running, 5).await;
    eventually("a failed push", async || (!running.output.events("log_push_failed").is_empty()).then_some(())).await;
    let loki = Loki::default().serve(TcpListener::bind(address).await.unwrap(), 204);
    eventually("delivery", async || (loki.sequence().len() == 5).then_some(())).await;
}

#[tokio::test]
async fn what_loki_refuses_for_good_is_counted_and_not_repeated() {
    let (loki, address) = Loki::start(400).await;
    let running = service(address, &[]).await;
    ask(&running, 5).await;
    eventually("the loss", async || (dropped(&running, "loki_refused").await > 5.5).then_some(())).await;
    loki.status.store(204, Ordering::SeqCst);
    ask(&running, 1).await;
    eventually("the next line", async || (loki.sequence() == [6]).then_some(())).await;
}

#[tokio::test]
async fn a_full_buffer_loses_the_newest_lines_and_counts_them() {
    let (loki, address) = Loki::start(503).await;
    let running = service(address, &[("LOG_BUFFER", "4096")]).await;
    ask(&running, 50).await;
    assert!(dropped(&running, "loki_full").await > 20.0);
    loki.status.store(204, Ordering::SeqCst);
    let kept =
        eventually("what was kept", async || Some(loki.sequence()).filter(|sequence| !sequence.is_empty())).await;
    assert_eq!(kept, (1..=u64::try_from(kept.len()).unwrap()).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_loki_that_never_answers_holds_up_neither_requests_nor_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = service(listener.local_addr().unwrap(), &[]).await;
    let asking = ask(&running, 100);
    tokio::time::timeout(Duration::from_secs(5), asking).await.expect("requests do not wait for the log");
    let stopping = running.stop();
    let output = tokio::time::timeout(Duration::from_secs(8), stopping).await.expect("the end does not wait for Loki");
    assert_eq!(output.events("http_request").len(), 100);
}
