//! What came first where nobody recorded it. A scrape that ends within milliseconds of an evaluation was seen by it or not; a
//! replay that took the wrong one does something else than the run did, at that evaluation. So the run's own rules say it:
//! where an alert parts from what it did live, the races just before are turned round one by one, each for all rules at once,
//! and a turn is kept only if more is reproduced with it. What no such order explains stays a difference.

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
    let mut tried: BTreeSet<Vec<(String, i64, i64)>> = BTreeSet::new();
    while tried.len() < TRIES {
        let Some(race) = races(&best, recording).into_iter().find(|race| tried.insert(turn(&best, race))) else {
            break;
        };
        let mut orders = best.orders.clone();
        orders.insert((race.target, race.scrape), race.otherwise);
        let next = evaluated(recording, own, host, orders).await?;
        if missed(&next) < missed(&best) {
            best = next;
        }
        if best.replayed.is_exact() {
            break;
        }
    }
    Ok(best)
}

/// What is tried: the orders so far and one more.
fn turn(done: &Done, race: &Race) -> Vec<(String, i64, i64)> {
    let mut orders: Orders = done.orders.clone();
    orders.insert((race.target.clone(), race.scrape), race.otherwise);
    orders.into_iter().map(|(((job, instance), at), seen)| (format!("{job} {instance}"), at, seen)).collect()
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
