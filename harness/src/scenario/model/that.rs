//! The settings of each kind of expectation, as written.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::scenario::duration::{LongerThanZero, Period};
use crate::scenario::quantity::{Bound, CountBound, LatencyBound, ShareBound};
use crate::scenario::spanned::Spanned;
use crate::scenario::text::{Filled, LogQl, PromQl};

/// A PromQL query has a value.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Metric {
    /// An instant vector or a scalar; windows are scenario time.
    #[schemars(with = "PromQl")]
    pub query: Spanned<String>,
    /// What each series must satisfy.
    pub value: Spanned<Bound>,
    /// One series is enough. Default: all of them, and at least one.
    #[serde(default)]
    pub any: bool,
    /// Compare by how much each series of the counter `query` grew in the window, counted from raw samples and through
    /// restarts; `increase` would extrapolate.
    #[serde(default)]
    pub exact: bool,
}

/// An alert fires and resolves, in time.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertExpectation {
    /// The alert's name in the rule files.
    #[schemars(with = "Filled")]
    pub name: Spanned<String>,
    /// Labels it must carry.
    #[serde(default)]
    pub labels: BTreeMap<String, Spanned<String>>,
    /// Annotations it must carry; each must contain the text.
    #[serde(default)]
    pub annotations: BTreeMap<String, Spanned<String>>,
    /// Must not fire earlier than this after the fault was injected.
    pub fires_after: Option<Spanned<Period>>,
    /// Must be firing this long after the fault was injected.
    #[schemars(with = "Option<LongerThanZero>")]
    pub fires_within: Option<Spanned<Period>>,
    /// Must have resolved this long after the fault is gone.
    #[schemars(with = "Option<LongerThanZero>")]
    pub resolves_within: Option<Spanned<Period>>,
    /// The state that counts. Default `firing`.
    #[serde(default)]
    pub state: WantedState,
}

/// The state of an alert that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WantedState {
    /// Sent to Alertmanager.
    #[default]
    Firing,
    /// True, but not yet for its whole `for`.
    Pending,
    /// Neither.
    Inactive,
}

/// A receiver gets a message.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NotificationExpectation {
    /// The receiver's name in `alertmanager.yml`.
    #[schemars(with = "Filled")]
    pub receiver: Spanned<String>,
    /// The alert's name.
    #[schemars(with = "Filled")]
    pub alert: Spanned<String>,
    /// Labels the alert must carry in the message.
    #[serde(default)]
    pub labels: BTreeMap<String, Spanned<String>>,
    /// The message must be in the inbox this long after the fault was injected.
    #[schemars(with = "Option<LongerThanZero>")]
    pub within: Option<Spanned<Period>>,
    /// Whether a "resolved" message must follow. Default: not looked at.
    pub resolved: Option<bool>,
    /// How many firing messages for this alert.
    #[schemars(with = "Option<CountBound>")]
    pub count: Option<Spanned<Bound>>,
    /// How many alerts of this name each of these messages lists: what `group_by` puts together.
    #[schemars(with = "Option<CountBound>")]
    pub alerts: Option<Spanned<Bound>>,
    /// Texts the message must contain, one or several.
    #[serde(default)]
    pub contains: Texts,
}

/// One text or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(pub Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Texts, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(Texts)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Texts {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Texts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "x-form": "filled" },
            { "type": "array", "items": { "type": "string", "x-form": "filled" } }
        ] })
    }
}

/// A dead man's switch beats, and its absence is noticed.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Heartbeat {
    /// The receiver's name in `alertmanager.yml`.
    #[schemars(with = "Filled")]
    pub receiver: Spanned<String>,
    /// The alert that always fires.
    #[schemars(with = "Filled")]
    pub alert: Spanned<String>,
    /// A message at least this often in the baseline.
    #[schemars(with = "LongerThanZero")]
    pub every: Spanned<Period>,
    /// A beat must be missing this long after the fault was injected. Default: beats must go on.
    #[schemars(with = "Option<LongerThanZero>")]
    pub missed_within: Option<Spanned<Period>>,
}

