//! What the ruler evaluates and found: `/prometheus/api/v1/rules` and `/alerts`, and the rules as they were given.

use std::fmt::Write;

use axum::extract::{Path, State};
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::answer::{LabelsJson, json_response};
use super::{App, Failure};
use crate::clock::{self, Nanos};
use crate::label::Labels;
use crate::ruler::alert::{Alert, Phase};
use crate::ruler::{Group, Rule, RuleState, Ruler, Running, word, written};

/// Parameters by which Loki leaves rules out.
const FILTERS: [&str; 6] = ["type", "file", "rule_group", "rule_name", "exclude_alerts", "match"];

/// All groups with their rules and alerts.
pub(super) async fn rules(State(app): State<App>, uri: Uri) -> Result<Response, Failure> {
    unfiltered(&uri)?;
    let groups: Vec<Value> = ruler(&app)?.groups().iter().map(|running| group(running)).collect();
    Ok(success(json!({ "groups": groups })))
}

/// All alerts that are pending or firing.
pub(super) async fn alerts(State(app): State<App>) -> Result<Response, Failure> {
    let states = ruler(&app)?.groups().iter().flat_map(|running| running.state().rules);
    let alerts: Vec<Value> = states.flat_map(|rule| active(&rule)).collect();
    Ok(success(json!({ "alerts": alerts })))
}

/// The rules of all files as YAML.
pub(super) async fn listed(State(app): State<App>) -> Result<Response, Failure> {
    list(ruler(&app)?, |_| true)
}

/// The rules of one file as YAML.
pub(super) async fn listed_file(State(app): State<App>, Path(file): Path<String>) -> Result<Response, Failure> {
    list(ruler(&app)?, |group| group.file == file)
}

/// One group as YAML.
pub(super) async fn listed_group(
    State(app): State<App>,
    Path((file, name)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let files = ruler(&app)?.listed(|group| group.file == file && group.name == name);
    let group = files.into_values().flatten().next().ok_or_else(|| Failure::new(404, "group does not exist"))?;
    Ok(yaml(group))
}

fn ruler(app: &App) -> Result<&Ruler, Failure> {
    let none = "logstore was started without a ruler: give `--config` with a loki.yml that names a folder of rules";
    app.ruler.as_deref().ok_or_else(|| Failure::new(404, none))
}

fn unfiltered(uri: &Uri) -> Result<(), Failure> {
    let query: Vec<(String, String)> =
        serde_urlencoded::from_str(uri.query().unwrap_or_default()).map_err(|error| Failure::bad(error.to_string()))?;
    match query.iter().find(|(name, _)| FILTERS.contains(&name.trim_end_matches("[]"))) {
        Some((name, _)) => Err(Failure::bad(format!("logstore does not support the parameter {name}: leave it out"))),
        None => Ok(()),
    }
}

fn success(data: Value) -> Response {
    json_response(&json!({"status": "success", "data": data, "errorType": "", "error": ""}))
}

fn yaml(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/yaml")], text).into_response()
}

fn list(ruler: &Ruler, wanted: impl Fn(&Group) -> bool) -> Result<Response, Failure> {
    let files = ruler.listed(wanted);
    if files.is_empty() {
        return Err(Failure::new(404, "no rule groups found"));
    }
    let mut out = String::new();
    for (file, groups) in files {
        let _ = writeln!(out, "{file:?}:");
        for group in groups {
            let _ = writeln!(out, "    - {}", group.trim_end().replace('\n', "\n      "));
        }
    }
    Ok(yaml(out))
}

/// A time that may not have come yet, as Go writes it.
fn time(at: Option<Nanos>) -> String {
    at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), clock::rfc3339)
}

#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^52 nanoseconds")]
fn seconds(duration: Nanos) -> f64 {
    duration as f64 / 1e9
}

fn group(running: &Running) -> Value {
    let (group, state) = (&running.group, running.state());
    json!({
        "name": group.name,
        "file": group.file,
        "rules": group.rules.iter().zip(&state.rules).map(|(given, state)| rule(given, state)).collect::<Vec<_>>(),
        "interval": seconds(group.interval),
        "limit": group.limit,
        "lastEvaluation": time(state.last_evaluation),
        "evaluationTime": state.took.as_secs_f64(),
    })
}

/// Loki does not tell `keep_firing_for`, and neither is it told here.
fn rule(given: &Rule, state: &RuleState) -> Value {
    let (labels, annotations) = written(given);
    json!({
        "state": word(state.phase()),
        "name": given.name,
        "query": given.query.to_string(),
        "duration": seconds(given.timing.hold),
        "labels": json!(LabelsJson(&labels)),
        "annotations": json!(LabelsJson(&annotations)),
        "alerts": active(state),
        "health": state.health(),
        "lastError": state.error.as_deref().unwrap_or_default(),
        "type": "alerting",
        "lastEvaluation": time(state.last_evaluation),
        "evaluationTime": state.took.as_secs_f64(),
    })
}

fn active(state: &RuleState) -> Vec<Value> {
    state
        .alerts
        .iter()
        .filter(|(_, alert)| alert.phase != Phase::Inactive)
        .map(|(labels, alert)| one(labels, alert))
        .collect()
}

fn one(labels: &Labels, alert: &Alert) -> Value {
    json!({
        "labels": json!(LabelsJson(labels)),
        "annotations": json!(LabelsJson(&alert.annotations)),
        "state": word(alert.phase),
        "activeAt": time(Some(alert.active_at)),
        "value": exponent(alert.value),
    })
}

/// As Go's `%e` in its shortest form.
fn exponent(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .to_owned();
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_go_writes_them() {
        for (value, expected) in
            [(1.0, "1e+00"), (0.065, "6.5e-02"), (12_345.0, "1.2345e+04"), (f64::INFINITY, "+Inf"), (f64::NAN, "NaN")]
        {
            assert_eq!(exponent(value), expected);
        }
    }
}
