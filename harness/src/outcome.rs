//! What an expectation came to, and why. Fed by `expect`, read by `verdict`, `event` and every report.
//!
//! A passed expectation carries evidence too: a reader must be able to see *what* was seen, not only that it was fine.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Stamp;

/// The end of an expectation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It held, and this is what was seen.
    Passed(Evidence),
    /// It did not hold; the observation itself is trusted.
    Failed(Reason, Evidence),
    /// It could not be decided; never a pass.
    Inconclusive(Reason, Evidence),
    /// It was not attempted on purpose.
    Skipped(Reason, Evidence),
}

impl Outcome {
    /// Whether the expectation held.
    #[must_use]
    pub const fn is_passed(&self) -> bool {
        matches!(self, Self::Passed(_))
    }

    /// The reason code; none for a pass.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Passed(_) => None,
            Self::Failed(reason, _) | Self::Inconclusive(reason, _) | Self::Skipped(reason, _) => Some(*reason),
        }
    }

    /// What was seen.
    #[must_use]
    pub const fn evidence(&self) -> &Evidence {
        match self {
            Self::Passed(evidence)
            | Self::Failed(_, evidence)
            | Self::Inconclusive(_, evidence)
            | Self::Skipped(_, evidence) => evidence,
        }
    }

    /// The word shown in tables: `passed`, `failed`, `inconclusive` or `skipped`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Failed(..) => "failed",
            Self::Inconclusive(..) => "inconclusive",
            Self::Skipped(..) => "skipped",
        }
    }
}

/// What was seen: one sentence, then facts in the order a reader needs them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Evidence {
    /// One sentence with the actual values, for tables and the first line of a report.
    pub summary: String,
    /// Named facts, in reading order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
    /// The stages of a page on its way (series, rule, firing, Alertmanager, receiver), in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
}

impl Evidence {
    /// Evidence that is one sentence so far.
    #[must_use]
    pub fn new(summary: impl Into<String>) -> Self {
        Self { summary: summary.into(), ..Self::default() }
    }

    /// Adds a fact that is one text.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.facts.push(Fact { name: name.into(), value: FactValue::Text(text.into()) });
        self
    }

    /// Adds a query, a configuration excerpt or anything to be shown in a fixed-width font.
    #[must_use]
    pub fn with_code(mut self, name: impl Into<String>, code: impl Into<String>) -> Self {
        self.facts.push(Fact { name: name.into(), value: FactValue::Code(code.into()) });
        self
    }

    /// Adds a list, such as the label sets seen.
    #[must_use]
    pub fn with_list(mut self, name: impl Into<String>, items: Vec<String>) -> Self {
        self.facts.push(Fact { name: name.into(), value: FactValue::List(items) });
        self
    }

    /// Adds a table; every row has as many cells as there are columns.
    #[must_use]
    pub fn with_table(mut self, name: impl Into<String>, columns: &[&str], rows: Vec<Vec<String>>) -> Self {
        let columns = columns.iter().map(ToString::to_string).collect();
        self.facts.push(Fact { name: name.into(), value: FactValue::Table { columns, rows } });
        self
    }
}

/// A named piece of evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fact {
    /// What it is, for example `query` or `state history`.
    pub name: String,
    /// Its value.
    pub value: FactValue,
}

/// The value of a [`Fact`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FactValue {
    /// Prose or a value.
    Text(String),
    /// Shown in a fixed-width font, line breaks kept.
    Code(String),
    /// One item a line.
    List(Vec<String>),
    /// Rows of cells.
    Table {
        /// Column titles.
        columns: Vec<String>,
        /// Cells, one vector a row.
        rows: Vec<Vec<String>>,
    },
}

/// One stage of a page on its way from the series to the receiver, measured against what the configuration allows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Stage {
    /// `series`, `pending`, `firing`, `alertmanager`, `receiver`, and back: `series-back`, `resolved`, `resolved-receiver`.
    pub name: String,
    /// When it was observed; none when it never was.
    pub observed: Option<Stamp>,
    /// The earliest the configuration allows, if it bounds this stage.
    pub floor: Option<Stamp>,
    /// The latest the configuration allows, if it bounds this stage.
    pub ceiling: Option<Stamp>,
}

