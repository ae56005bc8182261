//! What the loop hears of the watchers while a scenario runs, and what it asks them to complete it at the end.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{Floor, Input};
use crate::event::EventKind;
use crate::run::observe::{self, Seen};
use crate::telemetry::prometheus::OwnCounters;

impl Floor {
    /// Starts the pollers.
    pub(super) fn watch(&self) {
        let evaluation = self.built.rendered.config.prometheus.evaluation_interval;
        let period = (evaluation / 2).clamp(Duration::from_millis(100), Duration::from_secs(1));
        let (to, mut from) = mpsc::unbounded_channel();
        let clock = self.sink().clock();
        let clients = &self.built.clients;
        tokio::spawn(observe::rules(clients.prometheus.clone(), period, clock, to.clone(), self.stop.clone()));
        if let Some(alertmanager) = clients.alertmanager.clone() {
            let period = period.max(Duration::from_millis(200));
            tokio::spawn(observe::holdings(alertmanager, period, clock, to, self.stop.clone()));
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
            Seen::Held { asked, alerts } => {
                self.record.held(&alerts, asked);
                self.reachability("alertmanager", None);
            }
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
    }
}
