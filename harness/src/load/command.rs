//! The engine alone, as a command: options in, seconds while it runs, a summary at the end, and its form for machines.
//! Used by `cli` for `harness load`; `run` uses [`super::start`] directly.

use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::distribution::Distribution;
use super::flow::Flow;
use super::handle::start;
use super::ledger::{ErrorClass, Status};
use super::spec::{Arrivals, Checks, Model, Protocol, RequestTemplate, Spec, SpecError, Stage};
use super::summary::{Second, Summary, Window};
use super::target::{Reach, Target, TargetError};
use super::tls::Trust;
use crate::clock::{Clock, Stamp};

/// What `harness load` is asked to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// `http[s]://host[:port][/path][?query]`, sent as it is.
    pub url: String,
    /// Which addresses are allowed.
    pub reach: Reach,
    /// What is spoken.
    pub protocol: Protocol,
    /// The most requests at a time on an HTTP/2 connection; see [`Spec::streams`].
    pub streams: Option<NonZeroUsize>,
    /// Whom an `https` server must be certified by.
    pub trust: Trust,
    /// How fast.
    pub pace: Pace,
    /// How long requests are sent.
    pub lasts: Duration,
    /// So much of it is not measured; see [`Spec::warm_up`].
    pub warm_up: Duration,
    /// For each request.
    pub timeout: Duration,
    /// The method, in capitals.
    pub method: String,
    /// Additional headers.
    pub headers: BTreeMap<String, String>,
    /// A JSON body.
    pub json: Option<serde_json::Value>,
    /// What counts as a success.
    pub expect: Checks,
    /// Same seed, same schedule.
    pub seed: u64,
}

impl Options {
    /// GET requests to `url`, to this machine only, with a timeout of 10 s.
    #[must_use]
    pub fn new(url: impl Into<String>, pace: Pace, lasts: Duration) -> Self {
        Self {
            url: url.into(),
            reach: Reach::Loopback,
            protocol: Protocol::Http1,
            streams: None,
            trust: Trust::System,
            pace,
            lasts,
            warm_up: Duration::ZERO,
            timeout: Duration::from_secs(10),
            method: "GET".to_owned(),
            headers: BTreeMap::new(),
            json: None,
            expect: Checks::default(),
            seed: 1,
        }
    }
}

/// How fast a load goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// By an arrival rate (the open model).
    Rate {
        /// Requests per second.
        rate: f64,
        /// From 0 to the rate; part of the time the load lasts.
        ramp: Duration,
        /// How arrivals are spread.
        arrivals: Arrivals,
        /// Beyond, arrivals are dropped and counted; by default [`Model::usual_max_in_flight`].
        max_in_flight: Option<usize>,
    },
    /// So many connections at full speed (the closed model).
    Connections(usize),
    /// So many virtual users, each with a pause behind every answer (the closed model).
    Users {
        /// How many.
        count: usize,
        /// The time within which they begin.
        ramp: Duration,
        /// The pause.
        think: Duration,
    },
}

/// Why a load could not be run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The rest.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

/// Runs a load to its end, or until `interrupted` resolves; `progress` gets every second. Requests in flight at the end
/// have their timeout to end; after an interruption they are cancelled.
///
/// # Errors
/// When the options do not hold water, or the operating system refuses a thread or a descriptor.
pub async fn run(
    options: &Options,
    clock: Clock,
    mut progress: impl FnMut(&Second),
    interrupted: impl Future<Output = ()>,
) -> Result<Summary, LoadError> {
    let mut handle = start(spec(options)?, clock)?;
    let mut interrupted = std::pin::pin!(interrupted);
    let mut finished = std::pin::pin!(handle.finished());
    let drain = loop {
        tokio::select! {
            biased;
            Some(second) = handle.samples().recv() => progress(&second),
            () = &mut finished => break options.timeout,
            () = &mut interrupted => break Duration::ZERO,
        }
    };
    Ok(handle.stop(drain).await)
}

