//! The alert history observer: polls of `/api/v1/rules` in, every change of every alert out, with the evaluation it
//! happened at and the proof of how much was seen. Pure; fed by `run` with a poll at least every half evaluation interval,
//! read by `expect`.
//!
//! What makes it more than a diff of two answers:
//! * Changes carry the *evaluation's* time, not the poll's. Prometheus states the wall time at which a rule's evaluation
//!   began; an alert's `activeAt` lies exactly on the group's evaluation grid, so the grid time is known too.
//! * Polls may come late, twice or out of order: they are ordered by evaluation, the earliest poll of an evaluation counts
//!   (a later one can already show alerts of the evaluation in progress), and any order gives the same history.
//! * What was not seen is said: a change has the earliest and the latest evaluation it can have happened at, and
//!   [`Coverage`] counts evaluations seen and missed, errors and restarts.
//! * A fire-and-resolve between two polls shows in the `ALERTS` samples, see [`AlertHistory::merge_series`].

mod merge;
mod step;
mod timeline;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Labels;
use super::prometheus::{ActiveAlert, AlertPhase, Group, Health, Rule, RuleKind};
use crate::clock::Stamp;
use timeline::{Seen, Timeline};

/// Which rule; two rules of a group may share a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleKey {
    /// The rule file, as Prometheus knows it.
    pub file: String,
    /// The group.
    pub group: String,
    /// Position in the group, from 0.
    pub index: usize,
    /// The rule's name.
    pub name: String,
}

/// The states of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The expression has no such series.
    Inactive,
    /// True, not yet for the whole `for`.
    Pending,
    /// Sent to Alertmanager.
    Firing,
}

/// An alert changed its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertChange {
    /// The rule.
    pub rule: RuleKey,
    /// The alert's labels.
    pub labels: Labels,
    /// The annotations as rendered then; those it had last, when it became inactive.
    pub annotations: Labels,
    /// The state before.
    pub from: State,
    /// The state from then on.
    pub to: State,
    /// The evaluation it is attributed to: the first that was seen with the new state.
    pub evaluated: Stamp,
    /// The earliest evaluation it can have happened at; less than `evaluated` when evaluations before it were not seen.
    pub earliest: Stamp,
    /// The latest evaluation it can have happened at; more than `evaluated` when the poll came so late that it may show the
    /// next evaluation half-way.
    pub latest: Stamp,
    /// The expression's value then, if it has one.
    pub value: Option<f64>,
    /// How it is known.
    pub source: Source,
}

impl AlertChange {
    /// Whether the evaluation is known exactly.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.earliest == self.latest
    }
}

/// How a change is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A poll of the rules API.
    Poll,
    /// The `ALERTS` series, after the fact.
    Series,
    /// Two polls that both show it active, but since different times.
    Inferred,
}

/// A rule's health changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthChange {
    /// The rule.
    pub rule: RuleKey,
    /// From then on.
    pub health: Health,
    /// Prometheus's error text.
    pub error: String,
    /// The evaluation it was first seen at.
    pub evaluated: Stamp,
}

/// How much of a rule was seen: the proof behind every "did not fire" (T26).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Evaluations seen in the window.
    pub seen: usize,
    /// Of these, evaluations that failed; the alerts shown then are those of an earlier one (T24).
    pub failed: usize,
    /// Runs of evaluations that should have been and were not seen.
    pub gaps: Vec<Gap>,
    /// The first evaluation seen.
    pub first: Option<Stamp>,
    /// The last evaluation seen.
    pub last: Option<Stamp>,
}

impl Coverage {
    /// Evaluations that should have been and were not seen.
    #[must_use]
    pub fn missed(&self) -> usize {
        self.gaps.iter().map(|gap| gap.missed).sum()
    }
}

/// Evaluations that were not seen, between two that were (or the window's edge).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The last evaluation before, or the window's start.
    pub after: Stamp,
    /// The first evaluation after, or the window's end.
    pub before: Stamp,
    /// How many are missing.
    pub missed: usize,
}

/// The history of all alerting rules (and the coverage of the recording rules).
#[derive(Clone, Debug, Default)]
pub struct AlertHistory {
    timelines: BTreeMap<RuleKey, Timeline>,
}

impl AlertHistory {
    /// An empty history.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one answer of the rules API, received at `polled_at`, and answers the changes it brought to light. `polled_at`
    /// is compared with Prometheus's times, so a known [`ClockOffset`](super::prometheus::ClockOffset) is to be added; one
    /// that is not can only widen the ranges.
    /// A poll that is a duplicate or older than what is known may refine the history without bringing a change.
    pub fn observe(&mut self, groups: &[Group], polled_at: Stamp) -> Vec<AlertChange> {
        let mut changes = Vec::new();
        for group in groups {
            for (index, rule) in group.rules.iter().enumerate() {
                changes.extend(self.observe_rule(group, index, rule, polled_at));
            }
        }
        changes.sort_by(|a, b| (a.evaluated, &a.rule, &a.labels).cmp(&(b.evaluated, &b.rule, &b.labels)));
        changes
    }

