//! How long a stack took until it was ready, and what it could not be faster than.

use std::time::Duration;

use crate::event::EventKind;
use crate::report::length;

/// From the start of a scenario until everything was ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// With seed data planted and scraped.
    pub took: Duration,
    /// Until the gates were open: targets up, Alertmanager discovered, rules evaluated.
    pub gates_open: Option<Duration>,
    /// From Prometheus's own start until its first target was up.
    pub prometheus: Option<Duration>,
    /// The component that took longest to be ready, and how long.
    pub slowest: Option<(String, Duration)>,
}

impl Ready {
    /// From the event of it.
    #[must_use]
    pub fn of(what: &EventKind) -> Option<Self> {
        let EventKind::StackReady { took, gates_open, prometheus_first_up, slowest, slowest_boot } = what else {
            return None;
        };
        let slowest = slowest.clone().zip(*slowest_boot);
        Some(Self { took: *took, gates_open: *gates_open, prometheus: *prometheus_first_up, slowest })
    }

    /// How many times the longest of what could not be faster it took: Prometheus's first target, the slowest component.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let floor = self.prometheus?.max(self.slowest.as_ref().map_or(Duration::ZERO, |(_, boot)| *boot));
        (!floor.is_zero()).then(|| self.gates_open.map(|open| open.as_secs_f64() / floor.as_secs_f64()))?
    }

    /// In words: `7.9 s (gates open after 7.1 s, × 1.05 of …)`.
    #[must_use]
    pub fn words(&self) -> String {
        let took = length::show(self.took);
        let (Some(open), Some(prometheus), Some(ratio)) = (self.gates_open, self.prometheus, self.ratio()) else {
            return took;
        };
        let slowest = self.slowest.as_ref();
        let slowest =
            slowest.map_or_else(String::new, |(name, boot)| format!(", {name} {} to be ready", length::show(*boot)));
        format!(
            "{took}; targets up and rules evaluated after {} = {ratio:.2} × the longest of: Prometheus alone {} to its first \
             target{slowest}",
            length::show(open),
            length::show(prometheus)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_of_what_could_not_be_faster_is_the_measure() {
        let seconds = Duration::from_secs;
        let ready = |slowest: u64| Ready {
            took: seconds(8),
            gates_open: Some(seconds(6)),
            prometheus: Some(seconds(5)),
            slowest: Some(("postgres".to_owned(), seconds(slowest))),
        };
        assert_eq!(ready(2).ratio(), Some(1.2));
        assert_eq!(ready(12).ratio(), Some(0.5));
        assert_eq!(Ready { prometheus: None, ..ready(2) }.ratio(), None);
        assert!(ready(2).words().contains("1.20 ×") && ready(2).words().contains("postgres 2"), "{}", ready(2).words());
    }
}
