//! The settings of the switches as `PUT /faults` writes them. Numbers may come as JSON numbers or as texts, with units where
//! people write them: `0.5`, `"50%"`, `"300ms"`, `"1MiB"`.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::config::parse_duration;

/// A share between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "Value")]
pub struct Share(f64);

impl Share {
    /// Everything.
    pub const ALL: Self = Self(1.0);

    /// Decides for one request.
    #[must_use]
    pub fn hits(self) -> bool {
        self.0 >= 1.0 || rand::random::<f64>() < self.0
    }
}

impl TryFrom<Value> for Share {
    type Error = String;
    fn try_from(value: Value) -> Result<Self, String> {
        let share = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => match text.trim().strip_suffix('%') {
                Some(percent) => percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0),
                None => text.trim().parse().ok(),
            },
            _ => None,
        };
        let valid = share.filter(|share| (0.0..=1.0).contains(share));
        valid.map(Self).ok_or_else(|| format!("{value} is not a share: expected 0 to 1, or \"0%\" to \"100%\""))
    }
}

fn all() -> Share {
    Share::ALL
}

/// A 4xx or 5xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Value")]
pub struct ErrorStatus(pub u16);

impl TryFrom<Value> for ErrorStatus {
    type Error = String;
    fn try_from(value: Value) -> Result<Self, String> {
        let status =
            number(&value).filter(|status| (400..=599).contains(status)).and_then(|status| u16::try_from(status).ok());
        status.map(Self).ok_or_else(|| format!("{value} is not an error status: expected 400 to 599"))
    }
}

fn internal_error() -> ErrorStatus {
    ErrorStatus(500)
}

/// A duration with its unit; at most a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct Delay(pub Duration);

impl TryFrom<Value> for Delay {
    type Error = String;
    fn try_from(value: Value) -> Result<Self, String> {
        let parsed = value.as_str().and_then(|text| parse_duration(text).ok());
        let valid = parsed.filter(|delay| *delay <= Duration::from_secs(60));
        valid
            .map(Self)
            .ok_or_else(|| format!("{value} is not a delay: expected a text such as \"300ms\", at most \"60s\""))
    }
}

impl Serialize for Delay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}ms", self.0.as_millis()))
    }
}

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Value")]
pub struct Bytes(pub u64);

impl TryFrom<Value> for Bytes {
    type Error = String;
    fn try_from(value: Value) -> Result<Self, String> {
        const UNITS: [(&str, u64); 7] = [
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("kB", 1000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("B", 1),
        ];
        let with_unit = |text: &str| {
            let split = UNITS.iter().find_map(|(unit, factor)| Some((text.trim().strip_suffix(unit)?, factor)))?;
            split.0.trim().parse::<u64>().ok()?.checked_mul(*split.1)
        };
        let bytes = number(&value).or_else(|| value.as_str().and_then(with_unit));
        bytes.map(Self).ok_or_else(|| format!("{value} is not a size: expected a text such as \"1MiB\""))
    }
}

/// So many a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Value")]
pub struct PerSecond(pub u64);

impl TryFrom<Value> for PerSecond {
    type Error = String;
    fn try_from(value: Value) -> Result<Self, String> {
        let rate = number(&value).filter(|rate| (1..=1_000_000).contains(rate));
        rate.map(Self).ok_or_else(|| format!("{value} is not a rate: expected a whole number a second, 1 to 1000000"))
    }
}

/// A whole number, however it is written: `20`, `20.0`, `"20"`.
fn number(value: &Value) -> Option<u64> {
    let double = || value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    let whole = |double: f64| (double.fract() == 0.0 && (0.0..MOST).contains(&double)).then(|| format!("{double:.0}"));
    let text = || whole(double()?)?.parse().ok();
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()).or_else(text)
}

/// Up to here a double holds every whole number.
const MOST: f64 = 9_007_199_254_740_992.0;

/// Requests are answered with an error instead of being handled.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Errors {
    /// Of the requests.
    #[serde(default = "all")]
    pub share: Share,
    /// The answer.
    #[serde(default = "internal_error")]
    pub status: ErrorStatus,
    /// Only on this route template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
}

