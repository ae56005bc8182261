//! Judges `that.notification`: what the receivers' inboxes got, and, where something is missing, the hop it was lost at.

use super::alert::{History, State};
use super::look::{ScaledTime, show_labels};
use super::{Labels, Mode, Notification, Resolved, Window};
use crate::clock::Stamp;
use crate::outcome::{Evidence, Outcome, Reason, Stage};

/// One alert inside one message that an inbox accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The receiver's name.
    pub receiver: String,
    /// The integration kind.
    pub kind: String,
    /// When the inbox had read it.
    pub received: Stamp,
    /// Whether the message tells the begin or the end.
    pub tells: Tells,
    /// The alert's labels.
    pub labels: Labels,
    /// Its annotations, rendered.
    pub annotations: Labels,
    /// When it began, by Prometheus.
    pub starts_at: Option<Stamp>,
    /// How many alerts the message left out.
    pub truncated: u64,
    /// Title and text as shown to the on-call.
    pub shown: String,
}

/// What a message tells of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tells {
    /// It fires.
    Firing,
    /// It has ended.
    Resolved,
}

/// What Alertmanager was seen to hold, one entry for every change.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// When it was seen first.
    pub at: Stamp,
    /// The alert's labels as Alertmanager has them.
    pub labels: Labels,
    /// Silences and inhibiting alerts that hold it back; empty when it is active.
    pub held_by: Vec<String>,
    /// The receivers it is routed to.
    pub receivers: Vec<String>,
}

