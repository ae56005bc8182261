//! Expectations as written.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::signal::{Agreement, Dashboard, Series};
use super::that::{
    AlertExpectation, Heartbeat, Inhibition, LoadExpectation, LogExpectation, Metric, MuteTimeExpectation,
    NotificationExpectation, SilenceExpectation, Target,
};
use crate::scenario::duration::{LongerThanZero, Period};
use crate::scenario::spanned::Spanned;
use crate::source::Location;

/// Something that must be seen in a window.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expectation {
    /// The window: `"baseline"`, `"recovery"`, `"run"`, a fault's id, or `{ all = [...] }` / `{ any = [...] }` of faults.
    pub during: Spanned<Window>,
    /// How it must hold. Default `eventually`.
    pub mode: Option<Spanned<Mode>>,
    /// For `eventually`: the time it may take from the window's start. Default: by the window's end.
    #[schemars(with = "Option<LongerThanZero>")]
    pub within: Option<Spanned<Period>>,
    /// What; one kind with its settings.
    pub that: Spanned<That>,
    /// Where its table begins.
    #[serde(skip)]
    pub location: Location,
    /// The author's own lines.
    #[serde(skip)]
    pub source: String,
}

impl Expectation {
    /// The time it may take from the window's start, whether it stands in the expectation or in its `that`.
    #[must_use]
    pub fn within(&self) -> Option<&Spanned<Period>> {
        self.within.as_ref().or_else(|| self.that.within())
    }

    /// How it must hold, as written or by default.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode.as_ref().map(|mode| *mode.get()).unwrap_or_default()
    }
}

/// When an expectation is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// From "everything is ready" to the first fault.
    Baseline,
    /// From the last fault gone to the end.
    Recovery,
    /// All of it.
    Run,
    /// From a fault's injection to the proof that it is gone.
    Fault(String),
    /// While all of these faults are on.
    All(Vec<Spanned<String>>),
    /// While any of these faults is on.
    Any(Vec<Spanned<String>>),
}

/// Window names that are no fault ids.
pub const FIXED_WINDOWS: [&str; 3] = ["baseline", "recovery", "run"];

impl Window {
    fn named(text: &str) -> Self {
        match text {
            "baseline" => Self::Baseline,
            "recovery" => Self::Recovery,
            "run" => Self::Run,
            id => Self::Fault(id.to_owned()),
        }
    }

    /// The faults it is made of.
    #[must_use]
    pub fn faults(&self) -> Vec<&str> {
        match self {
            Self::Baseline | Self::Recovery | Self::Run => Vec::new(),
            Self::Fault(id) => vec![id],
            Self::All(ids) | Self::Any(ids) => ids.iter().map(|id| id.get().as_str()).collect(),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |ids: &[Spanned<String>]| ids.iter().map(|id| id.get().as_str()).collect::<Vec<_>>().join(", ");
        match self {
            Self::Baseline => f.write_str("baseline"),
            Self::Recovery => f.write_str("recovery"),
            Self::Run => f.write_str("run"),
            Self::Fault(id) => f.write_str(id),
            Self::All(ids) => write!(f, "all of {}", list(ids)),
            Self::Any(ids) => write!(f, "any of {}", list(ids)),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum FaultSet {
    /// While all of these faults are on.
    #[schemars(with = "NonEmpty")]
    All(Vec<Spanned<String>>),
    /// While any of these faults is on.
    #[schemars(with = "NonEmpty")]
    Any(Vec<Spanned<String>>),
}

#[derive(JsonSchema)]
struct NonEmpty(
    #[schemars(length(min = 1))]
    #[expect(dead_code, reason = "only its schema is used")]
    Vec<String>,
);

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Window;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a window's name, or { all = [...] } / { any = [...] } of fault ids")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Window, E> {
                Ok(Window::named(text))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Window, A::Error> {
                FaultSet::deserialize(de::value::MapAccessDeserializer::new(map)).map(|set| match set {
                    FaultSet::All(ids) => Window::All(ids),
                    FaultSet::Any(ids) => Window::Any(ids),
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Window {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Window".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let set = FaultSet::json_schema(generator);
        json_schema!({ "anyOf": [{ "type": "string", "x-form": "filled", "examples": ["baseline", "run"] }, set] })
    }
}

/// How an expectation must hold in its window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Becomes true within `within`, or by the window's end.
    #[default]
    Eventually,
    /// True at every rule evaluation or scrape, and enough of them were seen.
    Throughout,
    /// True at none of them, and enough of them were seen.
    Never,
}

/// What is expected.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum That {
    /// A PromQL query has a value.
    Metric(Metric),
    /// An alert fires and resolves, in time.
    Alert(AlertExpectation),
    /// A receiver gets a message.
    Notification(NotificationExpectation),
    /// A dead man's switch beats, and its absence is noticed.
    Heartbeat(Heartbeat),
    /// An alert is suppressed while another fires.
    Inhibition(Inhibition),
    /// An alert is suppressed by a silence, and delivered after it.
    Silence(SilenceExpectation),
    /// An alert is suppressed by a mute time of its route, and delivered after it.
    MuteTime(MuteTimeExpectation),
    /// A LogQL query finds lines, or has a value.
    Log(LogExpectation),
    /// Observers count the same.
    Agreement(Agreement),
    /// A dashboard's panels show something.
    Dashboard(Dashboard),
    /// A scrape target is up or down.
    Target(Target),
    /// A metric has the type, unit, labels and number of series it should have.
    Series(Series),
    /// What the client saw: latency, errors, and whether the load was achieved.
    Load(Box<LoadExpectation>),
}

impl That {
    /// The time it may take from the window's start, where the kind has a key of its own for it.
    #[must_use]
    pub fn within(&self) -> Option<&Spanned<Period>> {
        match self {
            Self::Alert(alert) => alert.fires_within.as_ref(),
            Self::Notification(notification) => notification.within.as_ref(),
            Self::Target(target) => target.within.as_ref(),
            _ => None,
        }
    }

    /// The time before which an alert must not fire.
    #[must_use]
    pub fn fires_after(&self) -> Option<&Spanned<Period>> {
        match self {
            Self::Alert(alert) => alert.fires_after.as_ref(),
            _ => None,
        }
    }

    /// The kind as it is written after `that.`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Metric(_) => "metric",
            Self::Alert(_) => "alert",
            Self::Notification(_) => "notification",
            Self::Heartbeat(_) => "heartbeat",
            Self::Inhibition(_) => "inhibition",
            Self::Silence(_) => "silence",
            Self::MuteTime(_) => "mute-time",
            Self::Log(_) => "log",
            Self::Agreement(_) => "agreement",
            Self::Dashboard(_) => "dashboard",
            Self::Target(_) => "target",
            Self::Series(_) => "series",
            Self::Load(_) => "load",
        }
    }
}
