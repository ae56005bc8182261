//! The only place of this crate that reads a clock: the wall clock stamps entries and answers, the monotonic clock
//! measures rates and deadlines.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch, as Loki stamps entries.
pub type Nanos = i64;

/// One second.
pub const SECOND: Nanos = 1_000_000_000;

/// The wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that may read the clock")]
pub fn wall() -> Nanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Nanos::try_from(since.as_nanos()).unwrap_or(Nanos::MAX)
}

/// The monotonic clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that may read the clock")]
pub fn instant() -> Instant {
    Instant::now()
}

/// `2024-01-02T03:04:05Z`
#[must_use]
pub fn rfc3339_seconds(at: Nanos) -> String {
    civil(at, "%Y-%m-%dT%H:%M:%SZ")
}

/// `2024-01-02 03:04:05.678 +0000 UTC`, as Go prints a time; the fraction has no trailing zeros.
#[must_use]
pub fn go_time(at: Nanos) -> String {
    let fraction = format!(".{:09}", at.rem_euclid(SECOND));
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{}{fraction} +0000 UTC", civil(at, "%Y-%m-%d %H:%M:%S"))
}

fn civil(at: Nanos, format: &str) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at))
        .map(|time| time.strftime(format).to_string())
        .unwrap_or_else(|_| at.to_string())
}

/// Reads an RFC 3339 time; `None` if it is none or out of range.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Nanos> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Nanos::try_from(time.as_nanosecond()).ok()
}
