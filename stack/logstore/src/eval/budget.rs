//! What one query may take and has taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::EvalError;
use crate::clock;

/// How many lines are read between two looks at the clock.
const CHECK_EVERY: u64 = 1_024;

/// What a query has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Lines.
    pub lines: u64,
    /// Bytes of lines.
    pub bytes: u64,
}

/// What one query may take and has taken.
#[derive(Debug)]
pub struct Budget {
    deadline: Instant,
    cancelled: Arc<AtomicBool>,
    statistics: Statistics,
}

impl Budget {
    /// Until `deadline`, or until `cancelled` is set.
    #[must_use]
    pub fn new(deadline: Instant, cancelled: Arc<AtomicBool>) -> Self {
        Self { deadline, cancelled, statistics: Statistics::default() }
    }

    /// What has been read so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Counts a line.
    pub(super) fn line(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.statistics.lines += 1;
        self.statistics.bytes += bytes as u64;
        if self.statistics.lines.is_multiple_of(CHECK_EVERY) { self.check() } else { Ok(()) }
    }

    /// Whether the query may go on.
    pub(super) fn check(&self) -> Result<(), EvalError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(EvalError::Cancelled);
        }
        if clock::instant() >= self.deadline { Err(EvalError::TimedOut) } else { Ok(()) }
    }
}
