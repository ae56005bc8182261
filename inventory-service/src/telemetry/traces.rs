//! Traces: one span a request and one a database operation, exported over OTLP/HTTP as JSON when
//! `OTEL_EXPORTER_OTLP_ENDPOINT` is given. `http` and `store` report spans, a task pushes them in batches. Spans are a sample
//! by nature: what the collector does not take is counted and let go, never repeated.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::logs::SERVICE;
use super::metrics::{Metrics, SpanLoss};
use crate::clock;
use crate::http::identity::{Identity, Sampling, SpanId, TraceId};

/// How often spans are pushed.
const PERIOD: Duration = Duration::from_millis(500);
/// What one push may take.
const PUSH_DEADLINE: Duration = Duration::from_secs(2);
/// Spans that wait at most.
const CAPACITY: usize = 8192;

tokio::task_local! {
    /// The request that this task works for, while traces are exported.
    static CURRENT: Context;
}

#[derive(Clone, Copy, Debug)]
struct Context {
    trace_id: TraceId,
    span_id: SpanId,
}

/// What a span is about.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// A request that was answered.
    Request {
        /// HTTP method.
        method: &'static str,
        /// Route template.
        route: &'static str,
        /// Status.
        status: u16,
    },
    /// A database operation.
    Query {
        /// Which database.
        database: &'static str,
        /// What was asked.
        operation: &'static str,
        /// Why it failed, if it did.
        failure: Option<&'static str>,
    },
}

#[derive(Debug)]
struct Span {
    trace_id: TraceId,
    span_id: SpanId,
    parent: Option<SpanId>,
    end_nanos: i64,
    duration: Duration,
    work: Work,
}

/// A handle to the spans that wait; clones share them. Without an endpoint it does nothing.
#[derive(Clone, Debug)]
pub struct Traces(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Vec<Span>>,
    metrics: Arc<Metrics>,
    url: String,
    environment: String,
    client: reqwest::Client,
}

/// The running exporter.
#[derive(Debug)]
pub struct Exporter {
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Traces {
    /// Traces that go nowhere.
    #[must_use]
    pub fn disabled() -> Self {
        Self(None)
    }

    /// Starts exporting to `endpoint`, if there is one. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn start(
        endpoint: Option<&str>,
        environment: &str,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<(Self, Exporter)> {
        let stop = CancellationToken::new();
        let Some(endpoint) = endpoint else { return Ok((Self(None), Exporter { stop, task: None })) };
        let client =
            reqwest::Client::builder().no_proxy().timeout(PUSH_DEADLINE).build().map_err(std::io::Error::other)?;
        let url = format!("{endpoint}/v1/traces");
        let shared =
            Arc::new(Shared { waiting: Mutex::default(), metrics, url, environment: environment.to_owned(), client });
        let task = tokio::spawn(export(Arc::clone(&shared), stop.clone()));
        Ok((Self(Some(shared)), Exporter { stop, task: Some(task) }))
    }

    /// Runs `work` as part of the request `identity`, so that what it does to the database becomes part of the trace.
    pub async fn within<T>(&self, identity: &Identity, work: impl Future<Output = T>) -> T {
        match (&self.0, identity.sampling) {
            (Some(_), Sampling::Recorded) => {
                CURRENT.scope(Context { trace_id: identity.trace_id, span_id: identity.span_id }, work).await
            }
            _ => work.await,
        }
    }

    /// Reports a request that is over.
    pub fn request(&self, identity: &Identity, duration: Duration, work: Work) {
        if identity.sampling == Sampling::Recorded {
            let Identity { trace_id, span_id, parent, .. } = *identity;
            self.report(|end_nanos| Span { trace_id, span_id, parent, end_nanos, duration, work });
        }
    }

    /// Reports a part of the request that this task works for, if it works for one.
    pub fn part(&self, duration: Duration, work: Work) {
        let Ok(Context { trace_id, span_id }) = CURRENT.try_with(|context| *context) else { return };
        let own = SpanId::random();
        self.report(|end_nanos| Span { trace_id, span_id: own, parent: Some(span_id), end_nanos, duration, work });
    }

    fn report(&self, span: impl FnOnce(i64) -> Span) {
        let Some(shared) = &self.0 else { return };
        let span = span(clock::wall_nanos());
        let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < CAPACITY {
            waiting.push(span);
        } else {
            shared.metrics.spans_lost(SpanLoss::Full, 1);
        }
    }
}

impl Exporter {
    /// Pushes what waits, for at most `deadline`, and ends.
    pub async fn close(self, deadline: Duration) {
        self.stop.cancel();
        if let Some(task) = self.task {
            drop(tokio::time::timeout(deadline, task).await);
        }
    }
}

async fn export(shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        push(&shared).await;
    }
    push(&shared).await;
}

