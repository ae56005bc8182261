//! What the alerts really did, evaluation by evaluation: `ALERTS` as Prometheus itself wrote it, stale markers included. Read
//! from the recording; held against the replay by `compare`.

use std::collections::{BTreeMap, BTreeSet};

use super::grid::Grid;
use super::rules::{Kind, Plan};
use super::state::{Episode, Life};
use crate::telemetry::Labels;
use crate::telemetry::prometheus::RawSample;
use crate::telemetry::recording::Recording;

/// What became of alerts, by the index of their group in the plan, their name and their labels.
pub type Live = BTreeMap<(usize, String), BTreeMap<Labels, Life>>;

/// Reads them. Each sample belongs to the group on whose grid it lies.
#[must_use]
pub fn lives(recording: &Recording, plan: &Plan) -> Live {
    let mut live = Live::new();
    for series in &recording.series {
        let is = |name: &str, value: &str| series.labels.get(name).is_some_and(|it| it == value);
        if !is("__name__", "ALERTS") {
            continue;
        }
        let mut labels = series.labels.clone();
        labels.remove("__name__");
        labels.remove("alertstate");
        let Some(alert) = labels.get("alertname").cloned() else { continue };
        let makes = plan.rules.iter().filter(|rule| rule.kind == Kind::Alert && rule.name == alert);
        let mut groups: Vec<usize> = makes.map(|rule| rule.group).collect();
        groups.dedup();
        for group in groups {
            let (episodes, active) = on_grid(&series.samples, &plan.groups[group].grid);
            if !active.is_empty() {
                let life = live.entry((group, alert.clone())).or_default().entry(labels.clone()).or_default();
                life.active.extend(active);
                if is("alertstate", "firing") {
                    life.fired.extend(episodes);
                }
            }
        }
    }
    live
}

/// The runs of samples that lie on a grid, each ended by a stale marker or with its Prometheus, and where samples lie.
fn on_grid(samples: &[RawSample], grid: &Grid) -> (Vec<Episode>, BTreeSet<usize>) {
    let mut episodes: Vec<Episode> = Vec::new();
    let mut active = BTreeSet::new();
    for sample in samples {
        let Some(number) = grid.nearest(sample.at).filter(|number| (grid.at(*number) - sample.at).abs() <= 1) else {
            continue;
        };
        if !sample.is_stale() {
            active.insert(number);
        }
        let begun = grid.life(number).start;
        let open = episodes.last_mut().filter(|episode| episode.resolved.is_none() && episode.fired >= begun);
        match (open, sample.is_stale()) {
            (Some(open), true) => open.resolved = Some(number),
            (None, false) => episodes.push(Episode { fired: number, resolved: None }),
            (Some(_), false) | (None, true) => {}
        }
    }
    (episodes, active)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::prometheus::STALE;

    #[test]
    fn a_stale_marker_ends_an_episode_and_a_missed_evaluation_does_not() {
        let grid = Grid { first: 1_000, interval: 250, count: 100, ..Grid::default() }.alive();
        let sample = |number: i64, bits| RawSample { at: 1_000 + 250 * number, bits };
        let other_group = RawSample { at: 1_100, bits: 1 };
        let samples = [sample(2, 1), other_group, sample(3, 1), sample(6, 1), sample(7, STALE), sample(9, 1)];
        let (episodes, active) = on_grid(&samples, &grid);
        assert_eq!(episodes, [Episode { fired: 2, resolved: Some(7) }, Episode { fired: 9, resolved: None }]);
        assert_eq!(active, BTreeSet::from([2, 3, 6, 9]));
    }

    #[test]
    fn an_alert_that_fires_in_two_lives_of_prometheus_fired_twice() {
        let grid = Grid { first: 1_000, interval: 250, count: 100, lives: vec![0..5, 20..100], ..Grid::default() };
        let samples = [3, 4, 22, 23].map(|number: i64| RawSample { at: 1_000 + 250 * number, bits: 1 });
        let (episodes, _) = on_grid(&samples, &grid);
        assert_eq!(episodes, [Episode { fired: 3, resolved: None }, Episode { fired: 22, resolved: None }]);
    }
}
