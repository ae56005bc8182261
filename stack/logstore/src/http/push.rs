//! `/push`: bodies become streams.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use prost::Message;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{App, Failure};
use crate::clock::SECOND;
use crate::label;
use crate::logql;
use crate::store::{PushEntry, PushStream};

/// Stores a push.
pub(super) async fn push(State(app): State<App>, headers: HeaderMap, body: Body) -> Result<StatusCode, Failure> {
    let limit = app.store.options().limits.max_body;
    let too_large = || Failure::new(413, format!("request body too large: limit: {limit} bytes"));
    let collected = Limited::new(body, limit).collect().await.map_err(|e| {
        if e.is::<http_body_util::LengthLimitError>() { too_large() } else { Failure::bad(e.to_string()) }
    })?;
    let bytes = collected.to_bytes();
    let permit = Arc::clone(&app.pushes).acquire_owned().await.expect("the semaphore is never closed");
    let task = tokio::task::spawn_blocking(move || {
        let _permit = permit;
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
    let plain = match encoding.as_str() {
        "gzip" => inflate(flate2::read::MultiGzDecoder::new(body), limit)?,
        "deflate" => inflate(flate2::read::DeflateDecoder::new(body), limit)?,
        "" | "identity" | "snappy" => body.to_vec(),
        other => return Err(Failure::bad(format!("Content-Encoding {other:?} not supported"))),
    };
    if content != "application/json" {
        // as Loki: everything else is protobuf, compressed by snappy
        return decode_protobuf(&plain, limit);
    }
    let request: Request =
        serde_json::from_slice(&plain).map_err(|e| Failure::bad(format!("failed to read the push: {e}")))?;
    request.streams.into_iter().map(StreamBody::check).collect()
}

fn decode_protobuf(body: &[u8], limit: usize) -> Result<Vec<PushStream>, Failure> {
    let broken = |e: &dyn fmt::Display| Failure::bad(format!("failed to read the push: {e}"));
    let length = snap::raw::decompress_len(body).map_err(|e| broken(&e))?;
    if length > limit {
        return Err(Failure::new(413, format!("request body too large: {length} bytes, limit: {limit} bytes")));
    }
    let plain = snap::raw::Decoder::new().decompress_vec(body).map_err(|e| broken(&e))?;
    let request = PushRequest::decode(plain.as_slice()).map_err(|e| broken(&e))?;
    request.streams.into_iter().map(StreamMessage::check).collect()
}

/// `logproto.PushRequest`
#[derive(Clone, PartialEq, prost::Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<StreamMessage>,
}

/// `logproto.StreamAdapter`
#[derive(Clone, PartialEq, prost::Message)]
struct StreamMessage {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<EntryMessage>,
}

/// `logproto.EntryAdapter`; the line is bytes, because senders do not check it.
#[derive(Clone, PartialEq, prost::Message)]
struct EntryMessage {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Timestamp>,
    #[prost(bytes = "vec", tag = "2")]
    line: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<LabelPair>,
}

/// `google.protobuf.Timestamp`
#[derive(Clone, PartialEq, prost::Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// `logproto.LabelPairAdapter`
#[derive(Clone, PartialEq, prost::Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

impl StreamMessage {
    fn check(self) -> Result<PushStream, Failure> {
        let labels =
            logql::parse_labels(&self.labels).map_err(|e| Failure::bad(format!("couldn't parse labels: {e}")))?;
        let entries = self.entries.into_iter().map(EntryMessage::check).collect::<Result<_, _>>()?;
        Ok(PushStream { labels, entries })
    }
}

impl EntryMessage {
    fn check(self) -> Result<PushEntry, Failure> {
        let time = self.timestamp.unwrap_or_default();
        let at = time.seconds.checked_mul(SECOND).and_then(|at| at.checked_add(i64::from(time.nanos)));
        let at = at.ok_or_else(|| Failure::bad("failed to read the push: a timestamp is out of range"))?;
        let line = String::from_utf8(self.line).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        let metadata = self.metadata.into_iter().map(|pair| (pair.name, pair.value)).collect();
        Ok(PushEntry { at, line, metadata })
    }
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
