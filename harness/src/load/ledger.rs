//! How requests ended, counted to the single one, so that the client's view can be reconciled with the service's metrics
//! and logs. Fed by `recorder`, read through `Summary`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Per method, route and request name: how often each status or error came.
pub type Ledger = BTreeMap<Key, BTreeMap<Status, u64>>;

/// What the ledger counts by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Key {
    /// The method, in capitals.
    pub method: String,
    /// The path template, for example `/api/items/{sku}`.
    pub route: String,
    /// The request's name.
    pub request: String,
}

/// How a request ended: with a status, or with an error of the client. As text `200` or `timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub enum Status {
    /// The answer's status.
    Code(u16),
    /// There was no answer.
    Error(ErrorClass),
}

/// Why a request counts as an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// No connection: refused or unreachable.
    Connect,
    /// No complete answer within the timeout.
    Timeout,
    /// The connection was reset.
    Reset,
    /// The connection was closed in the middle of an answer, or before one on a fresh connection.
    Closed,
    /// A kept-alive connection was closed before it answered at all: the server closed it as the request was sent.
    Stale,
    /// The TLS handshake or record layer failed.
    Tls,
    /// The answer was no HTTP.
    Protocol,
    /// This machine had no file descriptor, port or memory left: the client's fault, not the service's.
    Client,
    /// Answered, with a status that is not accepted.
    Status,
    /// Answered, with a body that is not accepted.
    Check,
}

impl ErrorClass {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Connect,
        Self::Timeout,
        Self::Reset,
        Self::Closed,
        Self::Stale,
        Self::Tls,
        Self::Protocol,
        Self::Client,
        Self::Status,
        Self::Check,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Stale => "stale",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::Client => "client",
            Self::Status => "status",
            Self::Check => "check",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => code.fmt(f),
            Self::Error(class) => class.fmt(f),
        }
    }
}

impl From<Status> for String {
    fn from(status: Status) -> Self {
        status.to_string()
    }
}

/// Neither a status nor an error class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read `{0}` as a status code or an error class such as `timeout`")]
pub struct UnknownStatus(String);

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        if let Ok(code) = text.parse() {
            return Ok(Self::Code(code));
        }
        let class = ErrorClass::ALL.into_iter().find(|class| class.name() == text);
        class.map(Self::Error).ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

impl TryFrom<String> for Status {
    type Error = UnknownStatus;

    fn try_from(text: String) -> Result<Self, UnknownStatus> {
        text.parse()
    }
}

/// What latencies are kept apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// 2xx.
    Success,
    /// 3xx; redirects are answers, they are never followed.
    Redirect,
    /// 4xx.
    ClientError,
    /// 5xx and beyond.
    ServerError,
    /// No complete answer within the timeout: a latency of at least that.
    TimedOut,
    /// No answer for another reason; its time says nothing about the service's latency.
    Unanswered,
}

impl Class {
    pub(super) const ALL: [Self; 6] =
        [Self::Success, Self::Redirect, Self::ClientError, Self::ServerError, Self::TimedOut, Self::Unanswered];
}

impl From<Status> for Class {
    fn from(status: Status) -> Self {
        match status {
            Status::Code(..300) => Self::Success,
            Status::Code(300..400) => Self::Redirect,
            Status::Code(400..500) => Self::ClientError,
            Status::Code(_) => Self::ServerError,
            Status::Error(ErrorClass::Timeout) => Self::TimedOut,
            Status::Error(_) => Self::Unanswered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_back_as_it_was_written() {
        let all = ErrorClass::ALL.into_iter().map(Status::Error).chain([Status::Code(200), Status::Code(503)]);
        for status in all {
            assert_eq!(status.to_string().parse(), Ok(status));
        }
        assert!("soon".parse::<Status>().is_err());
    }
}
