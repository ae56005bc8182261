//! The fault switches: ways to break this process from outside while a drill watches. `admin` turns them (only with
//! `INVENTORY_FAULTS=enabled`), `http` and `admin` feel them; each counts how often it has bitten, so that a drill can prove
//! that its fault is there and that it is gone.

mod leak;
pub mod settings;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::endpoint::{self, UNMATCHED};
use crate::store::Store;
use crate::telemetry::logs::{Level, Logs};
use settings::Switches;

/// A switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Requests are answered with an error.
    Errors,
    /// Requests wait.
    Slow,
    /// Requests panic.
    Panic,
    /// Memory grows.
    LeakMemory,
    /// Database connections are not given back.
    LeakConnections,
    /// Connections are opened beside the pool.
    CrowdServer,
    /// `/metrics` answers 503.
    StopMetrics,
    /// `/metrics` waits.
    SlowMetrics,
    /// Lines without meaning are logged.
    LogFlood,
}

impl Kind {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 9] = [
        Self::Errors,
        Self::Slow,
        Self::Panic,
        Self::LeakMemory,
        Self::LeakConnections,
        Self::CrowdServer,
        Self::StopMetrics,
        Self::SlowMetrics,
        Self::LogFlood,
    ];

    /// Its key in `/faults`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Slow => "slow",
            Self::Panic => "panic",
            Self::LeakMemory => "leak-memory",
            Self::LeakConnections => "leak-connections",
            Self::CrowdServer => "crowd-server",
            Self::StopMetrics => "stop-metrics",
            Self::SlowMetrics => "slow-metrics",
            Self::LogFlood => "log-flood",
        }
    }

    /// Reads a key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// How often each switch has bitten since the start.
#[derive(Debug, Default)]
pub(crate) struct Bites([AtomicU64; Kind::ALL.len()]);

