//! Gathers what `that.dashboard` is judged by: resolves a dashboard's variables, fills them into its queries as Grafana does,
//! divides what is left by the time scale, and asks, through Grafana where it runs, else the data sources themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::Regex;
use serde_json::json;

use super::gather::{Sources, scrapes};
use crate::clock::Stamp;
use crate::expect::dashboard::board::{self, Board, Panel, Query, Source, SourceRole, Variable};
use crate::expect::dashboard::interpolate::{Values, interpolate, lengths, select};
use crate::expect::dashboard::{self, Asked, Dashboard, Resolved, Seen, SeenPanel, Shown, Shows, Trouble};
use crate::expect::managed::{self, Answers, Managed};
use crate::expect::{Labels, Mode, Window};
use crate::outcome::Outcome;
use crate::plan::scale::{logql, promql};
use crate::plan::unit;
use crate::telemetry::grafana::{Cell, Frame, Grafana, PanelQuery};
use crate::telemetry::loki::{self, Limits};
use crate::telemetry::prometheus::Series;
use crate::telemetry::{Answer, Error};

/// A window is looked at in no more steps than these.
const MOST_STEPS: u32 = 1_000;
/// Log panels ask for no more lines than this.
const MOST_LINES: usize = 1_000;

/// Judges a dashboard expectation.
pub async fn judge(spec: &Dashboard, mode: Mode, window: Window, from: Sources<'_>) -> Outcome {
    let seen = look(spec, window, from).await;
    dashboard::judge(spec, mode, window, &seen, from.time)
}

async fn look(spec: &Dashboard, window: Window, from: Sources<'_>) -> Seen {
    let mut seen = Seen { way: way(from).await, ..Seen::default() };
    let (board, sources) = match of_grafana(spec, from).await {
        Ok(found) => found,
        Err(Absence::Missing(why)) => return Seen { missing: Some(why), ..seen },
        Err(Absence::Unanswered(why)) => return Seen { unanswered: Some(why), ..seen },
    };
    let (resolved, values) = variables(&board, &sources, window, from).await;
    seen.variables = resolved;
    let wanted = |panel: &&Panel| spec.panels.is_empty() || spec.panels.contains(&panel.title);
    let known = |title: &&String| !board.panels.iter().any(|panel| panel.title == **title);
    seen.unknown = spec.panels.iter().filter(known).cloned().collect();
    for panel in board.panels.iter().filter(wanted) {
        let mut queries = Vec::new();
        for query in &panel.queries {
            queries.push(ask_query(spec, &board, panel, query, &sources, &values, window, from).await);
        }
        seen.panels.push(SeenPanel { title: panel.title.clone(), unit: panel.unit.clone(), queries });
    }
    seen.coverage = scrapes(from, window).await.unwrap_or_default();
    seen
}

/// Who is asked, in words.
async fn way(from: Sources<'_>) -> String {
    match from.grafana {
        Some(grafana) => {
            let version = grafana.health().await.map(|health| health.version).unwrap_or_default();
            format!("through Grafana {version} (/api/ds/query)")
        }
        None => "the data sources themselves, because no Grafana runs in this stack".to_owned(),
    }
}

/// Why there is nothing to look at.
enum Absence {
    /// There is no such dashboard.
    Missing(String),
    /// Nobody said.
    Unanswered(String),
}

/// The dashboard and the data sources: Grafana's where it runs, else as they are provisioned.
async fn of_grafana(spec: &Dashboard, from: Sources<'_>) -> Result<(Board, Vec<Source>), Absence> {
    let Some(grafana) = from.grafana else {
        let board = spec.provisioned.clone().map_err(Absence::Missing)?;
        return Ok((board, spec.sources.clone()));
    };
    let absence = |error: Error| match error {
        Error::Refused { status: 404, .. } => Absence::Missing(format!("Grafana: {error}")),
        other => Absence::Unanswered(format!("Grafana: {other}")),
    };
    let found = grafana.dashboard(&spec.uid).await.map_err(absence)?;
    let sources = sources_of(grafana).await.map_err(absence)?;
    Ok((Board::read(&found.model).map_err(Absence::Missing)?, sources))
}

