//! Answers that are no success: a status and a plain text, as Loki gives them.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::eval::EvalError;
use crate::logql::ParseError;
use crate::store::PushError;

/// A status and a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    status: u16,
    message: String,
}

impl Failure {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The request is wrong.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers =
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
        (status, headers, format!("{}\n", self.message)).into_response()
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        Self::bad(error.to_string())
    }
}

impl From<EvalError> for Failure {
    fn from(error: EvalError) -> Self {
        let status = match error {
            EvalError::Unsupported(_)
            | EvalError::Pipeline { .. }
            | EvalError::TooManySeries(_)
            | EvalError::TooManyPoints(_) => 400,
            EvalError::Matching(_) => 500,
            EvalError::TimedOut => 504,
            EvalError::Cancelled => 499,
        };
        Self::new(status, error.to_string())
    }
}

impl From<PushError> for Failure {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Refused { status, message } => Self::new(status, message),
            PushError::Log(_) => Self::new(500, format!("failed to {error}")),
        }
    }
}
