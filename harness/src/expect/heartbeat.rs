//! Judges `that.heartbeat`, the dead man's switch: beats come at least so often, and where they must be missed, they are
//! missed while the inbox that would have got them is proved alive. "Nothing came" from an inbox that takes nothing says
//! nothing.

use std::time::Duration;

use super::Window;
use super::alert::{History, State};
use super::look::ScaledTime;
use super::notification::{Delivery, Mail, Tells, named};
use crate::clock::Stamp;
use crate::outcome::{Evidence, Outcome, Reason};

/// `that.heartbeat`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The receiver that hears the beats.
    pub receiver: String,
    /// The alert that always fires.
    pub alert: String,
    /// The longest time from one beat to the next.
    pub every: Duration,
    /// Promise: a beat is missing at the latest this long after the fault was proved; none means that beats must go on.
    pub missed_within: Option<Duration>,
}

/// A beat that did not come: what came last, and when the next one was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Miss {
    last: Stamp,
    due: Stamp,
}

/// Judges a heartbeat. `baseline` is the steady state before the fault, `history` that of the alert.
#[must_use]
pub fn judge(
    spec: &Heartbeat,
    window: Window,
    baseline: Option<Window>,
    mail: &Mail,
    history: &History,
    time: ScaledTime,
) -> Outcome {
    let beats = beats(spec, mail);
    let evidence = describe(spec, window, &beats, mail, history, time);
    if history.rules == 0 {
        let summary = format!("Prometheus has loaded no alerting rule named {}", spec.alert);
        return Outcome::Failed(Reason::RuleNotLoaded, Evidence { summary, ..evidence });
    }
    match spec.missed_within {
        None => judge_beating(spec, window, &beats, mail, evidence, time),
        Some(promise) => {
            let Some(baseline) = baseline else {
                let summary = "there was no baseline in which it could have beaten".to_owned();
                return Outcome::Inconclusive(Reason::NoCoverage, Evidence { summary, ..evidence });
            };
            if let Some(miss) = first_miss(&beats, baseline.start, baseline.end, spec.every) {
                let summary = format!(
                    "{} did not beat every {} in the baseline: nothing came for {} after {}",
                    spec.alert,
                    time.length(spec.every),
                    time.length(spec.every),
                    time.from(baseline.start, miss.last)
                );
                return proved_absent(spec, miss, mail, Evidence { summary, ..evidence }, |evidence| {
                    Outcome::Failed(Reason::HeartbeatMissing, evidence)
                });
            }
            judge_missed(spec, promise, window, &beats, mail, evidence, time)
        }
    }
}

fn judge_beating(
    spec: &Heartbeat,
    window: Window,
    beats: &[Stamp],
    mail: &Mail,
    evidence: Evidence,
    time: ScaledTime,
) -> Outcome {
    if let Some(miss) = first_miss(beats, window.start, window.end, spec.every) {
        let summary = format!(
            "{} heard nothing of {} for more than {}, from {} on{}",
            spec.receiver,
            spec.alert,
            time.length(spec.every),
            time.from(window.start, miss.last),
            who_was_silent(&evidence)
        );
        return proved_absent(spec, miss, mail, Evidence { summary, ..evidence }, |evidence| {
            Outcome::Failed(Reason::HeartbeatMissing, evidence)
        });
    }
    let count = beats.iter().filter(|at| **at >= window.start && **at <= window.end).count();
    if count == 0 {
        let summary = format!("the window is shorter than one beat of {}", time.length(spec.every));
        return Outcome::Inconclusive(Reason::NoCoverage, Evidence { summary, ..evidence });
    }
    let summary = format!("{} heard {count} beats, never more than {} apart", spec.receiver, time.length(spec.every));
    Outcome::Passed(Evidence { summary, ..evidence })
}

fn judge_missed(
    spec: &Heartbeat,
    promise: Duration,
    window: Window,
    beats: &[Stamp],
    mail: &Mail,
    evidence: Evidence,
    time: ScaledTime,
) -> Outcome {
    let deadline = window.effective + promise;
    let watched = deadline.min(window.observed_until);
    let Some(miss) = first_miss(beats, window.start, watched, spec.every) else {
        if watched < deadline {
            let summary = "the run did not watch long enough for a beat to be missed".to_owned();
            return Outcome::Inconclusive(Reason::NoCoverage, Evidence { summary, ..evidence });
        }
        let late = first_miss(beats, window.start, window.observed_until, spec.every);
        let last = beats.iter().rev().find(|at| **at <= deadline).copied();
        let until = last.map_or_else(String::new, |at| format!(" until {}", time.from(window.effective, at)));
        let missed = late.map_or_else(
            || "no beat was ever missed".to_owned(),
            |miss| format!("the first beat was missed after {}", time.from(window.effective, miss.due)),
        );
        let summary =
            format!("{} beat{until}: {missed}, promised to be noticed within {}", spec.alert, time.length(promise));
        return Outcome::Failed(Reason::HeartbeatNotMissed, Evidence { summary, ..evidence });
    };
    let again = beats.iter().find(|at| **at > miss.last);
    let resumed = again.map_or_else(
        || "it has not come back".to_owned(),
        |at| format!("it beats again {}", time.around_end(window.end, *at)),
    );
    let summary = format!(
        "{} missed a beat of {} {} after the fault{}, while its inbox took messages; {resumed}",
        spec.receiver,
        spec.alert,
        time.from(window.effective, miss.due),
        who_was_silent(&evidence)
    );
    proved_absent(spec, miss, mail, Evidence { summary, ..evidence }, Outcome::Passed)
}

