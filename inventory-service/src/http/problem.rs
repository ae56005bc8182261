//! Problems as RFC 9457 describes them. A handler answers a [`Problem`]; `observe` writes its body, because only there the
//! request's identity is known, and its cause goes into the access line.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use super::identity::Identity;
use crate::inventory::{Invalid, Refusal};
use crate::store::{Cause, StoreError};

/// Seconds that a caller should wait before it tries again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why there is no other answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// The kind of failure, a short word; also the end of the problem's type.
    pub cause: &'static str,
    /// What happened, for the caller.
    pub detail: Cow<'static, str>,
    /// What happened inside, for the log only; `detail` where there is no more to say.
    pub inside: Option<String>,
}

impl Problem {
    /// A problem with a status, a cause and a detail.
    pub fn new(status: StatusCode, cause: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, cause, detail: detail.into(), inside: None }
    }

    /// The same problem, with what the log should know besides.
    #[must_use]
    pub fn with_inside(self, inside: impl Into<String>) -> Self {
        Self { inside: Some(inside.into()), ..self }
    }

    /// What the log should know.
    #[must_use]
    pub fn for_log(&self) -> &str {
        self.inside.as_deref().unwrap_or(&self.detail)
    }

    /// 400.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// 503: try again later.
    pub fn unavailable(cause: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, cause, detail)
    }

    /// The answer with its body, told to the request `identity`.
    #[must_use]
    pub fn answer(&self, identity: &Identity, mut response: Response) -> Response {
        let body = serde_json::json!({
            "type": format!("urn:inventory:problem:{}", self.cause),
            "title": self.status.canonical_reason().unwrap_or("Problem"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "request_id": identity.request_id(),
        });
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.remove(header::CONTENT_LENGTH);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        *response.body_mut() = Body::from(body.to_string());
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::bad_request(invalid.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, cause) = match refusal {
            Refusal::NoSuchItem => (StatusCode::NOT_FOUND, "no-such-item"),
            Refusal::NoSuchReservation => (StatusCode::NOT_FOUND, "no-such-reservation"),
            Refusal::SkuTaken => (StatusCode::CONFLICT, "sku-taken"),
            Refusal::OutOfStock => (StatusCode::CONFLICT, "out-of-stock"),
            Refusal::TooMuchStock => (StatusCode::CONFLICT, "too-much-stock"),
            Refusal::OpenReservations => (StatusCode::CONFLICT, "open-reservations"),
        };
        Self::new(status, cause, refusal.to_string())
    }
}

impl From<&StoreError> for Problem {
    fn from(error: &StoreError) -> Self {
        let problem = match error {
            StoreError::Refused(refusal) => return (*refusal).into(),
            StoreError::Failed { cause, .. } if error.is_unavailable() => {
                Self::unavailable(cause.as_str(), "the database is not available")
            }
            StoreError::Failed { cause: Cause::Constraint, .. } => Self::internal("constraint", "the database refused"),
            StoreError::Failed { .. } => Self::internal("database", "the database failed"),
        };
        problem.with_inside(error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl Problem {
    /// 500.
    pub fn internal(cause: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, cause, detail)
    }
}