impl Bites {
    pub(crate) fn add(&self, kind: Kind) {
        self.0[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self, kind: Kind) -> u64 {
        self.0[kind as usize].load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
struct Active {
    switches: Switches,
    leak_memory: Option<CancellationToken>,
    leak_connections: Option<CancellationToken>,
    crowd_server: Option<CancellationToken>,
    log_flood: Option<CancellationToken>,
}

/// The switches and what they do.
#[derive(Debug)]
pub struct Faults {
    any: AtomicBool,
    active: RwLock<Active>,
    bites: Arc<Bites>,
    store: Arc<Store>,
    logs: Logs,
}

impl Faults {
    /// All switches off.
    #[must_use]
    pub fn new(store: Arc<Store>, logs: Logs) -> Self {
        Self { any: AtomicBool::new(false), active: RwLock::default(), bites: Arc::default(), store, logs }
    }

    /// Turns on, or replaces, what `switches` names; the others stay as they are.
    ///
    /// # Errors
    /// When a switch is meant for a route that does not exist, and would never bite.
    pub fn turn_on(&self, switches: Switches) -> Result<(), UnknownRoute> {
        check_route(switches.errors.as_ref().and_then(|errors| errors.route.as_deref()))?;
        check_route(switches.slow.as_ref().and_then(|slow| slow.route.as_deref()))?;
        check_route(switches.panic.as_ref().and_then(|panic| panic.route.as_deref()))?;
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        let Switches { errors, slow, panic, stop_metrics, slow_metrics, .. } = switches.clone();
        let old = &mut active.switches;
        replace(&mut old.errors, errors);
        replace(&mut old.slow, slow);
        replace(&mut old.panic, panic);
        replace(&mut old.stop_metrics, stop_metrics);
        replace(&mut old.slow_metrics, slow_metrics);
        self.start(&mut active, switches);
        self.changed(&active);
        Ok(())
    }

    /// Starts anew what works in the background.
    fn start(&self, active: &mut Active, switches: Switches) {
        let Switches { leak_memory, leak_connections, crowd_server, log_flood, .. } = switches;
        if let Some(settings) = leak_memory {
            let bites = Arc::clone(&self.bites);
            restart(&mut active.leak_memory, |stop| leak::memory(settings.clone(), bites, stop));
            active.switches.leak_memory = Some(settings);
        }
        if let Some(settings) = leak_connections {
            let (bites, store) = (Arc::clone(&self.bites), Arc::clone(&self.store));
            restart(&mut active.leak_connections, |stop| leak::connections(settings.clone(), store, bites, stop));
            active.switches.leak_connections = Some(settings);
        }
        if let Some(settings) = crowd_server {
            let (bites, store) = (Arc::clone(&self.bites), Arc::clone(&self.store));
            restart(&mut active.crowd_server, |stop| leak::crowd(settings.clone(), store, bites, stop));
            active.switches.crowd_server = Some(settings);
        }
        if let Some(settings) = log_flood {
            let (bites, logs) = (Arc::clone(&self.bites), self.logs.clone());
            restart(&mut active.log_flood, |stop| leak::log(settings.clone(), logs, bites, stop));
            active.switches.log_flood = Some(settings);
        }
    }

    /// Turns one switch off, or all of them.
    pub fn turn_off(&self, kind: Option<Kind>) {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        if active.switches == Switches::default() {
            return;
        }
        for kind in Kind::ALL.into_iter().filter(|each| kind.is_none_or(|kind| kind == *each)) {
            match kind {
                Kind::Errors => active.switches.errors = None,
                Kind::Slow => active.switches.slow = None,
                Kind::Panic => active.switches.panic = None,
                Kind::StopMetrics => active.switches.stop_metrics = None,
                Kind::SlowMetrics => active.switches.slow_metrics = None,
                Kind::LeakMemory => {
                    active.switches.leak_memory = None;
                    stop(&mut active.leak_memory);
                }
                Kind::LeakConnections => {
                    active.switches.leak_connections = None;
                    stop(&mut active.leak_connections);
                }
                Kind::CrowdServer => {
                    active.switches.crowd_server = None;
                    stop(&mut active.crowd_server);
                }
                Kind::LogFlood => {
                    active.switches.log_flood = None;
                    stop(&mut active.log_flood);
                }
            }
        }
        self.changed(&active);
    }

    /// What is on, and how often each switch has bitten since the start.
    #[must_use]
    pub fn show(&self) -> Value {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        let bitten: serde_json::Map<String, Value> =
            Kind::ALL.into_iter().map(|kind| (kind.as_str().to_owned(), json!(self.bites.get(kind)))).collect();
        json!({ "active": active.switches, "bitten": bitten })
    }

    /// How long a request on `route` must wait, if it must.
    #[must_use]
    pub fn delay(&self, route: &str) -> Option<Duration> {
        let slow = self.look(|switches| switches.slow.clone())?;
        let bites = slow.route.as_deref().is_none_or(|only| only == route) && slow.share.hits();
        bites.then(|| self.bite(Kind::Slow, slow.add.0))
    }

    /// What a request on `route` must be answered with, if it must.
    #[must_use]
    pub fn error(&self, route: &str) -> Option<u16> {
        let errors = self.look(|switches| switches.errors.clone())?;
        let bites = errors.route.as_deref().is_none_or(|only| only == route) && errors.share.hits();
        bites.then(|| self.bite(Kind::Errors, errors.status.0))
    }

    /// Panics if a request on `route` must.
    ///
    /// # Panics
    /// When the switch is on and bites.
    pub fn panic(&self, route: &str) {
        let Some(panic) = self.look(|switches| switches.panic.clone()) else { return };
        if panic.route.as_deref().is_none_or(|only| only == route) && panic.share.hits() {
            self.bites.add(Kind::Panic);
            panic!("a fault switch made this request panic");
        }
    }

    /// Whether `/metrics` must refuse.
    #[must_use]
    pub fn metrics_stopped(&self) -> bool {
        let stopped = self.look(|switches| switches.stop_metrics.clone()).is_some();
        stopped && self.bite(Kind::StopMetrics, true)
    }

    /// How long `/metrics` must wait, if it must.
    #[must_use]
    pub fn metrics_delay(&self) -> Option<Duration> {
        let slow = self.look(|switches| switches.slow_metrics.clone())?;
        Some(self.bite(Kind::SlowMetrics, slow.add.0))
    }

    fn look<T>(&self, read: impl FnOnce(&Switches) -> Option<T>) -> Option<T> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        read(&self.active.read().unwrap_or_else(PoisonError::into_inner).switches)
    }

    fn bite<T>(&self, kind: Kind, effect: T) -> T {
        self.bites.add(kind);
        effect
    }

    fn changed(&self, active: &Active) {
        self.any.store(active.switches != Switches::default(), Ordering::Relaxed);
        let text = serde_json::to_string(&active.switches).unwrap_or_default();
        self.logs.event(Level::Warn, "faults_changed", "fault switches were turned", &[("active", &text)]);
    }
}

/// A route template that no endpoint has.
#[derive(Debug, thiserror::Error)]
#[error("there is no route `{0}`; a route is written as its template, such as /api/items/{{sku}}")]
pub struct UnknownRoute(String);

fn check_route(route: Option<&str>) -> Result<(), UnknownRoute> {
    match route {
        Some(route) if endpoint::route_label(Some(route)) == UNMATCHED && route != UNMATCHED => {
            Err(UnknownRoute(route.to_owned()))
        }
        _ => Ok(()),
    }
}

fn replace<T>(old: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *old = new;
    }
}

fn stop(running: &mut Option<CancellationToken>) {
    if let Some(token) = running.take() {
        token.cancel();
    }
}

fn restart<F>(running: &mut Option<CancellationToken>, task: impl FnOnce(CancellationToken) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    stop(running);
    let token = CancellationToken::new();
    tokio::spawn(task(token.clone()));
    *running = Some(token);
}
