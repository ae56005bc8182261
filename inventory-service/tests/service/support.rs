//! A service of one's own, and what it takes to ask it things.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use inventory_service::{Service, Settings};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

/// How long a condition may take to hold.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the service wrote to its standard output.
#[derive(Clone, Default)]
pub(crate) struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Output {
    pub(crate) fn lines(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn events(&self, event: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["event"] == event).collect()
    }
}

pub(crate) struct Running {
    pub(crate) service: Service,
    pub(crate) client: Client,
    pub(crate) output: Output,
}

/// A service with fault switches on ports of its own; `settings` are added to the environment.
pub(crate) async fn start(settings: &[(&str, &str)]) -> Running {
    let defaults = [("LISTEN", "127.0.0.1:0"), ("ADMIN_LISTEN", "127.0.0.1:0"), ("INVENTORY_FAULTS", "enabled")];
    let variables: BTreeMap<&str, &str> = defaults.into_iter().chain(settings.iter().copied()).collect();
    let settings = Settings::from_lookup(|name| variables.get(name).map(|value| (*value).to_owned())).unwrap();
    let output = Output::default();
    let service = Service::start(settings, output.clone()).await.unwrap();
    let client = Client::builder().no_proxy().retry(reqwest::retry::never()).timeout(PATIENCE).build().unwrap();
    Running { service, client, output }
}

/// A service whose deadlines no stalled disk or starved machine reaches, for tests of what it answers, not of when.
pub(crate) async fn start_unhurried(database: &str) -> Running {
    let deadlines =
        ["QUERY_DEADLINE", "REQUEST_DEADLINE", "BODY_DEADLINE", "HEADER_DEADLINE"].map(|name| (name, "50s"));
    start(&[&deadlines[..], &[("DATABASE_URL", database)]].concat()).await
}

impl Running {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.address())
    }

    pub(crate) fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.admin_address())
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> Response {
        self.client.request(method, self.url(path)).json(&body).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Response {
        self.send(Method::POST, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Response {
        self.client.delete(self.url(path)).send().await.unwrap()
    }

    /// Creates an item with some stock.
    pub(crate) async fn item(&self, sku: &str, quantity: i64) {
        let created = self.post("/api/items", json!({ "sku": sku, "name": "an item", "quantity": quantity })).await;
        assert_eq!(created.status(), 201);
    }

    pub(crate) async fn quantity(&self, sku: &str) -> i64 {
        let item: Value = self.get(&format!("/api/items/{sku}")).await.json().await.unwrap();
        item["quantity"].as_i64().unwrap()
    }

    pub(crate) async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, self.admin_url(path));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) async fn turn_on(&self, switches: Value) {
        let (status, answer) = self.admin(Method::PUT, "/faults", Some(switches)).await;
        assert_eq!(status, 200, "{answer}");
    }

    pub(crate) async fn bitten(&self, kind: &str) -> u64 {
        self.admin(Method::GET, "/faults", None).await.1["bitten"][kind].as_u64().unwrap()
    }

    pub(crate) async fn metrics(&self) -> Samples {
        let text = self.client.get(self.admin_url("/metrics")).send().await.unwrap().text().await.unwrap();
        Samples::parse(&text)
    }

    /// Stops the service and gives what it had logged.
    pub(crate) async fn stop(self) -> Output {
        self.service.stop().await;
        self.output
    }
}

/// Asks until the answer is there.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{what} did not happen within {PATIENCE:?}"))
}

/// Samples of `/metrics`: name and labels as written, sorted by label, and the value.
pub(crate) struct Samples(pub(crate) BTreeMap<String, f64>);

impl Samples {
    pub(crate) fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (sorted(series), value.parse().unwrap())
        });
        Self(samples.collect())
    }

    pub(crate) fn get(&self, series: &str) -> Option<f64> {
        self.0.get(&sorted(series)).copied()
    }

    pub(crate) fn value(&self, series: &str) -> f64 {
        self.get(series).unwrap_or_else(|| panic!("{series} is not exposed"))
    }
}

fn sorted(series: &str) -> String {
    let Some((name, labels)) = series.split_once('{') else { return series.to_owned() };
    let mut labels: Vec<&str> =
        labels.trim_end_matches('}').split("\",").map(|label| label.trim_end_matches('"')).collect();
    labels.retain(|label| !label.is_empty());
    labels.sort_unstable();
    if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) }
}