/// An absence counts only where the inbox would have taken the message: it was knocked at all the while, and opened.
fn proved_absent(
    spec: &Heartbeat,
    miss: Miss,
    mail: &Mail,
    evidence: Evidence,
    conclude: impl FnOnce(Evidence) -> Outcome,
) -> Outcome {
    match mail.closed(&spec.receiver, miss.last, miss.due) {
        None => conclude(evidence),
        Some(why) => {
            let summary =
                format!("nothing came to {}, and nobody can say that it could have: at its inbox {why}", spec.receiver);
            Outcome::Inconclusive(Reason::Unreachable, Evidence { summary, ..evidence })
        }
    }
}

/// When the receiver was told that the alert fires; ascending, each message once.
fn beats(spec: &Heartbeat, mail: &Mail) -> Vec<Stamp> {
    let own =
        |it: &&Delivery| it.receiver == spec.receiver && it.tells == Tells::Firing && named(&it.labels, &spec.alert);
    let mut beats: Vec<Stamp> = mail.deliveries.iter().filter(own).map(|it| it.received).collect();
    beats.sort_unstable();
    beats.dedup();
    beats
}

/// The first beat that was due in `(start, end]` and had not come by then. Beats before the window count; where there is
/// none, the first is due one length after the window's begin.
fn first_miss(beats: &[Stamp], start: Stamp, end: Stamp, every: Duration) -> Option<Miss> {
    let before = beats.iter().rev().find(|at| **at <= start).copied().unwrap_or(start);
    let mut last = before;
    for at in beats.iter().copied().filter(|at| *at > start).chain([Stamp(i64::MAX)]) {
        let due = last + every;
        if at > due {
            return (due <= end).then_some(Miss { last, due });
        }
        last = at;
    }
    None
}

const SILENT: &str = "silent meanwhile";

fn who_was_silent(evidence: &Evidence) -> String {
    let found = evidence.facts.iter().find(|fact| fact.name == SILENT);
    match found.map(|fact| &fact.value) {
        Some(crate::outcome::FactValue::Text(who)) => format!(" ({who})"),
        _ => String::new(),
    }
}

fn describe(
    spec: &Heartbeat,
    window: Window,
    beats: &[Stamp],
    mail: &Mail,
    history: &History,
    time: ScaledTime,
) -> Evidence {
    let mut evidence = Evidence::default()
        .with("alert", spec.alert.clone())
        .with("receiver", spec.receiver.clone())
        .with("a beat at least every", time.length(spec.every));
    if !beats.is_empty() {
        let shown = beats.iter().map(|at| time.from(window.start, *at)).collect::<Vec<_>>();
        evidence = evidence.with("beats (from the window's begin)", shown.join(", "));
    }
    let mut silent = Vec::new();
    if history.coverage.gap(window.start, window.end).is_some() {
        silent.push("Prometheus did not evaluate all the time");
    }
    if mail.polls.gap(window.start, window.end).is_some() {
        silent.push("Alertmanager did not answer all the time");
    }
    if !silent.is_empty() {
        evidence = evidence.with(SILENT, silent.join(", "));
    }
    for text in false_ends(spec, window, mail, history, time) {
        evidence = evidence.with("a \"resolved\" that means something else", text);
    }
    evidence
}

/// Messages that say "resolved" although Prometheus, when it was last heard of, had the alert firing: Alertmanager ends an
/// alert by itself when nobody keeps it alive, so that they mean that monitoring died (T37).
fn false_ends(spec: &Heartbeat, window: Window, mail: &Mail, history: &History, time: ScaledTime) -> Vec<String> {
    let ended = |it: &&Delivery| {
        it.tells == Tells::Resolved
            && named(&it.labels, &spec.alert)
            && it.received >= window.start
            && it.received <= window.observed_until
    };
    let still = |at: Stamp| history.instances.iter().any(|instance| instance.state_at(at) == State::Firing);
    let mut texts: Vec<String> = mail
        .deliveries
        .iter()
        .filter(ended)
        .filter(|it| still(it.received))
        .map(|it| {
            format!(
                "{} was told {} that {} is over; Prometheus never said so, nobody kept the alert alive",
                it.receiver,
                time.from(window.start, it.received),
                spec.alert
            )
        })
        .collect();
    texts.sort();
    texts.dedup();
    texts
}

#[cfg(test)]
#[path = "heartbeat_tests.rs"]
mod tests;
