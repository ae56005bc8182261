//! The observation of a request: its identity, one count and one line, whatever happens to it.
//!
//! The count and the line are made when the answer is handed to the connection, before its first byte is written, so that a
//! client that has read an answer finds both. A client that goes away earlier drops the future: the request is then counted
//! and logged once with status 499. A panic is answered 500.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::StatusCode;

use super::App;
use super::guard;
use super::identity::{Identity, REQUEST_ID, TRACEPARENT};
use super::problem::Problem;
use crate::clock;
use crate::config::Instrumentation;
use crate::endpoint::{self, CLIENT_CLOSED};
use crate::telemetry::logs::Level;
use crate::telemetry::logs::line::Access;
use crate::telemetry::metrics::Answered;
use crate::telemetry::traces::Work;

/// A request under way; dropping it unanswered means that the client went away.
struct Observation {
    app: Arc<App>,
    identity: Identity,
    method: &'static str,
    route: &'static str,
    started: Instant,
    open: bool,
}

/// The middleware around everything.
pub(super) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let route = endpoint::route_label(matched.map(MatchedPath::as_str));
    let method = endpoint::method_label(request.method().as_str());
    let identity = Identity::of(request.headers(), app.trace_share);
    let observation = Observation::begin(app, identity, method, route);
    let handling = AssertUnwindSafe(guard::guarded(&observation.app, route, request, next)).catch_unwind();
    let handled = observation.app.traces.within(&observation.identity, handling).await;
    let response = handled.unwrap_or_else(|panic| panicked(&observation, panic.as_ref()));
    observation.end(response)
}

fn panicked(observation: &Observation, panic: &(dyn std::any::Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown".to_owned());
    let fields = [("request_id", observation.identity.request_id()), ("error", text.as_str())];
    observation.app.logs.event(Level::Error, "service_panicked", "a handler panicked", &fields);
    Problem::internal("panic", "the service failed to answer").into_response()
}

impl Observation {
    fn begin(app: Arc<App>, identity: Identity, method: &'static str, route: &'static str) -> Self {
        if app.instrumentation == Instrumentation::On {
            app.metrics.in_flight.inc();
        }
        Self { app, identity, method, route, started: clock::instant(), open: true }
    }

    fn end(mut self, mut response: Response) -> Response {
        let problem = response.extensions_mut().remove::<Problem>();
        if let Some(problem) = &problem {
            response = problem.answer(&self.identity, response);
        }
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, self.identity.request_id_header());
        headers.insert(TRACEPARENT, self.identity.traceparent());
        self.record(response.status().as_u16(), problem);
        response
    }

    fn record(&mut self, status: u16, problem: Option<Problem>) {
        self.open = false;
        if self.app.instrumentation == Instrumentation::Off {
            return;
        }
        let duration = self.started.elapsed();
        let (method, route) = (self.method, self.route);
        self.app.metrics.answered(&Answered { method, route, status, duration, trace: self.identity.trace_id });
        if let Some(operation) = endpoint::operation(method, route) {
            self.app.metrics.operated(operation, status);
        }
        let error = problem.as_ref().map(Problem::for_log);
        let cause = problem.as_ref().map(|problem| problem.cause);
        self.app.logs.access(&Access { identity: &self.identity, method, route, status, duration, cause, error });
        self.app.traces.request(&self.identity, duration, Work::Request { method, route, status });
        self.app.metrics.in_flight.dec();
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if self.open {
            let gone = Problem::new(
                StatusCode::BAD_REQUEST,
                "client-closed",
                "the client went away before there was an answer",
            );
            self.record(CLIENT_CLOSED, Some(gone));
        }
    }
}
