//! The switches that work in the background: each runs until it is stopped, and gives back what it took.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::settings::{CrowdServer, LeakConnections, LeakMemory, LogFlood};
use super::{Bites, Kind};
use crate::store::Store;
use crate::telemetry::logs::{Level, Logs};

/// How often memory and log lines are added.
const TICK: Duration = Duration::from_millis(100);
const TICKS_A_SECOND: u64 = 10;

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
    interval
}

/// Allocates and touches memory; every tick that adds some is a bite.
pub(super) async fn memory(settings: LeakMemory, bites: Arc<Bites>, stop: CancellationToken) {
    let chunk = usize::try_from((settings.rate.0 / TICKS_A_SECOND).max(1)).unwrap_or(usize::MAX);
    let limit = usize::try_from(settings.limit.0).unwrap_or(usize::MAX);
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut size = 0;
    let mut ticks = every(TICK);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if size + chunk <= limit {
            kept.push(vec![0xA5; chunk]);
            size += chunk;
            bites.add(Kind::LeakMemory);
        }
    }
}

/// Takes connections until there are none left; every connection taken is a bite.
pub(super) async fn connections(
    settings: LeakConnections,
    store: Arc<Store>,
    bites: Arc<Bites>,
    stop: CancellationToken,
) {
    let mut kept = Vec::new();
    let mut ticks = every(Duration::from_secs(1) / u32::try_from(settings.rate.0).unwrap_or(u32::MAX));
    let leaking = async {
        loop {
            ticks.tick().await;
            if let Some(connection) = store.leak().await {
                kept.push(connection);
                bites.add(Kind::LeakConnections);
            }
        }
    };
    stop.run_until_cancelled(leaking).await;
}

/// Opens connections beside the pool, side by side; that all of them are there is the bite.
pub(super) async fn crowd(settings: CrowdServer, store: Arc<Store>, bites: Arc<Bites>, stop: CancellationToken) {
    let crowding = async {
        let opening = (0..settings.connections.0).map(|_| store.leak_beside_pool());
        let opened = futures_util::future::join_all(opening).await;
        if opened.iter().all(Option::is_some) {
            bites.add(Kind::CrowdServer);
        }
        std::future::pending::<()>().await;
        drop(opened);
    };
    stop.run_until_cancelled(crowding).await;
}

/// Logs lines; every line is a bite.
pub(super) async fn log(settings: LogFlood, logs: Logs, bites: Arc<Bites>, stop: CancellationToken) {
    let mut ticks = every(TICK);
    let (mut owed, mut number) = (0, 0_u64);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        owed += settings.rate.0;
        while owed >= TICKS_A_SECOND {
            owed -= TICKS_A_SECOND;
            number += 1;
            logs.event(Level::Info, "log_flood", "a line without meaning", &[("number", &number.to_string())]);
            bites.add(Kind::LogFlood);
        }
    }
}