async fn sources_of(grafana: &Grafana) -> Result<Vec<Source>, Error> {
    let found = grafana.data_sources().await?;
    let source = |it: crate::telemetry::grafana::DataSource| Source {
        scrape: board::interval(&it.scrape_interval),
        role: if it.is_default { SourceRole::Default } else { SourceRole::Named },
        uid: it.uid,
        name: it.name,
        kind: it.kind,
    };
    Ok(found.into_iter().map(source).collect())
}

async fn variables(board: &Board, sources: &[Source], window: Window, from: Sources<'_>) -> (Vec<Resolved>, Values) {
    let mut values = Values::new();
    let mut resolved = Vec::new();
    for variable in &board.variables {
        let options = options(variable, sources, &values, window, from).await;
        let chosen = options.as_ref().map(|options| select(variable, options));
        values.extend(chosen.ok().map(|value| (variable.name.clone(), value)));
        resolved.push(Resolved { name: variable.name.clone(), query: variable.query.clone(), options });
    }
    (resolved, values)
}

async fn options(
    variable: &Variable,
    sources: &[Source],
    values: &Values,
    window: Window,
    from: Sources<'_>,
) -> Result<Vec<String>, Trouble> {
    let listed = || variable.query.split(',').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect();
    match variable.kind.as_str() {
        "query" => {}
        "custom" | "interval" => return Ok(listed()),
        "datasource" => {
            let fitting = sources.iter().filter(|source| source.kind == variable.query);
            return Ok(fitting.map(|source| source.uid.clone()).collect());
        }
        "constant" | "textbox" => return Ok(vec![variable.query.clone()]),
        // filters that people add by hand stand for nothing at first
        "adhoc" => return Ok(vec![String::new()]),
        other => return Err(Trouble::Unanswered(format!("variables of type `{other}` are not followed here"))),
    }
    let source = board::source(sources, &interpolate(&variable.source, None, values))
        .ok_or_else(|| Trouble::NoSource(variable.source.clone()))?;
    let query = interpolate(&variable.query, None, values);
    let (selector, label) = label_values(&query)
        .ok_or_else(|| Trouble::Unanswered("only `label_values(…)` is followed here".to_owned()))?;
    let found = match source.kind.as_str() {
        "prometheus" => {
            let selector = selector.map_or_else(|| format!("{{{label}!=\"\"}}"), str::to_owned);
            let answer = from.prometheus.series(&selector, window.start, window.end).await.map_err(trouble)?;
            answer.value.into_iter().filter_map(|labels| labels.get(label).cloned()).collect()
        }
        "loki" => {
            let store = from.loki.ok_or_else(|| Trouble::Unanswered("the stack has no log store".to_owned()))?;
            store.label_values(label, loki::Window::between(window.start, window.end)).await.map_err(trouble)?
        }
        other => return Err(Trouble::Unanswered(format!("data sources of type `{other}` are not followed here"))),
    };
    let mut found: Vec<String> = found.into_iter().filter_map(|value| cut(&value, &variable.regex)).collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// `label_values(selector, label)` or `label_values(label)`.
fn label_values(query: &str) -> Option<(Option<&str>, &str)> {
    let inner = query.trim().strip_prefix("label_values(")?.strip_suffix(')')?;
    match inner.rsplit_once(',') {
        Some((selector, label)) => Some((Some(selector.trim()), label.trim())),
        None => Some((None, inner.trim())),
    }
}

/// A variable's regex keeps what it matches, or of it the first group.
fn cut(value: &str, regex: &str) -> Option<String> {
    let pattern = regex.trim().trim_start_matches('/').trim_end_matches('/');
    if pattern.is_empty() {
        return Some(value.to_owned());
    }
    let Ok(pattern) = Regex::new(pattern) else { return Some(value.to_owned()) };
    let found = pattern.captures(value)?;
    let chosen = found.name("value").or_else(|| found.get(1)).or_else(|| found.get(0))?;
    Some(chosen.as_str().to_owned())
}

#[expect(
    clippy::too_many_arguments,
    reason = "a query is asked in the context of its panel, board, sources and values"
)]
async fn ask_query(
    spec: &Dashboard,
    board: &Board,
    panel: &Panel,
    query: &Query,
    sources: &[Source],
    values: &Values,
    window: Window,
    from: Sources<'_>,
) -> Asked {
    let named = interpolate(&query.source, None, values);
    let Some(source) = board::source(sources, &named) else {
        let answer = Err(Trouble::NoSource(named));
        return Asked { id: query.id.clone(), text: query.text.clone(), wrong_unit: None, answer, before: None };
    };
    let written = interpolate(&query.text, Some(lengths(board, panel, query, source)), values);
    let wrong_unit = (source.kind == "prometheus").then(|| unit::mismatch(&written, &panel.unit)).flatten();
    let text = match scaled(source, &written, from) {
        Ok(text) => text,
        Err(trouble) => {
            return Asked { id: query.id.clone(), text: written, wrong_unit, answer: Err(trouble), before: None };
        }
    };
    let step = step(window, from);
    let answer = ask(source, &text, window, step, from).await;
    let compares = matches!(spec.shows, Shows::Rises | Shows::Falls);
    let before = match from.about.baseline.filter(|_| compares) {
        Some(baseline) => Some(ask(source, &text, baseline, step, from).await),
        None => None,
    };
    Asked { id: query.id.clone(), text, wrong_unit, answer, before }
}

