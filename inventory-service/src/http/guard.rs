//! What stands between a request and its handler: load shedding, the fault switches, the deadline.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::App;
use super::problem::Problem;

/// Sheds, breaks or bounds a request, else passes it on. Injected latency is not work and is not bounded by the deadline.
pub(super) async fn guarded(app: &Arc<App>, route: &'static str, request: Request, next: Next) -> Response {
    let Ok(_permit) = app.in_flight.try_acquire() else {
        return Problem::unavailable("overload", "too many requests are being answered already").into_response();
    };
    if let Some(delay) = app.faults.delay(route) {
        tokio::time::sleep(delay).await;
    }
    if let Some(status) = app.faults.error(route) {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return Problem::new(status, "injected", "a fault switch answered this request").into_response();
    }
    app.faults.panic(route);
    match tokio::time::timeout(app.request_deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            Problem::unavailable("deadline", format!("no answer within {:?}", app.request_deadline)).into_response()
        }
    }
}