/// Nobody asks for windows of these loads; this is enough for charts, and their memory is flat after two minutes.
const SLOTS: usize = 512;

fn spec(options: &Options) -> Result<Spec, LoadError> {
    let (base, path) = split(&options.url);
    let target = Target::resolve(base, options.reach)?;
    let model = match options.pace {
        Pace::Connections(count) => Model::Connections { count },
        Pace::Users { count, ramp, think } => Model::Users { count, ramp, think },
        Pace::Rate { rate, ramp, arrivals, max_in_flight } => Model::Open {
            stages: vec![Stage { from: if ramp.is_zero() { rate } else { 0.0 }, to: rate, over: ramp }],
            arrivals,
            max_in_flight: max_in_flight.unwrap_or_else(|| Model::usual_max_in_flight(rate, options.timeout)),
        },
    };
    let mut request = RequestTemplate::get(path.replace('{', "{{").replace('}', "}}"));
    request.name = "request".to_owned();
    request.method.clone_from(&options.method);
    request.headers.clone_from(&options.headers);
    request.json.clone_from(&options.json);
    request.expect = options.expect.clone();
    // what stands behind a question mark may be nobody's business
    let name = options.url.split('?').next().unwrap_or_default();
    let mut spec = Spec::new(name, target, model, vec![request]);
    (spec.protocol, spec.streams, spec.trust) = (options.protocol, options.streams, options.trust.clone());
    (spec.warm_up, spec.slots) = (options.warm_up, SLOTS);
    (spec.timeout, spec.seed, spec.lasts) = (options.timeout, options.seed, Some(options.lasts));
    Ok(spec)
}

/// Splits a URL behind its authority; without a path it is `/`.
fn split(url: &str) -> (&str, String) {
    let authority = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url[authority..].find(['/', '?']).map_or(url.len(), |end| authority + end);
    let (base, path) = url.split_at(end);
    (base, if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

/// A summary for machines. Times are microseconds; percentiles are absent when nothing was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Report {
    /// The load's name.
    pub load: String,
    /// Its first instant.
    pub started_at: Stamp,
    /// From there to its end, the drain included.
    pub lasted: Duration,
    /// The declared warm-up: in the counts, not in the times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<WarmUp>,
    /// What happened to the requests.
    pub flow: Flow,
    /// The share of errors among ended requests.
    pub error_share: Option<f64>,
    /// The share of planned requests that was sent.
    pub achieved_share: Option<f64>,
    /// Latency from the intended start.
    pub latency_us: BTreeMap<String, u64>,
    /// Time from the actual start.
    pub service_time_us: BTreeMap<String, u64>,
    /// How long after their intended start requests were sent.
    pub lag_us: BTreeMap<String, u64>,
    /// Errors by class.
    pub errors: BTreeMap<ErrorClass, u64>,
    /// Every request, by name.
    pub requests: Vec<RequestReport>,
    /// Why TLS failed when it first did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_failure: Option<String>,
    /// What limited the generator, if anything did.
    pub saturation: Option<String>,
    /// Why this says little about the server; empty for a load that was sent as it was asked for, and answered.
    #[serde(default)]
    pub doubts: Vec<Doubt>,
}

/// A reason not to rely on a load's figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Doubt {
    /// The reason code, as in a drill.
    pub code: String,
    /// What happened.
    pub what: String,
}

/// Of the planned requests so many must be sent, else it was another load than was asked for.
const ACHIEVED: f64 = 0.99;

