//! Expectations on messages: notifications, heartbeats, and what holds a message back.

use super::Builder;
use super::expectation::{Broken, labels};
use crate::expect::heartbeat::Heartbeat;
use crate::expect::suppression::{Cause, Suppression};
use crate::expect::{Expectation, Labels, Notification, Resolved};
use crate::plan::bound;
use crate::scenario::model;

impl Builder<'_> {
    pub(super) fn heartbeat(&self, written: &model::Heartbeat) -> Expectation {
        Expectation::Heartbeat(Heartbeat {
            receiver: written.receiver.get().clone(),
            alert: written.alert.get().clone(),
            every: self.real(written.every.0),
            missed_within: written.missed_within.as_ref().map(|within| self.real(within.0)),
        })
    }

    /// Whether the time of day decides over the way of an alert to a receiver; then nothing bounds it.
    fn is_timed(&self, alert: &str, labels: &Labels, receiver: &str) -> bool {
        let bounds = bound::bounds(self.scaled, alert, labels, bound::Conditions::default());
        let mut routes = bounds.iter().flat_map(|bound| &bound.routes);
        routes.any(|route| route.receiver == receiver && !route.time_intervals.is_empty())
    }

    pub(super) fn notification(
        &self,
        written: &model::NotificationExpectation,
        broken: Option<Broken<'_>>,
    ) -> Notification {
        let labels = labels(&written.labels);
        let timed = self.is_timed(written.alert.get(), &labels, written.receiver.get());
        let bound = self.bound(written.alert.get(), &labels, Some(written.receiver.get()), broken);
        Notification {
            bound: bound.filter(|_| !timed),
            receiver: written.receiver.get().clone(),
            alert: written.alert.get().clone(),
            labels,
            within: written.within.as_ref().map(|within| self.real(within.0)),
            resolved: if written.resolved == Some(true) { Resolved::Required } else { Resolved::Unasked },
            count: written.count.as_ref().map(|count| count.0.clone()),
            alerts: written.alerts.as_ref().map(|alerts| alerts.0.clone()),
            contains: written.contains.0.clone(),
        }
    }

    pub(super) fn suppression(&self, alert: &str, receiver: Option<&String>, cause: Cause) -> Expectation {
        Expectation::Suppression(Suppression {
            alert: alert.to_owned(),
            receiver: receiver.cloned(),
            cause,
            bound: self.bound(alert, &Labels::new(), receiver.map(String::as_str), None),
        })
    }
}
