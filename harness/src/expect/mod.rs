//! Expectations: what must be true, and the judges that say whether it was. `plan` builds the value types of this file,
//! `run` gathers what was seen, the judges (one file a kind) turn both into an [`Outcome`](crate::outcome::Outcome).
//!
//! Judges are pure: the same observations give the same outcome, byte for byte, in whatever order they were polled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::Stamp;
use crate::condition::Condition;

pub mod agreement;
pub mod alert;
pub mod dashboard;
mod delivery;
#[cfg(test)]
mod golden;
pub mod heartbeat;
pub mod latency;
pub mod lines;
pub mod log;
pub mod look;
mod lost;
pub mod mail;
pub mod managed;
pub mod metric;
pub mod notification;
pub mod objective;
pub mod series;
pub mod suppression;
pub mod target;
pub mod unexpected;
pub mod way;

/// Labels of a series, an alert or a log stream.
pub type Labels = BTreeMap<String, String>;

/// What must be true. Durations are real time, queries are already scaled.
#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// `that.metric`
    Metric(Metric),
    /// `that.alert`
    Alert(Alert),
    /// `that.notification`
    Notification(Notification),
    /// `that.heartbeat`
    Heartbeat(heartbeat::Heartbeat),
    /// `that.inhibition`, `that.silence`, `that.mute-time`
    Suppression(suppression::Suppression),
    /// `that.log`
    Log(Log),
    /// `that.agreement`
    Agreement(Agreement),
    /// `that.series`
    Series(series::Series),
    /// `that.dashboard`
    Dashboard(dashboard::Dashboard),
    /// Implicit where a scenario looks at dashboards: Grafana's own alert rules.
    Managed(managed::Managed),
    /// `that.target`
    Target(Target),
    /// `that.load`
    Load(Objective),
    /// Implicit: no alert fires that is neither expected nor allowed.
    NoOtherAlert(Others),
    /// Implicit, one for each name in `[alerts] always`.
    Always(Always),
}

impl Expectation {
    /// The kind as it is written in scenarios; implicit ones have a name of their own.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Metric(_) => "metric",
            Self::Alert(_) => "alert",
            Self::Notification(_) => "notification",
            Self::Heartbeat(_) => "heartbeat",
            Self::Suppression(it) => it.cause.kind(),
            Self::Log(_) => "log",
            Self::Agreement(_) => "agreement",
            Self::Series(_) => "series",
            Self::Dashboard(_) => "dashboard",
            Self::Managed(_) => "grafana-rules",
            Self::Target(_) => "target",
            Self::Load(_) => "load",
            Self::NoOtherAlert(_) => "no-other-alert",
            Self::Always(_) => "always",
        }
    }
}

/// When within its window an expectation has to be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Becomes true within `within`, or by the window's end.
    Eventually,
    /// True at every evaluation or scrape of the window, and enough of them were seen.
    Throughout,
    /// True at none of them, and enough were seen.
    Never,
}

/// `that.metric`
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The query as it is asked (ranges already divided by the scale).
    pub query: String,
    /// The query as written.
    pub written: String,
    /// What its value must satisfy.
    pub value: Condition,
    /// Which of the series must satisfy it.
    pub quantifier: Quantifier,
    /// What of the query is compared.
    pub reading: Reading,
    /// The longest range the query looks back over; throughout and never skip as much of the window's begin.
    pub reach: Duration,
}

/// What of a query is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Its value at each evaluation.
    Value,
    /// How much each of its series grew in the window, counted from raw samples (T07).
    Growth,
}

/// How many series of a vector must satisfy a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// At least one series, and all of them.
    All,
    /// One is enough.
    Any,
}

/// `that.alert`
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// The alert's name.
    pub name: String,
    /// Labels it must carry, among others.
    pub labels: Labels,
    /// Annotations it must carry; a value is contained in the rendered text.
    pub annotations: Labels,
    /// Promise: not sooner after the inject call.
    pub fires_after: Option<Duration>,
    /// Promise: at the latest this long after the fault was proved to bite.
    pub fires_within: Option<Duration>,
    /// Promise: inactive at the latest this long after the fault was proved gone.
    pub resolves_within: Option<Duration>,
    /// The state that is asked for.
    pub state: WantedState,
    /// What the configuration itself allows; none when it cannot be computed.
    pub bound: Option<AlertBound>,
}

/// The state an alert expectation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedState {
    /// It fires.
    Firing,
    /// It becomes pending, whether it fires or not.
    Pending,
    /// It is neither pending nor firing.
    Inactive,
}

