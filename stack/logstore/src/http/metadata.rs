//! Labels, series, sizes, and what tells about the store itself.

use std::collections::BTreeSet;
use std::fmt::Write;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::answer::{LabelsJson, json_response};
use super::parameter::Parameters;
use super::{App, Failure};
use crate::clock::{self, Nanos};
use crate::logql::{self, Matcher};
use crate::store::Selected;

/// The names of all labels.
pub(super) async fn labels(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let parameters = Parameters::read(&method, &uri, &headers, &body)?;
    let streams = streams(&app, &parameters)?;
    let names: BTreeSet<&str> = streams.iter().flat_map(|stream| stream.labels.iter()).map(|(name, _)| name).collect();
    Ok(list(&names))
}

/// The values of a label.
pub(super) async fn values(
    State(app): State<App>,
    Path(name): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let parameters = Parameters::read(&method, &uri, &headers, &body)?;
    let streams = streams(&app, &parameters)?;
    let values: BTreeSet<&str> = streams.iter().filter_map(|stream| stream.labels.get(&name)).collect();
    Ok(list(&values))
}

fn streams(app: &App, parameters: &Parameters) -> Result<Vec<Selected>, Failure> {
    let (start, end) = parameters.range(clock::wall())?;
    let matchers = match parameters.get("query") {
        "" => Vec::new(),
        query => logql::parse_selector(query)?,
    };
    Ok(app.store.select(&matchers, start, end.saturating_add(1)))
}

/// Loki leaves `data` out where there is none.
fn list(items: &BTreeSet<&str>) -> Response {
    let mut body = Map::new();
    body.insert("status".to_owned(), json!("success"));
    if !items.is_empty() {
        body.insert("data".to_owned(), json!(items));
    }
    json_response(&body)
}

/// The label sets of all streams that satisfy one of the selectors.
pub(super) async fn series(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let parameters = Parameters::read(&method, &uri, &headers, &body)?;
    let (start, end) = parameters.range(clock::wall())?;
    let selectors: Vec<Vec<Matcher>> = parameters
        .all("match[]")
        .chain(parameters.all("match"))
        .map(|text| if matches!(text, "" | "{}") { Ok(Vec::new()) } else { logql::parse_selector(text) })
        .collect::<Result<_, _>>()?;
    let selectors = if selectors.is_empty() { vec![Vec::new()] } else { selectors };
    let mut found = BTreeSet::new();
    for matchers in &selectors {
        found.extend(app.store.select(matchers, start, end.saturating_add(1)).into_iter().map(|stream| stream.labels));
    }
    let data: Vec<Value> = found.iter().map(|labels| json!(LabelsJson(labels))).collect();
    Ok(json_response(&json!({"status": "success", "data": data})))
}

/// How much a selector covers.
pub(super) async fn statistics(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let parameters = Parameters::read(&method, &uri, &headers, &body)?;
    let (start, end) = parameters.range(clock::wall())?;
    let matchers = logql::parse_selector(parameters.get("query"))?;
    let selected = app.store.select(&matchers, start, end.saturating_add(1));
    let chunks = || selected.iter().flat_map(|stream| &stream.chunks);
    let entries: usize = chunks().map(|chunk| chunk.range(start, end.saturating_add(1)).len()).sum();
    Ok(json_response(&json!({
        "streams": selected.len(),
        "chunks": chunks().count(),
        "bytes": chunks().map(|chunk| chunk.line_bytes()).sum::<usize>(),
        "entries": entries,
    })))
}

/// The store is ready once it answers.
pub(super) async fn ready() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], "ready\n").into_response()
}

/// The store's own numbers.
pub(super) async fn metrics(State(app): State<App>) -> Response {
    let mut text = app.store.metrics().render();
    if let Some(ruler) = &app.ruler {
        ruler.render(&mut text);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Tells that this is logstore and no Loki: by the branch.
pub(super) async fn build_info() -> Response {
    json_response(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": "",
        "branch": "logstore",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

/// The limits, under Loki's names.
pub(super) async fn config(State(app): State<App>) -> Response {
    let options = app.store.options();
    let limits = &options.limits;
    let nanos = |duration: std::time::Duration| Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX);
    let duration = |value| clock::prometheus_duration_text(nanos(value));
    let mut text = String::from("target: logstore\nauth_enabled: false\nlimits_config:\n");
    for (name, value) in [
        ("ingestion_rate_mb", format!("{}", limits.ingestion_rate >> 20)),
        ("ingestion_burst_size_mb", format!("{}", limits.ingestion_burst >> 20)),
        ("per_stream_rate_limit", format!("{}B", limits.stream_rate)),
        ("per_stream_rate_limit_burst", format!("{}B", limits.stream_burst)),
        ("max_global_streams_per_user", format!("{}", limits.max_streams)),
        ("max_line_size", format!("{}B", limits.max_line_size)),
        ("max_label_names_per_series", format!("{}", limits.max_label_names)),
        ("max_label_name_length", format!("{}", limits.max_label_name_length)),
        ("max_label_value_length", format!("{}", limits.max_label_value_length)),
        ("max_structured_metadata_size", format!("{}B", limits.max_metadata_size)),
        ("max_structured_metadata_entries_count", format!("{}", limits.max_metadata_count)),
        ("reject_old_samples_max_age", duration(limits.max_age)),
        ("creation_grace_period", duration(limits.grace_period)),
        ("max_entries_limit_per_query", format!("{}", limits.max_entries)),
        ("max_query_series", format!("{}", limits.max_series)),
        ("max_query_length", duration(limits.max_query_length)),
        ("query_timeout", duration(limits.query_timeout)),
    ] {
        let _ = writeln!(text, "  {name}: {value}");
    }
    let _ = write!(text, "logstore:\n  max_bytes: {}\n  fsync: {:?}\n", options.max_bytes, options.fsync);
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
