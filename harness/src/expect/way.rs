//! The way of a page, stage by stage: series moved, rule pending, firing, Alertmanager, receiver, and back. Each stage has an
//! observer of its own; from the second on, what it may take counts from the one before, so that a late page names the stage
//! that was late. Fed by `run` with a judged outcome and with what the raw samples said; read by every report.

use std::time::Duration;

use super::look::ScaledTime;
use super::{AlertBound, Window};
use crate::clock::Stamp;
use crate::outcome::{Outcome, Reason, Stage};

/// What a hop between processes on one machine may take, under load.
pub const TRANSPORT: Duration = Duration::from_millis(250);
/// A sample carries the time at which its scrape began; it is stored when the answer has been read.
const STORED: Duration = Duration::from_millis(100);

/// When a rule's expression was true of the raw samples, asked of Prometheus on a fine grid after the fact.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Truth {
    /// The grid.
    pub step: Duration,
    /// From the first to the last point of the grid at which it was true, ascending.
    pub spans: Vec<(Stamp, Stamp)>,
}

/// What an outcome is completed with.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The window it was judged in.
    pub window: Window,
    /// When the fault began to be undone; the window's end where there is none.
    pub reverting: Stamp,
    /// What the configuration allows.
    pub bound: Option<&'a AlertBound>,
    /// What the raw samples said; none when they could not be asked.
    pub truth: Option<&'a Truth>,
    /// For texts.
    pub time: ScaledTime,
}

impl Truth {
    /// From points of the grid, in any order.
    #[must_use]
    pub fn new(step: Duration, mut points: Vec<Stamp>) -> Self {
        points.sort_unstable();
        let mut spans: Vec<(Stamp, Stamp)> = Vec::new();
        for point in points {
            match spans.last_mut() {
                Some((_, to)) if point.since(*to) <= step * 3 / 2 => *to = point,
                _ => spans.push((point, point)),
            }
        }
        Self { step, spans }
    }

    /// When it became true, so that the rule was pending at `pending`.
    fn moved(&self, pending: Stamp) -> Option<Stamp> {
        let holds = |(from, to): &&(Stamp, Stamp)| *from <= pending + self.step && pending <= *to + self.step;
        self.spans.iter().find(holds).map(|(from, _)| (*from).min(pending))
    }

    /// When it was true for the last time before the alert was resolved.
    fn moved_back(&self, resolved: Stamp) -> Option<Stamp> {
        self.spans.iter().map(|(_, to)| *to).rfind(|to| *to <= resolved)
    }
}

/// Adds the stages that only raw samples show, narrows the others to what is known, and names the one that was late.
#[must_use]
pub fn complete(outcome: Outcome, with: Circumstances<'_>) -> Outcome {
    let Some(bound) = with.bound.filter(|_| !outcome.evidence().stages.is_empty()) else { return outcome };
    let stages = narrowed(outcome.evidence().stages.clone(), bound, with);
    let said = said(&outcome, &stages, with.time);
    let change = |mut evidence: crate::outcome::Evidence| {
        evidence.stages = stages;
        evidence.summary.extend(said);
        evidence
    };
    match outcome {
        Outcome::Passed(evidence) => Outcome::Passed(change(evidence)),
        Outcome::Failed(reason, evidence) => Outcome::Failed(reason, change(evidence)),
        Outcome::Inconclusive(reason, evidence) => Outcome::Inconclusive(reason, change(evidence)),
        Outcome::Skipped(reason, evidence) => Outcome::Skipped(reason, change(evidence)),
    }
}

