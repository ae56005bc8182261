//! The only place of the service that reads a clock or blocks a thread.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock: every duration comes from it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that may read the clock")]
pub fn instant() -> Instant {
    Instant::now()
}

/// The wall clock, for log lines and exemplars only.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that may read the clock")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// The wall clock in nanoseconds since the Unix epoch, as Loki wants it.
#[must_use]
pub fn wall_nanos() -> i64 {
    let since = wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Blocks the calling thread; only for the thread that writes the log, which gathers lines this way.
#[expect(clippy::disallowed_methods, reason = "a dedicated thread gathers lines; async code uses tokio::time")]
pub(crate) fn block(duration: Duration) {
    std::thread::sleep(duration);
}
