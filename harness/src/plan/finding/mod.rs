//! What the timing model can prove about the user's rules and routes without a run, each with the arithmetic. Fed with the
//! configuration as written; read by `harness lint` and the report.

mod allow;
mod budget;
mod file;
mod package;
mod route;
mod rule;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scale::alertmanager::AlertmanagerConfig;
use super::scale::promql::{self, PromqlError};
use super::scale::source::SourceFile;
use super::scale::{ConfigSet, PrometheusConfig};
use crate::source::Location;

pub use budget::{EventBudget, FEWEST_EVENTS, Threshold, TooClose, compared, event_budget, threshold, too_close};
pub use file::{FileFindings, findings_of};

/// Something to know about a rule or a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// Where.
    pub location: Location,
    /// Which kind.
    pub code: FindingCode,
    /// The alert, record or receiver.
    pub subject: String,
    /// What happens, with numbers.
    pub message: String,
    /// What to try.
    pub help: String,
}

macro_rules! codes {
    ($($variant:ident = $code:literal, $level:ident: $meaning:literal),+ $(,)?) => {
        /// The kinds of findings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum FindingCode {
            $(#[doc = $meaning] #[serde(rename = $code)] $variant,)+
        }

        impl FindingCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable code, for example `window-outlives-for`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// What it means, one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),+ }
            }

            /// How serious it is.
            #[must_use]
            pub const fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level),+ }
            }
        }
    };
}

codes! {
    EmptyRange = "empty-range", Error: "The range is shorter than two scrapes: the function never has two samples.",
    ValueInLabel = "value-in-label", Error: "A label holds the value, so every evaluation makes another alert.",
    ShortWindow = "short-window", Warning: "The range holds fewer than four scrapes: one lost scrape empties it.",
    WindowOutlivesFor = "window-outlives-for", Warning: "The range stays above the threshold as long as `for` waits, so a burst pages after it ended.",
    RestartResolves = "restart-resolves", Note: "A restart of Prometheus while the alert fires makes Alertmanager resolve it and fire it again.",
    LazyCounter = "lazy-counter", Warning: "The series may not exist before its first event, which is then not counted.",
    OneBadScrape = "one-bad-scrape", Note: "Neither a range nor `for`: a single bad scrape pages.",
    InstantRate = "instant-rate", Warning: "`irate` looks at two samples only: between scrapes nothing is seen.",
    UpWithoutAbsent = "up-without-absent", Note: "`up == 0` is silent when the target is gone from the configuration.",
    QuantileWithoutLe = "quantile-without-le", Error: "`histogram_quantile` over an aggregation without `le` has no buckets.",
    RepeatEqualsGroup = "repeat-equals-group", Warning: "`repeat_interval` is looked at on ticks of `group_interval` only.",
    DroppedLabel = "dropped-label", Warning: "An annotation uses a label that the expression's aggregation drops: the text has a hole.",
    UnknownField = "unknown-field", Error: "Prometheus refuses a file with a field that it does not know.",
    PackedResource = "packed-resource", Note: "The file is a resource for an operator, which Prometheus itself refuses.",
    MergeKey = "merge-key", Note: "A rule takes fields from another one by a YAML merge key.",
    AmbiguousScalar = "ambiguous-scalar", Warning: "A text without quotes is a number or a boolean to other YAML readers.",
    UselessAllowance = "useless-allowance", Warning: "An allowance without a reason, or one that covers nothing.",
    InhibitsEverywhere = "inhibits-everywhere", Warning: "An inhibition rule without `equal` silences its targets everywhere.",
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Good to know.
    Note,
    /// Probably not what was meant.
    Warning,
    /// Cannot work.
    Error,
}

/// Every finding, in the order of the files, but for those that the files allow with a reason.
#[must_use]
pub fn findings(config: &ConfigSet) -> Vec<Finding> {
    let mut found = rule::findings(&config.prometheus);
    found.extend(config.prometheus.rule_files.iter().flat_map(package::findings));
    let mut left = Vec::new();
    for file in &config.prometheus.rule_files {
        let name = file.name();
        let own: Vec<Finding> = found.iter().filter(|finding| finding.location.file == name).cloned().collect();
        let rules = config.prometheus.groups.iter().flat_map(|group| &group.rules);
        let starts = rules.filter(|rule| rule.location.file == name).map(|rule| rule.location.line).collect();
        left.extend(allowed(file, starts, own));
    }
    left.extend(config.alertmanager.iter().flat_map(route_findings));
    left
}

/// Findings about routes and inhibition, but for those that the file allows with a reason.
#[must_use]
pub fn route_findings(manager: &AlertmanagerConfig) -> Vec<Finding> {
    let routes = manager.route.nodes().into_iter().map(|node| node.target.location.line);
    let starts = routes.chain(manager.inhibit_rules.iter().map(|rule| rule.location.line)).collect();
    allowed(&manager.file, starts, route::findings(manager))
}

/// Findings about a file of unit tests for rules.
#[must_use]
pub fn test_findings(file: &SourceFile) -> Vec<Finding> {
    allowed(file, Vec::new(), package::findings(file))
}

fn allowed(file: &SourceFile, mut starts: Vec<u32>, found: Vec<Finding>) -> Vec<Finding> {
    starts.sort_unstable();
    allow::apply(&file.name(), &file.text, &starts, found)
}

/// What is wrong with the windows of a query that is not a rule, such as a scenario's; each kind with its arithmetic.
/// Query and configuration must be in the same time.
///
/// # Errors
/// When the query is no PromQL.
pub fn query_findings(config: &PrometheusConfig, query: &str) -> Result<Vec<(FindingCode, String)>, PromqlError> {
    let windows = promql::windows(&promql::parse(query)?);
    Ok(windows.iter().filter_map(|window| rule::too_short(config, window)).collect())
}

impl Level {
    /// The word in front of the code.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({}): {}; {}", self.location, self.subject, self.code.code(), self.message, self.help)
    }
}

#[cfg(test)]
mod tests;
