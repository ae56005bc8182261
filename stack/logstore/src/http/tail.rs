//! `/tail`: a WebSocket that sends lines as they are pushed.
//!
//! The subscription begins before the past is read, so that nothing falls between; what both have is sent once. A reader
//! that is too slow loses entries, and is told of it by `dropped_entries`, as with Loki.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::parameter::Parameters;
use super::{App, Failure, answer};
use crate::clock::{self, Nanos};
use crate::eval::{self, Answer, Budget, LabelStyle, LineResult, Request, StreamResult};
use crate::label::Labels;
use crate::logql::{self, LogQuery, Query};
use crate::store::{Entry, Pushed};

/// How long lines may be held back, in seconds.
const MAX_DELAY: u64 = 5;

/// What a tail asks for.
struct Tail {
    query: LogQuery,
    start: Nanos,
    limit: usize,
    style: LabelStyle,
}

/// Upgrades the connection and sends what is there and what comes.
pub(super) async fn tail(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    socket: WebSocketUpgrade,
) -> Result<Response, Failure> {
    let parameters = Parameters::read(&method, &uri, &headers, &Bytes::new())?;
    let query = logql::parse(parameters.get("query"))?;
    if let Some(unsupported) = query.unsupported() {
        return Err(eval::EvalError::from(unsupported).into());
    }
    let Query::Log(query) = query else { return Err(Failure::bad("only log selector is supported")) };
    let limit = parameters.limit()?.min(app.store.options().limits.max_entries);
    let (start, _) = parameters.bounds(clock::wall())?;
    let delay = parameters.get("delay_for");
    if !delay.is_empty() && delay.parse::<u64>().ok().is_none_or(|delay| delay > MAX_DELAY) {
        return Err(Failure::bad(format!("delay_for can't be greater than {MAX_DELAY}")));
    }
    let tail = Tail { query, start, limit, style: super::query::style(&headers) };
    let pushed = app.store.subscribe();
    Ok(socket.on_upgrade(move |socket| run(app, tail, pushed, socket)))
}

async fn run(app: App, tail: Tail, mut pushed: Receiver<Arc<Pushed>>, mut socket: WebSocket) {
    let tail = Arc::new(tail);
    let Some(past) = past(&app, &tail).await else { return };
    let mut sent: HashSet<(Labels, Nanos, String)> = HashSet::new();
    for stream in &past {
        sent.extend(stream.lines.iter().map(|line| (stream.labels.clone(), line.at, line.text.clone())));
    }
    if !past.is_empty() && send(&mut socket, &tail, &past, 0).await.is_err() {
        return;
    }
    loop {
        let (streams, dropped) = tokio::select! {
            received = pushed.recv() => match received {
                Ok(pushed) => (matching(&tail, &pushed, &mut sent), 0),
                Err(RecvError::Lagged(count)) => (Vec::new(), count),
                Err(RecvError::Closed) => return,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
        };
        if (!streams.is_empty() || dropped > 0) && send(&mut socket, &tail, &streams, dropped).await.is_err() {
            return;
        }
    }
}

/// The lines from the start on, up to the limit.
async fn past(app: &App, tail: &Arc<Tail>) -> Option<Vec<StreamResult>> {
    let (store, tail) = (Arc::clone(&app.store), Arc::clone(tail));
    let deadline = clock::instant() + store.options().limits.query_timeout;
    let task = tokio::task::spawn_blocking(move || {
        let request = Request {
            start: tail.start,
            end: Nanos::MAX,
            step: 0,
            interval: 0,
            direction: eval::Direction::Backward,
            limit: tail.limit,
            max_series: usize::MAX,
            labels: tail.style,
        };
        let mut budget = Budget::new(deadline, Arc::new(AtomicBool::new(false)));
        eval::evaluate(&store, &Query::Log(tail.query.clone()), &request, &mut budget)
    });
    let Ok(Ok(Answer::Streams(mut streams))) = task.await else { return None };
    // a tail reads forward
    streams.iter_mut().for_each(|stream| stream.lines.reverse());
    Some(streams)
}

/// The pushed entries that the tail asks for, without those that were sent with the past.
fn matching(tail: &Tail, pushed: &Pushed, sent: &mut HashSet<(Labels, Nanos, String)>) -> Vec<StreamResult> {
    let mut found: BTreeMap<Labels, Vec<LineResult>> = BTreeMap::new();
    for (stream, at, line, metadata) in pushed.entries() {
        if at < tail.start || !stream.satisfy(&tail.query.selector) {
            continue;
        }
        let entry = Entry { at, line, metadata: Some(metadata) };
        let Some((labels, line)) = eval::transform(&tail.query.stages, stream, entry, tail.style) else { continue };
        if !sent.is_empty() && sent.remove(&(labels.clone(), at, line.text.clone())) {
            continue;
        }
        found.entry(labels).or_default().push(line);
    }
    found.into_iter().map(|(labels, lines)| StreamResult { labels, lines }).collect()
}

async fn send(socket: &mut WebSocket, tail: &Tail, streams: &[StreamResult], dropped: u64) -> Result<(), axum::Error> {
    let mut body = serde_json::Map::new();
    body.insert("streams".to_owned(), answer::streams(streams, tail.style));
    if dropped > 0 {
        let entry = json!({"labels": {}, "timestamp": clock::wall().to_string()});
        let count = usize::try_from(dropped).unwrap_or(usize::MAX).min(10);
        body.insert("dropped_entries".to_owned(), json!(vec![entry; count]));
    }
    if tail.style == LabelStyle::Categorized {
        body.insert("encodingFlags".to_owned(), json!(["categorize-labels"]));
    }
    socket.send(Message::Text(serde_json::Value::Object(body).to_string().into())).await
}
