//! Loki's HTTP API on a store: requests in, `store` and `eval` called, Loki's answers out.

mod answer;
mod failure;
mod metadata;
mod parameter;
mod push;
mod query;
mod rules;
mod tail;

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get, post};
use tokio::sync::Semaphore;

use crate::ruler::Ruler;
use crate::store::Store;
use failure::Failure;

/// How many queries are evaluated at the same time; others wait.
const CONCURRENT_QUERIES: usize = 8;

/// How many pushes are decoded at the same time; others wait with their bodies as they came.
const CONCURRENT_PUSHES: usize = 4;

/// What every handler works with.
#[derive(Clone, Debug)]
pub(crate) struct App {
    store: Arc<Store>,
    ruler: Option<Arc<Ruler>>,
    queries: Arc<Semaphore>,
    pushes: Arc<Semaphore>,
}

/// The routes of a store, and of the ruler where there is one.
pub(crate) fn router(store: Arc<Store>, ruler: Option<Arc<Ruler>>) -> Router {
    let semaphore = |permits| Arc::new(Semaphore::new(permits));
    let app = App { store, ruler, queries: semaphore(CONCURRENT_QUERIES), pushes: semaphore(CONCURRENT_PUSHES) };
    Router::new()
        .route("/loki/api/v1/push", post(push::push))
        .route("/loki/api/v1/query", get(query::instant).post(query::instant))
        .route("/loki/api/v1/query_range", get(query::range).post(query::range))
        .route("/loki/api/v1/labels", get(metadata::labels).post(metadata::labels))
        .route("/loki/api/v1/label", get(metadata::labels).post(metadata::labels))
        .route("/loki/api/v1/label/{name}/values", get(metadata::values).post(metadata::values))
        .route("/loki/api/v1/series", get(metadata::series).post(metadata::series))
        .route("/loki/api/v1/index/stats", get(metadata::statistics).post(metadata::statistics))
        .route("/loki/api/v1/tail", get(tail::tail))
        .route("/loki/api/v1/status/buildinfo", get(metadata::build_info))
        .route("/prometheus/api/v1/rules", get(rules::rules))
        .route("/prometheus/api/v1/alerts", get(rules::alerts))
        .route("/loki/api/v1/rules", get(rules::listed))
        .route("/loki/api/v1/rules/{file}", get(rules::listed_file))
        .route("/loki/api/v1/rules/{file}/{group}", get(rules::listed_group))
        .route("/ready", get(metadata::ready))
        .route("/metrics", get(metadata::metrics))
        .route("/config", get(metadata::config))
        .fallback(any(|| async { Failure::new(404, "404 page not found") }))
        .layer(middleware::from_fn_with_state(app.clone(), count))
        .with_state(app)
}

async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).trim_matches('/');
    let route: String = route.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let response = next.run(request).await;
    app.store.metrics().request(&method, &route, response.status().as_u16());
    response
}