/// Everything seen on the way from Prometheus to the inboxes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mail {
    /// What the inboxes accepted, in the order of receipt.
    pub deliveries: Vec<Delivery>,
    /// What Alertmanager held.
    pub sightings: Vec<Sighting>,
    /// Alertmanager's own count of failed notifications: integration, reason, how many.
    pub failures: Vec<(String, String, u64)>,
}

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
    let firing: Vec<&Delivery> = mail
        .deliveries
        .iter()
        .filter(|it| it.receiver == spec.receiver && it.tells == Tells::Firing && carries(it, spec))
        .filter(|it| it.received >= window.start && it.received <= window.observed_until)
        .collect();
    if mode == Mode::Never {
        return judge_silence(spec, window, &firing, history, evidence, time);
    }
    let Some(first) = firing.first() else {
        let (reason, summary) = lost(spec, window, mail, history);
        return match reason {
            Reason::NoCoverage => Outcome::Inconclusive(reason, Evidence { summary, ..evidence }),
            _ => Outcome::Failed(reason, Evidence { summary, ..evidence }),
        };
    };
    let told = told_resolved(spec, first, mail);
    let evidence = Evidence { stages: stages(spec, window, first, told, mail, history), ..evidence };
    if let Some((reason, summary)) = broken(spec, window, &firing, told, history, time) {
        return Outcome::Failed(reason, Evidence { summary, ..evidence });
    }
    if let Some(summary) = outside_bound(spec, first, history, time) {
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

fn carries(delivery: &Delivery, spec: &Notification) -> bool {
    named(&delivery.labels, &spec.alert)
        && spec.labels.iter().all(|(name, value)| delivery.labels.get(name) == Some(value))
}

fn named(labels: &Labels, alert: &str) -> bool {
    labels.get("alertname").is_some_and(|name| name == alert)
}

fn judge_silence(
    spec: &Notification,
    window: Window,
    firing: &[&Delivery],
    history: &History,
    evidence: Evidence,
    time: ScaledTime,
) -> Outcome {
    if let Some(first) = firing.first() {
        let summary =
            format!("{} got {} {}, and must not", spec.receiver, spec.alert, time.from(window.start, first.received));
        return Outcome::Failed(Reason::NotSuppressed, Evidence { summary, ..evidence });
    }
    if let Some(gap) = history.coverage.gap(window.start, window.end) {
        let summary = format!("nothing was delivered, but {gap}");
        return Outcome::Inconclusive(Reason::NoCoverage, Evidence { summary, ..evidence });
    }
    let summary = format!("{} was not told of {}", spec.receiver, spec.alert);
    Outcome::Passed(Evidence { summary, ..evidence })
}

/// Where the page was lost, from the source to the receiver.
fn lost(spec: &Notification, window: Window, mail: &Mail, history: &History) -> (Reason, String) {
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
    if let Some(held) = sightings.iter().find(|it| !it.held_by.is_empty()) {
        return (Reason::Suppressed, format!("{alert} was held back by {}", held.held_by.join(", ")));
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
        .collect();
    let why = if failures.is_empty() { "it counts no failure".to_owned() } else { failures.join(", ") };
    (Reason::HopAmReceiver, format!("Alertmanager had {alert} for {} and did not deliver it: {why}", spec.receiver))
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
    history: &History,
    time: ScaledTime,
) -> Option<(Reason, String)> {
    let first = firing.first()?;
    let late = first.received.since(window.effective);
    if let Some(promise) = spec.within.filter(|promise| late > *promise) {
        let summary = format!(
            "{} got it {} after the fault, promised within {}",
            spec.receiver,
            time.length(late),
            time.length(promise)
        );
        return Some((Reason::NotifyLate, summary));
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of messages is small")]
    let count = firing.len() as f64;
    if let Some(condition) = spec.count.as_ref().filter(|condition| !condition.holds(count)) {
        let summary = format!("{} got it {} times, expected {condition}", spec.receiver, firing.len());
        return Some((Reason::NotifyCount, summary));
    }
    if first.truncated > 0 {
        return Some((Reason::NotifyTruncated, format!("the message left {} alerts out", first.truncated)));
    }
    if let Some((name, text)) = first.annotations.iter().find(|(_, text)| text.contains("<error expanding template")) {
        return Some((Reason::AnnotationError, format!("{name} could not be rendered: {text}")));
    }
    let text = format!("{}\n{}", first.shown, first.annotations.values().cloned().collect::<Vec<_>>().join("\n"));
    if let Some(missing) = spec.contains.iter().find(|wanted| !text.contains(wanted.as_str())) {
        return Some((Reason::NotifyContent, format!("the message does not contain \"{missing}\"")));
    }
    (spec.resolved == Resolved::Required).then(|| unresolved(spec, told, history)).flatten()
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

fn fired_before(first: &Delivery, history: &History) -> Option<Stamp> {
    history
        .instances
        .iter()
        .filter(|instance| {
            first.labels.iter().all(|(name, value)| instance.labels.get(name).is_none_or(|own| own == value))
        })
        .flat_map(|instance| &instance.changes)
        .filter(|change| change.state == State::Firing && change.evaluated <= first.received)
        .map(|change| change.evaluated)
        .max()
}

fn outside_bound(spec: &Notification, first: &Delivery, history: &History, time: ScaledTime) -> Option<String> {
    let bound = spec.bound.as_ref()?;
    let took = first.received.since(fired_before(first, history)?);
    if took < bound.delivery.floor {
        return Some(format!(
            "delivered {} after firing; the routing tree allows {} at the earliest",
            time.length(took),
            time.length(bound.delivery.floor)
        ));
    }
    (took > bound.delivery.ceiling).then(|| {
        format!(
            "delivered {} after firing; the routing tree allows {} at the latest",
            time.length(took),
            time.length(bound.delivery.ceiling)
        )
    })
}

fn stages(
    spec: &Notification,
    window: Window,
    first: &Delivery,
    told: Option<&Delivery>,
    mail: &Mail,
    history: &History,
) -> Vec<Stage> {
    let bound = spec.bound.as_ref();
    let fired = fired_before(first, history);
    let held = mail
        .sightings
        .iter()
        .find(|it| named(&it.labels, &spec.alert) && it.at >= window.start)
        .map(|it| it.at.min(first.received));
    let stage = |name: &str, observed, floor, ceiling| Stage { name: name.to_owned(), observed, floor, ceiling };
    let after_firing = |term: std::time::Duration| fired.map(|fired| fired + term);
    vec![
        stage("firing", fired, None, bound.map(|bound| window.effective + bound.firing.ceiling)),
        stage("alertmanager", held, fired, None),
        stage(
            "receiver",
            Some(first.received),
            bound.and_then(|bound| after_firing(bound.delivery.floor)),
            bound.and_then(|bound| after_firing(bound.delivery.ceiling)),
        ),
        stage(
            "resolved-receiver",
            told.map(|it| it.received),
            Some(window.end),
            bound.map(|bound| window.end + bound.resolved.ceiling + bound.resolved_delivery.ceiling),
        ),
    ]
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
    if rows.is_empty() {
        return evidence.with("messages", "none for this alert or this receiver");
    }
    evidence.with_table("messages (from the inject call)", &["received", "receiver", "kind", "tells", "labels"], rows)
}

#[cfg(test)]
#[path = "notification_tests.rs"]
mod tests;
