//! A plan in words and on a time axis: what happens when, what is expected, and what the configuration allows, with the
//! arithmetic. Fed with a studied scenario, printed by `harness explain`.

use std::fmt::Write as _;
use std::time::Duration;

use super::bound::{self, Conditions, Interval, Term};
use super::build::{Plan, Step};
use super::drive::{self, Scene};
use super::scale::Rule;
use super::study::Studied;
use crate::expect::look::show_duration;
use crate::expect::{Expectation, Labels};

/// Width of the time axis in characters.
const WIDTH: usize = 72;

/// The whole explanation.
#[must_use]
pub fn text(studied: &Studied) -> String {
    let plan = &studied.plan;
    let mut out = String::new();
    let line = |out: &mut String, text: &str| writeln!(out, "{text}").expect("writing to a string cannot fail");
    line(&mut out, &format!("{}: {}", plan.name, plan.summary));
    let real = plan.schedule.baseline + drill(plan) + plan.schedule.recovery;
    let length = show_duration(real.as_secs_f64() * plan.scale);
    let took = show_duration(real.as_secs_f64());
    line(
        &mut out,
        &format!("{length} of production time, {took} of real time at scale {} (start-up not counted)\n", plan.scale),
    );
    out.push_str(&axis(plan));
    line(&mut out, "");
    for step in &plan.expectations {
        let place = if step.source.is_empty() { "implied".to_owned() } else { step.location.to_string() };
        line(&mut out, &format!("{:22} {}  [{place}]", step.id, step.title));
        let bounded = match &step.what {
            Expectation::Alert(alert) => Some((&alert.name, &alert.labels)),
            Expectation::Notification(it) => Some((&it.alert, &it.labels)),
            _ => None,
        };
        if let Some((alert, labels)) = bounded {
            out.push_str(&bounds(studied, step, alert, labels));
        }
    }
    out.trim_end().to_owned()
}

fn drill(plan: &Plan) -> Duration {
    plan.schedule.faults.iter().map(|fault| fault.at + fault.lasts).max().unwrap_or_default()
}

/// One row for the phases and one for each fault.
fn axis(plan: &Plan) -> String {
    let (baseline, drill) = (plan.schedule.baseline, drill(plan));
    let whole = baseline + drill + plan.schedule.recovery;
    let place = |at: Duration| scaled(at, whole);
    let mut row = vec!['·'; WIDTH];
    row[..place(baseline)].fill('b');
    row[place(baseline)..place(baseline + drill)].fill('d');
    row[place(baseline + drill)..].fill('r');
    let mut out = format!("{:16}{}\n", "phases", row.into_iter().collect::<String>());
    for (step, fault) in plan.schedule.faults.iter().zip(&plan.faults) {
        let mut row = vec![' '; WIDTH];
        let (from, to) = (place(baseline + step.at), place(baseline + step.at + step.lasts));
        row[from..to.max(from + 1).min(WIDTH)].fill('█');
        let name: String = step.id.chars().take(15).collect();
        writeln!(out, "{name:16}{}  {}", row.into_iter().collect::<String>(), fault.title())
            .expect("writing to a string cannot fail");
    }
    let ends = [Duration::ZERO, baseline, baseline + drill, whole];
    let marks: Vec<String> = ends.iter().map(|at| show_duration(at.as_secs_f64() * plan.scale)).collect();
    writeln!(out, "{:16}b baseline to {} · d drill to {} · r recovery to {}", "", marks[1], marks[2], marks[3])
        .expect("writing to a string cannot fail");
    writeln!(
        out,
        "{:16}below: | the fault begins or ends, ░ from the earliest to the latest the configuration allows",
        ""
    )
    .expect("writing to a string cannot fail");
    out
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a column between 0 and the width"
)]
fn scaled(at: Duration, whole: Duration) -> usize {
    if whole.is_zero() {
        return 0;
    }
    ((at.as_secs_f64() / whole.as_secs_f64() * WIDTH as f64).round() as usize).min(WIDTH)
}

/// What the configuration allows, in words and, for a window that is one fault's, on the axis above.
fn bounds(studied: &Studied, step: &Step, alert: &str, labels: &Labels) -> String {
    let plan = &studied.plan;
    let fault = step.during.only_fault().and_then(|id| plan.schedule.faults.iter().position(|fault| fault.id == id));
    let conditions = |rule: &Rule| {
        let scene =
            fault.map(|place| Scene { signals: &studied.spec.signals, loads: &plan.loads, fault: &plan.faults[place] });
        scene.map_or_else(Conditions::default, |scene| drive::conditions(&studied.scaled.prometheus, rule, scene))
    };
    let mut out = String::new();
    let mut row = |name: &str, from: Edge, interval: Interval, terms: &[&[Term]]| {
        writeln!(out, "{:22}   {name:10} {}", "", range(interval, terms, plan.scale))
            .expect("writing to a string cannot fail");
        if let Some(bar) = fault.map(|place| bar(plan, place, from, interval)) {
            writeln!(out, "{:16}{bar}", "").expect("writing to a string cannot fail");
        }
    };
    for computed in bound::bounds_by(&studied.scaled, alert, labels, conditions) {
        if !matches!(step.what, Expectation::Notification(_)) {
            row("fires", Edge::Begin, computed.firing, &[&computed.firing_terms]);
            row("resolves", Edge::End, computed.resolved, &[&computed.resolved_terms]);
            continue;
        }
        for route in &computed.routes {
            row(&route.receiver, Edge::Begin, route.notified, &[&computed.firing_terms, &route.notified_terms]);
            if let Some(resolved) = route.resolved_notified {
                row("… its end", Edge::End, resolved, &[&computed.resolved_terms, &route.resolved_terms]);
            }
        }
    }
    out
}

/// What a bound counts from.
#[derive(Clone, Copy)]
enum Edge {
    Begin,
    End,
}

/// From floor to ceiling on the axis of the plan, behind a line from where it counts.
fn bar(plan: &Plan, fault: usize, from: Edge, interval: Interval) -> String {
    let step = &plan.schedule.faults[fault];
    let whole = plan.schedule.baseline + drill(plan) + plan.schedule.recovery;
    let origin = plan.schedule.baseline + step.at + if matches!(from, Edge::End) { step.lasts } else { Duration::ZERO };
    let place = |at: Duration| scaled(at, whole).min(WIDTH - 1);
    let (begin, floor, ceiling) = (place(origin), place(origin + interval.floor), place(origin + interval.ceiling));
    let mut row = vec![' '; WIDTH];
    row[begin..=floor].fill('·');
    row[floor..=ceiling].fill('░');
    row[begin] = '|';
    row.into_iter().collect::<String>().trim_end().to_owned()
}

fn range(interval: Interval, terms: &[&[Term]], scale: f64) -> String {
    let show = |length: Duration| show_duration(length.as_secs_f64() * scale);
    let parts = terms.iter().flat_map(|terms| terms.iter()).filter(|term| !term.ceiling.is_zero());
    let sum: Vec<String> = parts.map(|term| format!("{} {}", term.name, show(term.ceiling))).collect();
    format!("{} … {}  (at most {})", show(interval.floor), show(interval.ceiling), sum.join(" + "))
}
