//! Judges `that.notification`: what the receivers' inboxes got, and, where something is missing, the hop it was lost at.

use std::collections::BTreeMap;

use super::alert::{History, State};
use super::delivery::{delivery_span, fired_before, stages};
use super::look::{ScaledTime, show_labels};
use super::lost::{lost, refused};
pub use super::mail::{Delivery, Knocks, Mail, Refusal, Sighting, Tells};
use super::{Labels, Mode, Notification, Resolved, Span, Window};
use crate::clock::Stamp;
use crate::outcome::{Evidence, Outcome, Reason};

/// Judges a notification expectation. `history` is that of the alert it carries.
#[must_use]
pub fn judge(
    spec: &Notification,
    mode: Mode,
    window: Window,
    mail: &Mail,
    history: &History,
    time: ScaledTime,
) -> Outcome {
    let evidence = describe(spec, window, mail, history, time);
    if let Some(at) = history.coverage.restarted(window.start, window.observed_until) {
        let summary =
            format!("Prometheus restarted {} into the window and forgot what was pending", time.from(window.start, at));
        return Outcome::Inconclusive(Reason::PromRestart, Evidence { summary, ..evidence });
    }
    let firing: Vec<&Delivery> = mail
        .deliveries
        .iter()
        .filter(|it| it.receiver == spec.receiver && it.tells == Tells::Firing && carries(it, spec))
        .filter(|it| it.received >= window.start && it.received <= window.observed_until)
        .collect();
    if mode == Mode::Never {
        return judge_silence(spec, window, &firing, mail, history, evidence, time);
    }
    let Some(first) = firing.first() else {
        if let Some(outcome) = in_error(window, history, &evidence, time) {
            return outcome;
        }
        let (reason, summary) = lost(spec, window, mail, history);
        return match reason {
            Reason::NoCoverage => Outcome::Inconclusive(reason, Evidence { summary, ..evidence }),
            _ => Outcome::Failed(reason, Evidence { summary, ..evidence }),
        };
    };
    let told = told_resolved(spec, first, mail);
    let evidence = Evidence { stages: stages(spec, window, first, told, mail, history), ..evidence };
    if let Some((reason, summary)) = broken(spec, window, &firing, told, mail, history, time) {
        return Outcome::Failed(reason, Evidence { summary, ..evidence });
    }
    if let Some(summary) = outside_bound(spec, first, mail, history, time) {
        return Outcome::Inconclusive(Reason::Timing, Evidence { summary, ..evidence });
    }
    let resolved =
        told.map_or_else(String::new, |it| format!("; told it was over {}", time.around_end(window.end, it.received)));
    let summary = format!(
        "{} got it by {} {} after the fault{resolved}",
        spec.receiver,
        first.kind,
        time.from(window.effective, first.received)
    );
    Outcome::Passed(Evidence { summary, ..evidence })
}

/// A rule in error sends nothing (T24), so that silence means nothing.
fn in_error(window: Window, history: &History, evidence: &Evidence, time: ScaledTime) -> Option<Outcome> {
    let in_window = |at: Stamp| at >= window.start && at <= window.observed_until;
    let (at, error) = history.errors.iter().find(|(at, _)| in_window(*at))?;
    let summary = format!("the rule was in error {}: {error}", time.from(window.start, *at));
    Some(Outcome::Inconclusive(Reason::RuleError, Evidence { summary, ..evidence.clone() }))
}

/// Whether it tells of the alert that is expected.
pub(super) fn carries(delivery: &Delivery, spec: &Notification) -> bool {
    named(&delivery.labels, &spec.alert)
        && spec.labels.iter().all(|(name, value)| delivery.labels.get(name) == Some(value))
}

/// Whether these are labels of the alert of this name.
pub(super) fn named(labels: &Labels, alert: &str) -> bool {
    labels.get("alertname").is_some_and(|name| name == alert)
}

