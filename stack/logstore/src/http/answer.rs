//! Answers as Loki's JSON.

use std::time::Duration;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::json;

use crate::clock::Nanos;
use crate::eval::{Answer, LabelStyle, LineResult, Sample, Series, Statistics, StreamResult};
use crate::label::Labels;

/// A JSON answer.
pub(super) fn json_response(value: &impl Serialize) -> Response {
    let text = serde_json::to_string(value).expect("answers consist of texts and finite numbers");
    ([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], text).into_response()
}

/// The answer to a query.
pub(super) fn query(answer: &Answer, statistics: Statistics, took: Duration, style: LabelStyle) -> Response {
    json_response(&Body { status: "success", data: Data { answer, statistics, took, style } })
}

/// Streams as a JSON array.
pub(super) fn streams(streams: &[StreamResult], style: LabelStyle) -> serde_json::Value {
    json!(streams.iter().map(|stream| StreamJson(stream, style)).collect::<Vec<_>>())
}

#[derive(Serialize)]
struct Body<'a> {
    status: &'static str,
    data: Data<'a>,
}

struct Data<'a> {
    answer: &'a Answer,
    statistics: Statistics,
    took: Duration,
    style: LabelStyle,
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let kind = match self.answer {
            Answer::Streams(_) => "streams",
            Answer::Vector(_) => "vector",
            Answer::Matrix(_) => "matrix",
            Answer::Scalar(..) => "scalar",
        };
        map.serialize_entry("resultType", kind)?;
        if self.style == LabelStyle::Categorized {
            map.serialize_entry("encodingFlags", &["categorize-labels"])?;
        }
        match self.answer {
            Answer::Streams(streams) => {
                let streams: Vec<_> = streams.iter().map(|stream| StreamJson(stream, self.style)).collect();
                map.serialize_entry("result", &streams)?;
            }
            Answer::Vector(samples) => {
                map.serialize_entry("result", &samples.iter().map(SampleJson).collect::<Vec<_>>())?
            }
            Answer::Matrix(series) => {
                map.serialize_entry("result", &series.iter().map(SeriesJson).collect::<Vec<_>>())?
            }
            Answer::Scalar(at, value) => map.serialize_entry("result", &point(*at, *value))?,
        }
        map.serialize_entry("stats", &self.statistics())?;
        map.end()
    }
}

impl Data<'_> {
    #[expect(clippy::cast_precision_loss, reason = "rates are estimates")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are positive estimates")]
    fn statistics(&self) -> serde_json::Value {
        let seconds = self.took.as_secs_f64();
        let rate = |amount: u64| if seconds > 0.0 { (amount as f64 / seconds) as u64 } else { 0 };
        let returned = match self.answer {
            Answer::Streams(streams) => streams.iter().map(|stream| stream.lines.len()).sum(),
            Answer::Vector(samples) => samples.len(),
            Answer::Matrix(series) => series.len(),
            Answer::Scalar(..) => 0,
        };
        json!({"summary": {
            "bytesProcessedPerSecond": rate(self.statistics.bytes),
            "linesProcessedPerSecond": rate(self.statistics.lines),
            "totalBytesProcessed": self.statistics.bytes,
            "totalLinesProcessed": self.statistics.lines,
            "execTime": seconds,
            "queueTime": 0.0,
            "subqueries": 0,
            "totalEntriesReturned": returned,
            "splits": 0,
            "shards": 0,
        }})
    }
}

/// Labels as a JSON object.
pub(super) struct LabelsJson<'a>(pub(super) &'a Labels);

impl Serialize for LabelsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

struct StreamJson<'a>(&'a StreamResult, LabelStyle);

impl Serialize for StreamJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("stream", &LabelsJson(&self.0.labels))?;
        let lines: Vec<_> = self.0.lines.iter().map(|line| LineJson(line, self.1)).collect();
        map.serialize_entry("values", &lines)?;
        map.end()
    }
}

struct LineJson<'a>(&'a LineResult, LabelStyle);

impl Serialize for LineJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        seq.serialize_element(&self.0.at.to_string())?;
        seq.serialize_element(&self.0.text)?;
        if self.1 == LabelStyle::Categorized {
            seq.serialize_element(&CategoriesJson(self.0))?;
        }
        seq.end()
    }
}

struct CategoriesJson<'a>(&'a LineResult);

impl Serialize for CategoriesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, labels) in [("structuredMetadata", &self.0.metadata), ("parsed", &self.0.parsed)] {
            if !labels.is_empty() {
                map.serialize_entry(name, &LabelsJson(labels))?;
            }
        }
        map.end()
    }
}

struct SampleJson<'a>(&'a Sample);

impl Serialize for SampleJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("metric", &LabelsJson(&self.0.labels))?;
        map.serialize_entry("value", &point(self.0.at, self.0.value))?;
        map.end()
    }
}

struct SeriesJson<'a>(&'a Series);

impl Serialize for SeriesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("metric", &LabelsJson(&self.0.labels))?;
        let points: Vec<_> = self.0.points.iter().map(|(at, value)| point(*at, *value)).collect();
        map.serialize_entry("values", &points)?;
        map.end()
    }
}

/// Seconds (milliseconds at most) and the value as a text.
fn point(at: Nanos, value: f64) -> (Seconds, String) {
    (Seconds(at.div_euclid(1_000_000)), number(value))
}

/// Milliseconds, written as seconds without needless digits.
struct Seconds(i64);

impl Serialize for Seconds {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit a float exactly")]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % 1_000 {
            0 => serializer.serialize_i64(self.0 / 1_000),
            _ => serializer.serialize_f64(self.0 as f64 / 1e3),
        }
    }
}

/// A value as Prometheus writes it.
fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        value if value.is_infinite() => if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_written_as_loki_writes_them() {
        let text = |at, value| serde_json::to_string(&point(at, value)).unwrap();
        assert_eq!(text(1_700_000_000_000_000_000, 1.0), r#"[1700000000,"1"]"#);
        assert_eq!(text(1_700_000_000_250_999_999, 0.1), r#"[1700000000.25,"0.1"]"#);
        assert_eq!(text(0, f64::INFINITY), r#"[0,"+Inf"]"#);
        assert_eq!(text(0, 1e21), r#"[0,"1000000000000000000000"]"#);
    }
}