/// Floors and ceilings in real time, computed from the live configuration (`plan::bound`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertBound {
    /// From inject call (floor) and proved fault (ceiling) to firing.
    pub firing: Span,
    /// From inject call (floor) and proved fault (ceiling) to pending.
    pub pending: Span,
    /// From firing to the receiver, as the first alert of its group or a later one.
    pub delivery: Span,
    /// From firing to the receiver when the alert creates its group: `group_wait`.
    pub delivery_new: Span,
    /// From firing to the receiver when its group exists: until the next tick of `group_interval`.
    pub delivery_known: Span,
    /// The labels Alertmanager groups by; `...` for all.
    pub group_by: Vec<String>,
    /// From the fault's end to inactive.
    pub resolved: Span,
    /// From inactive to the receiver being told.
    pub resolved_delivery: Span,
    /// `for` on the evaluation grid: pending to firing, exactly.
    pub pending_for: Duration,
    /// `keep_firing_for` on the evaluation grid: from no longer true to inactive, exactly.
    pub kept_for: Duration,
    /// The evaluation interval of its group.
    pub evaluation: Duration,
    /// The scrape interval of what it reads.
    pub scrape: Duration,
}

/// A floor and a ceiling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The earliest.
    pub floor: Duration,
    /// The latest.
    pub ceiling: Duration,
}

/// `that.notification`
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// The receiver that must get it.
    pub receiver: String,
    /// The alert it must carry.
    pub alert: String,
    /// Labels the alert must carry.
    pub labels: Labels,
    /// Promise: at the latest this long after the fault was proved.
    pub within: Option<Duration>,
    /// Whether the receiver must be told of the end.
    pub resolved: Resolved,
    /// How many firing messages there are.
    pub count: Option<Condition>,
    /// How many alerts of the name each of them tells of together.
    pub alerts: Option<Condition>,
    /// Texts the message must contain.
    pub contains: Vec<String>,
    /// What the configuration allows.
    pub bound: Option<AlertBound>,
}

/// Whether a resolved message is part of the expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// It must come.
    Required,
    /// Nobody asked.
    Unasked,
}

/// `that.log`
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// The LogQL query as it is asked.
    pub query: String,
    /// Whether the query answers with lines or with numbers.
    pub answer: LogAnswer,
    /// How many lines there must be; by default at least one.
    pub count: Option<Condition>,
    /// What a metric query's value must satisfy.
    pub value: Option<Condition>,
    /// JSON fields every line must have, not empty.
    pub fields: Vec<String>,
}

/// What a LogQL query answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogAnswer {
    /// Lines.
    Lines,
    /// Numbers.
    Metric,
}

/// `that.agreement`
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// What is counted.
    pub of: Counted,
    /// The observers that must agree.
    pub between: BTreeSet<Observer>,
    /// The dimensions they are compared by.
    pub by: BTreeSet<Dimension>,
    /// The largest allowed difference in a cell, as a share of the largest count.
    pub tolerance: f64,
}

/// What an agreement counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// HTTP requests.
    Requests,
    /// Log lines by their sequence number.
    LogLines,
    /// Latencies, by quantile.
    Latency,
}

/// Who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observer {
    /// The load engine's ledger.
    Client,
    /// Counters in Prometheus.
    Metrics,
    /// Access log lines.
    Logs,
}

impl Observer {
    /// The name as written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

/// A dimension of an agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// Route template.
    Route,
    /// HTTP status.
    Status,
    /// HTTP method.
    Method,
}

/// `that.target`
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The job.
    pub job: String,
    /// The health that is asked for.
    pub health: Health,
}

/// The health of a scrape target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// `up == 1`
    Up,
    /// `up == 0`
    Down,
}

/// `that.load`: what the client saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// The load.
    pub load: String,
    /// One of its requests; none means all.
    pub request: Option<String>,
    /// Percentile name (`p50` … `p99.9`, `max`) and the bound on latency from the intended start.
    pub latency: BTreeMap<String, Condition>,
    /// The bound on the share of requests that did not succeed.
    pub errors: Option<Condition>,
    /// The bound on the share of planned requests that were sent.
    pub achieved: Option<Condition>,
}

/// Implicit: which alerts may fire.
#[derive(Clone, Debug, PartialEq)]
pub struct Others {
    /// Expected, allowed or always firing.
    pub known: BTreeSet<String>,
}

/// Implicit: an alert that fires all the time.
#[derive(Clone, Debug, PartialEq)]
pub struct Always {
    /// The alert's name.
    pub name: String,
}

/// A window of time, with what its ends mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its begin; for a fault window the inject call.
    pub start: Stamp,
    /// From when a promise counts: for a fault window when the fault was proved to bite, else the begin.
    pub effective: Stamp,
    /// Its end; for a fault window when the fault was proved gone.
    pub end: Stamp,
    /// Until when observations count: the end plus the computed ceiling, because pages come after the fact.
    pub observed_until: Stamp,
}

impl Window {
    /// A window that is as long as it looks.
    #[must_use]
    pub const fn plain(start: Stamp, end: Stamp) -> Self {
        Self { start, effective: start, end, observed_until: end }
    }
}
