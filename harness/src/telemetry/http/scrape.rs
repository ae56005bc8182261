//! What a `/metrics` endpoint serves, in the format that is asked for.

use super::{Endpoint, Reply};
use crate::telemetry::Error;
use crate::telemetry::exposition::Exposition;

/// In which of its formats a target is asked for its metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// OpenMetrics, which knows units and births.
    OpenMetrics,
    /// Prometheus text.
    Text,
}

impl Accept {
    pub(super) const fn header(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text;version=1.0.0",
            Self::Text => "text/plain;version=0.0.4",
        }
    }
}

/// Reads the exposition at a path.
///
/// # Errors
/// [`Error::Malformed`] with the line that cannot be read; see [`Error`].
pub async fn exposition(endpoint: &Endpoint, path: &str) -> Result<Exposition, Error> {
    read(&endpoint.get(path, &[]).await?)
}

/// Reads the exposition at a path in a format; a target that speaks only the other answers with that.
///
/// # Errors
/// See [`exposition`].
pub async fn exposition_as(endpoint: &Endpoint, path: &str, accept: Accept) -> Result<Exposition, Error> {
    read(&endpoint.get_as(path, accept).await?)
}

fn read(reply: &Reply) -> Result<Exposition, Error> {
    Exposition::parse(&reply.text()).map_err(|error| Error::Malformed {
        url: reply.url.clone(),
        path: format!("line {}", error.line),
        message: format!("{}: `{}`", error.message, error.text),
    })
}
