//! The spine: everything that happens in a run, as past-tense facts, one JSON object a line in `events.jsonl`.
//!
//! Written by `run`, read by `verdict` and every report. The file on disk is the truth; a report is a
//! rendering of it, also of one that stops half-way.

mod record;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::record::{
    Change, ComponentSample, ExpectationPlan, FaultPlan, LoadSample, LoadTotals, Notification, NotifiedAlert,
    ScenarioPlan,
};
use crate::clock::Stamp;
use crate::outcome::{Evidence, Outcome, Reason};

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
        /// Why that one, in words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        provider_because: String,
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
    /// Something happened to a component's process or container, asked for or not.
    ComponentChanged {
        /// Its name.
        component: String,
        /// What.
        change: Change,
        /// What else is known, for example `exit status 137`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    /// What the running components used in the last second or so.
    ComponentsSampled {
        /// By name.
        components: BTreeMap<String, ComponentSample>,
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
        /// From the scenario's start, with its seed data planted and scraped.
        took: Duration,
        /// From the scenario's start until the gates were open: targets up, Alertmanager discovered, rules evaluated.
        #[serde(default)]
        gates_open: Option<Duration>,
        /// From Prometheus's start to its first successful scrape of any target.
        prometheus_first_up: Option<Duration>,
        /// The component that took longest to be ready.
        #[serde(default)]
        slowest: Option<String>,
        /// From its start until it was ready.
        #[serde(default)]
        slowest_boot: Option<Duration>,
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
    /// In a control run: the time for which the fault would last begins, and nothing is injected.
    FaultLeftOut {
        /// The fault's id.
        fault: String,
    },
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
    /// What Prometheus stored was kept in the run's folder, for `harness replay`.
    SeriesRecorded {
        /// The file, relative to the run's folder.
        file: String,
        /// How many series.
        series: u64,
        /// How many samples, stale markers among them.
        samples: u64,
        /// The file's size.
        bytes: u64,
        /// Whether all of the run is there; a limit on time or size may have cut it.
        whole: bool,
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
