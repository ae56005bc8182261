//! A scenario as written: the whole language, with positions. Fed by [`super::load`], read by lint and by `plan`.
//!
//! The doc comments of this module are the descriptions in `schemas/scenario.schema.json`, and the schema is what the
//! reader checks a file against: a key exists, has a type and a unit because a field here says so.

mod expectation;
mod fault;
mod generator;
mod inject;
mod load;
mod signal;
mod that;

pub use expectation::{Expectation, FIXED_WINDOWS, Mode, That, Window};
pub use fault::{Fault, Injection, NetworkPlace, SwitchCall};
pub use generator::{Draw, Generator, Population};
pub use inject::{
    Bandwidth, ConfigChange, Cpu, Damage, DiskFull, Dns, Errors, FdLimit, HttpFault, Latency, LeakConnections,
    LeakMemory, Link, LoadChange, LogFlood, Memory, MuteTimePlaced, Process, Reset, RollingRestart, Scale,
    SilencePlaced, Slow, SlowMetrics, StopMetrics, Switch,
};
pub use load::{Arrivals, Closed, Expected, Http, Journey, Load, Method, Open, Pace, Request, Stage};
pub use signal::{Agreement, Counted, Dashboard, MetricType, Observer, Series, Shows};
pub use that::{
    AlertExpectation, Heartbeat, Inhibition, LoadExpectation, LogExpectation, Metric, MuteTimeExpectation,
    NotificationExpectation, SilenceExpectation, Target, TargetHealth, Texts, WantedState,
};

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::default;
use super::duration::{LongerThanZero, Period};
use super::spanned::Spanned;
use super::text::Name;

/// A drill: what runs, what is broken when, and what must then be seen.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// Kebab-case and unique; it names reports and run folders.
    #[schemars(with = "Name")]
    pub name: Spanned<String>,
    /// One or two sentences for people: what happens, and what must be seen.
    #[serde(default)]
    pub summary: String,
    /// For choosing scenarios; `realtime` keeps one out of a run without names.
    #[serde(default)]
    #[schemars(with = "Vec<Name>")]
    pub tags: Vec<Spanned<String>>,
    /// What runs, and how fast time goes.
    #[serde(default)]
    pub stack: Stack,
    /// The steady state before and the time after the faults.
    #[serde(default)]
    pub timeline: Timeline,
    /// The traffic.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub load: Vec<Load>,
    /// What is broken, when, and for how long.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub fault: Vec<Fault>,
    /// What must be seen; a scenario without any proves nothing.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub expect: Vec<Expectation>,
    /// What may or must fire besides the alerts that are expected.
    #[serde(default)]
    pub alerts: Alerts,
}

/// What runs, and how fast time goes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Stack {
    /// The stack's description, relative to the scenario. Default: the nearest `stack/stack.toml`.
    #[schemars(with = "Option<String>")]
    pub file: Option<Spanned<String>>,
    /// Production seconds per real second. Default 60; `--time-scale` overrides; 1 is real production time.
    #[schemars(range(min = 1, max = 3600))]
    pub time_scale: Option<Spanned<f64>>,
    /// Components that must be real here; else the scenario is skipped, with the reason.
    #[serde(default)]
    pub requires: Vec<Spanned<String>>,
}

/// The steady state before and the time after the faults.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Timeline {
    /// The steady state before the first fault. Default 10m.
    #[schemars(with = "Option<LongerThanZero>")]
    pub baseline: Option<Spanned<Period>>,
    /// The time after the last fault is gone. Default 10m, or 0s in a scenario without faults.
    pub recovery: Option<Spanned<Period>>,
}

/// What may or must fire besides the alerts that are expected; any other alert fails the run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Alerts {
    /// May fire.
    #[serde(default)]
    pub allowed: Vec<Spanned<String>>,
    /// Must be firing all the time.
    #[serde(default)]
    pub always: Vec<Spanned<String>>,
}

impl Scenario {
    /// Production seconds per real second, as written or by default.
    #[must_use]
    pub fn time_scale(&self) -> f64 {
        self.stack.time_scale.as_ref().map_or(default::TIME_SCALE, |scale| *scale.get())
    }

    /// Length of the baseline in scenario time, as written or by default.
    #[must_use]
    pub fn baseline(&self) -> Duration {
        self.timeline.baseline.as_ref().map_or(default::BASELINE, |length| length.0)
    }

    /// Length of the recovery in scenario time, as written or by default.
    #[must_use]
    pub fn recovery(&self) -> Duration {
        let unwritten = if self.fault.is_empty() { Duration::ZERO } else { default::RECOVERY };
        self.timeline.recovery.as_ref().map_or(unwritten, |length| length.0)
    }

    /// From the end of the baseline to the planned end of the last fault; zero without faults.
    #[must_use]
    pub fn drill(&self) -> Duration {
        self.fault.iter().map(Fault::ends).max().unwrap_or_default()
    }

    /// The fault with this id.
    #[must_use]
    pub fn fault(&self, id: &str) -> Option<&Fault> {
        self.fault.iter().find(|fault| fault.id.get() == id)
    }
}
