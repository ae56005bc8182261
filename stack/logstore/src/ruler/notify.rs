//! Alertmanager's API v2: alerts are queued, sent in batches to every Alertmanager, and dropped if it does not take them; a
//! firing alert is sent again anyway.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::config::{Settings, TENANT};
use crate::clock::{self, Nanos};
use crate::label::Labels;

/// Alerts of one request.
const BATCH: usize = 256;

/// An alert for Alertmanager.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// External labels included.
    pub labels: Labels,
    /// Rendered.
    pub annotations: Labels,
    /// When it began to fire.
    pub starts_at: Nanos,
    /// When it was over, or until when it holds without being sent again.
    pub ends_at: Nanos,
    /// Where its expression can be looked at.
    pub generator_url: String,
}

/// The queue to the Alertmanagers.
#[derive(Debug)]
pub(super) struct Notifier {
    addresses: Vec<String>,
    capacity: usize,
    client: reqwest::Client,
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Notification>,
    dropped: u64,
    /// Sent and failed alerts by address.
    counts: BTreeMap<String, (u64, u64)>,
}

impl Notifier {
    /// A notifier for the settings' Alertmanagers.
    ///
    /// # Errors
    /// If no HTTP client can be made.
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
        let client = reqwest::Client::builder().timeout(settings.notification_timeout).build();
        let addresses: Vec<String> = settings.alertmanagers.iter().map(|url| format!("{url}/api/v2/alerts")).collect();
        if let Some(wrong) = addresses.iter().find(|address| !address.starts_with("http://")) {
            return Err(format!(
                "`alertmanager_url: {wrong}`: logstore speaks plain HTTP only, as in http://127.0.0.1:9093"
            ));
        }
        let counts = addresses.iter().map(|address| (address.clone(), (0, 0))).collect();
        Ok(Self {
            addresses,
            capacity: settings.queue_capacity,
            client: client.map_err(|error| error.to_string())?,
            queue: Mutex::new(Queue { counts, ..Queue::default() }),
            filled: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues alerts; the oldest go where there is no room.
    pub(super) fn send(&self, alerts: Vec<Notification>) {
        if alerts.is_empty() || self.addresses.is_empty() {
            return;
        }
        let mut queue = self.lock();
        queue.waiting.extend(alerts);
        while queue.waiting.len() > self.capacity {
            queue.waiting.pop_front();
            queue.dropped += 1;
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// Sends what is queued, for ever.
    pub(super) async fn run(&self) {
        loop {
            let batch: Vec<Notification> = {
                let mut queue = self.lock();
                let length = queue.waiting.len().min(BATCH);
                queue.waiting.drain(..length).collect()
            };
            if batch.is_empty() {
                self.filled.notified().await;
            } else {
                self.post(&batch).await;
            }
        }
    }

    async fn post(&self, batch: &[Notification]) {
        let body = body(batch);
        let mut requests = JoinSet::new();
        for address in &self.addresses {
            let request = self.client.post(address).json(&body).send();
            let address = address.clone();
            requests.spawn(async move { (address, request.await.is_ok_and(|answer| answer.status().is_success())) });
        }
        let mut taken = false;
        while let Some(result) = requests.join_next().await {
            let Ok((address, ok)) = result else { continue };
            taken |= ok;
            let mut queue = self.lock();
            let counts = queue.counts.entry(address).or_default();
            counts.0 += batch.len() as u64;
            counts.1 += if ok { 0 } else { batch.len() as u64 };
        }
        if !taken {
            self.lock().dropped += batch.len() as u64;
        }
    }

    /// The notifier's numbers in the text format of Prometheus, under Loki's names.
    pub(super) fn render(&self, out: &mut String) {
        let queue = self.lock();
        for (name, help, pick) in [
            ("loki_prometheus_notifications_sent_total", "Alerts sent, failed ones included.", 0),
            ("loki_prometheus_notifications_errors_total", "Alerts that an Alertmanager did not take.", 1),
        ] {
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} counter\n");
            for (address, counts) in &queue.counts {
                let value = if pick == 0 { counts.0 } else { counts.1 };
                let _ = writeln!(out, "{name}{{alertmanager={address:?},user=\"{TENANT}\"}} {value}");
            }
        }
        for (name, kind, help, value) in [
            (
                "loki_prometheus_notifications_dropped_total",
                "counter",
                "Alerts that no Alertmanager took, or that the queue had no room for.",
                queue.dropped,
            ),
            ("loki_prometheus_notifications_queue_length", "gauge", "Alerts that wait.", queue.waiting.len() as u64),
            ("loki_prometheus_notifications_queue_capacity", "gauge", "Alerts that may wait.", self.capacity as u64),
            (
                "loki_prometheus_notifications_alertmanagers_discovered",
                "gauge",
                "Alertmanagers that are told.",
                self.addresses.len() as u64,
            ),
        ] {
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{{user=\"{TENANT}\"}} {value}\n");
        }
    }
}

/// The body of a request.
fn body(batch: &[Notification]) -> Value {
    let map = |labels: &Labels| -> serde_json::Map<String, Value> {
        labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
    };
    let alerts = batch.iter().map(|alert| {
        json!({
            "labels": map(&alert.labels),
            "annotations": map(&alert.annotations),
            "startsAt": clock::rfc3339(alert.starts_at),
            "endsAt": clock::rfc3339(alert.ends_at),
            "generatorURL": alert.generator_url,
        })
    });
    Value::Array(alerts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_written_as_alertmanager_reads_them() {
        let alert = Notification {
            labels: Labels::new([("alertname", "A")]),
            annotations: Labels::default(),
            starts_at: 1_700_000_000_250_000_000,
            ends_at: 1_700_000_060_000_000_000,
            generator_url: "http://x/explore".to_owned(),
        };
        let expected = r#"[{"labels":{"alertname":"A"},"annotations":{},"startsAt":"2023-11-14T22:13:20.25Z","endsAt":"2023-11-14T22:14:20Z","generatorURL":"http://x/explore"}]"#;
        assert_eq!(body(&[alert]).to_string(), expected);
    }
}
