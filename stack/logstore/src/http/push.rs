//! `/push`: bodies become streams.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{App, Failure};
use crate::label;
use crate::store::{PushEntry, PushStream};

/// Stores a push.
pub(super) async fn push(State(app): State<App>, headers: HeaderMap, body: Body) -> Result<StatusCode, Failure> {
    let limit = app.store.options().limits.max_body;
    let too_large = || Failure::new(413, format!("request body too large: limit: {limit} bytes"));
    let collected = Limited::new(body, limit).collect().await.map_err(|e| {
        if e.is::<http_body_util::LengthLimitError>() { too_large() } else { Failure::bad(e.to_string()) }
    })?;
    let bytes = collected.to_bytes();
    let task = tokio::task::spawn_blocking(move || {
        let streams = decode(&headers, &bytes, limit)?;
        app.store.push(streams).map_err(Failure::from)
    });
    task.await.unwrap_or_else(|e| Err(Failure::new(500, format!("failed to store the push: {e}"))))?;
    Ok(StatusCode::NO_CONTENT)
}

fn decode(headers: &HeaderMap, body: &[u8], limit: usize) -> Result<Vec<PushStream>, Failure> {
    let header =
        |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok()).unwrap_or_default();
    let content = header(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let encoding = header(header::CONTENT_ENCODING).trim().to_ascii_lowercase();
    if content != "application/json" {
        return Err(Failure::bad("logstore does not support pushes of this content type; use application/json"));
    }
    let text = match encoding.as_str() {
        "" | "identity" => body.to_vec(),
        "gzip" => inflate(flate2::read::MultiGzDecoder::new(body), limit)?,
        "deflate" => inflate(flate2::read::DeflateDecoder::new(body), limit)?,
        other => return Err(Failure::bad(format!("Content-Encoding {other:?} not supported"))),
    };
    let request: Request =
        serde_json::from_slice(&text).map_err(|e| Failure::bad(format!("failed to read the push: {e}")))?;
    request.streams.into_iter().map(|stream| stream.check()).collect()
}

fn inflate(reader: impl Read, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    let read = reader.take(limit as u64 + 1).read_to_end(&mut out).map_err(|e| Failure::bad(e.to_string()))?;
    if read > limit {
        return Err(Failure::new(413, format!("request body too large: {read} bytes, limit: {limit} bytes")));
    }
    Ok(out)
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    streams: Vec<StreamBody>,
}

#[derive(Deserialize)]
struct StreamBody {
    #[serde(default)]
    stream: Pairs,
    #[serde(default)]
    values: Option<Vec<Value>>,
}

impl StreamBody {
    fn check(self) -> Result<PushStream, Failure> {
        let labels = self.stream.0;
        if let Some((name, _)) = labels.iter().find(|(name, _)| !label::is_valid_name(name)) {
            return Err(Failure::bad(format!("couldn't parse labels: invalid label name {name:?}")));
        }
        let entries = self.values.unwrap_or_default().into_iter().map(|value| value.0).collect();
        Ok(PushStream { labels, entries })
    }
}

/// A JSON object of texts, in order; of equal keys the last one counts.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        let mut seen = HashSet::new();
        pairs.reverse();
        pairs.retain(|(name, _)| seen.insert(name.clone()));
        pairs.reverse();
        Ok(Pairs(pairs))
    }
}

/// `["<nanoseconds>", "<line>", {structured metadata}]`
struct Value(PushEntry);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[\"<nanoseconds>\", \"<line>\"]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let at: String = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let at = at.parse().map_err(|_| A::Error::custom(format!("{at:?} is no timestamp in nanoseconds")))?;
        let line = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
        let metadata = seq.next_element::<Pairs>()?.unwrap_or_default().0;
        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(Value(PushEntry { at, line, metadata }))
    }
}