    fn observe_rule(&mut self, group: &Group, index: usize, rule: &Rule, polled_at: Stamp) -> Vec<AlertChange> {
        let key = RuleKey { file: group.file.clone(), group: group.name.clone(), index, name: rule.name.clone() };
        let timeline = self.timelines.entry(key.clone()).or_insert_with(|| Timeline::new(rule.kind));
        timeline.describe(rule, group.interval, polled_at);
        let Some(evaluated) = rule.last_evaluation else {
            timeline.note_unevaluated(polled_at);
            return Vec::new();
        };
        timeline.take(evaluated, Seen::of(rule, polled_at));
        timeline.news(&key)
    }

    /// Every change so far, in the order of evaluations.
    #[must_use]
    pub fn changes(&self) -> Vec<AlertChange> {
        let mut changes: Vec<_> = self.timelines.iter().flat_map(|(key, timeline)| timeline.changes(key)).collect();
        changes.sort_by(|a, b| (a.evaluated, &a.rule, &a.labels).cmp(&(b.evaluated, &b.rule, &b.labels)));
        changes
    }

    /// Every change of rule health, in the order of evaluations; a rule that is healthy from the start has none.
    #[must_use]
    pub fn health_changes(&self) -> Vec<HealthChange> {
        let mut changes: Vec<_> =
            self.timelines.iter().flat_map(|(key, timeline)| timeline.health_changes(key)).collect();
        changes.sort_by(|a, b| (a.evaluated, &a.rule).cmp(&(b.evaluated, &b.rule)));
        changes
    }

    /// Every evaluation of a rule that was seen to have failed, with Prometheus's error text: what the rule says then is what
    /// it said before (T24).
    #[must_use]
    pub fn failures(&self, rule: &RuleKey) -> Vec<(Stamp, String)> {
        self.timelines.get(rule).map_or_else(Vec::new, Timeline::failures)
    }

    /// When polls showed that a rule had lost its evaluations: Prometheus restarted, or its rules were replaced (T28). A
    /// restart that is over before the next poll shows only in
    /// [`RuntimeInfo::started`](super::prometheus::RuntimeInfo::started); compare both.
    #[must_use]
    pub fn restarts(&self) -> Vec<Stamp> {
        let mut restarts: Vec<_> = self.timelines.values().flat_map(Timeline::restarts).collect();
        restarts.sort_unstable();
        restarts.dedup();
        restarts
    }

    /// The rules seen, with their kind.
    pub fn rules(&self) -> impl Iterator<Item = (&RuleKey, RuleKind)> {
        self.timelines.iter().map(|(key, timeline)| (key, timeline.kind()))
    }

    /// The rules with this name that make alerts.
    pub fn alerting<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a RuleKey> {
        self.rules().filter(move |(key, kind)| key.name == name && *kind == RuleKind::Alerting).map(|(key, _)| key)
    }

    /// What was seen of a rule in a window, both ends included; `None` for a rule that was never listed.
    #[must_use]
    pub fn coverage(&self, rule: &RuleKey, from: Stamp, to: Stamp) -> Option<Coverage> {
        self.timelines.get(rule).map(|timeline| timeline.coverage(from, to))
    }

    /// The states of a rule's alerts at each evaluation that was seen in a window, both ends included; evaluations without
    /// active alerts have an empty map.
    #[must_use]
    pub fn evaluations(&self, rule: &RuleKey, from: Stamp, to: Stamp) -> Vec<(Stamp, BTreeMap<Labels, State>)> {
        self.timelines.get(rule).map_or_else(Vec::new, |timeline| timeline.evaluations(from, to))
    }

    /// The evaluation interval of a rule's group.
    #[must_use]
    pub fn interval(&self, rule: &RuleKey) -> Option<Duration> {
        self.timelines.get(rule).map(Timeline::interval)
    }
}

impl From<AlertPhase> for State {
    fn from(phase: AlertPhase) -> Self {
        match phase {
            AlertPhase::Pending => Self::Pending,
            AlertPhase::Firing => Self::Firing,
        }
    }
}

/// An alert at one evaluation.
#[derive(Clone, Debug, PartialEq)]
struct AlertSeen {
    state: State,
    annotations: Labels,
    active_at: Option<Stamp>,
    /// `active_at` in whole seconds, which is all `ALERTS_FOR_STATE` says.
    active_second: Option<i64>,
    value: Option<f64>,
}

impl AlertSeen {
    fn of(alert: &ActiveAlert) -> Self {
        Self {
            state: alert.state.into(),
            annotations: alert.annotations.clone(),
            active_at: alert.active_at,
            active_second: alert.active_at.map(|at| at.0.div_euclid(1_000_000)),
            value: alert.value,
        }
    }
}

#[cfg(test)]
mod tests;
