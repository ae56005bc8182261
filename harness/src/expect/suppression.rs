//! Judges `that.inhibition`, `that.silence` and `that.mute-time`: an alert fires, Alertmanager holds it and says why, nobody
//! is told while that lasts, and whoever must be told afterwards is. Alertmanager's own word (`inhibitedBy`, `silencedBy`)
//! and the inbox are two witnesses; both must agree.

use std::time::Duration;

use super::alert::{History, State};
use super::look::ScaledTime;
use super::notification::{Delivery, Mail, Sighting, Tells, named};
use super::{AlertBound, Window};
use crate::clock::Stamp;
use crate::outcome::{Evidence, Outcome, Reason};

/// What was sent before Alertmanager heard of the reason may still arrive so long after.
const ON_ITS_WAY: Duration = Duration::from_millis(250);

/// `that.inhibition`, `that.silence` or `that.mute-time`
#[derive(Clone, Debug, PartialEq)]
pub struct Suppression {
    /// The alert that is held back.
    pub alert: String,
    /// The receiver that must not be told meanwhile; none means nobody.
    pub receiver: Option<String>,
    /// What holds it back.
    pub cause: Cause,
    /// What the configuration allows the alert.
    pub bound: Option<AlertBound>,
}

impl Suppression {
    /// The alerts that have to fire.
    #[must_use]
    pub fn alerts(&self) -> Vec<String> {
        let by = if let Cause::Inhibition { by } = &self.cause { Some(by.clone()) } else { None };
        std::iter::once(self.alert.clone()).chain(by).collect()
    }
}

/// Why an alert is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Another alert fires.
    Inhibition {
        /// Its name.
        by: String,
    },
    /// Somebody silenced it.
    Silence,
    /// Its route is mute at this time.
    MuteTime,
}

impl Cause {
    /// The kind as it is written in scenarios.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Inhibition { .. } => "inhibition",
            Self::Silence => "silence",
            Self::MuteTime => "mute-time",
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Inhibition { by } => format!("inhibited by {by}"),
            Self::Silence => "silenced".to_owned(),
            Self::MuteTime => "muted".to_owned(),
        }
    }
}

/// Everything a suppression is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// What Alertmanager held and what the inboxes got.
    pub mail: &'a Mail,
    /// The history of the alert that is held back.
    pub alert: &'a History,
    /// The history of the alert that holds it back; the same where there is none.
    pub by: &'a History,
    /// When the reason began to be taken away; none where nobody did so on purpose.
    pub released: Option<Stamp>,
}

/// From when to when Alertmanager held the alert, and in which stretches.
#[derive(Clone, Debug)]
struct Hold {
    first: Stamp,
    last: Stamp,
    stretches: Vec<(Stamp, Stamp)>,
}

impl Hold {
    /// None when there is no stretch with a length.
    fn of(mut stretches: Vec<(Stamp, Stamp)>) -> Option<Self> {
        stretches.retain(|(first, last)| first <= last);
        let first = stretches.iter().map(|(first, _)| *first).min()?;
        let last = stretches.iter().map(|(_, last)| *last).max()?;
        Some(Self { first, last, stretches })
    }

    /// Whether what came then had been sent although the alert was held.
    fn was_broken(&self, received: Stamp) -> bool {
        self.stretches.iter().any(|(first, last)| received > *first + ON_ITS_WAY && received <= *last)
    }
}

/// Judges a suppression.
#[must_use]
pub fn judge(spec: &Suppression, window: Window, seen: Seen<'_>, time: ScaledTime) -> Outcome {
    let evidence = describe(spec, window, seen, time);
    let end = |reason, summary: String| match reason {
        Reason::NoCoverage | Reason::PromRestart | Reason::RuleError | Reason::Unreachable => {
            Outcome::Inconclusive(reason, Evidence { summary, ..evidence.clone() })
        }
        _ => Outcome::Failed(reason, Evidence { summary, ..evidence.clone() }),
    };
    if let Some((reason, summary)) = fired(spec, window, seen, time) {
        return end(reason, summary);
    }
    if let Some(gap) = seen.mail.polls.gap(window.effective, window.end) {
        return end(Reason::NoCoverage, format!("Alertmanager was not asked all the time: {gap}"));
    }
    let hold = match hold(spec, window, seen, time) {
        Ok(hold) => hold,
        Err((reason, summary)) => return end(reason, summary),
    };
    if let Some(leak) = deliveries(spec, seen).find(|it| hold.was_broken(it.received)) {
        let summary = format!(
            "{} was told of {} {} although it was {}",
            leak.receiver,
            spec.alert,
            time.from(window.start, leak.received),
            spec.cause.words()
        );
        return end(Reason::NotSuppressed, summary);
    }
    if let Some(receiver) = &spec.receiver
        && let Some(why) = seen.mail.closed(receiver, hold.first, hold.last)
    {
        let summary = format!("nothing came to {receiver}, and nobody can say that it could have: at its inbox {why}");
        return end(Reason::Unreachable, summary);
    }
    match afterwards(spec, window, seen, &hold, time) {
        Ok(after) => {
            let held = time.length(hold.last.since(hold.first));
            let summary = format!("{} was {} for {held}, and nobody was told; {after}", spec.alert, spec.cause.words());
            Outcome::Passed(Evidence { summary, ..evidence })
        }
        Err((reason, summary)) => end(reason, summary),
    }
}

