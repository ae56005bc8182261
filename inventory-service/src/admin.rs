//! The admin port: metrics, probes, the catalogue and, when enabled, the fault switches. It must never be reachable from
//! where customers are.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};
use prometheus_client::registry::Registry;
use serde_json::json;

use crate::config::FaultSwitches;
use crate::fault::settings::Switches;
use crate::fault::{Faults, Kind};
use crate::http::body::{BodyLimits, read_json};
use crate::http::problem::Problem;
use crate::readiness::Readiness;
use crate::sabotage::{Sabotage, falsified};
use crate::store::Store;
use crate::store::stocktake::Stocktake;
use crate::telemetry::catalogue::catalogue;
use crate::telemetry::exposition::{Format, render};
use crate::telemetry::metrics::Metrics;

const SWITCH_LIMITS: BodyLimits = BodyLimits { size: 16 * 1024, deadline: Duration::from_secs(1) };

/// What the admin port needs.
#[derive(Debug)]
pub struct Admin {
    /// What is exposed.
    pub registry: Registry,
    /// What is read at scrape time goes in here.
    pub metrics: Arc<Metrics>,
    /// Where connections are read from.
    pub store: Arc<Store>,
    /// Where totals are read from.
    pub stocktake: Stocktake,
    /// What `/ready` tells.
    pub readiness: Arc<Readiness>,
    /// The switches.
    pub faults: Arc<Faults>,
    /// Lies to tell.
    pub sabotage: Sabotage,
    /// The body that `/metrics` is frozen at, under sabotage.
    pub frozen: OnceLock<String>,
}

/// The routes of the admin port.
pub fn router(admin: Arc<Admin>, switches: FaultSwitches) -> Router {
    let mut router = Router::new()
        .route("/metrics", get(metrics))
        .route("/live", get(|| async { Json(json!({ "status": "live" })) }))
        .route("/ready", get(ready))
        .route("/catalogue", get(show_catalogue));
    if switches == FaultSwitches::Enabled {
        router = router
            .route("/faults", get(show_faults).put(turn_on).delete(turn_all_off))
            .route("/faults/{kind}", axum::routing::delete(turn_off));
    }
    router.with_state(admin)
}

async fn metrics(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    if admin.sabotage.metrics_404 {
        return StatusCode::NOT_FOUND.into_response();
    }
    if let Some(delay) = admin.faults.metrics_delay() {
        tokio::time::sleep(delay).await;
    }
    if admin.faults.metrics_stopped() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept);
    let body = if admin.sabotage.frozen_metrics {
        let fresh = admin.scrape(format).await;
        admin.frozen.get_or_init(|| fresh).clone()
    } else {
        admin.scrape(format).await
    };
    ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
}

impl Admin {
    /// Reads what is read at scrape time and renders everything.
    async fn scrape(&self, format: Format) -> String {
        self.metrics.show_totals(self.stocktake.totals().await);
        self.metrics.show_connections(self.store.name(), self.store.connections());
        let body = render(&self.registry, format);
        if self.sabotage.drop_objective_bucket || self.sabotage.user_label {
            return falsified(body, self.sabotage);
        }
        body
    }
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    let report = admin.readiness.report().await;
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report.body)).into_response()
}

async fn show_catalogue(State(admin): State<Arc<Admin>>) -> Response {
    Json(catalogue(admin.store.name())).into_response()
}

async fn show_faults(State(admin): State<Arc<Admin>>) -> Response {
    Json(admin.faults.show()).into_response()
}

async fn turn_on(State(admin): State<Arc<Admin>>, headers: HeaderMap, body: Body) -> Response {
    let switches = read_json::<Switches>(&headers, body, SWITCH_LIMITS).await;
    let turned = switches
        .and_then(|switches| admin.faults.turn_on(switches).map_err(|error| Problem::bad_request(error.to_string())));
    match turned {
        Ok(()) => Json(admin.faults.show()).into_response(),
        Err(problem) => refused(&problem),
    }
}

async fn turn_all_off(State(admin): State<Arc<Admin>>) -> Response {
    admin.faults.turn_off(None);
    Json(admin.faults.show()).into_response()
}

async fn turn_off(State(admin): State<Arc<Admin>>, Path(kind): Path<String>) -> Response {
    let Some(kind) = Kind::parse(&kind) else {
        let known = Kind::ALL.map(Kind::as_str).join(", ");
        return refused(&Problem::new(
            StatusCode::NOT_FOUND,
            "no-such-fault",
            format!("there is no such fault; there are {known}"),
        ));
    };
    admin.faults.turn_off(Some(kind));
    Json(admin.faults.show()).into_response()
}

fn refused(problem: &Problem) -> Response {
    let body = json!({ "status": problem.status.as_u16(), "title": problem.cause, "detail": problem.detail });
    (problem.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
