//! The API: routes, handlers, and what surrounds them. `serve` runs it on a listener.
//!
//! A request passes `observe` (identity, count, line), then `guard` (shedding, fault switches, deadline), then its handler in
//! `items`; whatever is not a success is a `problem`.

pub mod body;
mod guard;
pub mod identity;
mod items;
mod observe;
mod openapi;
pub mod problem;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};
use http::StatusCode;
use tokio::sync::Semaphore;

use crate::cache::Cache;
use crate::config::Instrumentation;
use crate::fault::Faults;
use crate::store::Store;
use crate::telemetry::logs::Logs;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;
use body::BodyLimits;
use problem::Problem;

/// What requests need.
#[derive(Debug)]
pub struct App {
    /// Where items live.
    pub store: Arc<Store>,
    /// Items kept close.
    pub cache: Arc<Cache>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is logged.
    pub logs: Logs,
    /// Where spans go.
    pub traces: Traces,
    /// The share of new traces that is recorded.
    pub trace_share: f64,
    /// What is broken on purpose.
    pub faults: Arc<Faults>,
    /// Whether requests are measured and logged.
    pub instrumentation: Instrumentation,
    /// One permit for each request that may be under way.
    pub in_flight: Semaphore,
    /// What one request may take.
    pub request_deadline: Duration,
    /// What a body may be.
    pub body_limits: BodyLimits,
}

/// The routes of the API.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/items", get(items::list).post(items::create))
        .route("/api/items/{sku}", get(items::read).put(items::replace).delete(items::delete))
        .route("/api/items/{sku}/adjust", post(items::adjust))
        .route("/api/items/{sku}/reserve", post(items::reserve))
        .route("/api/reservations/{id}", delete(items::release))
        .route("/openapi.json", get(openapi::serve))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(from_fn_with_state(Arc::clone(&app), observe::observe))
        .with_state(app)
}

async fn unknown_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no-such-route", "there is nothing here; /openapi.json lists what there is")
}

async fn unknown_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", "this route has other methods; see the Allow header")
}
