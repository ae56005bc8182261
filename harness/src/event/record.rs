//! What events carry: plans, load, notifications, as far as a report shows them. Made by `run`, read wherever events are.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::source::Location;

/// What will be done in a scenario, as far as a report shows it. Durations are real time (already divided by the scale).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ScenarioPlan {
    /// Kebab-case name.
    pub name: String,
    /// What it is about.
    pub summary: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The scenario file, as given.
    pub file: String,
    /// Production seconds per real second.
    pub time_scale: f64,
    /// Length of the baseline.
    pub baseline: Duration,
    /// Length of the recovery.
    pub recovery: Duration,
    /// The faults.
    pub faults: Vec<FaultPlan>,
    /// The expectations in the order they are written.
    pub expectations: Vec<ExpectationPlan>,
    /// The loads, name and description.
    pub loads: BTreeMap<String, String>,
}

/// A fault as planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FaultPlan {
    /// Its id.
    pub id: String,
    /// What it does, for example `pause postgres`.
    pub title: String,
    /// From the end of the baseline.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}

/// An expectation as planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExpectationPlan {
    /// Unique in the scenario, for example `alert-inventory-database-errors-1`.
    pub id: String,
    /// `alert`, `metric`, `log` …
    pub kind: String,
    /// One line for tables, for example `alert InventoryDatabaseErrors fires within 7m`.
    pub title: String,
    /// The window it is judged in, as written.
    pub during: String,
    /// Where it stands in the author's file.
    pub location: Location,
    /// The author's own lines.
    pub source: String,
}

/// One second of one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LoadSample {
    /// The load's name.
    pub load: String,
    /// Start of the second.
    pub second: Stamp,
    /// Requests whose intended start lies in it.
    pub planned: u64,
    /// Sent.
    pub started: u64,
    /// Not sent because the limit of requests in flight was reached.
    pub dropped: u64,
    /// Answered as expected.
    pub succeeded: u64,
    /// Answered otherwise, or not at all.
    pub failed: u64,
    /// In flight at its end.
    pub in_flight: u64,
    /// Latency from the intended start in microseconds: p50, p90, p99, max; none without a completed request.
    pub latency_us: Option<[u64; 4]>,
}

/// A load's totals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LoadTotals {
    /// The load's name.
    pub load: String,
    /// Requests planned.
    pub planned: u64,
    /// Requests sent.
    pub started: u64,
    /// Requests never sent.
    pub dropped: u64,
    /// Answered.
    pub completed: u64,
    /// Ended without an answer.
    pub failed: u64,
    /// Given up because the run ended.
    pub cancelled: u64,
    /// Per request name and status (or error class), how many.
    pub by_outcome: BTreeMap<String, BTreeMap<String, u64>>,
    /// Latency from the intended start in microseconds by percentile name (`p50`, `p90`, `p95`, `p99`, `p99.9`, `max`).
    pub latency_us: BTreeMap<String, u64>,
    /// What limited the generator, if anything did.
    pub saturation: Option<String>,
}

/// A message in a receiver's inbox, parsed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Notification {
    /// The receiver's name in `alertmanager.yml`.
    pub receiver: String,
    /// `webhook`, `slack`, `pagerduty`, `email` …
    pub kind: String,
    /// When the inbox had read it all.
    pub received: Stamp,
    /// `firing` or `resolved`.
    pub status: String,
    /// Alertmanager's group key, where the kind carries it.
    #[serde(default)]
    pub group_key: String,
    /// The group's labels.
    #[serde(default)]
    pub group_labels: BTreeMap<String, String>,
    /// The alerts inside.
    pub alerts: Vec<NotifiedAlert>,
    /// How many alerts were left out.
    #[serde(default)]
    pub truncated: u64,
    /// Title or subject as the on-call would have seen it.
    #[serde(default)]
    pub title: String,
    /// Text as the on-call would have seen it.
    #[serde(default)]
    pub text: String,
    /// How the inbox answered, as an HTTP status (250 for mail).
    pub answered: u16,
}

/// An alert inside a notification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NotifiedAlert {
    /// `firing` or `resolved`.
    pub status: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, rendered.
    pub annotations: BTreeMap<String, String>,
    /// When it began, by Prometheus.
    pub starts_at: Option<Stamp>,
    /// When it ended, if it did.
    pub ends_at: Option<Stamp>,
    /// Alertmanager's fingerprint.
    #[serde(default)]
    pub fingerprint: String,
}

/// What happens to a component's process or container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A container was created.
    Created,
    /// It was started.
    Started,
    /// It was frozen.
    Paused,
    /// It goes on.
    Resumed,
    /// The kernel ended one of its processes for lack of memory.
    OutOfMemory,
    /// It was sent a signal.
    Signalled,
    /// It ended.
    Ended,
    /// The engine started it again.
    Restarted,
    /// Its container was removed.
    Removed,
}

impl Change {
    /// In words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Started => "started",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::OutOfMemory => "out of memory",
            Self::Signalled => "signalled",
            Self::Ended => "ended",
            Self::Restarted => "restarted",
            Self::Removed => "removed",
        }
    }
}

/// What a component used since it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ComponentSample {
    /// Cores.
    pub cpu: f64,
    /// Bytes of memory now.
    pub memory: u64,
    /// Processes now.
    pub processes: u32,
}
