//! The settings of expectations about signals, as written: agreements, dashboards, series.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::scenario::quantity::Share;
use crate::scenario::spanned::Spanned;
use crate::scenario::text::Filled;

/// Observers count the same.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Agreement {
    /// What is counted.
    pub of: Counted,
    /// Who counts; at least two. Default: everyone who can.
    #[serde(default)]
    pub between: Vec<Spanned<Observer>>,
    /// Counted separately for each value of these, such as `route` and `status`.
    #[serde(default)]
    pub by: Vec<Spanned<String>>,
    /// By how much counts may differ. Default: not at all.
    pub tolerance: Option<Share>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Counted {
    /// Requests.
    Requests,
    /// Log lines, by their sequence numbers, at every hop; and the ids of the requests they are about.
    LogLines,
    /// Latency: the service's histogram against the client's own percentiles, to the width of a bucket.
    Latency,
}

/// Who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Observer {
    /// The load generator's ledger.
    Client,
    /// The service's counter in Prometheus.
    Metrics,
    /// The access log in the log store.
    Logs,
}

/// A dashboard's panels show something.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Dashboard {
    /// The dashboard's uid.
    #[schemars(with = "Filled")]
    pub uid: Spanned<String>,
    /// Panel titles. Default: all panels with a query.
    #[serde(default)]
    pub panels: Vec<Spanned<String>>,
    /// What they must show. Default `data`.
    #[serde(default)]
    pub shows: Shows,
}

/// What a panel shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shows {
    /// At least one series.
    #[default]
    Data,
    /// No series.
    Nothing,
    /// More than in the baseline.
    Rises,
    /// Less than in the baseline.
    Falls,
}

/// A metric has the type, unit, labels and number of series it should have.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Series {
    /// The metric's name.
    #[schemars(with = "Filled")]
    pub metric: Spanned<String>,
    /// Its type in the exposition.
    pub r#type: Option<MetricType>,
    /// Its unit in the exposition.
    pub unit: Option<String>,
    /// Labels that every series must have.
    #[serde(default)]
    pub labels: Vec<Spanned<String>>,
    /// Upper bounds that every histogram must have, such as those of the objectives.
    #[serde(default)]
    pub buckets: Vec<Spanned<f64>>,
    /// Most series; of a histogram its `_bucket`, `_sum` and `_count` count too.
    #[schemars(range(min = 1))]
    pub max_series: Option<Spanned<u64>>,
    /// Whether its series must exist at 0 before the first event.
    #[serde(default)]
    pub zero_initialised: bool,
}

/// A metric's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MetricType {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
    /// Quantiles, sum and count.
    Summary,
}

impl MetricType {
    /// The word of a `# TYPE` line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}
