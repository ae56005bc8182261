//! The settings of each kind of fault, as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::scenario::duration::{LongerThanZero, Period};
use crate::scenario::quantity::{DataRate, Share, Size};
use crate::scenario::spanned::Spanned;
use crate::scenario::text::{Filled, InnerPath, LinkText};

/// A component's processes.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Process {
    /// A component of `stack.toml`, or `receiver:<name>`.
    pub target: Spanned<String>,
    /// Only this replica, counted from 1. Default: all.
    #[schemars(range(min = 1))]
    pub replica: Option<u32>,
}

/// Every replica in turn.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RollingRestart {
    /// A component of `stack.toml`.
    pub target: Spanned<String>,
    /// Scenario time between two replicas. Default 0s.
    pub pause_between: Option<Spanned<Period>>,
}

/// Another number of replicas.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scale {
    /// A component of `stack.toml`.
    pub target: Spanned<String>,
    /// How many.
    #[schemars(range(max = 100))]
    pub to: u32,
}

/// Slower network.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Latency {
    /// One link, `"<a> -> <b>"`.
    #[schemars(with = "Option<LinkText>")]
    pub on: Option<Spanned<String>>,
    /// All links of a component.
    pub target: Option<Spanned<String>>,
    /// Real time added.
    #[schemars(with = "LongerThanZero")]
    pub add: Period,
    /// Real time by which it varies. Default 0s.
    pub jitter: Option<Period>,
}

/// A share of packets is lost or damaged.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Damage {
    /// One link, `"<a> -> <b>"`.
    #[schemars(with = "Option<LinkText>")]
    pub on: Option<Spanned<String>>,
    /// All links of a component.
    pub target: Option<Spanned<String>>,
    /// Which share.
    pub share: Spanned<Share>,
}

/// Thinner network.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bandwidth {
    /// One link, `"<a> -> <b>"`.
    #[schemars(with = "Option<LinkText>")]
    pub on: Option<Spanned<String>>,
    /// All links of a component.
    pub target: Option<Spanned<String>>,
    /// What still passes.
    pub rate: DataRate,
}

/// Connections are reset.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Reset {
    /// One link, `"<a> -> <b>"`.
    #[schemars(with = "Option<LinkText>")]
    pub on: Option<Spanned<String>>,
    /// All links of a component.
    pub target: Option<Spanned<String>>,
    /// Which share of connections. Default: all.
    pub share: Option<Spanned<Share>>,
}

/// A link, or all links of a component.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Link {
    /// One link, `"<a> -> <b>"`.
    #[schemars(with = "Option<LinkText>")]
    pub on: Option<Spanned<String>>,
    /// All links of a component.
    pub target: Option<Spanned<String>>,
}

/// A name does not resolve.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Dns {
    /// The component that asks.
    pub target: Spanned<String>,
    /// The name.
    #[schemars(with = "Filled")]
    pub name: Spanned<String>,
}

/// A proxy answers instead of the server, or late.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpFault {
    /// The link, `"<a> -> <b>"`.
    #[schemars(with = "LinkText")]
    pub on: Spanned<String>,
    /// Answered with this status.
    #[schemars(range(min = 100, max = 599))]
    pub status: Option<u16>,
    /// Real time before the answer.
    pub delay: Option<Period>,
    /// Which share of requests. Default: all.
    pub share: Option<Spanned<Share>>,
    /// Only the first so many.
    #[schemars(range(min = 1))]
    pub first: Option<u32>,
}

/// Processor time is burnt or limited.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cpu {
    /// A component of `stack.toml`.
    pub target: Spanned<String>,
    /// So many cores are kept busy beside it.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub burn: Option<Spanned<f64>>,
    /// It gets so many cores.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub limit: Option<Spanned<f64>>,
}

/// Memory is filled.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Memory {
    /// A component of `stack.toml`.
    pub target: Spanned<String>,
    /// How much.
    pub size: Size,
}

/// No space left.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DiskFull {
    /// A component of `stack.toml`.
    pub target: Spanned<String>,
    /// Where, as the component sees it. Default: its data folder.
    pub path: Option<Spanned<String>>,
}

/// Few file descriptors.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FdLimit {
    /// A component of `stack.toml`.
    pub target: Spanned<String>,
    /// How many.
    #[schemars(range(min = 1))]
    pub limit: u32,
}

/// The service answers with errors.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Errors {
    /// A component with this switch. Default: the service.
    pub target: Option<Spanned<String>>,
    /// Which share of requests. Default: all.
    pub share: Option<Spanned<Share>>,
    /// With which status. Default 500.
    #[schemars(range(min = 400, max = 599))]
    pub status: Option<u16>,
    /// Only on this route.
    pub route: Option<Spanned<String>>,
}

/// The service answers late.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Slow {
    /// A component with this switch. Default: the service.
    pub target: Option<Spanned<String>>,
    /// Real time added.
    #[schemars(with = "LongerThanZero")]
    pub add: Period,
    /// Real time by which it varies. Default 0s.
    pub jitter: Option<Period>,
    /// Which share of requests. Default: all.
    pub share: Option<Spanned<Share>>,
    /// Only on this route.
    pub route: Option<Spanned<String>>,
}

/// The service's memory grows.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LeakMemory {
    /// A component with this switch. Default: the service.
    pub target: Option<Spanned<String>>,
    /// How fast.
    pub rate: DataRate,
}

/// The service does not give connections back.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LeakConnections {
    /// A component with this switch. Default: the service.
    pub target: Option<Spanned<String>>,
    /// Connections per real second.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub rate: Spanned<f64>,
}

/// The metrics endpoint is off.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StopMetrics {
    /// A component with this switch. Default: the service.
    pub target: Option<Spanned<String>>,
}

/// The metrics endpoint is slow.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SlowMetrics {
    /// A component with this switch. Default: the service.
    pub target: Option<Spanned<String>>,
    /// Real time added.
    #[schemars(with = "LongerThanZero")]
    pub add: Period,
}

/// The service logs far too much.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LogFlood {
    /// A component with this switch. Default: the service.
    pub target: Option<Spanned<String>>,
    /// Lines per real second.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub rate: Spanned<f64>,
}

/// Any other switch of `stack.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Switch {
    /// A component with this switch. Default: the service.
    pub target: Option<Spanned<String>>,
    /// The switch's name.
    #[schemars(with = "Filled")]
    pub name: Spanned<String>,
    /// What stands for its `{placeholders}`.
    #[serde(default)]
    pub values: BTreeMap<String, Value>,
}

/// More or less traffic.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LoadChange {
    /// The load's name.
    pub name: Spanned<String>,
    /// Times so much; 0 stops it.
    #[schemars(range(min = 0, max = 1000))]
    pub factor: Spanned<f64>,
}

/// Another configuration for the window: `set` or `replace`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConfigChange {
    /// The file, relative to the stack's folder.
    #[schemars(with = "InnerPath")]
    pub file: Spanned<String>,
    /// Values by dotted path.
    #[serde(default)]
    pub set: BTreeMap<String, Value>,
    /// Texts and what stands in their place; each must occur.
    #[serde(default)]
    pub replace: BTreeMap<String, String>,
}

/// A silence in Alertmanager.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SilencePlaced {
    /// Such as `alertname="InventoryDown"`.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub matchers: Spanned<Vec<String>>,
}

/// The routes that name a time interval are mute, whatever the clock says; before and afterwards they are not.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MuteTimePlaced {
    /// The name of an interval in `alertmanager.yml` that routes name under `mute_time_intervals` or
    /// `active_time_intervals`.
    #[schemars(with = "Filled")]
    pub interval: Spanned<String>,
}
