//! Loki: a task that pushes what waits, in batches, over its own client. An outage costs nothing but memory up to the bound;
//! afterwards everything that the buffer holds is delivered. 429 and 5xx are tried again with a capped, jittered pause, other
//! refusals are final. A push that timed out may have arrived: Loki drops the repetition, because time and text are equal.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::StatusCode;

use super::line::escape;
use super::{Level, Logs, Loss, SERVICE};

/// How long lines are gathered before they are pushed.
const GATHER: Duration = Duration::from_millis(100);
/// A batch is full at this many bytes of lines.
const BATCH_BYTES: usize = 512 * 1024;
/// What one push may take.
const PUSH_DEADLINE: Duration = Duration::from_secs(2);
/// The first pause after a failure; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(2);
/// How many lines arrive before shipping stops, under sabotage.
const SHIPPED: u64 = 300;

#[derive(Debug)]
struct Entry {
    level: Level,
    nanos: i64,
    end: usize,
}

/// Lines in one buffer, so that a line costs no allocation.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// What waits to be pushed, the batch under way included.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    batches: VecDeque<Batch>,
    held_bytes: usize,
    held_lines: u64,
    closing: bool,
}

/// What pushing a line did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Nothing had been waiting: the task must be woken.
    First,
    /// The task knows.
    Another,
}

impl Backlog {
    pub(super) fn push(&mut self, level: Level, nanos: i64, line: &[u8], limit: usize) -> Result<Pushed, Loss> {
        if self.held_bytes + line.len() > limit {
            return Err(Loss::LokiFull);
        }
        let pushed = if self.batches.is_empty() { Pushed::First } else { Pushed::Another };
        if self.batches.back().is_none_or(|batch| batch.bytes.len() >= BATCH_BYTES) {
            self.batches.push_back(Batch::default());
        }
        if let Some(batch) = self.batches.back_mut() {
            batch.bytes.extend_from_slice(line);
            batch.entries.push(Entry { level, nanos, end: batch.bytes.len() });
        }
        self.held_bytes += line.len();
        self.held_lines += 1;
        Ok(pushed)
    }

    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    /// Lines not yet delivered.
    pub(super) fn lines(&self) -> u64 {
        self.held_lines
    }

    fn settle(&mut self, batch: &Batch) {
        self.held_bytes -= batch.bytes.len();
        self.held_lines -= batch.lines();
    }
}

impl Batch {
    fn lines(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap_or(u64::MAX)
    }

    /// The same lines a moment later, as a shipper that makes up its own times sends them again.
    fn later(&self) -> Self {
        let later = |entry: &Entry| Entry { level: entry.level, nanos: entry.nanos + 1, end: entry.end };
        Self { bytes: self.bytes.clone(), entries: self.entries.iter().map(later).collect() }
    }

    /// The body of a push: one stream a level, each in the order of time.
    fn body(&self, environment: &str) -> String {
        let mut body = String::with_capacity(self.bytes.len() * 5 / 4);
        body.push_str("{\"streams\":[");
        let mut first = true;
        for level in Level::ALL {
            let lines = self.lines_of(level);
            if lines.is_empty() {
                continue;
            }
            body.push_str(if first { "" } else { "," });
            first = false;
            write!(body, "{{\"stream\":{{\"service\":\"{SERVICE}\",\"level\":\"{}\",\"env\":\"", level.as_str())
                .expect("writing to a String cannot fail");
            escape(&mut body, environment);
            body.push_str("\"},\"values\":[");
            for (at, (nanos, line)) in lines.into_iter().enumerate() {
                let comma = if at == 0 { "" } else { "," };
                write!(body, "{comma}[\"{nanos}\",\"").expect("writing to a String cannot fail");
                escape(&mut body, line);
                body.push_str("\"]");
            }
            body.push_str("]}");
        }
        body.push_str("]}");
        body
    }

