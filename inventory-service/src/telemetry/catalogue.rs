//! `/catalogue`: everything that the service can say, for whoever writes rules, dashboards and log queries, and for the tests
//! that hold those against it.

use serde_json::{Map, Value, json};

use super::logs::{self, Level, Loss};
use super::metrics::SpanLoss;
use super::names::{self, Metric};
use crate::endpoint::{CLIENT_CLOSED, ENDPOINTS, UNMATCHED};
use crate::store::{self, Cause};

/// The catalogue as JSON.
#[must_use]
pub fn catalogue(database: &'static str) -> Value {
    let metrics: Vec<Value> = names::ALL.iter().map(|metric| describe(metric, database)).collect();
    let events: Vec<Value> = logs::EVENTS
        .iter()
        .map(|event| json!({ "event": event.name, "help": event.help, "fields": event.fields }))
        .collect();
    json!({
        "service": logs::SERVICE,
        "version": env!("CARGO_PKG_VERSION"),
        "metrics": metrics,
        "logs": {
            "labels": { "service": [logs::SERVICE], "level": Level::ALL.map(Level::as_str), "env": [] },
            "fields": logs::COMMON_FIELDS,
            "events": events,
        },
    })
}

fn describe(metric: &Metric, database: &'static str) -> Value {
    let labels: Map<String, Value> =
        metric.labels.iter().map(|label| ((*label).to_owned(), values(metric, label, database))).collect();
    json!({ "name": metric.name, "type": metric.kind.as_str(), "help": metric.help, "labels": labels })
}

/// The values that a label can take as far as they are known beforehand.
fn values(metric: &Metric, label: &str, database: &'static str) -> Value {
    match (metric.name, label) {
        (_, "method") => distinct(ENDPOINTS.iter().map(|endpoint| endpoint.method.to_owned())),
        (_, "route") => {
            distinct(ENDPOINTS.iter().map(|endpoint| endpoint.route.to_owned()).chain([UNMATCHED.to_owned()]))
        }
        ("business_operations_total", "status") => json!(["success", "error"]),
        (_, "status") => {
            let statuses = ENDPOINTS.iter().flat_map(|endpoint| endpoint.statuses().collect::<Vec<_>>());
            distinct(statuses.chain([404, 405, CLIENT_CLOSED]).map(|status| status.to_string()))
        }
        ("business_operations_total", "operation") => {
            distinct(ENDPOINTS.iter().filter_map(|endpoint| endpoint.operation).map(str::to_owned))
        }
        (_, "operation") => json!(store::OPERATIONS),
        (_, "cause") => json!(Cause::ALL.map(Cause::as_str)),
        (_, "outcome") => json!(["reserved", "rejected", "released"]),
        (_, "state") => json!(["idle", "in_use"]),
        (_, "database") => json!([database]),
        (_, "level") => json!(Level::ALL.map(Level::as_str)),
        ("trace_spans_dropped_total", "reason") => json!(SpanLoss::ALL.map(SpanLoss::as_str)),
        (_, "reason") => json!(Loss::ALL.map(Loss::as_str)),
        _ => json!([]),
    }
}

fn distinct(values: impl Iterator<Item = String>) -> Value {
    let sorted: std::collections::BTreeSet<String> = values.collect();
    json!(sorted)
}
