//! Token buckets for the ingestion limits.

use std::time::Instant;

/// Bytes that may pass: refilled at a rate, up to a burst.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    rate: f64,
    burst: f64,
    level: f64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket of `burst` bytes, refilled with `rate` bytes a second.
    pub(super) fn new(rate: usize, burst: usize, now: Instant) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
        let (rate, burst) = (rate as f64, burst as f64);
        Self { rate, burst, level: burst, filled: now }
    }

    /// Takes `bytes` if they are there.
    pub(super) fn take(&mut self, bytes: usize, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.level = (self.level + elapsed * self.rate).min(self.burst);
        self.filled = now;
        #[expect(clippy::cast_precision_loss, reason = "a push is far below 2^52 bytes")]
        let bytes = bytes as f64;
        let enough = bytes <= self.level;
        if enough {
            self.level -= bytes;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::instant;

    #[test]
    fn a_bucket_lets_a_burst_pass_and_then_its_rate() {
        let start = instant();
        let mut bucket = Bucket::new(100, 300, start);
        assert!(bucket.take(300, start));
        assert!(!bucket.take(1, start));
        assert!(bucket.take(100, start + Duration::from_secs(1)));
        assert!(!bucket.take(301, start + Duration::from_secs(60)));
    }
}