    fn lines_of(&self, level: Level) -> Vec<(i64, &str)> {
        let mut start = 0;
        let mut lines = Vec::new();
        for entry in &self.entries {
            let line = &self.bytes[start..entry.end];
            start = entry.end;
            if entry.level == level {
                lines.push((entry.nanos, std::str::from_utf8(line).unwrap_or_default().trim_end()));
            }
        }
        lines.sort_by_key(|(nanos, _)| *nanos);
        lines
    }
}

enum Refusal {
    Temporary(String),
    Final(String),
}

/// The task.
#[derive(Debug)]
pub(super) struct Pusher {
    logs: Logs,
    client: reqwest::Client,
    url: String,
    /// Lines taken so far, for a pusher that stops under sabotage.
    delivered: AtomicU64,
}

impl Pusher {
    pub(super) fn new(url: &str, logs: Logs) -> std::io::Result<Self> {
        let client =
            reqwest::Client::builder().no_proxy().timeout(PUSH_DEADLINE).build().map_err(std::io::Error::other)?;
        Ok(Self { logs, client, url: format!("{url}/loki/api/v1/push"), delivered: AtomicU64::new(0) })
    }

    /// Pushes until the log is closed and everything is delivered.
    pub(super) async fn run(self) {
        while let Some(batch) = self.gather().await {
            self.deliver(&batch).await;
            if let Some(backlog) = self.logs.0.lock().loki.as_mut() {
                backlog.settle(&batch);
            }
        }
    }

    /// Waits for lines and takes a batch; `None` when the log is closed and nothing waits.
    async fn gather(&self) -> Option<Batch> {
        loop {
            let woken = self.logs.0.loki_waiting.notified();
            match self.waiting() {
                (0, true) => return None,
                (0, false) => woken.await,
                (1, false) => {
                    tokio::time::sleep(GATHER).await;
                    return self.take();
                }
                _ => return self.take(),
            }
        }
    }

    /// How many batches wait, and whether the log is closing.
    fn waiting(&self) -> (usize, bool) {
        self.logs.0.lock().loki.as_ref().map_or((0, true), |backlog| (backlog.batches.len(), backlog.closing))
    }

    fn take(&self) -> Option<Batch> {
        self.logs.0.lock().loki.as_mut()?.batches.pop_front()
    }

    async fn deliver(&self, batch: &Batch) {
        let sabotage = self.logs.0.settings.sabotage;
        if sabotage.stop_shipping && self.delivered.fetch_add(batch.lines(), Ordering::Relaxed) > SHIPPED {
            return;
        }
        self.deliver_once(batch).await;
        if sabotage.ship_twice {
            self.deliver_once(&batch.later()).await;
        }
    }

    async fn deliver_once(&self, batch: &Batch) {
        let body = bytes::Bytes::from(batch.body(&self.logs.0.settings.environment));
        let mut pause = FIRST_PAUSE;
        let mut reported = false;
        loop {
            let error = match self.push(body.clone()).await {
                Ok(()) => return,
                Err(Refusal::Final(error)) => {
                    self.logs.0.metrics.log_lost(Loss::LokiRefused, batch.lines());
                    self.report(&error);
                    return;
                }
                Err(Refusal::Temporary(error)) => error,
            };
            if !reported {
                self.report(&error);
                reported = true;
            }
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.75..1.25))).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn push(&self, body: bytes::Bytes) -> Result<(), Refusal> {
        let request = self.client.post(&self.url).header("content-type", "application/json").body(body);
        let answer = request.send().await.map_err(|error| Refusal::Temporary(error.without_url().to_string()))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                Err(Refusal::Temporary(format!("answered {status}")))
            }
            status => Err(Refusal::Final(format!("answered {status}"))),
        }
    }

    fn report(&self, error: &str) {
        self.logs.event(Level::Warn, "log_push_failed", "loki did not take a batch", &[("error", error)]);
    }
}
