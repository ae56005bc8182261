//! The spine: everything that happens in a run, as past-tense facts, one JSON object a line in `events.jsonl`.
//!
//! Written by `run`, read by `verdict`, every report and `analysis`. The file on disk is the truth; a report is a
//! rendering of it, also of one that stops half-way.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::outcome::{Evidence, Outcome, Reason};
use crate::source::Location;

/// One line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Event {
    /// Position in the log, from 0, without gaps.
    pub seq: u64,
    /// When it happened (not when it was written).
    pub at: Stamp,
    /// The scenario it belongs to; none for the run as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// What happened.
    pub what: EventKind,
}

/// What happened. Externally tagged: `{"fault-injected": {…}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum EventKind {
    /// The first event of every log.
    RunStarted {
        /// The run's id, also the name of its folder.
        run: String,
        /// The harness's version.
        harness: String,
        /// Production seconds per real second.
        time_scale: f64,
        /// `local`, `docker` or `attach`.
        provider: String,
        /// Facts on the machine: kernel, cores, memory.
        machine: BTreeMap<String, String>,
        /// The names of the scenarios that will run.
        scenarios: Vec<String>,
    },
    /// A scenario begins; carries its plan, so that a report needs no other file.
    ScenarioStarted(ScenarioPlan),
    /// A scenario was not run.
    ScenarioSkipped {
        /// Why.
        reason: Reason,
        /// In words.
        message: String,
    },
    /// A file under test was rewritten for this run.
    ConfigRewritten {
        /// The file, relative to the stack folder.
        file: String,
        /// Where the copy that runs lies, relative to the run folder.
        copy: String,
        /// Unified diff from the user's file to the copy.
        diff: String,
    },
    /// Something that could not be scaled or is not tested in a scaled run, for the report.
    CaveatNoted {
        /// In words.
        message: String,
    },
    /// A component is being started.
    ComponentStarted {
        /// Its name in `stack.toml`.
        component: String,
        /// Its version as it states it itself.
        version: String,
        /// Where the binary or image comes from, for example `PATH`, `Debian package prometheus 2.42.0`.
        source: String,
        /// Named addresses, `host:port`.
        addresses: BTreeMap<String, String>,
    },
    /// A component met all its readiness conditions.
    ComponentReady {
        /// Its name.
        component: String,
        /// From its start.
        took: Duration,
    },
    /// A component ended although nobody asked it to.
    ComponentExited {
        /// Its name.
        component: String,
        /// Exit status in words.
        status: String,
        /// Its last log lines.
        last_lines: Vec<String>,
    },
    /// The stack could not be brought up.
    StackFailed {
        /// The component that failed, if it was one.
        component: Option<String>,
        /// Why.
        reason: Reason,
        /// The error, with the component's own words.
        message: String,
        /// Its last log lines.
        last_lines: Vec<String>,
    },
    /// Every target is up, Alertmanager is discovered, every rule was evaluated.
    StackReady {
        /// From the scenario's start.
        took: Duration,
        /// From Prometheus's start to its first successful scrape of any target.
        prometheus_first_up: Option<Duration>,
    },
    /// A phase begins: `warm-up`, `baseline`, `drill`, `recovery`, `collection`, `teardown`.
    PhaseStarted {
        /// Its name.
        phase: Phase,
    },
    /// One second of load.
    LoadSampled(LoadSample),
    /// A load ended.
    LoadFinished(LoadTotals),
    /// The injector is about to be called.
    FaultInjecting {
        /// The fault's id.
        fault: String,
    },
    /// The injector returned.
    FaultInjected {
        /// The fault's id.
        fault: String,
    },
    /// The probe shows that the fault bites.
    FaultProved {
        /// The fault's id.
        fault: String,
        /// What the probe saw.
        probe: String,
    },
    /// The probe does not show the fault.
    FaultNotEffective {
        /// The fault's id.
        fault: String,
        /// What the probe saw.
        probe: String,
    },
    /// The fault stopped biting before it was reverted.
    FaultLost {
        /// The fault's id.
        fault: String,
        /// What the probe saw.
        probe: String,
    },
    /// The revert is about to be called.
    FaultReverting {
        /// The fault's id.
        fault: String,
    },
    /// The probe shows that the fault is gone.
    FaultGone {
        /// The fault's id.
        fault: String,
        /// What the probe saw.
        probe: String,
    },
    /// The revert failed or the probe still shows the fault.
    FaultNotReverted {
        /// The fault's id.
        fault: String,
        /// Why.
        message: String,
    },
    /// An alert changed its state at a rule evaluation.
    AlertChanged {
        /// The alert's name.
        alert: String,
        /// Its labels.
        labels: BTreeMap<String, String>,
        /// `inactive`, `pending` or `firing`.
        state: AlertState,
        /// The evaluation time.
        evaluated: Stamp,
        /// The value then, if it has one.
        value: Option<f64>,
    },
    /// A rule's health changed.
    RuleHealthChanged {
        /// The rule's name.
        rule: String,
        /// `ok`, `err` or `unknown`.
        health: String,
        /// Prometheus's error text.
        error: String,
    },
    /// A receiver's inbox got a message.
    NotificationReceived(Notification),
    /// A poll of a server failed or came back; only changes are recorded.
    ServerReachability {
        /// The component that was asked.
        component: String,
        /// Whether it answered.
        reachable: bool,
        /// The error in words.
        message: String,
    },
    /// An expectation was judged.
    ExpectationJudged {
        /// Its id, unique in its scenario.
        expectation: String,
        /// How it ended.
        outcome: Outcome,
    },
    /// Something that takes a while was begun or done: a build, a download.
    Progressed {
        /// In words.
        message: String,
    },
    /// Something the reader should know.
    Warned {
        /// In words.
        message: String,
    },
    /// The run was asked to end.
    InterruptReceived {
        /// The signal's name.
        signal: String,
    },
    /// Something this run created could not be removed.
    LeftBehind {
        /// What, by name.
        resource: String,
        /// Why.
        message: String,
    },
    /// The scenario ended; the last event of its own.
    ScenarioFinished {
        /// Its verdict.
        verdict: Verdict,
        /// The reasons, most important first; empty for a pass.
        reasons: Vec<Reason>,
    },
    /// The last event of a complete log.
    RunFinished {
        /// The exit code.
        exit_code: u8,
    },
}