fn judge_silence(
    spec: &Notification,
    window: Window,
    firing: &[&Delivery],
    mail: &Mail,
    history: &History,
    evidence: Evidence,
    time: ScaledTime,
) -> Outcome {
    if let Some(first) = firing.first() {
        let summary =
            format!("{} got {} {}, and must not", spec.receiver, spec.alert, time.from(window.start, first.received));
        return Outcome::Failed(Reason::NotSuppressed, Evidence { summary, ..evidence });
    }
    if let Some(outcome) = in_error(window, history, &evidence, time) {
        return outcome;
    }
    if let Some(gap) = history.coverage.gap(window.start, window.end) {
        let summary = format!("nothing was delivered, but {gap}");
        return Outcome::Inconclusive(Reason::NoCoverage, Evidence { summary, ..evidence });
    }
    if let Some(why) = mail.closed(&spec.receiver, window.start, window.end) {
        let summary = format!("nothing was delivered, and nobody can say that it could have been: at the inbox {why}");
        return Outcome::Inconclusive(Reason::Unreachable, Evidence { summary, ..evidence });
    }
    let summary = format!("{} was not told of {}", spec.receiver, spec.alert);
    Outcome::Passed(Evidence { summary, ..evidence })
}

fn told_resolved<'a>(spec: &Notification, first: &Delivery, mail: &'a Mail) -> Option<&'a Delivery> {
    mail.deliveries.iter().find(|it| {
        it.receiver == spec.receiver && it.tells == Tells::Resolved && carries(it, spec) && it.received > first.received
    })
}

fn broken(
    spec: &Notification,
    window: Window,
    firing: &[&Delivery],
    told: Option<&Delivery>,
    mail: &Mail,
    history: &History,
    time: ScaledTime,
) -> Option<(Reason, String)> {
    let first = firing.first()?;
    let late = first.received.since(window.effective);
    if let Some(promise) = spec.within.filter(|promise| late > *promise) {
        let lost = match mail.dropped {
            0 => String::new(),
            lost => format!("; Prometheus counts {lost} alerts that it could send to no Alertmanager (dropped_total)"),
        };
        let summary = format!(
            "{} got it {} after the fault, promised within {}{lost}",
            spec.receiver,
            time.length(late),
            time.length(promise)
        );
        return Some((Reason::NotifyLate, summary));
    }
    if let Some(left_out) = firing.iter().map(|it| it.truncated).find(|left_out| *left_out > 0) {
        return Some((Reason::NotifyTruncated, format!("the message left {left_out} alerts out (truncated)")));
    }
    if let Some(summary) = miscounted(spec, firing) {
        return Some((Reason::NotifyCount, summary));
    }
    if let Some(summary) = disordered(spec, first, mail) {
        return Some((Reason::NotifyOrder, summary));
    }
    if let Some(summary) = firing.iter().copied().chain(told).find_map(unrendered) {
        return Some((Reason::AnnotationError, summary));
    }
    let text = format!("{}\n{}", first.shown, first.annotations.values().cloned().collect::<Vec<_>>().join("\n"));
    if let Some(missing) = spec.contains.iter().find(|wanted| !text.contains(wanted.as_str())) {
        return Some((Reason::NotifyContent, format!("the message does not contain \"{missing}\"")));
    }
    (spec.resolved == Resolved::Required).then(|| unresolved(spec, told, history)).flatten()
}

