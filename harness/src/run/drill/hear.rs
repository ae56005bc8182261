//! What the loop hears of the watchers while a scenario runs, and what it asks them to complete it at the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Floor, Input};
use crate::clock::Stamp;
use crate::event::EventKind;
use crate::expect::Expectation;
use crate::expect::way::Truth;
use crate::plan::build::LogRules;
use crate::run::observe::{self, Seen};
use crate::telemetry::prometheus::OwnCounters;

/// How often the inboxes are knocked at that an expectation needs to be open.
const KNOCKS: Duration = Duration::from_millis(250);
/// A server that is asked more often than this may miss one question without anybody calling it a hole.
const PATIENCE: Duration = Duration::from_millis(500);
/// How many points of the raw samples' grid lie in one evaluation.
const FINER: u32 = 10;
/// Prometheus answers with at most 11,000 points.
const MOST_POINTS: u32 = 10_000;

/// The alert an expectation is about.
pub(super) fn alert_of(what: &Expectation) -> Option<String> {
    match what {
        Expectation::Alert(alert) => Some(alert.name.clone()),
        Expectation::Notification(notification) => Some(notification.alert.clone()),
        _ => None,
    }
}

impl Floor {
    /// Starts the pollers.
    pub(super) fn watch(&mut self) {
        let evaluation = self.built.rendered.config.prometheus.evaluation_interval;
        let period = (evaluation / 2).clamp(Duration::from_millis(100), Duration::from_secs(1));
        let (to, mut from) = mpsc::unbounded_channel();
        let clock = self.sink().clock();
        let holding = period.max(Duration::from_millis(200));
        // a poll may be late on a busy machine: what counts as a hole is longer than the pause between two polls
        self.record.rhythm(holding.max(PATIENCE), KNOCKS.max(PATIENCE));
        let clients = &self.built.clients;
        tokio::spawn(observe::rules(clients.prometheus.clone(), period, clock, to.clone(), self.stop.clone()));
        let ruler = clients.ruler.clone().filter(|_| self.plan().log_rules == LogRules::Evaluated);
        if let (Some(ruler), Some(config)) = (ruler, &self.built.rendered.config.ruler) {
            let quickest = config.groups.iter().map(|group| config.interval_of(group)).min();
            let period = (quickest.unwrap_or(evaluation) / 2).clamp(Duration::from_millis(100), Duration::from_secs(1));
            tokio::spawn(observe::log_rules(ruler, period, clock, to.clone(), self.stop.clone()));
        }
        if let Some(alertmanager) = clients.alertmanager.clone() {
            tokio::spawn(observe::holdings(alertmanager, holding, clock, to.clone(), self.stop.clone()));
        }
        let receivers = self.plan().listeners();
        if !receivers.is_empty() {
            let inbox = Arc::clone(&self.built.inbox);
            tokio::spawn(observe::inboxes(inbox, receivers, KNOCKS, clock, to, self.stop.clone()));
        }
        let sender = self.sender.clone();
        tokio::spawn(async move {
            while let Some(seen) = from.recv().await {
                if sender.send(Input::Seen(seen)).is_err() {
                    return;
                }
            }
        });
    }

    pub(super) fn seen(&mut self, seen: Seen) {
        match seen {
            Seen::Rules { asked, groups } => {
                for (at, event) in self.record.rules(&groups, asked) {
                    self.drill.sink.tell_at(at, event);
                }
                self.reachability("prometheus", None);
            }
            Seen::LogRules { asked, groups } => {
                for (at, event) in self.record.log_rules(&groups, asked) {
                    self.drill.sink.tell_at(at, event);
                }
                self.reachability("loki", None);
            }
            Seen::Held { asked, alerts } => {
                self.record.held(&alerts, asked);
                self.reachability("alertmanager", None);
            }
            Seen::Knocked { asked, receiver, opened } => self.record.knocked(&receiver, opened, asked),
            Seen::Deliveries(deliveries) => self.record.deliveries(&deliveries),
            Seen::Silent { component, error } => self.reachability(component, Some(error.to_string())),
        }
    }

    pub(super) fn reachability(&mut self, component: &'static str, error: Option<String>) {
        let reachable = error.is_none();
        if self.reachable.insert(component, reachable).unwrap_or(true) != reachable {
            self.sink().tell(EventKind::ServerReachability {
                component: component.to_owned(),
                reachable,
                message: error.unwrap_or_default(),
            });
        }
    }

    /// Asks Prometheus what it has evaluated and missed by its own account.
    pub(super) async fn count(&mut self) {
        let at = self.sink().now();
        if let Ok(metrics) = self.built.clients.prometheus.own_metrics().await {
            self.record.counted(OwnCounters::of(&metrics), at);
        }
        if let Some(ruler) = self.built.clients.ruler.as_ref().filter(|_| self.plan().log_rules == LogRules::Evaluated)
        {
            let at = self.sink().now();
            if let Ok(counters) = ruler.own_counters().await {
                self.record.logs_counted(counters, at);
            }
        }
        if let Ok(runtime) = self.built.clients.prometheus.runtime_info().await
            && let Some(started) = runtime.started
        {
            self.record.started(started);
        }
    }

    /// Completes the alert history from what Prometheus stored.
    pub(super) async fn complete(&mut self) {
        self.count().await;
        let Some(begun) = self.times.load_started else { return };
        let until = self.sink().now();
        let prometheus = self.built.clients.prometheus.clone();
        let range = |metric: &str| format!("{metric}[{}ms]", until.since(begun).as_millis());
        let alerts = prometheus.range_raw(&range("ALERTS"), until).await;
        let for_state = prometheus.range_raw(&range("ALERTS_FOR_STATE"), until).await;
        if let (Ok(alerts), Ok(for_state)) = (alerts, for_state) {
            for (at, event) in self.record.series(&alerts.value, &for_state.value) {
                self.sink().tell_at(at, event);
            }
        }
        self.ask_truth(begun, until).await;
    }

    /// Asks Prometheus when the expressions of the alerts under judgement were true of its raw samples: an observer of its
    /// own, finer than the rules' evaluations.
    async fn ask_truth(&mut self, from: Stamp, until: Stamp) {
        let Ok(groups) = self.built.clients.prometheus.rules().await else { return };
        let wanted: BTreeSet<String> =
            self.plan().expectations.iter().filter_map(|step| alert_of(&step.what)).collect();
        for group in groups.value {
            let step = (group.interval / FINER).max(until.since(from) / MOST_POINTS).max(Duration::from_millis(10));
            for rule in group.rules.iter().filter(|rule| wanted.contains(&rule.name)) {
                let answer = self.built.clients.prometheus.query_range(&rule.query, from, until, step).await;
                let Ok(answer) = answer else { continue };
                let points = answer.value.into_iter().flat_map(|series| series.points).map(|point| point.at).collect();
                self.truth.insert(rule.name.clone(), Truth::new(step, points));
            }
        }
    }
}
