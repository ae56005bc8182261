//! Lanes of bars and marks: faults, alerts, notifications.

use std::collections::BTreeSet;

use super::axis::{Axis, LEFT, RIGHT};
use super::timeline::name;
use super::{Anchor, Area, Svg, number, room, shorten};
use crate::clock::Stamp;
use crate::event::{AlertState, Notification};
use crate::outcome::{Evidence, FactValue, Stage};
use crate::report::view::{Fault, Finding, Interval, Lane, Scenario};

const FAULT: f64 = 24.0;
const ALERT: f64 = 24.0;
const RECEIVER: f64 = 24.0;
/// More lanes than this are named below the picture only.
const MOST: usize = 30;

/// A lane for each fault; returns where they end.
pub(super) fn faults(svg: &mut Svg, scenario: &Scenario, axis: &Axis, y: f64) -> f64 {
    let mut y = y;
    for fault in &scenario.faults {
        name(svg, y + 16.0, &format!("fault {}", fault.plan.id), &fault.plan.title);
        bars(svg, fault, scenario.ended, axis, y);
        y += FAULT;
    }
    y
}

fn bars(svg: &mut Svg, fault: &Fault, ended: Stamp, axis: &Axis, y: f64) {
    let Some(begin) = fault.injecting else {
        svg.text("lane-note", (LEFT + 4.0, y + 16.0), Anchor::Start, "never injected", "");
        return;
    };
    let end = fault.gone.unwrap_or(ended);
    let bites = fault.proved.unwrap_or(end);
    let reverting = fault.reverting.unwrap_or(end).max(bites);
    let mut part = |class: &str, from: Stamp, to: Stamp, what: &str| {
        let (x, right) = (axis.x(from), axis.x(to));
        let title = format!("{}: {what} from {} to {}", fault.plan.title, axis.ruler.all(from), axis.ruler.all(to));
        svg.rect(class, Area { x, y: y + 4.0, width: (right - x).max(1.5), height: FAULT - 8.0 }, &title);
    };
    part("fault-unproved", begin, bites, "injected, not yet proved");
    if fault.proved.is_some() {
        part("fault", bites, reverting, "proved to bite");
    }
    if fault.reverting.is_some() {
        part("fault-unproved", reverting, end, "being undone");
    }
    let bad = fault.probes.iter().find(|(_, finding, _)| !matches!(finding, Finding::Proved | Finding::Gone));
    let words = bad.map_or(fault.plan.title.clone(), |(_, finding, _)| {
        format!("{} — {}", fault.plan.title, finding.word().to_uppercase())
    });
    let (x, right) = (axis.x(bites), axis.x(end));
    if room(axis.x(reverting) - x) > words.chars().count() {
        svg.text("fault-name", (x + 7.0, y + 16.0), Anchor::Start, &words, "");
    } else {
        svg.text("lane-note", (right + 5.0, y + 16.0), Anchor::Start, &shorten(&words, room(RIGHT - right - 5.0)), "");
    }
}

/// A lane for each alert that was ever on; returns where they end.
pub(super) fn alerts(svg: &mut Svg, scenario: &Scenario, axis: &Axis, y: f64) -> f64 {
    let mut y = y;
    for lane in scenario.alerts.iter().take(MOST) {
        name(svg, y + 15.0, &lane.alert, &format!("{} {}", lane.alert, lane.shown_labels()));
        svg.line("lane-line", (LEFT, y + ALERT - 1.0), (RIGHT, y + ALERT - 1.0));
        for interval in &lane.intervals {
            interval_bar(svg, lane, interval, scenario.ended, axis, y);
        }
        y += ALERT;
    }
    brackets(svg, scenario, axis, y);
    let left_out = scenario.alerts.len().saturating_sub(MOST);
    if left_out > 0 {
        let words = format!("{left_out} more alerts are in the log");
        svg.text("lane-note", (LEFT + 4.0, y + 14.0), Anchor::Start, &words, "");
        y += 18.0;
    }
    y
}

fn interval_bar(svg: &mut Svg, lane: &Lane, interval: &Interval, ended: Stamp, axis: &Axis, y: f64) {
    let (class, word) = match interval.state {
        AlertState::Firing => ("firing", "firing"),
        AlertState::Pending => ("pending", "pending"),
        AlertState::Inactive => return,
    };
    let end = interval.end.unwrap_or(ended);
    let (x, right) = (axis.x(interval.begin), axis.x(end));
    let until = interval.end.map_or("the end".to_owned(), |end| axis.ruler.all(end));
    let value = interval.value.map_or_else(String::new, |value| format!(", value {value:.4}"));
    let title = format!(
        "{} {word} from {} to {until}{value}; {}",
        lane.alert,
        axis.ruler.all(interval.begin),
        lane.shown_labels()
    );
    svg.rect(class, Area { x, y: y + 3.0, width: (right - x).max(1.5), height: 14.0 }, &title);
    if room(right - x) > word.len() {
        svg.text(&format!("{class}-name"), (x + 5.0, y + 14.0), Anchor::Start, word, &title);
    }
}

