//! Holds a replay against what really happened. Pure; read by `show` and `export`.

use std::collections::{BTreeMap, BTreeSet};

use super::grid::Grid;
use super::lane::Output;
use super::live::Live;
use super::rules::{Plan, Time, Unfit};
use super::state::{Episode, Life};
use crate::plan::scale::flag;
use crate::telemetry::Labels;

/// One alert, live and replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertResult {
    /// Its group, as an index into the plan.
    pub group: usize,
    /// Its labels, `alertname` among them; those made of templates are left out.
    pub labels: Labels,
    /// The time it was replayed in.
    pub time: Time,
    /// When it fired live, by evaluation.
    pub live: Vec<Episode>,
    /// When it fired in the replay.
    pub replayed: Vec<Episode>,
    /// How many firing and resolving evaluations there are, live or replayed.
    pub changes: usize,
    /// How many of them are the same evaluation in both.
    pub exact: usize,
    /// How many of these only are because what came first is taken from what happened live: the recording leaves them open.
    pub settled: usize,
    /// What a difference means.
    pub certainty: Certainty,
    /// The first evaluation, of those that `ALERTS` tells of, at which it was active live or in the replay and not in both.
    pub parted: Option<usize>,
}

/// What a difference between live and replay means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// Every evaluation that led to it was done in time: the rules do something else.
    Certain,
    /// Evaluations that led to it came late or may have been missed, so that nobody knows what they saw.
    Doubtful,
}

impl AlertResult {
    /// The alert's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }

    /// Whether the replay did what happened live.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.changes == self.exact
    }
}

/// What came out of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Alerts that fired, live or replayed.
    pub alerts: Vec<AlertResult>,
    /// Names of alerts that fired neither live nor in the replay.
    pub quiet: BTreeSet<String>,
    /// Alerts that were replayed with the scaled rule, and why.
    pub scaled: BTreeMap<String, String>,
    /// Rules that were not replayed.
    pub unfit: Vec<Unfit>,
    /// How many evaluations of alerting rules were replayed.
    pub evaluations: usize,
}

/// Firing and resolving evaluations, live or replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    /// Reproduced by the recording alone.
    pub exact: usize,
    /// Reproduced by one of two orders that the recording leaves open.
    pub settled: usize,
    /// All.
    pub changes: usize,
}

impl Replayed {
    /// Counts firing and resolving evaluations.
    #[must_use]
    pub fn score(&self) -> Score {
        let sum = |of: fn(&AlertResult) -> usize| self.alerts.iter().map(of).sum::<usize>();
        let (settled, changes) = (sum(|alert| alert.settled), sum(|alert| alert.changes));
        Score { exact: sum(|alert| alert.exact) - settled, settled, changes }
    }

    /// Counts apart what a pass before did not reproduce without being told what came first.
    pub fn credit(&mut self, before: &Self) {
        for alert in &mut self.alerts {
            let same = |it: &&AlertResult| (it.group, &it.labels) == (alert.group, &alert.labels);
            let alone = before.alerts.iter().find(same).map_or(0, |it| it.exact);
            alert.settled = alert.exact.saturating_sub(alone);
        }
    }

    /// Whether some alert certainly did not do what it did live.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.alerts.iter().any(|alert| !alert.is_exact() && alert.certainty == Certainty::Certain)
    }

    /// Whether everything that was replayed did what happened live.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.alerts.iter().all(AlertResult::is_exact)
    }
}

/// In which time a rule was evaluated again, what happened then, and what happens now.
type Pair = (Time, Life, Life);

