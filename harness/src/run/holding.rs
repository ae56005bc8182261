//! What Alertmanager held, as a function of the set of polls: in whatever order they come in, and however often, the same
//! stretches come out. Part of `record`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::Stamp;
use crate::expect::Labels;
use crate::expect::look::Coverage;
use crate::expect::mail::Sighting;
use crate::telemetry::alertmanager::ReceivedAlert;

/// All polls of Alertmanager's alerts.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    interval: Duration,
    polls: BTreeSet<Stamp>,
    alerts: BTreeMap<Labels, BTreeMap<Stamp, State>>,
}

/// What Alertmanager said of an alert in one poll.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    starts_at: Option<Stamp>,
    updated_at: Option<Stamp>,
    fingerprint: String,
    silenced_by: Vec<String>,
    inhibited_by: Vec<String>,
    receivers: Vec<String>,
}

impl Holdings {
    /// States how often it is asked.
    pub(super) const fn every(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// Takes in a poll that was asked at `at`.
    pub(super) fn polled(&mut self, alerts: &[ReceivedAlert], at: Stamp) {
        self.polls.insert(at);
        for alert in alerts {
            let sorted = |ids: &[String]| ids.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
            let state = State {
                starts_at: alert.starts_at,
                updated_at: alert.updated_at,
                fingerprint: alert.fingerprint.clone(),
                silenced_by: sorted(&alert.silenced_by),
                inhibited_by: sorted(&alert.inhibited_by),
                receivers: sorted(&alert.receivers),
            };
            self.alerts.entry(alert.labels.clone()).or_default().insert(at, state);
        }
    }

    /// When it answered.
    pub(super) fn coverage(&self) -> Coverage {
        Coverage::new(self.interval, self.polls.iter().copied().collect())
    }

    /// The stretches in which nothing changed, by begin and labels. An alert that has begun anew came in when Alertmanager
    /// says it did, which is before the poll; any other change is known from the poll on.
    pub(super) fn sightings(&self) -> Vec<Sighting> {
        let mut found = Vec::new();
        for (labels, states) in &self.alerts {
            let mut open: Option<Sighting> = None;
            let mut episode = None;
            for (at, state) in states {
                let begun = episode.replace(state.starts_at) != Some(state.starts_at);
                let unbroken = |last: Stamp| self.polls.range(last..*at).nth(1).is_none();
                match &mut open {
                    Some(one) if !begun && same(one, state) && unbroken(one.last) => one.last = *at,
                    _ => found.extend(open.replace(sighting(labels, state, begun, *at))),
                }
            }
            found.extend(open);
        }
        found.sort_by(|a, b| (a.at, &a.labels).cmp(&(b.at, &b.labels)));
        found
    }
}

fn same(one: &Sighting, state: &State) -> bool {
    one.silenced_by == state.silenced_by && one.inhibited_by == state.inhibited_by && one.receivers == state.receivers
}

fn sighting(labels: &Labels, state: &State, begun: bool, at: Stamp) -> Sighting {
    let came = state.updated_at.filter(|came| begun && *came <= at && state.starts_at.is_none_or(|it| it <= *came));
    Sighting {
        at: came.unwrap_or(at),
        last: at,
        labels: labels.clone(),
        fingerprint: state.fingerprint.clone(),
        silenced_by: state.silenced_by.clone(),
        inhibited_by: state.inhibited_by.clone(),
        receivers: state.receivers.clone(),
    }
}