/// A query in real time.
fn scaled(source: &Source, text: &str, from: Sources<'_>) -> Result<String, Trouble> {
    match source.kind.as_str() {
        "prometheus" => promql::scale(text, from.about.scale, &from.about.context)
            .map(|scaled| scaled.text)
            .map_err(|error| Trouble::Refused(error.to_string())),
        "loki" => Ok(logql::scale(text, from.about.scale)),
        other => Err(Trouble::Unanswered(format!("data sources of type `{other}` are not asked here"))),
    }
}

/// In whole milliseconds, which is what Prometheus steps by.
fn step(window: Window, from: Sources<'_>) -> Duration {
    let step = from.scrape.max(window.end.since(window.start) / MOST_STEPS);
    Duration::from_millis(u64::try_from(step.as_micros().div_ceil(1000)).unwrap_or(u64::MAX))
}

/// Puts points on the grid that was asked for: Loki and Grafana move it to multiples of the step.
fn on_grid(points: Vec<(Stamp, f64)>, times: &[Stamp], step: Duration) -> Vec<(Stamp, f64)> {
    let half = step / 2;
    let nearest = |at: Stamp| {
        let index = times.partition_point(|time| *time + half < at);
        times.get(index).copied().filter(|time| at.since(*time).max(time.since(at)) <= half)
    };
    points.into_iter().filter_map(|(at, value)| Some((nearest(at)?, value))).collect()
}

fn trouble(error: Error) -> Trouble {
    match error {
        Error::Query { message, .. } => Trouble::Refused(message),
        other => Trouble::Unanswered(other.to_string()),
    }
}

/// Asks a query in real time at every step of a window.
async fn ask(source: &Source, text: &str, window: Window, step: Duration, from: Sources<'_>) -> Result<Shown, Trouble> {
    let start = Stamp(window.start.0 - window.start.0.rem_euclid(1000));
    let end = window.end.min(from.settled).max(start);
    let times: Vec<Stamp> =
        std::iter::successors(Some(start), |at| Some(*at + step)).take_while(|at| *at <= end).collect();
    if let Some(grafana) = from.grafana {
        let columns = through(grafana, source, text, (start, end), step).await?;
        let series = columns.into_iter().map(|(labels, points)| (labels, on_grid(points, &times, step)));
        return Ok(Shown { series: series.filter(|(_, points)| !points.is_empty()).collect(), times });
    }
    let series = match source.kind.as_str() {
        "prometheus" => complete(from.prometheus.query_range(text, start, end, step).await)?,
        _ => {
            let store = from.loki.ok_or_else(|| Trouble::Unanswered("the stack has no log store".to_owned()))?;
            let span = loki::Window::between(start, end);
            if text.trim_start().starts_with('{') {
                let limits = Limits { page: MOST_LINES, total: MOST_LINES };
                // more lines than a panel shows are no trouble
                let lines = store.query_range(text, span, limits).await.map_err(trouble)?.value;
                let points = lines.iter().map(|entry| (Stamp(entry.ts / 1000), 1.0)).collect::<Vec<_>>();
                let series = if points.is_empty() { Vec::new() } else { vec![(Labels::new(), points)] };
                return Ok(Shown { times, series });
            }
            complete(store.metric_range(text, span, step.max(Duration::from_millis(1))).await)?
        }
    };
    let points = |one: &Series| on_grid(one.points.iter().map(|it| (it.at, it.value)).collect(), &times, step);
    let series = series.iter().map(|one| (one.labels.clone(), points(one))).filter(|(_, points)| !points.is_empty());
    Ok(Shown { series: series.collect(), times })
}

