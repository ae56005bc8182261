//! When things are due, as planned: lengths of phases and faults in real time. `run::timeline` decides by it.

use std::time::Duration;

/// A fault on the time axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultStep {
    /// Its id.
    pub id: String,
    /// From the end of the baseline.
    pub at: Duration,
    /// From the inject call to the revert call.
    pub lasts: Duration,
}

/// The lengths of the phases, real time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Steady state before the first fault.
    pub baseline: Duration,
    /// From the last fault gone to the end of the load.
    pub recovery: Duration,
    /// The faults.
    pub faults: Vec<FaultStep>,
}