/// Compares.
#[must_use]
pub fn compare(plan: &Plan, outputs: &BTreeMap<usize, Output>, live: &Live) -> Replayed {
    let mut pairs: BTreeMap<(usize, Labels), Pair> = BTreeMap::new();
    let mut quiet = BTreeSet::new();
    let mut scaled = BTreeMap::new();
    let mut evaluations = 0;
    for (index, output) in outputs {
        let rule = &plan.rules[*index];
        evaluations += plan.groups[rule.group].grid.count;
        quiet.insert(rule.name.clone());
        if let Some(why) = &rule.sensitive {
            scaled.insert(rule.name.clone(), why.clone());
        }
        let grid = &plan.groups[rule.group].grid;
        for (labels, life) in output {
            let told = |it: &&Episode| it.resolved.is_none_or(|end| end > grid.written(it.fired));
            let pair = pairs.entry((rule.group, labels.clone())).or_insert_with(|| fresh(rule.time));
            pair.2.fired.extend(life.fired.iter().filter(told).cloned());
            pair.2.active.extend(&life.active);
        }
        let happened = live.get(&(rule.group, rule.name.clone())).into_iter().flatten();
        for (labels, life) in happened.filter(|(labels, _)| is_of(rule.labels.iter(), labels)) {
            let mut labels = labels.clone();
            labels.retain(|name, _| !rule.templates.contains(name));
            let pair = pairs.entry((rule.group, labels)).or_insert_with(|| fresh(rule.time));
            let known: BTreeSet<Episode> = pair.1.fired.iter().cloned().collect();
            pair.1.fired.extend(life.fired.iter().filter(|episode| !known.contains(episode)).cloned());
            pair.1.active.extend(&life.active);
        }
    }
    let results = pairs.into_iter().map(|((group, labels), pair)| {
        let result = result(group, labels, &plan.groups[group].grid, pair);
        let certainty = certainty(plan, &result);
        AlertResult { certainty, ..result }
    });
    let alerts: Vec<AlertResult> = results.filter(|result| result.changes > 0).collect();
    for alert in &alerts {
        quiet.remove(alert.name());
    }
    Replayed { alerts, quiet, scaled, unfit: plan.unfit.clone(), evaluations }
}

fn fresh(time: Time) -> Pair {
    (time, Life::default(), Life::default())
}

/// Doubtful when an evaluation that nobody is sure of lies between the first that could have led to a difference and the
/// difference itself.
fn certainty(plan: &Plan, result: &AlertResult) -> Certainty {
    let grid = &plan.groups[result.group].grid;
    let rules = plan.rules.iter().filter(|rule| rule.group == result.group && rule.name == result.name());
    let held = rules.map(|rule| rule.scaled_timing.hold.max(rule.scaled_timing.keep)).max().unwrap_or(0);
    let reach = usize::try_from(held / grid.interval.max(1)).unwrap_or(0) + 2;
    let changes = |episodes: &[Episode]| -> BTreeSet<usize> {
        episodes.iter().flat_map(|it| [Some(it.fired), it.resolved]).flatten().collect()
    };
    let (live, replayed) = (changes(&result.live), changes(&result.replayed));
    let odd: BTreeSet<usize> = live.symmetric_difference(&replayed).copied().collect();
    let (Some(first), Some(last)) = (odd.first(), odd.last()) else { return Certainty::Certain };
    let led = first.saturating_sub(reach)..=*last;
    let unsure = grid.doubtful.range(led.clone()).next().is_some();
    // a `for` this long goes on over a restart, from what Prometheus has stored
    let restored = i64::try_from(flag::grace_period(plan.scale).as_millis()).is_ok_and(|grace| held >= grace);
    let restarted = restored && grid.lives.iter().skip(1).any(|life| led.contains(&life.start));
    if unsure || restarted { Certainty::Doubtful } else { Certainty::Certain }
}

/// Whether an alert can be of the rule that adds these labels: rules of one name are told apart by them.
fn is_of<'a>(mut added: impl Iterator<Item = (&'a String, &'a String)>, labels: &Labels) -> bool {
    added.all(|(name, value)| value.is_empty() || labels.get(name) == Some(value))
}