fn complete(answer: Result<Answer<Vec<Series>>, Error>) -> Result<Vec<Series>, Trouble> {
    let answer = answer.map_err(trouble)?;
    match answer.warnings.first() {
        Some(warning) => Err(Trouble::Unanswered(format!("answered with a warning: {warning}"))),
        None => Ok(answer.value),
    }
}

/// Asks through Grafana's own API. The step is given as the query's least interval: Grafana would take the data source's,
/// which is production time.
async fn through(
    grafana: &Grafana,
    source: &Source,
    text: &str,
    (start, end): (Stamp, Stamp),
    step: Duration,
) -> Result<Vec<(Labels, Vec<(Stamp, f64)>)>, Trouble> {
    let interval = format!("{}ms", step.as_millis().max(1));
    let model = match source.kind.as_str() {
        "loki" => json!({"expr": text, "queryType": "range", "step": interval, "maxLines": MOST_LINES}),
        _ => json!({"expr": text, "range": true, "instant": false, "format": "time_series", "interval": interval}),
    };
    let query = PanelQuery {
        id: "A".to_owned(),
        data_source: source.uid.clone(),
        model: model.as_object().cloned().unwrap_or_default(),
        interval_ms: u64::try_from(step.as_millis()).unwrap_or(1).max(1),
        max_data_points: u64::from(MOST_STEPS) * 2,
    };
    let results = grafana.query(&[query], start, end).await.map_err(trouble)?;
    match results.into_values().next() {
        Some(Ok(frames)) => Ok(frames.iter().flat_map(columns).collect()),
        Some(Err(error)) => Err(Trouble::Refused(error)),
        None => Err(Trouble::Unanswered("Grafana answered without a result".to_owned())),
    }
}

/// A frame's number columns with their times; a frame of lines is one column of ones.
fn columns(frame: &Frame) -> Vec<(Labels, Vec<(Stamp, f64)>)> {
    let time = |cell: &Cell| match cell {
        Cell::Time(at) => Some(*at),
        _ => None,
    };
    let times: Vec<Option<Stamp>> = frame
        .fields
        .iter()
        .find(|field| field.kind == "time")
        .map(|field| field.values.iter().map(time).collect())
        .unwrap_or_default();
    let numbers = frame.fields.iter().filter(|field| field.kind == "number").map(|field| {
        let value = |cell: &Cell| match cell {
            Cell::Number(number) => Some(*number),
            _ => None,
        };
        let points = times.iter().zip(&field.values).filter_map(|(at, cell)| Some(((*at)?, value(cell)?)));
        (field.labels.clone(), points.collect::<Vec<_>>())
    });
    let mut columns: Vec<_> = numbers.filter(|(_, points)| !points.is_empty()).collect();
    if columns.is_empty() && frame.fields.iter().any(|field| field.kind == "string") {
        let lines: Vec<(Stamp, f64)> = times.iter().flatten().map(|at| (*at, 1.0)).collect();
        columns.extend((!lines.is_empty()).then(|| (Labels::new(), lines)));
    }
    columns
}

/// Judges Grafana's own rules over a window, at the pace at which Grafana evaluates them.
pub async fn judge_managed(spec: &Managed, window: Window, from: Sources<'_>) -> Outcome {
    let mut answers: BTreeMap<String, Answers> = BTreeMap::new();
    for rule in &spec.rules {
        let step = from.scrape.max(rule.every.div_f64(from.about.scale.factor()));
        let of_rule = answers.entry(rule.title.clone()).or_default();
        for question in &rule.questions {
            let answer = match board::source(&spec.sources, &question.source) {
                None => Err(Trouble::NoSource(question.source.clone())),
                Some(source) => match scaled(source, &question.text, from) {
                    Ok(text) => ask(source, &text, window, step, from).await,
                    Err(trouble) => Err(trouble),
                },
            };
            of_rule.insert(question.id.clone(), answer);
        }
    }
    managed::judge(spec, &way(from).await, &answers, from.time)
}

#[cfg(test)]
mod tests;
