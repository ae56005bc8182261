//! What would leave a verdict to chance, found before anything runs: a signal that is driven too near to its threshold, and
//! too few events in a window. Fed by `study` with a plan; read by `harness lint` and `harness validate` as errors.

use std::time::Duration;

use super::build::{Plan, Step};
use super::drive::{self, Drive, Scene};
use super::finding::{FEWEST_EVENTS, too_close};
use super::scale::ConfigSet;
use super::scale::rule::Rule;
use crate::condition::Operator;
use crate::expect::look::show_duration;
use crate::expect::{Expectation, Labels, Mode};
use crate::load::Arrivals;
use crate::scenario::{Code, Diagnostic};
use crate::stack::spec::Signals;

/// A fault this many times over its threshold is seen with few events …
const FAR: f64 = 10.0;
/// … but not with fewer than these.
const FEWEST_FAR: f64 = 10.0;
/// A signal that must stay on its side of the threshold keeps so many standard deviations away from it.
const SIGMAS: f64 = 4.0;

/// What is wrong with the expectations on alerts, each at its place in the scenario.
#[must_use]
pub fn diagnostics(plan: &Plan, scaled: &ConfigSet, signals: &Signals) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    for step in &plan.expectations {
        let Some((alert, labels)) = subject(&step.what) else { continue };
        let Some(place) =
            step.during.only_fault().and_then(|id| plan.schedule.faults.iter().position(|it| it.id == id))
        else {
            continue;
        };
        let scene = Scene { signals, loads: &plan.loads, fault: &plan.faults[place] };
        for (_, rule) in scaled.prometheus.alerts_named(alert) {
            if !carries(rule, labels) {
                continue;
            }
            let Some(drive) = drive::drive(&scaled.prometheus, rule, scene) else { continue };
            found.extend(judged(step, alert, &drive, plan.scale));
        }
    }
    found.dedup_by(|a, b| (&a.location, &a.message) == (&b.location, &b.message));
    found
}

const fn subject(what: &Expectation) -> Option<(&String, &Labels)> {
    match what {
        Expectation::Alert(it) => Some((&it.name, &it.labels)),
        Expectation::Notification(it) => Some((&it.alert, &it.labels)),
        _ => None,
    }
}

fn carries(rule: &Rule, labels: &Labels) -> bool {
    labels.iter().all(|(name, value)| rule.labels.get(name).is_none_or(|own| own.contains("{{") || own == value))
}

fn judged(step: &Step, alert: &str, drive: &Drive, scale: f64) -> Option<Diagnostic> {
    let (level, threshold) = (drive.level, drive.threshold.value);
    if let Some(near) = too_close(drive.threshold, level) {
        let message = format!(
            "the fault drives the signal of `{alert}` to {}, {:.0} % from its threshold {}: the phase of the scrapes decides",
            rounded(level),
            near.distance * 100.0,
            rounded(threshold)
        );
        let help =
            format!("drive it to {} or further, or stay below {}", rounded(threshold * 1.2), rounded(threshold * 0.8));
        return Some(diagnostic(Code::TooClose, step, message, help));
    }
    let falls = matches!(drive.threshold.operator, Operator::Less | Operator::LessOrEqual);
    let beyond = if falls { level < threshold } else { level > threshold };
    let expected = drive.expected();
    let window = window(drive.window, scale);
    if beyond && step.mode == Mode::Eventually && !falls {
        let times = level / threshold;
        let fewest = if times >= FAR { FEWEST_FAR } else { FEWEST_EVENTS };
        let message = format!(
            "{expected:.0} events are expected in the {window} that `{alert}` reads; at {times:.1} times its threshold it takes {fewest:.0}"
        );
        let help = format!(
            "{} events a second make them: send more load, break a larger share, or use a smaller time scale",
            rounded(drive.events)
        );
        return (expected < fewest).then(|| diagnostic(Code::EventBudget, step, message, help));
    }
    if !beyond && !falls && drive.arrivals == Arrivals::Poisson {
        let limit = expected * threshold / level;
        let away = (limit - expected) / expected.sqrt();
        let message = format!(
            "{expected:.0} events are expected in the {window} that `{alert}` reads, {limit:.0} make it true, which is {away:.1} standard \
             deviations away: chance alone may cross its threshold"
        );
        let help = "send more load, or break a smaller share".to_owned();
        return (away < SIGMAS).then(|| diagnostic(Code::EventBudget, step, message, help));
    }
    None
}

fn window(real: Duration, scale: f64) -> String {
    let shown = show_duration(real.as_secs_f64());
    if scale > 1.0 { format!("{shown} ({} / {scale})", show_duration(real.as_secs_f64() * scale)) } else { shown }
}

fn rounded(value: f64) -> String {
    format!("{}", (value * 10_000.0).round() / 10_000.0)
}

fn diagnostic(code: Code, step: &Step, message: String, help: String) -> Diagnostic {
    Diagnostic::at(code, step.location.clone(), message, Some(help))
}