fn doubts(summary: &Summary) -> Vec<Doubt> {
    let flow = summary.flow;
    let doubt = |code: &str, what: String| Doubt { code: code.to_owned(), what };
    let saturated = summary.saturation.as_ref().map(|limits| doubt("GENERATOR_SATURATED", limits.to_string()));
    let short = flow.achieved_share().filter(|share| *share < ACHIEVED).map(|_| {
        let what = format!("{} of {} planned requests were sent", flow.started, flow.planned);
        doubt("LOAD_NOT_ACHIEVED", what)
    });
    let unheard = (flow.completed == 0).then(|| doubt("NO_DATA", "not a single request was answered".to_owned()));
    [saturated, short, unheard].into_iter().flatten().collect()
}

/// What a declared warm-up left out of the times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WarmUp {
    /// As declared.
    pub lasted: Duration,
    /// Requests that were due in it.
    pub planned: u64,
}

/// One request's share of a [`Report`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RequestReport {
    /// Its name.
    pub request: String,
    /// Its method.
    pub method: String,
    /// Its path template.
    pub route: String,
    /// How often each status or error came.
    pub statuses: BTreeMap<Status, u64>,
    /// Latency from the intended start.
    pub latency_us: BTreeMap<String, u64>,
}

impl From<&Summary> for Report {
    fn from(summary: &Summary) -> Self {
        let measured: &Window = &summary.measured();
        let planned = summary.warmed_up_by();
        let request = |(key, statuses): (&super::Key, &BTreeMap<Status, u64>)| RequestReport {
            request: key.request.clone(),
            method: key.method.clone(),
            route: key.route.clone(),
            statuses: statuses.clone(),
            latency_us: percentiles(measured.latency(Some(&key.request)).as_ref()),
        };
        Self {
            load: summary.load.clone(),
            started_at: summary.started_at,
            lasted: summary.taken_at.since(summary.started_at),
            warm_up: (!summary.warm_up.is_zero()).then_some(WarmUp { lasted: summary.warm_up, planned }),
            flow: summary.flow,
            error_share: summary.flow.error_share(),
            achieved_share: summary.flow.achieved_share(),
            latency_us: percentiles(measured.latency(None).as_ref()),
            service_time_us: percentiles(measured.service_time(None).as_ref()),
            lag_us: percentiles(Some(measured.lag())),
            errors: summary.errors.clone(),
            requests: summary.ledger.iter().map(request).collect(),
            tls_failure: summary.tls_failure.clone(),
            saturation: summary.saturation.as_ref().map(ToString::to_string),
            doubts: doubts(summary),
        }
    }
}

/// The usual percentiles in microseconds, by name; empty without values.
#[must_use]
pub fn percentiles(distribution: Option<&Distribution>) -> BTreeMap<String, u64> {
    const NAMED: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)];
    let Some(distribution) = distribution else { return BTreeMap::new() };
    let quantiles = NAMED.iter().map(|(name, quantile)| (*name, distribution.quantile(*quantile)));
    let micros = |value: Duration| u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
    let named = quantiles.chain([("max", distribution.max())]);
    named.filter_map(|(name, value)| Some((name.to_owned(), micros(value?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_behind_its_authority_and_sent_as_it_is() {
        assert_eq!(split("http://127.0.0.1:8080"), ("http://127.0.0.1:8080", "/".to_owned()));
        assert_eq!(split("http://h/a/b?c={d}"), ("http://h", "/a/b?c={d}".to_owned()));
        assert_eq!(split("http://h?c"), ("http://h", "/?c".to_owned()));
        let options = Options::new("http://127.0.0.1/{x}", Pace::Connections(1), Duration::from_secs(1));
        assert_eq!(spec(&options).unwrap().requests[0].path, "/{{x}}");
    }

    #[test]
    fn the_default_limit_of_requests_in_flight_is_rate_times_timeout_and_a_tenth_l05() {
        assert_eq!(Model::usual_max_in_flight(200.0, Duration::from_secs(2)), 450);
        assert_eq!(Model::usual_max_in_flight(0.5, Duration::from_secs(2)), 20);
        assert_eq!(Model::usual_max_in_flight(20_000.0, Duration::from_secs(10)), 10_000);
    }
}
