//! Completes a history from the `ALERTS` series after the fact, so that a fire-and-resolve between two polls is not missed
//! (T25). Only what the series *show* is used: `ALERTS` is absent for the first two evaluations after a start (T23), so
//! its absence proves nothing.

use std::collections::BTreeMap;

use super::timeline::Seen;
use super::{AlertChange, AlertHistory, AlertSeen, Health, RuleKey, RuleKind, Source, State};
use crate::clock::Stamp;
use crate::telemetry::Labels;
use crate::telemetry::prometheus::Series;

type ByTime = BTreeMap<Stamp, BTreeMap<Labels, AlertSeen>>;

impl AlertHistory {
    /// Takes the raw samples of `ALERTS` and `ALERTS_FOR_STATE` (`ALERTS[w]` at the end of the window, see
    /// [`range_raw`](crate::telemetry::prometheus::Prometheus::range_raw)), and answers the changes they brought to light.
    /// The latter tells in whole seconds since when an alert is active, so that two that follow each other are told apart.
    /// Evaluations that were polled stay as the poll showed them. Series of rules never polled are left out.
    pub fn merge_series(&mut self, alerts: &[Series], for_state: &[Series]) -> Vec<AlertChange> {
        let began = begins(for_state);
        let mut by_rule: BTreeMap<RuleKey, ByTime> = BTreeMap::new();
        for series in alerts {
            let Some((labels, state)) = alert_of(series) else { continue };
            let Some(rule) = self.rule_of(&labels) else { continue };
            let by_time = by_rule.entry(rule).or_default();
            for point in &series.points {
                let active_second = began.get(&labels).and_then(|began| began.get(&point.at)).copied();
                let alert =
                    AlertSeen { state, annotations: Labels::new(), active_at: None, active_second, value: None };
                by_time.entry(point.at).or_default().insert(labels.clone(), alert);
            }
        }
        let mut changes = Vec::new();
        for (rule, by_time) in by_rule {
            let Some(timeline) = self.timelines.get_mut(&rule) else { continue };
            for (at, alerts) in by_time {
                if !timeline.knows(at) {
                    timeline.take(at, seen(at, alerts));
                }
            }
            changes.extend(timeline.news_after_merge(&rule));
        }
        changes.sort_by(|a, b| (a.evaluated, &a.rule, &a.labels).cmp(&(b.evaluated, &b.rule, &b.labels)));
        changes
    }

    /// The rule that makes an alert: by its name, then by the labels it has been seen with, then by the rule's own labels.
    fn rule_of(&self, labels: &Labels) -> Option<RuleKey> {
        let name = labels.get("alertname")?;
        let named = || {
            self.timelines.iter().filter(|(key, timeline)| key.name == *name && timeline.kind() == RuleKind::Alerting)
        };
        let seen = named().find(|(_, timeline)| timeline.has_made(labels));
        seen.or_else(|| named().find(|(_, timeline)| timeline.could_make(labels))).map(|(key, _)| key.clone())
    }
}

/// The alert and the state a series of `ALERTS` stands for.
fn alert_of(series: &Series) -> Option<(Labels, State)> {
    let mut labels = series.labels.clone();
    labels.remove("__name__");
    let state = match labels.remove("alertstate")?.as_str() {
        "pending" => State::Pending,
        "firing" => State::Firing,
        _ => return None,
    };
    Some((labels, state))
}

/// Since which second an alert is active, by its labels and the time of the sample.
fn begins(for_state: &[Series]) -> BTreeMap<Labels, BTreeMap<Stamp, i64>> {
    let mut begins: BTreeMap<Labels, BTreeMap<Stamp, i64>> = BTreeMap::new();
    for series in for_state {
        let mut labels = series.labels.clone();
        labels.remove("__name__");
        let seconds = series.points.iter().map(|point| {
            #[expect(clippy::cast_possible_truncation, reason = "whole seconds since the epoch")]
            let second = point.value as i64;
            (point.at, second)
        });
        begins.entry(labels).or_default().extend(seconds);
    }
    begins
}

fn seen(at: Stamp, alerts: BTreeMap<Labels, AlertSeen>) -> Seen {
    Seen { polled_at: at, source: Source::Series, health: Health::Ok, error: String::new(), alerts }
}
