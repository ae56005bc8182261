//! `/query` and `/query_range`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;

use super::parameter::Parameters;
use super::{App, Failure, answer};
use crate::clock::{self, Nanos};
use crate::eval::{self, Budget, LabelStyle, Request};
use crate::logql::{self, Query};

/// Evaluates a metric query at one time.
pub(super) async fn instant(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let parameters = Parameters::read(&method, &uri, &headers, &body)?;
    let limit = parameters.limit()?;
    let time = parameters.time(clock::wall())?;
    let direction = parameters.direction()?;
    let query = logql::parse(parameters.get("query"))?;
    if let Query::Log(_) = query {
        let message =
            "log queries are not supported as an instant query type, please change your query to a range query type";
        return Err(Failure::bad(message));
    }
    let request = Request {
        start: time,
        end: time,
        step: 0,
        interval: 0,
        direction,
        limit,
        max_series: app.store.options().limits.max_series,
        labels: style(&headers),
    };
    run(app, query, request).await
}

/// Answers with lines, or evaluates a metric query at several times.
pub(super) async fn range(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let parameters = Parameters::read(&method, &uri, &headers, &body)?;
    let (start, end) = parameters.range(clock::wall())?;
    let limit = parameters.limit()?;
    let direction = parameters.direction()?;
    let step = parameters.step(start, end)?;
    let interval = parameters.interval()?;
    let query = logql::parse(parameters.get("query"))?;
    let limits = &app.store.options().limits;
    check_length(start, end, Nanos::try_from(limits.max_query_length.as_nanos()).unwrap_or(Nanos::MAX))?;
    let mut request = Request {
        start,
        end,
        step,
        interval,
        direction,
        limit,
        max_series: limits.max_series,
        labels: style(&headers),
    };
    match query {
        Query::Log(_) if limit > limits.max_entries => {
            let text = "max entries limit per query exceeded, limit > max_entries_limit_per_query";
            return Err(Failure::bad(format!("{text} ({limit} > {})", limits.max_entries)));
        }
        Query::Log(_) => {}
        // as Loki's query frontend: the start is rounded down and the end up to multiples of the step
        Query::Metric(_) => {
            request.start = start.div_euclid(step) * step;
            request.end = end.checked_add(step - 1).map_or(end, |end| end.div_euclid(step) * step);
        }
    }
    run(app, query, request).await
}

fn check_length(start: Nanos, end: Nanos, limit: Nanos) -> Result<(), Failure> {
    let length = end.saturating_sub(start);
    if length <= limit {
        return Ok(());
    }
    let (length, limit) = (clock::go_duration_text(length), clock::prometheus_duration_text(limit));
    Err(Failure::bad(format!("the query time range exceeds the limit (query length: {length}, limit: {limit})")))
}

/// Whether the client wants to know where labels come from.
pub(super) fn style(headers: &HeaderMap) -> LabelStyle {
    let flags = headers.get_all("X-Loki-Response-Encoding-Flags").iter().filter_map(|value| value.to_str().ok());
    let wanted = flags.flat_map(|flags| flags.split(',')).any(|flag| flag.trim() == "categorize-labels");
    if wanted { LabelStyle::Categorized } else { LabelStyle::Merged }
}

/// Tells the evaluation that nobody waits for it any more.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn run(app: App, query: Query, request: Request) -> Result<Response, Failure> {
    let waiting = Waiting(Arc::new(AtomicBool::new(false)));
    let started = clock::instant();
    let deadline = started + app.store.options().limits.query_timeout;
    let mut budget = Budget::new(deadline, Arc::clone(&waiting.0));
    let permit = Arc::clone(&app.queries).acquire_owned().await.expect("the semaphore is never closed");
    let task = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let style = request.labels;
        let answer = eval::evaluate(&app.store, &query, &request, &mut budget)?;
        Ok(answer::query(&answer, budget.statistics(), started.elapsed(), style))
    });
    let result = task.await;
    drop(waiting);
    result.unwrap_or_else(|e| Err(Failure::new(500, format!("failed to evaluate the query: {e}"))))
}