/// Requests wait before they are handled.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// How long.
    pub add: Delay,
    /// Of the requests.
    #[serde(default = "all")]
    pub share: Share,
    /// Only on this route template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
}

/// Requests panic instead of being handled, as a bug in a handler does.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Panic {
    /// Of the requests.
    #[serde(default = "all")]
    pub share: Share,
    /// Only on this route template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
}

/// Memory is allocated and kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LeakMemory {
    /// Bytes a second.
    pub rate: Bytes,
    /// Where the leak stops, so that a forgotten drill does not take the machine down.
    #[serde(default = "half_a_gibibyte")]
    pub limit: Bytes,
}

fn half_a_gibibyte() -> Bytes {
    Bytes(512 << 20)
}

/// Database connections are taken and not given back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LeakConnections {
    /// Connections a second.
    pub rate: PerSecond,
}

/// Connections to the database server are opened beside the pool and kept, as code does that forgets the pool.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CrowdServer {
    /// How many, at once; at most a thousand.
    pub connections: Crowd,
}

/// 1 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Value")]
pub struct Crowd(pub u64);

impl TryFrom<Value> for Crowd {
    type Error = String;
    fn try_from(value: Value) -> Result<Self, String> {
        let crowd = number(&value).filter(|crowd| (1..=1000).contains(crowd));
        crowd
            .map(Self)
            .ok_or_else(|| format!("{value} is no number of connections: expected a whole number, 1 to 1000"))
    }
}

/// `/metrics` answers 503.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StopMetrics {}

/// `/metrics` waits before it answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SlowMetrics {
    /// How long.
    pub add: Delay,
}

/// Lines without meaning are logged.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogFlood {
    /// Lines a second.
    pub rate: PerSecond,
}

/// What is switched on. In a `PUT`, a key that is absent leaves its switch as it is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Switches {
    /// See [`Errors`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Errors>,
    /// See [`Slow`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<Slow>,
    /// See [`Panic`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panic: Option<Panic>,
    /// See [`LeakMemory`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leak_memory: Option<LeakMemory>,
    /// See [`LeakConnections`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leak_connections: Option<LeakConnections>,
    /// See [`CrowdServer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crowd_server: Option<CrowdServer>,
    /// See [`StopMetrics`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_metrics: Option<StopMetrics>,
    /// See [`SlowMetrics`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_metrics: Option<SlowMetrics>,
    /// See [`LogFlood`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_flood: Option<LogFlood>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Switches, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn numbers_and_texts_mean_the_same() {
        let numbers =
            parse(r#"{"errors":{"share":0.5,"status":503},"log-flood":{"rate":10},"leak-memory":{"rate":1048576}}"#)
                .unwrap();
        let texts = parse(
            r#"{"errors":{"share":"50%","status":"503"},"log-flood":{"rate":"10"},"leak-memory":{"rate":"1MiB"}}"#,
        )
        .unwrap();
        assert_eq!(numbers, texts);
        let doubles = parse(r#"{"log-flood":{"rate":10.0},"leak-memory":{"rate":1048576.0}}"#).unwrap();
        assert_eq!((doubles.log_flood, doubles.leak_memory), (numbers.log_flood, numbers.leak_memory));
    }

    #[test]
    fn what_means_nothing_is_refused_with_what_would() {
        for (text, hint) in [
            (r#"{"errors":{"share":1.5}}"#, "0 to 1"),
            (r#"{"errors":{"status":200}}"#, "400 to 599"),
            (r#"{"slow":{"add":5}}"#, "300ms"),
            (r#"{"slow":{"add":"2h"}}"#, "300ms"),
            (r#"{"log-flood":{"rate":0}}"#, "a second"),
            (r#"{"log-flood":{"rate":1.5}}"#, "a second"),
            (r#"{"leak-memory":{"rate":"1 potato"}}"#, "1MiB"),
            (r#"{"oops":{}}"#, "unknown field"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
