//! Expectations by outcome.

/// How many expectations came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Held.
    pub passed: usize,
    /// Did not hold.
    pub failed: usize,
    /// Could not be decided.
    pub inconclusive: usize,
    /// Not attempted.
    pub skipped: usize,
    /// Never judged: the log stops before.
    pub open: usize,
}

impl Tally {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.passed + self.failed + self.inconclusive + self.skipped + self.open
    }
}
