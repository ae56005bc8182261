//! An alert's life as Prometheus has it: pending from the first evaluation that finds it, firing when it has been found at
//! every evaluation for as long as `for` says, gone at the first evaluation that does not find it, or `keep_firing_for`
//! later. Pure; fed by `lane` with what each evaluation found.

use std::collections::{BTreeMap, BTreeSet};

use crate::telemetry::Labels;

/// What became of one alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// The times for which it fired.
    pub fired: Vec<Episode>,
    /// The evaluations at which it was pending or firing.
    pub active: BTreeSet<usize>,
}

/// The two durations of an alerting rule, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// `for`
    pub hold: i64,
    /// `keep_firing_for`
    pub keep: i64,
}

/// One evaluation of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Its number in the group.
    pub number: usize,
    /// Its time in milliseconds, in the same time as [`Timing`].
    pub at: i64,
    /// The alerts it found.
    pub found: BTreeSet<Labels>,
    /// What happened before it.
    pub before: Before,
}

/// What happened between an evaluation and the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// Prometheus restarted and forgot its alerts.
    Restart,
}

/// A time for which an alert fired.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Episode {
    /// The evaluation at which it began to fire.
    pub fired: usize,
    /// The evaluation at which it was over; none when it still fired at the end, its own or that of its Prometheus.
    pub resolved: Option<usize>,
}

enum State {
    Pending { since: i64 },
    Firing { missed_since: Option<i64> },
}

/// What became of each alert. A Prometheus that restarts has forgotten them; nothing says then that they are over.
#[must_use]
pub fn lives(timing: Timing, evaluations: &[Evaluation]) -> BTreeMap<Labels, Life> {
    let mut active: BTreeMap<&Labels, State> = BTreeMap::new();
    let mut told: BTreeMap<Labels, Life> = BTreeMap::new();
    for evaluation in evaluations {
        if evaluation.before == Before::Restart {
            active.clear();
        }
        for labels in &evaluation.found {
            let state = active.entry(labels).or_insert(State::Pending { since: evaluation.at });
            match state {
                State::Pending { since } if evaluation.at - *since >= timing.hold => {
                    *state = State::Firing { missed_since: None };
                    let episode = Episode { fired: evaluation.number, resolved: None };
                    told.entry(labels.clone()).or_default().fired.push(episode);
                }
                State::Pending { .. } => {}
                State::Firing { missed_since } => *missed_since = None,
            }
        }
        active.retain(|labels, state| {
            if evaluation.found.contains(*labels) {
                return true;
            }
            let State::Firing { missed_since } = state else { return false };
            let since = *missed_since.get_or_insert(evaluation.at);
            let kept = timing.keep > 0 && evaluation.at - since < timing.keep;
            if !kept && let Some(last) = told.get_mut(*labels).and_then(|life| life.fired.last_mut()) {
                last.resolved = Some(evaluation.number);
            }
            kept
        });
        for labels in active.keys() {
            told.entry((*labels).clone()).or_default().active.insert(evaluation.number);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One character an evaluation, every 15 s: `x` found, `.` not found, `R` found after a restart, `_` no evaluation.
    fn fired(hold: i64, keep: i64, story: &str) -> Vec<(usize, Option<usize>)> {
        let labels = Labels::from([("alertname".into(), "A".into())]);
        let evaluations: Vec<Evaluation> = story
            .chars()
            .enumerate()
            .filter(|(_, character)| *character != '_')
            .map(|(number, character)| Evaluation {
                number,
                at: i64::try_from(number).unwrap() * 15_000,
                found: if matches!(character, 'x' | 'R') { BTreeSet::from([labels.clone()]) } else { BTreeSet::new() },
                before: if character == 'R' { Before::Restart } else { Before::Nothing },
            })
            .collect();
        let timing = Timing { hold: hold * 1000, keep: keep * 1000 };
        let told = lives(timing, &evaluations).remove(&labels).unwrap_or_default();
        told.fired.into_iter().map(|episode| (episode.fired, episode.resolved)).collect()
    }

    #[test]
    fn for_waits_for_whole_evaluations_and_one_miss_starts_it_again_t21_t22() {
        assert_eq!(fired(60, 0, "..xxxx.."), []);
        assert_eq!(fired(60, 0, "..xxxxx."), [(6, Some(7))]);
        assert_eq!(fired(60, 0, "..xxxxxxx"), [(6, None)]);
        assert_eq!(fired(60, 0, "..xxx.xxxxx.x"), [(10, Some(11))]);
        assert_eq!(fired(50, 0, "xxxxxx"), [(4, None)], "50 s are four evaluations of 15 s");
        assert_eq!(fired(61, 0, "xxxxxx"), [(5, None)]);
        assert_eq!(fired(1, 0, "xx"), [(1, None)]);
    }

    #[test]
    fn without_for_it_fires_at_the_first_evaluation_and_each_time_anew() {
        assert_eq!(fired(0, 0, ".x.x"), [(1, Some(2)), (3, None)]);
    }

    #[test]
    fn keep_firing_for_counts_from_the_first_evaluation_that_misses_it_t27() {
        assert_eq!(fired(0, 30, "x....."), [(0, Some(3))]);
        assert_eq!(fired(0, 31, "x....."), [(0, Some(4))]);
        assert_eq!(fired(0, 30, "x..x..."), [(0, Some(6))], "found again in time, it goes on");
        assert_eq!(fired(0, 30, "x...x"), [(0, Some(3)), (4, None)]);
        assert_eq!(fired(30, 30, "xx....x"), [], "a pending alert is not kept");
    }

    #[test]
    fn an_evaluation_that_was_not_done_neither_breaks_nor_counts() {
        assert_eq!(fired(60, 0, "xx__x"), [(4, None)]);
        assert_eq!(fired(0, 0, "x__."), [(0, Some(3))]);
    }

    #[test]
    fn a_restart_forgets_what_fired_and_what_was_pending_t28() {
        assert_eq!(fired(30, 0, "xxRxxx"), [(4, None)]);
        assert_eq!(fired(30, 0, "xxxRxxx"), [(2, None), (5, None)]);
    }
}