/// What the configuration allows for the first firing, as a bracket below the bar.
fn brackets(svg: &mut Svg, scenario: &Scenario, axis: &Axis, bottom: f64) {
    let top = bottom - ALERT * super::float(scenario.alerts.len().min(MOST) as u64);
    let mut drawn = BTreeSet::new();
    for expectation in scenario.expectations.iter().filter(|it| it.plan.kind == "alert") {
        let Some(evidence) = expectation.outcome.as_ref().map(crate::outcome::Outcome::evidence) else { continue };
        let Some(alert) = named(evidence, "alert") else { continue };
        let lane = scenario.alerts.iter().take(MOST).position(|lane| lane.alert == alert);
        for stage in evidence.stages.iter().filter(|stage| matches!(stage.name.as_str(), "firing" | "resolved")) {
            if let Some(lane) = lane.filter(|lane| drawn.insert((*lane, stage.name.clone()))) {
                bracket(svg, stage, axis, top + ALERT * super::float(lane as u64) + 20.0);
            }
        }
    }
}

fn bracket(svg: &mut Svg, stage: &Stage, axis: &Axis, y: f64) {
    let (Some(floor), Some(ceiling)) = (stage.floor, stage.ceiling) else { return };
    let (x, right) = (axis.x(floor), axis.x(ceiling));
    let title = format!(
        "{}: the configuration allows {} to {}",
        stage.name,
        axis.ruler.production(floor),
        axis.ruler.production(ceiling)
    );
    let (x, right, low, high) = (number(x), number(right), number(y - 3.0), number(y + 1.5));
    svg.path("bound", &format!("M{x} {low}V{high}H{right}V{low}"), &title);
}

fn named<'a>(evidence: &'a Evidence, name: &str) -> Option<&'a str> {
    evidence.facts.iter().find(|fact| fact.name == name).and_then(|fact| match &fact.value {
        FactValue::Text(text) => Some(text.as_str()),
        _ => None,
    })
}

/// A lane for each receiver; returns where they end.
pub(super) fn notifications(svg: &mut Svg, scenario: &Scenario, axis: &Axis, y: f64) -> f64 {
    let mut y = y;
    let receivers: BTreeSet<&str> = scenario.notifications.iter().map(|it| it.receiver.as_str()).collect();
    for receiver in receivers.into_iter().take(MOST) {
        name(svg, y + 16.0, &format!("→ {receiver}"), &format!("notifications to the receiver {receiver}"));
        svg.line("lane-line", (LEFT, y + RECEIVER - 1.0), (RIGHT, y + RECEIVER - 1.0));
        for notification in scenario.notifications.iter().filter(|it| it.receiver == receiver) {
            mark(svg, notification, axis, y);
        }
        y += RECEIVER;
    }
    y
}

/// A triangle that points up for firing, down for resolved; a cross if the inbox refused it.
fn mark(svg: &mut Svg, notification: &Notification, axis: &Axis, y: f64) {
    let x = axis.x(notification.received);
    let (top, bottom) = (number(y + 4.0), number(y + 18.0));
    let (left, right, middle) = (number(x - 7.0), number(x + 7.0), number(x));
    let names: BTreeSet<&str> =
        notification.alerts.iter().filter_map(|alert| alert.labels.get("alertname").map(String::as_str)).collect();
    let title = format!(
        "{} to {} ({}) at {}: {} [{}], answered {}",
        notification.status,
        notification.receiver,
        notification.kind,
        axis.ruler.all(notification.received),
        names.into_iter().collect::<Vec<_>>().join(", "),
        notification.alerts.len(),
        notification.answered
    );
    if !(200..300).contains(&notification.answered) {
        svg.path("mark-refused", &format!("M{left} {top}L{right} {bottom}M{left} {bottom}L{right} {top}"), &title);
    } else if notification.status == "firing" {
        svg.path("mark-firing", &format!("M{left} {bottom}H{right}L{middle} {top}Z"), &title);
    } else {
        svg.path("mark-resolved", &format!("M{left} {top}H{right}L{middle} {bottom}Z"), &title);
    }
}