fn narrowed(stages: Vec<Stage>, bound: &AlertBound, with: Circumstances<'_>) -> Vec<Stage> {
    let seen = |name: &str| stages.iter().find(|stage| stage.name == name).and_then(|stage| stage.observed);
    let (pending, firing, resolved) = (seen("pending"), seen("firing"), seen("resolved"));
    let moved = with.truth.zip(pending).and_then(|(truth, at)| truth.moved(at));
    let back = with.truth.zip(resolved).and_then(|(truth, at)| truth.moved_back(at));
    let step = with.truth.map_or(Duration::ZERO, |truth| truth.step);
    let tick = bound.evaluation / 5;
    let mut all = Vec::new();
    for mut stage in stages {
        let known = match stage.name.as_str() {
            "pending" => {
                all.push(series(bound, with, moved));
                moved.map(|at| (at - step, at + bound.evaluation + STORED))
            }
            "firing" => pending.map(|at| (at + bound.pending_for - tick, at + bound.pending_for + tick)),
            "alertmanager" => firing.map(|at| (at, at + TRANSPORT)),
            "resolved" => {
                all.push(series_back(bound, with, back));
                back.map(|at| (at + bound.kept_for, at + step + bound.kept_for + bound.evaluation + STORED))
            }
            "resolved-receiver" => resolved.map(|at| (at, at + bound.resolved_delivery.ceiling)),
            _ => None,
        };
        if let Some((floor, ceiling)) = known {
            (stage.floor, stage.ceiling) = (Some(floor), Some(ceiling));
        }
        all.push(stage);
    }
    all
}

fn series(bound: &AlertBound, with: Circumstances<'_>, observed: Option<Stamp>) -> Stage {
    Stage {
        name: "series".to_owned(),
        observed,
        floor: Some(with.window.start + bound.pending.floor),
        ceiling: Some(with.window.effective + bound.pending.ceiling.saturating_sub(bound.evaluation)),
    }
}

fn series_back(bound: &AlertBound, with: Circumstances<'_>, observed: Option<Stamp>) -> Stage {
    let (floor, ceiling) = (bound.resolved.floor, bound.resolved.ceiling);
    // what is seen is the last time it was true, which may be a step before it was not
    let step = with.truth.map_or(Duration::ZERO, |truth| truth.step);
    let begun = with.reverting.min(with.window.end) + floor.saturating_sub(bound.kept_for);
    Stage {
        name: "series-back".to_owned(),
        observed,
        floor: Some(begun - step - bound.scrape),
        ceiling: Some(with.window.end + ceiling.saturating_sub(bound.kept_for + bound.evaluation)),
    }
}

/// The first stage that came later than the stage before allows.
#[must_use]
pub fn late(stages: &[Stage]) -> Option<&Stage> {
    stages.iter().find(|stage| stage.observed.zip(stage.ceiling).is_some_and(|(at, ceiling)| at > ceiling))
}

/// Whether the observers contradict each other: a stage that was seen before one it follows from. A way has two legs.
#[must_use]
pub fn contradiction(stages: &[Stage]) -> Option<(&Stage, &Stage)> {
    let turn = stages.iter().position(|stage| stage.name == "series-back").unwrap_or(stages.len());
    let (there, back) = stages.split_at(turn);
    let of = |leg: &'_ [Stage]| -> Option<(usize, usize)> {
        let seen: Vec<usize> = (0..leg.len()).filter(|place| leg[*place].observed.is_some()).collect();
        seen.windows(2).map(|pair| (pair[0], pair[1])).find(|(a, b)| leg[*a].observed > leg[*b].observed)
    };
    let there = of(there).map(|(a, b)| (&there[a], &there[b]));
    there.or_else(|| of(back).map(|(a, b)| (&back[a], &back[b])))
}

fn said(outcome: &Outcome, stages: &[Stage], time: ScaledTime) -> Option<String> {
    let is_late = [Reason::FiredLate, Reason::NotifyLate, Reason::ResolvedLate, Reason::Timing];
    if !outcome.reason().is_some_and(|reason| is_late.contains(&reason)) {
        return None;
    }
    match late(stages) {
        Some(stage) => {
            let over = stage.observed.zip(stage.ceiling).map(|(at, ceiling)| at.since(ceiling)).unwrap_or_default();
            Some(format!("; late was the stage `{}`, by {}", stage.name, time.length(over)))
        }
        None if outcome.reason() == Some(Reason::Timing) => None,
        None => Some("; no stage was late: the configuration itself takes so long".to_owned()),
    }
}

#[cfg(test)]
#[path = "way_tests.rs"]
mod tests;
