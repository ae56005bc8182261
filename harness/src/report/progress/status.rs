//! What one line of a terminal says about a scenario now. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Stamp;
use crate::event::{AlertState, Event, EventKind, LoadSample, Phase, ScenarioPlan, Verdict};
use crate::report::length;
use crate::report::view;

/// A scenario as it stands.
#[derive(Debug, Default)]
pub(super) struct Status {
    began: Option<Stamp>,
    now: Stamp,
    phase: Option<(Phase, Stamp)>,
    planned: BTreeMap<Phase, Duration>,
    loads: BTreeMap<String, LoadSample>,
    alerts: BTreeMap<(String, BTreeMap<String, String>), AlertState>,
    faults: Vec<String>,
    note: Option<String>,
    verdict: Option<(Verdict, String)>,
}

impl Status {
    /// Takes an event in.
    pub(super) fn take(&mut self, event: &Event) {
        self.began.get_or_insert(event.at);
        self.now = self.now.max(event.at);
        match &event.what {
            EventKind::ScenarioStarted(plan) => self.planned = planned(plan),
            EventKind::PhaseStarted { phase } => {
                self.phase = Some((*phase, event.at));
                self.note = None;
            }
            EventKind::Progressed { message } => self.note = Some(message.clone()),
            EventKind::ComponentStarted { component, .. } => self.note = Some(format!("{component} starts")),
            EventKind::ComponentReady { component, .. } => self.note = Some(format!("{component} is ready")),
            EventKind::LoadSampled(sample) => {
                self.loads.insert(sample.load.clone(), sample.clone());
            }
            EventKind::LoadFinished(totals) => {
                self.loads.remove(&totals.load);
            }
            EventKind::AlertChanged { alert, labels, state, .. } => {
                self.alerts.insert((alert.clone(), labels.clone()), *state);
            }
            EventKind::FaultProved { fault, .. } => self.faults.push(fault.clone()),
            EventKind::FaultGone { fault, .. } | EventKind::FaultLost { fault, .. } => {
                self.faults.retain(|known| known != fault);
            }
            EventKind::ScenarioSkipped { reason, .. } => {
                self.verdict = Some((Verdict::Skipped, format!(" {reason}")));
            }
            EventKind::ScenarioFinished { verdict, reasons } => {
                let codes = reasons.iter().map(|reason| format!(" {reason}")).collect();
                self.verdict = Some((*verdict, codes));
            }
            _ => {}
        }
    }

    /// Whether its verdict is known.
    pub(super) const fn is_over(&self) -> bool {
        self.verdict.is_some()
    }

    /// The line.
    pub(super) fn line(&self) -> String {
        if let Some((verdict, codes)) = &self.verdict {
            return format!("{}{codes}", view::word(*verdict));
        }
        let parts = [self.phase_words(), self.note.clone(), self.load_words(), self.alert_words(), self.fault_words()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }

    fn phase_words(&self) -> Option<String> {
        let (phase, since) = self.phase?;
        let elapsed = whole(self.now.since(since));
        let planned = self.planned.get(&phase).map_or_else(String::new, |planned| format!("/{}", whole(*planned)));
        Some(format!("{} {elapsed}{planned} s", view::phase(phase)))
    }

    fn load_words(&self) -> Option<String> {
        let rate: u64 = self.loads.values().map(|sample| sample.started).sum();
        let failed: u64 = self.loads.values().map(|sample| sample.failed).sum();
        let p99 = self.loads.values().filter_map(|sample| Some(sample.latency_us?[2])).max();
        let p99 = p99.map_or_else(String::new, |p99| format!(" p99 {}", length::micros(p99)));
        let failed = if failed > 0 { format!(" ({failed} failed)") } else { String::new() };
        (!self.loads.is_empty()).then(|| format!("{rate}/s{failed}{p99}"))
    }

    fn alert_words(&self) -> Option<String> {
        let count = |wanted| self.alerts.values().filter(|state| **state == wanted).count();
        let (pending, firing) = (count(AlertState::Pending), count(AlertState::Firing));
        (pending + firing > 0).then(|| format!("alerts {pending} pending {firing} firing"))
    }

    fn fault_words(&self) -> Option<String> {
        (!self.faults.is_empty()).then(|| format!("fault {}", self.faults.join(", ")))
    }
}

/// How long the phases with a known length take.
fn planned(plan: &ScenarioPlan) -> BTreeMap<Phase, Duration> {
    let drill = plan.faults.iter().map(|fault| fault.at + fault.lasts).max().unwrap_or_default();
    let lengths = [(Phase::Baseline, plan.baseline), (Phase::Drill, drill), (Phase::Recovery, plan.recovery)];
    lengths.into_iter().filter(|(_, length)| !length.is_zero()).collect()
}

const fn whole(length: Duration) -> u64 {
    length.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing;

    #[test]
    fn the_line_of_a_scenario_follows_its_events() {
        let mut status = Status::default();
        let mut lines = Vec::new();
        for event in testing::fail().iter().filter(|event| event.scenario.as_deref() == Some("http-error-burst")) {
            status.take(event);
            lines.push(status.line());
        }
        lines.dedup();
        assert!(status.is_over());
        assert!(
            lines
                .iter()
                .any(|line| line.contains("drill") && line.contains("1 pending") && line.contains("fault burst"))
        );
        assert_eq!(lines.last().unwrap(), "FAIL NEVER_FIRED NO_DATA");
    }
}