macro_rules! reasons {
    ($($variant:ident = $code:literal : $meaning:literal),+ $(,)?) => {
        /// Why an expectation, a scenario or a run was not a pass: one stable code in capitals each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Reason {
            $(#[doc = $meaning] #[serde(rename = $code)] $variant,)+
        }

        impl Reason {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable code, for example `NEVER_FIRED`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// What the code means, one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),+ }
            }
        }
    };
}

reasons! {
    NeverFired = "NEVER_FIRED": "The alert did not fire in the window, although its rule was evaluated.",
    FiredEarly = "FIRED_EARLY": "The alert fired sooner after the fault than was promised.",
    FiredLate = "FIRED_LATE": "The alert fired later after the fault than was promised.",
    FiringAtBaseline = "FIRING_AT_BASELINE": "The alert was pending or firing before any fault.",
    ResolvedLate = "RESOLVED_LATE": "The alert went inactive later than was promised.",
    NeverResolved = "NEVER_RESOLVED": "The alert was still firing at the end of the run.",
    RuleNotLoaded = "RULE_NOT_LOADED": "Prometheus has not loaded a rule of this name.",
    RuleError = "RULE_ERROR": "The rule's evaluation failed; what it last said is frozen.",
    WrongLabels = "WRONG_LABELS": "The alert fired with other labels or annotations than expected.",
    AnnotationError = "ANNOTATION_ERROR": "A template in a label or annotation could not be expanded.",
    UnexpectedAlert = "UNEXPECTED_ALERT": "An alert fired that is neither expected nor allowed.",
    AlertNotAlways = "ALERT_NOT_ALWAYS": "An alert that has to fire all the time did not.",
    WrongReceiver = "WRONG_RECEIVER": "The notification went to another receiver.",
    NotifyLate = "NOTIFY_LATE": "The notification came later than was promised.",
    NotifyCount = "NOTIFY_COUNT": "The number of notifications is not the expected one.",
    NotifyOrder = "NOTIFY_ORDER": "The receiver was told of an alert's end before its begin.",
    NotifyContent = "NOTIFY_CONTENT": "The notification lacks a text it must contain.",
    NotifyTruncated = "NOTIFY_TRUNCATED": "The notification left alerts out (truncated).",
    ResolvedMissing = "RESOLVED_MISSING": "The receiver was never told that the alert had resolved.",
    Suppressed = "SUPPRESSED": "A silence, an inhibition or a mute time held the notification back.",
    NotSuppressed = "NOT_SUPPRESSED": "A notification was delivered that should have been held back.",
    HeartbeatMissing = "HEARTBEAT_MISSING": "The dead man's switch did not beat.",
    HeartbeatNotMissed = "HEARTBEAT_NOT_MISSED": "The dead man's switch kept beating although monitoring was broken.",
    HopPromAm = "HOP_PROM_AM": "The alert fired in Prometheus and never reached Alertmanager.",
    HopAmReceiver = "HOP_AM_RECEIVER": "Alertmanager had the alert and could not deliver it to the receiver.",
    NoData = "NO_DATA": "The query answered with no series.",
    NotANumber = "NAN": "The query answered with NaN, which is neither above nor below anything.",
    WrongValue = "WRONG_VALUE": "The value is not what was expected.",
    Query = "QUERY": "The query was refused by the server.",
    Partial = "PARTIAL": "The server answered with warnings or truncated results.",
    LabelMissing = "LABEL_MISSING": "A label that was expected is missing.",
    BucketMissing = "BUCKET_MISSING": "A histogram lacks a bucket at the boundary that is asked for.",
    Cardinality = "CARDINALITY": "There are more series than allowed.",
    StaleExposition = "STALE_EXPOSITION": "The target is up, but its values do not move under load.",
    Metadata = "METADATA": "The type, unit or birth of a metric is not what the exposition says, or should say.",
    Exposition = "EXPOSITION": "What the service serves breaks the rules of `promtool check metrics`.",
    CounterNotInitialised = "COUNTER_NOT_INITIALISED": "A counter is born at its first increment, which no rate can see.",
    HistogramMismatch = "HISTOGRAM_MISMATCH": "A histogram contradicts itself, or the client's own measurement.",
    CountMismatch = "COUNT_MISMATCH": "Two observers count a different number of the same thing.",
    LogMissing = "LOG_MISSING": "Log lines that were expected are missing.",
    LogLoss = "LOG_LOSS": "Log lines were written and lost on the way.",
    LogDuplicate = "LOG_DUPLICATE": "Log lines arrived more than once.",
    LogField = "LOG_FIELD": "A log line lacks a field it must have.",
    Correlation = "CORRELATION": "Request ids that were sent are not in the logs.",
    TooFarBehind = "TOO_FAR_BEHIND": "Log lines were refused because they are too old.",
    TooFarInFuture = "TOO_FAR_IN_FUTURE": "Log lines were refused because they lie in the future.",
    PanelNoData = "PANEL_NO_DATA": "A dashboard panel has a query that answers with nothing.",
    PanelUnit = "PANEL_UNIT": "A dashboard panel shows values in another unit than its axis says.",
    DashboardMissing = "DASHBOARD_MISSING": "The dashboard is not provisioned.",
    VariableEmpty = "VARIABLE_EMPTY": "A dashboard variable resolves to nothing.",
    TargetDown = "TARGET_DOWN": "Prometheus cannot scrape a target that has to be up.",
    TargetAbsent = "TARGET_ABSENT": "Prometheus does not know the target at all.",
    TargetNotDown = "TARGET_NOT_DOWN": "The target stayed healthy although it should not have.",
    ScrapeTimeout = "SCRAPE_TIMEOUT": "A scrape took longer than its timeout.",
    ObjectiveMissed = "OBJECTIVE_MISSED": "The load saw more errors or higher latency than allowed.",
    LoadNotAchieved = "LOAD_NOT_ACHIEVED": "The load that was planned was not sent.",
    GeneratorSaturated = "GENERATOR_SATURATED": "The load generator itself was the bottleneck.",
    FaultNotEffective = "FAULT_NOT_EFFECTIVE": "The fault was injected, and its probe shows no effect.",
    FaultLost = "FAULT_LOST": "The fault stopped biting before it was reverted.",
    NotRecovered = "NOT_RECOVERED": "The fault was reverted, and its probe still shows it.",
    NoCoverage = "NO_COVERAGE": "Too little was observed to say anything (evaluations or scrapes missing).",
    Timing = "TIMING": "Prometheus or Alertmanager acted outside what their configuration allows.",
    PromRestart = "PROM_RESTART": "Prometheus restarted in the window.",
    AlertmanagerRestart = "ALERTMANAGER_RESTART": "Alertmanager restarted in the window.",
    ClockSkew = "CLOCK_SKEW": "Two clocks disagree by more than a second.",
    Unreachable = "UNREACHABLE": "A server that had to be asked did not answer.",
    Auth = "AUTH": "A server refused the credentials.",
    BaselineUnsteady = "BASELINE_UNSTEADY": "The baseline did not hold, so no fault was injected.",
    Vacuous = "VACUOUS": "Nothing was checked.",
    ProvesNothing = "PROVES_NOTHING": "The expectation is stated as an effect of a fault, and holds without it.",
    LeftToDrill = "LEFT_TO_DRILL": "A control run leaves this to the drill.",
    RequirementMissing = "REQUIREMENT_MISSING": "A component this scenario requires is not available here.",
    Provider = "PROVIDER": "The stack could not be brought up.",
    ReadyTimeout = "READY_TIMEOUT": "A component did not become ready in time.",
    ComponentExited = "COMPONENT_EXITED": "A component ended although nobody asked it to.",
    Leftovers = "LEFTOVERS": "Something this run created could not be removed.",
    DiskFull = "DISK_FULL": "The disk is full.",
    Interrupted = "INTERRUPTED": "The run was ended by a signal.",
    InvalidScenario = "INVALID_SCENARIO": "The scenario or its stack does not hold water.",
    Bug = "BUG": "A bug in the harness.",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
