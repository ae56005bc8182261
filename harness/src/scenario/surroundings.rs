//! What a scenario refers to: the stack, the rules, the receivers. Filled by `plan` from `stack.toml` and the files it
//! names, read by `lint`. Whatever is `None` is not known, and then nothing that needs it is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// Everything around a scenario that its names must exist in.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The folder that every file of the drill must lie in; `stack.file` may not lead out of it.
    pub root: Option<PathBuf>,
    /// The component under drill: the target of switches that name none.
    pub service: Option<String>,
    /// The components of `stack.toml` by name.
    pub components: Option<BTreeMap<String, Component>>,
    /// What talks to what.
    pub links: Option<Vec<Link>>,
    /// The names of `[seed.<name>]`.
    pub seeds: Option<BTreeSet<String>>,
    /// The alerting rules by name. All rule files of the stack's folder, also those that the Prometheus configuration does
    /// not load: that is for the run to find (`RULE_NOT_LOADED`).
    pub alerts: Option<BTreeMap<String, Vec<AlertRule>>>,
    /// The receivers of the Alertmanager configuration.
    pub receivers: Option<BTreeSet<String>>,
    /// The time intervals that routes of the Alertmanager configuration name.
    pub intervals: Option<BTreeSet<String>>,
    /// The jobs of the Prometheus configuration.
    pub jobs: Option<BTreeSet<String>>,
    /// The titles of the panels by the uid of their dashboard. All dashboards of the stack's folder, also those that no
    /// provider loads: that is for the run to find (`DASHBOARD_MISSING`).
    pub dashboards: Option<BTreeMap<String, BTreeSet<String>>>,
    /// What requests can be told apart by in `[signals]`, such as `route`, `method`, `status`.
    pub dimensions: Option<BTreeSet<String>>,
    /// What the configuration makes of each alert. Alerts that are not in it are not compared with anything.
    pub bounds: BTreeMap<String, AlertBounds>,
    /// Parses LogQL; an error is the byte offset in the query and a message.
    pub logql: Option<LogQlParser>,
}

/// Parses LogQL; an error is the byte offset in the query and a message.
pub type LogQlParser = fn(&str) -> Result<(), (usize, String)>;

/// A component of `stack.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Component {
    /// The names of its ports.
    pub ports: BTreeSet<String>,
    /// The names of its fault switches.
    pub switches: BTreeSet<String>,
    /// How many replicas run.
    pub replicas: u32,
}

/// A `[[link]]` of `stack.toml`, as component names without ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Who connects.
    pub from: String,
    /// To whom.
    pub to: String,
}

/// An alerting rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertRule {
    /// The labels it sets; values with `{{` are templates.
    pub labels: BTreeMap<String, String>,
    /// Its rule file.
    pub file: String,
}

/// What the configuration makes of an alert, in scenario (production) time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertBounds {
    /// From the injection to firing.
    pub fires: Option<Between>,
    /// From the injection to the message in the inbox.
    pub notified: Option<Between>,
    /// From the fault gone to resolved.
    pub resolves: Option<Between>,
    /// By receiver: how often Alertmanager tells it again while nothing changes.
    pub repeats: BTreeMap<String, Duration>,
    /// The shortest fault that must make it fire.
    pub shortest_fault: Option<Duration>,
}

/// A floor and a ceiling with the sum they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Between {
    /// Not earlier.
    pub floor: Duration,
    /// Not later.
    pub ceiling: Duration,
    /// The ceiling's sum in words, such as `scrape 15s + evaluation 15s + for 5m`.
    pub arithmetic: String,
}
