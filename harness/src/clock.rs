//! The only place that reads a clock. Durations come from the monotonic clock; the wall clock anchors them once, so that
//! a stamp taken later in a run is never smaller and can still be compared with Prometheus's timestamps.

use std::ops::{Add, Sub};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A point in time: microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Stamp(pub i64);

impl Stamp {
    /// From seconds since the epoch, as Prometheus writes them.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "microseconds since 1970 fit an i64 for 290,000 years")]
        Self((seconds * 1e6).round() as i64)
    }

    /// Seconds since the epoch.
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an f64 holds present-day microseconds exactly")]
        let micros = self.0 as f64;
        micros / 1e6
    }

    /// The time from `earlier` to this stamp; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// Signed seconds from `origin` to this stamp.
    #[must_use]
    pub fn seconds_from(self, origin: Self) -> f64 {
        Self(self.0 - origin.0).as_seconds()
    }
}

impl Add<Duration> for Stamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Stamp {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// A monotonic clock anchored to the wall clock once.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    monotonic: Instant,
    wall: Stamp,
}

impl Clock {
    /// Reads both clocks.
    #[must_use]
    pub fn start() -> Self {
        Self { monotonic: instant(), wall: wall() }
    }

    /// Now: the anchor plus the monotonic time since.
    #[must_use]
    pub fn now(&self) -> Stamp {
        self.wall + instant().duration_since(self.monotonic)
    }

    /// The stamp of a monotonic instant.
    #[must_use]
    pub fn stamp(&self, at: Instant) -> Stamp {
        if at >= self.monotonic {
            self.wall + at.duration_since(self.monotonic)
        } else {
            self.wall - self.monotonic.duration_since(at)
        }
    }

    /// The monotonic instant of a stamp; instants before the anchor are the anchor itself.
    #[must_use]
    pub fn instant(&self, stamp: Stamp) -> Instant {
        self.monotonic + stamp.since(self.wall)
    }
}

/// The monotonic clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that may read the clock")]
pub fn instant() -> Instant {
    Instant::now()
}

/// The wall clock; for people, file names and anchoring, never for durations.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that may read the clock")]
pub fn wall() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Blocks the calling thread; only for threads that pace load, never in async code.
#[expect(clippy::disallowed_methods, reason = "this is the one place that may sleep")]
pub fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}