/// How many messages told of the alert, and how many of its alerts each told of at once.
fn miscounted(spec: &Notification, firing: &[&Delivery]) -> Option<String> {
    let mut messages: BTreeMap<(Stamp, &str), u32> = BTreeMap::new();
    for delivery in firing {
        *messages.entry((delivery.received, delivery.group.as_str())).or_default() += 1;
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of messages is small")]
    let count = messages.len() as f64;
    if let Some(condition) = spec.count.as_ref().filter(|condition| !condition.holds(count)) {
        return Some(format!("{} got it {} times, expected {condition}", spec.receiver, messages.len()));
    }
    let condition = spec.alerts.as_ref()?;
    let together = messages.values().find(|together| !condition.holds(f64::from(**together)))?;
    Some(format!("a message to {} lists {together} alerts of {}, expected {condition}", spec.receiver, spec.alert))
}

/// Nobody may hear of an end whose begin comes later.
fn disordered(spec: &Notification, first: &Delivery, mail: &Mail) -> Option<String> {
    let begun = first.starts_at?;
    let early = mail.deliveries.iter().find(|it| {
        it.receiver == spec.receiver
            && it.tells == Tells::Resolved
            && it.labels == first.labels
            && it.starts_at == Some(begun)
            && it.received < first.received
    });
    early.map(|_| format!("{} was told that {} is over before it was told that it fires", spec.receiver, spec.alert))
}

/// A template that could not be expanded, in an annotation or in the text around it.
fn unrendered(delivery: &Delivery) -> Option<String> {
    let broken = |text: &str| text.contains("<error expanding template") || text.contains("<no value>");
    let annotation = delivery.annotations.iter().find(|(_, text)| broken(text));
    annotation
        .map(|(name, text)| format!("{name} could not be rendered: {text}"))
        .or_else(|| broken(&delivery.shown).then(|| format!("the message could not be rendered: {}", delivery.shown)))
}

/// A resolved message counts only if Prometheus says so too: else it may mean that monitoring died (T37).
fn unresolved(spec: &Notification, told: Option<&Delivery>, history: &History) -> Option<(Reason, String)> {
    let Some(told) = told else {
        return Some((
            Reason::ResolvedMissing,
            format!("{} was never told that {} is over", spec.receiver, spec.alert),
        ));
    };
    let still = history.instances.iter().any(|instance| {
        named(&instance.labels, &spec.alert)
            && told.labels.iter().all(|(name, value)| instance.labels.get(name).is_none_or(|own| own == value))
            && instance.state_at(told.received) == State::Firing
    });
    still.then(|| {
        let summary = format!(
            "{} was told that {} is over while Prometheus still had it firing: the message only means that nobody kept it alive",
            spec.receiver, spec.alert
        );
        (Reason::ResolvedMissing, summary)
    })
}

/// When Alertmanager last held the alert back before it was delivered.
fn released_before(spec: &Notification, first: &Delivery, mail: &Mail) -> Option<Stamp> {
    let held = mail.sightings.iter().filter(|it| it.is_held() && named(&it.labels, &spec.alert));
    held.map(|it| it.last).filter(|last| *last <= first.received).max()
}

fn outside_bound(
    spec: &Notification,
    first: &Delivery,
    mail: &Mail,
    history: &History,
    time: ScaledTime,
) -> Option<String> {
    let bound = spec.bound.as_ref()?;
    let fired = fired_before(first, history)?;
    let retried = |it: &Refusal| it.receiver == spec.receiver && it.received >= fired.1 && it.received < first.received;
    if mail.refusals.iter().any(retried) {
        // it came when the receiver took it; how soon that is, no configuration says
        return None;
    }
    let released = released_before(spec, first, mail).filter(|released| *released > fired.1);
    let span = match released {
        // held back while its group lived on: the next tick sends
        Some(_) => Span { floor: std::time::Duration::ZERO, ceiling: bound.delivery.ceiling },
        None => delivery_span(spec, bound, fired, mail),
    };
    let took = first.received.since(released.unwrap_or(fired.1));
    if took < span.floor {
        return Some(format!(
            "delivered {} after firing; the routing tree allows {} at the earliest",
            time.length(took),
            time.length(span.floor)
        ));
    }
    let since = if released.is_some() { "it was no longer held back" } else { "firing" };
    (took > span.ceiling).then(|| {
        format!(
            "delivered {} after {since}; the routing tree allows {} at the latest",
            time.length(took),
            time.length(span.ceiling)
        )
    })
}

fn describe(spec: &Notification, window: Window, mail: &Mail, history: &History, time: ScaledTime) -> Evidence {
    let rows = mail
        .deliveries
        .iter()
        .filter(|it| named(&it.labels, &spec.alert) || it.receiver == spec.receiver)
        .map(|it| {
            vec![
                time.from(window.start, it.received),
                it.receiver.clone(),
                it.kind.clone(),
                format!("{:?}", it.tells).to_lowercase(),
                show_labels(&it.labels),
            ]
        })
        .collect::<Vec<_>>();
    let evidence = Evidence::default()
        .with("alert", spec.alert.clone())
        .with("receiver", spec.receiver.clone())
        .with("evaluations seen", history.coverage.count(window.start, window.observed_until).to_string());
    let in_window = |at: Stamp| at >= window.start && at <= window.observed_until;
    let evidence = match refused(spec, mail, &in_window) {
        Some(refused) => evidence.with("retries", refused),
        None => evidence,
    };
    if rows.is_empty() {
        return evidence.with("messages", "none for this alert or this receiver");
    }
    evidence.with_table("messages (from the inject call)", &["received", "receiver", "kind", "tells", "labels"], rows)
}

#[cfg(test)]
#[path = "notification_tests.rs"]
mod tests;
