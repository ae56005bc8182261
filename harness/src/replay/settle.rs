//! What came first where nobody recorded it. A scrape that ends within milliseconds of an evaluation was seen by it or not; a
//! replay that took the wrong one does something else than the run did, at that evaluation. So the run's own rules say it:
//! where an alert parts from what it did live, the races just before are turned round one by one, each for all rules at once,
//! and a turn is kept only if more is reproduced with it. What no such order explains stays a difference. What one explains is
//! no reproduction: the recording leaves it open, and it is counted and told apart, with the race that shows it.

use std::collections::BTreeSet;

use super::arrival::{Orders, Race};
use super::compare::AlertResult;
use super::grid::Grid;
use super::rules::{Problem, RuleText};
use super::server::Host;
use super::{Done, evaluated};
use crate::telemetry::recording::Recording;

/// How many orders are tried.
const TRIES: usize = 12;
/// How far back a race can matter, in evaluations: a group that reads what another recorded, which read the scrape; and the
/// two evaluations after a start that leave no trace.
const REACH: i64 = 3;

/// Turns races round until everything is reproduced, or nothing helps any more.
///
/// # Errors
/// When a server cannot be started or asked.
pub(super) async fn settled(
    first: Done,
    recording: &Recording,
    own: &[RuleText],
    host: &Host<'_>,
) -> Result<Done, Problem> {
    let mut best = first;
    let mut tried: BTreeSet<Orders> = BTreeSet::new();
    while tried.len() < TRIES {
        let turned = races(&best, recording).into_iter().map(|race| turn(&best.settled, race));
        let Some(races) = turned.into_iter().find(|races| tried.insert(orders(races))) else { break };
        let next = evaluated(recording, own, host, &orders(&races)).await?;
        if missed(&next) < missed(&best) {
            best = Done { settled: races, ..next };
        }
        if best.replayed.is_exact() {
            break;
        }
    }
    Ok(best)
}

/// The races that are settled so far and one more, in place of an earlier turn of the same scrape.
fn turn(settled: &[Race], race: Race) -> Vec<Race> {
    let others = settled.iter().filter(|it| (&it.target, it.scrape) != (&race.target, race.scrape));
    others.cloned().chain([race.clone()]).collect()
}

/// The orders that races were settled to.
pub(super) fn orders(races: &[Race]) -> Orders {
    races.iter().map(|race| ((race.target.clone(), race.scrape), race.otherwise)).collect()
}

/// The races that can have made an alert part from what it did live, the latest first.
fn races(done: &Done, recording: &Recording) -> Vec<Race> {
    let grids: Vec<&Grid> = done.plan.groups.iter().map(|group| &group.grid).collect();
    let mut found = Vec::new();
    for alert in done.replayed.alerts.iter().filter(|alert| !alert.is_exact()) {
        let Some(parted) = alert.parted else { continue };
        let grid = grids[alert.group];
        let at = grid.at(parted);
        let of = done.plan.upstream(alert.group, alert.name());
        found.extend(done.arrivals.races(&recording.series, &grids, &of, &(at - REACH * grid.interval..at + 1)));
    }
    found.sort_by_key(|race| std::cmp::Reverse(race.evaluation));
    found.dedup();
    found
}

/// How many firing and resolving evaluations are not reproduced.
fn missed(done: &Done) -> usize {
    done.replayed.alerts.iter().map(|alert: &AlertResult| alert.changes - alert.exact).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_settled_once_and_a_later_turn_takes_the_place_of_the_one_before() {
        let race = |instance: &str, scrape, otherwise| Race {
            target: ("j".into(), instance.into()),
            scrape,
            evaluation: scrape + 3,
            began: scrape + 3,
            took: 3,
            otherwise,
        };
        let one = turn(&[], race("a", 100, 104));
        let two = turn(&one, race("b", 100, 104));
        let again = turn(&two, race("a", 100, 103));
        assert_eq!((two.len(), again.len()), (2, 2));
        assert_eq!(orders(&again)[&(("j".to_owned(), "a".to_owned()), 100)], 103);
    }
}
