//! Faults as written.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::inject::{
    Bandwidth, ConfigChange, Cpu, Damage, DiskFull, Dns, Errors, FdLimit, HttpFault, Latency, LeakConnections,
    LeakMemory, Link, LoadChange, LogFlood, Memory, MuteTimePlaced, Process, Reset, RollingRestart, Scale,
    SilencePlaced, Slow, SlowMetrics, StopMetrics, Switch,
};
use crate::scenario::duration::{LongerThanZero, Period};
use crate::scenario::spanned::Spanned;
use crate::scenario::text::{Name, check_link};
use crate::source::Location;

/// Something that is broken on purpose, and undone.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fault {
    /// Kebab-case and unique; expectations name it as their window.
    #[schemars(with = "Name")]
    pub id: Spanned<String>,
    /// From the end of the baseline, in scenario time. Default 0s.
    pub at: Option<Spanned<Period>>,
    /// How long it lasts, in scenario time; for kill and stop the time until it is started again. Only `restart` and
    /// `rolling-restart` may leave it out.
    #[schemars(with = "Option<LongerThanZero>")]
    pub r#for: Option<Spanned<Period>>,
    /// What is done.
    pub inject: Spanned<Injection>,
    /// Where its table begins.
    #[serde(skip)]
    pub location: Location,
}

impl Fault {
    /// From the end of the baseline to its start.
    #[must_use]
    pub fn starts(&self) -> Duration {
        self.at.as_ref().map_or(Duration::ZERO, |at| at.0)
    }

    /// How long it lasts; zero for a restart that says nothing.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        self.r#for.as_ref().map_or(Duration::ZERO, |lasts| lasts.0)
    }

    /// From the end of the baseline to its planned end.
    #[must_use]
    pub fn ends(&self) -> Duration {
        self.starts().saturating_add(self.lasts())
    }
}

/// What is done; one kind with its settings.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Injection {
    /// SIGKILL, and started again at the end.
    Kill(Process),
    /// SIGTERM, and started again at the end.
    Stop(Process),
    /// Stopped and started at once.
    Restart(Process),
    /// Frozen: it keeps its sockets and answers nothing.
    Pause(Process),
    /// Out of memory: killed by the kernel's limit.
    Oom(Process),
    /// Every replica in turn.
    RollingRestart(RollingRestart),
    /// Another number of replicas.
    Scale(Scale),
    /// Slower network.
    Latency(Latency),
    /// Packets are lost.
    Loss(Damage),
    /// Packets are damaged.
    Corrupt(Damage),
    /// Thinner network.
    Bandwidth(Bandwidth),
    /// Connections are reset.
    Reset(Reset),
    /// Packets vanish without an answer.
    Blackhole(Link),
    /// No connection in either direction.
    Partition(Link),
    /// A name does not resolve.
    Dns(Dns),
    /// A proxy answers instead of the server, or late.
    Http(HttpFault),
    /// Processor time is burnt or limited.
    Cpu(Cpu),
    /// Memory is filled.
    Memory(Memory),
    /// No space left.
    DiskFull(DiskFull),
    /// Few file descriptors.
    FdLimit(FdLimit),
    /// The service answers with errors (its own switch).
    Errors(Errors),
    /// The service answers late (its own switch).
    Slow(Slow),
    /// The service's memory grows (its own switch).
    LeakMemory(LeakMemory),
    /// The service does not give connections back (its own switch).
    LeakConnections(LeakConnections),
    /// The metrics endpoint is off (its own switch).
    StopMetrics(StopMetrics),
    /// The metrics endpoint is slow (its own switch).
    SlowMetrics(SlowMetrics),
    /// The service logs far too much (its own switch).
    LogFlood(LogFlood),
    /// Any other switch of `stack.toml`.
    Switch(Switch),
    /// More or less traffic.
    Load(LoadChange),
    /// Another configuration, reloaded, undone and verified.
    Config(ConfigChange),
    /// A silence in Alertmanager.
    Silence(SilencePlaced),
    /// The routes that name a time interval are mute, whatever the clock says; before and afterwards they are not.
    MuteTime(MuteTimePlaced),
}

/// A call of a component's own fault switch, with the values for its placeholders.
#[derive(Clone, Debug, PartialEq)]
pub struct SwitchCall<'a> {
    /// The component; none is the service.
    pub target: Option<&'a Spanned<String>>,
    /// The switch's name in `stack.toml`.
    pub name: &'a str,
    /// What stands for its `{placeholders}`; durations in milliseconds, rates per second, sizes in bytes.
    pub values: BTreeMap<String, Value>,
}

/// Where a network fault sits: on one link, or on all links of a component.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkPlace<'a> {
    /// The link, `"<a> -> <b>"`.
    pub on: Option<&'a Spanned<String>>,
    /// The component.
    pub target: Option<&'a Spanned<String>>,
}

