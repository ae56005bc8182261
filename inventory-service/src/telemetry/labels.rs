//! The label sets as types, so that a label cannot be forgotten or misspelt.

use std::fmt::Write as _;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelSetEncoder, LabelValueEncoder};

use crate::http::identity::TraceId;

/// Of `http_requests_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// HTTP method.
    pub method: &'static str,
    /// Route template.
    pub route: &'static str,
    /// Status; `None` only under sabotage.
    pub status: Status,
}

/// A status code, or none when sabotage drops it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(pub Option<u16>);

impl EncodeLabelValue for Status {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        match self.0 {
            Some(code) => write!(encoder, "{code}"),
            None => Ok(()),
        }
    }
}

/// Of `http_request_duration_seconds`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EndpointLabels {
    /// HTTP method.
    pub method: &'static str,
    /// Route template.
    pub route: &'static str,
}

/// Of `business_operations_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OperationLabels {
    /// What was asked.
    pub operation: &'static str,
    /// `success` or `error`.
    pub status: &'static str,
}

/// Of `inventory_reservations_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// `reserved`, `rejected` or `released`.
    pub outcome: &'static str,
}

/// Of `inventory_db_errors_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DatabaseErrorLabels {
    /// What was tried.
    pub operation: &'static str,
    /// The kind of failure.
    pub cause: &'static str,
}

/// Of `database_query_duration_seconds`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct QueryLabels {
    /// What was asked.
    pub operation: &'static str,
}

/// Of `database_connections_active`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ConnectionLabels {
    /// Which database.
    pub database: &'static str,
    /// `idle` or `in_use`.
    pub state: &'static str,
}

/// Of `database_connections_max`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DatabaseLabels {
    /// Which database.
    pub database: &'static str,
}

/// Of `log_lines_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LevelLabels {
    /// `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
}

/// Of `log_lines_dropped_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabels {
    /// Which destination, and why.
    pub reason: &'static str,
}

/// Of `inventory_build_info`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BuildLabels {
    /// The crate's version.
    pub version: &'static str,
    /// The source's revision, `unknown` unless the build says.
    pub revision: &'static str,
    /// The compiler's version.
    pub rustc: &'static str,
}

/// Of exemplars.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TraceLabels {
    /// The trace that the observation belongs to.
    pub trace_id: TraceId,
}

impl EncodeLabelValue for TraceId {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        write!(encoder, "{self}")
    }
}

/// No labels; for gauges that may be absent, which only a family can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NoLabels;

impl EncodeLabelSet for NoLabels {
    fn encode(&self, _: &mut LabelSetEncoder) -> Result<(), std::fmt::Error> {
        Ok(())
    }
}
