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

impl Schedule {
    /// From the beginning of the baseline to the end of the recovery, when nothing takes longer than planned.
    #[must_use]
    pub fn length(&self) -> Duration {
        let faults = self.faults.iter().map(|fault| fault.at + fault.lasts).max();
        self.baseline + faults.unwrap_or_default() + self.recovery
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_lasts_until_the_recovery_after_its_last_fault() {
        let step =
            |at, lasts| FaultStep { id: String::new(), at: Duration::from_secs(at), lasts: Duration::from_secs(lasts) };
        let (baseline, recovery) = (Duration::from_secs(6), Duration::from_secs(9));
        let length = |faults| Schedule { baseline, recovery, faults }.length().as_secs();
        assert_eq!((length(vec![]), length(vec![step(0, 30), step(10, 5)])), (15, 45));
    }
}