/// Nothing is held back that does not fire; none when everything fired that has to.
fn fired(spec: &Suppression, window: Window, seen: Seen<'_>, time: ScaledTime) -> Option<(Reason, String)> {
    let both = match &spec.cause {
        Cause::Inhibition { by } => vec![(spec.alert.as_str(), seen.alert), (by.as_str(), seen.by)],
        Cause::Silence | Cause::MuteTime => vec![(spec.alert.as_str(), seen.alert)],
    };
    for (name, history) in both {
        if history.rules == 0 {
            return Some((Reason::RuleNotLoaded, format!("Prometheus has loaded no alerting rule named {name}")));
        }
        if let Some(at) = history.coverage.restarted(window.start, window.end) {
            let when = time.from(window.start, at);
            return Some((Reason::PromRestart, format!("Prometheus restarted {when} into the window")));
        }
        if let Some((at, why)) = history.errors.iter().find(|(at, _)| *at >= window.start && *at <= window.end) {
            let when = time.from(window.start, *at);
            return Some((Reason::RuleError, format!("the rule {name} was in error {when}: {why}")));
        }
        if fires(history, window.start, window.end) {
            continue;
        }
        return Some(match history.coverage.gap(window.start, window.end) {
            Some(gap) => (Reason::NoCoverage, format!("{name} was not seen firing, but {gap}")),
            None => (Reason::NeverFired, format!("{name} did not fire, so that nothing was held back")),
        });
    }
    None
}

fn fires(history: &History, from: Stamp, until: Stamp) -> bool {
    history.instances.iter().any(|instance| {
        instance.state_at(from) == State::Firing
            || instance
                .changes
                .iter()
                .any(|it| it.state == State::Firing && it.evaluated > from && it.evaluated <= until)
    })
}

/// When Alertmanager held the alert for this reason, by its own word.
fn hold(spec: &Suppression, window: Window, seen: Seen<'_>, time: ScaledTime) -> Result<Hold, (Reason, String)> {
    let within = |it: &&Sighting| it.last >= window.start && it.at <= window.end;
    let own: Vec<&Sighting> =
        seen.mail.sightings.iter().filter(|it| named(&it.labels, &spec.alert)).filter(within).collect();
    if own.is_empty() {
        let summary = format!("{} fired in Prometheus, and Alertmanager never had it", spec.alert);
        return Err((Reason::HopPromAm, summary));
    }
    let held: Vec<&&Sighting> = own.iter().filter(|it| holds(&spec.cause, it, seen.mail)).collect();
    let stretches: Vec<(Stamp, Stamp)> = held.iter().map(|it| (it.at, it.last)).collect();
    let Some(hold) = Hold::of(stretches.clone()) else {
        let other = own.iter().find(|it| it.is_held()).map_or_else(
            || "Alertmanager held it active all the time".to_owned(),
            |it| format!("it was held back by {}", it.held_by().join(", ")),
        );
        return Err((Reason::NotSuppressed, format!("{} was never {}: {other}", spec.alert, spec.cause.words())));
    };
    if spec.cause != Cause::MuteTime {
        return Ok(hold);
    }
    // Alertmanager does not say that a route is mute: what counts is the time in which it must have been.
    if let (Some(receiver), Some(routed)) = (&spec.receiver, held.iter().map(|it| &it.receivers).next_back())
        && !routed.contains(receiver)
    {
        let summary = format!("Alertmanager routes {} to {}, not to {receiver}", spec.alert, routed.join(", "));
        return Err((Reason::WrongReceiver, summary));
    }
    let released = seen.released.unwrap_or(window.end);
    let muted = stretches.into_iter().map(|(first, last)| (first.max(window.effective), last.min(released)));
    Hold::of(muted.collect()).ok_or_else(|| {
        let length = time.length(hold.last.since(hold.first));
        (Reason::NoCoverage, format!("Alertmanager had {} for {length} only, and not while it was muted", spec.alert))
    })
}