/// An alert is suppressed while another fires.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Inhibition {
    /// The alert that must not be delivered.
    #[schemars(with = "Filled")]
    pub alert: Spanned<String>,
    /// The alert that suppresses it.
    #[schemars(with = "Filled")]
    pub by: Spanned<String>,
    /// The receiver that must not get it. Default: none must.
    pub receiver: Option<Spanned<String>>,
}

/// An alert is suppressed by a silence, and delivered after it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SilenceExpectation {
    /// The alert.
    #[schemars(with = "Filled")]
    pub alert: Spanned<String>,
    /// The receiver that gets it only afterwards.
    #[schemars(with = "Filled")]
    pub receiver: Spanned<String>,
}

/// An alert is suppressed by a mute time of its route, and delivered after it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MuteTimeExpectation {
    /// The alert.
    #[schemars(with = "Filled")]
    pub alert: Spanned<String>,
    /// The receiver that gets it only afterwards.
    #[schemars(with = "Filled")]
    pub receiver: Spanned<String>,
}

/// A LogQL query finds lines, or has a value.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LogExpectation {
    /// A log query (with `count`, `fields`) or a metric query (with `value`).
    #[schemars(with = "LogQl")]
    pub query: Spanned<String>,
    /// How many lines in the window. Default `>= 1`.
    #[schemars(with = "Option<CountBound>")]
    pub count: Option<Spanned<Bound>>,
    /// Fields that every line must have.
    #[serde(default)]
    pub fields: Vec<Spanned<String>>,
    /// For a metric query: what each series must satisfy.
    pub value: Option<Spanned<Bound>>,
}

/// A scrape target is up or down.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Target {
    /// The scrape job.
    #[schemars(with = "Filled")]
    pub job: Spanned<String>,
    /// What its targets must be. Default `up`.
    #[serde(default)]
    pub health: TargetHealth,
    /// The time it may take from the window's start.
    #[schemars(with = "Option<LongerThanZero>")]
    pub within: Option<Spanned<Period>>,
}

/// Health of a scrape target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TargetHealth {
    /// The last scrape worked.
    #[default]
    Up,
    /// It did not.
    Down,
}

/// What the client saw.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LoadExpectation {
    /// The load's name.
    #[schemars(with = "Filled")]
    pub name: Spanned<String>,
    /// Only this request. Default: all of the load's.
    pub request: Option<Spanned<String>>,
    /// Median latency from the intended start (real time).
    #[schemars(with = "Option<LatencyBound>")]
    pub p50: Option<Spanned<Bound>>,
    /// 75th percentile.
    #[schemars(with = "Option<LatencyBound>")]
    pub p75: Option<Spanned<Bound>>,
    /// 90th percentile.
    #[schemars(with = "Option<LatencyBound>")]
    pub p90: Option<Spanned<Bound>>,
    /// 95th percentile.
    #[schemars(with = "Option<LatencyBound>")]
    pub p95: Option<Spanned<Bound>>,
    /// 99th percentile.
    #[schemars(with = "Option<LatencyBound>")]
    pub p99: Option<Spanned<Bound>>,
    /// 99.9th percentile; the key needs quotes: `"p99.9"`.
    #[serde(rename = "p99.9")]
    #[schemars(with = "Option<LatencyBound>")]
    pub p99_9: Option<Spanned<Bound>>,
    /// The slowest.
    #[schemars(with = "Option<LatencyBound>")]
    pub max: Option<Spanned<Bound>>,
    /// Share of requests that were no success.
    #[schemars(with = "Option<ShareBound>")]
    pub errors: Option<Spanned<Bound>>,
    /// Share of the planned requests that were sent.
    #[schemars(with = "Option<ShareBound>")]
    pub achieved: Option<Spanned<Bound>>,
}

impl LoadExpectation {
    /// The latency bounds that were written, by name (`p50` … `p99.9`, `max`).
    pub fn latencies(&self) -> impl Iterator<Item = (&'static str, &Spanned<Bound>)> {
        let all = [
            ("p50", &self.p50),
            ("p75", &self.p75),
            ("p90", &self.p90),
            ("p95", &self.p95),
            ("p99", &self.p99),
            ("p99.9", &self.p99_9),
            ("max", &self.max),
        ];
        all.into_iter().filter_map(|(name, bound)| bound.as_ref().map(|bound| (name, bound)))
    }
}
