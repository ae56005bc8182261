//! Pollers: each asks one server again and again and sends what it said. They decide nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Stamp};
use crate::inbox::Inbox;
use crate::telemetry::Error;
use crate::telemetry::alertmanager::{AlertFilter, Alertmanager, Deliveries, ReceivedAlert, deliveries};
use crate::telemetry::loki::Ruler;
use crate::telemetry::prometheus::{Group, Prometheus};

/// What a poll brought.
#[derive(Debug)]
pub enum Seen {
    /// The rules and their alerts.
    Rules {
        /// When the question was sent.
        asked: Stamp,
        /// The groups.
        groups: Vec<Group>,
    },
    /// The rules of the log store's ruler and their alerts.
    LogRules {
        /// When the question was sent.
        asked: Stamp,
        /// The groups.
        groups: Vec<Group>,
    },
    /// What Alertmanager holds.
    Held {
        /// When the question was sent.
        asked: Stamp,
        /// The alerts.
        alerts: Vec<ReceivedAlert>,
    },
    /// Whether a receiver's inbox opened.
    Knocked {
        /// When it was knocked at.
        asked: Stamp,
        /// The receiver.
        receiver: String,
        /// Why it did not open.
        opened: Result<(), String>,
    },
    /// Alertmanager's own counts.
    Deliveries(std::collections::BTreeMap<String, Deliveries>),
    /// A server did not answer.
    Silent {
        /// The component.
        component: &'static str,
        /// Why.
        error: Error,
    },
}

/// Polls the ruler of the log store every `period` until cancelled.
pub async fn log_rules(
    server: Ruler,
    period: Duration,
    clock: Clock,
    to: UnboundedSender<Seen>,
    stop: CancellationToken,
) {
    let ask = || async {
        let asked = clock.now();
        match server.rules().await {
            Ok(answer) => Seen::LogRules { asked, groups: answer.value },
            Err(error) => Seen::Silent { component: "loki", error },
        }
    };
    polled(ask, period, to, stop).await;
}

/// Polls the rules API every `period` until cancelled.
pub async fn rules(
    server: Prometheus,
    period: Duration,
    clock: Clock,
    to: UnboundedSender<Seen>,
    stop: CancellationToken,
) {
    let ask = || async {
        let asked = clock.now();
        match server.rules().await {
            Ok(answer) => Seen::Rules { asked, groups: answer.value },
            Err(error) => Seen::Silent { component: "prometheus", error },
        }
    };
    polled(ask, period, to, stop).await;
}

/// Asks every `period` until cancelled or nobody listens.
async fn polled<Ask, Answer>(ask: Ask, period: Duration, to: UnboundedSender<Seen>, stop: CancellationToken)
where
    Ask: Fn() -> Answer,
    Answer: Future<Output = Seen>,
{
    let mut ticks = ticks(period);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if to.send(ask().await).is_err() {
            return;
        }
    }
}

/// Polls Alertmanager's alerts every `period`, and its own counters every eighth time, until cancelled.
pub async fn holdings(
    server: Alertmanager,
    period: Duration,
    clock: Clock,
    to: UnboundedSender<Seen>,
    stop: CancellationToken,
) {
    let mut ticks = ticks(period);
    for round in 0_u64.. {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let asked = clock.now();
        let seen = match server.alerts(&AlertFilter::everything()).await {
            Ok(alerts) => Seen::Held { asked, alerts },
            Err(error) => Seen::Silent { component: "alertmanager", error },
        };
        if to.send(seen).is_err() {
            return;
        }
        if round % 8 == 0
            && let Ok(metrics) = server.own_metrics().await
            && to.send(Seen::Deliveries(deliveries(&metrics))).is_err()
        {
            return;
        }
    }
}

/// Knocks at the inboxes of these receivers every `period` until cancelled.
pub async fn inboxes(
    inbox: Arc<Inbox>,
    receivers: Vec<String>,
    period: Duration,
    clock: Clock,
    to: UnboundedSender<Seen>,
    stop: CancellationToken,
) {
    let mut ticks = ticks(period);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        for receiver in &receivers {
            let asked = clock.now();
            let opened = inbox.opens(receiver).await;
            if to.send(Seen::Knocked { asked, receiver: receiver.clone(), opened }).is_err() {
                return;
            }
        }
    }
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval_at(Instant::now(), period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}
