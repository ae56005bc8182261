//! The way of a page from firing to the receiver, and back: which stages it has, and how long its group may take. Used by
//! `notification`.

use std::time::Duration;

use super::alert::{self, Change, History, Instance, State};
use super::notification::{Delivery, Mail, Sighting, named};
use super::{AlertBound, Labels, Notification, Span, Window};
use crate::clock::Stamp;
use crate::outcome::Stage;

/// Alertmanager knows a group for so long after its last alert: Prometheus repeats resolved alerts for 15 min.
const GROUP_KEPT: Duration = Duration::from_secs(15 * 60);

/// The alert a message tells of, and when it had fired.
pub(super) fn fired_before<'a>(first: &Delivery, history: &'a History) -> Option<(&'a Instance, Stamp)> {
    let carried = |instance: &&Instance| {
        first.labels.iter().all(|(name, value)| instance.labels.get(name).is_none_or(|own| own == value))
    };
    let fired = |instance: &'a Instance| {
        let before = |change: &&Change| change.state == State::Firing && change.evaluated <= first.received;
        instance.changes.iter().filter(before).map(move |change| (instance, change.evaluated))
    };
    history.instances.iter().filter(carried).flat_map(fired).max_by_key(|(_, at)| *at)
}

/// From firing to the receiver, as far as it is known whether Alertmanager had the alert's group already.
pub(super) fn delivery_span(spec: &Notification, bound: &AlertBound, fired: (&Instance, Stamp), mail: &Mail) -> Span {
    let (instance, at) = fired;
    let group = |labels: &Labels| -> Labels {
        let is_kept = |name: &String| bound.group_by.iter().any(|by| by == "..." || by == name);
        labels.iter().filter(|(name, _)| is_kept(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    // Alertmanager sees labels that Prometheus's own API does not show
    let came = mail.sightings.iter().rfind(|it| named(&it.labels, &spec.alert) && it.at >= at);
    let Some(own) = came.map(|it| group(&it.labels)) else { return bound.delivery };
    let earlier = |it: &&Sighting| it.at < at && it.receivers.contains(&spec.receiver) && group(&it.labels) == own;
    let fired_earlier = instance.changes.iter().any(|change| change.state == State::Firing && change.evaluated < at);
    match mail.sightings.iter().rfind(earlier) {
        Some(known) if at.since(known.at) < GROUP_KEPT => bound.delivery_known,
        None if !fired_earlier => bound.delivery_new,
        _ => bound.delivery,
    }
}

/// What was seen of a page on its way, held against what the configuration allows.
pub(super) fn stages(
    spec: &Notification,
    window: Window,
    first: &Delivery,
    told: Option<&Delivery>,
    mail: &Mail,
    history: &History,
) -> Vec<Stage> {
    let bound = spec.bound.as_ref();
    let Some((instance, fired)) = fired_before(first, history) else { return Vec::new() };
    let came = |it: &&Sighting| named(&it.labels, &spec.alert) && it.at >= fired;
    // a poll may come after the message it announces
    let held = mail.sightings.iter().find(came).map(|it| it.at.min(first.received));
    let span = bound.map(|bound| delivery_span(spec, bound, (instance, fired), mail));
    let stage = |name: &str, observed, floor, ceiling| Stage { name: name.to_owned(), observed, floor, ceiling };
    let mut stages = alert::stages(bound, window, instance, fired, resolved_after(instance, fired));
    let resolved = stages.pop();
    stages.push(stage("alertmanager", held, Some(fired), None));
    let allowed = |of: fn(Span) -> Duration| span.map(|span| fired + of(span));
    stages.push(stage("receiver", Some(first.received), allowed(|span| span.floor), allowed(|span| span.ceiling)));
    stages.extend(resolved);
    stages.push(stage(
        "resolved-receiver",
        told.map(|it| it.received),
        Some(window.end),
        bound.map(|bound| window.end + bound.resolved.ceiling + bound.resolved_delivery.ceiling),
    ));
    stages
}

fn resolved_after(instance: &Instance, fired: Stamp) -> Option<Stamp> {
    let ended = |change: &&Change| change.state == State::Inactive && change.evaluated >= fired;
    instance.changes.iter().find(ended).map(|change| change.evaluated)
}
