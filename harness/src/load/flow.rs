//! How many requests went which way: due, sent, not sent, answered, failed, given up. Counted by `recorder`, read through
//! `Summary`.

/// How many requests went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Flow {
    /// Due by the schedule; always `started + dropped`.
    pub planned: u64,
    /// Sent, or at least tried; `completed + failed + cancelled` and what is in flight.
    pub started: u64,
    /// Never sent: the limit of requests in flight was reached.
    pub dropped: u64,
    /// Answered.
    pub completed: u64,
    /// Of the answered ones, those with a status or body that is not accepted.
    pub unexpected: u64,
    /// Ended without an answer.
    pub failed: u64,
    /// Given up because the load was stopped.
    pub cancelled: u64,
}

impl Flow {
    /// Started and not ended.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.started - self.completed - self.failed - self.cancelled
    }

    /// Answered as expected.
    #[must_use]
    pub const fn succeeded(&self) -> u64 {
        self.completed - self.unexpected
    }

    /// The share of errors among the ended requests, timeouts included; none when none ended.
    #[must_use]
    pub fn error_share(&self) -> Option<f64> {
        let ended = self.completed + self.failed;
        (ended > 0).then(|| (self.unexpected + self.failed) as f64 / ended as f64)
    }

    /// The share of the planned requests that was sent; none when none was planned.
    #[must_use]
    pub fn achieved_share(&self) -> Option<f64> {
        (self.planned > 0).then(|| self.started as f64 / self.planned as f64)
    }

    pub(super) const fn add(&mut self, other: &Self) {
        self.planned += other.planned;
        self.started += other.started;
        self.dropped += other.dropped;
        self.completed += other.completed;
        self.unexpected += other.unexpected;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
    }
}
