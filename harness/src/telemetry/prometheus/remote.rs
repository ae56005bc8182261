//! Remote read and remote write: raw samples out of a Prometheus and into one, bit by bit, stale markers included (no query
//! returns those). Protocol buffers compressed with snappy; the few messages are written by hand, so that no compiler for
//! them is needed.
//!
//! Values travel as their bits: a stale marker is a signalling NaN, and arithmetic on floats would turn it into another one.

use prost::Message;

use super::super::{Error, Labels};
use super::Prometheus;

/// The bits of a stale marker: "this series was here and is not any more".
pub const STALE: u64 = 0x7ff0_0000_0000_0002;

/// A sample as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RawSample {
    /// Milliseconds since the epoch.
    pub at: i64,
    /// The bits of the value.
    pub bits: u64,
}

impl RawSample {
    /// The value; NaN for a stale marker.
    #[must_use]
    pub const fn value(self) -> f64 {
        f64::from_bits(self.bits)
    }

    /// Whether it says that the series ended.
    #[must_use]
    pub const fn is_stale(self) -> bool {
        self.bits == STALE
    }
}

/// A series with every sample that is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RawSeries {
    /// All labels, `__name__` included.
    pub labels: Labels,
    /// In the order of time.
    pub samples: Vec<RawSample>,
}

/// Which series are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// All of them.
    Everything,
    /// Those of one metric.
    Metric(String),
}

#[derive(Clone, PartialEq, Message)]
struct ReadRequest {
    #[prost(message, repeated, tag = "1")]
    queries: Vec<Query>,
}

#[derive(Clone, PartialEq, Message)]
struct Query {
    #[prost(int64, tag = "1")]
    start: i64,
    #[prost(int64, tag = "2")]
    end: i64,
    #[prost(message, repeated, tag = "3")]
    matchers: Vec<Matcher>,
}

#[derive(Clone, PartialEq, Message)]
struct Matcher {
    /// 0 is `=`, 1 is `!=`.
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct ReadResponse {
    #[prost(message, repeated, tag = "1")]
    results: Vec<QueryResult>,
}

#[derive(Clone, PartialEq, Message)]
struct QueryResult {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// A `double` on the wire; the same eight bytes.
    #[prost(fixed64, tag = "1")]
    bits: u64,
    #[prost(int64, tag = "2")]
    at: i64,
}

/// An answer may grow by this much when it is unpacked; more is no answer to a question of ours.
const MOST_GROWTH: usize = 16;

impl Prometheus {
    /// Every stored sample between two times (milliseconds, both included), stale markers included. Prometheus adds its
    /// external labels to the series.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the answer is no remote read; see [`Error`].
    pub async fn read_raw(&self, pick: &Pick, start: i64, end: i64) -> Result<Vec<RawSeries>, Error> {
        let matcher = match pick {
            Pick::Everything => Matcher { kind: 1, name: "__name__".to_owned(), value: String::new() },
            Pick::Metric(name) => Matcher { kind: 0, name: "__name__".to_owned(), value: name.clone() },
        };
        let request = ReadRequest { queries: vec![Query { start, end, matchers: vec![matcher] }] };
        let reply = self.endpoint.post_snappy("api/v1/read", packed(&request)).await?;
        let malformed = |message: String| Error::Malformed { url: reply.url.clone(), path: "$".to_owned(), message };
        let most = reply.body.len().saturating_mul(MOST_GROWTH).saturating_add(1 << 20);
        let length = snap::raw::decompress_len(&reply.body).map_err(|error| malformed(error.to_string()))?;
        if length > most {
            return Err(Error::TooLarge { url: reply.url.clone(), limit: most });
        }
        let bytes = snap::raw::Decoder::new().decompress_vec(&reply.body).map_err(|it| malformed(it.to_string()))?;
        let response = ReadResponse::decode(bytes.as_slice()).map_err(|error| malformed(error.to_string()))?;
        Ok(response.results.into_iter().flat_map(|result| result.series).map(RawSeries::from).collect())
    }

    /// Stores samples, as they are. The server must have its remote write receiver enabled.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn write_raw(&self, series: &[RawSeries]) -> Result<(), Error> {
        let request = WriteRequest { series: series.iter().map(TimeSeries::from).collect() };
        self.endpoint.post_snappy("api/v1/write", packed(&request)).await.map(drop)
    }
}

fn packed(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    snap::raw::Encoder::new().compress_vec(&bytes).expect("a message of ours is shorter than 4 GiB")
}

impl From<TimeSeries> for RawSeries {
    fn from(series: TimeSeries) -> Self {
        Self {
            labels: series.labels.into_iter().map(|label| (label.name, label.value)).collect(),
            samples: series.samples.into_iter().map(|it| RawSample { at: it.at, bits: it.bits }).collect(),
        }
    }
}

impl From<&RawSeries> for TimeSeries {
    fn from(series: &RawSeries) -> Self {
        Self {
            labels: series
                .labels
                .iter()
                .map(|(name, value)| Label { name: name.clone(), value: value.clone() })
                .collect(),
            samples: series.samples.iter().map(|it| Sample { bits: it.bits, at: it.at }).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_marker_and_a_negative_zero_keep_their_bits_on_the_wire() {
        let bits = [STALE, (-0.0_f64).to_bits(), 0, f64::NAN.to_bits(), f64::INFINITY.to_bits(), 5e-324_f64.to_bits()];
        let samples = bits.iter().zip(1..).map(|(bits, at)| RawSample { at, bits: *bits }).collect();
        let series = RawSeries { labels: Labels::from([("__name__".into(), "x".into())]), samples };
        let bytes = packed(&WriteRequest { series: vec![TimeSeries::from(&series)] });
        let unpacked = snap::raw::Decoder::new().decompress_vec(&bytes).unwrap();
        let back = WriteRequest::decode(unpacked.as_slice()).unwrap();
        assert!(series.samples[0].is_stale() && !series.samples[3].is_stale());
        assert_eq!(back.series.into_iter().map(RawSeries::from).collect::<Vec<_>>(), [series]);
    }
}
