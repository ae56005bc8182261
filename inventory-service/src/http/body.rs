//! Bodies as they come in: JSON, bounded in size and time, refused with the right status and a sentence that helps.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// How big a body may be, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// In bytes.
    pub size: usize,
    /// From the head of the request to the body's end.
    pub deadline: Duration,
}

/// Reads a JSON body.
///
/// # Errors
/// 415 when it does not say that it is JSON, 413 when it is too big, 408 when it is too slow, 400 when it is not what is
/// expected.
pub async fn read_json<T: DeserializeOwned>(headers: &HeaderMap, body: Body, limits: BodyLimits) -> Result<T, Problem> {
    if !is_json(headers) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "send the body as application/json"));
    }
    let collecting = Limited::new(body, limits.size).collect();
    let collected = tokio::time::timeout(limits.deadline, collecting).await.map_err(|_| {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body-too-slow",
            format!("the body did not arrive within {:?}", limits.deadline),
        )
    })?;
    let bytes = collected.map_err(|error| refuse(error.as_ref(), limits.size))?.to_bytes();
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::bad_request(format!("the body is not what is expected: {error}")))
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media.and_then(|media| media.split(';').next()).unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn refuse(error: &(dyn std::error::Error + 'static), size: usize) -> Problem {
    if error.downcast_ref::<LengthLimitError>().is_some() {
        return Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-big",
            format!("the body may be at most {size} bytes"),
        );
    }
    Problem::bad_request(format!("the body did not arrive whole: {error}"))
}
