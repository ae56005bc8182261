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