fn result(group: usize, labels: Labels, grid: &Grid, (time, live, replayed): Pair) -> AlertResult {
    let told = |number: &&usize| grid.written(**number) == **number;
    let parted = live.active.symmetric_difference(&replayed.active).find(told).copied();
    let (mut live, mut replayed) = (live.fired, replayed.fired);
    live.sort();
    replayed.sort();
    let (mut changes, mut exact) = (0, 0);
    for place in 0..live.len().max(replayed.len()) {
        let (happened, again) = (live.get(place), replayed.get(place));
        let fired = |episode: Option<&Episode>| episode.map(|it| grid.written(it.fired));
        let resolved = |episode: Option<&Episode>| episode.and_then(|it| it.resolved);
        changes += 1;
        exact += usize::from(fired(happened) == fired(again));
        if resolved(happened).is_some() || resolved(again).is_some() {
            changes += 1;
            exact += usize::from(resolved(happened) == resolved(again));
        }
    }
    let certainty = Certainty::Certain;
    AlertResult { group, labels, time, live, replayed, changes, exact, settled: 0, certainty, parted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(live: &[(usize, Option<usize>)], replayed: &[(usize, Option<usize>)]) -> (usize, usize) {
        let result = held_against(&Grid { count: 100, ..Grid::default() }.alive(), live, replayed);
        assert_eq!(result.is_exact(), result.exact == result.changes);
        (result.exact, result.changes)
    }

    fn held_against(grid: &Grid, live: &[(usize, Option<usize>)], replayed: &[(usize, Option<usize>)]) -> AlertResult {
        let life = |all: &[(usize, Option<usize>)]| Life {
            fired: all.iter().map(|(fired, resolved)| Episode { fired: *fired, resolved: *resolved }).collect(),
            active: all.iter().flat_map(|(fired, resolved)| *fired..resolved.unwrap_or(grid.count)).collect(),
        };
        let labels = Labels::from([("alertname".into(), "A".into())]);
        result(0, labels, grid, (Time::Production, life(live), life(replayed)))
    }

    #[test]
    fn after_a_restart_the_first_evaluations_are_unknown_again() {
        let grid = Grid { count: 100, lives: vec![0..40, 60..100], ..Grid::default() };
        let result = held_against(&grid, &[(5, None), (62, None)], &[(5, None), (60, None)]);
        assert_eq!((result.exact, result.changes), (2, 2));
    }

    #[test]
    fn live_and_replay_part_where_one_of_them_is_first_active_alone() {
        let grid = Grid { count: 100, ..Grid::default() }.alive();
        assert_eq!(held_against(&grid, &[(10, Some(20))], &[(9, Some(21))]).parted, Some(9));
        assert_eq!(held_against(&grid, &[(10, Some(20))], &[(10, Some(20))]).parted, None);
        assert_eq!(
            held_against(&grid, &[(2, Some(20))], &[(0, Some(20))]).parted,
            None,
            "nobody knows of the first two"
        );
    }

    #[test]
    fn every_firing_and_every_resolving_evaluation_counts() {
        assert_eq!(scored(&[(10, Some(20))], &[(10, Some(20))]), (2, 2));
        assert_eq!(scored(&[(10, Some(20))], &[(10, Some(21))]), (1, 2));
        assert_eq!(scored(&[(10, Some(20))], &[(11, None)]), (0, 2));
        assert_eq!(scored(&[(10, None)], &[(10, None)]), (1, 1), "both still fire at the end");
        assert_eq!(scored(&[], &[(10, Some(20))]), (0, 2), "an alert that never fired live");
        assert_eq!(scored(&[(10, Some(20)), (30, None)], &[(10, Some(20))]), (2, 3));
    }

    #[test]
    fn what_agrees_only_in_one_of_two_orders_is_counted_apart() {
        let grid = Grid { count: 100, ..Grid::default() }.alive();
        let replayed = |fired: usize| Replayed {
            alerts: vec![held_against(&grid, &[(10, Some(20))], &[(fired, Some(20))])],
            quiet: BTreeSet::new(),
            scaled: BTreeMap::new(),
            unfit: vec![],
            evaluations: 100,
        };
        let mut told = replayed(10);
        told.credit(&replayed(11));
        assert_eq!(told.score(), Score { exact: 1, settled: 1, changes: 2 });
        told.credit(&replayed(10));
        assert_eq!(told.score(), Score { exact: 2, settled: 0, changes: 2 });
    }

    #[test]
    fn what_fired_before_the_first_sample_is_not_held_against_the_replay() {
        assert_eq!(scored(&[(2, None)], &[(0, None)]), (1, 1));
        assert_eq!(scored(&[(2, None)], &[(3, None)]), (0, 1));
    }
}
