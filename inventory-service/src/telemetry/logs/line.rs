//! One line of the log as JSON, written by hand into a buffer that each thread keeps: a request pays for copying, not for
//! allocating. `logs` numbers and ships it.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::Duration;

use super::{Level, SERVICE};
use crate::http::identity::Identity;

thread_local! {
    static BUFFER: RefCell<Line> = RefCell::new(Line { text: String::with_capacity(1024), second: i64::MIN, stamp: String::new() });
}

/// A line under construction: an object without its closing brace.
#[derive(Debug)]
pub struct Line {
    text: String,
    second: i64,
    stamp: String,
}

impl Line {
    /// Starts a line with the fields that all have and gives it to `finish`.
    pub(super) fn with(
        nanos: i64,
        level: Level,
        event: &str,
        message: &str,
        boot: &str,
        finish: impl FnOnce(&mut Line),
    ) {
        BUFFER.with_borrow_mut(|line| {
            line.text.clear();
            line.text.push_str("{\"ts\":\"");
            line.stamp(nanos);
            line.text.push_str("\",\"level\":\"");
            line.text.push_str(level.as_str());
            line.text.push('"');
            line.text("event", event);
            line.text("msg", message);
            line.text("service", SERVICE);
            line.text("version", env!("CARGO_PKG_VERSION"));
            line.text("boot", boot);
            finish(line);
        });
    }

    /// Appends a field with a text.
    pub fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.text.push('"');
        escape(&mut self.text, value);
        self.text.push('"');
    }

    /// Appends a field with a whole number.
    pub fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        write!(self.text, "{value}").expect("writing to a String cannot fail");
    }

    /// Appends a field with anything that prints as a JSON-safe text, such as an id.
    pub fn display(&mut self, key: &str, value: &impl std::fmt::Display) {
        self.key(key);
        write!(self.text, "\"{value}\"").expect("writing to a String cannot fail");
    }

    /// Appends a field with milliseconds, to the microsecond.
    pub fn milliseconds(&mut self, key: &str, value: Duration) {
        self.key(key);
        let micros = value.as_micros();
        write!(self.text, "{}.{:03}", micros / 1000, micros % 1000).expect("writing to a String cannot fail");
    }

    /// Closes the object and ends the line.
    pub(super) fn end(&mut self) -> &[u8] {
        self.text.push_str("}\n");
        self.text.as_bytes()
    }

    fn key(&mut self, key: &str) {
        self.text.push_str(",\"");
        self.text.push_str(key);
        self.text.push_str("\":");
    }

    /// RFC 3339 in UTC to the microsecond; the calendar is asked once a second.
    fn stamp(&mut self, nanos: i64) {
        let second = nanos.div_euclid(1_000_000_000);
        if second != self.second {
            let stamp = jiff::Timestamp::from_second(second).unwrap_or_default();
            self.stamp = stamp.strftime("%Y-%m-%dT%H:%M:%S").to_string();
            self.second = second;
        }
        self.text.push_str(&self.stamp);
        let micros = nanos.rem_euclid(1_000_000_000) / 1000;
        write!(self.text, ".{micros:06}Z").expect("writing to a String cannot fail");
    }
}

/// Appends `value` escaped as in JSON.
pub(super) fn escape(into: &mut String, value: &str) {
    let mut plain = 0;
    for (at, byte) in value.bytes().enumerate() {
        let escaped = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        into.push_str(&value[plain..at]);
        if escaped.is_empty() {
            write!(into, "\\u{byte:04x}").expect("writing to a String cannot fail");
        } else {
            into.push_str(escaped);
        }
        plain = at + 1;
    }
    into.push_str(&value[plain..]);
}

/// A request that is over, as its line tells it.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// Who asked.
    pub identity: &'a Identity,
    /// Method, as in the label.
    pub method: &'static str,
    /// Route, as in the label.
    pub route: &'static str,
    /// Status.
    pub status: u16,
    /// How long it took.
    pub duration: Duration,
    /// The kind of failure, a short word.
    pub cause: Option<&'a str>,
    /// What happened, for people.
    pub error: Option<&'a str>,
}

impl Access<'_> {
    /// 5xx are errors; everything else is as it should be.
    #[must_use]
    pub fn level(&self) -> Level {
        if self.status >= 500 { Level::Error } else { Level::Info }
    }

    pub(super) fn message(&self) -> &'static str {
        if self.status >= 500 { "request failed" } else { "request answered" }
    }

    pub(super) fn write(&self, line: &mut Line, anonymous: bool) {
        if !anonymous {
            line.text("request_id", self.identity.request_id());
        }
        line.display("trace_id", &self.identity.trace_id);
        line.display("span_id", &self.identity.span_id);
        line.text("route", self.route);
        line.text("method", self.method);
        line.number("status", u64::from(self.status));
        line.milliseconds("duration_ms", self.duration);
        if let Some(cause) = self.cause {
            line.text("cause", cause);
        }
        if let Some(error) = self.error {
            line.text("error", error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_parses_back() {
        for text in ["plain", "quo\"te \\ back", "a\nb\tc\r\u{1}\u{1f}\0", "ünïcödé \u{2028} 🦀", ""] {
            let mut json = String::from("\"");
            escape(&mut json, text);
            json.push('"');
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    #[test]
    fn a_stamp_is_rfc_3339() {
        let mut stamps = Vec::new();
        for nanos in [0, 1_763_632_653_123_456_789, 1_763_632_653_999_999_999] {
            Line::with(nanos, Level::Info, "e", "m", "b", |line| {
                let bytes = line.end().to_vec();
                let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                stamps.push(value["ts"].as_str().unwrap().to_owned());
            });
        }
        assert_eq!(
            stamps,
            ["1970-01-01T00:00:00.000000Z", "2025-11-20T09:57:33.123456Z", "2025-11-20T09:57:33.999999Z"]
        );
    }
}