fn holds(cause: &Cause, sighting: &Sighting, mail: &Mail) -> bool {
    match cause {
        Cause::Silence => !sighting.silenced_by.is_empty(),
        Cause::MuteTime => !sighting.is_held(),
        Cause::Inhibition { by } => mail
            .sightings
            .iter()
            .any(|other| named(&other.labels, by) && sighting.inhibited_by.contains(&other.fingerprint)),
    }
}

fn deliveries<'a>(spec: &'a Suppression, seen: Seen<'a>) -> impl Iterator<Item = &'a Delivery> {
    seen.mail.deliveries.iter().filter(|it| {
        it.tells == Tells::Firing
            && named(&it.labels, &spec.alert)
            && spec.receiver.as_ref().is_none_or(|receiver| it.receiver == *receiver)
    })
}

/// What came of it when the reason was gone: told, over meanwhile, or known before.
fn afterwards(
    spec: &Suppression,
    window: Window,
    seen: Seen<'_>,
    hold: &Hold,
    time: ScaledTime,
) -> Result<String, (Reason, String)> {
    if let Some(told) = deliveries(spec, seen).find(|it| it.received > hold.last) {
        return Ok(format!("{} was told {} after that", told.receiver, time.from(hold.last, told.received)));
    }
    let before = deliveries(spec, seen).filter(|it| it.received <= hold.first + ON_ITS_WAY).last();
    if let Some(before) = before {
        if spec.cause == Cause::Silence && before.received < window.start {
            let summary = format!(
                "{} had been told of {} before it was silenced, so that nothing new was held back",
                before.receiver, spec.alert
            );
            return Err((Reason::NoCoverage, summary));
        }
        return Ok(format!("{} had been told before that", before.receiver));
    }
    let allowed = spec.bound.as_ref().map_or(Duration::ZERO, |bound| bound.delivery.ceiling);
    let due = hold.last + allowed;
    let lasted = seen.alert.instances.iter().any(|instance| {
        instance.state_at(hold.last) == State::Firing
            && !instance
                .changes
                .iter()
                .any(|it| it.state == State::Inactive && it.evaluated > hold.last && it.evaluated <= due)
    });
    if !lasted {
        return Ok("it was over before anybody had to be told".to_owned());
    }
    if window.observed_until < due {
        let summary = format!("the run did not watch long enough after {} was released", spec.alert);
        return Err((Reason::NoCoverage, summary));
    }
    let summary = format!(
        "{} went on firing after it was no longer {}, and nobody was told within {}",
        spec.alert,
        spec.cause.words(),
        time.length(allowed)
    );
    Err((Reason::Suppressed, summary))
}

fn describe(spec: &Suppression, window: Window, seen: Seen<'_>, time: ScaledTime) -> Evidence {
    let mut evidence = Evidence::default().with("alert", spec.alert.clone());
    if let Some(receiver) = &spec.receiver {
        evidence = evidence.with("receiver", receiver.clone());
    }
    let by = if let Cause::Inhibition { by } = &spec.cause { Some(by) } else { None };
    let concerned = |it: &&Sighting| named(&it.labels, &spec.alert) || by.is_some_and(|by| named(&it.labels, by));
    let rows: Vec<Vec<String>> = seen
        .mail
        .sightings
        .iter()
        .filter(concerned)
        .map(|it| {
            let state = if it.is_held() { it.held_by().join(", ") } else { "active".to_owned() };
            let name = it.labels.get("alertname").cloned().unwrap_or_default();
            vec![time.from(window.start, it.at), time.from(window.start, it.last), name, state]
        })
        .collect();
    if !rows.is_empty() {
        let columns = ["from", "to", "alert", "Alertmanager says"];
        evidence = evidence.with_table("what Alertmanager held (from the window's begin)", &columns, rows);
    }
    let told: Vec<String> = seen
        .mail
        .deliveries
        .iter()
        .filter(|it| named(&it.labels, &spec.alert))
        .map(|it| {
            let tells = if it.tells == Tells::Firing { "firing" } else { "resolved" };
            format!("{} {} {tells}", time.from(window.start, it.received), it.receiver)
        })
        .collect();
    if told.is_empty() {
        evidence.with("messages", "none for this alert")
    } else {
        evidence.with_list("messages (from the window's begin)", told)
    }
}

#[cfg(test)]
#[path = "suppression_tests.rs"]
mod tests;