async fn push(shared: &Shared) {
    let spans = std::mem::take(&mut *shared.waiting.lock().unwrap_or_else(PoisonError::into_inner));
    if spans.is_empty() {
        return;
    }
    let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
    let pushed = shared.client.post(&shared.url).json(&body(&spans, &shared.environment)).send().await;
    match pushed.and_then(reqwest::Response::error_for_status) {
        Ok(_) => shared.metrics.spans_exported(count),
        Err(_) => shared.metrics.spans_lost(SpanLoss::Failed, count),
    }
}

/// An `ExportTraceServiceRequest` in OTLP's JSON encoding: ids in hexadecimal, 64-bit numbers as texts.
fn body(spans: &[Span], environment: &str) -> Value {
    let resource = [
        attribute("service.name", SERVICE),
        attribute("service.version", env!("CARGO_PKG_VERSION")),
        attribute("deployment.environment.name", environment),
    ];
    let spans: Vec<Value> = spans.iter().map(Span::to_json).collect();
    let scope = json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
    json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{ "scope": scope, "spans": spans }],
    }] })
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

impl Span {
    fn to_json(&self) -> Value {
        let start = self.end_nanos - i64::try_from(self.duration.as_nanos()).unwrap_or(0);
        let failed = self.work.has_failed();
        json!({
            "traceId": self.trace_id.to_string(),
            "spanId": self.span_id.to_string(),
            "parentSpanId": self.parent.map_or_else(String::new, |parent| parent.to_string()),
            "name": self.work.name(),
            "kind": self.work.kind(),
            "startTimeUnixNano": start.to_string(),
            "endTimeUnixNano": self.end_nanos.to_string(),
            "attributes": self.work.attributes(),
            "status": if failed { json!({ "code": 2 }) } else { json!({}) },
        })
    }
}

impl Work {
    fn name(&self) -> Cow<'static, str> {
        match *self {
            Self::Request { method, route, .. } => format!("{method} {route}").into(),
            Self::Query { operation, .. } => operation.into(),
        }
    }

    /// OTLP's number of the kind: 2 is a server's, 3 a client's.
    fn kind(&self) -> u8 {
        match self {
            Self::Request { .. } => 2,
            Self::Query { .. } => 3,
        }
    }

    fn has_failed(&self) -> bool {
        match self {
            Self::Request { status, .. } => *status >= 500,
            Self::Query { failure, .. } => failure.is_some(),
        }
    }

    fn attributes(&self) -> Vec<Value> {
        match *self {
            Self::Request { method, route, status } => vec![
                attribute("http.request.method", method),
                attribute("http.route", route),
                json!({ "key": "http.response.status_code", "value": { "intValue": status.to_string() } }),
            ],
            Self::Query { database, operation, failure } => {
                let known = [
                    ("db.system.name", Some(database)),
                    ("db.operation.name", Some(operation)),
                    ("error.type", failure),
                ];
                known.into_iter().filter_map(|(key, value)| Some(attribute(key, value?))).collect()
            }
        }
    }
}
