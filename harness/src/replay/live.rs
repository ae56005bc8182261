//! What the alerts really did, evaluation by evaluation: `ALERTS` as Prometheus itself wrote it, stale markers included. Read
//! from the recording; held against the replay by `compare`.

use std::collections::BTreeMap;

use super::grid::Grid;
use super::rules::{Kind, Plan};
use super::state::Episode;
use crate::telemetry::Labels;
use crate::telemetry::prometheus::RawSample;
use crate::telemetry::recording::Recording;

/// The first evaluation at which `ALERTS` is written; what fired before is not known to the evaluation.
pub const FIRST_WRITTEN: usize = 2;

/// When alerts fired, by the index of their group in the plan, their name and their labels.
pub type Live = BTreeMap<(usize, String), BTreeMap<Labels, Vec<Episode>>>;

/// Reads them. Each sample belongs to the group on whose grid it lies.
#[must_use]
pub fn episodes(recording: &Recording, plan: &Plan) -> Live {
    let mut live = Live::new();
    for series in &recording.series {
        let is = |name: &str, value: &str| series.labels.get(name).is_some_and(|it| it == value);
        if !is("__name__", "ALERTS") || !is("alertstate", "firing") {
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
            let episodes = on_grid(&series.samples, &plan.groups[group].grid);
            if !episodes.is_empty() {
                live.entry((group, alert.clone())).or_default().entry(labels.clone()).or_default().extend(episodes);
            }
        }
    }
    live
}

/// The runs of samples that lie on a grid, each ended by a stale marker.
fn on_grid(samples: &[RawSample], grid: &Grid) -> Vec<Episode> {
    let mut episodes: Vec<Episode> = Vec::new();
    for sample in samples {
        let Some(number) = grid.nearest(sample.at).filter(|number| (grid.at(*number) - sample.at).abs() <= 1) else {
            continue;
        };
        let open = episodes.last_mut().filter(|episode| episode.resolved.is_none());
        match (open, sample.is_stale()) {
            (Some(open), true) => open.resolved = Some(number),
            (None, false) => episodes.push(Episode { fired: number, resolved: None }),
            (Some(_), false) | (None, true) => {}
        }
    }
    episodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::prometheus::STALE;

    #[test]
    fn a_stale_marker_ends_an_episode_and_a_missed_evaluation_does_not() {
        let grid = Grid { first: 1_000, interval: 250, count: 100, ..Grid::default() };
        let sample = |number: i64, bits| RawSample { at: 1_000 + 250 * number, bits };
        let other_group = RawSample { at: 1_100, bits: 1 };
        let samples = [sample(2, 1), other_group, sample(3, 1), sample(6, 1), sample(7, STALE), sample(9, 1)];
        let episodes = on_grid(&samples, &grid);
        assert_eq!(episodes, [Episode { fired: 2, resolved: Some(7) }, Episode { fired: 9, resolved: None }]);
    }
}