/// The verdict on a scenario or a run; exit codes in `exit_code.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every expectation passed, at least one was checked, every fault bit and was undone.
    Pass,
    /// An expectation failed.
    Fail,
    /// The input does not hold water.
    Invalid,
    /// It could not be decided.
    Inconclusive,
    /// The stack could not be brought up.
    Environment,
    /// Something could not be removed.
    Leftovers,
    /// A bug in the harness.
    Bug,
    /// Ended by a signal.
    Interrupted,
    /// Not run on purpose.
    Skipped,
}

/// A phase of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The stack starts.
    Startup,
    /// Load reaches its rate, every rule is evaluated three times, the longest window fills.
    WarmUp,
    /// Steady state.
    Baseline,
    /// From the first fault to the last fault gone.
    Drill,
    /// From the last fault gone to the end.
    Recovery,
    /// The last pages come in, signals are read, expectations are judged.
    Collection,
    /// Everything is removed.
    Teardown,
}

/// The state of an alert in Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertState {
    /// The expression has no such series.
    Inactive,
    /// True, but not yet for the whole `for`.
    Pending,
    /// Sent to Alertmanager.
    Firing,
}

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

impl EventKind {
    /// Evidence carried by the event, if it is a judgement.
    #[must_use]
    pub const fn evidence(&self) -> Option<&Evidence> {
        match self {
            Self::ExpectationJudged { outcome, .. } => Some(outcome.evidence()),
            _ => None,
        }
    }
}