impl Injection {
    /// The kind as it is written after `inject.`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::Stop(_) => "stop",
            Self::Restart(_) => "restart",
            Self::Pause(_) => "pause",
            Self::Oom(_) => "oom",
            Self::RollingRestart(_) => "rolling-restart",
            Self::Scale(_) => "scale",
            Self::Latency(_) => "latency",
            Self::Loss(_) => "loss",
            Self::Corrupt(_) => "corrupt",
            Self::Bandwidth(_) => "bandwidth",
            Self::Reset(_) => "reset",
            Self::Blackhole(_) => "blackhole",
            Self::Partition(_) => "partition",
            Self::Dns(_) => "dns",
            Self::Http(_) => "http",
            Self::Cpu(_) => "cpu",
            Self::Memory(_) => "memory",
            Self::DiskFull(_) => "disk-full",
            Self::FdLimit(_) => "fd-limit",
            Self::Errors(_) => "errors",
            Self::Slow(_) => "slow",
            Self::LeakMemory(_) => "leak-memory",
            Self::LeakConnections(_) => "leak-connections",
            Self::StopMetrics(_) => "stop-metrics",
            Self::SlowMetrics(_) => "slow-metrics",
            Self::LogFlood(_) => "log-flood",
            Self::Switch(_) => "switch",
            Self::Load(_) => "load",
            Self::Config(_) => "config",
            Self::Silence(_) => "silence",
            Self::MuteTime(_) => "mute-time",
        }
    }

    /// The component (or `receiver:<name>`) it names as its target.
    #[must_use]
    pub fn target(&self) -> Option<&Spanned<String>> {
        match self {
            Self::Kill(f) | Self::Stop(f) | Self::Restart(f) | Self::Pause(f) | Self::Oom(f) => Some(&f.target),
            Self::RollingRestart(f) => Some(&f.target),
            Self::Scale(f) => Some(&f.target),
            Self::Dns(f) => Some(&f.target),
            Self::Cpu(f) => Some(&f.target),
            Self::Memory(f) => Some(&f.target),
            Self::DiskFull(f) => Some(&f.target),
            Self::FdLimit(f) => Some(&f.target),
            Self::Http(_) | Self::Load(_) | Self::Config(_) | Self::Silence(_) | Self::MuteTime(_) => None,
            _ => self.network().map_or_else(|| self.switch().and_then(|call| call.target), |place| place.target),
        }
    }

    /// Where a network fault sits.
    #[must_use]
    pub fn network(&self) -> Option<NetworkPlace<'_>> {
        let (on, target) = match self {
            Self::Latency(f) => (&f.on, &f.target),
            Self::Loss(f) | Self::Corrupt(f) => (&f.on, &f.target),
            Self::Bandwidth(f) => (&f.on, &f.target),
            Self::Reset(f) => (&f.on, &f.target),
            Self::Blackhole(f) | Self::Partition(f) => (&f.on, &f.target),
            _ => return None,
        };
        Some(NetworkPlace { on: on.as_ref(), target: target.as_ref() })
    }

    /// The link it names with `on`.
    #[must_use]
    pub fn on(&self) -> Option<&Spanned<String>> {
        match self {
            Self::Http(f) => Some(&f.on),
            _ => self.network().and_then(|place| place.on),
        }
    }

    /// The two ends of the link it names with `on`.
    #[must_use]
    pub fn ends(&self) -> Option<(String, String)> {
        self.on().and_then(|on| check_link(on).ok())
    }

    /// The switch it calls, if it is one of the service's own.
    #[must_use]
    pub fn switch(&self) -> Option<SwitchCall<'_>> {
        let (target, values) = match self {
            Self::Errors(f) => (&f.target, errors_values(f)),
            Self::Slow(f) => (&f.target, slow_values(f)),
            Self::LeakMemory(f) => (&f.target, vec![("rate", json!(f.rate.0))]),
            Self::LeakConnections(f) => (&f.target, vec![("rate", json!(f.rate.get()))]),
            Self::StopMetrics(f) => (&f.target, Vec::new()),
            Self::SlowMetrics(f) => (&f.target, vec![("add", millis(f.add.0))]),
            Self::LogFlood(f) => (&f.target, vec![("rate", json!(f.rate.get()))]),
            Self::Switch(f) => {
                return Some(SwitchCall { target: f.target.as_ref(), name: &f.name, values: f.values.clone() });
            }
            _ => return None,
        };
        let values = values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Some(SwitchCall { target: target.as_ref(), name: self.kind(), values })
    }
}

/// Milliseconds; a whole number where it is one, because not every switch reads fractions.
fn millis(duration: Duration) -> Value {
    match u64::try_from(duration.as_millis()) {
        Ok(whole) if Duration::from_millis(whole) == duration => json!(whole),
        _ => json!(duration.as_secs_f64() * 1e3),
    }
}

fn errors_values(fault: &Errors) -> Vec<(&'static str, Value)> {
    let mut values = vec![
        ("share", json!(fault.share.as_ref().map_or(1.0, |share| share.0))),
        ("status", json!(fault.status.unwrap_or(500))),
    ];
    values.extend(fault.route.as_ref().map(|route| ("route", json!(route.get()))));
    values
}

fn slow_values(fault: &Slow) -> Vec<(&'static str, Value)> {
    let mut values = vec![
        ("add", millis(fault.add.0)),
        ("jitter", millis(fault.jitter.unwrap_or_default().0)),
        ("share", json!(fault.share.as_ref().map_or(1.0, |share| share.0))),
    ];
    values.extend(fault.route.as_ref().map(|route| ("route", json!(route.get()))));
    values
}
