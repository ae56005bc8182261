//! When phases and faults really began and ended, and the windows that follow from it. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Stamp;
use crate::expect::Window;
use crate::plan::build::During;

/// The stations of a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultTimes {
    /// The inject call.
    pub injecting: Option<Stamp>,
    /// Proved to bite.
    pub proved: Option<Stamp>,
    /// The revert call.
    pub reverting: Option<Stamp>,
    /// Proved gone.
    pub gone: Option<Stamp>,
}

/// The stations of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Begin of the load.
    pub load_started: Option<Stamp>,
    /// Begin of the baseline.
    pub baseline: Option<Stamp>,
    /// End of the baseline.
    pub baseline_end: Option<Stamp>,
    /// Begin of the recovery.
    pub recovery: Option<Stamp>,
    /// End of the recovery, when the load is stopped.
    pub load_stopped: Option<Stamp>,
    /// The faults, by id.
    pub faults: BTreeMap<String, FaultTimes>,
}

impl Times {
    /// The window an expectation is judged in; none when the scenario never got there.
    #[must_use]
    pub fn window(&self, during: &During, echo: Duration) -> Option<Window> {
        match during {
            During::Baseline => Some(Window::plain(self.baseline?, self.baseline_end?)),
            During::Recovery => Some(Window::plain(self.recovery?, self.load_stopped?)),
            During::Run => Some(Window::plain(self.baseline?, self.load_stopped?)),
            During::All(ids) => {
                let windows = self.fault_windows(ids, echo)?;
                let latest = |pick: fn(&Window) -> Stamp| windows.iter().map(pick).max();
                let earliest = |pick: fn(&Window) -> Stamp| windows.iter().map(pick).min();
                let window = Window {
                    start: latest(|window| window.start)?,
                    effective: latest(|window| window.effective)?,
                    end: earliest(|window| window.end)?,
                    observed_until: earliest(|window| window.observed_until)?,
                };
                (window.start < window.end).then_some(window)
            }
            During::Any(ids) => {
                let windows = self.fault_windows(ids, echo)?;
                let latest = |pick: fn(&Window) -> Stamp| windows.iter().map(pick).max();
                let earliest = |pick: fn(&Window) -> Stamp| windows.iter().map(pick).min();
                Some(Window {
                    start: earliest(|window| window.start)?,
                    effective: earliest(|window| window.effective)?,
                    end: latest(|window| window.end)?,
                    observed_until: latest(|window| window.observed_until)?,
                })
            }
        }
    }

    /// When the first of a window's faults began to be undone.
    #[must_use]
    pub fn reverting(&self, during: &During) -> Option<Stamp> {
        match during {
            During::All(ids) | During::Any(ids) => ids.iter().filter_map(|id| self.faults.get(id)?.reverting).min(),
            During::Baseline | During::Recovery | During::Run => None,
        }
    }

    /// When each of these faults was on, and so long after its end.
    #[must_use]
    pub fn spans(&self, ids: &[&str], afterwards: Duration) -> Vec<(Stamp, Stamp)> {
        let of = |id: &&str| {
            let times = self.faults.get(*id)?;
            let end = times.gone.or(times.reverting).map_or(Stamp(i64::MAX), |end| end + afterwards);
            Some((times.injecting?, end))
        };
        ids.iter().filter_map(of).collect()
    }

    fn fault_windows(&self, ids: &[String], echo: Duration) -> Option<Vec<Window>> {
        ids.iter()
            .map(|id| {
                let times = self.faults.get(id)?;
                let end = times.gone.or(times.reverting)?;
                Some(Window { start: times.injecting?, effective: times.proved?, end, observed_until: end + echo })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Stamp {
        Stamp(seconds * 1_000_000)
    }

    fn fault(injecting: i64, proved: i64, gone: i64) -> FaultTimes {
        FaultTimes {
            injecting: Some(at(injecting)),
            proved: Some(at(proved)),
            reverting: Some(at(gone - 1)),
            gone: Some(at(gone)),
        }
    }

    fn times() -> Times {
        Times {
            faults: BTreeMap::from([("a".into(), fault(10, 11, 20)), ("b".into(), fault(15, 16, 30))]),
            ..Times::default()
        }
    }

    #[test]
    fn a_fault_window_runs_from_the_inject_call_to_proved_gone_and_listens_longer() {
        let window = times().window(&During::All(vec!["a".into()]), Duration::from_secs(5)).unwrap();
        assert_eq!(window, Window { start: at(10), effective: at(11), end: at(20), observed_until: at(25) });
    }

    #[test]
    fn overlapping_faults_intersect_and_unite() {
        let both = || vec!["a".to_owned(), "b".to_owned()];
        let all = times().window(&During::All(both()), Duration::ZERO).unwrap();
        assert_eq!((all.start, all.end), (at(15), at(20)));
        let any = times().window(&During::Any(both()), Duration::ZERO).unwrap();
        assert_eq!((any.start, any.end), (at(10), at(30)));
    }

    #[test]
    fn a_window_the_scenario_never_reached_does_not_exist() {
        assert_eq!(times().window(&During::Recovery, Duration::ZERO), None);
        assert_eq!(times().window(&During::All(vec!["c".into()]), Duration::ZERO), None);
        let unproved = FaultTimes { proved: None, ..fault(1, 2, 3) };
        let times = Times { faults: BTreeMap::from([("a".into(), unproved)]), ..Times::default() };
        assert_eq!(times.window(&During::All(vec!["a".into()]), Duration::ZERO), None, "nothing was ever broken");
    }
}
