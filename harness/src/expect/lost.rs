//! Where a page was lost, hop by hop: rule, Prometheus to Alertmanager, what Alertmanager holds back or routes elsewhere, and
//! the receiver. Part of the judge of notifications.

use std::collections::BTreeMap;

use super::alert::{History, State};
use super::look::show_labels;
use super::mail::{Mail, Sighting, Tells};
use super::notification::{carries, named};
use super::{Notification, Window};
use crate::clock::Stamp;
use crate::outcome::Reason;

/// Where the page was lost, from the source to the receiver.
pub(super) fn lost(spec: &Notification, window: Window, mail: &Mail, history: &History) -> (Reason, String) {
    let alert = &spec.alert;
    let in_window = |at: Stamp| at >= window.start && at <= window.observed_until;
    let elsewhere = mail.deliveries.iter().find(|it| {
        in_window(it.received) && it.tells == Tells::Firing && it.receiver != spec.receiver && carries(it, spec)
    });
    if let Some(other) = elsewhere {
        return (Reason::WrongReceiver, format!("{alert} went to {} instead of {}", other.receiver, spec.receiver));
    }
    let other_labels = mail.deliveries.iter().find(|it| {
        in_window(it.received) && it.receiver == spec.receiver && named(&it.labels, alert) && it.tells == Tells::Firing
    });
    if let Some(other) = other_labels {
        return (Reason::WrongLabels, format!("{} got {alert} with {}", spec.receiver, show_labels(&other.labels)));
    }
    if history.rules == 0 {
        return (Reason::RuleNotLoaded, format!("Prometheus has loaded no alerting rule named {alert}"));
    }
    let fired = history.instances.iter().any(|instance| {
        instance.changes.iter().any(|change| change.state == State::Firing && in_window(change.evaluated))
    });
    let before = history.instances.iter().any(|instance| instance.state_at(window.start) == State::Firing);
    if !fired && before {
        let summary = format!("{alert} fired before the window began, so that its page was not due in it");
        return (Reason::FiringAtBaseline, summary);
    }
    if !fired {
        return match history.coverage.gap(window.start, window.observed_until) {
            Some(gap) => (Reason::NoCoverage, format!("{alert} was not seen firing, but {gap}")),
            None => (Reason::NeverFired, format!("{alert} never fired, so there was nothing to deliver")),
        };
    }
    lost_on_the_way(spec, mail, in_window)
}

fn lost_on_the_way(spec: &Notification, mail: &Mail, in_window: impl Fn(Stamp) -> bool) -> (Reason, String) {
    let alert = &spec.alert;
    let sightings: Vec<&Sighting> =
        mail.sightings.iter().filter(|it| in_window(it.at) && named(&it.labels, alert)).collect();
    let Some(last) = sightings.last() else {
        let summary = format!("{alert} fired in Prometheus, and Alertmanager never had it");
        return (Reason::HopPromAm, summary);
    };
    if let Some(held) = sightings.iter().find(|it| it.is_held()) {
        return (Reason::Suppressed, format!("{alert} was held back by {}", held.held_by().join(", ")));
    }
    if !last.receivers.contains(&spec.receiver) {
        let routed = last.receivers.join(", ");
        return (Reason::WrongReceiver, format!("Alertmanager routes {alert} to {routed}, not to {}", spec.receiver));
    }
    let failures: Vec<String> = mail
        .failures
        .iter()
        .filter(|(.., count)| *count > 0)
        .map(|(integration, reason, count)| format!("{integration} failed {count} times ({reason})"))
        .chain(refused(spec, mail, &in_window))
        .collect();
    let why = if failures.is_empty() { "it counts no failure".to_owned() } else { failures.join(", ") };
    (Reason::HopAmReceiver, format!("Alertmanager had {alert} for {} and did not deliver it: {why}", spec.receiver))
}

/// Attempts that the receiver's inbox did not take, in words; none when there was none.
pub(super) fn refused(spec: &Notification, mail: &Mail, in_window: &impl Fn(Stamp) -> bool) -> Option<String> {
    let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
    for refusal in mail.refusals.iter().filter(|it| it.receiver == spec.receiver && in_window(it.received)) {
        *answers.entry(refusal.answered).or_default() += 1;
    }
    let words: Vec<String> = answers
        .iter()
        .map(|(answered, count)| match answered {
            0 => format!("{count} attempts were never answered"),
            answered => format!("{count} attempts were answered {answered}"),
        })
        .collect();
    (!words.is_empty()).then(|| format!("at {} {}", spec.receiver, words.join(", ")))
}
